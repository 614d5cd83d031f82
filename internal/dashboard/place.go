package dashboard

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
)

// Names of cookies.
const (
	sessionCookie = "session"
	browserCookie = "browser"
	flashCookie   = "flash"
	keysCookie    = "keys" // off: single keys do nothing
)

// maxPlaces bounds the accounts in the switcher; the organisation's page has all.
const maxPlaces = 20

// origin is where the request comes from.
func (x *exchange) origin() signin.Origin {
	from := signin.Origin{UserAgent: x.UserAgent(), RequestID: x.requestID, Browser: secret.NewPlaintext(x.cookie(browserCookie))}
	if peer, err := netip.ParseAddrPort(x.RemoteAddr); err == nil {
		from.Address = peer.Addr().Unmap().WithZone("")
	}
	return from
}

// enter finds out who asks, and goes to the place that the address names. A
// place that is not theirs is not found, as one that does not exist.
func (x *exchange) enter() error {
	if x.route.open {
		x.welcome()
		return nil
	}
	if err := x.recognise(); err != nil {
		return err
	}
	if err := x.enterPlace(); err != nil {
		return err
	}
	if err := x.findPlaces(); err != nil {
		return err
	}
	if x.Method != "POST" && x.route.needs != "" {
		return x.sees(x.route.needs)
	}
	return nil
}

// welcome recognises whoever comes to a page that is open to all, which must
// work for nobody and without a database too.
func (x *exchange) welcome() {
	if x.d.People == nil || x.recognise() != nil {
		return
	}
	// A password alone does not show whose it is, or where they are.
	if x.session.Pending() || x.findPlaces() != nil {
		x.session = nil
	}
}

// recognise finds the session of the cookie.
func (x *exchange) recognise() error {
	cookie := x.cookie(sessionCookie)
	if cookie == "" || x.d.People == nil {
		return errSignIn
	}
	s, err := x.d.People.Session(x.Context(), secret.NewPlaintext(cookie))
	if err != nil {
		return err
	}
	if s.Pending() {
		x.pending = &s
		return errPending
	}
	x.session = &s
	return nil
}

// self is the actor of who is signed in, acting for themselves.
func (x *exchange) self() actor.Actor { return x.d.People.Self(x.session, x.origin()) }

func (x *exchange) enterPlace() (err error) {
	if x.route.operator() {
		return x.enterOperator()
	}
	if text := x.PathValue("account"); text != "" {
		return x.enterAccount(id.Account(text))
	}
	if text := x.PathValue("organisation"); text != "" {
		return x.enterOrganisation(id.Organisation(text))
	}
	return nil
}

// enterOperator goes to the operator's area, which is not there for others than
// the operator's people.
func (x *exchange) enterOperator() (err error) {
	if x.by, err = x.d.People.Actor(x.session, "", x.origin()); err != nil {
		return err
	}
	x.operator = true
	if !x.by.SecondFactor() { // not even the names of things, which are the customers'
		return actor.ErrSecondFactor
	}
	if text := x.PathValue("client"); text != "" {
		return x.enterClient(id.Client(text))
	}
	return nil
}

func (x *exchange) enterOrganisation(key id.Organisation) (err error) {
	if _, ok := id.ParseOrganisation(string(key)); !ok {
		return errNoPage
	}
	if x.by, err = x.d.People.Actor(x.session, key, x.origin()); err != nil {
		return err
	}
	x.organisation, err = x.d.Registry.Organisation(x.Context(), x.by)
	if fault.KindOf(err) == fault.Forbidden && x.by.MaySomewhere(actor.OrganisationRead) {
		return x.lookInto(key)
	}
	return err
}

// lookInto is for those who have a role on single accounts alone: they see the
// organisation's name.
func (x *exchange) lookInto(key id.Organisation) error {
	entry, err := x.d.Registry.OrganisationEntry(x.Context(), key)
	if err != nil || entry == nil {
		return errors.Join(err, errNoPage)
	}
	x.organisation = registry.Organisation{ID: key, State: entry.State}
	for _, m := range x.session.Memberships {
		if m.Organisation == key {
			x.organisation.Name = m.Name
		}
	}
	return nil
}

func (x *exchange) enterAccount(key id.Account) error {
	if _, ok := id.ParseAccount(string(key)); !ok {
		return errNoPage
	}
	entry, err := x.d.Registry.AccountEntry(x.Context(), key)
	if err != nil {
		return err
	}
	if entry == nil {
		return errNoPage
	}
	if err := x.enterOrganisation(entry.Organisation); err != nil {
		return err
	}
	if x.account, err = x.d.Registry.Account(x.Context(), x.by, key); err != nil {
		return err
	}
	if text := x.PathValue("client"); text != "" {
		return x.enterClient(id.Client(text))
	}
	return nil
}

// sees refuses whoever lacks an ability here; for a page of the organisation,
// whoever has it on none of its accounts either.
func (x *exchange) sees(ability actor.Ability) error {
	switch {
	case x.by.May(ability, x.account.ID), x.account.ID == "" && x.by.MaySomewhere(ability):
		return nil
	case x.by.NeedsSecondFactor(ability, x.account.ID):
		return actor.ErrSecondFactor
	}
	return fault.Errorf(fault.Forbidden, "this needs the right to %s", ability.Words())
}

// findPlaces lists where the person can go: the operator's area, their
// organisations, and the accounts of the one in which they are.
func (x *exchange) findPlaces() error {
	if x.isOperators() {
		x.places = append(x.places, view.Place{Name: "Operator", Path: operatorPath, Environment: view.Operator, Current: x.operator})
	}
	here := x.organisation.ID
	if here == "" && !x.operator && len(x.session.Memberships) == 1 {
		here = x.session.Memberships[0].Organisation
	}
	seen := false
	for _, m := range x.session.Memberships {
		if m.Organisation == "" {
			continue
		}
		if err := x.addPlaces(m.Organisation, m.Name, m.Organisation == here); err != nil {
			return err
		}
		seen = seen || m.Organisation == x.organisation.ID
	}
	if !seen && x.organisation.ID != "" { // of the operator's people, in a customer's organisation
		return x.addPlaces(x.organisation.ID, x.organisation.Name, true)
	}
	return nil
}

// isOperators says whether the person is of the operator's people.
func (x *exchange) isOperators() bool {
	return slices.ContainsFunc(x.session.Memberships, func(m registry.Membership) bool { return m.Organisation == "" })
}

func (x *exchange) addPlaces(key id.Organisation, name string, open bool) error {
	x.places = append(x.places, view.Place{Name: name, Path: "/o/" + string(key), Current: key == x.organisation.ID && x.account.ID == ""})
	if !open {
		return nil
	}
	by, err := x.d.People.Actor(x.session, key, x.origin())
	if err != nil {
		return err
	}
	accounts, err := x.d.Registry.Accounts(x.Context(), by, registry.AccountFilter{}, registry.Page{Limit: maxPlaces})
	if fault.KindOf(err) == fault.Forbidden && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	here := false
	for _, a := range accounts.Items {
		here = here || a.ID == x.account.ID
		x.places = append(x.places, placeOf(&a, a.ID == x.account.ID))
	}
	if !here && x.account.ID != "" {
		x.places = append(x.places, placeOf(&x.account, true))
	}
	return nil
}

func placeOf(a *registry.Account, current bool) view.Place {
	return view.Place{Name: a.Name, Path: "/a/" + string(a.ID), Environment: string(a.ID.Environment()), Current: current}
}

// here is the path of the place in which the page is; "" outside.
func (x *exchange) here() string {
	switch {
	case x.account.ID != "":
		return "/a/" + string(x.account.ID)
	case x.organisation.ID != "":
		return "/o/" + string(x.organisation.ID)
	case x.operator:
		return operatorPath
	}
	return ""
}

// environment is that of the account; clients of the operator have production's.
func (x *exchange) environment() id.Environment {
	if x.operator {
		return id.Production
	}
	return x.account.ID.Environment()
}

// navEntry is an entry of the rail, with its path beneath the place.
type navEntry struct{ label, path, icon, key string }

var (
	accountNav = []navEntry{
		{"Home", "", "house", "h"},
		{"Clients", "/clients", "boxes", "c"},
		{"Products", "/products", "package", "p"},
		{"Settings", "/settings", "settings", "s"},
	}
	meNav = []navEntry{
		{"Profile", "", "user", ""},
		{"Security", "/security", "lock", ""},
		{"Sessions", "/sessions", "monitor", ""},
		{"Preferences", "/preferences", "settings", ""},
	}
	organisationNav = []navEntry{
		{"Accounts", "", "layers", "h"},
		{"Team", "/team", "users", "t"},
		{"Roles", "/roles", "shield-check", "r"},
		{"Requests", "/requests", "git-pull-request", "q"},
		{"Audit log", "/audit", "scroll-text", "a"},
		{"Settings", "/settings", "settings", "s"},
	}
)

// nav is the rail of the place.
func (x *exchange) nav() (items []view.NavItem) {
	entries, place := organisationNav, x.here()
	switch {
	case x.account.ID != "":
		entries = accountNav
	case x.operator:
		entries = operatorNav
	case x.organisation.ID == "" && (x.URL.Path == "/me" || strings.HasPrefix(x.URL.Path, "/me/")):
		entries, place = meNav, "/me"
	case x.organisation.ID == "":
		return nil
	}
	for _, e := range entries {
		path := place + e.path
		current := x.URL.Path == path || e.path != "" && strings.HasPrefix(x.URL.Path, path+"/")
		items = append(items, view.NavItem{Label: e.label, Path: path, Icon: e.icon, Key: e.key, Current: current})
	}
	return items
}

func titleOf(name, email string) string {
	if name == "" {
		return email
	}
	return name
}

// rolesWith are the titles of the roles that have an ability: the operator's in
// the operator's area, elsewhere the customers'.
func (x *exchange) rolesWith(ability actor.Ability) (titles []string) {
	for _, role := range actor.Roles() {
		if x.offersHere(role) && role.Abilities()[ability] {
			titles = append(titles, role.Title())
		}
	}
	return titles
}
