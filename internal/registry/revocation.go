package registry

import (
	"context"
	"fmt"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// revocation returns the edit that takes away again, in a database restored from
// an older backup, what this edit took away; nil if it took nothing. It has no
// base: there everything has other versions.
func revocation(by actor.Actor, edit Edit) Edit {
	switch e := edit.(type) {
	case SetSecretState:
		return unless(e.State == SecretActive, e)
	case SetClientState:
		e.Base = 0
		return unless(e.State == Enabled, e)
	case SetAccountState:
		e.Base = 0
		return unless(e.State == Active, e)
	case SetOrganisationState:
		e.Base = 0
		return unless(e.State == Active, e)
	case DeleteOrganisation:
		return DeleteOrganisation{}
	case RemovePermissions:
		e.Base = 0
		return e
	case WithdrawProduct, RevokeToken, RevokeInvitation, DeletePerson:
		return e
	case ChangeRoles:
		e.Base = 0
		return e
	case RemoveMember:
		e.Base = 0
		return e
	case LeaveOrganisation:
		return RemoveMember{Person: by.Person()}
	case SetWebhookState:
		e.Base = 0
		return unless(e.State == WebhookEnabled, e)
	case DeleteWebhook:
		e.Base = 0
		return e
	}
	return nil
}

func unless(given bool, edit Edit) Edit {
	if given {
		return nil
	}
	return edit
}

// revoking are the edits that revocation returns.
var revoking = map[string]func(text []byte) (Edit, error){
	"SetSecretState":       decoded[SetSecretState],
	"SetClientState":       decoded[SetClientState],
	"SetAccountState":      decoded[SetAccountState],
	"SetOrganisationState": decoded[SetOrganisationState],
	"DeleteOrganisation":   decoded[DeleteOrganisation],
	"RemovePermissions":    decoded[RemovePermissions],
	"WithdrawProduct":      decoded[WithdrawProduct],
	"RevokeToken":          decoded[RevokeToken],
	"RevokeInvitation":     decoded[RevokeInvitation],
	"DeletePerson":         decoded[DeletePerson],
	"ChangeRoles":          decoded[ChangeRoles],
	"RemoveMember":         decoded[RemoveMember],
	"SetWebhookState":      decoded[SetWebhookState],
	"DeleteWebhook":        decoded[DeleteWebhook],
}

// keepRevocation puts what the edit takes away into the revocation journal.
func (c *change) keepRevocation(edit Edit) error {
	again := revocation(c.by, edit)
	if again == nil {
		return nil
	}
	return c.tx.Revoked(string(c.by.Organisation()), kindOf(again), again)
}

// Revoke makes what a line of the revocation journal says again. What is not
// there any more, or not yet, is fault.NotFound.
func (r *Registry) Revoke(ctx context.Context, line sqldb.Revocation) error {
	decode := revoking[line.Kind]
	if decode == nil {
		return fmt.Errorf("this binary does not know the revocation %q: use the one that wrote the journal", line.Kind)
	}
	edit, err := decode(line.Content)
	if err != nil {
		return fmt.Errorf("read the revocation %s: %w", line.Kind, err)
	}
	return r.Apply(ctx, actor.NewSystem("revocation journal").In(id.Organisation(line.Organisation)), edit)
}
