package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// clientWithPermissions is a client as a declaration sees it.
type clientWithPermissions struct {
	Client
	permissions []string // sorted
}

// declarableOrganisations are all at operator level, else the actor's own;
// oldest first, as all that is declared.
func declarableOrganisations(ctx context.Context, tx *sqldb.Tx, by actor.Actor) ([]Organisation, error) {
	return rowsOf(ctx, tx, scanOrganisation, `SELECT `+organisationColumns+` FROM organisation WHERE $1 IN ('', id) ORDER BY created_at, id -- any organisation: for the operator at operator level alone`,
		string(by.Organisation()))
}

func accountsOf(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation) ([]Account, error) {
	return rowsOf(ctx, tx, scanAccount, `SELECT `+accountColumns+` FROM account WHERE organisation_id = $1 ORDER BY created_at, id`, organisation)
}

// declarableClients are those of an organisation and its accounts, or of the
// operator.
func declarableClients(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation) ([]clientWithPermissions, error) {
	scan := func(row scanner) (c clientWithPermissions, err error) {
		var permissions string
		c.Client, err = scanClient(row, &permissions)
		c.permissions = strings.Fields(permissions)
		slices.Sort(c.permissions)
		return c, err
	}
	return rowsOf(ctx, tx, scan, `SELECT `+clientColumns+`, COALESCE((SELECT string_agg(p.permission, ' ') FROM client_permission p WHERE p.client_id = c.id), '')
		FROM client c WHERE organisation_id = $1 AND state <> 'deleted' ORDER BY created_at, id`, organisation)
}

func grantsOf(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation) ([]ProductGrant, error) {
	scan := func(row scanner) (g ProductGrant, err error) { return g, row.Scan(&g.Product, &g.Environment) }
	grants, err := rowsOf(ctx, tx, scan, `SELECT product, environment FROM product_grant WHERE organisation_id = $1 ORDER BY product, environment`, organisation)
	return append([]ProductGrant{}, grants...), err
}

// freshClient draws the id of a client that no other has or had.
func (p *planner) freshClient(ctx context.Context, prefix string) (id.Client, error) {
	for collisions := 0; ; collisions++ {
		key := id.NewClient(p.Rand, prefix, id.MinClientDigits+collisions/3)
		used, err := exists(ctx, p.tx, `SELECT EXISTS (SELECT 1 FROM client WHERE id = $1) -- any organisation: an id is used once in all of them`, key)
		if err != nil || !used && !p.taken[key] {
			p.taken[key] = true
			return key, err
		}
	}
}
