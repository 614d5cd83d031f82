package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/throttle"
)

// RefusalPrefix stands before the action in the audit record of a change that a
// person or API client was not allowed to make.
const RefusalPrefix = "refusal."

// The audit log is kept for ever, so refusals must not flood it: each actor and
// each organisation has so many at once, and then one in each of these times, at
// each node.
const (
	refusalsOfActor        = 20
	refusalsOfOrganisation = 100
	refusalOfActor         = 5 * time.Minute
	refusalOfOrganisation  = time.Minute
)

// refusals decides which refusals are recorded.
type refusals struct{ actors, organisations *throttle.Rate }

func newRefusals(now func() time.Time) refusals {
	return refusals{
		throttle.NewRate(1/refusalOfActor.Seconds(), refusalsOfActor, 16_384, now),
		throttle.NewRate(1/refusalOfOrganisation.Seconds(), refusalsOfOrganisation, 16_384, now),
	}
}

// recordRefusal records that an edit was refused, if somebody known asked for
// what they may not do, and returns the refusal. What a person can put right by
// themselves is none.
func (r *Registry) recordRefusal(ctx context.Context, c *change, refusal error) error {
	by, event := c.by, c.event
	known := by.Kind() == actor.Person || by.Kind() == actor.Client
	if !known || event.Action == "" || fault.KindOf(refusal) != fault.Forbidden ||
		errors.Is(refusal, actor.ErrSecondFactor) || errors.Is(refusal, actor.ErrRecentSignIn) || errors.Is(refusal, actor.ErrUnverified) {
		return refusal
	}
	// The actor is asked first: who floods spends nothing of the others'.
	if _, ok := r.actors.Allow(by.String()); !ok {
		return refusal
	}
	if _, ok := r.organisations.Allow(string(by.Organisation())); !ok {
		return refusal
	}
	event.Action = RefusalPrefix + event.Action
	event.Subject = plainSubject(event.Subject)
	event.Content = struct {
		Refused string `json:"refused"` // the kind of edit: its values are not checked, and may be anything
		Reason  string `json:"reason"`
	}{strings.TrimPrefix(fmt.Sprintf("%T", c.refused), "registry."), refusal.Error()}
	err := r.DB.Update(ctx, func(tx *sqldb.Tx) error { return r.log.Append(ctx, tx, by, event) })
	if err != nil { // it was refused all the same
		return errors.Join(refusal, fmt.Errorf("record the refusal: %w", err))
	}
	return refusal
}

// plainSubject is an id, or nothing if it is none in form: the edit may have
// been refused before its ids were checked.
func plainSubject(subject string) string {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(subject) > 64 || strings.ContainsFunc(subject, odd) {
		return ""
	}
	return subject
}
