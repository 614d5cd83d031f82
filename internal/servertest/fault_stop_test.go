//go:build linux

package servertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// caller sends one request after the other on a connection that it keeps, until
// the server can no longer be reached.
type caller struct {
	client   http.Client
	request  func() *http.Request
	answered *atomic.Int64
}

// call returns what became of the requests that were sent and not answered.
func (c *caller) call() error {
	for {
		response, err := c.client.Do(c.request())
		if refused, ok := errors.AsType[*net.OpError](err); ok && refused.Op == "dial" {
			return nil // nothing was sent
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("answer %d %s: %w", response.StatusCode, body, err)
		}
		c.answered.Add(1)
	}
}

// Callers that go on as if nothing were the matter lose no request at a stop,
// neither calls nor, which nobody repeats, token requests.
func TestAStopUnderLoadLosesNoRequest(t *testing.T) {
	var answered atomic.Int64
	stops := size(1, 5, 50)
	for range stops {
		p := servertest.Start(t)
		c := p.NewClient("echo.call")
		accessToken := token(t, p.URL, c)
		form := credentials(c)
		form.Set("grant_type", "client_credentials")
		before := answered.Load()
		var calling sync.WaitGroup
		for i := range 16 {
			worker := &caller{answered: &answered, request: func() *http.Request {
				method, address, body := http.MethodGet, p.URL+"/echo/x", io.Reader(http.NoBody)
				if i%2 == 0 {
					method, address, body = http.MethodPost, p.TokenURL(), strings.NewReader(form.Encode())
				}
				r, err := http.NewRequestWithContext(context.Background(), method, address, body)
				if err != nil {
					panic(err)
				}
				r.GetBody = nil // nobody repeats it
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				if i%2 != 0 {
					r.Header.Set("Authorization", "Bearer "+accessToken)
				}
				return r
			}}
			worker.client.Transport = &http.Transport{}
			calling.Go(func() {
				defer worker.client.CloseIdleConnections()
				if err := worker.call(); err != nil {
					t.Errorf("a request was lost: %v", err)
				}
			})
		}
		eventually(t, "some load", func() bool { return answered.Load() > before+200 })
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		calling.Wait()
	}
	figure(t, "%d stops, %d requests answered, none lost", stops, answered.Load())
}
