package api

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

// changeMembers are the members of a requested change of each kind, those that it
// needs with an exclamation mark.
var changeMembers = map[management.RequestedAction]string{
	"client.create": "name! account_id token_lifetime networks contact_id note",
	"client.update": "client_id! name token_lifetime networks contact_id note version",
	"client.enable": "client_id! version", "client.disable": "client_id! version", "client.delete": "client_id! version",
	"client.permissions.add": "client_id! permissions! version", "client.permissions.remove": "client_id! permissions! version",
	"secret.enable": "client_id! secret_id!", "secret.disable": "client_id! secret_id!", "secret.revoke": "client_id! secret_id! with_descendants",
	"account.create": "environment! name!", "account.rename": "account_id! name! version",
	"member.roles": "person_id! roles! version", "member.remove": "person_id! version",
	"product.grant": "product! environment!",
}

// requestedChange is one of a request, and where it stands there.
type requestedChange struct {
	*management.RequestedChange
	place string
}

// check refuses members that the change does not have, which would otherwise seem
// to be asked for, and those that it lacks.
func (w requestedChange) check() error {
	members, ok := changeMembers[w.Action]
	if !ok {
		return wrongParameter(w.place+"action", "it is not one that can be asked for")
	}
	all := strings.Fields(members)
	v := reflect.ValueOf(w.RequestedChange).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		given := name != "action" && !v.Field(i).IsNil()
		switch {
		case given && !slices.Contains(all, name) && !slices.Contains(all, name+"!"):
			return wrongParameter(w.place+name, "a "+string(w.Action)+" has no such member")
		case !given && slices.Contains(all, name+"!"):
			return wrongParameter(w.place+name, "it is missing")
		}
	}
	return nil
}

var (
	clientStates = map[management.RequestedAction]registry.ClientState{"client.enable": registry.Enabled, "client.disable": registry.Disabled, "client.delete": registry.Deleted}
	secretStates = map[management.RequestedAction]registry.SecretState{"secret.enable": registry.SecretActive, "secret.disable": registry.SecretDisabled, "secret.revoke": registry.SecretRevoked}
)

// edit is the change inside. What is new gets a fresh id.
func (w requestedChange) edit(r *registry.Registry, by actor.Actor) (registry.Edit, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	client, base := as[id.Client](w.ClientID), value(w.Version)
	switch w.Action {
	case "client.create", "client.update":
		return w.clientEdit(r, by)
	case "client.enable", "client.disable", "client.delete":
		return registry.SetClientState{Client: client, State: clientStates[w.Action], Base: base}, nil
	case "client.permissions.add":
		return registry.AddPermissions{Client: client, Permissions: *w.Permissions, Base: base}, nil
	case "client.permissions.remove":
		return registry.RemovePermissions{Client: client, Permissions: *w.Permissions, Base: base}, nil
	case "account.create":
		return r.PrepareAccount(id.Environment(*w.Environment), *w.Name)
	case "account.rename":
		return registry.RenameAccount{Account: id.Account(*w.AccountID), Name: *w.Name, Base: base}, nil
	case "member.roles":
		return registry.ChangeRoles{Person: id.Person(*w.PersonID), Roles: roleGrantsFrom(*w.Roles), Base: base}, nil
	case "member.remove":
		return registry.RemoveMember{Person: id.Person(*w.PersonID), Base: base}, nil
	case "product.grant":
		return registry.GrantProduct{Product: *w.Product, Environment: id.Environment(*w.Environment)}, nil
	}
	return registry.SetSecretState{Client: client, Secret: id.Secret(*w.SecretID), State: secretStates[w.Action], WithDescendants: value(w.WithDescendants)}, nil
}

func (w requestedChange) clientEdit(r *registry.Registry, by actor.Actor) (registry.Edit, error) {
	edit := registry.UpdateClient{Client: as[id.Client](w.ClientID), Name: w.Name, Contact: (*id.Person)(w.ContactID), Note: w.Note, Base: value(w.Version)}
	if w.TokenLifetime != nil {
		lifetime := time.Duration(*w.TokenLifetime) * time.Second
		edit.TokenLifetime = &lifetime
	}
	if w.Networks != nil {
		found, err := networks(*w.Networks)
		if err != nil {
			return nil, err
		}
		edit.Networks = &found
	}
	if w.Action == "client.update" {
		if edit == (registry.UpdateClient{Client: edit.Client, Base: edit.Base}) {
			return nil, wrongParameter(w.place+"name", "say what is to be changed: name, token_lifetime, networks, contact_id or note")
		}
		return edit, nil
	}
	if w.TokenLifetime != nil && *w.TokenLifetime == 0 {
		return nil, wrongParameter(w.place+"token_lifetime", "give a number of seconds from 1 on")
	}
	return r.PrepareClient(by, registry.NewClient{
		Account: as[id.Account](w.AccountID), Name: *w.Name, TokenLifetime: value(edit.TokenLifetime), Networks: value(edit.Networks),
		Contact: value(edit.Contact), Note: value(edit.Note),
	}), nil
}

// changeOf is an edit on the wire.
func changeOf(edit *registry.Edit) (w management.RequestedChange) {
	version := func(base int64) *int64 {
		if base == 0 {
			return nil
		}
		return &base
	}
	switch e := (*edit).(type) {
	case registry.CreateClient:
		w.Action, w.ClientID, w.AccountID, w.Name = "client.create", optional[string](e.ID), optional[string](e.Account), &e.Name
		w.ContactID, w.Note = optional[string](e.Contact), optional[string](e.Note)
		if e.TokenLifetime != 0 {
			w.TokenLifetime = secondsOf(&e.TokenLifetime)
		}
		w.Networks = listed(e.Networks, (*netip.Prefix).String)
	case registry.UpdateClient:
		w.Action, w.ClientID, w.Name, w.Version = "client.update", optional[string](e.Client), e.Name, version(e.Base)
		w.ContactID, w.Note, w.TokenLifetime = (*string)(e.Contact), e.Note, secondsOf(e.TokenLifetime)
		if e.Networks != nil {
			w.Networks = listed(*e.Networks, (*netip.Prefix).String)
		}
	case registry.SetClientState:
		w.Action, w.ClientID, w.Version = actionOf(clientStates, e.State), optional[string](e.Client), version(e.Base)
	case registry.AddPermissions:
		w.Action, w.ClientID, w.Permissions, w.Version = "client.permissions.add", optional[string](e.Client), &e.Permissions, version(e.Base)
	case registry.RemovePermissions:
		w.Action, w.ClientID, w.Permissions, w.Version = "client.permissions.remove", optional[string](e.Client), &e.Permissions, version(e.Base)
	case registry.SetSecretState:
		w.Action, w.ClientID, w.SecretID = actionOf(secretStates, e.State), optional[string](e.Client), optional[string](e.Secret)
		if e.WithDescendants {
			w.WithDescendants = &e.WithDescendants
		}
	case registry.CreateAccount:
		environment := management.Environment(e.ID.Environment())
		w.Action, w.AccountID, w.Environment, w.Name = "account.create", optional[string](e.ID), &environment, &e.Name
	case registry.RenameAccount:
		w.Action, w.AccountID, w.Name, w.Version = "account.rename", optional[string](e.Account), &e.Name, version(e.Base)
	case registry.ChangeRoles:
		roles := items(e.Roles, roleGrant)
		w.Action, w.PersonID, w.Roles, w.Version = "member.roles", optional[string](e.Person), &roles, version(e.Base)
	case registry.RemoveMember:
		w.Action, w.PersonID, w.Version = "member.remove", optional[string](e.Person), version(e.Base)
	case registry.GrantProduct:
		environment := management.Environment(e.Environment)
		w.Action, w.Product, w.Environment = "product.grant", &e.Product, &environment
	}
	return w
}

func secondsOf(d *time.Duration) *int {
	if d == nil {
		return nil
	}
	n := int(*d / time.Second)
	return &n
}

// actionOf is the action that leads to a state.
func actionOf[S comparable](states map[management.RequestedAction]S, state S) management.RequestedAction {
	for action, leadsTo := range states {
		if leadsTo == state {
			return action
		}
	}
	return ""
}
