package redistoken_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/doorward/doorward/internal/clienttest"
	"github.com/doorward/doorward/tokensource"
	"github.com/doorward/doorward/tokensource/redistoken"
)

// asClient makes this program the client process of the conformance test.
const asClient = "REDISTOKEN_CLIENT"

// serverVariable names the Redis of the tests, as host:port.
const serverVariable = "DOORWARD_TEST_REDIS"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// clock stands still and is moved by the conformance test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

func serve() error {
	clock := &clock{now: clienttest.Start}
	return clienttest.Client{
		Name:    "tokensource with redistoken",
		More:    []string{clienttest.CanTimeout, clienttest.CanRedis},
		Advance: clock.advance,
		Open: func(c clienttest.Command) (clienttest.Source, error) {
			config := tokensource.Config{
				TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: tokensource.Secret(c.ClientSecret), Scopes: c.Scopes, Audience: c.Audience,
				Timeout: time.Duration(c.RequestTimeout) * time.Millisecond, Now: clock.Now,
			}
			if c.AuthStyle == "post" {
				config.AuthStyle = tokensource.AuthPost
			}
			if c.Redis != "" {
				options, err := redis.ParseURL(c.Redis)
				if err != nil {
					return clienttest.Source{}, err
				}
				config.Cache = &redistoken.Cache{Client: redis.NewClient(options)}
			}
			source, err := tokensource.New(config)
			if err != nil {
				return clienttest.Source{}, err
			}
			return clienttest.Source{
				Token: source.Token, Invalidate: source.Invalidate, Transport: source.Transport(nil), Printed: []any{config, source},
			}, nil
		},
	}.Serve(os.Stdin, os.Stdout, true, true)
}

// Without a Redis to test with, only the rows that need none are observed.
func TestSourceWithRedisKeepsTheContract(t *testing.T) {
	subject := clienttest.Subject{
		Command: []string{os.Args[0]}, Environment: append(os.Environ(), asClient+"=1"), Redis: os.Getenv(serverVariable),
	}
	rows := slices.DeleteFunc(clienttest.Rows(), func(r clienttest.Row) bool {
		return !slices.Contains(r.Needs, clienttest.CanRedis) && r.Name != "end"
	})
	verdicts, err := clienttest.Run(t.Context(), subject, rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Outcome == clienttest.Failed || v.Outcome == clienttest.NotObserved && subject.Redis != "" {
			t.Errorf("%s: %s %s", v.Row.Name, v.Outcome, v.Reason)
		}
	}
}

func TestRedisThatIsAwayIsReportedAndDoneWithout(t *testing.T) {
	var mu sync.Mutex
	var reported []error
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer client.Close()
	cache := &redistoken.Cache{Client: client, Failed: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, err)
	}}
	key := tokensource.Key{TokenURL: "https://api.example.com/t", ClientID: "c", Secret: "s"}
	got, err := cache.Fetch(t.Context(), key, func(tokensource.Token) bool { return true }, fetched("fresh"))
	if err != nil || got.Value != "fresh" {
		t.Errorf("Fetch = %q, %v, want the server's token", got.Value, err)
	}
	cache.Drop(t.Context(), key, "fresh")
	mu.Lock()
	defer mu.Unlock()
	if len(reported) == 0 {
		t.Error("nobody was told that Redis is away")
	}
}

// A Redis that takes connections and never answers, and a client that would wait
// for it for ever.
func TestRedisThatIsSilentHoldsNobodyUp(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client := redis.NewClient(&redis.Options{Addr: listener.Addr().String(), ReadTimeout: -1, WriteTimeout: -1, MaxRetries: -1})
	defer client.Close()
	key := tokensource.Key{TokenURL: "https://api.example.com/t", ClientID: "c", Secret: "s"}
	got, err := (&redistoken.Cache{Client: client}).Fetch(t.Context(), key, func(tokensource.Token) bool { return true }, fetched("fresh"))
	if err != nil || got.Value != "fresh" {
		t.Errorf("Fetch = %q, %v, want the server's token", got.Value, err)
	}
}

func TestErrorOfTheServerIsTheCallers(t *testing.T) {
	address := os.Getenv(serverVariable)
	if address == "" {
		address = "127.0.0.1:1"
	}
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	defer client.Close()
	want := errors.New("refused")
	key := tokensource.Key{TokenURL: "https://api.example.com/t", ClientID: t.Name() + time.Now().String(), Secret: "s"}
	_, err := (&redistoken.Cache{Client: client}).Fetch(t.Context(), key, nil, failing(want))
	if !errors.Is(err, want) {
		t.Errorf("error = %v, want %v", err, want)
	}
}
