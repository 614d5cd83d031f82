package registry

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
)

func TestEachRevocationCanBeMadeAgainFromTheJournal(t *testing.T) {
	when := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	for _, edit := range []Edit{
		SetSecretState{Client: "c", Secret: "s", State: SecretRevoked, WithDescendants: true},
		SetSecretState{Client: "c", Secret: "s", State: SecretDisabled},
		SetClientState{Client: "c", State: Disabled, Base: 3}, SetClientState{Client: "c", State: Deleted},
		SetAccountState{Account: "a", State: Suspended, Base: 3}, SetOrganisationState{State: Suspended, Base: 3}, DeleteOrganisation{Base: 3},
		RemovePermissions{Client: "c", Permissions: []string{"p"}, Base: 3}, WithdrawProduct{Product: "p", Environment: "sandbox"},
		RevokeToken{Client: "c", TokenID: "t", Expires: when}, RevokeInvitation{Invitation: "i"}, DeletePerson{Person: "p"},
		ChangeRoles{Person: "p", Roles: []actor.RoleGrant{{Role: actor.Viewer}}, Base: 3}, RemoveMember{Person: "p", Base: 3},
		SetWebhookState{Webhook: "w", State: WebhookDisabled, Base: 3}, DeleteWebhook{Webhook: "w", Base: 3},
	} {
		again := revocation(actor.NewSystem("test"), edit)
		if again == nil {
			t.Errorf("%T takes nothing away, as the journal sees it", edit)
			continue
		}
		seen[kindOf(again)] = true
		text, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		read, err := revoking[kindOf(again)](text)
		if err != nil {
			t.Errorf("%T: %v", edit, err)
		}
		value := reflect.New(reflect.TypeOf(edit)).Elem()
		value.Set(reflect.ValueOf(edit))
		if base := value.FieldByName("Base"); base.IsValid() { // versions are others after a restore
			base.SetInt(0)
		}
		if diff := cmp.Diff(value.Interface(), read); diff != "" {
			t.Errorf("%T from the journal:\n%s", edit, diff)
		}
	}
	for kind := range revoking {
		if !seen[kind] {
			t.Errorf("nothing becomes a %s", kind)
		}
	}
	t.Run("twin", func(t *testing.T) {
		for _, edit := range []Edit{
			SetSecretState{State: SecretActive}, SetClientState{State: Enabled}, SetAccountState{State: Active}, SetOrganisationState{State: Active},
			SetWebhookState{State: WebhookEnabled}, AddPermissions{}, GrantProduct{}, CreateClient{},
		} {
			if again := revocation(actor.NewSystem("test"), edit); again != nil {
				t.Errorf("%T %+v takes nothing away and is in the journal as %T", edit, edit, again)
			}
		}
	})
}
