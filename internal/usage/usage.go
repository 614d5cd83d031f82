// Package usage remembers when API clients, their secrets and their permissions
// were last used and from where, and writes down the attempts of clients that
// somebody watches.
//
// It hides the memory in between and the batches in which it is written. What
// must stay true: on the path of a token or call nothing here waits, runs a
// statement or, once it is warm, allocates; memory is bounded; none of it is a
// change, so it is neither in the audit log nor (but for the news that a watch
// began) in the change feed; and a database that fails costs last uses and
// attempts, nothing else.
package usage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/throttle"
)

// Config is what a Usage works with. All fields are needed.
type Config struct {
	DB  *sqldb.DB
	Now func() time.Time
	Log *slog.Logger
}

// Usage takes note of attempts and tells of them. It is safe for concurrent use.
type Usage struct {
	Config
	uses lastUses
	lost atomic.Uint64

	watching sync.Mutex // one reading of watches at a time
	watches  atomic.Pointer[map[id.Client]time.Time]

	perClient, perAddress *throttle.Rate
	attempts              chan Attempt

	writing sync.Mutex // one writer at a time

	mu      sync.Mutex
	written chan struct{} // closed when attempts were written by this node
}

// New returns a Usage that writes once Run is called. It watches nobody until
// ReloadWatches was called.
func New(config Config) *Usage {
	u := &Usage{
		Config:     config,
		perClient:  throttle.NewRate(attemptsPerClient, attemptsAtOnce, watchedClients, config.Now),
		perAddress: throttle.NewRate(attemptsPerAddress, attemptsAtOnce, watchedAddresses, config.Now),
		attempts:   make(chan Attempt, waitingAttempts),
		written:    make(chan struct{}),
	}
	u.uses.seed = maphash.MakeSeed()
	u.watches.Store(&map[id.Client]time.Time{})
	return u
}

// Kind tells token requests and calls apart.
type Kind string

// The kinds of attempts. Introspection stands for all else that a client does
// with its secret: that counts as a use, and nobody watches it.
const (
	TokenRequest  Kind = "token"
	Introspection Kind = "introspection"
	Call          Kind = "call"
)

// Attempt is a token request or a call, by a client or in its name.
type Attempt struct {
	Number  int64 // rises with each attempt of the client; given when it is written
	Kind    Kind
	At      time.Time
	Took    time.Duration
	Client  id.Client // as presented: there may be no such client
	Address netip.Addr
	Allowed bool   // by us, whatever the upstream answered
	Status  int    // HTTP, of the answer; 0: there was none
	Code    string // why it was refused or failed; empty: it was not

	Organisation id.Organisation // of the client; asked for when allowed
	Secret       id.Secret       // that was presented; of a token request
	Permissions  []string        // that let a call pass; not kept

	// Of a call.
	Method, Path, Product, Route string
	Lacking                      string // permission
	TraceID                      string
}

// Record takes note of an attempt. It never waits. What there is no room for is
// lost, and counted.
func (u *Usage) Record(a Attempt) {
	if a.Allowed {
		u.recordUse(&a)
	}
	watches := *u.watches.Load()
	if len(watches) > 0 && a.Kind != Introspection && a.At.Before(watches[a.Client]) {
		u.recordAttempt(&a)
	}
}

// Lost counts uses and attempts that there was no room for.
func (u *Usage) Lost() uint64 { return u.lost.Load() }

// How often is written.
const (
	flushInterval = 2 * time.Second
	trimInterval  = time.Minute
	lastWrite     = 5 * time.Second // for what is left at the end
)

// Run writes what was recorded until the context ends, and then the rest.
func (u *Usage) Run(ctx context.Context) {
	flush, trim := time.NewTicker(flushInterval), time.NewTicker(trimInterval)
	defer flush.Stop()
	defer trim.Stop()
	failing := false
	say := func(err error) {
		if (err != nil) != failing && ctx.Err() == nil { // say it once
			failing = err != nil
			u.Log.Warn("last uses and attempts", "written", !failing, "error", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			if err := u.Flush(rest); err != nil {
				u.Log.Warn("last uses were lost", "error", err)
			}
			return
		case first := <-u.attempts:
			say(u.writeAttempts(ctx, first))
		case <-flush.C:
			say(u.flushUses(ctx, false))
		case <-trim.C:
			say(u.trim(ctx))
		}
	}
}

// Flush writes the uses that were recorded before the call, and the attempts
// that wait.
func (u *Usage) Flush(ctx context.Context) error {
	select {
	case first := <-u.attempts:
		if err := u.writeAttempts(ctx, first); err != nil {
			return err
		}
	default:
	}
	return u.flushUses(ctx, true)
}

// mayRead refuses, unless the client is one of the actor's organisation, of
// which the actor may read calls.
func mayRead(ctx context.Context, tx *sqldb.Tx, by actor.Actor, key id.Client) error {
	var account id.Account
	_, wellFormed := id.ParseClient(string(key))
	err := sql.ErrNoRows
	if wellFormed && (by.Organisation() != "" || by.Operator()) {
		err = tx.QueryRow(ctx, `SELECT account_id FROM client WHERE id = $1 AND organisation_id = $2 AND state <> 'deleted'`, key, by.Organisation()).Scan(&account)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fault.Errorf(fault.NotFound, "there is no such client: check its id")
	}
	if err != nil {
		return fmt.Errorf("load the client: %w", err)
	}
	return by.Require(actor.CallRead, account)
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

func addressOf(text string) netip.Addr {
	address, _ := netip.ParseAddr(text) // the zero Addr when there was none
	return address
}
