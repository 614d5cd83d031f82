package signingkey

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Rekey changes the key-encryption key while servers run. Both of its steps may
// be repeated, after whatever ended them.
type Rekey struct {
	DB   *sqldb.DB
	Key  *secret.KeyEncryptionKey // that the installation was last started with
	Now  func() time.Time
	Rand io.Reader
	Log  func(format string, args ...any) // tells what is being done

	// Drain is how long values may still arrive that were sealed before every
	// server knew the new sealing key; 0 means 15 s, longer than a transaction.
	Drain time.Duration
}

const (
	defaultDrain = 15 * time.Second
	resealBatch  = 200
	spreadPoll   = 250 * time.Millisecond
)

// Prepare wraps the sealing keys by a second key-encryption key too. From then
// on servers start with either.
func (r *Rekey) Prepare(ctx context.Context, by actor.Actor, to *secret.KeyEncryptionKey) error {
	all, keys, own, err := r.load(ctx, r.Key)
	if err != nil {
		return err
	}
	defer keys.clear()
	if theirs, _, err := all.unwrap(ctx, to, func(uint32) bool { return false }); err == nil {
		theirs.clear()
		return nil // it was prepared before
	}
	var second wrappings
	for number, key := range keys {
		w := wrapping{number: number, wrapping: own + 1}
		if w.wrapped, err = to.Wrap(ctx, r.Rand, number, key); err != nil {
			return fmt.Errorf("wrap the sealing keys by the new key-encryption key: %w", err)
		}
		again, err := to.Unwrap(ctx, number, w.wrapped)
		if err != nil || !slices.Equal(again, key) {
			return fmt.Errorf("the new key-encryption key does not unwrap what it wrapped: %w", err)
		}
		clear(again)
		second = append(second, w)
	}
	return r.change(ctx, by, "prepare", all.newest(), func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM sealing_key WHERE wrapping <> $1`, own); err != nil { // of a preparation for another key
			return err
		}
		return second.insert(ctx, tx)
	})
}

// Finish makes a new sealing key under Key alone, seals everything anew with it,
// and forgets the earlier ones: after that no other key-encryption key opens
// anything. All servers must have been started with Key.
func (r *Rekey) Finish(ctx context.Context, by actor.Actor) error {
	newest, err := r.begin(ctx, by)
	if err != nil {
		return err
	}
	servers, err := r.spread(ctx)
	if err != nil {
		return err
	}
	if err := r.reseal(ctx, newest); err != nil {
		return err
	}
	if servers > 0 {
		r.Log("waiting for values that were sealed before")
		if err := wait(ctx, r.drain()); err != nil {
			return err
		}
		if err := r.reseal(ctx, newest); err != nil {
			return err
		}
	}
	return r.forget(ctx, by, newest)
}

func (r *Rekey) drain() time.Duration {
	if r.Drain == 0 {
		return defaultDrain
	}
	return r.Drain
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// load unwraps all sealing keys by a key-encryption key.
func (r *Rekey) load(ctx context.Context, kek *secret.KeyEncryptionKey) (all wrappings, keys unwrapped, own int64, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		all, err = loadWrappings(ctx, tx)
		return err
	})
	if err == nil && len(all) == 0 {
		err = fault.Errorf(fault.Conflict, "the installation has no keys yet: start it once")
	}
	if err == nil {
		keys, own, err = all.unwrap(ctx, kek, func(uint32) bool { return false })
	}
	return all, keys, own, err
}

// change records a step, if no other rekeying was faster.
func (r *Rekey) change(ctx context.Context, by actor.Actor, step string, newest uint32, write func(tx *sqldb.Tx) error) error {
	log := journal.Log{Now: r.Now, Rand: r.Rand}
	return r.DB.Update(ctx, func(tx *sqldb.Tx) error {
		now, err := loadWrappings(ctx, tx)
		if err != nil {
			return err
		}
		if now.newest() != newest {
			return fault.Errorf(fault.Conflict, "another rekeying is under way: repeat when it is done")
		}
		if err := write(tx); err != nil {
			return err
		}
		tx.Changed(journal.KeysChanged, "")
		return log.Append(ctx, tx, by, journal.Event{Action: "key.rekey", Subject: "sealing keys", Content: map[string]string{"step": step}})
	})
}

// begin makes the next sealing key, unless an earlier attempt has.
func (r *Rekey) begin(ctx context.Context, by actor.Actor) (newest uint32, err error) {
	all, keys, own, err := r.load(ctx, r.Key)
	if err != nil {
		return 0, err
	}
	defer keys.clear()
	if len(keys) > 1 {
		r.Log("going on with sealing key %d", all.newest())
		return all.newest(), nil
	}
	if err := r.allRunWith(ctx, own); err != nil {
		return 0, err
	}
	next := wrapping{number: all.newest() + 1, wrapping: own}
	key := make([]byte, secret.KeySize)
	defer clear(key)
	if _, err := io.ReadFull(r.Rand, key); err != nil {
		return 0, fmt.Errorf("draw a sealing key: %w", err)
	}
	if next.wrapped, err = r.Key.Wrap(ctx, r.Rand, next.number, key); err != nil {
		return 0, fmt.Errorf("wrap the new sealing key: %w", err)
	}
	r.Log("making sealing key %d", next.number)
	return next.number, r.change(ctx, by, "make", all.newest(), func(tx *sqldb.Tx) error { return wrappings{next}.insert(ctx, tx) })
}

// allRunWith refuses while servers run with another key-encryption key: they
// could not open the new sealing key, and would refuse everything.
func (r *Rekey) allRunWith(ctx context.Context, own int64) error {
	spread, err := journal.SpreadOf(ctx, r.DB, 0)
	if err != nil {
		return err
	}
	var others []string
	for i := range spread.Nodes {
		if spread.Nodes[i].Wrapping != own {
			others = append(others, spread.Nodes[i].Name)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return fault.Errorf(fault.Conflict, "%s still runs with another key-encryption key: name this one in its configuration and restart it first", strings.Join(others, ", "))
}

// spread waits until every server has the new sealing key, or refuses everything.
func (r *Rekey) spread(ctx context.Context) (servers int, err error) {
	spread, err := journal.SpreadOf(ctx, r.DB, 0)
	said := ""
	for err == nil {
		var missing []string
		for i := range spread.Nodes {
			if !spread.Nodes[i].InForce {
				missing = append(missing, spread.Nodes[i].Name)
			}
		}
		if len(missing) == 0 {
			return len(spread.Nodes), nil
		}
		if names := strings.Join(missing, ", "); names != said {
			said = names
			r.Log("waiting for %s to learn of it", names)
		}
		if err = wait(ctx, spreadPoll); err == nil {
			spread, err = journal.SpreadOf(ctx, r.DB, spread.Revision)
		}
	}
	return 0, err
}

// forget drops all sealing keys but the newest, and all wrappings but Key's.
func (r *Rekey) forget(ctx context.Context, by actor.Actor, newest uint32) error {
	all, keys, _, err := r.load(ctx, r.Key)
	if err != nil {
		return err
	}
	keys.clear()
	own := all[len(all)-1].wrapping // the newest has one only
	err = r.change(ctx, by, "finish", newest, func(tx *sqldb.Tx) error {
		for _, c := range sealedColumns {
			if left, err := c.anyLeft(ctx, tx, newest); err != nil {
				return err
			} else if left {
				return fault.Errorf(fault.Conflict, "there are values still that an earlier sealing key sealed: repeat this")
			}
		}
		_, err := tx.Exec(ctx, `DELETE FROM sealing_key WHERE number <> $1 OR wrapping <> $2`, newest, own)
		return err
	})
	if err == nil {
		r.Log("only this key-encryption key opens the installation now")
	}
	return err
}

// reseal seals everything anew that the newest key has not sealed.
func (r *Rekey) reseal(ctx context.Context, newest uint32) error {
	all, keys, _, err := r.load(ctx, r.Key)
	if err != nil {
		return err
	}
	defer keys.clear()
	sealer, _, err := all.open(ctx, r.Key)
	if err != nil {
		return err
	}
	for _, c := range sealedColumns {
		total, after := 0, ""
		for more := true; more; {
			n := 0
			if n, after, err = r.resealSome(ctx, &c, sealer, newest, after); err != nil {
				return fmt.Errorf("seal %s anew: %w", c.name, err)
			}
			total, more = total+n, n == resealBatch
		}
		if total > 0 {
			r.Log("%s: %d sealed anew", c.name, total)
		}
	}
	return nil
}

// resealSome does so for some rows of a column behind one, in one transaction.
// It returns how many there were, and the last.
func (r *Rekey) resealSome(ctx context.Context, c *sealedColumn, sealer *secret.Sealer, newest uint32, after string) (n int, last string, err error) {
	err = r.DB.Write(ctx, func(tx *sqldb.Tx) error {
		rows, err := c.some(ctx, tx, newest, after)
		n, last = len(rows), ""
		for i := 0; i < len(rows) && err == nil; i++ {
			last = rows[i].key
			err = c.reseal(ctx, tx, sealer, r.Rand, &rows[i])
		}
		return err
	})
	return n, last, err
}

func (c *sealedColumn) anyLeft(ctx context.Context, tx *sqldb.Tx, newest uint32) (bool, error) {
	rows, err := c.left(ctx, tx, secret.SealedWith(newest))
	if err != nil {
		return false, err
	}
	defer rows.Close()
	return rows.Next(), rows.Err()
}

type sealedRow struct {
	key   string
	value []byte
}

func (c *sealedColumn) some(ctx context.Context, tx *sqldb.Tx, newest uint32, after string) (found []sealedRow, err error) {
	rows, err := c.read(ctx, tx, secret.SealedWith(newest), after, resealBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row sealedRow
		if err := rows.Scan(&row.key, &row.value); err != nil {
			return nil, err
		}
		found = append(found, row)
	}
	return found, rows.Err()
}

func (c *sealedColumn) reseal(ctx context.Context, tx *sqldb.Tx, sealer *secret.Sealer, rand io.Reader, row *sealedRow) error {
	identity := c.identity + row.key
	text, err := sealer.Open(row.value, identity)
	if err != nil {
		return fmt.Errorf("%s: %w", identity, err)
	}
	defer clear(text)
	sealed, err := sealer.Seal(rand, text, identity)
	if err != nil {
		return err
	}
	return c.write(ctx, tx, sealed, row.key, row.value)
}
