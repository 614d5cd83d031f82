package dashboard

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// soon is how long before its end a secret is worth a word.
const soon = 14 * 24 * time.Hour

// organisation lists the accounts of an organisation.
func (d *dashboard) organisation(x *exchange) error {
	list, err := d.Registry.Accounts(x.Context(), x.by, registry.AccountFilter{}, registry.Page{After: registry.Cursor(x.URL.Query().Get("after"))})
	if err != nil {
		return err
	}
	o := view.Organisation{Name: x.organisation.Name, Path: x.here(), ID: string(x.organisation.ID), Suspended: x.organisation.State == registry.Suspended, EraseAt: x.organisation.EraseAt}
	if o.Locked, err = x.locked("accounts", actor.AccountWrite); err != nil {
		return err
	}
	ending, err := x.endingSoon()
	if err != nil {
		return err
	}
	for _, a := range list.Items {
		o.Accounts = append(o.Accounts, view.AccountRow{
			Name: a.Name, ID: string(a.ID), Path: "/a/" + string(a.ID), Environment: string(a.ID.Environment()),
			Suspended: a.State == registry.Suspended, Ending: ending[a.ID], CreatedAt: a.CreatedAt,
		})
	}
	if list.Next != "" {
		o.Older = x.here() + "?after=" + string(list.Next)
	}
	if x.URL.Query().Has("after") {
		o.Newer = x.here()
	}
	return x.show(http.StatusOK, view.OrganisationPage(x.page(x.organisation.Name), o))
}

// endingSoon counts, by account, the clients of which a secret ends soon, as far
// as the person may see them.
func (x *exchange) endingSoon() (map[id.Account]int, error) {
	if !x.by.MaySomewhere(actor.ClientRead) {
		return nil, nil
	}
	return x.d.Registry.CountClientsByAccount(x.Context(), x.by, registry.ClientFilter{ExpiresBy: x.d.Now().Add(soon)}, maxCount)
}

func (d *dashboard) newAccount(x *exchange) error {
	return x.showNewAccount(http.StatusOK, view.NewAccountForm{})
}

func (x *exchange) showNewAccount(status int, form view.NewAccountForm) (err error) {
	form.Organisation, form.Path = x.organisation.Name, x.here()
	if form.Locked, err = x.locked("accounts", actor.AccountWrite); err != nil {
		return err
	}
	p := x.page("Create account")
	p.Width = "narrow"
	return x.show(status, view.NewAccount(p, form))
}

func (d *dashboard) createAccount(x *exchange) error {
	form := view.NewAccountForm{Name: x.value("name"), Environment: x.value("environment")}
	edit, err := d.Registry.PrepareAccount(id.Environment(form.Environment), form.Name)
	if err == nil {
		err = x.apply(edit)
	}
	if err != nil {
		status, errs, err := x.refused(err, "name", "environment")
		form.Errors = errs
		if err != nil {
			return err
		}
		return x.showNewAccount(status, form)
	}
	path := "/a/" + string(edit.ID)
	if edit.ID.Environment() == id.Production && !x.by.May(actor.ClientRead, edit.ID) { // not theirs to enter yet
		path = x.here()
	}
	return x.done(path, "Account "+form.Name+" is created.", nil)
}
