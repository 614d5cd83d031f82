package usage

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
)

// Limits of watches.
const (
	WatchTime  = 10 * time.Minute // that a watch lasts unless it is renewed
	MaxWatches = 100              // of an organisation at a time

	watchedClients = 4096 // of the installation; the newest
)

// Watch has the attempts of a client of the actor's organisation written down,
// on every node, for WatchTime from now. On this node it is in force when Watch
// returns. A watch that has more than half of its time left is left as it is,
// so that a page may call Watch as often as it likes. fault.RateLimited says
// that the organisation watches MaxWatches others.
func (u *Usage) Watch(ctx context.Context, by actor.Actor, client id.Client) error {
	err := u.DB.View(ctx, func(tx *sqldb.Tx) error {
		return mayRead(ctx, tx, by, client)
	})
	if err != nil {
		return err
	}
	now := u.Now()
	if (*u.watches.Load())[client].After(now.Add(WatchTime / 2)) {
		return nil
	}
	err = u.DB.Update(ctx, func(tx *sqldb.Tx) error {
		var others int
		err := tx.QueryRow(ctx, `SELECT count(*) FROM watch WHERE organisation_id = $1 AND until > $2 AND client_id <> $3`, by.Organisation(), now.UnixMicro(), client).Scan(&others)
		if err != nil {
			return err
		}
		if others >= MaxWatches {
			return fault.Errorf(fault.RateLimited, "%d clients of the organisation are watched already: come back when one of those pages is closed", others)
		}
		tx.Changed(journal.WatchesChanged, string(client))
		_, err = tx.Exec(ctx, `INSERT INTO watch (client_id, organisation_id, until, last_attempt) VALUES ($1, $2, $3, 0)
			ON CONFLICT (client_id) DO UPDATE SET until = excluded.until`, client, by.Organisation(), now.Add(WatchTime).UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	return u.ReloadWatches(ctx)
}

// ReloadWatches reads which clients are watched: at the start, and when the
// change feed says that it changed.
func (u *Usage) ReloadWatches(ctx context.Context) error {
	u.watching.Lock()
	defer u.watching.Unlock()
	watches := map[id.Client]time.Time{}
	err := u.DB.View(ctx, func(tx *sqldb.Tx) error {
		clear(watches)
		rows, err := tx.Query(ctx, `SELECT client_id, until FROM watch WHERE until > $1 ORDER BY until DESC LIMIT $2 -- any organisation: a node looks out for all`, u.Now().UnixMicro(), watchedClients)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var client id.Client
			var until int64
			if err := rows.Scan(&client, &until); err != nil {
				return err
			}
			watches[client] = time.UnixMicro(until)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	u.watches.Store(&watches)
	return nil
}
