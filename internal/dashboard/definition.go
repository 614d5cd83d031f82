package dashboard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

var environments = []id.Environment{id.Sandbox, id.Production}

// linesOf says all that a definition says, one thing a line.
func linesOf(d *registry.Definition) (lines []view.Change) {
	add := func(key, format string, parts ...any) {
		lines = append(lines, view.Change{Words: fmt.Sprintf(format, parts...), Key: key})
	}
	add("", "Name: %s", d.Name)
	if d.Description != "" {
		add("", "Description: %s", d.Description)
	}
	add("", "Path prefix: %s", d.Prefix)
	add("", "Status: %s", strings.ToLower(view.VisibilityTitle(string(d.Visibility))))
	for _, environment := range environments {
		add("", "Access in %s: %s", environment, accessWords(d.AccessIn(environment)))
		if to := d.Upstreams[environment]; to != "" {
			add("", "Upstream in %s: %s", environment, to)
		}
	}
	for _, p := range d.Permissions {
		words := titleOf(p.Description, p.Key)
		if p.Assignable == registry.ByOperator {
			words += " (the operator gives it)"
		}
		if p.Retired {
			words += " (retired)"
		}
		add(p.Key, "Permission: %s", words)
	}
	for i := range d.Routes {
		add("", "%s: %s", routeWords(d, &d.Routes[i]), needsWords(&d.Routes[i]))
	}
	return lines
}

func accessWords(a registry.Access) string {
	if a == registry.Open {
		return "every organisation"
	}
	return "organisations that have it"
}

// needsWords says what a call of a route needs.
func needsWords(r *registry.Route) string {
	var sets []string
	for _, set := range r.Permissions {
		sets = append(sets, strings.Join(set, " and "))
	}
	words := strings.Join(sets, ", or ")
	if r.Public {
		words = "open to everybody"
	}
	if r.Account != "" {
		words += "; account " + r.Account
	}
	if r.EncodedSlash != "" {
		words += "; %2F in " + r.EncodedSlash
	}
	return words
}

// differenceOf is what comes and goes from one definition to another.
func differenceOf(from, to *registry.Definition) (changes []view.Change) {
	before, after := linesOf(from), linesOf(to)
	for _, c := range linesWithout(before, after) {
		changes = append(changes, view.Change{Kind: "removed", Words: c.Words, Key: c.Key})
	}
	for _, c := range linesWithout(after, before) {
		changes = append(changes, view.Change{Kind: "added", Words: c.Words, Key: c.Key})
	}
	return changes
}

// linesWithout are the lines of a that are not in b.
func linesWithout(a, b []view.Change) []view.Change {
	known := make(map[view.Change]bool, len(b))
	for _, line := range b {
		known[line] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(line view.Change) bool { return known[line] })
}

// stops says which calls that pass now a change stops or sends elsewhere; none
// if it does not.
func stops(live, next *registry.Definition) (effects []string) {
	if !live.Reaches(id.Sandbox) && !live.Reaches(id.Production) {
		return nil
	}
	if live.Prefix != next.Prefix {
		effects = append(effects, "Calls to "+live.Prefix+" find nothing any more: they have to go to "+next.Prefix+".")
	}
	for _, environment := range environments {
		switch {
		case !live.Reaches(environment):
		case !next.Reaches(environment):
			effects = append(effects, "All calls in "+string(environment)+" are refused.")
		case live.AccessIn(environment) == registry.Open && next.AccessIn(environment) != registry.Open:
			effects = append(effects, "In "+string(environment)+" the calls of organisations that were not given the product are refused.")
		case live.Upstreams[environment] != next.Upstreams[environment]:
			effects = append(effects, "Calls in "+string(environment)+" go to "+next.Upstreams[environment]+".")
		}
	}
	if n := routesChanged(live, next); n > 0 {
		effects = append(effects, view.Many(n, "route")+" that can be called now is gone, or needs something else: see below.")
	}
	return effects
}

// routesChanged counts the routes that are not there any more as they are.
func routesChanged(live, next *registry.Definition) (n int) {
	kept := map[string]bool{}
	for i := range next.Routes {
		kept[next.Routes[i].Method+" "+next.Routes[i].Path+" "+needsWords(&next.Routes[i])] = true
	}
	for i := range live.Routes {
		if !kept[live.Routes[i].Method+" "+live.Routes[i].Path+" "+needsWords(&live.Routes[i])] {
			n++
		}
	}
	return n
}

// routeAt is the place of a route in a definition; -1: it is not there.
func routeAt(d *registry.Definition, method, path string) int {
	return slices.IndexFunc(d.Routes, func(r registry.Route) bool { return r.Method == method && r.Path == path })
}

func permissionAt(d *registry.Definition, key string) int {
	return slices.IndexFunc(d.Permissions, func(p registry.Permission) bool { return p.Key == key })
}

// setsOf reads permission sets: one in each line, its permissions with spaces or
// commas between.
func setsOf(text string) (sets [][]string) {
	for line := range strings.Lines(text) {
		if set := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\r' || r == '\n' }); len(set) > 0 {
			sets = append(sets, set)
		}
	}
	return sets
}

// setsText writes them as setsOf reads them.
func setsText(sets [][]string) string {
	lines := make([]string, len(sets))
	for i, set := range sets {
		lines[i] = strings.Join(set, " ")
	}
	return strings.Join(lines, "\n")
}
