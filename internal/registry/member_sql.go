package registry

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// member loads one of the actor's organisation, for an edit.
func (c *change) member(ctx context.Context, key id.Person, base int64) (Member, error) {
	if c.by.Organisation() == "" && !c.by.Operator() {
		return Member{}, unknown("member")
	}
	m, err := loadMember(ctx, c.tx, c.by.Organisation(), key)
	if err != nil {
		return m, err
	}
	c.before = struct {
		Roles []actor.RoleGrant `json:"roles"`
	}{m.Roles}
	return m, stale(base, m.Version, "the member")
}

const memberColumns = `m.person_id, p.email, p.name, p.verified_at, m.version, m.created_at, p.seen_at, EXISTS (SELECT 1 FROM factor f WHERE f.person_id = p.id AND f.seed IS NOT NULL)`

func scanMember(row scanner) (m Member, err error) {
	var verified, joined, seen int64
	m.Access.Shown = true
	err = row.Scan(&m.Person, &m.Email, &m.Name, &verified, &m.Version, &joined, &seen, &m.Access.SecondFactor)
	m.Verified, m.JoinedAt, m.Access.SeenAt = verified > 0, fromMicros(joined), fromMicros(seen)
	return m, err
}

func loadMember(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation, key id.Person) (Member, error) {
	if _, ok := id.ParsePerson(string(key)); !ok {
		return Member{}, unknown("member")
	}
	m, err := scanMember(tx.QueryRow(ctx, `SELECT `+memberColumns+` FROM member m JOIN person p ON p.id = m.person_id WHERE m.organisation_id = $1 AND m.person_id = $2`, organisation, key))
	if err != nil {
		return m, notFound(err, "member", key)
	}
	m.Roles, err = memberRoles(ctx, tx, organisation, key)
	return m, err
}

func memberRoles(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation, key id.Person) (roles []actor.RoleGrant, err error) {
	rows, err := tx.Query(ctx, `SELECT role, account_id FROM member_role WHERE organisation_id = $1 AND person_id = $2 ORDER BY role, account_id`, organisation, key)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var role actor.RoleGrant
		if err := rows.Scan(&role.Role, &role.Account); err != nil {
			return nil, err
		}
		roles = append(roles, role)
	}
	return roles, rows.Err()
}

func listMembers(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation) (members []Member, err error) {
	rows, err := tx.Query(ctx, `SELECT `+memberColumns+` FROM member m JOIN person p ON p.id = m.person_id WHERE m.organisation_id = $1 ORDER BY m.person_id`, organisation)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		m, err := scanMember(rows)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return members, addRoles(ctx, tx, organisation, members)
}

// addRoles reads the roles of all members at once; both lists come in the
// order of people.
func addRoles(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation, members []Member) error {
	rows, err := tx.Query(ctx, `SELECT person_id, role, account_id FROM member_role WHERE organisation_id = $1 ORDER BY person_id, role, account_id`, organisation)
	if err != nil {
		return err
	}
	defer rows.Close()
	at := map[id.Person]int{}
	for i := range members {
		at[members[i].Person] = i
	}
	for rows.Next() {
		var person id.Person
		var role actor.RoleGrant
		if err := rows.Scan(&person, &role.Role, &role.Account); err != nil {
			return err
		}
		m := &members[at[person]]
		m.Roles = append(m.Roles, role)
	}
	return rows.Err()
}

func (c *change) insertRoles(ctx context.Context, person id.Person, roles []actor.RoleGrant) error {
	for _, role := range roles {
		err := c.exec(ctx, `INSERT INTO member_role (organisation_id, person_id, role, account_id) VALUES ($1, $2, $3, $4)`, c.by.Organisation(), person, string(role.Role), role.Account)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *change) deleteRoles(ctx context.Context, person id.Person) error {
	return c.exec(ctx, `DELETE FROM member_role WHERE organisation_id = $1 AND person_id = $2`, c.by.Organisation(), person)
}

// endSessions signs a person out everywhere.
func (c *change) endSessions(ctx context.Context, person id.Person) error {
	return c.exec(ctx, `DELETE FROM session WHERE person_id = $1`, person)
}

func memberships(ctx context.Context, tx *sqldb.Tx, person id.Person) (all []Membership, err error) {
	rows, err := tx.Query(ctx, `SELECT m.organisation_id, COALESCE(o.name, ''), NOT EXISTS (SELECT 1 FROM account a WHERE a.organisation_id = m.organisation_id AND a.environment = 'production'), m.version
		FROM member m LEFT JOIN organisation o ON o.id = m.organisation_id WHERE m.person_id = $1 ORDER BY m.organisation_id -- any organisation: all that the person belongs to`, person)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m Membership
		if err := rows.Scan(&m.Organisation, &m.Name, &m.SandboxOnly, &m.Version); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Roles, err = memberRoles(ctx, tx, all[i].Organisation, person); err != nil {
			return nil, err
		}
		if all[i].Sandboxes, err = rowsOf(ctx, tx, scanAccountID, `SELECT id FROM account WHERE organisation_id = $1 AND environment = 'sandbox' ORDER BY id`, all[i].Organisation); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// rolesAreOf refuses a person whose roles were changed since they were read: what
// waited for its turn behind that change would be made with the roles of before.
func rolesAreOf(ctx context.Context, tx *sqldb.Tx, by actor.Actor) error {
	for organisation, version := range by.Memberships() {
		same, err := exists(ctx, tx, `SELECT EXISTS (SELECT 1 FROM member WHERE organisation_id = $1 AND person_id = $2 AND version = $3)`, organisation, by.Person(), version)
		if err != nil {
			return err
		}
		if !same {
			return fault.Errorf(fault.Conflict, "your roles were changed meanwhile: look again what you may do")
		}
	}
	return nil
}

func scanAccountID(row scanner) (key id.Account, err error) {
	err = row.Scan(&key)
	return key, err
}
