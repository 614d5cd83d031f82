package main

import (
	"math/bits"
	"time"
)

// perOctave is the number of buckets between a power of two and the next, so
// that a bucket is never wider than 0.8 % of the times it holds.
const perOctave = 128

// A histogram counts durations in buckets that widen with the duration. The
// zero value is empty and ready; recording never allocates.
type histogram struct {
	buckets [58 * perOctave]uint64
	count   uint64
}

// record counts one duration. A negative one counts as zero.
func (h *histogram) record(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0)))]++
	h.count++
}

// quantile returns the middle of the bucket below which the share q, in (0, 1],
// of all durations lies; zero if nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	wanted := max(uint64(q*float64(h.count)+0.5), 1)
	var seen uint64
	for i, n := range h.buckets {
		seen += n
		if seen >= wanted {
			return middleOf(i)
		}
	}
	return 0
}

func bucketOf(v uint64) int {
	if v < perOctave {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(perOctave)
	return shift*perOctave + int(v>>shift)
}

func middleOf(bucket int) time.Duration {
	if bucket < 2*perOctave {
		return time.Duration(bucket)
	}
	shift := bucket/perOctave - 1
	low := uint64(bucket-shift*perOctave) << shift
	return time.Duration(low + 1<<shift/2)
}
