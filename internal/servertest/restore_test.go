//go:build linux

package servertest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/backup"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func keyOf(t *testing.T, p *servertest.Platform) *secret.KeyEncryptionKey {
	t.Helper()
	key, err := p.Config.KeyEncryptionKey.Open()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// restored makes a backup of the platform's database and restores it elsewhere,
// each as docs/operating.md says.
func restored(t *testing.T, p *servertest.Platform) (databaseURL string) {
	t.Helper()
	if p.Server.Database().Engine() == "sqlite" {
		file := filepath.Join(t.TempDir(), "backup.db")
		if _, err := backup.Make(t.Context(), p.Server.Database(), file); err != nil {
			t.Fatal(err)
		}
		checkBackup(t, p, file)
		databaseURL = sqldbtest.URL(t, "sqlite")
		if _, err := backup.Place(t.Context(), file, databaseURL, keyOf(t, p)); err != nil {
			t.Fatal(err)
		}
		return databaseURL
	}
	file := filepath.Join(t.TempDir(), "backup.dump")
	databaseURL = sqldbtest.URL(t, "postgres")
	postgresTool(t, "pg_dump", "--format=custom", "--file="+file, p.Config.Database)
	postgresTool(t, "pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", "--dbname="+databaseURL, file)
	return databaseURL
}

// checkBackup looks at a file that somebody may steal: it is for its owner
// alone, and of no use without the key-encryption key.
func checkBackup(t *testing.T, p *servertest.Platform, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has mode %04o, want 0600", info.Mode().Perm())
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	der, err := p.Server.SigningKeys().Signer("sandbox").MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, der) {
		t.Error("KEY-07: the backup holds a private key in clear")
	}
}

// postgresTool runs a program of the newest PostgreSQL on this machine.
func postgresTool(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		path, err = slices.Max(found), nil
	}
	if err != nil {
		t.Fatalf("%v: install PostgreSQL's client programs, or run with ENGINES=sqlite", err)
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func beside(t *testing.T, config server.Config) *server.Server {
	t.Helper()
	s, err := server.Beside(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// listed returns the credentials that come alive again, and their code.
func listed(t *testing.T, s *server.Server) (ids []string, code string) {
	t.Helper()
	code, err := backup.Credentials(t.Context(), s.Database(), func(c backup.Credential) error {
		ids = append(ids, c.Kind+" "+c.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, code
}

// STO-15: a backup that is taken while changes are made is consistent, and its
// chain verifies. What it revives waits for its operator.
func TestSTO15_restoredInstallationIsHeldUntilItsCredentialsAreConfirmed(t *testing.T) {
	t.Parallel()
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			old := servertest.Start(t, servertest.On(sqldbtest.Migrated(t, engine)))
			kept, revoked := old.NewClient("echo.call"), old.NewClient("echo.call")
			accessToken := token(t, old.URL, kept)
			stop := underLoad(t, old)
			copied := restored(t, old)
			stop()
			old.Apply(registry.SetSecretState{Client: revoked.ID, Secret: revoked.Secret, State: registry.SecretRevoked})

			p := old.Node(servertest.On(copied))
			wantUnavailable(t, issue(t, p.URL, kept))
			wantUnavailable(t, get(t, p.URL+"/echo/x", accessToken))
			for _, address := range []string{p.OpsURL + "/readyz", p.DashboardURL + "/"} {
				if a := get(t, address, ""); a.status != http.StatusServiceUnavailable || !strings.Contains(strings.ToLower(a.body), "restored from a backup") {
					t.Errorf("%s of a restored installation = %d %s", address, a.status, a.body)
				}
			}
			s := beside(t, p.Config)
			c := backup.Config{DB: s.Database(), Now: time.Now, Rand: rand.Reader}
			if _, err := backup.Verify(t.Context(), s.Database()); err != nil {
				t.Error(err)
			}
			ids, code := listed(t, s)
			if !slices.Contains(ids, "secret "+string(kept.Secret)) || !slices.Contains(ids, "secret "+string(revoked.Secret)) {
				t.Errorf("the list has %v, want %s and %s too", ids, kept.Secret, revoked.Secret)
			}
			if err := s.Registry().Apply(t.Context(), old.Operator(), registry.SetSecretState{Client: revoked.ID, Secret: revoked.Secret, State: registry.SecretRevoked}); err != nil {
				t.Fatal(err)
			}
			if err := backup.Confirm(t.Context(), c, code, s.OpenKeys); fault.KindOf(err) != fault.Conflict {
				t.Errorf("confirming another list = %v, want a conflict", err)
			}
			if _, code = listed(t, s); code == "" {
				t.Fatal("no code")
			}
			wantUnavailable(t, issue(t, p.URL, kept))
			if err := backup.Confirm(t.Context(), c, code, s.OpenKeys); err != nil {
				t.Fatal(err)
			}
			eventually(t, "service after the confirmation", func() bool { return issue(t, p.URL, kept).status == http.StatusOK })
			if a := get(t, p.URL+"/echo/x", token(t, p.URL, kept)); a.status != http.StatusOK {
				t.Errorf("a call after the confirmation = %d %s", a.status, a.body)
			}
			if a := get(t, p.URL+"/echo/x", accessToken); a.status != http.StatusUnauthorized {
				t.Errorf("an access token from before the restore gets %d %s", a.status, a.body)
			}
			if a := issue(t, p.URL, revoked); a.status != http.StatusUnauthorized {
				t.Errorf("the secret that was revoked while held gets %d", a.status)
			}
			if err := backup.Confirm(t.Context(), c, code, s.OpenKeys); fault.KindOf(err) != fault.Conflict {
				t.Errorf("confirming twice = %v, want a conflict", err)
			}
		})
	}
}

// underLoad makes changes until stop is called.
func underLoad(t *testing.T, p *servertest.Platform) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for ctx.Err() == nil {
				_, err := p.Server.Registry().CreateClient(ctx, p.Operator(), registry.NewClient{Account: p.Sandbox, Name: rand.Text()})
				if err != nil && ctx.Err() == nil {
					t.Errorf("a change while the backup is made: %v", err)
				}
			}
		})
	}
	return func() { cancel(); writing.Wait() }
}

func TestWhatWasRevokedAfterTheBackupIsRevokedAgain(t *testing.T) {
	t.Parallel()
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			journal := filepath.Join(t.TempDir(), "revocations.jsonl")
			p := servertest.Start(t, servertest.On(sqldbtest.Migrated(t, engine)), func(c *server.Config) { c.RevocationJournal = journal })
			kept, before := p.NewClient("echo.call"), p.NewClient("echo.call")
			p.Apply(registry.SetClientState{Client: before.ID, State: registry.Disabled}, registry.SetClientState{Client: before.ID, State: registry.Enabled})
			taken := map[string]servertest.Client{}
			for _, what := range []string{"secret revoked", "secret disabled", "client disabled", "client deleted", "permission removed"} {
				taken[what] = p.NewClient("echo.call")
			}
			suspended := p.NewClientOf(p.Production, "echo.call")
			taken["account suspended"] = suspended
			copied := restored(t, p)
			later := p.NewClient("echo.call")
			p.Apply(
				registry.SetSecretState{Client: taken["secret revoked"].ID, Secret: taken["secret revoked"].Secret, State: registry.SecretRevoked},
				registry.SetSecretState{Client: taken["secret disabled"].ID, Secret: taken["secret disabled"].Secret, State: registry.SecretDisabled},
				registry.SetClientState{Client: taken["client disabled"].ID, State: registry.Disabled, Base: 2},
				registry.SetClientState{Client: taken["client deleted"].ID, State: registry.Deleted},
				registry.RemovePermissions{Client: taken["permission removed"].ID, Permissions: []string{"echo.call"}},
				registry.SetAccountState{Account: p.Production, State: registry.Suspended},
				registry.SetClientState{Client: later.ID, State: registry.Disabled},
			)
			node := p.Node(servertest.On(copied))
			s := beside(t, node.Config)
			if again, err := backup.Replay(t.Context(), s.Database(), s.Registry(), journal); err != nil || again.Revoked != 0 || again.Gone != 1 {
				t.Errorf("replayed again: %+v, %v; want nothing but what is not there", again, err)
			}
			ids, code := listed(t, s)
			for _, what := range []string{"secret revoked", "secret disabled", "client disabled", "client deleted"} {
				if slices.Contains(ids, "secret "+string(taken[what].Secret)) {
					t.Errorf("%s: its secret comes alive again", what)
				}
			}
			if err := backup.Confirm(t.Context(), backup.Config{DB: s.Database(), Now: time.Now, Rand: rand.Reader}, code, s.OpenKeys); err != nil {
				t.Fatal(err)
			}
			for what, c := range map[string]servertest.Client{"kept": kept, "disabled and enabled before the backup": before} {
				eventually(t, "twin: a token for the client "+what, func() bool { return issue(t, node.URL, c).status == http.StatusOK })
				if a := get(t, node.URL+"/echo/x", token(t, node.URL, c)); a.status != http.StatusOK {
					t.Errorf("twin: the call of the client %s gets %d %s", what, a.status, a.body)
				}
			}
			for what, c := range taken {
				switch a := issue(t, node.URL, c); {
				case what == "permission removed":
					if a := get(t, node.URL+"/echo/x", token(t, node.URL, c)); a.status != http.StatusForbidden {
						t.Errorf("%s: the call gets %d %s", what, a.status, a.body)
					}
				case a.status != http.StatusUnauthorized:
					t.Errorf("%s: the token endpoint answers %d %s", what, a.status, a.body)
				}
			}
			if logs := node.Logs(); !strings.Contains(logs, `"revoked_again":6`) || !strings.Contains(logs, `"of_what_is_not_there":1`) {
				t.Errorf("the log does not say what was replayed:\n%s", logs)
			}
		})
	}
}
