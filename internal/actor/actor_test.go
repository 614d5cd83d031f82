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
organisation.create . . . . . .  x . .
suspension.write    . . . . . .  x . .
product.write       . . . . . .  x . .
grant.write         . . . . . .  x . .
permission.assign   . . . . . .  x . .
key.read            . . . . . .  x x x
key.write           . . . . . .  x . .
token.read          . . . . . .  x . .
`

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
			who := actor.NewPerson("p-1", ours, "session", actor.RoleGrant{Role: role})
			if got, want := who.May(ability, one), row[i] == "x"; got != want {
				t.Errorf("%s may %s = %v, want %v", role, ability, got, want)
			}
		}
	}
}

func TestARoleOnOneAccountReachesThatAccountOnly(t *testing.T) {
	who := actor.NewPerson("p-1", ours, "session", actor.RoleGrant{Role: actor.Developer, Account: one})
	for account, want := range map[id.Account]bool{one: true, two: false, "": false} {
		if got := who.May(actor.SecretWrite, account); got != want {
			t.Errorf("may on %q = %v, want %v", account, got, want)
		}
	}
}

func TestOnlyTheOperatorChoosesItsOrganisation(t *testing.T) {
	customer := actor.NewPerson("p-1", ours, "session", actor.RoleGrant{Role: actor.OrganisationAdmin})
	if got := customer.In(theirs).Organisation(); got != ours {
		t.Errorf("a customer moved to %s", got)
	}
	operator := actor.NewPerson("p-2", "", "session", actor.RoleGrant{Role: actor.OperatorAdmin})
	if got := operator.In(theirs).Organisation(); got != theirs {
		t.Errorf("the operator is in %q, want %s", got, theirs)
	}
}

func TestACustomersRoleStaysInItsOrganisationWhoeverElseThePersonIs(t *testing.T) {
	both := actor.NewPerson("p-1", ours, "session", actor.RoleGrant{Role: actor.OrganisationAdmin}, actor.RoleGrant{Role: actor.OperatorSupport})
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
	for _, who := range []actor.Actor{{}, actor.Actor{}.In(ours), actor.NewPerson("p-1", ours, "session"), actor.NewPerson("p-1", ours, "s", actor.RoleGrant{Role: "root"})} {
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
		"an admin":                                  {actor.NewPerson("p-1", ours, "s", admin), nil, true},
		"a developer of two accounts":               {actor.NewPerson("p-1", ours, "s", on(actor.Developer, two), on(actor.Developer, one), on(actor.Developer, two)), []id.Account{one, two}, false},
		"a developer of one, viewer of another":     {actor.NewPerson("p-1", ours, "s", on(actor.Developer, two), on(actor.Viewer, one)), []id.Account{two}, false},
		"a developer of one, admin of all":          {actor.NewPerson("p-1", ours, "s", on(actor.Developer, two), admin), nil, true},
		"a viewer of all, developer of one":         {actor.NewPerson("p-1", ours, "s", actor.RoleGrant{Role: actor.Viewer}, on(actor.Developer, one)), []id.Account{one}, false},
		"a client of an account":                    {actor.NewClient("prod-round-apple-123", ours, one, "s", []string{"management.secret.write"}), []id.Account{one}, false},
		"a client of an organisation":               {actor.NewClient("org-round-apple-123", ours, "", "s", []string{"management.secret.write"}), nil, true},
		"a client without the permission":           {actor.NewClient("org-round-apple-123", ours, "", "s", nil), nil, false},
		"support, who developed an account at home": {actor.NewPerson("p-1", ours, "s", actor.RoleGrant{Role: actor.OperatorSupport}, on(actor.Developer, one)).In(theirs), nil, false},
		"the operator elsewhere":                    {actor.NewPerson("p-1", "", "s", actor.RoleGrant{Role: actor.OperatorAdmin}).In(theirs), nil, true},
	} {
		accounts, whole := c.by.Where(actor.SecretWrite)
		if !slices.Equal(accounts, c.accounts) || whole != c.whole {
			t.Errorf("%s: %v, %v, want %v, %v", name, accounts, whole, c.accounts, c.whole)
		}
	}
}
