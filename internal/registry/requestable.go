package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// requestable are the edits that one person may prepare for another to make. None
// reveals a secret or sends a link: who made the edit would see what it brings,
// and who asked for it would have chosen it.
var requestable = map[string]func(text []byte) (Edit, error){
	"CreateClient":       decoded[CreateClient],
	"UpdateClient":       decoded[UpdateClient],
	"SetClientState":     decoded[SetClientState],
	"AddPermissions":     decoded[AddPermissions],
	"RemovePermissions":  decoded[RemovePermissions],
	"SetSecretState":     decoded[SetSecretState],
	"CreateAccount":      decoded[CreateAccount],
	"RenameAccount":      decoded[RenameAccount],
	"RenameOrganisation": decoded[RenameOrganisation],
	"ChangeRoles":        decoded[ChangeRoles],
	"RemoveMember":       decoded[RemoveMember],
	"GrantProduct":       decoded[GrantProduct],
}

func decoded[E Edit](text []byte) (Edit, error) {
	var e E
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&e)
	return e, err
}

// Edits are changes in a form that can be stored.
type Edits []Edit

type storedEdit struct {
	Kind string          `json:"kind"`
	Edit json.RawMessage `json:"edit"`
}

// MarshalJSON writes each edit beside its kind.
func (e Edits) MarshalJSON() ([]byte, error) {
	stored := make([]storedEdit, len(e))
	for i, edit := range e {
		text, err := json.Marshal(edit)
		if err != nil {
			return nil, err
		}
		stored[i] = storedEdit{kindOf(edit), text}
	}
	return json.Marshal(stored)
}

// UnmarshalJSON reads what MarshalJSON wrote, of edits that can be requested.
func (e *Edits) UnmarshalJSON(text []byte) error {
	var stored []storedEdit
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	*e = make(Edits, len(stored))
	for i, s := range stored {
		decode := requestable[s.Kind]
		if decode == nil {
			return fmt.Errorf("%q is no edit that can be requested", s.Kind)
		}
		edit, err := decode(s.Edit)
		if err != nil {
			return fmt.Errorf("read a requested %s: %w", s.Kind, err)
		}
		(*e)[i] = edit
	}
	return nil
}

// kindOf is the name of an edit's type.
func kindOf(edit Edit) string { return reflect.TypeOf(edit).Name() }

// ask is what a requested edit needs: who may make it, and where. With a version
// of its subject, it is based on that one if it names none.
type ask struct {
	ability actor.Ability
	account id.Account // empty: the whole organisation
	subject string
	version int64 // 0: the edit has no base
	based   func(version int64) Edit
	before  any   // the subject as it is; nil: there is none yet
	gone    error // there is no such subject, or another organisation has it
}

// asksOf finds out what each of some edits needs. What an earlier one creates is
// there for a later one. Of a subject that is gone, the ability on the whole
// organisation counts.
func (c *change) asksOf(ctx context.Context, edits []Edit) ([]ask, error) {
	asks, created := make([]ask, len(edits)), map[id.Client]id.Account{}
	for i, edit := range edits {
		a, err := c.askOf(ctx, edit)
		if fault.KindOf(err) == fault.NotFound {
			a.gone, a.before, err = err, nil, nil
		}
		if err != nil {
			return nil, err
		}
		switch e := edit.(type) {
		case CreateClient:
			created[e.ID] = e.Account
		case AddPermissions:
			if account, ok := created[e.Client]; ok {
				a = ask{ability: a.ability, account: account}
			}
		}
		asks[i] = a
	}
	return asks, nil
}

// askOf finds out what an edit needs. A subject that is not there, or another
// organisation's, is fault.NotFound.
func (c *change) askOf(ctx context.Context, edit Edit) (ask, error) {
	switch e := edit.(type) {
	case CreateClient:
		return ask{ability: actor.ClientWrite, account: e.Account}, nil
	case UpdateClient:
		return c.askOfClient(ctx, e.Client, actor.ClientWrite, e.Base, func(v int64) Edit { e.Base = v; return e })
	case SetClientState:
		ability := actor.ClientWrite
		if e.State == Disabled {
			ability = actor.ClientDisable
		}
		return c.askOfClient(ctx, e.Client, ability, e.Base, func(v int64) Edit { e.Base = v; return e })
	case AddPermissions:
		return c.askOfClient(ctx, e.Client, actor.PermissionWrite, e.Base, func(v int64) Edit { e.Base = v; return e })
	case RemovePermissions:
		return c.askOfClient(ctx, e.Client, actor.PermissionWrite, e.Base, func(v int64) Edit { e.Base = v; return e })
	case SetSecretState:
		return c.askOfSecret(ctx, e)
	case CreateAccount:
		return ask{ability: actor.AccountWrite}, nil
	case RenameAccount:
		a, err := loadAccount(ctx, c.tx, c.by.Organisation(), e.Account)
		return ask{ability: actor.AccountWrite, account: a.ID, subject: string(a.ID), version: a.Version, before: a, based: baseOf(e.Base, func(v int64) Edit { e.Base = v; return e })}, err
	case RenameOrganisation:
		o, err := loadOrganisation(ctx, c.tx, c.by.Organisation())
		return ask{ability: actor.OrganisationWrite, subject: string(o.ID), version: o.Version, before: o, based: baseOf(e.Base, func(v int64) Edit { e.Base = v; return e })}, err
	case ChangeRoles:
		return c.askOfMember(ctx, e.Person, e.Base, func(v int64) Edit { e.Base = v; return e })
	case RemoveMember:
		return c.askOfMember(ctx, e.Person, e.Base, func(v int64) Edit { e.Base = v; return e })
	case GrantProduct:
		return ask{ability: actor.GrantWrite}, nil
	}
	return ask{}, fault.Errorf(fault.Invalid, "a %s cannot be requested: ask somebody who may make it to do so themselves", kindOf(edit))
}

func (c *change) askOfClient(ctx context.Context, key id.Client, ability actor.Ability, base int64, based func(int64) Edit) (ask, error) {
	client, err := loadClient(ctx, c.tx, c.by, key)
	return ask{ability: ability, account: client.Account, subject: string(client.ID), version: client.Version, before: client, based: baseOf(base, based)}, err
}

func (c *change) askOfSecret(ctx context.Context, e SetSecretState) (ask, error) {
	a := ask{ability: actor.SecretWrite}
	if e.State == SecretDisabled {
		a.ability = actor.ClientDisable
	}
	client, err := loadClient(ctx, c.tx, c.by, e.Client)
	if err != nil {
		return a, err
	}
	s, err := loadSecret(ctx, c.tx, &client, e.Secret)
	a.account, a.subject, a.before = client.Account, string(s.ID), s
	return a, err
}

func (c *change) askOfMember(ctx context.Context, person id.Person, base int64, based func(int64) Edit) (ask, error) {
	m, err := loadMember(ctx, c.tx, c.by.Organisation(), person)
	return ask{ability: actor.MemberWrite, subject: string(m.Person), version: m.Version, before: m, based: baseOf(base, based)}, err
}

// baseOf keeps the base that an edit names.
func baseOf(base int64, based func(int64) Edit) func(int64) Edit {
	if base != 0 {
		return nil
	}
	return based
}
