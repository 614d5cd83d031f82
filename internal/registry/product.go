package registry

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// Visibility says who sees an API product.
type Visibility string

// A draft is known to the operator only: its calls are unknown routes.
const (
	Draft       Visibility = "draft"
	SandboxOnly Visibility = "sandbox"
	Published   Visibility = "published"
)

// Access says which organisations may use an API product in one environment.
type Access string

// Granted limits a product to organisations that the operator gave it to;
// Open lets every organisation use it.
const (
	Granted Access = "granted"
	Open    Access = "open"
)

// Assignable says who may add a permission to an API client.
type Assignable string

// ByCustomer permissions are given by the organisation's own people,
// ByOperator permissions by the operator alone.
const (
	ByCustomer Assignable = "customer"
	ByOperator Assignable = "operator"
)

// Limits of a definition. A token that carries MaxPermissions of
// MaxPermissionLength bytes stays below the longest token.
const (
	MaxPermissions      = 100
	MaxPermissionLength = 48
	maxRoutes           = 5000
	maxNameLength       = 200
	maxTextLength       = 4000
)

// Definition is what one version of an API product says. Definitions are
// values: an edit stores a new version and makes it the live one.
type Definition struct {
	Key              string                    `json:"key"` // first part of its permissions
	Name             string                    `json:"name"`
	Description      string                    `json:"description,omitempty"`
	Prefix           string                    `json:"prefix"` // path on the API domain, e.g. /auth/rest
	Visibility       Visibility                `json:"visibility"`
	SandboxAccess    Access                    `json:"sandbox_access"`
	ProductionAccess Access                    `json:"production_access"`
	Upstreams        map[id.Environment]string `json:"upstreams,omitempty"` // none: unknown there
	Permissions      []Permission              `json:"permissions,omitempty"`
	Routes           []Route                   `json:"routes,omitempty"`
}

// Permission is a right that a product defines. A retired one cannot be
// added to a client any more; clients that hold it keep it.
type Permission struct {
	Key         string     `json:"key"`
	Description string     `json:"description,omitempty"`
	Assignable  Assignable `json:"assignable"`
	Retired     bool       `json:"retired,omitempty"`
}

// Route is a method and path pattern of a product, and what a call of it needs.
type Route struct {
	Method       string     `json:"method"`                  // "GET", or "*" for every method
	Path         string     `json:"path"`                    // pattern beneath the prefix
	Permissions  [][]string `json:"permissions,omitempty"`   // one of these sets, each all-of
	Public       bool       `json:"public,omitempty"`        // callable without a token
	Account      string     `json:"account,omitempty"`       // "", "none", "path:NAME" or "header:NAME"
	EncodedSlash string     `json:"encoded_slash,omitempty"` // the segment that may hold %2F
}

// Permission returns the permission with that key, or false.
func (d *Definition) Permission(key string) (Permission, bool) {
	for _, p := range d.Permissions {
		if p.Key == key {
			return p, true
		}
	}
	return Permission{}, false
}

// Reaches says whether the product exists in an environment at all: visible
// there and with an upstream, which the management API does not need.
func (d *Definition) Reaches(env id.Environment) bool {
	if d.Visibility == Draft || d.Upstreams[env] == "" && d.Key != ManagementKey {
		return false
	}
	return env == id.Sandbox || d.Visibility == Published
}

// AccessIn returns who may use the product in an environment.
func (d *Definition) AccessIn(env id.Environment) Access {
	if env == id.Sandbox {
		return d.SandboxAccess
	}
	return d.ProductionAccess
}

// normal fills what a definition may leave out.
func (d Definition) normal() Definition {
	if d.Visibility == "" {
		d.Visibility = Published
	}
	if d.SandboxAccess == "" {
		d.SandboxAccess = Open
	}
	if d.ProductionAccess == "" {
		d.ProductionAccess = Granted
	}
	permissions := make([]Permission, len(d.Permissions))
	for i, p := range d.Permissions {
		if p.Assignable == "" {
			p.Assignable = ByCustomer
		}
		permissions[i] = p
	}
	d.Permissions = permissions
	return d
}

// validate refuses what could not be served, or could be read in two ways.
func (d *Definition) validate(issuerPath string) error {
	if !validKeyPart(d.Key) {
		return fault.Errorf(fault.Invalid, "the product key %q needs 1 to 24 of a-z, 0-9 and _, beginning with a letter", d.Key)
	}
	if err := validName("product name", d.Name); err != nil {
		return err
	}
	if err := validText("description of product "+d.Key, d.Description); err != nil {
		return err
	}
	if _, err := ParsePrefix(d.Prefix); err != nil {
		return err
	}
	if ReservedPrefix(d.Prefix, issuerPath) && d.Key != ManagementKey {
		return fault.Errorf(fault.Invalid, "the prefix %s of product %s is reserved: choose another", d.Prefix, d.Key)
	}
	switch d.Visibility {
	case Draft, SandboxOnly, Published:
	default:
		return fault.Errorf(fault.Invalid, "the visibility %q of product %s is not one of draft, sandbox, published", d.Visibility, d.Key)
	}
	for _, access := range []Access{d.SandboxAccess, d.ProductionAccess} {
		if access != Open && access != Granted {
			return fault.Errorf(fault.Invalid, "the access %q of product %s is not one of open, granted", access, d.Key)
		}
	}
	if err := d.validateUpstreams(); err != nil {
		return err
	}
	if err := d.validatePermissions(); err != nil {
		return err
	}
	return d.validateRoutes()
}

func (d *Definition) validateUpstreams() error {
	for env, text := range d.Upstreams {
		if !env.Valid() {
			return fault.Errorf(fault.Invalid, "product %s names an upstream for %q: use sandbox or production", d.Key, env)
		}
		u, err := url.Parse(text)
		if err != nil || !utf8.ValidString(text) || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fault.Errorf(fault.Invalid, "the %s upstream of product %s must be an http or https URL without user, query and fragment", env, d.Key)
		}
	}
	return nil
}

func (d *Definition) validatePermissions() error {
	seen := map[string]bool{}
	for _, p := range d.Permissions {
		if err := validPermissionKey(p.Key); err != nil {
			return err
		}
		if !strings.HasPrefix(p.Key, d.Key+".") {
			return fault.Errorf(fault.Invalid, "the permission %s must begin with the product's key: %s.…", p.Key, d.Key)
		}
		if seen[p.Key] {
			return fault.Errorf(fault.Invalid, "the permission %s is declared twice: remove one", p.Key)
		}
		if p.Assignable != ByCustomer && p.Assignable != ByOperator {
			return fault.Errorf(fault.Invalid, "permission %s: assignable %q is not one of customer, operator", p.Key, p.Assignable)
		}
		if err := validText("description of permission "+p.Key, p.Description); err != nil {
			return err
		}
		seen[p.Key] = true
	}
	return nil
}

func (d *Definition) validateRoutes() error {
	if len(d.Routes) > maxRoutes {
		return fault.Errorf(fault.Invalid, "product %s has %d routes; the most is %d", d.Key, len(d.Routes), maxRoutes)
	}
	declared := make(map[string]bool, len(d.Permissions))
	for _, p := range d.Permissions {
		declared[p.Key] = true
	}
	patterns := make([]Pattern, len(d.Routes))
	for i := range d.Routes {
		pattern, err := d.validateRoute(&d.Routes[i], declared)
		if err != nil {
			return err
		}
		patterns[i] = pattern
	}
	return d.refuseOverlaps(patterns)
}

func (d *Definition) validateRoute(r *Route, declared map[string]bool) (Pattern, error) {
	name := d.Key + ": " + r.Method + " " + r.Path
	switch r.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*":
	default:
		return Pattern{}, fault.Errorf(fault.Invalid, "%s: the method is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or *", name)
	}
	pattern, err := ParsePattern(r.Path)
	if err != nil {
		return Pattern{}, fault.Errorf(fault.Invalid, "%s: %w", name, err)
	}
	if r.Public == (len(r.Permissions) > 0) {
		return Pattern{}, fault.Errorf(fault.Invalid, "%s: give either permissions or public: true", name)
	}
	for _, set := range r.Permissions {
		if len(set) == 0 {
			return Pattern{}, fault.Errorf(fault.Invalid, "%s: an empty permission set would let every client in: name a permission", name)
		}
		for _, key := range set {
			if !declared[key] {
				return Pattern{}, fault.Errorf(fault.Invalid, "%s: needs the permission %q, which the product does not declare", name, key)
			}
		}
	}
	if err := validAccountPlace(r.Account, pattern); err != nil {
		return Pattern{}, fault.Errorf(fault.Invalid, "%s: %w", name, err)
	}
	if r.EncodedSlash != "" && !pattern.hasParameter(r.EncodedSlash) {
		return Pattern{}, fault.Errorf(fault.Invalid, "%s: encoded_slash names %q, which is no segment of the path", name, r.EncodedSlash)
	}
	return pattern, nil
}

func validAccountPlace(place string, pattern Pattern) error {
	kind, name, _ := strings.Cut(place, ":")
	switch {
	case place == "" || place == "none":
		return nil
	case kind == "path" && pattern.hasParameter(name):
		return nil
	case kind == "header" && validHeaderName(name):
		return nil
	}
	return fault.Errorf(fault.Invalid, "account %q is not one of none, path:NAME (a segment of the path), header:NAME", place)
}

func validHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// validPermissionKey accepts two to four dot-separated parts.
func validPermissionKey(key string) error {
	parts := strings.Split(key, ".")
	ok := len(key) <= MaxPermissionLength && len(parts) >= 2 && len(parts) <= 4
	for _, part := range parts {
		ok = ok && validKeyPart(part)
	}
	if !ok {
		return fault.Errorf(fault.Invalid, "the permission %q needs two to four parts of a-z, 0-9 and _, joined by dots, %d characters at most", key, MaxPermissionLength)
	}
	return nil
}

// validKeyPart accepts what may stand between the dots of a permission.
func validKeyPart(part string) bool {
	for i, c := range []byte(part) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return part != "" && len(part) <= 24
}
