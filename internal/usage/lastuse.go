package usage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

const (
	useShards    = 16
	usesPerShard = 4096
	useBatch     = 200 // rows of one transaction

	// Precision is how far the written last use of what is in use all the time
	// may lie behind. A first use is written within seconds.
	Precision = 30 * time.Second
)

// What was used.
const (
	secretUsed     = "secret"
	permissionUsed = "permission"
	clientCalled   = "call"
)

// subject is what was used.
type subject struct {
	client id.Client
	kind   string
	key    string
}

func (s subject) compare(t subject) int {
	return cmp.Or(cmp.Compare(s.client, t.client), cmp.Compare(s.kind, t.kind), cmp.Compare(s.key, t.key))
}

// lastUse is the newest use of a subject. Times are microseconds.
type lastUse struct {
	at           int64
	written      int64 // what the database has; 0: not known
	address      netip.Addr
	organisation id.Organisation
}

// due says whether the use should be written now.
func (l *lastUse) due(now int64, all bool) bool {
	return l.at > l.written && (all || l.written == 0 || now-l.written >= Precision.Microseconds())
}

// lastUses holds what was used lately, until it is written and no longer in use.
type lastUses struct {
	seed   maphash.Seed
	shards [useShards]useShard
}

type useShard struct {
	mu   sync.Mutex
	uses map[subject]lastUse
}

func (l *lastUses) shard(client id.Client) *useShard {
	return &l.shards[maphash.String(l.seed, string(client))%useShards]
}

// recordUse keeps the newest use of each thing that let the attempt pass.
func (u *Usage) recordUse(a *Attempt) {
	s := u.uses.shard(a.Client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Kind != Call {
		u.keep(s, a, subject{a.Client, secretUsed, string(a.Secret)})
		return
	}
	u.keep(s, a, subject{a.Client, clientCalled, ""})
	for _, permission := range a.Permissions {
		u.keep(s, a, subject{a.Client, permissionUsed, permission})
	}
}

func (u *Usage) keep(s *useShard, a *Attempt, key subject) {
	if s.uses == nil {
		s.uses = map[subject]lastUse{}
	}
	use, known := s.uses[key]
	if !known && len(s.uses) >= usesPerShard {
		u.lost.Add(1)
		return
	}
	use.at, use.address, use.organisation = max(use.at, a.At.UnixMicro()), a.Address, a.Organisation
	s.uses[key] = use
}

type dueUse struct {
	subject
	lastUse
}

// flushUses writes the uses that are due, or all that are not written.
func (u *Usage) flushUses(ctx context.Context, all bool) error {
	u.writing.Lock()
	defer u.writing.Unlock()
	due := u.uses.due(u.Now().UnixMicro(), all)
	slices.SortFunc(due, func(a, b dueUse) int { return a.compare(b.subject) }) // nodes lock rows in one order
	for batch := range slices.Chunk(due, useBatch) {
		if err := u.DB.Write(ctx, func(tx *sqldb.Tx) error { return writeUses(ctx, tx, batch) }); err != nil {
			return err
		}
		u.uses.wrote(batch)
	}
	return nil
}

// due lists what is to be written, and forgets what is written and not used any
// more. Where room runs short, all is written, and forgotten the next time.
func (l *lastUses) due(now int64, all bool) (due []dueUse) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		crowded := len(s.uses) > usesPerShard/2
		for key, use := range s.uses {
			switch {
			case use.due(now, all || crowded):
				due = append(due, dueUse{key, use})
			case use.at <= use.written && (crowded || now-use.at > 2*Precision.Microseconds()):
				delete(s.uses, key)
			}
		}
		s.mu.Unlock()
	}
	return due
}

func (l *lastUses) wrote(batch []dueUse) {
	for _, written := range batch {
		s := l.shard(written.client)
		s.mu.Lock()
		if use, ok := s.uses[written.subject]; ok {
			use.written = written.at
			s.uses[written.subject] = use
		}
		s.mu.Unlock()
	}
}

func writeUses(ctx context.Context, tx *sqldb.Tx, batch []dueUse) error {
	for i := range batch {
		use := &batch[i]
		_, err := tx.Exec(ctx, `INSERT INTO last_use (client_id, kind, key, organisation_id, at, address) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (client_id, kind, key) DO UPDATE SET at = excluded.at, address = excluded.address WHERE last_use.at < excluded.at`,
			use.client, use.kind, use.key, use.organisation, use.at, addressText(use.address))
		if err != nil {
			return err
		}
	}
	return nil
}

// Use is a last use. The zero Use says that there was none.
type Use struct {
	At   time.Time
	From netip.Addr // the zero Addr: not known
}

// ClientUse is what of a client was last used when. It lies up to [Precision]
// behind.
type ClientUse struct {
	Call        Use
	Token       Use // the newest of the secrets'
	Secrets     map[id.Secret]Use
	Permissions map[string]Use
}

// Client returns the last uses of a client of the actor's organisation.
func (u *Usage) Client(ctx context.Context, by actor.Actor, key id.Client) (use ClientUse, err error) {
	err = u.DB.View(ctx, func(tx *sqldb.Tx) error {
		if err := mayRead(ctx, tx, by, key); err != nil {
			return err
		}
		use, err = loadClientUse(ctx, tx, by, key)
		return err
	})
	return use, err
}

func loadClientUse(ctx context.Context, tx *sqldb.Tx, by actor.Actor, key id.Client) (ClientUse, error) {
	use := ClientUse{Secrets: map[id.Secret]Use{}, Permissions: map[string]Use{}}
	rows, err := tx.Query(ctx, `SELECT kind, key, at, address FROM last_use WHERE client_id = $1 AND organisation_id = $2`, key, by.Organisation())
	if err != nil {
		return use, err
	}
	defer rows.Close()
	for rows.Next() {
		var kind, of, address string
		var at int64
		if err := rows.Scan(&kind, &of, &at, &address); err != nil {
			return use, err
		}
		found := Use{time.UnixMicro(at).UTC(), addressOf(address)}
		switch kind {
		case clientCalled:
			use.Call = found
		case permissionUsed:
			use.Permissions[of] = found
		case secretUsed:
			use.Secrets[id.Secret(of)] = found
			if found.At.After(use.Token.At) {
				use.Token = found
			}
		}
	}
	return use, rows.Err()
}

// Calls returns when each of the clients last called, for lists. Clients that
// the actor may not read of, and those that never called, are not in it.
func (u *Usage) Calls(ctx context.Context, by actor.Actor, clients []id.Client) (uses map[id.Client]Use, err error) {
	err = u.DB.View(ctx, func(tx *sqldb.Tx) error {
		uses = map[id.Client]Use{}
		for _, key := range clients {
			err := mayRead(ctx, tx, by, key)
			if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Forbidden {
				continue
			}
			if err != nil {
				return err
			}
			var at int64
			var address string
			err = tx.QueryRow(ctx, `SELECT at, address FROM last_use WHERE client_id = $1 AND organisation_id = $2 AND kind = 'call' AND key = ''`, key, by.Organisation()).Scan(&at, &address)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			uses[key] = Use{time.UnixMicro(at).UTC(), addressOf(address)}
		}
		return nil
	})
	return uses, err
}
