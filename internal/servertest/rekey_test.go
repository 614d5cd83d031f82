//go:build linux

package servertest_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/signingkey"
)

// The key-encryption key of two servers is changed while they issue tokens and
// rotate keys.
func TestTheKeyEncryptionKeyChangesUnderRunningServers(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		here := servertest.Start(t, servertest.On(database.String()), named("a"), withoutIssuingLimit)
		there := here.Node(named("b"))
		c := here.NewClient("echo.call")
		newFile := filepath.Join(t.TempDir(), "new")
		if _, err := secret.CreateKeyEncryptionKey(newFile, rand.Reader); err != nil {
			t.Fatal(err)
		}
		rekey := func(k server.KeyEncryptionKey) *signingkey.Rekey {
			key, err := k.Open()
			if err != nil {
				t.Fatal(err)
			}
			return &signingkey.Rekey{
				DB: here.Server.Database(), Key: key, Now: time.Now, Rand: rand.Reader, Drain: 500 * time.Millisecond,
				Log: func(format string, args ...any) { t.Logf(format, args...) },
			}
		}
		renewed := server.KeyEncryptionKey{File: newFile}
		to, err := renewed.Open()
		if err != nil {
			t.Fatal(err)
		}
		by := actor.NewSystem("test")
		if err := rekey(here.Config.KeyEncryptionKey).Prepare(t.Context(), by, to); err != nil {
			t.Fatal(err)
		}
		withNew := func(c *server.Config) { c.KeyEncryptionKey = renewed }
		third, fourth := here.Node(named("c"), withNew), here.Node(named("d"), withNew)
		spread(t, third, operatorToken(t, third, "management.node.read"), 4)
		if err := rekey(renewed).Finish(t.Context(), by); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "a, b still runs with another key") {
			t.Errorf("the last step while servers run with the old key = %v, want a conflict that names them", err)
		}
		for _, p := range []*servertest.Platform{here, there} {
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		stop := using(t, c, third, fourth)
		if err := rekey(renewed).Finish(t.Context(), by); err != nil {
			t.Error(err)
		}
		stop()
		if _, err := server.Open(t.Context(), here.Config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "key-encryption key") {
			t.Errorf("a start with the old key = %v, want an error that names the key", err)
		}
	})
}

// using issues tokens and rotates keys on servers until stop is called.
func using(t *testing.T, c servertest.Client, servers ...*servertest.Platform) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, p := range servers {
		running.Go(func() {
			for ctx.Err() == nil {
				if a := issue(t, p.URL, c); a.status != http.StatusOK {
					t.Errorf("a token meanwhile: %d %s", a.status, a.body)
				}
				err := p.Server.SigningKeys().Rotate(t.Context(), actor.NewSystem("test"), signingkey.Assertion)
				if err != nil && !strings.Contains(err.Error(), "still published") {
					t.Errorf("a rotation meanwhile: %v", err)
				}
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

func withoutIssuingLimit(c *server.Config) { c.IssuingLimit.PerSecond = new(float64) }
