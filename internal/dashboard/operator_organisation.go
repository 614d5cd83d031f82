package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// maxCalled bounds the clients that are named before they stop.
const maxCalled = 20

// organisationRoutes are those of the operator's area about customers.
func (d *dashboard) organisationRoutes() []route {
	return []route{
		{method: "GET", pattern: "/operator/organisations", handle: d.organisations, needs: actor.OrganisationRead},
		{method: "GET", pattern: "/operator/organisations/new", handle: d.newOrganisation, needs: actor.OrganisationRead},
		{method: "POST", pattern: "/operator/organisations/new", handle: d.createOrganisation, needs: actor.OrganisationCreate},
		{method: "GET", pattern: "/operator/organisations/{organisation}", handle: d.customer, needs: actor.OrganisationRead},
		{method: "GET", pattern: "/operator/organisations/{organisation}/suspend", handle: d.confirmSuspension, needs: actor.ClientRead},
		{method: "POST", pattern: "/operator/organisations/{organisation}/state", handle: d.setOrganisationState, needs: actor.Suspend},
		{method: "GET", pattern: "/operator/organisations/{organisation}/accounts/{account}/suspend", handle: d.confirmAccountSuspension, needs: actor.ClientRead},
		{method: "POST", pattern: "/operator/organisations/{organisation}/accounts/{account}/state", handle: d.setAccountState, needs: actor.Suspend},
		{method: "POST", pattern: "/operator/organisations/{organisation}/products/give", handle: d.giveProduct, needs: actor.GrantWrite},
		{method: "GET", pattern: "/operator/organisations/{organisation}/products/withdraw", handle: d.confirmWithdrawal, needs: actor.ClientRead},
		{method: "POST", pattern: "/operator/organisations/{organisation}/products/withdraw", handle: d.withdrawProduct, needs: actor.GrantWrite},
	}
}

// organisations lists the customers. Its filters stand in the URL.
func (d *dashboard) organisations(x *exchange) error {
	query := x.URL.Query()
	filter := registry.OrganisationFilter{Text: strings.TrimSpace(query.Get("q")), State: registry.State(query.Get("state"))}
	list, err := d.Registry.Organisations(x.Context(), x.by, filter, registry.Page{After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") { // a cursor of another list: begin anew
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	page := view.Organisations{Path: x.URL.Path, Text: filter.Text, State: string(filter.State)}
	if page.Locked, err = x.locked("organisations", actor.OrganisationCreate); err != nil {
		return err
	}
	for _, o := range list.Items {
		page.Rows = append(page.Rows, customerRow(&o))
	}
	for _, c := range []struct{ name, words string }{{"q", "name or id: " + filter.Text}, {"state", "state: " + page.State}} {
		if query.Get(c.name) != "" {
			page.Chips = append(page.Chips, view.Chip{Text: c.words, Path: page.Path + without(query, c.name, "after")})
		}
	}
	if query.Has("after") {
		page.Newest = page.Path + without(query, "after")
	}
	if list.Next != "" {
		query.Set("after", string(list.Next))
		page.Older = page.Path + "?" + query.Encode()
	}
	return x.show(http.StatusOK, view.OrganisationsPage(x.page("Organisations"), page))
}

func customerPath(key id.Organisation) string { return operatorPath + "/organisations/" + string(key) }

func customerRow(o *registry.Organisation) view.CustomerRow {
	return view.CustomerRow{
		Name: o.Name, ID: string(o.ID), Path: customerPath(o.ID), Suspended: o.State == registry.Suspended, EraseAt: o.EraseAt, CreatedAt: o.CreatedAt,
	}
}

func (d *dashboard) newOrganisation(x *exchange) error {
	return x.showNewOrganisation(http.StatusOK, view.NewOrganisationForm{})
}

func (x *exchange) showNewOrganisation(status int, form view.NewOrganisationForm) (err error) {
	form.Path, form.Once = operatorPath+"/organisations", x.d.random()
	if form.Locked, err = x.locked("organisations", actor.OrganisationCreate); err != nil {
		return err
	}
	p := x.page("Create organisation")
	p.Width = "narrow"
	return x.show(status, view.NewOrganisation(p, form))
}

// createOrganisation makes a customer and, with an address, invites its first
// organisation admin.
func (d *dashboard) createOrganisation(x *exchange) error {
	form := view.NewOrganisationForm{Name: x.value("name"), Email: x.value("email")}
	var err error
	if form.Email != "" {
		if !x.by.Recent() { // the invitation will need it
			return errOr(x.by.Require(actor.OrganisationCreate, ""), actor.ErrRecentSignIn)
		}
		_, err = registry.ParseEmail(form.Email)
	}
	var key id.Organisation
	if err == nil {
		key, err = x.once().CreateOrganisation(x.Context(), x.by, form.Name)
	}
	if repeated, ok := errors.AsType[*registry.Repeated](err); ok {
		return x.done(customerPath(id.Organisation(repeated.Subject)), "This organisation was created already.", nil)
	}
	if err != nil {
		status, errs, err := x.refused(err, "name", "email e-mail")
		if err != nil {
			return err
		}
		form.Errors = errs
		return x.showNewOrganisation(status, form)
	}
	if form.Email == "" {
		return x.done(customerPath(key), "Organisation "+form.Name+" is created.", nil)
	}
	if _, err := d.Registry.Invite(x.Context(), x.by.In(key), form.Email, "", []actor.RoleGrant{{Role: actor.OrganisationAdmin}}); err != nil {
		if message(err) == "" {
			return err
		}
		return x.done(customerPath(key), "Organisation "+form.Name+" is created. Nobody was invited: "+message(err), nil)
	}
	return x.done(customerPath(key), "Organisation "+form.Name+" is created, and an invitation to "+form.Email+" is on its way.", nil)
}

// enterCustomer finds the organisation that the address names.
func (x *exchange) enterCustomer() (o registry.Organisation, in actor.Actor, err error) {
	key, ok := id.ParseOrganisation(x.PathValue("organisation"))
	if !ok {
		return o, in, errNoPage
	}
	in = x.by.In(key)
	o, err = x.d.Registry.Organisation(x.Context(), in)
	return o, in, err
}

// customer shows one organisation: its accounts, its people and what it may use.
func (d *dashboard) customer(x *exchange) error {
	o, in, err := x.enterCustomer()
	if err != nil {
		return err
	}
	page := view.Customer{CustomerRow: customerRow(&o), List: operatorPath + "/organisations", Own: "/o/" + string(o.ID), Version: o.Version, MaySuspend: x.by.May(actor.Suspend, ""), MayGive: x.by.May(actor.GrantWrite, "")}
	if page.Locked, err = x.locked("organisation", actor.Suspend); err != nil {
		return err
	}
	members, err := d.Registry.Members(x.Context(), in)
	if err != nil {
		return err
	}
	page.People, page.Admins = len(members), len(admins(members))
	query := x.URL.Query()
	accounts, err := d.Registry.Accounts(x.Context(), in, registry.AccountFilter{}, registry.Page{After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") {
		return x.redirect(x.URL.Path)
	}
	if err != nil {
		return err
	}
	for _, a := range accounts.Items {
		page.Accounts = append(page.Accounts, view.CustomerAccount{
			Name: a.Name, ID: string(a.ID), Own: "/a/" + string(a.ID), Path: page.Path + "/accounts/" + string(a.ID), Environment: string(a.ID.Environment()),
			Suspended: a.State == registry.Suspended, Version: a.Version, CreatedAt: a.CreatedAt,
		})
	}
	if accounts.Next != "" {
		page.Older = page.Path + "?after=" + url.QueryEscape(string(accounts.Next))
	}
	if query.Has("after") {
		page.Newest = page.Path
	}
	if page.Grants, err = x.grants(in); err != nil {
		return err
	}
	return x.show(http.StatusOK, view.CustomerPage(x.page(o.Name), page))
}

// grants are the products that are limited to some organisations, by environment,
// and whether this one is among them.
func (x *exchange) grants(in actor.Actor) (rows []view.GrantRow, err error) {
	given := map[registry.ProductGrant]registry.Grant{}
	for page := (registry.Page{Limit: registry.MaxPageSize}); ; {
		list, err := x.d.Registry.Grants(x.Context(), in, registry.GrantFilter{}, page)
		if err != nil {
			return nil, err
		}
		for _, g := range list.Items {
			given[g.ProductGrant] = g
		}
		if page.After = list.Next; page.After == "" {
			break
		}
	}
	products, err := x.d.Registry.LiveProducts(x.Context())
	if err != nil {
		return nil, err
	}
	for _, p := range products {
		for _, env := range []id.Environment{id.Sandbox, id.Production} {
			g, held := given[registry.ProductGrant{Product: p.Definition.Key, Environment: env}]
			if held || p.Definition.AccessIn(env) == registry.Granted && p.Definition.Reaches(env) {
				rows = append(rows, view.GrantRow{Product: p.Definition.Key, Name: p.Definition.Name, Environment: string(env), Given: held, GivenAt: g.CreatedAt})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b view.GrantRow) int { return strings.Compare(a.Name, b.Name) })
	return rows, nil
}

// called fills in what stops, as far as it was used lately.
func (x *exchange) called(q *view.Question, in actor.Actor, filter registry.CalledFilter) error {
	list, err := x.d.Registry.CalledClients(x.Context(), in, filter, x.d.Now().Add(-day), maxCalled+1)
	if err != nil {
		return err
	}
	q.Counted = true
	for _, c := range list {
		if len(q.Called) == maxCalled {
			q.More = true
			break
		}
		path := ""
		if c.Account != "" {
			path = "/a/" + string(c.Account) + "/clients/" + string(c.ID)
		}
		q.Called = append(q.Called, view.CalledRow{Name: c.Name, ID: string(c.ID), Path: path, CalledAt: c.CalledAt})
	}
	return nil
}

// ask shows a page before something that stops calls or cannot be undone.
func (x *exchange) ask(q view.Question, needs actor.Ability) (err error) {
	if q.Locked, err = x.locked(q.What, needs); err != nil {
		return err
	}
	p := x.page(q.Title)
	p.Width = "narrow"
	status := http.StatusOK
	if len(q.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return x.show(status, view.QuestionPage(p, q))
}

func (d *dashboard) confirmSuspension(x *exchange) error {
	o, in, err := x.enterCustomer()
	if err != nil {
		return err
	}
	q := view.Question{
		Title: "Suspend " + o.Name, What: "organisation", Back: view.Link{Label: o.Name, Path: customerPath(o.ID)}, Keep: "Keep " + o.Name, Do: "Suspend organisation",
		Action: view.Action{Path: customerPath(o.ID) + "/state", Fields: []view.Hidden{{Name: "state", Value: string(registry.Suspended)}, {Name: "base", Value: strconv.FormatInt(o.Version, 10)}}},
		Facts:  []string{"All its API clients are refused at once, with the tokens that they have too.", "Its people can still sign in. Everything is kept: resuming it makes its clients work with new tokens."},
	}
	if err := x.called(&q, in, registry.CalledFilter{}); err != nil {
		return err
	}
	return x.ask(q, actor.Suspend)
}

// stateOf reads the state that a form asks for.
func (x *exchange) stateOf() (registry.State, error) {
	state := registry.State(x.value("state"))
	if state != registry.Active && state != registry.Suspended {
		return "", errBadForm
	}
	return state, nil
}

func (d *dashboard) setOrganisationState(x *exchange) error {
	o, in, err := x.enterCustomer()
	if err != nil {
		return err
	}
	state, err := x.stateOf()
	if err != nil {
		return err
	}
	if err := d.Registry.Apply(x.Context(), in, registry.SetOrganisationState{State: state, Base: x.base()}); err != nil {
		return err
	}
	return x.done(customerPath(o.ID), o.Name+stateWords[state], nil)
}

var stateWords = map[registry.State]string{
	registry.Suspended: " is suspended: its calls are refused now.",
	registry.Active:    " works again. Earlier tokens stay refused.",
}

// enterCustomerAccount finds the account that the address names.
func (x *exchange) enterCustomerAccount() (a registry.Account, o registry.Organisation, in actor.Actor, err error) {
	if o, in, err = x.enterCustomer(); err == nil {
		a, err = x.d.Registry.Account(x.Context(), in, id.Account(x.PathValue("account")))
	}
	return a, o, in, err
}

func (d *dashboard) confirmAccountSuspension(x *exchange) error {
	a, o, in, err := x.enterCustomerAccount()
	if err != nil {
		return err
	}
	q := view.Question{
		Title: "Suspend account " + a.Name, What: "account", Back: view.Link{Label: o.Name, Path: customerPath(o.ID)}, Keep: "Keep account", Do: "Suspend account",
		Action: view.Action{Path: customerPath(o.ID) + "/accounts/" + string(a.ID) + "/state", Fields: []view.Hidden{{Name: "state", Value: string(registry.Suspended)}, {Name: "base", Value: strconv.FormatInt(a.Version, 10)}}},
		Facts:  []string{"All API clients of this " + string(a.ID.Environment()) + " account are refused at once, with the tokens that they have too.", "Everything is kept: resuming it makes them work with new tokens."},
	}
	if err := x.called(&q, in, registry.CalledFilter{Account: a.ID}); err != nil {
		return err
	}
	return x.ask(q, actor.Suspend)
}

func (d *dashboard) setAccountState(x *exchange) error {
	a, o, in, err := x.enterCustomerAccount()
	if err != nil {
		return err
	}
	state, err := x.stateOf()
	if err != nil {
		return err
	}
	if err := d.Registry.Apply(x.Context(), in, registry.SetAccountState{Account: a.ID, State: state, Base: x.base()}); err != nil {
		return err
	}
	return x.done(customerPath(o.ID), "Account "+a.Name+stateWords[state], nil)
}

// grantOfForm is the product and environment that an address or a form names.
func (x *exchange) grantOfForm() registry.ProductGrant {
	return registry.ProductGrant{Product: x.FormValue("product"), Environment: id.Environment(x.FormValue("environment"))}
}

func (d *dashboard) giveProduct(x *exchange) error {
	o, in, err := x.enterCustomer()
	if err != nil {
		return err
	}
	g := x.grantOfForm()
	if err := d.Registry.Apply(x.Context(), in, registry.GrantProduct(g)); err != nil {
		return err
	}
	return x.done(customerPath(o.ID), o.Name+" may use "+g.Product+" in "+string(g.Environment)+" now.", nil)
}

func (d *dashboard) confirmWithdrawal(x *exchange) error {
	o, in, err := x.enterCustomer()
	if err != nil {
		return err
	}
	rows, err := x.grants(in)
	if err != nil {
		return err
	}
	g := x.grantOfForm()
	at := slices.IndexFunc(rows, func(r view.GrantRow) bool {
		return r.Given && r.Product == g.Product && r.Environment == string(g.Environment)
	})
	if at < 0 {
		return errNoPage
	}
	q := view.Question{
		Title: "Withdraw " + rows[at].Name, What: "product grants", Back: view.Link{Label: o.Name, Path: customerPath(o.ID)}, Keep: "Keep " + rows[at].Name, Do: "Withdraw product",
		Action: view.Action{Path: customerPath(o.ID) + "/products/withdraw", Fields: []view.Hidden{{Name: "product", Value: g.Product}, {Name: "environment", Value: string(g.Environment)}}},
		Facts:  []string{"Calls of " + o.Name + " to it in " + string(g.Environment) + " are refused at once.", "Its clients keep their permissions: giving the product again makes them work."},
	}
	if err := x.called(&q, in, registry.CalledFilter{Product: g.Product, Environment: g.Environment}); err != nil {
		return err
	}
	return x.ask(q, actor.GrantWrite)
}

func (d *dashboard) withdrawProduct(x *exchange) error {
	o, in, err := x.enterCustomer()
	if err != nil {
		return err
	}
	g := x.grantOfForm()
	if err := d.Registry.Apply(x.Context(), in, registry.WithdrawProduct(g)); err != nil {
		return err
	}
	return x.done(customerPath(o.ID), o.Name+" may no longer use "+g.Product+" in "+string(g.Environment)+".", nil)
}
