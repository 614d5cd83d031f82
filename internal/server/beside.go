package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/doorward/doorward/internal/metrics"
	"github.com/doorward/doorward/internal/sqldb"
)

// Beside opens an installation for changes made on its machine, beside a server
// that may be running on the same database and learns of them by its change
// feed. It makes no database, no schema and no products: a server has run there
// before. It has a Registry and a Database, and does not Serve. The caller
// closes it.
func Beside(ctx context.Context, config Config, logger *slog.Logger) (*Server, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(config.Database, "sqlite:"); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no database %s yet: start the server first", path)
		}
	}
	s := &Server{config: config, log: logger, now: config.clock(), metrics: new(metrics.Registry)}
	var err error
	if s.db, err = sqldb.Open(ctx, sqldb.Config{URL: config.Database, MaxConns: 2, NoNotify: config.PollOnly, RevocationJournal: config.RevocationJournal}); err != nil {
		return nil, err
	}
	s.onClose(s.db.Close)
	for _, step := range []func(context.Context) error{s.db.CheckSchema, s.openRegistry} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}
