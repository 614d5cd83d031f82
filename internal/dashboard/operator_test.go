package dashboard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/journal"
)

// operatorPages says what each of the operator's roles finds, as pages does. The
// columns are operator admin, support and auditor.
const operatorPages = `
GET  /operator             - - -
GET  /operator/mail        - F F
GET  /operator/mail/{mail} P F F
POST /operator/mail/{mail} D F F
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
				a := browsers[i].ask(route, s.at, string(role))
				if got := found(route.Method, a); got != row[i] {
					t.Errorf("%s finds %s (status %d, %q), want %s: %s", role.Title(), got, a.status, a.primary(), row[i], a.text())
				}
			}
			if a := password.ask(route, s.at, "password"); a.status != http.StatusForbidden || !strings.Contains(a.text(), "second factor") {
				t.Errorf("with a password alone: status %d: %s", a.status, a.text())
			}
			if a := nobody.ask(route, s.at, "nobody"); a.status != http.StatusUnauthorized || a.heading() != "Sign in" {
				t.Errorf("nobody gets status %d", a.status)
			}
			theirs, none := customer.ask(route, s.at, "customer"), customer.get("/no/such/page")
			if theirs.status != http.StatusNotFound || theirs.text() != none.text() || strings.Contains(theirs.body, `href="/operator`) {
				t.Errorf("a customer gets status %d, %q; for no page %d, %q", theirs.status, theirs.text(), none.status, none.text())
			}
		})
	}
	for row := range rows {
		t.Errorf("the table has %s, which is no address", row)
	}
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
