package sqldb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// Revocation is a line of the revocation journal: a change that takes something
// away, kept outside the database, for the day on which that is restored from a
// backup which does not have it.
type Revocation struct {
	At           time.Time       `json:"at"`
	Timeline     string          `json:"timeline,omitempty"` // of the database, between two restores
	Revision     int64           `json:"revision"`           // of the change
	Organisation string          `json:"organisation_id,omitempty"`
	Kind         string          `json:"kind"`
	Content      json.RawMessage `json:"content"`
}

// Revoked queues a line of the revocation journal: an Update writes it once it
// is committed. Its content is what it takes to revoke the same again.
func (tx *Tx) Revoked(organisation, kind string, content any) error {
	if tx.db.config.RevocationJournal == "" {
		return nil
	}
	text, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("write the revocation %s: %w", kind, err)
	}
	tx.revoked = append(tx.revoked, Revocation{Organisation: organisation, Kind: kind, Content: text})
	return nil
}

// placeRevocations says where the revocations stand among the changes.
func (tx *Tx) placeRevocations(ctx context.Context, revision int64) error {
	if len(tx.revoked) == 0 {
		return nil
	}
	var timeline string
	if err := tx.QueryRow(ctx, `SELECT timeline FROM installation WHERE id = 1`).Scan(&timeline); err != nil {
		return err
	}
	for i := range tx.revoked {
		tx.revoked[i].At, tx.revoked[i].Timeline, tx.revoked[i].Revision = time.Now().UTC(), timeline, revision
	}
	return nil
}

// keepRevocations appends to the journal and syncs it. The change is made: when
// this fails the caller has to make it again, so that it is written.
func (db *DB) keepRevocations(revoked []Revocation) error {
	if len(revoked) == 0 {
		return nil
	}
	var lines []byte
	for _, r := range revoked {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := appendSynced(db.config.RevocationJournal, lines); err != nil {
		return fault.Errorf(fault.Unavailable, "it is revoked, but could not be written to the revocation journal; try again shortly: %w", err)
	}
	return nil
}

// appendSynced appends in one write, to a file that may be moved away at any
// time. A line that a crash cut off is closed first.
func appendSynced(path string, lines []byte) (err error) {
	_, statErr := os.Stat(path)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600) //nolint:gosec // the operator names the journal
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := file.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	if _, err := file.Write(lines); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		return syncFolder(filepath.Dir(path))
	}
	return nil
}

// TryRevocationJournal says whether revocations can be written to the file, which
// it makes if there is none.
func TryRevocationJournal(path string) error { return appendSynced(path, nil) }

// maxRevocation bounds a line of the journal.
const maxRevocation = 1 << 20

// ReadRevocations reads a revocation journal from its beginning. Lines that a
// crash cut off were not acknowledged: they are counted and left out. A journal
// that does not exist has no lines.
func ReadRevocations(path string, yield func(Revocation) error) (cutOff int, err error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the journal
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open the revocation journal: %w", err)
	}
	defer file.Close()
	return readRevocations(file, yield)
}

func readRevocations(from io.Reader, yield func(Revocation) error) (cutOff int, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), maxRevocation)
	for lines.Scan() {
		var r Revocation
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Kind == "" {
			cutOff++
			continue
		}
		if err := yield(r); err != nil {
			return cutOff, err
		}
	}
	if err := lines.Err(); err != nil {
		return cutOff, fmt.Errorf("read the revocation journal: %w", err)
	}
	return cutOff, nil
}
