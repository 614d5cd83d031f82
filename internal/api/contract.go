package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

// contract is what the server goes by in the OpenAPI document.
type contract struct {
	text       []byte                // as JSON
	operations map[string]*operation // by method and path
}

// operation is one of the contract.
type operation struct {
	ID         string      `json:"operationId"`
	Summary    string      `json:"summary"`
	Permission string      `json:"x-permission"`
	Public     bool        `json:"x-public"`
	Parameters []parameter `json:"parameters"`
	Body       *struct {
		Required bool `json:"required"`
	} `json:"requestBody"`

	method, path string
}

type parameter struct {
	Ref  string `json:"$ref"`
	Name string `json:"name"`
	In   string `json:"in"`
}

// readContract reads it once for all servers of a process: it is not changed.
var readContract = sync.OnceValues(func() (*contract, error) {
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(management.Contract), &tree); err != nil {
		return nil, err
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	var document struct {
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Parameters map[string]parameter `json:"parameters"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	c := &contract{text: text, operations: map[string]*operation{}}
	for path, item := range document.Paths {
		var shared []parameter
		if raw, ok := item["parameters"]; ok {
			if err := json.Unmarshal(raw, &shared); err != nil {
				return nil, err
			}
			delete(item, "parameters")
		}
		for method, raw := range item {
			o := &operation{method: strings.ToUpper(method), path: path}
			if err := json.Unmarshal(raw, o); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			if o.Public == (o.Permission != "") {
				return nil, fmt.Errorf("%s %s: give either x-permission or x-public", method, path)
			}
			o.Parameters = append(o.Parameters, shared...)
			for i, p := range o.Parameters {
				if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
					o.Parameters[i] = document.Components.Parameters[name]
				}
			}
			c.operations[o.method+" "+path] = o
		}
	}
	return c, nil
})

func (o *operation) pathParameters() []string  { return o.parametersIn("path") }
func (o *operation) queryParameters() []string { return o.parametersIn("query") }

func (o *operation) parametersIn(place string) (names []string) {
	for _, p := range o.Parameters {
		if p.In == place {
			names = append(names, p.Name)
		}
	}
	return names
}

// Product is the management API as an API product: its routes are the
// operations of the contract, its permissions what they need.
func (a *API) Product() registry.Definition {
	d := registry.Definition{
		Key: registry.ManagementKey, Name: "Management", Prefix: "/management/v1", Visibility: registry.Published,
		Description:   "Organisations, accounts, API clients and the rest, for machines.",
		SandboxAccess: registry.Open, ProductionAccess: registry.Open,
	}
	uses := map[string][]string{
		actor.ManagementPrefix + string(actor.TokenRead):        {"Introspect the access tokens of any client"},
		actor.ManagementPrefix + string(actor.PermissionAssign): {"Give permissions that the operator alone assigns"},
	}
	for _, name := range slices.Sorted(maps.Keys(a.contract.operations)) {
		o := a.contract.operations[name]
		route := registry.Route{Method: o.method, Path: o.path, Account: "none", Public: o.Public}
		if !o.Public {
			route.Permissions = [][]string{{o.Permission}}
			uses[o.Permission] = append(uses[o.Permission], o.Summary)
		}
		d.Routes = append(d.Routes, route)
	}
	for _, ability := range actor.EveryAbility() {
		if key := actor.ManagementPrefix + string(ability); uses[key] == nil { // who gives a role holds all of it
			uses[key] = []string{"Give roles that hold it"}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(uses)) {
		permission := registry.Permission{Key: key, Description: strings.Join(uses[key], "; ") + "."}
		if actor.Ability(strings.TrimPrefix(key, actor.ManagementPrefix)).OperatorOnly() {
			permission.Assignable = registry.ByOperator
		}
		d.Permissions = append(d.Permissions, permission)
	}
	return d
}
