package backup_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/backup"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func configOf(db *sqldb.DB) backup.Config {
	return backup.Config{DB: db, Now: time.Now, Rand: rand.Reader}
}

func keyOf(t *testing.T) *secret.KeyEncryptionKey {
	t.Helper()
	key, err := secret.NewKeyEncryptionKey(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// used returns a database that a server has taken in and worked on, and its path.
func used(t *testing.T) (db *sqldb.DB, path string) {
	t.Helper()
	databaseURL := sqldbtest.Migrated(t, "sqlite")
	db = sqldbtest.Open(t, databaseURL)
	takeIn(t, db, false)
	log := journal.Log{Now: time.Now, Rand: rand.Reader}
	for range 3 {
		if err := db.Update(t.Context(), func(tx *sqldb.Tx) error {
			return log.Append(t.Context(), tx, actor.NewSystem("test"), journal.Event{Action: "client.create", Subject: "x"})
		}); err != nil {
			t.Fatal(err)
		}
	}
	return db, strings.TrimPrefix(databaseURL, "sqlite:")
}

func takeIn(t *testing.T, db *sqldb.DB, held bool) {
	t.Helper()
	got, err := backup.TakeIn(t.Context(), configOf(db))
	if err != nil || got != held {
		t.Fatalf("TakeIn = held %v, %v; want %v", got, err, held)
	}
}

func TestACopyIsWhatTheDatabaseWas(t *testing.T) {
	db, _ := used(t)
	want, err := backup.Verify(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "copy.db")
	got, err := backup.Make(t.Context(), db, file)
	if err != nil {
		t.Fatal(err)
	}
	want.Held = true // wherever it is put
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the copy (-database +copy):\n%s", diff)
	}
	if _, err := backup.Make(t.Context(), db, file); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a copy over another = %v, want a conflict", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("beside the copy stand %v, %v", entries, err)
	}
	if _, err := backup.Verify(t.Context(), db); err != nil {
		t.Errorf("the database after it was copied: %v", err)
	}
	takeIn(t, db, false)
}

func TestACopyIsHeldAlsoWhereItWasPutByHand(t *testing.T) {
	db, _ := used(t)
	file := filepath.Join(t.TempDir(), "copy.db")
	if _, err := backup.Make(t.Context(), db, file); err != nil {
		t.Fatal(err)
	}
	by := sqldbtest.Open(t, "sqlite:"+file)
	takeIn(t, by, true)
	takeIn(t, by, true) // and after a restart
	if err := backup.Moved(t.Context(), configOf(by)); err != nil {
		t.Fatal(err)
	}
	takeIn(t, by, false)
	if _, err := backup.Verify(t.Context(), by); err != nil {
		t.Error(err)
	}
}

func TestPlaceReplacesNothingAndLeavesNothingBehind(t *testing.T) {
	db, path := used(t)
	file := filepath.Join(t.TempDir(), "copy.db")
	if _, err := backup.Make(t.Context(), db, file); err != nil {
		t.Fatal(err)
	}
	kek := keyOf(t)
	if _, err := backup.Place(t.Context(), file, "sqlite:"+path, kek); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a restore over a database = %v, want a conflict", err)
	}
	folder := t.TempDir()
	target := filepath.Join(folder, "doorward.db")
	unlock, err := sqldb.LockFile(target+".server", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Place(t.Context(), file, "sqlite:"+target, kek); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a restore under a running server = %v, want a conflict", err)
	}
	unlock()
	if _, err := backup.Place(t.Context(), file, "postgres://localhost/x", kek); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a file for PostgreSQL = %v, want invalid", err)
	}
	if _, err := backup.Place(t.Context(), file, "sqlite:"+target, kek); err != nil {
		t.Errorf("twin: %v", err)
	}
	var names []string
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{"doorward.db", "doorward.db.server"}, names); diff != "" {
		t.Errorf("files after the restore:\n%s", diff)
	}
}

func TestABackupThatWasDamagedOrAlteredIsRefused(t *testing.T) {
	db, _ := used(t)
	alter := func(statement string) func(t *testing.T, file string) {
		return func(t *testing.T, file string) {
			t.Helper()
			copied := sqldbtest.Open(t, "sqlite:"+file)
			if err := copied.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), statement)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if err := copied.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, file string)
		want   string
	}{
		"twin": {func(*testing.T, string) {}, ""},
		"pages overwritten": {func(t *testing.T, file string) {
			t.Helper()
			out, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			if _, err := out.WriteAt(make([]byte, 64<<10), 8<<10); err != nil {
				t.Fatal(err)
			}
		}, "damaged"},
		"cut off": {func(t *testing.T, file string) {
			t.Helper()
			if err := os.Truncate(file, 20<<10); err != nil {
				t.Fatal(err)
			}
		}, ""},
		"another record": {alter(`UPDATE audit SET subject = 'y' WHERE seq = 2`), "the audit log was changed at record 2"},
		"a newer schema": {alter(`UPDATE installation SET oldest_binary = 100000`), "upgrade doorward"},
		"no tail of it":  {alter(`DELETE FROM audit WHERE seq = 3`), "the audit log was changed at record 3"},
		"not a database": {func(t *testing.T, file string) { writeFile(t, file, "hello") }, ""},
		"nothing in it":  {func(t *testing.T, file string) { writeFile(t, file, "") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "copy.db")
			if _, err := backup.Make(t.Context(), db, file); err != nil {
				t.Fatal(err)
			}
			c.damage(t, file)
			_, err := backup.Check(t.Context(), file, keyOf(t))
			switch {
			case name == "twin" && err != nil:
				t.Error(err)
			case name != "twin" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("Check = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPostgreSQLHasToolsOfItsOwn(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		_, err := backup.Make(t.Context(), db, filepath.Join(t.TempDir(), "copy.db"))
		if db.Engine() == "sqlite" && err != nil || db.Engine() != "sqlite" && fault.KindOf(err) != fault.Invalid {
			t.Errorf("Make = %v", err)
		}
	})
}
