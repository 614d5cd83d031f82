package resourceserver

import (
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/jwt"
)

// Token is what a verified access token or assertion says. Treat it as immutable; then it is
// safe for concurrent use.
type Token struct {
	ID             string   // jti; "" in an assertion
	Issuer         string   // iss
	Audience       string   // aud
	ClientID       string   // sub, which is client_id, too
	AccountID      string   // account_id; "" for clients of an organisation or of the operator
	OrganisationID string   // organisation_id; "" for clients of the operator
	Sandbox        bool     // sandbox
	Scope          string   // scope, as the token endpoint granted it
	Permissions    []string // what the token permits
	IssuedAt       time.Time
	Expiry         time.Time
}

// newToken reads the claims. A token of the default scope lists its permissions;
// in a narrowed one they are the scope.
func newToken(c *jwt.Claims) *Token {
	permissions := c.Permissions
	client := c.ClientID
	if client == "" {
		client = c.Subject // an assertion names the client there alone
	}
	if permissions == nil {
		permissions = strings.Fields(c.Scope)
	}
	return &Token{
		ID:             c.ID,
		Issuer:         c.Issuer,
		Audience:       c.Audience,
		ClientID:       client,
		AccountID:      c.AccountID,
		OrganisationID: c.OrganisationID,
		Sandbox:        c.Sandbox,
		Scope:          c.Scope,
		Permissions:    permissions,
		IssuedAt:       time.Unix(c.IssuedAt, 0),
		Expiry:         time.Unix(c.Expiry, 0),
	}
}

// HasPermission tells whether the token permits it. Names are compared byte for
// byte; there are no wildcards.
func (t *Token) HasPermission(permission string) bool {
	return slices.Contains(t.Permissions, permission)
}
