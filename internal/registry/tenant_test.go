package registry_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// target is what an edit or a question names.
type target struct {
	account id.Account
	client  id.Client
	secret  id.Secret
	webhook id.Webhook

	person     id.Person
	invitation id.Invitation
	request    id.Request
}

func (f *fixture) ofA() target {
	return target{f.productionA, f.a1, f.secretA1, f.hookA, f.memberA, f.pendingA, f.requestsA[0]}
}

// without is a text in which all ids of the target look the same.
func (x target) without(text string) string {
	for _, key := range []string{string(x.webhook), string(x.person), string(x.invitation), string(x.request), string(x.account), string(x.client), string(x.secret)} {
		text = strings.ReplaceAll(text, key, "ID")
	}
	return text
}

// naming is every edit that names an object, on a target.
func naming(f *fixture, x target) map[string]registry.Edit {
	name := "n"
	added := f.newSecret(x.client, "newnewnewnew")
	return map[string]registry.Edit{
		"RenameAccount":     registry.RenameAccount{Account: x.account, Name: name},
		"DeleteAccount":     registry.DeleteAccount{Account: x.account},
		"SetAccountState":   registry.SetAccountState{Account: x.account, State: registry.Suspended},
		"CreateClient":      registry.CreateClient{ID: "prod-fresh-apple-123", Account: x.account, Name: name},
		"UpdateClient":      registry.UpdateClient{Client: x.client, Name: &name},
		"SetClientState":    registry.SetClientState{Client: x.client, State: registry.Disabled},
		"AddPermissions":    registry.AddPermissions{Client: x.client, Permissions: []string{"p1.read"}},
		"RemovePermissions": registry.RemovePermissions{Client: x.client, Permissions: []string{"p1.read"}},
		"AddSecret":         added,
		"RetireSecret":      registry.RetireSecret{Client: x.client, Secret: x.secret, Successor: x.secret, Ends: f.Now()},
		"SetSecretState":    registry.SetSecretState{Client: x.client, Secret: x.secret, State: registry.SecretRevoked},
		"RevokeToken":       registry.RevokeToken{Client: x.client, TokenID: "jti", Expires: f.Now()},
		"UpdateWebhook":     registry.UpdateWebhook{Webhook: x.webhook, Name: &name},
		"SetWebhookState":   registry.SetWebhookState{Webhook: x.webhook, State: registry.WebhookEnabled},
		"TestWebhook":       registry.TestWebhook{Webhook: x.webhook},
		"DeleteWebhook":     registry.DeleteWebhook{Webhook: x.webhook},

		"ReplaceWebhookSecret": registry.ReplaceWebhookSecret{Webhook: x.webhook, Sealed: []byte("x")},
		"ChangeRoles":          registry.ChangeRoles{Person: x.person, Roles: []actor.RoleGrant{{Role: actor.Viewer}}},
		"RemoveMember":         registry.RemoveMember{Person: x.person},
		"ResendInvitation":     registry.ResendInvitation{Invitation: x.invitation, Token: f.tokenA},
		"ApproveRequest":       registry.ApproveRequest{Request: x.request},
		"DeclineRequest":       registry.DeclineRequest{Request: x.request},
		"RevokeInvitation":     registry.RevokeInvitation{Invitation: x.invitation},
	}
}

// asking is every question that names an object, on a target.
func asking(t *testing.T, f *fixture, by actor.Actor, x target) map[string]error {
	t.Helper()
	_, account := f.Account(t.Context(), by, x.account)
	_, client := f.Client(t.Context(), by, x.client)
	_, permissions := f.Permissions(t.Context(), by, x.client)
	_, secrets := f.Secrets(t.Context(), by, x.client, registry.SecretFilter{}, registry.Page{})
	_, descendants := f.Descendants(t.Context(), by, x.client, x.secret)
	_, webhook := f.Webhook(t.Context(), by, x.webhook)
	_, member := f.Member(t.Context(), by, x.person)
	_, request := f.Request(t.Context(), by, x.request)
	return map[string]error{"Request": request, "Member": member, "Webhook": webhook, "Account": account, "Client": client, "Permissions": permissions, "Secrets": secrets, "Descendants": descendants}
}

func TestTEN03_anotherOrganisationsObjectIsLikeAnUnknownOne(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ofA := f.ofA()
		nowhere := target{unknownAccount, unknownClient, unknownSecret, unknownWebhook, unknownPerson, unknownInvitation, unknownRequest}
		actors := map[string]actor.Actor{
			"admin of B": f.adminB, "viewer of B": person("p-viewer", f.orgB, actor.Viewer), "operator in B": f.operator.In(f.orgB),
			"operator in none": f.operator, "client of B": actor.NewClient(f.b1, f.orgB, f.productionB, f.secretB1, []string{"management.client.read", "management.client.write", "management.secret.write"}),
			"nobody": {},
		}
		named := map[reflect.Type]bool{}
		for who, by := range actors {
			unknown := naming(f, nowhere)
			for name, edit := range naming(f, ofA) {
				named[reflect.TypeOf(edit)] = true
				t.Run("TEN-03 "+name+" by "+who, func(t *testing.T) {
					got, want := f.Apply(t.Context(), by, edit), f.Apply(t.Context(), by, unknown[name])
					wantKind(t, got, fault.NotFound)
					if got != nil && want != nil && ofA.without(got.Error()) != nowhere.without(want.Error()) {
						t.Errorf("A's object: %q, an unknown one: %q", got, want)
					}
					t.Run("twin", func(t *testing.T) {
						if got := f.tried(t, f.operator.In(f.orgA), edit); got != "allowed" && (name != "RetireSecret" && name != "DeleteAccount" || got != "conflict") {
							t.Errorf("in A: %s", got)
						}
					})
				})
			}
			questions := asking(t, f, by, nowhere)
			for name, got := range asking(t, f, by, ofA) {
				t.Run("TEN-03 "+name+" by "+who, func(t *testing.T) {
					wantKind(t, got, fault.NotFound)
					if want := questions[name]; got != nil && want != nil && ofA.without(got.Error()) != nowhere.without(want.Error()) {
						t.Errorf("A's object: %q, an unknown one: %q", got, want)
					}
					t.Run("twin", func(t *testing.T) {
						if err := asking(t, f, f.adminA, ofA)[name]; err != nil {
							t.Errorf("in A: %v", err)
						}
					})
				})
			}
		}
		for _, row := range editRows() { // a new edit that names an object joins by itself
			edit := reflect.TypeOf(row.edit(f))
			for field := range edit.Fields() {
				kind := field.Type
				reference := kind == reflect.TypeFor[id.Account]() || kind == reflect.TypeFor[id.Client]() || kind == reflect.TypeFor[id.Webhook]() || kind == reflect.TypeFor[id.Secret]() || kind == reflect.TypeFor[id.Person]() || kind == reflect.TypeFor[id.Invitation]() || kind == reflect.TypeFor[id.Request]()
				if reference && row.as == nil && !named[edit] && field.Name != "ID" {
					t.Errorf("%s names an object and has no row in naming", edit)
				}
			}
		}
	})
}

func TestTEN03_idsThatDoNotBelongTogether(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for name, x := range map[string]target{
			"secret of another client":       {f.productionA, f.a2, f.secretA1, f.hookA, f.memberA, f.pendingA, f.requestsA[0]},
			"secret of another organisation": {f.productionA, f.a1, f.secretB1, f.hookA, f.memberA, f.pendingA, f.requestsA[0]},
		} {
			t.Run("TEN-03 "+name, func(t *testing.T) {
				for _, edit := range []string{"RetireSecret", "SetSecretState"} {
					wantKind(t, f.Apply(t.Context(), f.adminA, naming(f, x)[edit]), fault.NotFound)
				}
				wantKind(t, asking(t, f, f.adminA, x)["Descendants"], fault.NotFound)
				t.Run("twin", func(t *testing.T) {
					x := f.ofA()
					if got := f.tried(t, f.adminA, naming(f, x)["SetSecretState"]); got != "allowed" {
						t.Errorf("the right pair: %s", got)
					}
				})
			})
		}
	})
}

// Where a thing belongs is the actor's to say, never the edit's.
func TestTEN04_noEditNamesTheOrganisationItIsMadeIn(t *testing.T) {
	f := &fixture{Registry: &registry.Registry{Config: registry.Config{Now: newClock().Now}}}
	for _, row := range editRows() {
		edit := reflect.TypeOf(row.edit(f))
		for field := range edit.Fields() {
			own := edit == reflect.TypeFor[registry.CreateOrganisation]() && field.Name == "ID"
			forbidden := field.Type == reflect.TypeFor[id.Organisation]() || field.Type == reflect.TypeFor[registry.Owner]() || field.Name == "CreatedWith"
			if forbidden && !own {
				t.Errorf("%s has the field %s", edit, field.Name)
			}
		}
	}
}

func TestTEN10_thePersonHasTheRightsOfTheAddressedOrganisationOnly(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before := dump(t, f.DB)["organisation"]
		viewerInB := person("p-both", f.orgB, actor.Viewer) // admin of A, who is a viewer here
		wantKind(t, f.Apply(t.Context(), viewerInB, registry.RenameOrganisation{Name: "taken over"}), fault.Forbidden)
		if diff := cmp.Diff(before, dump(t, f.DB)["organisation"]); diff != "" {
			t.Error(diff)
		}
		t.Run("twin", func(t *testing.T) {
			f.must(t, f.adminA.In(f.orgB), registry.RenameOrganisation{Name: "still A"}) // a customer does not move
			if o, err := f.Organisation(t.Context(), f.adminB); err != nil || o.Name != "B" {
				t.Errorf("B is %+v, %v", o, err)
			}
		})
	})
}
