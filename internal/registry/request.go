package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// Limits of requests.
const (
	RequestLifetime  = 7 * 24 * time.Hour
	MaxRequestEdits  = 50
	MaxRequests      = 20  // of one person in an organisation that wait
	MaxRequestsInAll = 200 // of an organisation that wait
)

// RequestState says what became of a request. One whose time is up is expired,
// which is not stored.
type RequestState string

// The states.
const (
	RequestPending   RequestState = "pending"
	RequestApproved  RequestState = "approved"
	RequestDeclined  RequestState = "declined"
	RequestWithdrawn RequestState = "withdrawn"
	RequestExpired   RequestState = "expired" // never stored
)

// Request is a change that somebody asks others to make who may.
type Request struct {
	ID           id.Request
	Organisation id.Organisation
	Account      id.Account // that all of it is about; empty: the organisation
	ForOperator  bool       // the operator alone may make it
	RequestedBy  string     // the actor, as person:… or client:…
	Note         string
	Edits        Edits        // each based on the version that was looked at
	State        RequestState // as stored; see StateAt
	Reason       string       // why it was declined
	DecidedBy    string       // the actor, as person:… or client:…
	CreatedAt    time.Time
	ExpiresAt    time.Time
	DecidedAt    time.Time
}

// StateAt returns the state at a time, expiry counted in.
func (r *Request) StateAt(now time.Time) RequestState {
	if r.State == RequestPending && past(r.ExpiresAt, now) {
		return RequestExpired
	}
	return r.State
}

// RequestChange asks others of the actor's organisation, or the operator, to make
// edits. The actor is a person with a role there, or an API client. Edits that name no version are
// based on the current one. Nothing that reveals a secret can be requested.
type RequestChange struct {
	ID    id.Request `json:"id"`
	Note  string     `json:"note,omitempty"`
	Edits Edits      `json:"edits"`
}

func (e RequestChange) apply(ctx context.Context, c *change) error {
	c.says("request.create", c.by.Organisation(), string(e.ID))
	if err := c.mayAsk(ctx); err != nil {
		return err
	}
	if _, ok := id.ParseRequest(string(e.ID)); !ok || len(e.Edits) == 0 || len(e.Edits) > MaxRequestEdits {
		return fault.Errorf(fault.Invalid, "a request needs its id and 1 to %d changes", MaxRequestEdits)
	}
	if err := validText("note", e.Note); err != nil {
		return err
	}
	if err := c.roomForRequest(ctx); err != nil {
		return err
	}
	r := Request{ID: e.ID, Organisation: c.by.Organisation(), RequestedBy: c.by.String(), Note: e.Note, Edits: slices.Clone(e.Edits), CreatedAt: c.Now(), ExpiresAt: c.Now().Add(RequestLifetime)}
	asks, err := c.place(ctx, &r)
	if err != nil {
		return err
	}
	edits, err := json.Marshal(r.Edits)
	if err != nil {
		return err
	}
	if err := c.refuseSecondAsk(ctx, &r, edits); err != nil {
		return err
	}
	err = c.exec(ctx, `INSERT INTO request (id, organisation_id, account_id, for_operator, requested_by, note, edits, state, reason, decided_by, created_at, expires_at, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', '', '', $8, $9, 0)`,
		r.ID, r.Organisation, r.Account, r.ForOperator, nameOf(r.RequestedBy), r.Note, string(edits), r.CreatedAt.UnixMicro(), r.ExpiresAt.UnixMicro())
	if err != nil {
		return isFree(err, "request")
	}
	return c.tellDeciders(ctx, &r, asks)
}

// mayAsk lets the members of an organisation ask, whatever their roles, and of its
// API clients those that take part in requests. The request of anybody else could
// not be approved.
func (c *change) mayAsk(ctx context.Context) error {
	switch {
	case c.by.Organisation() == "":
	case c.by.Kind() == actor.Person && c.by.MaySomewhere(actor.OrganisationRead):
		_, err := loadMember(ctx, c.tx, c.by.Organisation(), c.by.Person())
		if fault.KindOf(err) != fault.NotFound {
			return err
		}
	case c.by.Kind() == actor.Client && !c.by.Operator():
		return c.mayTakePart()
	}
	return fault.Errorf(fault.Forbidden, "requests are for the members and the API clients of an organisation")
}

// mayTakePart asks API clients for an ability of its own, so that one that only
// reads writes to nobody.
func (c *change) mayTakePart() error {
	if c.by.Kind() == actor.Client && !c.by.MaySomewhere(actor.RequestWrite) {
		return c.may(actor.RequestWrite, "")
	}
	return nil
}

// place finds out what a request is about, and bases its edits on the versions
// that are current. Of several edits of one subject the first one has the base.
func (c *change) place(ctx context.Context, r *Request) (asks []ask, err error) {
	if asks, err = c.asksOf(ctx, r.Edits); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, a := range asks {
		if err := c.mayRequest(ctx, r.Edits[i], &a); err != nil {
			return nil, err
		}
		if a.based != nil && !seen[a.subject] {
			r.Edits[i] = a.based(a.version)
		}
		if seen[a.subject] = true; i == 0 {
			r.Account = a.account
		}
		if a.account != r.Account {
			r.Account = ""
		}
		r.ForOperator = r.ForOperator || a.ability.OperatorOnly()
	}
	return asks, nil
}

// mayRequest asks whether the actor sees what an edit is about, and whether there
// is something to change.
func (c *change) mayRequest(ctx context.Context, edit Edit, a *ask) error {
	if a.gone != nil {
		return a.gone
	}
	if !a.ability.OperatorOnly() {
		return c.by.Require(actor.AccountRead, a.account)
	}
	if err := c.verified(); err != nil { // it writes to people whom the actor does not know
		return err
	}
	if grant, ok := edit.(GrantProduct); ok {
		return c.lacks(ctx, grant)
	}
	return nil
}

// refuseSecondAsk refuses to ask the operator for what somebody of the
// organisation has asked for, while that waits.
func (c *change) refuseSecondAsk(ctx context.Context, r *Request, edits []byte) error {
	if !r.ForOperator {
		return nil
	}
	waits, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM request WHERE organisation_id = $1 AND edits = $2 AND state = 'pending' AND expires_at > $3)`,
		r.Organisation, string(edits), c.Now().UnixMicro())
	if err == nil && waits {
		return fault.Errorf(fault.Conflict, "this was asked for already, and the request waits")
	}
	return err
}

func (c *change) roomForRequest(ctx context.Context) error {
	var all, own int
	err := c.tx.QueryRow(ctx, `SELECT count(*), COALESCE(sum(CASE WHEN requested_by = $1 THEN 1 ELSE 0 END), 0) FROM request WHERE organisation_id = $2 AND state = 'pending' AND expires_at > $3`,
		nameOf(c.by.String()), c.by.Organisation(), c.Now().UnixMicro()).Scan(&all, &own)
	switch {
	case err != nil:
		return err
	case own >= MaxRequests:
		return fault.Errorf(fault.Conflict, "%d of your requests are waiting: withdraw some first", own)
	case all >= MaxRequestsInAll:
		return fault.Errorf(fault.Conflict, "%d requests are waiting: somebody has to decide about them first", all)
	}
	return nil
}

// ApproveRequest makes the edits of a request with the authority of the actor
// alone: a person or API client, and not the one who asked, nor a client whose
// secret they have made.
type ApproveRequest struct {
	Request id.Request `json:"request"`
}

func (e ApproveRequest) apply(ctx context.Context, c *change) error {
	r, err := c.pendingRequest(ctx, "request.approve", e.Request)
	if err != nil {
		return err
	}
	if err := c.isAnother(ctx, &r); err != nil {
		return err
	}
	if err := c.askerIsThere(ctx, &r); err != nil {
		return err
	}
	for _, edit := range r.Edits {
		inner := &change{Registry: c.Registry, tx: c.tx, by: c.by, live: c.live}
		if err := inner.perform(ctx, edit); err != nil {
			return err
		}
	}
	return c.decide(ctx, &r, RequestApproved, "")
}

// isAnother refuses the one who asked, by their own hand or by that of a client.
func (c *change) isAnother(ctx context.Context, r *Request) error {
	same := c.by.Kind() == actor.System || c.by.String() == r.RequestedBy
	if c.by.Kind() == actor.Client && !same {
		var err error
		if same, err = c.isHandOf(ctx, r.RequestedBy); err != nil {
			return err
		}
	}
	if same {
		return fault.Errorf(fault.Forbidden, "another than the one who asked has to approve, and with no API client whose secret they made, themselves or through other clients")
	}
	return nil
}

// isHandOf says whether somebody made the secret of the acting client, or the one
// with which it was made, and so on; also when nobody knows whose it is.
func (c *change) isHandOf(ctx context.Context, name string) (bool, error) {
	organisation := c.by.Organisation()
	if c.by.Operator() {
		organisation = ""
	}
	made, maker := c.by.Credential(), ""
	for known := false; ; known = true {
		err := c.tx.QueryRow(ctx, `SELECT created_by, created_with FROM client_secret WHERE id = $1 AND organisation_id = $2`, made, organisation).Scan(&maker, &made)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return !known, nil
		case err != nil || maker == name:
			return err == nil, err
		}
	}
}

// askerIsThere refuses what is asked by who has left meanwhile.
func (c *change) askerIsThere(ctx context.Context, r *Request) error {
	kind, name, _ := strings.Cut(r.RequestedBy, ":")
	var err error
	if kind == string(actor.Client) {
		var client Client
		if client, err = loadClient(ctx, c.tx, c.by, id.Client(name)); err == nil && client.State != Enabled {
			return fault.Errorf(fault.Conflict, "the API client that asked is disabled: decline the request, and make the change yourself if it is right")
		}
	} else {
		_, err = loadMember(ctx, c.tx, r.Organisation, id.Person(name))
	}
	if fault.KindOf(err) == fault.NotFound {
		return fault.Errorf(fault.Conflict, "who asked is not there any more: decline the request, and make the change yourself if it is right")
	}
	return err
}

// DeclineRequest refuses a request. Whoever may make one of its edits may.
type DeclineRequest struct {
	Request id.Request `json:"request"`
	Reason  string     `json:"reason,omitempty"`
}

func (e DeclineRequest) apply(ctx context.Context, c *change) error {
	r, err := c.pendingRequest(ctx, "request.decline", e.Request)
	if err != nil {
		return err
	}
	if err := validText("reason", e.Reason); err != nil {
		return err
	}
	asks, err := c.asksOf(ctx, r.Edits)
	if err != nil {
		return err
	}
	lacking := c.lacking(asks)
	if !slices.ContainsFunc(lacking, isNil) {
		return lacking[0]
	}
	return c.decide(ctx, &r, RequestDeclined, e.Reason)
}

// lacking says of each edit why the actor may not make it; nil: they have the
// ability.
func (c *change) lacking(asks []ask) (refusals []error) {
	for _, a := range asks {
		refusals = append(refusals, c.may(a.ability, a.account))
	}
	return refusals
}

func isNil(err error) bool { return err == nil }

// WithdrawRequest takes back a request of the actor's own.
type WithdrawRequest struct {
	Request id.Request `json:"request"`
}

func (e WithdrawRequest) apply(ctx context.Context, c *change) error {
	r, err := c.pendingRequest(ctx, "request.withdraw", e.Request)
	if err != nil {
		return err
	}
	if c.by.String() != r.RequestedBy {
		return fault.Errorf(fault.Forbidden, "only who asked withdraws a request: decline it instead")
	}
	return c.decide(ctx, &r, RequestWithdrawn, "")
}

// pendingRequest loads one of the actor's organisation that waits.
func (c *change) pendingRequest(ctx context.Context, action string, key id.Request) (Request, error) {
	r, err := loadRequest(ctx, c.tx, c.by, key)
	if err != nil {
		return r, err
	}
	c.says(action, r.Organisation, string(r.ID))
	if err := c.mayTakePart(); err != nil {
		return r, err
	}
	if state := r.StateAt(c.Now()); state != RequestPending {
		return r, fault.Errorf(fault.Conflict, "the request is %s: ask anew", state)
	}
	return r, nil
}

func (c *change) decide(ctx context.Context, r *Request, state RequestState, reason string) error {
	err := c.exec(ctx, `UPDATE request SET state = $1, reason = $2, decided_by = $3, decided_at = $4 WHERE id = $5 AND organisation_id = $6`,
		string(state), reason, c.by.String(), c.Now().UnixMicro(), r.ID, r.Organisation)
	if err != nil || state == RequestWithdrawn {
		return err
	}
	r.State, r.Reason = state, reason
	return c.tellRequester(ctx, r)
}

// RequestChange asks others to make edits that the actor may not. They are
// rehearsed first, as if they were approved: what could never be is refused.
func (r *Registry) RequestChange(ctx context.Context, by actor.Actor, note string, edits ...Edit) (id.Request, error) {
	request := RequestChange{ID: id.NewRequest(r.Rand), Note: note, Edits: edits}
	rehearsal := []placed{{by: by, edit: request}}
	for _, edit := range edits {
		rehearsal = append(rehearsal, placed{by: actor.NewSystem("rehearsal").In(by.Organisation()), edit: edit})
	}
	_, err := r.perform(ctx, by, true, func(context.Context, *sqldb.Tx) ([]placed, error) { return rehearsal, nil })
	if !errors.Is(err, errTakenBack) {
		return "", err
	}
	return request.ID, r.Apply(ctx, by, request)
}

// RequestFilter limits a list of requests. Empty fields do not.
type RequestFilter struct {
	Pending bool // and not expired
	Own     bool // of the actor
}

// Requests lists the requests of the actor's organisation that concern what the
// actor may read, and the actor's own, newest first; at operator level those of
// all organisations that wait for the operator.
func (r *Registry) Requests(ctx context.Context, by actor.Actor, filter RequestFilter, page Page) (list List[Request], err error) {
	readable, err := whereMay(by, actor.AccountRead)
	if err != nil {
		return list, err
	}
	l, err := r.list("requests", by, filter, page, beforeNewest)
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		found, err := l.requests(ctx, tx, by, filter, readable, r.Now())
		list = pageOf(l, found, func(q *Request) position { return position{micros(q.CreatedAt), string(q.ID)} })
		return err
	})
	return list, err
}

// AccessRequest returns the request for a product in an environment that waits,
// else the newest that somebody of the actor's organisation made; nil if nobody
// did.
func (r *Registry) AccessRequest(ctx context.Context, by actor.Actor, grant GrantProduct) (*Request, error) {
	if _, err := whereMay(by, actor.ProductRead); err != nil {
		return nil, err
	}
	edits, err := json.Marshal(Edits{grant})
	if err != nil {
		return nil, err
	}
	var found []Request
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		found, err = rowsOf(ctx, tx, scanRequest, `SELECT `+requestColumns+` FROM request WHERE organisation_id = $1 AND edits = $2
			ORDER BY CASE WHEN state = 'pending' AND expires_at > $3 THEN 0 ELSE 1 END, created_at DESC, id DESC LIMIT 1`,
			by.Organisation(), string(edits), r.Now().UnixMicro())
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// Request returns one request of the actor's organisation, as [Registry.Requests]
// does.
func (r *Registry) Request(ctx context.Context, by actor.Actor, key id.Request) (q Request, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		if q, err = loadRequest(ctx, tx, by, key); err != nil || by.String() == q.RequestedBy {
			return err
		}
		return by.Require(actor.AccountRead, q.Account)
	})
	return q, err
}

// Outlook is what would become of a request that waits.
type Outlook struct {
	// Approvable says that the actor has the abilities that its edits need, and is
	// not who asked. Whether the change is still possible shows when it is made.
	Approvable bool
	Before     []any // of each edit, its subject as it is; nil: there is none, or no more
}

// Outlooks returns the outlook of those requests that wait, which the actor may
// read.
func (r *Registry) Outlooks(ctx context.Context, by actor.Actor, requests []Request) (outlooks map[id.Request]Outlook, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		c := &change{Registry: r, tx: tx, by: by}
		outlooks = map[id.Request]Outlook{}
		for i := range requests {
			q := &requests[i]
			if q.StateAt(r.Now()) != RequestPending {
				continue
			}
			asks, err := c.asksOf(ctx, q.Edits)
			if err != nil {
				return err
			}
			var o Outlook
			for _, a := range asks {
				o.Before = append(o.Before, a.before)
			}
			missing := slices.ContainsFunc(c.lacking(asks), func(err error) bool { return err != nil })
			o.Approvable = by.String() != q.RequestedBy && !missing
			outlooks[q.ID] = o
		}
		return nil
	})
	return outlooks, err
}
