package signin

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

const (
	waitingAsks = 1024
	lastAnswers = 5 * time.Second // for what waits at the end
)

// ask is a wish for a link by mail, or a wrong password to be recorded, which is
// answered apart from the request: so the request takes the same time, whoever
// has the address.
type ask struct {
	email   registry.Email
	reset   bool      // else: whoever waits for verification gets the link again
	refused id.Person // whose password was wrong; no link is wished for
	from    Origin
}

// ask puts the wish in the queue, and says whether there was room.
func (p *People) ask(a ask) bool {
	select {
	case p.asked <- a:
		return true
	default:
		return false
	}
}

// Recover has a link mailed with which a new password can be set, if a person
// verified the address. The answer is the same for every address.
func (p *People) Recover(_ context.Context, from Origin, address string) error {
	email, err := registry.ParseEmail(address)
	if err != nil {
		return err
	}
	if wait, ok := p.asking.AllowAddress(from.Address); !ok {
		return tooMany(wait)
	}
	if !p.ask(ask{email: email, reset: true}) {
		return errBusy()
	}
	return nil
}

// Run answers wishes until the context ends. Every node runs it.
func (p *People) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
			defer cancel()
			if err := p.Pass(rest); err != nil {
				p.Log.Warn("some links that people asked for were not mailed, or wrong passwords not recorded", "error", err)
			}
			return
		case a := <-p.asked:
			if err := p.answer(ctx, a); err != nil && ctx.Err() == nil {
				p.Log.Error("mail a link that somebody asked for, or record a wrong password", "error", err)
			}
		}
	}
}

// Pass answers the wishes that wait.
func (p *People) Pass(ctx context.Context) error {
	for {
		select {
		case a := <-p.asked:
			if err := p.answer(ctx, a); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// answer records a wrong password, or mails what was wished for if there is
// somebody to mail it to.
func (p *People) answer(ctx context.Context, a ask) error {
	if a.refused != "" {
		// Anybody who knows an address can do this for years, and the audit log is
		// kept for ever, in each organisation of the person.
		if _, ok := p.refused.Allow(string(a.refused)); !ok {
			return nil
		}
		return p.record(ctx, a.from, a.refused, "", "sign-in.refuse")
	}
	person, known, err := p.Registry.PersonOf(ctx, a.email)
	if err != nil || known && !a.reset {
		return err
	}
	waiting, err := p.Registry.UnverifiedOf(ctx, a.email)
	if err != nil || !known && len(waiting) == 0 {
		return err
	}
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if known {
			return p.mailReset(ctx, tx, &person)
		}
		return p.mailVerification(ctx, tx, &waiting[0])
	})
}

func (p *People) mailVerification(ctx context.Context, tx *sqldb.Tx, person *registry.Person) error {
	return p.mailLink(ctx, tx, toVerify, person, VerificationTime, mail.Verification)
}

func (p *People) mailReset(ctx context.Context, tx *sqldb.Tx, person *registry.Person) error {
	return p.mailLink(ctx, tx, toReset, person, ResetTime, mail.Reset)
}

// mailLink mails a new link. That there were too many mails is nobody's to know.
func (p *People) mailLink(ctx context.Context, tx *sqldb.Tx, what purpose, person *registry.Person, life time.Duration, write func(mail.Recipient, mail.Link) mail.Message) error {
	email, err := registry.ParseEmail(person.Email)
	if err != nil {
		return err
	}
	token, ends, err := p.newLink(ctx, tx, what, person.ID, life)
	if err != nil {
		return err
	}
	m := write(mail.Recipient(email), mail.Link{Token: token, Ends: ends})
	m.Notice = true
	return p.Mail.Post(ctx, tx, m)
}

// Clean deletes what is over.
func (p *People) Clean(ctx context.Context) error {
	now := p.Now()
	return p.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, links := tx.Exec(ctx, `DELETE FROM link WHERE ends_at <= $1`, now.UnixMicro())
		_, sessions := tx.Exec(ctx, `DELETE FROM session WHERE ends_at <= $1 OR seen_at <= $2`, now.UnixMicro(), now.Add(-IdleTime).UnixMicro())
		_, browsers := tx.Exec(ctx, `DELETE FROM browser WHERE ends_at <= $1`, now.UnixMicro())
		return errors.Join(links, sessions, browsers)
	})
}
