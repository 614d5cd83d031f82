package access

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// wantsLater checks that a call is refused with 503 and told when to come back.
func (f *fixture) wantsLater(t *testing.T, c call) {
	t.Helper()
	_, err := f.decide(c)
	if e := asFault(err); e == nil || e.Code != fault.TemporarilyUnavailable || e.RetryAfter <= 0 {
		t.Errorf("error %v, want %s and when to come back", err, fault.TemporarilyUnavailable)
	}
}

func TestSTO10_knowledgePastTheStaleLimitDecidesNothing(t *testing.T) {
	f := newSQLiteFixture(t)
	known, public := call{token: f.token(f.a1)}, call{target: "/p1/open"}
	f.wants(t, known, "")
	f.clock.add(time.Minute)
	if got := f.access.Age(); got != time.Minute {
		t.Errorf("age %v, want 1m", got)
	}
	t.Run("STO-10 at the limit/twin", func(t *testing.T) { f.wants(t, known, "") })
	f.clock.add(time.Microsecond)
	f.wantsLater(t, known)
	f.wantsLater(t, public)
	f.wantsLater(t, call{target: "/nothing"})
	if _, err := f.access.Holder(t.Context(), f.a1.id); codeOf(err) != fault.TemporarilyUnavailable {
		t.Errorf("Holder: %v", err)
	}
	f.refresh()
	t.Run("STO-10 heard of again/twin", func(t *testing.T) {
		f.wants(t, known, "")
		f.wants(t, public, "")
	})
}

func TestSTO10_databaseAway(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		known, unknown := call{token: f.token(f.a1)}, call{token: f.token(f.b1)}
		account := call{target: "/p1/things?" + testParameter + "=" + string(f.productionA), token: f.token(f.opClient)}
		f.wants(t, known, "")
		f.wants(t, account, "")
		if err := f.DB.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.access.Refresh(t.Context()); err == nil {
			t.Fatal("Refresh answers without a database")
		}
		f.wantsLater(t, unknown)
		account.target = "/p1/things?" + testParameter + "=" + string(f.productionB)
		f.wantsLater(t, account)
		f.clock.add(time.Minute)
		t.Run("STO-10 known client/twin", func(t *testing.T) { f.wants(t, known, "") })
		f.clock.add(time.Second)
		f.wantsLater(t, known)
	})
}

// What is known and was dropped must not be decided without: fail closed.
func TestSTO10_changeThatCannotBeReadIsARefusal(t *testing.T) {
	f := newSQLiteFixture(t)
	known, other := call{token: f.token(f.a1)}, call{token: f.token(f.s1)}
	f.wants(t, known, "")
	f.wants(t, other, "")
	if err := f.DB.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.access.apply(t.Context(), journal.Change{Kind: journal.ClientChanged, Key: string(f.a1.id)}); err != nil {
		t.Fatal(err)
	}
	f.wantsLater(t, known)
	t.Run("STO-10/twin", func(t *testing.T) { f.wants(t, other, "") })
	if err := f.access.apply(t.Context(), journal.Change{Kind: journal.ProductsChanged}); err != nil {
		t.Fatal(err)
	}
	f.wantsLater(t, other)
}

func TestKeysAreReloadedWhenTheyChange(t *testing.T) {
	f := newSQLiteFixture(t)
	broken, reloads := errors.New("cannot unseal"), 0
	f.access.ReloadKeys = func(context.Context) error {
		reloads++
		return broken
	}
	change := func() {
		t.Helper()
		err := f.DB.Update(t.Context(), func(tx *sqldb.Tx) error {
			tx.Changed(journal.KeysChanged, "")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change()
	f.clock.add(time.Second)
	if err := f.access.Refresh(t.Context()); !errors.Is(err, broken) || f.access.Age() != time.Second {
		t.Errorf("Refresh with keys that cannot be read: %v, age %v: want the error, and no younger", err, f.access.Age())
	}
	broken = nil
	if f.refresh(); reloads != 2 || f.access.Age() != 0 {
		t.Errorf("%d reloads, age %v: want the change once more", reloads, f.access.Age())
	}
}

// A restored database brings back what no row of the feed tells of.
func TestRestoredDatabaseDropsEverything(t *testing.T) {
	for _, tt := range []struct {
		name, restore string
		want          fault.Code
	}{
		{"client", `UPDATE client SET state = 'disabled' WHERE id = $1 OR id = $2 OR id = $3`, fault.ClientDisabled},
		{"account", `UPDATE account SET state = 'suspended' WHERE id = $1 OR id = $2 OR id = $3`, fault.AccountSuspended},
		{"organisation", `UPDATE organisation SET state = 'suspended' WHERE id = $1 OR id = $2 OR id = $3`, fault.OrganisationSuspended},
		{"products", `DELETE FROM product_version WHERE product <> $1 AND product <> $2 AND product <> $3`, fault.ProductUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newSQLiteFixture(t)
			known, reloads := call{token: f.token(f.a1)}, 0
			f.access.ReloadKeys = func(context.Context) error { reloads++; return nil }
			f.wants(t, known, "")
			err := f.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
				if _, err := tx.Exec(t.Context(), tt.restore, f.a1.id, f.productionA, f.orgA); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), `UPDATE change SET nonce = 'restored'`) // in the place of the row that is remembered
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Run("twin", func(t *testing.T) { f.wants(t, known, "") }) // nobody said so yet
			f.refresh()
			if got := f.access.Statistics(); got.Clients != 0 || got.Tokens != 0 || reloads != 1 {
				t.Errorf("%+v kept, %d reloads of keys", got, reloads)
			}
			f.wants(t, known, tt.want)
		})
	}
}

// The second node hears of what the first one changed by notification, or
// where there is none by its poll.
func TestChangeThroughOneNodeIsInForceOnTheOther(t *testing.T) {
	t.Parallel()
	for _, engine := range sqldbtest.Engines() {
		for name, noNotify := range map[string]bool{"by notification": false, "by poll": true} {
			t.Run(engine+" "+name, func(t *testing.T) {
				url := sqldbtest.Migrated(t, engine)
				f := newFixture(t, sqldbtest.Open(t, url))
				other, err := sqldb.Open(t.Context(), sqldb.Config{URL: url, NoNotify: noNotify})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = other.Close() })
				f.access = f.node(other)
				heard := f.run(t)
				for _, tt := range revocations() {
					t.Run(tt.name, func(t *testing.T) {
						organisation := f.organisation()
						account := f.account(organisation, "production")
						c := f.client(organisation, account, "p1.read")
						old, beside := call{token: f.token(c)}, call{token: f.token(f.b1)}
						f.must(f.operator.In(organisation), registry.RenameOrganisation{Name: "marked"})
						f.refresh()
						f.wants(t, old, "")
						f.wants(t, beside, "")
						f.must(f.operator.In(organisation), tt.stop(c))
						for deadline := time.After(5 * time.Second); ; {
							if _, err := f.decide(old); codeOf(err) == tt.want {
								break
							}
							select {
							case <-heard:
							case <-deadline:
								t.Fatal("the change is not in force after 5 s")
							}
						}
						t.Run("twin", func(t *testing.T) { f.wants(t, beside, "") })
					})
				}
			})
		}
	}
}

// run lets the node follow the feed until the test ends. The channel holds a
// value after changes were applied.
func (f *fixture) run(t *testing.T) <-chan struct{} {
	t.Helper()
	heard := make(chan struct{}, 1)
	a := f.access
	a.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	apply := func(ctx context.Context, c journal.Change) error {
		err := a.apply(ctx, c)
		select {
		case heard <- struct{}{}:
		default:
		}
		return err
	}
	var err error
	if a.tail, err = journal.NewTail(t.Context(), a.DB, a.Now, apply, a.reset); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return heard
}

func TestConcurrentDecisionsUnderChange(t *testing.T) {
	f := newSQLiteFixture(t)
	tokens := []string{f.token(f.a1), f.token(f.a2), f.token(f.b1)}
	var callers sync.WaitGroup
	for worker := range 4 {
		callers.Go(func() {
			for i := range 300 {
				if _, err := f.decide(call{token: tokens[(i+worker)%len(tokens)]}); err != nil && codeOf(err) != fault.PermissionMissing {
					t.Errorf("decision: %v", err)
				}
			}
		})
	}
	for range 5 {
		f.changes(f.orgB, registry.RemovePermissions{Client: f.b1.id, Permissions: []string{"p1.read"}})
		f.wants(t, call{token: tokens[2]}, fault.PermissionMissing)
		f.changes(f.orgB, registry.AddPermissions{Client: f.b1.id, Permissions: []string{"p1.read"}})
		f.wants(t, call{token: tokens[2]}, "")
	}
	callers.Wait()
}
