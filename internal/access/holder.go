package access

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// Holder is a client joined with its account and organisation, as this node
// knows them now. The entries are shared and immutable. Account is nil for
// clients of organisations and the operator, Organisation for the operator's.
type Holder struct {
	Client       *registry.ClientEntry
	Account      *registry.AccountEntry
	Organisation *registry.OrganisationEntry
}

// Holder returns what is known of a client; its Client is nil if there is no
// such client. The error is fault.Unavailable: nothing is known.
func (a *Access) Holder(ctx context.Context, key id.Client) (h Holder, err error) {
	if err := a.fresh(); err != nil {
		return h, err
	}
	if h.Client, err = a.clients.get(ctx, key); err != nil {
		return Holder{}, unavailable(err)
	}
	if h.Client == nil {
		return h, nil
	}
	if h.Client.Account != "" {
		if h.Account, err = a.accounts.get(ctx, h.Client.Account); err != nil {
			return Holder{}, unavailable(err)
		}
	}
	if h.Client.Organisation != "" {
		if h.Organisation, err = a.organisations.get(ctx, h.Client.Organisation); err != nil {
			return Holder{}, unavailable(err)
		}
	}
	return h, nil
}

// Standing returns "" when client, account and organisation are all good, else
// the code of what stops the client.
func (h Holder) Standing() fault.Code {
	switch {
	case h.Client == nil || h.Client.State != registry.Enabled:
		return fault.ClientDisabled
	case h.Client.Owner != registry.OwnedByOperator && (h.Organisation == nil || h.Organisation.State != registry.Active):
		return fault.OrganisationSuspended
	case h.Client.Owner == registry.OwnedByAccount && !stands(h.Account, h.Client.Organisation):
		return fault.AccountSuspended
	}
	return ""
}

// Generation is the sum that a token carries: each disabling and suspension
// raises it, so that earlier tokens end.
func (h Holder) Generation() int64 {
	sum := h.Client.Generation
	if h.Account != nil {
		sum += h.Account.Generation
	}
	if h.Organisation != nil {
		sum += h.Organisation.Generation
	}
	return sum
}

// Secret returns the client's secret of that id, nil if it has none.
func (h Holder) Secret(key id.Secret) *registry.Secret {
	for i := range h.Client.Secrets {
		if h.Client.Secrets[i].ID == key {
			return &h.Client.Secrets[i]
		}
	}
	return nil
}

// Holds says whether the client was granted a permission.
func (h Holder) Holds(permission string) bool {
	_, found := slices.BinarySearch(h.Client.Permissions, permission)
	return found
}

// stands says whether the account is there, active, and the organisation's.
func stands(account *registry.AccountEntry, organisation id.Organisation) bool {
	return account != nil && account.State == registry.Active && account.Organisation == organisation
}
