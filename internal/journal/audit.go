// Package journal records what happened: the audit log, a chain of hashes
// that shows every later change of it, and the change feed, by which nodes
// learn what to drop from memory.
//
// What must stay true: a change and its audit record are one transaction, so
// that what cannot be recorded does not happen; the chain's head and length
// stand in the revision row, so that a missing tail shows; and the content of
// a record can be erased without breaking the chain, because it covers only the
// salted digest of the content, while who did what to it when stays bound.
package journal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// Log appends to the audit log.
type Log struct {
	Now  func() time.Time
	Rand io.Reader // salts
}

// Event is what an audit record says happened.
type Event struct {
	Action       string          // noun and verb, e.g. "client.disable"
	Subject      string          // id of what it happened to
	Organisation id.Organisation // whose record it is; empty: the operator's
	Content      any             // as JSON; never a secret
}

// Append writes an audit record into the caller's transaction, which must be
// an Update: the chain has one writer at a time.
func (l Log) Append(ctx context.Context, tx *sqldb.Tx, by actor.Actor, event Event) error {
	content, err := json.Marshal(event.Content)
	if err != nil {
		return fmt.Errorf("write the audit record of %s: %w", event.Action, err)
	}
	r := record{
		at: l.Now().UnixMicro(), organisation: string(event.Organisation), action: event.Action, subject: event.Subject,
		actor: by.String(), requestID: by.RequestID(), content: content, salt: make([]byte, 16),
	}
	if by.Address().IsValid() {
		r.address = by.Address().String()
	}
	if _, err := io.ReadFull(l.Rand, r.salt); err != nil {
		return fmt.Errorf("draw a salt: %w", err)
	}
	var head []byte
	err = tx.QueryRow(ctx, `UPDATE revision SET audit_count = audit_count + 1 WHERE id = 1 RETURNING audit_count, audit_head`).Scan(&r.seq, &head)
	if err != nil {
		return fmt.Errorf("read the head of the audit chain: %w", err)
	}
	r.contentDigest = r.digestOfContent()
	digest := r.digest()
	link := r.link(head, digest)
	_, err = tx.Exec(ctx, `INSERT INTO audit (seq, at, organisation_id, action, subject, actor, request_id, address, content, salt, content_digest, digest, link)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		r.seq, r.at, r.organisation, r.action, r.subject, r.actor, r.requestID, r.address, string(content), r.salt, r.contentDigest, digest, link)
	if err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE revision SET audit_head = $1 WHERE id = 1`, link); err != nil {
		return fmt.Errorf("move the head of the audit chain: %w", err)
	}
	return r.post(ctx, tx)
}

// post puts the record into the outbox of each webhook that wants it: those of
// its organisation and the operator's, by the name of what happened; and always
// of the webhook that it is about.
func (r *record) post(ctx context.Context, tx *sqldb.Tx) error {
	noun, _, _ := strings.Cut(r.action, ".")
	_, err := tx.Exec(ctx, `INSERT INTO webhook_outbox (webhook_id, seq, organisation_id)
		SELECT id, $1, organisation_id FROM webhook WHERE organisation_id IN ($2, '') AND state = 'enabled'
		AND (events = '' OR events LIKE $3 OR events LIKE $4 OR id = $5) -- any organisation: the record's own, and the operator's webhooks`,
		r.seq, r.organisation, "%,"+r.action+",%", "%,"+noun+".*,%", r.subject)
	if err != nil {
		return fmt.Errorf("post the audit record to webhooks: %w", err)
	}
	return nil
}

// ChainError names the first position at which the audit chain is broken.
type ChainError struct {
	Seq    int64
	Reason string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("the audit log was changed at record %d: %s", e.Seq, e.Reason)
}

// FormError names the first record of a form that this version does not know. The
// log may be as it was written, but only a later version can tell: it is not
// verified from there on.
type FormError struct {
	Seq  int64
	Form int
}

func (e *FormError) Error() string {
	return fmt.Sprintf("record %d of the audit log is of form %d, which this version does not know: those before it are as they were written; verify the others with the newest version that has run on this database, and if that does not know the form either, the log was changed", e.Seq, e.Form)
}

// Verify reads the whole chain and returns its length, or a *ChainError that
// names the first bad position, or a *FormError. The checkpoints, whose signatures the caller has
// verified, must be of records that are in it.
func Verify(ctx context.Context, db *sqldb.DB, checkpoints ...Checkpoint) (length int64, err error) {
	err = db.ViewAll(ctx, func(tx *sqldb.Tx) error {
		var head []byte
		if err := tx.QueryRow(ctx, `SELECT audit_count, audit_head FROM revision WHERE id = 1`).Scan(&length, &head); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT seq, at, organisation_id, action, subject, actor, request_id, address, content, salt, content_digest, digest, link FROM audit ORDER BY seq -- any organisation: the chain is one`)
		if err != nil {
			return err
		}
		defer rows.Close()
		at := walk{due: slices.SortedFunc(slices.Values(checkpoints), func(a, b Checkpoint) int { return cmp.Compare(a.Sequence, b.Sequence) })}
		for rows.Next() {
			var r record
			if err := rows.Scan(&r.seq, &r.at, &r.organisation, &r.action, &r.subject, &r.actor, &r.requestID, &r.address, &r.content, &r.salt, &r.contentDigest, &r.storedDigest, &r.stored); err != nil {
				return err
			}
			if err := at.step(&r); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return at.end(length, head)
	})
	return length, err
}

// walk is how far a verification came.
type walk struct {
	seq    int64
	link   []byte
	sealed int64        // the newest record that a checkpoint speaks for
	due    []Checkpoint // the others, in order
}

func (w *walk) step(r *record) (err error) {
	if w.link, err = r.follows(w.seq, w.link); err != nil {
		return err
	}
	w.seq = r.seq
	for len(w.due) > 0 && w.due[0].Sequence <= w.seq {
		if made := w.due[0]; made.Sequence == w.seq && !bytes.Equal(made.Link, w.link) {
			return &ChainError{w.sealed + 1, fmt.Sprintf("or at a later one, up to %d: that is not the log of which a checkpoint was made on %s", w.seq, made.At.Format(time.RFC3339))}
		}
		w.sealed, w.due = w.due[0].Sequence, w.due[1:]
	}
	return nil
}

// end compares where the chain ends with where it should.
func (w *walk) end(length int64, head []byte) error {
	switch {
	case w.seq != length || !bytes.Equal(w.link, head):
		return &ChainError{w.seq + 1, fmt.Sprintf("the log ends at %d and should end at %d", w.seq, length)}
	case len(w.due) > 0:
		last := w.due[len(w.due)-1]
		return &ChainError{w.seq + 1, fmt.Sprintf("the log ends at %d, and a checkpoint was made at %d on %s", w.seq, last.Sequence, last.At.Format(time.RFC3339))}
	}
	return nil
}

// Broken returns the position named by an error of [Verify], if it is one of
// the chain and not of the database.
func Broken(err error) (seq int64, ok bool) {
	var chain *ChainError
	if !errors.As(err, &chain) {
		return 0, false
	}
	return chain.Seq, true
}
