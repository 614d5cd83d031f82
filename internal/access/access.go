// Package access decides about calls, from memory: it knows clients, accounts,
// organisations and the compiled routes of all products, keeps them fresh by
// the change feed, and answers [Access.Decide] without I/O once it is warm.
//
// What must stay true: decisions are never kept, only verified tokens and what
// the database says, so that a revocation is in force with the next call; no
// entry outlives a change of it, whatever the order of read, commit and apply;
// and when the database has not been heard of for the stale limit, or was
// restored from a backup and not confirmed, every answer is no.
package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// Default bounds of what is kept in memory.
const (
	DefaultMaxClients = 50_000
	DefaultMaxTokens  = 2048 // about 1.2 KiB each
	maxUnknown        = 4096
)

// Config is what decisions are made with. Zero bounds mean the defaults.
type Config struct {
	Registry *registry.Registry
	DB       *sqldb.DB
	Now      func() time.Time
	Log      *slog.Logger

	// Keys finds a verification key by its id; ReloadKeys is called when the
	// change feed says that keys changed.
	Keys       func(kid string) (*jwt.PublicKey, bool)
	ReloadKeys func(ctx context.Context) error

	// ReloadWatches is called when the change feed says that other clients are
	// watched; nil: nobody asks.
	ReloadWatches func(ctx context.Context) error

	Issuer                string // of access tokens
	Audience              string // of access tokens: the API domain's URL
	Scope                 string // the default scope
	AccountParameter      string // query parameter that names the account of a call
	OrganisationParameter string // the same for organisations
	OrganisationHeader    string

	StaleLimit time.Duration // how old knowledge may be
	MaxClients int
	MaxTokens  int
}

// Access decides. It is safe for concurrent use.
type Access struct {
	Config
	tail          *journal.Tail
	clients       *readThrough[id.Client, registry.ClientEntry]
	accounts      *readThrough[id.Account, registry.AccountEntry]
	organisations *readThrough[id.Organisation, registry.OrganisationEntry]
	routes        *readThrough[struct{}, Routes]
	held          atomic.Bool // until what a restore revives is confirmed
	tokens        *memory[[sha256.Size]byte, verified]
}

// New returns an Access that follows the change feed once Run is called.
func New(ctx context.Context, config Config) (*Access, error) {
	if config.MaxClients == 0 {
		config.MaxClients = DefaultMaxClients
	}
	if config.MaxTokens == 0 {
		config.MaxTokens = DefaultMaxTokens
	}
	r := config.Registry
	a := &Access{
		Config:        config,
		clients:       newReadThrough(config.MaxClients, maxUnknown, r.ClientEntry),
		accounts:      newReadThrough(config.MaxClients, maxUnknown, r.AccountEntry),
		organisations: newReadThrough(config.MaxClients, maxUnknown, r.OrganisationEntry),
		tokens:        newMemory[[sha256.Size]byte, verified](config.MaxTokens),
	}
	a.routes = newReadThrough(1, 1, func(ctx context.Context, _ struct{}) (*Routes, error) { return a.loadRoutes(ctx) })
	var err error
	if a.tail, err = journal.NewTail(ctx, config.DB, config.Now, a.apply, a.reset); err != nil {
		return nil, err
	}
	return a, a.reloadHold(ctx)
}

// Run follows the change feed until the context ends, or until a migration has
// left this binary behind: from then on every answer is no.
func (a *Access) Run(ctx context.Context) error { return a.tail.Run(ctx, a.Log) }

// KeepLease lets the other nodes see how far this one follows the change feed,
// until the context ends.
func (a *Access) KeepLease(ctx context.Context, lease journal.Lease) {
	lease.StaleLimit = a.StaleLimit
	a.tail.KeepLease(ctx, lease, a.Log)
}

// Refresh reads the change feed now. When it returns nil, everything committed
// before the call is in force on this node.
func (a *Access) Refresh(ctx context.Context) error { return a.tail.Poll(ctx) }

// Age is how old this node's knowledge may be.
func (a *Access) Age() time.Duration { return a.tail.Age() }

// Nodes is how many nodes may answer somebody now.
func (a *Access) Nodes() int { return a.tail.Nodes() }

func (a *Access) apply(ctx context.Context, c journal.Change) error {
	switch c.Kind {
	case journal.ClientChanged:
		a.clients.forget(id.Client(c.Key))
	case journal.AccountChanged:
		a.accounts.forget(id.Account(c.Key))
	case journal.OrganisationChanged:
		a.organisations.forget(id.Organisation(c.Key))
	case journal.ProductsChanged:
		a.routes.forget(struct{}{})
	case journal.KeysChanged:
		return a.ReloadKeys(ctx)
	case journal.WatchesChanged:
		return a.reloadWatches(ctx)
	case journal.InstallationChanged:
		return a.reloadHold(ctx)
	}
	return nil
}

func (a *Access) reloadWatches(ctx context.Context) error {
	if a.ReloadWatches == nil {
		return nil
	}
	return a.ReloadWatches(ctx)
}

func (a *Access) reset(ctx context.Context) error {
	a.clients.reset()
	a.accounts.reset()
	a.organisations.reset()
	a.routes.reset()
	a.tokens.clear()
	if err := errors.Join(a.reloadHold(ctx), a.reloadWatches(ctx)); err != nil {
		return err
	}
	return a.ReloadKeys(ctx)
}

func (a *Access) loadRoutes(ctx context.Context) (*Routes, error) {
	products, err := a.Registry.LiveProducts(ctx)
	if err != nil {
		return nil, err
	}
	definitions := make([]registry.Definition, len(products))
	for i := range products {
		definitions[i] = products[i].Definition
	}
	return Compile(definitions)
}

// Held says whether the installation was restored from a backup and its operator
// has not confirmed yet what comes alive again: every answer is no until then.
func (a *Access) Held() bool { return a.held.Load() }

func (a *Access) reloadHold(ctx context.Context) error {
	var since int64
	err := a.DB.View(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT held_at FROM installation WHERE id = 1`).Scan(&since)
	})
	if err == nil {
		a.held.Store(since != 0)
	}
	return err
}

// fresh fails closed when this node has not heard of the database for too long,
// and while the installation is held.
func (a *Access) fresh() error {
	if a.held.Load() {
		err := fault.New(fault.TemporarilyUnavailable, "this platform was restored from a backup and waits for its operator to confirm that; try again later")
		err.RetryAfter = time.Minute
		return err
	}
	if a.tail.Age() <= a.StaleLimit {
		return nil
	}
	err := fault.New(fault.TemporarilyUnavailable, "the database has not answered for too long; try again shortly")
	err.RetryAfter = 5 * time.Second
	return err
}

// unavailable is the answer when an entry could not be read: a refusal, since
// nothing is known. The cause is for the log.
func unavailable(err error) error {
	refusal := fault.New(fault.TemporarilyUnavailable, "the database does not answer; try again shortly: %w", err)
	refusal.RetryAfter = 5 * time.Second
	return refusal
}

// Statistics are counts since the start, for metrics.
type Statistics struct {
	Clients      int // entries held
	Tokens       int // verified tokens held
	Hits, Misses uint64
}

// Statistics returns how the directory of clients does.
func (a *Access) Statistics() Statistics {
	return Statistics{Clients: a.clients.known.len(), Tokens: a.tokens.len(), Hits: a.clients.hits.Load(), Misses: a.clients.misses.Load()}
}
