//go:build linux

package servertest_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// workerSettings tell a worker where to work.
type workerSettings struct {
	Database     string
	TagKey       []byte
	Organisation id.Organisation
	Account      id.Account
	Writers      int
	Journal      string // of revocations; empty: none
}

func (s workerSettings) open(ctx context.Context) (*sqldb.DB, error) {
	return sqldb.Open(ctx, sqldb.Config{URL: s.Database, RevocationJournal: s.Journal})
}

func (s workerSettings) registry(db *sqldb.DB) (*registry.Registry, error) {
	mint, err := secret.NewMint(s.TagKey)
	return registry.New(registry.Config{DB: db, Now: time.Now, Rand: rand.Reader, Mint: mint, IssuerPath: "/auth/open"}), err
}

func (s workerSettings) operator() actor.Actor { return actor.NewSystem("test").In(s.Organisation) }

// runWorker changes clients and secrets until it is killed. It says each change
// before it begins and after it was acknowledged.
func runWorker(text []byte) error {
	var s workerSettings
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	db, err := s.open(context.Background())
	for fault.KindOf(err) == fault.Unavailable {
		db, err = s.open(context.Background())
	}
	if err != nil {
		return err
	}
	r, err := s.registry(db)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for writer := range s.Writers {
		go func() { failed <- (&worker{workerSettings: s, Registry: r, writer: writer}).work() }() // until the process is killed
	}
	return <-failed
}

// change is one line between a worker and its test.
type change struct {
	Acknowledged bool
	Writer       int
	Operation    string // create, add, rotate, revoke
	Client       id.Client
	Secret       id.Secret // that is added or revoked
	Old          id.Secret // that retires
	Value        string    // of the secret that is added
}

type worker struct {
	workerSettings
	*registry.Registry
	writer int
}

func (w *worker) work() error {
	for {
		c := change{Writer: w.writer, Operation: "create", Client: id.NewClient(rand.Reader, id.SandboxClient, 9)}
		if err := w.do(c, registry.CreateClient{ID: c.Client, Account: w.workerSettings.Account, Name: string(c.Client)}); err != nil {
			return err
		}
		first, err := w.add(c.Client, "")
		if err != nil {
			return err
		}
		second, err := w.add(c.Client, "")
		if err != nil {
			return err
		}
		if _, err := w.add(c.Client, first); err != nil {
			return err
		}
		c.Operation, c.Secret = "revoke", second
		if err := w.do(c, registry.SetSecretState{Client: c.Client, Secret: second, State: registry.SecretRevoked}); err != nil {
			return err
		}
	}
}

// add adds a secret, and lets an old one retire in its favour.
func (w *worker) add(client id.Client, old id.Secret) (id.Secret, error) {
	key := id.NewSecret(rand.Reader)
	value, err := w.Mint.New(rand.Reader, registry.EnvironmentLetter(client), key)
	if err != nil {
		return "", err
	}
	edits := []registry.Edit{registry.AddSecret{Client: client, ID: key, Name: "killed", Digest: secret.DigestOf(value)}}
	operation := "add"
	if old != "" {
		operation = "rotate"
		edits = append(edits, registry.RetireSecret{Client: client, Secret: old, Successor: key, Ends: time.Now().Add(time.Hour)})
	}
	return key, w.do(change{Writer: w.writer, Operation: operation, Client: client, Secret: key, Old: old, Value: value.Reveal()}, edits...)
}

func (w *worker) do(c change, edits ...registry.Edit) error {
	if err := c.say(); err != nil {
		return err
	}
	err := w.Apply(context.Background(), w.operator(), edits...)
	for fault.KindOf(err) == fault.Unavailable { // nothing was done, and it says to try again
		<-time.After(10 * time.Millisecond)
		err = w.Apply(context.Background(), w.operator(), edits...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Operation, err)
	}
	c.Acknowledged = true
	return c.say()
}

// say writes the line at once: a short write to a pipe is not torn.
func (c change) say() error {
	text, err := json.Marshal(c)
	if err == nil {
		_, err = os.Stdout.Write(append(text, '\n'))
	}
	return err
}

// known is what the test was told: clients, and the state of their secrets.
type known map[id.Client]map[id.Secret]registry.SecretState

func (k known) apply(c change) {
	switch c.Operation {
	case "create":
		k[c.Client] = map[id.Secret]registry.SecretState{}
	case "rotate":
		k[c.Client][c.Old] = registry.SecretRetiring
		k[c.Client][c.Secret] = registry.SecretActive
	case "add":
		k[c.Client][c.Secret] = registry.SecretActive
	case "revoke":
		k[c.Client][c.Secret] = registry.SecretRevoked
	}
}

// copy returns what is known of one client; nil: there is none.
func (k known) copy(client id.Client) known {
	one := known{}
	if secrets, ok := k[client]; ok {
		one[client] = map[id.Secret]registry.SecretState{}
		for key, state := range secrets {
			one[client][key] = state
		}
	}
	return one
}

// killedWorkers is a database on which workers are killed, and what they said.
type killedWorkers struct {
	settings workerSettings
	through  string // where the workers find the database; empty: where it is
	known    known
	pending  map[int]change // by writer: begun and not acknowledged
	values   map[id.Secret]string
	touched  map[id.Client]bool // in this round

	acknowledged, unheard int // changes: that were heard of; that are there and were not
}

func newKilledWorkers(t *testing.T, engine string, writers int) *killedWorkers {
	t.Helper()
	return newKilledWorkersOn(t, sqldbtest.Migrated(t, engine), writers)
}

func newKilledWorkersOn(t *testing.T, database string, writers int) *killedWorkers {
	t.Helper()
	k := &killedWorkers{known: known{}, values: map[id.Secret]string{}}
	k.settings = workerSettings{Database: database, TagKey: make([]byte, 32), Writers: writers}
	_, _ = rand.Read(k.settings.TagKey)
	r, err := k.settings.registry(sqldbtest.Open(t, k.settings.Database))
	if err != nil {
		t.Fatal(err)
	}
	if k.settings.Organisation, err = r.CreateOrganisation(t.Context(), actor.NewSystem("test"), "Test"); err != nil {
		t.Fatal(err)
	}
	if k.settings.Account, err = r.CreateAccount(t.Context(), k.settings.operator(), id.Sandbox, "sandbox"); err != nil {
		t.Fatal(err)
	}
	return k
}

// round lets a worker say so many lines and kills it.
func (k *killedWorkers) round(t *testing.T, lines int) {
	t.Helper()
	k.hearAndKill(t, k.start(t), lines, nil)
}

func (k *killedWorkers) start(t *testing.T) *process {
	t.Helper()
	settings := k.settings
	if k.through != "" {
		settings.Database = k.through
	}
	return startProcess(t, "worker", settings)
}

// hearAndKill kills the worker after so many lines, and does something else
// after half of them; nil: nothing.
func (k *killedWorkers) hearAndKill(t *testing.T, p *process, lines int, halfway func()) {
	t.Helper()
	k.pending, k.touched = map[int]change{}, map[id.Client]bool{}
	in := bufio.NewScanner(p.out)
	said := 0
	for in.Scan() { // after the kill, what is still in the pipe
		var c change
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			t.Errorf("a worker said %q: %v", in.Text(), err)
		}
		k.hear(c)
		said++
		if said == lines {
			_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		}
		if said == lines/2 && halfway != nil {
			halfway()
		}
	}
	p.kill()
	if said < lines {
		t.Errorf("the worker ended by itself after %d lines", said)
	}
}

func (k *killedWorkers) hear(c change) {
	k.touched[c.Client] = true
	if c.Value != "" {
		k.values[c.Secret] = c.Value
	}
	if c.Acknowledged {
		k.known.apply(c)
		k.acknowledged++
		delete(k.pending, c.Writer)
		return
	}
	k.pending[c.Writer] = c
}

// check holds the database, as another process finds it, against what was said.
func (k *killedWorkers) check(t *testing.T, clients map[id.Client]bool) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: k.settings.Database})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// What a killed client had asked of PostgreSQL ends before this begins.
	if err := db.Update(t.Context(), func(*sqldb.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	checkIntegrity(t, db)
	r, err := k.settings.registry(db)
	if err != nil {
		t.Fatal(err)
	}
	for client := range clients {
		k.checkClient(t, db, r, client)
	}
}

func (k *killedWorkers) checkClient(t *testing.T, db *sqldb.DB, r *registry.Registry, client id.Client) {
	t.Helper()
	got := k.stored(t, r, client)
	without, with := k.known.copy(client), k.known.copy(client)
	for _, c := range k.pending {
		if c.Client == client {
			with.apply(c)
		}
	}
	switch {
	case cmp.Equal(got, with):
		if !cmp.Equal(with, without) {
			k.unheard++
		}
		k.known[client] = with[client] // nobody was told, and it is there: whole, listed and recorded
	case !cmp.Equal(got, without):
		t.Errorf("client %s: neither what was acknowledged nor that and the last change (-with +got):\n%s", client, cmp.Diff(with, got))
		return
	}
	if with[client] == nil || got[client] == nil {
		delete(k.known, client)
	}
	k.checkRecords(t, db, client, got[client])
}

// stored returns what people are shown of a client, after comparing it with
// what the token endpoint goes by: nothing usable is invisible.
func (k *killedWorkers) stored(t *testing.T, r *registry.Registry, client id.Client) known {
	t.Helper()
	entry, err := r.ClientEntry(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if entry == nil {
		return known{}
	}
	shown, err := r.Secrets(t.Context(), k.settings.operator(), client, registry.SecretFilter{}, registry.Page{Limit: registry.MaxPageSize})
	if err != nil {
		t.Fatal(err)
	}
	got := known{client: {}}
	for _, s := range shown.Items {
		got[client][s.ID] = s.State
	}
	for _, s := range entry.Secrets {
		if got[client][s.ID] != s.State {
			t.Errorf("the secret %s of %s is %s for the token endpoint and %q in the list", s.ID, client, s.State, got[client][s.ID])
		}
		if !s.Digest.Matches(k.values[s.ID]) {
			t.Errorf("the secret %s of %s is stored with another digest", s.ID, client)
		}
	}
	return got
}

// checkRecords compares a client's secrets with the audit log.
func (k *killedWorkers) checkRecords(t *testing.T, db *sqldb.DB, client id.Client, secrets map[id.Secret]registry.SecretState) {
	t.Helper()
	var want, got []string
	if secrets != nil {
		want = append(want, "client.create "+string(client))
	}
	subjects := []string{string(client)}
	for key, state := range secrets {
		subjects = append(subjects, string(key))
		want = append(want, "secret.add "+string(key))
		switch state {
		case registry.SecretRetiring:
			want = append(want, "secret.retire "+string(key))
		case registry.SecretRevoked:
			want = append(want, "secret.revoke "+string(key))
		}
	}
	for _, subject := range subjects {
		got = append(got, records(t, db, subject)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if k.settings.Journal != "" { // what it did not take is made again, and recorded again
		got = slices.Compact(got)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("client %s, audit records (-want +got):\n%s", client, diff)
	}
}

func records(t *testing.T, db *sqldb.DB, subject string) (list []string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		list = nil
		rows, err := tx.Query(t.Context(), `SELECT action FROM audit WHERE subject = $1 ORDER BY seq`, subject)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var action string
			if err := rows.Scan(&action); err != nil {
				return err
			}
			list = append(list, action+" "+subject)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// checkIntegrity asks the engine about its file, and the audit chain about
// itself; it has no gap and no fork.
func checkIntegrity(t *testing.T, db *sqldb.DB) {
	t.Helper()
	if db.Engine() == "sqlite" {
		var answer string
		err := db.View(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), `PRAGMA integrity_check`).Scan(&answer)
		})
		if err != nil || !strings.EqualFold(answer, "ok") {
			t.Errorf("integrity check = %q, %v", answer, err)
		}
	}
	if _, err := journal.Verify(t.Context(), db); err != nil {
		t.Errorf("audit chain: %v", err)
	}
}

// A worker is killed at an instant that no one chose, over and over. The page
// cache survives that: it proves atomicity. Durability is sqldb's to prove.
func TestSTO03_killedWritersLoseNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			k := newKilledWorkers(t, engine, 4)
			rounds := size(10, 50, 500)
			for range rounds {
				k.round(t, 1+mathrand.IntN(60))
				k.check(t, k.touched)
				if t.Failed() {
					return
				}
			}
			k.pending = nil
			everyone := map[id.Client]bool{}
			for client := range k.known {
				everyone[client] = true
			}
			t.Run("twin", func(t *testing.T) { k.check(t, everyone) }) // later rounds took nothing from earlier ones
			figure(t, "%d kills, %d changes acknowledged, none lost; %d not acknowledged were there all the same, whole", rounds, k.acknowledged, k.unheard)
		})
	}
}

func TestAUD05_sixtyFourKilledWritersLeaveOneChain(t *testing.T) {
	t.Parallel()
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			k := newKilledWorkers(t, engine, 64)
			rounds := size(2, 20, 200)
			for range rounds {
				k.round(t, 64+mathrand.IntN(200))
				k.check(t, k.touched)
				if t.Failed() {
					return
				}
			}
			figure(t, "%d kills of 64 writers, one chain", rounds)
		})
	}
}

// AUD-05 across processes, which no mutex holds apart.
func TestAUD05_twoKilledProcessesLeaveOneChain(t *testing.T) {
	t.Parallel()
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			one := newKilledWorkers(t, engine, 8)
			two := &killedWorkers{settings: one.settings, known: known{}, values: map[id.Secret]string{}}
			for range size(2, 10, 50) {
				first, second := one.start(t), two.start(t)
				var both sync.WaitGroup
				both.Go(func() { one.hearAndKill(t, first, 80, nil) })
				two.hearAndKill(t, second, 40+mathrand.IntN(40), nil)
				both.Wait()
				one.check(t, one.touched)
				two.check(t, two.touched)
			}
		})
	}
}
