package sqldb

import (
	"context"

	"github.com/pressly/goose/v3"
)

// dialect is everything that differs between the engines.
type dialect struct {
	name     string
	goose    goose.Dialect
	migrate  func(ctx context.Context, up func(context.Context) error) error
	schema   func(migration string) string              // a migration's text for this engine
	notify   string                                     // statement run at the end of a change, or ""
	clock    string                                     // query of the time in microseconds
	planned  []any                                      // arguments before those of a statement that is planned for them
	copy     func(ctx context.Context, to string) error // into an empty file; nil: with the engine's own tools
	identity string                                     // query of what a copy has not, or ""
	listen   func(ctx context.Context, db *DB) error
	classify func(err error) error // engine errors as fault kinds
	// serverSaid tells an error that the engine reported from one of the
	// connection: after the latter the outcome of a COMMIT is unknown.
	serverSaid func(err error) bool
	// broken tells an error that the disk under the database is to blame for.
	broken func(err error) bool
	// conflict tells an error after which the transaction may run again.
	conflict func(err error) bool
}
