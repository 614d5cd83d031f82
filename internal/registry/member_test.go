package registry_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func roles(all ...actor.RoleGrant) []actor.RoleGrant { return all }

func on(role actor.Role, account id.Account) actor.RoleGrant {
	return actor.RoleGrant{Role: role, Account: account}
}

func TestPRIV02_nobodyGivesOrTakesMoreThanTheyHold(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		accountAdmin := proven(f.leaverA, f.orgA, on(actor.AccountAdmin, ""))
		ofSandbox := proven(f.leaverA, f.orgA, on(actor.AccountAdmin, f.sandboxA))
		change := func(person id.Person, all ...actor.RoleGrant) registry.ChangeRoles {
			return registry.ChangeRoles{Person: person, Roles: all}
		}
		f.refuses(t,
			refusal{name: "PRIV-02 raises oneself", by: accountAdmin, edit: change(f.leaverA, on(actor.OrganisationAdmin, ""), on(actor.Viewer, "")), want: fault.Forbidden, twin: change(f.leaverA, on(actor.Developer, ""), on(actor.Viewer, ""))},
			refusal{name: "PRIV-02 raises another", by: accountAdmin, edit: change(f.memberA, on(actor.Auditor, ""), on(actor.Developer, "")), want: fault.Forbidden, twin: change(f.memberA, on(actor.AccountAdmin, ""), on(actor.Developer, ""))},
			refusal{name: "PRIV-02 demotes who holds more", by: accountAdmin, edit: change(f.chiefA, on(actor.Viewer, "")), want: fault.Forbidden, twin: change(f.memberA, on(actor.Viewer, ""))},
			refusal{name: "PRIV-02 removes who holds more", by: accountAdmin, edit: registry.RemoveMember{Person: f.chiefA}, want: fault.Forbidden, twin: registry.RemoveMember{Person: f.leaverA}},
			refusal{name: "PRIV-02 on another account", by: ofSandbox, edit: change(f.memberA, on(actor.Viewer, ""), on(actor.Developer, f.productionA)), want: fault.Forbidden, twin: change(f.memberA, on(actor.Viewer, ""), on(actor.Developer, f.sandboxA))},
			refusal{name: "PRIV-02 on the whole organisation", by: ofSandbox, edit: f.invite("i-11111111111111111111", "x@example.com", actor.Viewer), want: fault.Forbidden,
				twin: registry.Invite{ID: "i-11111111111111111111", Email: "x@example.com", Roles: roles(on(actor.Viewer, f.sandboxA)), Token: f.tokenA}},
			refusal{name: "PRIV-02 nothing changed by who may not", by: person("p-someviewerofasomevie", f.orgA, actor.Viewer), edit: change(f.memberA, on(actor.Viewer, ""), on(actor.Developer, f.sandboxA)), want: fault.Forbidden, twin: change(f.memberA, on(actor.Viewer, ""), on(actor.Developer, f.sandboxA)), twinBy: f.chief()},
			refusal{name: "role of the operator", by: f.chief(), edit: change(f.memberA, on(actor.OperatorAdmin, "")), want: fault.Invalid, twin: change(f.memberA, on(actor.Auditor, ""))},
			refusal{name: "admin of one account alone", by: f.chief(), edit: change(f.memberA, on(actor.OrganisationAdmin, f.sandboxA)), want: fault.Invalid, twin: change(f.memberA, on(actor.AccountAdmin, f.sandboxA))},
			refusal{name: "another organisation's account", by: f.chief(), edit: change(f.memberA, on(actor.Viewer, f.productionB)), want: fault.NotFound, twin: change(f.memberA, on(actor.Viewer, f.productionA))},
			refusal{name: "one role twice", by: f.chief(), edit: change(f.memberA, on(actor.Viewer, ""), on(actor.Viewer, "")), want: fault.Invalid, twin: change(f.memberA, on(actor.Viewer, ""), on(actor.Viewer, f.sandboxA))},
			refusal{name: "of another version", by: f.chief(), edit: registry.ChangeRoles{Person: f.memberA, Roles: roles(on(actor.Viewer, "")), Base: 1}, want: fault.Conflict, twin: change(f.memberA, on(actor.Viewer, ""))},
			refusal{name: "PRIV-13 after an old sign-in", by: f.chief().Proven(actor.Proof{SecondFactor: true, Verified: true}), edit: change(f.memberA, on(actor.Auditor, "")), want: fault.Forbidden, twin: change(f.memberA, on(actor.Auditor, "")), twinBy: f.chief()},
			refusal{name: "PRIV-13 removes long after a sign-in", by: f.chief().Proven(actor.Proof{SecondFactor: true, Verified: true}), edit: registry.RemoveMember{Person: f.memberA}, want: fault.Forbidden, twin: registry.RemoveMember{Person: f.memberA}, twinBy: f.chief()},
		)
	})
}

func TestPRIV03_anOrganisationKeepsAnAdmin(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		viewer := registry.ChangeRoles{Person: f.chiefA, Roles: roles(on(actor.Viewer, ""))}
		second := func(t *testing.T) {
			t.Helper()
			f.must(t, f.chief(), registry.ChangeRoles{Person: f.memberA, Roles: roles(on(actor.OrganisationAdmin, ""))})
		}
		for name, edit := range map[string]registry.Edit{"is demoted": viewer, "leaves": registry.LeaveOrganisation{}, "is removed": registry.RemoveMember{Person: f.chiefA}} {
			t.Run("PRIV-03 the last one "+name, func(t *testing.T) {
				wantKind(t, f.Apply(t.Context(), f.chief(), edit), fault.Conflict)
			})
		}
		t.Run("twin", func(t *testing.T) {
			second(t)
			f.must(t, f.chief(), viewer)
		})
	})
}

func TestPRIV03_twoAdminsWhoDemoteEachOtherLeaveOne(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.chief(), registry.ChangeRoles{Person: f.memberA, Roles: roles(on(actor.OrganisationAdmin, ""))})
		other := proven(f.memberA, f.orgA, on(actor.OrganisationAdmin, ""))
		errs := make([]error, 2)
		var both sync.WaitGroup
		both.Go(func() { errs[0] = f.Apply(t.Context(), f.chief(), registry.RemoveMember{Person: f.memberA}) })
		both.Go(func() { errs[1] = f.Apply(t.Context(), other, registry.ChangeRoles{Person: f.chiefA}) })
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("PRIV-03: errors = %v, want exactly one", errs)
		}
		admins := query(t, f.DB, `SELECT person_id FROM member_role WHERE organisation_id = $1 AND role = 'organisation_admin'`, f.orgA)
		if len(admins) != 1 {
			t.Errorf("PRIV-03: admins = %v, want one", admins)
		}
	})
}

func TestPRIV11_aRemovedMembersSessionsEnd(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, person := range []id.Person{f.memberA, f.leaverA} {
			f.addSession(t, person, "s-"+string(person))
		}
		f.must(t, f.chief(), registry.RemoveMember{Person: f.memberA})
		if got := query(t, f.DB, `SELECT person_id FROM session`); len(got) != 1 || got[0][0] != string(f.leaverA) {
			t.Errorf("PRIV-11: sessions = %v, want the other member's alone", got)
		}
		if all, err := f.Memberships(t.Context(), f.memberA); err != nil || len(all) != 0 {
			t.Errorf("memberships = %v, %v", all, err)
		}
	})
}

func TestMembersAreListedWithTheirRoles(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.chief(), registry.ChangeRoles{Person: f.memberA, Roles: roles(on(actor.Viewer, ""), on(actor.Developer, f.sandboxA), on(actor.Developer, f.productionA))})
		ofSandbox := proven(f.memberA, f.orgA, on(actor.Viewer, f.sandboxA))
		for _, c := range []struct {
			name string
			by   actor.Actor
			want map[id.Person]int // roles seen
		}{
			{"admin", f.adminA, map[id.Person]int{f.chiefA: 1, f.leaverA: 1, f.memberA: 3}},
			{"viewer of one account", ofSandbox, map[id.Person]int{f.chiefA: 1, f.leaverA: 1, f.memberA: 2}},
			{"TEN-02 admin of B", f.adminB, map[id.Person]int{f.memberB: 1}},
			{"operator in B", f.operator.In(f.orgB), map[id.Person]int{f.memberB: 1}},
		} {
			members, err := f.Members(t.Context(), c.by)
			if err != nil {
				t.Fatal(err)
			}
			got := map[id.Person]int{}
			for _, m := range members {
				got[m.Person] = len(m.Roles)
				if shown := c.by.Person() == m.Person || c.name != "viewer of one account"; m.Access.Shown != shown {
					t.Errorf("%s sees how %s comes in: %t", c.name, m.Person, m.Access.Shown)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
		_, err := f.Members(t.Context(), proven(f.stranger, f.orgA))
		wantKind(t, err, fault.Forbidden)
	})
}

func TestMembershipsSayWhetherThereIsProduction(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		fresh, err := f.CreateOrganisation(t.Context(), f.operator, "Fresh")
		if err != nil {
			t.Fatal(err)
		}
		f.must(t, f.system.In(fresh), joins(f.memberA, actor.OrganisationAdmin), registry.CreateAccount{ID: "a-s-11111111111111111111", Name: "Sandbox"})
		all, err := f.Memberships(t.Context(), f.memberA)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, m := range all {
			got[m.Name] = m.SandboxOnly
		}
		if diff := cmp.Diff(map[string]bool{"A": false, "Fresh": true}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMembersAndInvitationsComeInPages(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.chief(), registry.RevokeInvitation{Invitation: f.pendingA})
		for _, email := range []string{"one@example.com", "two@example.com", "three@example.com"} {
			if _, err := f.Invite(t.Context(), f.chief(), email, "", roles(on(actor.Viewer, ""))); err != nil {
				t.Fatal(err)
			}
		}
		all, err := f.Members(t.Context(), f.chief())
		if err != nil {
			t.Fatal(err)
		}
		var members []registry.Member
		for page := (registry.Page{Limit: 2}); ; {
			list, err := f.MemberList(t.Context(), f.chief(), registry.MemberFilter{}, page)
			if err != nil || len(list.Items) > 2 {
				t.Fatal(err, len(list.Items))
			}
			members = append(members, list.Items...)
			if page.After = list.Next; list.Next == "" {
				break
			}
		}
		if diff := cmp.Diff(all, members); diff != "" || len(all) != 3 {
			t.Errorf("%d members:\n%s", len(all), diff)
		}
		found, err := f.MemberList(t.Context(), f.chief(), registry.MemberFilter{Text: "CHIEF@"}, registry.Page{})
		if err != nil || len(found.Items) != 1 || found.Items[0].Person != f.chiefA {
			t.Errorf("found %+v, %v", found.Items, err)
		}
		waiting, err := f.Invitations(t.Context(), f.chief())
		if err != nil {
			t.Fatal(err)
		}
		var invitations []registry.Invitation
		for page := (registry.Page{Limit: 1}); ; {
			list, err := f.InvitationList(t.Context(), f.chief(), page)
			if err != nil || len(list.Items) > 1 {
				t.Fatal(err, len(list.Items))
			}
			invitations = append(invitations, list.Items...)
			if page.After = list.Next; list.Next == "" {
				break
			}
		}
		if diff := cmp.Diff(waiting, invitations); diff != "" || len(waiting) != 4 {
			t.Errorf("%d invitations:\n%s", len(waiting), diff)
		}
	})
}

func TestPRIV15_theOperatorActsInACustomersOrganisationAsThemselves(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.operator.In(f.orgA)
		f.must(t, admin, registry.SetClientState{Client: f.a1, State: registry.Disabled}, f.newSecret(f.a2, "s11111111111"))
		got := query(t, f.DB, `SELECT DISTINCT actor FROM audit WHERE organisation_id = $1 AND actor = $2 AND action IN ('client.disable', 'secret.add')`, f.orgA, f.operator.String())
		if len(got) != 1 || got[0][0] != "person:p-operator" {
			t.Errorf("PRIV-15: the records name %v", got)
		}
		support := proven("p-support", "", on(actor.OperatorSupport, "")).In(f.orgA)
		wantKind(t, f.Apply(t.Context(), support, f.newSecret(f.a2, "s21111111111")), fault.Forbidden)
		t.Run("twin", func(t *testing.T) {
			f.must(t, support, registry.SetClientState{Client: f.a2, State: registry.Disabled})
		})
	})
}
