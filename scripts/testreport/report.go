package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string // empty: the event is the package's
	Output  string
}

// report collects events. Output is kept until the test or package is known to
// have passed, so that what a panic or a time-out cut short is shown as well.
type report struct {
	out      io.Writer
	pending  []event // output of what has not passed, in order
	packages tally
	tests    tally
	failed   []string // tests, as package.Test
	skipped  []string
	cases    catalogue
}

type tally struct{ passed, failed, skipped int }

func newReport(out io.Writer) *report {
	return &report{out: out, cases: catalogue{}}
}

// read handles events until the end of in. A line that is no event, such as an
// error of the go command, is printed as it is.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(r.out, "%s", line)
			} else {
				r.handle(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) handle(e event) {
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.pending = append(r.pending, e)
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e)
		}
	}
}

func (r *report) endTest(e event) {
	r.tests.count(e.Action)
	r.cases.add(e.Test, e.Action)
	name := e.Package + "." + e.Test
	switch e.Action {
	case "fail":
		r.failed = append(r.failed, name)
		return
	case "skip":
		r.skipped = append(r.skipped, name)
	}
	r.pending = slices.DeleteFunc(r.pending, func(p event) bool {
		return p.Package == e.Package && p.Test == e.Test
	})
}

// endPackage prints the package's line ("ok …", "FAIL …", "? …"), after all
// that is pending when the package failed.
func (r *report) endPackage(e event) {
	r.packages.count(e.Action)
	r.pending = slices.DeleteFunc(r.pending, func(p event) bool {
		if p.Package != e.Package {
			return false
		}
		if e.Action == "fail" || isPackageLine(p) {
			fmt.Fprint(r.out, p.Output)
		}
		return true
	})
}

func isPackageLine(p event) bool {
	return p.Test == "" && (strings.HasPrefix(p.Output, "ok ") || strings.HasPrefix(p.Output, "? "))
}

func (r *report) summary() {
	fmt.Fprintf(r.out, "\npackages: %s\ntests:    %s\n", r.packages, r.tests)
	for _, name := range r.skipped {
		fmt.Fprintln(r.out, "  skipped", name)
	}
	for _, name := range r.failed {
		fmt.Fprintln(r.out, "  failed ", name)
	}
	r.cases.print(r.out)
}

func (t *tally) count(action string) {
	switch action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
	case "skip":
		t.skipped++
	}
}

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}
