package signingkey_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func kek(t testing.TB, seed byte) *secret.KeyEncryptionKey {
	t.Helper()
	key, err := secret.NewKeyEncryptionKey(bytes.Repeat([]byte{seed}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var errKilled = errors.New("killed")

// killing is a random source that ends after some reads: whatever is going on
// then is ended there, as by kill -9.
type killing struct{ left int }

func (k *killing) Read(p []byte) (int, error) {
	if k.left--; k.left < 0 {
		return 0, errKilled
	}
	return rand.Read(p)
}

func rekeyOf(db *sqldb.DB, key *secret.KeyEncryptionKey, random io.Reader) *signingkey.Rekey {
	return &signingkey.Rekey{DB: db, Key: key, Now: time.Now, Rand: random, Log: func(string, ...any) {}, Drain: time.Nanosecond}
}

// sealed is what was sealed at first, in every place.
type sealed struct {
	db     *sqldb.DB
	tagKey []byte
	want   map[string]string // by identity
}

// sealEverywhere puts a value into each of the sealed columns.
func sealEverywhere(t *testing.T, db *sqldb.DB) *sealed {
	t.Helper()
	s := &sealed{db: db, want: map[string]string{}}
	u, err := signingkey.Unlock(t.Context(), db, kek(t, 1), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.tagKey = u.TagKey
	sealer := u.Sealer
	config := configOf(t, db, newClock())
	config.Sealer = sealer
	open(t, config)
	seal := func(identity string) []byte {
		s.want[identity] = "value of " + identity
		value, err := sealer.Seal(rand.Reader, []byte(s.want[identity]), identity)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	write := func(statement string, args ...any) {
		if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), statement, args...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	write(`INSERT INTO webhook (id, organisation_id, name, url, events, state, reason, secret, previous_secret, previous_until, version, created_at, lease_holder, lease_until, next_at, attempts, failing_since, delivered_at, failure)
		VALUES ('w', '', '', '', '', 'enabled', '', $1, $2, 0, 1, 0, '', 0, 0, 0, 0, 0, '')`, seal("webhook.secret/w"), seal("webhook.secret/w"))
	for i := range 450 { // more than two batches
		key := fmt.Sprintf("m-%03d", i)
		write(`INSERT INTO mail (id, kind, organisation_id, recipient, recipient_key, subject, body, state, created_at, ends_at, next_at, attempts, ended_at, failure) VALUES ($1, '', '', '', '', '', $2, 'waiting', 0, 0, 0, 0, 0, '')`,
			key, seal("mail.body/"+key))
	}
	write(`INSERT INTO person (id, email, email_key, name, password, verified_at, deleted_at, version, created_at) VALUES ('p', '', '', '', '', 0, 0, 1, 0)`)
	write(`INSERT INTO factor (person_id, seed, last_step, pending, pending_until) VALUES ('p', $1, 0, $2, 0)`, seal("factor.seed/p"), seal("factor.pending/p"))
	return s
}

// opens says whether a node starts with that key, and then that nothing is lost.
func (s *sealed) opens(t *testing.T, seed byte) bool {
	t.Helper()
	u, err := signingkey.Unlock(t.Context(), s.db, kek(t, seed), rand.Reader)
	if errors.Is(err, secret.ErrOpen) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(u.TagKey, s.tagKey) {
		t.Error("the tag key is another one")
	}
	if found, err := signingkey.Look(t.Context(), s.db, kek(t, seed), time.Now); err != nil || len(found) != 6 {
		t.Errorf("%d signing keys open: %v", len(found), err)
	}
	for _, c := range []struct{ prefix, query string }{
		{"webhook.secret/", `SELECT id, secret FROM webhook`}, {"webhook.secret/", `SELECT id, previous_secret FROM webhook`},
		{"mail.body/", `SELECT id, body FROM mail WHERE id IN ('m-000', 'm-200', 'm-449')`},
		{"factor.seed/", `SELECT person_id, seed FROM factor`}, {"factor.pending/", `SELECT person_id, pending FROM factor`},
	} {
		s.check(t, u.Sealer, c.prefix, c.query)
	}
	return true
}

func (s *sealed) check(t *testing.T, sealer *secret.Sealer, prefix, query string) {
	t.Helper()
	err := s.db.View(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(t.Context(), query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var key string
			var value []byte
			if err := rows.Scan(&key, &value); err != nil {
				return err
			}
			if text, err := sealer.Open(value, prefix+key); err != nil || string(text) != s.want[prefix+key] {
				t.Errorf("%s%s is %q, %v", prefix, key, text, err)
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// KEY-11: whatever is going on when the process is killed, a node starts with
// the keys that it should, nothing is lost, and repeating completes the change.
func TestKEY11_killedKeyChangeIsCompleted(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := sealEverywhere(t, db)
		if !s.opens(t, 1) || s.opens(t, 2) {
			t.Fatal("at first the old key opens, and the new one does not")
		}
		done, killed := false, 0
		for reads := 0; !done; reads++ {
			err := rekeyOf(db, kek(t, 1), &killing{reads}).Prepare(t.Context(), operator(), kek(t, 2))
			if err != nil && !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			done = err == nil
			if !s.opens(t, 1) || s.opens(t, 2) != done {
				t.Fatalf("killed after %d reads of the first step: the old key must open, and the new one only when it is done", reads)
			}
		}
		for reads := 0; ; reads += 1 + reads/4 {
			err := rekeyOf(db, kek(t, 2), &killing{reads}).Finish(t.Context(), operator())
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			killed++
			if !s.opens(t, 2) {
				t.Fatalf("killed after %d reads of the last step: the new key does not open", reads)
			}
		}
		if killed < 5 {
			t.Errorf("the last step was killed %d times only: this test looks at little", killed)
		}
		if s.opens(t, 1) || !s.opens(t, 2) {
			t.Error("at last the new key alone opens")
		}
		if n := query[int](t, db, `SELECT count(*) FROM sealing_key`); n != 1 {
			t.Errorf("%d sealing keys are left", n)
		}
		if err := rekeyOf(db, kek(t, 1), rand.Reader).Finish(t.Context(), operator()); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("the old key finishes a change: %v", err)
		}
		if err := rekeyOf(db, kek(t, 2), rand.Reader).Finish(t.Context(), operator()); err != nil || !s.opens(t, 2) {
			t.Errorf("renewing the sealing key under the same key: %v", err)
		}
	})
}

func TestASecondPreparationReplacesTheFirst(t *testing.T) {
	db := sqldbtest.New(t)
	s := sealEverywhere(t, db)
	for seed := byte(2); seed <= 3; seed++ {
		if err := rekeyOf(db, kek(t, 1), rand.Reader).Prepare(t.Context(), operator(), kek(t, seed)); err != nil {
			t.Fatal(err)
		}
	}
	if !s.opens(t, 1) || s.opens(t, 2) || !s.opens(t, 3) {
		t.Error("after a second preparation the old key and the latest one open")
	}
}

func TestRekeyingKnowsEverySealedColumn(t *testing.T) {
	want := secret.SealedColumns()
	slices.Sort(want)
	if diff := cmp.Diff(want, signingkey.RekeyedColumns()); diff != "" {
		t.Errorf("columns that are sealed and sealed anew (-sealed +anew):\n%s", diff)
	}
}
