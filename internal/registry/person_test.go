package registry_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestSpellingsOfOneAddressHaveOneKey(t *testing.T) {
	const want = "ada@xn--bcher-kva.example"
	for _, text := range []string{"ada@bücher.example", "ADA@BÜCHER.example", "  ada@xn--bcher-kva.EXAMPLE ", "ａｄａ@bu\u0308cher.example"} {
		if got, err := registry.ParseEmail(text); err != nil || got.Key != want {
			t.Errorf("key of %q = %q, %v, want %q", text, got.Key, err, want)
		}
	}
	for _, text := range []string{"", "ada", "@example.com", "ada@", "a b@example.com", "ada@exa mple.com", "ada@example.com\r\nBcc: x@example.com", "<ada@example.com>", "a,b@example.com", "a@b@example.com", "ada@\xff.com", "ada@-.com", strings.Repeat("a", 250) + "@example.com"} {
		if got, err := registry.ParseEmail(text); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

func TestAnAddressHasOneVerifiedPersonAndThreeOthers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		create := func(key id.Person, email string, verified bool) registry.CreatePerson {
			return registry.CreatePerson{ID: key, Email: email, Password: hashed, Verified: verified}
		}
		people := []id.Person{"p-10000000000000000000", "p-20000000000000000000", "p-30000000000000000000"}
		for _, key := range people {
			f.must(t, f.system, create(key, "many@example.com", false))
		}
		f.refuses(t,
			refusal{name: "a fourth waits", by: f.system, edit: create("p-40000000000000000000", "MANY@example.com", false), want: fault.RateLimited, twin: create("p-40000000000000000000", "others@example.com", false)},
			refusal{name: "a second is verified", by: f.system, edit: create("p-50000000000000000000", "guest@example.com", true), want: fault.Conflict, twin: create("p-50000000000000000000", "guest@example.com", false)},
			refusal{name: "verified too late", by: f.system, edit: registry.VerifyPerson{Person: "p-50000000000000000000"}, want: fault.Conflict, twin: registry.VerifyPerson{Person: people[0]}},
			refusal{name: "no id", by: f.system, edit: create("p-1", "x@example.com", false), want: fault.Invalid, twin: create("p-60000000000000000000", "x@example.com", false)},
			refusal{name: "id taken", by: f.system, edit: create(people[0], "y@example.com", false), want: fault.Conflict, twin: create("p-70000000000000000000", "y@example.com", false)},
			refusal{name: "password of another", by: proven(f.guest, ""), edit: registry.SetPassword{Person: f.stranger, Password: hashed}, want: fault.Forbidden, twin: registry.SetPassword{Person: f.guest, Password: hashed}},
		)
		email, err := registry.ParseEmail("Many@Example.com")
		if err != nil {
			t.Fatal(err)
		}
		if p, ok, err := f.PersonOf(t.Context(), email); err != nil || !ok || p.ID != people[0] {
			t.Errorf("PersonOf = %v, %v, %v", p, ok, err)
		}
	})
}

func TestWEB10_aNewPasswordEndsTheOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		own := proven(f.guest, "")
		f.addSession(t, f.guest, own.Credential())
		f.addSession(t, f.guest, "another")
		f.addSession(t, f.stranger, "a stranger's")
		f.must(t, own, registry.SetPassword{Person: f.guest, Password: hashed})
		got := query(t, f.DB, `SELECT id FROM session ORDER BY id`)
		if len(got) != 2 || got[0][0] != "a stranger's" || got[1][0] != own.Credential() {
			t.Errorf("WEB-10: sessions left: %v", got)
		}
	})
}
