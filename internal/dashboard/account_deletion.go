package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/registry"
)

// accountDeletion asks whether to delete the account, once nothing works in it.
func (d *dashboard) accountDeletion(x *exchange) error {
	return x.showAccountDeletion(http.StatusOK, nil)
}

func (x *exchange) showAccountDeletion(status int, errs []view.FieldError) error {
	page := view.AccountDeletion{Name: x.account.Name, Path: x.here(), Version: x.account.Version, Errors: errs}
	var err error
	if page.Locked, err = x.locked("account", actor.AccountWrite); err != nil {
		return err
	}
	clients, err := x.d.Registry.Clients(x.Context(), x.by, registry.ClientFilter{Account: x.account.ID}, registry.Page{Limit: 1})
	if err != nil {
		return err
	}
	page.Used = len(clients.Items) > 0
	p := x.page("Delete account")
	p.Width = "narrow"
	return x.show(status, view.AccountDeletionPage(p, page))
}

func (d *dashboard) deleteAccount(x *exchange) error {
	if err := d.Registry.Apply(x.Context(), x.by, registry.DeleteAccount{Account: x.account.ID, Base: x.base()}); err != nil {
		status, errs, err := x.refused(err, "")
		if err != nil {
			return err
		}
		return x.showAccountDeletion(status, errs)
	}
	return x.done("/o/"+string(x.organisation.ID), "The account "+x.account.Name+" is deleted.", nil)
}
