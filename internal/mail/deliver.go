package mail

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/sqldb"
)

// The times of delivery.
const (
	FirstPause   = 30 * time.Second // after a failure; doubled at each further one
	LongestPause = time.Hour

	pollInterval = 2 * time.Second
	trimInterval = time.Hour
	perPass      = 100 // mails, until others get their turn
)

// Run delivers mails until the context ends. Every node runs it. Without a mail
// server it only forgets old ones.
func (o *Outbox) Run(ctx context.Context) {
	posted, stop := o.DB.Watch()
	defer stop()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	failing := false
	var trimmed time.Time
	for {
		err := o.Pass(ctx)
		if err == nil && o.Now().Sub(trimmed) >= trimInterval {
			trimmed = o.Now()
			err = o.trim(ctx)
		}
		if ctx.Err() == nil && (err != nil) != failing { // say it once
			failing = err != nil
			o.Log.Log(ctx, map[bool]slog.Level{true: slog.LevelError, false: slog.LevelInfo}[failing], "mails", "delivering", !failing, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-posted:
		case <-ticker.C:
		}
	}
}

// Pass tries once to deliver each mail that is due, and returns the first
// failure that was not of one mail alone.
func (o *Outbox) Pass(ctx context.Context) error {
	if o.Deliver == nil {
		return nil
	}
	for range perPass {
		e, text, found, err := o.claim(ctx)
		if err != nil || !found {
			return err
		}
		if err := o.deliver(ctx, &e, text); err != nil {
			return err
		}
	}
	return nil
}

// deliver tries one mail and notes how it went.
func (o *Outbox) deliver(ctx context.Context, e *Entry, text string) error {
	err := o.Deliver(ctx, e, text)
	var permanent permanentError
	switch {
	case err == nil:
		return o.end(ctx, e.ID, Delivered, "")
	case ctx.Err() != nil:
		return nil // the process ends: another attempt follows the claim's end
	case errors.As(err, &permanent):
		return o.end(ctx, e.ID, Failed, failureText(err))
	}
	return errors.Join(fmt.Errorf("deliver a mail: %w", err), o.postpone(ctx, e, failureText(err)))
}

// claim takes the mail that is due longest, so that no other node tries it
// until the attempt is over. Those of no use any more it gives up.
func (o *Outbox) claim(ctx context.Context) (e Entry, text string, found bool, err error) {
	now := o.Now()
	var sealed []byte
	err = o.DB.Write(ctx, func(tx *sqldb.Tx) error {
		found = false
		_, err := tx.Exec(ctx, `UPDATE mail SET state = 'failed', body = NULL, ended_at = $1 WHERE state = 'waiting' AND ends_at <= $1 AND next_at <= $1 -- any organisation: one outbox serves all`, now.UnixMicro())
		if err != nil {
			return err
		}
		e, err = scanEntry(tx.QueryRow(ctx, `UPDATE mail SET next_at = $1, attempts = attempts + 1 WHERE id = (SELECT id FROM mail WHERE state = 'waiting' AND next_at <= $2 ORDER BY next_at, id LIMIT 1)
			AND next_at <= $2 AND EXISTS (SELECT 1 FROM installation WHERE held_at = 0) RETURNING `+entryColumns+`, body -- any organisation: one outbox serves all`, now.Add(claimTime).UnixMicro(), now.UnixMicro()), &sealed)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		found = err == nil
		return err
	})
	if err != nil || !found {
		return e, "", false, err
	}
	body, err := o.Sealer.Open(sealed, identity(e.ID))
	return e, string(body), true, err
}

// end says what became of a mail, and erases its text.
func (o *Outbox) end(ctx context.Context, key string, state State, failure string) error {
	return o.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE mail SET state = $1, body = NULL, ended_at = $2, failure = $3 WHERE id = $4 AND state = 'waiting' -- any organisation: one outbox serves all`,
			string(state), o.Now().UnixMicro(), failure, key)
		return err
	})
}

// postpone sets the time of the next attempt.
func (o *Outbox) postpone(ctx context.Context, e *Entry, failure string) error {
	pause := LongestPause
	if e.Attempts < 10 {
		pause = min(FirstPause<<(e.Attempts-1), LongestPause)
	}
	return o.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE mail SET next_at = $1, failure = $2 WHERE id = $3 AND state = 'waiting' -- any organisation: one outbox serves all`, o.Now().Add(pause).UnixMicro(), failure, e.ID)
		return err
	})
}

// trim forgets mails of long ago.
func (o *Outbox) trim(ctx context.Context) error {
	return o.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM mail WHERE created_at <= $1 -- any organisation: one outbox serves all`, o.Now().Add(-Kept).UnixMicro())
		return err
	})
}

// failureText is an error in one line, fit to store and to show.
func failureText(err error) string {
	const longest = 300
	text := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "")), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	return text
}
