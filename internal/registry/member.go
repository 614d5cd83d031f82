package registry

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// Member is a person's place in one organisation, or among the operator's people.
type Member struct {
	Person   id.Person
	Email    string
	Name     string            // may be empty
	Roles    []actor.RoleGrant // sorted by role, then account
	Verified bool
	Version  int64 // raised by each change of roles
	JoinedAt time.Time
	Access   MemberAccess
}

// MemberAccess is how a member comes in. They see it themselves, and so does who
// may change people on any account.
type MemberAccess struct {
	Shown        bool      // false: it is not the reader's to see, and all zero
	SeenAt       time.Time // at most a few minutes behind; zero: not since it is kept
	SecondFactor bool
}

// MaxRoles bounds the roles of one member.
const MaxRoles = 100

// AddMember makes a person a member of the organisation in which the actor
// acts, or without one of the operator's people. Only jobs of the system make
// it: others invite.
type AddMember struct {
	Person id.Person         `json:"person"`
	Roles  []actor.RoleGrant `json:"roles"`
}

func (e AddMember) apply(ctx context.Context, c *change) error {
	c.says("member.add", c.by.Organisation(), string(e.Person))
	if err := c.isSystem(); err != nil {
		return err
	}
	if _, err := loadPerson(ctx, c.tx, e.Person); err != nil {
		return err
	}
	return c.addMember(ctx, e.Person, e.Roles)
}

// AddFirstOperator makes a person the first operator admin. It is a conflict once
// there is one. Only a job of the system makes it, at operator level.
type AddFirstOperator struct {
	Person id.Person `json:"person"`
}

func (e AddFirstOperator) apply(ctx context.Context, c *change) error {
	c.says("member.add", "", string(e.Person))
	if err := c.isSystem(); err != nil {
		return err
	}
	if _, err := loadPerson(ctx, c.tx, e.Person); err != nil {
		return err
	}
	if there, err := hasOperator(ctx, c.tx); err != nil || there {
		if there {
			err = fault.Errorf(fault.Conflict, "there is an operator admin already: ask them for an invitation")
		}
		return err
	}
	c.by = c.by.In("")
	return c.addMember(ctx, e.Person, []actor.RoleGrant{{Role: actor.OperatorAdmin}})
}

func hasOperator(ctx context.Context, tx *sqldb.Tx) (bool, error) {
	return exists(ctx, tx, `SELECT EXISTS (SELECT 1 FROM member_role WHERE organisation_id = $1 AND role = $2)`, "", string(actor.OperatorAdmin))
}

// HasOperator says whether there is an operator admin.
func (r *Registry) HasOperator(ctx context.Context) (there bool, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		there, err = hasOperator(ctx, tx)
		return err
	})
	return there, err
}

// addMember makes a person a member with roles that were found right before.
func (c *change) addMember(ctx context.Context, person id.Person, roles []actor.RoleGrant) error {
	if c.by.Organisation() != "" {
		if _, err := loadOrganisation(ctx, c.tx, c.by.Organisation()); err != nil {
			return err
		}
	}
	if err := c.validRoles(ctx, roles); err != nil {
		return err
	}
	err := c.exec(ctx, `INSERT INTO member (organisation_id, person_id, version, created_at) VALUES ($1, $2, 1, $3)`, c.by.Organisation(), person, c.Now().UnixMicro())
	if sqldb.IsUnique(err) {
		return fault.Errorf(fault.Conflict, "the person is a member already: change their roles instead")
	}
	if err != nil {
		return err
	}
	return c.insertRoles(ctx, person, roles)
}

// ChangeRoles gives a member exactly these roles. The actor needs to hold, in
// the same place, whatever it gives or takes.
type ChangeRoles struct {
	Person id.Person         `json:"person"`
	Roles  []actor.RoleGrant `json:"roles"`
	Base   int64             `json:"base,omitempty"`
}

func (e ChangeRoles) apply(ctx context.Context, c *change) error {
	m, err := c.member(ctx, e.Person, e.Base)
	if err != nil {
		return err
	}
	c.says("member.roles", c.by.Organisation(), string(m.Person))
	if err := c.validRoles(ctx, e.Roles); err != nil {
		return err
	}
	different := append(without(e.Roles, m.Roles), without(m.Roles, e.Roles)...)
	if len(different) == 0 {
		if err := c.may(actor.MemberWrite, ""); err != nil {
			return err
		}
	}
	for _, role := range different {
		if err := MayHandOut(c.by, role); err != nil {
			return err
		}
	}
	if err := c.recently(); err != nil {
		return err
	}
	if err := c.deleteRoles(ctx, m.Person); err != nil {
		return err
	}
	if err := c.insertRoles(ctx, m.Person, e.Roles); err != nil {
		return err
	}
	err = c.exec(ctx, `UPDATE member SET version = version + 1 WHERE organisation_id = $1 AND person_id = $2`, c.by.Organisation(), m.Person)
	if err != nil {
		return err
	}
	return c.keepsAdmin(ctx, &m)
}

// RemoveMember ends a person's place in the actor's organisation, and with it
// their sessions. The actor needs to hold what the member held.
type RemoveMember struct {
	Person id.Person `json:"person"`
	Base   int64     `json:"base,omitempty"`
}

func (e RemoveMember) apply(ctx context.Context, c *change) error {
	m, err := c.member(ctx, e.Person, e.Base)
	if err != nil {
		return err
	}
	c.says("member.remove", c.by.Organisation(), string(m.Person))
	if err := c.recently(); err != nil {
		return err
	}
	if len(m.Roles) == 0 {
		if err := c.may(actor.MemberWrite, ""); err != nil {
			return err
		}
	}
	for _, role := range m.Roles {
		if err := MayHandOut(c.by, role); err != nil {
			return err
		}
	}
	if err := c.endSessions(ctx, m.Person); err != nil {
		return err
	}
	return c.removeMember(ctx, &m)
}

// LeaveOrganisation ends the actor's own place in the organisation.
type LeaveOrganisation struct{}

func (LeaveOrganisation) apply(ctx context.Context, c *change) error {
	if c.by.Kind() != actor.Person {
		return fault.Errorf(fault.Forbidden, "only a person can leave an organisation")
	}
	m, err := c.member(ctx, c.by.Person(), 0)
	if err != nil {
		return err
	}
	c.says("member.leave", c.by.Organisation(), string(m.Person))
	return c.removeMember(ctx, &m)
}

func (c *change) removeMember(ctx context.Context, m *Member) error {
	if err := c.deleteRoles(ctx, m.Person); err != nil {
		return err
	}
	if err := c.exec(ctx, `UPDATE client SET contact = '' WHERE organisation_id = $1 AND contact = $2`, c.by.Organisation(), m.Person); err != nil {
		return err
	}
	err := c.exec(ctx, `DELETE FROM member WHERE organisation_id = $1 AND person_id = $2`, c.by.Organisation(), m.Person)
	if err != nil {
		return err
	}
	return c.keepsAdmin(ctx, m)
}

// keepsAdmin refuses to take the last administrator: m is a member as they
// were before. Changes are serial, so two who demote each other cannot both pass.
func (c *change) keepsAdmin(ctx context.Context, m *Member) error {
	last := actor.RoleGrant{Role: actor.OrganisationAdmin}
	if c.by.Organisation() == "" {
		last.Role = actor.OperatorAdmin
	}
	if !slices.Contains(m.Roles, last) {
		return nil
	}
	left, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM member_role WHERE organisation_id = $1 AND role = $2 AND account_id = '')`, c.by.Organisation(), string(last.Role))
	if err == nil && !left {
		return fault.Errorf(fault.Conflict, "nobody else is %s: give that role to another person first%s", last.Role.Title(), map[bool]string{true: "", false: ", or delete the organisation"}[c.by.Organisation() == ""])
	}
	return err
}

// MayHandOut says whether an actor may give or take a role: they write members
// there, and hold each of its abilities themselves.
func MayHandOut(by actor.Actor, grant actor.RoleGrant) error {
	if err := by.Require(actor.MemberWrite, grant.Account); err != nil {
		return err
	}
	for ability := range grant.Role.Abilities() {
		if !by.May(ability, grant.Account) {
			return fault.Errorf(fault.Forbidden, "the role %s holds more than you do there: ask somebody who holds it", grant.Role.Title())
		}
	}
	return nil
}

// validRoles refuses roles that do not exist, or not at this place.
func (c *change) validRoles(ctx context.Context, roles []actor.RoleGrant) error {
	if len(roles) > MaxRoles {
		return fault.Errorf(fault.Invalid, "a member may have %d roles at most", MaxRoles)
	}
	for i, grant := range roles {
		switch {
		case !slices.Contains(actor.Roles(), grant.Role) || grant.Role.Operator() != (c.by.Organisation() == ""):
			return fault.Errorf(fault.Invalid, "there is no such role here: choose one from the list of roles")
		case slices.Contains(roles[:i], grant):
			return fault.Errorf(fault.Invalid, "the role %s is there twice", grant.Role.Title())
		case grant.Account == "":
			continue
		case grant.Role == actor.OrganisationAdmin || grant.Role.Operator():
			return fault.Errorf(fault.Invalid, "the role %s is not limited to an account: choose %s", grant.Role.Title(), actor.AccountAdmin.Title())
		}
		if _, err := loadAccount(ctx, c.tx, c.by.Organisation(), grant.Account); err != nil {
			return err
		}
	}
	return nil
}

func without(roles, others []actor.RoleGrant) []actor.RoleGrant {
	return slices.DeleteFunc(slices.Clone(roles), func(r actor.RoleGrant) bool { return slices.Contains(others, r) })
}

// Members returns the members of the actor's organisation that the actor may
// see, or the operator's people, ordered by person. Who has a role on single
// accounts sees those who have one there too, and those of the whole.
func (r *Registry) Members(ctx context.Context, by actor.Actor) (members []Member, err error) {
	if !by.MaySomewhere(actor.MemberRead) {
		return nil, by.Require(actor.MemberRead, "")
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		members, err = listMembers(ctx, tx, by.Organisation())
		return err
	})
	var seen []Member
	for _, m := range members {
		if seesMember(by, &m) {
			seen = append(seen, m)
		}
	}
	return seen, err
}

// MemberFilter limits a list of members. Empty fields do not.
type MemberFilter struct {
	Text string // in the name or e-mail address, whatever the case
}

// MemberList is a page of Members.
func (r *Registry) MemberList(ctx context.Context, by actor.Actor, filter MemberFilter, page Page) (list List[Member], err error) {
	l, err := r.list("members", by, filter, page, beforeFirst)
	if err == nil {
		err = validFilter(filter.Text)
	}
	if err != nil {
		return list, err
	}
	members, err := r.Members(ctx, by)
	members = slices.DeleteFunc(members, func(m Member) bool {
		return !strings.Contains(folded(m.Name+" "+m.Email), folded(filter.Text))
	})
	return partOf(l, members, func(m *Member) position { return position{key: string(m.Person)} }, func(p, after position) bool { return p.key > after.key }), err
}

// seesMember also takes from m what is not the actor's to see.
func seesMember(by actor.Actor, m *Member) bool {
	if by.Person() != m.Person && !by.MaySomewhere(actor.MemberWrite) {
		m.Access = MemberAccess{}
	}
	if by.May(actor.MemberRead, "") {
		return true
	}
	m.Roles = slices.DeleteFunc(m.Roles, func(r actor.RoleGrant) bool {
		return r.Account != "" && !by.May(actor.MemberRead, r.Account)
	})
	return len(m.Roles) > 0 || by.Person() == m.Person
}

// Member returns one member of the actor's organisation, as [Registry.Members]
// does.
func (r *Registry) Member(ctx context.Context, by actor.Actor, person id.Person) (m Member, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		m, err = loadMember(ctx, tx, by.Organisation(), person)
		return err
	})
	if err != nil {
		return m, err
	}
	if !by.MaySomewhere(actor.MemberRead) || !seesMember(by, &m) {
		return Member{}, by.Require(actor.MemberRead, "")
	}
	return m, nil
}

// Membership is one place that a person has. Organisation is empty for the
// operator's people.
type Membership struct {
	Organisation id.Organisation
	Name         string // of the organisation
	Roles        []actor.RoleGrant
	SandboxOnly  bool         // the organisation has no production account
	Sandboxes    []id.Account // its sandbox accounts
	Version      int64        // raised by each change of roles
}

// Memberships returns the places of a person, ordered by organisation, for
// making an Actor of them: roles are read anew for each request.
func (r *Registry) Memberships(ctx context.Context, person id.Person) (all []Membership, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		all, err = memberships(ctx, tx, person)
		return err
	})
	return all, err
}
