package registry_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

func (f *fixture) addSecret(t testing.TB, by actor.Actor, client id.Client) (id.Secret, secret.Plaintext) {
	t.Helper()
	key, plaintext, err := f.AddSecret(t.Context(), by, client, "secret", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return key, plaintext
}

func (f *fixture) secretOf(t testing.TB, client id.Client, key id.Secret) registry.Secret {
	t.Helper()
	entry, err := f.ClientEntry(t.Context(), client)
	if err != nil || entry == nil {
		t.Fatalf("ClientEntry = %v, %v", entry, err)
	}
	for _, s := range entry.Secrets {
		if s.ID == key {
			return s
		}
	}
	t.Fatalf("%s has no secret %s", client, key)
	return registry.Secret{}
}

func set(client id.Client, key id.Secret, state registry.SecretState) registry.SetSecretState {
	return registry.SetSecretState{Client: client, Secret: key, State: state}
}

func TestSEC01_aSecretIsShownOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, one := f.addSecret(t, f.adminA, f.a2)
		second, two, err := f.RotateSecret(t.Context(), f.adminA, f.a2, first, "next", time.Time{}, f.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		secrets, err := f.Secrets(t.Context(), f.adminA, f.a2, registry.SecretFilter{}, registry.Page{})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(secrets)
		if err != nil {
			t.Fatal(err)
		}
		everything := dumpText(t, f.DB) + string(encoded) + fmt.Sprintf("%+v %#v %+v %v", secrets, secrets, f.entry(t, f.a2), one)
		for _, plaintext := range []secret.Plaintext{one, two} {
			value := plaintext.Reveal()
			random := value[strings.LastIndex(value, "_")+1:]
			for _, part := range []string{value, random, random[:20], hex.EncodeToString([]byte(random))} {
				if strings.Contains(everything, part) {
					t.Error("SEC-01: the value of a secret can be read again")
				}
			}
		}
		t.Run("twin", func(t *testing.T) { // the search does find what is there
			for _, part := range []string{string(first), string(second), "secret.retire"} {
				if !strings.Contains(everything, part) {
					t.Errorf("%q is not in the dump", part)
				}
			}
		})
	})
}

func TestSEC03_theDatabaseHoldsOnlyTheDigest(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		key, plaintext := f.addSecret(t, f.adminA, f.a2)
		digest := f.secretOf(t, f.a2, key).Digest
		if text := dumpText(t, f.DB); !strings.Contains(text, hex.EncodeToString(digest)) {
			t.Error("the digest is not where this test looks for it")
		}
		for _, presented := range []string{string(digest), hex.EncodeToString(digest), string(digest[1:])} {
			if _, _, ok := f.Mint.Parse(presented); ok || digest.Matches(presented) {
				t.Errorf("SEC-03: the digest is taken for the secret")
			}
		}
		t.Run("twin", func(t *testing.T) {
			public, letter, ok := f.Mint.Parse(plaintext.Reveal())
			if !ok || public != key || letter != 'p' || !digest.Matches(plaintext.Reveal()) {
				t.Errorf("the secret itself is refused: %s, %c, %v", public, letter, ok)
			}
		})
	})
}

func TestSEC07_tenSecretsAtMostAlsoInParallel(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		for range 25 {
			wg.Go(func() {
				_, plaintext, err := f.AddSecret(t.Context(), f.adminA, f.a2, "s", time.Time{})
				switch {
				case err == nil && !plaintext.IsZero():
					made.Add(1)
				case fault.KindOf(err) == fault.Conflict && plaintext.IsZero():
					refused.Add(1)
				default:
					t.Errorf("AddSecret: %v", err)
				}
			})
		}
		wg.Wait()
		if made.Load() != registry.MaxSecrets || refused.Load() != 25-registry.MaxSecrets {
			t.Errorf("SEC-07: %d made, %d refused", made.Load(), refused.Load())
		}
		secrets := f.entry(t, f.a2).Secrets
		f.must(t, f.adminA, set(f.a2, secrets[0].ID, registry.SecretDisabled))
		wantKind(t, f.Apply(t.Context(), f.adminA, f.newSecret(f.a2, "newnewnewnew")), fault.Conflict)
		t.Run("twin", func(t *testing.T) {
			f.must(t, f.adminA, set(f.a2, secrets[0].ID, registry.SecretRevoked), f.newSecret(f.a2, "newnewnewnew"))
			if got := f.secretOf(t, f.a2, secrets[1].ID).State; got != registry.SecretActive {
				t.Errorf("SEC-07: revoking one made another %s", got)
			}
		})
	})
}

func TestSecretStatesOverTime(t *testing.T) {
	start := newClock().Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	for _, c := range []struct {
		name   string
		secret registry.Secret
		at     time.Duration
		want   registry.SecretState
	}{
		{"active for ever", registry.Secret{State: "active"}, 1e6 * time.Hour, "active"},
		{"before the expiry", registry.Secret{State: "active", ExpiresAt: at(time.Hour)}, time.Hour - 1, "active"},
		{"at the expiry", registry.Secret{State: "active", ExpiresAt: at(time.Hour)}, time.Hour, "expired"},
		{"retiring", registry.Secret{State: "retiring", EndsAt: at(time.Hour)}, time.Hour - 1, "retiring"},
		{"retired", registry.Secret{State: "retiring", EndsAt: at(time.Hour)}, time.Hour, "expired"},
		{"expired while retiring", registry.Secret{State: "retiring", EndsAt: at(2 * time.Hour), ExpiresAt: at(time.Hour)}, time.Hour, "expired"},
		{"end of another state", registry.Secret{State: "active", EndsAt: at(time.Hour)}, time.Hour, "active"},
		{"disabled and expired", registry.Secret{State: "disabled", ExpiresAt: at(time.Hour)}, 2 * time.Hour, "disabled"},
		{"revoked and expired", registry.Secret{State: "revoked", ExpiresAt: at(time.Hour)}, 2 * time.Hour, "revoked"},
	} {
		if got := c.secret.StateAt(at(c.at)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDisablingASecretCanBeUndoneForADay(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		disable, enable := set(f.a1, f.secretA1, registry.SecretDisabled), set(f.a1, f.secretA1, registry.SecretActive)
		f.must(t, f.adminA, disable)
		f.clock.add(registry.UndoWindow - time.Microsecond)
		f.must(t, f.adminA, enable)
		if s := f.secretOf(t, f.a1, f.secretA1); s.State != registry.SecretActive || !s.DisabledAt.IsZero() {
			t.Errorf("after the undo: %+v", s)
		}
		f.must(t, f.adminA, disable)
		f.clock.add(registry.UndoWindow)
		wantKind(t, f.Apply(t.Context(), f.adminA, enable), fault.Conflict)
		// Disabling once more does not begin another day.
		f.must(t, f.adminA, disable)
		wantKind(t, f.Apply(t.Context(), f.adminA, enable), fault.Conflict)
		f.must(t, f.adminA, set(f.a1, f.secretA1, registry.SecretRevoked))
		wantKind(t, f.Apply(t.Context(), f.adminA, enable), fault.Conflict)
	})
}

func TestRevokingIsFinalAndKeepsItsFirstTime(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		revoke, when := set(f.a1, f.secretA1, registry.SecretRevoked), f.Now()
		f.must(t, f.adminA, revoke)
		f.clock.add(time.Hour)
		f.must(t, f.adminA, revoke)
		if s := f.secretOf(t, f.a1, f.secretA1); s.State != registry.SecretRevoked || !s.RevokedAt.Equal(when) {
			t.Errorf("revoked twice: %+v", s)
		}
		for _, state := range []registry.SecretState{registry.SecretActive, registry.SecretDisabled} {
			wantKind(t, f.Apply(t.Context(), f.adminA, set(f.a1, f.secretA1, state)), fault.Conflict)
		}
	})
}

func TestUndoingDisablesGoesBackToRetiring(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ends := f.Now().Add(time.Hour)
		f.must(t, f.adminA, registry.RetireSecret{Client: f.a1, Secret: f.secretA1, Successor: f.secondA1, Ends: ends},
			set(f.a1, f.secretA1, registry.SecretDisabled), set(f.a1, f.secretA1, registry.SecretActive))
		if s := f.secretOf(t, f.a1, f.secretA1); s.State != registry.SecretRetiring || !s.EndsAt.Equal(ends) {
			t.Errorf("after the undo: %+v", s)
		}
		f.must(t, f.adminA, set(f.a1, f.secretA1, registry.SecretActive)) // and now the retirement is cancelled
		if s := f.secretOf(t, f.a1, f.secretA1); s.State != registry.SecretActive || !s.EndsAt.IsZero() {
			t.Errorf("after the second: %+v", s)
		}
		f.must(t, f.adminA, registry.RetireSecret{Client: f.a1, Secret: f.secretA1, Successor: f.secondA1, Ends: ends})
		f.clock.add(time.Hour)
		wantKind(t, f.Apply(t.Context(), f.adminA, set(f.a1, f.secretA1, registry.SecretActive)), fault.Conflict)
	})
}

func TestSecretEditsAreChecked(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, f.newSecret(f.a1, "thirdthird12"), f.newSecret(f.a1, "fourthfourth"), f.newSecret(f.a1, "fifthfifth12"))
		retire := func(key, successor id.Secret, ends time.Time) registry.RetireSecret {
			return registry.RetireSecret{Client: f.a1, Secret: key, Successor: successor, Ends: ends}
		}
		fresh := func(key id.Secret, change func(e *registry.AddSecret)) registry.AddSecret {
			e := f.newSecret(f.a2, key)
			change(&e)
			return e
		}
		same := func(*registry.AddSecret) {}
		expires := func(d time.Duration) func(e *registry.AddSecret) {
			return func(e *registry.AddSecret) { e.Expires = f.Now().Add(d) }
		}
		soon := f.Now().Add(time.Hour)
		f.refuses(t,
			refusal{name: "no digest", by: f.adminA, edit: fresh("aaaaaaaaaaa1", func(e *registry.AddSecret) { e.Digest = nil }), want: fault.Invalid, twin: fresh("aaaaaaaaaaa1", same)},
			refusal{name: "id of another form", by: f.adminA, edit: fresh("short", same), want: fault.Invalid, twin: fresh("aaaaaaaaaaa2", same)},
			refusal{name: "id taken", by: f.adminA, edit: fresh(f.secretB1, same), want: fault.Conflict, twin: fresh("aaaaaaaaaaa3", same)},
			refusal{name: "no name", by: f.adminA, edit: fresh("aaaaaaaaaaa4", func(e *registry.AddSecret) { e.Name = "" }), want: fault.Invalid, twin: fresh("aaaaaaaaaaa4", same)},
			refusal{name: "expired already", by: f.adminA, edit: fresh("aaaaaaaaaaa5", expires(0)), want: fault.Invalid, twin: fresh("aaaaaaaaaaa5", expires(time.Microsecond))},
			refusal{name: "retired without an end", by: f.adminA, edit: retire(f.secretA1, f.secondA1, time.Time{}), want: fault.Invalid, twin: retire(f.secretA1, f.secondA1, soon)},
			refusal{name: "retired twice", by: f.adminA, edit: retire(f.secretA1, f.secondA1, soon), want: fault.Conflict, twin: retire("thirdthird12", f.secondA1, soon)},
			refusal{name: "retired for itself", by: f.adminA, edit: retire(f.secondA1, f.secondA1, soon), want: fault.Conflict, twin: retire(f.secondA1, "fourthfourth", soon)},
			refusal{name: "retired for a retiring one", by: f.adminA, edit: retire("fourthfourth", f.secondA1, soon), want: fault.Conflict, twin: retire("fourthfourth", "fifthfifth12", soon)},
			refusal{name: "retired for another client's", by: f.adminA, edit: retire("fifthfifth12", f.managed, soon), want: fault.NotFound, twin: set(f.a1, "fifthfifth12", registry.SecretDisabled)},
			refusal{name: "made expired by hand", by: f.adminA, edit: set(f.a1, f.secretA1, registry.SecretExpired), want: fault.Invalid, twin: set(f.a1, f.secretA1, registry.SecretDisabled)},
			refusal{name: "made retiring by hand", by: f.adminA, edit: set(f.a1, f.secondA1, registry.SecretRetiring), want: fault.Invalid, twin: set(f.a1, f.secondA1, registry.SecretRevoked)},
		)
	})
}

func TestARetirementInThePastEndsNow(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, registry.RetireSecret{Client: f.a1, Secret: f.secretA1, Successor: f.secondA1, Ends: time.Unix(0, 0)})
		if s := f.secretOf(t, f.a1, f.secretA1); s.StateAt(f.Now()) != registry.SecretExpired || !s.EndsAt.Equal(f.Now()) {
			t.Errorf("secret = %+v", s)
		}
	})
}

// chain gives a1 a secret and makes two generations of secrets with it: one on
// a2, with that another on manager. It returns the three.
func (f *fixture) chain(t *testing.T) (first, second, third id.Secret) {
	t.Helper()
	as := func(client id.Client, key id.Secret) actor.Actor {
		var all []string
		for _, ability := range actor.EveryAbility() {
			all = append(all, actor.ManagementPrefix+string(ability))
		}
		return actor.NewClient(client, f.orgA, f.productionA, key, all)
	}
	first, _ = f.addSecret(t, f.adminA, f.a1)
	second, _ = f.addSecret(t, as(f.a1, first), f.a2)
	third, _ = f.addSecret(t, as(f.a2, second), f.manager)
	return first, second, third
}

func TestRevokingKeepsDescendantsUnlessTheyAreToGo(t *testing.T) {
	for _, with := range []bool{false, true} {
		t.Run(fmt.Sprint("with descendants ", with), func(t *testing.T) {
			each(t, func(t *testing.T, f *fixture) {
				first, second, third := f.chain(t)
				revoke := set(f.a1, first, registry.SecretRevoked)
				revoke.WithDescendants = with
				f.must(t, f.adminA, revoke)
				want := map[bool]registry.SecretState{false: registry.SecretActive, true: registry.SecretRevoked}[with]
				for key, client := range map[id.Secret]id.Client{second: f.a2, third: f.manager} {
					s := f.secretOf(t, client, key)
					if s.State != want || s.RevokedAt.IsZero() == with {
						t.Errorf("descendant %s: %+v, want %s", key, s, want)
					}
				}
				if got := f.secretOf(t, f.manager, f.managed).State; got != registry.SecretActive {
					t.Errorf("another secret of the same client is %s", got)
				}
				changed := fmt.Sprint(query(t, f.DB, `SELECT key FROM change WHERE nonce = (SELECT nonce FROM change ORDER BY seq DESC LIMIT 1)`))
				for _, client := range []id.Client{f.a1, f.a2, f.manager} {
					if got := strings.Contains(changed, string(client)); got != (with || client == f.a1) {
						t.Errorf("the change feed names %s: %v", client, got)
					}
				}
			})
		})
	}
}

func TestRevokedDescendantsFollowARevokedAncestorLater(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, second, third := f.chain(t)
		f.must(t, f.adminA, set(f.a1, first, registry.SecretRevoked))
		revoke := set(f.a1, first, registry.SecretRevoked)
		revoke.WithDescendants = true // it turned out to be leaked
		f.must(t, f.adminA, revoke)
		for key, client := range map[id.Secret]id.Client{second: f.a2, third: f.manager} {
			if s := f.secretOf(t, client, key); s.State != registry.SecretRevoked {
				t.Errorf("descendant %s is %s", key, s.State)
			}
		}
	})
}

// A leaked secret cannot hide what it made behind a link that is revoked.
func TestADescendantIsReachedThroughARevokedOne(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, second, third := f.chain(t)
		f.must(t, f.adminA, set(f.a2, second, registry.SecretRevoked))
		when := f.Now()
		f.clock.add(time.Hour)
		revoke := set(f.a1, first, registry.SecretRevoked)
		revoke.WithDescendants = true
		f.must(t, f.adminA, revoke)
		if s := f.secretOf(t, f.manager, third); s.State != registry.SecretRevoked {
			t.Errorf("the third of the chain is %s", s.State)
		}
		if s := f.secretOf(t, f.a2, second); !s.RevokedAt.Equal(when) {
			t.Errorf("the second was revoked at %v, and says %v", when, s.RevokedAt)
		}
	})
}

func TestRotationMovesDescendantsToTheSuccessor(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, second, third := f.chain(t)
		names := func(of id.Secret) (keys []id.Secret) {
			t.Helper()
			list, err := f.Descendants(t.Context(), f.adminA, f.a1, of)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range list {
				keys = append(keys, s.ID)
			}
			return keys
		}
		if diff := cmp.Diff([]id.Secret{second, third}, names(first)); diff != "" {
			t.Error(diff)
		}
		ends := f.Now().Add(time.Hour)
		successor, plaintext, err := f.RotateSecret(t.Context(), f.adminA, f.a1, first, "next", time.Time{}, ends)
		if err != nil || plaintext.IsZero() {
			t.Fatal(err)
		}
		if s := f.secretOf(t, f.a1, first); s.State != registry.SecretRetiring || !s.EndsAt.Equal(ends) {
			t.Errorf("the old one is %+v", s)
		}
		if got := f.secretOf(t, f.a2, second).CreatedWith; got != string(successor) {
			t.Errorf("the descendant was created with %q, want %q", got, successor)
		}
		if diff := cmp.Diff([][]id.Secret{nil, {second, third}}, [][]id.Secret{names(first), names(successor)}); diff != "" {
			t.Error(diff)
		}
		f.must(t, f.adminA, registry.SetSecretState{Client: f.a1, Secret: first, State: registry.SecretRevoked, WithDescendants: true})
		if got := f.secretOf(t, f.a2, second).State; got != registry.SecretActive {
			t.Errorf("revoking the old one made the moved descendant %s", got)
		}
	})
}

func TestASecretRemembersTheCredentialThatCreatedIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		key, _ := f.addSecret(t, f.adminA, f.a1)
		if got := f.secretOf(t, f.a1, key).CreatedWith; got != "s-p-admin-a" {
			t.Errorf("created with %q, want the session of its maker", got)
		}
	})
}

func TestASecretOfTheOperatorReachesItsDescendantsEverywhere(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		client, err := f.CreateClient(t.Context(), f.operator, registry.NewClient{Name: "o"})
		if err != nil {
			t.Fatal(err)
		}
		key, _ := f.addSecret(t, f.operator, client)
		as := actor.NewClient(client, "", "", key, []string{"management.secret.write"})
		inA, _ := f.addSecret(t, as.In(f.orgA), f.a1)
		inB, _ := f.addSecret(t, as.In(f.orgB), f.b1)
		f.must(t, f.operator, registry.SetSecretState{Client: client, Secret: key, State: registry.SecretRevoked, WithDescendants: true})
		for k, c := range map[id.Secret]id.Client{inA: f.a1, inB: f.b1} {
			if got := f.secretOf(t, c, k).State; got != registry.SecretRevoked {
				t.Errorf("%s of %s is %s", k, c, got)
			}
		}
	})
}

func TestSecretsOfACreatorAreListedWhileTheyWork(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		chief, creator := f.chief(), f.chief().String()
		var made []id.Secret
		for range 3 {
			key, _ := f.addSecret(t, chief, f.a2)
			made = append(made, key)
			f.clock.add(time.Second)
		}
		f.addSecret(t, f.adminA, f.a2)
		f.must(t, chief, set(f.a2, made[1], registry.SecretDisabled))
		found := func(by actor.Actor) (keys []id.Secret) {
			for page := (registry.Page{Limit: 1}); ; {
				list, err := f.SecretsCreatedBy(t.Context(), by, creator, page)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range list.Items {
					if s.Client != f.a2 || s.ClientName != "a2" || s.Account != f.productionA || s.CreatedBy != creator {
						t.Errorf("%+v", s)
					}
					keys = append(keys, s.ID)
				}
				if list.Next == "" {
					return keys
				}
				page.After = list.Next
			}
		}
		if diff := cmp.Diff([]id.Secret{made[2], made[0]}, found(f.adminA)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := found(f.adminB); len(got) > 0 {
			t.Errorf("TEN-02: another organisation sees %v", got)
		}
		elsewhere := proven("p-1", f.orgA, actor.RoleGrant{Role: actor.AccountAdmin, Account: f.sandboxA})
		if got := found(elsewhere); len(got) > 0 {
			t.Errorf("TEN-02: the admin of another account sees %v", got)
		}
	})
}
