package access

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// MaxAuthorization is the longest Authorization header, in bytes.
const MaxAuthorization = 8 << 10

// Request is a call as it arrived.
type Request struct {
	Method string
	Target string // of the request line, as sent
	Host   string
	Header http.Header
	Peer   netip.Addr // the caller's address
}

// Decision is a yes: what was matched, and who calls on which account. Its
// fields are shared and immutable.
type Decision struct {
	Match       Match
	Path        string         // what the upstream gets: the path behind the prefix, as sent
	RawQuery    string         // the query as sent, less a method override
	Environment id.Environment // of the upstream

	// A public route that was called without a token has no Holder and no Claims.
	Holder      Holder
	Claims      *jwt.Claims
	Account     id.Account // that the call acts on; empty when the route needs none
	AccountNow  *registry.AccountEntry
	Permissions []string // effective, of this product only
	Used        []string // the route's set of permissions that lets the call pass; nil on a public route
}

// Decide says whether a call may pass. The error is a *fault.Error with a code
// of the API domain; after it, the Decision still names the product and route,
// as far as they were found, and has the claims of a token that is ours and was
// refused, for logs and metrics. A warm decision does no I/O.
func (a *Access) Decide(ctx context.Context, r *Request) (d Decision, err error) {
	if err := a.route(ctx, r, &d); err != nil {
		return d, err
	}
	token, err := bearerToken(r.Header)
	if err != nil {
		return d, err
	}
	if token == "" && d.Match.Route.Public {
		return d, a.anonymous(&d)
	}
	named, err := a.accountNamed(r, &d)
	if err != nil {
		return d, err
	}
	if token == "" {
		return d, fault.New(fault.TokenMissing, "")
	}
	if d.Claims, d.Holder, err = a.Inspect(ctx, token); err != nil {
		return d, err
	}
	err = a.authorize(ctx, r, &d, named)
	d.RawQuery = withoutMethodOverride(d.RawQuery)
	return d, err
}

// Explain says what Decide would say of the call if it came with a token of the
// client, as that is known now. A request without an address is not held
// against the client's networks.
func (a *Access) Explain(ctx context.Context, r *Request, client id.Client) (d Decision, err error) {
	if err := a.route(ctx, r, &d); err != nil {
		return d, err
	}
	named, err := a.accountNamed(r, &d)
	if err != nil {
		return d, err
	}
	if d.Holder, err = a.Holder(ctx, client); err != nil {
		return d, err
	}
	if code := d.Holder.Standing(); code != "" {
		return d, fault.New(code, "")
	}
	if r.Peer.IsValid() {
		if err := a.fromNetwork(d.Holder.Client, r.Peer); err != nil {
			return d, err
		}
	}
	d.Claims = &jwt.Claims{Scope: a.Scope, OrganisationID: string(d.Holder.Client.Organisation)}
	d.Permissions = ofProduct(d.Holder.Client.Permissions, d.Match.Product.Key) // also when another thing is in the way
	return d, a.allowed(ctx, r, &d, named)
}

// route finds the route of a call.
func (a *Access) route(ctx context.Context, r *Request, d *Decision) error {
	if err := a.fresh(); err != nil {
		return err
	}
	target, err := ParseTarget(r.Target, r.Host)
	if err != nil {
		return err
	}
	routes, err := a.routes.get(ctx, struct{}{})
	if err != nil {
		return unavailable(err)
	}
	d.Match, err = routes.Match(r.Method, &target)
	if product := d.Match.Product; product != nil && !product.Reaches(id.Sandbox) && !product.Reaches(id.Production) {
		return productUnknown() // also on a path or method that a draft does not have: the answer must not show it
	}
	if err != nil {
		return err
	}
	d.Path, d.RawQuery = target.Stripped(d.Match.Prefix), target.RawQuery()
	return nil
}

// productUnknown answers alike where there is no product and where there is
// one that the caller must not see.
func productUnknown() error {
	return fault.New(fault.ProductUnknown, "no API product answers under this path; compare its beginning with the product's documentation, case included")
}

// anonymous completes the decision about a public route without a token.
func (a *Access) anonymous(d *Decision) error {
	d.Environment = id.Sandbox
	if d.Match.Product.Reaches(id.Production) {
		d.Environment = id.Production
	}
	_, _, err := ParseQuery(d.RawQuery, "")
	d.RawQuery = withoutMethodOverride(d.RawQuery)
	return err
}

// authorize holds a call with a good token against what its client may do.
func (a *Access) authorize(ctx context.Context, r *Request, d *Decision, named namedAccount) error {
	if err := a.fromNetwork(d.Holder.Client, r.Peer); err != nil {
		return err
	}
	return a.allowed(ctx, r, d, named)
}

// allowed does so wherever the call comes from.
func (a *Access) allowed(ctx context.Context, r *Request, d *Decision, named namedAccount) error {
	if err := a.organisationNamed(r, d); err != nil {
		return err
	}
	if err := a.onAccount(ctx, d, named); err != nil {
		return err
	}
	product := d.Match.Product
	if !product.Reaches(d.Environment) {
		return productUnknown()
	}
	if !granted(d, product) {
		return fault.New(fault.ProductNotGranted, "the organisation does not have the product %s in %s", product.Name, d.Environment)
	}
	d.Permissions = a.effective(d)
	return permitted(d)
}

// fromNetwork holds the caller's address against the client's list.
func (a *Access) fromNetwork(client *registry.ClientEntry, peer netip.Addr) error {
	if len(client.Networks) == 0 {
		return nil
	}
	peer = peer.Unmap()
	if slices.ContainsFunc(client.Networks, func(n netip.Prefix) bool { return n.Contains(peer) }) {
		return nil
	}
	return fault.New(fault.AddressRefused, "the client %s may not call from %s", client.ID, peer)
}

// MayCallFrom says whether a client's list lets an address in; the token
// endpoint asks the same question as a call.
func (a *Access) MayCallFrom(h Holder, peer netip.Addr) bool {
	return a.fromNetwork(h.Client, peer) == nil
}

// granted says whether the caller's organisation has the product.
func granted(d *Decision, product *registry.Definition) bool {
	if product.AccessIn(d.Environment) == registry.Open || d.Holder.Client.Owner == registry.OwnedByOperator {
		return true
	}
	return d.Holder.Organisation.Grants[registry.ProductGrant{Product: product.Key, Environment: d.Environment}]
}

// effective returns what the client may do with this product now: its grant,
// narrowed by the scope that the token was issued for.
func (a *Access) effective(d *Decision) []string {
	held := ofProduct(d.Holder.Client.Permissions, d.Match.Product.Key)
	if d.Claims.Scope == a.Scope {
		return held
	}
	var narrowed []string
	for scope := range strings.SplitSeq(d.Claims.Scope, " ") {
		if _, ok := slices.BinarySearch(held, scope); ok {
			narrowed = append(narrowed, scope)
		}
	}
	slices.Sort(narrowed)
	return narrowed
}

// ofProduct returns the part of a sorted list that belongs to a product.
func ofProduct(permissions []string, product string) []string {
	first, _ := slices.BinarySearch(permissions, product+".")
	last, _ := slices.BinarySearch(permissions, product+"/") // the byte after "."
	return permissions[first:last]
}

// permitted says whether one of the route's sets is held as a whole.
func permitted(d *Decision) error {
	if d.Match.Route.Public {
		return nil
	}
	for _, set := range d.Match.Route.Permissions {
		if missing(set, d.Permissions) == "" {
			d.Used = set
			return nil
		}
	}
	lacking := missing(d.Match.Route.Permissions[0], d.Permissions)
	err := fault.New(fault.PermissionMissing, "this call needs %s; the client %s does not have it", lacking, d.Holder.Client.ID)
	err.Scope = lacking
	return err
}

// missing returns the first permission of a set that is not held, or "".
func missing(set, held []string) string {
	for _, permission := range set {
		if _, ok := slices.BinarySearch(held, permission); !ok {
			return permission
		}
	}
	return ""
}

// bearerToken returns the token of the one Authorization header, "" if there
// is none (RFC 6750 §2.1).
func bearerToken(header http.Header) (string, error) {
	values := header["Authorization"]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", malformedRequest("the request has more than one Authorization header; send one")
	case len(values[0]) > MaxAuthorization:
		return "", fault.New(fault.TokenMalformed, "the Authorization header is longer than %d bytes", MaxAuthorization)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", fault.New(fault.TokenMissing, "")
	}
	token = strings.Trim(token, " ")
	switch {
	case strings.IndexByte(token, ' ') >= 0, strings.IndexByte(token, ',') >= 0, strings.IndexByte(token, '\t') >= 0: // many times faster than ContainsAny
		return "", malformedRequest("the Authorization header holds more than one token; send one")
	case token == "":
		return "", fault.New(fault.TokenMalformed, "")
	}
	return token, nil
}
