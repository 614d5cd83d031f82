package registry

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// AtAccount returns the operator's actor in the organisation of an account.
// Others stay where they are. An account that does not exist is fault.NotFound
// for the operator; whether it is the others' is not looked at.
func (r *Registry) AtAccount(ctx context.Context, by actor.Actor, key id.Account) (actor.Actor, error) {
	if !by.Operator() {
		return by, nil
	}
	if _, ok := id.ParseAccount(string(key)); !ok {
		return by, unknown("account")
	}
	return r.at(ctx, by, "account", key, `SELECT organisation_id FROM account WHERE id = $1 -- any organisation: for the operator alone`)
}

// AtClient does the same for the organisation of a client, if it has one.
func (r *Registry) AtClient(ctx context.Context, by actor.Actor, key id.Client) (actor.Actor, error) {
	if !by.Operator() {
		return by, nil
	}
	if _, ok := id.ParseClient(string(key)); !ok {
		return by, unknown("client")
	}
	return r.at(ctx, by, "client", key, `SELECT organisation_id FROM client WHERE id = $1 AND state <> 'deleted' -- any organisation: for the operator alone`)
}

// AtWebhook does the same for a webhook.
func (r *Registry) AtWebhook(ctx context.Context, by actor.Actor, key id.Webhook) (actor.Actor, error) {
	if !by.Operator() {
		return by, nil
	}
	if _, ok := id.ParseWebhook(string(key)); !ok {
		return by, unknown("webhook")
	}
	return r.at(ctx, by, "webhook", key, `SELECT organisation_id FROM webhook WHERE id = $1 -- any organisation: for the operator alone`)
}

// AtInvitation does the same for an invitation.
func (r *Registry) AtInvitation(ctx context.Context, by actor.Actor, key id.Invitation) (actor.Actor, error) {
	if !by.Operator() {
		return by, nil
	}
	if _, ok := id.ParseInvitation(string(key)); !ok {
		return by, unknown("invitation")
	}
	return r.at(ctx, by, "invitation", key, `SELECT organisation_id FROM invitation WHERE id = $1 -- any organisation: for the operator alone`)
}

// AtRequest does the same for a request.
func (r *Registry) AtRequest(ctx context.Context, by actor.Actor, key id.Request) (actor.Actor, error) {
	if !by.Operator() {
		return by, nil
	}
	if _, ok := id.ParseRequest(string(key)); !ok {
		return by, unknown("request")
	}
	return r.at(ctx, by, "request", key, `SELECT organisation_id FROM request WHERE id = $1 -- any organisation: for the operator alone`)
}

func (r *Registry) at(ctx context.Context, by actor.Actor, what string, key any, query string) (actor.Actor, error) {
	err := r.DB.View(ctx, func(tx *sqldb.Tx) error {
		var organisation id.Organisation
		err := tx.QueryRow(ctx, query, key).Scan(&organisation)
		by = by.In(organisation)
		return notFound(err, what, key)
	})
	return by, err
}

// AtOrganisation returns the operator's actor in an organisation, which is
// fault.NotFound if it does not exist. Others stay where they are.
func (r *Registry) AtOrganisation(ctx context.Context, by actor.Actor, key id.Organisation) (actor.Actor, error) {
	if !by.Operator() {
		return by, nil
	}
	return r.at(ctx, by, "organisation", key, `SELECT id FROM organisation WHERE id = $1`)
}
