package main

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestCliffsDeltaTellsDistributionsApart(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b []time.Duration
		want float64
	}{
		{"all larger", []time.Duration{4, 5}, []time.Duration{1, 2, 3}, 1},
		{"all smaller", []time.Duration{1, 2}, []time.Duration{3, 4}, -1},
		{"ties", []time.Duration{2, 2}, []time.Duration{2, 2}, 0},
		{"half", []time.Duration{1, 3}, []time.Duration{1, 2}, 0.25},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := cliffsDelta(test.a, test.b); got != test.want {
				t.Errorf("delta = %v, want %v", got, test.want)
			}
		})
	}
}

func TestTimingEffectSeesThreePercentAndForgivesChance(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	sample := func(mean float64) []time.Duration {
		out := make([]time.Duration, 2000)
		for i := range out {
			out[i] = time.Duration(mean * (1 + 0.1*r.NormFloat64()))
		}
		return out
	}
	same := [3][]time.Duration{sample(100_000), sample(100_000), sample(100_000)}
	if got := compare(same, quiet); got > negligibleEffect {
		t.Errorf("effect of one distribution = %v, want at most %v", got, negligibleEffect)
	}
	apart := [3][]time.Duration{sample(100_000), sample(103_000), sample(100_000)}
	if got := compare(apart, quiet); got <= negligibleEffect || math.IsNaN(got) {
		t.Errorf("effect of 3 %% = %v, want above %v", got, negligibleEffect)
	}
}
