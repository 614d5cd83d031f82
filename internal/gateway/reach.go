package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// An upstream that cannot be reached is left alone for a while, so that its calls
// are refused at once instead of piling up behind attempts to connect; and one
// that is slow gets no more than so many calls at one time. Both keep one product
// from taking the others down with it.
const (
	failuresInARow = 5 // attempts to connect, then the upstream rests
	shortestRest   = time.Second
	longestRest    = 5 * time.Second

	// DefaultMaxCalls is how many calls one upstream may have at one time.
	DefaultMaxCalls = 2048
)

// errNotAsked is why a call was refused without the upstream; the log has it
// once, and not for each call.
var errNotAsked = errors.New("the upstream was not asked")

// reach connects to the upstreams of a product. Only failures to connect count:
// those, no caller can bring about. It is safe for concurrent use.
type reach struct {
	net.Dialer
	now     func() time.Time
	log     *slog.Logger
	product string

	mu      sync.Mutex
	failing map[string]*failing // by address
}

// failing is an address to which no connection came about lately.
type failing struct {
	failures int
	until    time.Time // nobody tries before; then one does
}

func (r *reach) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := r.mayTry(address); err != nil {
		return nil, err
	}
	conn, err := r.DialContext(ctx, network, address)
	switch {
	case err == nil:
		r.reached(ctx, address)
	case ctx.Err() == nil:
		r.failed(ctx, address, err)
	}
	return conn, err
}

// dialSettled is dial for [http.Transport].
func (r *reach) dialSettled(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newSettled(conn), nil
}

func (r *reach) mayTry(address string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.failing[address]
	if f == nil || f.failures < failuresInARow {
		return nil
	}
	if left := f.until.Sub(r.now()); left > 0 {
		refusal := fault.New(fault.UpstreamUnreachable, "the API product cannot be reached just now; try again shortly: %w", errNotAsked)
		refusal.RetryAfter = left
		return refusal
	}
	f.until = r.now().Add(f.rest()) // whoever asks meanwhile waits for this one's luck
	return nil
}

func (f *failing) rest() time.Duration {
	return min(shortestRest<<min(f.failures-failuresInARow, 8), longestRest)
}

func (r *reach) failed(ctx context.Context, address string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.failing[address]
	if f == nil {
		f = &failing{}
		r.failing[address] = f
	}
	if f.failures++; f.failures < failuresInARow {
		return
	}
	f.until = r.now().Add(f.rest())
	if f.failures == failuresInARow {
		r.log.LogAttrs(ctx, slog.LevelError, "an upstream cannot be reached: its calls are refused until it can", slog.String("product", r.product), slog.Any("error", cause))
	}
}

func (r *reach) reached(ctx context.Context, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.failing[address]; f != nil && f.failures >= failuresInARow {
		r.log.LogAttrs(ctx, slog.LevelInfo, "an upstream can be reached again", slog.String("product", r.product))
	}
	delete(r.failing, address)
}

// resting are the addresses that are left alone, sorted.
func (r *reach) resting() (addresses []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for address, f := range r.failing {
		if f.failures >= failuresInARow {
			addresses = append(addresses, address)
		}
	}
	slices.Sort(addresses)
	return addresses
}

// Resting is an upstream that is left alone for a while, because it could not be
// reached.
type Resting struct{ Product, Address string }

// Resting returns the upstreams that are left alone now, by product: those of
// which this process knows by their calls that it cannot reach them.
func (g *Gateway) Resting() (all []Resting) {
	g.binding.Lock()
	defer g.binding.Unlock()
	for _, product := range slices.Sorted(maps.Keys(g.upstreams)) {
		for _, address := range g.upstreams[product].reach.resting() {
			all = append(all, Resting{product, address})
		}
	}
	return all
}

// load is how many calls an upstream has now.
type load struct{ calls atomic.Int64 }

// enter takes a place for one more call, unless there are most already.
func (l *load) enter(most int) bool {
	if l.calls.Add(1) <= int64(most) {
		return true
	}
	l.calls.Add(-1)
	return false
}

func (l *load) leave() { l.calls.Add(-1) }

// busy is the answer to a call that found no place.
func busy() error {
	refusal := fault.New(fault.TemporarilyUnavailable, "the API product has as many calls as it may have at one time; try again shortly: %w", errNotAsked)
	refusal.RetryAfter = time.Second
	return refusal
}
