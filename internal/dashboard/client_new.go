package dashboard

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// The templates of permissions that a new client can begin with.
const (
	readTemplate = "read"
	allTemplate  = "all"
	noTemplate   = "none"
)

// firstSecret is what the secret of a client that comes with one is called.
const firstSecret = "first"

func (d *dashboard) newClient(x *exchange) error {
	form := view.NewClientForm{Template: readTemplate, Product: x.URL.Query().Get("product")}
	if x.operator && form.Product == "" {
		form.Product = registry.ManagementKey
	}
	return x.showNewClient(http.StatusOK, form)
}

func (x *exchange) showNewClient(status int, form view.NewClientForm) (err error) {
	form.Path, form.Once = x.here(), x.d.random()
	if form.Locked, err = x.locked("clients", actor.ClientWrite); err != nil {
		return err
	}
	if form.Grants, err = x.locked("permissions", actor.PermissionWrite); err != nil {
		return err
	}
	form.Secret = x.givesSecret()
	products, err := x.products()
	if err != nil {
		return err
	}
	for _, p := range products {
		form.Products = append(form.Products, view.ProductChoice{
			Key: p.Definition.Key, Name: p.Definition.Name, Words: p.Definition.Description, Prefix: p.Definition.Prefix,
			Chosen: p.Definition.Key == form.Product, Permissions: permissionsOf(&p.Definition),
		})
	}
	p := x.page("Create client")
	p.Width = "middle"
	return x.show(status, view.NewClient(p, form))
}

// givesSecret says whether a new client comes with a secret: in production
// adding one is a deliberate act of its own.
func (x *exchange) givesSecret() bool {
	return x.environment() == id.Sandbox && x.by.May(actor.SecretWrite, x.account.ID)
}

// createClient makes a client with its permissions and, in a sandbox, a secret,
// which the answer itself shows.
func (d *dashboard) createClient(x *exchange) error {
	form := view.NewClientForm{Name: x.value("name"), Product: x.value("product"), Template: x.value("template"), Lifetime: x.value("lifetime")}
	setup, err := x.setupOf(form)
	switch {
	case err != nil:
	case x.asks():
		err = x.askForClient(setup)
	default:
		err = x.setUp(setup)
	}
	if err == nil {
		return nil
	}
	status, errs, err := x.refused(err, "name", "lifetime", "product", "template requests")
	form.Errors = errs
	if err != nil {
		return err
	}
	return x.showNewClient(status, form)
}

// setupOf is the client of a form. Permissions that the person may not give are
// asked of those who may.
func (x *exchange) setupOf(form view.NewClientForm) (setup registry.Setup, err error) {
	setup = registry.Setup{NewClient: registry.NewClient{Account: x.account.ID, Name: form.Name}, Why: x.value("why")}
	if setup.TokenLifetime, err = lifetimeOf(form.Lifetime); err != nil {
		return setup, err
	}
	if x.givesSecret() {
		setup.Secret, setup.Expires = firstSecret, x.secretEnd()
	}
	permissions, err := x.template(form.Product, form.Template)
	if x.by.May(actor.PermissionWrite, x.account.ID) {
		setup.Permissions = permissions
	} else {
		setup.Asks = permissions
	}
	return setup, err
}

// askForClient asks others to make a client with its permissions.
func (x *exchange) askForClient(setup registry.Setup) error {
	create := x.d.Registry.PrepareClient(x.by, setup.NewClient)
	edits := []registry.Edit{create}
	if permissions := append(setup.Permissions, setup.Asks...); len(permissions) > 0 {
		edits = append(edits, registry.AddPermissions{Client: create.ID, Permissions: permissions})
	}
	if err := x.apply(edits...); err != nil {
		return err
	}
	return x.done(x.here()+"/clients", "", nil)
}

// setUp makes the client once, however often the form is sent, and answers.
func (x *exchange) setUp(setup registry.Setup) error {
	key, first, value, err := x.once().SetUpClient(x.Context(), x.by, setup)
	if repeated, ok := errors.AsType[*registry.Repeated](err); ok {
		return x.done(x.here()+"/clients/"+repeated.Subject, "This client was created already. Its secret was shown once: add another if you did not keep it.", nil)
	}
	if err != nil {
		return err
	}
	if value.IsZero() {
		said := "Client " + setup.Name + " is created."
		if len(setup.Asks) > 0 {
			said = "Client " + setup.Name + " is created, and others are asked for its permissions."
		}
		return x.done(x.here()+"/clients/"+string(key), said, nil)
	}
	if err := x.enterClient(key); err != nil {
		return err
	}
	return x.reveal("Client "+setup.Name+" is created", revealed{id: first, name: setup.Secret, value: value, expires: setup.Expires, asked: len(setup.Asks) > 0})
}

// once is a registry that makes the change of this form once. The key comes
// with the form; a form without one is carried out each time.
func (x *exchange) once() *registry.Registry {
	key := x.value("once")
	if key == "" || len(key) > 64 {
		return x.d.Registry
	}
	digest := sha256.Sum256([]byte(x.URL.Path + "?" + x.PostForm.Encode()))
	return x.d.Registry.Once("form:"+key, digest[:])
}

// template is what a template of a product's permissions stands for now.
func (x *exchange) template(product, template string) (keys []string, err error) {
	if product == "" || template == noTemplate {
		return nil, nil
	}
	products, err := x.products()
	if err != nil {
		return nil, err
	}
	for _, p := range products {
		if p.Definition.Key != product {
			continue
		}
		for _, permission := range permissionsOf(&p.Definition) {
			if permission.Given() && (template == allTemplate || permission.Reads) {
				keys = append(keys, permission.Key)
			}
		}
		return keys, nil
	}
	return nil, errProduct
}

// permissionsOf are the permissions of a product, with the routes that each
// helps to open.
func permissionsOf(d *registry.Definition) (list []view.Permission) {
	routes := map[string][]string{}
	writes := map[string]bool{}
	for _, r := range d.Routes {
		for _, set := range r.Permissions {
			for _, key := range set {
				routes[key] = append(routes[key], routeWords(d, &r))
				writes[key] = writes[key] || r.Method != http.MethodGet && r.Method != http.MethodHead
			}
		}
	}
	for _, p := range d.Permissions {
		list = append(list, view.Permission{
			Key: p.Key, Words: titleOf(p.Description, p.Key), Routes: unique(routes[p.Key]), Retired: p.Retired,
			Reads: len(routes[p.Key]) > 0 && !writes[p.Key], Assignable: p.Assignable == registry.ByCustomer,
		})
	}
	return list
}

func routeWords(d *registry.Definition, r *registry.Route) string {
	method := r.Method
	if method == "*" {
		method = "ANY"
	}
	return method + " " + strings.TrimSuffix(d.Prefix+r.Path, "/")
}

func unique(list []string) (once []string) {
	seen := map[string]bool{}
	for _, text := range list {
		if !seen[text] {
			seen[text], once = true, append(once, text)
		}
	}
	return once
}

// lifetimeOf reads seconds; nothing is the default.
func lifetimeOf(text string) (time.Duration, error) {
	if text == "" {
		return registry.DefaultTokenLifetime, nil
	}
	most := int(registry.MaxTokenLifetime.Seconds())
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 || seconds > most {
		return 0, fault.Errorf(fault.Invalid, "the token lifetime is a whole number of seconds from 1 to %d", most)
	}
	return time.Duration(seconds) * time.Second, nil
}
