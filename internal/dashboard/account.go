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

func (x *exchange) fillHome(a *view.Account) error {
	of := registry.ClientFilter{Account: x.account.ID}
	clients, err := x.d.Registry.Clients(x.Context(), x.by, of, registry.Page{})
	if err != nil {
		return err
	}
	if a.Steps, err = x.steps(clients); err != nil {
		return err
	}
	products, err := x.products()
	if err != nil {
		return err
	}
	if a.Recent, err = x.clientRows(clients.Items[:min(recentClients, len(clients.Items))], products); err != nil {
		return err
	}
	a.More = len(clients.Items) > recentClients
	of.ExpiresBy = x.d.Now().Add(soon)
	a.Ending, err = x.d.Registry.CountClients(x.Context(), x.by, of, maxCount)
	return err
}
