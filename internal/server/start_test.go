package server_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// configuration is a usable one on a database.
func configuration(t *testing.T, databaseURL string) server.Config {
	t.Helper()
	c := server.Config{PublicURL: "http://127.0.0.1:1", Database: databaseURL, AccessLog: "off"}
	c.KeyEncryptionKey.File = filepath.Join(t.TempDir(), "key")
	if _, err := secret.CreateKeyEncryptionKey(c.KeyEncryptionKey.File, rand.Reader); err != nil {
		t.Fatal(err)
	}
	return c
}

// opens opens a server and closes it again.
func opens(t *testing.T, c server.Config) error {
	t.Helper()
	s, err := server.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return s.Close()
}

func TestKEY08_aWrongKeyEncryptionKeyStopsTheStart(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			databaseURL := sqldbtest.Migrated(t, engine)
			good := configuration(t, databaseURL)
			if err := opens(t, good); err != nil {
				t.Fatal(err)
			}
			for name, row := range map[string]struct{ file, want string }{
				"KEY-08 another key":  {configuration(t, databaseURL).KeyEncryptionKey.File, "key-encryption key"},
				"KEY-08 missing file": {filepath.Join(t.TempDir(), "none"), "no such file"},
				"KEY-08 shorter key":  {keyFile(t, "00112233", 0o600), "openssl rand -hex 32"},
				"KEY-08 empty file":   {keyFile(t, "", 0o600), "openssl rand -hex 32"},
				"KEY-08 no file":      {"", "DOORWARD_KEY_ENCRYPTION_KEY"},
			} {
				t.Run(name, func(t *testing.T) {
					bad := good
					bad.KeyEncryptionKey.File = row.file
					if err := opens(t, bad); err == nil || !strings.Contains(err.Error(), row.want) {
						t.Errorf("err = %v, want one about %q", err, row.want)
					}
					if _, err := os.Stat(row.file); strings.HasSuffix(row.file, "none") && err == nil {
						t.Error("a fresh key was made")
					}
					t.Run("twin", func(t *testing.T) {
						if err := opens(t, good); err != nil {
							t.Errorf("the right key: %v", err)
						}
					})
				})
			}
		})
	}
}

func keyFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSEC14_looserModesAreRefusedAtStart(t *testing.T) {
	c := configuration(t, sqldbtest.URL(t, "sqlite"))
	if err := opens(t, c); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"SEC-14 key file": c.KeyEncryptionKey.File,
		"SEC-14 database": strings.TrimPrefix(c.Database, "sqlite:"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
				if err := opens(t, c); err == nil || !strings.Contains(err.Error(), "chmod") {
					t.Errorf("mode %04o: err = %v, want advice to run chmod", mode, err)
				}
			}
			t.Run("twin", func(t *testing.T) {
				if err := os.Chmod(path, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := opens(t, c); err != nil {
					t.Errorf("mode 0600: %v", err)
				}
			})
		})
	}
}

func TestSEC11_theKeyFromTheEnvironmentIsNotLogged(t *testing.T) {
	c := configuration(t, sqldbtest.URL(t, "sqlite"))
	kek, err := os.ReadFile(c.KeyEncryptionKey.File)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(kek))
	c.KeyEncryptionKey.File = ""
	var log bytes.Buffer
	for _, row := range []struct {
		value string
		good  bool
	}{{text, true}, {text[:60] + "zzzz", false}, {text + "00", false}} {
		t.Setenv("DOORWARD_KEY_ENCRYPTION_KEY", row.value)
		s, err := server.Open(t.Context(), c, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		if (err == nil) != row.good {
			t.Fatalf("SEC-11 err = %v, want good: %v", err, row.good)
		}
		if err != nil {
			log.WriteString(err.Error())
			continue
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(log.String(), text[:32]) {
		t.Errorf("SEC-11 the key is in the log or an error: %s", log.String())
	}
}

func TestASecondServerOnADatabaseFileIsRefused(t *testing.T) {
	c := configuration(t, sqldbtest.URL(t, "sqlite"))
	first, err := server.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := opens(t, c); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("err = %v, want one that says another server is there", err)
	}
	if _, err := server.Migrate(t.Context(), c.Database); err != nil {
		t.Errorf("the command line beside the server: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("twin", func(t *testing.T) {
		if err := opens(t, c); err != nil {
			t.Errorf("after the first has stopped: %v", err)
		}
	})
}

// onPostgres runs a test when the environment asks for PostgreSQL, on a fresh
// database.
func onPostgres(t *testing.T, fresh func(testing.TB, string) string, test func(t *testing.T, databaseURL string)) {
	t.Helper()
	if slices.Contains(sqldbtest.Engines(), "postgres") {
		t.Run("postgres", func(t *testing.T) { test(t, fresh(t, "postgres")) })
	}
}

func TestServingAPostgresWithoutItsSchemaNamesMigrate(t *testing.T) {
	onPostgres(t, sqldbtest.URL, func(t *testing.T, databaseURL string) {
		c := configuration(t, databaseURL)
		if err := opens(t, c); err == nil || !strings.Contains(err.Error(), "doorward migrate") {
			t.Errorf("err = %v, want one that names doorward migrate", err)
		}
		t.Run("twin", func(t *testing.T) {
			if _, err := server.Migrate(t.Context(), databaseURL); err != nil {
				t.Fatal(err)
			}
			if err := opens(t, c); err != nil {
				t.Errorf("after migrate: %v", err)
			}
		})
	})
}

func TestTwoNodesOnOnePostgresWorkAsOne(t *testing.T) {
	onPostgres(t, sqldbtest.Migrated, func(t *testing.T, databaseURL string) {
		first := servertest.Start(t, func(c *server.Config) { c.Database = databaseURL })
		second := servertest.Start(t, func(c *server.Config) {
			c.Database, c.PublicURL, c.KeyEncryptionKey, c.Products = databaseURL, first.Config.PublicURL, first.Config.KeyEncryptionKey, first.Config.Products
		})
		c := first.NewClient("echo.call")
		issued := token(t, second, c)
		for name, node := range map[string]*servertest.Platform{"where it was made": first, "where it got its token": second} {
			if a := callEcho(t, node, issued); a.status != http.StatusOK {
				t.Errorf("the node %s answers %d %s", name, a.status, a.body)
			}
		}
		first.Apply(registry.SetClientState{Client: c.ID, State: registry.Disabled})
		until(t, "the other node refuses the call", func() bool { return callEcho(t, second, issued).status == http.StatusUnauthorized })
		if err := first.Server.SigningKeys().Rotate(t.Context(), actor.NewSystem("test"), "sandbox"); err != nil {
			t.Fatal(err)
		}
		c = first.NewClient("echo.call")
		if a := callEcho(t, second, token(t, first, c)); a.status != http.StatusOK {
			t.Errorf("after a rotation the other node answers %d %s: the next key was not published", a.status, a.body)
		}
	})
}

func TestAProductThatLeavesTheConfigurationIsNotCallable(t *testing.T) {
	databaseURL := sqldbtest.URL(t, "sqlite")
	p := servertest.Start(t, func(c *server.Config) { c.Database = databaseURL })
	c := p.NewClient("echo.call")
	if a := callEcho(t, p, token(t, p, c)); a.status != http.StatusOK {
		t.Fatalf("before: %d %s", a.status, a.body)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.Server.Close(); err != nil {
		t.Fatal(err)
	}
	next := servertest.Start(t, func(c *server.Config) {
		c.Database, c.KeyEncryptionKey = databaseURL, p.Config.KeyEncryptionKey
		c.Products = c.Products[:1]
	})
	if a := callEcho(t, next, token(t, next, c)); a.status != http.StatusNotFound {
		t.Errorf("after: %d %s", a.status, a.body)
	}
}

func TestARunningServerThatAMigrationLeftBehindStops(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			c := configuration(t, sqldbtest.Migrated(t, engine))
			c.APIListen, c.DashboardListen, c.OpsListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
			s, err := server.Open(t.Context(), c, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			listeners, err := c.Listen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Serve(t.Context(), listeners) }()
			needs := func(migration int64) {
				err := s.Database().Update(t.Context(), func(tx *sqldb.Tx) error {
					_, err := tx.Exec(t.Context(), `UPDATE installation SET oldest_binary = $1 WHERE id = 1`, migration)
					return err
				})
				if err == nil {
					err = s.Refresh(t.Context())
				}
				if err != nil && !errors.Is(err, sqldb.ErrOutdated) {
					t.Fatal(err)
				}
			}
			needs(sqldb.Schema())
			select {
			case err := <-ended:
				t.Fatalf("twin: the server stopped where its binary is new enough: %v", err)
			default:
			}
			needs(sqldb.Schema() + 1)
			if err := <-ended; !errors.Is(err, sqldb.ErrOutdated) {
				t.Errorf("Serve = %v, want that the binary is too old", err)
			}
		})
	}
}
