// Package openapi reads routes and permissions of an API product from its
// OpenAPI document, 3.0 or 3.1, YAML or JSON.
//
// Scopes of one security requirement are needed together, requirements beside
// each other are alternatives, an operation's own take the place of the
// document's, and `security: []` makes a route public. What must stay true: a
// route becomes public by that alone. An operation that says nothing about
// security, or lets callers in without a scope, is an error that says so.
package openapi

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

type document struct {
	OpenAPI    string        `yaml:"openapi"`
	Security   []requirement `yaml:"security"`
	Paths      yaml.Node     `yaml:"paths"`
	Components struct {
		SecuritySchemes map[string]struct {
			Flows map[string]struct {
				Scopes map[string]string `yaml:"scopes"`
			} `yaml:"flows"`
		} `yaml:"securitySchemes"`
	} `yaml:"components"`
}

// requirement is the scopes that each of several schemes wants.
type requirement map[string][]string

type operation struct {
	Security *[]requirement `yaml:"security"`
	Account  string         `yaml:"x-doorward-account"` // as a route has it
}

var methods = []string{"get", "head", "post", "put", "patch", "delete", "options"}

// besides is what may stand beside operations in an item of paths.
var besides = []string{"summary", "description", "servers", "parameters"}

// Read returns the routes of the document and the permissions that its scopes
// stand for. A scope is the permission of that name of the product: orders:read
// and read are both orders.read.
func Read(text []byte, product string) (permissions []registry.Permission, routes []registry.Route, err error) {
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		return nil, nil, fault.Errorf(fault.Invalid, "it cannot be read as YAML or JSON: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if !strings.HasPrefix(d.OpenAPI, "3.") {
		return nil, nil, fault.Errorf(fault.Invalid, "it is no OpenAPI document of version 3: it says openapi: %.20q", d.OpenAPI)
	}
	if d.Paths.Kind != yaml.MappingNode {
		return nil, nil, fault.Errorf(fault.Invalid, "it has no paths")
	}
	described := d.scopes(product)
	for i := 0; i+1 < len(d.Paths.Content); i += 2 {
		path, item := d.Paths.Content[i].Value, d.Paths.Content[i+1]
		found, err := d.routesOf(path, item, product)
		if err != nil {
			return nil, nil, err
		}
		routes = append(routes, found...)
	}
	for _, route := range routes {
		for _, set := range route.Permissions {
			for _, key := range set {
				if _, known := described[key]; !known {
					described[key] = ""
				}
			}
		}
	}
	for key, description := range described {
		permissions = append(permissions, registry.Permission{Key: key, Description: description})
	}
	slices.SortFunc(permissions, func(a, b registry.Permission) int { return strings.Compare(a.Key, b.Key) })
	return permissions, routes, nil
}

// scopes are those that the document describes, as permissions.
func (d *document) scopes(product string) map[string]string {
	found := map[string]string{}
	for _, scheme := range d.Components.SecuritySchemes {
		for _, flow := range scheme.Flows {
			for scope, description := range flow.Scopes {
				if key := permission(product, scope); found[key] == "" || description < found[key] { // the same whatever the order
					found[key] = description
				}
			}
		}
	}
	return found
}

func (d *document) routesOf(path string, item *yaml.Node, product string) (routes []registry.Route, err error) {
	var members map[string]yaml.Node
	if err := item.Decode(&members); err != nil {
		return nil, fault.Errorf(fault.Invalid, "%s cannot be read: its operations stand beneath it", path)
	}
	for name := range members {
		if !slices.Contains(methods, name) && !slices.Contains(besides, name) && !strings.HasPrefix(name, "x-") {
			return nil, fault.Errorf(fault.Invalid, "%s: %s is not read: write operations of %s", path, name, strings.Join(methods, ", "))
		}
	}
	for _, method := range methods {
		node, ok := members[method]
		if !ok {
			continue
		}
		name := strings.ToUpper(method) + " " + path
		var o operation
		if err := node.Decode(&o); err != nil {
			return nil, fault.Errorf(fault.Invalid, "%s cannot be read: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		route := registry.Route{Method: strings.ToUpper(method), Path: path, Account: o.Account}
		if route.Public, route.Permissions, err = d.needs(&o, product); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		routes = append(routes, route)
	}
	return routes, nil
}

// needs are the permission sets of an operation, one of which lets a call pass.
func (d *document) needs(o *operation, product string) (public bool, sets [][]string, err error) {
	requirements := d.Security
	if o.Security != nil {
		requirements = *o.Security
	} else if d.Security == nil {
		return false, nil, fault.Errorf(fault.Invalid, "it says nothing about security: name scopes, or write security: [] to let everybody in")
	}
	for _, r := range requirements {
		var set []string
		for _, scopes := range r {
			for _, scope := range scopes {
				set = append(set, permission(product, scope))
			}
		}
		if len(set) == 0 {
			return false, nil, fault.Errorf(fault.Invalid, "it lets callers in without a scope: name one in each requirement, or write security: [] to let everybody in")
		}
		slices.Sort(set)
		sets = append(sets, slices.Compact(set))
	}
	return len(sets) == 0, sets, nil
}

var separators = strings.NewReplacer(":", ".", "/", ".", "-", "_")

// permission is the key that a scope stands for.
func permission(product, scope string) string {
	key := separators.Replace(strings.ToLower(scope))
	if !strings.HasPrefix(key, product+".") {
		key = product + "." + key
	}
	return key
}
