package registry

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// phase is when an edit of a plan is made: what others stand on comes first,
// and what nobody shall hold any more goes before it is gone.
type phase int

const (
	takeFirst phase = iota // clients that go, permissions that are taken away
	putProducts
	openOrganisations
	grantProducts
	openAccounts
	makeClients
	givePermissions
	closeLast // what is disabled, suspended or withdrawn
	phases
)

// planner compares a declaration with what is stored, in one transaction.
type planner struct {
	*Registry
	tx    *sqldb.Tx
	by    actor.Actor
	prune bool
	taken map[id.Client]bool // ids of new clients
	steps []PlannedStep
	queue [phases][]placed
}

func (p *planner) edits() []placed { return slices.Concat(p.queue[:]...) }

// later queues an edit of a step.
func (p *planner) later(when phase, by actor.Actor, s *PlannedStep, edit Edit) {
	p.queue[when] = append(p.queue[when], placed{by, edit, s.Kind + " " + s.Name})
}

// add notes a step, unless it changes nothing.
func (p *planner) add(s *PlannedStep) {
	if s.Action != PlanChange || len(s.Fields) > 0 {
		p.steps = append(p.steps, *s)
	}
}

// bounded keeps a customer from holding up all other changes with one of theirs.
func (p *planner) bounded() error {
	if p.by.Operator() || len(p.steps) <= MaxSteps {
		return nil
	}
	return fault.Errorf(fault.Invalid, "one declaration makes %d changes at most: declare fewer at once, such as one account in each file", MaxSteps)
}

// differs notes a field that is declared to be another than it is.
func (s *PlannedStep) differs(name string, before, after any) bool {
	if reflect.DeepEqual(before, after) {
		return false
	}
	s.Fields = append(s.Fields, PlannedField{name, before, after})
	return true
}

// sets notes a field of something new.
func (s *PlannedStep) sets(name string, value any) {
	if v := reflect.ValueOf(value); v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return
	}
	s.Fields = append(s.Fields, PlannedField{Name: name, After: value})
}

func (p *planner) declaration(ctx context.Context, d *Declaration) error {
	if (d.Products != nil || d.Clients != nil) && (p.by.Organisation() != "" || !p.by.Operator()) {
		return fault.Errorf(fault.Forbidden, "products and clients of the operator are declared by the operator, without naming an organisation: leave products and clients out beside organisations")
	}
	if err := p.products(ctx, d.Products); err != nil {
		return err
	}
	if err := p.organisations(ctx, d.Organisations); err != nil {
		return err
	}
	if d.Clients == nil {
		return nil
	}
	present, err := declarableClients(ctx, p.tx, "")
	if err != nil {
		return err
	}
	return p.clients(ctx, owner{by: p.by, prefix: idPrefix(OwnedByOperator, "")}, d.Clients, present)
}

// products puts those that differ. One that is no longer declared stays.
func (p *planner) products(ctx context.Context, declared []Definition) error {
	seen := map[string]bool{}
	for _, d := range declared {
		if seen[d.Key] {
			return fault.Errorf(fault.Invalid, "the product %s is declared twice: remove one", d.Key)
		}
		seen[d.Key] = true
		next := d.normal()
		s := PlannedStep{Action: PlanChange, Kind: "product", ID: next.Key, Name: next.Key}
		live, err := loadProduct(ctx, p.tx, next.Key)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			s.Action = PlanCreate
		case err != nil:
			return err
		case sameDefinition(live.Definition, next):
			continue
		}
		if err := s.compare(live.Definition, next); err != nil {
			return err
		}
		p.add(&s)
		p.later(putProducts, p.by, &s, PutProduct{Definition: next, Source: Managed, Base: live.Version})
	}
	return nil
}

// compare notes the members that differ in the JSON of two values.
func (s *PlannedStep) compare(before, after any) error {
	var members [2]map[string]any
	for i, value := range []any{before, after} {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &members[i]); err != nil {
			return err
		}
	}
	if s.Action == PlanCreate {
		members[0] = nil
	}
	names := maps.Clone(members[1])
	maps.Copy(names, members[0])
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name != "key" {
			s.differs(name, members[0][name], members[1][name])
		}
	}
	return nil
}

func (p *planner) organisations(ctx context.Context, declared []DeclaredOrganisation) error {
	if len(declared) == 0 {
		return nil
	}
	present, err := declarableOrganisations(ctx, p.tx, p.by)
	if err != nil {
		return err
	}
	m := newMatching("organisation", present, func(o *Organisation) (string, string) { return string(o.ID), o.Name })
	for i := range declared {
		d := &declared[i]
		o, err := m.find(string(d.ID), d.Name)
		if err != nil {
			return err
		}
		if o == nil && p.by.Organisation() != "" {
			return fault.Errorf(fault.Forbidden, "an organisation is created by the operator, without naming another: to declare the organisation %s, give its id", p.by.Organisation())
		}
		if err := p.organisation(ctx, d, o); err != nil {
			return err
		}
	}
	return nil
}

// organisation plans one; o is nil if it is new.
func (p *planner) organisation(ctx context.Context, d *DeclaredOrganisation, o *Organisation) error {
	s := PlannedStep{Action: PlanChange, Kind: "organisation", Name: d.Name}
	var at actor.Actor
	if o == nil {
		key := id.NewOrganisation(p.Rand)
		s.Action, s.ID = PlanCreate, string(key)
		s.sets("name", d.Name)
		p.later(openOrganisations, p.by, &s, CreateOrganisation{ID: key, Name: d.Name})
		at = p.by.In(key)
		o = &Organisation{Name: d.Name, State: Active}
	} else {
		s.ID, at = string(o.ID), p.by.In(o.ID)
		if s.Name == "" {
			s.Name = o.Name
		}
		if d.Name != "" && s.differs("name", o.Name, d.Name) {
			p.later(openOrganisations, at, &s, RenameOrganisation{Name: d.Name})
		}
	}
	if d.State != "" && s.differs("state", o.State, d.State) {
		p.later(closing(d.State, openOrganisations), at, &s, SetOrganisationState{State: d.State})
	}
	p.add(&s)
	if err := p.grants(ctx, at, s.Name, d.Grants); err != nil {
		return err
	}
	return p.insideOf(ctx, at, s.Name, d)
}

// closing is when a state comes: what suspends waits until all else is done.
func closing(state State, opening phase) phase {
	if state == Active {
		return opening
	}
	return closeLast
}

func (p *planner) grants(ctx context.Context, at actor.Actor, organisation string, declared []ProductGrant) error {
	if declared == nil {
		return nil
	}
	present, err := grantsOf(ctx, p.tx, at.Organisation())
	if err != nil {
		return err
	}
	step := func(action PlannedAction, g ProductGrant) *PlannedStep {
		s := &PlannedStep{Action: action, Kind: "grant", Name: g.Product + " in " + string(g.Environment), Organisation: organisation}
		p.add(s)
		return s
	}
	granted, wanted := map[ProductGrant]bool{}, map[ProductGrant]bool{}
	for _, g := range present {
		granted[g] = true
	}
	for _, g := range declared {
		if wanted[g] = true; !granted[g] {
			granted[g] = true // declared twice is granted once
			p.later(grantProducts, at, step(PlanCreate, g), GrantProduct(g))
		}
	}
	for _, g := range present {
		if p.prune && !wanted[g] {
			p.later(closeLast, at, step(PlanDelete, g), WithdrawProduct(g))
		}
	}
	return p.bounded()
}

// insideOf plans the accounts and clients of an organisation.
func (p *planner) insideOf(ctx context.Context, at actor.Actor, organisation string, d *DeclaredOrganisation) error {
	if d.Accounts == nil && d.Clients == nil {
		return nil
	}
	accounts, err := accountsOf(ctx, p.tx, at.Organisation())
	if err != nil {
		return err
	}
	clients, err := declarableClients(ctx, p.tx, at.Organisation())
	if err != nil {
		return err
	}
	m := newMatching("account", accounts, func(a *Account) (string, string) { return string(a.ID), a.Name })
	for i := range d.Accounts {
		declared := &d.Accounts[i]
		a, err := m.find(string(declared.ID), declared.Name)
		if err == nil {
			err = p.account(ctx, at, organisation, declared, a, clients)
		}
		if err == nil {
			err = p.bounded()
		}
		if err != nil {
			return about("organisation "+organisation, err)
		}
	}
	if d.Clients == nil {
		return nil
	}
	return p.clients(ctx, owner{by: at, prefix: idPrefix(OwnedByOrganisation, ""), organisation: organisation}, d.Clients, clients)
}

// account plans one; a is nil if it is new.
func (p *planner) account(ctx context.Context, at actor.Actor, organisation string, d *DeclaredAccount, a *Account, clients []clientWithPermissions) error {
	s := PlannedStep{Action: PlanChange, Kind: "account", Name: d.Name, Organisation: organisation}
	if a == nil {
		if !d.Environment.Valid() {
			return fault.Errorf(fault.Invalid, "the account %s is new: say whether its environment is sandbox or production", d.Name)
		}
		a = &Account{ID: id.NewAccount(p.Rand, d.Environment), Name: d.Name, State: Active}
		s.Action, s.ID = PlanCreate, string(a.ID)
		s.sets("environment", string(d.Environment))
		p.later(openAccounts, at, &s, CreateAccount{ID: a.ID, Name: d.Name})
	} else {
		s.ID = string(a.ID)
		if s.Name == "" {
			s.Name = a.Name
		}
		if d.Environment != "" && d.Environment != a.ID.Environment() {
			return fault.Errorf(fault.Invalid, "the account %s is %s for ever: declare another account for %s", s.Name, a.ID.Environment(), d.Environment)
		}
		if d.Name != "" && s.differs("name", a.Name, d.Name) {
			p.later(openAccounts, at, &s, RenameAccount{Account: a.ID, Name: d.Name})
		}
	}
	if d.State != "" && s.differs("state", a.State, d.State) {
		p.later(closing(d.State, openAccounts), at, &s, SetAccountState{Account: a.ID, State: d.State})
	}
	p.add(&s)
	if d.Clients == nil {
		return nil
	}
	of := owner{by: at, account: a.ID, prefix: idPrefix(OwnedByAccount, a.ID), organisation: organisation, accountName: s.Name}
	return p.clients(ctx, of, d.Clients, clients)
}

// owner is where declared clients are.
type owner struct {
	by                        actor.Actor
	account                   id.Account // empty: the organisation's or the operator's own
	prefix                    string     // of their ids
	organisation, accountName string
}

// clients plans those of an owner; present may hold others' too.
func (p *planner) clients(ctx context.Context, of owner, declared []DeclaredClient, present []clientWithPermissions) error {
	own := slices.DeleteFunc(slices.Clone(present), func(c clientWithPermissions) bool { return c.Account != of.account })
	m := newMatching("client", own, func(c *clientWithPermissions) (string, string) { return string(c.ID), c.Name })
	for i := range declared {
		c, err := m.find(string(declared[i].ID), declared[i].Name)
		if err == nil && c == nil {
			err = p.newClient(ctx, of, &declared[i])
		} else if err == nil {
			p.presentClient(of, &declared[i], c)
		}
		if err == nil {
			err = p.bounded()
		}
		if err != nil {
			return about(of.String(), err)
		}
	}
	if !p.prune {
		return nil
	}
	for _, c := range m.left() {
		if p.by.String() == "client:"+string(c.ID) {
			return fault.Errorf(fault.Conflict, "the client %s makes this change and is not declared: declare it, or do without prune", c.ID)
		}
		s := of.step(PlanDelete, string(c.ID), c.Name)
		p.add(&s)
		p.later(takeFirst, of.by, &s, SetClientState{Client: c.ID, State: Deleted})
	}
	return p.bounded()
}

func (o owner) String() string {
	switch {
	case o.accountName != "":
		return "account " + o.accountName + " of organisation " + o.organisation
	case o.organisation != "":
		return "organisation " + o.organisation
	}
	return ""
}

func (o owner) step(action PlannedAction, key, name string) PlannedStep {
	return PlannedStep{Action: action, Kind: "client", ID: key, Name: name, Organisation: o.organisation, Account: o.accountName}
}

func (p *planner) newClient(ctx context.Context, of owner, d *DeclaredClient) error {
	key, err := p.freshClient(ctx, of.prefix)
	if err != nil {
		return err
	}
	s := of.step(PlanCreate, string(key), d.Name)
	edit := CreateClient{ID: key, Account: of.account, Name: d.Name}
	if d.TokenLifetime != nil {
		if edit.TokenLifetime = *d.TokenLifetime; edit.TokenLifetime == 0 {
			edit.TokenLifetime = -1 // refused: the default is for those that leave it out
		}
		s.sets("token_lifetime", seconds(*d.TokenLifetime))
	}
	if d.Networks != nil {
		edit.Networks = *d.Networks
		s.sets("networks", texts(*d.Networks))
	}
	if d.Contact != nil {
		edit.Contact = *d.Contact
		s.sets("contact_id", string(edit.Contact))
	}
	if d.Note != nil {
		edit.Note = *d.Note
		s.sets("note", edit.Note)
	}
	p.later(makeClients, of.by, &s, edit)
	if d.Permissions != nil {
		wanted := sortedSet(*d.Permissions)
		s.sets("permissions", wanted)
		if len(wanted) > 0 {
			p.later(givePermissions, of.by, &s, AddPermissions{Client: key, Permissions: wanted})
		}
	}
	if d.State != "" && d.State != Enabled {
		s.sets("state", string(d.State))
		p.later(closeLast, of.by, &s, SetClientState{Client: key, State: d.State})
	}
	p.add(&s)
	return nil
}

func (p *planner) presentClient(of owner, d *DeclaredClient, c *clientWithPermissions) {
	s := of.step(PlanChange, string(c.ID), c.Name)
	edit := UpdateClient{Client: c.ID}
	if d.Name != "" && s.differs("name", c.Name, d.Name) {
		edit.Name = &d.Name
	}
	if d.TokenLifetime != nil && s.differs("token_lifetime", seconds(c.TokenLifetime), seconds(*d.TokenLifetime)) {
		edit.TokenLifetime = d.TokenLifetime
	}
	if d.Networks != nil && s.differs("networks", texts(c.Networks), texts(*d.Networks)) {
		edit.Networks = d.Networks
	}
	if d.Contact != nil && s.differs("contact_id", string(c.Contact), string(*d.Contact)) {
		edit.Contact = d.Contact
	}
	if d.Note != nil && s.differs("note", c.Note, *d.Note) {
		edit.Note = d.Note
	}
	if len(s.Fields) > 0 {
		p.later(makeClients, of.by, &s, edit)
	}
	if d.Permissions != nil {
		p.permissions(of, &s, c, sortedSet(*d.Permissions))
	}
	if d.State != "" && s.differs("state", string(c.State), string(d.State)) {
		when := closeLast
		if d.State == Enabled {
			when = makeClients
		}
		p.later(when, of.by, &s, SetClientState{Client: c.ID, State: d.State})
	}
	p.add(&s)
}

func (p *planner) permissions(of owner, s *PlannedStep, c *clientWithPermissions, wanted []string) {
	if !s.differs("permissions", append([]string{}, c.permissions...), wanted) {
		return
	}
	lacking := func(from []string) func(string) bool {
		return func(permission string) bool { return slices.Contains(from, permission) }
	}
	if gone := slices.DeleteFunc(slices.Clone(c.permissions), lacking(wanted)); len(gone) > 0 {
		p.later(takeFirst, of.by, s, RemovePermissions{Client: c.ID, Permissions: gone})
	}
	if added := slices.DeleteFunc(slices.Clone(wanted), lacking(c.permissions)); len(added) > 0 {
		p.later(givePermissions, of.by, s, AddPermissions{Client: c.ID, Permissions: added})
	}
}

func seconds(d time.Duration) int { return int(d / time.Second) }

func texts(networks []netip.Prefix) []string {
	list := make([]string, len(networks))
	for i, network := range networks {
		list[i] = network.String()
	}
	return list
}

func sortedSet(list []string) []string {
	set := append([]string{}, list...)
	slices.Sort(set)
	return slices.Compact(set)
}

// matching finds what is declared among what is there, each once.
type matching[T any] struct {
	kind    string
	present []T
	key     func(*T) (key, name string)
	byKey   map[string]int
	byName  map[string][]int
	found   map[int]bool
	created map[string]bool
}

func newMatching[T any](kind string, present []T, key func(*T) (string, string)) *matching[T] {
	m := &matching[T]{kind: kind, present: present, key: key, byKey: map[string]int{}, byName: map[string][]int{}, found: map[int]bool{}, created: map[string]bool{}}
	for i := range present {
		k, name := key(&present[i])
		m.byKey[k] = i
		m.byName[name] = append(m.byName[name], i)
	}
	return m
}

// find returns nil for what is new. With an id it must be there.
func (m *matching[T]) find(key, name string) (*T, error) {
	at, ok := m.byKey[key]
	switch named := m.byName[name]; {
	case key != "" && !ok:
		return nil, fault.Errorf(fault.NotFound, "there is no %s %.64s here: leave the id out to create one", m.kind, strings.ToValidUTF8(key, ""))
	case key != "":
	case name == "":
		return nil, fault.Errorf(fault.Invalid, "an %s has neither id nor name: give one", m.kind)
	case len(named) > 1:
		return nil, fault.Errorf(fault.Conflict, "%d %ss have the name %s: say by its id which one is meant", len(named), m.kind, name)
	case m.created[name]:
		return nil, fault.Errorf(fault.Invalid, "the %s %s is declared twice: remove one", m.kind, name)
	case len(named) == 0:
		m.created[name] = true
		return nil, nil
	default:
		at = named[0]
	}
	if m.found[at] {
		_, name := m.key(&m.present[at])
		return nil, fault.Errorf(fault.Invalid, "the %s %s is declared twice: remove one", m.kind, name)
	}
	m.found[at] = true
	return &m.present[at], nil
}

// left are those that were not found.
func (m *matching[T]) left() (rest []*T) {
	for i := range m.present {
		if !m.found[i] {
			rest = append(rest, &m.present[i])
		}
	}
	return rest
}
