// Package registry holds organisations, accounts, API products with their
// permissions and routes, API clients, client secrets and webhooks, and all the
// rules about them. Its nouns share transactions, so they share a package.
//
// A change is a value: an [Edit], made by [Registry.Apply] in one transaction
// that checks the actor's right, loads within the actor's organisation,
// writes, and appends to the audit log and the change feed. Named operations
// such as CreateClient are one-edit calls.
//
// What must stay true: another organisation's object is fault.NotFound; nobody
// gives more than they hold, also not through a secret; a client's owner, an
// account's environment and a used client id never change; and disabling,
// suspending and revoking raise what tokens are compared with, so that enabling
// again revives the client and not its tokens.
package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/egress"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Config is what a Registry works with. The first five fields are needed.
type Config struct {
	DB         *sqldb.DB
	Now        func() time.Time
	Rand       io.Reader    // ids and secrets
	Mint       *secret.Mint // makes client secrets
	IssuerPath string       // reserved ahead of every product
	// MaxPermissionBytes bounds the JSON of a client's permissions, so that no
	// token exceeds its longest length; 0 means 100 permissions of 48 bytes.
	MaxPermissionBytes int
	Sealer             *secret.Sealer // seals secrets of webhooks; nil: none can be made
	Targets            egress.Policy  // where webhooks may lead; zero: public addresses
	Mail               *mail.Outbox   // nil: mails are not written
}

// Registry makes changes and answers questions. It is safe for concurrent use.
type Registry struct {
	Config
	log  journal.Log
	once *once // nil: changes are made as often as they are asked for
	refusals
}

// New returns a Registry over a migrated database.
func New(config Config) *Registry {
	if config.MaxPermissionBytes == 0 {
		config.MaxPermissionBytes = MaxPermissions * (MaxPermissionLength + len(`"",`))
	}
	return &Registry{Config: config, log: journal.Log{Now: config.Now, Rand: config.Rand}, refusals: newRefusals(config.Now)}
}

// Edit is one change, ready to be made or stored for later. The set is closed.
// An edit that names a Base is a conflict when its subject has another version.
type Edit interface {
	apply(ctx context.Context, c *change) error
}

// change is one edit being made: its transaction, its actor, and what will be
// said of it.
type change struct {
	*Registry
	tx      *sqldb.Tx
	by      actor.Actor
	live    map[string]*Definition // read in this transaction already
	event   journal.Event
	before  any
	refused Edit // nil: it was made
}

// placed is an edit with the actor where it is made.
type placed struct {
	by    actor.Actor
	edit  Edit
	about string // said before what is wrong with it; may be empty
}

// Apply makes all edits or none. An edit of another organisation's object is
// fault.NotFound, one that the actor may not make fault.Forbidden, one based on
// a version that is no longer current fault.Conflict. That a person or API
// client was not allowed to is recorded.
func (r *Registry) Apply(ctx context.Context, by actor.Actor, edits ...Edit) error {
	here := make([]placed, len(edits))
	for i, edit := range edits {
		here[i] = placed{by: by, edit: edit}
	}
	last, err := r.perform(ctx, by, false, func(context.Context, *sqldb.Tx) ([]placed, error) { return here, nil })
	if err != nil && last != nil && last.refused != nil {
		return r.recordRefusal(ctx, last, err)
	}
	return err
}

// ApplyIn makes edits within the caller's Update: they are made, or taken back,
// with whatever else it does. Nothing of a refusal is recorded.
func (r *Registry) ApplyIn(ctx context.Context, tx *sqldb.Tx, by actor.Actor, edits ...Edit) error {
	live := map[string]*Definition{}
	for _, edit := range edits {
		c := &change{Registry: r, tx: tx, by: by, live: live}
		if err := c.perform(ctx, edit); err != nil {
			return err
		}
	}
	return nil
}

// errTakenBack is what becomes of a dry run.
var errTakenBack = errors.New("a dry run was taken back")

// perform makes the edits that decide finds, in the transaction in which it finds
// them; a dry run takes them back with errTakenBack. It returns the last one
// that was begun.
func (r *Registry) perform(ctx context.Context, by actor.Actor, dry bool, decide func(context.Context, *sqldb.Tx) ([]placed, error)) (last *change, err error) {
	err = r.DB.Update(ctx, func(tx *sqldb.Tx) error {
		last = nil
		if err := rolesAreOf(ctx, tx, by); err != nil {
			return err
		}
		if err := r.recall(ctx, tx, by); err != nil {
			return err
		}
		edits, err := decide(ctx, tx)
		if err != nil {
			return err
		}
		live := map[string]*Definition{}
		for i, e := range edits {
			c := &change{Registry: r, tx: tx, by: e.by, live: live}
			last = c
			if err := c.perform(ctx, e.edit); err != nil {
				return about(e.about, err)
			}
			if i == 0 {
				if err := r.remember(ctx, tx, by, c.event.Subject); err != nil {
					return err
				}
			}
		}
		if dry {
			return errTakenBack
		}
		return nil
	})
	return last, err
}

// perform makes one edit and records it.
func (c *change) perform(ctx context.Context, edit Edit) error {
	if err := edit.apply(ctx, c); err != nil {
		c.refused = edit
		return err
	}
	c.event.Content = struct {
		Edit   Edit `json:"edit"`
		Before any  `json:"before,omitempty"`
	}{edit, c.before}
	if err := c.log.Append(ctx, c.tx, c.by, c.event); err != nil {
		return fault.Errorf(fault.Unavailable, "the change cannot be recorded, so it was not made; try again shortly: %w", err)
	}
	return c.keepRevocation(edit)
}

// about puts what an answer is about before it.
func about(what string, err error) error {
	if what == "" || fault.KindOf(err) == fault.Internal {
		return err
	}
	return fault.Errorf(fault.KindOf(err), "%s: %w", what, err)
}

// says sets what the audit log will hold of the edit.
func (c *change) says(action string, organisation id.Organisation, subject string) {
	c.event = journal.Event{Action: action, Subject: subject, Organisation: organisation}
}

// may returns fault.Forbidden unless the actor has the ability on the account.
func (c *change) may(ability actor.Ability, account id.Account) error {
	return c.by.Require(ability, account)
}

// mayClient asks for an ability on a client of the account, or of the
// organisation. The latter acts in every account that the organisation comes to
// have, so that a password alone does no more than stop it.
func (c *change) mayClient(ability actor.Ability, account id.Account) error {
	if err := c.may(ability, account); err != nil {
		return err
	}
	if account == "" && ability != actor.ClientDisable && !c.by.SecondFactor() {
		return actor.ErrSecondFactor
	}
	return nil
}

// recently asks for a sign-in of the last minutes.
func (c *change) recently() error {
	if c.by.Recent() {
		return nil
	}
	return actor.ErrRecentSignIn
}

// verified asks for an e-mail address that is known to be the actor's.
func (c *change) verified() error {
	if c.by.Verified() {
		return nil
	}
	return actor.ErrUnverified
}

// exec runs a statement whose error is an internal one.
func (c *change) exec(ctx context.Context, query string, args ...any) error {
	_, err := c.tx.Exec(ctx, query, args...)
	return err
}

// exists answers a SELECT EXISTS.
func exists(ctx context.Context, tx *sqldb.Tx, query string, args ...any) (found bool, err error) {
	err = tx.QueryRow(ctx, query, args...).Scan(&found)
	return found, err
}

// notFound turns a missing row into the answer that another organisation's
// object gets too.
func notFound(err error, what string, key any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.Errorf(fault.NotFound, "there is no %s %v", what, key)
	}
	if err != nil {
		return fmt.Errorf("load %s: %w", what, err)
	}
	return nil
}

// unknown is the answer to an id that is none in form: no engine is asked, and
// the text is not repeated.
func unknown(what string) error {
	return fault.Errorf(fault.NotFound, "there is no such %s: check its id", what)
}

// isFree turns the violation of a unique constraint into an answer.
func isFree(err error, what string) error {
	if sqldb.IsUnique(err) {
		return fault.Errorf(fault.Conflict, "that id of a %s is taken: repeat with another", what)
	}
	return err
}

// stale refuses an edit that was based on another version. 0 is based on none.
func stale(base, version int64, what string) error {
	if base != 0 && base != version {
		return fault.New(fault.VersionStale, "%s was changed meanwhile (version %d, yours %d): look at it again and repeat", what, version, base)
	}
	return nil
}

// validName accepts what people call things: visible text without control
// characters, the same on both engines.
func validName(what, name string) error {
	ok := utf8.ValidString(name) && strings.TrimSpace(name) != "" && utf8.RuneCountInString(name) <= maxNameLength
	if ok && strings.IndexFunc(name, unicode.IsControl) < 0 {
		return nil
	}
	return fault.Errorf(fault.Invalid, "the %s needs 1 to %d characters and no control characters", what, maxNameLength)
}

// validText accepts what people write at length, or nothing.
func validText(what, text string) error {
	if utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxTextLength && !strings.ContainsRune(text, 0) {
		return nil
	}
	return fault.Errorf(fault.Invalid, "the %s needs to be UTF-8 of %d characters at most", what, maxTextLength)
}

// State of an account or organisation.
type State string

// A suspended account or organisation stops all its clients.
const (
	Active    State = "active"
	Suspended State = "suspended"
)

// validState also says how an edit to that state is called.
func validState(s State) (verb string, err error) {
	switch s {
	case Active:
		return "activate", nil
	case Suspended:
		return "suspend", nil
	}
	return "", fault.Errorf(fault.Invalid, "the state %q is not one of active, suspended", s)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
