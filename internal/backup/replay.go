package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// bound is where a backup stands among the lines of revocation journals.
type bound struct {
	timeline string
	revision int64
	at       time.Time // when its newest change was made
}

// after says whether a backup has not got a revocation: by its number on the
// backup's own timeline, and by time on those of other restores.
func (b *bound) after(r *sqldb.Revocation) bool {
	if r.Timeline == b.timeline {
		return r.Revision > b.revision
	}
	return r.At.After(b.at)
}

// present is where the database stands now.
func present(ctx context.Context, tx *sqldb.Tx) (b bound, err error) {
	var at int64
	err = tx.QueryRow(ctx, `SELECT i.timeline, r.seq, COALESCE((SELECT max(at) FROM change), 0) FROM installation i, revision r WHERE i.id = 1 AND r.id = 1`).
		Scan(&b.timeline, &b.revision, &at)
	b.at = time.UnixMicro(at)
	return b, err
}

// forgot says whether a revocation journal has changes of the database's own
// timeline that the database has not: it was restored, or lost them.
func forgot(ctx context.Context, db *sqldb.DB, path string) (bool, error) {
	if path == "" {
		return false, nil
	}
	lost := false
	var newest int64
	timelines := map[string]int64{}
	if _, err := sqldb.ReadRevocations(path, func(r sqldb.Revocation) error {
		timelines[r.Timeline] = max(timelines[r.Timeline], r.Revision)
		return nil
	}); err != nil {
		return false, err
	}
	// The database is read after the journal: what is written meanwhile is in it.
	err := db.View(ctx, func(tx *sqldb.Tx) error {
		b, err := present(ctx, tx)
		newest = timelines[b.timeline]
		lost = newest > b.revision
		return err
	})
	return lost, err
}

// Replayed counts the lines of revocation journals.
type Replayed struct {
	Revoked  int `json:"revoked_again"`
	Gone     int `json:"of_what_is_not_there"` // it came after the backup, or went
	Kept     int `json:"refused"`              // it contradicts what was restored: see the log
	CutOff   int `json:"cut_off_lines"`        // by a crash, and never acknowledged
	problems []error
}

// Problems are what was refused, one error for each.
func (r *Replayed) Problems() []error { return r.problems }

// Replay revokes again, in a held installation, what revocation journals have
// and its backup had not. It may be repeated: what an earlier replay has done is
// left as it is.
func Replay(ctx context.Context, db *sqldb.DB, r *registry.Registry, paths ...string) (done Replayed, err error) {
	var copied, here bound
	var held, at int64
	err = db.View(ctx, func(tx *sqldb.Tx) (err error) {
		if here, err = present(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT restored_timeline, restored_revision, restored_to, held_at FROM installation WHERE id = 1`).Scan(&copied.timeline, &copied.revision, &at, &held)
	})
	copied.at = time.UnixMicro(at)
	if err == nil && held == 0 {
		err = ErrNotHeld
	}
	if err != nil {
		return done, err
	}
	for _, path := range paths {
		lost, cutOff, err := lostSince(path, &copied, &here)
		if err != nil {
			return done, err
		}
		done.CutOff += cutOff
		for _, line := range lost {
			if err := done.add(r.Revoke(ctx, line), &line); err != nil {
				return done, fmt.Errorf("replay %s: %w", path, err)
			}
		}
	}
	return done, nil
}

// lostSince are the revocations of a journal that the database has not got: not
// by its backup, and not by a replay, whose lines are appended to the same file.
// The file is read whole before anything is revoked.
func lostSince(path string, copied, here *bound) (lost []sqldb.Revocation, cutOff int, err error) {
	known := map[string]bool{}
	identity := func(line *sqldb.Revocation) string {
		return line.Organisation + " " + line.Kind + " " + string(line.Content)
	}
	cutOff, err = sqldb.ReadRevocations(path, func(line sqldb.Revocation) error {
		switch {
		case line.Kind == journal.KeyWithdrawn: // confirming withdraws every key
		case line.Timeline == here.timeline && line.Revision <= here.revision:
			known[identity(&line)] = true
		case copied.after(&line):
			lost = append(lost, line)
		}
		return nil
	})
	lost = slices.DeleteFunc(lost, func(line sqldb.Revocation) bool { return known[identity(&line)] })
	return lost, cutOff, err
}

// add counts what became of a line; what may pass later is an error.
func (r *Replayed) add(err error, line *sqldb.Revocation) error {
	switch fault.KindOf(err) {
	case fault.NotFound:
		r.Gone++
		return nil
	case fault.Unavailable:
		return err
	}
	if err == nil {
		r.Revoked++
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	r.Kept++
	r.problems = append(r.problems, fmt.Errorf("%s %s of %s: %w", line.Kind, line.Content, line.At.Format(time.RFC3339), err))
	return nil
}
