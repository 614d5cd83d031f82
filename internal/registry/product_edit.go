package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
)

// Source says where a product is maintained. Only the source that made it
// changes it.
type Source string

// Managed products are edited by the operator; those of the configuration
// file are applied at start and read-only elsewhere; built-in ones come with
// the binary.
const (
	Managed  Source = "managed"
	Declared Source = "config"
	Builtin  Source = "builtin"
)

// ManagementKey is the key of the management API, which is a product too.
const ManagementKey = "management"

// Product is an API product with its live version.
type Product struct {
	Definition Definition
	Source     Source
	Version    int64
}

// PutProduct creates a product, or makes the definition its next version and
// sets it live. A definition equal to the live one changes nothing.
type PutProduct struct {
	Definition Definition `json:"definition"`
	Source     Source     `json:"source"`
	Base       int64      `json:"base,omitempty"`
	New        bool       `json:"new,omitempty"` // fault.Conflict if the product is there
}

func (e PutProduct) apply(ctx context.Context, c *change) error {
	c.says("product.put", "", e.Definition.Key)
	if err := c.may(actor.ProductWrite, ""); err != nil {
		return err
	}
	next := e.Definition.normal()
	if err := next.validate(c.IssuerPath); err != nil {
		return err
	}
	if err := c.mayUseSource(e.Source, next.Key); err != nil {
		return err
	}
	live, err := loadProduct(ctx, c.tx, next.Key)
	if fault.KindOf(err) == fault.NotFound {
		live = Product{Source: e.Source}
	} else if err != nil {
		return err
	} else {
		c.before = live.Definition
	}
	if live.Source != e.Source {
		return fault.Errorf(fault.Conflict, "the product %s belongs to the source %s and can be changed there only", next.Key, live.Source)
	}
	if e.New && live.Version > 0 {
		return fault.Errorf(fault.Conflict, "there is a product with the key %s already: choose another", next.Key)
	}
	if err := stale(e.Base, live.Version, "the product"); err != nil {
		return err
	}
	if err := c.keepsHeldPermissions(ctx, &live.Definition, &next); err != nil {
		return err
	}
	if live.Version > 0 && sameDefinition(live.Definition, next) {
		return nil
	}
	return c.putVersion(ctx, &next, e.Source, live.Version+1)
}

// DeleteProduct deletes a product whose permissions no client holds, with its
// versions and grants. Products of the configuration file and the built-in one
// stay.
type DeleteProduct struct {
	Product string `json:"product"`
	Base    int64  `json:"base,omitempty"`
}

func (e DeleteProduct) apply(ctx context.Context, c *change) error {
	live, err := loadProduct(ctx, c.tx, e.Product)
	c.says("product.delete", "", live.Definition.Key)
	if err := c.may(actor.ProductWrite, ""); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	c.before = live.Definition
	if err := c.recently(); err != nil {
		return err
	}
	if live.Source != Managed {
		return fault.Errorf(fault.Conflict, "the product %s belongs to the source %s and can be changed there only", e.Product, live.Source)
	}
	if err := stale(e.Base, live.Version, "the product"); err != nil {
		return err
	}
	if held, err := c.heldPermission(ctx, &live.Definition, &Definition{}); err != nil || held != "" {
		if err == nil {
			err = fault.Errorf(fault.Conflict, "clients hold the permission %s: take it from them first, or make the product a draft, which nobody can call", held)
		}
		return err
	}
	granted, err := rowsOf(ctx, c.tx, scanText, `SELECT DISTINCT organisation_id FROM product_grant WHERE product = $1 -- any organisation: a product is the operator's`, e.Product)
	if err != nil {
		return err
	}
	for _, organisation := range granted {
		c.tx.Changed(journal.OrganisationChanged, organisation)
	}
	c.tx.Changed(journal.ProductsChanged, "")
	delete(c.live, e.Product)
	return errors.Join(
		c.exec(ctx, `DELETE FROM product_grant WHERE product = $1 -- any organisation: a product is the operator's`, e.Product),
		c.exec(ctx, `DELETE FROM product_version WHERE product = $1`, e.Product),
		c.exec(ctx, `DELETE FROM product WHERE key = $1`, e.Product))
}

// CheckProduct says what is wrong with a definition by itself, and changes
// nothing.
func (r *Registry) CheckProduct(d Definition) error {
	next := d.normal()
	return next.validate(r.IssuerPath)
}

// mayUseSource keeps people and clients from speaking for the configuration
// file and the binary.
func (c *change) mayUseSource(source Source, key string) error {
	switch {
	case source != Managed && source != Declared && source != Builtin:
		return fault.Errorf(fault.Invalid, "the source %q is not one of managed, config, builtin", source)
	case (key == ManagementKey) != (source == Builtin):
		return fault.Errorf(fault.Invalid, "the product key %s is reserved for the management API: choose another", ManagementKey)
	case source != Managed && c.by.Kind() != actor.System:
		return fault.Errorf(fault.Forbidden, "products of the source %s are changed by the system alone: use managed", source)
	}
	return nil
}

// keepsHeldPermissions refuses to drop a permission that clients hold.
func (c *change) keepsHeldPermissions(ctx context.Context, live, next *Definition) error {
	held, err := c.heldPermission(ctx, live, next)
	if held == "" || err != nil {
		return err
	}
	return fault.Errorf(fault.Conflict, "clients hold the permission %s: keep it in product %s with retired: true instead of removing it", held, next.Key)
}

// heldPermission is one that clients hold and the next definition has not; empty
// if there is none.
func (c *change) heldPermission(ctx context.Context, live, next *Definition) (string, error) {
	for _, p := range live.Permissions {
		if _, kept := next.Permission(p.Key); kept {
			continue
		}
		held, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM client_permission p JOIN client c ON c.id = p.client_id WHERE p.permission = $1 AND c.state <> 'deleted') -- any organisation: a product is the operator's`, p.Key)
		if held || err != nil {
			return p.Key, err
		}
	}
	return "", nil
}

func (c *change) putVersion(ctx context.Context, d *Definition, source Source, version int64) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode product %s: %w", d.Key, err)
	}
	taken, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM product WHERE prefix = $1 AND key <> $2)`, d.Prefix, d.Key)
	if err != nil {
		return err
	}
	if taken {
		return fault.Errorf(fault.Conflict, "another product has the prefix %s: choose another", d.Prefix)
	}
	err = c.exec(ctx, `INSERT INTO product (key, prefix, source, version) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE SET prefix = excluded.prefix, version = excluded.version`, d.Key, d.Prefix, string(source), version)
	if err != nil {
		return err
	}
	c.tx.Changed(journal.ProductsChanged, "")
	delete(c.live, d.Key)
	return c.exec(ctx, `INSERT INTO product_version (product, version, definition, created_at) VALUES ($1, $2, $3, $4)`,
		d.Key, version, string(text), c.Now().UnixMicro())
}

// GrantProduct gives a product to the organisation in which the actor acts,
// in one environment.
type GrantProduct struct {
	Product     string         `json:"product"`
	Environment id.Environment `json:"environment"`
}

func (e GrantProduct) apply(ctx context.Context, c *change) error {
	if err := c.grantable(ctx, "product.grant", e.Product, e.Environment); err != nil {
		return err
	}
	return c.exec(ctx, `INSERT INTO product_grant (organisation_id, product, environment, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (organisation_id, product, environment) DO NOTHING`,
		c.by.Organisation(), e.Product, e.Environment, c.Now().UnixMicro())
}

// WithdrawProduct takes a product from the actor's organisation in one
// environment; it stops the next call.
type WithdrawProduct struct {
	Product     string         `json:"product"`
	Environment id.Environment `json:"environment"`
}

func (e WithdrawProduct) apply(ctx context.Context, c *change) error {
	if err := c.grantable(ctx, "product.withdraw", e.Product, e.Environment); err != nil {
		return err
	}
	return c.exec(ctx, `DELETE FROM product_grant WHERE organisation_id = $1 AND product = $2 AND environment = $3`,
		c.by.Organisation(), e.Product, e.Environment)
}

func (c *change) grantable(ctx context.Context, action, product string, environment id.Environment) error {
	o, err := c.organisation(ctx, 0)
	if err != nil {
		return err
	}
	c.before = nil
	c.says(action, o.ID, product)
	if err := c.may(actor.GrantWrite, ""); err != nil {
		return err
	}
	if !environment.Valid() {
		return fault.Errorf(fault.Invalid, "the environment %q is not one of sandbox, production", environment)
	}
	c.tx.Changed(journal.OrganisationChanged, string(o.ID))
	_, err = loadProduct(ctx, c.tx, product)
	return err
}

func productOf(permission string) string {
	key, _, _ := strings.Cut(permission, ".")
	return key
}

func isGranted(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation, product string, environment id.Environment) (bool, error) {
	return exists(ctx, tx, `SELECT EXISTS (SELECT 1 FROM product_grant WHERE organisation_id = $1 AND product = $2 AND environment = $3)`, organisation, product, environment)
}

// definition is the live one of a product, read once for all edits of a
// transaction: it can be large.
func (c *change) definition(ctx context.Context, key string) (*Definition, error) {
	if d := c.live[key]; d != nil {
		return d, nil
	}
	p, err := loadProduct(ctx, c.tx, key)
	if err != nil {
		return nil, err
	}
	c.live[key] = &p.Definition
	return &p.Definition, nil
}

const liveProducts = `SELECT p.source, p.version, v.definition FROM product p JOIN product_version v ON v.product = p.key AND v.version = p.version`

func loadProduct(ctx context.Context, tx *sqldb.Tx, key string) (Product, error) {
	if !validKeyPart(key) {
		return Product{}, unknown("product")
	}
	p, err := scanProduct(tx.QueryRow(ctx, liveProducts+` WHERE p.key = $1`, key))
	return p, notFound(err, "product", key)
}

func scanProduct(row scanner) (p Product, err error) {
	var text []byte
	if err := row.Scan(&p.Source, &p.Version, &text); err != nil {
		return p, err
	}
	return p, json.Unmarshal(text, &p.Definition)
}

// LiveProducts returns the live version of every product, ordered by key. It
// is for the gateway and the catalogue, which show each caller its part.
func (r *Registry) LiveProducts(ctx context.Context) (products []Product, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		products, err = rowsOf(ctx, tx, scanProduct, liveProducts+` ORDER BY p.key`)
		return err
	})
	return products, err
}

// PutProducts makes the definitions the live ones of that source in one
// change, leaving those that are live already as they are. Products of the
// source that are not among them become drafts: they are not callable, and
// clients keep their permissions for the day when they come back.
func (r *Registry) PutProducts(ctx context.Context, by actor.Actor, source Source, definitions ...Definition) error {
	live, err := r.LiveProducts(ctx)
	if err != nil {
		return err
	}
	var edits []Edit
	for _, p := range live {
		declared := slices.ContainsFunc(definitions, func(d Definition) bool { return d.Key == p.Definition.Key })
		if p.Source == source && !declared && p.Definition.Visibility != Draft {
			p.Definition.Visibility = Draft
			edits = append(edits, PutProduct{Definition: p.Definition, Source: source})
		}
	}
	for _, d := range definitions {
		same := slices.ContainsFunc(live, func(p Product) bool { return p.Source == source && sameDefinition(p.Definition, d.normal()) })
		if !same {
			edits = append(edits, PutProduct{Definition: d, Source: source})
		}
	}
	if len(edits) == 0 {
		return nil
	}
	return r.Apply(ctx, by, edits...)
}

// sameDefinition compares what would be stored.
func sameDefinition(a, b Definition) bool {
	if !maps.Equal(a.Upstreams, b.Upstreams) {
		return false
	}
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && reflect.DeepEqual(left, right)
}
