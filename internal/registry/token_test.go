package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

func (f *fixture) revoked(t *testing.T) map[string]time.Time {
	t.Helper()
	entry, err := f.ClientEntry(t.Context(), f.a1)
	if err != nil || entry == nil {
		t.Fatalf("ClientEntry = %v, %v", entry, err)
	}
	return entry.RevokedTokens
}

func TestARevokedTokenIsKeptADayLongerThanItWouldHaveLived(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ends := f.Now().Add(time.Minute)
		f.must(t, f.adminA, registry.RevokeToken{Client: f.a1, TokenID: "one", Expires: ends}, registry.RevokeToken{Client: f.a1, TokenID: "two", Expires: ends.Add(time.Minute)})
		if diff := cmp.Diff(map[string]time.Time{"one": ends, "two": ends.Add(time.Minute)}, f.revoked(t)); diff != "" {
			t.Error(diff)
		}
		f.clock.add(12 * time.Hour) // and the clock was wrong: it goes back
		f.must(t, f.adminA, registry.RevokeToken{Client: f.a1, TokenID: "of-the-wrong-day", Expires: ends.Add(13 * time.Hour)})
		f.clock.add(-12 * time.Hour)
		if got := f.revoked(t); len(got) != 3 || got["one"].IsZero() {
			t.Errorf("revoked after the clock went back: %v", got)
		}
		f.clock.add(24*time.Hour + time.Minute)
		if got := f.revoked(t); !got["one"].IsZero() || got["two"].IsZero() {
			t.Errorf("revoked a day later: %v", got)
		}
		f.must(t, f.adminA, registry.RevokeToken{Client: f.a1, TokenID: "three", Expires: ends.Add(48 * time.Hour)})
		if rows := query(t, f.DB, `SELECT jti FROM revoked_token ORDER BY jti`); len(rows) != 3 {
			t.Errorf("rows = %v; what has expired is to be forgotten", rows)
		}
	})
}

func TestAHundredTokensOfAClientCanBeRevokedAtATime(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		revoke := func(i int) registry.Edit {
			return registry.RevokeToken{Client: f.a1, TokenID: fmt.Sprint("t", i), Expires: f.Now().Add(time.Minute)}
		}
		var edits []registry.Edit
		for i := range registry.MaxRevokedTokens {
			edits = append(edits, revoke(i))
		}
		f.must(t, f.adminA, edits...)
		wantKind(t, f.Apply(t.Context(), f.adminA, revoke(100)), fault.RateLimited)
		f.must(t, f.adminA, revoke(99)) // revoked already: no more than a repetition
		f.must(t, f.adminA, registry.RevokeToken{Client: f.a2, TokenID: "other", Expires: f.Now().Add(time.Minute)})
		t.Run("twin", func(t *testing.T) {
			f.clock.add(time.Minute)
			f.must(t, f.adminA, revoke(100))
		})
		for range 12 { // minutes, each with as many again
			f.clock.add(time.Minute)
			for i := range edits {
				edits[i] = registry.RevokeToken{Client: f.a1, TokenID: fmt.Sprint(f.Now().Unix(), "-", i), Expires: f.Now().Add(time.Minute)}
			}
			f.must(t, f.adminA, edits...)
		}
		if kept := len(f.revoked(t)); kept > 11*registry.MaxRevokedTokens {
			t.Errorf("%d revoked tokens of one client are kept", kept)
		}
	})
}

func TestATokenIsRevokedByItsOwnClientOrWhoMayDisableIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		token := func(name string) registry.Edit {
			return registry.RevokeToken{Client: f.a1, TokenID: name, Expires: f.Now().Add(time.Minute)}
		}
		self := actor.NewClient(f.a1, f.orgA, f.productionA, f.secretA1, nil)
		other := actor.NewClient(f.a2, f.orgA, f.productionA, "x", nil)
		foreign := actor.NewClient(f.a1, f.orgB, f.productionB, "x", nil)
		f.refuses(t,
			refusal{name: "another client", by: other, edit: token("t1"), want: fault.Forbidden, twin: token("t1"), twinBy: self},
			refusal{name: "client of that name elsewhere", by: foreign, edit: token("t2"), want: fault.NotFound, twin: token("t2"), twinBy: self},
			refusal{name: "no id", by: self, edit: token(""), want: fault.Invalid, twin: token("t")},
			refusal{name: "long id", by: self, edit: token(strings.Repeat("x", 65)), want: fault.Invalid, twin: token(strings.Repeat("x", 64))},
			refusal{name: "space in the id", by: self, edit: token("a b"), want: fault.Invalid, twin: token("a-b")},
		)
	})
}

// A client that names another's token first must not keep it alive.
func TestATokenIDOfAnotherClientIsNoSilentSuccess(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		expires := f.Now().Add(time.Minute)
		f.must(t, f.adminB, registry.RevokeToken{Client: f.b1, TokenID: "same", Expires: expires})
		err := f.Apply(t.Context(), f.adminA, registry.RevokeToken{Client: f.a1, TokenID: "same", Expires: expires})
		if _, kept := f.revoked(t)["same"]; err == nil && !kept {
			t.Error("the revocation was acknowledged and not stored")
		}
	})
}
