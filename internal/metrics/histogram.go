package metrics

import (
	"math"
	"slices"
	"strconv"
	"sync/atomic"
)

// A Histogram counts observed values in buckets.
type Histogram struct {
	bounds  []float64       // upper ends, ascending
	buckets []atomic.Uint64 // one more than bounds; none counts what another does
	sum     atomic.Uint64   // bits of a float64
}

// Observe counts a value.
func (h *Histogram) Observe(value float64) {
	at, _ := slices.BinarySearch(h.bounds, value)
	h.buckets[at].Add(1)
	for {
		before := h.sum.Load()
		if h.sum.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+value)) {
			return
		}
	}
}

func (h *Histogram) write(page []byte, name, labels string) []byte {
	inner := labels
	if inner != "" {
		inner += ","
	}
	var count uint64
	for i := range h.buckets {
		bound := "+Inf"
		if i < len(h.bounds) {
			bound = strconv.FormatFloat(h.bounds[i], 'g', -1, 64)
		}
		count += h.buckets[i].Load()
		page = appendSample(page, name+"_bucket", inner+`le="`+bound+`"`, float64(count))
	}
	page = appendSample(page, name+"_sum", labels, math.Float64frombits(h.sum.Load()))
	return appendSample(page, name+"_count", labels, float64(count))
}
