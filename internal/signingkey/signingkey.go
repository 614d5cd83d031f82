// Package signingkey keeps the keys that sign access tokens and the gateway's
// assertions: it makes them, seals them, publishes them as a JWK Set (RFC 7517),
// rotates them on a schedule or on command, and withdraws them.
//
// Each purpose has a current key, which signs, and a next one, which is already
// published; keys that were current stay published until the last token that
// they signed is dead. It hides where keys lie and how nodes agree on them.
//
// What must stay true: at most one key of a purpose is current and one is next,
// however many nodes decide at once; no key but an installation's first signs
// before it was published; a published key is one whose sealed private key this
// node opened, so that writing to the database alone adds none; and a key that
// does not open stops the start instead of being replaced.
package signingkey

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// MaxAge is how long a verifier may keep the JWK Set. A scheduled rotation
// promotes no key that has been published for less.
const MaxAge = 5 * time.Minute

// How long what a key signs may live. A retired key is dead that long,
// Config.StaleLimit and jwt.Skew after its retirement.
const (
	MaxTokenLifetime     = time.Hour
	MaxAssertionLifetime = time.Minute
)

const defaultRotateEvery = 90 * 24 * time.Hour

// Config is what a Ring works with. DB, Sealer, Now and Rand are needed.
type Config struct {
	DB     *sqldb.DB // migrated, and unlocked with the same Sealer
	Sealer *secret.Sealer
	Now    func() time.Time
	Rand   io.Reader // key ids, nonces and salts; keys themselves use the system's
	// Algorithm of the keys of access tokens; empty means ES256. After a switch
	// the next keys are replaced; the current ones sign until they are rotated.
	Algorithm jwt.Algorithm
	// RotateEvery is how long a key signs; 0 means 90 days.
	RotateEvery time.Duration
	// StaleLimit is how long a node may go on signing with a key without hearing
	// that another node has retired it; 0: there is no other node.
	StaleLimit time.Duration
	Log        *slog.Logger // nil discards
}

// Ring is the signing keys of an installation, as one node knows them. It is
// safe for concurrent use; what signs and verifies takes no lock.
type Ring struct {
	config Config
	log    journal.Log

	mu       sync.Mutex // held from reading the database to storing snapshot
	snapshot atomic.Pointer[snapshot]
}

// Open loads the keys and makes those that are missing: on the first start all,
// later the next ones of a new Algorithm. A key that does not open, as with
// another key-encryption key, is an error that names it.
func Open(ctx context.Context, config Config) (*Ring, error) {
	if config.Algorithm == "" {
		config.Algorithm = jwt.ES256
	}
	if config.RotateEvery == 0 {
		config.RotateEvery = defaultRotateEvery
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if a := config.Algorithm; a != jwt.ES256 && a != jwt.RS256 && a != jwt.EdDSA {
		return nil, fmt.Errorf("there is no signing algorithm %q: use ES256, RS256 or EdDSA", a)
	}
	if config.RotateEvery < 0 {
		return nil, fmt.Errorf("signing keys cannot be rotated every %v: give a time above 0", config.RotateEvery)
	}
	r := &Ring{config: config, log: journal.Log{Now: config.Now, Rand: config.Rand}}
	r.snapshot.Store(&snapshot{})
	if err := r.check(ctx); err != nil {
		return nil, fmt.Errorf("open the signing keys: %w", err)
	}
	return r, nil
}

// Look returns the keys of an installation after it has opened those that are
// published, and makes none; no keys of one that no server has used yet. Like
// Open and Unlock, it refuses another key-encryption key.
func Look(ctx context.Context, db *sqldb.DB, kek *secret.KeyEncryptionKey, now func() time.Time) ([]Info, error) {
	sealer := secret.NewEmptySealer()
	if err := ReloadSealer(ctx, db, kek, sealer); err != nil {
		return nil, err
	}
	var l lock
	r := &Ring{config: Config{DB: db, Sealer: sealer, Now: now}}
	r.snapshot.Store(&snapshot{})
	err := db.View(ctx, func(tx *sqldb.Tx) error {
		if err := l.load(ctx, tx); err != nil || l.unbound() {
			return err
		}
		if _, err := l.open(sealer); err != nil {
			return err
		}
		keys, err := r.load(ctx, tx, now())
		if err != nil {
			return err
		}
		return r.adopt(keys)
	})
	return r.Keys(), err
}

// Signer returns the key that signs access tokens of an environment now; nil if
// env is none. Ask again for each token.
func (r *Ring) Signer(env id.Environment) *jwt.PrivateKey {
	switch env {
	case id.Sandbox:
		return r.snapshot.Load().signers[Sandbox]
	case id.Production:
		return r.snapshot.Load().signers[Production]
	}
	return nil
}

// AssertionSigner returns the key that signs assertions now. They may live for
// MaxAssertionLifetime at most.
func (r *Ring) AssertionSigner() *jwt.PrivateKey {
	return r.snapshot.Load().signers[Assertion]
}

// Public returns a published key by its id: a next or current one, or one that
// is retired and not yet dead. It does no I/O.
func (r *Ring) Public(kid string) (*jwt.PublicKey, bool) {
	p, ok := r.snapshot.Load().public[kid]
	if !ok || !p.end.IsZero() && !r.config.Now().Before(p.end) {
		return nil, false
	}
	return &p.key, true
}

// JWKSet returns the published keys (RFC 7517 §5) and the entity tag of that
// text, quotes included (RFC 9110 §8.8.3). The caller does not change body.
func (r *Ring) JWKSet() (body []byte, etag string) {
	s := r.snapshot.Load()
	return s.body, s.etag
}

// Info describes a key. Times that have not come are zero.
type Info struct {
	ID        string // kid
	Purpose   string
	Algorithm jwt.Algorithm
	State     string
	Published time.Time
	Activated time.Time
	Retired   time.Time // or withdrawn
	Ends      time.Time // when the last that it signed is dead, at the latest; zero: it may still sign
}

// RotateEvery is how long a key signs, until another takes its place by itself.
func (r *Ring) RotateEvery() time.Duration { return r.config.RotateEvery }

// Keys describes the published keys, and those withdrawn within the lifetime of
// what they signed, ordered by id.
func (r *Ring) Keys() []Info {
	var all []Info
	for _, k := range r.snapshot.Load().keys {
		all = append(all, k.info())
	}
	return all
}
