// Package server puts the whole together: it builds every part from one
// [Config], gives each listener its handler, runs the background jobs, and
// stops without losing a call in flight.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/api"
	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/backup"
	"github.com/doorward/doorward/internal/egress"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/metrics"
	"github.com/doorward/doorward/internal/redis"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/throttle"
	"github.com/doorward/doorward/internal/usage"
	"github.com/doorward/doorward/internal/webhook"
)

// Server is an opened server: its database is migrated and unlocked, its
// keys are there. It does nothing until Serve is called.
type Server struct {
	config Config
	log    *slog.Logger
	now    func() time.Time

	db          *sqldb.DB
	registry    *registry.Registry
	people      *signin.People
	chain       *journal.Verifier
	checkpoints *journal.Checkpoints
	mail        *mail.Outbox
	redis       *redis.Client      // nil: there is none
	failures    *throttle.Database // nil: they are not counted there
	together    *throttle.Together // nil: this server is alone
	mint        *secret.Mint
	kek         *secret.KeyEncryptionKey
	sealer      *secret.Sealer
	wrapping    int64 // of its sealing keys
	keys        *signingkey.Ring
	access      *access.Access
	usage       *usage.Usage
	webhooks    *webhook.Dispatcher

	managementAPI *api.API

	api        http.Handler
	management http.Handler
	dashboard  http.Handler
	endStreams func() // of the Dashboard, before it stops
	metrics    *metrics.Registry
	ready      atomic.Bool
	traffic    traffic
	closers    []func() error // in reverse order
}

// Open builds a server. On SQLite it brings the schema up to date and refuses
// a database that another server has open; on PostgreSQL it refuses a schema
// that `doorward migrate` has not brought up to date. The caller closes it.
func Open(ctx context.Context, config Config, logger *slog.Logger) (*Server, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &Server{config: config, log: logger, now: config.clock(), metrics: new(metrics.Registry)}
	for _, step := range []func(context.Context) error{s.openDatabase, s.openRegistry, s.takeIn, s.OpenKeys, s.putProducts, s.openEdges} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Close releases what Open opened.
func (s *Server) Close() error {
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	s.closers = nil
	return err
}

// Registry is where changes are made in process: by `doorward dev` and tests.
func (s *Server) Registry() *registry.Registry { return s.registry }

// People is where people are made in process.
func (s *Server) People() *signin.People { return s.people }

// SetUpURL is where the first operator admin is made, once, while there is none.
func (s *Server) SetUpURL(ctx context.Context) (url string, needed bool, err error) {
	token, needed, err := s.people.SetUpLink(ctx)
	return s.config.DashboardURL + "/setup/" + token.Reveal(), needed, err
}

// Database is what all of it stands on, for backups.
func (s *Server) Database() *sqldb.DB { return s.db }

// SigningKeys are the keys of tokens, for rotation and withdrawal in process.
func (s *Server) SigningKeys() *signingkey.Ring { return s.keys }

// Checkpoints are made of the audit log.
func (s *Server) Checkpoints() *journal.Checkpoints { return s.checkpoints }

// Usage is where last uses and the attempts of watched clients are read.
func (s *Server) Usage() *usage.Usage { return s.usage }

// Refresh puts in force what was changed in process before the call.
func (s *Server) Refresh(ctx context.Context) error { return s.access.Refresh(ctx) }

// Nodes is how many servers on the database may answer somebody now.
func (s *Server) Nodes() int { return s.access.Nodes() }

// Statements counts the SQL statements run so far.
func (s *Server) Statements() uint64 { return s.db.Statements() }

func (s *Server) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *Server) openDatabase(ctx context.Context) (err error) {
	if path, ok := strings.CutPrefix(s.config.Database, "sqlite:"); ok {
		unlock, err := sqldb.LockFile(path+".server", false)
		if errors.Is(err, sqldb.ErrLocked) {
			return fmt.Errorf("another server already runs on %s; stop it first, or use another data folder", filepath.Dir(path))
		}
		if err != nil {
			return err
		}
		s.onClose(func() error { unlock(); return nil })
	}
	if s.db, err = sqldb.Open(ctx, sqldb.Config{URL: s.config.Database, MaxConns: s.config.MaxConns, NoNotify: s.config.PollOnly, RevocationJournal: s.config.RevocationJournal}); err != nil {
		return err
	}
	s.onClose(s.db.Close)
	if s.db.Engine() == "sqlite" {
		err = s.db.Migrate(ctx)
	} else {
		err = s.db.CheckSchema(ctx)
	}
	if err != nil {
		return err
	}
	return nil
}

// takeIn looks whether the database was restored, and revokes again what the
// revocation journal has.
func (s *Server) takeIn(ctx context.Context) error {
	if path := s.config.RevocationJournal; path != "" {
		if err := sqldb.TryRevocationJournal(path); err != nil { // calls and tokens go on without it
			s.log.Error("revocations cannot be written to the revocation journal: whoever revokes something gets 503 until they can", "error", err)
		}
	}
	held, err := backup.TakeIn(ctx, backup.Config{DB: s.db, Now: s.now, Rand: rand.Reader, RevocationJournal: s.config.RevocationJournal})
	if err != nil || !held {
		return err
	}
	s.log.Error("the database was restored from a backup: no token is issued and no call passes until you run `doorward restore list` and `doorward restore confirm`")
	if s.config.RevocationJournal == "" {
		return nil
	}
	done, err := backup.Replay(ctx, s.db, s.registry, s.config.RevocationJournal)
	if err != nil {
		return err
	}
	s.log.Warn("the revocation journal was replayed", "done", done, "refused", errors.Join(done.Problems()...))
	return nil
}

// openRegistry unlocks the database.
func (s *Server) openRegistry(ctx context.Context) (err error) {
	if s.kek, err = s.config.KeyEncryptionKey.Open(); err != nil {
		return err
	}
	unlocked, err := signingkey.Unlock(ctx, s.db, s.kek, rand.Reader)
	if err != nil {
		return err
	}
	s.sealer, s.wrapping = unlocked.Sealer, unlocked.Wrapping
	if s.mint, err = secret.NewMint(unlocked.TagKey); err != nil {
		return err
	}
	if err := s.openTogether(unlocked.TagKey); err != nil {
		return err
	}
	deliver, err := s.config.deliver()
	if err != nil {
		return err
	}
	s.mail = mail.New(mail.Config{DB: s.db, Sealer: s.sealer, Now: s.now, Rand: rand.Reader, Log: s.log, Dashboard: s.config.DashboardURL, Deliver: deliver})
	s.registry = registry.New(registry.Config{
		DB: s.db, Now: s.now, Rand: rand.Reader, Mint: s.mint, IssuerPath: s.config.IssuerPath,
		Sealer: s.sealer, Targets: s.targets(), Mail: s.mail,
		MaxPermissionBytes: authserver.PermissionBudget(s.issuer(), s.config.PublicURL, s.config.Signing.Algorithm),
	})
	s.people = signin.New(signin.Config{
		DB: s.db, Registry: s.registry, Mail: s.mail, Sealer: s.sealer, Issuer: hostOf(s.config.DashboardURL), Now: s.now, Rand: rand.Reader, Log: s.log,
		ByInvitation: s.config.SignUp == SignUpByInvitation, Together: s.together,
	})
	s.checkpoints = &journal.Checkpoints{DB: s.db, Sealer: s.sealer, Now: s.now, Rand: rand.Reader, Log: s.log}
	s.chain = &journal.Verifier{DB: s.db, Now: s.now, Log: s.log, Checkpoints: s.checkpoints}
	return nil
}

// OpenKeys opens the signing keys and makes those that are missing. Open has
// done so.
func (s *Server) OpenKeys(ctx context.Context) (err error) {
	if s.keys, err = signingkey.Open(ctx, signingkey.Config{
		DB: s.db, Sealer: s.sealer, Now: s.now, Rand: rand.Reader, Log: s.log,
		Algorithm: s.config.Signing.Algorithm, RotateEvery: s.config.Signing.RotateEvery, StaleLimit: s.config.StaleLimit,
	}); err != nil {
		return err
	}
	s.managementAPI, err = api.New(api.Config{
		Registry: s.registry, Keys: s.keys, DB: s.db, Checkpoints: s.checkpoints, Ignored: []string{s.config.AccountParameter, s.config.OrganisationParameter},
		Explain: func(ctx context.Context, r *access.Request, client id.Client) (access.Decision, error) {
			return s.access.Explain(ctx, r, client)
		},
	})
	return err
}

// reloadKeys learns of new sealing keys and signing keys.
func (s *Server) reloadKeys(ctx context.Context) error {
	if err := signingkey.ReloadSealer(ctx, s.db, s.kek, s.sealer); err != nil {
		return err
	}
	return s.keys.Reload(ctx)
}

// putProducts makes the configuration's products the live ones.
func (s *Server) putProducts(ctx context.Context) error {
	if err := s.registry.PutProducts(ctx, actor.NewSystem("start"), registry.Builtin, s.managementAPI.Product()); err != nil {
		return err
	}
	return s.registry.PutProducts(ctx, actor.NewSystem("config"), registry.Declared, s.config.Products...)
}

func (s *Server) issuer() string { return s.config.PublicURL + s.config.IssuerPath }

func (s *Server) openEdges(ctx context.Context) (err error) {
	s.usage = usage.New(usage.Config{DB: s.db, Now: s.now, Log: s.log})
	s.access, err = access.New(ctx, access.Config{
		Registry: s.registry, DB: s.db, Now: s.now, Log: s.log, Keys: s.keys.Public, ReloadKeys: s.reloadKeys, ReloadWatches: s.usage.ReloadWatches,
		Issuer: s.issuer(), Audience: s.config.PublicURL, Scope: s.config.Scope,
		AccountParameter: s.config.AccountParameter, OrganisationParameter: s.config.OrganisationParameter, OrganisationHeader: s.config.OrganisationHeader,
		StaleLimit: s.config.StaleLimit, MaxClients: s.config.MaxClients, MaxTokens: s.config.MaxTokens,
	})
	if err != nil {
		return err
	}
	if err := s.usage.ReloadWatches(ctx); err != nil {
		return err
	}
	accessLog, err := s.openAccessLog()
	if err != nil {
		return fmt.Errorf("open the access log: %w", err)
	}
	helpURL := s.config.DashboardURL + "/help/errors"
	tokens, err := s.newAuthServer(helpURL, accessLog)
	if err != nil {
		return err
	}
	products, err := s.newGateway(helpURL, accessLog)
	if err != nil {
		return err
	}
	s.onClose(func() error { products.Close(); return nil })
	pages := s.newDashboard(products)
	s.endStreams = pages.EndStreams
	s.dashboard = s.unlessHeld(behindProxies(s.config.TrustedProxies, pages))
	s.api = behindProxies(s.config.TrustedProxies, apiDomain(tokens, products))
	operators := products.Serving(map[string]gateway.Local{registry.ManagementKey: s.managementAPI.Serving(true)})
	s.management = behindProxies(s.config.TrustedProxies, apiDomain(tokens, onlyManagement(operators, helpURL)))
	if err := s.openWebhooks(); err != nil {
		return err
	}
	s.registerMetrics()
	return nil
}

// targets says where requests to addresses of others may lead.
func (s *Server) targets() egress.Policy { return egress.Policy{Allow: s.config.Egress.Allow} }

func (s *Server) openWebhooks() (err error) {
	client := egress.New(egress.Config{Policy: s.targets()})
	s.onClose(func() error { client.Close(); return nil })
	s.webhooks, err = webhook.New(webhook.Config{
		DB: s.db, Registry: s.registry, Sealer: s.sealer, Client: client, Source: s.config.PublicURL, Now: s.now, Rand: rand.Reader, Log: s.log,
		Metrics: s.metrics,
	})
	return err
}

// apiDomain serves the token service where it stands, and API products on the
// rest of the domain.
func apiDomain(tokens *authserver.Server, products http.Handler) http.Handler {
	products = patient(products)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		if handler, ok := tokens.Handler(path); ok {
			prompt(w, r, handler)
			return
		}
		products.ServeHTTP(w, r)
	})
}

// unlessHeld keeps people out while the installation is held: who was removed
// after the backup would be back, with an old password.
func (s *Server) unlessHeld(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.access.Held() {
			w.Header().Set("Retry-After", "60")
			answer(w, http.StatusServiceUnavailable, "This platform was restored from a backup and waits for its operator to confirm that. Try again later.\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onlyManagement refuses what is not of the management API: its listener has
// nothing else to offer.
func onlyManagement(management http.Handler, helpURL string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RequestURI, "/management/") {
			fault.WriteProblem(w, helpURL, "", fault.New(fault.ProductUnknown, "this listener answers the management API and the token service only"))
			return
		}
		management.ServeHTTP(w, r)
	})
}

// errorLog takes net/http's complaints about connections.
func (s *Server) errorLog() *log.Logger { return slog.NewLogLogger(s.log.Handler(), slog.LevelDebug) }

// Migrate brings the schema of a database up to this binary's, as far as the
// servers that run on it allow.
func Migrate(ctx context.Context, databaseURL string) (waiting []sqldb.Waiting, err error) {
	db, err := sqldb.Open(ctx, sqldb.Config{URL: databaseURL, MaxConns: 1})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.MigrateBeside(ctx, journal.Older)
}

// algorithms are those of the keys that may be in use: the configured one, and
// what keys from before a change of it still sign with.
func (s *Server) algorithms() (list []jwt.Algorithm) {
	list = append(list, s.config.Signing.Algorithm)
	for _, key := range s.keys.Keys() {
		if key.Purpose != signingkey.Assertion && key.Algorithm != s.config.Signing.Algorithm {
			return append(list, key.Algorithm)
		}
	}
	return list
}
