package api_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/management"
)

// matrix is who may call what: a letter for each caller on what belongs to the
// sandbox account of A. x is success, f 403, n 404 like an unknown id, u 401.
// The callers: a client of A with the permission, of the sandbox account, of
// the production account, of A with all permissions but this one, of B, nobody,
// of the operator, of the operator with all permissions but this one.
const matrix = `
getContract             x x x x x x x x
listOrganisations       x f f f x u x f
createOrganisation      f f f f f u x f
getOrganisation         x f f f n u x f
updateOrganisation      x f f f n u x f
deleteOrganisation      x f f f n u x f
restoreOrganisation     x f f f n u x f
suspendOrganisation     f f f f n u x f
activateOrganisation    f f f f n u x f
listMembers             x x x f x u x f
getMember               x f f f n u x f
changeMemberRoles       x f f f n u x f
removeMember            x f f f n u x f
listInvitations         x x x f x u x f
createInvitation        x f f f n u x f
resendInvitation        x f f f n u x f
revokeInvitation        x f f f n u x f
listRoles               x x x f x u x f
listAccounts            x x x f x u x f
createAccount           x f f f n u x f
getAccount              x x f f n u x f
updateAccount           x x f f n u x f
deleteAccount           x f f f n u x f
suspendAccount          f f f f n u x f
activateAccount         f f f f n u x f
listProducts            x x x f x u x f
getProduct              x x x f x u x f
putProduct              f f f f f u x f
deleteProduct           f f f f f u x f
listProductVersions     f f f f f u x f
getRoutes               x x x f x u x f
putRoute                f f f f f u x f
deleteRoute             f f f f f u x f
listPermissions         x x x f x u x f
getPermission           x x x f x u x f
putPermission           f f f f f u x f
deletePermission        f f f f f u x f
listProductGrants       x x x f x u x f
grantProduct            f f f f n u x f
withdrawProduct         f f f f n u x f
listClients             x x x f x u x f
createClient            x x f f n u x f
getClient               x x f f n u x f
updateClient            x x f f n u x f
deleteClient            x x f f n u x f
enableClient            x x f f n u x f
disableClient           x x f f n u x f
getClientPermissions    x x f f n u x f
changeClientPermissions x x f f n u x f
explainCall             x x f f n u x f
listSecrets             x x f f n u x f
createSecret            x x f f n u x f
getSecret               x x f f n u x f
getSecretDescendants    x x f f n u x f
rotateSecret            x x f f n u x f
disableSecret           x x f f n u x f
enableSecret            x x f f n u x f
revokeSecret            x x f f n u x f
listRequests            x x x f x u x f
createRequest           x x f f n u f f
getRequest              x x f f n u x f
approveRequest          x x f f n u x f
declineRequest          x x f f n u x f
withdrawRequest         f f f f n u f f
listSigningKeys         f f f f f u x f
rotateSigningKey        f f f f f u x f
withdrawSigningKey      f f f f f u x f
listAuditRecords        x f f f x u x f
listAuditCheckpoints    f f f f f u x f
listNodes               f f f f f u x f
listWebhooks            x f f f x u x f
createWebhook           x f f f n u x f
getWebhook              x f f f n u x f
updateWebhook           x f f f n u x f
deleteWebhook           x f f f n u x f
enableWebhook           x f f f n u x f
disableWebhook          x f f f n u x f
testWebhook             x f f f n u x f
replaceWebhookSecret    x f f f n u x f
exportDeclaration       x f f f x u x f
planDeclaration         x f f f n u x f
applyDeclaration        x f f f n u x f
`

var callerNames = []string{"A", "sandbox account", "production account", "A without", "B", "nobody", "operator", "operator without"}

// records is how many audit records a change leaves, where it is not one. What
// is declared in the matrix is so already: the caller holds no other permission.
var records = map[string]int{"rotateSecret": 2, "changeClientPermissions": 2, "planDeclaration": 0, "applyDeclaration": 0, "approveRequest": 2}

// beside are the abilities that an operation needs beside the one of its route:
// who offers a role holds all of it, who says where the audit log goes may read it.
var beside = map[string]actor.Abilities{
	"createInvitation": actor.Viewer.Abilities(), "resendInvitation": actor.Viewer.Abilities(),
	"createWebhook": {actor.AuditRead: true}, "updateWebhook": {actor.AuditRead: true},
	"enableWebhook": {actor.AuditRead: true}, "replaceWebhookSecret": {actor.AuditRead: true},
	"createRequest": {actor.AccountRead: true}, "approveRequest": {actor.AccountWrite: true}, "declineRequest": {actor.AccountWrite: true},
}

// operation is one of the contract, with what its examples say.
type operation struct {
	ID          string `yaml:"operationId"`
	Permission  string `yaml:"x-permission"`
	RequestBody struct {
		Content map[string]struct {
			Example map[string]any `yaml:"example"`
		} `yaml:"content"`
	} `yaml:"requestBody"`

	method, path string
}

// operations are those of the contract, by the order of their paths.
func operations(t testing.TB) (all []operation) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal([]byte(management.Contract), &document); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			node, ok := document.Paths[path][method]
			if !ok {
				continue
			}
			o := operation{method: strings.ToUpper(method), path: path}
			if err := node.Decode(&o); err != nil {
				t.Fatal(err)
			}
			all = append(all, o)
		}
	}
	return all
}

// subject is what a request is about.
type subject struct {
	organisation id.Organisation
	account      id.Account
	client       id.Client
	secret       id.Secret
	kid          string
	person       id.Person
	invitation   id.Invitation
	webhook      id.Webhook
	request      id.Request // by the client, to rename the account
}

const soldKey = "sold"

func sold() registry.Definition {
	return registry.Definition{
		Key: soldKey, Name: "Sold", Prefix: "/sold", Upstreams: map[id.Environment]string{id.Sandbox: "http://127.0.0.1:9"},
		Permissions: []registry.Permission{{Key: "sold.read"}, {Key: "sold.unused"}},
		Routes:      []registry.Route{{Method: "GET", Path: "/things", Permissions: [][]string{{"sold.read"}}}},
	}
}

// fresh makes a subject in the sandbox account of A that nothing has changed.
func (p *platform) fresh(t testing.TB) subject {
	t.Helper()
	s := subject{organisation: p.Organisation, account: p.Sandbox}
	p.Apply(registry.RestoreOrganisation{}, registry.SetOrganisationState{State: registry.Active}, registry.SetAccountState{Account: p.Sandbox, State: registry.Active},
		registry.PutProduct{Definition: sold(), Source: registry.Managed})
	r, by := p.Server.Registry(), p.Operator()
	var err error
	if s.client, err = r.CreateClient(t.Context(), by, registry.NewClient{Account: p.Sandbox, Name: rand.Text()}); err != nil {
		t.Fatal(err)
	}
	if s.secret, _, err = r.AddSecret(t.Context(), by, s.client, "first", time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, key := range p.Server.SigningKeys().Keys() {
		if key.Purpose == signingkey.Sandbox && key.State == "next" {
			s.kid = key.ID
		}
	}
	return s
}

// peopled are the operations for which addPeople is needed. It is not for all of
// them: an organisation has so many mails in a day.
var peopled = regexp.MustCompile(`^/(members|invitations|webhooks|requests)`)

// addPeople makes a member without a role, a request, somebody who is invited, and
// a webhook in place of those of earlier subjects.
func (p *platform) addPeople(t testing.TB, s *subject) {
	t.Helper()
	r, by := p.Server.Registry(), actor.NewSystem("test").In(s.organisation)
	invitations, err := r.Invitations(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range invitations {
		p.Apply(registry.RevokeInvitation{Invitation: i.ID})
	}
	hooks, err := r.Webhooks(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		p.Apply(registry.DeleteWebhook{Webhook: hook.ID})
	}
	s.person = id.NewPerson(rand.Reader)
	email := strings.ToLower(rand.Text()) + "@example.com"
	err = r.Apply(t.Context(), by, registry.CreatePerson{ID: s.person, Email: email, Password: "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA"}, registry.AddMember{Person: s.person})
	if err != nil {
		t.Fatal(err)
	}
	if s.invitation, err = r.Invite(t.Context(), by, "i"+email, "", []actor.RoleGrant{{Role: actor.Viewer}}); err != nil {
		t.Fatal(err)
	}
	asker := actor.NewClient(s.client, s.organisation, s.account, s.secret, []string{"management.account.read", "management.request.write"})
	if s.request, err = r.RequestChange(t.Context(), asker, "", registry.RenameAccount{Account: s.account, Name: rand.Text()}); err != nil {
		t.Fatal(err)
	}
	if s.webhook, _, err = r.CreateWebhook(t.Context(), by, registry.NewWebhook{Name: "fresh", URL: "https://hooks.example.com/", Events: []string{"account.rename"}}); err != nil {
		t.Fatal(err)
	}
}

var unknown = subject{
	"o-00000000000000000000", "a-s-00000000000000000000", "sandbox-unknown-apple-123", "000000000000", "sandbox-signing-key-unknown",
	"p-00000000000000000000", "i-00000000000000000000", "wh-00000000000000000000", "r-00000000000000000000",
}

// request fills a subject into the path and the example body of an operation.
func (o *operation) request(t testing.TB, s subject) (path, body string) {
	t.Helper()
	path = strings.NewReplacer("{organisation_id}", string(s.organisation), "{account_id}", string(s.account), "{client_id}", string(s.client),
		"{secret_id}", string(s.secret), "{kid}", s.kid, "{person_id}", string(s.person), "{invitation_id}", string(s.invitation), "{webhook_id}", string(s.webhook), "{request_id}", string(s.request), "{product}", soldKey, "{environment}", "sandbox").Replace(o.path)
	switch o.ID {
	case "deletePermission":
		path = strings.Replace(path, "{permission}", "sold.unused", 1)
	case "getMember", "changeMemberRoles", "removeMember":
		path += "?organisation_id=" + string(s.organisation)
	case "explainCall":
		path += "?method=GET&target=/sold/things"
	case "deleteRoute":
		path += "?method=GET&path=/things"
	}
	path = strings.Replace(path, "{permission}", "sold.read", 1)
	example := maps.Clone(o.RequestBody.Content["application/json"].Example)
	if example == nil {
		return path, ""
	}
	switch o.ID {
	case "changeMemberRoles":
		example["roles"] = []any{}
	case "createInvitation":
		example["email"] = rand.Text() + "@example.com"
	case "planDeclaration", "applyDeclaration":
		example = map[string]any{"organisations": []any{map[string]any{"id": s.organisation}}}
	case "putProduct", "putRoute":
		for _, name := range []string{"permissions", "routes", "prefix"} {
			delete(example, name)
		}
		if o.ID == "putProduct" {
			example["prefix"] = "/sold"
		} else {
			example["public"] = true
		}
	default:
		if _, named := example["name"]; named {
			example["name"] = rand.Text()
		}
	}
	text, err := json.Marshal(example)
	if err != nil {
		t.Fatal(err)
	}
	body = strings.NewReplacer("o-4f7k2m9q1x8z3c6v5b0n", string(s.organisation), "a-s-4f7k2m9q1x8z3c6v5b0n", string(s.account)).Replace(string(text))
	return path, body
}

// needs are the permissions for an operation, with spaces between them.
func (o *operation) needs() string {
	with := []string{o.Permission}
	for _, ability := range actor.EveryAbility() {
		if key := actor.ManagementPrefix + string(ability); beside[o.ID][ability] && key != o.Permission {
			with = append(with, key)
		}
	}
	return strings.Join(with, " ")
}

// callers are those of the matrix for an operation.
func (p *platform) callers(t testing.TB, o *operation) []*caller {
	t.Helper()
	with := strings.Fields(o.needs())
	without := slices.DeleteFunc(slices.Clone(p.permissions), func(key string) bool { return key == o.Permission })
	return []*caller{
		p.caller(t, p.Organisation, "", with...), p.caller(t, p.Organisation, p.Sandbox, with...), p.caller(t, p.Organisation, p.Production, with...),
		p.caller(t, p.Organisation, "", without...), p.caller(t, p.other, "", with...), nil,
		p.caller(t, "", "", with...), p.caller(t, "", "", without...),
	}
}

func letter(status int) string {
	switch {
	case status >= 200 && status < 300:
		return "x"
	case status == http.StatusForbidden:
		return "f"
	case status == http.StatusNotFound:
		return "n"
	case status == http.StatusUnauthorized:
		return "u"
	}
	return fmt.Sprint(status)
}

// auditRecords are those of what was done, not of what was refused.
func (p *platform) auditRecords(t testing.TB, page registry.Page) []registry.AuditRecord {
	t.Helper()
	list, err := p.Server.Registry().AuditRecords(t.Context(), actor.NewSystem("test"), registry.AuditFilter{}, page)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(r registry.AuditRecord) bool { return strings.HasPrefix(r.Action, registry.RefusalPrefix) })
}

func (p *platform) newestRecord(t testing.TB) int64 {
	t.Helper()
	list, err := p.Server.Registry().AuditRecords(t.Context(), actor.NewSystem("test"), registry.AuditFilter{}, registry.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items[0].Seq
}

// upperName is a member of JSON that Go's field name was left to.
var upperName = regexp.MustCompile(`"[A-Z]\w*":`)

var traceID = regexp.MustCompile(`"traceId":"[0-9a-f]{32}"`)

// withoutIDs is an answer in which all ids of a subject look the same.
func (s subject) without(text string) string {
	for _, key := range []string{string(s.organisation), string(s.account), string(s.client), string(s.person), string(s.invitation), string(s.webhook), string(s.request), string(s.secret)} {
		if key != "" {
			text = strings.ReplaceAll(text, key, "ID")
		}
	}
	return traceID.ReplaceAllString(text, "")
}

func TestTEN01_whoMayCallWhat(t *testing.T) {
	rows := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(matrix)) {
		fields := strings.Fields(line)
		rows[fields[0]] = fields[1:]
	}
	all := operations(t)
	if len(rows) != len(all) {
		t.Errorf("the matrix has %d rows, the contract %d operations", len(rows), len(all))
	}
	each(t, func(t *testing.T, p *platform) {
		made := map[string][]*caller{} // by what they hold
		for _, o := range all {
			row := rows[o.ID]
			if len(row) != len(callerNames) {
				t.Errorf("%s has no full row in the matrix", o.ID)
				continue
			}
			s := p.subject(t, &o) // an operation before may have suspended the account
			with := o.needs()
			if made[with] == nil {
				made[with] = p.callers(t, &o)
			}
			for i := range callerNames {
				if o.ID == "deleteOrganisation" { // it ends the callers, and is refused while they call
					p.elsewhere(t)
					made[with], s = p.callers(t, &o), p.subject(t, &o)
				}
				by := made[with][i]
				t.Run("TEN-01 TEN-17 "+o.ID+" by "+callerNames[i], func(t *testing.T) {
					p.cell(t, o, s, by, callerNames[i], row[i])
				})
				if row[i] == "x" && o.method != http.MethodGet {
					s = p.subject(t, &o)
				}
			}
			if strings.HasPrefix(o.ID, "suspend") || o.ID == "deleteOrganisation" {
				clear(made) // their tokens are dead
			}
		}
	})
}

// elsewhere makes another organisation the A of the matrix.
func (p *platform) elsewhere(t testing.TB) {
	t.Helper()
	r, by := p.Server.Registry(), actor.NewSystem("test")
	var err error
	if p.Organisation, err = r.CreateOrganisation(t.Context(), by, rand.Text()); err != nil {
		t.Fatal(err)
	}
	for account, environment := range map[*id.Account]id.Environment{&p.Sandbox: id.Sandbox, &p.Production: id.Production} {
		if *account, err = r.CreateAccount(t.Context(), by.In(p.Organisation), environment, string(environment)); err != nil {
			t.Fatal(err)
		}
	}
}

// subject is a fresh one for an operation.
func (p *platform) subject(t testing.TB, o *operation) subject {
	t.Helper()
	s := p.fresh(t)
	if o.ID == "deleteAccount" { // one without a client
		var err error
		if s.account, err = p.Server.Registry().CreateAccount(t.Context(), actor.NewSystem("test").In(s.organisation), id.Sandbox, rand.Text()); err != nil {
			t.Fatal(err)
		}
	}
	if peopled.MatchString(o.path) {
		p.addPeople(t, &s)
	}
	p.refresh(t)
	return s
}

// cell makes one call of the matrix and looks at what it left.
func (p *platform) cell(t *testing.T, o operation, s subject, by *caller, who, want string) {
	t.Helper()
	path, body := o.request(t, s)
	before := p.newestRecord(t)
	got := p.do(t, by, o.method, path, body)
	if letter(got.status) != want {
		t.Fatalf("%d %s, want %s", got.status, got.body, want)
	}
	o.fits(t, got)
	left := p.auditRecords(t, registry.Page{Limit: 5})
	left = slices.DeleteFunc(left, func(r registry.AuditRecord) bool { return r.Seq <= before })
	expected := 0
	if want == "x" && o.method != http.MethodGet {
		expected = 1
		if count, ok := records[o.ID]; ok {
			expected = count
		}
	}
	if len(left) != expected {
		t.Errorf("AUD-01: %d audit records, want %d: %+v", len(left), expected, left)
	}
	for _, r := range left {
		if r.Actor != "client:"+string(by.id) || r.Address != "127.0.0.1" || r.RequestID != got.header.Get("Doorward-Request-Id") || r.RequestID == "" || r.Subject == "" {
			t.Errorf("AUD-01: the record %+v does not say who, from where and in which request (%s)", r, got.header.Get("Doorward-Request-Id"))
		}
		if name := upperName.Find(r.Content); name != nil {
			t.Errorf("the record of %s names a member %s, which the wire does not: %s", r.Action, name, r.Content)
		}
	}
	if want == "n" {
		path, body := o.request(t, unknown)
		nowhere := p.do(t, by, o.method, path, body)
		if diff := cmp.Diff(unknown.without(nowhere.body), s.without(got.body)); diff != "" || nowhere.status != got.status {
			t.Errorf("TEN-01: an object of A is not like an unknown one:\n%s", diff)
		}
	}
	if who == "B" {
		for _, ofA := range []string{string(p.Organisation), string(p.Sandbox), string(p.Production)} {
			if got.status == http.StatusOK && strings.Contains(got.body, ofA) {
				t.Errorf("TEN-02, AUD-10: B sees %s", ofA)
			}
		}
	}
	if shows := o.ID == "createWebhook" || o.ID == "replaceWebhookSecret"; want == "x" && strings.Contains(got.body, "whsec_") != (shows || o.ID == "getContract") {
		t.Errorf("SEC-01: the answer is not the one that holds the secret: %s", got.body)
	}
	if strings.Contains(got.body, "dw_") && o.ID != "createSecret" && o.ID != "rotateSecret" && o.ID != "getContract" {
		t.Errorf("SEC-01: the answer holds a secret: %s", got.body)
	}
}
