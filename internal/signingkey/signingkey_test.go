package signingkey_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

const (
	issuer   = "https://api.example.com/auth/open"
	audience = "https://api.example.com"
)

// clock is a clock that tests set.
type clock struct{ micro atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micro.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micro.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micro.Add(d.Microseconds()) }

func newSealer(t testing.TB, seed byte) *secret.Sealer {
	t.Helper()
	sealer, err := secret.NewSealer(bytes.Repeat([]byte{seed}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func configOf(t testing.TB, db *sqldb.DB, c *clock) signingkey.Config {
	t.Helper()
	return signingkey.Config{DB: db, Sealer: newSealer(t, 1), Now: c.now, Rand: rand.Reader}
}

func open(t testing.TB, config signingkey.Config) *signingkey.Ring {
	t.Helper()
	r, err := signingkey.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func check(t testing.TB, r *signingkey.Ring) {
	t.Helper()
	if err := r.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func operator() actor.Actor {
	return actor.NewPerson("p-1", "", "session", actor.RoleGrant{Role: actor.OperatorAdmin}).Proven(actor.Proof{SecondFactor: true, Recent: true})
}

func rotate(t testing.TB, r *signingkey.Ring, purpose string) {
	t.Helper()
	if err := r.Rotate(t.Context(), operator(), purpose); err != nil {
		t.Fatal(err)
	}
}

// one returns the only key of a purpose in a state.
func one(t testing.TB, r *signingkey.Ring, purpose, state string) signingkey.Info {
	t.Helper()
	var found []signingkey.Info
	for _, k := range r.Keys() {
		if k.Purpose == purpose && k.State == state {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d keys are %s for %s, want one: %+v", len(found), state, purpose, found)
	}
	return found[0]
}

// signed is a token with what a verifier must know of it.
type signed struct {
	token, typ, purpose string
	kid                 string
	expiry              time.Time
}

func (s signed) verify(r *signingkey.Ring, now time.Time) error {
	_, err := jwt.Verify(s.token, r.Public, jwt.Expected{Type: s.typ, Issuer: issuer, Audience: audience, Now: now})
	return err
}

// sign makes a token of the longest lifetime with the current key.
func sign(t testing.TB, r *signingkey.Ring, purpose string, now time.Time) signed {
	t.Helper()
	key, lifetime := r.Signer(id.Environment(purpose)), signingkey.MaxTokenLifetime
	if purpose == signingkey.Assertion {
		key, lifetime = r.AssertionSigner(), signingkey.MaxAssertionLifetime
	}
	return signWith(t, key, purpose, now, lifetime)
}

func signWith(t testing.TB, key *jwt.PrivateKey, purpose string, now time.Time, lifetime time.Duration) signed {
	t.Helper()
	s := signed{typ: jwt.TypeAccessToken, purpose: purpose, kid: key.Public().ID, expiry: now.Truncate(time.Second).Add(lifetime)}
	if purpose == signingkey.Assertion {
		s.typ = jwt.TypeAssertion
	}
	token, err := key.Sign(nil, s.typ, &jwt.Claims{
		Issuer: issuer, Audience: audience, Subject: "client", ClientID: "client", ID: "1",
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expiry: s.expiry.Unix(), Sandbox: purpose == signingkey.Sandbox,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.token = string(token)
	return s
}

func every() []string {
	return []string{signingkey.Sandbox, signingkey.Production, signingkey.Assertion}
}

func publishedIDs(t testing.TB, r *signingkey.Ring) []string {
	t.Helper()
	body, _ := r.JWKSet()
	set, err := jwt.ParseJWKSet(body)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range set {
		ids = append(ids, k.ID)
	}
	return ids
}

func TestTheFirstStartMakesACurrentAndANextKeyPerPurpose(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		r := open(t, configOf(t, db, c))
		var ids []string
		for _, purpose := range every() {
			current, next := one(t, r, purpose, signingkey.Current), one(t, r, purpose, signingkey.Next)
			want := signingkey.Info{ID: current.ID, Purpose: purpose, Algorithm: jwt.ES256, State: signingkey.Current, Published: c.now(), Activated: c.now()}
			if diff := cmp.Diff(want, current); diff != "" {
				t.Error(diff)
			}
			ids = append(ids, current.ID, next.ID)
			if s := sign(t, r, purpose, c.now()); s.kid != current.ID || s.verify(r, c.now()) != nil {
				t.Errorf("a token of key %s does not verify: %v", s.kid, s.verify(r, c.now()))
			}
		}
		slices.Sort(ids)
		if diff := cmp.Diff(ids, publishedIDs(t, r)); diff != "" {
			t.Errorf("JWK Set: %s", diff)
		}
		if r.Signer("") != nil {
			t.Error("there is a signer for no environment")
		}
	})
}

func TestALaterStartTakesUpTheSameKeys(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		first := open(t, configOf(t, db, c))
		rotate(t, first, signingkey.Sandbox)
		second := open(t, configOf(t, db, c))
		if diff := cmp.Diff(first.Keys(), second.Keys()); diff != "" {
			t.Error(diff)
		}
		body1, etag1 := first.JWKSet()
		body2, etag2 := second.JWKSet()
		if !bytes.Equal(body1, body2) || etag1 != etag2 {
			t.Errorf("two nodes publish %s %s and %s %s", etag1, body1, etag2, body2)
		}
		rotate(t, first, signingkey.Sandbox)
		if _, etag := first.JWKSet(); etag == etag1 {
			t.Error("another JWK Set has the same entity tag")
		}
	})
}

// year is what KEY-02 follows: two nodes, and tokens with what is known of them.
type year struct {
	clock *clock
	rings [2]*signingkey.Ring
	polls [2]func(t testing.TB)
	alive []signed // verify until they expire
	dead  []string // keys that are accepted no more

	moment sync.RWMutex // held by those whose token is young: time stands still for them, and nothing else does
}

func (y *year) advance(d time.Duration) {
	y.moment.Lock()
	defer y.moment.Unlock()
	y.clock.advance(d)
}

// load signs on each node and verifies on the other at once, whatever rotates
// meanwhile, until the function that it returns; that says how many tokens.
func (y *year) load(t testing.TB) (finish func() int64) {
	var made atomic.Int64
	var stopped atomic.Bool
	var working sync.WaitGroup
	for node := range y.rings {
		working.Go(func() {
			for ; !stopped.Load() && !t.Failed(); <-time.After(20 * time.Millisecond) { // the rotations need the processor too
				for _, purpose := range every() {
					y.moment.RLock()
					now := y.clock.now()
					if err := sign(t, y.rings[node], purpose, now).verify(y.rings[1-node], now); err != nil {
						t.Errorf("%s: a token that node %d has just signed: %v", now, node, err)
					}
					y.moment.RUnlock()
					made.Add(1)
				}
			}
		})
	}
	finish = sync.OnceValue(func() int64 {
		stopped.Store(true)
		working.Wait()
		return made.Load()
	})
	t.Cleanup(func() { finish() })
	return finish
}

// signAll signs a token of each purpose on a node.
func (y *year) signAll(t testing.TB, node int) {
	t.Helper()
	for _, purpose := range every() {
		y.alive = append(y.alive, sign(t, y.rings[node], purpose, y.clock.now()))
	}
}

// holds checks the present instant on both nodes.
func (y *year) holds(t testing.TB) {
	t.Helper()
	now := y.clock.now()
	for i, r := range y.rings {
		y.polls[i](t)
		for _, s := range y.alive {
			err := s.verify(r, now)
			if unexpired := now.Before(s.expiry.Add(jwt.Skew)); (err == nil) != unexpired {
				t.Fatalf("%s on node %d: token of %s, expiring %s: %v", now, i, s.kid, s.expiry, err)
			}
		}
		for _, kid := range y.dead {
			if _, ok := r.Public(kid); ok {
				t.Fatalf("%s on node %d: the dead key %s is accepted", now, i, kid)
			}
		}
	}
}

// KEY-02: a year in which the schedule and the operator rotate a hundred times,
// on two nodes that learn of each other by the feed. At each instant each token
// that has not expired verifies on both, and none after its key died.
func TestKEY02_eachUnexpiredTokenVerifiesAllYear(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		const rotations = 100
		y := &year{clock: newClock()}
		config := configOf(t, db, y.clock)
		config.RotateEvery = 365 * 24 * time.Hour / rotations
		for i := range y.rings {
			y.rings[i] = open(t, config)
			y.polls[i] = feed(t, db, y.rings[i])
		}
		finish := y.load(t)
		signers := map[string]bool{}
		for i := range rotations {
			acting := y.rings[i%2]
			old := acting.Signer(id.Sandbox).Public().ID
			signers[old] = true
			y.advance(config.RotateEvery - time.Second)
			y.alive = nil
			y.signAll(t, 0) // the last of the old keys
			y.signAll(t, 1)
			if i%10 == 0 {
				rotate(t, acting, signingkey.Sandbox)
			} else {
				y.advance(time.Second)
				check(t, acting)
			}
			y.holds(t)
			y.signAll(t, 0)
			y.signAll(t, 1)
			for _, step := range []time.Duration{time.Minute, jwt.Skew, signingkey.MaxTokenLifetime - time.Minute - 2*time.Second, time.Second, time.Second} {
				y.advance(step)
				y.holds(t)
			}
			y.dead = append(y.dead, old)
			y.holds(t)
		}
		if made := finish(); made < rotations {
			t.Errorf("%d tokens were signed and verified during %d rotations: there was no load", made, rotations)
		}
		if len(signers) != rotations {
			t.Errorf("%d keys signed, want %d", len(signers), rotations)
		}
	})
}

func stateOf(r *signingkey.Ring, kid string) string {
	for _, k := range r.Keys() {
		if k.ID == kid {
			return k.State
		}
	}
	return ""
}

// KEY-03: a key is published for a cache lifetime before a scheduled rotation
// makes it sign.
func TestKEY03_keyIsPublishedBeforeItSigns(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		const every = time.Minute // asks for more than the lead allows
		c := newClock()
		config := configOf(t, db, c)
		config.RotateEvery = every
		r := open(t, config)
		first := one(t, r, signingkey.Sandbox, signingkey.Current)
		next := one(t, r, signingkey.Sandbox, signingkey.Next)
		c.advance(signingkey.MaxAge - time.Microsecond)
		check(t, r)
		if got := r.Signer(id.Sandbox).Public().ID; got != first.ID {
			t.Errorf("%s signs before it was published for %v", got, signingkey.MaxAge)
		}
		if !slices.Contains(publishedIDs(t, r), next.ID) {
			t.Error("the next key is not in the JWK Set")
		}
		t.Run("twin", func(t *testing.T) {
			c.advance(time.Microsecond)
			check(t, r)
			if got := r.Signer(id.Sandbox).Public().ID; got != next.ID {
				t.Errorf("%s signs, want %s, which is due", got, next.ID)
			}
		})
	})
}

// KEY-03: a node that has not heard of a rotation signs with the retired key
// until its knowledge is stale, and that token lives as long as any other.
func TestKEY03_retiredKeyOutlivesWhatASilentNodeSigns(t *testing.T) {
	for purpose, lifetime := range map[string]time.Duration{signingkey.Sandbox: signingkey.MaxTokenLifetime, signingkey.Assertion: signingkey.MaxAssertionLifetime} {
		t.Run(purpose, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := newClock()
				config := configOf(t, db, c)
				config.StaleLimit = 90 * time.Second
				here, silent := open(t, config), open(t, config)
				rotate(t, here, purpose)
				c.advance(config.StaleLimit)
				last := sign(t, silent, purpose, c.now())
				if last.kid == sign(t, here, purpose, c.now()).kid {
					t.Fatal("both nodes sign with the same key")
				}
				c.advance(lifetime + jwt.Skew - time.Microsecond)
				check(t, here)
				if err := last.verify(here, c.now()); err != nil || !slices.Contains(publishedIDs(t, here), last.kid) {
					t.Errorf("the last token of the retired key: %v; published: %v", err, publishedIDs(t, here))
				}
				t.Run("twin", func(t *testing.T) {
					c.advance(time.Microsecond)
					check(t, here)
					if _, ok := here.Public(last.kid); ok || slices.Contains(publishedIDs(t, here), last.kid) {
						t.Error("the key outlives its last token")
					}
				})
			})
		})
	}
}

// KEY-03: a retired key stays for the longest token life and the skew, by the
// clock alone.
func TestKEY03_retiredKeyStaysUntilItsLastTokenIsDead(t *testing.T) {
	for purpose, lifetime := range map[string]time.Duration{
		signingkey.Sandbox: time.Hour, signingkey.Production: time.Hour, signingkey.Assertion: time.Minute,
	} {
		t.Run(purpose, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := newClock()
				r := open(t, configOf(t, db, c))
				old := one(t, r, purpose, signingkey.Current).ID
				rotate(t, r, purpose)
				c.advance(lifetime + jwt.Skew)
				if _, ok := r.Public(old); ok {
					t.Error("the key is still accepted")
				}
				check(t, r)
				if slices.Contains(publishedIDs(t, r), old) {
					t.Error("the key is still published")
				}
				t.Run("twin", func(t *testing.T) {
					old := one(t, r, purpose, signingkey.Current).ID
					rotate(t, r, purpose)
					c.advance(lifetime + jwt.Skew - time.Microsecond)
					check(t, r)
					if _, ok := r.Public(old); !ok || !slices.Contains(publishedIDs(t, r), old) {
						t.Error("the key has gone too early")
					}
				})
			})
		})
	}
}

// JWT-40: a key of one environment verifies no token of the other, and a
// retired key's tokens die with it.
func TestJWT40_keyIsGoodForItsEnvironmentOnly(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		r := open(t, configOf(t, db, c))
		t.Run("environment", func(t *testing.T) {
			for env, other := range map[string]string{signingkey.Sandbox: signingkey.Production, signingkey.Production: signingkey.Sandbox} {
				der, err := r.Signer(id.Environment(env)).MarshalPKCS8()
				if err != nil {
					t.Fatal(err)
				}
				forger, err := jwt.ParsePrivateKey(der, r.Signer(id.Environment(env)).Public().ID, jwt.UseAccessToken, other)
				if err != nil {
					t.Fatal(err)
				}
				forged := signWith(t, forger, other, c.now(), time.Minute)
				if err := forged.verify(r, c.now()); !errors.Is(err, jwt.ErrEnvironment) {
					t.Errorf("a %s token by the %s key: %v, want ErrEnvironment", other, env, err)
				}
			}
			t.Run("twin", func(t *testing.T) {
				for _, env := range []string{signingkey.Sandbox, signingkey.Production} {
					if err := sign(t, r, env, c.now()).verify(r, c.now()); err != nil {
						t.Errorf("%s: %v", env, err)
					}
				}
			})
		})
		t.Run("retired key", func(t *testing.T) {
			old := r.Signer(id.Sandbox)
			rotate(t, r, signingkey.Sandbox)
			c.advance(signingkey.MaxTokenLifetime + jwt.Skew)
			late := signWith(t, old, signingkey.Sandbox, c.now(), time.Minute)
			if err := late.verify(r, c.now()); !errors.Is(err, jwt.ErrSignature) {
				t.Errorf("a token by a retired key: %v, want ErrSignature", err)
			}
			t.Run("twin", func(t *testing.T) {
				current := signWith(t, r.Signer(id.Sandbox), signingkey.Sandbox, c.now(), time.Minute)
				if err := current.verify(r, c.now()); err != nil {
					t.Error(err)
				}
			})
		})
	})
}

func TestASwitchOfAlgorithmReplacesTheNextKeysOnly(t *testing.T) {
	for _, algorithm := range []jwt.Algorithm{jwt.RS256, jwt.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := newClock()
				config := configOf(t, db, c)
				before := open(t, config)
				assertion := one(t, before, signingkey.Assertion, signingkey.Next).ID
				config.Algorithm = algorithm
				r := open(t, config)
				for _, purpose := range []string{signingkey.Sandbox, signingkey.Production} {
					if got, want := one(t, r, purpose, signingkey.Current), one(t, before, purpose, signingkey.Current); got != want {
						t.Errorf("current = %+v, want %+v", got, want)
					}
					if got := one(t, r, purpose, signingkey.Next); got.Algorithm != algorithm {
						t.Errorf("next = %+v, want one of %s", got, algorithm)
					}
				}
				if got := one(t, r, signingkey.Assertion, signingkey.Next).ID; got != assertion {
					t.Error("the next key of assertions was replaced")
				}
				rotate(t, r, signingkey.Sandbox)
				s := sign(t, r, signingkey.Sandbox, c.now())
				if key, ok := r.Public(s.kid); !ok || key.Algorithm != algorithm || s.verify(r, c.now()) != nil {
					t.Errorf("the new key is %+v, and its token: %v", key, s.verify(r, c.now()))
				}
			})
		})
	}
}

func TestOpenRefusesWhatItCannotWorkWith(t *testing.T) {
	c := newClock()
	for name, change := range map[string]func(*signingkey.Config){
		"unknown algorithm":   func(config *signingkey.Config) { config.Algorithm = "none" },
		"time below 0":        func(config *signingkey.Config) { config.RotateEvery = -time.Hour },
		"unmigrated database": func(config *signingkey.Config) { config.DB = unmigrated(t) },
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(t, sqldbtest.New(t), c)
			broken := config
			change(&broken)
			if _, err := signingkey.Open(t.Context(), broken); err == nil {
				t.Error("no error")
			}
			t.Run("twin", func(t *testing.T) { open(t, config) })
		})
	}
}

func unmigrated(t testing.TB) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.URL(t, "sqlite")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func query[T any](t testing.TB, db *sqldb.DB, statement string, args ...any) (value T) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), statement, args...).Scan(&value)
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func exec(t testing.TB, db *sqldb.DB, statement string, args ...any) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// canceled is a context in which no database answers.
func canceled(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// count is how many rows of signing_key there are in a state, by purpose.
func count(t testing.TB, db *sqldb.DB, state string) string {
	t.Helper()
	var text string
	for _, purpose := range every() {
		text += fmt.Sprint(query[int](t, db, `SELECT count(*) FROM signing_key WHERE purpose = $1 AND state = $2`, purpose, state), " ")
	}
	return text
}
