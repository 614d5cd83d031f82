package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/openapi"
)

// declarationSchema is what files of declarations hold: the contract's
// document, and in a product where its OpenAPI document is.
var declarationSchema = sync.OnceValue(func() *schema {
	s := operations()["applyDeclaration"].body
	s.Properties["products"].Items.Properties["openapi"] = &schema{
		Type: "string", Description: "File of an OpenAPI document, from which come the routes and permissions that the product does not say itself.",
	}
	return s
})

// readDeclarations reads the documents of all files and folders as one.
func readDeclarations(cmd *cobra.Command, paths []string) (all map[string]any, err error) {
	files, err := declarationFiles(paths)
	if err != nil {
		return nil, err
	}
	all = map[string]any{}
	for _, file := range files {
		var text []byte
		if file == "-" {
			text, err = io.ReadAll(cmd.InOrStdin())
		} else {
			text, err = os.ReadFile(file) //nolint:gosec // the user names the file
		}
		if err != nil {
			return nil, err
		}
		if err := addDocuments(all, file, text, slices.Contains(paths, file)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// declarationFiles are the files, and those of YAML and JSON in the folders.
func declarationFiles(paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case path == "-" || err == nil && !info.IsDir():
			files = append(files, path)
			continue
		case err != nil:
			return nil, err
		}
		before := len(files)
		err = filepath.WalkDir(path, func(file string, _ fs.DirEntry, err error) error {
			if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) {
				files = append(files, file)
			}
			return err
		})
		if err == nil && len(files) == before {
			err = usageError{fmt.Errorf("there is no .yaml, .yml or .json file in %s", path)}
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// addDocuments adds the documents of a file to those of others. OpenAPI
// documents may lie among them in a folder.
func addDocuments(all map[string]any, file string, text []byte, named bool) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return usageError{fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))}
		case len(node.Content) == 0 || node.Content[0].Tag == "!!null":
			continue // an empty document
		case !named && member(node.Content[0], "openapi") != nil:
			continue
		}
		if err := declarationSchema().checkNode(node.Content[0], ""); err != nil {
			return usageError{fmt.Errorf("%s:%w", file, err)}
		}
		var members map[string]any
		if err := node.Decode(&members); err != nil {
			return usageError{fmt.Errorf("%s: %w", file, err)}
		}
		for name, value := range members {
			list, _ := value.([]any)
			if name == "products" {
				if err := fillRoutes(file, list); err != nil {
					return err
				}
			}
			before, _ := all[name].([]any)
			all[name] = append(append([]any{}, before...), list...)
		}
	}
}

// fillRoutes adds to products what their OpenAPI documents say.
func fillRoutes(file string, products []any) error {
	for _, value := range products {
		product, _ := value.(map[string]any)
		path, ok := product["openapi"].(string)
		if !ok {
			continue
		}
		delete(product, "openapi")
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file), path)
		}
		text, err := os.ReadFile(path) //nolint:gosec // the user's file names it
		if err != nil {
			return fmt.Errorf("the OpenAPI document of product %v: %w", product["key"], err)
		}
		permissions, routes, err := openapi.Read(text, fmt.Sprint(product["key"]))
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", path, err)}
		}
		if err := addMissing(product, "permissions", permissions, "key"); err != nil {
			return err
		}
		if err := addMissing(product, "routes", routes, "method", "path"); err != nil {
			return err
		}
	}
	return nil
}

// addMissing adds items to a list that has none of the same names.
func addMissing(product map[string]any, name string, items any, keys ...string) error {
	text, err := json.Marshal(items)
	if err != nil {
		return err
	}
	var added []map[string]any
	if err := json.Unmarshal(text, &added); err != nil {
		return err
	}
	list, _ := product[name].([]any)
	said := map[string]bool{}
	named := func(item any) (text string) {
		members, _ := item.(map[string]any)
		for _, key := range keys {
			text += fmt.Sprint(members[key], "\n")
		}
		return text
	}
	for _, item := range list {
		said[named(item)] = true
	}
	for _, item := range added {
		if item["assignable"] == "" {
			delete(item, "assignable")
		}
		if !said[named(item)] {
			list = append(list, item)
		}
	}
	product[name] = list
	return nil
}

// checkNode holds YAML against the contract, so that mistakes have a line.
func (s *schema) checkNode(node *yaml.Node, name string) error {
	wrong := func(format string, args ...any) error {
		if name != "" {
			format = name + ": " + format
		}
		return fmt.Errorf("%d: "+format, append([]any{node.Line}, args...)...)
	}
	if node.Kind == yaml.AliasNode {
		return s.checkNode(node.Alias, name)
	}
	kind := map[yaml.Kind]string{yaml.MappingNode: "object", yaml.SequenceNode: "array", yaml.ScalarNode: strings.TrimPrefix(node.ShortTag(), "!!")}[node.Kind]
	kind = map[string]string{"str": "string", "int": "integer", "bool": "boolean"}[kind] + map[string]string{"object": "object", "array": "array"}[kind]
	if s.Type != kind {
		return wrong("it is to be %s", map[string]string{
			"string": "text: put it in quotes", "integer": "a whole number", "boolean": "true or false", "object": "a mapping of names to values", "array": "a list",
		}[s.Type])
	}
	switch s.Type {
	case "object":
		return s.checkMembers(node, wrong)
	case "array":
		for _, item := range node.Content {
			if err := s.Items.checkNode(item, name); err != nil {
				return err
			}
		}
	case "string":
		if _, err := s.check(node.Value); err != nil {
			return wrong("%s: %w", visible(node.Value), err)
		}
	}
	return nil
}

func (s *schema) checkMembers(node *yaml.Node, wrong func(string, ...any) error) error {
	present := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		member := s.Properties[name.Value]
		if member == nil {
			return fmt.Errorf("%d: there is no %s here; there are %s", name.Line, visible(name.Value), strings.Join(sortedNames(s.Properties), ", "))
		}
		present[name.Value] = true
		if err := member.checkNode(value, name.Value); err != nil {
			return err
		}
	}
	for _, name := range s.Required {
		if !present[name] {
			return wrong("%s is missing", name)
		}
	}
	return nil
}
