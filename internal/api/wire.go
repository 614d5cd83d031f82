package api

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

// readBack is the actor that reads back what a change has made. Who may make a
// change is shown what it made, also without the permission to read it
// otherwise: to refuse the answer would say that nothing had happened.
func readBack(organisation id.Organisation) actor.Actor {
	return actor.NewSystem("management").In(organisation)
}

// What is absent on the wire is the zero value inside.

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func as[To, From ~string](p *From) To { return To(value(p)) }

func optional[To, From ~string](v From) *To {
	if v == "" {
		return nil
	}
	to := To(v)
	return &to
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func page(limit *int, cursor *string) registry.Page {
	p := registry.Page{After: registry.Cursor(value(cursor)), Limit: value(limit)}
	if limit != nil && *limit == 0 {
		p.Limit = -1 // asked for, and no page has none
	}
	return p
}

// items are those of a page on the wire; never null.
func items[From, To any](list []From, wire func(*From) To) []To {
	out := make([]To, len(list))
	for i := range list {
		out[i] = wire(&list[i])
	}
	return out
}

// in returns the actor in the organisation that a request names. Who is not
// the operator's can name their own only; another's is like an unknown one.
func (c *call) in(ctx context.Context, organisation *string) (actor.Actor, error) {
	if organisation == nil {
		return c.by, nil
	}
	key, ok := id.ParseOrganisation(*organisation)
	if !ok {
		return c.by, fault.Errorf(fault.NotFound, "there is no such organisation: check its id")
	}
	if c.by.Operator() {
		return c.Registry.AtOrganisation(ctx, c.by, key)
	}
	if key != c.by.Organisation() {
		return c.by, fault.Errorf(fault.NotFound, "there is no organisation %s", key)
	}
	return c.by, nil
}

func organisation(o *registry.Organisation) management.Organisation {
	return management.Organisation{ID: string(o.ID), Name: o.Name, State: management.State(o.State), EraseAt: optionalTime(o.EraseAt), Version: o.Version, CreatedAt: o.CreatedAt}
}

func account(a *registry.Account) management.Account {
	return management.Account{
		ID: string(a.ID), OrganisationID: string(a.Organisation), Environment: management.Environment(a.ID.Environment()),
		Name: a.Name, State: management.State(a.State), Version: a.Version, CreatedAt: a.CreatedAt,
	}
}

func client(s *registry.ClientSummary) management.APIClient {
	networks := make([]string, len(s.Networks))
	for i, network := range s.Networks {
		networks[i] = network.String()
	}
	return management.APIClient{
		ClientID: string(s.ID), Owner: management.Owner(s.Owner), OrganisationID: optional[string](s.Organisation), AccountID: optional[string](s.Account),
		Environment: management.Environment(s.Environment()), Name: s.Name, State: management.ClientState(s.State),
		TokenLifetime: int(s.TokenLifetime / time.Second), Networks: networks, Permissions: append([]string{}, s.Permissions...),
		ContactID: optional[string](s.Contact), Note: optional[string](s.Note),
		Secrets:    management.ClientSecretsSummary{Working: s.Secrets, ExpiresAt: optionalTime(s.ExpiresAt)},
		LastUsedAt: optionalTime(s.LastUsedAt), Version: s.Version, CreatedAt: s.CreatedAt,
	}
}

func (c *call) secret(s *registry.Secret) management.Secret {
	return management.Secret{
		ID: string(s.ID), ClientID: string(s.Client), Name: s.Name, State: management.SecretState(s.StateAt(c.Registry.Now())),
		CreatedWith: s.CreatedWith, CreatedAt: s.CreatedAt, ExpiresAt: optionalTime(s.ExpiresAt), EndsAt: optionalTime(s.EndsAt),
		DisabledAt: optionalTime(s.DisabledAt), RevokedAt: optionalTime(s.RevokedAt), LastUsedAt: optionalTime(s.LastUsedAt),
	}
}
