// Package webhook delivers the records of the audit log to the webhooks that
// want them: CloudEvents 1.0 as JSON over HTTPS, signed as Standard Webhooks
// says. The outbox was filled in the transaction of each record, so that what
// happened is delivered also when the process ends in between.
//
// It hides attempts, back-off and the lease by which of several nodes one at a
// time delivers to a webhook. What must stay true: each webhook gets its events
// in the order of the audit log, each at least once and none skipped; a webhook
// that fails for DisableAfter without a break is disabled, and that is in the
// audit log; an event holds no secret, because the audit log holds none; and no
// internal network is reached (package egress).
//
// CloudEvents 1.0: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
// Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package webhook

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/egress"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/metrics"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// The times of delivery.
const (
	FirstPause   = 5 * time.Second // after a failure; doubled at each further one
	LongestPause = time.Hour
	DisableAfter = 72 * time.Hour // of failure without a break

	lease        = time.Minute // longer than an attempt, by more than clocks differ
	pollInterval = 2 * time.Second
	breath       = 50 * time.Millisecond // between looks, however much changes
	maxFlights   = 32                    // webhooks served at one time by a node
	perFlight    = 100                   // events until others get their turn
	upkeepEvery  = time.Minute
)

// MaxPending is how many events may wait for one webhook. One that falls
// further behind is disabled.
const MaxPending = 100_000

// Config is what a Dispatcher works with. All fields are needed.
type Config struct {
	DB       *sqldb.DB
	Registry *registry.Registry // disables what fails for too long
	Sealer   *secret.Sealer     // opens signing secrets
	Client   *egress.Client     // follows no redirect
	Source   string             // CloudEvents source: URL of this installation
	Now      func() time.Time
	Rand     io.Reader // jitter, and the node's name
	Log      *slog.Logger
	Metrics  *metrics.Registry
}

// Dispatcher delivers what is due, from one node.
type Dispatcher struct {
	config Config
	node   string // holder of leases
	tally  tally

	mu      sync.Mutex
	flying  map[id.Webhook]bool
	flights sync.WaitGroup
	landed  chan struct{} // holds a value after a flight ended
}

// New returns a Dispatcher. It delivers when Run or Pass is called.
func New(config Config) (*Dispatcher, error) {
	name := make([]byte, 8)
	if _, err := io.ReadFull(config.Rand, name); err != nil {
		return nil, fmt.Errorf("name the node that delivers webhooks: %w", err)
	}
	return &Dispatcher{config: config, node: hex.EncodeToString(name), tally: newTally(config.Metrics), flying: map[id.Webhook]bool{}, landed: make(chan struct{}, 1)}, nil
}

// Run delivers until the context ends, then waits for attempts under way,
// which end with it. Every node runs it.
func (d *Dispatcher) Run(ctx context.Context) {
	defer d.flights.Wait()
	changed, stop := d.config.DB.Watch()
	defer stop()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	failing := false
	var kept time.Time
	for {
		err := d.start(ctx)
		if err == nil && d.config.Now().Sub(kept) >= upkeepEvery {
			kept = d.config.Now()
			err = d.upkeep(ctx)
		}
		if ctx.Err() == nil && (err != nil) != failing { // say it once
			failing = err != nil
			d.config.Log.Log(ctx, map[bool]slog.Level{true: slog.LevelError, false: slog.LevelInfo}[failing], "webhooks", "delivering", !failing, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(breath):
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-d.landed:
		case <-ticker.C:
		}
	}
}

// Pass delivers once what is due now, and returns when it is done: up to a
// flight of each webhook.
func (d *Dispatcher) Pass(ctx context.Context) error {
	err := d.start(ctx)
	d.flights.Wait()
	if err != nil {
		return err
	}
	return d.upkeep(ctx)
}

// start begins a flight for each webhook that is due, as many as there is
// room for, those first that wait longest.
func (d *Dispatcher) start(ctx context.Context) error {
	due, err := d.due(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range due {
		if len(d.flying) >= maxFlights {
			return nil
		}
		if d.flying[key.id] {
			continue
		}
		d.flying[key.id] = true
		d.flights.Go(func() {
			d.fly(ctx, key)
			d.mu.Lock()
			delete(d.flying, key.id)
			d.mu.Unlock()
			select {
			case d.landed <- struct{}{}:
			default:
			}
		})
	}
	return nil
}

// fly delivers events of one webhook, in order, until there is none left, one
// fails, or others have waited long enough.
func (d *Dispatcher) fly(ctx context.Context, key key) {
	for n := 0; n < perFlight && ctx.Err() == nil; n++ {
		more, err := d.deliverNext(ctx, key)
		if err != nil && ctx.Err() == nil {
			d.config.Log.ErrorContext(ctx, "deliver to a webhook", "webhook", key.id, "error", err)
		}
		if err != nil || !more {
			break
		}
	}
	// The next node waits for the lease to end when this fails.
	if err := d.release(context.WithoutCancel(ctx), key); err != nil {
		d.config.Log.WarnContext(ctx, "give back the lease of a webhook", "webhook", key.id, "error", err)
	}
}

// deliverNext claims the webhook, tries its first event and records how it
// went. more is true after a success.
func (d *Dispatcher) deliverNext(ctx context.Context, key key) (more bool, err error) {
	target, claimed, err := d.claim(ctx, key)
	if err != nil || !claimed {
		return false, err
	}
	event, found, err := d.next(ctx, key)
	if err != nil || !found {
		return false, err
	}
	failure, gone := d.attempt(ctx, &target, &event)
	if ctx.Err() != nil {
		return false, nil // the process ends: that is nobody's failure
	}
	if failure == "" {
		return true, d.succeeded(ctx, key, event.seq)
	}
	return false, d.failed(ctx, &target, failure, gone)
}

// failed notes the failure and when to try again, or disables the webhook.
func (d *Dispatcher) failed(ctx context.Context, t *target, failure failure, gone bool) error {
	now := d.config.Now()
	since := t.failingSince
	if since.IsZero() {
		since = now
	}
	reason := ""
	switch {
	case gone:
		reason = "the receiver answered 410 Gone"
	case now.Sub(since) >= DisableAfter:
		reason = fmt.Sprintf("no delivery succeeded for %d hours; the last attempt failed: %s", int(DisableAfter.Hours()), failure)
	}
	if err := d.noteFailure(ctx, t, failure, since, now.Add(d.pause(t.attempts))); err != nil || reason == "" {
		return err
	}
	return d.disable(ctx, t.key, t.version, reason)
}

func (d *Dispatcher) disable(ctx context.Context, key key, version int64, reason string) error {
	d.tally.disabled.Inc()
	d.config.Log.WarnContext(ctx, "a webhook is disabled", "webhook", key.id, "reason", reason)
	by := actor.NewSystem("webhook delivery").In(key.organisation)
	return d.config.Registry.Apply(ctx, by, registry.SetWebhookState{Webhook: key.id, State: registry.WebhookDisabled, Reason: reason, Base: version})
}

// pause is FirstPause, doubled for each failure before, LongestPause at most,
// less up to a fifth of it, so that webhooks of one receiver do not come at once.
func (d *Dispatcher) pause(failures int64) time.Duration {
	pause := LongestPause
	if failures < 20 {
		pause = min(FirstPause<<failures, LongestPause)
	}
	var draw [1]byte
	if _, err := io.ReadFull(d.config.Rand, draw[:]); err != nil {
		return pause
	}
	return pause - pause/5*time.Duration(draw[0])/256
}

// upkeep disables webhooks that are too far behind, and counts what waits.
func (d *Dispatcher) upkeep(ctx context.Context) error {
	waiting, err := d.waiting(ctx)
	if err != nil {
		return err
	}
	var all int64
	for _, w := range waiting {
		all += w.pending
		if w.pending > MaxPending {
			if err := d.disable(ctx, w.key, w.version, fmt.Sprintf("more than %d events were waiting", MaxPending)); err != nil {
				return err
			}
		}
	}
	d.tally.pending.Set(float64(all))
	return nil
}
