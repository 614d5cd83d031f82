package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// Declaration says what shall be. What it leaves out, a nil slice or pointer or
// an empty text, stays as it is; secrets are never part of it.
type Declaration struct {
	Products      []Definition // managed ones; each is whole
	Organisations []DeclaredOrganisation
	Clients       []DeclaredClient // of the operator
}

// DeclaredOrganisation is the organisation of that id; without one, the
// organisation of that name or a new one. The same holds for accounts within
// their organisation and clients within their owner.
type DeclaredOrganisation struct {
	ID       id.Organisation
	Name     string
	State    State
	Grants   []ProductGrant
	Accounts []DeclaredAccount
	Clients  []DeclaredClient // of the organisation itself
}

// DeclaredAccount is an account of an organisation.
type DeclaredAccount struct {
	ID          id.Account
	Environment id.Environment // needed for a new one
	Name        string
	State       State
	Clients     []DeclaredClient
}

// DeclaredClient is a client of an owner.
type DeclaredClient struct {
	ID            id.Client
	Name          string
	State         ClientState // enabled or disabled
	TokenLifetime *time.Duration
	Networks      *[]netip.Prefix
	Contact       *id.Person // a member; empty: nobody
	Note          *string
	Permissions   *[]string // all that it shall hold
}

// PlannedAction says what a step of a plan does.
type PlannedAction string

// Accounts, organisations and products are never deleted.
const (
	PlanCreate PlannedAction = "create"
	PlanChange PlannedAction = "change"
	PlanDelete PlannedAction = "delete"
)

// PlannedStep is one thing that a declaration creates, changes or deletes.
type PlannedStep struct {
	Action       PlannedAction
	Kind         string // product, organisation, account, client or grant
	ID           string // empty: not made yet
	Name         string
	Organisation string // the name of where it is; empty at operator level
	Account      string // the name of the account that owns it
	Fields       []PlannedField
}

// PlannedField is a property before and after a step; nil is absent.
type PlannedField struct {
	Name          string
	Before, After any
}

// MaxSteps is how many steps a plan may have that is not the operator's. All other
// changes wait while it is made.
const MaxSteps = 2000

// Plan is what a declaration changes, in the order of the declaration.
type Plan struct {
	Steps []PlannedStep
	// Digest names the plan: two that do the same to the same have the same.
	Digest string
}

// Declaring says how a declaration is applied.
type Declaring struct {
	Prune    bool   // delete clients and withdraw grants that a declared list leaves out
	DryRun   bool   // find out whether it could be made, and make nothing
	Expected string // the Digest of the plan that was agreed to; "": any
}

// Declare makes what is declared to be so, in one transaction or not at all. The
// steps are found in that transaction: of two at once, the second starts from
// what the first has made. Each change needs the ability that it needs alone.
func (r *Registry) Declare(ctx context.Context, by actor.Actor, d Declaration, how Declaring) (plan Plan, err error) {
	if err := by.Require(actor.DeclarationWrite, ""); err != nil {
		return plan, err
	}
	last, err := r.perform(ctx, by, how.DryRun, func(ctx context.Context, tx *sqldb.Tx) ([]placed, error) {
		p := &planner{Registry: r, tx: tx, by: by, prune: how.Prune, taken: map[id.Client]bool{}}
		if err := p.declaration(ctx, &d); err != nil {
			return nil, err
		}
		plan = Plan{p.steps, digestOf(p.steps)}
		if how.Expected != "" && how.Expected != plan.Digest {
			return nil, fault.New(fault.VersionStale, "what is stored was changed since that plan was made: plan again and look at it")
		}
		if len(plan.Steps) == 0 {
			return nil, errTakenBack
		}
		return p.edits(), nil
	})
	switch {
	case errors.Is(err, errTakenBack):
		plan.forgetNew()
		return plan, nil
	case err != nil && ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return plan, fault.Errorf(fault.Invalid, "so many changes take too long in one transaction: declare fewer at once, such as one organisation in each file: %w", err)
	case err != nil && last != nil && last.refused != nil && !how.DryRun:
		return plan, r.recordRefusal(ctx, last, err)
	}
	return plan, err
}

// digestOf leaves out the ids of what is new, which are drawn.
func digestOf(steps []PlannedStep) string {
	p := Plan{Steps: append([]PlannedStep{}, steps...)}
	p.forgetNew()
	text, err := json.Marshal(p.Steps)
	if err != nil {
		return "" // never: all of it came from JSON
	}
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:16])
}

// forgetNew removes ids that were drawn for what is not made.
func (p *Plan) forgetNew() {
	for i := range p.Steps {
		if p.Steps[i].Action == PlanCreate && p.Steps[i].Kind != "product" {
			p.Steps[i].ID = ""
		}
	}
}

// Declared returns what a declaration would say of all that the actor can
// declare: the organisation in which it acts, or at operator level everything.
func (r *Registry) Declared(ctx context.Context, by actor.Actor) (d Declaration, err error) {
	if err := by.Require(actor.DeclarationRead, ""); err != nil {
		return d, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		d = Declaration{}
		if by.Organisation() == "" {
			products, err := rowsOf(ctx, tx, scanProduct, liveProducts+` ORDER BY p.key`)
			if err != nil {
				return err
			}
			d.Products = []Definition{}
			for _, p := range products {
				if p.Source == Managed {
					d.Products = append(d.Products, p.Definition)
				}
			}
			clients, err := declarableClients(ctx, tx, "")
			if err != nil {
				return err
			}
			d.Clients = declaredClients(clients, "")
		}
		organisations, err := declarableOrganisations(ctx, tx, by)
		if err != nil {
			return err
		}
		d.Organisations = []DeclaredOrganisation{}
		for i := range organisations {
			o, err := declaredOrganisation(ctx, tx, &organisations[i])
			if err != nil {
				return err
			}
			d.Organisations = append(d.Organisations, o)
		}
		return nil
	})
	return d, err
}

func declaredOrganisation(ctx context.Context, tx *sqldb.Tx, o *Organisation) (d DeclaredOrganisation, err error) {
	d = DeclaredOrganisation{ID: o.ID, Name: o.Name, State: o.State, Accounts: []DeclaredAccount{}}
	if d.Grants, err = grantsOf(ctx, tx, o.ID); err != nil {
		return d, err
	}
	accounts, err := accountsOf(ctx, tx, o.ID)
	if err != nil {
		return d, err
	}
	clients, err := declarableClients(ctx, tx, o.ID)
	if err != nil {
		return d, err
	}
	for _, a := range accounts {
		d.Accounts = append(d.Accounts, DeclaredAccount{
			ID: a.ID, Environment: a.ID.Environment(), Name: a.Name, State: a.State, Clients: declaredClients(clients, a.ID),
		})
	}
	d.Clients = declaredClients(clients, "")
	return d, nil
}

// declaredClients are those of one owner.
func declaredClients(all []clientWithPermissions, account id.Account) []DeclaredClient {
	declared := []DeclaredClient{}
	for _, c := range all {
		if c.Account == account {
			declared = append(declared, DeclaredClient{
				ID: c.ID, Name: c.Name, State: c.State, TokenLifetime: &c.TokenLifetime, Networks: &c.Networks,
				Contact: &c.Contact, Note: &c.Note, Permissions: &c.permissions,
			})
		}
	}
	return declared
}
