package registry

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// MaxRevokedTokens bounds the live revoked tokens of one client; who revokes
// more disables the secret or the client.
const MaxRevokedTokens = 100

const (
	maxTokenID = 64

	// A token stays known as revoked for a while after it expired: a clock that was
	// wrong and is set back would make it live again.
	clockWrongFor = 24 * time.Hour
	keptRevoked   = 10 * MaxRevokedTokens // of one client; beyond them only those that live
)

// RevokeToken remembers a token as revoked until it would have expired
// (RFC 7009), and a day longer. A client may revoke its own.
type RevokeToken struct {
	Client  id.Client `json:"client"`
	TokenID string    `json:"token_id"`
	Expires time.Time `json:"expires"`
}

func (e RevokeToken) apply(ctx context.Context, c *change) error {
	client, err := c.client(ctx, e.Client, 0)
	if err != nil {
		return err
	}
	c.before = nil
	c.says("token.revoke", client.Organisation, string(client.ID))
	if !validTokenID(e.TokenID) {
		return fault.Errorf(fault.Invalid, "a token's id is 1 to %d visible ASCII characters", maxTokenID)
	}
	if c.by.String() != string(actor.Client)+":"+string(client.ID) {
		if err := c.may(actor.ClientDisable, client.Account); err != nil {
			return err
		}
	}
	known, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM revoked_token WHERE jti = $1 AND client_id = $2 AND organisation_id = $3)`, e.TokenID, client.ID, client.Organisation)
	if known || err != nil {
		return err
	}
	now := c.Now()
	var live, kept int
	err = c.tx.QueryRow(ctx, `SELECT count(CASE WHEN expires_at > $3 THEN 1 END), count(*) FROM revoked_token WHERE client_id = $1 AND organisation_id = $2`,
		client.ID, client.Organisation, now.UnixMicro()).Scan(&live, &kept)
	if err != nil {
		return err
	}
	forget := now.Add(-clockWrongFor)
	if kept >= keptRevoked {
		forget = now
	}
	if err := c.exec(ctx, `DELETE FROM revoked_token WHERE client_id = $1 AND organisation_id = $2 AND expires_at <= $3`, client.ID, client.Organisation, forget.UnixMicro()); err != nil {
		return err
	}
	if live >= MaxRevokedTokens {
		return fault.Errorf(fault.RateLimited, "the client has revoked %d tokens that have not expired: disable its secret instead", MaxRevokedTokens)
	}
	return c.exec(ctx, `INSERT INTO revoked_token (client_id, jti, organisation_id, expires_at) VALUES ($1, $2, $3, $4)`,
		client.ID, e.TokenID, client.Organisation, micros(e.Expires))
}

func validTokenID(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= maxTokenID
}
