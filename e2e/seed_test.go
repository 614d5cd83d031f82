package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
)

// beside opens the database of the running product, as commands on its machine do.
func (p *product) beside(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.Beside(context.Background(), server.Config{
		Database: "sqlite:" + filepath.Join(p.folder, "doorward.db"), KeyEncryptionKey: server.KeyEncryptionKey{File: filepath.Join(p.folder, "key-encryption-key")},
		PublicURL: p.APIURL, DashboardURL: p.DashboardURL,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// apply makes changes in an organisation with nobody's authority but ours.
func apply(t *testing.T, s *server.Server, organisation string, edits ...registry.Edit) {
	t.Helper()
	if err := s.Registry().Apply(t.Context(), actor.NewSystem("e2e").In(id.Organisation(organisation)), edits...); err != nil {
		t.Fatal(err)
	}
}

// addClients adds clients to an account, a thousand in one change.
func (p *product) addClients(t *testing.T, organisation, account string, n int) {
	t.Helper()
	s := p.beside(t)
	var edits []registry.Edit
	for i := range n {
		edits = append(edits, registry.CreateClient{ID: id.Client(fmt.Sprintf("sandbox-many-apple-%d", 100_000+i)), Account: id.Account(account), Name: fmt.Sprint("Client number ", i)})
		if len(edits) == 1000 || i == n-1 {
			apply(t, s, organisation, edits...)
			edits = nil
		}
	}
}
