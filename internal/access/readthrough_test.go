package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// gated is a readThrough over a database of one row, whose loads stop before
// and after they read until they are let go.
type gated struct {
	*readThrough[string, int]
	row   *int // what is committed; nil: there is no row
	err   error
	read  chan struct{}
	land  chan struct{}
	loads int
}

func newGated() *gated {
	g := &gated{read: make(chan struct{}), land: make(chan struct{})}
	g.readThrough = newReadThrough(shards, shards, func(context.Context, string) (*int, error) {
		g.loads++
		<-g.read
		row, err := g.row, g.err
		<-g.land
		if err != nil {
			return nil, err
		}
		return row, nil
	})
	return g
}

// answer is what a get returned.
type answer struct {
	value *int
	err   error
}

func (g *gated) ask(ctx context.Context) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		value, err := g.get(ctx, "key")
		answers <- answer{value, err}
	}()
	return answers
}

func (g *gated) open() {
	close(g.read)
	close(g.land)
}

// interleavings returns every order of a steps of one and b of the other.
func interleavings(a, b int) []string {
	if a == 0 && b == 0 {
		return []string{""}
	}
	var all []string
	if a > 0 {
		for _, rest := range interleavings(a-1, b) {
			all = append(all, "r"+rest)
		}
	}
	if b > 0 {
		for _, rest := range interleavings(a, b-1) {
			all = append(all, "w"+rest)
		}
	}
	return all
}

// race plays one reader, which loads (registers, reads, lands) and asks again,
// against one writer, which commits a version and then applies it, over and
// over. After each step all goroutines have gone as far as they can.
type race struct {
	*gated
	t        *testing.T
	versions []*int // each that was or will be committed
	applied  int    // the newest that this node heard of
	asked    int    // the one applied when the reader asked
	current  int    // the newest committed
	forget   func()
	answers  <-chan answer
	reading  bool
}

func (r *race) writes() {
	if r.current == r.applied {
		r.current++
		r.row = r.versions[r.current]
		return
	}
	r.forget()
	r.applied = r.current
}

func (r *race) reads() {
	switch {
	case r.answers == nil:
		r.asked, r.answers = r.applied, r.ask(r.t.Context())
	case !r.reading:
		r.reading = true
		r.read <- struct{}{}
	default:
		r.reading = false
		r.land <- struct{}{}
	}
}

// check holds what is kept, and what the reader got, against what it may be:
// a version no older than the one that was applied.
func (r *race) check(steps string) {
	r.t.Helper()
	synctest.Wait()
	if value, ok := r.known.get("key"); ok && !slices.Contains(r.versions[r.applied:r.current+1], value) {
		r.t.Fatalf("%s: the stale entry %d is kept", steps, *value)
	}
	if _, ok := r.unknown.get("key"); ok && !slices.Contains(r.versions[r.applied:r.current+1], nil) {
		r.t.Fatalf("%s: a row that is there is kept as unknown", steps)
	}
	select {
	case got := <-r.answers:
		r.answers = nil
		if got.err != nil || !slices.Contains(r.versions[r.asked:r.current+1], got.value) {
			r.t.Fatalf("%s: got %v, %v", steps, got.value, got.err)
		}
	default:
	}
}

func TestEveryInterleavingOfLoadCommitAndApply(t *testing.T) {
	row := func(n int) *int { return &n }
	for name, versions := range map[string][]*int{
		"known to known":            {row(0), row(1), row(2), row(3)},
		"known to unknown and back": {row(0), nil, row(2), nil},
		"unknown to known and back": {nil, row(1), nil, row(3)},
	} {
		for _, by := range []string{"forget", "reset"} {
			for _, steps := range slices.Concat(interleavings(3, 2), interleavings(7, 4), interleavings(4, 6)) {
				synctest.Test(t, func(t *testing.T) {
					r := &race{gated: newGated(), t: t, versions: versions}
					r.row, r.forget = versions[0], r.reset
					if by == "forget" {
						r.forget = func() { r.readThrough.forget("key") }
					}
					for i, step := range steps {
						if step == 'w' {
							r.writes()
						} else {
							r.reads()
						}
						r.check(fmt.Sprintf("%s by %s, %s after step %d", name, by, steps, i+1))
					}
					if r.applied != r.current {
						r.writes()
					}
					r.open()
					r.check(name + " at the end of " + steps)
					if got, err := r.get(t.Context(), "key"); err != nil || got != versions[r.current] {
						t.Errorf("%s by %s, %s: at the end %v, %v", name, by, steps, got, err)
					}
				})
			}
		}
	}
}

func TestResetDuringALoadMakesItReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, before, after := newGated(), 1, 2
		g.row = &before
		answers := g.ask(t.Context())
		g.read <- struct{}{}
		synctest.Wait()
		g.row = &after
		g.reset()
		g.open()
		if got := <-answers; got.err != nil || got.value != &after {
			t.Errorf("got %v, %v, want what was read after the reset", got.value, got.err)
		}
		if g.loads != 2 {
			t.Errorf("%d loads, want 2", g.loads)
		}
	})
}

func TestManyCallersShareOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, row := newGated(), 1
		g.row = &row
		var all []<-chan answer
		for range 100 {
			all = append(all, g.ask(t.Context()))
		}
		synctest.Wait()
		g.open()
		for _, answers := range all {
			if got := <-answers; got.err != nil || got.value != &row {
				t.Fatalf("got %v, %v", got.value, got.err)
			}
		}
		if g.loads != 1 || g.misses.Load() != 100 {
			t.Errorf("%d loads for %d misses, want 1 for 100", g.loads, g.misses.Load())
		}
		if got := <-g.ask(t.Context()); got.value != &row || g.loads != 1 || g.hits.Load() != 1 {
			t.Errorf("afterwards: %v, %d loads, %d hits", got.value, g.loads, g.hits.Load())
		}
	})
}

func TestCallerWhoseContextEndsLeavesTheOthersTheirLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, row := newGated(), 1
		g.row = &row
		ctx, cancel := context.WithCancel(t.Context())
		first := g.ask(ctx) // starts the load
		synctest.Wait()
		second := g.ask(t.Context())
		synctest.Wait()
		cancel()
		if got := <-first; !errors.Is(got.err, context.Canceled) {
			t.Errorf("who left got %v, %v", got.value, got.err)
		}
		g.open()
		if got := <-second; got.err != nil || got.value != &row || g.loads != 1 {
			t.Errorf("who stayed got %v, %v, after %d loads", got.value, got.err, g.loads)
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, row := newGated(), 1
		g.row, g.err = &row, errors.New("the database is away")
		answers := g.ask(t.Context())
		g.read <- struct{}{}
		synctest.Wait()
		g.readThrough.forget("key") // a failed load that a change overtook ends all the same
		g.open()
		if got := <-answers; !errors.Is(got.err, g.err) || got.value != nil {
			t.Errorf("got %v, %v", got.value, got.err)
		}
		g.err = nil
		if got := <-g.ask(t.Context()); got.err != nil || got.value != &row || g.loads != 2 {
			t.Errorf("afterwards %v, %v, after %d loads, want 2", got.value, got.err, g.loads)
		}
	})
}

func TestMadeUpKeysPushOutNothingReal(t *testing.T) {
	row := 1
	r := newReadThrough(shards, shards, func(_ context.Context, key string) (*int, error) {
		if key == "real" {
			return &row, nil
		}
		return nil, nil //nolint:nilnil // unknown is an answer
	})
	for i := range 1000 {
		key := fmt.Sprint("made up ", i)
		if i == 0 {
			key = "real"
		}
		if _, err := r.get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	misses := r.misses.Load()
	if got, err := r.get(t.Context(), "real"); err != nil || got != &row || r.misses.Load() != misses {
		t.Errorf("got %v, %v; %d more misses", got, err, r.misses.Load()-misses)
	}
	if r.unknown.len() > shards {
		t.Errorf("%d unknown keys are kept, want %d at most", r.unknown.len(), shards)
	}
}
