package registry_test

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// fixture is a registry with the organisations of the security catalogue: A
// with a sandbox and a production account, B with a production account; the
// clients a1 (product P1), a2 (P1 and P2), b1, and manager, which holds a
// management permission; and a webhook each.
type fixture struct {
	*registry.Registry
	clock *clock

	orgA, orgB                  id.Organisation
	sandboxA, productionA       id.Account
	productionB                 id.Account
	a1, a2, manager, b1         id.Client
	secretA1, secondA1, managed id.Secret
	secretB1                    id.Secret
	hookA, hookB                id.Webhook

	chiefA, memberA, leaverA, guest, stranger id.Person     // of A: its admin, a developer, a viewer; of nowhere; of nowhere
	memberB, newcomer                         id.Person     // of B; of nowhere, not verified
	invitedA, pendingA                        id.Invitation // of the guest, whose token is known; of another
	tokenA                                    secret.Plaintext
	requestsA                                 [3]id.Request // by memberA, to rename the sandbox account

	system, operator, adminA, adminB actor.Actor
}

const (
	unknownAccount = id.Account("a-p-00000000000000000000")
	unknownClient  = id.Client("prod-unknown-apple-123")
	unknownSecret  = id.Secret("000000000000")
	unknownWebhook = id.Webhook("wh-zzzzzzzzzzzzzzzzzzzz")

	hashed = "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA"

	unknownPerson     = id.Person("p-99999999999999999999")
	unknownInvitation = id.Invitation("i-99999999999999999999")
	unknownRequest    = id.Request("r-99999999999999999999")
)

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 2, 28, 23, 0, 0, 123456000, time.UTC)}
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

// seeded is a random source that gives the same bytes to the same calls.
type seeded struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

func newSeeded(seed int) *seeded {
	return &seeded{source: rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})}
}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Read(p)
}

// each runs a test once per engine, beside other tests.
func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, newFixture(t, db)) })
}

func newRegistry(t testing.TB, db *sqldb.DB, now func() time.Time, seed int) *registry.Registry {
	t.Helper()
	mint, err := secret.NewMint(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := secret.NewSealer(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	random := newSeeded(seed)
	outbox := mail.New(mail.Config{DB: db, Sealer: sealer, Now: now, Rand: random, Log: slog.New(slog.DiscardHandler), Dashboard: "https://dashboard.example.com"})
	return registry.New(registry.Config{DB: db, Now: now, Rand: random, Mint: mint, Sealer: sealer, Mail: outbox, IssuerPath: "/auth/open"})
}

func newFixture(t testing.TB, db *sqldb.DB) *fixture {
	t.Helper()
	f := &fixture{clock: newClock(), system: actor.NewSystem("test")}
	f.Registry = newRegistry(t, db, f.clock.Now, 1)
	f.operator = proven("p-operator", "", actor.RoleGrant{Role: actor.OperatorAdmin})
	f.must(t, f.system, registry.PutProduct{Definition: managementProduct(), Source: registry.Builtin})
	f.must(t, f.operator, registry.PutProduct{Definition: productOne(), Source: registry.Managed}, registry.PutProduct{Definition: productTwo(), Source: registry.Managed},
		registry.PutProduct{Definition: registry.Definition{Key: "p4", Name: "P4", Prefix: "/p4", Visibility: registry.Draft, Upstreams: map[id.Environment]string{id.Sandbox: "http://p4.example"}}, Source: registry.Managed})

	f.orgA, f.orgB = id.NewOrganisation(f.Rand), id.NewOrganisation(f.Rand)
	f.must(t, f.operator, registry.CreateOrganisation{ID: f.orgA, Name: "A"}, registry.CreateOrganisation{ID: f.orgB, Name: "B"})
	f.adminA = person("p-admin-a", f.orgA, actor.OrganisationAdmin)
	f.adminB = person("p-admin-b", f.orgB, actor.OrganisationAdmin)

	f.sandboxA, f.productionA = id.NewAccount(f.Rand, id.Sandbox), id.NewAccount(f.Rand, id.Production)
	f.productionB = id.NewAccount(f.Rand, id.Production)
	f.a1, f.a2, f.manager, f.b1 = "prod-alpha-apple-101", "prod-alpha-apple-102", "prod-alpha-apple-103", "prod-beta-apple-101"
	f.secretA1, f.secondA1, f.managed, f.secretB1 = "a1a1a1a1a1a1", "a1a1a1a1a1a2", "a1a1a1a1a1a3", "b1b1b1b1b1b1"
	f.hookA, f.hookB = "wh-aaaaaaaaaaaaaaaaaaaa", "wh-bbbbbbbbbbbbbbbbbbbb"
	f.must(t, f.operator.In(f.orgA),
		registry.CreateAccount{ID: f.sandboxA, Name: "A-sbx"}, registry.CreateAccount{ID: f.productionA, Name: "A-prod"},
		registry.GrantProduct{Product: "p1", Environment: id.Production}, registry.GrantProduct{Product: "p2", Environment: id.Production},
		registry.CreateClient{ID: f.a1, Account: f.productionA, Name: "a1"}, registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.read"}},
		registry.CreateClient{ID: f.a2, Account: f.productionA, Name: "a2"}, registry.AddPermissions{Client: f.a2, Permissions: []string{"p1.read", "p2.read"}},
		registry.CreateClient{ID: f.manager, Account: f.productionA, Name: "manager"}, registry.AddPermissions{Client: f.manager, Permissions: []string{"management.client.write"}},
		f.newSecret(f.a1, f.secretA1), f.newSecret(f.a1, f.secondA1), f.newSecret(f.manager, f.managed),
		newWebhook(f.hookA))
	f.must(t, f.operator.In(f.orgB),
		registry.CreateAccount{ID: f.productionB, Name: "B-prod"}, registry.GrantProduct{Product: "p1", Environment: id.Production},
		registry.CreateClient{ID: f.b1, Account: f.productionB, Name: "b1"}, registry.AddPermissions{Client: f.b1, Permissions: []string{"p1.read"}},
		f.newSecret(f.b1, f.secretB1), newWebhook(f.hookB))
	f.addPeople(t)
	return f
}

func (f *fixture) addPeople(t testing.TB) {
	t.Helper()
	f.chiefA, f.memberA, f.leaverA, f.memberB = "p-chiefachiefachiefach", "p-memberamemberamember", "p-leaverleaverleaverle", "p-memberbmemberbmember"
	f.guest, f.stranger = "p-guestxguestxguestxgu", "p-strangerstrangerstra"
	for person, email := range map[id.Person]string{f.chiefA: "chief@a.example", f.memberA: "member@a.example", f.leaverA: "leaver@a.example", f.memberB: "member@b.example", f.guest: "Guest@example.com", f.stranger: "stranger@example.com"} {
		f.must(t, f.system, registry.CreatePerson{ID: person, Email: email, Name: email, Password: hashed, Verified: true})
	}
	f.newcomer = "p-newcomernewcomernewc"
	f.must(t, f.system, registry.CreatePerson{ID: f.newcomer, Email: "newcomer@example.com", Password: hashed})
	f.must(t, f.system.In(f.orgA), joins(f.chiefA, actor.OrganisationAdmin), joins(f.memberA, actor.Developer), joins(f.leaverA, actor.Viewer))
	f.must(t, f.system.In(f.orgB), joins(f.memberB, actor.OrganisationAdmin))
	f.tokenA, f.invitedA, f.pendingA = secret.NewPlaintext("token"), "i-invitationinvitation", "i-pendingpendingpendin"
	f.must(t, f.chief(), f.invite(f.invitedA, "guest@EXAMPLE.com", actor.Viewer), f.invite(f.pendingA, "pending@example.com", actor.Viewer))
	for i := range f.requestsA {
		f.requestsA[i] = id.Request(fmt.Sprintf("r-request%drequestreque", i))
		f.must(t, f.member(), registry.RequestChange{ID: f.requestsA[i], Note: "its name is wrong", Edits: registry.Edits{registry.RenameAccount{Account: f.sandboxA, Name: "A-request"}}})
	}
}

// chief is the admin of A who is stored as such.
func (f *fixture) chief() actor.Actor {
	return proven(f.chiefA, f.orgA, actor.RoleGrant{Role: actor.OrganisationAdmin})
}

// member is the developer of A who is stored as such.
func (f *fixture) member() actor.Actor {
	return proven(f.memberA, f.orgA, actor.RoleGrant{Role: actor.Developer})
}

func joins(person id.Person, role actor.Role) registry.AddMember {
	return registry.AddMember{Person: person, Roles: []actor.RoleGrant{{Role: role}}}
}

// invite is an invitation whose token is f.tokenA.
func (f *fixture) invite(key id.Invitation, email string, roles ...actor.Role) registry.Invite {
	e := registry.Invite{ID: key, Email: email, Token: f.tokenA}
	for _, role := range roles {
		e.Roles = append(e.Roles, actor.RoleGrant{Role: role})
	}
	return e
}

func person(name id.Person, organisation id.Organisation, role actor.Role) actor.Actor {
	return proven(name, organisation, actor.RoleGrant{Role: role})
}

// proven is a person whose session has shown everything.
func proven(name id.Person, organisation id.Organisation, roles ...actor.RoleGrant) actor.Actor {
	return actor.NewPerson(name, organisation, "s-"+string(name), roles...).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true})
}

// newSecret is an edit that adds a secret whose value nobody knows.
func (f *fixture) newSecret(client id.Client, key id.Secret) registry.AddSecret {
	return registry.AddSecret{Client: client, ID: key, Name: string(key), Digest: secret.DigestOf(secret.NewPlaintext(string(key)))}
}

// newWebhook is an edit that makes a webhook whose secret nobody knows.
func newWebhook(key id.Webhook) registry.CreateWebhook {
	return registry.CreateWebhook{ID: key, Name: string(key), URL: "https://hooks.example.com/" + string(key), Events: []string{"account.*"}, Sealed: []byte(key)}
}

func productOne() registry.Definition {
	return registry.Definition{
		Key: "p1", Name: "P1", Prefix: "/p1",
		Upstreams: map[id.Environment]string{id.Sandbox: "http://sandbox.p1.example", id.Production: "https://p1.example"},
		Permissions: []registry.Permission{
			{Key: "p1.read"}, {Key: "p1.write"}, {Key: "p1.old", Retired: true}, {Key: "p1.staff", Assignable: registry.ByOperator},
		},
		Routes: []registry.Route{{Method: "GET", Path: "/things/{id}", Permissions: [][]string{{"p1.read"}}}},
	}
}

func productTwo() registry.Definition {
	return registry.Definition{
		Key: "p2", Name: "P2", Prefix: "/p2",
		Upstreams:   map[id.Environment]string{id.Sandbox: "http://sandbox.p2.example", id.Production: "https://p2.example"},
		Permissions: []registry.Permission{{Key: "p2.read"}},
		Routes:      []registry.Route{{Method: "GET", Path: "/", Permissions: [][]string{{"p2.read"}}}},
	}
}

func managementProduct() registry.Definition {
	d := registry.Definition{Key: "management", Name: "Management API", Prefix: "/management/v1", ProductionAccess: registry.Open}
	for _, ability := range actor.EveryAbility() {
		d.Permissions = append(d.Permissions, registry.Permission{Key: actor.ManagementPrefix + string(ability)})
	}
	return d
}

// must makes the edits.
func (f *fixture) must(t testing.TB, by actor.Actor, edits ...registry.Edit) {
	t.Helper()
	if err := f.Apply(t.Context(), by, edits...); err != nil {
		t.Fatalf("%s: %T: %v", by, edits[len(edits)-1], err)
	}
}

// refusal is an edit that is refused, and its twin that is made: the same
// with one thing changed.
type refusal struct {
	name   string
	by     actor.Actor
	edit   registry.Edit
	want   fault.Kind
	twin   registry.Edit
	twinBy actor.Actor // zero: as by
}

// refuses checks that each edit is refused and leaves no trace, and its twin not.
func (f *fixture) refuses(t *testing.T, cases ...refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := made(t, f.DB)
			wantKind(t, f.Apply(t.Context(), c.by, c.edit), c.want)
			if diff := cmp.Diff(before, made(t, f.DB)); diff != "" {
				t.Errorf("the refused edit left a trace:\n%s", diff)
			}
			t.Run("twin", func(t *testing.T) {
				by := c.by
				if c.twinBy.Kind() != "" {
					by = c.twinBy
				}
				f.must(t, by, c.twin)
			})
		})
	}
}

func wantKind(t testing.TB, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("error = %v (kind %v), want one of kind %v", err, fault.KindOf(err), want)
	}
}

// dump is the text of all rows of all tables.
func dump(t testing.TB, db *sqldb.DB) map[string][]string {
	t.Helper()
	tables := map[string][]string{}
	names := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if db.Engine() == "postgres" {
		names = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	}
	for _, row := range query(t, db, names) {
		if name := row[0]; !strings.Contains(name, "goose") {
			for _, values := range query(t, db, `SELECT * FROM `+name) {
				tables[name] = append(tables[name], strings.Join(values, "|"))
			}
			slices.Sort(tables[name])
		}
	}
	return tables
}

// made is a dump of what edits made, without the record of those refused.
func made(t testing.TB, db *sqldb.DB) map[string][]string {
	t.Helper()
	tables := dump(t, db)
	tables["audit"] = slices.DeleteFunc(tables["audit"], func(row string) bool { return strings.Contains(row, "|"+registry.RefusalPrefix) })
	tables["change"] = slices.DeleteFunc(tables["change"], func(row string) bool { return strings.Contains(row, "|none|") })
	delete(tables, "revision") // head and length of the chain
	delete(tables, "webhook_outbox")
	return tables
}

func dumpText(t testing.TB, db *sqldb.DB) string {
	t.Helper()
	tables := dump(t, db)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		fmt.Fprintf(&text, "%s: %s\n", name, strings.Join(tables[name], "\n"))
	}
	return text.String()
}

// query returns rows as text, bytes that are no UTF-8 in hexadecimal.
func query(t testing.TB, db *sqldb.DB, text string, args ...any) (all [][]string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		all = nil
		rows, err := tx.Query(t.Context(), text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			all = append(all, texts(values))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, value := range values {
		if bytes, ok := value.([]byte); ok {
			out[i] = fmt.Sprintf("%x", bytes)
			continue
		}
		out[i] = fmt.Sprint(value)
	}
	return out
}
