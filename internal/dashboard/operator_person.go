package dashboard

import (
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// dropPath is where the second factor of somebody is taken away who lost it; ""
// for those who may not, and for oneself.
func (x *exchange) dropPath(person id.Person) string {
	if !x.by.Operator() || !x.by.In("").May(actor.MemberWrite, "") || person == x.session.Person.ID {
		return ""
	}
	return operatorPath + "/people/" + string(person) + "/factor"
}

// personNamed is whom the address names: anybody but oneself.
func (x *exchange) personNamed() (p registry.Person, err error) {
	key, ok := id.ParsePerson(x.PathValue("person"))
	if !ok || key == x.session.Person.ID {
		return p, errNoPage
	}
	return x.d.Registry.Person(x.Context(), key)
}

func (d *dashboard) confirmFactorDrop(x *exchange) error {
	p, err := x.personNamed()
	if err != nil {
		return err
	}
	return x.ask(view.Question{
		Title: "Take away second factor of " + p.Title(), What: "second factor", Back: view.Link{Label: "Staff", Path: operatorPath + "/staff"}, Keep: "Keep second factor", Do: "Take away second factor",
		Action: view.Action{Path: x.URL.Path},
		Facts: []string{
			"This is for somebody who lost it, and all recovery codes: " + p.Email + ". Be sure that it is them who asks, and not somebody with their password.",
			"They are signed out everywhere and told by mail. They sign in with the password alone, which reaches nothing in production, until they set up another.",
		},
	}, actor.MemberWrite)
}

func (d *dashboard) dropFactor(x *exchange) error {
	p, err := x.personNamed()
	if err != nil {
		return err
	}
	if err := d.People.DropFactor(x.Context(), x.by, p.ID); err != nil {
		return err
	}
	return x.done(operatorPath, p.Title()+" has no second factor any more, and is signed out everywhere.", nil)
}
