//go:build typescript

// Package typescript_test holds the npm package @doorward/client against the
// contract of docs/clients.md. `make test-typescript` builds the package first.
package typescript_test

import (
	"os"
	"testing"

	"github.com/doorward/doorward/internal/clienttest"
)

func TestTypescriptPackageKeepsTheContract(t *testing.T) {
	subject := clienttest.Subject{
		Command: []string{"node", "dist/test/conformance.js"},
		Redis:   os.Getenv("DOORWARD_TEST_REDIS"),
		Stderr:  os.Stderr,
	}
	verdicts, err := clienttest.Run(t.Context(), subject, clienttest.Rows())
	if err != nil {
		t.Fatal(err)
	}
	for _, verdict := range verdicts {
		if verdict.Outcome != clienttest.Passed {
			t.Errorf("%s: %s: %s", verdict.Row.Name, verdict.Outcome, verdict.Reason)
		}
	}
	t.Logf("%d rows", len(verdicts))
}
