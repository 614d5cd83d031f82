package signingkey

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// wrapping is a row of sealing_key: a sealing key under a key-encryption key.
type wrapping struct {
	number   uint32
	wrapping int64
	wrapped  []byte
}

// wrappings are all of them, by number, then wrapping.
type wrappings []wrapping

func loadWrappings(ctx context.Context, tx *sqldb.Tx) (all wrappings, err error) {
	rows, err := tx.Query(ctx, `SELECT number, wrapping, wrapped FROM sealing_key ORDER BY number, wrapping`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w wrapping
		if err := rows.Scan(&w.number, &w.wrapping, &w.wrapped); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

func (w wrappings) insert(ctx context.Context, tx *sqldb.Tx) error {
	now, err := tx.Clock(ctx)
	if err != nil {
		return err
	}
	for _, row := range w {
		_, err := tx.Exec(ctx, `INSERT INTO sealing_key (number, wrapping, wrapped, created_at) VALUES ($1, $2, $3, $4)`, row.number, row.wrapping, row.wrapped, now.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// newest is the highest number; 0 when there is none.
func (w wrappings) newest() uint32 {
	if len(w) == 0 {
		return 0
	}
	return w[len(w)-1].number
}

// unwrapped are sealing keys in clear, by number.
type unwrapped map[uint32][]byte

func (u unwrapped) clear() {
	for _, key := range u {
		clear(key)
	}
}

// unwrap opens every number that the key-encryption key wraps, other than those
// that known has. own is the wrapping by that key.
func (w wrappings) unwrap(ctx context.Context, kek *secret.KeyEncryptionKey, known func(number uint32) bool) (keys unwrapped, own int64, err error) {
	keys = unwrapped{}
	var failed error
	for _, row := range w {
		if keys[row.number] != nil || known(row.number) {
			continue
		}
		key, err := kek.Unwrap(ctx, row.number, row.wrapped)
		if err != nil {
			failed = errors.Join(failed, err) // it may be wrapped by another
			continue
		}
		keys[row.number], own = key, row.wrapping
	}
	for _, row := range w {
		if keys[row.number] == nil && !known(row.number) {
			keys.clear()
			return nil, 0, fmt.Errorf("this is not the key-encryption key of this installation, or no longer: start with the one that it was last started with, from its file or from your backup: %w", failed)
		}
	}
	return keys, own, nil
}

// open makes a Sealer of all numbers.
func (w wrappings) open(ctx context.Context, kek *secret.KeyEncryptionKey) (sealer *secret.Sealer, own int64, err error) {
	keys, own, err := w.unwrap(ctx, kek, func(uint32) bool { return false })
	if err != nil {
		return nil, 0, err
	}
	defer keys.clear()
	if len(keys) == 0 {
		return nil, 0, fmt.Errorf("the database has lost the sealing keys under its key-encryption key: restore a backup: %w", secret.ErrOpen)
	}
	sealer = secret.NewEmptySealer()
	return sealer, own, keys.addTo(sealer)
}

func (u unwrapped) addTo(sealer *secret.Sealer) error {
	for number, key := range u {
		if err := sealer.Add(number, key); err != nil {
			return err
		}
	}
	return nil
}

// ReloadSealer adds the sealing keys that are new. Call it when
// journal.KeysChanged arrives, before Reload.
func ReloadSealer(ctx context.Context, db *sqldb.DB, kek *secret.KeyEncryptionKey, sealer *secret.Sealer) error {
	var all wrappings
	err := db.View(ctx, func(tx *sqldb.Tx) (err error) {
		all, err = loadWrappings(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("load the sealing keys: %w", err)
	}
	keys, _, err := all.unwrap(ctx, kek, sealer.Has)
	if err != nil {
		return err
	}
	defer keys.clear()
	return keys.addTo(sealer)
}
