package usage

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// Of watched clients so many attempts are written, on each node: those that a
// person would want to see, and no flood.
const (
	attemptsPerClient  = 5 // a second
	attemptsPerAddress = 1 // a second
	attemptsAtOnce     = 5 // a token request, some calls; then one must wait
	watchedAddresses   = 16_384
	waitingAttempts    = 256 // to be written

	// KeepAttempts is how long an attempt can be read.
	KeepAttempts = 15 * time.Minute

	maxPath   = 200
	maxMethod = 16
)

// recordAttempt queues an attempt of a watched client. The address is asked
// first: who floods from one spends nothing of the client's.
func (u *Usage) recordAttempt(a *Attempt) {
	if _, ok := u.perAddress.AllowAddress(a.Address); !ok {
		return
	}
	if _, ok := u.perClient.Allow(string(a.Client)); !ok {
		return
	}
	kept := *a
	kept.Permissions = nil
	kept.Method, kept.Path = plain(a.Method, maxMethod), plain(a.Path, maxPath)
	select {
	case u.attempts <- kept:
	default:
		u.lost.Add(1)
	}
}

// plain is text from a request, cut and without what could disturb a page or
// log. It is a copy: what is kept must not pin a request.
func plain(text string, most int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Clone(text[:min(len(text), most)]))
}

// writeAttempts writes the attempt and all others that wait.
func (u *Usage) writeAttempts(ctx context.Context, first Attempt) error {
	u.writing.Lock()
	defer u.writing.Unlock()
	batch := []Attempt{first}
	for len(batch) < waitingAttempts {
		select {
		case next := <-u.attempts:
			batch = append(batch, next)
			continue
		default:
		}
		break
	}
	// Nodes lock the rows of watches in one order.
	slices.SortStableFunc(batch, func(a, b Attempt) int { return strings.Compare(string(a.Client), string(b.Client)) })
	err := u.DB.Write(ctx, func(tx *sqldb.Tx) error {
		for i := range batch {
			if err := u.writeAttempt(ctx, tx, &batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		u.lost.Add(uint64(len(batch)))
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.written)
	u.written = make(chan struct{})
	return nil
}

// writeAttempt numbers an attempt by its time, made to rise: the row of the
// watch is locked until the commit, so that no reader sees a number before a
// smaller one.
func (u *Usage) writeAttempt(ctx context.Context, tx *sqldb.Tx, a *Attempt) error {
	at := a.At.UnixMicro()
	var organisation id.Organisation
	err := tx.QueryRow(ctx, `UPDATE watch SET last_attempt = CASE WHEN last_attempt >= $1 THEN last_attempt + 1 ELSE $1 END
		WHERE client_id = $2 AND until > $1 RETURNING last_attempt, organisation_id -- any organisation: the watch says which`, at, a.Client).Scan(&a.Number, &organisation)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // the watch has ended
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO attempt (client_id, number, organisation_id, at, kind, allowed, status, code, took, address, secret, method, path, product, route, lacking, trace_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		a.Client, a.Number, organisation, at, string(a.Kind), a.Allowed, a.Status, a.Code, a.Took.Microseconds(), addressText(a.Address), a.Secret,
		a.Method, a.Path, a.Product, a.Route, a.Lacking, a.TraceID)
	return err
}

// Attempts returns up to limit attempts of a client of the actor's
// organisation, in their order: those whose number is above after, which a
// reader that comes back has seen. There are none of a time in which nobody
// watched.
func (u *Usage) Attempts(ctx context.Context, by actor.Actor, client id.Client, after int64, limit int) (attempts []Attempt, err error) {
	err = u.DB.View(ctx, func(tx *sqldb.Tx) error {
		attempts = nil
		if err := mayRead(ctx, tx, by, client); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT number, at, kind, allowed, status, code, took, address, secret, method, path, product, route, lacking, trace_id
			FROM attempt WHERE client_id = $1 AND organisation_id = $2 AND number > $3 ORDER BY number LIMIT $4`, client, by.Organisation(), after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			a := Attempt{Client: client, Organisation: by.Organisation()}
			var at, took int64
			var address string
			if err := rows.Scan(&a.Number, &at, &a.Kind, &a.Allowed, &a.Status, &a.Code, &took, &address, &a.Secret, &a.Method, &a.Path, &a.Product, &a.Route, &a.Lacking, &a.TraceID); err != nil {
				return err
			}
			a.At, a.Took, a.Address = time.UnixMicro(at).UTC(), time.Duration(took)*time.Microsecond, addressOf(address)
			attempts = append(attempts, a)
		}
		return rows.Err()
	})
	return attempts, err
}

const (
	followInterval = 500 * time.Millisecond // in which attempts at other nodes are found
	followBatch    = 50
)

// Follow watches a client and calls each with its attempts from number after
// on, as they come, until the context ends, which is no error, or each returns
// one.
func (u *Usage) Follow(ctx context.Context, by actor.Actor, client id.Client, after int64, each func([]Attempt) error) error {
	err := u.follow(ctx, by, client, after, each)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (u *Usage) follow(ctx context.Context, by actor.Actor, client id.Client, after int64, each func([]Attempt) error) error {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		u.mu.Lock()
		written := u.written
		u.mu.Unlock()
		if err := u.Watch(ctx, by, client); err != nil {
			return err
		}
		attempts, err := u.Attempts(ctx, by, client, after, followBatch)
		if err != nil {
			return err
		}
		if len(attempts) > 0 {
			after = attempts[len(attempts)-1].Number
			if err := each(attempts); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-written:
		case <-ticker.C:
		}
	}
}

// trim deletes attempts and watches that are over. A watch outlives its
// attempts, so that their numbers go on rising.
func (u *Usage) trim(ctx context.Context) error {
	now := u.Now()
	return u.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM attempt WHERE at < $1 -- any organisation: they are over`, now.Add(-KeepAttempts).UnixMicro())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM watch WHERE until < $1 -- any organisation: they are over`, now.Add(-2*KeepAttempts).UnixMicro())
		return err
	})
}
