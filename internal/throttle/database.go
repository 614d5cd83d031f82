package throttle

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/sqldb"
)

// forgetEvery is how often rows are deleted that are paid.
const forgetEvery = time.Minute

// Database counts in the database that the nodes share. Its rows are not written
// to the disk with each commit: a crash of the database forgets them.
type Database struct {
	db    *sqldb.DB
	asked atomic.Bool // since paid rows were deleted
}

// NewDatabase returns a Database, which [Database.Run] keeps small.
func NewDatabase(db *sqldb.DB) *Database { return &Database{db: db} }

// Add is a [Share].
func (d *Database) Add(ctx context.Context, debts []Debt) (waits []time.Duration, err error) {
	d.asked.Store(true)
	err = d.db.Write(ctx, func(tx *sqldb.Tx) error {
		now, err := tx.Clock(ctx)
		if err != nil {
			return err
		}
		var owes []time.Duration
		if owes, waits, err = look(ctx, tx, debts, now); err != nil || len(waits) > 0 && slices.Max(waits) > 0 {
			return err
		}
		for i := range debts {
			if _, err := tx.Exec(ctx, `UPDATE failure SET paid_at = $1 WHERE key = $2`, now.Add(owes[i]).UnixMicro(), debts[i].Key); err != nil {
				return err
			}
		}
		return nil
	})
	return waits, err
}

// look locks the row of each debt.
func look(ctx context.Context, tx *sqldb.Tx, debts []Debt, now time.Time) (owes, waits []time.Duration, err error) {
	owes, waits = make([]time.Duration, len(debts)), make([]time.Duration, len(debts))
	for _, i := range inOrder(debts) {
		paid := now.UnixMicro()
		err := tx.QueryRow(ctx, `INSERT INTO failure (key, paid_at) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET paid_at = failure.paid_at RETURNING paid_at`, debts[i].Key, paid).Scan(&paid)
		if err != nil {
			return nil, nil, err
		}
		owes[i], waits[i] = debts[i].after(time.UnixMicro(paid).Sub(now))
	}
	return owes, waits, nil
}

// Run deletes rows that are paid, until the context ends. While nothing fails it
// does nothing.
func (d *Database) Run(ctx context.Context) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if d.asked.Swap(false) && d.Forget(ctx) != nil {
			d.asked.Store(true) // the next time
		}
	}
}

// Forget deletes the rows that are paid.
func (d *Database) Forget(ctx context.Context) error {
	return d.db.Write(ctx, func(tx *sqldb.Tx) error {
		now, err := tx.Clock(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM failure WHERE paid_at < $1`, now.UnixMicro())
		return err
	})
}

// inOrder is the order in which all nodes lock rows, so that none waits for one
// that waits for it.
func inOrder(debts []Debt) []int {
	order := make([]int, len(debts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(debts[a].Key, debts[b].Key) })
	return order
}
