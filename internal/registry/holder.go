package registry

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/sqldb"
)

// Holders are the clients that hold a permission, or any of a product, the
// operator's among them.
type Holders struct {
	Clients       int
	Organisations int  // of these clients
	More          bool // there are at least so many: mostHoldings were looked at
}

// mostHoldings bounds what is counted, however many clients there are.
const mostHoldings = 1000

// ProductHolders counts the clients of all organisations that hold a permission
// of a product. It is for the operator, at operator level.
func (r *Registry) ProductHolders(ctx context.Context, by actor.Actor, product string) (Holders, error) {
	if !validKeyPart(product) {
		return Holders{}, countsHolders(by)
	}
	return r.holders(ctx, by, product+".", product+"/") // the character behind the dot
}

// PermissionHolders does the same for one permission.
func (r *Registry) PermissionHolders(ctx context.Context, by actor.Actor, permission string) (Holders, error) {
	return r.holders(ctx, by, permission, permission)
}

func (r *Registry) holders(ctx context.Context, by actor.Actor, first, last string) (h Holders, err error) {
	if err := countsHolders(by); err != nil {
		return h, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		var seen int
		err := tx.QueryRow(ctx, `SELECT count(*), count(DISTINCT h.client_id), count(DISTINCT NULLIF(h.organisation_id, '')) FROM (
			SELECT p.client_id, p.organisation_id FROM client_permission p JOIN client c ON c.id = p.client_id
			WHERE p.permission BETWEEN $1 AND $2 AND c.state <> 'deleted' LIMIT $3) h -- any organisation: for the operator at operator level alone`,
			first, last, mostHoldings).Scan(&seen, &h.Clients, &h.Organisations)
		h.More = seen == mostHoldings
		return err
	})
	return h, err
}

func countsHolders(by actor.Actor) error {
	if err := by.Require(actor.ClientRead, ""); err != nil {
		return err
	}
	if by.Organisation() != "" {
		return fault.Errorf(fault.Forbidden, "the use of a product by all organisations is the operator's to know")
	}
	return nil
}
