package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// body puts the flags over the file, or over what is there now.
func (t *task) body(cmd *cobra.Command) (body map[string]any, etag string, err error) {
	body = map[string]any{}
	if t.basis != "" {
		if body, etag, err = t.present(cmd); err != nil {
			return nil, "", err
		}
	}
	if t.file != "" {
		if body, err = readDefinition(cmd, t.file); err != nil {
			return nil, "", err
		}
		t.dropReadOnly(body) // the file may be an answer
	}
	combine := over
	if t.combine != nil {
		combine = t.combine
	}
	for name, value := range t.values("body") {
		body[name] = combine(body[name], value)
	}
	for _, name := range t.operation.body.Required {
		if body[name] == nil {
			f := &field{name: name, schema: t.operation.body.Properties[name]}
			if t.field(name) == nil {
				return nil, "", usageError{fmt.Errorf("%s is missing: write it in a file, %s -f FILE", name, cmd.CommandPath())}
			}
			return nil, "", usageError{fmt.Errorf("--%s is missing: %s --%s %s", f.flag(), cmd.CommandPath(), f.flag(), f.placeholder())}
		}
	}
	return body, etag, nil
}

// over puts the members of an object over those that are there; other values
// replace what is there.
func over(present, given any) any {
	members, ok := given.(map[string]any)
	if !ok {
		return given
	}
	merged := map[string]any{}
	if before, ok := present.(map[string]any); ok {
		maps.Copy(merged, before)
	}
	maps.Copy(merged, members)
	maps.DeleteFunc(merged, func(_ string, value any) bool { return value == "" })
	return merged
}

// withItems and withoutItems combine lists of objects.
func withItems(present, given any) any {
	before, _ := present.([]any)
	added, _ := given.([]any)
	return append(append([]any{}, before...), lacking(added, before)...)
}

func withoutItems(present, given any) any {
	before, _ := present.([]any)
	removed, _ := given.([]any)
	return append([]any{}, lacking(before, removed)...)
}

// present reads what the operation replaces as a whole, so that flags change
// the rest as little as nothing.
func (t *task) present(cmd *cobra.Command) (body map[string]any, etag string, err error) {
	basis := operations()[t.basis]
	query := url.Values{}
	if f := t.organisation(); f != nil && f.value != nil {
		query.Set(f.name, fmt.Sprint(f.value))
	}
	text, etag, err := t.manager.do(cmd.Context(), ask{method: basis.method, path: t.address(basis), query: query})
	switch refused, _ := errors.AsType[*problem](err); {
	case refused != nil && refused.Status == http.StatusNotFound && t.creates:
		return map[string]any{}, "", nil
	case err != nil:
		return nil, "", err
	case t.creates:
		update := strings.TrimSuffix(cmd.CommandPath(), cmd.Name()) + "update"
		return nil, "", &problem{Status: http.StatusConflict, Code: "conflict", Detail: "there is one already: change it with " + update}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		return nil, "", err
	}
	t.dropReadOnly(body)
	return body, etag, nil
}

// dropReadOnly removes what the answer has and the request has not.
func (t *task) dropReadOnly(body map[string]any) {
	maps.DeleteFunc(body, func(name string, _ any) bool {
		return t.operation.body.Properties[name] == nil && t.operation.answer.Properties[name] != nil
	})
}

// readDefinition reads an object from a file of YAML, which JSON is too.
func readDefinition(cmd *cobra.Command, path string) (object map[string]any, err error) {
	var text []byte
	if path == "-" {
		text, err = io.ReadAll(cmd.InOrStdin())
	} else {
		text, err = os.ReadFile(path) //nolint:gosec // the user names the file
	}
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	if object == nil {
		return nil, usageError{fmt.Errorf("%s is empty: write what -o yaml prints of such a thing", path)}
	}
	return object, nil
}
