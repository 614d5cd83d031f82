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

// checkText is what kek_check holds under its seal.
const checkText = "doorward key-encryption key"

// Unlocked is what an installation's key-encryption key opens.
type Unlocked struct {
	Sealer   *secret.Sealer
	TagKey   []byte // of the tags in client secrets (secret.NewMint)
	Wrapping int64  // of the sealing keys: tells key-encryption keys apart
}

// Unlock opens what this installation sealed with the sealing keys that the
// key-encryption key wraps. On the first start it binds the installation to that
// key; later it only reads. Another key-encryption key is an error, as is a
// database that holds keys or client secrets and is bound to none. Call it
// before Open, and start nothing after an error.
func Unlock(ctx context.Context, db *sqldb.DB, kek *secret.KeyEncryptionKey, rand io.Reader) (u Unlocked, err error) {
	var l lock
	if err := db.View(ctx, func(tx *sqldb.Tx) error { return l.load(ctx, tx) }); err != nil {
		return u, fmt.Errorf("read the sealing keys: %w", err)
	}
	if l.unbound() {
		fresh, err := newLock(ctx, kek, rand)
		if err != nil {
			return u, fmt.Errorf("bind the installation to its key-encryption key: %w", err)
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
			return u, fmt.Errorf("bind the installation to its key-encryption key: %w", err)
		}
	}
	if u.Sealer, u.Wrapping, err = l.wrappings.open(ctx, kek); err != nil {
		return u, err
	}
	u.TagKey, err = l.open(u.Sealer)
	return u, err
}

// lock is the sealed columns of installation, and the keys that open them.
type lock struct {
	check, tagKey []byte
	wrappings     wrappings
}

func newLock(ctx context.Context, kek *secret.KeyEncryptionKey, rand io.Reader) (l lock, err error) {
	tagKey, sealingKey := make([]byte, secret.KeySize), make([]byte, secret.KeySize)
	defer clear(tagKey)
	defer clear(sealingKey)
	if _, err := io.ReadFull(rand, tagKey); err != nil {
		return l, fmt.Errorf("draw the key of secret tags: %w", err)
	}
	if _, err := io.ReadFull(rand, sealingKey); err != nil {
		return l, fmt.Errorf("draw a sealing key: %w", err)
	}
	sealer, err := secret.NewSealer(sealingKey)
	if err != nil {
		return l, err
	}
	first := wrapping{number: 1, wrapping: 1}
	if first.wrapped, err = kek.Wrap(ctx, rand, first.number, sealingKey); err != nil {
		return l, err
	}
	l.wrappings = wrappings{first}
	if l.check, err = sealer.Seal(rand, []byte(checkText), checkIdentity); err != nil {
		return l, err
	}
	l.tagKey, err = sealer.Seal(rand, tagKey, tagKeyIdentity)
	return l, err
}

func (l *lock) load(ctx context.Context, tx *sqldb.Tx) error {
	err := tx.QueryRow(ctx, `SELECT kek_check, secret_tag_key FROM installation WHERE id = 1`).Scan(&l.check, &l.tagKey)
	if err != nil {
		return err
	}
	l.wrappings, err = loadWrappings(ctx, tx)
	return err
}

func (l *lock) unbound() bool { return l.check == nil && l.tagKey == nil && len(l.wrappings) == 0 }

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
	if _, err := tx.Exec(ctx, `UPDATE installation SET kek_check = $1, secret_tag_key = $2 WHERE id = 1`, l.check, l.tagKey); err != nil {
		return err
	}
	return l.wrappings.insert(ctx, tx)
}

func (l *lock) open(sealer *secret.Sealer) (tagKey []byte, err error) {
	check, err := sealer.Open(l.check, checkIdentity)
	if err == nil && !bytes.Equal(check, []byte(checkText)) {
		err = secret.ErrOpen
	}
	if err == nil {
		tagKey, err = sealer.Open(l.tagKey, tagKeyIdentity)
	}
	if err != nil {
		return nil, fmt.Errorf("what the key-encryption key protects was altered in the database: restore a backup: %w", err)
	}
	return tagKey, nil
}
