package registry

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// CalledClient is an API client that was called lately.
type CalledClient struct {
	ID       id.Client
	Name     string
	Account  id.Account // empty: not an account's
	CalledAt time.Time  // up to 30 s behind
}

// CalledFilter says what is about to stop. Empty fields do not limit it.
type CalledFilter struct {
	Account     id.Account
	Environment id.Environment
	Product     string // they hold a permission of it
}

// CalledClients are the enabled clients of the actor's organisation that were
// called since, the latest first and so many at most.
func (r *Registry) CalledClients(ctx context.Context, by actor.Actor, filter CalledFilter, since time.Time, most int) (list []CalledClient, err error) {
	if by.Organisation() == "" {
		return nil, fault.Errorf(fault.NotFound, "choose an organisation first")
	}
	if err := by.Require(actor.ClientRead, filter.Account); err != nil {
		return nil, err
	}
	first, last := "", ""
	if filter.Product != "" {
		first, last = filter.Product+".", filter.Product+"/" // the byte after the dot
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		list, err = rowsOf(ctx, tx, scanCalled, `SELECT c.id, c.name, c.account_id, u.at FROM client c JOIN last_use u ON u.client_id = c.id AND u.kind = 'call' AND u.key = ''
			LEFT JOIN account a ON a.id = c.account_id
			WHERE c.organisation_id = $1 AND c.state = 'enabled' AND $2 IN ('', c.account_id) AND u.at > $3 AND $4 IN ('', COALESCE(a.environment, 'production'))
			AND CASE WHEN $5 = '' THEN TRUE ELSE c.id IN (SELECT p.client_id FROM client_permission p WHERE p.organisation_id = $1 AND p.permission BETWEEN $5 AND $6) END
			ORDER BY u.at DESC, c.id LIMIT $7`, by.Organisation(), filter.Account, since.UnixMicro(), filter.Environment, first, last, most)
		return err
	})
	return list, err
}

func scanCalled(row scanner) (c CalledClient, err error) {
	var at int64
	err = row.Scan(&c.ID, &c.Name, &c.Account, &at)
	c.CalledAt = fromMicros(at)
	return c, err
}
