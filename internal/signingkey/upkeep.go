package signingkey

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/sqldb"
)

// retryAfter is how soon Run tries again what failed.
const retryAfter = time.Second

// Reload reads the keys again; call it when journal.KeysChanged arrives, and
// again when it fails: until then the node keeps the keys that it has.
func (r *Ring) Reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []*key
	err := r.config.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		keys, err = r.load(ctx, tx, r.config.Now())
		return err
	})
	if err == nil {
		err = r.adopt(keys)
	}
	if err == nil {
		return nil
	}
	// Time passes all the same: what died meanwhile leaves the JWK Set.
	s := r.snapshot.Load()
	if next, nextErr := s.next(s.keys, r.config.Now()); nextErr == nil {
		r.snapshot.Store(next)
	}
	return fmt.Errorf("load the signing keys: %w", err)
}

// Run rotates keys when they are due, takes dead keys out of the JWK Set and
// erases their private keys, until ctx ends. Every node runs it: about once a
// minute each looks, and one of them acts.
func (r *Ring) Run(ctx context.Context) {
	failing := false
	for {
		err := r.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing { // say it once
			failing = err != nil
			r.report(ctx, err)
		}
		timer := time.NewTimer(r.pause(failing))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (r *Ring) report(ctx context.Context, err error) {
	if err != nil {
		r.config.Log.ErrorContext(ctx, "signing keys cannot be looked after; going on with those in memory", "error", err)
		return
	}
	r.config.Log.InfoContext(ctx, "signing keys are looked after again")
}

// pause is 45 to 75 s, so that nodes do not look all at once.
func (r *Ring) pause(failing bool) time.Duration {
	if failing {
		return retryAfter
	}
	var draw [1]byte
	if _, err := io.ReadFull(r.config.Rand, draw[:]); err != nil {
		return time.Minute
	}
	return 45*time.Second + 30*time.Second*time.Duration(draw[0])/256
}

// check does once what Run does.
func (r *Ring) check(ctx context.Context) error {
	if err := r.Reload(ctx); err != nil {
		return err
	}
	by := actor.NewSystem("key rotation")
	for _, purpose := range purposes() {
		for r.need(r.snapshot.Load().keys, purpose, r.config.Now()) != none {
			if err := r.change(ctx, by, purpose, (*change).step); err != nil {
				return fmt.Errorf("look after the %s keys: %w", purpose, err)
			}
		}
	}
	if !r.snapshot.Load().erase {
		return nil
	}
	return r.commit(ctx, change{Ring: r, by: by}, (*change).erase)
}
