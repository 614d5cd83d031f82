package registry

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Limits of an API client.
const (
	DefaultTokenLifetime = 600 * time.Second
	MaxTokenLifetime     = 3600 * time.Second
	MaxNetworks          = 32
)

// Owner is the kind of a client's owner.
type Owner string

// A client has exactly one owner, for ever.
const (
	OwnedByAccount      Owner = "account"
	OwnedByOrganisation Owner = "organisation"
	OwnedByOperator     Owner = "operator"
)

// ClientState says whether a client works.
type ClientState string

// Deleted is final; the row stays so that its id is never used again.
const (
	Enabled  ClientState = "enabled"
	Disabled ClientState = "disabled"
	Deleted  ClientState = "deleted"
)

// Client is a machine identity: what signs in to the token endpoint.
type Client struct {
	ID            id.Client       `json:"id"`
	Owner         Owner           `json:"owner"`
	Organisation  id.Organisation `json:"organisation,omitempty"` // empty: the operator's
	Account       id.Account      `json:"account,omitempty"`      // empty: not an account's
	Name          string          `json:"name"`
	State         ClientState     `json:"state"`
	TokenLifetime time.Duration   `json:"token_lifetime"`     // whole seconds
	Networks      []netip.Prefix  `json:"networks,omitempty"` // where it may call from; none: anywhere
	Contact       id.Person       `json:"contact,omitempty"`  // a member who answers for it; may be empty
	Note          string          `json:"note,omitempty"`     // what people want to know of it; may be empty
	Generation    int64           `json:"generation"`         // from 1, raised when it is disabled
	Version       int64           `json:"version"`            // raised by each edit
	CreatedAt     time.Time       `json:"created_at"`
}

// Environment is the account's, and production for clients of organisations
// and the operator, whose tokens the production key signs.
func (c *Client) Environment() id.Environment {
	if c.Owner == OwnedByAccount {
		return c.Account.Environment()
	}
	return id.Production
}

// idPrefix is the first word of the client's id.
func idPrefix(owner Owner, account id.Account) string {
	switch {
	case owner == OwnedByOperator:
		return id.OperatorClient
	case owner == OwnedByOrganisation:
		return id.OrganisationClient
	case account.Environment() == id.Production:
		return id.ProductionClient
	}
	return id.SandboxClient
}

// CreateClient makes an enabled client. With an account it is that account's,
// else the organisation's in which the actor acts, else the operator's.
type CreateClient struct {
	ID            id.Client      `json:"id"`
	Account       id.Account     `json:"account,omitempty"`
	Name          string         `json:"name"`
	TokenLifetime time.Duration  `json:"token_lifetime,omitempty"` // 0: the default
	Networks      []netip.Prefix `json:"networks,omitempty"`
	Contact       id.Person      `json:"contact,omitempty"` // a member
	Note          string         `json:"note,omitempty"`
}

func (e CreateClient) apply(ctx context.Context, c *change) error {
	owner, err := c.ownerOfNew(ctx, e.Account)
	if err != nil {
		return err
	}
	c.says("client.create", c.by.Organisation(), string(e.ID))
	if err := c.mayClient(actor.ClientWrite, e.Account); err != nil {
		return err
	}
	client := Client{ID: e.ID, Owner: owner, Organisation: c.by.Organisation(), Account: e.Account, Name: e.Name, TokenLifetime: e.TokenLifetime, Networks: e.Networks, Contact: e.Contact, Note: e.Note}
	if client.TokenLifetime == 0 {
		client.TokenLifetime = DefaultTokenLifetime
	}
	if _, ok := id.ParseClient(string(e.ID)); !ok || e.ID.Prefix() != idPrefix(owner, e.Account) {
		return fault.Errorf(fault.Invalid, "a client id is %s-, an adjective, a noun and a number here", idPrefix(owner, e.Account))
	}
	if err := c.validContact(ctx, client.Contact); err != nil {
		return err
	}
	if err := c.validClient(ctx, &client); err != nil {
		return err
	}
	if err := c.maySetUpClient(ctx); err != nil {
		return err
	}
	return c.insertClient(ctx, &client)
}

func (c *change) ownerOfNew(ctx context.Context, account id.Account) (Owner, error) {
	if account != "" {
		a, err := c.account(ctx, account, 0)
		if err == nil && a.State == Suspended {
			err = fault.Errorf(fault.Conflict, "the account is suspended")
		}
		if err != nil {
			return "", err
		}
	}
	if c.by.Organisation() == "" {
		return OwnedByOperator, nil
	}
	o, err := c.organisation(ctx, 0)
	c.before = nil
	switch {
	case err != nil:
		return "", err
	case o.State == Suspended:
		return "", fault.Errorf(fault.Conflict, "the organisation is suspended")
	case account != "":
		return OwnedByAccount, nil
	}
	return OwnedByOrganisation, nil
}

// UpdateClient changes the settings that are not nil.
type UpdateClient struct {
	Client        id.Client       `json:"client"`
	Name          *string         `json:"name,omitempty"`
	TokenLifetime *time.Duration  `json:"token_lifetime,omitempty"`
	Networks      *[]netip.Prefix `json:"networks,omitempty"`
	Contact       *id.Person      `json:"contact,omitempty"` // a member; empty: nobody
	Note          *string         `json:"note,omitempty"`
	Base          int64           `json:"base,omitempty"`
}

func (e UpdateClient) apply(ctx context.Context, c *change) error {
	client, err := c.client(ctx, e.Client, e.Base)
	if err != nil {
		return err
	}
	c.says("client.update", client.Organisation, string(client.ID))
	if err := c.mayClient(actor.ClientWrite, client.Account); err != nil {
		return err
	}
	if e.Name != nil {
		client.Name = *e.Name
	}
	if e.TokenLifetime != nil {
		client.TokenLifetime = *e.TokenLifetime
	}
	if e.Networks != nil {
		client.Networks = *e.Networks
	}
	if e.Note != nil {
		client.Note = *e.Note
	}
	if e.Contact != nil {
		client.Contact = *e.Contact
		if err := c.validContact(ctx, client.Contact); err != nil {
			return err
		}
	}
	if err := c.validClient(ctx, &client); err != nil {
		return err
	}
	return c.updateClient(ctx, &client)
}

// SetClientState enables, disables or deletes a client. Its tokens end with
// each disabling; enabling does not revive them. Enabling needs the right to
// grant every management permission that the client holds.
type SetClientState struct {
	Client id.Client   `json:"client"`
	State  ClientState `json:"state"`
	Base   int64       `json:"base,omitempty"`
}

func (e SetClientState) apply(ctx context.Context, c *change) error {
	client, err := c.client(ctx, e.Client, e.Base)
	if err != nil {
		return err
	}
	var ability actor.Ability
	switch e.State {
	case Enabled:
		c.says("client.enable", client.Organisation, string(client.ID))
		ability = actor.ClientWrite
		if err := c.mayTakeOver(ctx, &client); err != nil {
			return err
		}
	case Disabled:
		c.says("client.disable", client.Organisation, string(client.ID))
		ability = actor.ClientDisable
	case Deleted:
		c.says("client.delete", client.Organisation, string(client.ID))
		ability = actor.ClientWrite
	default:
		return fault.Errorf(fault.Invalid, "the state %q is not one of enabled, disabled, deleted", e.State)
	}
	if err := c.mayClient(ability, client.Account); err != nil {
		return err
	}
	if client.State == Enabled && e.State != Enabled {
		client.Generation++
	}
	client.State = e.State
	return c.updateClient(ctx, &client)
}

// validContact accepts members of the organisation in which the actor acts.
func (c *change) validContact(ctx context.Context, person id.Person) error {
	if person == "" {
		return nil
	}
	_, err := loadMember(ctx, c.tx, c.by.Organisation(), person)
	if fault.KindOf(err) == fault.NotFound {
		return fault.Errorf(fault.Invalid, "the contact has to be a member: choose one, or nobody")
	}
	return err
}

// validClient checks the settings that people choose.
func (c *change) validClient(ctx context.Context, client *Client) error {
	if err := validName("client's name", client.Name); err != nil {
		return err
	}
	if l := client.TokenLifetime; l < time.Second || l > MaxTokenLifetime || l%time.Second != 0 {
		return fault.Errorf(fault.Invalid, "the access-token lifetime needs to be 1 to %d whole seconds", int(MaxTokenLifetime.Seconds()))
	}
	if len(client.Networks) > MaxNetworks {
		return fault.Errorf(fault.Invalid, "a client may be limited to %d networks at most", MaxNetworks)
	}
	for _, network := range client.Networks {
		// An IPv4 address in IPv6 clothes would match no caller, ever.
		if !network.IsValid() || network != network.Masked() || network.Addr().Is4In6() {
			return fault.Errorf(fault.Invalid, "%q is no network: write it like 192.0.2.0/24 or 2001:db8::/32", network)
		}
	}
	if err := validText("note", client.Note); err != nil {
		return err
	}
	taken, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM client WHERE organisation_id = $1 AND account_id = $2 AND name = $3 AND id <> $4 AND state <> 'deleted')`,
		client.Organisation, client.Account, client.Name, client.ID)
	if taken {
		return fault.Errorf(fault.Conflict, "another client here has that name: choose another")
	}
	return err
}

// mayTakeOver asks for the right to grant every management permission that
// the client holds: who can use a client can do what it may.
func (c *change) mayTakeOver(ctx context.Context, client *Client) error {
	permissions, err := clientPermissions(ctx, c.tx, client)
	if err != nil {
		return err
	}
	for _, permission := range permissions {
		if err := c.mayGrantManagement(client, permission); err != nil {
			return err
		}
	}
	return nil
}

// mayGrantManagement refuses to hand on a management permission that the
// actor does not hold on the client's account itself. Other permissions pass.
func (c *change) mayGrantManagement(client *Client, permission string) error {
	ability, ok := strings.CutPrefix(permission, actor.ManagementPrefix)
	if !ok || c.by.May(actor.Ability(ability), client.Account) && c.by.May(actor.PermissionWrite, client.Account) {
		return nil
	}
	return fault.Errorf(fault.Forbidden, "the client %s holds %s, which you may not give yourself; ask someone who may", client.ID, permission)
}

// client loads one of the actor's organisation, for an edit.
func (c *change) client(ctx context.Context, key id.Client, base int64) (Client, error) {
	client, err := loadClient(ctx, c.tx, c.by, key)
	if err != nil {
		return client, err
	}
	c.tx.Changed(journal.ClientChanged, string(key))
	c.before = client
	return client, stale(base, client.Version, "the client")
}

// NewClient is what a client is made of; see [CreateClient].
type NewClient struct {
	Account       id.Account
	Name          string
	TokenLifetime time.Duration
	Networks      []netip.Prefix
	Contact       id.Person
	Note          string
}

// CreateClient makes a client under a fresh id.
func (r *Registry) CreateClient(ctx context.Context, by actor.Actor, n NewClient) (id.Client, error) {
	key, _, _, err := r.SetUpClient(ctx, by, Setup{NewClient: n})
	return key, err
}

// Setup is a client with what it needs to work.
type Setup struct {
	NewClient
	Permissions []string  // none: given later
	Secret      string    // name of its first secret; empty: none
	Expires     time.Time // of that secret; zero: never
	Asks        []string  // permissions that others are asked to give
	Why         string    // in their request
}

// SetUpClient makes a client under a fresh id with permissions and a secret, and
// asks others for more permissions, or nothing of it. The Plaintext cannot be read
// again; without a secret it is zero.
func (r *Registry) SetUpClient(ctx context.Context, by actor.Actor, s Setup) (key id.Client, first id.Secret, value secret.Plaintext, err error) {
	for collisions := 0; ; collisions++ {
		create := r.prepareClient(by, s.NewClient, id.MinClientDigits+collisions/3)
		key = create.ID
		edits := []Edit{create}
		if len(s.Permissions) > 0 {
			edits = append(edits, AddPermissions{Client: key, Permissions: s.Permissions})
		}
		if s.Secret != "" {
			var add AddSecret
			if add, value, err = r.PrepareSecret(key, s.Secret, s.Expires); err != nil {
				return "", "", secret.Plaintext{}, err
			}
			first, edits = add.ID, append(edits, add)
		}
		if len(s.Asks) > 0 {
			edits = append(edits, RequestChange{ID: id.NewRequest(r.Rand), Note: s.Why, Edits: Edits{AddPermissions{Client: key, Permissions: s.Asks}}})
		}
		err = r.Apply(ctx, by, edits...)
		if isTaken(err) && collisions < 20 {
			continue
		}
		if err != nil {
			return "", "", secret.Plaintext{}, err
		}
		return key, first, value, nil
	}
}

// PrepareClient returns the edit that makes a client under a fresh id, which is
// long enough to be free still when the edit is made in a week.
func (r *Registry) PrepareClient(by actor.Actor, n NewClient) CreateClient {
	return r.prepareClient(by, n, id.MinClientDigits+3)
}

func (r *Registry) prepareClient(by actor.Actor, n NewClient, digits int) CreateClient {
	owner := OwnedByOperator
	switch {
	case n.Account != "":
		owner = OwnedByAccount
	case by.Organisation() != "":
		owner = OwnedByOrganisation
	}
	return CreateClient{ID: id.NewClient(r.Rand, idPrefix(owner, n.Account), digits), Account: n.Account, Name: n.Name, TokenLifetime: n.TokenLifetime, Networks: n.Networks, Contact: n.Contact, Note: n.Note}
}

// Client returns a client of the actor's organisation; the operator's own
// clients belong to no organisation.
func (r *Registry) Client(ctx context.Context, by actor.Actor, key id.Client) (client Client, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		if client, err = loadClient(ctx, tx, by, key); err != nil {
			return err
		}
		return by.Require(actor.ClientRead, client.Account)
	})
	return client, err
}
