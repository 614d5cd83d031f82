package registry_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

// editRow is one use of an edit, and what is specified about it.
type editRow struct {
	name    string
	edit    func(f *fixture) registry.Edit
	level   level  // where it is made
	roles   string // who may make it, as in the matrix of package actor
	action  string
	subject func(f *fixture) string
	feed    func(f *fixture) string // row of the change feed: kind and key
	// as is who makes an edit that is no role's to make: a job of the system,
	// or a person for themselves, for whom roles is empty.
	as func(f *fixture) actor.Actor
}

// beside is the record that comes with an edit which makes another one.
var beside = map[string]string{"ApproveRequest": "account.rename"}

type level bool

const (
	inOrganisation level = false
	asOperator     level = true
)

func (r editRow) by(f *fixture, role actor.Role) actor.Actor {
	if r.as != nil && role == actor.OperatorAdmin {
		return r.as(f)
	}
	if r.level == asOperator && strings.HasPrefix(string(role), "operator_") {
		return person("p-role", "", role)
	}
	return person("p-role", f.orgA, role).In(f.orgA)
}

// editRows has each type of edit at least once, in an order in which all of
// them can be made by the operator. The letters of roles: organisation admin,
// account admin, access manager, developer, auditor, viewer; operator admin,
// support, auditor.
func editRows() []editRow {
	name, elsewhere, events := "another", "https://hooks.example.com/elsewhere", []string{"client.disable", "secret.*"}
	organisation := func(f *fixture) string { return string(f.orgA) }
	client := func(f *fixture) string { return string(f.a1) }
	manager := func(f *fixture) string { return string(f.manager) }
	secretA1 := func(f *fixture) string { return string(f.secretA1) }
	clientFeed := func(f *fixture) string { return "client " + string(f.a1) }
	managerFeed := func(f *fixture) string { return "client " + string(f.manager) }
	organisationFeed := func(f *fixture) string { return "organisation " + string(f.orgA) }
	webhook := func(f *fixture) string { return string(f.hookA) }
	constant := func(text string) func(*fixture) string { return func(*fixture) string { return text } }
	const (
		newOrganisation = "o-newnewnewnewnewnewne"
		newAccount      = "a-s-newnewnewnewnewnewne"
		newClient       = "prod-fresh-apple-123"
		newSecret       = "newnewnewnew"
		newHook         = "wh-newnewnewnewnewnewne"
	)
	rows := []editRow{
		{"CreateOrganisation", func(*fixture) registry.Edit {
			return registry.CreateOrganisation{ID: newOrganisation, Name: "C"}
		}, asOperator, "......x..", "organisation.create", constant(newOrganisation), constant("organisation " + newOrganisation), nil},
		{"RenameOrganisation", func(*fixture) registry.Edit { return registry.RenameOrganisation{Name: "A2"} },
			inOrganisation, "x.....x..", "organisation.rename", organisation, nil, nil},
		{"PutProduct", func(*fixture) registry.Edit {
			d := productTwo()
			d.Name = "P2 renamed"
			return registry.PutProduct{Definition: d, Source: registry.Managed}
		}, asOperator, "......x..", "product.put", constant("p2"), constant("products "), nil},
		{"GrantProduct", func(*fixture) registry.Edit {
			return registry.GrantProduct{Product: "p1", Environment: id.Sandbox}
		}, inOrganisation, "......x..", "product.grant", constant("p1"), organisationFeed, nil},
		{"WithdrawProduct", func(*fixture) registry.Edit {
			return registry.WithdrawProduct{Product: "p1", Environment: id.Sandbox}
		}, inOrganisation, "......x..", "product.withdraw", constant("p1"), organisationFeed, nil},
		{"CreateAccount", func(*fixture) registry.Edit { return registry.CreateAccount{ID: newAccount, Name: "new"} },
			inOrganisation, "xx....x..", "account.create", constant(newAccount), constant("account " + newAccount), nil},
		{"RenameAccount", func(f *fixture) registry.Edit { return registry.RenameAccount{Account: f.sandboxA, Name: "renamed"} },
			inOrganisation, "xx....x..", "account.rename", func(f *fixture) string { return string(f.sandboxA) }, nil, nil},
		{"CreateClient", func(f *fixture) registry.Edit {
			return registry.CreateClient{ID: newClient, Account: f.productionA, Name: "new"}
		}, inOrganisation, "xx.x..x..", "client.create", constant(newClient), constant("client " + newClient), nil},
		{"UpdateClient", func(f *fixture) registry.Edit { return registry.UpdateClient{Client: f.a1, Name: &name} },
			inOrganisation, "xx.x..x..", "client.update", client, clientFeed, nil},
		{"SetClientState disabled", func(f *fixture) registry.Edit { return registry.SetClientState{Client: f.a1, State: registry.Disabled} },
			inOrganisation, "xx.x..xx.", "client.disable", client, clientFeed, nil},
		{"SetClientState enabled", func(f *fixture) registry.Edit { return registry.SetClientState{Client: f.a1, State: registry.Enabled} },
			inOrganisation, "xx.x..x..", "client.enable", client, clientFeed, nil},
		{"SetClientState enabled, of a manager", func(f *fixture) registry.Edit {
			return registry.SetClientState{Client: f.manager, State: registry.Enabled}
		}, inOrganisation, "xx....x..", "client.enable", manager, managerFeed, nil},
		{"AddPermissions", func(f *fixture) registry.Edit {
			return registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.write"}}
		}, inOrganisation, "xxx...x..", "client.permissions.add", client, clientFeed, nil},
		{"AddPermissions to read clients", func(f *fixture) registry.Edit {
			return registry.AddPermissions{Client: f.a2, Permissions: []string{"management.client.read"}}
		}, inOrganisation, "xxx...x..", "client.permissions.add", func(f *fixture) string { return string(f.a2) }, func(f *fixture) string { return "client " + string(f.a2) }, nil},
		{"AddPermissions to write clients", func(f *fixture) registry.Edit {
			return registry.AddPermissions{Client: f.a2, Permissions: []string{"management.client.write"}}
		}, inOrganisation, "xx....x..", "client.permissions.add", func(f *fixture) string { return string(f.a2) }, func(f *fixture) string { return "client " + string(f.a2) }, nil},
		{"AddPermissions to read the audit log", func(f *fixture) registry.Edit {
			return registry.AddPermissions{Client: f.manager, Permissions: []string{"management.audit.read"}}
		}, inOrganisation, "x.....x..", "client.permissions.add", manager, managerFeed, nil},
		{"AddPermissions of the operator", func(f *fixture) registry.Edit {
			return registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.staff"}}
		}, inOrganisation, "......x..", "client.permissions.add", client, clientFeed, nil},
		{"AddPermissions to create organisations", func(f *fixture) registry.Edit {
			return registry.AddPermissions{Client: f.manager, Permissions: []string{"management.organisation.create"}}
		}, inOrganisation, "......x..", "client.permissions.add", manager, managerFeed, nil},
		{"RemovePermissions", func(f *fixture) registry.Edit {
			return registry.RemovePermissions{Client: f.a1, Permissions: []string{"p1.read"}}
		}, inOrganisation, "xxx...x..", "client.permissions.remove", client, clientFeed, nil},
		{"AddSecret", func(f *fixture) registry.Edit { return f.newSecret(f.a1, newSecret) },
			inOrganisation, "xx.x..x..", "secret.add", constant(newSecret), clientFeed, nil},
		{"AddSecret to a manager", func(f *fixture) registry.Edit { return f.newSecret(f.manager, "newnewnewne2") },
			inOrganisation, "xx....x..", "secret.add", constant("newnewnewne2"), managerFeed, nil},
		{"RetireSecret", func(f *fixture) registry.Edit {
			return registry.RetireSecret{Client: f.a1, Secret: f.secretA1, Successor: f.secondA1, Ends: f.Now().Add(time.Hour)}
		}, inOrganisation, "xx.x..x..", "secret.retire", secretA1, clientFeed, nil},
		{"SetSecretState disabled", func(f *fixture) registry.Edit {
			return registry.SetSecretState{Client: f.a1, Secret: f.secretA1, State: registry.SecretDisabled}
		}, inOrganisation, "xx.x..xx.", "secret.disable", secretA1, clientFeed, nil},
		{"SetSecretState active", func(f *fixture) registry.Edit {
			return registry.SetSecretState{Client: f.a1, Secret: f.secretA1, State: registry.SecretActive}
		}, inOrganisation, "xx.x..x..", "secret.enable", secretA1, clientFeed, nil},
		{"SetSecretState active, of a manager", func(f *fixture) registry.Edit {
			return registry.SetSecretState{Client: f.manager, Secret: f.managed, State: registry.SecretActive}
		}, inOrganisation, "xx....x..", "secret.enable", func(f *fixture) string { return string(f.managed) }, managerFeed, nil},
		{"SetSecretState revoked", func(f *fixture) registry.Edit {
			return registry.SetSecretState{Client: f.a1, Secret: f.secretA1, State: registry.SecretRevoked, WithDescendants: true}
		}, inOrganisation, "xx.x..x..", "secret.revoke", secretA1, clientFeed, nil},
		{"RevokeToken", func(f *fixture) registry.Edit {
			return registry.RevokeToken{Client: f.a1, TokenID: "jti-1", Expires: f.Now().Add(time.Minute)}
		}, inOrganisation, "xx.x..xx.", "token.revoke", client, clientFeed, nil},
		{"SetClientState deleted", func(f *fixture) registry.Edit { return registry.SetClientState{Client: f.a1, State: registry.Deleted} },
			inOrganisation, "xx.x..x..", "client.delete", client, clientFeed, nil},
		{"CreateWebhook", func(*fixture) registry.Edit { return newWebhook(newHook) },
			inOrganisation, "x.....x..", "webhook.create", constant(newHook), nil, nil},
		{"CreateWebhook of the operator", func(*fixture) registry.Edit { return newWebhook("wh-newnewnewnewnewnewop") },
			asOperator, "x.....x..", "webhook.create", constant("wh-newnewnewnewnewnewop"), nil, nil},
		{"UpdateWebhook", func(f *fixture) registry.Edit {
			return registry.UpdateWebhook{Webhook: f.hookA, Name: &name, URL: &elsewhere, Events: &events}
		},
			inOrganisation, "x.....x..", "webhook.update", webhook, nil, nil},
		{"TestWebhook", func(f *fixture) registry.Edit { return registry.TestWebhook{Webhook: f.hookA} },
			inOrganisation, "x.....x..", "webhook.test", webhook, nil, nil},
		{"ReplaceWebhookSecret", func(f *fixture) registry.Edit {
			return registry.ReplaceWebhookSecret{Webhook: f.hookA, Sealed: []byte("another")}
		},
			inOrganisation, "x.....x..", "webhook.secret.replace", webhook, nil, nil},
		{"SetWebhookState disabled", func(f *fixture) registry.Edit {
			return registry.SetWebhookState{Webhook: f.hookA, State: registry.WebhookDisabled, Reason: "pause"}
		}, inOrganisation, "x.....x..", "webhook.disable", webhook, nil, nil},
		{"SetWebhookState enabled", func(f *fixture) registry.Edit {
			return registry.SetWebhookState{Webhook: f.hookA, State: registry.WebhookEnabled}
		},
			inOrganisation, "x.....x..", "webhook.enable", webhook, nil, nil},
		{"DeleteWebhook", func(f *fixture) registry.Edit { return registry.DeleteWebhook{Webhook: f.hookA} },
			inOrganisation, "x.....x..", "webhook.delete", webhook, nil, nil},
		{"DeleteAccount", func(f *fixture) registry.Edit { return registry.DeleteAccount{Account: f.sandboxA} },
			inOrganisation, "xx....x..", "account.delete", func(f *fixture) string { return string(f.sandboxA) }, func(f *fixture) string { return "account " + string(f.sandboxA) }, nil},
		{"DeleteProduct", func(*fixture) registry.Edit { return registry.DeleteProduct{Product: "p4"} },
			asOperator, "......x..", "product.delete", constant("p4"), constant("products "), nil},
		{"DeleteOrganisation", func(*fixture) registry.Edit { return registry.DeleteOrganisation{} },
			inOrganisation, "x.....x..", "organisation.delete", organisation, organisationFeed, nil},
		{"RestoreOrganisation", func(*fixture) registry.Edit { return registry.RestoreOrganisation{} },
			inOrganisation, "x.....x..", "organisation.restore", organisation, organisationFeed, nil},
		{"SetAccountState suspended", func(f *fixture) registry.Edit {
			return registry.SetAccountState{Account: f.productionA, State: registry.Suspended}
		}, inOrganisation, "......x..", "account.suspend", func(f *fixture) string { return string(f.productionA) }, func(f *fixture) string { return "account " + string(f.productionA) }, nil},
		{"SetOrganisationState suspended", func(*fixture) registry.Edit { return registry.SetOrganisationState{State: registry.Suspended} },
			inOrganisation, "......x..", "organisation.suspend", organisation, organisationFeed, nil},
		{"EraseOrganisation", func(*fixture) registry.Edit { return registry.EraseOrganisation{} },
			inOrganisation, ".........", "organisation.erase", organisation, organisationFeed, func(f *fixture) actor.Actor { return f.system.In(f.orgA) }},
	}
	return append(peopleRows(), rows...)
}

// peopleRows are those about people and their roles.
func peopleRows() []editRow {
	const newPerson, newInvitation, newRequest = "p-newnewnewnewnewnewne", "i-newnewnewnewnewnewne", "r-newnewnewnewnewnewne"
	constant := func(text string) func(*fixture) string { return func(*fixture) string { return text } }
	member := func(f *fixture) string { return string(f.memberA) }
	pending := func(f *fixture) string { return string(f.pendingA) }
	guest := func(f *fixture) string { return string(f.guest) }
	system := func(f *fixture) actor.Actor { return f.system }
	asGuest := func(f *fixture) actor.Actor { return proven(f.guest, "") }
	to := func(role actor.Role) func(f *fixture) registry.Edit {
		return func(f *fixture) registry.Edit {
			return registry.ChangeRoles{Person: f.memberA, Roles: []actor.RoleGrant{{Role: role}, {Role: actor.Developer, Account: f.sandboxA}}}
		}
	}
	return []editRow{
		{"CreatePerson", func(*fixture) registry.Edit {
			return registry.CreatePerson{ID: newPerson, Email: "new@example.com", Name: "New", Password: hashed}
		}, inOrganisation, ".........", "person.create", constant(newPerson), nil, system},
		{"VerifyPerson", func(f *fixture) registry.Edit { return registry.VerifyPerson{Person: f.guest} },
			inOrganisation, ".........", "person.verify", guest, nil, system},
		{"RenamePerson", func(*fixture) registry.Edit { return registry.RenamePerson{Name: "Grace"} },
			inOrganisation, "", "person.rename", guest, nil, asGuest},
		{"ChooseMails", func(*fixture) registry.Edit { return registry.ChooseMails{SecretsEnding: false} },
			inOrganisation, "", "person.mails", guest, nil, asGuest},
		{"SetPassword", func(f *fixture) registry.Edit { return registry.SetPassword{Person: f.guest, Password: hashed + "2"} },
			inOrganisation, "", "person.password", guest, nil, asGuest},
		{"DeleteNewcomer", func(f *fixture) registry.Edit { return registry.DeleteNewcomer{Person: f.newcomer} },
			inOrganisation, ".........", "person.expire", func(f *fixture) string { return string(f.newcomer) }, nil, system},
		{"AddFirstOperator", func(f *fixture) registry.Edit { return registry.AddFirstOperator{Person: f.stranger} },
			asOperator, ".........", "member.add", func(f *fixture) string { return string(f.stranger) }, nil, system},
		{"AddMember", func(f *fixture) registry.Edit { return joins(f.stranger, actor.Viewer) },
			inOrganisation, ".........", "member.add", func(f *fixture) string { return string(f.stranger) }, nil, func(f *fixture) actor.Actor { return f.system.In(f.orgA) }},
		{"ChangeRoles to viewer", to(actor.Viewer), inOrganisation, "xx....x..", "member.roles", member, nil, nil},
		{"ChangeRoles to auditor", to(actor.Auditor), inOrganisation, "x.....x..", "member.roles", member, nil, nil},
		{"ChangeRoles to admin", to(actor.OrganisationAdmin), inOrganisation, "x.....x..", "member.roles", member, nil, nil},
		{"Invite a developer", func(f *fixture) registry.Edit { return f.invite(newInvitation, "new@example.com", actor.Developer) },
			inOrganisation, "xx....x..", "invitation.create", constant(newInvitation), nil, nil},
		{"Invite an admin", func(f *fixture) registry.Edit {
			return f.invite("i-newnewnewnewnewnew2e", "newer@example.com", actor.OrganisationAdmin)
		}, inOrganisation, "x.....x..", "invitation.create", constant("i-newnewnewnewnewnew2e"), nil, nil},
		{"ResendInvitation", func(f *fixture) registry.Edit {
			return registry.ResendInvitation{Invitation: f.pendingA, Token: secret.NewPlaintext("new")}
		}, inOrganisation, "xx....x..", "invitation.resend", pending, nil, nil},
		{"RevokeInvitation", func(f *fixture) registry.Edit { return registry.RevokeInvitation{Invitation: f.pendingA} },
			inOrganisation, "xx....x..", "invitation.revoke", pending, nil, nil},
		{"AcceptInvitation", func(f *fixture) registry.Edit {
			return registry.AcceptInvitation{Invitation: f.invitedA, Token: f.tokenA}
		}, inOrganisation, "", "invitation.accept", func(f *fixture) string { return string(f.invitedA) }, nil, asGuest},
		{"RequestChange", func(f *fixture) registry.Edit {
			return registry.RequestChange{ID: newRequest, Edits: registry.Edits{registry.RenameAccount{Account: f.sandboxA, Name: "asked for"}}}
		}, inOrganisation, "", "request.create", constant(newRequest), nil, (*fixture).member},
		{"WithdrawRequest", func(f *fixture) registry.Edit { return registry.WithdrawRequest{Request: f.requestsA[2]} },
			inOrganisation, "", "request.withdraw", func(f *fixture) string { return string(f.requestsA[2]) }, nil, (*fixture).member},
		{"DeclineRequest", func(f *fixture) registry.Edit {
			return registry.DeclineRequest{Request: f.requestsA[1], Reason: "not yet"}
		},
			inOrganisation, "xx....x..", "request.decline", func(f *fixture) string { return string(f.requestsA[1]) }, nil, nil},
		{"ApproveRequest", func(f *fixture) registry.Edit { return registry.ApproveRequest{Request: f.requestsA[0]} },
			inOrganisation, "xx....x..", "request.approve", func(f *fixture) string { return string(f.requestsA[0]) }, nil, nil},
		{"RemoveMember", func(f *fixture) registry.Edit { return registry.RemoveMember{Person: f.memberA} },
			inOrganisation, "xx....x..", "member.remove", member, nil, nil},
		{"DeletePerson", func(f *fixture) registry.Edit { return registry.DeletePerson{Person: f.guest} },
			inOrganisation, "", "person.delete", guest, nil, asGuest},
		{"LeaveOrganisation", func(*fixture) registry.Edit { return registry.LeaveOrganisation{} },
			inOrganisation, "", "member.leave", func(f *fixture) string { return string(f.leaverA) }, nil, func(f *fixture) actor.Actor { return proven(f.leaverA, f.orgA) }},
	}
}

// editTypes finds the types with an apply method in the package's source.
func editTypes(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if ok && f.Recv != nil && f.Name.Name == "apply" {
				names = append(names, f.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	return names
}

func TestEveryTypeOfEditHasARow(t *testing.T) {
	var types []string
	f := &fixture{Registry: &registry.Registry{Config: registry.Config{Now: time.Now}}}
	for _, row := range editRows() {
		types = append(types, reflect.TypeOf(row.edit(f)).Name())
	}
	slices.Sort(types)
	want := editTypes(t)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Compact(types)); diff != "" || len(want) < 16 {
		t.Errorf("types of edits without a row in editRows, or rows without a type (-types +rows):\n%s", diff)
	}
}

func TestAUD01_eachEditLeavesOneRecordAndTheRightChanges(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, row := range editRows() {
			t.Run("AUD-01 "+row.name, func(t *testing.T) {
				by := row.by(f, actor.OperatorAdmin).From(netip.MustParseAddr("192.0.2.7"), "request-7")
				seq := query(t, f.DB, `SELECT audit_count, seq FROM revision`)[0]
				f.must(t, by, row.edit(f))
				organisation := string(by.Organisation())
				switch row.name {
				case "CreateOrganisation":
					organisation = row.subject(f)
				case "AcceptInvitation":
					organisation = string(f.orgA)
				case "EraseOrganisation":
					organisation = ""
				}
				want := [][]string{{strconv.FormatInt(f.Now().UnixMicro(), 10), organisation, row.action, row.subject(f), by.String(), "request-7", "192.0.2.7"}}
				got := query(t, f.DB, `SELECT at, organisation_id, action, subject, actor, request_id, address FROM audit WHERE seq > $1 AND action <> $2`, seq[0], beside[row.name])
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("audit records (-want +got):\n%s", diff)
				}
				content := query(t, f.DB, `SELECT content FROM audit WHERE seq > $1 AND action <> $2`, seq[0], beside[row.name])
				if len(content) != 1 || !json.Valid([]byte(content[0][0])) {
					t.Errorf("content = %q, want one JSON value", content)
				}
				feed := "none "
				if row.feed != nil {
					feed = row.feed(f)
				}
				changes := query(t, f.DB, `SELECT kind, key FROM change WHERE seq > $1`, seq[1])
				if len(changes) != 1 || strings.Join(changes[0], " ") != feed {
					t.Errorf("the change feed says %q, want %q", changes, feed)
				}
			})
		}
		if n, err := journal.Verify(t.Context(), f.DB); err != nil {
			t.Errorf("the chain of %d records: %v", n, err)
		}
	})
}

// brokenAfter gives n bytes of randomness and then fails.
type brokenAfter struct{ n int }

func (b *brokenAfter) Read(p []byte) (int, error) {
	if b.n < len(p) {
		return 0, errors.New("no randomness left")
	}
	b.n -= len(p)
	return len(p), nil
}

func TestAUD02_whatCannotBeRecordedDoesNotHappen(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		config := f.Config
		for _, row := range editRows() {
			t.Run("AUD-02 "+row.name, func(t *testing.T) {
				config.Rand = &brokenAfter{}
				before := dump(t, f.DB)
				wantKind(t, registry.New(config).Apply(t.Context(), row.by(f, actor.OperatorAdmin), row.edit(f)), fault.Unavailable)
				if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
					t.Errorf("the change was made without a record:\n%s", diff)
				}
				t.Run("twin", func(t *testing.T) { f.must(t, row.by(f, actor.OperatorAdmin), row.edit(f)) })
			})
		}
	})
}

func TestAUD02_theSecondRecordFailingTakesTheFirstEditBack(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		config := f.Config
		config.Rand = &brokenAfter{n: 16}
		before := dump(t, f.DB)
		edits := []registry.Edit{registry.RenameOrganisation{Name: "one"}, registry.RenameOrganisation{Name: "two"}}
		wantKind(t, registry.New(config).Apply(t.Context(), f.adminA, edits...), fault.Unavailable)
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
			t.Error(diff)
		}
		t.Run("twin", func(t *testing.T) {
			config.Rand = &brokenAfter{n: 32}
			if err := registry.New(config).Apply(t.Context(), f.adminA, edits...); err != nil {
				t.Error(err)
			}
		})
	})
}

// ended is an edit that is always refused as NotFound: behind another, it
// takes that one back, so that a matrix leaves the database as it was.
var ended = registry.RenameAccount{Account: unknownAccount, Name: "x"}

// tried is the kind of an edit's refusal, or "allowed"; nothing is changed.
func (f *fixture) tried(t testing.TB, by actor.Actor, edit registry.Edit) string {
	t.Helper()
	err := f.Apply(t.Context(), by, edit, ended)
	if fault.KindOf(err) == fault.NotFound && strings.Contains(err.Error(), string(unknownAccount)) {
		return "allowed"
	}
	switch fault.KindOf(err) {
	case fault.Forbidden:
		return "forbidden"
	case fault.NotFound:
		return "not found"
	case fault.Invalid:
		return "invalid"
	case fault.Conflict:
		return "conflict"
	case fault.RateLimited:
		return "rate limited"
	}
	return "FAILED: " + err.Error()
}

func TestPRIV01_eachEditIsMadeByItsRolesAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before := made(t, f.DB)
		for i, row := range editRows() {
			t.Run("PRIV-01 "+row.name, func(t *testing.T) {
				f.Registry = newRegistry(t, f.DB, f.clock.Now, 100+i) // which has recorded no refusal yet
				recorded := f.refusals(t, row.action)
				var got strings.Builder
				for _, role := range actor.Roles() {
					if row.roles == "" {
						break
					}
					by := editRow{level: row.level}.by(f, role)
					switch outcome := f.tried(t, by, row.edit(f)); outcome {
					case "allowed":
						got.WriteByte('x')
					case "forbidden":
						got.WriteByte('.')
					default:
						t.Errorf("%s: %s", role, outcome)
					}
				}
				if got.String() != row.roles {
					t.Errorf("roles %s, want %s", got.String(), row.roles)
				}
				if recorded = f.refusals(t, row.action) - recorded; recorded != strings.Count(got.String(), ".") {
					t.Errorf("%d refusals were recorded of %s", recorded, got.String())
				}
				t.Run("twin", func(t *testing.T) { // the matrix has both answers
					if row.as != nil {
						if outcome := f.tried(t, row.as(f), row.edit(f)); outcome != "allowed" {
							t.Errorf("%s: %s", row.as(f), outcome)
						}
						return
					}
					if !strings.Contains(got.String(), "x") || !strings.Contains(got.String(), ".") {
						t.Errorf("roles %s", got.String())
					}
				})
				if got := f.tried(t, actor.Actor{}, row.edit(f)); got == "allowed" || strings.HasPrefix(got, "FAILED") {
					t.Errorf("the zero Actor: %s", got)
				}
			})
		}
		if diff := cmp.Diff(before, made(t, f.DB)); diff != "" {
			t.Errorf("the matrix left a trace:\n%s", diff)
		}
	})
}

func TestPRIV01_aRoleOnOneAccountReachesNoOther(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		on := func(account id.Account) actor.Actor {
			return proven("p-1", f.orgA, actor.RoleGrant{Role: actor.AccountAdmin, Account: account})
		}
		for _, row := range editRows()[len(peopleRows()):] { // those of people name their account in a role
			if row.roles[1] != 'x' || slices.Contains([]string{"CreateAccount", "RenameAccount", "DeleteAccount"}, row.name) {
				continue
			}
			t.Run("PRIV-01 "+row.name, func(t *testing.T) {
				if got := f.tried(t, on(f.sandboxA), row.edit(f)); got != "forbidden" {
					t.Errorf("admin of the sandbox account: %s, want forbidden", got)
				}
				t.Run("twin", func(t *testing.T) {
					if got := f.tried(t, on(f.productionA), row.edit(f)); got != "allowed" {
						t.Errorf("admin of the account: %s, want allowed", got)
					}
				})
			})
		}
	})
}

func TestApplyMakesAllEditsOrNone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before := dump(t, f.DB)
		err := f.Apply(t.Context(), f.adminA, registry.RenameOrganisation{Name: "new"}, registry.SetClientState{Client: f.a1, State: registry.Disabled},
			registry.RenameAccount{Account: f.sandboxA, Name: "A-prod"})
		wantKind(t, err, fault.Conflict)
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
			t.Errorf("a list of edits was made in part:\n%s", diff)
		}
		t.Run("twin", func(t *testing.T) {
			f.must(t, f.adminA, registry.RenameOrganisation{Name: "new"}, registry.SetClientState{Client: f.a1, State: registry.Disabled},
				registry.RenameAccount{Account: f.sandboxA, Name: "A-other"})
		})
	})
}

func TestAnEditOfAnotherVersionIsAConflict(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in, name := f.operator.In(f.orgA), "other"
		f.must(t, in, registry.RenameOrganisation{Name: "A2"}, registry.RenameAccount{Account: f.sandboxA, Name: "A-2"})
		client := mustClient(t, f, in, f.a1)
		p2 := productTwo()
		p2.Description = "changed"
		f.refuses(t,
			refusal{name: "RenameOrganisation", by: in, edit: registry.RenameOrganisation{Name: "A3", Base: 1}, want: fault.Conflict, twin: registry.RenameOrganisation{Name: "A3", Base: 2}},
			refusal{name: "SetOrganisationState", by: in, edit: registry.SetOrganisationState{State: registry.Suspended, Base: 2}, want: fault.Conflict, twin: registry.SetOrganisationState{State: registry.Suspended, Base: 3}},
			refusal{name: "RenameAccount", by: in, edit: registry.RenameAccount{Account: f.sandboxA, Name: "A-3", Base: 1}, want: fault.Conflict, twin: registry.RenameAccount{Account: f.sandboxA, Name: "A-3", Base: 2}},
			refusal{name: "SetAccountState", by: in, edit: registry.SetAccountState{Account: f.sandboxA, State: registry.Suspended, Base: 2}, want: fault.Conflict, twin: registry.SetAccountState{Account: f.sandboxA, State: registry.Suspended, Base: 3}},
			refusal{name: "UpdateClient", by: in, edit: registry.UpdateClient{Client: f.a1, Name: &name, Base: client.Version + 1}, want: fault.Conflict, twin: registry.UpdateClient{Client: f.a1, Name: &name, Base: client.Version}},
			refusal{name: "SetClientState", by: in, edit: registry.SetClientState{Client: f.a1, State: registry.Disabled, Base: client.Version}, want: fault.Conflict, twin: registry.SetClientState{Client: f.a1, State: registry.Disabled, Base: client.Version + 1}},
			refusal{name: "AddPermissions", by: in, edit: registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.write"}, Base: client.Version}, want: fault.Conflict, twin: registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.write"}, Base: client.Version + 2}},
			refusal{name: "RemovePermissions", by: in, edit: registry.RemovePermissions{Client: f.a1, Permissions: []string{"p1.write"}, Base: client.Version}, want: fault.Conflict, twin: registry.RemovePermissions{Client: f.a1, Permissions: []string{"p1.write"}, Base: client.Version + 3}},
			refusal{name: "PutProduct", by: f.operator, edit: registry.PutProduct{Definition: p2, Source: registry.Managed, Base: 2}, want: fault.Conflict, twin: registry.PutProduct{Definition: p2, Source: registry.Managed, Base: 1}},
		)
	})
}

func mustClient(t testing.TB, f *fixture, by actor.Actor, key id.Client) registry.Client {
	t.Helper()
	client, err := f.Client(t.Context(), by, key)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
