// Package actor says who acts: an identity, the one organisation it acts in,
// and what it may do there. Authority is a visible argument of every change,
// never a context value. The zero Actor may do nothing.
//
// An Actor acts in exactly one organisation, chosen per request; the operator's
// people and the system's jobs choose theirs with [Actor.In], and act at
// operator level (API products, signing keys, operator clients) without one.
package actor

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// Kind tells people, API clients and the system's own jobs apart.
type Kind string

// The zero Kind is nobody's.
const (
	Person Kind = "person"
	Client Kind = "client"
	System Kind = "system"
)

// Actor is who acts. It is an immutable value.
type Actor struct {
	kind         Kind
	name         string // a person's or client's id; a job's name
	credential   string
	organisation id.Organisation
	operator     bool
	grants       []grant
	proof        Proof
	address      netip.Addr
	requestID    string
}

// grant is a set of abilities in one organisation, on one account or with none
// on all of it; the operator's are good everywhere.
type grant struct {
	abilities    Abilities
	organisation id.Organisation
	account      id.Account
	everywhere   bool
}

// RoleGrant is a role held on an organisation (no account) or on one account.
type RoleGrant struct {
	Role    Role       `json:"role"`
	Account id.Account `json:"account,omitempty"`
}

// Proof is what a person and their session have shown beyond a password. The
// zero Proof is the least: it reaches nothing in production.
type Proof struct {
	SecondFactor bool         // the session came with the person's second factor
	Recent       bool         // password, and factor if there is one, were given minutes ago
	Verified     bool         // the person's e-mail address is theirs
	SandboxOnly  bool         // the organisation has no production account
	Sandboxes    []id.Account // its sandbox accounts

	// Memberships are the versions of the places from which the roles were read;
	// a change is refused when one is another by then. None: not compared.
	Memberships map[id.Organisation]int64
}

// NewSystem returns an Actor for a job of the system itself, which may do
// everything. The job's name stands in the audit log.
func NewSystem(job string) Actor {
	return Actor{kind: System, name: job, operator: true, grants: []grant{{abilities: allAbilities(), everywhere: true}}}
}

// NewPerson returns a person acting in an organisation with the roles they
// hold there. Roles of the operator count at operator level and in every
// organisation, others in this one only.
func NewPerson(person id.Person, organisation id.Organisation, session string, roles ...RoleGrant) Actor {
	a := Actor{kind: Person, name: string(person), credential: session, organisation: organisation}
	for _, g := range roles {
		a.operator = a.operator || g.Role.Operator()
		a.grants = append(a.grants, grant{g.Role.Abilities(), organisation, g.Account, g.Role.Operator()})
	}
	return a
}

// Proven returns the actor with what its session has shown. It says nothing
// of API clients and jobs, whose credential is proof enough.
func (a Actor) Proven(proof Proof) Actor {
	a.proof = proof
	return a
}

// NewClient returns an API client acting with the management permissions
// among those it holds (management.<ability>): an account's client on its
// account, an organisation's on all of its own, the operator's (neither given)
// everywhere. secret is the credential with which it acts.
func NewClient(client id.Client, organisation id.Organisation, account id.Account, secret id.Secret, permissions []string) Actor {
	abilities := Abilities{}
	for _, permission := range permissions {
		if ability, ok := strings.CutPrefix(permission, ManagementPrefix); ok {
			abilities[Ability(ability)] = true
		}
	}
	return Actor{
		kind: Client, name: string(client), credential: string(secret), organisation: organisation,
		operator: organisation == "", grants: []grant{{abilities, organisation, account, organisation == ""}},
	}
}

// ManagementPrefix stands before an ability in the permission that gives it
// to an API client.
const ManagementPrefix = "management."

// In returns the actor acting in that organisation, if it is the operator's.
// Another actor stays where it is: it acts in its own organisation only.
func (a Actor) In(organisation id.Organisation) Actor {
	if a.operator {
		a.organisation = organisation
	}
	return a
}

// Joining returns the actor, a person, without any right in the organisation
// that it is about to join.
func (a Actor) Joining(organisation id.Organisation) Actor {
	a.organisation, a.operator, a.grants = organisation, false, nil
	return a
}

// From returns the actor with the address and the id of its request, which
// the audit log keeps.
func (a Actor) From(address netip.Addr, requestID string) Actor {
	a.address, a.requestID = address, requestID
	return a
}

// May says whether the actor has an ability on an account of the organisation
// in which it acts; no account asks for the whole organisation, and at operator
// level (no organisation) for what belongs to the operator.
//
// A person without a second factor may do nothing in a production account, nor
// what reaches all accounts of an organisation that has one, nor the operator's
// work: see [Actor.NeedsSecondFactor].
func (a Actor) May(ability Ability, account id.Account) bool {
	return a.holds(ability, account, a.SecondFactor())
}

// MaySomewhere says whether the actor has an ability on the whole organisation
// or on any account of it.
func (a Actor) MaySomewhere(ability Ability) bool {
	accounts, whole := a.Where(ability)
	return whole || len(accounts) > 0
}

// Require returns fault.Forbidden unless the actor may, see [Actor.May], and
// [ErrSecondFactor] when that alone is missing.
func (a Actor) Require(ability Ability, account id.Account) error {
	switch {
	case a.May(ability, account):
		return nil
	case a.NeedsSecondFactor(ability, account):
		return ErrSecondFactor
	}
	return fault.Errorf(fault.Forbidden, "you need the ability %s here; ask an administrator of the organisation", ability)
}

// What a person can put right by themselves, of kind fault.Forbidden. They are
// told apart with errors.Is.
var (
	ErrSecondFactor = fault.Errorf(fault.Forbidden, "this needs your second factor: set one up, or sign in with it")
	ErrRecentSignIn = fault.Errorf(fault.Forbidden, "this needs a recent sign-in: give your password again")
	ErrUnverified   = fault.Errorf(fault.Forbidden, "this needs a verified e-mail address: open the link in the mail that was sent to you")
)

// NeedsSecondFactor says whether the actor would have the ability, if only its
// session had come with a second factor.
func (a Actor) NeedsSecondFactor(ability Ability, account id.Account) bool {
	return !a.May(ability, account) && a.holds(ability, account, true)
}

func (a Actor) holds(ability Ability, account id.Account, secondFactor bool) bool {
	if a.organisation == "" && !a.operator {
		return false
	}
	if ability.OperatorOnly() && !a.operator {
		return false
	}
	for _, g := range a.grants {
		here := g.everywhere || g.organisation != "" && g.organisation == a.organisation
		if here && g.abilities[ability] && (g.account == "" || g.account == account) && (secondFactor || a.harmless(g, ability, account)) {
			return true
		}
	}
	return false
}

// Where returns the accounts on which the actor has an ability where it acts,
// sorted; whole says instead that it has it on the whole organisation, or at
// operator level.
func (a Actor) Where(ability Ability) (accounts []id.Account, whole bool) {
	for _, g := range a.grants {
		switch {
		case !a.May(ability, g.account):
		case g.account == "":
			return nil, true
		case g.organisation == a.organisation && g.abilities[ability]:
			accounts = append(accounts, g.account)
		}
	}
	for _, sandbox := range a.proof.Sandboxes { // what a role on the whole is good for without a second factor
		if a.May(ability, sandbox) {
			accounts = append(accounts, sandbox)
		}
	}
	slices.Sort(accounts)
	return slices.Compact(accounts), false
}

// harmless is the one rule of what a password alone is good for: names of
// things; sandbox accounts; and, through a customer's role, an organisation
// that has no others.
func (a Actor) harmless(g grant, ability Ability, account id.Account) bool {
	switch {
	case ability == OrganisationRead, ability == AccountRead, ability == MemberRead, ability == ProductRead:
		return true
	case g.everywhere:
		return false
	case account == "":
		return a.proof.SandboxOnly
	}
	return account.Environment() == id.Sandbox
}

// SecondFactor says whether the actor is known by more than a password. API
// clients and jobs have none.
func (a Actor) SecondFactor() bool { return a.kind != Person || a.proof.SecondFactor }

// Recent says whether the actor has proved only minutes ago who it is. API
// clients and jobs do so each time.
func (a Actor) Recent() bool { return a.kind != Person || a.proof.Recent }

// Verified says whether the actor is known to own its e-mail address, as far as
// it has one.
func (a Actor) Verified() bool { return a.kind != Person || a.proof.Verified }

// Memberships returns the versions of the places from which a person's roles
// were read; see [Proof].
func (a Actor) Memberships() map[id.Organisation]int64 { return a.proof.Memberships }

// Person is the id of a person; empty for others.
func (a Actor) Person() id.Person {
	if a.kind != Person {
		return ""
	}
	return id.Person(a.name)
}

// Kind returns what the actor is; empty for the zero Actor.
func (a Actor) Kind() Kind { return a.kind }

// Operator says whether the actor belongs to the operator.
func (a Actor) Operator() bool { return a.operator }

// Organisation returns where the actor acts; empty means at operator level.
func (a Actor) Organisation() id.Organisation { return a.organisation }

// Credential names the session or client secret with which the actor acts.
func (a Actor) Credential() string { return a.credential }

// Address returns where the actor's request came from; the zero Addr if it
// has none.
func (a Actor) Address() netip.Addr { return a.address }

// RequestID returns the id of the actor's request, which may be empty.
func (a Actor) RequestID() string { return a.requestID }

// String returns "person:p-…", "client:…" or "system:job", as the audit log
// writes it.
func (a Actor) String() string {
	if a.kind == "" {
		return "nobody"
	}
	return string(a.kind) + ":" + a.name
}
