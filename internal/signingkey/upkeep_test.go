package signingkey_test

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func TestPrivateKeysOfDeadKeysAreErased(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		r := open(t, configOf(t, db, c))
		old := one(t, r, signingkey.Sandbox, signingkey.Current).ID
		stored := func() int {
			return query[int](t, db, `SELECT length(private_key) FROM signing_key WHERE kid = $1`, old)
		}
		rotate(t, r, signingkey.Sandbox)
		c.advance(signingkey.MaxTokenLifetime + jwt.Skew - time.Microsecond)
		check(t, r)
		if stored() == 0 {
			t.Error("the private key is erased before the key is dead")
		}
		c.advance(time.Microsecond)
		check(t, r)
		if stored() != 0 {
			t.Error("the private key of a dead key is still stored")
		}
		if got := stateOf(r, old); got != "" {
			t.Errorf("the dead key is still listed, as %s", got)
		}
		changes := query[int](t, db, `SELECT seq FROM revision`)
		check(t, r)
		if query[int](t, db, `SELECT seq FROM revision`) != changes {
			t.Error("a check with nothing to do wrote to the database")
		}
		if n := query[int](t, db, `SELECT count(*) FROM signing_key WHERE kid = $1`, old); n != 1 {
			t.Error("the row of a dead key is gone")
		}
	})
}

// Whoever deletes a row that does not open has the key replaced, and the audit
// log tells.
func TestADeletedKeyIsReplacedByTheNextCheck(t *testing.T) {
	for _, state := range []string{signingkey.Current, signingkey.Next} {
		t.Run(state, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := newClock()
				r := open(t, configOf(t, db, c))
				exec(t, db, `DELETE FROM signing_key WHERE purpose = 'sandbox' AND state = $1`, state)
				if err := r.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
				if r.Signer(id.Sandbox) == nil {
					t.Error("there is no signer")
				}
				check(t, r)
				if s := sign(t, r, signingkey.Sandbox, c.now()); s.kid != one(t, r, signingkey.Sandbox, signingkey.Current).ID || s.verify(r, c.now()) != nil {
					t.Errorf("a token does not verify: %v", s.verify(r, c.now()))
				}
				one(t, r, signingkey.Sandbox, signingkey.Next)
			})
		})
	}
}

func TestAFailedReloadKeepsTheKeysAndLetsThemDie(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		r := open(t, configOf(t, db, c))
		old := one(t, r, signingkey.Sandbox, signingkey.Current).ID
		rotate(t, r, signingkey.Sandbox)
		before := publishedIDs(t, r)
		if err := r.Reload(canceled(t)); err == nil {
			t.Error("no error")
		}
		if !slices.Equal(before, publishedIDs(t, r)) || r.Signer(id.Sandbox) == nil {
			t.Error("the keys changed")
		}
		c.advance(signingkey.MaxTokenLifetime + jwt.Skew)
		if err := r.Reload(canceled(t)); err == nil {
			t.Error("no error")
		}
		if slices.Contains(publishedIDs(t, r), old) {
			t.Error("a dead key is still published")
		}
	})
}

// running runs r until the test calls stop, which waits for the end.
func running(t *testing.T, r *signingkey.Ring) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// In the bubble Run's pauses pass at once, and the clock of the test is that
// of the bubble.
func TestRunRotatesWhenItIsDueAndEndsWithItsContext(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	synctest.Test(t, func(t *testing.T) {
		db := sqldbtest.New(t)
		r := open(t, signingkey.Config{DB: db, Sealer: newSealer(t, 1), Now: time.Now, Rand: rand.Reader, RotateEvery: time.Hour})
		first, next := one(t, r, signingkey.Sandbox, signingkey.Current), one(t, r, signingkey.Sandbox, signingkey.Next)
		stop := running(t, r)
		defer stop()
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if got := r.Signer(id.Sandbox).Public().ID; got != first.ID {
			t.Errorf("%s signs before the rotation is due", got)
		}
		time.Sleep(76 * time.Second)
		synctest.Wait()
		if got := r.Signer(id.Sandbox).Public().ID; got != next.ID {
			t.Errorf("%s signs after the rotation is due, want %s", got, next.ID)
		}
	})
	goleak.VerifyNone(t, ignore)
}
