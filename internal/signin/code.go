package signin

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// RecoveryCodes is how many codes take the place of a second factor that is lost.
const RecoveryCodes = 10

const (
	timeStep = 30 // seconds; RFC 6238 §4.1
	drift    = 1  // steps that a clock may be off
)

// stepOf returns the time step of which a code is, near now. RFC 6238 §5.2: one
// step for the transmission, either way, and none more.
func stepOf(seed, code string, now time.Time) (step int64, ok bool) {
	code = strings.Join(strings.Fields(code), "")
	current := now.Unix() / timeStep
	for at := current - drift; at <= current+drift; at++ {
		want, err := hotp.GenerateCodeCustom(seed, uint64(at), hotp.ValidateOpts{Digits: 6})
		if err == nil && subtle.ConstantTimeCompare([]byte(code), []byte(want)) == 1 {
			step, ok = at, true
		}
	}
	return step, ok
}

// takeCode uses up a code of a person's second factor or a recovery code, and
// says whether it was right. None is taken twice, at whatever node.
func (p *People) takeCode(ctx context.Context, tx *sqldb.Tx, person *registry.Person, code string) (bool, error) {
	if recovery := plainCode(code); len(recovery) == recoveryLength {
		return p.takeRecoveryCode(ctx, tx, person, recovery)
	}
	var sealed []byte
	var last int64
	err := tx.QueryRow(ctx, `SELECT seed, last_step FROM factor WHERE person_id = $1 AND seed IS NOT NULL`, person.ID).Scan(&sealed, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return false, fault.Errorf(fault.Conflict, "you have no second factor: set one up")
	}
	if err != nil {
		return false, fmt.Errorf("load a second factor: %w", err)
	}
	seed, err := p.Sealer.Open(sealed, seedIdentity(person.ID))
	if err != nil {
		return false, err
	}
	step, ok := stepOf(string(seed), code, p.Now())
	if !ok || step <= last {
		return false, nil
	}
	_, err = tx.Exec(ctx, `UPDATE factor SET last_step = $1 WHERE person_id = $2`, step, person.ID)
	return err == nil, err
}

func (p *People) takeRecoveryCode(ctx context.Context, tx *sqldb.Tx, person *registry.Person, code string) (bool, error) {
	result, err := tx.Exec(ctx, `DELETE FROM recovery_code WHERE person_id = $1 AND digest = $2`, person.ID, digestOf(secret.NewPlaintext(code)))
	if err != nil {
		return false, err
	}
	if taken, err := result.RowsAffected(); err != nil || taken == 0 {
		return false, err
	}
	return true, p.notify(ctx, tx, person, mail.RecoveryCodeUsed)
}

// NewRecoveryCodes ends the recovery codes of a session's person and returns new
// ones, which cannot be read again.
func (p *People) NewRecoveryCodes(ctx context.Context, from Origin, s *Session) (codes []secret.Plaintext, err error) {
	if err := p.recently(s); err != nil {
		return nil, err
	}
	if !s.Factor {
		return nil, fault.Errorf(fault.Conflict, "you have no second factor: set one up")
	}
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if codes, err = p.newRecoveryCodes(ctx, tx, s.Person.ID); err != nil {
			return err
		}
		if err := p.recordIn(ctx, tx, from, s.Person.ID, s.ID, "factor.codes", s.Memberships); err != nil {
			return err
		}
		return p.notify(ctx, tx, &s.Person, mail.RecoveryCodesRenewed)
	})
	return codes, err
}

// CountRecoveryCodes says how many are left.
func (p *People) CountRecoveryCodes(ctx context.Context, s *Session) (left int, err error) {
	err = p.DB.View(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM recovery_code WHERE person_id = $1`, s.Person.ID).Scan(&left)
	})
	return left, err
}

const (
	recoveryAlphabet = "0123456789abcdefghjkmnpqrstvwxyz" // without i, l, o and u, which look like others
	recoveryLength   = 16                                 // 80 bits
)

func (p *People) newRecoveryCodes(ctx context.Context, tx *sqldb.Tx, person id.Person) (codes []secret.Plaintext, err error) {
	if _, err := tx.Exec(ctx, `DELETE FROM recovery_code WHERE person_id = $1`, person); err != nil {
		return nil, err
	}
	for range RecoveryCodes {
		random := make([]byte, recoveryLength)
		if _, err := io.ReadFull(p.Rand, random); err != nil {
			return nil, fmt.Errorf("draw a recovery code: %w", err)
		}
		for i, b := range random {
			random[i] = recoveryAlphabet[int(b)%len(recoveryAlphabet)]
		}
		code := string(random)
		_, err := tx.Exec(ctx, `INSERT INTO recovery_code (person_id, digest) VALUES ($1, $2)`, person, digestOf(secret.NewPlaintext(code)))
		if err != nil {
			return nil, err
		}
		codes = append(codes, secret.NewPlaintext(code[:4]+"-"+code[4:8]+"-"+code[8:12]+"-"+code[12:]))
	}
	return codes, nil
}

// plainCode is a recovery code as it is stored, however it was typed.
func plainCode(code string) string {
	code = strings.ToLower(strings.Join(strings.Fields(code), ""))
	return strings.NewReplacer("-", "", "o", "0", "i", "1", "l", "1").Replace(code)
}
