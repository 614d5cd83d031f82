package signingkey

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
)

// Rotate makes the next key of a purpose current, publishes another next one,
// and retires the key that was current. It does so at once, also when the next
// key was published less than MaxAge ago: verifiers that keep the JWK Set then
// need to read it again. It needs the ability key.write; too many keys that are
// not dead yet are fault.Conflict.
func (r *Ring) Rotate(ctx context.Context, by actor.Actor, purpose string) error {
	if err := by.Require(actor.KeyWrite, ""); err != nil {
		return err
	}
	if !slices.Contains(purposes(), purpose) {
		return fault.Errorf(fault.Invalid, "there are no keys for %q: use sandbox, production or assertion", purpose)
	}
	return r.change(ctx, by, purpose, (*change).rotate)
}

// Withdraw ends a key whose private part may be known to others: from now on
// nothing that it signed is accepted, here at once and on other nodes when they
// hear of it, and its private key is erased. If it was current the next key
// takes its place. Verifiers that keep the JWK Set may accept it for MaxAge
// longer. It needs the ability key.write and, of a person, a recent sign-in; a
// key that does not exist or is dead is fault.NotFound, and withdrawing it again
// does nothing.
func (r *Ring) Withdraw(ctx context.Context, by actor.Actor, kid string) error {
	if err := by.Require(actor.KeyWrite, ""); err != nil {
		return err
	}
	if !by.Recent() {
		return actor.ErrRecentSignIn
	}
	unknown := fault.Errorf(fault.NotFound, "there is no signing key of that id, or it is dead already")
	purpose := purposeOf(kid)
	if purpose == "" {
		return unknown
	}
	return r.change(ctx, by, purpose, func(c *change, ctx context.Context) error {
		i := slices.IndexFunc(c.keys, func(k *key) bool { return k.id == kid && !k.dead(c.now) })
		if i < 0 {
			return unknown
		}
		return c.end(ctx, c.keys[i])
	})
}

// change is one change of the keys of a purpose, in its transaction. What
// leaves action empty changes nothing.
type change struct {
	*Ring
	tx      *sqldb.Tx
	by      actor.Actor
	now     time.Time
	purpose string
	keys    []*key // of all purposes
	fresh   *key   // becomes the next key

	action  string
	content content
}

// content is what the audit log says of a change.
type content struct {
	Purpose   string   `json:"purpose,omitempty"`
	Next      string   `json:"next,omitempty"`      // published now
	Current   string   `json:"current,omitempty"`   // signs from now on
	Retired   string   `json:"retired,omitempty"`   // signs no more
	Withdrawn string   `json:"withdrawn,omitempty"` // accepted no more
	Replaced  string   `json:"replaced,omitempty"`  // was next and never signed
	Erased    []string `json:"erased,omitempty"`    // private keys
}

// change makes a change that may need a fresh key.
func (r *Ring) change(ctx context.Context, by actor.Actor, purpose string, decide func(*change, context.Context) error) error {
	fresh, err := r.draft(purpose)
	if err != nil {
		return err
	}
	return r.commit(ctx, change{Ring: r, by: by, purpose: purpose, fresh: fresh, content: content{Purpose: purpose}}, decide)
}

// commit decides and writes in one serial transaction, so that of several nodes
// each sees what the one before did. This node works with the outcome at once.
func (r *Ring) commit(ctx context.Context, start change, decide func(*change, context.Context) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var c change
	err := r.config.DB.Update(ctx, func(tx *sqldb.Tx) error {
		c = start
		c.tx, c.now = tx, r.config.Now()
		var err error
		if c.keys, err = r.load(ctx, tx, c.now); err != nil {
			return err
		}
		if err := decide(&c, ctx); err != nil || c.action == "" {
			return err
		}
		return c.record(ctx)
	})
	if err != nil {
		return err
	}
	if c.action != "" {
		r.config.Log.InfoContext(ctx, "signing keys", "action", c.action, "change", c.content)
	}
	return r.adopt(c.keys)
}

// record tells the other nodes and the audit log, and reads what stands now.
func (c *change) record(ctx context.Context) (err error) {
	c.tx.Changed(journal.KeysChanged, "")
	event := journal.Event{Action: c.action, Subject: cmp.Or(c.content.Withdrawn, c.purpose, "signing keys"), Content: c.content}
	if err := c.log.Append(ctx, c.tx, c.by, event); err != nil {
		return err
	}
	c.keys, err = c.load(ctx, c.tx, c.now)
	return err
}

// rotate is what an actor asked for.
func (c *change) rotate(ctx context.Context) error {
	if find(c.keys, c.purpose, Next) == nil {
		return fault.Errorf(fault.Conflict, "the next %s key is not published yet: repeat in a minute", c.purpose)
	}
	if crowded(c.keys, c.purpose, c.now) {
		return fault.Errorf(fault.Conflict, "%d %s keys are still published: rotate again when the oldest has died, or withdraw one", maxPublished, c.purpose)
	}
	return c.promote(ctx)
}

// end withdraws a key and fills its place.
func (c *change) end(ctx context.Context, k *key) error {
	if k.state == Withdrawn {
		return nil
	}
	if err := c.withdraw(ctx, k.id); err != nil {
		return err
	}
	k.state, k.retired = Withdrawn, c.now
	if err := c.tx.Revoked("", journal.KeyWithdrawn, map[string]string{"kid": k.id}); err != nil {
		return err
	}
	err := c.step(ctx)
	c.action, c.content.Withdrawn = "key.withdraw", k.id
	return err
}

// move is what the keys of a purpose need.
type move int

const (
	none move = iota
	publish
	replace
	promote
)

// need says what the keys of a purpose need now. An installation's first keys
// come of it too: publish, then promote, for nothing is current.
func (r *Ring) need(keys []*key, purpose string, now time.Time) move {
	next, current := find(keys, purpose, Next), find(keys, purpose, Current)
	switch {
	case next == nil:
		return publish
	case current == nil:
		return promote
	case next.algorithm != r.algorithm(purpose):
		return replace
	case now.Sub(current.activated) >= r.config.RotateEvery && now.Sub(next.published) >= MaxAge && !crowded(keys, purpose, now):
		return promote
	}
	return none
}

// crowded says whether a JWK Set could not take another key of the purpose.
func crowded(keys []*key, purpose string, now time.Time) bool {
	n := 0
	for _, k := range keys {
		if k.purpose == purpose && k.isPublished(now) {
			n++
		}
	}
	return n >= maxPublished
}

// step makes the move that the keys need, if any.
func (c *change) step(ctx context.Context) error {
	switch c.need(c.keys, c.purpose, c.now) {
	case publish:
		c.action = "key.publish"
		return c.publish(ctx)
	case replace:
		c.action = "key.replace"
		c.content.Replaced = find(c.keys, c.purpose, Next).id
		if err := c.deleteNext(ctx, c.content.Replaced); err != nil {
			return err
		}
		return c.publish(ctx)
	case promote:
		return c.promote(ctx)
	}
	return nil
}

func (c *change) publish(ctx context.Context) error {
	c.content.Next = c.fresh.id
	return c.insertNext(ctx, c.fresh)
}

// erase destroys the private keys of dead keys.
func (c *change) erase(ctx context.Context) error {
	for _, k := range c.keys {
		if !k.erasable(c.now) {
			continue
		}
		c.action = "key.erase"
		c.content.Erased = append(c.content.Erased, k.id)
		if err := c.erasePrivate(ctx, k.id); err != nil {
			return err
		}
	}
	return nil
}

// promote is the rotation itself. There is a next key.
func (c *change) promote(ctx context.Context) error {
	c.action = "key.rotate"
	if current := find(c.keys, c.purpose, Current); current != nil {
		c.content.Retired = current.id
		if err := c.retire(ctx, current.id); err != nil {
			return err
		}
	}
	c.content.Current = find(c.keys, c.purpose, Next).id
	if err := c.activate(ctx, c.content.Current); err != nil {
		return err
	}
	return c.publish(ctx)
}
