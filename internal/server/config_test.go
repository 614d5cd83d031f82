package server_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

const minimal = "public_url: https://api.example.com\ndatabase: sqlite:/var/lib/doorward.db\n"

func load(t *testing.T, text string, environ ...string) (server.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doorward.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.LoadConfig(path, environ)
}

// keysOf lists the names that a struct's fields have in a file.
func keysOf(t reflect.Type, tag string) (keys []string) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get(tag), ",")
		if name != "" && name != "-" {
			keys = append(keys, name)
			keys = append(keys, keysOf(t.Field(i).Type, tag)...)
		}
	}
	return keys
}

// commentedOut turns "# name: value" into the setting.
func commentedOut(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		if before, setting, ok := bytes.Cut(line, []byte("# ")); ok && len(bytes.TrimSpace(before)) == 0 {
			if name, _, found := bytes.Cut(setting, []byte(": ")); found && !bytes.Contains(name, []byte(" ")) && bytes.ToLower(name)[0] == name[0] {
				line = append(bytes.Clone(before), setting...)
			}
		}
		out.Write(line)
	}
	return out.Bytes()
}

func TestExampleHasEverySetting(t *testing.T) {
	const path = "../../docs/doorward.example.yaml"
	config, err := server.LoadConfig(path, nil)
	if err != nil {
		t.Fatalf("the example as it stands: %v", err)
	}
	if len(config.Products) != 1 || len(config.Products[0].Routes) != 5 || config.OpsListen != "127.0.0.1:8082" {
		t.Errorf("the example was read as %+v", config)
	}
	usable := configuration(t, sqldbtest.URL(t, "sqlite"))
	usable.Products = config.Products
	if err := opens(t, usable); err != nil {
		t.Errorf("a server with the example's products: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(keysOf(reflect.TypeFor[server.Config](), "koanf"), keysOf(reflect.TypeFor[registry.Definition](), "json")...) {
		if !strings.Contains(string(text), key+":") {
			t.Errorf("the example does not show %s", key)
		}
	}
	for _, key := range keysOf(reflect.TypeFor[server.Config](), "koanf") {
		if !strings.Contains(string(manual), key) {
			t.Errorf("docs/operating.md does not explain %s", key)
		}
	}
}

func TestExampleShowsTheDefaults(t *testing.T) {
	example, err := server.LoadConfig("../../docs/doorward.example.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*server.Config{&example, &config} { // what has no default, or says another one on purpose
		c.PublicURL, c.DashboardURL, c.Database, c.KeyEncryptionKey, c.TLS, c.Products = "", "", "", server.KeyEncryptionKey{}, server.TLS{}, nil
		c.APIListen, c.DashboardListen, c.ManagementListen, c.TrustedProxies = "", "", "", nil
	}
	// Zero means these to the packages that use them.
	config.MaxClients, config.MaxTokens, config.MaxCalls, config.MaxConns = access.DefaultMaxClients, access.DefaultMaxTokens, gateway.DefaultMaxCalls, 8
	config.Signing.RotateEvery = 90 * 24 * time.Hour
	if diff := cmp.Diff(config, example); diff != "" {
		t.Errorf("the example shows other values than the defaults (-default +example):\n%s", diff)
	}
}

func TestSettingsInCommentsOfTheExampleWork(t *testing.T) {
	text, err := os.ReadFile("../../docs/doorward.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(commentedOut(text)), "trusted_proxies: []\n", "", 1)
	changed = strings.NewReplacer("  certificate_file:", "  # ", "  key_file:", "  # ").Replace(changed)
	config, err := load(t, changed)
	if err != nil {
		t.Fatal(err)
	}
	want := server.ACME{
		Domains: []string{"api.example.com", "dashboard.example.com"}, Email: "operations@example.com", Folder: "/var/lib/doorward/acme",
		Directory: "https://acme-v02.api.letsencrypt.org/directory", RootsFile: "/etc/doorward/acme-roots.pem",
	}
	if diff := cmp.Diff(want, config.TLS.ACME); diff != "" {
		t.Errorf("tls.acme (-want +got):\n%s", diff)
	}
	if config.StaleLimit != time.Minute || len(config.TrustedProxies) != 2 {
		t.Errorf("stale_limit = %s, trusted_proxies = %v", config.StaleLimit, config.TrustedProxies)
	}
}

func TestDefaultsFollowFromTheRest(t *testing.T) {
	config, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	if config.DashboardURL != "https://api.example.com:8081" || config.StaleLimit != 5*time.Minute || config.Signing.Algorithm != jwt.ES256 {
		t.Errorf("defaults: %+v", config)
	}
	config, err = load(t, "public_url: https://api.example.com\ndatabase: postgres://doorward@db/doorward\n")
	if err != nil || config.StaleLimit != time.Minute {
		t.Errorf("on PostgreSQL: stale_limit = %s, err = %v", config.StaleLimit, err)
	}
}

func TestUnknownSettingsNameTheNearestKnownOne(t *testing.T) {
	const product = "products:\n- {key: orders, name: Orders, prefix: /orders, visibility: published, sandbox_access: open, production_access: open, "
	for name, row := range map[string]struct{ bad, nearest, twin string }{
		"misspelt":            {"acces_log: off", "access_log", "access_log: off"},
		"in another case":     {"Access_Log: off", "access_log", "access_log: off"},
		"in a group":          {"ops: {prof: true}", "ops.pprof", "ops: {pprof: true}"},
		"two levels down":     {"tls: {acme: {domain: [a.example.com], folder: /x}}", "tls.acme.domains", "tls: {acme: {domains: [a.example.com], folder: /x}}"},
		"a group":             {"signings: {algorithm: RS256}", "signing.algorithm", "signing: {algorithm: RS256}"},
		"the list":            {"product: []", "products", "products: []"},
		"of a product":        {product + "visiblity: draft}", "visibility", product + "description: x}"},
		"of a permission":     {product + "permissions: [{key: orders.read, assignabel: customer}]}", "assignable", product + "permissions: [{key: orders.read, assignable: customer}]}"},
		"of a route":          {product + "routes: [{method: GET, paths: /, public: true}]}", "path", product + "routes: [{method: GET, path: /, public: true}]}"},
		"empty":               {"acces_log:", "access_log", "access_log:"},
		"empty, in the place": {"opss:", "ops", "ops:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, minimal+row.bad+"\n")
			if err == nil || !strings.Contains(err.Error(), "did you mean "+row.nearest) {
				t.Errorf("err = %v, want one that names %s", err, row.nearest)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := load(t, minimal+row.twin+"\n"); err != nil {
					t.Errorf("err = %v", err)
				}
			})
		})
	}
}

func TestValuesThatCannotWorkAreRefused(t *testing.T) {
	for name, row := range map[string]struct{ bad, want, twin string }{
		"who signs up":          {"sign_up: nobody", "open, invitation", "sign_up: invitation"},
		"redis without address": {"redis: {username: doorward}", "redis.address", "redis: {address: 'redis.example.com:6379', username: doorward}"},
		"redis without a port":  {"redis: {address: redis.example.com}", "host:port", "redis: {address: 'redis.example.com:6379'}"},
		"redis encryption":      {"redis: {address: 'r:6379', encryption: ssl}", "redis.encryption", "redis: {address: 'r:6379', encryption: none}"},
		"redis database":        {"redis: {address: 'r:6379', database: -1}", "redis.database", "redis: {address: 'r:6379', database: 1}"},
		"mail without a server": {"mail: {from: a@example.com}", "mail.server", "mail: {server: 'smtp.example.com:587', from: a@example.com}"},
		"mail without a sender": {"mail: {server: 'smtp.example.com:587'}", "mail.from", "mail: {server: 'smtp.example.com:587', from: A <a@example.com>}"},
		"mail without a port":   {"mail: {server: smtp.example.com, from: a@example.com}", "host:port", "mail: {server: 'smtp.example.com:465', encryption: implicit, from: a@example.com}"},
		"mail in clear":         {"mail: {server: 'smtp.example.com:25', encryption: none, from: a@example.com}", "mail.encryption", "mail: {server: '127.0.0.1:25', encryption: none, from: a@example.com}"},
		"path in public_url":    {"public_url: https://api.example.com/v1", "public_url", "public_url: https://api.example.com"},
		"query in public_url":   {"public_url: https://api.example.com?a", "public_url", "public_url: https://api.example.com:8443"},
		"anchor in public_url":  {"public_url: https://api.example.com#a", "public_url", "public_url: https://api.example.com"},
		"user in public_url":    {"public_url: https://me@api.example.com", "public_url", "public_url: https://api.example.com"},
		"plain http":            {"public_url: http://api.example.com", "https", "public_url: http://api.example.com\ntrusted_proxies: [10.0.0.0/8]"},
		"no database":           {"database: ''", "database", "database: sqlite:x"},
		"issuer path":           {"issuer_path: auth", "issuer_path", "issuer_path: /auth"},
		"issuer path is all":    {"issuer_path: /", "issuer_path", "issuer_path: /open"},
		"two scopes":            {"scope: a b", "scope", "scope: a-b"},
		"algorithm":             {"signing: {algorithm: none}", "ES256, RS256, EdDSA", "signing: {algorithm: EdDSA}"},
		"stale limit":           {"stale_limit: 1s", "stale_limit", "stale_limit: 5s"},
		"duration without unit": {"grace_time: 30", "unit", "grace_time: 30s"},
		"negative grace":        {"grace_time: -1s", "grace_time", "grace_time: 1s"},
		"half a certificate":    {"tls: {key_file: /x}", "certificate_file", "tls: {key_file: /x, certificate_file: /y}"},
		"two ways to TLS":       {"tls: {key_file: /x, certificate_file: /y, acme: {domains: [a.example], folder: /z}}", "not both", "tls: {acme: {domains: [a.example], folder: /z}}"},
		"ACME without a folder": {"tls: {acme: {domains: [a.example]}}", "tls.acme.folder", "tls: {acme: {domains: [a.example], folder: /x}}"},
		"listen":                {"api_listen: 8080", "host:port", "api_listen: :8080"},
		"proxies":               {"trusted_proxies: [10.0.0.0]", "10.0.0.0", "trusted_proxies: [10.0.0.0/8]"},
		"not YAML":              {"a: [", "read the configuration", "# a: ["},
		"products of one path": {
			"products: [{key: a, prefix: /a}, {key: b, prefix: /a}]", "products",
			"products: [{key: a, prefix: /a}, {key: b, prefix: /b}]",
		},
		"products are no list": {"products: {key: a}", "products", "products: []"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, over(row.bad))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("err = %v, want one about %q", err, row.want)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := load(t, over(row.twin)); err != nil {
					t.Errorf("err = %v", err)
				}
			})
		})
	}
}

// over adds lines to the minimal configuration, in place of its own.
func over(lines string) string {
	name, _, _ := strings.Cut(lines, ":")
	var kept strings.Builder
	for line := range strings.Lines(minimal) {
		if !strings.HasPrefix(line, name+":") {
			kept.WriteString(line)
		}
	}
	return kept.String() + lines + "\n"
}

func TestEnvironmentOverridesTheFile(t *testing.T) {
	config, err := load(
		t, minimal+"ops: {pprof: false}\ngrace_time: 1s\n",
		"DOORWARD_OPS__PPROF=true", "DOORWARD_GRACE_TIME=7s", "DOORWARD_TRUSTED_PROXIES=10.0.0.0/8, fd00::/8",
		"DOORWARD_ISSUING_LIMIT__PER_SECOND=2.5", "DOORWARD_DATABASE=postgres://u:p=#x@h/d", "DOORWARD_KEY_ENCRYPTION_KEY=00",
		"DOORWARD_TEST_POSTGRES=x", "OTHER=1", "DOORWARD_TLS__ACME__DOMAINS=a.example,b.example", "DOORWARD_TLS__ACME__FOLDER=/x",
	)
	if err != nil {
		t.Fatal(err)
	}
	if !config.Ops.Pprof || config.GraceTime != 7*time.Second || *config.IssuingLimit.PerSecond != 2.5 || config.Database != "postgres://u:p=#x@h/d" {
		t.Errorf("config = %+v", config)
	}
	if diff := cmp.Diff([]string{"a.example", "b.example"}, config.TLS.ACME.Domains); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if diff := cmp.Diff(want, config.TrustedProxies, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("trusted_proxies (-want +got):\n%s", diff)
	}
}

func FuzzConfigurationIsReadOrRefused(f *testing.F) {
	f.Add(minimal)
	f.Add("products: [{routes: [{method: 1}]}]")
	f.Add("tls:\n  acme: x\n? [a]\n: b")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := load(t, text); err != nil && strings.Contains(err.Error(), "panic") {
			t.Error(err)
		}
	})
}
