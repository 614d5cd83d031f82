package actor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
)

const (
	ours   = id.Organisation("o-aaaaaaaaaaaaaaaaaaaa")
	theirs = id.Organisation("o-bbbbbbbbbbbbbbbbbbbb")
	one    = id.Account("a-p-11111111111111111111")
	two    = id.Account("a-p-22222222222222222222")
)

// matrix is the security specification of roles: a letter per role in the
// order of actor.Roles, "x" where it has the ability.
//
//	organisation admin, account admin, access manager, developer, auditor, viewer, operator admin, support, auditor
const matrix = `
organisation.read   x x x x x x  x x x
organisation.write  x . . . . .  x . .
account.read        x x x x x x  x x x
account.write       x x . . . .  x . .
member.read         x x x x x x  x x x
member.write        x x . . . .  x . .
client.read         x x x x x x  x x x
client.write        x x . x . .  x . .
client.disable      x x . x . .  x x .
secret.write        x x . x . .  x . .
permission.write    x x x . . .  x . .
call.read           x x x x x x  x x x
call.try            x x . x . .  x . .
product.read        x x x x x x  x x x
audit.read          x . . . x .  x . x
webhook.read        x . . . x .  x . x
webhook.write       x . . . . .  x . .
declaration.read    x . . . . .  x . .
declaration.write   x . . . . .  x . .
request.write       x . . . . .  x . .
organisation.create . . . . . .  x . .
suspension.write    . . . . . .  x . .
product.write       . . . . . .  x . .
grant.write         . . . . . .  x . .
permission.assign   . . . . . .  x . .
key.read            . . . . . .  x x x
key.write           . . . . . .  x . .
node.read           . . . . . .  x x x
token.read          . . . . . .  x . .
`

// proven is a person whose session has shown everything.
func proven(person id.Person, organisation id.Organisation, session string, roles ...actor.RoleGrant) actor.Actor {
	return actor.NewPerson(person, organisation, session, roles...).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true})
}

func TestPRIV01_roleMatrix(t *testing.T) {
	rows := map[actor.Ability][]string{}
	for line := range strings.Lines(strings.TrimSpace(matrix)) {
		fields := strings.Fields(line)
		rows[actor.Ability(fields[0])] = fields[1:]
	}
	if got, want := len(rows), len(actor.EveryAbility()); got != want {
		t.Errorf("the matrix has %d abilities, the code %d", got, want)
	}
	for _, ability := range actor.EveryAbility() {
		row := rows[ability]
		if len(row) != len(actor.Roles()) {
			t.Errorf("%s has no full row in the matrix", ability)
			continue
		}
		for i, role := range actor.Roles() {
			who := proven("p-1", ours, "session", actor.RoleGrant{Role: role})
			if got, want := who.May(ability, one), row[i] == "x"; got != want {
				t.Errorf("%s may %s = %v, want %v", role, ability, got, want)
			}
		}
	}
}

func TestARoleOnOneAccountReachesThatAccountOnly(t *testing.T) {
	who := proven("p-1", ours, "session", actor.RoleGrant{Role: actor.Developer, Account: one})
	for account, want := range map[id.Account]bool{one: true, two: false, "": false} {
		if got := who.May(actor.SecretWrite, account); got != want {
			t.Errorf("may on %q = %v, want %v", account, got, want)
		}
	}
}

func TestOnlyTheOperatorChoosesItsOrganisation(t *testing.T) {
	customer := proven("p-1", ours, "session", actor.RoleGrant{Role: actor.OrganisationAdmin})
	if got := customer.In(theirs).Organisation(); got != ours {
		t.Errorf("a customer moved to %s", got)
	}
	operator := proven("p-2", "", "session", actor.RoleGrant{Role: actor.OperatorAdmin})
	if got := operator.In(theirs).Organisation(); got != theirs {
		t.Errorf("the operator is in %q, want %s", got, theirs)
	}
}

func TestACustomersRoleStaysInItsOrganisationWhoeverElseThePersonIs(t *testing.T) {
	both := proven("p-1", ours, "session", actor.RoleGrant{Role: actor.OrganisationAdmin}, actor.RoleGrant{Role: actor.OperatorSupport})
	for _, elsewhere := range []id.Organisation{theirs, ""} {
		if both.In(elsewhere).May(actor.ClientWrite, "") {
			t.Errorf("the admin of %s may change clients in %q", ours, elsewhere)
		}
		if !both.In(elsewhere).May(actor.ClientDisable, "") {
			t.Errorf("twin: support may not disable clients in %q", elsewhere)
		}
	}
	if !both.May(actor.ClientWrite, "") {
		t.Error("twin: the admin may not change clients at home")
	}
}

func TestAClientActsWithItsManagementPermissionsAlone(t *testing.T) {
	who := actor.NewClient("prod-round-apple-123", ours, one, "secret", []string{"auth.sessions.read", "management.client.read", "management.key.write"})
	for _, c := range []struct {
		ability actor.Ability
		account id.Account
		want    bool
	}{
		{actor.ClientRead, one, true},
		{actor.ClientRead, two, false},
		{actor.ClientWrite, one, false},
		{actor.KeyWrite, one, false}, // the operator's alone, whoever gave it
	} {
		if got := who.May(c.ability, c.account); got != c.want {
			t.Errorf("may %s on %s = %v, want %v", c.ability, c.account, got, c.want)
		}
	}
	operator := actor.NewClient("op-round-apple-123", "", "", "secret", []string{"management.key.write"})
	if !operator.May(actor.KeyWrite, "") {
		t.Error("twin: the operator's client may not use its permission")
	}
}

func TestTheZeroActorMayDoNothing(t *testing.T) {
	for _, who := range []actor.Actor{{}, actor.Actor{}.In(ours), proven("p-1", ours, "session"), proven("p-1", ours, "s", actor.RoleGrant{Role: "root"})} {
		for _, ability := range actor.EveryAbility() {
			if who.May(ability, one) || who.May(ability, "") {
				t.Errorf("%v may %s", who, ability)
			}
		}
	}
	if !actor.NewSystem("test").In(ours).May(actor.ClientWrite, one) {
		t.Error("twin: a system job may not")
	}
}

func TestWhereNamesTheAccountsOfAnAbility(t *testing.T) {
	admin := actor.RoleGrant{Role: actor.OrganisationAdmin}
	on := func(role actor.Role, account id.Account) actor.RoleGrant {
		return actor.RoleGrant{Role: role, Account: account}
	}
	for name, c := range map[string]struct {
		by       actor.Actor
		accounts []id.Account
		whole    bool
	}{
		"nobody":                                    {actor.Actor{}, nil, false},
		"an admin":                                  {proven("p-1", ours, "s", admin), nil, true},
		"a developer of two accounts":               {proven("p-1", ours, "s", on(actor.Developer, two), on(actor.Developer, one), on(actor.Developer, two)), []id.Account{one, two}, false},
		"a developer of one, viewer of another":     {proven("p-1", ours, "s", on(actor.Developer, two), on(actor.Viewer, one)), []id.Account{two}, false},
		"a developer of one, admin of all":          {proven("p-1", ours, "s", on(actor.Developer, two), admin), nil, true},
		"a viewer of all, developer of one":         {proven("p-1", ours, "s", actor.RoleGrant{Role: actor.Viewer}, on(actor.Developer, one)), []id.Account{one}, false},
		"a client of an account":                    {actor.NewClient("prod-round-apple-123", ours, one, "s", []string{"management.secret.write"}), []id.Account{one}, false},
		"a client of an organisation":               {actor.NewClient("org-round-apple-123", ours, "", "s", []string{"management.secret.write"}), nil, true},
		"a client without the permission":           {actor.NewClient("org-round-apple-123", ours, "", "s", nil), nil, false},
		"support, who developed an account at home": {proven("p-1", ours, "s", actor.RoleGrant{Role: actor.OperatorSupport}, on(actor.Developer, one)).In(theirs), nil, false},
		"an admin by password alone":                {actor.NewPerson("p-1", ours, "s", admin).Proven(actor.Proof{Sandboxes: []id.Account{"a-s-22222222222222222222", "a-s-11111111111111111111"}}), []id.Account{"a-s-11111111111111111111", "a-s-22222222222222222222"}, false},
		"a developer by password alone":             {actor.NewPerson("p-1", ours, "s", on(actor.Developer, "a-s-11111111111111111111"), on(actor.Developer, one)).Proven(actor.Proof{Sandboxes: []id.Account{"a-s-22222222222222222222", "a-s-11111111111111111111"}}), []id.Account{"a-s-11111111111111111111"}, false},
		"the operator elsewhere":                    {proven("p-1", "", "s", actor.RoleGrant{Role: actor.OperatorAdmin}).In(theirs), nil, true},
	} {
		accounts, whole := c.by.Where(actor.SecretWrite)
		if !slices.Equal(accounts, c.accounts) || whole != c.whole {
			t.Errorf("%s: %v, %v, want %v, %v", name, accounts, whole, c.accounts, c.whole)
		}
	}
}

// What a password alone reaches: the case is named after the one that a
// production account is kept from.
func TestWEB33_aPasswordAloneReachesNothingInProduction(t *testing.T) {
	const sandbox = id.Account("a-s-11111111111111111111")
	admin := actor.RoleGrant{Role: actor.OrganisationAdmin}
	staff := actor.RoleGrant{Role: actor.OperatorAdmin}
	for _, c := range []struct {
		name    string
		who     actor.Actor
		ability actor.Ability
		account id.Account
		want    bool
	}{
		{"production account", actor.NewPerson("p-1", ours, "s", admin), actor.ClientRead, one, false},
		{"its name", actor.NewPerson("p-1", ours, "s", admin), actor.AccountRead, one, true},
		{"role on it", actor.NewPerson("p-1", ours, "s", actor.RoleGrant{Role: actor.Developer, Account: one}), actor.ClientWrite, one, false},
		{"sandbox account", actor.NewPerson("p-1", ours, "s", admin), actor.ClientWrite, sandbox, true},
		{"whole organisation", actor.NewPerson("p-1", ours, "s", admin), actor.MemberWrite, "", false},
		{"whole organisation of sandboxes", actor.NewPerson("p-1", ours, "s", admin).Proven(actor.Proof{SandboxOnly: true}), actor.MemberWrite, "", true},
		{"production account of an organisation of sandboxes", actor.NewPerson("p-1", ours, "s", admin).Proven(actor.Proof{SandboxOnly: true}), actor.AccountWrite, one, false},
		{"operator", actor.NewPerson("p-1", "", "s", staff), actor.ProductWrite, "", false},
		{"operator in an organisation of sandboxes", actor.NewPerson("p-1", "", "s", staff).In(ours).Proven(actor.Proof{SandboxOnly: true}), actor.ClientWrite, sandbox, false},
		{"account of no environment", actor.NewPerson("p-1", ours, "s", admin), actor.ClientWrite, "a-x-1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.who.May(c.ability, c.account); got != c.want {
				t.Errorf("may %s = %v, want %v", c.ability, got, c.want)
			}
			if got := c.who.NeedsSecondFactor(c.ability, c.account); got == c.want {
				t.Errorf("needs the second factor: %v", got)
			}
			t.Run("twin", func(t *testing.T) {
				if !c.who.Proven(actor.Proof{SecondFactor: true}).May(c.ability, c.account) {
					t.Error("with the second factor neither")
				}
			})
		})
	}
	if actor.NewPerson("p-1", ours, "s", actor.RoleGrant{Role: actor.Viewer}).NeedsSecondFactor(actor.ClientWrite, one) {
		t.Error("a second factor is asked of somebody whom it would not help")
	}
}
