package registry

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// AddPermissions gives permissions to a client. Those that it holds already
// are left as they are.
type AddPermissions struct {
	Client      id.Client `json:"client"`
	Permissions []string  `json:"permissions"`
	Base        int64     `json:"base,omitempty"`
}

func (e AddPermissions) apply(ctx context.Context, c *change) error {
	client, held, err := c.clientAndPermissions(ctx, e.Client, e.Base)
	if err != nil {
		return err
	}
	c.says("client.permissions.add", client.Organisation, string(client.ID))
	if err := c.mayClient(actor.PermissionWrite, client.Account); err != nil {
		return err
	}
	for _, permission := range e.Permissions {
		if slices.Contains(held, permission) {
			continue
		}
		if err := c.mayGrant(ctx, &client, permission); err != nil {
			return err
		}
		held = append(held, permission)
		err := c.exec(ctx, `INSERT INTO client_permission (client_id, organisation_id, permission) VALUES ($1, $2, $3)`, client.ID, client.Organisation, permission)
		if err != nil {
			return err
		}
	}
	if err := c.fitsToken(held); err != nil {
		return err
	}
	return c.updateClient(ctx, &client)
}

// fitsToken refuses what would make a token longer than the longest.
func (c *change) fitsToken(held []string) error {
	if len(held) > MaxPermissions {
		return fault.Errorf(fault.Invalid, "a client may hold %d permissions at most: share the work between two clients", MaxPermissions)
	}
	size := 0
	for _, permission := range held {
		size += len(permission) + len(`"",`)
	}
	if size > c.MaxPermissionBytes {
		return fault.Errorf(fault.Invalid, "these permissions together would make the access token too long: share the work between two clients")
	}
	return nil
}

// RemovePermissions takes permissions from a client; it stops the next call
// that needs one. Those that it does not hold are passed over.
type RemovePermissions struct {
	Client      id.Client `json:"client"`
	Permissions []string  `json:"permissions"`
	Base        int64     `json:"base,omitempty"`
}

func (e RemovePermissions) apply(ctx context.Context, c *change) error {
	client, held, err := c.clientAndPermissions(ctx, e.Client, e.Base)
	if err != nil {
		return err
	}
	c.says("client.permissions.remove", client.Organisation, string(client.ID))
	if err := c.mayClient(actor.PermissionWrite, client.Account); err != nil {
		return err
	}
	for _, permission := range e.Permissions {
		if !slices.Contains(held, permission) {
			continue
		}
		err := c.exec(ctx, `DELETE FROM client_permission WHERE client_id = $1 AND organisation_id = $2 AND permission = $3`, client.ID, client.Organisation, permission)
		if err != nil {
			return err
		}
	}
	return c.updateClient(ctx, &client)
}

// clientAndPermissions loads both for an edit; the permissions held so far
// are what the audit log shows as before.
func (c *change) clientAndPermissions(ctx context.Context, key id.Client, base int64) (Client, []string, error) {
	client, err := c.client(ctx, key, base)
	if err != nil {
		return client, nil, err
	}
	held, err := clientPermissions(ctx, c.tx, &client)
	c.before = struct {
		Permissions []string `json:"permissions"`
	}{append([]string{}, held...)}
	return client, slices.Clone(held), err
}

// mayGrant says whether the actor may give this permission to this client.
func (c *change) mayGrant(ctx context.Context, client *Client, key string) error {
	product, permission, err := c.livePermission(ctx, key)
	if err != nil {
		return err
	}
	switch {
	case permission.Retired:
		return fault.Errorf(fault.Conflict, "the permission %s is retired and cannot be added any more", key)
	case permission.Assignable == ByOperator && !c.by.May(actor.PermissionAssign, client.Account):
		return fault.Errorf(fault.Forbidden, "the permission %s is assigned by the operator only: ask them for it", key)
	}
	if err := c.mayGrantManagement(client, key); err != nil {
		return err
	}
	if err := c.mayHandOutManagement(key); err != nil {
		return err
	}
	available, err := c.productAvailable(ctx, product, client)
	if err == nil && !available {
		return fault.Errorf(fault.Forbidden, "the organisation does not have the product %s here: ask the operator for it before adding %s", product.Name, key)
	}
	return err
}

// livePermission finds a permission in the live version of its product.
func (c *change) livePermission(ctx context.Context, key string) (*Definition, Permission, error) {
	unknown := fault.Errorf(fault.Invalid, "there is no permission %q: look it up in the product's list", key)
	if validPermissionKey(key) != nil {
		return nil, Permission{}, unknown
	}
	product, err := c.definition(ctx, productOf(key))
	if fault.KindOf(err) == fault.NotFound {
		return nil, Permission{}, unknown
	}
	if err != nil {
		return nil, Permission{}, err
	}
	permission, ok := product.Permission(key)
	if !ok || product.Visibility == Draft && !c.by.Operator() {
		return nil, Permission{}, unknown
	}
	return product, permission, nil
}

// productAvailable says whether the client's organisation has the product in
// an environment that the client can act in. The operator has all.
func (c *change) productAvailable(ctx context.Context, product *Definition, client *Client) (bool, error) {
	environments := []id.Environment{id.Sandbox, id.Production}
	switch client.Owner {
	case OwnedByOperator:
		return true, nil
	case OwnedByAccount:
		environments = []id.Environment{client.Account.Environment()}
	}
	for _, environment := range environments {
		if !product.Reaches(environment) {
			continue
		}
		if product.AccessIn(environment) == Open {
			return true, nil
		}
		granted, err := isGranted(ctx, c.tx, client.Organisation, product.Key, environment)
		if granted || err != nil {
			return granted, err
		}
	}
	return false, nil
}

// Permissions returns what a client of the actor's organisation was granted,
// sorted.
func (r *Registry) Permissions(ctx context.Context, by actor.Actor, key id.Client) (permissions []string, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		client, err := loadClient(ctx, tx, by, key)
		if err != nil {
			return err
		}
		if err := by.Require(actor.ClientRead, client.Account); err != nil {
			return err
		}
		permissions, err = clientPermissions(ctx, tx, &client)
		return err
	})
	return permissions, err
}
