package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asMain makes the test binary behave as the program: the benchmark runs itself
// again for its children, and a test looks at its exit code.
const asMain = "DOORWARD_BENCH_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	roles["stand-in"] = serveStandIn
	if os.Getenv(asMain) != "" || (len(os.Args) > 1 && os.Args[1] == childArgument) {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestRunThatMissesAFloorExitsWithOne(t *testing.T) {
	product, out := stripped(t), filepath.Join(t.TempDir(), "build", "bench.json")
	if err := os.Truncate(product, 31*megabyte); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-run", "binary-size", "-doorward", product, "-out", out)
	cmd.Env = append(os.Environ(), asMain+"=1")
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("bench ended with %v, want exit code 1; it said:\n%s", err, text)
	}
	var r report
	read, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Floors) != 1 || r.Floors[0].OK {
		t.Errorf("floors in the report = %+v, want the one of binary-size, missed", r.Floors)
	}
	if !strings.Contains(string(text), "MISSED") {
		t.Errorf("the table does not show the floor missed:\n%s", text)
	}
}

func TestShortenedAndNoisyRunsAreNotJudged(t *testing.T) {
	for _, test := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"-run", "tokens", "-rounds", "7"}, true},
		{[]string{"-quick"}, false},
		{[]string{"-accept-noise"}, false},
		{[]string{"-rounds", "4"}, false},
		{[]string{"-length", "2s"}, false},
	} {
		t.Run(fmt.Sprint(test.args), func(t *testing.T) {
			o, err := parseOptions(test.args, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if _, got := o.bench(cores{}, nil, t.Output()); got != test.want {
				t.Errorf("judged = %v, want %v", got, test.want)
			}
		})
	}
}

func TestScenariosAreChosenByName(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) != len(scenarios) {
		t.Errorf("an empty list chooses %d scenarios, error %v; want all %d", len(all), err, len(scenarios))
	}
	two, err := choose("calls-warm,tokens")
	if err != nil || len(two) != 2 || two[0].name != "calls-warm" {
		t.Errorf("chosen = %v, error %v", two, err)
	}
	if _, err := choose("tokens,nothing"); err == nil {
		t.Error("an unknown scenario was accepted")
	}
}
