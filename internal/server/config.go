package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

// Config is the configuration of a server. Every field but PublicURL and
// Database has a usable zero value.
type Config struct {
	PublicURL    string `koanf:"public_url"`    // of the API domain; the audience of access tokens
	DashboardURL string `koanf:"dashboard_url"` // base of help links; default: PublicURL's host with the Dashboard's port
	Database     string `koanf:"database"`      // sqlite:PATH or postgres://…

	KeyEncryptionKey KeyEncryptionKey `koanf:"key_encryption_key"`

	APIListen       string `koanf:"api_listen"`       // default 127.0.0.1:8080
	DashboardListen string `koanf:"dashboard_listen"` // default 127.0.0.1:8081
	OpsListen       string `koanf:"ops_listen"`       // default 127.0.0.1:8082
	// ManagementListen is where clients of the operator reach the management
	// API; that of APIListen: there; default: nowhere.
	ManagementListen string         `koanf:"management_listen"`
	TLS              TLS            `koanf:"tls"`             // of the API and Dashboard listeners
	TrustedProxies   []netip.Prefix `koanf:"trusted_proxies"` // whose X-Forwarded-For counts; default none

	IssuerPath            string `koanf:"issuer_path"`            // default /auth/open
	Scope                 string `koanf:"scope"`                  // default signicat-api
	AccountParameter      string `koanf:"account_parameter"`      // default signicat-accountId
	OrganisationParameter string `koanf:"organisation_parameter"` // default signicat-organizationId
	OrganisationHeader    string `koanf:"organisation_header"`    // default Signicat-OrganizationId

	Signing      Signing       `koanf:"signing"`
	IssuingLimit IssuingLimit  `koanf:"issuing_limit"`
	StaleLimit   time.Duration `koanf:"stale_limit"` // default 5m on SQLite, 60s on PostgreSQL
	GraceTime    time.Duration `koanf:"grace_time"`  // for calls in flight at a stop; default 30s
	MaxClients   int           `koanf:"max_clients"` // kept in memory; default 50,000
	MaxTokens    int           `koanf:"max_tokens"`  // verified ones kept in memory; default 2048
	MaxCalls     int           `koanf:"max_calls"`   // of one upstream at one time; default 2048
	MaxConns     int           `koanf:"max_connections"`
	PollOnly     bool          `koanf:"poll_only"` // no LISTEN and NOTIFY on PostgreSQL
	// RevocationJournal is a file to which revocations are appended before they
	// are acknowledged, for the day of a restore; default none.
	RevocationJournal string `koanf:"revocation_journal"`
	NodeName          string `koanf:"node_name"`  // of this server among those on its database; default the host's
	AccessLog         string `koanf:"access_log"` // a file, "-" for standard output (default), or "off"
	Ops               Ops    `koanf:"ops"`
	Egress            Egress `koanf:"egress"`
	Redis             Redis  `koanf:"redis"`
	Mail              Mail   `koanf:"mail"`
	SignUp            string `koanf:"sign_up"` // open (default), or invitation

	Products []registry.Definition `koanf:"-"` // applied at start, read-only elsewhere
	Now      func() time.Time      `koanf:"-"` // the server's clock; nil: the machine's
	Console  io.Writer             `koanf:"-"` // shows mails that no mail server delivers, links and all; nil: they wait in the outbox
}

// KeyEncryptionKey says where the key that protects all others comes from: a file
// that only its owner can read, a program that asks whatever holds it, or
// DOORWARD_KEY_ENCRYPTION_KEY.
type KeyEncryptionKey struct {
	File    string   `koanf:"file"`
	Command []string `koanf:"command"` // and its arguments
}

// Open reads the key, or returns the program. It is the one that wraps, not one
// that is known to fit.
func (k KeyEncryptionKey) Open() (*secret.KeyEncryptionKey, error) {
	text := os.Getenv(environmentPrefix + "KEY_ENCRYPTION_KEY")
	var key []byte
	var err error
	switch {
	case k.File != "" && len(k.Command) > 0:
		return nil, errors.New("key_encryption_key: give a file or a command, not both")
	case len(k.Command) > 0:
		return secret.NewKeyEncryptionCommand(k.Command), nil
	case k.File != "":
		key, err = secret.ReadKeyEncryptionKey(k.File)
	case text != "":
		key, err = secret.ParseKeyEncryptionKey(text)
	default:
		err = errors.New("no key-encryption key: name its file in key_encryption_key.file, or set DOORWARD_KEY_ENCRYPTION_KEY; make one with `openssl rand -hex 32`")
	}
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return secret.NewKeyEncryptionKey(key)
}

// TLS makes a listener speak TLS, with certificate files or by ACME.
type TLS struct {
	CertificateFile string `koanf:"certificate_file"`
	KeyFile         string `koanf:"key_file"`
	ACME            ACME   `koanf:"acme"`
}

// ACME gets certificates by itself (RFC 8555). The API listener must be
// reachable as port 443 of each domain.
type ACME struct {
	Domains   []string `koanf:"domains"`
	Email     string   `koanf:"email"`
	Folder    string   `koanf:"folder"`     // where certificates are kept
	Directory string   `koanf:"directory"`  // of the authority; default Let's Encrypt's
	RootsFile string   `koanf:"roots_file"` // to trust the authority's own HTTPS by; default the system's
}

// Signing chooses the keys of access tokens.
type Signing struct {
	Algorithm   jwt.Algorithm `koanf:"algorithm"`    // ES256 (default), RS256 or EdDSA
	RotateEvery time.Duration `koanf:"rotate_every"` // default 90 days
}

// IssuingLimit bounds the tokens that one client gets from one node.
type IssuingLimit struct {
	PerSecond *float64 `koanf:"per_second"` // default 50; 0 = off
	Burst     int      `koanf:"burst"`      // default 500
}

// Ops is about the listener for operators.
type Ops struct {
	Pprof bool `koanf:"pprof"`
}

// Egress is about requests to addresses that others chose, such as webhooks.
type Egress struct {
	Allow []netip.Prefix `koanf:"allow"` // internal networks that may be reached; default none
}

// Who may sign up.
const (
	SignUpOpen         = "open"
	SignUpByInvitation = "invitation"
)

// environmentPrefix stands before a setting's name in the environment:
// DOORWARD_PUBLIC_URL, DOORWARD_OPS__PPROF.
const environmentPrefix = "DOORWARD_"

// LoadConfig reads a YAML file, lets the environment override it, and refuses
// what it does not know. environ is like os.Environ.
func LoadConfig(path string, environ []string) (Config, error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return Config{}, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	known := settings(reflect.TypeFor[Config](), "")
	if err := refuseUnknown(k, path, known); err != nil {
		return Config{}, err
	}
	if err := k.Load(confmap.Provider(overrides(environ, known), "."), nil); err != nil {
		return Config{}, err
	}
	var c Config
	if err := k.Unmarshal("", &c); err != nil {
		return Config{}, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	products, err := decodeProducts(path, k.Get("products"))
	if err != nil {
		return Config{}, err
	}
	c.Products = products
	return c, c.complete()
}

// refuseUnknown refuses settings that do not exist and durations without a
// unit. It passes over a group of which every line is commented out, which YAML
// reads as nothing.
func refuseUnknown(k *koanf.Koanf, path string, known map[string]reflect.Type) error {
	names := slices.Sorted(maps.Keys(known))
	for _, key := range k.Keys() {
		value, field := k.Get(key), known[key]
		root, _, _ := strings.Cut(key, ".")
		group := value == nil && slices.Contains(groups(names), key)
		switch _, text := value.(string); {
		case root == "products" || group:
		case field == nil:
			return unknownKey(path, key, append(names, append(groups(names), "products")...))
		case field == reflect.TypeFor[time.Duration]() && value != nil && !text:
			return fmt.Errorf("%s: %s: write the duration with its unit, like 30s or 5m", path, key)
		}
	}
	return nil
}

// groups are the names that others stand beneath.
func groups(names []string) (found []string) {
	for _, name := range names {
		if at := strings.LastIndexByte(name, '.'); at >= 0 {
			found = append(found, name[:at])
		}
	}
	return found
}

// overrides are the settings that the environment names. What else begins with
// the prefix is not ours to judge.
func overrides(environ []string, known map[string]reflect.Type) map[string]any {
	found := map[string]any{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, environmentPrefix)
		key := strings.ReplaceAll(strings.ToLower(rest), "__", ".")
		switch field := known[key]; {
		case !ours || field == nil:
		case field.Kind() == reflect.Slice:
			found[key] = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		default:
			found[key] = value
		}
	}
	return found
}

// decodeProducts reads the products in their JSON form, strictly.
func decodeProducts(path string, value any) ([]registry.Definition, error) {
	if value == nil {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("read the products of %s: %w", path, err)
	}
	var products []registry.Definition
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&products); err != nil {
		if _, name, ok := strings.Cut(err.Error(), `unknown field "`); ok {
			return nil, unknownKey(path, "products: "+strings.TrimSuffix(name, `"`), productKeys())
		}
		return nil, fmt.Errorf("read the products of %s: %w", path, err)
	}
	return products, nil
}

func productKeys() (keys []string) {
	for _, t := range []reflect.Type{reflect.TypeFor[registry.Definition](), reflect.TypeFor[registry.Permission](), reflect.TypeFor[registry.Route]()} {
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			keys = append(keys, name)
		}
	}
	return keys
}

func (c *Config) clock() func() time.Time {
	if c.Now == nil {
		return time.Now
	}
	return c.Now
}

// settings maps the dotted name of each setting of a struct to its type.
func settings(t reflect.Type, prefix string) map[string]reflect.Type {
	found := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("koanf")
		switch {
		case name == "-":
		case field.Type.Kind() == reflect.Struct:
			maps.Copy(found, settings(field.Type, prefix+name+"."))
		default:
			found[prefix+name] = field.Type
		}
	}
	return found
}

func unknownKey(path, key string, known []string) error {
	_, bare, found := strings.Cut(key, ": ")
	if !found {
		bare = key
	}
	nearest, least := "", len(bare)
	for _, k := range known {
		if d := distance(bare, k); d < least {
			nearest, least = k, d
		}
	}
	hint := "look it up in docs/operating.md"
	if nearest != "" {
		hint = "did you mean " + nearest + "?"
	}
	return fmt.Errorf("%s: there is no setting %s; %s", path, key, hint)
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// complete fills in defaults and refuses what cannot work.
func (c *Config) complete() error {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&c.APIListen, "127.0.0.1:8080"}, {&c.DashboardListen, "127.0.0.1:8081"}, {&c.OpsListen, "127.0.0.1:8082"},
		{&c.IssuerPath, "/auth/open"}, {&c.Scope, "signicat-api"},
		{&c.AccountParameter, "signicat-accountId"}, {&c.OrganisationParameter, "signicat-organizationId"},
		{&c.OrganisationHeader, "Signicat-OrganizationId"}, {&c.AccessLog, "-"}, {&c.SignUp, SignUpOpen},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if c.Signing.Algorithm == "" {
		c.Signing.Algorithm = jwt.ES256
	}
	if c.IssuingLimit.PerSecond == nil {
		perSecond := 50.0
		c.IssuingLimit.PerSecond = &perSecond
	}
	if c.IssuingLimit.Burst == 0 {
		c.IssuingLimit.Burst = 500
	}
	if c.GraceTime == 0 {
		c.GraceTime = 30 * time.Second
	}
	if c.StaleLimit == 0 {
		c.StaleLimit = 5 * time.Minute
		if !strings.HasPrefix(c.Database, "sqlite:") {
			c.StaleLimit = time.Minute
		}
	}
	if c.DashboardURL == "" {
		c.DashboardURL = c.dashboardBeside()
	}
	return c.check()
}

// dashboardBeside is the public URL with the Dashboard's port.
func (c *Config) dashboardBeside() string {
	u, err := url.Parse(c.PublicURL)
	_, port, splitErr := net.SplitHostPort(c.DashboardListen)
	if err != nil || splitErr != nil {
		return c.PublicURL // check refuses it
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)
}

func (c *Config) check() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if u, err := url.Parse(c.PublicURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		problem("public_url: give the URL of the API domain without a path, like https://api.example.com")
	} else if u.Scheme == "http" && !isLoopback(u.Hostname()) && len(c.TrustedProxies) == 0 {
		problem("public_url: use https, or name the proxies that speak it in trusted_proxies; secrets would cross the network in clear")
	}
	if c.Database == "" {
		problem("database: name it, like sqlite:/var/lib/doorward/doorward.db or postgres://user@host/doorward")
	}
	if !strings.HasPrefix(c.IssuerPath, "/") || c.IssuerPath == "/" || strings.HasSuffix(c.IssuerPath, "/") {
		problem("issuer_path: it begins with a slash and does not end in one, like /auth/open")
	}
	if strings.ContainsAny(c.Scope, " \"\\") {
		problem("scope: it is one word (RFC 6749 §3.3)")
	}
	switch c.Signing.Algorithm {
	case jwt.ES256, jwt.RS256, jwt.EdDSA:
	default:
		problem("signing.algorithm: %q is not one of ES256, RS256, EdDSA", c.Signing.Algorithm)
	}
	if c.StaleLimit < 5*time.Second || c.GraceTime < 0 {
		problem("stale_limit: 5s at least; grace_time: not negative")
	}
	if c.MaxCalls < 0 {
		problem("max_calls: not negative")
	}
	if (c.TLS.CertificateFile == "") != (c.TLS.KeyFile == "") {
		problem("tls: give certificate_file and key_file together")
	}
	if c.TLS.CertificateFile != "" && len(c.TLS.ACME.Domains) > 0 {
		problem("tls: give certificate files or acme.domains, not both")
	}
	if len(c.TLS.ACME.Domains) > 0 && c.TLS.ACME.Folder == "" {
		problem("tls.acme.folder: name a folder for the certificates")
	}
	for _, listen := range []string{c.APIListen, c.DashboardListen, c.OpsListen, cmp.Or(c.ManagementListen, c.APIListen)} {
		if _, _, err := net.SplitHostPort(listen); err != nil {
			problem("%q is no address to listen on: write host:port", listen)
		}
	}
	if c.SignUp != SignUpOpen && c.SignUp != SignUpByInvitation {
		problem("sign_up: %q is not one of %s, %s", c.SignUp, SignUpOpen, SignUpByInvitation)
	}
	if err := c.Redis.check(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.Mail.smtp(); err != nil {
		problems = append(problems, err)
	}
	if _, err := access.Compile(c.Products); err != nil {
		problem("products: %w", err)
	}
	return errors.Join(problems...)
}

// hostOf is the host of a URL that was checked.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
