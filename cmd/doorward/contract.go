package main

import (
	"fmt"
	"maps"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/management"
)

// operation is one of the management API, as commands are made from it.
type operation struct {
	ID          string             `yaml:"operationId"`
	Summary     string             `yaml:"summary"`
	Description string             `yaml:"description"`
	Permission  string             `yaml:"x-permission"`
	Parameters  []parameter        `yaml:"parameters"`
	RequestBody content            `yaml:"requestBody"`
	Responses   map[string]content `yaml:"responses"`

	method, path string
	body, answer *schema // nil: none
}

type content struct {
	Content map[string]struct {
		Schema *schema `yaml:"schema"`
	} `yaml:"content"`
}

type parameter struct {
	Ref         string  `yaml:"$ref"`
	Name        string  `yaml:"name"`
	In          string  `yaml:"in"`
	Description string  `yaml:"description"`
	Required    bool    `yaml:"required"`
	Schema      *schema `yaml:"schema"`
}

// schema is what the contract says of a value.
type schema struct {
	Ref         string             `yaml:"$ref"`
	Type        string             `yaml:"type"`
	Format      string             `yaml:"format"`
	Pattern     string             `yaml:"pattern"`
	Description string             `yaml:"description"`
	Example     any                `yaml:"example"`
	Enum        []string           `yaml:"enum"`
	Required    []string           `yaml:"required"`
	Properties  map[string]*schema `yaml:"properties"`
	Items       *schema            `yaml:"items"`
}

// document is the part of the contract that commands are made from.
type document struct {
	Paths      map[string]map[string]yaml.Node `yaml:"paths"`
	Components struct {
		Parameters map[string]parameter `yaml:"parameters"`
		Schemas    map[string]*schema   `yaml:"schemas"`
	} `yaml:"components"`
}

// operations are those of the contract by their id. The contract is part of the
// binary, so one that cannot be read is a mistake of ours.
var operations = sync.OnceValue(func() map[string]*operation {
	var d document
	all := map[string]*operation{}
	if err := yaml.Unmarshal([]byte(management.Contract), &d); err != nil {
		panic(err)
	}
	for path, item := range d.Paths {
		for method, node := range item {
			if method == "parameters" {
				continue
			}
			o, err := d.operation(path, method, &node)
			if err != nil {
				panic(fmt.Errorf("%s %s: %w", method, path, err))
			}
			all[o.ID] = o
		}
	}
	return all
})

func (d *document) operation(path, method string, node *yaml.Node) (*operation, error) {
	o := &operation{method: strings.ToUpper(method), path: path}
	if err := node.Decode(o); err != nil {
		return nil, err
	}
	var shared []parameter
	if node, ok := d.Paths[path]["parameters"]; ok {
		if err := node.Decode(&shared); err != nil {
			return nil, err
		}
	}
	o.Parameters = append(shared, o.Parameters...)
	for i, p := range o.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			o.Parameters[i] = d.Components.Parameters[name]
		}
		o.Parameters[i].Schema = d.resolve(o.Parameters[i].Schema)
	}
	o.body = d.resolve(o.RequestBody.Content["application/json"].Schema)
	for _, status := range []string{"200", "201"} {
		if a := o.Responses[status].Content["application/json"].Schema; a != nil {
			o.answer = d.resolve(a)
		}
	}
	return o, nil
}

// resolve follows references, down to the members of an object.
func (d *document) resolve(s *schema) *schema {
	if s == nil {
		return nil
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.resolve(d.Components.Schemas[name])
	}
	resolved := *s
	resolved.Items = d.resolve(s.Items)
	resolved.Properties = maps.Clone(s.Properties)
	for name, member := range resolved.Properties {
		resolved.Properties[name] = d.resolve(member)
	}
	return &resolved
}

// parameter returns the schema of a parameter, nil if the operation has none
// of that name.
func (o *operation) parameter(in, name string) *parameter {
	for i := range o.Parameters {
		if p := &o.Parameters[i]; p.In == in && p.Name == name {
			return p
		}
	}
	return nil
}

// lists says whether the answer is a list in pages.
func (o *operation) lists() bool { return o.parameter("query", "cursor") != nil }

// showsSecret says whether the answer is the only one with a secret.
func (o *operation) showsSecret() bool {
	return o.answer != nil && (o.answer.Properties["client_secret"] != nil || o.answer.Properties["signing_secret"] != nil)
}
