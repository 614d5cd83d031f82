package access

import (
	"context"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// namedAccount is the account that a call names, as sent.
type namedAccount struct {
	value string
	sent  bool
}

// accountNamed reads the account from where the route has it, and the query
// strictly in any case. The account parameter is refused in every spelling but
// its own also where the account stands elsewhere: a product may read it.
func (a *Access) accountNamed(r *Request, d *Decision) (namedAccount, error) {
	kind, name, _ := strings.Cut(d.Match.Route.Account, ":")
	if kind == "none" {
		_, _, err := ParseQuery(d.RawQuery, "")
		return namedAccount{}, err
	}
	value, sent, err := ParseQuery(d.RawQuery, a.AccountParameter)
	if err != nil {
		return namedAccount{}, err
	}
	inQuery := namedAccount{value, sent}
	switch kind {
	case "path":
		value, _ := d.Match.Param(name)
		return agree(inQuery, namedAccount{value, true})
	case "header":
		values := headerValues(r.Header, name)
		if len(values) > 1 {
			return namedAccount{}, malformedRequest("the header " + name + " came more than once; send it once")
		}
		if len(values) == 1 {
			return agree(inQuery, namedAccount{values[0], true})
		}
	}
	return inQuery, nil
}

// agree refuses a call that names one account here and another there.
func agree(a, b namedAccount) (namedAccount, error) {
	if a.sent && a.value != b.value {
		return namedAccount{}, malformedRequest("the request names two different accounts; name one")
	}
	return b, nil
}

// headerValues returns all values of a header whose name equals the wanted one
// ignoring case and reading "_" as "-".
func headerValues(header map[string][]string, wanted string) (values []string) {
	for name, found := range header {
		if len(name) == len(wanted) && strings.EqualFold(strings.ReplaceAll(name, "_", "-"), wanted) {
			values = append(values, found...)
		}
	}
	return values
}

// organisationNamed holds the organisation that a call names, in the query or
// a header, against the token's.
func (a *Access) organisationNamed(r *Request, d *Decision) error {
	value, sent, err := ParseQuery(d.RawQuery, a.OrganisationParameter)
	if err != nil {
		return err
	}
	if sent && value != d.Claims.OrganisationID {
		return accountMismatch(d)
	}
	if a.OrganisationHeader == "" {
		return nil
	}
	for _, value := range headerValues(r.Header, a.OrganisationHeader) {
		if value != d.Claims.OrganisationID {
			return accountMismatch(d)
		}
	}
	return nil
}

// accountMismatch answers alike for an account of another and one that does
// not exist.
func accountMismatch(d *Decision) error {
	return fault.New(fault.AccountMismatch, "the client %s may not act on the account or organisation that the call names", d.Holder.Client.ID)
}

// onAccount finds the account that the call acts on, and with it the
// environment of the upstream.
func (a *Access) onAccount(ctx context.Context, d *Decision, named namedAccount) error {
	client := d.Holder.Client
	d.Environment = client.Environment()
	if client.Owner == registry.OwnedByAccount {
		if named.sent && named.value != string(client.Account) {
			return accountMismatch(d)
		}
		d.Account, d.AccountNow = client.Account, d.Holder.Account
		return nil
	}
	if !named.sent {
		if d.Match.Route.Account == "none" || d.Match.Route.Public {
			return nil
		}
		return fault.New(fault.AccountMissing, "name the account in the parameter %s: the client %s acts on more than one", a.AccountParameter, client.ID)
	}
	return a.onNamedAccount(ctx, d, named.value)
}

// onNamedAccount is for clients of organisations and the operator.
func (a *Access) onNamedAccount(ctx context.Context, d *Decision, value string) error {
	client := d.Holder.Client
	key, ok := id.ParseAccount(value)
	if !ok {
		return accountMismatch(d)
	}
	account, err := a.accounts.get(ctx, key)
	if err != nil {
		return unavailable(err)
	}
	if account == nil || client.Owner == registry.OwnedByOrganisation && account.Organisation != client.Organisation {
		return accountMismatch(d)
	}
	if account.State != registry.Active {
		return fault.New(fault.AccountSuspended, "")
	}
	if client.Owner == registry.OwnedByOperator { // an organisation's client was held against its own already
		organisation, err := a.organisations.get(ctx, account.Organisation)
		if err != nil {
			return unavailable(err)
		}
		if organisation == nil || organisation.State != registry.Active {
			return fault.New(fault.OrganisationSuspended, "")
		}
	}
	d.Account, d.AccountNow, d.Environment = key, account, key.Environment()
	return nil
}
