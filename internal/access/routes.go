package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// Routes finds the route of a call: product by prefix, then path pattern, then
// method. It never changes, and is safe for concurrent use. The zero Routes
// knows no product.
type Routes struct {
	prefixes prefixNode
}

// Match is what a call was found to be. After fault.RouteUnknown and
// fault.MethodNotAllowed, Product and Prefix are set and Route is nil.
type Match struct {
	Product *registry.Definition
	Route   *registry.Route
	Prefix  int // segments of the product's prefix: what Target.Stripped takes

	target  *Target
	pattern []registry.Segment
}

// prefixNode is a node of the tree of product prefixes.
type prefixNode struct {
	children map[string]*prefixNode
	product  *registry.Definition
	paths    *pathNode
}

// pathNode is a node of the tree of a product's patterns.
type pathNode struct {
	literals  map[string]*pathNode
	parameter *pathNode
	end       *endpoint // the pattern that ends here
	rest      *endpoint // the pattern that goes on with {rest...}
}

// endpoint is a pattern with the routes that share it, one per method.
type endpoint struct {
	routes []boundRoute
	allow  []string // methods that it answers
	rest   bool
}

type boundRoute struct {
	route   *registry.Route
	pattern []registry.Segment // its own parameter names
}

// Compile builds the table from definitions that registry accepted, and which
// the caller does not change any more. Products may be nested: the longest
// prefix owns a path, alone. Two products of one prefix, and two routes of one
// method and shape, are errors; so is a route that would be open without saying
// so.
func Compile(products []registry.Definition) (*Routes, error) {
	products = slices.Clone(products)
	routes := &Routes{}
	for i := range products {
		if err := routes.add(&products[i]); err != nil {
			return nil, fmt.Errorf("compile product %s: %w", products[i].Key, err)
		}
	}
	return routes, nil
}

// Match finds the route that answers the method on the target's path. The
// longest prefix names the product, whose most specific pattern answers the
// path, whatever its methods: a wider pattern never steps in. GET answers HEAD
// too, unless HEAD is declared. A trailing slash changes nothing but that only
// {rest...} takes one; behind the bare prefix it means the prefix.
//
// Errors are fault.ProductUnknown, fault.RouteUnknown, fault.MethodNotAllowed
// with Allow, and fault.RequestMalformed when a segment holds an encoded slash
// that the route does not take.
func (r *Routes) Match(method string, t *Target) (Match, error) {
	m, err := r.match(method, t)
	if t.encoded && (err != nil || !m.takesEncodedSlash()) {
		return Match{}, malformedRequest("the path has an encoded slash, which no route takes there; send the value without it")
	}
	return m, err
}

// Param returns the decoded segment that {name} of the route's path matched.
func (m *Match) Param(name string) (string, bool) {
	for i, s := range m.pattern {
		if s.Kind == registry.ParameterSegment && s.Text == name {
			return m.target.segments[m.Prefix+i].text, true
		}
	}
	return "", false
}

func (r *Routes) match(method string, t *Target) (Match, error) {
	node, depth := r.product(t)
	if node == nil {
		return Match{}, productUnknown()
	}
	m := Match{Product: node.product, Prefix: depth, target: t}
	found := node.paths.find(t.segments[depth:])
	if found == nil || t.slash && !found.rest && depth < len(t.segments) {
		return m, fault.New(fault.RouteUnknown, "product %s has no such path; compare it with the documentation, case and trailing slash included", node.product.Key)
	}
	bound := found.route(method)
	if bound == nil {
		err := fault.New(fault.MethodNotAllowed, "this path answers %s only", strings.Join(found.allow, ", "))
		err.Allow = found.allow
		return m, err
	}
	m.Route, m.pattern = bound.route, bound.pattern
	return m, nil
}

// product finds the longest prefix of t that is a product's.
func (r *Routes) product(t *Target) (product *prefixNode, depth int) {
	node := &r.prefixes
	for i := range t.segments {
		if node = node.children[t.segments[i].text]; node == nil {
			break
		}
		if node.product != nil {
			product, depth = node, i+1
		}
	}
	return product, depth
}

// find returns the most specific pattern that matches. Each node of the tree is
// visited once at most.
func (n *pathNode) find(segments []targetSegment) *endpoint {
	if len(segments) == 0 {
		if n.end != nil {
			return n.end
		}
		return n.rest
	}
	if next := n.literals[segments[0].text]; next != nil {
		if found := next.find(segments[1:]); found != nil {
			return found
		}
	}
	if n.parameter != nil {
		if found := n.parameter.find(segments[1:]); found != nil {
			return found
		}
	}
	return n.rest
}

// route returns the route of the method: its own, for HEAD that of GET, else
// the one of every method.
func (e *endpoint) route(method string) *boundRoute {
	own, get, every := -1, -1, -1
	for i := range e.routes {
		switch e.routes[i].route.Method {
		case method:
			own = i
		case "GET":
			get = i
		case "*":
			every = i
		}
	}
	switch {
	case !knownMethod(method):
		return nil
	case own >= 0:
		return &e.routes[own]
	case get >= 0 && method == "HEAD":
		return &e.routes[get]
	case every >= 0:
		return &e.routes[every]
	}
	return nil
}

// takesEncodedSlash reports whether each encoded slash stands where the route
// takes one.
func (m *Match) takesEncodedSlash() bool {
	for i, s := range m.target.segments {
		if !s.encodedSlash {
			continue
		}
		at := i - m.Prefix
		if at >= len(m.pattern) || m.pattern[at].Kind != registry.ParameterSegment || m.pattern[at].Text != m.Route.EncodedSlash {
			return false
		}
	}
	return true
}

func (r *Routes) add(product *registry.Definition) error {
	prefix, err := registry.ParsePrefix(product.Prefix)
	if err != nil {
		return err
	}
	node := &r.prefixes
	for _, s := range prefix.Segments() {
		node = node.child(s.Text)
	}
	if node.product != nil {
		return fmt.Errorf("prefix %s is also that of product %s", product.Prefix, node.product.Key)
	}
	node.product, node.paths = product, &pathNode{}
	for i := range product.Routes {
		if err := node.paths.add(&product.Routes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *prefixNode) child(text string) *prefixNode {
	if n.children == nil {
		n.children = map[string]*prefixNode{}
	}
	if n.children[text] == nil {
		n.children[text] = &prefixNode{}
	}
	return n.children[text]
}

func (n *pathNode) add(route *registry.Route) error {
	pattern, err := registry.ParsePattern(route.Path)
	if err != nil {
		return err
	}
	switch {
	case route.Method != "*" && !knownMethod(route.Method):
		return fmt.Errorf("%s has the unknown method %q", route.Path, route.Method)
	case route.Public != (len(route.Permissions) == 0) || slices.ContainsFunc(route.Permissions, func(set []string) bool { return len(set) == 0 }):
		return fmt.Errorf("%s %s is neither public nor guarded by permissions", route.Method, route.Path)
	}
	e := n.endpoint(pattern.Segments())
	if slices.ContainsFunc(e.routes, func(b boundRoute) bool { return b.route.Method == route.Method }) {
		return fmt.Errorf("%s %s is declared twice", route.Method, route.Path)
	}
	e.routes = append(e.routes, boundRoute{route, pattern.Segments()})
	e.allow = e.methods()
	return nil
}

// endpoint returns the endpoint of a pattern, made when it is new.
func (n *pathNode) endpoint(pattern []registry.Segment) *endpoint {
	for _, s := range pattern {
		if s.Kind == registry.RestSegment {
			if n.rest == nil {
				n.rest = &endpoint{rest: true}
			}
			return n.rest
		}
		n = n.child(s)
	}
	if n.end == nil {
		n.end = &endpoint{}
	}
	return n.end
}

func (n *pathNode) child(s registry.Segment) *pathNode {
	if s.Kind == registry.ParameterSegment {
		if n.parameter == nil {
			n.parameter = &pathNode{}
		}
		return n.parameter
	}
	if n.literals == nil {
		n.literals = map[string]*pathNode{}
	}
	if n.literals[s.Text] == nil {
		n.literals[s.Text] = &pathNode{}
	}
	return n.literals[s.Text]
}

// methods lists what e answers, in the order of RFC 9110 §9.3.
func (e *endpoint) methods() []string {
	all := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	return slices.DeleteFunc(all, func(method string) bool { return e.route(method) == nil })
}

// knownMethod reports whether a route can be declared for the method. Methods
// are case-sensitive (RFC 9110 §9.1); TRACE and CONNECT never pass.
func knownMethod(method string) bool {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	return false
}
