// Package backup copies an installation's database while servers run on it,
// checks copies, and brings a restored one back into service.
//
// A copy holds what was revoked after it was made as if it never had been. So a
// restored installation is held: no token is issued and no call passes until
// its operator has looked through the credentials that come alive again and
// confirmed that list. What must stay true: a copy is known as one wherever it
// is put, by what [Make] writes into it or by PostgreSQL's own numbers; and
// confirming ends all access tokens, signing keys, sessions and invitations from
// before, of which nobody can tell which were revoked since.
package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
)

// copied is the database id of a copy by Make: no database has it.
const copied = "copy"

// Make writes a consistent copy of a SQLite database to a new file, while
// servers run on it, and checks the copy. A copy of a PostgreSQL database is
// made with its own tools: fault.Invalid.
func Make(ctx context.Context, db *sqldb.DB, path string) (s Summary, err error) {
	err = db.Copy(ctx, path, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE installation SET database_id = $1 WHERE id = 1`, copied)
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM node`)
		}
		return err
	})
	if err != nil {
		return s, err
	}
	return checked(ctx, path, filepath.Dir(path), nil, keep)
}

// Summary is what a good database holds.
type Summary struct {
	Engine       string    `json:"engine"`
	Schema       int64     `json:"schema"`        // newest migration that was applied
	Revision     int64     `json:"revision"`      // of the newest change
	ChangedAt    time.Time `json:"changed_at"`    // when that was made
	AuditRecords int64     `json:"audit_records"` // length of the audit chain
	AuditHead    string    `json:"audit_head"`    // its newest link
	Clients      int64     `json:"clients"`
	Secrets      int64     `json:"client_secrets"`
	Held         bool      `json:"held"`
}

// Verify reads a whole database and returns an error that says what is wrong
// with it: damage, a schema that this binary cannot serve, or an audit chain
// that was altered.
func Verify(ctx context.Context, db *sqldb.DB) (Summary, error) {
	s := Summary{Engine: db.Engine()}
	if err := errors.Join(db.CheckIntegrity(ctx), db.CheckSchema(ctx)); err != nil {
		return s, err
	}
	if _, err := journal.Verify(ctx, db); err != nil {
		return s, err
	}
	err := db.View(ctx, func(tx *sqldb.Tx) error {
		var head []byte
		var changed, held int64
		var id string
		err := tx.QueryRow(ctx, `SELECT i.schema, i.held_at, i.database_id, r.seq, r.audit_count, r.audit_head, COALESCE((SELECT max(at) FROM change), 0)
			FROM installation i, revision r WHERE i.id = 1 AND r.id = 1`).Scan(&s.Schema, &held, &id, &s.Revision, &s.AuditRecords, &head, &changed)
		if err != nil {
			return err
		}
		s.AuditHead, s.ChangedAt, s.Held = hex.EncodeToString(head), time.UnixMicro(changed).UTC(), held != 0 || id == copied
		return tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM client WHERE state <> 'deleted'), (SELECT count(*) FROM client_secret WHERE state <> 'revoked') -- any organisation: how much there is`).
			Scan(&s.Clients, &s.Secrets)
	})
	if err != nil {
		return s, fmt.Errorf("read the database: %w", err)
	}
	return s, nil
}
