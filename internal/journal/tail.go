package journal

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/sqldb"
)

// Kinds of changes in the feed; the key says which one changed.
const (
	OrganisationChanged = "organisation"
	AccountChanged      = "account"
	ClientChanged       = "client"
	ProductsChanged     = "products"
	KeysChanged         = "keys"
	WatchesChanged      = "watches"      // of clients whose attempts are written down
	InstallationChanged = "installation" // it is held, or no longer
)

// KeyWithdrawn is the kind of a signing key in the revocation journal; edits of
// the registry are there by their own names.
const KeyWithdrawn = "key"

// PollInterval is how often a node asks for changes that no notification
// announced.
const PollInterval = 250 * time.Millisecond

// KeepChanges is how long rows of the feed are kept. A node that was away for
// longer drops all it holds.
const KeepChanges = 24 * time.Hour

const pollBatch = 1000

// Change is a row of the feed.
type Change struct{ Kind, Key string }

// Tail follows the change feed for one node.
type Tail struct {
	db    *sqldb.DB
	now   func() time.Time
	apply func(context.Context, Change) error
	reset func(context.Context) error

	mu sync.Mutex // one poll at a time
	at position   // of the newest row that was applied

	polled atomic.Pointer[poll]
	moved  chan struct{} // holds a value after a poll that found changes
	nodes  atomic.Int64  // that hold a lease
}

// poll is the last successful one.
type poll struct {
	start time.Time
	end   position
}

// position is a row of the feed; the nonce tells it from the row that stands
// there after the database was restored.
type position struct {
	seq   int64
	nonce string
}

// NewTail returns a Tail at the feed's present end. It calls apply for each
// change in order, and reset instead when it cannot tell what changed: the
// database was restored, or this node was away for too long. An error of
// either leaves the node where it was: the same changes come again.
func NewTail(ctx context.Context, db *sqldb.DB, now func() time.Time, apply func(context.Context, Change) error, reset func(context.Context) error) (*Tail, error) {
	t := &Tail{db: db, now: now, apply: apply, reset: reset, moved: make(chan struct{}, 1)}
	start := now()
	var err error
	if t.at, err = t.end(ctx); err != nil {
		return nil, err
	}
	t.polled.Store(&poll{start, t.at})
	return t, nil
}

// end returns the position of the newest row.
func (t *Tail) end(ctx context.Context) (at position, err error) {
	err = t.db.View(ctx, func(tx *sqldb.Tx) error {
		at = position{}
		rows, err := tx.Query(ctx, `SELECT seq, nonce FROM change ORDER BY seq DESC LIMIT 1`)
		if err != nil {
			return err
		}
		defer rows.Close()
		if rows.Next() {
			if err := rows.Scan(&at.seq, &at.nonce); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return at, err
}

// Run polls until the context ends: at each notification, and every
// PollInterval beneath. It ends with [sqldb.ErrOutdated] when a migration has left
// this binary behind.
func (t *Tail) Run(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	changed, stop := t.db.Watch()
	defer stop()
	var listener sync.WaitGroup
	listener.Go(func() { t.listen(ctx, log) })
	defer listener.Wait()
	defer cancel()
	ticker := time.NewTicker(PollInterval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
		}
		err := t.Poll(ctx)
		if errors.Is(err, sqldb.ErrOutdated) {
			return err
		}
		if ctx.Err() == nil && (err != nil) != failing { // say it once, not four times a second
			failing = err != nil
			log.Log(ctx, level(failing), "change feed", "reachable", !failing, "error", err)
		}
	}
}

func level(failing bool) slog.Level {
	if failing {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// listen keeps the connection for notifications open. While it is down the
// poll does its work.
func (t *Tail) listen(ctx context.Context, log *slog.Logger) {
	for {
		err := t.db.Listen(ctx)
		if err == nil {
			return
		}
		log.WarnContext(ctx, "no notifications of changes; polling", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// Poll reads and applies what is new. It is safe for concurrent use.
func (t *Tail) Poll(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	start := t.now()
	for {
		changes, next, known, err := t.read(ctx)
		if errors.Is(err, sqldb.ErrOutdated) {
			t.polled.Store(&poll{time.Time{}, t.at}) // of no age that any limit allows
		}
		if err != nil {
			return err
		}
		if !known {
			if err := t.restart(ctx); err != nil {
				return err
			}
			break
		}
		for _, c := range changes {
			if err := t.apply(ctx, c); err != nil {
				return err
			}
		}
		t.at = next
		if len(changes) < pollBatch-1 {
			break
		}
	}
	if before := t.polled.Swap(&poll{start, t.at}); before.end != t.at {
		select {
		case t.moved <- struct{}{}:
		default:
		}
	}
	return nil
}

// restart goes to the end of a feed that is not the one remembered. The
// position is read first: whatever is loaded after the reset is newer.
func (t *Tail) restart(ctx context.Context) error {
	end, err := t.end(ctx)
	if err != nil {
		return err
	}
	if err := t.reset(ctx); err != nil {
		return err
	}
	t.at = end
	return nil
}

// read returns the changes after the position, and the position behind them.
// known is false when the row at the position is not the one remembered.
func (t *Tail) read(ctx context.Context) (changes []Change, next position, known bool, err error) {
	err = t.db.View(ctx, func(tx *sqldb.Tx) error {
		changes, known, next = nil, t.at.seq == 0, t.at
		rows, err := tx.Query(ctx, `SELECT seq, kind, key, nonce, (SELECT oldest_binary FROM installation WHERE id = 1) FROM change WHERE seq >= $1 ORDER BY seq LIMIT $2`, t.at.seq, pollBatch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var row position
			var c Change
			var oldest int64
			if err := rows.Scan(&row.seq, &c.Kind, &c.Key, &row.nonce, &oldest); err != nil {
				return err
			}
			if err := sqldb.CheckBinary(oldest); err != nil { // what follows may mean something else than it did
				return err
			}
			switch row.seq {
			case t.at.seq:
				known = row.nonce == t.at.nonce
			case next.seq + 1:
				changes = append(changes, c)
				next = row
			default: // a gap: rows were trimmed before this node read them
				known = false
				return nil
			}
		}
		return rows.Err()
	})
	return changes, next, known, err
}

// Age is how old the node's knowledge may be: the time since the start of the
// last successful poll, by the wall clock or the monotonic one, whichever is
// more. Safe for concurrent use; it does no I/O.
func (t *Tail) Age() time.Duration {
	now, fresh := t.now(), t.polled.Load().start
	return max(now.Sub(fresh), now.Round(0).Sub(fresh.Round(0)))
}

// Trim deletes rows of the feed older than KeepChanges, but never the newest:
// nodes recognise the database by it.
func Trim(ctx context.Context, db *sqldb.DB, now time.Time) error {
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM change WHERE at < $1 AND seq < (SELECT seq FROM revision WHERE id = 1)`, now.Add(-KeepChanges).UnixMicro())
		return err
	})
}
