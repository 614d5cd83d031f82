//go:build linux && faults

package servertest_test

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

const (
	revokedTogether = 200             // clients of one batch
	cutOffLimit     = 5 * time.Second // the stale limit of these nodes
	reachedLimit    = 2 * time.Second // published for nodes that reach the database
)

// cluster is a PostgreSQL that may be killed, and nodes that each reach it
// through a network of their own, which may break.
type cluster struct {
	postgres *ownPostgres
	nodes    []*servertest.Platform
	networks []*faultyProxy
}

func newCluster(t *testing.T, count int) *cluster {
	t.Helper()
	c := &cluster{postgres: newOwnPostgres(t)}
	if _, err := server.Migrate(t.Context(), c.postgres.url()); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		network := newFaultyProxy(t, net.JoinHostPort("127.0.0.1", c.postgres.port))
		through, _ := url.Parse(c.postgres.url())
		through.Host = network.listener.Addr().String()
		change := func(c *server.Config) {
			c.Database, c.NodeName, c.StaleLimit = through.String(), fmt.Sprint("node-", i), cutOffLimit
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		}
		c.networks = append(c.networks, network)
		if i == 0 {
			c.nodes = append(c.nodes, servertest.Start(t, change))
			continue
		}
		c.nodes = append(c.nodes, c.nodes[0].Node(change))
	}
	return c
}

// ailment is what is wrong while credentials are revoked on the first node. It
// begins, and ends with the function that it returns; within is how long one of
// them may pass elsewhere after its revocation was acknowledged.
type ailment struct {
	name   string
	within time.Duration
	begin  func(t *testing.T, c *cluster) (end func())
}

// lasting ends an ailment by itself, after a while.
func lasting(d time.Duration, end func()) func() {
	ended := make(chan struct{})
	time.AfterFunc(d, func() { end(); close(ended) })
	return func() { <-ended }
}

func (c *cluster) breaking(which []*faultyProxy, breaks breakage) func() {
	for _, network := range which {
		network.breaks.Store(&breaks)
	}
	return func() {
		for _, network := range which {
			network.breaks.Store(nil)
		}
	}
}

// hole holds what goes between the other nodes and the database.
func (c *cluster) hole(d time.Duration) func() {
	for _, network := range c.networks[1:] {
		network.gate.Lock()
	}
	return lasting(d, func() {
		for _, network := range c.networks[1:] {
			network.gate.Unlock()
		}
	})
}

var ailments = []ailment{
	{"nothing is wrong", reachedLimit, func(*testing.T, *cluster) func() { return func() {} }},
	{"COMMIT is answered by a reset", cutOffLimit, func(_ *testing.T, c *cluster) func() {
		return c.breaking(c.networks[:1], breakages["between COMMIT and its answer"])
	}},
	{"the other nodes have slow networks", cutOffLimit, func(_ *testing.T, c *cluster) func() {
		for _, network := range c.networks[1:] {
			network.delay.Store(int64(200 * time.Millisecond))
		}
		return lasting(2*time.Second, func() {
			for _, network := range c.networks[1:] {
				network.delay.Store(0)
			}
		})
	}},
	{"the other nodes are cut off for a while", cutOffLimit, func(_ *testing.T, c *cluster) func() { return c.hole(2 * time.Second) }},
	{"the server is killed and comes back", cutOffLimit, func(t *testing.T, c *cluster) func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.postgres.kill()
			c.postgres.start()
		}()
		return func() { <-done }
	}},
	{"connections break in statements and answers", cutOffLimit, func(_ *testing.T, c *cluster) func() {
		return c.breaking(c.networks, func(fromServer bool, data []byte) bool {
			return breakages["in the middle of a statement"](fromServer, data) || breakages["in the middle of an answer"](fromServer, data)
		})
	}},
	{"the other nodes are cut off for longer than the stale limit", cutOffLimit, func(_ *testing.T, c *cluster) func() { return c.hole(cutOffLimit + time.Second) }},
}

// insistently repeats what answers that nothing was done.
func insistently(t *testing.T, do func() error) {
	t.Helper()
	err := do()
	for fault.KindOf(err) == fault.Unavailable && t.Context().Err() == nil {
		<-time.After(10 * time.Millisecond)
		err = do()
	}
	if err != nil {
		t.Error(err)
	}
}

// credentialed makes clients in one change.
func (c *cluster) credentialed(t *testing.T, count int) (clients []servertest.Client) {
	t.Helper()
	here := c.nodes[0]
	var edits []registry.Edit
	for range count {
		one := servertest.Client{ID: id.NewClient(rand.Reader, id.SandboxClient, 9), Secret: id.NewSecret(rand.Reader)}
		value, err := here.Server.Registry().Mint.New(rand.Reader, registry.EnvironmentLetter(one.ID), one.Secret)
		if err != nil {
			t.Fatal(err)
		}
		one.Value = value.Reveal()
		clients = append(clients, one)
		edits = append(edits, registry.CreateClient{ID: one.ID, Account: here.Sandbox, Name: string(one.ID)},
			registry.AddPermissions{Client: one.ID, Permissions: []string{"echo.call"}},
			registry.AddSecret{Client: one.ID, ID: one.Secret, Name: "first", Digest: secret.DigestOf(value)})
	}
	insistently(t, func() error { return here.Server.Registry().Apply(t.Context(), here.Operator(), edits...) })
	return clients
}

// caught is what happened to one revoked credential: when its revocation was
// acknowledged, and when the last call that passed on another node began.
type caught struct {
	servertest.Client
	token        string
	acknowledged atomic.Int64 // in Unix nanoseconds; 0: not yet
	passed       []int64      // by node
}

// each does something for all of them, sixteen at a time.
func each(batch []*caught, do func(*caught)) {
	next := make(chan *caught)
	var working sync.WaitGroup
	for range 16 {
		working.Go(func() {
			for one := range next {
				do(one)
			}
		})
	}
	for _, one := range batch {
		next <- one
	}
	close(next)
	working.Wait()
}

// use makes calls on a node with all of them until each is refused for good.
func (c *cluster) use(t *testing.T, client *http.Client, node int, batch []*caught) {
	refused := make([]bool, len(batch))
	for left := len(batch); left > 0 && t.Context().Err() == nil; <-time.After(5 * time.Millisecond) {
		for i, one := range batch {
			if refused[i] {
				continue
			}
			began := time.Now().UnixNano()
			status, _ := once(t, client, c.nodes[node].URL+"/echo/x", one.token)
			switch status {
			case http.StatusOK:
				one.passed[node] = began
				if acknowledged := one.acknowledged.Load(); acknowledged != 0 && began > acknowledged+int64(4*cutOffLimit) {
					t.Error("a revoked credential passes for ever")
					return
				}
			case http.StatusUnauthorized:
				if one.acknowledged.Load() == 0 { // committed, and not said yet
					continue
				}
				refused[i], left = true, left-1
			case http.StatusServiceUnavailable: // nothing is known
			default:
				t.Errorf("a call was answered %d", status)
			}
		}
	}
}

// batch revokes credentials on the first node under an ailment while they are
// used on the others, and returns the longest time for which one passed there
// after its revocation was acknowledged.
func (c *cluster) batch(t *testing.T, client *http.Client, a ailment) (batch []*caught, longest time.Duration) {
	t.Helper()
	for _, one := range c.credentialed(t, revokedTogether) {
		batch = append(batch, &caught{Client: one, passed: make([]int64, len(c.nodes))})
	}
	for _, node := range c.nodes {
		insistently(t, func() error { return node.Server.Refresh(t.Context()) })
	}
	each(batch, func(one *caught) {
		for _, node := range slices.Backward(c.nodes) {
			status, accessToken := ask(t, client, node, one.Client)
			one.token = accessToken
			if passed, _ := once(t, client, node.URL+"/echo/x", accessToken); status != http.StatusOK || passed != http.StatusOK {
				t.Errorf("twin: before its revocation a credential gets %d, and its call %d", status, passed)
			}
		}
	})
	var using sync.WaitGroup
	for node := 1; node < len(c.nodes); node++ {
		using.Go(func() { c.use(t, client, node, batch) })
	}
	end := a.begin(t, c)
	each(batch, func(one *caught) {
		edit := registry.SetSecretState{Client: one.ID, Secret: one.Secret, State: registry.SecretRevoked}
		insistently(t, func() error { return c.nodes[0].Server.Registry().Apply(t.Context(), c.nodes[0].Operator(), edit) })
		one.acknowledged.Store(time.Now().UnixNano())
	})
	end()
	using.Wait()
	for _, one := range batch {
		late := time.Duration(slices.Max(one.passed) - one.acknowledged.Load())
		if longest = max(longest, late); late > a.within {
			t.Errorf("a revoked credential passed elsewhere %s after the acknowledgement, want %s at most", late, a.within)
		}
	}
	return batch, longest
}

// stayRevoked checks that nothing came alive again, on any node.
func (c *cluster) stayRevoked(t *testing.T, client *http.Client, batch []*caught) {
	t.Helper()
	each(batch, func(one *caught) {
		for _, node := range c.nodes {
			status, _ := ask(t, client, node, one.Client)
			called, _ := once(t, client, node.URL+"/echo/x", one.token)
			if status != http.StatusUnauthorized || called != http.StatusUnauthorized {
				t.Errorf("a revoked credential gets %d, and its call %d", status, called)
			}
		}
	})
}

// Revoked here, used there, ten thousand times while networks and the database
// break: what was acknowledged is in force everywhere within the bound, stays
// so, and is recorded once.
func TestRevokedHereIsRefusedThereUnderFaults(t *testing.T) {
	t.Parallel() // it waits most of the time
	if !slices.Contains(sqldbtest.Engines(), "postgres") {
		return
	}
	for _, count := range []int{2, 3} {
		t.Run(fmt.Sprint(count, " nodes"), func(t *testing.T) {
			t.Parallel()
			c, client := newCluster(t, count), keeping(t)
			var all []*caught
			longest := map[string]time.Duration{}
			for n := range size(0, len(ailments), 50) {
				a := ailments[n%len(ailments)]
				batch, took := c.batch(t, client, a)
				longest[a.name] = max(longest[a.name], took)
				all = append(all, batch...)
				if t.Failed() {
					t.Fatalf("while %s", a.name)
				}
			}
			c.stayRevoked(t, client, all)
			c.recordedOnce(t, all)
			slowest := time.Duration(0)
			for _, a := range ailments {
				slowest = max(slowest, longest[a.name])
				t.Logf("longest delay while %s: %s, of %s", a.name, longest[a.name].Round(time.Millisecond), a.within)
			}
			figure(t, "%d revocations, none lost, none revived; the longest delay %s where a node reaches the database, of %s; %s under faults, of %s",
				len(all), longest[ailments[0].name].Round(time.Millisecond), reachedLimit, slowest.Round(time.Millisecond), cutOffLimit)
		})
	}
}

// recordedOnce checks the audit log: one record for each, in one chain.
func (c *cluster) recordedOnce(t *testing.T, all []*caught) {
	t.Helper()
	db := c.nodes[0].Server.Database()
	for _, one := range all {
		got := records(t, db, string(one.Secret))
		if want := []string{"secret.add " + string(one.Secret), "secret.revoke " + string(one.Secret)}; !slices.Equal(got, want) {
			t.Errorf("records of a revoked secret = %q, want %q", got, want)
		}
	}
	if _, err := journal.Verify(t.Context(), db); err != nil {
		t.Errorf("audit chain: %v", err)
	}
}
