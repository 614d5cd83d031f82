package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/dashboard/view"
)

// styleguide shows every component in its states, for those who change them
// and for the tests that look at them.
func (d *dashboard) styleguide(x *exchange) error {
	p := x.page("Style guide", "Sandbox", "Ångströms Återförsäljare GmbH & Co. KG")
	p.Person = &view.Person{Name: "Ada Lovelace", Email: "ada@example.com"}
	p.Environment = x.URL.Query().Get("environment")
	p.Places = []view.Place{
		{Name: "Sandbox", Path: "/styleguide?environment=sandbox", Environment: "sandbox", Current: p.Environment == "sandbox"},
		{Name: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbau", Path: "/styleguide?environment=production", Environment: "production", Current: p.Environment == "production"},
		{Name: "Ångströms Återförsäljare GmbH & Co. KG", Path: "/styleguide", Current: p.Environment == ""},
	}
	p.Nav = []view.NavItem{
		{Label: "Home", Path: "/styleguide?here", Icon: "house", Key: "h"},
		{Label: "Clients", Path: "/styleguide", Icon: "boxes", Key: "c", Current: true},
		{Label: "Audit log", Path: "/styleguide?there", Icon: "scroll-text", Key: "a"},
	}
	p.Flash = &view.Flash{Tone: "ok", Text: "Secret ci of client billing is disabled.", Undo: &view.Action{Label: "Undo", Path: "/theme", Class: "small", Icon: "undo-2"}}
	return x.show(http.StatusOK, view.Styleguide(p))
}
