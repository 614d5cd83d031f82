package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/registry"
)

// recentClients is how many of the newest clients the home of an account shows.
const recentClients = 5

// account is the home of an account: what is to be done, and the newest clients.
func (d *dashboard) account(x *exchange) error {
	a := view.Account{
		Name: x.account.Name, Path: x.here(), ID: string(x.account.ID), Environment: string(x.account.ID.Environment()),
		Suspended: x.account.State == registry.Suspended, CreatedAt: x.account.CreatedAt,
	}
	var err error
	if a.Locked, err = x.locked("clients", actor.ClientWrite); err != nil {
		return err
	}
	a.SecondFactor = x.by.NeedsSecondFactor(actor.ClientRead, x.account.ID)
	if x.by.May(actor.ClientRead, x.account.ID) {
		if err := x.fillHome(&a); err != nil {
			return err
		}
	}
	return x.show(http.StatusOK, view.AccountPage(x.page(x.account.Name), a))
}

func (x *exchange) fillHome(a *view.Account) (err error) {
	if a.Steps, err = x.steps(); err != nil {
		return err
	}
	list, err := x.d.Registry.Clients(x.Context(), x.by, registry.ClientFilter{Account: x.account.ID}, registry.Page{Limit: recentClients})
	if err != nil {
		return err
	}
	products, err := x.products()
	if err != nil {
		return err
	}
	if a.Recent, err = x.clientRows(list.Items, products); err != nil {
		return err
	}
	ending := registry.ClientFilter{Account: x.account.ID, ExpiresBy: x.d.Now().Add(soon)}
	if a.Ending, err = x.d.Registry.CountClients(x.Context(), x.by, ending, maxCount); err != nil {
		return err
	}
	all := registry.ClientFilter{Account: x.account.ID}
	a.Clients, err = x.d.Registry.CountClients(x.Context(), x.by, all, maxCount)
	return err
}
