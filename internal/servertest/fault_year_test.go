//go:build linux && faults

package servertest_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/signingkey"
)

// years is the clock of several nodes, with which time can be made to fly.
type years struct {
	ahead atomic.Int64
	flies sync.RWMutex // held for reading by those whose token is young
}

func (y *years) now() time.Time { return time.Now().Add(time.Duration(y.ahead.Load())) }

// fly lets time pass, until the nodes have read the change feed again: what they
// know is old at once.
func (y *years) fly(t *testing.T, by time.Duration, nodes ...*servertest.Platform) {
	t.Helper()
	y.flies.Lock()
	defer y.flies.Unlock()
	y.ahead.Add(int64(by))
	for _, p := range nodes {
		eventually(t, "the node reads the change feed", func() bool { return get(t, p.OpsURL+"/readyz", "").status == http.StatusOK })
	}
}

// KEY-02: the signing keys of two servers are rotated through a year, by the one
// and by the other, while each lets through what the other has just issued. A
// token of before a rotation is good on both until it expires.
func TestKEY02_aYearOfRotationsUnderLoad(t *testing.T) {
	t.Parallel()
	rotations := size(0, 12, 100)
	withPostgres(t, func(t *testing.T, database *url.URL) {
		y := new(years)
		here := servertest.Start(t, servertest.On(database.String()), named("a"), func(c *server.Config) { c.Now = y.now })
		nodes := []*servertest.Platform{here, here.Node(named("b"))}
		caller := here.NewClient("echo.call")
		operator := operatorClient(t, here, "management.key.write", "management.node.read")
		client := keeping(t)
		finish := y.load(t, client, caller, nodes)
		kids := map[string]bool{}
		for i := range rotations {
			y.fly(t, 365*24*time.Hour/time.Duration(rotations)-2*signingkey.MaxTokenLifetime, nodes...)
			operator := token(t, here.URL, operator)
			spread(t, here, operator, len(nodes))
			before := []string{token(t, nodes[0].URL, caller), token(t, nodes[1].URL, caller)}
			rotateKey(t, nodes[i%2], operator)
			spread(t, here, operator, len(nodes))
			after := []string{token(t, nodes[0].URL, caller), token(t, nodes[1].URL, caller)}
			for _, value := range after {
				kids[kidOf(value)] = true
				if kidOf(value) == kidOf(before[0]) {
					t.Fatalf("rotation %d: the key that was retired signs", i)
				}
			}
			lifetime := 10 * time.Minute // as clients have it until somebody changes it
			for _, step := range []struct {
				by   time.Duration
				want int
			}{{0, http.StatusOK}, {lifetime - time.Minute, http.StatusOK}, {time.Minute + jwt.Skew + time.Minute, http.StatusUnauthorized}} {
				y.fly(t, step.by, nodes...)
				for _, p := range nodes {
					for _, value := range append(before, after...) {
						if status, _ := once(t, client, p.URL+"/echo/x", value); status != step.want {
							t.Fatalf("rotation %d: a call %s later = %d, want %d", i, step.by, status, step.want)
						}
					}
				}
			}
		}
		made := finish()
		if len(kids) != rotations || made < int64(rotations) {
			t.Errorf("%d keys signed and %d tokens were used under load, want %d keys and more tokens", len(kids), made, rotations)
		}
		figure(t, "%d rotations in a year; %d tokens of the one node used on the other meanwhile", rotations, made)
	})
}

// load gets tokens on each node and calls on the other, until the function that
// it returns; that says how often.
func (y *years) load(t *testing.T, client *http.Client, caller servertest.Client, nodes []*servertest.Platform) (finish func() int64) {
	var made atomic.Int64
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i, p := range nodes {
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond): // the rest of the tests need the processor too
				}
				y.flies.RLock()
				status, value := ask(t, client, p, caller)
				called, _ := once(t, client, nodes[len(nodes)-1-i].URL+"/echo/x", value)
				y.flies.RUnlock()
				if status != http.StatusOK || called != http.StatusOK {
					t.Errorf("at %s: a token = %d, and a call with it on the other node = %d", y.now(), status, called)
				}
				made.Add(1)
			}
		})
	}
	finish = sync.OnceValue(func() int64 {
		close(stop)
		working.Wait()
		return made.Load()
	})
	t.Cleanup(func() { finish() })
	return finish
}

func rotateKey(t *testing.T, p *servertest.Platform, operator string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.OperatorURL+"/management/v1/signing-keys/rotate", strings.NewReader(`{"purpose":"sandbox"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+operator)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if response.Body.Close(); response.StatusCode != http.StatusOK {
		t.Fatalf("rotate = %d", response.StatusCode)
	}
}

// kidOf is what tells the key of a token: all else in its header is the same.
func kidOf(value string) string {
	head, _, _ := strings.Cut(value, ".")
	return head
}
