package dashboard_test

import (
	"html"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/internal/usage"
)

const (
	base     = "https://dashboard.example"
	password = "correct horse battery"
)

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// seeded is a random source that gives the same bytes each time.
type seeded struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Read(p)
}

// site is a Dashboard over organisation A, with a sandbox and a production
// account and a member of each role, and organisation B.
type site struct {
	http.Handler
	dashboard *dashboard.Dashboard
	db        *sqldb.DB
	registry  *registry.Registry
	people    *signin.People
	outbox    *mail.Outbox
	usage     *usage.Usage
	keys      *signingkey.Ring
	clock     *clock
	chain     journal.ChainState
	age       time.Duration       // of what the process knows
	resting   []dashboard.Resting // upstreams
	system    actor.Actor         // in organisation A

	organisation, other            id.Organisation
	sandbox, production, elsewhere id.Account // the last of organisation B
	client, foreign                id.Client  // of the two sandboxes
	secret                         id.Secret  // of the client
	value                          string
	invitation                     id.Invitation         // into A, as viewer
	link                           string                // to it
	record                         int64                 // of the audit log of A
	products                       int                   // made by anew
	mail                           string                // of the outbox: the invitation
	person                         id.Person             // the viewer
	like                           registry.CreatePerson // with the password of everybody
}

// roles of organisation A, each held by the person role@a.example. The account
// admin's is on the sandbox alone.
var roles = []actor.Role{actor.OrganisationAdmin, actor.AccountAdmin, actor.AccessManager, actor.Developer, actor.Auditor, actor.Viewer}

// operatorRoles are held by the person role@a.example each, who is in no
// organisation.
var operatorRoles = []actor.Role{actor.OperatorAdmin, actor.OperatorSupport, actor.OperatorAuditor}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{db: sqldbtest.New(t), clock: &clock{now: time.Date(2026, 2, 28, 22, 0, 0, 0, time.UTC)}}
	mint, err := secret.NewMint(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	random, quiet := &seeded{source: rand.NewChaCha8([32]byte{7})}, slog.New(slog.DiscardHandler)
	sealer, err := secret.NewSealer(make([]byte, secret.KeySize))
	must(t, err)
	s.outbox = mail.New(mail.Config{DB: s.db, Sealer: sealer, Now: s.clock.Now, Rand: random, Log: quiet, Dashboard: base})
	s.registry = registry.New(registry.Config{DB: s.db, Now: s.clock.Now, Rand: random, Mint: mint, Sealer: sealer, Mail: s.outbox, IssuerPath: "/auth/open"})
	s.people = signin.New(signin.Config{DB: s.db, Registry: s.registry, Mail: s.outbox, Sealer: sealer, Issuer: "dashboard.example", Now: s.clock.Now, Rand: random, Log: quiet})
	s.keys, err = signingkey.Open(t.Context(), signingkey.Config{DB: s.db, Sealer: sealer, Now: s.clock.Now, Rand: random})
	must(t, err)
	s.usage = usage.New(usage.Config{DB: s.db, Now: s.clock.Now, Log: quiet})
	s.dashboard = dashboard.New(dashboard.Config{
		URL: base, Chain: func() journal.ChainState { return s.chain }, Registry: s.registry, People: s.people, Usage: s.usage, Now: s.clock.Now, Rand: random,
		APIURL: "https://api.example", TokenURL: "https://api.example/auth/open/connect/token", AccountParameter: "signicat-accountId",
		Process: dashboard.Process{
			Version: "v1.2.3", Keys: s.keys, Management: "10.0.0.1:8083", StaleLimit: time.Minute, Age: func() time.Duration { return s.age },
			Resting: func() []dashboard.Resting { return s.resting },
		},
	})
	s.Handler = s.dashboard
	s.fill(t)
	return s
}

// newOperatorSite is a site with the operator's people.
func newOperatorSite(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	for _, role := range operatorRoles {
		s.addPerson(t, actor.NewSystem("test"), emailOf(role), role.Title(), actor.RoleGrant{Role: role})
	}
	return s
}

func (s *site) fill(t testing.TB) {
	t.Helper()
	system := actor.NewSystem("test")
	must(t, s.registry.PutProducts(t.Context(), system, registry.Declared, products()...))
	s.organisation, s.other = id.NewOrganisation(s.registry.Rand), id.NewOrganisation(s.registry.Rand)
	s.sandbox, s.production = id.NewAccount(s.registry.Rand, id.Sandbox), id.NewAccount(s.registry.Rand, id.Production)
	s.elsewhere = id.NewAccount(s.registry.Rand, id.Sandbox)
	s.system = system.In(s.organisation)
	must(t, s.registry.Apply(t.Context(), s.system,
		registry.CreateOrganisation{ID: s.organisation, Name: "Analytical Engines"},
		registry.CreateAccount{ID: s.sandbox, Name: "Try-out"}, registry.CreateAccount{ID: s.production, Name: "Shop"}))
	must(t, s.registry.Apply(t.Context(), system.In(s.other),
		registry.CreateOrganisation{ID: s.other, Name: "Difference Engines"}, registry.CreateAccount{ID: s.elsewhere, Name: "Foreign"}))
	var err error
	var value secret.Plaintext
	s.client, s.secret, value, err = s.registry.SetUpClient(t.Context(), s.system, registry.Setup{
		NewClient: registry.NewClient{Account: s.sandbox, Name: "billing"}, Permissions: []string{"echo.call"}, Secret: "ci", Expires: s.clock.Now().Add(48 * time.Hour),
	})
	must(t, err)
	s.value = value.Reveal()
	s.foreign, err = s.registry.CreateClient(t.Context(), system.In(s.other), registry.NewClient{Account: s.elsewhere, Name: "theirs"})
	must(t, err)
	s.like, err = s.people.PreparePerson(t.Context(), "first@example.com", "", secret.NewPlaintext(password))
	must(t, err)
	s.invitation = s.invited(t, "invited@example.com")
	s.link = s.linkTo(t, "invited@example.com")
	for _, role := range roles {
		grant := actor.RoleGrant{Role: role}
		grant.Account = accountOf(s, role)
		s.addPerson(t, s.system, emailOf(role), role.Title(), grant)
	}
	mails, _, err := s.outbox.List(t.Context(), false, "")
	must(t, err)
	s.mail = mails[0].ID
	log, err := s.registry.AuditRecords(t.Context(), s.system, registry.AuditFilter{}, registry.Page{Limit: 1})
	must(t, err)
	s.record = log.Items[0].Seq
	s.person = s.personOf(t, emailOf(actor.Viewer))
	s.addPerson(t, system.In(s.other), "admin@b.example", "Somebody Else", actor.RoleGrant{Role: actor.OrganisationAdmin})
}

// accountOf is where a role is held: the account admin's on the sandbox alone.
func accountOf(s *site, role actor.Role) id.Account {
	if role == actor.AccountAdmin {
		return s.sandbox
	}
	return ""
}

// addPerson makes a person with the password of another, which costs no hash.
func (s *site) addPerson(t testing.TB, by actor.Actor, email, name string, grant actor.RoleGrant) {
	t.Helper()
	like := s.like
	like.ID, like.Email, like.Name = id.NewPerson(s.registry.Rand), email, name
	must(t, s.registry.Apply(t.Context(), by, like, registry.AddMember{Person: like.ID, Roles: []actor.RoleGrant{grant}}))
}

func emailOf(role actor.Role) string { return string(role) + "@a.example" }

func products() []registry.Definition {
	open := func(key, name, prefix string) registry.Definition {
		return registry.Definition{
			Key: key, Name: name, Prefix: prefix, Visibility: registry.Published, SandboxAccess: registry.Open, ProductionAccess: registry.Open,
			Upstreams: map[id.Environment]string{id.Sandbox: "http://127.0.0.1:1", id.Production: "http://127.0.0.1:1"},
		}
	}
	auth := open("auth", "Authentication", "/auth/rest")
	auth.Permissions = []registry.Permission{
		{Key: "auth.sessions.create", Description: "Start authentication sessions.", Assignable: registry.ByCustomer},
		{Key: "auth.sessions.read", Description: "Read authentication sessions and their results.", Assignable: registry.ByCustomer},
		{Key: "auth.sessions.purge", Description: "Delete all sessions.", Assignable: registry.ByOperator},
	}
	auth.Routes = []registry.Route{
		{Method: "POST", Path: "/sessions", Permissions: [][]string{{"auth.sessions.create"}}},
		{Method: "GET", Path: "/sessions/{id}", Permissions: [][]string{{"auth.sessions.read"}}},
		{Method: "DELETE", Path: "/sessions", Permissions: [][]string{{"auth.sessions.purge"}}},
	}
	echo := open("echo", "Echo", "/echo")
	echo.Permissions = []registry.Permission{{Key: "echo.call", Description: "Call every method and path.", Assignable: registry.ByCustomer}}
	echo.Routes = []registry.Route{{Method: "*", Path: "/{path...}", Permissions: [][]string{{"echo.call"}}}}
	seal := open("seal", "Sealing", "/seal") // that organisations have to ask for
	seal.SandboxAccess, seal.ProductionAccess = registry.Granted, registry.Granted
	seal.Permissions = []registry.Permission{{Key: "seal.documents.create", Description: "Seal documents.", Assignable: registry.ByCustomer}}
	seal.Routes = []registry.Route{
		{Method: "POST", Path: "/documents", Permissions: [][]string{{"seal.documents.create"}}},
		{Method: "GET", Path: "/certificates", Public: true},
	}
	return []registry.Definition{auth, echo, seal}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// visitor is a browser: it keeps cookies and sends what a browser sends.
type visitor struct {
	t       testing.TB
	s       *site
	cookies map[string]*http.Cookie
	address string
}

func (s *site) visitor(t testing.TB) *visitor {
	return &visitor{t: t, s: s, cookies: map[string]*http.Cookie{}, address: "192.0.2.7:1"}
}

// as returns a browser in which the person of that address is signed in.
func (s *site) as(t testing.TB, email string) *visitor {
	t.Helper()
	v := s.visitor(t)
	if a := v.post("/signin", "email", email, "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("sign in as %s: status %d", email, a.status)
	}
	return v
}

// proven gives the session its second factor.
func (v *visitor) proven() *visitor {
	v.t.Helper()
	digest := secret.DigestOf(secret.NewPlaintext(v.cookies["__Host-session"].Value))
	must(v.t, v.s.db.Write(v.t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(v.t.Context(), `UPDATE session SET factor_at = $1 WHERE digest = $2`, v.s.clock.Now().UnixMicro(), []byte(digest))
		return err
	}))
	return v
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (v *visitor) get(path string, header ...string) answer {
	v.t.Helper()
	return v.send("GET", path, "", header...)
}

// post sends a form of names and values.
func (v *visitor) post(path string, form ...string) answer {
	v.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	return v.send("POST", path, values.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", base)
}

func (v *visitor) send(method, path, body string, header ...string) answer {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, base+path, strings.NewReader(body))
	r.RemoteAddr = v.address
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.s.ServeHTTP(w, r)
	response := w.Result()
	for _, c := range response.Cookies() {
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		} else {
			v.cookies[c.Name] = c
		}
	}
	text, err := io.ReadAll(response.Body)
	must(v.t, err)
	return answer{response.StatusCode, response.Header, string(text)}
}

// follow gets the page to which an answer leads.
func (v *visitor) follow(a answer) answer {
	v.t.Helper()
	if a.status != http.StatusSeeOther {
		v.t.Fatalf("status %d, which leads nowhere: %s", a.status, a.text())
	}
	return v.get(a.header.Get("Location"))
}

var (
	tag     = regexp.MustCompile(`<[^>]*>`)
	spaces  = regexp.MustCompile(`\s+`)
	primary = regexp.MustCompile(`(?s)<(?:a|button) class="button[^"]*\bprimary[^"]*"[^>]*>(.*?)</(?:a|button)>`)
	heading = regexp.MustCompile(`(?s)<h1>(.*?)</h1>`)
)

// text is what the answer's main part says.
func (a answer) text() string {
	_, main, _ := strings.Cut(a.body, `<main id="main" tabindex="-1"`)
	main, _, _ = strings.Cut(main, "</main>")
	return plain(main)
}

func plain(markup string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(html.UnescapeString(tag.ReplaceAllString(markup, " ")), " "))
}

// primary are the names of the main actions of the page.
func (a answer) primary() (names []string) {
	for _, match := range primary.FindAllStringSubmatch(a.body, -1) {
		names = append(names, plain(match[1]))
	}
	return names
}

func (a answer) heading() string {
	if match := heading.FindStringSubmatch(a.body); match != nil {
		return plain(match[1])
	}
	return ""
}

func (a answer) wants(t testing.TB, status int, words ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.text())
		return
	}
	text := a.text()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("the page does not say %q: %s", word, text)
		}
	}
}

// random is a text that nothing else is called.
func (s *site) random() string { return string(id.NewSecret(s.registry.Rand)) }

// at fills the places and things of organisation A into a pattern.
func (s *site) at(pattern string) string {
	return strings.NewReplacer(
		"{organisation}", string(s.organisation), "{account}", string(s.sandbox), "{client}", string(s.client), "{secret}", string(s.secret), "{value}", s.value, "{$}", "",
		"{person}", string(s.person), "{invitation}", string(s.invitation), "{mail}", s.mail, "{purpose}", "sandbox", "{key}", s.keyOf("sandbox", signingkey.Next), "/invite/{link}", s.link, "{product}", "auth", "{permission}", "auth.sessions.read", "{version}", "1", "{environment}", "production", "{record}", strconv.FormatInt(s.record, 10),
	).Replace(pattern)
}

// audit returns how often an action is in the audit log of organisation A.
func (s *site) audit(t testing.TB, action string) int {
	t.Helper()
	list, err := s.registry.AuditRecords(t.Context(), s.system, registry.AuditFilter{Action: action}, registry.Page{Limit: registry.MaxPageSize})
	must(t, err)
	return len(list.Items)
}
