package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// world is one engine's half of a comparison: an organisation of its own and
// what was made in it so far.
type world struct {
	*registry.Registry
	ctx      context.Context
	operator actor.Actor
	accounts []id.Account
	clients  []id.Client
	secrets  []registry.Secret
	people
	began int64 // the newest change when it began
}

// step is an operation drawn by rapid. Both engines make the same.
type step struct {
	operation string
	name      string
	pick      int
	days      int
	twice     bool
}

var operations = []string{
	"create account", "rename account", "suspend account", "create client", "rename client", "client state",
	"add permission", "remove permission", "add secret", "rotate", "secret state", "revoke token", "grant", "rename", "wait",
	"roles", "remove member", "add member", "invite", "accept", "resend", "revoke invitation", "request", "decide",
	"create webhook", "webhook state", "delete webhook", "product", "organisation state",
}

// names differ in case, accents, length and code points above U+FFFF, which
// engines may sort and compare in different ways.
var names = []string{"a", "A", "B", "b", "ä", "a\u0308", "_", "-", "~", "𝄞", "\uffff", "a b", "a  b"}

// drawSteps draws each operation as often as the others, which a slice of
// samples would not: rapid prefers what stands first.
func drawSteps(t *rapid.T) (steps []step) {
	for _, operation := range rapid.Permutation(operations).Draw(t, "operations")[:rapid.IntRange(6, 12).Draw(t, "steps")] {
		steps = append(steps, drawStep(t, operation))
	}
	return steps
}

func drawStep(t *rapid.T, operation string) step {
	return step{
		operation: operation,
		name:      rapid.SampledFrom(names).Draw(t, "name"),
		pick:      rapid.IntRange(0, 5).Draw(t, "pick"),
		days:      rapid.IntRange(-1, 3).Draw(t, "days"),
		twice:     rapid.Bool().Draw(t, "twice"),
	}
}

func choose[T any](from []T, pick int) (chosen T) {
	if len(from) == 0 {
		return chosen
	}
	return from[pick%len(from)]
}

// make makes the step and returns what its caller saw.
func (w *world) make(s step, clock *clock) string {
	var (
		err         error
		saw         any
		account     = choose(w.accounts, s.pick)
		client      = choose(w.clients, s.pick)
		old         = choose(w.secrets, s.pick)
		until       = clock.Now().Add(time.Duration(s.days)*24*time.Hour + 1234567*time.Nanosecond)
		environment = map[bool]id.Environment{false: id.Sandbox, true: id.Production}[s.twice]
		permission  = choose([]string{"p1.read", "p1.write", "p1.old", "p1.staff", "p2.read", "management.client.read"}, s.pick)
	)
	apply := func(edit registry.Edit) error { return w.Apply(w.ctx, w.operator, edit) }
	switch s.operation {
	case "create account":
		var key id.Account
		if key, err = w.CreateAccount(w.ctx, w.operator, environment, s.name); err == nil {
			w.accounts = append(w.accounts, key)
		}
		saw = key
	case "rename account":
		err = apply(registry.RenameAccount{Account: account, Name: s.name})
	case "suspend account":
		err = apply(registry.SetAccountState{Account: account, State: choose([]registry.State{registry.Suspended, registry.Active}, s.pick)})
	case "create client":
		if s.pick == 5 {
			account = "" // the organisation's
		}
		var key id.Client
		if key, err = w.CreateClient(w.ctx, w.operator, registry.NewClient{Account: account, Name: s.name}); err == nil {
			w.clients = append(w.clients, key)
		}
		saw = key
	case "rename client":
		err = apply(registry.UpdateClient{Client: client, Name: &s.name, Base: int64(s.days)})
	case "client state":
		err = apply(registry.SetClientState{Client: client, State: choose([]registry.ClientState{registry.Disabled, registry.Enabled, registry.Deleted}, s.days+1)})
	case "add permission":
		err = apply(registry.AddPermissions{Client: client, Permissions: []string{permission}})
	case "remove permission":
		err = apply(registry.RemovePermissions{Client: client, Permissions: []string{permission}})
	case "add secret", "rotate":
		saw, err = w.makeSecret(s, client, old, until)
	case "secret state":
		states := []registry.SecretState{registry.SecretDisabled, registry.SecretActive, registry.SecretRevoked}
		err = apply(registry.SetSecretState{Client: old.Client, Secret: old.ID, State: choose(states, s.days+1), WithDescendants: s.twice})
	case "revoke token":
		err = apply(registry.RevokeToken{Client: client, TokenID: string(client) + "-" + fmt.Sprint(s.pick), Expires: until})
	case "grant":
		err = apply(choose([]registry.Edit{registry.GrantProduct{Product: "p1", Environment: environment}, registry.WithdrawProduct{Product: "p1", Environment: environment}}, s.pick))
	case "rename":
		err = apply(registry.RenameOrganisation{Name: s.name, Base: int64(s.pick)})
	default:
		saw, err = w.makeOfPeople(s)
	}
	return fmt.Sprintf("%v %v %v", saw, fault.KindOf(err), err)
}

func (w *world) makeSecret(s step, client id.Client, old registry.Secret, until time.Time) (saw any, err error) {
	if s.operation == "rotate" {
		client = old.Client
	}
	key, value := id.Secret(""), ""
	if s.operation == "rotate" {
		made, plaintext, rotateErr := w.RotateSecret(w.ctx, w.operator, client, old.ID, s.name, time.Time{}, until)
		key, value, err = made, plaintext.Reveal(), rotateErr
	} else {
		made, plaintext, addErr := w.AddSecret(w.ctx, w.operator, client, s.name, until)
		key, value, err = made, plaintext.Reveal(), addErr
	}
	if err == nil {
		w.secrets = append(w.secrets, registry.Secret{ID: key, Client: client})
	}
	return value, err
}

// seen is all that the organisation can read.
func (w *world) seen(t *rapid.T) []string {
	var all []string
	note := func(value any, err error) { all = append(all, fmt.Sprintf("%+v %v", value, err)) }
	note(w.Organisation(w.ctx, w.operator))
	note(w.Accounts(w.ctx, w.operator, registry.AccountFilter{}, registry.Page{}))
	note(w.OrganisationEntry(w.ctx, w.operator.Organisation()))
	note(w.Grants(w.ctx, w.operator, registry.GrantFilter{}, registry.Page{}))
	clients, err := w.Clients(w.ctx, w.operator, registry.ClientFilter{}, registry.Page{})
	note(clients, err)
	for _, c := range clients.Items {
		note(w.Permissions(w.ctx, w.operator, c.ID))
		note(w.Secrets(w.ctx, w.operator, c.ID, registry.SecretFilter{}, registry.Page{}))
		entry, err := w.ClientEntry(w.ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		note(*entry, nil)
	}
	for _, s := range w.secrets {
		note(w.Descendants(w.ctx, w.operator, s.Client, s.ID))
	}
	return append(append(all, w.seenOfPeople()...), w.written(t)...)
}

func TestSTO13_bothEnginesShowTheSame(t *testing.T) {
	t.Parallel()
	var databases []*sqldb.DB
	for _, engine := range sqldbtest.Engines() {
		databases = append(databases, sqldbtest.Open(t, sqldbtest.Migrated(t, engine)))
		newFixture(t, databases[len(databases)-1])
	}
	run, made := 2, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		run++ // each run draws ids of its own: the databases are kept
		clock := newClock()
		var worlds []*world
		for _, db := range databases {
			r := newRegistry(t, db, clock.Now, run)
			key, err := r.CreateOrganisation(t.Context(), actor.NewSystem("test"), "O")
			if err != nil {
				rt.Fatal(err)
			}
			operator := person("p-operator", "", actor.OperatorAdmin).In(key)
			w := &world{Registry: r, ctx: t.Context(), operator: operator}
			w.addPeople(t, run)
			for _, s := range []step{ // something to work on
				{operation: "create account", name: "sandbox"}, {operation: "create account", name: "production", twice: true},
				{operation: "create client", name: "one"}, {operation: "create client", name: "two", pick: 1},
				{operation: "add secret", name: "s", days: 2}, {operation: "add secret", name: "t", days: 1}, {operation: "add secret", name: "t", pick: 1, days: 3},
				{operation: "invite", name: "guest", pick: 3, days: -1}, {operation: "request", name: "a"}, {operation: "create webhook", name: "w"},
			} {
				w.make(s, clock)
			}
			worlds = append(worlds, w)
		}
		for _, s := range drawSteps(rt) {
			if s.operation == "wait" {
				clock.add(time.Duration(s.pick) * 12 * time.Hour)
			}
			first := worlds[0].make(s, clock)
			if strings.HasSuffix(first, "<nil>") {
				made[s.operation]++
			}
			for _, other := range worlds[1:] {
				if diff := cmp.Diff(first, other.make(s, clock)); diff != "" {
					rt.Fatalf("STO-13 %+v:\n%s", s, diff)
				}
			}
		}
		first := worlds[0].seen(rt)
		for _, other := range worlds[1:] {
			if diff := cmp.Diff(first, other.seen(rt)); diff != "" {
				rt.Fatalf("STO-13 what is seen at the end:\n%s", diff)
			}
		}
	})
	for _, operation := range operations { // or the comparison would be of refusals
		if made[operation] == 0 {
			t.Errorf("no step %q was ever made: %v", operation, made)
		}
	}
}
