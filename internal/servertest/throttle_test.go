//go:build linux

package servertest_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/throttle"
)

// redisAt is a change for Start: failures are counted in Redis there.
func redisAt(address string) func(*server.Config) {
	return func(c *server.Config) { c.Redis = server.Redis{Address: address, Encryption: "none"} }
}

func redisAddress(t *testing.T) string {
	t.Helper()
	address := os.Getenv("DOORWARD_TEST_REDIS")
	if address == "" {
		t.Fatal("DOORWARD_TEST_REDIS names no server: run the tests by scripts/engines")
	}
	return address
}

// behindProxy lets requests name their address.
func behindProxy(c *server.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// twoNodes starts two on one PostgreSQL, which know of each other.
func twoNodes(t *testing.T, database *url.URL, change ...func(*server.Config)) (here, there *servertest.Platform) {
	t.Helper()
	here = servertest.Start(t, append(change, servertest.On(database.String()), named("a"), behindProxy)...)
	there = here.Node(named("b"))
	spread(t, here, operatorToken(t, here, "management.node.read"), 2)
	eventually(t, "the second renewal of each lease", func() bool { return here.Server.Nodes() == 2 && there.Server.Nodes() == 2 })
	return here, there
}

var guessers atomic.Int64 // so far

// newAddress is one that nobody guessed from yet.
func newAddress() string {
	n := guessers.Add(1)
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}).String()
}

// wrongSecret answers to a wrong secret of a client from an address.
func wrongSecret(t *testing.T, base string, c servertest.Client, from string) answer {
	t.Helper()
	form := url.Values{"client_id": {string(c.ID)}, "client_secret": {"wrong"}, "grant_type": {"client_credentials"}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/auth/open/connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Forwarded-For", from)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return answer{}
	}
	_ = response.Body.Close()
	return answer{response.StatusCode, response.Header, ""}
}

// guess sends wrong secrets of a client to each node at once, and returns how
// many were answered as usual, and how many one node would answer: more of them
// the longer it takes.
func guess(t *testing.T, c servertest.Client, each int, nodes ...*servertest.Platform) (answered, limit int64) {
	t.Helper()
	from := newAddress()
	began := time.Now()
	var count atomic.Int64
	var guessing sync.WaitGroup
	for _, node := range nodes {
		for range each {
			guessing.Go(func() {
				switch a := wrongSecret(t, node.URL, c, from); a.status {
				case http.StatusUnauthorized:
					count.Add(1)
				case http.StatusTooManyRequests:
					if a.header.Get("Retry-After") == "" {
						t.Error("429 without Retry-After")
					}
				default:
					t.Errorf("a wrong secret gets %d", a.status)
				}
			})
		}
	}
	guessing.Wait()
	paid := int64(time.Since(began) * throttle.DefaultPerClient / throttle.DefaultWindow)
	return count.Load(), throttle.DefaultPerClient + paid
}

// spare is what nodes may answer beyond the limit: as much again when one of them
// had to count alone meanwhile, for want of an answer in time.
func spare(nodes ...*servertest.Platform) int64 {
	for _, node := range nodes {
		if strings.Contains(node.Logs(), countsAlone) {
			return throttle.DefaultPerClient
		}
	}
	return 0
}

const countsAlone = "this node alone, its share" // as the log says

func metric(t *testing.T, p *servertest.Platform, name string) string {
	t.Helper()
	for line := range strings.Lines(get(t, p.OpsURL+"/metrics", "").body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

func TestTOK32_twoNodesAnswerNoMoreFailuresThanOne(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]func(*server.Config){
		"Redis":    {redisAt(redisAddress(t))},
		"database": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withPostgres(t, func(t *testing.T, database *url.URL) {
				here, there := twoNodes(t, database, change...)
				c, other := here.NewClient(), here.NewClient()
				answered, limit := guess(t, c, 20, here, there)
				if answered > limit+spare(here, there) || answered < throttle.DefaultPerClient/2 {
					t.Errorf("both nodes together answered %d wrong secrets, want at most %d", answered, limit)
				}
				t.Run("twin", func(t *testing.T) {
					token(t, here.URL, c)
					token(t, there.URL, c)
					if answered, _ := guess(t, other, 1, here, there); answered != 2 {
						t.Errorf("of another client %d wrong secrets were answered, want 2", answered)
					}
				})
				guessPassword(t, here, there)
			})
		})
	}
}

// guessPassword guesses one person's on both nodes in turn.
func guessPassword(t *testing.T, nodes ...*servertest.Platform) {
	t.Helper()
	try := func(i int, address string) fault.Kind {
		from := signin.Origin{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}
		_, err := nodes[i%len(nodes)].Server.People().SignIn(t.Context(), from, address, secret.NewPlaintext("wrong wrong wrong"))
		return fault.KindOf(err)
	}
	began, answered := time.Now(), 0
	for i := range 30 {
		switch kind := try(i, "anna@example.test"); kind {
		case fault.Unauthenticated:
			answered++
		case fault.RateLimited:
		default:
			t.Fatalf("a wrong password gets %v", kind)
		}
	}
	if limit := 10 + int(spare(nodes...)) + int(time.Since(began)/(30*time.Second)); answered > limit || answered < 5 {
		t.Errorf("both nodes together answered %d wrong passwords, want at most %d", answered, limit)
	}
	if kind := try(1, "bert@example.test"); kind != fault.Unauthenticated {
		t.Errorf("twin: a wrong password of somebody else gets %v", kind)
	}
}

// Without Redis each node answers its share: stricter, and never open.
func TestDOS_withoutRedisEachNodeAnswersItsShare(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		hole := newFaultyProxy(t, redisAddress(t))
		here, there := twoNodes(t, database, redisAt(hole.listener.Addr().String()))
		if answered, limit := guess(t, here.NewClient(), 20, here, there); answered > limit+spare(here, there) {
			t.Errorf("with Redis: %d wrong secrets were answered, want at most %d", answered, limit)
		}
		hole.gate.Lock()
		open := sync.OnceFunc(hole.gate.Unlock)
		t.Cleanup(open)
		c := here.NewClient()
		if answered, limit := guess(t, c, 20, here, there); answered > limit {
			t.Errorf("with a black hole: %d wrong secrets were answered, want at most %d", answered, limit)
		}
		token(t, here.URL, c) // what is right is not held up
		open()
		eventually(t, "counting in Redis again", func() bool {
			guess(t, here.NewClient(), 1, here, there)
			return metric(t, here, "doorward_failures_shared") == "1" && metric(t, there, "doorward_failures_shared") == "1"
		})
		hole.stop()
		if answered, limit := guess(t, here.NewClient(), 20, here, there); answered > limit || answered == 0 {
			t.Errorf("with Redis killed: %d wrong secrets were answered, want some and at most %d", answered, limit)
		}
		for _, p := range []*servertest.Platform{here, there} {
			if got := metric(t, p, "doorward_failures_shared"); got != "0" || !strings.Contains(p.Logs(), countsAlone) {
				t.Errorf("doorward_failures_shared = %s, and the log says nothing of it", got)
			}
		}
	})
}

// The same where failures are counted in the database, and that is away.
func TestDOS_withoutTheDatabaseEachNodeAnswersItsShare(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		hole := newFaultyProxy(t, database.Host)
		through := *database
		through.Host = hole.listener.Addr().String()
		here, there := twoNodes(t, &through)
		c := here.NewClient()
		token(t, here.URL, c)
		hole.gate.Lock()
		open := sync.OnceFunc(hole.gate.Unlock)
		t.Cleanup(open)
		if answered, limit := guess(t, c, 20, here, there); answered > limit || answered == 0 {
			t.Errorf("with a black hole: %d wrong secrets were answered, want some and at most %d", answered, limit)
		}
		token(t, here.URL, c) // what is right is not held up
		open()
		eventually(t, "counting in the database again", func() bool {
			guess(t, c, 1, here, there)
			return metric(t, here, "doorward_failures_shared") == "1" && metric(t, there, "doorward_failures_shared") == "1"
		})
	})
}

func TestWarmTokensSendNothingToRedis(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		p := servertest.Start(t, servertest.On(database.String()), redisAt(redisAddress(t)))
		c := p.NewClient()
		sent := func(each int, c servertest.Client) string {
			for range each {
				issue(t, p.URL, c)
			}
			return metric(t, p, "doorward_redis_commands_total")
		}
		if got := sent(200, c); got != "0" {
			t.Errorf("200 tokens sent %s commands to Redis, want none", got)
		}
		t.Run("twin", func(t *testing.T) {
			c.Value = "wrong"
			if got := sent(1, c); got == "0" {
				t.Error("a failure sends nothing: the count counts nothing")
			}
		})
	})
}
