package signingkey_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func unlock(t testing.TB, db *sqldb.DB, seed byte) ([]byte, error) {
	t.Helper()
	kek, err := secret.NewKeyEncryptionKey(bytes.Repeat([]byte{seed}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	u, err := signingkey.Unlock(t.Context(), db, kek, rand.Reader)
	return u.TagKey, err
}

func mustUnlock(t testing.TB, db *sqldb.DB) []byte {
	t.Helper()
	tagKey, err := unlock(t, db, 1)
	if err != nil {
		t.Fatal(err)
	}
	return tagKey
}

// KEY-08: a wrong, missing or shorter key stops the start, and leaves what is
// stored as it was.
func TestKEY08_wrongKeyStopsTheStart(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		tagKey := mustUnlock(t, db)
		open(t, configOf(t, db, c))
		stored := func() string {
			return query[string](t, db, `SELECT string_agg(kid, ',') FROM signing_key`) + fmt.Sprint(query[int](t, db, `SELECT seq FROM revision`))
		}
		before := stored()
		wrong := configOf(t, db, c)
		wrong.Sealer = newSealer(t, 2)
		for name, start := range map[string]func() error{
			"wrong key, unlock": func() error { _, err := unlock(t, db, 2); return err },
			"wrong key, open":   func() error { _, err := signingkey.Open(t.Context(), wrong); return err },
			"missing key":       func() error { _, err := secret.NewKeyEncryptionKey(nil); return err },
			"shorter key":       func() error { _, err := secret.NewKeyEncryptionKey(make([]byte, 31)); return err },
		} {
			t.Run(name, func(t *testing.T) {
				err := start()
				if err == nil || !strings.Contains(err.Error(), "key-encryption key") {
					t.Errorf("error = %v, want one that names the key-encryption key", err)
				}
				if strings.HasPrefix(name, "wrong") && !errors.Is(err, secret.ErrOpen) {
					t.Errorf("error = %v, want ErrOpen", err)
				}
				if stored() != before {
					t.Error("the database changed")
				}
			})
		}
		t.Run("twin", func(t *testing.T) {
			if got := mustUnlock(t, db); !bytes.Equal(got, tagKey) {
				t.Error("a later start has another tag key")
			}
			open(t, configOf(t, db, c))
			if stored() != before {
				t.Error("the database changed")
			}
		})
	})
}

// KEY-08: what lost its check, or was changed by somebody who can write to the
// database and has not the key, is refused and never replaced.
func TestKEY08_alteredDatabaseIsRefused(t *testing.T) {
	for name, statement := range map[string]string{
		"check lost":               `UPDATE installation SET kek_check = NULL, secret_tag_key = NULL`,
		"check lost, tag key kept": `UPDATE installation SET kek_check = NULL`,
		"tag key lost":             `UPDATE installation SET secret_tag_key = NULL`,
		"sealing key lost":         `DELETE FROM sealing_key`,
		"sealing key changed":      `UPDATE sealing_key SET wrapped = (SELECT secret_tag_key FROM installation)`,
		"sealing key renumbered":   `UPDATE sealing_key SET number = 2`,
		"columns exchanged":        `UPDATE installation SET kek_check = secret_tag_key, secret_tag_key = kek_check`,
		"private key lost":         `UPDATE signing_key SET private_key = '' WHERE purpose = 'sandbox' AND state = 'current'`,
		"public key of another":    `UPDATE signing_key SET public_key = (SELECT public_key FROM signing_key WHERE purpose = 'production' AND state = 'next') WHERE purpose = 'sandbox' AND state = 'next'`,
		"key of another row":       `UPDATE signing_key SET private_key = (SELECT private_key FROM signing_key WHERE purpose = 'production' AND state = 'next') WHERE purpose = 'sandbox' AND state = 'next'`,
		"retired key of another":   `UPDATE signing_key SET public_key = (SELECT public_key FROM signing_key WHERE purpose = 'production' AND state = 'next') WHERE purpose = 'sandbox' AND state = 'retired'`,
		"another environment":      `UPDATE signing_key SET purpose = 'production' WHERE purpose = 'sandbox' AND state = 'retired'`,
		"another algorithm":        `UPDATE signing_key SET algorithm = 'RS256' WHERE purpose = 'sandbox' AND state = 'retired'`,
	} {
		t.Run(name, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := newClock()
				start := func() error {
					_, unlockErr := unlock(t, db, 1)
					_, openErr := signingkey.Open(t.Context(), configOf(t, db, c))
					return errors.Join(unlockErr, openErr)
				}
				mustUnlock(t, db)
				r := open(t, configOf(t, db, c))
				rotate(t, r, signingkey.Sandbox)
				t.Run("twin", func(t *testing.T) {
					if err := start(); err != nil {
						t.Error(err)
					}
				})
				before := publishedIDs(t, r)
				exec(t, db, statement)
				if err := start(); err == nil {
					t.Error("no error")
				}
				if strings.Contains(statement, "signing_key SET") && r.Reload(t.Context()) == nil {
					t.Error("a running node takes it up")
				}
				if got := publishedIDs(t, r); fmt.Sprint(got) != fmt.Sprint(before) {
					t.Errorf("a running node publishes %s, want %s", got, before)
				}
			})
		})
	}
}

func TestAnInstallationWithKeysAndNoCheckIsNotBound(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		open(t, configOf(t, db, newClock()))
		if _, err := unlock(t, db, 1); err == nil {
			t.Error("no error")
		}
		t.Run("twin", func(t *testing.T) {
			exec(t, db, `DELETE FROM signing_key`)
			mustUnlock(t, db)
		})
	})
}

func TestNodesThatStartFirstTogetherShareATagKey(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		keys := make([][]byte, 8)
		var wg sync.WaitGroup
		for i := range keys {
			wg.Go(func() { keys[i], _ = unlock(t, db, 1) })
		}
		wg.Wait()
		for _, key := range keys {
			if len(key) != secret.KeySize || !bytes.Equal(key, keys[0]) {
				t.Fatal("the tag keys differ")
			}
		}
		changes := query[int](t, db, `SELECT seq FROM revision`)
		mustUnlock(t, db)
		if query[int](t, db, `SELECT seq FROM revision`) != changes {
			t.Error("a later start wrote to the database")
		}
	})
}

// KEY-07: neither the tables nor, on SQLite, the files have a private key or the
// tag key in clear, in the encodings in which one would be found.
func TestKEY07_noKeyMaterialInClear(t *testing.T) {
	for _, algorithm := range []jwt.Algorithm{jwt.ES256, jwt.EdDSA, jwt.RS256} {
		t.Run(string(algorithm), func(t *testing.T) {
			for _, engine := range sqldbtest.Engines() {
				t.Run(engine, func(t *testing.T) {
					url := sqldbtest.Migrated(t, engine)
					db := sqldbtest.Open(t, url)
					config := configOf(t, db, newClock())
					config.Algorithm = algorithm
					secrets := [][]byte{mustUnlock(t, db)}
					r := open(t, config)
					for _, key := range []*jwt.PrivateKey{r.Signer(id.Sandbox), r.Signer(id.Production), r.AssertionSigner()} {
						secrets = append(secrets, material(t, key)...)
					}
					rotate(t, r, signingkey.Sandbox)
					if err := r.Withdraw(t.Context(), operator(), r.Signer(id.Sandbox).Public().ID); err != nil {
						t.Fatal(err)
					}
					stored := contents(t, db, url)
					for i, value := range secrets {
						for encoding, text := range encodings(value) {
							if bytes.Contains(stored, text) {
								t.Errorf("secret %d is stored in clear, as %s", i, encoding)
							}
						}
					}
					t.Run("twin", func(t *testing.T) { // the search finds what is there
						pkix, err := x509.MarshalPKIXPublicKey(r.Signer(id.Production).Public().Key)
						if err != nil || !bytes.Contains(stored, pkix) {
							t.Errorf("the public key was not found: %v", err)
						}
					})
				})
			}
		})
	}
}

// material is the parts by which a private key would be known in a dump.
func material(t testing.TB, key *jwt.PrivateKey) [][]byte {
	t.Helper()
	der, err := key.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	if key.Public().Algorithm == jwt.RS256 {
		return [][]byte{der, der[len(der)-100:]}
	}
	const header, secretSize = 36, 32 // of PKCS #8 with P-256; with Ed25519 the seed ends the text
	if key.Public().Algorithm == jwt.ES256 {
		return [][]byte{der, der[header : header+secretSize]}
	}
	return [][]byte{der, der[len(der)-secretSize:]}
}

func encodings(value []byte) map[string][]byte {
	return map[string][]byte{
		"bytes":     value,
		"hex":       []byte(hex.EncodeToString(value)),
		"base64":    []byte(base64.RawStdEncoding.EncodeToString(value)),
		"base64url": []byte(base64.RawURLEncoding.EncodeToString(value)),
	}
}

// contents is every value of the tables that changes of keys write to and, on
// SQLite, every byte of the files.
func contents(t testing.TB, db *sqldb.DB, url string) []byte {
	t.Helper()
	var all bytes.Buffer
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		for _, table := range []string{"signing_key", "installation", "audit", "change"} {
			if err := dump(t.Context(), tx, table, &all); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path, file := strings.CutPrefix(url, "sqlite:")
	if !file {
		return all.Bytes()
	}
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 2 {
		t.Fatalf("files of the database: %s, want the write-ahead log too", names)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.Bytes()
}

func dump(ctx context.Context, tx *sqldb.Tx, table string, to *bytes.Buffer) error {
	rows, err := tx.Query(ctx, `SELECT * FROM `+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([][]byte, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for _, value := range values {
			to.Write(value)
		}
	}
	return rows.Err()
}
