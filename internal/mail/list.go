package mail

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// State says what became of a mail.
type State string

// The states.
const (
	Waiting   State = "waiting"
	Delivered State = "delivered"
	Failed    State = "failed" // refused by the mail server, or of no use any more
)

// Entry is what the outbox tells of a mail.
type Entry struct {
	ID           string
	Kind         Kind
	Organisation id.Organisation // that had it sent; empty: nobody
	Recipient    string
	Subject      string
	State        State
	CreatedAt    time.Time
	EndsAt       time.Time // what it says is of no use after that
	NextAt       time.Time // of the next attempt, while it waits
	Attempts     int
	EndedAt      time.Time // delivered or failed; zero: neither
	Failure      string    // of the last attempt
}

const entryColumns = `id, kind, organisation_id, recipient, subject, state, created_at, ends_at, next_at, attempts, ended_at, failure`

// scanEntry reads an entry, and more columns behind it.
func scanEntry(row interface{ Scan(into ...any) error }, more ...any) (e Entry, err error) {
	var created, ends, next, ended int64
	into := []any{&e.ID, &e.Kind, &e.Organisation, &e.Recipient, &e.Subject, &e.State, &created, &ends, &next, &e.Attempts, &ended, &e.Failure}
	err = row.Scan(append(into, more...)...)
	e.CreatedAt, e.EndsAt, e.NextAt = time.UnixMicro(created).UTC(), time.UnixMicro(ends).UTC(), time.UnixMicro(next).UTC()
	if ended != 0 {
		e.EndedAt = time.UnixMicro(ended).UTC()
	}
	return e, err
}

// PerPage is the most entries that List returns at once.
const PerPage = 50

// List returns the newest mails: those older than the one of which before is the
// id, or all. more says that others follow. It is for the registry, which asks
// who looks.
func (o *Outbox) List(ctx context.Context, before string) (entries []Entry, more bool, err error) {
	err = o.DB.View(ctx, func(tx *sqldb.Tx) error {
		entries = nil
		rows, err := tx.Query(ctx, `SELECT `+entryColumns+` FROM mail WHERE $1 = '' OR (created_at, id) < (SELECT created_at, id FROM mail WHERE id = $1)
			ORDER BY created_at DESC, id DESC LIMIT $2 -- any organisation: the operator's outbox`, before, PerPage+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanEntry(rows)
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		return rows.Err()
	})
	if more = len(entries) > PerPage; more {
		entries = entries[:PerPage]
	}
	return entries, more, err
}

// Open returns a mail and, while it waits, its text, where no mail server
// delivers it. Whoever reads it can use its link: the registry asks who looks,
// and records it.
func (o *Outbox) Open(ctx context.Context, tx *sqldb.Tx, key string) (e Entry, text string, err error) {
	if o.Deliver != nil {
		return e, "", fault.Errorf(fault.Conflict, "a mail server delivers the mails here: their text is for those alone to whom they are addressed")
	}
	var sealed []byte
	e, err = scanEntry(tx.QueryRow(ctx, `SELECT `+entryColumns+`, body FROM mail WHERE id = $1 -- any organisation: the operator's outbox`, key), &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return e, "", fault.Errorf(fault.NotFound, "there is no such mail, or not any more")
	}
	if err != nil || sealed == nil {
		return e, "", err
	}
	body, err := o.Sealer.Open(sealed, identity(key))
	return e, string(body), err
}
