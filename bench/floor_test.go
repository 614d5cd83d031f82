package main

import (
	"testing"
)

// allRan names every scenario.
func allRan() map[string]bool {
	ran := make(map[string]bool)
	for _, s := range scenarios {
		ran[s.name] = true
	}
	return ran
}

// exactly are figures that hold every floor without anything to spare.
func exactly() map[string]float64 {
	figures := make(map[string]float64)
	for _, f := range floors {
		figures[f.Name] = f.Limit
	}
	return figures
}

func TestRunThatHoldsEveryFloorPasses(t *testing.T) {
	r := newReport(true)
	r.Floors = judge(allRan(), exactly())
	if len(r.Floors) != len(floors) {
		t.Errorf("%d floors judged, want %d", len(r.Floors), len(floors))
	}
	if !r.passed() {
		t.Errorf("the run did not pass: %+v", r.Floors)
	}
	r.Judged = false
	if r.passed() {
		t.Error("a run that is not judged passed")
	}
}

func TestEachFloorMissedFailsTheRun(t *testing.T) {
	for _, f := range floors {
		t.Run(f.Name, func(t *testing.T) {
			figures := exactly()
			figures[f.Name] -= 0.0001
			if f.AtMost {
				figures[f.Name] += 0.0002
			}
			r := newReport(true)
			if r.Floors = judge(allRan(), figures); r.passed() {
				t.Error("a figure beyond its floor passed")
			}
			delete(figures, f.Name)
			if r.Floors = judge(allRan(), figures); r.passed() {
				t.Error("a figure that was not measured passed")
			}
		})
	}
}

func TestFailedScenarioFailsTheRun(t *testing.T) {
	r := newReport(true)
	r.Scenarios = []scenarioReport{{Name: "tokens", Error: "too few rounds count"}}
	r.Figures = exactly()
	if r.conclude(); r.passed() {
		t.Error("a run with a failed scenario passed")
	}
}

func TestOnlyTheScenariosThatRanAreJudged(t *testing.T) {
	got := judge(map[string]bool{"binary-size": true}, nil)
	if len(got) != 1 || got[0].Name != "stripped binary" || got[0].OK {
		t.Errorf("verdicts = %+v, want stripped binary alone, missed", got)
	}
}

func TestEveryFloorHasItsScenario(t *testing.T) {
	ran := allRan()
	for _, f := range floors {
		if !ran[f.Scenario] {
			t.Errorf("floor %q belongs to scenario %q, which does not exist", f.Name, f.Scenario)
		}
	}
}
