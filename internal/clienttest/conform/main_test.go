package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// asClient makes this program the command conform.
const asClient = "CONFORM_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) == "" {
		os.Exit(m.Run())
	}
	main()
}

func conform(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	t.Setenv(asClient, "1")
	var out bytes.Buffer
	err := run(t.Context(), arguments, strings.NewReader(""), &out, io.Discard)
	return out.String(), err
}

func TestReportNamesTheRowThatFailed(t *testing.T) {
	out, err := conform(t, "-row", "one flight,never on 403", os.Args[0], "-specimen", "repeats on 403")
	if !errors.Is(err, errFailed) {
		t.Errorf("error = %v, want %v", err, errFailed)
	}
	for _, want := range []string{"passed        one flight\n", "failed        never on 403: 2 requests reached the API on a 403, want 1\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("output %q lacks %q", out, want)
		}
	}
	t.Run("twin", func(t *testing.T) {
		out, err := conform(t, "-row", "one flight,never on 403", os.Args[0], "-specimen", "good")
		if want := "passed        one flight\npassed        never on 403\n"; err != nil || out != want {
			t.Errorf("output %q, error %v, want %q", out, err, want)
		}
	})
}

func TestRowsOfRedisAreNotObservedWithoutIt(t *testing.T) {
	out, err := conform(t, "-redis", "", "-row", "Redis away", os.Args[0], "-specimen", "good")
	if want := "not observed  Redis away: needs redis, a Redis server\n"; err != nil || out != want {
		t.Errorf("output %q, error %v, want %q", out, err, want)
	}
}

func TestClientThatIsNoneIsReported(t *testing.T) {
	for name, command := range map[string][]string{
		"no hello":        {os.Args[0], "-list"},
		"no such program": {"/nonexistent/client"},
	} {
		out, err := conform(t, append([]string{"-row", "one flight"}, command...)...)
		if !errors.Is(err, errFailed) || !strings.Contains(out, "failed        one flight: ") {
			t.Errorf("%s: output %q, error %v, want a failed row", name, out, err)
		}
	}
}

func TestMistakesSayWhatToDo(t *testing.T) {
	for want, arguments := range map[string][]string{
		`no row is called "x"; -list names them`:    {"-row", "x", "true"},
		"no specimen has the fault \"x\"; use good": {"-specimen", "x"},
		"rows failed": {},
	} {
		if _, err := conform(t, arguments...); err == nil || !strings.HasPrefix(fmt.Sprint(err), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}
