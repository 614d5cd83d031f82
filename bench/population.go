package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
)

// Clients are written past the registry, a million one by one would take hours:
// so many per transaction, and so many per statement.
const (
	clientsPerTransaction = 5000
	clientsPerStatement   = 40 // the driver binds values in quadratic time
)

// A population is the API clients of one account in the making.
type population struct {
	db           *sqldb.DB
	mint         *secret.Mint
	organisation id.Organisation
	account      id.Account
	made         int
}

// newPopulation makes the database of a configuration and opens it. The caller
// closes it.
func newPopulation(ctx context.Context, path string, key []byte) (*population, error) {
	config, err := server.LoadConfig(path, nil)
	if err != nil {
		return nil, err
	}
	p := &population{}
	if p.organisation, p.account, err = openAccount(ctx, config); err != nil {
		return nil, err
	}
	kek, err := secret.NewKeyEncryptionKey(key)
	if err != nil {
		return nil, err
	}
	if p.db, err = sqldb.Open(ctx, sqldb.Config{URL: config.Database}); err != nil {
		return nil, err
	}
	unlocked, err := signingkey.Unlock(ctx, p.db, kek, rand.Reader)
	if err != nil {
		return nil, errors.Join(err, p.db.Close())
	}
	if p.mint, err = secret.NewMint(unlocked.TagKey); err != nil {
		return nil, errors.Join(err, p.db.Close())
	}
	return p, nil
}

// add makes n clients of a state, each with a secret and the permission. It
// returns keep of them, spread evenly, in random order: neighbours would find
// each other's database pages in memory.
func (p *population) add(ctx context.Context, state string, n, keep int) ([]credential, error) {
	kept := make([]credential, 0, keep)
	for done := 0; done < n; {
		batch := make([]newcomer, min(clientsPerTransaction, n-done))
		for i := range batch {
			c, err := p.newcomer()
			if err != nil {
				return nil, err
			}
			if (done+i)*keep/n != (done+i+1)*keep/n {
				kept = append(kept, credential{string(c.id), c.secret.Reveal()})
			}
			batch[i] = c
		}
		if err := p.insert(ctx, state, batch); err != nil {
			return nil, fmt.Errorf("write clients: %w", err)
		}
		done += len(batch)
	}
	mathrand.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] }) //nolint:gosec // an order, not a secret
	return kept, nil
}

// A newcomer is a client that is not in the database yet.
type newcomer struct {
	id     id.Client
	public id.Secret
	secret secret.Plaintext
}

func (p *population) newcomer() (c newcomer, err error) {
	noun := p.made / 10_000
	c.id = id.Client(fmt.Sprintf("sandbox-bench-%c%c%c-%d", 'a'+noun/26/26, 'a'+noun/26%26, 'a'+noun%26, 10_000+p.made%10_000))
	p.made++
	c.public = id.NewSecret(rand.Reader)
	c.secret, err = p.mint.New(rand.Reader, 's', c.public)
	return c, err
}

func (p *population) insert(ctx context.Context, state string, batch []newcomer) error {
	now := time.Now().UnixMicro()
	return p.db.Write(ctx, func(tx *sqldb.Tx) error {
		var clients, permissions, secrets [][]any
		for _, c := range batch {
			clients = append(clients, []any{c.id, "account", p.organisation, p.account, string(c.id), state, 600, "", 1, 1, now})
			permissions = append(permissions, []any{c.id, p.organisation, productPermission})
			secrets = append(secrets, []any{c.public, c.id, p.organisation, "first", []byte(secret.DigestOf(c.secret)), "active", "", now, 0, 0, 0, 0})
		}
		return errors.Join(
			insertRows(ctx, tx, "client (id, owner, organisation_id, account_id, name, state, token_lifetime, networks, generation, version, created_at)", clients),
			insertRows(ctx, tx, "client_permission (client_id, organisation_id, permission)", permissions),
			insertRows(ctx, tx, "client_secret (id, client_id, organisation_id, name, digest, state, created_with, created_at, expires_at, ends_at, disabled_at, revoked_at)", secrets),
		)
	})
}

// insertRows writes many rows with few statements.
func insertRows(ctx context.Context, tx *sqldb.Tx, into string, rows [][]any) error {
	for len(rows) > 0 {
		n := min(clientsPerStatement, len(rows))
		var query strings.Builder
		query.WriteString("INSERT INTO " + into + " VALUES ")
		var args []any
		for i, row := range rows[:n] {
			for j, value := range row {
				args = append(args, value)
				fmt.Fprintf(&query, "%s$%d", opening(i, j), len(args))
			}
			query.WriteByte(')')
		}
		if _, err := tx.Exec(ctx, query.String(), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// opening is what stands before column j of row i.
func opening(i, j int) string {
	switch {
	case j > 0:
		return ", "
	case i > 0:
		return ", ("
	}
	return "("
}
