package dashboard_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/usage"
)

// operatorPages says what each of the operator's roles finds, as pages does. The
// columns are operator admin, support and auditor.
const operatorPages = `
GET  /operator             - - -
GET  /operator/mail        - F F
GET  /operator/mail/{mail} P F F
POST /operator/mail/{mail} D F F
GET  /operator/clients                                                 P - -
GET  /operator/clients/new                                             P - -
POST /operator/clients/new                                             D F F
GET  /operator/clients/{client}                                        - - -
POST /operator/clients/{client}/state                                  D D F
GET  /operator/clients/{client}/disable                                P P -
GET  /operator/clients/{client}/delete                                 P - -
POST /operator/clients/{client}/delete                                 D F F
GET  /operator/clients/{client}/secrets                                P - -
GET  /operator/clients/{client}/secrets/new                            P - -
POST /operator/clients/{client}/secrets/new                            D F F
GET  /operator/clients/{client}/permissions                            P P P
POST /operator/clients/{client}/permissions                            D F F
GET  /operator/clients/{client}/permissions/review                     - - -
GET  /operator/clients/{client}/settings                               P - -
POST /operator/clients/{client}/settings                               D F F
POST /operator/clients/{client}/env                                    D F F
GET  /operator/clients/{client}/secrets/{secret}/rotate                P - -
POST /operator/clients/{client}/secrets/{secret}/rotate                D F F
POST /operator/clients/{client}/secrets/{secret}/state                 D D F
GET  /operator/clients/{client}/secrets/{secret}/disable               P P -
GET  /operator/clients/{client}/secrets/{secret}/revoke                P - -
POST /operator/clients/{client}/secrets/{secret}/revoke                D F F
GET  /operator/audit                                                   P F P
GET  /operator/audit/export                                            - F -
GET  /operator/audit/{record}                                          - F -
GET  /operator/staff                                                   P - -
GET  /operator/staff/invite                                            P - -
POST /operator/staff/invite                                            D F F
GET  /operator/staff/{person}                                          P - -
POST /operator/staff/{person}                                          D F F
GET  /operator/people/{person}/factor                                  P - -
POST /operator/people/{person}/factor                                  D F F
GET  /operator/staff/{person}/remove                                   P - -
POST /operator/staff/{person}/remove                                   D F F
POST /operator/invitations/{invitation}/resend                         D F F
POST /operator/invitations/{invitation}/revoke                         D F F
GET  /operator/keys                                                    - - -
GET  /operator/keys/{purpose}/rotate                                   P - -
POST /operator/keys/{purpose}/rotate                                   D F F
GET  /operator/keys/{key}/withdraw                                     P - -
POST /operator/keys/{key}/withdraw                                     C F F
GET  /operator/organisations                                           P - -
GET  /operator/organisations/new                                       P - -
POST /operator/organisations/new                                       D F F
GET  /operator/organisations/{organisation}                            - - -
GET  /operator/organisations/{organisation}/suspend                    P - -
POST /operator/organisations/{organisation}/state                      D F F
GET  /operator/organisations/{organisation}/accounts/{account}/suspend P - -
POST /operator/organisations/{organisation}/accounts/{account}/state   D F F
POST /operator/organisations/{organisation}/products/give              D F F
GET  /operator/organisations/{organisation}/products/withdraw          P - -
POST /operator/organisations/{organisation}/products/withdraw          D F F
GET  /operator/requests                   - - -
POST /operator/requests/{request}/approve D F F
POST /operator/requests/{request}/decline D F F
GET  /operator/products                                           P - -
GET  /operator/products/new                                       P - -
POST /operator/products/new                                       D F F
GET  /operator/products/{product}                                 P - -
POST /operator/products/{product}                                 D F F
POST /operator/products/{product}/test                            D F F
GET  /operator/products/{product}/delete                          P - -
POST /operator/products/{product}/delete                          D F F
GET  /operator/products/{product}/permissions                     P - -
POST /operator/products/{product}/permissions                     D F F
GET  /operator/products/{product}/permissions/{permission}        P - -
POST /operator/products/{product}/permissions/{permission}        D F F
POST /operator/products/{product}/permissions/{permission}/remove D F F
GET  /operator/products/{product}/routes                          P - -
GET  /operator/products/{product}/routes/edit                     P - -
POST /operator/products/{product}/routes/edit                     D F F
POST /operator/products/{product}/routes/remove                   D F F
GET  /operator/products/{product}/import                          P - -
POST /operator/products/{product}/import                          D F F
GET  /operator/products/{product}/versions                        - F F
GET  /operator/products/{product}/versions/{version}              - F F
POST /operator/products/{product}/versions/{version}              D F F
GET  /operator/products/{product}/organisations                   - - -
POST /operator/products/{product}/organisations                   D F F
GET  /operator/products/{product}/organisations/{organisation}/{environment}/withdraw P - -
POST /operator/products/{product}/organisations/{organisation}/{environment}/withdraw D F F
`

func ofOperator(pattern string) bool {
	return pattern == "/operator" || strings.HasPrefix(pattern, "/operator/")
}

// TestPRIV01_eachPageOfTheOperatorForEachRole also sees to it that the area is
// not there for anybody else.
func TestPRIV01_eachPageOfTheOperatorForEachRole(t *testing.T) {
	s := newOperatorSite(t)
	rows := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(operatorPages)) {
		fields := strings.Fields(line)
		rows[fields[0]+" "+fields[1]] = fields[2:]
	}
	must(t, s.registry.Apply(t.Context(), s.system, registry.GrantProduct{Product: "auth", Environment: id.Sandbox}))
	var browsers []*visitor
	for _, role := range operatorRoles {
		browsers = append(browsers, s.as(t, emailOf(role)).proven())
	}
	password, customer, nobody := s.as(t, emailOf(actor.OperatorAdmin)), s.as(t, emailOf(actor.OrganisationAdmin)).proven(), s.visitor(t)
	for _, route := range dashboard.Routes() {
		if !ofOperator(route.Pattern) {
			continue
		}
		t.Run(route.Method+" "+route.Pattern, func(t *testing.T) {
			row, ok := rows[route.Method+" "+route.Pattern]
			delete(rows, route.Method+" "+route.Pattern)
			if !ok || len(row) != len(operatorRoles) {
				t.Fatal("the table has no full row for this address")
			}
			for i, role := range operatorRoles {
				a := browsers[i].ask(route, s.freshOperator(t, route.Pattern), string(role))
				if got := found(route.Method, a); got != row[i] {
					t.Errorf("%s finds %s (status %d, %q), want %s: %s", role.Title(), got, a.status, a.primary(), row[i], a.text())
				}
			}
			if a := password.ask(route, s.freshOperator(t, route.Pattern), "password"); a.status != http.StatusForbidden || !strings.Contains(a.text(), "second factor") {
				t.Errorf("with a password alone: status %d: %s", a.status, a.text())
			}
			if a := nobody.ask(route, s.freshOperator(t, route.Pattern), "nobody"); a.status != http.StatusUnauthorized || a.heading() != "Sign in" {
				t.Errorf("nobody gets status %d", a.status)
			}
			theirs, none := customer.ask(route, s.freshOperator(t, route.Pattern), "customer"), customer.get("/no/such/page")
			if theirs.status != http.StatusNotFound || theirs.text() != none.text() || strings.Contains(theirs.body, `href="/operator`) {
				t.Errorf("a customer gets status %d, %q; for no page %d, %q", theirs.status, theirs.text(), none.status, none.text())
			}
		})
	}
	for row := range rows {
		t.Errorf("the table has %s, which is no address", row)
	}
}

// freshOperator fills in a person, an invitation and a client of the operator's
// own, so that what one did to them is nothing to the next.
func (s *site) freshOperator(t testing.TB, pattern string) func(string) string {
	t.Helper()
	if strings.Contains(pattern, "{product}") || strings.Contains(pattern, "{request}") {
		return s.anew(t, pattern)
	}
	system := actor.NewSystem("test")
	var with []string
	switch {
	case strings.Contains(pattern, "{person}"):
		email := s.random() + "@operator.example"
		s.addPerson(t, system, email, "Somebody", actor.RoleGrant{Role: actor.OperatorAuditor})
		with = []string{"{person}", string(s.personOf(t, email))}
	case strings.Contains(pattern, "{invitation}"):
		key, err := s.registry.Invite(t.Context(), system, s.random()+"@operator.example", "", []actor.RoleGrant{{Role: actor.OperatorAuditor}})
		must(t, err)
		with = []string{"{invitation}", string(key)}
	case strings.Contains(pattern, "{client}"):
		name := "client " + s.random()
		key, first, value, err := s.registry.SetUpClient(t.Context(), system, registry.Setup{NewClient: registry.NewClient{Name: name}, Secret: "ci"})
		must(t, err)
		with = []string{"{client}", string(key), "{secret}", string(first), "{value}", value.Reveal(), "{name}", name}
	}
	with = append(with, "/products/withdraw", "/products/withdraw?product=auth&environment=sandbox")
	return func(pattern string) string { return s.at(strings.NewReplacer(with...).Replace(pattern)) }
}

func TestTheOperatorsAreaHasItsStripAndItsOwnNavigation(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorSupport)).proven()
	a := v.follow(v.get("/"))
	a.wants(t, http.StatusOK, "Operator home")
	for _, part := range []string{`data-area="operator"`, ">OPERATOR<", `href="/operator" aria-current="true"`} {
		if !strings.Contains(a.body, part) {
			t.Errorf("the page has no %s", part)
		}
	}
	if nav := a.body[strings.Index(a.body, `<nav class="rail"`):]; strings.Contains(nav[:strings.Index(nav, "</nav>")], "/o/") || strings.Count(nav[:strings.Index(nav, "</nav>")], "<li>") > 7 {
		t.Errorf("the rail is not the operator's own: %s", nav)
	}
	customer := s.as(t, emailOf(actor.OrganisationAdmin)).proven().get("/o/" + string(s.organisation))
	if strings.Contains(customer.body, "OPERATOR") || strings.Contains(customer.body, "/operator") {
		t.Error("a customer sees the operator's area")
	}
}

func TestOperatorHomeSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	v.get("/operator").wants(t, http.StatusOK, "No node has written down", "v1.2.3", "No mail server is named. 1 mail", "Before the first customer", "Name a mail server")
	s.age, s.resting, s.chain = 40*time.Second, []dashboard.Resting{{Product: "orders", Address: "192.0.2.9:443"}}, journal.ChainState{At: s.clock.Now(), Broken: 7}
	a := v.get("/operator")
	a.wants(t, http.StatusOK, "The database does not answer. At an age of 1 minute everything is refused", "cannot connect to 192.0.2.9:443", "record 7 does not fit")
	s.chain = journal.ChainState{At: s.clock.Now(), Later: 9}
	v.get("/operator").wants(t, http.StatusOK, "not verified from record 9 on, whose form this version does not know")
	v.get("/operator/audit").wants(t, http.StatusOK, "Record 9 is of a form")
	s.chain = journal.ChainState{At: s.clock.Now(), Broken: 7}
	if text := a.text(); strings.Index(text, "Act now") > strings.Index(text, "Well") {
		t.Errorf("what is wrong does not come first: %s", text)
	}
	t.Run("twin", func(t *testing.T) {
		s.age, s.resting, s.chain = time.Second, nil, journal.ChainState{At: s.clock.Now()}
		if text := v.get("/operator").text(); strings.Contains(text, "Act now") {
			t.Errorf("something is wrong: %s", text)
		}
	})
}

func TestOperatorHomeWarnsOfAKeyThatWasNotReplaced(t *testing.T) {
	s := newOperatorSite(t)
	s.clock.add(s.keys.RotateEvery() + 23*time.Hour)
	if text := s.as(t, emailOf(actor.OperatorAuditor)).proven().get("/operator").text(); strings.Contains(text, "should have been replaced") {
		t.Errorf("it is not late yet: %s", text)
	}
	s.clock.add(2 * time.Hour)
	s.as(t, emailOf(actor.OperatorAuditor)).proven().get("/operator").wants(t, http.StatusOK, "It should have been replaced after 90 days")
}

func TestAMailOfTheOutboxIsReadByAFormAndRecorded(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	path := "/operator/mail/" + s.mail
	v.get("/operator/mail").wants(t, http.StatusOK, "invited@example.com", "No mail server is named")
	if a := v.get(path); strings.Contains(a.body, "/invite/") || s.auditAt(t, "mail.read") != 0 {
		t.Error("looking at a mail shows its text, or is recorded")
	}
	a := v.send("POST", path, "", "Content-Type", "application/x-www-form-urlencoded", "Origin", base, "Accept-Encoding", "gzip")
	a.wants(t, http.StatusOK, s.link, "as good as a password")
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Encoding") != "" || s.auditAt(t, "mail.read") != 1 {
		t.Errorf("the text is kept or compressed, or was not recorded: %v", a.header)
	}
	s.clock.add(20 * time.Minute)
	v.post(path).wants(t, http.StatusForbidden, "recent sign-in")
	s.clock.add(8 * 24 * time.Hour)
	s.as(t, emailOf(actor.OperatorAdmin)).proven().get(path).wants(t, http.StatusOK, "Of no use any more")
	s.as(t, emailOf(actor.OperatorAdmin)).proven().get("/operator/mail/m-0").wants(t, http.StatusNotFound)
}

// auditAt returns how often an action is in the whole audit log.
func (s *site) auditAt(t testing.TB, action string) int {
	t.Helper()
	s2 := *s
	s2.system = actor.NewSystem("test")
	return s2.audit(t, action)
}

func TestTheOperatorSuspendsAndResumesWhatNamesItsTraffic(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	s.usage.Record(usage.Attempt{At: s.clock.Now(), Client: s.client, Organisation: s.organisation, Kind: usage.Call, Allowed: true, Status: 200})
	must(t, s.usage.Flush(t.Context()))
	customer := "/operator/organisations/" + string(s.organisation)
	for _, what := range []string{customer, customer + "/accounts/" + string(s.sandbox)} {
		v.get(what+"/suspend").wants(t, http.StatusOK, "1 client was called within 24 hours and stops", string(s.client), "Suspend ")
		v.follow(v.post(what+"/state", "state", "suspended")).wants(t, http.StatusOK, "is suspended: its calls are refused now.", "Suspended")
		v.follow(v.post(what+"/state", "state", "active")).wants(t, http.StatusOK, "works again")
		v.post(what+"/state", "state", "suspended", "base", "1").wants(t, http.StatusConflict)
	}
	v.get(customer+"/accounts/"+string(s.production)+"/suspend").wants(t, http.StatusOK, "No client of it was called")
	v.get(customer+"/accounts/"+string(s.elsewhere)+"/suspend").wants(t, http.StatusNotFound)
	v.get("/operator/organisations/o-99999999999999999999").wants(t, http.StatusNotFound)
}

func TestTheOperatorCreatesAnOrganisationAndInvitesItsFirstAdmin(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	v.post("/operator/organisations/new", "name", "New customer", "email", "not an address").wants(t, http.StatusUnprocessableEntity, "Nothing was created")
	v.post("/operator/organisations/new", "email", "chief@new.example").wants(t, http.StatusUnprocessableEntity, "Nothing was created")
	form := []string{"name", "New customer", "email", "chief@new.example", "once", "abc"}
	v.follow(v.post("/operator/organisations/new", form...)).wants(t, http.StatusOK, "an invitation to chief@new.example is on its way", "Nobody yet")
	v.follow(v.post("/operator/organisations/new", form...)).wants(t, http.StatusOK, "created already")
	v.get("/operator/mail").wants(t, http.StatusOK, "chief@new.example")
	v.get("/operator/organisations?q=new+cust").wants(t, http.StatusOK, "New customer", "1 organisation on this page")
	v.get("/operator/organisations?q=nothing").wants(t, http.StatusOK, "No organisation fits")
	v.get("/operator/organisations?q=nothing&after=x").wants(t, http.StatusSeeOther)
	s.clock.add(20 * time.Minute)
	v.post("/operator/organisations/new", "name", "Later", "email", "later@new.example").wants(t, http.StatusForbidden, "recent sign-in")
	v.get("/operator/organisations?q=later").wants(t, http.StatusOK, "No organisation fits")
}

func TestTheOperatorGivesProductsAndWithdrawsThem(t *testing.T) {
	s := newOperatorSite(t)
	limited := products()[0]
	limited.SandboxAccess = registry.Granted
	must(t, s.registry.PutProducts(t.Context(), actor.NewSystem("test"), registry.Declared, limited, products()[1]))
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	customer := "/operator/organisations/" + string(s.organisation)
	v.get(customer).wants(t, http.StatusOK, "Authentication auth SANDBOX no Give")
	v.get(customer+"/products/withdraw?product=auth&environment=sandbox").wants(t, http.StatusNotFound)
	v.follow(v.post(customer+"/products/give", "product", "auth", "environment", "sandbox")).wants(t, http.StatusOK, "may use auth in sandbox now", "just now Withdraw")
	v.get(customer+"/products/withdraw?product=auth&environment=sandbox").wants(t, http.StatusOK, "are refused at once")
	v.follow(v.post(customer+"/products/withdraw", "product", "auth", "environment", "sandbox")).wants(t, http.StatusOK, "may no longer use auth in sandbox")
}

// keyOf is the id of the key of a purpose in a state.
func (s *site) keyOf(purpose, state string) string {
	for _, k := range s.keys.Keys() {
		if k.Purpose == purpose && k.State == state {
			return k.ID
		}
	}
	return ""
}

func TestKeysAreRotatedAndWithdrawnDeliberately(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	next, current := s.keyOf("production", signingkey.Next), s.keyOf("production", signingkey.Current)
	v.get("/operator/keys").wants(t, http.StatusOK, next, current, "is valid until it expires")
	v.get("/operator/keys/production/rotate").wants(t, http.StatusOK, "Better wait")
	v.get("/operator/keys/other/rotate").wants(t, http.StatusNotFound)
	s.clock.add(6 * time.Minute)
	if text := v.get("/operator/keys/production/rotate").text(); strings.Contains(text, "Better wait") {
		t.Errorf("the next key has been published long enough: %s", text)
	}
	v.follow(v.post("/operator/keys/production/rotate")).wants(t, http.StatusOK, "The keys are rotated", "at the latest")
	if s.keyOf("production", signingkey.Current) != next || s.keyOf("production", signingkey.Retired) != current {
		t.Errorf("keys %v", s.keys.Keys())
	}
	path := "/operator/keys/" + current + "/withdraw"
	v.get(path).wants(t, http.StatusOK, "cannot be undone", "Type the id of the key")
	v.post(path, "name", next).wants(t, http.StatusUnprocessableEntity, "Nothing was changed")
	s.clock.add(20 * time.Minute)
	v.post(path, "name", current).wants(t, http.StatusForbidden, "recent sign-in")
	if s.keyOf("production", signingkey.Retired) != current {
		t.Error("it is withdrawn without a recent sign-in")
	}
	v = s.as(t, emailOf(actor.OperatorAdmin)).proven()
	v.follow(v.post(path, "name", current)).wants(t, http.StatusOK, "The key is withdrawn", "is refused")
	v.get(path).wants(t, http.StatusNotFound)
}

func TestStaffIsInvitedChangedAndRemoved(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	me, support := s.personOf(t, emailOf(actor.OperatorAdmin)), s.personOf(t, emailOf(actor.OperatorSupport))
	v.get("/operator/staff").wants(t, http.StatusOK, "One person alone is operator admin", "Operator support", "3 people")
	if text := v.get("/operator/staff/invite").text(); !strings.Contains(text, "Operator auditor") || strings.Contains(text, "Developer") || strings.Contains(text, "Account id") {
		t.Errorf("the form is not the operator's: %s", text)
	}
	v.post("/operator/staff/invite", "email", "new@operator.example", "role", "developer").wants(t, http.StatusUnprocessableEntity, "Nobody was invited")
	v.follow(v.post("/operator/staff/invite", "email", "new@operator.example", "role", "operator_support")).wants(t, http.StatusOK, "An invitation to new@operator.example is on its way", "Invited")
	v.get("/operator/staff/"+string(support)).wants(t, http.StatusOK, "Roles, good for every organisation", "Works for the operator since")
	v.follow(v.post("/operator/staff/"+string(support), "role", "operator_support", "role", "operator_auditor")).wants(t, http.StatusOK, "has the role Operator auditor")
	v.post("/operator/staff/"+string(support), "role", "organisation_admin").wants(t, http.StatusUnprocessableEntity, "The roles were not changed")
	// The last operator admin stays.
	v.post("/operator/staff/"+string(me), "role", "operator_support").wants(t, http.StatusConflict)
	v.post("/operator/staff/"+string(me)+"/remove").wants(t, http.StatusConflict)
	t.Run("twin", func(t *testing.T) {
		v.follow(v.post("/operator/staff/"+string(support), "role", "operator_admin")).wants(t, http.StatusOK, "has the role Operator admin")
		v.follow(v.post("/operator/staff/"+string(support)+"/remove")).wants(t, http.StatusOK, "is no longer one of the operator's people")
	})
	s.clock.add(20 * time.Minute)
	v.post("/operator/staff/invite", "email", "other@operator.example", "role", "operator_support").wants(t, http.StatusForbidden, "recent sign-in")
}

func TestTheOperatorReadsTheAuditLogOfAll(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAuditor)).proven()
	v.get("/operator/audit").wants(t, http.StatusOK, string(s.organisation), string(s.other))
	v.get("/operator/audit?action=client").wants(t, http.StatusOK, "client.create")
	v.get("/operator/audit/"+strconv.FormatInt(s.record, 10)).wants(t, http.StatusOK, "Organisation", string(s.organisation))
	a := v.get("/operator/audit/export?format=csv&action=organisation.create")
	if a.status != http.StatusOK || strings.Count(a.body, "organisation.create") != 2 || !strings.Contains(a.header.Get("Content-Disposition"), "audit-operator-") {
		t.Errorf("status %d, %v: %s", a.status, a.header, a.body)
	}
	for _, wrong := range []string{"0", "999999", "x"} {
		v.get("/operator/audit/"+wrong).wants(t, http.StatusNotFound)
	}
}

func TestAClientOfTheOperatorIsMadeAndShowsItsSecretOnce(t *testing.T) {
	s := newOperatorSite(t)
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	v.get("/operator/clients").wants(t, http.StatusOK, "No clients yet")
	a := v.post("/operator/clients/new", "name", "provisioning", "product", "echo", "template", "all", "once", "abc")
	path := a.header.Get("Location")
	v.follow(a).wants(t, http.StatusOK, "Client provisioning is created", "Sign in on the command line", "doorward login --url https://api.example --client-id op-", "--management-url http://10.0.0.1:8083")
	if again := v.post("/operator/clients/new", "name", "provisioning", "product", "echo", "template", "all", "once", "abc"); again.header.Get("Location") != path {
		t.Errorf("sent twice, the form makes %s and %s", path, again.header.Get("Location"))
	}
	v.get(path+"/permissions").wants(t, http.StatusOK, "1 of 1 held")
	reveal := v.send("POST", path+"/secrets/new", "name=first&once=def", "Content-Type", "application/x-www-form-urlencoded", "Origin", base, "Accept-Encoding", "gzip")
	reveal.wants(t, http.StatusOK, "This is the only time", "dw_o_", "doorward login")
	if reveal.header.Get("Cache-Control") != "no-store" || reveal.header.Get("Content-Encoding") != "" || strings.Contains(reveal.text(), "curl") {
		t.Errorf("%v: %s", reveal.header, reveal.text())
	}
	v.follow(v.post(path+"/secrets/new", "name", "first", "once", "def")).wants(t, http.StatusOK, "shown once")
	v.follow(v.post(path+"/state", "state", "disabled")).wants(t, http.StatusOK, "is disabled", "Undo")
	v.post(path+"/delete", "name", "something else").wants(t, http.StatusUnprocessableEntity, "Type the name")
	v.get("/operator/clients/"+string(s.client)).wants(t, http.StatusNotFound, "belongs to a sandbox account")
	s.clock.add(20 * time.Minute)
	v.post(path+"/secrets/new", "name", "later").wants(t, http.StatusForbidden, "recent sign-in")
	v.post(path+"/delete", "name", "provisioning").wants(t, http.StatusForbidden, "recent sign-in")
}

func TestALostSecondFactorIsTakenAway(t *testing.T) {
	s := newOperatorSite(t)
	lost := s.as(t, emailOf(actor.Developer))
	lost.enrol()
	person := s.personOf(t, emailOf(actor.Developer))
	v := s.as(t, emailOf(actor.OperatorAdmin)).proven()
	v.get(s.at("/o/{organisation}/team/")+string(person)).wants(t, http.StatusOK, "Take away second factor")
	path := "/operator/people/" + string(person) + "/factor"
	v.get(path).wants(t, http.StatusOK, "sure that it is them", "signed out everywhere")
	s.clock.add(20 * time.Minute)
	v.post(path).wants(t, http.StatusForbidden, "recent sign-in")
	v = s.as(t, emailOf(actor.OperatorAdmin)).proven()
	v.follow(v.post(path)).wants(t, http.StatusOK, "has no second factor any more")
	if s.auditAt(t, "factor.drop") != 1 || lost.get("/me").status != http.StatusUnauthorized {
		t.Error("it is not recorded, or they are still signed in")
	}
	s.as(t, emailOf(actor.Developer)).get("/me").wants(t, http.StatusOK)
	me := s.personOf(t, emailOf(actor.OperatorAdmin))
	v.get("/operator/people/"+string(me)+"/factor").wants(t, http.StatusNotFound)
	v.get("/operator/people/p-99999999999999999999/factor").wants(t, http.StatusNotFound)
	if text := s.as(t, emailOf(actor.OrganisationAdmin)).proven().get(s.at("/o/{organisation}/team/") + string(person)).text(); strings.Contains(text, "Take away") {
		t.Errorf("a customer is offered it: %s", text)
	}
}
