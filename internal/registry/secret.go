package registry

import (
	"context"
	"net/netip"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Limits of client secrets.
const (
	MaxSecrets = 10             // of a client that are not revoked
	UndoWindow = 24 * time.Hour // in which a disabled secret can be enabled again
)

// SecretState says what a client secret is good for.
type SecretState string

// The stored states. A secret whose time is up is expired, which is not
// stored: it gets no new tokens, while those that it got stay good.
const (
	SecretActive   SecretState = "active"
	SecretRetiring SecretState = "retiring" // works until EndsAt
	SecretDisabled SecretState = "disabled" // may be enabled again for a day
	SecretRevoked  SecretState = "revoked"  // final
	SecretExpired  SecretState = "expired"  // never stored
)

// Secret is what is known of a client secret; the secret itself is not.
type Secret struct {
	ID          id.Secret     `json:"id"`
	Client      id.Client     `json:"client"`
	Name        string        `json:"name"`
	Digest      secret.Digest `json:"-"`
	State       SecretState   `json:"state"`                  // as stored; see StateAt
	CreatedWith string        `json:"created_with,omitempty"` // the session or client secret that created it
	CreatedBy   string        `json:"created_by,omitempty"`   // the actor that held it, as person:…
	CreatedAt   time.Time     `json:"created_at"`
	ExpiresAt   time.Time     `json:"expires_at,omitzero"` // zero: never
	EndsAt      time.Time     `json:"ends_at,omitzero"`    // of a retiring secret
	DisabledAt  time.Time     `json:"disabled_at,omitzero"`
	RevokedAt   time.Time     `json:"revoked_at,omitzero"`

	// As package usage wrote it, up to 30 s behind; zero: never.
	LastUsedAt   time.Time  `json:"-"`
	LastUsedFrom netip.Addr `json:"-"`
}

// StateAt returns the state at a time, expiry counted in.
func (s *Secret) StateAt(now time.Time) SecretState {
	live := s.State == SecretActive || s.State == SecretRetiring
	if live && (past(s.ExpiresAt, now) || s.State == SecretRetiring && past(s.EndsAt, now)) {
		return SecretExpired
	}
	return s.State
}

func past(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// AddSecret stores the digest of a new secret. It needs the right to grant
// every management permission that the client holds.
type AddSecret struct {
	Client  id.Client     `json:"client"`
	ID      id.Secret     `json:"id"`
	Name    string        `json:"name"`
	Digest  secret.Digest `json:"-"`
	Expires time.Time     `json:"expires,omitzero"` // zero: never
}

func (e AddSecret) apply(ctx context.Context, c *change) error {
	c.says("secret.add", c.by.Organisation(), string(e.ID))
	client, err := c.clientForSecrets(ctx, e.Client)
	if err != nil {
		return err
	}
	c.before = nil
	if _, ok := id.ParseSecret(string(e.ID)); !ok || len(e.Digest) == 0 {
		return fault.Errorf(fault.Invalid, "a secret needs its id and its digest: only who made it can add it")
	}
	if err := validName("secret's name", e.Name); err != nil {
		return err
	}
	if past(e.Expires, c.Now()) {
		return fault.Errorf(fault.Invalid, "the secret would have expired already: choose a later time")
	}
	if err := c.maySecretLive(e.Expires); err != nil {
		return err
	}
	var count int
	err = c.tx.QueryRow(ctx, `SELECT count(*) FROM client_secret WHERE client_id = $1 AND organisation_id = $2 AND state <> 'revoked'`, client.ID, client.Organisation).Scan(&count)
	if err != nil {
		return err
	}
	if count >= MaxSecrets {
		return fault.Errorf(fault.Conflict, "the client has %d secrets already: revoke one first", MaxSecrets)
	}
	return c.insertSecret(ctx, &client, &e)
}

// RetireSecret ends a secret at a date, in favour of its successor: what the
// old one created counts as created with the new one.
type RetireSecret struct {
	Client    id.Client `json:"client"`
	Secret    id.Secret `json:"secret"`
	Successor id.Secret `json:"successor"`
	Ends      time.Time `json:"ends"`
}

func (e RetireSecret) apply(ctx context.Context, c *change) error {
	c.says("secret.retire", c.by.Organisation(), string(e.Secret))
	client, err := c.clientForSecrets(ctx, e.Client)
	if err != nil {
		return err
	}
	s, err := c.secret(ctx, &client, e.Secret)
	if err != nil {
		return err
	}
	successor, err := loadSecret(ctx, c.tx, &client, e.Successor)
	if err != nil {
		return err
	}
	if s.StateAt(c.Now()) != SecretActive || successor.StateAt(c.Now()) != SecretActive || s.ID == successor.ID {
		return fault.Errorf(fault.Conflict, "only an active secret can be retired in favour of another active one")
	}
	if e.Ends.IsZero() {
		return fault.Errorf(fault.Invalid, "say until when the old secret works")
	}
	s.State, s.EndsAt = SecretRetiring, e.Ends
	if now := c.Now(); s.EndsAt.Before(now) {
		s.EndsAt = now
	}
	if err := c.moveDescendants(ctx, &client, s.ID, successor.ID); err != nil {
		return err
	}
	return c.updateSecret(ctx, &client, &s)
}

// SetSecretState disables a secret, enables it again within a day, or revokes
// it. Disabling and revoking end the tokens that it obtained too.
type SetSecretState struct {
	Client          id.Client   `json:"client"`
	Secret          id.Secret   `json:"secret"`
	State           SecretState `json:"state"`
	WithDescendants bool        `json:"with_descendants,omitempty"` // revoke what it created too
}

func (e SetSecretState) apply(ctx context.Context, c *change) error {
	client, err := c.client(ctx, e.Client, 0)
	if err != nil {
		return err
	}
	s, err := c.secret(ctx, &client, e.Secret)
	if err != nil {
		return err
	}
	if s.State == SecretRevoked && e.State != SecretRevoked {
		return fault.Errorf(fault.Conflict, "the secret is revoked for good: add another")
	}
	now := c.Now()
	ability := actor.SecretWrite
	switch e.State {
	case SecretActive:
		c.says("secret.enable", client.Organisation, string(s.ID))
		if err := c.mayTakeOver(ctx, &client); err != nil {
			return err
		}
		if err := s.revive(now); err != nil {
			return err
		}
	case SecretDisabled:
		c.says("secret.disable", client.Organisation, string(s.ID))
		ability = actor.ClientDisable
		if s.State != SecretDisabled { // again must not begin the day again
			s.State, s.DisabledAt = SecretDisabled, now
		}
	case SecretRevoked:
		c.says("secret.revoke", client.Organisation, string(s.ID))
		if s.State != SecretRevoked {
			s.State, s.RevokedAt = SecretRevoked, now
		}
	default:
		return fault.Errorf(fault.Invalid, "the state %q is not one of active, disabled, revoked", e.State)
	}
	if err := c.mayClient(ability, client.Account); err != nil {
		return err
	}
	if e.State == SecretRevoked && e.WithDescendants {
		if err := c.revokeDescendants(ctx, &client, s.ID); err != nil {
			return err
		}
	}
	return c.updateSecret(ctx, &client, &s)
}

// revive undoes disabling: a secret that was retiring goes on retiring. For
// one that is retiring now it cancels that.
func (s *Secret) revive(now time.Time) error {
	switch {
	case s.State == SecretDisabled && past(s.DisabledAt.Add(UndoWindow), now):
		return fault.Errorf(fault.Conflict, "the secret was disabled more than a day ago: add another")
	case s.StateAt(now) == SecretExpired:
		return fault.Errorf(fault.Conflict, "the secret has expired: add another")
	case s.State == SecretDisabled && !s.EndsAt.IsZero():
		s.State = SecretRetiring
	default:
		s.State, s.EndsAt = SecretActive, time.Time{}
	}
	s.DisabledAt = time.Time{}
	return nil
}

// clientForSecrets loads a client to which the actor may add secrets, which in
// production needs a recent sign-in.
func (c *change) clientForSecrets(ctx context.Context, key id.Client) (Client, error) {
	client, err := c.client(ctx, key, 0)
	if err != nil {
		return client, err
	}
	if err := c.mayClient(actor.SecretWrite, client.Account); err != nil {
		return client, err
	}
	if client.Environment() == id.Production {
		if err := c.recently(); err != nil {
			return client, err
		}
	}
	return client, c.mayTakeOver(ctx, &client)
}

// secret loads a client's secret, for an edit.
func (c *change) secret(ctx context.Context, client *Client, key id.Secret) (Secret, error) {
	s, err := loadSecret(ctx, c.tx, client, key)
	c.before = s
	return s, err
}

// AddSecret gives a client one more secret. The Plaintext cannot be read
// again. A zero expires means that the secret does not expire.
func (r *Registry) AddSecret(ctx context.Context, by actor.Actor, client id.Client, name string, expires time.Time) (id.Secret, secret.Plaintext, error) {
	edit, plaintext, err := r.PrepareSecret(client, name, expires)
	if err != nil {
		return "", secret.Plaintext{}, err
	}
	if err := r.Apply(ctx, by, edit); err != nil {
		return "", secret.Plaintext{}, err
	}
	return edit.ID, plaintext, nil
}

// RotateSecret adds a secret and lets the old one retire at a date.
func (r *Registry) RotateSecret(ctx context.Context, by actor.Actor, client id.Client, old id.Secret, name string, expires, ends time.Time) (id.Secret, secret.Plaintext, error) {
	edit, plaintext, err := r.PrepareSecret(client, name, expires)
	if err != nil {
		return "", secret.Plaintext{}, err
	}
	if err := r.Apply(ctx, by, edit, RetireSecret{Client: client, Secret: old, Successor: edit.ID, Ends: ends}); err != nil {
		return "", secret.Plaintext{}, err
	}
	return edit.ID, plaintext, nil
}

// PrepareSecret draws a secret and returns the edit that adds it, to be made
// with others, and the value, to be shown once that edit is made.
func (r *Registry) PrepareSecret(client id.Client, name string, expires time.Time) (AddSecret, secret.Plaintext, error) {
	public := id.NewSecret(r.Rand)
	plaintext, err := r.Mint.New(r.Rand, EnvironmentLetter(client), public)
	return AddSecret{Client: client, ID: public, Name: name, Digest: secret.DigestOf(plaintext), Expires: expires}, plaintext, err
}

// EnvironmentLetter is the letter in the secrets of a client, told by the
// client's id: s for sandbox, p for production, o for clients of organisations
// and the operator.
func EnvironmentLetter(client id.Client) byte {
	switch client.Prefix() {
	case id.SandboxClient:
		return 's'
	case id.ProductionClient:
		return 'p'
	}
	return 'o'
}

// SecretFilter limits a list of client secrets. Empty fields do not.
type SecretFilter struct {
	State SecretState // as of now
}

// Secrets lists the secrets of a client, newest first, revoked ones included.
func (r *Registry) Secrets(ctx context.Context, by actor.Actor, key id.Client, filter SecretFilter, page Page) (list List[Secret], err error) {
	type scope struct {
		Client id.Client
		SecretFilter
	}
	l, err := r.list("secrets", by, scope{key, filter}, page, beforeNewest)
	if err == nil {
		err = validChoice("state", filter.State, SecretActive, SecretRetiring, SecretDisabled, SecretRevoked, SecretExpired)
	}
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		client, err := loadClient(ctx, tx, by, key)
		if err != nil {
			return err
		}
		if err := by.Require(actor.ClientRead, client.Account); err != nil {
			return err
		}
		found, err := l.secrets(ctx, tx, &client, filter)
		list = pageOf(l, found, func(s *Secret) position { return position{micros(s.CreatedAt), string(s.ID)} })
		return err
	})
	return list, err
}

// Secret returns what is known of a client's secret.
func (r *Registry) Secret(ctx context.Context, by actor.Actor, key id.Client, of id.Secret) (s Secret, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		client, err := loadClient(ctx, tx, by, key)
		if err != nil {
			return err
		}
		if err := by.Require(actor.ClientRead, client.Account); err != nil {
			return err
		}
		s, err = loadSecret(ctx, tx, &client, of)
		return err
	})
	return s, err
}

// Descendants returns the live secrets that were created with this one, or with
// what it created, with their last use, for whoever decides about revoking it.
func (r *Registry) Descendants(ctx context.Context, by actor.Actor, key id.Client, of id.Secret) (secrets []Secret, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		client, err := loadClient(ctx, tx, by, key)
		if err != nil {
			return err
		}
		if err := by.Require(actor.ClientRead, client.Account); err != nil {
			return err
		}
		if _, err := loadSecret(ctx, tx, &client, of); err != nil {
			return err
		}
		secrets, err = descendants(ctx, tx, &client, of)
		return err
	})
	return secrets, err
}

// CreatedSecret is a secret as lists of several clients' show it.
type CreatedSecret struct {
	Secret
	ClientName string
	Account    id.Account // empty: not of an account's client
}

// SecretsCreatedBy lists the secrets that an actor of the past created and that
// work now, as far as by may read their clients, newest first. creator is
// written as in the audit log.
func (r *Registry) SecretsCreatedBy(ctx context.Context, by actor.Actor, creator string, page Page) (list List[CreatedSecret], err error) {
	readable, err := whereMay(by, actor.ClientRead)
	if err == nil {
		err = validFilter(creator)
	}
	if err != nil {
		return list, err
	}
	l, err := r.list("secrets created", by, creator, page, beforeNewest)
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		found, err := l.secretsCreatedBy(ctx, tx, by.Organisation(), creator, readable)
		list = pageOf(l, found, func(s *CreatedSecret) position { return position{micros(s.CreatedAt), string(s.ID)} })
		return err
	})
	return list, err
}
