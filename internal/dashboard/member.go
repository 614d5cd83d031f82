package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// maxChoices bounds the accounts of a list to choose from; where there are
// more, their id is typed.
const maxChoices = 50

// member shows one of the people: roles, and what they leave behind.
func (d *dashboard) member(x *exchange) error {
	m, err := d.Registry.Member(x.Context(), x.by, id.Person(x.PathValue("person")))
	if err != nil {
		return err
	}
	return x.showMember(http.StatusOK, &m, m.Roles, view.MemberForm{})
}

// showMember shows a person, and in the form the roles that were chosen.
func (x *exchange) showMember(status int, m *registry.Member, chosen []actor.RoleGrant, form view.MemberForm) error {
	names, err := x.accountNames(append(slices.Clone(chosen), m.Roles...)...)
	if err != nil {
		return err
	}
	page := view.Member{MemberRow: x.memberRow(m, names), ID: string(m.Person), Team: x.teamPath(), Version: m.Version, Drop: x.dropPath(m.Person), MemberForm: form}
	if page.Locked, err = x.lockedPeople("roles"); err != nil {
		return err
	}
	asks := page.Locked != nil
	page.Whole, page.Single = x.roleOptions(m.Roles, chosen, names, asks)
	page.NewRoles = x.roleChoices(form.NewRole, func(r actor.Role) bool { return r != actor.OrganisationAdmin })
	of := actor.MemberWrite
	if asks {
		of = actor.AccountRead
	}
	if page.NewAccounts, err = x.accountChoices(form.NewAccount, of); err != nil {
		return err
	}
	page.Remove = !asks && !page.You && x.mayHandOutAll(m.Roles)
	if page.Secrets, err = x.secretsLeft(m.Person); err != nil {
		return err
	}
	p := x.page(page.Name)
	return x.show(status, view.MemberPage(p, page))
}

// roleOptions are the roles on the whole organisation, and those held or chosen
// on single accounts. What is not the reader's to give or take is locked, unless
// they ask others to.
func (x *exchange) roleOptions(held, chosen []actor.RoleGrant, names map[id.Account]string, asks bool) (whole, single []view.Option) {
	option := func(g actor.RoleGrant, label, hint string) view.Option {
		o := view.Option{Value: grantValue(g), Label: label, Hint: hint, Chosen: slices.Contains(chosen, g)}
		if err := registry.MayHandOut(x.by, g); err != nil && !asks {
			o.Locked, o.Hint = true, message(err)
		}
		return o
	}
	for _, role := range actor.Roles() {
		if x.offersHere(role) {
			whole = append(whole, option(actor.RoleGrant{Role: role}, role.Title(), role.Purpose()))
		}
	}
	all := sortedGrants(append(slices.Clone(held), chosen...))
	for _, g := range slices.Compact(all) {
		if g.Account != "" {
			single = append(single, option(g, rolesHeld([]actor.RoleGrant{g}, names)[0].Text(), g.Role.Purpose()))
		}
	}
	return whole, single
}

// roleChoices are the roles to choose one from here.
func (x *exchange) roleChoices(chosen string, fits func(actor.Role) bool) (options []view.Option) {
	for _, role := range actor.Roles() {
		if x.offersHere(role) && fits(role) {
			options = append(options, view.Option{Value: string(role), Label: role.Title(), Hint: role.Purpose(), Chosen: chosen == string(role)})
		}
	}
	return options
}

// accountChoices are the accounts on which the reader has an ability; none when
// there are too many to choose from.
func (x *exchange) accountChoices(chosen string, ability actor.Ability) (options []view.Option, err error) {
	if x.operator {
		return nil, nil
	}
	list, err := x.d.Registry.Accounts(x.Context(), x.by, registry.AccountFilter{}, registry.Page{Limit: maxChoices})
	if err != nil || list.Next != "" {
		return nil, err
	}
	for _, a := range list.Items {
		if x.by.May(ability, a.ID) {
			options = append(options, view.Option{Value: string(a.ID), Label: a.Name + ", " + string(a.ID.Environment()), Chosen: chosen == string(a.ID)})
		}
	}
	return options, nil
}

// secretsLeft are the first secrets that a person created and that work now;
// nothing for those who may not see them.
func (x *exchange) secretsLeft(person id.Person) (view.CreatedSecrets, error) {
	var left view.CreatedSecrets
	if !x.by.MaySomewhere(actor.ClientRead) {
		return left, nil
	}
	list, err := x.d.Registry.SecretsCreatedBy(x.Context(), x.by, string(actor.Person)+":"+string(person), registry.Page{})
	if err != nil {
		return left, err
	}
	left.Seen, left.More = true, list.Next != ""
	for _, s := range list.Items {
		row := view.CreatedSecretRow{Name: s.Name, ID: string(s.ID), Client: s.ClientName, ExpiresAt: s.ExpiresAt, LastUsedAt: s.LastUsedAt}
		if x.operator {
			row.Path = operatorPath + "/clients/" + string(s.Client) + "/secrets"
		}
		if s.Account != "" {
			row.Path = "/a/" + string(s.Account) + "/clients/" + string(s.Client) + "/secrets"
		}
		left.Rows = append(left.Rows, row)
	}
	return left, nil
}

// changeRoles gives a person exactly the roles that are ticked, and one more.
func (d *dashboard) changeRoles(x *exchange) error {
	m, err := d.Registry.Member(x.Context(), x.by, id.Person(x.PathValue("person")))
	if err != nil {
		return err
	}
	form := view.MemberForm{NewRole: x.value("new_role"), NewAccount: x.value("new_account")}
	var chosen []actor.RoleGrant
	for _, text := range x.PostForm["role"] {
		chosen = append(chosen, grantOf(text))
	}
	wanted, err := addGrant(chosen, form)
	if err == nil {
		err = x.apply(registry.ChangeRoles{Person: m.Person, Roles: wanted, Base: x.base()})
	}
	if err != nil {
		status, errs, err := x.refused(err, "role", "new_account account")
		if err != nil {
			return err
		}
		form.Errors = errs
		return x.showMember(status, &m, chosen, form)
	}
	return x.rolesChanged(&m, wanted)
}

// addGrant adds the one that is chosen apart from the ticks.
func addGrant(chosen []actor.RoleGrant, form view.MemberForm) ([]actor.RoleGrant, error) {
	g := actor.RoleGrant{Role: actor.Role(form.NewRole), Account: id.Account(form.NewAccount)}
	switch {
	case g.Role == "" || slices.Contains(chosen, g):
		return chosen, nil
	case g.Account == "": // would count everywhere
		return nil, fault.Errorf(fault.Invalid, "choose the account on which the role counts")
	}
	return append(slices.Clone(chosen), g), nil
}

// rolesChanged says so, and offers the roles of before.
func (x *exchange) rolesChanged(m *registry.Member, wanted []actor.RoleGrant) error {
	path, name := x.memberPath(m.Person), titleOf(m.Name, m.Email)
	undo := &view.Action{Label: "Undo", Path: path, Class: "small", Icon: "undo-2", Fields: []view.Hidden{{Name: "base", Value: strconv.FormatInt(m.Version+1, 10)}}}
	for _, g := range m.Roles {
		undo.Fields = append(undo.Fields, view.Hidden{Name: "role", Value: grantValue(g)})
	}
	names, err := x.accountNames(append(slices.Clone(wanted), m.Roles...)...)
	if err != nil {
		return err
	}
	var changes []string
	for _, part := range []struct {
		verb      string
		all, less []actor.RoleGrant
	}{{"has the role ", wanted, m.Roles}, {"no longer has the role ", m.Roles, wanted}} {
		for _, held := range rolesHeld(slices.DeleteFunc(slices.Clone(part.all), func(g actor.RoleGrant) bool { return slices.Contains(part.less, g) }), names) {
			changes = append(changes, part.verb+held.Text())
		}
	}
	if len(changes) == 0 {
		return x.done(path, "The roles of "+name+" stay as they were.", nil)
	}
	return x.done(path, name+" "+strings.Join(changes, " and ")+".", undo)
}

// removal asks whether to remove a person.
func (d *dashboard) removal(x *exchange) error {
	m, err := d.Registry.Member(x.Context(), x.by, id.Person(x.PathValue("person")))
	if err != nil {
		return err
	}
	return x.showRemoval(http.StatusOK, &m, nil)
}

func (x *exchange) showRemoval(status int, m *registry.Member, errs []view.FieldError) error {
	names, err := x.accountNames(m.Roles...)
	if err != nil {
		return err
	}
	r := view.Removal{MemberRow: x.memberRow(m, names), Organisation: titleOf(x.organisation.Name, "the operator's area"), Team: x.teamPath(), Version: m.Version, Errors: errs}
	if r.Locked, err = x.lockedPeople("people"); err != nil {
		return err
	}
	if r.Locked == nil && !x.mayHandOutAll(m.Roles) {
		if r.Locked, err = x.locked("roles of "+r.Name, actor.MemberWrite); err != nil {
			return err
		}
	}
	if r.Secrets, err = x.secretsLeft(m.Person); err != nil {
		return err
	}
	p := x.page("Remove " + r.Name)
	p.Width = "middle"
	return x.show(status, view.RemovalPage(p, r))
}

func (d *dashboard) removeMember(x *exchange) error {
	m, err := d.Registry.Member(x.Context(), x.by, id.Person(x.PathValue("person")))
	if err != nil {
		return err
	}
	if err := x.apply(registry.RemoveMember{Person: m.Person, Base: x.base()}); err != nil {
		status, errs, err := x.refused(err, "")
		if err != nil {
			return err
		}
		return x.showRemoval(status, &m, errs)
	}
	return x.done(x.teamPath(), titleOf(m.Name, m.Email)+" is no longer "+x.among()+", and signed out everywhere.", nil)
}

// among is where the people here are.
func (x *exchange) among() string {
	if x.operator {
		return "one of the operator's people"
	}
	return "in " + x.organisation.Name
}

// leaving asks whether to leave the organisation.
func (d *dashboard) leaving(x *exchange) error { return x.showLeaving(http.StatusOK, nil) }

func (x *exchange) showLeaving(status int, errs []view.FieldError) error {
	m, err := x.d.Registry.Member(x.Context(), x.by, x.session.Person.ID)
	if err != nil {
		return err
	}
	l := view.Removal{MemberRow: x.memberRow(&m, nil), Organisation: x.organisation.Name, Team: x.here(), Errors: errs}
	members, err := x.d.Registry.Members(x.Context(), x.by)
	if err != nil {
		return err
	}
	chiefs := admins(members)
	l.Last = len(chiefs) == 1 && chiefs[0].Person == m.Person
	if l.Secrets, err = x.secretsLeft(m.Person); err != nil {
		return err
	}
	p := x.page("Leave organisation")
	p.Width = "middle"
	return x.show(status, view.LeavingPage(p, l))
}

func (d *dashboard) leave(x *exchange) error {
	if err := d.Registry.Apply(x.Context(), x.by, registry.LeaveOrganisation{}); err != nil {
		status, errs, err := x.refused(err, "")
		if err != nil {
			return err
		}
		return x.showLeaving(status, errs)
	}
	return x.done("/", "You have left "+x.organisation.Name+".", nil)
}

// grantValue is a role as forms carry it: role, or role@account.
func grantValue(g actor.RoleGrant) string {
	if g.Account == "" {
		return string(g.Role)
	}
	return string(g.Role) + "@" + string(g.Account)
}

func grantOf(text string) actor.RoleGrant {
	role, account, _ := strings.Cut(text, "@")
	return actor.RoleGrant{Role: actor.Role(role), Account: id.Account(account)}
}
