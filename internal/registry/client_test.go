package registry_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestAClientIsNamedAfterItsOneOwner(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, c := range []struct {
			prefix      string
			by          actor.Actor
			account     id.Account
			owner       registry.Owner
			environment id.Environment
			letter      byte
		}{
			{"sandbox", f.adminA, f.sandboxA, registry.OwnedByAccount, id.Sandbox, 's'},
			{"prod", f.adminA, f.productionA, registry.OwnedByAccount, id.Production, 'p'},
			{"org", f.adminA, "", registry.OwnedByOrganisation, id.Production, 'o'},
			{"op", f.operator, "", registry.OwnedByOperator, id.Production, 'o'},
		} {
			key, err := f.CreateClient(t.Context(), c.by, registry.NewClient{Account: c.account, Name: "n"})
			if err != nil {
				t.Fatal(err)
			}
			if parts := strings.Split(string(key), "-"); len(parts) != 4 || parts[0] != c.prefix || len(parts[3]) != 3 {
				t.Errorf("id = %q, want %s-adjective-noun-123", key, c.prefix)
			}
			got := mustClient(t, f, c.by, key)
			want := registry.Client{ID: key, Owner: c.owner, Organisation: c.by.Organisation(), Account: c.account, Name: "n", State: registry.Enabled,
				TokenLifetime: 600 * time.Second, Generation: 1, Version: 1, CreatedAt: f.Now()}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Error(diff)
			}
			if got.Environment() != c.environment || registry.EnvironmentLetter(key) != c.letter {
				t.Errorf("%s: environment %s, letter %c", key, got.Environment(), registry.EnvironmentLetter(key))
			}
		}
	})
}

// fewBytes draws from so few values that ids collide: it gives 0 to choices-1.
type fewBytes struct {
	*seeded
	choices byte
}

func (b fewBytes) Read(p []byte) (int, error) {
	n, err := b.seeded.Read(p)
	for i := range p {
		if p[i] %= b.choices; i < len(p)-1 {
			p[i] = 0
		}
	}
	return n, err
}

func TestAClientIsSetUpWholeOrNotAtAll(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in := f.operator.In(f.orgA)
		setup := registry.Setup{
			NewClient: registry.NewClient{Account: f.productionA, Name: "whole"}, Permissions: []string{"p1.read"},
			Secret: "first", Expires: f.Now().Add(time.Hour),
		}
		key, first, value, err := f.SetUpClient(t.Context(), in, setup)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.ClientSummary(t.Context(), in, key)
		if err != nil || s.Secrets != 1 || !slices.Equal(s.Permissions, setup.Permissions) || !s.ExpiresAt.Equal(setup.Expires) {
			t.Errorf("the client has %+v, %v", s, err)
		}
		if public, _, ok := f.Mint.Parse(value.Reveal()); !ok || public != first {
			t.Errorf("the secret shown is not %s", first)
		}
		before := mustAudit(t, f)
		setup.Name, setup.Permissions = "half", []string{"p1.read", "p1.none"}
		if _, _, value, err := f.SetUpClient(t.Context(), in, setup); fault.KindOf(err) != fault.Invalid || !value.IsZero() {
			t.Errorf("with an unknown permission: %v", err)
		}
		if after := mustAudit(t, f); after != before {
			t.Errorf("%d records were added", after-before)
		}
	})
}

func mustAudit(t *testing.T, f *fixture) int {
	t.Helper()
	list, err := f.AuditRecords(t.Context(), f.system.In(f.orgA), registry.AuditFilter{}, registry.Page{Limit: registry.MaxPageSize})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

func TestAClientIDGetsOneMoreDigitAfterThreeCollisions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		config := f.Config
		config.Rand = fewBytes{newSeeded(1), 1} // always the same words and number
		r := registry.New(config)
		for i, digits := range []int{3, 4, 5, 6} {
			name := strings.Repeat("x", i+1)
			key, err := r.CreateClient(t.Context(), f.adminA, registry.NewClient{Account: f.sandboxA, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			if number := key[strings.LastIndex(string(key), "-")+1:]; len(number) != digits {
				t.Errorf("client %d has the id %s, want %d digits", i, key, digits)
			}
		}
		before := dump(t, f.DB)
		key, err := r.CreateClient(t.Context(), f.adminA, registry.NewClient{Account: f.sandboxA, Name: "one too many"})
		wantKind(t, err, fault.Conflict)
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" || key != "" {
			t.Errorf("the collision gave %q and left %s", key, diff)
		}
	})
}

func TestParallelClientsOfCollidingIDsAreUnique(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		config := f.Config
		config.Rand = fewBytes{newSeeded(2), 3} // 27 ids of each length
		r := registry.New(config)
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[id.Client]bool{}
		for i := range 40 {
			wg.Go(func() {
				key, err := r.CreateClient(t.Context(), f.adminA, registry.NewClient{Account: f.sandboxA, Name: strings.Repeat("x", i+1)})
				mu.Lock()
				defer mu.Unlock()
				if err != nil || seen[key] {
					t.Errorf("client %d: %q, %v", i, key, err)
				}
				seen[key] = true
			})
		}
		wg.Wait()
	})
}

func TestAClientIDIsNeverUsedAgain(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, registry.SetClientState{Client: f.a1, State: registry.Deleted})
		_, err := f.Client(t.Context(), f.adminA, f.a1)
		wantKind(t, err, fault.NotFound)
		for _, state := range []registry.ClientState{registry.Enabled, registry.Disabled, registry.Deleted} {
			wantKind(t, f.Apply(t.Context(), f.adminA, registry.SetClientState{Client: f.a1, State: state}), fault.NotFound)
		}
		again := registry.CreateClient{ID: f.a1, Account: f.productionA, Name: "a1"}
		wantKind(t, f.Apply(t.Context(), f.adminA, again), fault.Conflict)
		t.Run("twin", func(t *testing.T) { // its name is free again, another id will do
			again.ID = "prod-alpha-apple-999"
			f.must(t, f.adminA, again)
		})
	})
}

func TestClientSettingsAreChecked(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		by := f.adminA
		text := func(s string) *string { return &s }
		lifetime := func(d time.Duration) registry.UpdateClient {
			return registry.UpdateClient{Client: f.a1, TokenLifetime: &d}
		}
		networks := func(n int, prefixes ...string) registry.UpdateClient {
			list := []netip.Prefix{}
			for i := range n {
				list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24))
			}
			for _, p := range prefixes {
				list = append(list, netip.MustParsePrefix(p))
			}
			return registry.UpdateClient{Client: f.a1, Networks: &list}
		}
		create := func(key id.Client, account id.Account, name string) registry.CreateClient {
			return registry.CreateClient{ID: key, Account: account, Name: name}
		}
		f.refuses(t,
			refusal{name: "no lifetime", by: by, edit: lifetime(0), want: fault.Invalid, twin: lifetime(time.Second)},
			refusal{name: "long lifetime", by: by, edit: lifetime(3601 * time.Second), want: fault.Invalid, twin: lifetime(3600 * time.Second)},
			refusal{name: "part of a second", by: by, edit: lifetime(1500 * time.Millisecond), want: fault.Invalid, twin: lifetime(2 * time.Second)},
			refusal{name: "negative lifetime", by: by, edit: lifetime(-time.Second), want: fault.Invalid, twin: lifetime(time.Minute)},
			refusal{name: "33 networks", by: by, edit: networks(33), want: fault.Invalid, twin: networks(32)},
			refusal{name: "unmasked network", by: by, edit: networks(1, "192.0.2.1/24"), want: fault.Invalid, twin: networks(1, "192.0.2.0/24")},
			refusal{name: "unmasked IPv6 network", by: by, edit: networks(1, "2001:db8::1/32"), want: fault.Invalid, twin: networks(1, "2001:db8::1/128")},
			refusal{name: "IPv4 network written as IPv6", by: by, edit: networks(0, "::ffff:192.0.2.0/120"), want: fault.Invalid, twin: networks(0, "2001:db8::/120")},
			refusal{name: "zero network", by: by, edit: registry.UpdateClient{Client: f.a1, Networks: &[]netip.Prefix{{}}}, want: fault.Invalid, twin: networks(0)},
			refusal{name: "empty name", by: by, edit: registry.UpdateClient{Client: f.a1, Name: text("\t")}, want: fault.Invalid, twin: registry.UpdateClient{Client: f.a1, Name: text("t")}},
			refusal{name: "name taken", by: by, edit: registry.UpdateClient{Client: f.a1, Name: text("a2")}, want: fault.Conflict, twin: registry.UpdateClient{Client: f.a1, Name: text("A2")}},
			refusal{name: "name taken by one more", by: by, edit: create("prod-more-apple-111", f.productionA, "a2"), want: fault.Conflict, twin: create("sandbox-more-apple-111", f.sandboxA, "a2")},
			refusal{name: "id of another owner's kind", by: by, edit: create("org-more-apple-222", f.productionA, "n1"), want: fault.Invalid, twin: create("prod-more-apple-222", f.productionA, "n1")},
			refusal{name: "id of the other environment", by: by, edit: create("prod-more-apple-333", f.sandboxA, "n2"), want: fault.Invalid, twin: create("sandbox-more-apple-333", f.sandboxA, "n2")},
			refusal{name: "id of no form", by: by, edit: create("prod-more-apple-4x4", f.productionA, "n3"), want: fault.Invalid, twin: create("prod-more-apple-444", f.productionA, "n3")},
			refusal{name: "id taken in another organisation", by: by, edit: create(f.b1, f.productionA, "n4"), want: fault.Conflict, twin: create("prod-more-apple-555", f.productionA, "n4")},
			refusal{name: "lifetime of a new one", by: by, edit: registry.CreateClient{ID: "prod-more-apple-666", Account: f.productionA, Name: "n5", TokenLifetime: time.Hour + time.Second}, want: fault.Invalid,
				twin: registry.CreateClient{ID: "prod-more-apple-666", Account: f.productionA, Name: "n5", TokenLifetime: time.Hour}},
			refusal{name: "client of the operator", by: f.adminA, edit: create("op-more-apple-777", "", "n6"), want: fault.Invalid, twin: create("op-more-apple-777", "", "n6"), twinBy: f.operator},
			refusal{name: "client of the operator by nobody", by: actor.Actor{}, edit: create("op-more-apple-888", "", "n7"), want: fault.Forbidden, twin: create("op-more-apple-888", "", "n7"), twinBy: f.operator},
			refusal{name: "unknown state", by: by, edit: registry.SetClientState{Client: f.a1, State: "paused"}, want: fault.Invalid, twin: registry.SetClientState{Client: f.a1, State: "disabled"}},
		)
	})
}

func TestNetworksComeBackAsTheyWereGiven(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		want := []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("0.0.0.0/0")}
		f.must(t, f.adminA, registry.UpdateClient{Client: f.a1, Networks: &want})
		got := mustClient(t, f, f.adminA, f.a1)
		if diff := cmp.Diff(want, got.Networks, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Error(diff)
		}
		f.must(t, f.adminA, registry.UpdateClient{Client: f.a1})
		if got := mustClient(t, f, f.adminA, f.a1); len(got.Networks) != 3 || got.Name != "a1" || got.TokenLifetime != registry.DefaultTokenLifetime {
			t.Errorf("an update of nothing changed the client: %+v", got)
		}
	})
}

func TestDisablingRaisesTheGenerationOnceAndEnablingKeepsIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, step := range []struct {
			state registry.ClientState
			want  int64
		}{
			{registry.Enabled, 1}, {registry.Disabled, 2}, {registry.Disabled, 2},
			{registry.Enabled, 2}, {registry.Enabled, 2}, {registry.Disabled, 3}, {registry.Enabled, 3},
		} {
			f.must(t, f.adminA, registry.SetClientState{Client: f.a1, State: step.state})
			got := mustClient(t, f, f.adminA, f.a1)
			if got.State != step.state || got.Generation != step.want {
				t.Errorf("after %s: %s, generation %d, want %d", step.state, got.State, got.Generation, step.want)
			}
		}
	})
}

// A client of the organisation would act in production accounts that come later.
func TestAPasswordAloneMakesNoClientOfTheOrganisation(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		password := f.chief().Proven(actor.Proof{SandboxOnly: true, Recent: true, Verified: true})
		of := func(account id.Account, key id.Client) registry.CreateClient {
			return registry.CreateClient{ID: key, Account: account, Name: string(key)}
		}
		f.must(t, f.chief(), of("", "org-first-apple-100"), of(f.sandboxA, "sandbox-first-apple-100"))
		rename := func(key id.Client) registry.UpdateClient {
			name := "renamed"
			return registry.UpdateClient{Client: key, Name: &name}
		}
		f.refuses(t,
			refusal{name: "creates", by: password, edit: of("", "org-second-apple-100"), want: fault.Forbidden, twin: of(f.sandboxA, "sandbox-second-apple-100")},
			refusal{name: "creates with the factor", by: password, edit: of("", "org-third-apple-100"), want: fault.Forbidden, twin: of("", "org-third-apple-100"), twinBy: f.chief()},
			refusal{name: "changes", by: password, edit: rename("org-first-apple-100"), want: fault.Forbidden, twin: rename("sandbox-first-apple-100")},
			refusal{name: "adds a secret", by: password, edit: f.newSecret("org-first-apple-100", "s11111111111"), want: fault.Forbidden, twin: f.newSecret("sandbox-first-apple-100", "s11111111111")},
			refusal{name: "gives a permission", by: password, edit: registry.AddPermissions{Client: "org-first-apple-100", Permissions: []string{"p1.read"}}, want: fault.Forbidden, twin: registry.AddPermissions{Client: "sandbox-first-apple-100", Permissions: []string{"p1.read"}}},
		)
		f.must(t, password, registry.SetClientState{Client: "org-first-apple-100", State: registry.Disabled})
	})
}
