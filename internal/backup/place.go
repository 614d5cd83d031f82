package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
)

// Place puts a copy by [Make] where the SQLite database is to be, after it was
// verified and brought to this binary's schema, and the key-encryption key has
// opened its keys. There must be none: what is there is moved away first,
// together with the files beside it.
func Place(ctx context.Context, from, databaseURL string, kek *secret.KeyEncryptionKey) (s Summary, err error) {
	path, ok := strings.CutPrefix(databaseURL, "sqlite:")
	if !ok {
		return s, fault.Errorf(fault.Invalid, "restore a PostgreSQL database with PostgreSQL's own tools, and then run this without --from: docs/operating.md shows how")
	}
	unlock, err := sqldb.LockFile(path+".server", false)
	if errors.Is(err, sqldb.ErrLocked) {
		return s, fault.Errorf(fault.Conflict, "a server runs on %s: stop it first", path)
	}
	if err != nil {
		return s, err
	}
	defer unlock()
	for _, part := range []string{path, path + "-wal", path + "-shm"} {
		if _, err := os.Lstat(part); !errors.Is(err, fs.ErrNotExist) {
			return s, fault.Errorf(fault.Conflict, "%s is there already: move %s*, the old database, away first", part, path)
		}
	}
	return checked(ctx, from, filepath.Dir(path), kek, func(good string) error { return os.Link(good, path) })
}

// Check verifies a copy by [Make], opens its keys with the key-encryption key,
// and leaves it as it is.
func Check(ctx context.Context, from string, kek *secret.KeyEncryptionKey) (Summary, error) {
	return checked(ctx, from, filepath.Dir(from), kek, keep)
}

func keep(string) error { return nil }

// checked verifies a copy of a copy in a folder, and hands that over. Opening a
// database changes it. Without a key-encryption key its keys stay shut.
func checked(ctx context.Context, from, folder string, kek *secret.KeyEncryptionKey, use func(good string) error) (s Summary, err error) {
	private, err := os.MkdirTemp(folder, ".doorward-restore-")
	if err != nil {
		return s, fmt.Errorf("check the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	path := filepath.Join(private, "doorward.db")
	if err := copyFile(from, path); err != nil {
		return s, fmt.Errorf("read the backup: %w", err)
	}
	db, err := sqldb.Open(ctx, sqldb.Config{URL: "sqlite:" + path, MaxConns: 1})
	if err != nil {
		return s, fmt.Errorf("open the backup: %w", err)
	}
	s, err = verified(ctx, db)
	if err == nil && kek != nil {
		_, err = signingkey.Look(ctx, db, kek, time.Now)
	}
	if err != nil {
		return s, errors.Join(err, db.Close())
	}
	if err := db.Close(); err != nil { // the last to close takes the journal in
		return s, err
	}
	return s, use(path)
}

func verified(ctx context.Context, db *sqldb.DB) (s Summary, err error) {
	if err := db.CheckIntegrity(ctx); err != nil { // before a migration writes
		return s, err
	}
	var used bool
	err = db.View(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM installation)`).Scan(&used)
	})
	if err == nil && !used {
		err = errors.New("it holds no installation")
	}
	if err != nil { // a migration would make a database of any file
		return s, fault.Errorf(fault.Invalid, "this is no backup of Doorward: %w", err)
	}
	if err := db.Migrate(ctx); err != nil {
		return s, fmt.Errorf("bring the backup to this binary's schema: %w", err)
	}
	return Verify(ctx, db)
}

func copyFile(from, to string) error {
	in, err := os.Open(from) //nolint:gosec // the operator names the backup
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in a folder of our own
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
