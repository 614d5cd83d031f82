// Package mail writes mails into an outbox, in the transaction of what they tell
// about, and delivers them by SMTP. Without a mail server they stay in the
// outbox, where the operator reads them.
//
// It hides attempts and back-off, and the limits that keep this installation
// from being used to flood somebody's mailbox. What must stay true: a mail is
// sent if, and only if, its transaction was committed, at least once; its text,
// which may hold a link that is as good as a password, is sealed, and erased
// once it was delivered; and a name that somebody chose forges neither a header
// nor a link.
//
// RFC 5321 (SMTP), RFC 5322 (format), RFC 3207 (STARTTLS), RFC 8314 (TLS).
package mail

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// How many mails are written. A mail that somebody asked for is refused beyond
// that, a notice is left out.
const (
	PerRecipient    = 5     // of one kind to one address in an hour
	PerOrganisation = 200   // on behalf of one organisation in a day
	PerHour         = 5_000 // in all
)

// Kept is how long the outbox shows what became of a mail.
const Kept = 30 * 24 * time.Hour

// Kind says what a mail is about.
type Kind string

// Config is what an Outbox works with. All fields but Deliver are needed.
type Config struct {
	DB        *sqldb.DB
	Sealer    *secret.Sealer
	Now       func() time.Time
	Rand      io.Reader
	Log       *slog.Logger
	Dashboard string // base URL of links, without a slash at its end
	// Deliver hands a mail over, once or more; nil: mails wait in the outbox.
	Deliver func(ctx context.Context, e *Entry, text string) error
}

// Outbox holds mails until they are delivered. It is safe for concurrent use.
type Outbox struct{ Config }

// New returns an Outbox over a migrated database. It delivers when Run or Pass
// is called.
func New(config Config) *Outbox {
	return &Outbox{config}
}

// Recipient is where a mail goes: a well-formed address, and the key that all
// its spellings share.
type Recipient struct{ Address, Key string }

// Message is a mail as it is written. The functions of this package that return
// one know the words.
type Message struct {
	Kind         Kind
	To           Recipient
	Organisation id.Organisation // that has it sent; empty: nobody
	Subject      string
	Text         string           // paragraphs; %LINK% stands for the link, %DASHBOARD% for where paths begin
	Path         string           // of the Dashboard, where the link leads
	Token        secret.Plaintext // behind the path
	Ends         time.Time        // of no use after that; zero: after three days
	Notice       bool             // nobody asked for it, so nobody is told that there were too many
}

const usefulTime = 3 * 24 * time.Hour

// Post writes a mail into the transaction. It is fault.RateLimited when there
// were too many. A nil Outbox takes every mail and writes none.
func (o *Outbox) Post(ctx context.Context, tx *sqldb.Tx, m Message) error {
	if o == nil {
		return nil
	}
	if err := o.room(ctx, tx, &m); err != nil {
		if m.Notice && fault.KindOf(err) == fault.RateLimited {
			return nil
		}
		return err
	}
	now := o.Now()
	if m.Ends.IsZero() {
		m.Ends = now.Add(usefulTime)
	}
	key, sealed, err := o.seal(&m)
	if err != nil {
		return fault.Errorf(fault.Unavailable, "a mail cannot be written just now: try again shortly: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO mail (id, kind, organisation_id, recipient, recipient_key, subject, body, state, created_at, ends_at, next_at, attempts, ended_at, failure)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9, $8, 0, 0, '')`,
		key, string(m.Kind), m.Organisation, m.To.Address, m.To.Key, m.Subject, sealed, now.UnixMicro(), m.Ends.UnixMicro())
	return err
}

// seal gives the mail an id and its text the form in which it is stored.
func (o *Outbox) seal(m *Message) (key string, sealed []byte, err error) {
	random := make([]byte, 10)
	if _, err := io.ReadFull(o.Rand, random); err != nil {
		return "", nil, fmt.Errorf("draw the id of a mail: %w", err)
	}
	key = "m-" + hex.EncodeToString(random)
	text := strings.NewReplacer("%LINK%", o.Dashboard+m.Path+m.Token.Reveal(), "%DASHBOARD%", o.Dashboard).Replace(m.Text)
	sealed, err = o.Sealer.Seal(o.Rand, []byte(text), identity(key))
	return key, sealed, err
}

func identity(key string) string { return "mail.body/" + key }

// room keeps to the limits.
func (o *Outbox) room(ctx context.Context, tx *sqldb.Tx, m *Message) error {
	now := o.Now()
	var toRecipient, inAll, ofOrganisation int
	err := tx.QueryRow(ctx, `SELECT count(*), COALESCE(sum(CASE WHEN recipient_key = $1 AND kind = $2 THEN 1 ELSE 0 END), 0) FROM mail WHERE created_at > $3 -- any organisation: limits of the installation and of one mailbox`,
		m.To.Key, string(m.Kind), now.Add(-time.Hour).UnixMicro()).Scan(&inAll, &toRecipient)
	if err == nil && m.Organisation != "" {
		err = tx.QueryRow(ctx, `SELECT count(*) FROM mail WHERE organisation_id = $1 AND created_at > $2`, m.Organisation, now.Add(-24*time.Hour).UnixMicro()).Scan(&ofOrganisation)
	}
	switch {
	case err != nil:
		return fmt.Errorf("count mails: %w", err)
	case toRecipient >= PerRecipient:
		return tooMany("%d mails like this went to the address within an hour: look into its spam folder, or try again later", toRecipient)
	case ofOrganisation >= PerOrganisation:
		return tooMany("the organisation had %d mails sent within a day: try again tomorrow", ofOrganisation)
	case inAll >= PerHour:
		return tooMany("too many mails are being sent just now: try again later")
	}
	return nil
}

func tooMany(format string, args ...any) error {
	refusal := fault.New(fault.TooManyRequests, format, args...)
	refusal.RetryAfter = time.Hour
	return refusal
}
