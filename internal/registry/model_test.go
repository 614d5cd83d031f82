package registry_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// powers is what each role may do, a letter each, written down apart from the
// code: organisation, accounts, members, clients, disabling, secrets,
// permissions, trying, auditing, webhooks, reading.
var powers = map[actor.Role]string{
	actor.OrganisationAdmin: "oamcdsptuwr",
	actor.AccountAdmin:      "amcdsptr",
	actor.AccessManager:     "pr",
	actor.Developer:         "cdstr",
	actor.Auditor:           "ur",
	actor.Viewer:            "r",
}

// model is an organisation as it should be: who holds which roles, and what
// became of its invitations.
type model struct {
	members     map[id.Person][]actor.RoleGrant
	invitations []*offer
	now         time.Time
}

// offer is an invitation of the model.
type offer struct {
	id       id.Invitation
	person   id.Person // who has the address
	roles    []actor.RoleGrant
	inviter  id.Person
	links    int // mailed so far; the newest one is good
	open     bool
	ends     time.Time
	accepted bool
}

func (m *model) may(who id.Person, power rune, account id.Account) bool {
	return slices.ContainsFunc(m.members[who], func(g actor.RoleGrant) bool {
		return strings.ContainsRune(powers[g.Role], power) && (g.Account == "" || g.Account == account)
	})
}

func (m *model) mayHandOut(who id.Person, grants ...actor.RoleGrant) bool {
	for _, g := range grants {
		for _, power := range "m" + powers[g.Role] {
			if !m.may(who, power, g.Account) {
				return false
			}
		}
	}
	return true
}

func (m *model) admins() (n int) {
	for _, grants := range m.members {
		if slices.Contains(grants, actor.RoleGrant{Role: actor.OrganisationAdmin}) {
			n++
		}
	}
	return n
}

// keepsAdmin says whether an admin is left when a person gets these roles.
func (m *model) keepsAdmin(who id.Person, roles []actor.RoleGrant) bool {
	admin := actor.RoleGrant{Role: actor.OrganisationAdmin}
	return !slices.Contains(m.members[who], admin) || slices.Contains(roles, admin) || m.admins() > 1
}

// differing are the grants that are in one list only.
func differing(a, b []actor.RoleGrant) (all []actor.RoleGrant) {
	for _, g := range append(slices.Clone(a), b...) {
		if slices.Contains(a, g) != slices.Contains(b, g) {
			all = append(all, g)
		}
	}
	return all
}

// walk is a run of random steps in the model and in the registry.
type walk struct {
	*fixture
	model
	random *rand.Rand
	people []id.Person
	emails map[id.Person]string
}

func (w *walk) person() id.Person { return w.people[w.random.IntN(len(w.people))] }

// inviter is mostly somebody who writes members somewhere.
func (w *walk) inviter() id.Person {
	who := w.person()
	for n := 0; n < 8 && !strings.ContainsRune(w.powers(who), 'm'); n++ {
		who = w.person()
	}
	return who
}

func (w *walk) powers(who id.Person) (all string) {
	for _, g := range w.members[who] {
		all += powers[g.Role]
	}
	return all
}

// offer is mostly one of the newest.
func (w *walk) offer() *offer {
	last := len(w.invitations) - 1
	return w.invitations[max(0, last-w.random.IntN(min(6, last+1)))]
}

func (w *walk) roles() (grants []actor.RoleGrant) {
	all := slices.Sorted(maps.Keys(powers))
	if w.random.IntN(3) == 0 {
		all = []actor.Role{actor.OrganisationAdmin, actor.AccountAdmin}
	}
	for range w.random.IntN(3) {
		g := actor.RoleGrant{Role: all[w.random.IntN(len(all))]}
		if g.Role != actor.OrganisationAdmin {
			g.Account = []id.Account{"", w.sandboxA, w.productionA}[w.random.IntN(3)]
		}
		if !slices.Contains(grants, g) {
			grants = append(grants, g)
		}
	}
	return grants
}

// acts is a person with the roles that the model says they have.
func (w *walk) acts(who id.Person) actor.Actor { return proven(who, w.orgA, w.members[who]...) }

// move is one edit, who makes it, whether the model allows it, and what it does
// there then.
type move struct {
	by      actor.Actor
	edit    registry.Edit
	allowed bool
	then    func()
}

func (w *walk) changeRoles() move {
	by, whom, roles := w.inviter(), w.person(), w.roles()
	_, member := w.members[whom]
	different := differing(w.members[whom], roles)
	return move{w.acts(by), registry.ChangeRoles{Person: whom, Roles: roles},
		member && w.mayHandOut(by, different...) && (len(different) > 0 || w.may(by, 'm', "")) && w.keepsAdmin(whom, roles),
		func() { w.members[whom] = roles }}
}

func (w *walk) remove() move {
	by, whom := w.inviter(), w.person()
	roles, member := w.members[whom]
	allowed := member && w.mayHandOut(by, roles...) && w.keepsAdmin(whom, nil)
	if len(roles) == 0 {
		allowed = allowed && w.may(by, 'm', "")
	}
	return move{w.acts(by), registry.RemoveMember{Person: whom}, allowed, func() { delete(w.members, whom) }}
}

func (w *walk) leave() move {
	who := w.person()
	_, member := w.members[who]
	return move{w.acts(who), registry.LeaveOrganisation{}, member && w.keepsAdmin(who, nil), func() { delete(w.members, who) }}
}

func (w *walk) invite() move {
	by, whom, roles := w.inviter(), w.person(), w.roles()
	_, member := w.members[whom]
	waiting := slices.ContainsFunc(w.invitations, func(o *offer) bool { return o.open && o.person == whom && w.now.Before(o.ends) })
	o := &offer{id: id.NewInvitation(w.Rand), person: whom, roles: roles, inviter: by, links: 1, open: true, ends: w.now.Add(registry.InvitationLifetime)}
	return move{w.acts(by), registry.Invite{ID: o.id, Email: w.emails[whom], Roles: roles, Token: o.link(1)},
		len(roles) > 0 && w.mayHandOut(by, roles...) && !member && !waiting,
		func() { w.invitations = append(w.invitations, o) }}
}

func (w *walk) resend() move {
	by, o := w.inviter(), w.offer()
	return move{w.acts(by), registry.ResendInvitation{Invitation: o.id, Token: o.link(o.links + 1)},
		o.open && w.mayHandOut(by, o.roles...),
		func() { o.links, o.inviter, o.ends = o.links+1, by, w.now.Add(registry.InvitationLifetime) }}
}

func (w *walk) revoke() move {
	by, o := w.inviter(), w.offer()
	allowed := o.open
	for _, g := range o.roles {
		allowed = allowed && w.may(by, 'm', g.Account)
	}
	return move{w.acts(by), registry.RevokeInvitation{Invitation: o.id}, allowed, func() { o.open = false }}
}

func (w *walk) accept() move {
	who, o := w.person(), w.offer()
	if w.random.IntN(3) > 0 {
		who = o.person
	}
	link := 1 + w.random.IntN(o.links)
	_, member := w.members[who]
	return move{proven(who, ""), registry.AcceptInvitation{Invitation: o.id, Token: o.link(link)},
		o.open && who == o.person && link == o.links && w.now.Before(o.ends) && w.mayHandOut(o.inviter, o.roles...) && !member,
		func() { o.open, o.accepted, w.members[who] = false, true, o.roles }}
}

func (o *offer) link(n int) secret.Plaintext { return secret.NewPlaintext(fmt.Sprint(o.id, n)) }

func (w *walk) wait() {
	d := time.Duration(w.random.IntN(40)) * time.Hour
	w.clock.add(d)
	w.now = w.now.Add(d)
}

// agree compares the members and the invitations that wait.
func (w *walk) agree(t *testing.T) {
	t.Helper()
	got := map[id.Person][]actor.RoleGrant{}
	for _, row := range query(t, w.DB, `SELECT person_id FROM member WHERE organisation_id = $1`, w.orgA) {
		got[id.Person(row[0])] = nil
	}
	for _, row := range query(t, w.DB, `SELECT person_id, role, account_id FROM member_role WHERE organisation_id = $1`, w.orgA) {
		got[id.Person(row[0])] = append(got[id.Person(row[0])], actor.RoleGrant{Role: actor.Role(row[1]), Account: id.Account(row[2])})
	}
	want := map[id.Person][]actor.RoleGrant{}
	for who, grants := range w.members {
		want[who] = slices.Clone(grants)
	}
	for _, all := range []map[id.Person][]actor.RoleGrant{got, want} {
		for who := range all {
			slices.SortFunc(all[who], func(a, b actor.RoleGrant) int {
				return strings.Compare(string(a.Role+"/")+string(a.Account), string(b.Role+"/")+string(b.Account))
			})
			if len(all[who]) == 0 {
				all[who] = nil
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("PRIV-16: members (-model +registry):\n%s", diff)
	}
	open := 0
	for _, o := range w.invitations {
		if o.open {
			open++
		}
	}
	if pending := query(t, w.DB, `SELECT count(*) FROM invitation WHERE organisation_id = $1 AND state = 'pending'`, w.orgA); pending[0][0] != fmt.Sprint(open) {
		t.Fatalf("PRIV-16: %s invitations wait, want %d", pending[0][0], open)
	}
	if w.admins() == 0 {
		t.Fatal("PRIV-16: nobody administers the organisation")
	}
}

func TestPRIV16_tenThousandStepsOfRolesAndInvitationsFollowTheModel(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sqldbtest.New(t))
	f.Mail = nil // the limits on mails are another test's
	w := &walk{
		fixture: f, random: rand.New(rand.NewPCG(16, 16)), // the same walk each time
		people: []id.Person{f.chiefA, f.memberA, f.leaverA, f.guest, f.stranger, f.memberB},
		emails: map[id.Person]string{f.chiefA: "chief@a.example", f.memberA: "member@a.example", f.leaverA: "leaver@a.example", f.guest: "guest@example.com", f.stranger: "stranger@example.com", f.memberB: "member@b.example"},
		model: model{now: f.Now(), members: map[id.Person][]actor.RoleGrant{
			f.chiefA: {{Role: actor.OrganisationAdmin}}, f.memberA: {{Role: actor.Developer}}, f.leaverA: {{Role: actor.Viewer}},
		}},
	}
	for _, key := range []id.Invitation{f.invitedA, f.pendingA} {
		f.must(t, f.chief(), registry.RevokeInvitation{Invitation: key})
	}
	steps := []func() move{w.changeRoles, w.changeRoles, w.remove, w.leave, w.invite, w.invite, w.invite, w.resend, w.revoke, w.accept, w.accept, w.accept}
	made := map[string]int{}
	for n := range 10_000 {
		if w.random.IntN(10) == 0 {
			w.wait()
		}
		next := steps[w.random.IntN(len(steps))]
		if len(w.invitations) == 0 {
			next = w.invite
		}
		s := next()
		err := f.Apply(t.Context(), s.by, s.edit)
		if (err == nil) != s.allowed || fault.KindOf(err) == fault.Internal && err != nil {
			t.Fatalf("PRIV-16: step %d: %s makes %+v: %v, and the model says %v", n, s.by, s.edit, err, s.allowed)
		}
		if s.allowed {
			s.then()
			made[fmt.Sprintf("%T", s.edit)]++
		}
		if n%100 == 0 {
			w.agree(t)
		}
	}
	w.agree(t)
	for _, edit := range []registry.Edit{registry.ChangeRoles{}, registry.RemoveMember{}, registry.LeaveOrganisation{}, registry.Invite{}, registry.ResendInvitation{}, registry.RevokeInvitation{}, registry.AcceptInvitation{}} {
		if made[fmt.Sprintf("%T", edit)] < 20 {
			t.Errorf("the walk made %d of %T: it no longer goes everywhere", made[fmt.Sprintf("%T", edit)], edit)
		}
	}
}
