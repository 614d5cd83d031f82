package usage_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/internal/usage"
)

const (
	organisation = id.Organisation("o-0123456789abcdefghij")
	client       = id.Client("sandbox-round-apple-123")
	secret       = id.Secret("0123456789ab")
)

var address = netip.MustParseAddr("192.0.2.7")

func node(db *sqldb.DB) *usage.Usage {
	return usage.New(usage.Config{DB: db, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

func each(t *testing.T, test func(t *testing.T, u *usage.Usage, by actor.Actor)) {
	t.Helper()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO client (id, owner, organisation_id, account_id, name, state, token_lifetime, networks, generation, version, created_at)
				VALUES ($1, 'organisation', $2, '', 'c', 'enabled', 600, '', 1, 1, 0)`, client, organisation)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		test(t, node(db), actor.NewSystem("test").In(organisation))
	})
}

func call() usage.Attempt {
	return usage.Attempt{
		Kind: usage.Call, At: time.Now(), Client: client, Address: address, Allowed: true, Status: 200, Organisation: organisation,
		Permissions: []string{"echo.call"}, Method: "GET", Path: "/echo/hello", Product: "echo", Route: "* /{rest...}",
	}
}

func TestLastUsesAreWrittenWithTheirAddress(t *testing.T) {
	each(t, func(t *testing.T, u *usage.Usage, by actor.Actor) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		used := usage.Attempt{Kind: usage.TokenRequest, At: now, Client: client, Address: address, Allowed: true, Organisation: organisation, Secret: secret}
		called := call()
		called.At = now
		u.Record(used)
		u.Record(called)
		if err := u.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := u.Client(t.Context(), by, client)
		if err != nil {
			t.Fatal(err)
		}
		use := usage.Use{At: now, From: address}
		want := usage.ClientUse{Call: use, Token: use, Secrets: map[id.Secret]usage.Use{secret: use}, Permissions: map[string]usage.Use{"echo.call": use}}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Error(diff)
		}
		if _, err := u.Client(t.Context(), actor.NewSystem("test").In("o-abcdefghij0123456789"), client); fault.KindOf(err) != fault.NotFound {
			t.Errorf("another organisation reads it: %v", err)
		}
	})
}

func TestAttemptsOfWatchedClientsAloneAreWritten(t *testing.T) {
	each(t, func(t *testing.T, u *usage.Usage, by actor.Actor) {
		u.Record(call())
		if err := u.Watch(t.Context(), by, client); err != nil {
			t.Fatal(err)
		}
		refused := call()
		refused.Allowed, refused.Status, refused.Code, refused.Lacking = false, 403, "permission_missing", "echo.call"
		for range 100 { // a flood from one address
			u.Record(refused)
		}
		if err := u.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := u.Attempts(t.Context(), by, client, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 || len(got) > 10 || got[0].Code != "permission_missing" || got[0].Lacking != "echo.call" || got[0].Address != address {
			t.Fatalf("attempts = %+v", got)
		}
		if rest, err := u.Attempts(t.Context(), by, client, got[len(got)-1].Number, 100); err != nil || len(rest) > 0 {
			t.Errorf("after the last one: %v, %v", rest, err)
		}
	})
}

func TestRecordingAllocatesNothingAndRunsNoSQL(t *testing.T) {
	db := sqldbtest.New(t)
	u := node(db)
	attempt := call()
	u.Record(attempt)
	before := db.Statements()
	if got := testing.AllocsPerRun(100, func() { u.Record(attempt) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
	if n := db.Statements() - before; n > 0 {
		t.Errorf("%d statements", n)
	}
}

func exec(t *testing.T, db *sqldb.DB, statement string) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), statement)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUsesOutlastADatabaseThatFails(t *testing.T) {
	each(t, func(t *testing.T, u *usage.Usage, by actor.Actor) {
		if err := u.Watch(t.Context(), by, client); err != nil {
			t.Fatal(err)
		}
		exec(t, u.DB, `ALTER TABLE last_use RENAME TO elsewhere`)
		exec(t, u.DB, `ALTER TABLE attempt RENAME TO elsewhere2`)
		u.Record(call())
		if err := u.Flush(t.Context()); err == nil {
			t.Fatal("the database fails, and nobody says so")
		}
		if err := u.Flush(t.Context()); err == nil {
			t.Fatal("the uses were not tried again")
		}
		if u.Lost() != 1 {
			t.Errorf("%d lost, want the attempt", u.Lost())
		}
		exec(t, u.DB, `ALTER TABLE elsewhere RENAME TO last_use`)
		exec(t, u.DB, `ALTER TABLE elsewhere2 RENAME TO attempt`)
		if err := u.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if use, err := u.Client(t.Context(), by, client); err != nil || use.Call.From != address {
			t.Errorf("after the database came back: %+v, %v", use, err)
		}
	})
}

func TestUsesFillNoMoreThanTheirMemory(t *testing.T) {
	u := node(sqldbtest.New(t))
	for i := range usage.Most + usage.Most/4 {
		a := call()
		a.Client, a.Permissions = id.Client(fmt.Sprintf("sandbox-round-apple-%d", 100+i)), nil
		u.Record(a)
	}
	held, lost := u.Uses(), int(u.Lost())
	if held > usage.Most || lost == 0 || held+lost != usage.Most+usage.Most/4 {
		t.Errorf("%d held, %d lost", held, lost)
	}
}

func TestUsesThatAreWrittenAreForgotten(t *testing.T) {
	u := node(sqldbtest.New(t))
	a := call()
	a.At = a.At.Add(-3 * usage.Precision) // what is used all the time is kept
	u.Record(a)
	held := u.Uses()
	for range 2 { // writes, then forgets
		if err := u.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := u.Uses(); held == 0 || left > 0 {
		t.Errorf("%d were held, and %d are after they were written", held, left)
	}
}

func TestAnOlderUseDoesNotReplaceANewerOne(t *testing.T) {
	each(t, func(t *testing.T, u *usage.Usage, by actor.Actor) {
		other := node(u.DB)
		newer, older := call(), call()
		older.At = newer.At.Add(-time.Minute)
		for _, of := range []struct {
			node *usage.Usage
			call usage.Attempt
		}{{u, newer}, {other, older}} {
			of.node.Record(of.call)
			if err := of.node.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if use, err := u.Client(t.Context(), by, client); err != nil || use.Call.At.UnixMicro() != newer.At.UnixMicro() {
			t.Errorf("last call %v, %v; want %v", use.Call.At, err, newer.At)
		}
	})
}

func TestFollowShowsAttemptsAtEveryNode(t *testing.T) {
	each(t, func(t *testing.T, u *usage.Usage, by actor.Actor) {
		other := node(u.DB)
		if err := u.Watch(t.Context(), by, client); err != nil {
			t.Fatal(err)
		}
		if err := other.ReloadWatches(t.Context()); err != nil { // as the change feed has it done
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var running sync.WaitGroup
		for _, each := range []*usage.Usage{u, other} {
			running.Go(func() { each.Run(ctx) })
		}
		defer running.Wait()
		defer cancel()
		elsewhere := call()
		elsewhere.Address = netip.MustParseAddr("192.0.2.8")
		other.Record(elsewhere)
		var seen []netip.Addr
		var last int64
		err := u.Follow(ctx, by, client, 0, func(attempts []usage.Attempt) error {
			for _, a := range attempts {
				if a.Number <= last {
					t.Errorf("number %d after %d", a.Number, last)
				}
				last = a.Number
				seen = append(seen, a.Address)
			}
			if len(seen) == 1 { // the next one comes while it waits
				u.Record(call())
				return nil
			}
			cancel()
			return nil
		})
		if diff := cmp.Diff([]netip.Addr{elsewhere.Address, address}, seen, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
			t.Errorf("%s, %v", diff, err)
		}
	})
}

func TestFollowingAnothersClientIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, u *usage.Usage, _ actor.Actor) {
		stranger := actor.NewSystem("test").In("o-abcdefghij0123456789")
		err := u.Follow(t.Context(), stranger, client, 0, func([]usage.Attempt) error { return nil })
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("err = %v", err)
		}
	})
}

func TestAttemptsAndWatchesEnd(t *testing.T) {
	each(t, func(t *testing.T, u *usage.Usage, by actor.Actor) {
		now := time.Now()
		u.Now = func() time.Time { return now }
		if err := u.Watch(t.Context(), by, client); err != nil {
			t.Fatal(err)
		}
		u.Record(call())
		left := func(after time.Duration) int {
			t.Helper()
			if err := u.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(after)
			if err := u.Trim(t.Context()); err != nil {
				t.Fatal(err)
			}
			attempts, err := u.Attempts(t.Context(), by, client, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			return len(attempts)
		}
		if got := left(usage.KeepAttempts - time.Minute); got != 1 {
			t.Fatalf("%d attempts before their time is over", got)
		}
		late := call()
		late.At = now
		u.Record(late) // the watch has ended
		if got := left(2 * time.Minute); got != 0 {
			t.Errorf("%d attempts when all is over", got)
		}
	})
}
