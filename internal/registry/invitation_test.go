package registry_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// addSession stores a session of a person, as signing in does.
func (f *fixture) addSession(t testing.TB, person id.Person, name string) {
	t.Helper()
	err := f.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO session (digest, id, person_id, created_at, proved_at, factor_at, seen_at, ends_at, address, user_agent) VALUES ($1, $2, $3, 0, 0, 0, 0, 0, '', '')`, []byte(name), name, person)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPRIV05_anInvitationIsGoodOnceForOneAddressUntilItEnds(t *testing.T) {
	accept := func(f *fixture) registry.Edit {
		return registry.AcceptInvitation{Invitation: f.invitedA, Token: f.tokenA}
	}
	cases := map[string]struct {
		spoil func(t *testing.T, f *fixture)
		by    func(f *fixture) actor.Actor
		edit  func(f *fixture) registry.Edit
		want  fault.Kind
	}{
		"PRIV-05 reused": {spoil: func(t *testing.T, f *fixture) {
			f.must(t, proven(f.guest, ""), accept(f), registry.RenamePerson{Name: "x"})
			f.must(t, proven(f.guest, f.orgA), registry.LeaveOrganisation{})
		}, want: fault.Conflict},
		"PRIV-05 expired to the second": {spoil: func(_ *testing.T, f *fixture) { f.clock.add(registry.InvitationLifetime) }, want: fault.Conflict},
		"PRIV-05 revoked": {spoil: func(t *testing.T, f *fixture) {
			f.must(t, f.chief(), registry.RevokeInvitation{Invitation: f.invitedA})
		}, want: fault.Conflict},
		"PRIV-05 for another address": {by: func(f *fixture) actor.Actor { return proven(f.stranger, "") }, want: fault.Forbidden},
		"PRIV-05 another token": {edit: func(f *fixture) registry.Edit {
			return registry.AcceptInvitation{Invitation: f.invitedA, Token: secret.NewPlaintext("tokem")}
		}, want: fault.NotFound},
		"PRIV-05 an older link": {spoil: func(t *testing.T, f *fixture) {
			f.must(t, f.chief(), registry.ResendInvitation{Invitation: f.invitedA, Token: secret.NewPlaintext("new")})
		}, want: fault.NotFound},
		"PRIV-08 the inviter was demoted": {spoil: func(t *testing.T, f *fixture) {
			f.must(t, f.system.In(f.orgA), joins(f.stranger, actor.OrganisationAdmin))
			f.must(t, f.chief(), registry.ChangeRoles{Person: f.chiefA, Roles: roles(on(actor.Developer, ""))})
		}, want: fault.Conflict},
		"PRIV-08 the inviter left": {spoil: func(t *testing.T, f *fixture) {
			f.must(t, f.system.In(f.orgA), joins(f.stranger, actor.OrganisationAdmin))
			f.must(t, f.chief(), registry.LeaveOrganisation{})
		}, want: fault.Conflict},
		"by no person": {by: func(f *fixture) actor.Actor { return f.system }, want: fault.Forbidden},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f *fixture) {
				by, edit := proven(f.guest, ""), accept(f)
				if c.by != nil {
					by = c.by(f)
				}
				if c.edit != nil {
					edit = c.edit(f)
				}
				f.clock.add(registry.InvitationLifetime - time.Second - f.clock.Now().Sub(newClock().Now()))
				t.Run("twin", func(t *testing.T) {
					if got := f.tried(t, proven(f.guest, ""), accept(f)); got != "allowed" {
						t.Errorf("unspoilt: %s", got)
					}
				})
				f.clock.add(-registry.InvitationLifetime + time.Second)
				if c.spoil != nil {
					c.spoil(t, f)
				}
				wantKind(t, f.Apply(t.Context(), by, edit), c.want)
			})
		})
	}
}

func TestPRIV08_anAPIClientsInvitationStandsOnItsPermissions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		abilities := []string{"management.member.write"}
		for ability := range actor.Viewer.Abilities() {
			abilities = append(abilities, actor.ManagementPrefix+string(ability))
		}
		f.must(t, f.adminA, registry.CreateClient{ID: "org-alpha-apple-101", Name: "inviter"}, registry.AddPermissions{Client: "org-alpha-apple-101", Permissions: abilities})
		by := actor.NewClient("org-alpha-apple-101", f.orgA, "", "", abilities)
		f.must(t, by, f.invite("i-11111111111111111111", "stranger@example.com", actor.Viewer))
		accept := registry.AcceptInvitation{Invitation: "i-11111111111111111111", Token: f.tokenA}
		t.Run("twin", func(t *testing.T) {
			if got := f.tried(t, proven(f.stranger, ""), accept); got != "allowed" {
				t.Errorf("while the client may: %s", got)
			}
		})
		f.must(t, f.adminA, registry.SetClientState{Client: "org-alpha-apple-101", State: registry.Disabled})
		wantKind(t, f.Apply(t.Context(), proven(f.stranger, ""), accept), fault.Conflict)
	})
}

func TestInvitingIsForVerifiedPeopleWithARecentSignIn(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		invite := f.invite("i-11111111111111111111", "x@example.com", actor.Viewer)
		f.refuses(t,
			refusal{name: "unverified", by: f.chief().Proven(actor.Proof{SecondFactor: true, Recent: true}), edit: invite, want: fault.Forbidden, twin: f.invite("i-21111111111111111111", "x1@example.com", actor.Viewer), twinBy: f.chief()},
			refusal{name: "PRIV-13 old sign-in", by: f.chief().Proven(actor.Proof{SecondFactor: true, Verified: true}), edit: invite, want: fault.Forbidden, twin: f.invite("i-31111111111111111111", "x2@example.com", actor.Viewer), twinBy: f.chief()},
			refusal{name: "no role", by: f.chief(), edit: f.invite("i-41111111111111111111", "x3@example.com"), want: fault.Invalid, twin: f.invite("i-41111111111111111111", "x3@example.com", actor.Viewer)},
			refusal{name: "a member", by: f.chief(), edit: f.invite("i-51111111111111111111", "MEMBER@a.example", actor.Viewer), want: fault.Conflict, twin: f.invite("i-51111111111111111111", "member@b.example", actor.Viewer)},
			refusal{name: "invited already", by: f.chief(), edit: f.invite("i-61111111111111111111", "guest@example.com", actor.Viewer), want: fault.Conflict, twin: f.invite("i-61111111111111111111", "guest2@example.com", actor.Viewer)},
		)
		all, err := f.Invitations(t.Context(), f.adminA)
		if err != nil || len(all) != 7 {
			t.Errorf("%d invitations, %v", len(all), err)
		}
		if others, err := f.Invitations(t.Context(), f.adminB); err != nil || len(others) != 0 {
			t.Errorf("TEN-02: B sees %v, %v", others, err)
		}
	})
}

func TestUnverifiedPeopleMayTryThingsOut(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		verified := f.chief()
		by := verified.Proven(actor.Proof{SecondFactor: true, Recent: true})
		later := f.Now().Add(registry.UnverifiedSecretLifetime)
		secretUntil := func(key id.Secret, expires time.Time) registry.AddSecret {
			e := f.newSecret("sandbox-first-apple-100", key)
			e.Expires = expires
			return e
		}
		f.must(t, verified, registry.CreateClient{ID: "sandbox-first-apple-100", Account: f.sandboxA, Name: "first"})
		f.refuses(t,
			refusal{name: "fourth client", by: by, edit: registry.CreateClient{ID: "sandbox-new-apple-100", Account: f.sandboxA, Name: "n"}, want: fault.Forbidden, twin: registry.CreateClient{ID: "sandbox-new-apple-100", Account: f.sandboxA, Name: "n"}, twinBy: verified},
			refusal{name: "secret for ever", by: by, edit: secretUntil("s11111111111", time.Time{}), want: fault.Forbidden, twin: secretUntil("s11111111111", later)},
			refusal{name: "secret for longer", by: by, edit: secretUntil("s21111111111", later.Add(time.Microsecond)), want: fault.Forbidden, twin: secretUntil("s21111111111", later)},
			refusal{name: "management permission", by: by, edit: registry.AddPermissions{Client: "sandbox-first-apple-100", Permissions: []string{"management.client.read"}}, want: fault.Forbidden, twin: registry.AddPermissions{Client: "sandbox-first-apple-100", Permissions: []string{"p1.read"}}},
			refusal{name: "another account", by: by, edit: registry.CreateAccount{ID: "a-s-11111111111111111111", Name: "n"}, want: fault.Forbidden, twin: registry.CreateAccount{ID: "a-s-11111111111111111111", Name: "n"}, twinBy: verified},
		)
	})
}

func TestPRIV13_aNewSecretInProductionNeedsARecentSignIn(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.chief(), registry.CreateClient{ID: "sandbox-first-apple-100", Account: f.sandboxA, Name: "first"})
		stale := f.chief().Proven(actor.Proof{SecondFactor: true, Verified: true})
		f.refuses(t,
			refusal{name: "PRIV-13 sandbox is the twin", by: stale, edit: f.newSecret(f.a1, "s11111111111"), want: fault.Forbidden, twin: f.newSecret("sandbox-first-apple-100", "s11111111111")},
			refusal{name: "PRIV-13 recent is the twin", by: stale, edit: f.newSecret(f.a1, "s21111111111"), want: fault.Forbidden, twin: f.newSecret(f.a1, "s21111111111"), twinBy: f.chief()},
		)
	})
}
