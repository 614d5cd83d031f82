package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"os"
	"text/tabwriter"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// measuredHitRate is what the scenario million-clients-hits measured, in
// percent; docs/scale.md says when and where. The simulation must come as close as
// agreement says, in points.
const (
	measuredHitRate = 26.9
	agreement       = 5
)

// simulatedClients are in the simulation's database; each stands for as many
// clients as the extrapolation is larger.
const simulatedClients = 100_000

// lookupsPerChange is how many look-ups there are for each change of a client.
const lookupsPerChange = 10_000

// A part is an installation, or the share of one that some nodes serve.
type part struct {
	what    string
	clients int // in its database
	entries int // max_clients of a node
}

// parts are what is extrapolated to. The first is the one that was measured.
var parts = []part{
	{"as measured", 1_000_000, 50_000},
	{"one directory", 100_000_000, 500_000},
	{"one directory, large nodes", 100_000_000, 2_000_000},
	{"one of 10 shards", 10_000_000, 500_000},
	{"one of 50 shards", 2_000_000, 500_000},
	{"one of 100 shards", 1_000_000, 500_000},
}

// simulate drives the product's directory and change feed, on a database of its
// own, with as many look-ups as clients of a larger installation would make.
func simulate(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	measured := flags.Float64("measured", measuredHitRate, "`percent` of hits that the scenario million-clients-hits measured")
	skew := flags.Float64("skew", skewOfClients, "of the Zipf distribution that clients are drawn from; above 0, and not 1")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *skew <= 0 || *skew == 1 {
		return fmt.Errorf("a skew of %v is not above 0, or is 1", *skew)
	}
	s, err := newSimulation(ctx, simulatedClients)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	got, err := s.hitRate(ctx, parts[0], skewOfClients)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "a million clients, 50,000 in memory: %.1f %% hits simulated, %.1f %% measured\n", got, *measured)
	if math.Abs(got-*measured) > agreement {
		return fmt.Errorf("the simulation is %.1f points from what was measured, and %d are allowed: it says nothing about larger installations", math.Abs(got-*measured), agreement)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\npart\tclients\tin memory\thits\treads per million look-ups\n")
	for _, p := range parts[1:] {
		rate, err := s.hitRate(ctx, p, *skew)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f %%\t%.0f\n", p.what, p.clients, p.entries, rate, 1e6*(1-rate/100))
	}
	perSecond, err := s.followed(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "\na node follows %.0f changes a second\n", perSecond)
	return t.Flush()
}

// A simulation is a database of clients.
type simulation struct {
	dir      string
	db       *sqldb.DB
	registry *registry.Registry
	clients  []credential
}

func newSimulation(ctx context.Context, clients int) (_ *simulation, err error) {
	s := &simulation{}
	if s.dir, err = os.MkdirTemp("", "doorward-simulate-"); err != nil {
		return nil, err
	}
	in, err := seedProduct(ctx, order{dir: s.dir, clients: clients, keep: clients})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	s.clients = in.clients
	if s.db, err = sqldb.Open(ctx, sqldb.Config{URL: "sqlite:" + in.database[0]}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	s.registry = registry.New(registry.Config{DB: s.db, Now: time.Now, Rand: rand.Reader})
	return s, nil
}

func (s *simulation) close() error { return errors.Join(s.db.Close(), os.RemoveAll(s.dir)) }

// node is a directory as a server has it, which holds so many clients.
func (s *simulation) node(ctx context.Context, entries int) (*access.Access, error) {
	return access.New(ctx, access.Config{
		Registry: s.registry, DB: s.db, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		ReloadKeys: func(context.Context) error { return nil },
		StaleLimit: time.Hour, MaxClients: entries,
	})
}

// hitRate returns how many of the look-ups of a part a node answers from memory,
// in percent. It simulates a sample of the clients, spread evenly over the ranks,
// with as small a share of the memory: that has the hits of the whole (Waldspurger
// et al., Efficient MRC Construction with SHARDS, 2015). Clients are drawn from
// all ranks. By how many the sample is drawn too rarely or too often is due to the
// few clients at the head, which are always in memory (SHARDS-adj).
func (s *simulation) hitRate(ctx context.Context, p part, skew float64) (float64, error) {
	each := p.clients / len(s.clients)
	node, err := s.node(ctx, p.entries/each)
	if err != nil {
		return 0, err
	}
	random := mathrand.New(mathrand.NewPCG(7, 7)) //nolint:gosec // no secret
	ranks := newZipf(random, p.clients, skew)
	lookUp := func(n int) (drawn int, err error) {
		for sampled := 0; sampled < n; drawn++ {
			rank := ranks.next() - 1
			block := rank / each
			if rank%each != block*7919%each {
				continue
			}
			sampled++
			if _, err := node.Holder(ctx, id.Client(s.clients[block].id)); err != nil {
				return drawn, err
			}
			if sampled%lookupsPerChange == 0 {
				if err := s.change(ctx, node, random.IntN(len(s.clients)), 1); err != nil {
					return drawn, err
				}
			}
		}
		return drawn, nil
	}
	entries := p.entries / each
	if _, err := lookUp(roundsToSettle * entries); err != nil {
		return 0, err
	}
	before := node.Statistics()
	measured := max(2*entries, 20_000)
	drawn, err := lookUp(measured)
	if err != nil {
		return 0, err
	}
	expected := float64(drawn) / float64(each)
	hits := float64(node.Statistics().Hits-before.Hits) + expected - float64(measured)
	return 100 * hits / expected, nil
}

// change changes clients, in one transaction, and has the node follow.
func (s *simulation) change(ctx context.Context, node *access.Access, first, count int) error {
	holder, err := node.Holder(ctx, id.Client(s.clients[first].id))
	if err != nil {
		return err
	}
	var edits []registry.Edit
	for i := range count {
		note := rand.Text()
		edits = append(edits, registry.UpdateClient{Client: id.Client(s.clients[(first+i)%len(s.clients)].id), Note: &note})
	}
	if err := s.registry.Apply(ctx, actor.NewSystem("simulate").In(holder.Client.Organisation), edits...); err != nil {
		return err
	}
	return node.Refresh(ctx)
}

// followed returns how many changes of others a node takes in a second.
func (s *simulation) followed(ctx context.Context) (perSecond float64, err error) {
	const batches, batch = 5, 900
	node, err := s.node(ctx, simulatedClients)
	if err != nil {
		return 0, err
	}
	other, err := s.node(ctx, 1)
	if err != nil {
		return 0, err
	}
	before, err := s.revision(ctx)
	if err != nil {
		return 0, err
	}
	for i := range batches {
		if err := s.change(ctx, other, i*batch, batch); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := node.Refresh(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	after, err := s.revision(ctx)
	return float64(after-before) / took.Seconds(), err
}

// revision is the number of the newest change.
func (s *simulation) revision(ctx context.Context) (seq int64, err error) {
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT seq FROM revision WHERE id = 1`).Scan(&seq)
	})
	return seq, err
}
