package server_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// asItRuns is the configuration of a platform with the addresses that it took.
func asItRuns(t *testing.T, p *servertest.Platform) server.Config {
	t.Helper()
	c := p.Config
	for listen, address := range map[*string]string{&c.APIListen: p.URL, &c.DashboardListen: p.DashboardURL, &c.OpsListen: p.OpsURL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		*listen = u.Host
	}
	c.PublicURL, c.DashboardURL, c.ManagementListen = p.URL, p.DashboardURL, c.APIListen
	return c
}

// ill are the findings that are not good, in short.
func ill(found []server.Finding) (texts []string) {
	for _, f := range found {
		if f.Health != server.Good {
			texts = append(texts, string(f.Health)+" "+f.Check)
		}
	}
	return texts
}

func TestAnInstallationThatWorksIsFoundGood(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			p := servertest.Start(t, servertest.On(sqldbtest.Migrated(t, engine)), func(c *server.Config) {
				c.Redis = server.Redis{Address: os.Getenv("DOORWARD_TEST_REDIS"), Encryption: "none"}
			})
			found := server.Examine(t.Context(), asItRuns(t, p))
			if diff := cmp.Diff([]string{"warning mail"}, ill(found)); diff != "" {
				t.Errorf("%s\n%+v", diff, found)
			}
			checks := ""
			for _, f := range found {
				checks += f.Check + ", "
				if (f.Health == server.Good) == (f.Remedy != "") {
					t.Errorf("%+v: a remedy where nothing is wrong, or none", f)
				}
			}
			for _, want := range []string{"configuration", "database", "keys", "clock", "TLS", "api_listen", "ops_listen", "public_url", "upstream of echo in sandbox", "redis"} {
				if !strings.Contains(checks, want) {
					t.Errorf("%s is not looked at: %s", want, checks)
				}
			}
		})
	}
}

// looseCopy makes a copy of a file that everybody may read.
func looseCopy(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(t.TempDir(), "loose")
	if err := os.WriteFile(loose, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o644); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return loose
}

func TestACertificateThatNobodyTrustsIsNotAServerThatIsAway(t *testing.T) {
	good := asItRuns(t, servertest.Start(t))
	secured := httptest.NewTLSServer(http.NotFoundHandler())
	secured.Config.ErrorLog = log.New(io.Discard, "", 0) // it hears of the refusal
	defer secured.Close()
	for address, remedy := range map[string]string{secured.URL: "whole chain", "https://127.0.0.1:1": "start the server"} {
		config := good
		config.PublicURL = address
		for _, f := range server.Examine(t.Context(), config) {
			if f.Check == "public_url" && (f.Health != server.Warning || !strings.Contains(f.Remedy, remedy)) {
				t.Errorf("%s: %+v", address, f)
			}
		}
	}
}

func TestAStartTriesTheRevocationJournal(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		path  string
		tells bool
	}{{filepath.Join(folder, "none", "revocations"), true}, {filepath.Join(folder, "revocations"), false}} {
		p := servertest.Start(t, func(config *server.Config) { config.RevocationJournal = c.path })
		if got := strings.Contains(p.Logs(), "cannot be written to the revocation journal"); got != c.tells {
			t.Errorf("%s: the log says so: %t, want %t", c.path, got, c.tells)
		}
		for _, f := range server.Examine(t.Context(), asItRuns(t, p)) {
			if f.Check == "revocation_journal" && (f.Health == server.Bad) != c.tells {
				t.Errorf("%s: %+v", c.path, f)
			}
		}
	}
}

func TestTheRemedyOfALooseFileIsNotAnotherFile(t *testing.T) {
	good := asItRuns(t, servertest.Start(t))
	right := good.KeyEncryptionKey.File
	for name, c := range map[string]struct {
		file  string
		other bool // whether to give another key
	}{
		"loose":   {looseCopy(t, right), false},
		"missing": {right + "-lost", true},
	} {
		config := good
		config.KeyEncryptionKey.File = c.file
		for _, f := range server.Examine(t.Context(), config) {
			if f.Check == "keys" && (f.Health != server.Bad || strings.Contains(f.Remedy, "last started with") != c.other) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

func TestWhatIsWrongIsFoundWithWhatToDo(t *testing.T) {
	p := servertest.Start(t)
	good := asItRuns(t, p)
	other := httptest.NewServer(demo.NewEcho(""))
	defer other.Close()
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	loose := looseCopy(t, empty)
	for name, c := range map[string]struct {
		change func(*server.Config)
		want   string // health and check
		detail string
	}{
		"incomplete":       {func(c *server.Config) { c.PublicURL = "api.example.com" }, "bad configuration", "public_url"},
		"no database yet":  {func(c *server.Config) { c.Database = "sqlite:" + filepath.Join(folder, "none.db") }, "warning database", "not there yet"},
		"database is away": {func(c *server.Config) { c.Database = "postgres://doorward:hunter2@127.0.0.1:1/doorward" }, "bad database", "does not answer"},
		"old schema":       {func(c *server.Config) { c.Database = "sqlite:" + empty }, "bad database", "doorward migrate"},
		"another key":      {func(c *server.Config) { c.KeyEncryptionKey = configuration(t, "").KeyEncryptionKey }, "bad keys", "not the key-encryption key"},
		"loose key":        {func(c *server.Config) { c.KeyEncryptionKey.File = looseCopy(t, c.KeyEncryptionKey.File) }, "bad keys", "run chmod 0600"},
		"loose database":   {func(c *server.Config) { c.Database = "sqlite:" + loose }, "bad database", "run chmod 600"},
		"no folder":        {func(c *server.Config) { c.Database = "sqlite:" + filepath.Join(folder, "none", "none.db") }, "bad database", "no such file"},
		"no journal":       {func(c *server.Config) { c.RevocationJournal = filepath.Join(folder, "none", "revocations") }, "bad revocation_journal", "no such file"},
		"a folder for one": {func(c *server.Config) { c.RevocationJournal = folder }, "bad revocation_journal", "is a directory"},
		"no key":           {func(c *server.Config) { c.KeyEncryptionKey.File = "" }, "bad keys", "no key-encryption key"},
		"never started":    {func(c *server.Config) { c.Database = sqldbtest.Migrated(t, "sqlite") }, "warning keys", "no signing keys yet"},
		"nobody listens":   {func(c *server.Config) { c.DashboardListen = "127.0.0.1:0" }, "warning dashboard_listen", "is free"},
		"not ours to use":  {func(c *server.Config) { c.DashboardListen = "192.0.2.1:1" }, "bad dashboard_listen", "192.0.2.1:1"},
		"another program":  {func(c *server.Config) { c.OpsListen = strings.TrimPrefix(other.URL, "http://") }, "bad ops_listen", "not as this server"},
		"another server":   {func(c *server.Config) { c.PublicURL = other.URL }, "bad public_url", "not as this installation"},
		"out of reach":     {func(c *server.Config) { c.PublicURL = "http://127.0.0.1:1" }, "warning public_url", "connection refused"},
		"no certificate":   {func(c *server.Config) { c.TLS.CertificateFile, c.TLS.KeyFile = "none.pem", "none.pem" }, "bad TLS", "no such file"},
		"of another name": {func(c *server.Config) {
			c.TLS.ACME.Domains, c.TLS.ACME.Folder = []string{"api.example.com"}, folder
		}, "bad TLS", "does not name 127.0.0.1"},
		"redis is away":  {func(c *server.Config) { c.Redis.Address = "127.0.0.1:1" }, "bad redis", "connection refused"},
		"redis in clear": {func(c *server.Config) { c.Redis.Address = strings.TrimPrefix(other.URL, "http://") }, "bad redis", "tls"},
		"no redis at all": {func(c *server.Config) {
			c.Redis.Address, c.Redis.Encryption = strings.TrimPrefix(other.URL, "http://"), "none"
		}, "bad redis", "not that of a Redis server"},
		"password is away": {func(c *server.Config) { c.Redis.Address, c.Redis.PasswordFile = "127.0.0.1:1", "none" }, "bad redis", "no such file"},
		"mail server is away": {func(c *server.Config) {
			c.Mail.Server, c.Mail.From, c.Mail.Encryption = "127.0.0.1:1", "a@example.com", "none"
		}, "bad mail", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			for _, f := range server.Examine(t.Context(), config) {
				if strings.Contains(f.Detail+f.Remedy, "hunter2") {
					t.Errorf("it shows a password: %+v", f)
				}
				if string(f.Health)+" "+f.Check == c.want {
					if !strings.Contains(f.Detail, c.detail) || f.Remedy == "" {
						t.Errorf("%+v", f)
					}
					return
				}
			}
			t.Errorf("nothing is %s", c.want)
		})
	}
}

func TestUpstreamsThatCannotBeReachedAreFound(t *testing.T) {
	p := servertest.Start(t)
	plain := httptest.NewServer(demo.NewEcho(""))
	defer plain.Close()
	unknown := httptest.NewTLSServer(demo.NewEcho("")) // of an authority that nobody trusts
	defer unknown.Close()
	define := func(key string, visibility registry.Visibility, upstream string) registry.Edit {
		return registry.PutProduct{Source: registry.Managed, Definition: registry.Definition{
			Key: key, Name: key, Prefix: "/" + key, Visibility: visibility, Upstreams: map[id.Environment]string{id.Sandbox: upstream},
		}}
	}
	err := p.Server.Registry().Apply(t.Context(), actor.NewSystem("test"),
		define("away", registry.Published, "http://127.0.0.1:1"), define("plain", registry.Published, plain.URL), define("unknown", registry.Published, unknown.URL),
		define("mute", registry.Published, "https"+strings.TrimPrefix(plain.URL, "http")), define("draft", registry.Draft, "http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bad upstream of away in sandbox", "bad upstream of mute in sandbox", "bad upstream of unknown in sandbox", "warning mail"}
	if diff := cmp.Diff(want, ill(server.Examine(t.Context(), asItRuns(t, p)))); diff != "" {
		t.Error(diff)
	}
}
