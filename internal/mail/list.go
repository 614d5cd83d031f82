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

const (
	older            = `($1 = '' OR (created_at, id) < (SELECT created_at, id FROM mail WHERE id = $1)) ORDER BY created_at DESC, id DESC LIMIT $2 -- any organisation: the operator's outbox`
	queryAll         = `SELECT ` + entryColumns + ` FROM mail WHERE ` + older
	queryUndelivered = `SELECT ` + entryColumns + ` FROM mail WHERE state <> 'delivered' AND ` + older
)

// List returns the newest mails, or of them those alone that were not delivered:
// those older than the one of which before is the id, or all. more says that
// others follow. It is for the registry, which asks who looks.
func (o *Outbox) List(ctx context.Context, undelivered bool, before string) (entries []Entry, more bool, err error) {
	err = o.DB.View(ctx, func(tx *sqldb.Tx) error {
		entries = nil
		var rows *sql.Rows
		if undelivered {
			rows, err = tx.Query(ctx, queryUndelivered, before, PerPage+1)
		} else {
			rows, err = tx.Query(ctx, queryAll, before, PerPage+1)
		}
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

// Backlog is what the outbox could not deliver.
type Backlog struct {
	Waiting int       // still of use; MaxBacklog stands for more too
	Oldest  time.Time // of those; zero: there is none
	Failed  int       // in the last day
}

// MaxBacklog is up to where mails are counted.
const MaxBacklog = 10_000

// Backlog counts what was not delivered. It is for the registry.
func (o *Outbox) Backlog(ctx context.Context) (b Backlog, err error) {
	now := o.Now()
	err = o.DB.View(ctx, func(tx *sqldb.Tx) error {
		var oldest int64
		err := tx.QueryRow(ctx, `SELECT count(*), COALESCE(min(created_at), 0) FROM
			(SELECT created_at FROM mail WHERE state <> 'delivered' AND state = 'waiting' AND ends_at > $1 ORDER BY created_at LIMIT $2) AS waiting -- any organisation: the operator's outbox`,
			now.UnixMicro(), MaxBacklog).Scan(&b.Waiting, &oldest)
		if err != nil {
			return err
		}
		if oldest != 0 {
			b.Oldest = time.UnixMicro(oldest).UTC()
		}
		return tx.QueryRow(ctx, `SELECT count(*) FROM mail WHERE state <> 'delivered' AND state = 'failed' AND created_at > $1 -- any organisation: the operator's outbox`,
			now.Add(-24*time.Hour).UnixMicro()).Scan(&b.Failed)
	})
	return b, err
}

// Delivers says whether mails go out from here. A nil Outbox delivers none.
func (o *Outbox) Delivers() bool { return o != nil && o.Deliver != nil }

// Entry returns what the outbox tells of one mail. It is for the registry.
func (o *Outbox) Entry(ctx context.Context, key string) (e Entry, err error) {
	err = o.DB.View(ctx, func(tx *sqldb.Tx) error {
		e, err = scanEntry(tx.QueryRow(ctx, `SELECT `+entryColumns+` FROM mail WHERE id = $1 -- any organisation: the operator's outbox`, key))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return e, errNoMail
	}
	return e, err
}

var errNoMail = fault.Errorf(fault.NotFound, "there is no such mail, or not any more")

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
		return e, "", errNoMail
	}
	if err != nil || sealed == nil {
		return e, "", err
	}
	body, err := o.Sealer.Open(sealed, identity(key))
	return e, string(body), err
}
