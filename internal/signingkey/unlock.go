package signingkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Identities under which the columns of the one row of installation are sealed.
const (
	checkIdentity  = "installation.kek_check/1"
	tagKeyIdentity = "installation.secret_tag_key/1"
)

// checkText is what kek_check holds under its seal: it opens under one key only.
const checkText = "doorward key-encryption key"

// Unlock checks that the sealer has this installation's key-encryption key, and
// returns the key of the tags in client secrets (secret.NewMint). On the first
// start it binds the installation to the key; later it only reads. Another key
// is an error, as is a database that holds keys or client secrets and is bound
// to none. Call it before Open, and start nothing after an error.
func Unlock(ctx context.Context, db *sqldb.DB, sealer *secret.Sealer, rand io.Reader) (tagKey []byte, err error) {
	var l lock
	if err := db.View(ctx, func(tx *sqldb.Tx) error { return l.load(ctx, tx) }); err != nil {
		return nil, fmt.Errorf("read the check of the key-encryption key: %w", err)
	}
	if l.unbound() {
		fresh, err := newLock(sealer, rand)
		if err != nil {
			return nil, fmt.Errorf("bind the installation to its key-encryption key: %w", err)
		}
		// Of several nodes that start first, one binds and the others check.
		err = db.Update(ctx, func(tx *sqldb.Tx) error {
			if err := l.load(ctx, tx); err != nil || !l.unbound() {
				return err
			}
			l = fresh
			return l.bind(ctx, tx)
		})
		if err != nil {
			return nil, fmt.Errorf("bind the installation to its key-encryption key: %w", err)
		}
	}
	return l.open(sealer)
}

// lock is the sealed columns of installation.
type lock struct{ check, tagKey []byte }

func newLock(sealer *secret.Sealer, rand io.Reader) (l lock, err error) {
	tagKey := make([]byte, secret.KeySize)
	defer clear(tagKey)
	if _, err := io.ReadFull(rand, tagKey); err != nil {
		return l, fmt.Errorf("draw the key of secret tags: %w", err)
	}
	if l.check, err = sealer.Seal(rand, []byte(checkText), checkIdentity); err != nil {
		return l, err
	}
	l.tagKey, err = sealer.Seal(rand, tagKey, tagKeyIdentity)
	return l, err
}

func (l *lock) load(ctx context.Context, tx *sqldb.Tx) error {
	return tx.QueryRow(ctx, `SELECT kek_check, secret_tag_key FROM installation WHERE id = 1`).Scan(&l.check, &l.tagKey)
}

func (l *lock) unbound() bool { return l.check == nil && l.tagKey == nil }

var errUsed = errors.New("the database holds signing keys or client secrets, and no check of the key that they depend on: it was altered, so restore it from a backup")

func (l *lock) bind(ctx context.Context, tx *sqldb.Tx) error {
	var used bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM signing_key) OR EXISTS (SELECT 1 FROM client_secret) -- any organisation: is there one at all`).Scan(&used)
	if err != nil {
		return err
	}
	if used {
		return errUsed
	}
	_, err = tx.Exec(ctx, `UPDATE installation SET kek_check = $1, secret_tag_key = $2 WHERE id = 1`, l.check, l.tagKey)
	return err
}

func (l *lock) open(sealer *secret.Sealer) (tagKey []byte, err error) {
	const advice = "this is not the key-encryption key of this installation: start with the one that it was first started with, from its file or from your backup: %w"
	check, err := sealer.Open(l.check, checkIdentity)
	if err != nil {
		return nil, fmt.Errorf(advice, err)
	}
	if !bytes.Equal(check, []byte(checkText)) {
		return nil, fmt.Errorf(advice, secret.ErrOpen)
	}
	if tagKey, err = sealer.Open(l.tagKey, tagKeyIdentity); err != nil {
		return nil, fmt.Errorf("the key of secret tags was altered in the database: restore a backup: %w", err)
	}
	return tagKey, nil
}
