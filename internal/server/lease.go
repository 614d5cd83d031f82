package server

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"github.com/doorward/doorward/internal/journal"
)

// keepLease shows the other servers on the database that this one is there.
func (s *Server) keepLease(ctx context.Context) {
	lease := journal.Lease{Name: s.config.NodeName, Version: version(), Wrapping: s.wrapping}
	if lease.Name == "" {
		lease.Name, _ = os.Hostname() // a node without a name is still told by its id
	}
	if s.db.Engine() == "sqlite" {
		lease.Every = 10 * time.Second // there is no other server, and each renewal is a write to the disk
	}
	s.access.KeepLease(ctx, lease)
}

// version is that of this binary.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
