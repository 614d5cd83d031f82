package journal

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Checkpoint is a signed word that the audit log had a record with this link. Kept
// where the database's writers cannot reach, it shows that they wrote the log
// anew, or cut it off.
type Checkpoint struct {
	Sequence  int64     `json:"sequence"`
	Link      []byte    `json:"link"`
	At        time.Time `json:"at"`        // when it was made, to the microsecond
	Key       []byte    `json:"key"`       // public, that the signature is to be verified by
	Signature []byte    `json:"signature"` // Ed25519 (RFC 8032)
}

// message is what is signed.
func (c *Checkpoint) message() []byte {
	return fmt.Appendf(nil, "doorward audit checkpoint\n%d\n%s\n%d\n", c.Sequence, base64.StdEncoding.EncodeToString(c.Link), c.At.UnixMicro())
}

// SignedBy reports whether the holder of a public key made the checkpoint.
func (c *Checkpoint) SignedBy(key []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, c.message(), c.Signature)
}

// A checkpoint is made after so many records, or so long after the last one, if
// there are new ones; and at the end of a server.
const (
	checkpointRecords = 1000
	checkpointEvery   = time.Hour
	checkpointPoll    = time.Minute
)

// Checkpoints makes checkpoints with a key of its own, which is sealed in the
// database. All fields are needed. It is safe for concurrent use.
type Checkpoints struct {
	DB     *sqldb.DB
	Sealer *secret.Sealer
	Now    func() time.Time
	Rand   io.Reader
	Log    *slog.Logger
}

// Run makes checkpoints when they are due, until the context ends, and then one
// of what is new.
func (c *Checkpoints) Run(ctx context.Context) {
	ticker := time.NewTicker(checkpointPoll)
	defer ticker.Stop()
	started := c.Now()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRelease)
			defer cancel()
			c.make(last, func(records int64, _ time.Time) bool { return records > 0 })
			return
		case <-ticker.C:
			c.make(ctx, func(records int64, last time.Time) bool {
				return checkpointDue(records, min(c.Now().Sub(last), c.Now().Sub(started)))
			})
		}
	}
}

func checkpointDue(records int64, since time.Duration) bool {
	return records >= checkpointRecords || records > 0 && since >= checkpointEvery
}

// make makes a checkpoint if it is due after so many records since the last one.
func (c *Checkpoints) make(ctx context.Context, due func(records int64, last time.Time) bool) {
	newest, records, err := c.state(ctx)
	if err == nil && due(records, newest.At) {
		_, err = c.Make(ctx)
	}
	if err != nil && ctx.Err() == nil {
		c.Log.ErrorContext(ctx, "no checkpoint of the audit log was made", "error", err)
	}
}

// state returns the newest checkpoint, without its key, and the number of
// records since.
func (c *Checkpoints) state(ctx context.Context) (newest Checkpoint, records int64, err error) {
	var at, length int64
	err = c.DB.View(ctx, func(tx *sqldb.Tx) error {
		newest, at = Checkpoint{}, 0
		if err := tx.QueryRow(ctx, `SELECT audit_count FROM revision WHERE id = 1`).Scan(&length); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT seq, link, at, signature FROM audit_checkpoint ORDER BY seq DESC LIMIT 1`).Scan(&newest.Sequence, &newest.Link, &at, &newest.Signature)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	newest.At = time.UnixMicro(at).UTC()
	return newest, length - newest.Sequence, err
}

// Make returns a checkpoint of the newest record: a new one, unless there is one.
// The first makes the key.
func (c *Checkpoints) Make(ctx context.Context) (made Checkpoint, err error) {
	key, err := c.key(ctx)
	if err != nil {
		return made, err
	}
	newest, records, err := c.state(ctx)
	newest.Key = public(key)
	if err != nil || records == 0 {
		return newest, err
	}
	made = Checkpoint{At: c.Now().UTC().Truncate(time.Microsecond), Key: newest.Key}
	err = c.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT audit_count, audit_head FROM revision WHERE id = 1`).Scan(&made.Sequence, &made.Link); err != nil {
			return err
		}
		made.Signature = ed25519.Sign(key, made.message())
		_, err := tx.Exec(ctx, `INSERT INTO audit_checkpoint (seq, link, at, signature) VALUES ($1, $2, $3, $4) ON CONFLICT (seq) DO NOTHING`,
			made.Sequence, made.Link, made.At.UnixMicro(), made.Signature)
		return err
	})
	if err == nil {
		c.Log.InfoContext(ctx, "audit checkpoint", "checkpoint", made) // from the log `doorward audit verify` reads it too
	}
	return made, err
}

const keyIdentity = "audit_key.private_key/1"

var errNoKey = errors.New("there are checkpoints of the audit log and no key that made them: somebody changed the database; compare it with a backup")

// key returns the key, and makes it when there is none yet, which the audit log
// says.
func (c *Checkpoints) key(ctx context.Context) (ed25519.PrivateKey, error) {
	sealed, err := c.sealedKey(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		if err := c.makeKey(ctx); err != nil {
			return nil, fmt.Errorf("make the key of checkpoints: %w", err)
		}
		sealed, err = c.sealedKey(ctx)
	}
	if err != nil {
		return nil, err
	}
	seed, err := c.Sealer.Open(sealed, keyIdentity)
	if err == nil && len(seed) != ed25519.SeedSize {
		err = secret.ErrOpen
	}
	if err != nil {
		return nil, fmt.Errorf("open the key of checkpoints: %w", err)
	}
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed), nil
}

func (c *Checkpoints) makeKey(ctx context.Context) error {
	seed := make([]byte, ed25519.SeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(c.Rand, seed); err != nil {
		return err
	}
	sealed, err := c.Sealer.Seal(c.Rand, seed, keyIdentity)
	if err != nil {
		return err
	}
	return c.DB.Update(ctx, func(tx *sqldb.Tx) error { return c.insertKey(ctx, tx, sealed) })
}

func (c *Checkpoints) sealedKey(ctx context.Context) (sealed []byte, err error) {
	err = c.DB.View(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT private_key FROM audit_key WHERE id = 1`).Scan(&sealed)
	})
	return sealed, err
}

// insertKey does nothing when another node was faster.
func (c *Checkpoints) insertKey(ctx context.Context, tx *sqldb.Tx, sealed []byte) error {
	var keys, made bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM audit_key), EXISTS (SELECT 1 FROM audit_checkpoint)`).Scan(&keys, &made)
	switch {
	case err != nil || keys:
		return err
	case made:
		return errNoKey
	}
	if _, err := tx.Exec(ctx, `INSERT INTO audit_key (id, private_key) VALUES (1, $1)`, sealed); err != nil {
		return err
	}
	return Log{Now: c.Now, Rand: c.Rand}.Append(ctx, tx, actor.NewSystem("checkpoint"), Event{Action: "audit-key.create", Subject: "audit-key"})
}

// All returns the checkpoints in the database, newest first. One that was not
// signed with the installation's key is a *ChainError.
func (c *Checkpoints) All(ctx context.Context) ([]Checkpoint, error) {
	return c.Newest(ctx, math.MaxInt64)
}

// Newest is All of so many.
func (c *Checkpoints) Newest(ctx context.Context, limit int64) (all []Checkpoint, err error) {
	err = c.DB.ViewAll(ctx, func(tx *sqldb.Tx) error {
		all = nil
		rows, err := tx.Query(ctx, `SELECT seq, link, at, signature FROM audit_checkpoint ORDER BY seq DESC LIMIT $1`, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			made, at := Checkpoint{}, int64(0)
			if err := rows.Scan(&made.Sequence, &made.Link, &at, &made.Signature); err != nil {
				return err
			}
			made.At = time.UnixMicro(at).UTC()
			all = append(all, made)
		}
		return rows.Err()
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	key, err := c.PublicKey(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Key = key; !all[i].SignedBy(key) {
			return nil, &ChainError{all[i].Sequence, "its checkpoint was not signed by this installation"}
		}
	}
	return all, nil
}

// PublicKey is what checkpoints of this installation are verified by. It makes
// the key if there is none yet.
func (c *Checkpoints) PublicKey(ctx context.Context) ([]byte, error) {
	key, err := c.key(ctx)
	if err != nil {
		return nil, err
	}
	return public(key), nil
}

func public(key ed25519.PrivateKey) ed25519.PublicKey {
	return key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // as crypto/ed25519 says
}
