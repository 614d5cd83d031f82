package access

import (
	"context"
	"sync"
	"sync/atomic"
)

// readThrough keeps what it loads, bounded. A load registers its key before it
// reads; a change that is applied meanwhile makes it load again, so that a
// read from before the change never outlives it.
type readThrough[K comparable, V any] struct {
	load    func(ctx context.Context, key K) (*V, error) // nil: there is none
	known   *memory[K, *V]
	unknown *memory[K, struct{}] // bounded apart, so that made-up keys push out nothing real

	mu      sync.Mutex
	flights map[K]*flight[V]

	hits, misses atomic.Uint64
}

// flight is one load that any number of callers wait for.
type flight[V any] struct {
	done    chan struct{}
	changed bool // guarded by readThrough.mu
	value   *V
	err     error
}

func newReadThrough[K comparable, V any](entries, unknown int, load func(ctx context.Context, key K) (*V, error)) *readThrough[K, V] {
	return &readThrough[K, V]{
		load: load, known: newMemory[K, *V](entries), unknown: newMemory[K, struct{}](unknown), flights: map[K]*flight[V]{},
	}
}

// get returns the entry of a key, nil if there is none. A caller whose context
// ends leaves; the load goes on for the others.
func (r *readThrough[K, V]) get(ctx context.Context, key K) (*V, error) {
	if value, ok := r.known.get(key); ok {
		r.hits.Add(1)
		return value, nil
	}
	if _, ok := r.unknown.get(key); ok {
		r.hits.Add(1)
		return nil, nil //nolint:nilnil // unknown is an answer
	}
	r.misses.Add(1)
	f := r.join(ctx, key)
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the flight of a key, and starts it if there is none.
func (r *readThrough[K, V]) join(ctx context.Context, key K) *flight[V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[key]; f != nil {
		return f
	}
	f := &flight[V]{done: make(chan struct{})}
	r.flights[key] = f
	go r.fly(context.WithoutCancel(ctx), key, f) // ends with its load, which the database bounds
	return f
}

func (r *readThrough[K, V]) fly(ctx context.Context, key K, f *flight[V]) {
	for {
		value, err := r.load(ctx, key)
		if r.land(key, f, value, err) {
			close(f.done)
			return
		}
	}
}

// land keeps what was read, unless it changed while it was read.
func (r *readThrough[K, V]) land(key K, f *flight[V], value *V, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.changed && err == nil {
		f.changed = false
		return false
	}
	delete(r.flights, key)
	f.value, f.err = value, err
	switch {
	case err != nil:
	case value == nil:
		r.unknown.put(key, struct{}{})
	default:
		r.known.put(key, value)
	}
	return true
}

// forget drops a key, and sends a load of it that is under way back to read
// again.
func (r *readThrough[K, V]) forget(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[key]; f != nil {
		f.changed = true
	}
	r.known.drop(key)
	r.unknown.drop(key)
}

// reset forgets everything.
func (r *readThrough[K, V]) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.flights {
		f.changed = true
	}
	r.known.clear()
	r.unknown.clear()
}
