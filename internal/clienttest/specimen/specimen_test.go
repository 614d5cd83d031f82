package specimen_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/clienttest"
	"github.com/doorward/doorward/internal/clienttest/specimen"
)

// asClient makes this program a client process with the fault that it holds.
const asClient = "SPECIMEN_FAULT"

func TestMain(m *testing.M) {
	fault, ok := os.LookupEnv(asClient)
	if !ok {
		os.Exit(m.Run())
	}
	if err := specimen.Serve(specimen.Fault(fault), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check returns the rows that failed, with the reason.
func check(ctx context.Context, fault specimen.Fault) (map[string]string, error) {
	subject := clienttest.Subject{Command: []string{os.Args[0]}, Environment: append(os.Environ(), asClient+"="+string(fault))}
	verdicts, err := clienttest.Run(ctx, subject, clienttest.Rows())
	failed := map[string]string{}
	for _, v := range verdicts {
		if v.Outcome == clienttest.Failed {
			failed[v.Row.Name] = v.Reason
		}
	}
	return failed, err
}

func TestGoodClientPasses(t *testing.T) {
	failed, err := check(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for row, reason := range failed {
		t.Errorf("%s: %s", row, reason)
	}
}

// The clients mostly wait, so that more of them run at once than there are cores.
func TestEachBrokenClientFailsItsRowAlone(t *testing.T) {
	const atOnce = 24
	var work sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for fault, row := range specimen.Broken {
		work.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			failed, err := check(t.Context(), fault)
			if err != nil {
				t.Errorf("a client that %s: %v", fault, err)
			}
			if failed[row] == "" {
				t.Errorf("a client that %s passes the row %q", fault, row)
			}
			delete(failed, row)
			for other, reason := range failed {
				t.Errorf("a client that %s fails the row %q, too: %s", fault, other, reason)
			}
		})
	}
	work.Wait()
}
