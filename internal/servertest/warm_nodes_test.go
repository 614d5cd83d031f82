//go:build linux

package servertest_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// readyForQuery is PostgreSQL's word that it has done what it was asked: one for
// each statement, BEGIN and COMMIT included.
var readyForQuery = []byte("Z\x00\x00\x00\x05")

// counting lets everything pass, and counts what the database did.
func counting(done *atomic.Int64) *breakage {
	breaks := breakage(func(fromServer bool, data []byte) bool {
		if fromServer {
			done.Add(int64(bytes.Count(data, readyForQuery)))
		}
		return false
	})
	return &breaks
}

// hearing lets everything pass, and counts what is sent to a Redis server.
func hearing(sent *atomic.Int64) *breakage {
	breaks := breakage(func(fromServer bool, _ []byte) bool {
		if !fromServer {
			sent.Add(1)
		}
		return false
	})
	return &breaks
}

// throughRedis counts failures on the Redis server of the tests, if there is one,
// behind a proxy that counts what is sent to it.
func throughRedis(t *testing.T, sent *atomic.Int64) func(*server.Config) {
	t.Helper()
	address := os.Getenv("DOORWARD_TEST_REDIS")
	if address == "" {
		return func(*server.Config) {}
	}
	proxy := newFaultyProxy(t, address)
	proxy.breaks.Store(hearing(sent))
	return func(c *server.Config) {
		c.Redis = server.Redis{Address: proxy.listener.Addr().String(), Encryption: "none"}
	}
}

// Two nodes on one database, and on one Redis: what they ask of these while they
// issue tokens is what they ask when they have nothing to do, the polls and
// leases. It is counted on the wire, not by the product.
func TestWarmTokensOfTwoNodesRunNoStatement(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		proxy := newFaultyProxy(t, database.Host)
		var statements, commands atomic.Int64
		proxy.breaks.Store(counting(&statements))
		through := *database
		through.Host = proxy.listener.Addr().String()
		here := servertest.Start(t, servertest.On(through.String()), named("a"), throughRedis(t, &commands), func(c *server.Config) { c.IssuingLimit.PerSecond = new(float64) })
		nodes := []*servertest.Platform{here, here.Node(named("b"))}
		clients := make([]servertest.Client, 8)
		for i := range clients {
			clients[i] = here.NewClient("echo.call")
		}
		client := keeping(t)
		issue := func(tokens int) (ran int64, took time.Duration) {
			before, began := statements.Load(), time.Now()
			var issuing sync.WaitGroup
			for i := range clients {
				issuing.Go(func() {
					for range tokens / len(clients) / len(nodes) {
						for _, node := range nodes {
							if status, _ := ask(t, client, node, clients[i]); status != http.StatusOK {
								t.Errorf("a token request was answered %d", status)
							}
						}
					}
				})
			}
			issuing.Wait()
			return statements.Load() - before, time.Since(began)
		}
		for _, node := range nodes {
			if err := node.Server.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		issue(len(clients) * len(nodes)) // now all are known, and their last uses written
		for _, node := range nodes {
			if err := node.Server.Usage().Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		tokens := size(4000, 20_000, 1_000_000)
		asked := commands.Load()
		ran, took := issue(tokens)
		asked = commands.Load() - asked
		if asked > 10 { // a connection may be looked after
			t.Errorf("%d commands of Redis while %d tokens were issued, want none", asked, tokens)
		}
		before, rest := statements.Load(), min(took, 20*time.Second)
		<-time.After(rest)
		idle := (statements.Load() - before) * int64(took) / int64(rest)
		// A poll of each node more or less at either end, and the last uses.
		if spare := int64(100); ran > idle+idle/4+spare {
			t.Errorf("%d statements while %d tokens were issued, and %d in as long a time without any", ran, tokens, idle)
		}
		if ran > int64(tokens)/2 {
			t.Errorf("%d statements for %d tokens", ran, tokens)
		}
		figure(t, "%d warm tokens of two nodes in %s: %d statements; %d in as long a time without any; %d commands of Redis", tokens, took.Round(time.Millisecond), ran, idle, asked)
		t.Run("twin", func(t *testing.T) {
			before := statements.Load()
			cold := here.NewClient("echo.call")
			if status, _ := ask(t, client, nodes[1], cold); status != http.StatusOK || statements.Load() == before {
				t.Errorf("a cold client was answered %d with %d statements: the count counts nothing", status, statements.Load()-before)
			}
			wrong, sent := clients[0], commands.Load()
			wrong.Value = wrong.Value[:len(wrong.Value)-1] + "!"
			if status, _ := ask(t, client, nodes[1], wrong); status != http.StatusUnauthorized {
				t.Errorf("a wrong secret was answered %d", status)
			}
			if os.Getenv("DOORWARD_TEST_REDIS") != "" && commands.Load() == sent {
				t.Error("a wrong secret was not counted by Redis: the count counts nothing")
			}
		})
	})
}
