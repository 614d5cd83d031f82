package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// How long mailed links are good.
const (
	VerificationTime = 3 * 24 * time.Hour
	ResetTime        = time.Hour
	SetUpTime        = 24 * time.Hour
)

// purpose is the one thing that a link is good for.
type purpose string

const (
	toVerify purpose = "verify"
	toReset  purpose = "reset"
	toSetUp  purpose = "set-up"
)

var errLink = fault.Errorf(fault.NotFound, "the link is not good, or not any more: use the newest one, or ask for another")

// newLink stores the digest of a link of a person and returns its token.
func (p *People) newLink(ctx context.Context, tx *sqldb.Tx, what purpose, person id.Person, life time.Duration) (token secret.Plaintext, ends time.Time, err error) {
	if token, err = secret.NewToken(p.Rand); err != nil {
		return token, ends, err
	}
	now := p.Now()
	ends = now.Add(life)
	_, err = tx.Exec(ctx, `INSERT INTO link (digest, purpose, person_id, created_at, ends_at) VALUES ($1, $2, $3, $4, $5)`,
		digestOf(token), string(what), person, now.UnixMicro(), ends.UnixMicro())
	return token, ends, err
}

// lookAtLink tells whose a link is, and leaves it good.
func (p *People) lookAtLink(ctx context.Context, what purpose, token secret.Plaintext) (person id.Person, err error) {
	err = p.DB.View(ctx, func(tx *sqldb.Tx) error {
		row := tx.QueryRow(ctx, `SELECT person_id FROM link WHERE digest = $1 AND purpose = $2 AND ends_at > $3`, digestOf(token), string(what), p.Now().UnixMicro())
		return linkError(row.Scan(&person))
	})
	return person, err
}

// takeLink uses a link up.
func (p *People) takeLink(ctx context.Context, tx *sqldb.Tx, what purpose, token secret.Plaintext) error {
	var person id.Person
	row := tx.QueryRow(ctx, `DELETE FROM link WHERE digest = $1 AND purpose = $2 AND ends_at > $3 RETURNING person_id`, digestOf(token), string(what), p.Now().UnixMicro())
	return linkError(row.Scan(&person))
}

func linkError(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errLink
	}
	if err != nil {
		return fmt.Errorf("look up a link: %w", err)
	}
	return nil
}
