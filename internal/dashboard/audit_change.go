package dashboard

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
)

// changesOf tells from an audit record's content what was before and what came,
// and why it was refused.
func (w wording) changesOf(action, subject string, content json.RawMessage) (changes []view.Change, reason string) {
	var record struct {
		Edit   map[string]any
		Before any
		Reason string
	}
	if json.Unmarshal(content, &record) != nil {
		return nil, ""
	}
	was, _ := record.Before.(map[string]any)
	before := foldedNames(was)
	for _, name := range slices.Sorted(maps.Keys(record.Edit)) {
		if name == "base" || words(record.Edit[name]) == subject { // a version, or what is said above
			continue
		}
		old, had := before[folded(name)]
		changes = append(changes, changed(name, old, had, after(action, old, record.Edit[name]), w.of(name))...)
	}
	if len(changes) == 0 || ends(action) {
		for _, name := range slices.Sorted(maps.Keys(was)) {
			if _, said := record.Edit[name]; !said && ends(action) {
				changes = append(changes, view.Change{Kind: "removed", Words: w.of(name)(was[name]), Key: name})
			}
		}
	}
	return changes, record.Reason
}

// after is a field as an edit left it. Those of permissions name what they add or
// remove, not what is held then.
func after(action string, old, value any) any {
	held, _ := old.([]any)
	given, _ := value.([]any)
	switch action {
	case "client.permissions.add":
		return append(slices.Clone(held), given...)
	case "client.permissions.remove":
		return slices.DeleteFunc(slices.Clone(held), func(item any) bool { return contains(given, item, words) })
	}
	return value
}

// ends says whether an action leaves nothing of its object.
func ends(action string) bool {
	_, verb, _ := strings.Cut(action, ".")
	return slices.Contains([]string{"delete", "remove", "leave", "erase", "expire"}, verb)
}

// changed are the lines of one field. Of lists, those items that came or went.
func changed(name string, old any, had bool, value any, words func(any) string) (lines []view.Change) {
	line := func(kind string, value any) {
		lines = append(lines, view.Change{Kind: kind, Words: words(value), Key: name})
	}
	oldList, wasList := old.([]any)
	list, isList := value.([]any)
	switch {
	case isList && (wasList || !had):
		for _, item := range oldList {
			if !contains(list, item, words) {
				line("removed", item)
			}
		}
		for _, item := range list {
			if !contains(oldList, item, words) {
				line("added", item)
			}
		}
	case had && words(old) == words(value):
		return nil
	default:
		if had && words(old) != "" {
			line("removed", old)
		}
		line("added", value)
	}
	return lines
}

func contains(list []any, item any, words func(any) string) bool {
	return slices.ContainsFunc(list, func(other any) bool { return words(other) == words(item) })
}

// wording knows what people call things.
type wording struct {
	people   people
	accounts map[id.Account]string
}

// accountsHere are the names of those accounts that the person can go to.
func (x *exchange) accountsHere() map[id.Account]string {
	names := map[id.Account]string{}
	for _, place := range x.places {
		if key, ok := strings.CutPrefix(place.Path, "/a/"); ok {
			names[id.Account(key)] = place.Name
		}
	}
	return names
}

// of returns how values of a field are put into words.
func (w wording) of(field string) func(any) string {
	return func(value any) string {
		switch v := value.(type) {
		case float64:
			if folded(field) == "tokenlifetime" {
				return view.Duration(time.Duration(v))
			}
		case string:
			if folded(field) == "contact" && v != "" {
				return w.people.of(string(actor.Person) + ":" + v)
			}
		case map[string]any:
			if folded(field) == "roles" {
				return rolesHeld([]actor.RoleGrant{roleGrant(v)}, w.accounts)[0].Text()
			}
		}
		return words(value)
	}
}

// roleGrant is a role as edits hold it.
func roleGrant(value map[string]any) actor.RoleGrant {
	of := foldedNames(value)
	return actor.RoleGrant{Role: actor.Role(words(of["role"])), Account: id.Account(words(of["account"]))}
}

// foldedNames are fields by names that are alike in an edit and in what was
// before it.
func foldedNames(fields map[string]any) map[string]any {
	alike := map[string]any{}
	for name, value := range fields {
		alike[folded(name)] = value
	}
	return alike
}

// words are a value as people read it.
func words(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if text := words(v[name]); text != "" {
				parts = append(parts, name+" "+text)
			}
		}
		return strings.Join(parts, ", ")
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// folded makes the names of an edit and of what was before it alike, also in
// records from before both were written the same way.
func folded(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
