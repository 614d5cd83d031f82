package registry

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// ClientSummary is a client as lists show it.
type ClientSummary struct {
	Client
	Permissions []string  // sorted
	Secrets     int       // that work now
	ExpiresAt   time.Time // when the first of those ends; zero: none does
	LastUsedAt  time.Time // of any of its secrets; zero: never
}

// ClientFilter limits a list of clients. Empty fields do not.
type ClientFilter struct {
	Text       string // in the name or id, whatever the case
	Account    id.Account
	Owner      Owner
	State      ClientState // enabled or disabled
	Product    string      // it holds a permission of this product
	Permission string      // it holds this permission
	ExpiresBy  time.Time   // a secret that works now ends by then
}

func (f *ClientFilter) validate() error {
	if _, ok := id.ParseAccount(string(f.Account)); !ok && f.Account != "" {
		return fault.Errorf(fault.Invalid, "the filter account is no account's id: it is a-s- or a-p- and 20 of a-z and 0-9")
	}
	return errors.Join(
		validFilter(f.Text, f.Product, f.Permission),
		validChoice("owner", f.Owner, OwnedByAccount, OwnedByOrganisation, OwnedByOperator),
		validChoice("state", f.State, Enabled, Disabled),
	)
}

// secretEnd is when a secret that is not disabled or revoked stops getting
// tokens; 0: never.
const secretEnd = `CASE WHEN s.state = 'retiring' AND s.expires_at NOT BETWEEN 1 AND s.ends_at THEN s.ends_at ELSE s.expires_at END`

// workingSecrets are those of a client that get tokens at the time $2. What
// belongs to a client is found by the client alone, whose organisation was asked
// for: an index of a whole organisation would be the worse way.
const workingSecrets = `client_secret s WHERE s.client_id = c.id AND s.state IN ('active', 'retiring') AND ` + secretEnd + ` NOT BETWEEN 1 AND $2`

const clientSummaryColumns = clientColumns + `,
	COALESCE((SELECT string_agg(p.permission, ' ') FROM client_permission p WHERE p.client_id = c.id), ''),
	(SELECT count(*) FROM ` + workingSecrets + `),
	COALESCE((SELECT min(NULLIF(` + secretEnd + `, 0)) FROM ` + workingSecrets + `), 0),
	COALESCE((SELECT max(u.at) FROM last_use u WHERE u.client_id = c.id AND u.kind = 'secret'), 0)`

// A list goes by the index of an account where all that it lists is of one.
const (
	listedClients          = ` FROM client c WHERE organisation_id = $1 AND $7 = '' AND ` + listedFrom
	listedClientsOfAccount = ` FROM client c WHERE organisation_id = $1 AND account_id = $7 AND ` + listedFrom

	clientSummaries          = `SELECT ` + clientSummaryColumns + listedClients
	clientSummariesOfAccount = `SELECT ` + clientSummaryColumns + listedClientsOfAccount
)

// holders of permissions from one to another: where there are few, they are read
// first; where there are many, a page is full before all clients were looked at.
const holders = `SELECT p.client_id FROM client_permission p WHERE p.organisation_id = $1 AND p.permission BETWEEN `

const listedFrom = `state <> 'deleted' AND (created_at, id) < ($3, $4)
	AND CASE WHEN $5 = '' THEN TRUE ELSE $5 LIKE '%,' || account_id || ',%' END
	AND search LIKE $6 ESCAPE '\' AND $8 IN ('', owner) AND $9 IN ('', state)
	AND CASE WHEN $10 = '' THEN TRUE WHEN (SELECT count(*) FROM (` + holders + `$10 AND $11 LIMIT 1000) few) < 1000
		THEN id IN (` + holders + `$10 AND $11) ELSE EXISTS (` + holders + `$10 AND $11 AND p.client_id = c.id) END
	AND CASE WHEN $12 = '' THEN TRUE WHEN (SELECT count(*) FROM (` + holders + `$12 AND $12 LIMIT 1000) few) < 1000
		THEN id IN (` + holders + `$12 AND $12) ELSE EXISTS (` + holders + `$12 AND $12 AND p.client_id = c.id) END
	AND CASE WHEN CAST($13 AS BIGINT) = 0 THEN TRUE ELSE id IN (SELECT s.client_id FROM client_secret s WHERE s.organisation_id = $1 AND s.state IN ('active', 'retiring') AND ` + secretEnd + ` BETWEEN CAST($2 AS BIGINT) + 1 AND $13) END
	ORDER BY created_at DESC, id DESC LIMIT $14`

// Clients lists the clients of the actor's organisation that the actor may
// read, newest first; at operator level the operator's own.
func (r *Registry) Clients(ctx context.Context, by actor.Actor, filter ClientFilter, page Page) (list List[ClientSummary], err error) {
	l, err := r.listClients(by, filter, page)
	if err != nil {
		return list, err
	}
	args := append(l.args, l.fetch())
	err = r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		var found []ClientSummary
		if l.account == "" {
			found, err = filteredRows(ctx, tx, scanClientSummary, clientSummaries, args...)
		} else {
			found, err = filteredRows(ctx, tx, scanClientSummary, clientSummariesOfAccount, args...)
		}
		list = pageOf(l.listing, found, func(c *ClientSummary) position { return position{micros(c.CreatedAt), string(c.ID)} })
		return err
	})
	return list, err
}

// CountClients counts what Clients lists, up to most.
func (r *Registry) CountClients(ctx context.Context, by actor.Actor, filter ClientFilter, most int) (count int, err error) {
	l, err := r.listClients(by, filter, Page{})
	if err != nil {
		return 0, err
	}
	args := append(l.args, most)
	err = r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		var counted []int
		if l.account == "" {
			counted, err = filteredRows(ctx, tx, scanCount, `SELECT count(*) FROM (SELECT 1`+listedClients+`) listed`, args...)
		} else {
			counted, err = filteredRows(ctx, tx, scanCount, `SELECT count(*) FROM (SELECT 1`+listedClientsOfAccount+`) listed`, args...)
		}
		count = slices.Max(append(counted, 0))
		return err
	})
	return count, err
}

// CountClientsByAccount counts what Clients lists, up to most of them, by the
// account that they are of; what accounts do not own counts as of "".
func (r *Registry) CountClientsByAccount(ctx context.Context, by actor.Actor, filter ClientFilter, most int) (map[id.Account]int, error) {
	l, err := r.listClients(by, filter, Page{})
	if err != nil {
		return nil, err
	}
	args := append(l.args, most)
	counts := map[id.Account]int{}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		var found []accountCount
		if l.account == "" {
			found, err = filteredRows(ctx, tx, scanAccountCount, `SELECT account_id, count(*) FROM (SELECT account_id`+listedClients+`) listed GROUP BY account_id`, args...)
		} else {
			found, err = filteredRows(ctx, tx, scanAccountCount, `SELECT account_id, count(*) FROM (SELECT account_id`+listedClientsOfAccount+`) listed GROUP BY account_id`, args...)
		}
		for _, c := range found {
			counts[c.account] = c.count
		}
		return err
	})
	return counts, err
}

type accountCount struct {
	account id.Account
	count   int
}

func scanAccountCount(row scanner) (c accountCount, err error) {
	err = row.Scan(&c.account, &c.count)
	return c, err
}

func scanCount(row scanner) (count int, err error) {
	err = row.Scan(&count)
	return count, err
}

// clientListing is a list of clients being made.
type clientListing struct {
	*listing
	account id.Account // of all that it lists; empty: they may be of several
	args    []any      // of its query, but for the limit
}

func (r *Registry) listClients(by actor.Actor, filter ClientFilter, page Page) (*clientListing, error) {
	readable, err := whereMay(by, actor.ClientRead)
	if err != nil {
		return nil, err
	}
	l, err := r.list("clients", by, filter, page, beforeNewest)
	if err == nil {
		err = filter.validate()
	}
	if err != nil {
		return nil, err
	}
	account := filter.Account
	if only := strings.Trim(readable, ","); account == "" && !strings.Contains(only, ",") {
		account = id.Account(only)
	}
	if strings.Contains(readable, ","+string(account)+",") {
		readable = "" // engines reckon that so few match it that they sort all of them
	}
	first, last := "", ""
	if filter.Product != "" {
		first, last = filter.Product+".", filter.Product+"/" // the byte after the dot
	}
	return &clientListing{l, account, []any{
		by.Organisation(), r.Now().UnixMicro(), l.after.number, l.after.key, readable,
		containing(filter.Text), string(account), string(filter.Owner), string(filter.State),
		first, last, filter.Permission, micros(filter.ExpiresBy),
	}}, nil
}

func scanClientSummary(row scanner) (s ClientSummary, err error) {
	var permissions string
	var expires, used int64
	s.Client, err = scanClient(row, &permissions, &s.Secrets, &expires, &used)
	s.Permissions = strings.Fields(permissions)
	slices.Sort(s.Permissions)
	s.ExpiresAt, s.LastUsedAt = fromMicros(expires), fromMicros(used)
	return s, err
}

// ClientSummary returns a client of the actor's organisation as lists show it.
func (r *Registry) ClientSummary(ctx context.Context, by actor.Actor, key id.Client) (s ClientSummary, err error) {
	if _, ok := id.ParseClient(string(key)); !ok {
		return s, unknown("client")
	}
	if by.Organisation() == "" && !by.Operator() {
		return s, notFound(sql.ErrNoRows, "client", key)
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		s, err = scanClientSummary(tx.QueryRow(ctx, `SELECT `+clientSummaryColumns+` FROM client c WHERE organisation_id = $1 AND state <> 'deleted' AND id = $3`,
			by.Organisation(), r.Now().UnixMicro(), key))
		return notFound(err, "client", key)
	})
	if err == nil {
		err = by.Require(actor.ClientRead, s.Account)
	}
	return s, err
}
