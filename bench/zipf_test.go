package main

import (
	"math"
	mathrand "math/rand/v2"
	"testing"
)

func TestZipfDrawsEachRankAsOftenAsItsShare(t *testing.T) {
	const ranks, draws = 50, 500_000
	for _, skew := range []float64{0.3, 0.7, 1.2} {
		var whole float64
		for k := 1; k <= ranks; k++ {
			whole += math.Pow(float64(k), -skew)
		}
		z, drawn := newZipf(mathrand.New(mathrand.NewPCG(1, 1)), ranks, skew), [ranks + 1]float64{}
		for range draws {
			drawn[z.next()]++
		}
		for k := 1; k <= ranks; k++ {
			want := draws * math.Pow(float64(k), -skew) / whole
			if off := math.Abs(drawn[k] - want); off > 5*math.Sqrt(want) {
				t.Errorf("skew %v: rank %d was drawn %.0f times, want about %.0f", skew, k, drawn[k], want)
			}
		}
	}
}
