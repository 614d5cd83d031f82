package sqldb_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// commitBreaker is a TCP proxy before PostgreSQL that breaks the connection at
// a COMMIT: before the server gets it, or after the server has answered.
type commitBreaker struct {
	listener net.Listener
	server   string
	armed    atomic.Bool
	after    bool
	broken   atomic.Int64
	running  sync.WaitGroup
}

func newCommitBreaker(t *testing.T, server string, after bool) *commitBreaker {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &commitBreaker{listener: listener, server: server, after: after}
	b.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			b.running.Go(func() { b.serve(client) })
		}
	})
	return b
}

func (b *commitBreaker) stop() {
	_ = b.listener.Close()
	b.running.Wait()
}

func (b *commitBreaker) serve(client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", b.server)
	if err != nil {
		return
	}
	defer server.Close()
	var breaking atomic.Bool
	b.running.Go(func() {
		defer client.Close()
		data := make([]byte, 64<<10)
		for {
			n, err := server.Read(data)
			if err != nil || breaking.Load() {
				return // the answer to COMMIT is lost
			}
			if _, err := client.Write(data[:n]); err != nil {
				return
			}
		}
	})
	data := make([]byte, 64<<10)
	for {
		n, err := client.Read(data)
		if err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(data[:n]), []byte("commit")) && b.armed.CompareAndSwap(true, false) {
			b.broken.Add(1)
			if !b.after {
				return
			}
			breaking.Store(true)
		}
		if _, err := server.Write(data[:n]); err != nil {
			return
		}
	}
}

func TestAConnectionLostDuringCommitNeitherLosesNorRepeatsTheChange(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		if engine != "postgres" {
			continue // SQLite has no connection to lose
		}
		for name, c := range map[string]struct {
			after bool
			runs  int
		}{
			"before the server got it":      {false, 2},
			"after the server committed it": {true, 1},
		} {
			t.Run(name, func(t *testing.T) {
				direct := sqldbtest.Migrated(t, engine)
				u, err := url.Parse(direct)
				if err != nil {
					t.Fatal(err)
				}
				breaker := newCommitBreaker(t, u.Host, c.after)
				u.Host = breaker.listener.Addr().String()
				db := sqldbtest.Open(t, u.String())
				breaker.armed.Store(true)
				runs := 0
				err = db.Update(t.Context(), func(tx *sqldb.Tx) error {
					runs++
					tx.Changed("client", "a")
					return nil
				})
				if err != nil || breaker.broken.Load() != 1 {
					t.Fatalf("Update = %v after %d broken commits", err, breaker.broken.Load())
				}
				if runs != c.runs {
					t.Errorf("the function ran %d times, want %d", runs, c.runs)
				}
				if diff := cmp.Diff([]string{"1 client a"}, feed(t, db)); diff != "" {
					t.Error(diff)
				}
				_ = db.Close()
				breaker.stop()
			})
		}
	}
}
