package dashboard

import (
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// people are the members of the place, to read and to find by their names.
type people []registry.Member

func (x *exchange) people() (people, error) { return x.d.Registry.Members(x.Context(), x.by) }

// nameOf is what people call an actor; "" for those who are no members.
func (p people) nameOf(who string) string {
	kind, key, _ := strings.Cut(who, ":")
	switch actor.Kind(kind) {
	case actor.System:
		return "Doorward, " + strings.ReplaceAll(key, "-", " ")
	case actor.Person:
		for _, m := range p {
			if string(m.Person) == key {
				return titleOf(m.Name, m.Email)
			}
		}
	}
	return ""
}

// of is what to call an actor, whoever it is: a person who has left is known by
// id alone.
func (p people) of(who string) string {
	kind, key, _ := strings.Cut(who, ":")
	if actor.Kind(kind) == actor.Person {
		key = "somebody who has left"
	}
	return titleOf(p.nameOf(who), key)
}

func (p people) addresses(most int) (list []string) {
	for _, m := range p {
		if len(list) < most {
			list = append(list, m.Email)
		}
	}
	return list
}

// find is the id of whoever has that address or name.
func (p people) find(text string) (id.Person, bool) {
	at := slices.IndexFunc(p, func(m registry.Member) bool { return strings.EqualFold(m.Email, text) })
	if at < 0 {
		at = slices.IndexFunc(p, func(m registry.Member) bool { return strings.EqualFold(m.Name, text) })
	}
	if at < 0 {
		return "", false
	}
	return p[at].Person, true
}

// actorOf is an actor as the audit log writes it, of what somebody typed.
func (p people) actorOf(text string) string {
	if person, ok := p.find(text); ok && text != "" {
		return string(actor.Person) + ":" + string(person)
	}
	if _, ok := id.ParsePerson(text); ok {
		return string(actor.Person) + ":" + text
	}
	if _, ok := id.ParseClient(text); ok {
		return string(actor.Client) + ":" + text
	}
	return text
}
