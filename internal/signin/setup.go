package signin

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// SetUpLink returns the token of a link that makes the first operator admin,
// while there is none. It is for the console of who starts the server.
func (p *People) SetUpLink(ctx context.Context) (token secret.Plaintext, needed bool, err error) {
	there, err := p.Registry.HasOperator(ctx)
	if err != nil || there {
		return token, false, err
	}
	err = p.DB.Write(ctx, func(tx *sqldb.Tx) error {
		token, _, err = p.newLink(ctx, tx, toSetUp, id.Person(""), SetUpTime)
		return err
	})
	return token, err == nil, err
}

// OpenSetUp says whether a link can still make the first operator admin.
func (p *People) OpenSetUp(ctx context.Context, token secret.Plaintext) error {
	_, err := p.lookAtLink(ctx, toSetUp, token)
	return err
}

// SetUp makes the first operator admin, by the link from the console. All such
// links end.
func (p *People) SetUp(ctx context.Context, from Origin, token secret.Plaintext, n Newcomer) (in SignedIn, err error) {
	if err := p.OpenSetUp(ctx, token); err != nil {
		return in, err
	}
	create, err := p.PreparePerson(ctx, n.Email, n.Name, n.Password)
	if err != nil {
		return in, err
	}
	by := actor.NewSystem("set-up").From(from.Address, from.RequestID)
	place := registry.Membership{Roles: []actor.RoleGrant{{Role: actor.OperatorAdmin}}, Version: 1}
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := p.takeLink(ctx, tx, toSetUp, token); err != nil {
			return err
		}
		if err := p.Registry.ApplyIn(ctx, tx, by, create, registry.AddFirstOperator{Person: create.ID}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM link WHERE purpose = $1`, string(toSetUp)); err != nil {
			return err
		}
		in, err = p.begin(ctx, tx, from, p.created(create), []registry.Membership{place})
		return err
	})
	return in, err
}
