package throttle_test

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/throttle"
)

// clock is a time that only the test moves.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

func TestTOK32_rateRefusesAfterTheBurstAndSaysWhenToComeBack(t *testing.T) {
	clock := newClock()
	rate := throttle.NewRate(50, 3, 64, clock.now)
	for i := range 3 {
		if wait, ok := rate.Allow("a"); !ok || wait != 0 {
			t.Fatalf("event %d: %v, %v, want it allowed", i, wait, ok)
		}
	}
	for range 2 { // a refusal counts nothing: it does not lengthen the wait
		if wait, ok := rate.Allow("a"); ok || wait != 20*time.Millisecond {
			t.Errorf("event after the burst: %v, %v, want a wait of 20ms", wait, ok)
		}
	}
	t.Run("twin", func(t *testing.T) {
		if _, ok := rate.Allow("b"); !ok {
			t.Error("another key is refused")
		}
		clock.advance(20 * time.Millisecond)
		if _, ok := rate.Allow("a"); !ok {
			t.Error("the key is refused after the wait that it was told")
		}
	})
}

func TestRateOfZeroIsOff(t *testing.T) {
	for _, perSecond := range []float64{0, -1, math.NaN(), math.Inf(-1)} {
		rate := throttle.NewRate(perSecond, 1, 8, newClock().now)
		for range 100 {
			if wait, ok := rate.Allow("a"); !ok || wait != 0 {
				t.Fatalf("rate %v: %v, %v, want no limit", perSecond, wait, ok)
			}
		}
	}
}

func TestExtremeRatesNeitherOverflowNorRefuseTheFirst(t *testing.T) {
	for _, perSecond := range []float64{math.SmallestNonzeroFloat64, 1e-9, 1, 1e12, math.MaxFloat64, math.Inf(1)} {
		for _, burst := range []int{math.MinInt, 0, 1, math.MaxInt} {
			clock := newClock()
			rate := throttle.NewRate(perSecond, burst, -5, clock.now)
			for range 2 {
				if wait, ok := rate.Allow("a"); !ok && (wait <= 0 || burst == math.MaxInt && perSecond >= 1) {
					t.Errorf("%v/s, burst %d: wait %v, %v", perSecond, burst, wait, ok)
				}
			}
			clock.advance(math.MaxInt64 / 2)
			if wait, ok := rate.Allow("a"); !ok {
				t.Errorf("%v/s, burst %d: wait %v after 146 years", perSecond, burst, wait)
			}
		}
	}
}

func TestAllowDoesNotAllocate(t *testing.T) {
	rate := throttle.NewRate(50, 500, 1024, time.Now)
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	next := 0
	allocs := testing.AllocsPerRun(2*len(keys), func() { // cold keys, and more of them than there are places
		rate.Allow(keys[next%len(keys)])
		next++
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestConcurrentEventsNeverExceedTheBurst(t *testing.T) {
	const burst, callers = 500, 8
	rate := throttle.NewRate(1, burst, 64, newClock().now)
	var allowed atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range burst {
				if _, ok := rate.Allow("a"); ok {
					allowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if got, want := allowed.Load(), int64(burst); got != want {
		t.Errorf("%d events allowed, want %d", got, want)
	}
}

// bucket is the same limit told in another way: credit runs up to the burst and
// an event takes one interval of it.
type bucket struct {
	credit time.Duration
	at     time.Time
}

func (b *bucket) allow(now time.Time, interval, capacity time.Duration) (time.Duration, bool) {
	b.credit = min(b.credit+now.Sub(b.at), capacity)
	b.at = now
	if b.credit < interval {
		return interval - b.credit, false
	}
	b.credit -= interval
	return 0, true
}

type traffic struct {
	perSecond, burst int
	keys             []string // of the events
	gaps             []time.Duration
}

func drawTraffic(t *rapid.T, keys int) traffic {
	events := rapid.IntRange(1, 200).Draw(t, "events")
	drawn := traffic{
		perSecond: rapid.SampledFrom([]int{1, 2, 10, 50, 1000}).Draw(t, "perSecond"),
		burst:     rapid.IntRange(1, 8).Draw(t, "burst"),
	}
	interval := int64(time.Second) / int64(drawn.perSecond)
	gap := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 3*interval))
	for range events {
		drawn.keys = append(drawn.keys, strconv.Itoa(rapid.IntRange(1, keys).Draw(t, "key")))
		drawn.gaps = append(drawn.gaps, time.Duration(gap.Draw(t, "gap")))
	}
	return drawn
}

// replay sends the traffic through a Rate and, for each event, hands the answer
// to check together with the bucket's. The bucket counts what the Rate allowed.
func replay(drawn traffic, maxEntries int, check func(event int, wait, wantWait time.Duration, ok, want bool)) {
	clock := newClock()
	rate := throttle.NewRate(float64(drawn.perSecond), drawn.burst, maxEntries, clock.now)
	interval := time.Second / time.Duration(drawn.perSecond)
	capacity := interval * time.Duration(drawn.burst)
	buckets := map[string]*bucket{}
	for i, key := range drawn.keys {
		clock.advance(drawn.gaps[i])
		if buckets[key] == nil {
			buckets[key] = &bucket{credit: capacity, at: clock.at}
		}
		wantWait, want := buckets[key].allow(clock.at, interval, capacity)
		wait, ok := rate.Allow(key)
		check(i, wait, wantWait, ok, want)
		if want && !ok {
			buckets[key].credit += interval
		}
	}
}

func TestRateIsATokenBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := drawTraffic(t, 8) // eight keys fit in any set, so none is ever pushed out
		replay(drawn, 64, func(event int, wait, wantWait time.Duration, ok, want bool) {
			if ok != want || wait != wantWait {
				t.Fatalf("event %d: %v, %v, want %v, %v", event, wait, ok, wantWait, want)
			}
		})
	})
}

func TestFullTableNeverAllowsMoreThanTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := drawTraffic(t, 40)
		replay(drawn, 8, func(event int, wait, _ time.Duration, ok, want bool) {
			if ok && !want {
				t.Fatalf("event %d is allowed beyond the limit of its key", event)
			}
			if ok != (wait == 0) {
				t.Fatalf("event %d: wait %v, %v", event, wait, ok)
			}
		})
	})
}

func BenchmarkAllow(b *testing.B) {
	rate := throttle.NewRate(50, 500, 1<<16, time.Now)
	for b.Loop() {
		rate.Allow("sandbox-round-apple-123")
	}
}
