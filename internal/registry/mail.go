package registry

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/sqldb"
)

// Mails returns the newest mails of the outbox to the operator's people, or of
// them those alone that were not delivered: those older than the one of which
// before is the id, or all. more says that others follow.
func (r *Registry) Mails(ctx context.Context, by actor.Actor, undelivered bool, before string) (entries []mail.Entry, more bool, err error) {
	if err := atOperatorLevel(by, actor.MemberRead); err != nil {
		return nil, false, err
	}
	return r.Mail.List(ctx, undelivered, before)
}

// MailEntry returns what the outbox tells of one mail.
func (r *Registry) MailEntry(ctx context.Context, by actor.Actor, key string) (e mail.Entry, err error) {
	if err := atOperatorLevel(by, actor.MemberRead); err != nil {
		return e, err
	}
	return r.Mail.Entry(ctx, key)
}

// MailBacklog counts what the outbox could not deliver.
func (r *Registry) MailBacklog(ctx context.Context, by actor.Actor) (b mail.Backlog, err error) {
	if err := atOperatorLevel(by, actor.MemberRead); err != nil {
		return b, err
	}
	return r.Mail.Backlog(ctx)
}

// ReadMail returns the text of a mail that waits in the outbox of an
// installation without a mail server. Whoever reads it can use its link, so it
// takes an operator admin with a recent sign-in, and is recorded.
func (r *Registry) ReadMail(ctx context.Context, by actor.Actor, key string) (e mail.Entry, text string, err error) {
	if err := atOperatorLevel(by, actor.MemberWrite); err != nil {
		return e, "", err
	}
	if !by.Recent() {
		return e, "", actor.ErrRecentSignIn
	}
	err = r.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if e, text, err = r.Mail.Open(ctx, tx, key); err != nil {
			return err
		}
		return r.log.Append(ctx, tx, by, journal.Event{Action: "mail.read", Subject: e.ID, Content: map[string]string{"kind": string(e.Kind)}})
	})
	return e, text, err
}

// atOperatorLevel asks for an ability of the operator's people, in no
// organisation.
func atOperatorLevel(by actor.Actor, ability actor.Ability) error {
	if by.Organisation() != "" || !by.Operator() {
		return fault.Errorf(fault.Forbidden, "the outbox is for the operator's people")
	}
	return by.Require(ability, id.Account(""))
}
