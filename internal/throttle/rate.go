package throttle

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"
)

// Rate limits each key to so many events a second and a burst, by the generic
// cell rate algorithm: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm.
// It is safe for concurrent use.
//
// A key has a place in one set of eight, chosen by a hash whose seed nobody
// outside knows. A key that is new to a full set takes the place of the one that
// owes least, and its debt too. So debts in a set only ever grow or run out with
// time: a key that was pushed out finds at least its own debt when it comes
// back, and to be rid of it there is no way but to wait.
type Rate struct {
	now      func() time.Time
	start    time.Time
	interval time.Duration // between events that go on for ever; 0 = no limit
	capacity time.Duration // interval × burst: the debt that is allowed
	seed     maphash.Seed
	sets     func() []set // made at the first use: many never count anything
}

const setSize = 8

type set struct {
	mu    sync.Mutex
	slots [setSize]slot
}

// slot is the debt of one key. A slot whose debt is paid is free.
type slot struct {
	key  uint64        // hash
	paid time.Duration // when all events so far are paid for, since start
}

// NewRate allows each key perSecond events a second, and up to burst (at least
// 1) at once. perSecond 0 or less means no limit. At most maxEntries keys, but at
// least eight, are told apart, at about 17 bytes each; choose several times the
// number of keys that are busy at one moment.
func NewRate(perSecond float64, burst, maxEntries int, now func() time.Time) *Rate {
	r := &Rate{now: now, start: now(), seed: maphash.MakeSeed()}
	if !(perSecond > 0) { // also NaN
		return r
	}
	const farthest = float64(math.MaxInt64 / 4) // 73 years, and sums of two do not overflow
	interval := min(max(float64(time.Second)/perSecond, 1), farthest)
	r.interval = time.Duration(interval)
	r.capacity = time.Duration(min(float64(r.interval)*float64(max(burst, 1)), farthest))
	r.sets = sync.OnceValue(func() []set { return make([]set, max(maxEntries/setSize, 1)) })
	return r
}

// Allow counts an event of key and reports true, or, if it is one too many,
// counts nothing and reports after what time it would be allowed.
func (r *Rate) Allow(key string) (retryAfter time.Duration, ok bool) {
	wait := r.take(maphash.String(r.seed, key), 1)
	return wait, wait == 0
}

// AllowAddress is Allow for an address, of which all of an IPv6 /64 is one key.
func (r *Rate) AllowAddress(addr netip.Addr) (retryAfter time.Duration, ok bool) {
	wait := r.take(r.addressHash("", network(addr)), 1)
	return wait, wait == 0
}

// take counts an event of the key with this hash so many times, or returns how
// long it would have to wait. One event always fits into a key that owes nothing.
func (r *Rate) take(hash uint64, times int) time.Duration {
	if r.interval == 0 {
		return 0
	}
	home, now := r.set(hash), r.now().Sub(r.start)
	home.mu.Lock()
	defer home.mu.Unlock()
	place := home.slot(hash)
	paid := max(place.paid, now) + r.cost(times)
	if wait := paid - r.capacity - now; wait > 0 {
		return wait
	}
	place.key, place.paid = hash, paid
	return 0
}

// give takes back an event that take counted, while the key has its place.
func (r *Rate) give(hash uint64, times int) {
	if r.interval == 0 {
		return
	}
	home := r.set(hash)
	home.mu.Lock()
	defer home.mu.Unlock()
	if place := home.slot(hash); place.key == hash {
		place.paid -= r.cost(times)
	}
}

// wait returns what take would, and counts nothing.
func (r *Rate) wait(hash uint64, times int) time.Duration {
	if r.interval == 0 {
		return 0
	}
	home, now := r.set(hash), r.now().Sub(r.start)
	home.mu.Lock()
	defer home.mu.Unlock()
	return max(max(home.slot(hash).paid, now)+r.cost(times)-r.capacity-now, 0)
}

// raise makes the key wait at least as long for its next event.
func (r *Rate) raise(hash uint64, wait time.Duration) {
	if r.interval == 0 || wait <= 0 {
		return
	}
	home, now := r.set(hash), r.now().Sub(r.start)
	home.mu.Lock()
	defer home.mu.Unlock()
	place := home.slot(hash)
	place.key, place.paid = hash, max(place.paid, now+min(wait, r.capacity)+r.capacity-r.interval)
}

// cost is the debt of an event that counts so many times.
func (r *Rate) cost(times int) time.Duration {
	return r.interval * min(time.Duration(times), max(r.capacity/r.interval, 1))
}

func (r *Rate) set(hash uint64) *set {
	sets := r.sets()
	return &sets[hash%uint64(len(sets))]
}

// slot returns the slot of the key, or the one that it would take.
func (s *set) slot(hash uint64) *slot {
	least := &s.slots[0]
	for i := range s.slots {
		candidate := &s.slots[i]
		if candidate.key == hash {
			return candidate
		}
		if candidate.paid < least.paid {
			least = candidate
		}
	}
	return least
}
