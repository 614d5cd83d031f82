package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/sqldb"
)

// Lease says which node a Tail runs on, for the others to see.
type Lease struct {
	Name       string        // what the operator calls the node
	Version    string        // of its binary
	StaleLimit time.Duration // after which it refuses everything
	Wrapping   int64         // of the sealing keys, that its key-encryption key opens
	Every      time.Duration // how often it renews at least; 0 means 1 s
}

const (
	// leaseGap is how long changes that follow each other share a renewal.
	leaseGap = 100 * time.Millisecond
	// keepSilent is how long a node that ended without a word is listed.
	keepSilent = time.Hour
	// lateRenewal is how long a renewal may take on the way.
	lateRenewal = 2 * time.Second
	// clockSkew is how far the clocks of servers may be apart.
	clockSkew   = 5 * time.Second
	lastRelease = 5 * time.Second
)

// KeepLease writes down how far the Tail got, at each change and at least as
// often as the lease says, until the context ends; then it gives the lease back.
// It is called once.
func (t *Tail) KeepLease(ctx context.Context, lease Lease, log *slog.Logger) {
	if lease.Every == 0 {
		lease.Every = time.Second
	}
	id := rand.Text()
	ticker := time.NewTicker(lease.Every)
	defer ticker.Stop()
	failing := false
	for {
		err := t.renew(ctx, id, &lease)
		if ctx.Err() == nil && (err != nil) != failing { // say it once
			failing = err != nil
			log.Log(ctx, level(failing), "lease of this node", "renewed", !failing, "error", err)
		}
		select {
		case <-ctx.Done():
			t.release(ctx, id, log)
			return
		case <-ticker.C:
		case <-t.moved:
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaseGap):
		}
	}
}

// Nodes is how many nodes may answer somebody now, as of the last renewal of this
// one's lease: those that are cut off count until they refuse everything. It is
// at least 1.
func (t *Tail) Nodes() int { return int(max(t.nodes.Load(), 1)) }

// renew also forgets nodes that have refused everything for long, and the
// earlier run of this one.
func (t *Tail) renew(ctx context.Context, id string, lease *Lease) error {
	at, nodes := t.polled.Load().end, int64(0)
	err := t.db.Write(ctx, func(tx *sqldb.Tx) error {
		clock, err := tx.Clock(ctx)
		if err != nil {
			return err
		}
		now := clock.UnixMicro()
		_, err = tx.Exec(ctx, `INSERT INTO node (id, name, version, schema, stale_limit, every, seq, nonce, started_at, renewed_at, wrapping)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
			ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, nonce = excluded.nonce, renewed_at = excluded.renewed_at`,
			id, lease.Name, lease.Version, sqldb.Schema(), lease.StaleLimit.Microseconds(), lease.Every.Microseconds(), at.seq, at.nonce, now, lease.Wrapping)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM node WHERE renewed_at + stale_limit + 3 * every < $1 AND (name = $2 OR renewed_at < $3)`,
			clock.Add(-lateRenewal).UnixMicro(), lease.Name, clock.Add(-keepSilent).UnixMicro())
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT count(*) FROM node WHERE renewed_at + stale_limit + 3 * every >= $1`, clock.Add(-lateRenewal).UnixMicro()).Scan(&nodes)
	})
	if err == nil {
		t.nodes.Store(nodes)
	}
	return err
}

func (t *Tail) release(ctx context.Context, id string, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRelease)
	defer cancel()
	err := t.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM node WHERE id = $1`, id)
		return err
	})
	if err != nil {
		log.WarnContext(ctx, "the lease of this node was not given back", "error", err)
	}
}

// Node is a server that runs on the database, or did so lately.
type Node struct {
	ID       string // of this run
	Name     string
	Version  string // of its binary
	Revision int64  // of the newest change that is in force there
	Started  time.Time
	Heard    time.Time // when it last renewed its lease
	Wrapping int64     // of the sealing keys, that its key-encryption key opens
	Silent   bool      // it should have renewed since: it is cut off, or ended without a word

	// InForce says that nothing from before the revision asked for passes there:
	// the node has heard of it, or refuses everything for want of news.
	InForce bool
	StopsBy time.Time // when the node refuses everything at the latest, if it is not in force
}

// Older names the servers that hold a lease and do not know a migration, for
// [sqldb.DB.MigrateBeside]. One that is cut off holds its lease for as long as it
// answers from memory.
func Older(ctx context.Context, tx *sqldb.Tx, migration int64) (names []string, err error) {
	now, err := tx.Clock(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT name, schema FROM node WHERE schema < $1 AND renewed_at + stale_limit + 3 * every >= $2 ORDER BY name, id`,
		migration, now.Add(-lateRenewal).UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var schema int64
		if err := rows.Scan(&name, &schema); err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprintf("%s (knows migration %d)", name, schema))
	}
	return names, rows.Err()
}

// Spread says where the changes up to a revision are in force.
type Spread struct {
	Revision int64
	Nodes    []Node // by name, then start
}

// InForce is the number of nodes on which it is.
func (s Spread) InForce() (n int) {
	for i := range s.Nodes {
		if s.Nodes[i].InForce {
			n++
		}
	}
	return n
}

// SpreadOf returns where the changes up to a revision are in force; 0 means up
// to the newest one, whose number is in the answer. A revision that has not come
// is fault.NotFound.
func SpreadOf(ctx context.Context, db *sqldb.DB, revision int64) (s Spread, err error) {
	err = db.View(ctx, func(tx *sqldb.Tx) error {
		s = Spread{}
		now, err := tx.Clock(ctx)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT seq FROM revision WHERE id = 1`).Scan(&s.Revision); err != nil {
			return err
		}
		if revision > s.Revision {
			return fault.Errorf(fault.NotFound, "there is no revision %d yet: the newest is %d", revision, s.Revision)
		}
		if revision != 0 {
			s.Revision = revision
		}
		made, err := madeAt(ctx, tx, s.Revision)
		if err != nil {
			return err
		}
		return s.load(ctx, tx, made, now)
	})
	return s, err
}

// madeAt is when a change was made; the zero time for one that was trimmed.
func madeAt(ctx context.Context, tx *sqldb.Tx, revision int64) (time.Time, error) {
	var at int64
	err := tx.QueryRow(ctx, `SELECT at FROM change WHERE seq = $1`, revision).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.UnixMicro(at), err
}

// load reads the nodes. A position counts only if it is one of this feed: that
// of a node which has not noticed yet that the database was restored is none.
func (s *Spread) load(ctx context.Context, tx *sqldb.Tx, made, now time.Time) error {
	rows, err := tx.Query(ctx, `SELECT n.id, n.name, n.version, n.stale_limit, n.every, n.seq, n.started_at, n.renewed_at, n.wrapping, c.seq IS NOT NULL OR n.seq = 0
		FROM node n LEFT JOIN change c ON c.seq = n.seq AND c.nonce = n.nonce ORDER BY n.name, n.started_at, n.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n Node
		var limit, every, started, renewed int64
		var known bool
		if err := rows.Scan(&n.ID, &n.Name, &n.Version, &limit, &every, &n.Revision, &started, &renewed, &n.Wrapping, &known); err != nil {
			return err
		}
		n.Started, n.Heard = time.UnixMicro(started), time.UnixMicro(renewed)
		n.Silent = now.After(n.Heard.Add(3*time.Duration(every)*time.Microsecond + lateRenewal))
		// A poll that began after the change has read it, and one from before ages.
		stops := made.Add(time.Duration(limit)*time.Microsecond + clockSkew)
		n.InForce = known && n.Revision >= s.Revision || now.After(stops)
		if !n.InForce {
			n.StopsBy = stops
		}
		s.Nodes = append(s.Nodes, n)
	}
	return rows.Err()
}
