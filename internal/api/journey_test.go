package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/management"
)

// The whole way of a new customer, by the generated client alone.
func TestOrganisationToCall(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		ctx := t.Context()
		api := p.client(t, p.caller(t, "", "", p.permissions...))
		organisation, err := api.CreateOrganisationWithResponse(ctx, nil, management.OrganisationCreation{Name: "Acme"})
		if err != nil || organisation.JSON201 == nil {
			t.Fatalf("create the organisation: %v %s", err, organisation.Body)
		}
		account, err := api.CreateAccountWithResponse(ctx, nil, management.AccountCreation{OrganisationID: &organisation.JSON201.ID, Environment: management.EnvironmentSandbox, Name: "Sandbox"})
		if err != nil || account.JSON201 == nil {
			t.Fatalf("create the account: %v %s", err, account.Body)
		}
		client, err := api.CreateClientWithResponse(ctx, nil, management.ClientCreation{Owner: management.OwnerAccount, AccountID: &account.JSON201.ID, Name: "Web shop"})
		if err != nil || client.JSON201 == nil {
			t.Fatalf("create the client: %v %s", err, client.Body)
		}
		key := client.JSON201.ClientID
		permissions, err := api.ChangeClientPermissionsWithResponse(ctx, key, nil, management.ClientPermissionsChange{Add: &[]string{"echo.call"}})
		if err != nil || permissions.JSON200 == nil {
			t.Fatalf("add the permission: %v %s", err, permissions.Body)
		}
		expires := time.Now().Add(90 * 24 * time.Hour)
		secret, err := api.CreateSecretWithResponse(ctx, key, nil, management.SecretCreation{Name: "ci", ExpiresAt: &expires})
		if err != nil || secret.JSON201 == nil {
			t.Fatalf("add the secret: %v %s", err, secret.Body)
		}
		got, err := api.GetClientWithResponse(ctx, key)
		if err != nil || got.JSON200 == nil || got.JSON200.Secrets.Working != 1 || len(got.JSON200.Permissions) != 1 || got.HTTPResponse.Header.Get("ETag") == "" {
			t.Fatalf("read the client: %v %s", err, got.Body)
		}
		p.refresh(t)
		source := p.Source(servertest.Client{ID: id.Client(key), Value: secret.JSON201.ClientSecret})
		token, err := source.Token(ctx)
		if err != nil {
			t.Fatal(err)
		}
		call := p.do(t, &caller{token: token}, http.MethodGet, "/../../echo/hello", "")
		call.has(t, "a path with dots", http.StatusBadRequest, "request_malformed")
		if answer := p.call(t, token, "/echo/hello"); answer != http.StatusOK {
			t.Errorf("the call answers %d", answer)
		}
		revoked, err := api.RevokeSecretWithResponse(ctx, key, secret.JSON201.ID, management.SecretRevocation{})
		if err != nil || revoked.JSON200 == nil || revoked.JSON200.State != management.SecretStateRevoked {
			t.Fatalf("revoke the secret: %v %s", err, revoked.Body)
		}
		p.refresh(t)
		if answer := p.call(t, token, "/echo/hello"); answer != http.StatusUnauthorized {
			t.Errorf("the call after revocation answers %d", answer)
		}
	})
}

func (p *platform) call(t testing.TB, token, path string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := p.httpClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
