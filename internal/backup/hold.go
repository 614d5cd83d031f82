package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
)

// Config is what a database is taken in with. All fields but the last are needed.
type Config struct {
	DB   *sqldb.DB
	Now  func() time.Time
	Rand io.Reader
	// RevocationJournal tells a database that lacks changes; empty: nothing does.
	RevocationJournal string
}

func (c *Config) append(ctx context.Context, tx *sqldb.Tx, action string, content any) error {
	log := journal.Log{Now: c.Now, Rand: c.Rand}
	return log.Append(ctx, tx, actor.NewSystem("restore"), journal.Event{Action: action, Subject: "installation", Content: content})
}

// TakeIn is called before anything is served from a database. One that has
// served before, under another identity, is a copy, and one that lacks changes
// of its revocation journal was restored: from now on it is held. TakeIn says
// whether the database is held, now or still.
func TakeIn(ctx context.Context, c Config) (held bool, err error) {
	identity, err := c.DB.Identity(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for the identity of the database: %w", err)
	}
	var known string
	var since int64
	load := func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT database_id, held_at FROM installation WHERE id = 1`).Scan(&known, &since)
	}
	if err := c.DB.View(ctx, load); err != nil {
		return false, fmt.Errorf("read whether the database is held: %w", err)
	}
	lost, err := forgot(ctx, c.DB, c.RevocationJournal)
	if err != nil {
		return since != 0, err
	}
	if lost && since == 0 {
		return true, Hold(ctx, c)
	}
	if known == identity || identity == "" && known != copied {
		return since != 0, nil
	}
	err = c.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := load(tx); err != nil || known == identity { // another server was faster
			return err
		}
		if known == "" { // the first start
			_, err := tx.Exec(ctx, `UPDATE installation SET database_id = $1 WHERE id = 1`, identity)
			return err
		}
		since = c.Now().UnixMicro()
		return c.hold(ctx, tx, since, identity)
	})
	return since != 0, err
}

// Hold holds the installation whatever its database looks like: for one that was
// restored from a base backup, which cannot be told from its original.
func Hold(ctx context.Context, c Config) error {
	identity, err := c.DB.Identity(ctx)
	if err != nil {
		return fmt.Errorf("ask for the identity of the database: %w", err)
	}
	return c.DB.Update(ctx, func(tx *sqldb.Tx) error { return c.hold(ctx, tx, c.Now().UnixMicro(), identity) })
}

func (c *Config) hold(ctx context.Context, tx *sqldb.Tx, at int64, identity string) error {
	timeline := make([]byte, 10)
	if _, err := io.ReadFull(c.Rand, timeline); err != nil {
		return fmt.Errorf("name the timeline: %w", err)
	}
	b, err := present(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE installation SET restored_timeline = $1, restored_revision = $2, restored_to = $3 WHERE id = 1 AND held_at = 0 -- held again: it stood where it stood`,
		b.timeline, b.revision, b.at.UnixMicro())
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE installation SET held_at = $1, timeline = $2, database_id = $3 WHERE id = 1`, at, hex.EncodeToString(timeline), identity); err != nil {
		return err
	}
	tx.Changed(journal.InstallationChanged, "")
	return c.append(ctx, tx, "installation.hold", struct{}{})
}

// Credential is one that comes alive again with a restored database, whether
// or not it was revoked after the copy was made.
type Credential struct {
	Kind         string          `json:"kind"` // secret, person or webhook
	ID           string          `json:"id"`
	Of           string          `json:"of,omitempty"` // the client of a secret
	Organisation id.Organisation `json:"organisation_id,omitempty"`
	Name         string          `json:"name"` // a person's address, a webhook's URL
	CreatedAt    time.Time       `json:"created_at"`
}

// Credentials calls yield for each credential that comes alive again, in a fixed
// order, and returns the code by which [Confirm] knows that it was this list.
func Credentials(ctx context.Context, db *sqldb.DB, yield func(Credential) error) (code string, err error) {
	code, _, err = credentials(ctx, db, yield)
	return code, err
}

// ErrNotHeld is the answer where nothing waits to be confirmed.
var ErrNotHeld = fault.Errorf(fault.Conflict, "the installation is not held: there is nothing to confirm")

// credentials also returns the revision of the list.
func credentials(ctx context.Context, db *sqldb.DB, yield func(Credential) error) (code string, revision int64, err error) {
	err = db.ViewAll(ctx, func(tx *sqldb.Tx) error {
		var since int64
		err := tx.QueryRow(ctx, `SELECT i.held_at, r.seq FROM installation i, revision r WHERE i.id = 1 AND r.id = 1`).Scan(&since, &revision)
		if err != nil {
			return err
		}
		if since == 0 {
			return ErrNotHeld
		}
		code, err = list(ctx, tx, since, yield)
		return err
	})
	return code, revision, err
}

// list returns the sum of all credentials, as they stood when the hold began.
func list(ctx context.Context, tx *sqldb.Tx, since int64, yield func(Credential) error) (code string, err error) {
	rows, err := tx.Query(ctx, `SELECT 'secret', s.id, s.client_id, s.organisation_id, s.name, s.created_at FROM client_secret s JOIN client c ON c.id = s.client_id
			WHERE c.state = 'enabled' AND s.state IN ('active', 'retiring') AND (s.expires_at = 0 OR s.expires_at > $1) AND (s.ends_at = 0 OR s.ends_at > $1)
		UNION ALL SELECT 'person', id, '', '', email, created_at FROM person WHERE deleted_at = 0
		UNION ALL SELECT 'webhook', id, '', organisation_id, url, created_at FROM webhook WHERE state = 'enabled'
		ORDER BY 1, 4, 3, 2 -- any organisation: all that was restored`, since)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	sum := sha256.New()
	for rows.Next() {
		var c Credential
		var created int64
		if err := rows.Scan(&c.Kind, &c.ID, &c.Of, &c.Organisation, &c.Name, &created); err != nil {
			return "", err
		}
		c.CreatedAt = time.UnixMicro(created).UTC()
		line, err := json.Marshal(c)
		if err != nil {
			return "", err
		}
		sum.Write(line)
		if err := yield(c); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), rows.Err()
}

// Confirm ends the hold if code is that of the credentials as they are now. All
// signing keys of before are withdrawn, and with them all access tokens; all
// sessions and invitations end. makeKeys makes the keys that are missing then.
func Confirm(ctx context.Context, c Config, code string, makeKeys func(ctx context.Context) error) error {
	counted := map[string]int{}
	now, revision, err := credentials(ctx, c.DB, func(c Credential) error { counted[c.Kind]++; return nil })
	if err == nil && now != code {
		err = errOtherList
	}
	if err != nil {
		return err
	}
	if err := c.DB.Update(ctx, func(tx *sqldb.Tx) error { return c.endAll(ctx, tx, revision) }); err != nil {
		return err
	}
	if err := makeKeys(ctx); err != nil { // still held: a node never signs with what it withdrew
		return err
	}
	return c.DB.Update(ctx, func(tx *sqldb.Tx) error {
		return c.release(ctx, tx, map[string]any{"code": code, "credentials": counted})
	})
}

// Moved ends the hold of a database that was held by mistake: it is the only
// one, moved or upgraded with nothing lost, so that nothing needs to end.
func Moved(ctx context.Context, c Config) error {
	return c.DB.Update(ctx, func(tx *sqldb.Tx) error { return c.release(ctx, tx, map[string]any{"moved": true}) })
}

var errOtherList = fault.Errorf(fault.Conflict, "that is not the code of the list as it is now: look at the list again")

// endAll ends what was in force before, if nothing has changed since a revision.
func (c *Config) endAll(ctx context.Context, tx *sqldb.Tx, revision int64) error {
	var now int64
	if err := tx.QueryRow(ctx, `SELECT seq FROM revision WHERE id = 1`).Scan(&now); err != nil {
		return err
	}
	if now != revision {
		return errOtherList
	}
	if err := signingkey.WithdrawAll(ctx, tx, c.Now()); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM session`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM browser`); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE mail SET state = 'failed', body = NULL, ended_at = $1, failure = 'the installation was restored from a backup' WHERE state = 'waiting' -- any organisation: all that was restored`, c.Now().UnixMicro())
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE invitation SET state = 'revoked', ended_at = $1 WHERE state = 'pending' -- any organisation: all that was restored`, c.Now().UnixMicro())
	return err
}

func (c *Config) release(ctx context.Context, tx *sqldb.Tx, content any) error {
	done, err := tx.Exec(ctx, `UPDATE installation SET held_at = 0 WHERE id = 1 AND held_at <> 0`)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return ErrNotHeld
	}
	tx.Changed(journal.InstallationChanged, "")
	return c.append(ctx, tx, "installation.confirm", content)
}
