package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// OfferedProduct is an API product as an actor may see it: customers see no
// drafts and no upstreams.
type OfferedProduct struct {
	Product
	Offered   []id.Environment // where it exists, for those who may use it
	Available []id.Environment // where the actor's organisation may use it
}

// ProductFilter limits a list of API products. Empty fields do not.
type ProductFilter struct {
	Text       string // in the key, name or description, whatever the case
	Visibility Visibility
	Available  id.Environment // usable there by the actor's organisation
}

// Products lists the API products that the actor may see, by key.
func (r *Registry) Products(ctx context.Context, by actor.Actor, filter ProductFilter, page Page) (list List[OfferedProduct], err error) {
	if _, err := whereMay(by, actor.ProductRead); err != nil {
		return list, err
	}
	l, err := r.list("products", by, filter, page, beforeFirst)
	if err == nil {
		err = errors.Join(validFilter(filter.Text), validChoice("visibility", filter.Visibility, Draft, SandboxOnly, Published), validEnvironment(filter.Available))
	}
	if err != nil {
		return list, err
	}
	var found []OfferedProduct
	err = l.eachProduct(ctx, by, func(p *OfferedProduct) (more bool) {
		if p.Definition.Key > l.after.key && filter.match(p) {
			found = append(found, *p)
		}
		return len(found) < l.fetch()
	})
	return pageOf(l, found, func(p *OfferedProduct) position { return position{key: p.Definition.Key} }), err
}

func (f *ProductFilter) match(p *OfferedProduct) bool {
	text := folded(p.Definition.Key + " " + p.Definition.Name + " " + p.Definition.Description)
	return strings.Contains(text, folded(f.Text)) &&
		(f.Visibility == "" || f.Visibility == p.Definition.Visibility) &&
		(f.Available == "" || slices.Contains(p.Available, f.Available))
}

// Product returns an API product that the actor may see.
func (r *Registry) Product(ctx context.Context, by actor.Actor, key string) (p OfferedProduct, err error) {
	if _, err := whereMay(by, actor.ProductRead); err != nil {
		return p, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		live, err := loadProduct(ctx, tx, key)
		if err != nil {
			return err
		}
		grants, err := organisationGrants(ctx, tx, by.Organisation())
		if err != nil {
			return err
		}
		var visible bool
		if p, visible = offered(by, live, grants); !visible {
			return fault.Errorf(fault.NotFound, "there is no product %s", key)
		}
		return nil
	})
	return p, err
}

// eachProduct calls visit for the live products that the actor may see, by
// key, until it returns false. Definitions can be large: they are read in parts.
func (l *listing) eachProduct(ctx context.Context, by actor.Actor, visit func(*OfferedProduct) (more bool)) error {
	return l.DB.View(ctx, func(tx *sqldb.Tx) error {
		grants, err := organisationGrants(ctx, tx, by.Organisation())
		if err != nil {
			return err
		}
		for after := productOf(l.after.key); ; {
			products, err := rowsOf(ctx, tx, scanProduct, liveProducts+` WHERE p.key >= $1 ORDER BY p.key LIMIT $2`, after, productBatch)
			if err != nil {
				return err
			}
			for _, live := range products {
				if p, visible := offered(by, live, grants); visible && !visit(&p) {
					return nil
				}
				after = live.Definition.Key + "\x01"
			}
			if len(products) < productBatch {
				return nil
			}
		}
	})
}

const productBatch = 20

// offered is a product as the actor sees it, unless it is not theirs to see.
func offered(by actor.Actor, live Product, grants []Grant) (p OfferedProduct, visible bool) {
	p.Product = live
	for _, environment := range []id.Environment{id.Sandbox, id.Production} {
		if !live.Definition.Reaches(environment) {
			continue
		}
		p.Offered = append(p.Offered, environment)
		granted := slices.ContainsFunc(grants, func(g Grant) bool { return g.Product == live.Definition.Key && g.Environment == environment })
		if by.Organisation() != "" && (granted || live.Definition.AccessIn(environment) == Open) {
			p.Available = append(p.Available, environment)
		}
	}
	if !by.Operator() {
		p.Definition.Upstreams = nil
	}
	return p, by.Operator() || live.Definition.Visibility != Draft
}

// lacks refuses to ask for a product that the actor cannot see, that does not
// exist in that environment, or that its organisation may use there already.
func (c *change) lacks(ctx context.Context, e GrantProduct) error {
	live, err := loadProduct(ctx, c.tx, e.Product)
	if err != nil {
		return err
	}
	grants, err := organisationGrants(ctx, c.tx, c.by.Organisation())
	if err != nil {
		return err
	}
	p, visible := offered(c.by, live, grants)
	switch {
	case !visible:
		return notFound(sql.ErrNoRows, "product", e.Product)
	case !slices.Contains(p.Offered, e.Environment):
		return fault.Errorf(fault.Conflict, "the product %s is not offered in %s", e.Product, e.Environment)
	case slices.Contains(p.Available, e.Environment):
		return fault.Errorf(fault.Conflict, "the organisation may use the product %s in %s already", e.Product, e.Environment)
	}
	return nil
}

// DefinedPermission is a permission and the product that defines it.
type DefinedPermission struct {
	Permission
	Product string
}

// PermissionFilter limits a list of permissions. Empty fields do not.
type PermissionFilter struct {
	Text       string // in the key or description, whatever the case
	Product    string
	Assignable Assignable
	Available  id.Environment // its product is usable there by the actor's organisation
	Current    bool           // not retired
}

// DefinedPermissions lists the permissions of the products that the actor may
// see, by key: what can be given to clients.
func (r *Registry) DefinedPermissions(ctx context.Context, by actor.Actor, filter PermissionFilter, page Page) (list List[DefinedPermission], err error) {
	if _, err := whereMay(by, actor.ProductRead); err != nil {
		return list, err
	}
	l, err := r.list("permissions", by, filter, page, beforeFirst)
	if err == nil {
		err = errors.Join(validFilter(filter.Text, filter.Product), validChoice("assignable", filter.Assignable, ByCustomer, ByOperator), validEnvironment(filter.Available))
	}
	if err != nil {
		return list, err
	}
	var found []DefinedPermission
	err = l.eachProduct(ctx, by, func(p *OfferedProduct) (more bool) {
		found = append(found, filter.of(p, l.after.key)...)
		return len(found) < l.fetch()
	})
	return pageOf(l, found, func(p *DefinedPermission) position { return position{key: p.Key} }), err
}

// of returns the permissions of a product that match and come after a key.
func (f *PermissionFilter) of(p *OfferedProduct, after string) (found []DefinedPermission) {
	if f.Product != "" && f.Product != p.Definition.Key || f.Available != "" && !slices.Contains(p.Available, f.Available) {
		return nil
	}
	for _, permission := range p.Definition.Permissions {
		match := permission.Key > after && !(f.Current && permission.Retired) &&
			(f.Assignable == "" || f.Assignable == permission.Assignable) &&
			strings.Contains(folded(permission.Key+" "+permission.Description), folded(f.Text))
		if match {
			found = append(found, DefinedPermission{permission, p.Definition.Key})
		}
	}
	slices.SortFunc(found, func(a, b DefinedPermission) int { return strings.Compare(a.Key, b.Key) })
	return found
}

// Grant is a product that was given to an organisation in one environment.
type Grant struct {
	Organisation id.Organisation
	Name         string // of the organisation
	ProductGrant
	CreatedAt time.Time
}

// GrantFilter limits a list of product grants. Empty fields do not.
type GrantFilter struct {
	Product     string
	Environment id.Environment
}

const grantsFrom = `g.organisation_id, o.name, g.product, g.environment, g.created_at FROM product_grant g JOIN organisation o ON o.id = g.organisation_id`

func scanGrant(row scanner) (g Grant, err error) {
	var created int64
	err = row.Scan(&g.Organisation, &g.Name, &g.Product, &g.Environment, &created)
	g.CreatedAt = fromMicros(created)
	return g, err
}

func organisationGrants(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation) ([]Grant, error) {
	return rowsOf(ctx, tx, scanGrant, `SELECT `+grantsFrom+` WHERE g.organisation_id = $1 AND o.id = $1 ORDER BY g.product, g.environment`, organisation)
}

// Grants lists the products that the actor's organisation was given, by
// product and environment; at operator level those of all organisations.
func (r *Registry) Grants(ctx context.Context, by actor.Actor, filter GrantFilter, page Page) (list List[Grant], err error) {
	if _, err := whereMay(by, actor.ProductRead); err != nil {
		return list, err
	}
	l, err := r.list("grants", by, filter, page, beforeFirst)
	if err == nil {
		err = errors.Join(validFilter(filter.Product), validEnvironment(filter.Environment))
	}
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		found, err := filteredRows(ctx, tx, scanGrant, `SELECT `+grantsFrom+`
			WHERE $1 IN ('', g.organisation_id) AND g.product || ' ' || g.environment || ' ' || g.organisation_id > $2 AND $3 IN ('', g.product) AND $4 IN ('', g.environment)
			ORDER BY g.product || ' ' || g.environment || ' ' || g.organisation_id LIMIT $5 -- any organisation: for the operator at operator level alone`,
			string(by.Organisation()), l.after.key, filter.Product, string(filter.Environment), l.fetch())
		list = pageOf(l, found, func(g *Grant) position {
			return position{key: g.Product + " " + string(g.Environment) + " " + string(g.Organisation)}
		})
		return err
	})
	return list, err
}

// ProductVersion is what an API product said at a time.
type ProductVersion struct {
	Definition Definition
	Version    int64
	CreatedAt  time.Time
}

func scanProductVersion(row scanner) (v ProductVersion, err error) {
	var text []byte
	var created int64
	if err := row.Scan(&v.Version, &text, &created); err != nil {
		return v, err
	}
	v.CreatedAt = fromMicros(created)
	return v, json.Unmarshal(text, &v.Definition)
}

// ProductVersions lists the versions of an API product, newest first. It is
// for the operator, who may change products.
func (r *Registry) ProductVersions(ctx context.Context, by actor.Actor, key string, page Page) (list List[ProductVersion], err error) {
	if err := by.Require(actor.ProductWrite, ""); err != nil {
		return list, err
	}
	l, err := r.list("versions", by, key, page, beforeNewest)
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		if _, err := loadProduct(ctx, tx, key); err != nil {
			return err
		}
		found, err := rowsOf(ctx, tx, scanProductVersion, `SELECT version, definition, created_at FROM product_version WHERE product = $1 AND version < $2 ORDER BY version DESC LIMIT $3`,
			key, l.after.number, l.fetch())
		list = pageOf(l, found, func(v *ProductVersion) position { return position{number: v.Version} })
		return err
	})
	return list, err
}
