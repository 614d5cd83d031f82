package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// console ends the server once something was printed.
type console struct {
	strings.Builder
	stop func()
}

func (c *console) Write(p []byte) (int, error) {
	defer c.stop()
	return c.Builder.Write(p)
}

func TestWEB37_theFirstStartPrintsWhereTheFirstOperatorIsMade(t *testing.T) {
	folder := t.TempDir()
	key := filepath.Join(folder, "key")
	if _, err := secret.CreateKeyEncryptionKey(key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	config := server.Config{
		PublicURL: "http://127.0.0.1:8080", DashboardURL: "http://127.0.0.1:8081", Database: "sqlite:" + filepath.Join(folder, "doorward.db"), KeyEncryptionKey: server.KeyEncryptionKey{File: key},
		APIListen: "127.0.0.1:0", DashboardListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", AccessLog: "off",
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := &console{stop: cancel}
	if err := serve(ctx, config, slog.New(slog.DiscardHandler), out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\n  http://127.0.0.1:8081/setup/") {
		t.Errorf("printed %q", out)
	}
}
