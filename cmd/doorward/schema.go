package main

import (
	"encoding/json"
	"maps"
	"slices"
)

// publishedSchema is the JSON Schema of files of declarations, for editors.
func publishedSchema() []byte {
	s := declarationSchema().published()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Declaration of Doorward"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // never: it holds texts, lists and maps
	}
	return append(text, '\n')
}

// published is the JSON Schema of a value.
func (s *schema) published() map[string]any {
	p := map[string]any{"type": s.Type}
	for name, text := range map[string]string{"description": s.Description, "pattern": s.Pattern} {
		if text != "" {
			p[name] = text
		}
	}
	if s.Example != nil {
		p["examples"] = []any{s.Example}
	}
	if s.Enum != nil {
		p["enum"] = s.Enum
	}
	if s.Items != nil {
		p["items"] = s.Items.published()
	}
	if s.Properties != nil {
		members := map[string]any{}
		for name, member := range s.Properties {
			members[name] = member.published()
		}
		p["properties"], p["additionalProperties"] = members, false
	}
	if s.Required != nil {
		p["required"] = s.Required
	}
	return p
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
