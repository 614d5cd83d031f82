package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramQuantilesAreWithinOnePercentOfTheSortedTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h histogram
	times := make([]time.Duration, 100_000)
	for i := range times {
		times[i] = time.Duration(math.Exp(r.Float64()*20)) + 1
		h.record(times[i])
	}
	slices.Sort(times)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := float64(times[max(int(q*float64(len(times))+0.5), 1)-1])
		got := float64(h.quantile(q))
		if math.Abs(got-want) > 0.01*want+1 {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestHistogramHoldsEveryDuration(t *testing.T) {
	last := -1
	for _, v := range []uint64{0, 1, 127, 128, 255, 256, 258, 1 << 20, 1<<20 + 1<<13, math.MaxInt64} {
		bucket := bucketOf(v)
		if bucket <= last {
			t.Errorf("bucketOf(%d) = %d, want above %d", v, bucket, last)
		}
		last = bucket
	}
	var h histogram
	h.record(math.MaxInt64)
	h.record(-1)
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("a negative duration counts as %v, want 0", got)
	}
}

func TestEmptyHistogramAnswersZero(t *testing.T) {
	var h histogram
	if got := h.quantile(0.99); got != 0 {
		t.Errorf("quantile = %v, want 0", got)
	}
}
