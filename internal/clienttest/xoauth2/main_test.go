package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/clienttest"
)

// asClient makes this program the client process.
const asClient = "XOAUTH2_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) == "" {
		os.Exit(m.Run())
	}
	main()
}

// published is the column of x/oauth2 in docs/clients.md.
func published(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	column, rows := -1, map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case strings.HasPrefix(line, "| row |"):
			column = slices.IndexFunc(cells, func(c string) bool { return strings.HasPrefix(c, "x/oauth2") })
		case !strings.HasPrefix(line, "|"):
			column = -1
		case column > 0:
			rows[cells[0]] = cells[column]
		}
	}
	return rows
}

// The row "leaving" is left out: to see that a caller cannot leave takes long.
func TestPublishedDifferencesAreWhatIsObserved(t *testing.T) {
	want := published(t)
	rows := slices.DeleteFunc(clienttest.Rows(), func(r clienttest.Row) bool { return r.Name == "leaving" })
	verdicts, err := clienttest.Run(t.Context(), clienttest.Subject{Command: []string{os.Args[0]}, Environment: append(os.Environ(), asClient+"=1")}, rows)
	if err != nil {
		t.Fatal(err)
	}
	words := map[clienttest.Outcome]string{clienttest.Passed: "yes", clienttest.Failed: "no", clienttest.NotObserved: "–"}
	for _, v := range verdicts {
		if got := words[v.Outcome]; got != want[v.Row.Name] {
			t.Errorf("%s: observed %q (%s), docs/clients.md says %q", v.Row.Name, got, v.Reason, want[v.Row.Name])
		}
	}
}
