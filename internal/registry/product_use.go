package registry

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/sqldb"
)

// ProductUse is how many hold permissions of a product, the operator's clients
// among them.
type ProductUse struct {
	Clients, Organisations int
	Permissions            map[string]int // the clients that hold each; none: it is missing
}

// ProductUse says how much a product is used, by all organisations. It is for
// the operator, at operator level.
func (r *Registry) ProductUse(ctx context.Context, by actor.Actor, product string) (use ProductUse, err error) {
	if err := by.Require(actor.ClientRead, ""); err != nil {
		return use, err
	}
	if by.Organisation() != "" {
		return use, fault.Errorf(fault.Forbidden, "the use of a product by all organisations is the operator's to know")
	}
	use.Permissions = map[string]int{}
	if !validKeyPart(product) {
		return use, nil
	}
	const holders = ` FROM client_permission p JOIN client c ON c.id = p.client_id WHERE p.permission BETWEEN $1 AND $2 AND c.state <> 'deleted'`
	first, last := product+".", product+"/" // the character behind the dot
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		err := tx.QueryRow(ctx, `SELECT count(DISTINCT c.id), count(DISTINCT NULLIF(c.organisation_id, ''))`+holders+` -- any organisation: for the operator at operator level alone`, first, last).
			Scan(&use.Clients, &use.Organisations)
		if err != nil {
			return err
		}
		type held struct {
			key     string
			clients int
		}
		rows, err := rowsOf(ctx, tx, func(row scanner) (h held, err error) {
			err = row.Scan(&h.key, &h.clients)
			return h, err
		}, `SELECT p.permission, count(*)`+holders+` GROUP BY p.permission -- any organisation: for the operator at operator level alone`, first, last)
		for _, h := range rows {
			use.Permissions[h.key] = h.clients
		}
		return err
	})
	return use, err
}
