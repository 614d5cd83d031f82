package signingkey_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// feed follows the change feed for a Ring, as a node does; each call of what it
// returns is one poll.
func feed(t testing.TB, db *sqldb.DB, r *signingkey.Ring) func(t testing.TB) {
	t.Helper()
	tail, err := journal.NewTail(t.Context(), db, time.Now, func(ctx context.Context, c journal.Change) error {
		if c.Kind != journal.KeysChanged {
			return nil
		}
		return r.Reload(ctx)
	}, r.Reload)
	if err != nil {
		t.Fatal(err)
	}
	return func(t testing.TB) {
		t.Helper()
		if err := tail.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// KEY-05: what a withdrawn key signed is refused at once, and on the other node
// with the next poll of the feed; the audit log has it.
func TestKEY05_withdrawnKeyIsRefusedEverywhere(t *testing.T) {
	for _, state := range []string{signingkey.Current, signingkey.Next, signingkey.Retired} {
		t.Run(state, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := newClock()
				here, there := open(t, configOf(t, db, c)), open(t, configOf(t, db, c))
				poll := feed(t, db, there)
				retired := sign(t, here, signingkey.Production, c.now())
				rotate(t, here, signingkey.Production)
				current := sign(t, here, signingkey.Production, c.now())
				poll(t)
				next := one(t, here, signingkey.Production, signingkey.Next).ID
				kid := map[string]string{signingkey.Current: current.kid, signingkey.Next: next, signingkey.Retired: retired.kid}[state]

				if err := here.Withdraw(t.Context(), operator(), kid); err != nil {
					t.Fatal(err)
				}
				poll(t)
				for name, r := range map[string]*signingkey.Ring{"here": here, "there": there} {
					if _, ok := r.Public(kid); ok || slices.Contains(publishedIDs(t, r), kid) {
						t.Errorf("%s: the withdrawn key is still accepted or published", name)
					}
					for _, s := range []signed{retired, current} {
						if s.kid == kid && !errors.Is(s.verify(r, c.now()), jwt.ErrSignature) {
							t.Errorf("%s: a token of the withdrawn key: %v", name, s.verify(r, c.now()))
						}
					}
					if got := stateOf(r, kid); got != signingkey.Withdrawn {
						t.Errorf("%s: state = %q", name, got)
					}
					if got := one(t, r, signingkey.Production, signingkey.Current).ID; state == signingkey.Current && got != next {
						t.Errorf("%s: %s signs, want the key that was next", name, got)
					}
					if got := one(t, r, signingkey.Production, signingkey.Next).ID; state == signingkey.Next && got == next {
						t.Errorf("%s: the withdrawn key is still next", name)
					}
				}
				if n := query[int](t, db, `SELECT length(private_key) FROM signing_key WHERE kid = $1`, kid); n != 0 {
					t.Error("the withdrawn private key is still stored")
				}
				action := query[string](t, db, `SELECT action || ' ' || actor FROM audit WHERE subject = $1`, kid)
				if want := "key.withdraw person:p-1"; action != want {
					t.Errorf("audit record = %q, want %q", action, want)
				}
				if _, err := journal.Verify(t.Context(), db); err != nil {
					t.Error(err)
				}
				t.Run("twin", func(t *testing.T) {
					for name, r := range map[string]*signingkey.Ring{"here": here, "there": there} {
						for _, s := range []signed{retired, current, sign(t, r, signingkey.Production, c.now()), sign(t, r, signingkey.Sandbox, c.now())} {
							if err := s.verify(r, c.now()); s.kid != kid && err != nil {
								t.Errorf("%s: a token of another key: %v", name, err)
							}
						}
					}
				})
			})
		})
	}
}

func TestWithdrawingTwiceIsRecordedOnce(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		r := open(t, configOf(t, db, newClock()))
		kid := one(t, r, signingkey.Sandbox, signingkey.Current).ID
		for range 2 {
			if err := r.Withdraw(t.Context(), operator(), kid); err != nil {
				t.Fatal(err)
			}
		}
		if n := query[int](t, db, `SELECT count(*) FROM audit WHERE action = 'key.withdraw'`); n != 1 {
			t.Errorf("%d audit records, want 1", n)
		}
	})
}

func TestOnlyTheOperatorChangesKeys(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		r := open(t, configOf(t, db, newClock()))
		org := id.Organisation("o-00000000000000000000")
		change := map[string]func(context.Context, actor.Actor) error{
			"rotate": func(ctx context.Context, by actor.Actor) error { return r.Rotate(ctx, by, signingkey.Sandbox) },
			"withdraw": func(ctx context.Context, by actor.Actor) error {
				return r.Withdraw(ctx, by, one(t, r, signingkey.Sandbox, signingkey.Current).ID)
			},
		}
		refused := map[string]actor.Actor{
			"nobody":                  {},
			"organisation admin":      actor.NewPerson("p-2", org, "", actor.RoleGrant{Role: actor.OrganisationAdmin}).Proven(actor.Proof{SecondFactor: true}),
			"operator support":        actor.NewPerson("p-3", "", "", actor.RoleGrant{Role: actor.OperatorSupport}).Proven(actor.Proof{SecondFactor: true}),
			"client of organisation":  actor.NewClient("org-round-apple-123", org, "", "", []string{"management.key.write"}),
			"operator's other client": actor.NewClient("op-round-apple-123", "", "", "", []string{"management.key.read"}),
		}
		stale := operator().Proven(actor.Proof{SecondFactor: true})
		if err := change["withdraw"](t.Context(), stale); !errors.Is(err, actor.ErrRecentSignIn) {
			t.Errorf("withdraw after an old sign-in: %v", err)
		}
		if err := change["rotate"](t.Context(), stale); err != nil {
			t.Errorf("rotate after an old sign-in: %v", err)
		}
		for action, do := range change {
			for name, by := range refused {
				t.Run(action+" by "+name, func(t *testing.T) {
					before := r.Keys()
					if err := do(t.Context(), by); fault.KindOf(err) != fault.Forbidden {
						t.Errorf("error = %v, want Forbidden", err)
					}
					if !slices.Equal(before, r.Keys()) {
						t.Error("the keys changed")
					}
				})
			}
			t.Run(action+"/twin", func(t *testing.T) {
				for _, by := range []actor.Actor{operator(), actor.NewClient("op-round-apple-123", "", "", "", []string{"management.key.write"})} {
					if err := do(t.Context(), by); err != nil {
						t.Error(err)
					}
				}
			})
		}
	})
}

func TestWhatIsNotAKeyIsRefused(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		r := open(t, configOf(t, db, c))
		dead := one(t, r, signingkey.Sandbox, signingkey.Current).ID
		rotate(t, r, signingkey.Sandbox)
		c.advance(2 * signingkey.MaxTokenLifetime)
		for name, test := range map[string]struct {
			err  error
			want fault.Kind
		}{
			"purpose":      {r.Rotate(t.Context(), operator(), "staging"), fault.Invalid},
			"no purpose":   {r.Rotate(t.Context(), operator(), ""), fault.Invalid},
			"unknown key":  {r.Withdraw(t.Context(), operator(), "sandbox-signing-key-0000000000"), fault.NotFound},
			"no key id":    {r.Withdraw(t.Context(), operator(), "x"), fault.NotFound},
			"empty key id": {r.Withdraw(t.Context(), operator(), ""), fault.NotFound},
			"dead key":     {r.Withdraw(t.Context(), operator(), dead), fault.NotFound},
		} {
			t.Run(name, func(t *testing.T) {
				if fault.KindOf(test.err) != test.want || test.err == nil {
					t.Errorf("error = %v, want kind %v", test.err, test.want)
				}
			})
		}
		t.Run("twin", func(t *testing.T) {
			rotate(t, r, signingkey.Sandbox)
			if err := r.Withdraw(t.Context(), operator(), one(t, r, signingkey.Sandbox, signingkey.Current).ID); err != nil {
				t.Error(err)
			}
		})
	})
}

// However often an operator rotates, the keys fit into a JWK Set.
func TestTooManyRotationsAreRefusedUntilKeysDie(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		config := configOf(t, db, c)
		config.RotateEvery = time.Minute
		r := open(t, config)
		for _, purpose := range every() {
			err := error(nil)
			for range jwt.MaxKeys {
				if err = r.Rotate(t.Context(), operator(), purpose); err != nil {
					break
				}
			}
			if fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s: error = %v, want Conflict", purpose, err)
			}
		}
		if n := len(publishedIDs(t, r)); n > jwt.MaxKeys {
			t.Errorf("%d keys are published, want %d at most", n, jwt.MaxKeys)
		}
		c.advance(signingkey.MaxAge)
		before := r.Signer(id.Production)
		check(t, r)
		if r.Signer(id.Production).Public().ID != before.Public().ID {
			t.Error("the schedule rotates beyond the bound")
		}
		if err := r.Withdraw(t.Context(), operator(), r.Signer(id.Sandbox).Public().ID); err != nil {
			t.Errorf("withdrawing must work always: %v", err)
		}
		t.Run("twin", func(t *testing.T) {
			c.advance(signingkey.MaxTokenLifetime + jwt.Skew)
			rotate(t, r, signingkey.Sandbox)
		})
	})
}

// Two nodes, on which sixteen decide at once: by the schedule one rotation
// comes of it, by command sixteen, and always one key is current and one next.
func TestTwoNodesThatDecideAtOnceMakeOneCurrentKey(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			url := sqldbtest.Migrated(t, engine)
			c := newClock()
			configs := []signingkey.Config{configOf(t, sqldbtest.Open(t, url), c), configOf(t, sqldbtest.Open(t, url), c)}
			var rings [16]*signingkey.Ring
			together := func(do func(i int) error) {
				t.Helper()
				var wg sync.WaitGroup
				for i := range rings {
					wg.Go(func() {
						if err := do(i); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
			}
			holds := func(retired string) {
				t.Helper()
				for state, want := range map[string]string{signingkey.Current: "1 1 1 ", signingkey.Next: "1 1 1 ", signingkey.Retired: retired} {
					if got := count(t, configs[0].DB, state); got != want {
						t.Errorf("%s keys = %s, want %s", state, got, want)
					}
				}
			}
			together(func(i int) (err error) {
				rings[i], err = signingkey.Open(t.Context(), configs[i%2])
				return err
			})
			holds("0 0 0 ")
			c.advance(90 * 24 * time.Hour)
			together(func(i int) error { return rings[i%2].Check(t.Context()) })
			holds("1 1 1 ")
			together(func(i int) error { return rings[i%2].Rotate(t.Context(), operator(), signingkey.Sandbox) })
			holds("17 1 1 ")
			together(func(i int) error { return rings[i%2].Reload(t.Context()) })
			if rings[0].Signer(id.Sandbox).Public().ID != rings[1].Signer(id.Sandbox).Public().ID {
				t.Error("the nodes sign with two keys")
			}
			if _, err := journal.Verify(t.Context(), configs[0].DB); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARotationIsAuditedAndAnnounced(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		r := open(t, configOf(t, db, newClock()))
		old := one(t, r, signingkey.Sandbox, signingkey.Current).ID
		rotate(t, r, signingkey.Sandbox)
		content := query[string](t, db, `SELECT content FROM audit WHERE action = 'key.rotate' AND actor = 'person:p-1'`)
		for _, kid := range []string{old, one(t, r, signingkey.Sandbox, signingkey.Current).ID, one(t, r, signingkey.Sandbox, signingkey.Next).ID} {
			if !strings.Contains(content, kid) {
				t.Errorf("the audit record %s does not name %s", content, kid)
			}
		}
		if kind := query[string](t, db, `SELECT kind FROM change ORDER BY seq DESC LIMIT 1`); kind != journal.KeysChanged {
			t.Errorf("change = %q", kind)
		}
	})
}
