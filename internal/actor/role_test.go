package actor_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
)

var update = flag.Bool("update", false, "rewrite docs/roles.md")

// TestTheDocumentationOfRolesIsTheTable writes docs/roles.md with -update.
func TestTheDocumentationOfRolesIsTheTable(t *testing.T) {
	const path = "../../docs/roles.md"
	var customers, operators []actor.Role
	for _, role := range actor.Roles() {
		if role.Operator() {
			operators = append(operators, role)
		} else {
			customers = append(customers, role)
		}
	}
	var doc strings.Builder
	doc.WriteString(`# Roles

A customer's role is held on a whole organisation or on one of its accounts; the operator's count everywhere. Roles are fixed, and
a person may hold several. Nobody gives more than they hold, and one organisation admin always stays. What is done with a password
alone, without a second factor, reaches nothing in production.

An API client gets abilities as permissions: ` + "`management.` and the ability's name" + `.
`)
	for _, part := range []struct {
		title     string
		roles     []actor.Role
		abilities []actor.Ability
	}{{"Customers", customers, abilities(false)}, {"The operator", operators, actor.EveryAbility()}} {
		fmt.Fprintf(&doc, "\n## %s\n\n", part.title)
		for _, role := range part.roles {
			fmt.Fprintf(&doc, "- **%s**: %s\n", role.Title(), role.Purpose())
		}
		doc.WriteString("\n| May | Ability |")
		for _, role := range part.roles {
			doc.WriteString(" " + role.Title() + " |")
		}
		doc.WriteString("\n|---|---|" + strings.Repeat(":-:|", len(part.roles)) + "\n")
		for _, ability := range part.abilities {
			fmt.Fprintf(&doc, "| %s | `%s` |", ability.Words(), ability)
			for _, role := range part.roles {
				doc.WriteString(map[bool]string{true: " ✓ |", false: " |"}[role.Abilities()[ability]])
			}
			doc.WriteString("\n")
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(doc.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(doc.String(), string(written)); diff != "" {
		t.Errorf("docs/roles.md is not what the table says: run this test with -update\n%s", diff)
	}
}

func abilities(operator bool) (list []actor.Ability) {
	for _, ability := range actor.EveryAbility() {
		if ability.OperatorOnly() == operator {
			list = append(list, ability)
		}
	}
	return list
}

func TestEveryAbilityAndRoleIsPutInWords(t *testing.T) {
	for _, ability := range actor.EveryAbility() {
		if ability.Words() == string(ability) {
			t.Errorf("%s has no words", ability)
		}
	}
	for _, role := range actor.Roles() {
		if role.Purpose() == "" || role.Title() == string(role) {
			t.Errorf("%s has no title or purpose", role)
		}
	}
}
