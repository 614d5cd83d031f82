package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/throttle"
)

// Health is what a check has found.
type Health string

// Only Bad keeps an installation from working.
const (
	Good    Health = "good"
	Warning Health = "warning"
	Bad     Health = "bad"
)

// Finding is what one check of an installation has found.
type Finding struct {
	Check  string `json:"check"`
	Health Health `json:"health"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // what to do
}

// Limits of what still counts as well.
const (
	certificateNotice = 14 * 24 * time.Hour
	clockTolerance    = 5 * time.Second // as tokens have it
	examinePatience   = 3 * time.Second // for each connection
	examineAtOnce     = 8
)

// examiner looks at one installation.
type examiner struct {
	config   Config
	now      func() time.Time
	findings []Finding
	db       *sqldb.DB // nil: it cannot be used
}

// Examine looks at an installation, on its machine and beside a server that may
// be running: what stands in its configuration, what its server depends on, and
// whether it answers. It changes nothing; upstreams are connected to and asked
// nothing.
func Examine(ctx context.Context, config Config) []Finding {
	e := &examiner{config: config, now: time.Now}
	if err := e.config.complete(); err != nil {
		e.bad("configuration", err.Error(), "mend it; docs/doorward.example.yaml explains every setting")
		return e.findings
	}
	e.good("configuration", "it is complete")
	e.database(ctx)
	if e.db != nil {
		defer e.db.Close() // only read
		e.keys(ctx)
		e.clock(ctx)
	}
	e.revocationJournal()
	e.certificate()
	e.listeners(ctx)
	e.public(ctx)
	if e.db != nil {
		e.upstreams(ctx)
	}
	e.redis(ctx)
	e.mailServer(ctx)
	return e.findings
}

func (e *examiner) good(check, detail string) {
	e.findings = append(e.findings, Finding{check, Good, detail, ""})
}

func (e *examiner) warn(check, detail, remedy string) {
	e.findings = append(e.findings, Finding{check, Warning, detail, remedy})
}

func (e *examiner) bad(check, detail, remedy string) {
	e.findings = append(e.findings, Finding{check, Bad, detail, remedy})
}

func (e *examiner) database(ctx context.Context) {
	const check = "database"
	if path, ok := strings.CutPrefix(e.config.Database, "sqlite:"); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat(filepath.Dir(path)); err != nil {
				e.bad(check, err.Error(), "make the folder, for the user that the server runs as; the first start makes the file")
				return
			}
			e.warn(check, path+" is not there yet", "the first start makes it")
			return
		}
	}
	db, err := sqldb.Open(ctx, sqldb.Config{URL: e.config.Database, MaxConns: 2, NoNotify: e.config.PollOnly})
	if err != nil {
		e.bad(check, err.Error(), remedyOfDatabase(e.config.Database))
		return
	}
	began := time.Now()
	if err := db.CheckSchema(ctx); err != nil {
		e.bad(check, err.Error(), "on SQLite the next start brings it up to date by itself")
		_ = db.Close() // it was only read
		return
	}
	e.db = db
	e.good(check, fmt.Sprintf("%s, schema up to date, answers in %s", db.Engine(), time.Since(began).Round(10*time.Microsecond)))
	e.migrations(ctx)
}

// revocationJournal looks whether it can be appended to, and makes none.
func (e *examiner) revocationJournal() {
	const check = "revocation_journal"
	path := e.config.RevocationJournal
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) //nolint:gosec // the operator names the journal
	if err == nil {
		err = file.Close()
	} else if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		e.bad(check, err.Error(), "let the server write there: until then whoever revokes something gets 503, though it is revoked")
		return
	}
	e.good(check, path+" can be appended to")
}

func remedyOfDatabase(database string) string {
	if strings.HasPrefix(database, "sqlite:") {
		return "see that database names the right file, and that this user owns it"
	}
	return "see that it runs, and that the address and the rights in database are the right ones"
}

// migrations tells of an upgrade that was not brought to its end.
func (e *examiner) migrations(ctx context.Context) {
	const check = "migrations"
	waiting, err := e.db.Waiting(ctx, journal.Older)
	if err != nil {
		e.bad(check, err.Error(), "see that doorward may read its whole database")
	}
	for _, w := range waiting {
		if len(w.Servers) > 0 {
			e.warn(check, fmt.Sprintf("migration %d waits for %s", w.Migration, strings.Join(w.Servers, ", ")), "restart these servers with this binary, then run doorward migrate")
			continue
		}
		e.warn(check, fmt.Sprintf("migration %d was not made yet, and no server stands in its way", w.Migration), "run doorward migrate")
	}
}

func (e *examiner) keys(ctx context.Context) {
	const check = "keys"
	kek, err := e.config.KeyEncryptionKey.Open()
	if err != nil {
		e.bad(check, err.Error(), remedyOfKey(err))
		return
	}
	found, err := signingkey.Look(ctx, e.db, kek, e.now)
	switch {
	case err != nil:
		e.bad(check, err.Error(), "nothing can be signed until it is put right")
		return
	case len(found) == 0:
		e.warn(check, "there are no signing keys yet", "the first start makes them")
		return
	}
	for _, purpose := range []string{signingkey.Sandbox, signingkey.Production, signingkey.Assertion} {
		for _, state := range []string{signingkey.Current, signingkey.Next} {
			if !slices.ContainsFunc(found, func(k signingkey.Info) bool { return k.Purpose == purpose && k.State == state }) {
				e.warn(check, "there is no "+state+" key for "+purpose, "a running server makes one within a minute")
			}
		}
	}
	e.good(check, fmt.Sprintf("the key-encryption key is the right one; %d signing keys open with it", len(found)))
}

func remedyOfKey(err error) string {
	if _, ok := errors.AsType[*secret.LooseFileError](err); ok {
		return "and if somebody else may have read it, change the key: docs/operating.md#keys"
	}
	return "give the one that the installation was last started with"
}

// clock compares this machine's with the database's, which all nodes share.
func (e *examiner) clock(ctx context.Context) {
	if e.db.Engine() == "sqlite" {
		return // it is the same
	}
	var theirs time.Time
	err := e.db.View(ctx, func(tx *sqldb.Tx) (err error) {
		theirs, err = tx.Clock(ctx)
		return err
	})
	if err == nil {
		e.clockFinding("the database's", theirs)
	}
}

func (e *examiner) clockFinding(whose string, theirs time.Time) {
	const check = "clock"
	apart := e.now().Sub(theirs)
	detail := fmt.Sprintf("%s apart from %s", apart.Abs().Round(time.Millisecond), whose)
	if apart.Abs() > clockTolerance {
		e.bad(check, detail, "let both machines follow a time server (NTP): tokens are refused when clocks are more than 5 s apart")
		return
	}
	e.good(check, detail)
}

func (e *examiner) certificate() {
	const check = "TLS"
	t := e.config.TLS
	switch {
	case t.CertificateFile != "":
		pair, err := tls.LoadX509KeyPair(t.CertificateFile, t.KeyFile)
		if err != nil {
			e.bad(check, err.Error(), "tls.certificate_file has the certificate with its chain, tls.key_file its private key, both as PEM")
			return
		}
		e.certificateFor(check, &pair)
	case len(t.ACME.Domains) > 0:
		if host := hostOf(e.config.PublicURL); !slices.Contains(t.ACME.Domains, host) {
			e.bad(check, "tls.acme.domains does not name "+host, "add it: clients connect to it")
			return
		}
		e.good(check, "certificates come by ACME for "+strings.Join(t.ACME.Domains, ", "))
	case strings.HasPrefix(e.config.PublicURL, "https:"):
		e.good(check, "a proxy in front speaks it")
	default:
		e.good(check, "none, on this machine alone")
	}
}

func (e *examiner) certificateFor(check string, pair *tls.Certificate) {
	for _, address := range []string{e.config.PublicURL, e.config.DashboardURL} {
		if err := pair.Leaf.VerifyHostname(hostOf(address)); err != nil {
			e.bad(check, "the certificate is not for "+hostOf(address)+": "+err.Error(), "get one that names it")
			return
		}
	}
	left := pair.Leaf.NotAfter.Sub(e.now())
	detail := fmt.Sprintf("the certificate ends on %s", pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	switch {
	case left <= 0 || e.now().Before(pair.Leaf.NotBefore):
		e.bad(check, detail, "it is not valid now: put a new one into its file, which is read again within seconds")
	case left < certificateNotice:
		e.warn(check, detail, "put a new one into its file, which is read again within seconds")
	default:
		e.good(check, detail)
	}
}

// listeners looks whether somebody answers where the server listens.
func (e *examiner) listeners(ctx context.Context) {
	for _, l := range []struct{ name, address string }{
		{"api_listen", e.config.APIListen}, {"dashboard_listen", e.config.DashboardListen}, {"ops_listen", e.config.OpsListen}, {"management_listen", e.config.ManagementListen},
	} {
		if l.address == "" {
			continue
		}
		conn, err := dial(ctx, here(l.address))
		switch {
		case err != nil:
			e.unheard(ctx, l.name, l.address)
		case l.name == "ops_listen":
			_ = conn.Close()
			e.readiness(ctx, l.name, here(l.address))
		default:
			_ = conn.Close()
			e.good(l.name, l.address+" answers")
		}
	}
}

// unheard finds out whether the server could listen where nobody answers.
func (e *examiner) unheard(ctx context.Context, name, address string) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		e.bad(name, err.Error(), "choose an address of this machine that is free and that the server may use")
		return
	}
	_ = listener.Close()
	e.warn(name, address+" is free: no server runs here", "start it")
}

func (e *examiner) readiness(ctx context.Context, name, address string) {
	status, text, _, err := get(ctx, "http://"+address+"/readyz")
	switch {
	case err == nil && status == http.StatusServiceUnavailable:
		e.bad(name, "the server is not ready: "+text, "look into its log")
	case err != nil || status != http.StatusOK || text != "ready":
		e.bad(name, address+" answers, and not as this server", "another program seems to use the address: stop it, or choose another")
	default:
		e.good(name, address+" says that the server is ready")
	}
}

// public asks the API domain as its clients do.
func (e *examiner) public(ctx context.Context) {
	const check = "public_url"
	issuer := e.config.PublicURL + e.config.IssuerPath
	status, text, header, err := get(ctx, issuer+"/.well-known/openid-configuration")
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.warn(check, err.Error(), "clients that do not trust it either cannot call: put the whole chain into tls.certificate_file; if the authority is your own, let this machine and theirs trust it")
		return
	}
	if err != nil {
		e.warn(check, err.Error(), "it cannot be reached from this machine, as clients reach it: start the server, and see to DNS, firewall and proxy")
		return
	}
	var metadata struct{ Issuer string }
	if json.Unmarshal([]byte(text), &metadata) != nil || status != http.StatusOK || metadata.Issuer != issuer {
		e.bad(check, fmt.Sprintf("%s answers %d, and not as this installation", e.config.PublicURL, status), "another server stands there, or a proxy changes paths or hosts")
		return
	}
	e.good(check, e.config.PublicURL+" answers as this installation")
	if theirs, err := http.ParseTime(header.Get("Date")); err == nil {
		e.clockFinding("that of "+hostOf(e.config.PublicURL), theirs.Add(time.Second/2)) // it is cut to seconds
	}
}

// upstreams connects to each upstream of a product.
func (e *examiner) upstreams(ctx context.Context) {
	products, err := registry.New(registry.Config{DB: e.db, Now: e.now}).LiveProducts(ctx)
	if err != nil {
		e.bad("upstreams", err.Error(), "the products cannot be read")
		return
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, examineAtOnce)
	var found []*Finding
	for _, p := range products {
		for _, environment := range []id.Environment{id.Sandbox, id.Production} {
			address := p.Definition.Upstreams[environment]
			if address == "" || p.Definition.Visibility == registry.Draft {
				continue
			}
			f := &Finding{Check: "upstream of " + p.Definition.Key + " in " + string(environment)}
			found = append(found, f)
			wait.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				f.reach(ctx, address)
			})
		}
	}
	wait.Wait()
	for _, f := range found {
		e.findings = append(e.findings, *f)
	}
}

// reach connects to a URL, and speaks TLS if it says so.
func (f *Finding) reach(ctx context.Context, address string) {
	u, err := url.Parse(address)
	if err == nil {
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		var conn net.Conn
		if conn, err = dial(ctx, net.JoinHostPort(u.Hostname(), port)); err == nil {
			defer func() { _ = conn.Close() }()
			if u.Scheme == "https" {
				err = shake(ctx, conn, u.Hostname())
			}
		}
	}
	if err != nil {
		f.Health, f.Detail, f.Remedy = Bad, fmt.Sprintf("%s cannot be reached: %v", address, err), "start it, or name the right address; until then its calls are answered 502"
		return
	}
	f.Health, f.Detail = Good, address+" takes connections"
}

func shake(ctx context.Context, conn net.Conn, host string) error {
	ctx, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()
	return tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
}

// redis counts one failure, which is paid in a millisecond.
func (e *examiner) redis(ctx context.Context) {
	const check, remedy = "redis", "see that it runs, and that redis has the right address, encryption and password; until then each server counts failed authentications alone, and answers its share of them"
	if e.config.Redis.Address == "" {
		return
	}
	client, err := e.config.Redis.open()
	if err != nil {
		e.bad(check, err.Error(), "servers do not start without it")
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()
	began := time.Now()
	if _, err := throttle.InRedis(client.Eval)(ctx, []throttle.Debt{{Key: "doctor", More: time.Millisecond, Capacity: time.Second}}); err != nil {
		e.bad(check, err.Error(), remedy)
		return
	}
	e.good(check, fmt.Sprintf("%s counts, and answers in %s", e.config.Redis.Address, time.Since(began).Round(10*time.Microsecond)))
}

func (e *examiner) mailServer(ctx context.Context) {
	const check = "mail"
	delivery, err := e.config.Mail.read()
	if err != nil {
		e.bad(check, err.Error(), "mails stay in the outbox until it is put right")
		return
	}
	if delivery == nil {
		e.warn(check, "no mail server is named", "name it in mail.server: invitations and links stay in the outbox, where the operator reads them")
		return
	}
	conn, err := dial(ctx, delivery.Server)
	if err != nil {
		e.bad(check, fmt.Sprintf("%s cannot be reached: %v", delivery.Server, err), "mails wait in the outbox until it answers")
		return
	}
	_ = conn.Close()
	e.good(check, delivery.Server+" takes connections")
}

// here is an address to listen on as one to connect to from this machine.
func here(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: examinePatience}).DialContext(ctx, "tcp", address)
}

const maxExamined = 64 << 10

// get reads the beginning of an answer.
func get(ctx context.Context, address string) (status int, text string, header http.Header, err error) {
	ctx, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxExamined))
	return answer.StatusCode, strings.TrimSpace(string(body)), answer.Header, err
}
