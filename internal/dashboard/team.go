package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// teamPage is how many people a page of the team shows.
const teamPage = 50

// team lists the people of an organisation, and who is invited.
func (d *dashboard) team(x *exchange) error {
	members, err := d.Registry.Members(x.Context(), x.by)
	if err != nil {
		return err
	}
	t := view.Team{Path: x.teamPath(), Text: strings.TrimSpace(x.URL.Query().Get("q")), Lone: len(admins(members)) == 1, Access: x.by.MaySomewhere(actor.MemberWrite)}
	if t.Locked, err = x.lockedPeople("people"); err != nil {
		return err
	}
	shown := x.pageOfTeam(&t, members)
	names, err := x.accountNames(rolesOf(shown)...)
	if err != nil {
		return err
	}
	for _, m := range shown {
		t.Members = append(t.Members, x.memberRow(&m, names))
	}
	if t.Text == "" && t.Newest == "" {
		if t.Invitations, err = x.invitationRows(); err != nil {
			return err
		}
	}
	return x.show(http.StatusOK, view.TeamPage(x.page(x.teamTitle()), t))
}

// pageOfTeam takes the members whom the filter finds, in the order of their
// names, and of them the page that the address asks for.
func (x *exchange) pageOfTeam(t *view.Team, members []registry.Member) []registry.Member {
	text := strings.ToLower(t.Text)
	members = slices.DeleteFunc(members, func(m registry.Member) bool {
		return !strings.Contains(strings.ToLower(m.Name+" "+m.Email), text)
	})
	slices.SortFunc(members, func(a, b registry.Member) int {
		return cmp.Or(strings.Compare(nameKey(&a), nameKey(&b)), cmp.Compare(a.Person, b.Person))
	})
	t.Count = len(members)
	query := url.Values{}
	if t.Text != "" {
		query.Set("q", t.Text)
		t.Chips = []view.Chip{{Text: "Name: " + t.Text, Path: t.Path}}
	}
	if after := x.URL.Query().Get("after"); after != "" {
		t.Newest = t.Path
		if len(query) > 0 {
			t.Newest += "?" + query.Encode()
		}
		if at := slices.IndexFunc(members, func(m registry.Member) bool { return string(m.Person) == after }); at >= 0 {
			members = members[at+1:]
		}
	}
	if len(members) > teamPage {
		members = members[:teamPage]
		query.Set("after", string(members[teamPage-1].Person))
		t.Older = t.Path + "?" + query.Encode()
	}
	return members
}

func nameKey(m *registry.Member) string { return strings.ToLower(titleOf(m.Name, m.Email)) }

// admins are those who administrate the whole organisation, or the operator's
// area.
func admins(members []registry.Member) (list []registry.Member) {
	for _, m := range members {
		if slices.Contains(m.Roles, actor.RoleGrant{Role: actor.OrganisationAdmin}) || slices.Contains(m.Roles, actor.RoleGrant{Role: actor.OperatorAdmin}) {
			list = append(list, m)
		}
	}
	return list
}

func rolesOf(members []registry.Member) (all []actor.RoleGrant) {
	for _, m := range members {
		all = append(all, m.Roles...)
	}
	return all
}

func (x *exchange) memberRow(m *registry.Member, names map[id.Account]string) view.MemberRow {
	return view.MemberRow{
		Name: titleOf(m.Name, m.Email), Email: m.Email, Path: x.memberPath(m.Person), Roles: rolesHeld(m.Roles, names),
		You: m.Person == x.session.Person.ID, Unverified: !m.Verified, JoinedAt: m.JoinedAt, Access: view.MemberAccess(m.Access),
	}
}

func (x *exchange) memberPath(person id.Person) string {
	if x.operator {
		return x.teamPath() + "/" + string(person)
	}
	return "/o/" + string(x.organisation.ID) + "/team/" + string(person)
}

// teamPath is where the people of the organisation are listed, or the operator's.
func (x *exchange) teamPath() string {
	if x.operator {
		return operatorPath + "/staff"
	}
	return x.here() + "/team"
}

func (x *exchange) teamTitle() string {
	if x.operator {
		return "Staff"
	}
	return "Team"
}

// offersHere says whether a role is held in places like this one.
func (x *exchange) offersHere(role actor.Role) bool { return role.Operator() == x.operator }

func (x *exchange) invitationRows() (rows []view.InvitationRow, err error) {
	invitations, err := x.d.Registry.Invitations(x.Context(), x.by)
	if err != nil {
		return nil, err
	}
	var roles []actor.RoleGrant
	for _, i := range invitations {
		roles = append(roles, i.Roles...)
	}
	names, err := x.accountNames(roles...)
	if err != nil {
		return nil, err
	}
	for _, i := range invitations {
		row := view.InvitationRow{
			Email: i.Email, Name: i.Name, Roles: rolesHeld(i.Roles, names), SentAt: i.SentAt, ExpiresAt: i.ExpiresAt,
			Expired: i.StateAt(x.d.Now()) == registry.InvitationExpired,
		}
		if x.mayHandOutAll(i.Roles) {
			row.Path = x.here() + "/invitations/" + string(i.ID)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (x *exchange) mayHandOutAll(roles []actor.RoleGrant) bool {
	return !slices.ContainsFunc(roles, func(g actor.RoleGrant) bool { return registry.MayHandOut(x.by, g) != nil })
}

// accountNames are the names of the accounts on which roles are held.
func (x *exchange) accountNames(roles ...actor.RoleGrant) (map[id.Account]string, error) {
	names, missing := map[id.Account]string{}, map[id.Account]bool{}
	for _, g := range roles {
		if g.Account != "" {
			missing[g.Account] = true
		}
	}
	page := registry.Page{Limit: registry.MaxPageSize}
	for len(missing) > 0 {
		list, err := x.d.Registry.Accounts(x.Context(), x.by, registry.AccountFilter{}, page)
		if err != nil {
			return nil, err
		}
		for _, a := range list.Items {
			if missing[a.ID] {
				names[a.ID] = a.Name
				delete(missing, a.ID)
			}
		}
		if page.After = list.Next; list.Next == "" {
			break
		}
	}
	return names, nil
}

// rolesHeld puts roles into words: those on the whole organisation first.
func rolesHeld(roles []actor.RoleGrant, names map[id.Account]string) (held []view.RoleHeld) {
	for _, g := range sortedGrants(roles) {
		h := view.RoleHeld{Role: g.Role.Title()}
		if g.Account != "" {
			h.Place, h.Environment = titleOf(names[g.Account], string(g.Account)), string(g.Account.Environment())
		}
		held = append(held, h)
	}
	return held
}

func sortedGrants(roles []actor.RoleGrant) []actor.RoleGrant {
	return slices.SortedFunc(slices.Values(roles), func(a, b actor.RoleGrant) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(slices.Index(actor.Roles(), a.Role), slices.Index(actor.Roles(), b.Role)))
	})
}

// lockedPeople is locked, but for those who may invite people and change their
// roles on any account.
func (x *exchange) lockedPeople(what string) (*view.Locked, error) {
	if x.by.MaySomewhere(actor.MemberWrite) {
		return nil, nil //nolint:nilnil // not locked is an answer
	}
	return x.locked(what, actor.MemberWrite)
}
