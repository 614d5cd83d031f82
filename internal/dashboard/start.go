package dashboard

import (
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// echoKey is the key of the product that answers with what it got: the best one
// to begin with, where it is offered.
const echoKey = "echo"

// start leads to the first steps in the first sandbox that the person has.
func (d *dashboard) start(x *exchange) error {
	for _, place := range x.places {
		if place.Environment == string(id.Sandbox) {
			return x.redirect(place.Path + "/start")
		}
	}
	return x.redirect("/")
}

// firstSteps is the way from nothing to the first call: one form, then the
// secret and the command to paste.
func (d *dashboard) firstSteps(x *exchange) error {
	return x.showStart(http.StatusOK, view.Start{Name: "first client"})
}

func (x *exchange) showStart(status int, s view.Start) (err error) {
	s.Path, s.Once = x.here(), x.d.random()
	if s.Locked, err = x.locked("clients", actor.ClientWrite); err != nil {
		return err
	}
	if s.Grants, err = x.locked("permissions", actor.PermissionWrite); err != nil {
		return err
	}
	s.Secret = x.givesSecret()
	products, err := x.products()
	if err != nil {
		return err
	}
	s.Product = startProduct(products, s.Product)
	for _, p := range products {
		if p.Definition.Key == registry.ManagementKey {
			continue // to manage with is not to begin with
		}
		var words []string
		for _, permission := range startPermissions(&p.Definition) {
			words = append(words, permission.Words)
		}
		s.Products = append(s.Products, view.Option{Value: p.Definition.Key, Label: p.Definition.Name, Hint: strings.Join(words, " "), Chosen: p.Definition.Key == s.Product})
	}
	if x.by.May(actor.ClientRead, x.account.ID) {
		clients, err := x.d.Registry.Clients(x.Context(), x.by, registry.ClientFilter{Account: x.account.ID}, registry.Page{})
		if err != nil {
			return err
		}
		if len(clients.Items) > 0 { // else the form says all there is to say
			if s.Steps, err = x.steps(clients); err != nil {
				return err
			}
		}
	}
	p := x.page("First steps")
	p.Width = "middle"
	return x.show(status, view.StartPage(p, s))
}

func startProduct(products []registry.OfferedProduct, chosen string) string {
	first := ""
	for _, p := range products {
		switch p.Definition.Key {
		case chosen, registry.ManagementKey:
		case echoKey:
			first = echoKey
		default:
			if first == "" {
				first = p.Definition.Key
			}
		}
		if p.Definition.Key == chosen {
			return chosen
		}
	}
	return first
}

// startPermissions are those that only read, or all that can be given if none
// only reads.
func startPermissions(d *registry.Definition) (list []view.Permission) {
	all := permissionsOf(d)
	for _, reading := range []bool{true, false} {
		for _, p := range all {
			if p.Given() && p.Reads == reading {
				list = append(list, p)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// begin makes the client of the first steps.
func (d *dashboard) beginFirstSteps(x *exchange) error {
	form := view.Start{Name: x.value("name"), Product: x.value("product")}
	setup := registry.Setup{NewClient: registry.NewClient{Account: x.account.ID, Name: form.Name}}
	products, err := x.products()
	if err != nil {
		return err
	}
	var permissions []string
	for _, p := range products {
		if p.Definition.Key == form.Product {
			for _, permission := range startPermissions(&p.Definition) {
				permissions = append(permissions, permission.Key)
			}
		}
	}
	if len(permissions) == 0 {
		err = errProduct
	}
	if x.by.May(actor.PermissionWrite, x.account.ID) {
		setup.Permissions = permissions
	} else {
		setup.Asks = permissions
	}
	if err == nil {
		if x.givesSecret() {
			setup.Secret, setup.Expires = firstSecret, x.secretEnd()
		}
		err = x.setUp(setup)
	}
	if err == nil {
		return nil
	}
	status, errs, err := x.refused(err, "name", "product")
	form.Errors = errs
	if err != nil {
		return err
	}
	return x.showStart(status, form)
}

// steps are what leads to the first call in an account, whose newest clients are
// given, done when the facts say so; none are left once that call was made.
func (x *exchange) steps(list registry.List[registry.ClientSummary]) ([]view.Step, error) {
	keys := make([]id.Client, len(list.Items))
	var newest string
	secret, token := false, false
	for i, c := range list.Items {
		keys[i] = c.ID
		secret, token = secret || c.Secrets > 0, token || !c.LastUsedAt.IsZero()
		if newest == "" && c.Secrets > 0 {
			newest = "/clients/" + string(c.ID) + "/live"
		}
	}
	calls, err := x.d.Usage.Calls(x.Context(), x.by, keys)
	if err != nil || len(calls) > 0 || list.Next != "" {
		return nil, err
	}
	return []view.Step{
		{Title: "Create a client", Text: "It is how your software signs in.", Path: x.here() + "/start", Action: "Begin", Done: len(keys) > 0},
		{Title: "Add a secret", Text: "It proves that the software is yours.", Path: x.here() + "/clients", Action: "Show clients", Done: secret},
		{Title: "Get a token", Text: "With the id and the secret of the client.", Path: x.hereIf(newest), Action: "Show command", Done: token},
		{Title: "Make the first call", Text: "With the token.", Path: x.hereIf(newest), Action: "Show command"},
	}, nil
}

func (x *exchange) hereIf(path string) string {
	if path == "" {
		return ""
	}
	return x.here() + path
}
