package throttle_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/redis"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/internal/throttle"
)

// shares runs a test with each place where nodes count together.
func shares(t *testing.T, test func(t *testing.T, share throttle.Share)) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, throttle.NewDatabase(db).Add) })
	t.Run("redis", func(t *testing.T) { test(t, throttle.InRedis(newRedis(t).Eval)) })
}

func newRedis(t *testing.T) *redis.Client {
	t.Helper()
	address := os.Getenv("DOORWARD_TEST_REDIS")
	if address == "" {
		t.Fatal("DOORWARD_TEST_REDIS names no server: run the tests by scripts/engines")
	}
	client := redis.New(redis.Config{Address: address})
	t.Cleanup(client.Close)
	return client
}

// together is a group of nodes that share one key.
type together struct {
	key   []byte
	nodes int
}

func newGroup(nodes int) together {
	return together{[]byte(rand.Text()), nodes}
}

// node counts with the others of the group, and waits for them however busy the
// machine is.
func (g together) node(share throttle.Share, config throttle.Config) *throttle.Failures {
	return g.hasty(share, config, time.Minute)
}

func (g together) hasty(share throttle.Share, config throttle.Config, patience time.Duration) *throttle.Failures {
	config.Together = throttle.NewTogether(throttle.TogetherConfig{
		Share: share, Key: g.key, Nodes: func() int { return g.nodes }, Log: slog.New(slog.DiscardHandler), Patience: patience,
	})
	return throttle.NewFailures(config)
}

// flood fails on all nodes at once, and returns how many were answered as usual.
func flood(t *testing.T, nodes []*throttle.Failures, times int) (answered int64) {
	t.Helper()
	var count atomic.Int64
	var running sync.WaitGroup
	for _, node := range nodes {
		for range times {
			running.Go(func() {
				if node.Failed(t.Context(), client, address("192.0.2.1")) == 0 {
					count.Add(1)
				}
			})
		}
	}
	running.Wait()
	return count.Load()
}

// A limit of an hour, so that none of it comes back while the test runs.
var hourly = throttle.Config{PerClient: 10, Window: time.Hour}

func TestTOK32_nodesAnswerNoMoreFailuresThanOneWould(t *testing.T) {
	shares(t, func(t *testing.T, share throttle.Share) {
		g := newGroup(2)
		if got := flood(t, []*throttle.Failures{g.node(share, hourly), g.node(share, hourly)}, 20); got != 10 {
			t.Errorf("two nodes answered %d failures, want 10", got)
		}
		t.Run("twin", func(t *testing.T) { // two that are alone
			if got := flood(t, []*throttle.Failures{throttle.NewFailures(hourly), throttle.NewFailures(hourly)}, 20); got != 20 {
				t.Errorf("two nodes that do not share answered %d, want 20", got)
			}
		})
	})
}

func TestFailuresOfOneNodeAreKnownToTheOtherAtOnce(t *testing.T) {
	shares(t, func(t *testing.T, share throttle.Share) {
		g := newGroup(2)
		here, there := g.node(share, hourly), g.node(share, hourly)
		at := address("192.0.2.1")
		for i := range 10 {
			if wait := here.Failed(t.Context(), client, at); wait != 0 {
				t.Fatalf("failure %d: wait %v", i, wait)
			}
		}
		if wait := there.Failed(t.Context(), client, at); wait < 5*time.Minute || wait > 6*time.Minute {
			t.Errorf("wait at the other node = %v, want nearly 6m", wait)
		}
		for name, twin := range map[string]time.Duration{
			"another client":  there.Failed(t.Context(), "prod-round-apple-123", at),
			"another address": there.Failed(t.Context(), client, address("192.0.2.2")),
			"another limit":   g.node(share, throttle.Config{Window: time.Hour, Name: "other"}).Failed(t.Context(), client, at),
			"another group":   newGroup(2).node(share, hourly).Failed(t.Context(), client, at),
		} {
			if twin != 0 {
				t.Errorf("twin: %s waits %v", name, twin)
			}
		}
	})
}

func TestWhatIsForgivenIsForgivenAtAllNodes(t *testing.T) {
	shares(t, func(t *testing.T, share throttle.Share) {
		g := newGroup(2)
		here, there := g.node(share, hourly), g.node(share, hourly)
		for i := range 20 {
			forgive, wait := here.Attempt(t.Context(), client, address("192.0.2.1"))
			if wait != 0 {
				t.Fatalf("attempt %d: wait %v", i, wait)
			}
			forgive()
		}
		if answered, _ := failUntilBlocked(there, client, address("192.0.2.1")); answered != 10 {
			t.Errorf("%d failures were answered at the other node, want 10", answered)
		}
	})
}

// What one key cannot take is added to none.
func TestARefusedFailureCountsNowhere(t *testing.T) {
	shares(t, func(t *testing.T, share throttle.Share) {
		key := rand.Text()
		add := func(debts ...throttle.Debt) []time.Duration {
			t.Helper()
			waits, err := share(t.Context(), debts)
			if err != nil || len(waits) != len(debts) {
				t.Fatalf("%v, %v", waits, err)
			}
			return waits
		}
		full := throttle.Debt{Key: key + "b", More: time.Hour, Capacity: time.Hour}
		other := throttle.Debt{Key: key + "a", More: time.Hour, Capacity: time.Hour}
		if waits := add(full); waits[0] != 0 {
			t.Fatalf("waits = %v", waits)
		}
		if waits := add(full, other); waits[0] <= 59*time.Minute || waits[0] > time.Hour || waits[1] != 0 {
			t.Errorf("waits = %v, want nearly an hour and none", waits)
		}
		t.Run("twin", func(t *testing.T) {
			if waits := add(other); waits[0] != 0 {
				t.Errorf("waits = %v: the other key was charged", waits)
			}
			full.More = -time.Hour
			add(full)
			full.More = time.Hour
			if waits := add(full); waits[0] != 0 {
				t.Errorf("waits = %v after it was taken back", waits)
			}
		})
	})
}

// broken is a share that fails as it is told.
type broken struct {
	share throttle.Share
	fails atomic.Bool
	asked atomic.Int64
}

func (b *broken) add(ctx context.Context, debts []throttle.Debt) ([]time.Duration, error) {
	b.asked.Add(1)
	if b.fails.Load() {
		return nil, errors.New("it is away")
	}
	return b.share(ctx, debts)
}

func TestANodeAloneAnswersItsShare(t *testing.T) {
	for _, c := range []struct {
		nodes    int
		answered int
	}{{1, 10}, {2, 5}, {3, 3}, {10, 1}, {50, 1}} {
		t.Run(fmt.Sprint(c.nodes, " nodes"), func(t *testing.T) {
			b := &broken{}
			b.fails.Store(true)
			config := hourly
			config.Now = newClock().now
			answered, wait := failUntilBlocked(newGroup(c.nodes).node(b.add, config), client, address("192.0.2.1"))
			if answered != c.answered || wait == 0 {
				t.Errorf("it answered %d and then waits %v, want %d", answered, wait, c.answered)
			}
		})
	}
}

func TestWhatIsForgivenAloneIsForgivenWhole(t *testing.T) {
	b := &broken{}
	b.fails.Store(true)
	node := newGroup(5).node(b.add, hourly)
	for i := range 20 {
		forgive, wait := node.Attempt(t.Context(), client, address("192.0.2.1"))
		if wait != 0 {
			t.Fatalf("attempt %d: wait %v", i, wait)
		}
		forgive()
	}
}

func TestAfterAFaultOneFailureInAWhileTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broken{share: func(context.Context, []throttle.Debt) ([]time.Duration, error) { return make([]time.Duration, 2), nil }}
		b.fails.Store(true)
		node := newGroup(2).node(b.add, throttle.Config{PerClient: 1000, PerAddress: 1000})
		fail := func(times int) (asked int64) {
			before := b.asked.Load()
			for range times {
				node.Failed(t.Context(), client, address("192.0.2.1"))
			}
			return b.asked.Load() - before
		}
		if asked := fail(100); asked != 1 {
			t.Errorf("100 failures asked %d times, want once", asked)
		}
		time.Sleep(time.Second)
		b.fails.Store(false)
		if asked := fail(100); asked != 100 {
			t.Errorf("once it answers, 100 failures ask %d times", asked)
		}
	})
}

// A share that never answers holds up few failures, and each for a moment.
func TestAShareThatHangsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context, _ []throttle.Debt) ([]time.Duration, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		node := newGroup(2).hasty(hangs, hourly, 0)
		began := time.Now()
		if answered := flood(t, []*throttle.Failures{node}, 500); answered != 5 {
			t.Errorf("%d failures were answered, want the node's share of 5", answered)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("500 at once took %v", took)
		}
		began = time.Now()
		for range 100 {
			node.Failed(t.Context(), client, address("192.0.2.2"))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the next 100 took %v", took)
		}
	})
}

// What a node refuses by itself costs the others nothing.
func TestAFloodIsRefusedWithoutAsking(t *testing.T) {
	shares(t, func(t *testing.T, share throttle.Share) {
		b := &broken{share: share}
		node := newGroup(2).node(b.add, hourly)
		for range 500 {
			node.Failed(t.Context(), client, address("192.0.2.1"))
		}
		if asked := b.asked.Load(); asked > 11 {
			t.Errorf("500 failures of one client asked %d times, want 10", asked)
		}
		other := newGroup(2)
		b = &broken{share: share}
		here, there := other.node(share, hourly), other.node(b.add, hourly)
		failUntilBlocked(here, client, address("192.0.2.1"))
		for range 500 {
			there.Failed(t.Context(), client, address("192.0.2.1"))
		}
		if asked := b.asked.Load(); asked != 1 {
			t.Errorf("500 failures of what is blocked elsewhere asked %d times, want once", asked)
		}
	})
}

// Neither a client's id nor an address stands where others may read it.
func TestNamesAreNotTold(t *testing.T) {
	var keys []string
	share := func(_ context.Context, debts []throttle.Debt) ([]time.Duration, error) {
		for _, d := range debts {
			keys = append(keys, d.Key)
		}
		return make([]time.Duration, len(debts)), nil
	}
	newGroup(2).node(share, hourly).Failed(t.Context(), "anna@example.test", address("192.0.2.1"))
	if text := strings.Join(keys, " "); len(keys) != 2 || strings.Contains(text, "anna") || strings.Contains(text, "192.0") || len(text) != 45 {
		t.Errorf("keys = %q", keys)
	}
}

func TestPaidRowsAreDeleted(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		d := throttle.NewDatabase(db)
		add := func(key string, more time.Duration) {
			if _, err := d.Add(t.Context(), []throttle.Debt{{Key: key, More: more, Capacity: time.Hour}}); err != nil {
				t.Fatal(err)
			}
		}
		add("paid", time.Microsecond)
		add("owed", time.Hour)
		time.Sleep(2 * time.Microsecond)
		if err := d.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left string
		err := db.View(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT min(key) || ' ' || count(*) FROM failure`).Scan(&left)
		})
		if err != nil || left != "owed 1" {
			t.Errorf("left = %q, %v; want what is owed", left, err)
		}
	})
}

func TestWhatIsPaidTakesNoMemoryInRedis(t *testing.T) {
	client := newRedis(t)
	key := rand.Text()
	ends, err := client.Eval(t.Context(), `redis.call('DEL', KEYS[1]) return {}`, []string{"doorward:{failure}:" + key})
	if err != nil || len(ends) != 0 {
		t.Fatal(ends, err)
	}
	left := func() int64 {
		ttl, err := client.Eval(t.Context(), `return {redis.call('PTTL', KEYS[1])}`, []string{"doorward:{failure}:" + key})
		if err != nil {
			t.Fatal(err)
		}
		return ttl[0]
	}
	share := throttle.InRedis(client.Eval)
	add := func(more time.Duration) {
		if _, err := share(t.Context(), []throttle.Debt{{Key: key, More: more, Capacity: time.Hour}}); err != nil {
			t.Fatal(err)
		}
	}
	add(time.Minute)
	if ttl := left(); ttl <= 0 || ttl > 60_000 {
		t.Errorf("the key ends in %d ms, want a minute", ttl)
	}
	add(-time.Minute)
	if ttl := left(); ttl != -2 {
		t.Errorf("a key that owes nothing ends in %d ms, want that there is none", ttl)
	}
}

// What stands there may be from before a clock was set back, or anybody's.
func TestOddCountsInRedisLockNobodyOut(t *testing.T) {
	client := newRedis(t)
	share := throttle.InRedis(client.Eval)
	key := rand.Text()
	set := func(value string) {
		if _, err := client.Eval(t.Context(), `redis.call('SET', KEYS[1], '`+value+`', 'PX', 60000) return {}`, []string{"doorward:{failure}:" + key}); err != nil {
			t.Fatal(err)
		}
	}
	debt := []throttle.Debt{{Key: key, More: time.Second, Capacity: time.Minute}}
	set("9000000000000000")
	if waits, err := share(t.Context(), debt); err != nil || waits[0] != time.Second {
		t.Errorf("waits = %v, %v; want a second", waits, err)
	}
	set("nonsense")
	if _, err := share(t.Context(), debt); !errors.As(err, new(redis.Error)) {
		t.Errorf("error = %v, want one of the server", err)
	}
}

func TestRedisThatRefusesConnectionsLeavesTheShare(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	away := redis.New(redis.Config{Address: listener.Addr().String()})
	if answered := flood(t, []*throttle.Failures{newGroup(2).node(throttle.InRedis(away.Eval), hourly)}, 20); answered != 5 {
		t.Errorf("%d failures were answered, want the node's share of 5", answered)
	}
}
