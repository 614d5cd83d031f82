package registry

import (
	"context"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
)

// What a person may do until they have proved that their e-mail address is
// theirs: try things out, in the one sandbox account that came with signing up.
const (
	UnverifiedClients        = 3                   // of the organisation
	UnverifiedSecretLifetime = 7 * 24 * time.Hour  // of a client secret that they add
	UnverifiedLifetime       = 30 * 24 * time.Hour // then the person is deleted
)

// maySetUpClient bounds how many clients an unverified person sets up.
func (c *change) maySetUpClient(ctx context.Context) error {
	if c.by.Verified() {
		return nil
	}
	var count int
	err := c.tx.QueryRow(ctx, `SELECT count(*) FROM client WHERE organisation_id = $1 AND state <> 'deleted'`, c.by.Organisation()).Scan(&count)
	if err == nil && count >= UnverifiedClients {
		return actor.ErrUnverified
	}
	return err
}

// maySecretLive bounds how long a secret of an unverified person lives.
func (c *change) maySecretLive(expires time.Time) error {
	if c.by.Verified() || !expires.IsZero() && !expires.After(c.Now().Add(UnverifiedSecretLifetime)) {
		return nil
	}
	return fault.Errorf(fault.Forbidden, "until your e-mail address is verified, a secret may live for %d days at most: choose an earlier end, or open the link in the mail that was sent to you", int(UnverifiedSecretLifetime.Hours()/24))
}

// mayHandOutManagement keeps the management API from unverified people.
func (c *change) mayHandOutManagement(permission string) error {
	if strings.HasPrefix(permission, actor.ManagementPrefix) {
		return c.verified()
	}
	return nil
}
