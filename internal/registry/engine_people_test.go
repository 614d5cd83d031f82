package registry_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// people of a world, and what they made.
type people struct {
	people      []id.Person // the first is its admin, the second a developer
	emails      []string
	invitations []id.Invitation
	requests    []id.Request
	webhooks    []id.Webhook
}

var invitationLink = secret.NewPlaintext("the one link")

// addPeople makes people who belong to this run, two of them members.
func (w *world) addPeople(t *testing.T, run int) {
	t.Helper()
	for _, name := range []string{"Admin", "developer", "Äußere", "guest"} {
		who := id.NewPerson(w.Rand)
		w.people.people = append(w.people.people, who)
		w.emails = append(w.emails, fmt.Sprintf("Person.%d.%d@Example.com", len(w.people.people), run))
		edit := registry.CreatePerson{ID: who, Email: w.emails[len(w.emails)-1], Name: name, Password: hashed, Verified: true}
		if err := w.Apply(w.ctx, actor.NewSystem("test"), edit); err != nil {
			t.Fatal(err)
		}
	}
	err := w.Apply(w.ctx, actor.NewSystem("test").In(w.operator.Organisation()),
		joins(w.people.people[0], actor.OrganisationAdmin), joins(w.people.people[1], actor.Developer))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DB.View(w.ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(w.ctx, `SELECT seq FROM revision WHERE id = 1`).Scan(&w.began)
	}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) admin() actor.Actor {
	return person(w.people.people[0], w.operator.Organisation(), actor.OrganisationAdmin)
}

func (w *world) developer() actor.Actor {
	return person(w.people.people[1], w.operator.Organisation(), actor.Developer)
}

// roles are some of each kind: none, of the whole organisation, of an account.
func (w *world) roles(s step) []actor.RoleGrant {
	return choose([][]actor.RoleGrant{
		{{Role: actor.Viewer}}, {{Role: actor.OrganisationAdmin}}, nil, {{Role: actor.Developer, Account: choose(w.accounts, s.pick)}, {Role: actor.Auditor}},
	}, s.days+1)
}

// makeOfPeople makes the steps that are about people and what they ask for.
func (w *world) makeOfPeople(s step) (saw any, err error) {
	apply := func(by actor.Actor, edit registry.Edit) error { return w.Apply(w.ctx, by, edit) }
	who, invitation, request, webhook := choose(w.people.people, s.pick), choose(w.invitations, s.pick), choose(w.requests, s.pick), choose(w.webhooks, s.pick)
	switch s.operation {
	case "roles":
		return nil, apply(w.admin(), registry.ChangeRoles{Person: who, Roles: w.roles(s)})
	case "remove member":
		return nil, apply(w.admin(), registry.RemoveMember{Person: who})
	case "add member":
		return nil, apply(actor.NewSystem("test").In(w.operator.Organisation()), registry.AddMember{Person: who, Roles: w.roles(s)})
	case "invite":
		key := id.NewInvitation(w.Rand)
		err = apply(w.admin(), registry.Invite{ID: key, Email: choose(w.emails, s.pick), Name: s.name, Roles: w.roles(s), Token: invitationLink})
		if err == nil {
			w.invitations = append(w.invitations, key)
		}
		return key, err
	case "accept":
		if s.twice {
			who = w.people.people[3] // the guest
		}
		return nil, apply(proven(who, ""), registry.AcceptInvitation{Invitation: choose(w.invitations, max(s.days, 0)), Token: invitationLink})
	case "resend":
		return nil, apply(w.admin(), registry.ResendInvitation{Invitation: invitation, Token: invitationLink})
	case "revoke invitation":
		return nil, apply(w.admin(), registry.RevokeInvitation{Invitation: invitation})
	case "request":
		key, err := w.RequestChange(w.ctx, w.developer(), s.name, registry.RenameAccount{Account: choose(w.accounts, s.pick), Name: s.name})
		if err == nil {
			w.requests = append(w.requests, key)
		}
		return key, err
	case "decide":
		edit := choose([]registry.Edit{registry.ApproveRequest{Request: request}, registry.DeclineRequest{Request: request, Reason: s.name}, registry.WithdrawRequest{Request: request}}, s.days+1)
		if s.days == 1 {
			return nil, apply(w.developer(), edit)
		}
		return nil, apply(w.admin(), edit)
	case "create webhook":
		key, value, err := w.CreateWebhook(w.ctx, w.admin(), registry.NewWebhook{Name: s.name, URL: "https://hooks.example.com/" + s.name, Events: []string{"client.*"}})
		if err == nil {
			w.webhooks = append(w.webhooks, key)
		}
		return fmt.Sprint(key, value.Reveal()), err
	case "webhook state":
		return nil, apply(w.admin(), registry.SetWebhookState{Webhook: webhook, State: choose([]registry.WebhookState{registry.WebhookDisabled, registry.WebhookEnabled}, s.days+1), Reason: s.name})
	case "delete webhook":
		return nil, apply(w.admin(), registry.DeleteWebhook{Webhook: webhook, Base: int64(s.days)})
	case "product":
		d := productTwo()
		d.Key, d.Prefix, d.Name, d.Description = "drawn", "/drawn", s.name, s.name
		d.Permissions = []registry.Permission{{Key: "drawn.read", Retired: s.twice}, {Key: fmt.Sprint("drawn.p", s.pick)}}
		d.Routes = []registry.Route{{Method: "GET", Path: "/{" + "id}", Permissions: [][]string{{fmt.Sprint("drawn.p", s.pick)}}}}
		return nil, apply(proven("p-operator", "", actor.RoleGrant{Role: actor.OperatorAdmin}), registry.PutProduct{Definition: d, Source: registry.Managed})
	case "organisation state":
		return nil, apply(w.operator, registry.SetOrganisationState{State: choose([]registry.State{registry.Active, registry.Suspended, registry.Active}, s.days+1)})
	}
	return nil, nil
}

// seenOfPeople is all that its admin can read of people and what they asked for.
func (w *world) seenOfPeople() (all []string) {
	note := func(value any, err error) { all = append(all, fmt.Sprintf("%+v %v", value, err)) }
	note(w.MemberList(w.ctx, w.admin(), registry.MemberFilter{}, registry.Page{}))
	for _, who := range w.people.people {
		note(w.Person(w.ctx, who))
		note(w.Memberships(w.ctx, who))
	}
	note(w.InvitationList(w.ctx, w.admin(), registry.Page{}))
	requests, err := w.Requests(w.ctx, w.admin(), registry.RequestFilter{}, registry.Page{})
	note(requests, err)
	note(w.Requests(w.ctx, w.developer(), registry.RequestFilter{Pending: true, Own: true}, registry.Page{}))
	outlooks, err := w.Outlooks(w.ctx, w.admin(), requests.Items)
	note(outlooks, err)
	note(w.Webhooks(w.ctx, w.admin()))
	for _, text := range []string{"", "Ä", "_"} {
		note(w.Products(w.ctx, w.admin(), registry.ProductFilter{Text: text}, registry.Page{}))
	}
	note(w.DefinedPermissions(w.ctx, w.admin(), registry.PermissionFilter{}, registry.Page{}))
	return all
}

// written is what the run left in the audit log and in the change feed, which
// numbers them from its beginning.
func (w *world) written(t *rapid.T) (all []string) {
	page, first := registry.Page{Limit: registry.MaxPageSize}, int64(0)
	for {
		list, err := w.AuditRecords(w.ctx, w.admin(), registry.AuditFilter{}, page)
		if err != nil {
			return append(all, err.Error())
		}
		for _, a := range list.Items {
			if first == 0 {
				first = a.Seq
			}
			a.Seq -= first
			all = append(all, fmt.Sprintf("%+v %s", a, a.Content))
		}
		if page.After = list.Next; page.After == "" {
			break
		}
	}
	err := w.DB.View(w.ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(w.ctx, `SELECT seq, kind, key FROM change WHERE seq > $1 ORDER BY seq`, w.began)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq int64
			var kind, key string
			if err := rows.Scan(&seq, &kind, &key); err != nil {
				return err
			}
			all = append(all, fmt.Sprint(seq-w.began, " ", kind, " ", key))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
