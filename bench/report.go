package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"
)

// A report is what the benchmark writes as JSON.
type report struct {
	At        time.Time          `json:"at"`
	Go        string             `json:"go"`
	Judged    bool               `json:"judged"` // false: shortened, or noise was accepted
	Scenarios []scenarioReport   `json:"scenarios"`
	Figures   map[string]float64 `json:"figures"`
	Floors    []verdict          `json:"floors"`
}

// A scenarioReport is how one scenario went.
type scenarioReport struct {
	Name    string   `json:"name"`
	Seconds float64  `json:"seconds"`
	Error   string   `json:"error,omitempty"`
	Series  []series `json:"series,omitempty"`
}

func newReport(judged bool) *report {
	return &report{At: time.Now().UTC(), Go: runtime.Version(), Judged: judged, Figures: make(map[string]float64)}
}

// conclude judges the figures.
func (r *report) conclude() {
	ran := make(map[string]bool)
	for _, s := range r.Scenarios {
		ran[s.Name] = true
	}
	r.Floors = judge(ran, r.Figures)
}

// passed reports whether the run was a judged one and nothing was missed.
func (r *report) passed() bool {
	for _, s := range r.Scenarios {
		if s.Error != "" {
			return false
		}
	}
	for _, v := range r.Floors {
		if !v.OK {
			return false
		}
	}
	return r.Judged
}

// print writes the medians, the floors and the conclusion as tables.
func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r.printSeries(t)
	fmt.Fprint(t, "\nfigure\tfloor\taim\tmeasured\tunit\tok\n")
	for _, v := range r.Floors {
		measured, ok, aim := "none", "MISSED", ""
		if v.Measured != nil {
			measured = fmt.Sprintf("%.4g", *v.Measured)
		}
		if v.OK {
			ok = "ok"
		}
		if v.Aim != 0 {
			aim = fmt.Sprintf("%.4g", v.Aim)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Name, v.limit(), aim, measured, v.Unit, ok)
	}
	for _, s := range r.Scenarios {
		if s.Error != "" {
			fmt.Fprintf(t, "\n%s failed: %s\n", s.Name, s.Error)
		}
	}
	if !r.Judged {
		fmt.Fprint(t, "\nnot judged: the run was shortened or noise was accepted\n")
	}
	return t.Flush()
}

func (r *report) printSeries(w io.Writer) {
	fmt.Fprint(w, "scenario\tcontestant\trounds\tCPU µs/request\trequests/s\tp50 µs\tp99 µs\tserver core\tload core\n")
	for _, scenario := range r.Scenarios {
		for _, s := range scenario.Series {
			m := s.Median
			fmt.Fprintf(w, "%s\t%s\t%d of %d\t%.2f\t%.0f\t%.0f\t%.0f\t%.1f %%\t%.1f %%\n",
				scenario.Name, s.Name, s.counted(), len(s.Rounds), m.CPU, m.PerSecond, m.P50, m.P99, m.ServerBusy*100, m.LoadBusy*100)
		}
	}
}

// write stores the report as JSON and makes its folder if need be.
func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make a folder for the report: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}
