package tokensource_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorward/doorward/internal/clienttest"
	"github.com/doorward/doorward/tokensource"
)

// asClient makes this program the client process of the conformance test.
const asClient = "TOKENSOURCE_CLIENT"

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
	shared := &tokensource.Memory{Now: clock.Now}
	return clienttest.Client{
		Name:    "tokensource",
		More:    []string{clienttest.CanTimeout, clienttest.CanShare},
		Advance: clock.advance,
		Open: func(c clienttest.Command) (clienttest.Source, error) {
			config := tokensource.Config{
				TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: tokensource.Secret(c.ClientSecret), Scopes: c.Scopes, Audience: c.Audience,
				Timeout: time.Duration(c.RequestTimeout) * time.Millisecond, Now: clock.Now,
			}
			if c.AuthStyle == "post" {
				config.AuthStyle = tokensource.AuthPost
			}
			if c.Shared {
				config.Cache = shared
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

func TestSourceKeepsTheContract(t *testing.T) {
	subject := clienttest.Subject{Command: []string{os.Args[0]}, Environment: append(os.Environ(), asClient+"=1")}
	verdicts, err := clienttest.Run(t.Context(), subject, clienttest.Rows())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Outcome == clienttest.Failed {
			t.Errorf("%s: %s", v.Row.Name, v.Reason)
		}
	}
}
