package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

// scripted is a contestant that answers the given rounds in turn.
func scripted(name string, order *strings.Builder, rounds ...round) contestant {
	next := inTurnOf(rounds)
	return contestant{name: name, round: func(context.Context, plan) (round, error) {
		order.WriteString(name)
		return next(), nil
	}}
}

func inTurnOf(rounds []round) func() round {
	i := -1
	return func() round {
		i++
		return rounds[i%len(rounds)]
	}
}

func quiet(string, ...any) {}

func TestRoundsAlternateUntilEnoughOfBothCount(t *testing.T) {
	good, idle := round{CPU: 10, ServerBusy: 0.99, LoadBusy: 0.5}, round{CPU: 99, ServerBusy: 0.5, LoadBusy: 0.5}
	var order strings.Builder
	got, err := alternate(t.Context(), plan{rounds: 2, attempts: 5}, quiet,
		scripted("A", &order, good), scripted("B", &order, idle, good, good))
	if err != nil {
		t.Fatal(err)
	}
	if order.String() != "ABABAB" {
		t.Errorf("order = %s, want ABABAB", order.String())
	}
	if n := got[1].counted(); n != 2 || len(got[1].Rounds) != 3 || got[1].Median.CPU != 10 {
		t.Errorf("B: %d of %d rounds count, median %v; want 2 of 3, median 10", n, len(got[1].Rounds), got[1].Median.CPU)
	}
}

func TestTooFewRoundsThatCountAreAnError(t *testing.T) {
	var order strings.Builder
	busy := round{ServerBusy: 1, LoadBusy: 0.91}
	p := plan{rounds: 1, attempts: 3}
	if _, err := alternate(t.Context(), p, quiet, scripted("A", &order, busy)); err == nil {
		t.Error("no round counts, and there was no error")
	}
	p.acceptNoise = true
	if _, err := alternate(t.Context(), p, quiet, scripted("A", &order, busy)); err != nil {
		t.Errorf("with noise accepted: %v", err)
	}
}

func TestCountingRuleIsThatOfTheBusyCores(t *testing.T) {
	for _, test := range []struct {
		server, load float64
		want         bool
	}{
		{0.97, 0.90, true},
		{0.969, 0.90, false},
		{0.97, 0.901, false},
		{1, 0, true},
	} {
		if got := counts(round{ServerBusy: test.server, LoadBusy: test.load}); got != test.want {
			t.Errorf("server %v, load %v: counts = %v, want %v", test.server, test.load, got, test.want)
		}
	}
}

func TestCoreIsBusyWhenItIsNeitherIdleNorWaiting(t *testing.T) {
	before, err := parseTicks("100 0 50 1000 10 0 5 0 0 0\n")
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseTicks("150 0 70 1020 15 0 10 0 40 0\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := after.busySince(before), 0.75; got != want {
		t.Errorf("busy = %v, want %v", got, want)
	}
	if got := before.busySince(before); got != 0 {
		t.Errorf("busy of no time = %v, want 0", got)
	}
}

func TestCPUTimeOfAProcessGrowsByWhatItSpends(t *testing.T) {
	var s signatures
	c, err := chooseCores()
	if err != nil {
		t.Fatal(err)
	}
	if err := compute(c.server, &s, "signatures", deterministic, "50ms"); err != nil {
		t.Fatal(err)
	}
	if s.Count == 0 || s.CPU <= 0 || s.CPU > s.Took+10*time.Millisecond {
		t.Errorf("%d signatures in %v of CPU time and %v of time", s.Count, s.CPU, s.Took)
	}
}
