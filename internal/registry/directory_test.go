package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func (f *fixture) entry(t *testing.T, key id.Client) *registry.ClientEntry {
	t.Helper()
	entry, err := f.ClientEntry(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func TestAClientEntryHoldsAllThatADecisionNeeds(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		entry := f.entry(t, f.a2)
		if diff := cmp.Diff([]string{"p1.read", "p2.read"}, entry.Permissions); diff != "" {
			t.Error(diff)
		}
		if entry.Organisation != f.orgA || entry.Account != f.productionA || entry.State != registry.Enabled || len(entry.Secrets) != 0 || entry.RevokedTokens != nil {
			t.Errorf("entry = %+v", entry)
		}
		if got := len(f.entry(t, f.a1).Secrets); got != 2 {
			t.Errorf("a1 has %d secrets, want 2", got)
		}
		if got := f.entry(t, unknownClient); got != nil {
			t.Errorf("the unknown client has the entry %+v", got)
		}
		f.must(t, f.adminA, registry.SetClientState{Client: f.a2, State: registry.Deleted})
		if got := f.entry(t, f.a2); got != nil {
			t.Errorf("the deleted client has the entry %+v", got)
		}
	})
}

func TestSEC06_revokingShowsInTheDirectoryAtOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		state := func(key id.Secret) registry.SecretState {
			for _, s := range f.entry(t, f.a1).Secrets {
				if s.ID == key {
					return s.StateAt(f.Now())
				}
			}
			return ""
		}
		for _, step := range []struct {
			set  registry.SecretState
			want registry.SecretState
		}{{registry.SecretDisabled, "disabled"}, {registry.SecretActive, "active"}, {registry.SecretRevoked, "revoked"}} {
			f.must(t, f.adminA, registry.SetSecretState{Client: f.a1, Secret: f.secretA1, State: step.set})
			if got := state(f.secretA1); got != step.want {
				t.Errorf("the directory says %s, want %s", got, step.want)
			}
			rows := query(t, f.DB, `SELECT kind, key FROM change ORDER BY seq DESC LIMIT 1`)
			if diff := cmp.Diff([][]string{{"client", string(f.a1)}}, rows); diff != "" {
				t.Errorf("change feed: %s", diff)
			}
		}
		t.Run("twin", func(t *testing.T) {
			if got := state(f.secondA1); got != registry.SecretActive {
				t.Errorf("the other secret is %s", got)
			}
		})
	})
}

func TestTEN16_suspendingAnAccountStopsItsClientsAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.operator.In(f.orgA), registry.SetAccountState{Account: f.productionA, State: registry.Suspended})
		account := func(key id.Account) registry.AccountEntry {
			t.Helper()
			entry, err := f.AccountEntry(t.Context(), key)
			if err != nil || entry == nil {
				t.Fatalf("AccountEntry = %v, %v", entry, err)
			}
			return *entry
		}
		if diff := cmp.Diff(registry.AccountEntry{Organisation: f.orgA, State: registry.Suspended, Generation: 1}, account(f.productionA)); diff != "" {
			t.Error(diff)
		}
		t.Run("twin", func(t *testing.T) {
			for key, organisation := range map[id.Account]id.Organisation{f.sandboxA: f.orgA, f.productionB: f.orgB} {
				if diff := cmp.Diff(registry.AccountEntry{Organisation: organisation, State: registry.Active}, account(key)); diff != "" {
					t.Error(diff)
				}
			}
			entry, err := f.OrganisationEntry(t.Context(), f.orgA)
			if err != nil || entry.State != registry.Active || entry.Generation != 0 {
				t.Errorf("organisation: %+v, %v", entry, err)
			}
		})
	})
}

func TestAnOrganisationEntryHoldsItsGrants(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.operator.In(f.orgA), registry.WithdrawProduct{Product: "p1", Environment: id.Production}, registry.SetOrganisationState{State: registry.Suspended})
		got, err := f.OrganisationEntry(t.Context(), f.orgA)
		if err != nil {
			t.Fatal(err)
		}
		want := &registry.OrganisationEntry{State: registry.Suspended, Generation: 1, Grants: map[registry.ProductGrant]bool{{Product: "p2", Environment: id.Production}: true}}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUnknownEntriesAreNilWithoutAnError(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		if entry, err := f.AccountEntry(t.Context(), unknownAccount); entry != nil || err != nil {
			t.Errorf("AccountEntry = %v, %v", entry, err)
		}
		if entry, err := f.OrganisationEntry(t.Context(), "o-00000000000000000000"); entry != nil || err != nil {
			t.Errorf("OrganisationEntry = %v, %v", entry, err)
		}
	})
}

func TestAnEntryIsAnErrorWhenTheDatabaseIsAway(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		if err := f.DB.Close(); err != nil {
			t.Fatal(err)
		}
		client, err := f.ClientEntry(t.Context(), f.a1)
		if err == nil || client != nil {
			t.Errorf("ClientEntry = %v, %v", client, err)
		}
		account, err := f.AccountEntry(t.Context(), f.productionA)
		if err == nil || account != nil {
			t.Errorf("AccountEntry = %v, %v", account, err)
		}
		organisation, err := f.OrganisationEntry(t.Context(), f.orgA)
		if err == nil || organisation != nil {
			t.Errorf("OrganisationEntry = %v, %v", organisation, err)
		}
	})
}

func TestTimesComeBackToTheMicrosecond(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ends := time.Date(2038, 1, 19, 3, 14, 8, 123456789, time.FixedZone("", 3600))
		key, _, err := f.AddSecret(t.Context(), f.adminA, f.a2, "s", ends)
		if err != nil {
			t.Fatal(err)
		}
		s := f.entry(t, f.a2).Secrets[0]
		if want := ends.Truncate(time.Microsecond).UTC(); s.ID != key || !s.ExpiresAt.Equal(want) || s.ExpiresAt.Location() != time.UTC {
			t.Errorf("expires at %v, want %v", s.ExpiresAt, want)
		}
	})
}
