package sqldb_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// journaled opens a database with a revocation journal.
func journaled(t *testing.T, journal string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.Migrated(t, "sqlite"), RevocationJournal: journal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func revoke(t *testing.T, db *sqldb.DB, kinds ...string) error {
	t.Helper()
	return db.Update(t.Context(), func(tx *sqldb.Tx) error {
		for _, kind := range kinds {
			if err := tx.Revoked("o-x", kind, map[string]string{"id": kind}); err != nil {
				return err
			}
		}
		return nil
	})
}

func lines(t *testing.T, path string) (kinds []string, cutOff int) {
	t.Helper()
	cutOff, err := sqldb.ReadRevocations(path, func(r sqldb.Revocation) error {
		kinds = append(kinds, r.Kind)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds, cutOff
}

func TestWhatIsRevokedIsInTheJournalWhenItIsAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	db := journaled(t, path)
	if err := revoke(t, db, "a", "b"); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := db.Update(t.Context(), func(tx *sqldb.Tx) error { return errors.Join(tx.Revoked("", "taken back", nil), refused) }); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if err := revoke(t, db); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil { // as logs are rotated
		t.Fatal(err)
	}
	if err := revoke(t, db, "c"); err != nil {
		t.Fatal(err)
	}
	old, _ := lines(t, path+".old")
	now, _ := lines(t, path)
	if diff := cmp.Diff([][]string{{"a", "b"}, {"c"}}, [][]string{old, now}); diff != "" {
		t.Errorf("journals (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal is %v, %v; want mode 0600", info, err)
	}
}

func TestALineThatACrashCutOffSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	db := journaled(t, path)
	if err := revoke(t, db, "a"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(content, content[:len(content)/2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := revoke(t, db, "b"); err != nil {
		t.Fatal(err)
	}
	kinds, cutOff := lines(t, path)
	if got := strings.Join(kinds, " "); got != "a b" || cutOff != 1 {
		t.Errorf("the journal has %q and %d lines cut off, want a, b and 1", got, cutOff)
	}
}

func TestARevocationThatCannotBeKeptIsNotAcknowledged(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "away")
	db := journaled(t, filepath.Join(folder, "journal"))
	if err := revoke(t, db, "a"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a revocation that cannot be kept = %v, want unavailable", err)
	}
	if err := revoke(t, db); err != nil {
		t.Errorf("twin: a change that revokes nothing = %v", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := revoke(t, db, "a"); err != nil {
		t.Errorf("twin: the same again, with the folder = %v", err)
	}
}
