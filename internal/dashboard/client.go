package dashboard

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/snippet"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

const languageCookie = "language"

var errProduct = fault.Errorf(fault.Invalid, "there is no such product here: choose one of the list")

// enterClient loads the client that the address names, which must be one of
// the account. An id that looks like another account's is told, without saying
// whether it exists.
func (x *exchange) enterClient(key id.Client) (err error) {
	x.client, err = x.d.Registry.ClientSummary(x.Context(), x.by, key)
	if err == nil && x.client.Account == x.account.ID {
		return nil
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	x.client = registry.ClientSummary{}
	words := map[string]string{
		id.SandboxClient: "belongs to a sandbox account", id.ProductionClient: "belongs to a production account",
		id.OrganisationClient: "belongs to an organisation as a whole", id.OperatorClient: "belongs to the operator",
	}[key.Prefix()]
	if _, ok := id.ParseClient(string(key)); !ok || words == "" {
		return errNoPage
	}
	return &failure{
		status: http.StatusNotFound, title: errNoPage.title,
		text: "There is no client " + string(key) + " here. An id like that " + words + ": is it in another place?",
		ways: []view.Link{{Label: "Go to clients", Path: x.here() + "/clients"}},
	}
}

// clientPath is that of the client's pages.
func (x *exchange) clientPath() string { return x.here() + "/clients/" + string(x.client.ID) }

// clientPage is the frame of the client's pages.
func (x *exchange) clientPage(tab string) (p view.Page, f view.ClientFrame, err error) {
	p = x.page(x.client.Name)
	f = view.ClientFrame{
		Name: x.client.Name, ID: string(x.client.ID), Path: x.clientPath(), List: x.here() + "/clients", Disabled: x.client.State == registry.Disabled,
	}
	if f.Disabled {
		f.Enable = x.enabling()
		if f.DisabledAt, f.DisabledBy, err = x.lastMade("client.disable", f.ID); err != nil {
			return p, f, err
		}
	}
	for _, t := range []struct{ name, path string }{{"Overview", ""}, {"Secrets", "/secrets"}, {"Permissions", "/permissions"}, {"Settings", "/settings"}} {
		f.Tabs = append(f.Tabs, view.Link{Label: t.name, Path: f.Path + t.path, Current: t.name == tab})
	}
	if tab != "Overview" {
		p.Title = tab
		p.Context = append([]string{x.client.Name}, p.Context...)
	}
	return p, f, nil
}

// lastMade tells when something was last done to a subject, and who did it.
func (x *exchange) lastMade(action, subject string) (at time.Time, who string, err error) {
	at, who, err = x.d.Registry.LastMade(x.Context(), x.by, action, subject)
	if err != nil || at.IsZero() {
		return at, "", err
	}
	people, err := x.people()
	return at, titleOf(people.nameOf(who), "Somebody who is not in the team"), err
}

// enabling is the button that enables the client, or asks others to; nil for who
// can do neither.
func (x *exchange) enabling() *view.Action {
	a := &view.Action{Label: "Enable client", Path: x.clientPath() + "/state", Fields: []view.Hidden{{Name: "state", Value: string(registry.Enabled)}}, Class: "small", Icon: "play"}
	switch {
	case x.by.May(actor.ClientWrite, x.account.ID):
		return a
	case x.mayAsk():
		a.Label, a.Fields = "Ask to enable client", append(a.Fields, view.Hidden{Name: askField, Value: "1"})
		return a
	}
	return nil
}

// overview is the client's first page: what it is, and how to call with it.
func (d *dashboard) overview(x *exchange) error {
	p, frame, err := x.clientPage("Overview")
	if err != nil {
		return err
	}
	use, err := d.Usage.Client(x.Context(), x.by, x.client.ID)
	if err != nil {
		return err
	}
	page := view.ClientOverview{
		Frame: frame, TokenURL: d.TokenURL, APIURL: d.APIURL, Account: string(x.account.ID), Lifetime: x.client.TokenLifetime,
		Secrets: x.client.Secrets, EndsAt: x.client.ExpiresAt, Permissions: len(x.client.Permissions), CreatedAt: x.client.CreatedAt,
		CalledAt: use.Call.At, TokenAt: use.Token.At, MayAddSecret: x.by.May(actor.SecretWrite, x.account.ID),
	}
	page.Networks, page.Note = networkTexts(x.client.Networks), x.client.Note
	if x.client.Contact != "" {
		people, err := x.people()
		if err != nil {
			return err
		}
		page.Contact = people.of("person:" + string(x.client.Contact))
	}
	if use.Call.From.IsValid() {
		page.CalledFrom = use.Call.From.String()
	}
	if x.operator {
		page.APIURL, page.Login = "", x.login()
		return x.show(http.StatusOK, view.ClientOverviewPage(p, page))
	}
	if page.QuickStart, err = x.quickStart(); err != nil {
		return err
	}
	return x.show(http.StatusOK, view.ClientOverviewPage(p, page))
}

// login is how a client of the operator signs in on the command line.
func (x *exchange) login() view.Login {
	l := view.Login{
		Line: "doorward login --url " + x.d.APIURL + " --client-id " + string(x.client.ID),
		Note: "It manages what its permissions name, for every organisation. The command asks for the secret.",
	}
	switch x.d.Process.Management {
	case "":
		l.Note = "Nothing answers clients of the operator here: set management_listen in the configuration first."
	case x.d.APIURL:
	default:
		l.Line += " --management-url http://" + x.d.Process.Management
		l.Note += " Where management_listen is behind a proxy, put the proxy's URL in."
	}
	return l
}

// postman is the quick start as a collection for Postman, without a secret.
func (d *dashboard) postman(x *exchange) error {
	call, err := x.exampleCall()
	if err != nil {
		return err
	}
	collection, err := snippet.Postman(call)
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="`+string(x.client.ID)+`.postman_collection.json"`)
	_, err = x.w.Write(collection)
	return err
}

// quickStart is a call that the client may make, in the language that the
// person chose last.
func (x *exchange) quickStart() (q view.QuickStart, err error) {
	call, err := x.exampleCall()
	if err != nil {
		return q, err
	}
	q, err = x.quickStartOf(call, x.clientPath())
	q.Postman = x.clientPath() + "/postman"
	return q, err
}

// quickStartOf shows a call on the page at path.
func (x *exchange) quickStartOf(call snippet.Call, path string) (q view.QuickStart, err error) {
	snippets, err := snippet.Write(call)
	if err != nil {
		return q, err
	}
	chosen := x.language(snippets)
	for _, s := range snippets {
		if !slices.ContainsFunc(q.Languages, func(l view.Link) bool { return l.Label == s.Name }) {
			q.Languages = append(q.Languages, view.Link{Label: s.Name, Path: path + "?lang=" + s.Key + "#quick-start", Current: s.Language == chosen.Language})
		}
		if s.Language == chosen.Language {
			q.Variants = append(q.Variants, view.Link{Label: s.Variant, Path: path + "?lang=" + s.Key + "#quick-start", Current: s.Key == chosen.Key})
		}
	}
	q.Text, q.File, q.Install, q.Run, q.Name = chosen.Text, chosen.File, chosen.Install, chosen.Run, chosen.Name
	q.Method, q.Path, q.Blanks = call.Method, call.Path, call.Blanks()
	return q, nil
}

// language is the snippet that the address asks for, or the browser's last.
func (x *exchange) language(snippets []snippet.Snippet) snippet.Snippet {
	for _, key := range []string{x.URL.Query().Get("lang"), x.cookie(languageCookie)} {
		for _, s := range snippets {
			if s.Key == key || s.Language == key {
				if key != x.cookie(languageCookie) {
					x.setCookie(languageCookie, key, year)
				}
				return s
			}
		}
	}
	return snippets[0]
}

// exampleCall is one of the client of this page.
func (x *exchange) exampleCall() (snippet.Call, error) {
	products, err := x.products()
	return x.exampleCallOf(&x.client, products), err
}

// exampleCallOf is the most harmless call of the products that a client may make;
// without any permission it is one of the first product, which will be refused.
func (x *exchange) exampleCallOf(client *registry.ClientSummary, products []registry.OfferedProduct) snippet.Call {
	call := snippet.Call{
		TokenURL: x.d.TokenURL, APIURL: x.d.APIURL, ClientID: string(client.ID), AccountID: string(x.account.ID),
		AccountParameter: x.d.AccountParameter, Method: http.MethodGet, Path: "/",
	}
	best := -1
	for _, p := range products {
		for _, r := range p.Definition.Routes {
			if harm := harmOf(&r, client.Permissions); best < 0 || harm < best {
				best = harm
				call.Method, call.Path, call.Body = exampleOf(&p.Definition, &r)
			}
		}
	}
	return call
}

// harmOf orders routes by how good an example they are: those that may be
// called, that only read, and that have nothing to fill in come first.
func harmOf(r *registry.Route, held []string) int {
	harm := strings.Count(r.Path, "{")
	if strings.HasSuffix(r.Path, "...}") {
		harm--
	}
	if r.Method != http.MethodGet && r.Method != "*" {
		harm += 10
	}
	if r.Public {
		harm += 20
	}
	if !opens(r, held) {
		harm += 100
	}
	return harm
}

func opens(r *registry.Route, held []string) bool {
	return r.Public || slices.ContainsFunc(r.Permissions, func(set []string) bool {
		return !slices.ContainsFunc(set, func(key string) bool { return !slices.Contains(held, key) })
	})
}

// exampleOf is a call of a route: what may be anything is "hello".
func exampleOf(d *registry.Definition, r *registry.Route) (method, path, body string) {
	method, path = r.Method, d.Prefix+r.Path
	if i := strings.LastIndex(path, "/{"); i >= 0 && strings.HasSuffix(path, "...}") {
		path = path[:i] + "/hello"
	}
	switch method {
	case "*":
		method = http.MethodGet
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		body = "{}"
	}
	return method, path, body
}

// setClientState disables a client, which stops it at once, or enables it again.
func (d *dashboard) setClientState(x *exchange) error {
	state := registry.ClientState(x.value("state"))
	if state != registry.Enabled && state != registry.Disabled {
		return errBadForm
	}
	if state == registry.Disabled && x.value("confirm") == "" {
		used, err := x.usedLately()
		if err != nil {
			return err
		}
		if used {
			return x.redirect(x.clientPath() + "/disable")
		}
	}
	if err := x.apply(registry.SetClientState{Client: x.client.ID, State: state}); err != nil {
		return err
	}
	if state == registry.Enabled {
		return x.done(x.clientPath(), "Client "+x.client.Name+" is enabled. Earlier tokens stay refused.", nil)
	}
	return x.done(x.clientPath(), "Client "+x.client.Name+" is disabled: its calls are refused now.", x.undo("state", "state", string(registry.Enabled)))
}

// undo is a button that sends one field to one of the client's addresses.
func (x *exchange) undo(path, name, value string) *view.Action {
	return &view.Action{Label: "Undo", Path: x.clientPath() + "/" + path, Fields: []view.Hidden{{Name: name, Value: value}}, Class: "small", Icon: "undo-2"}
}

// usedLately says whether stopping the client would stop something.
func (x *exchange) usedLately() (bool, error) {
	use, err := x.d.Usage.Client(x.Context(), x.by, x.client.ID)
	day := x.d.Now().Add(-24 * time.Hour)
	return use.Call.At.After(day) || use.Token.At.After(day), err
}

func (d *dashboard) confirmDisable(x *exchange) error {
	return x.confirm(view.Confirm{
		Title: "Disable client " + x.client.Name, Back: x.clientPath(), Keep: "Keep client", Do: "Disable client",
		Action: view.Action{Path: x.clientPath() + "/state", Fields: []view.Hidden{{Name: "state", Value: "disabled"}, {Name: "confirm", Value: "1"}}},
		Facts:  []string{"Its calls are refused from then on, with the tokens that it has too.", "Everything it holds is kept: enabling it again makes it work with new tokens."},
	}, actor.ClientDisable)
}

// confirm is a page before something that stops calls or cannot be undone. It
// says how much the client is used.
func (x *exchange) confirm(c view.Confirm, needs actor.Ability) (err error) {
	use, err := x.d.Usage.Client(x.Context(), x.by, x.client.ID)
	if err != nil {
		return err
	}
	c.Client, c.CalledAt, c.TokenAt = x.client.Name, use.Call.At, use.Token.At
	if use.Call.From.IsValid() {
		c.CalledFrom = use.Call.From.String()
	}
	if c.Locked, err = x.locked("client", needs); err != nil {
		return err
	}
	p := x.page(c.Title, x.client.Name)
	p.Width = "narrow"
	status := http.StatusOK
	if len(c.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return x.show(status, view.ConfirmPage(p, c))
}

func (d *dashboard) confirmDelete(x *exchange) error { return x.showDelete(nil) }

func (x *exchange) showDelete(errs []view.FieldError) error {
	return x.confirm(view.Confirm{
		Title: "Delete client " + x.client.Name, Back: x.clientPath(), Keep: "Keep client", Do: "Delete client", Final: true, Errors: errs,
		Action: view.Action{Path: x.clientPath() + "/delete"}, Type: x.typed(),
		Facts: []string{"Its secrets and tokens stop working at once. This cannot be undone, and its id is never used again.", "Disabling it stops it as well, and can be undone."},
	}, actor.ClientWrite)
}

// typed is what has to be typed before something final happens in production.
func (x *exchange) typed() string {
	if x.environment() == id.Production {
		return x.client.Name
	}
	return ""
}

// deliberate refuses something final in production that was not confirmed by
// typing the client's name, or without a recent sign-in. Asking for it is neither.
func (x *exchange) deliberate() ([]view.FieldError, error) {
	if x.typed() == "" || x.asks() {
		return nil, nil
	}
	if x.value("name") != strings.TrimSpace(x.client.Name) {
		return []view.FieldError{{Field: "name", Text: "Type the name of the client as it stands above."}}, nil
	}
	if !x.by.Recent() {
		return nil, actor.ErrRecentSignIn
	}
	return nil, nil
}

func (d *dashboard) deleteClient(x *exchange) error {
	errs, err := x.deliberate()
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		return x.showDelete(errs)
	}
	if err := x.apply(registry.SetClientState{Client: x.client.ID, State: registry.Deleted}); err != nil {
		return err
	}
	return x.done(x.here()+"/clients", "Client "+x.client.Name+" is deleted.", nil)
}
