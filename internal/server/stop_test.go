package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// slow is an upstream that answers when it is told to.
type slow struct {
	url      string
	entered  chan struct{}
	released chan struct{}
}

func newSlow(t *testing.T) *slow {
	s := &slow{entered: make(chan struct{}), released: make(chan struct{})}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.entered <- struct{}{}
		select {
		case <-s.released:
		case <-r.Context().Done():
		}
		_, _ = w.Write([]byte("done"))
	}))
	t.Cleanup(upstream.Close)
	s.url = upstream.URL
	return s
}

func (s *slow) product(c *server.Config) {
	c.Products = append(c.Products, demo.Catchall("slow", "/slow", s.url))
}

// inFlight starts a call of the slow product; its end comes on the channel.
func inFlight(t *testing.T, p *servertest.Platform, token string) <-chan error {
	r := request(t.Context(), t, "GET", p.URL+"/slow/", "")
	r.Header.Set("Authorization", "Bearer "+token)
	ended := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			ended <- err
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || string(body) != "done") {
			err = fmt.Errorf("answer %d %q", response.StatusCode, body)
		}
		ended <- err
	}()
	return ended
}

func TestStopLosesNoCallInFlight(t *testing.T) {
	upstream := newSlow(t)
	p := servertest.Start(t, upstream.product)
	if a := get(t, p.OpsURL+"/readyz"); a.status != http.StatusOK {
		t.Fatalf("readyz answers %d before the stop", a.status)
	}
	value := token(t, p, p.NewClient("slow.call"))
	answered := inFlight(t, p, value)
	<-upstream.entered
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop() }()
	until(t, "readyz says no", func() bool { return get(t, p.OpsURL+"/readyz").status == http.StatusServiceUnavailable })
	until(t, "new connections are refused", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a call in flight: %v", err)
	default:
	}
	close(upstream.released)
	if err := <-answered; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestStopDoesNotWaitLongerThanTheGraceTime(t *testing.T) {
	upstream := newSlow(t)
	p := servertest.Start(t, upstream.product, func(c *server.Config) { c.GraceTime = time.Millisecond })
	broken := inFlight(t, p, token(t, p, p.NewClient("slow.call")))
	<-upstream.entered
	if err := p.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-broken; err == nil {
		t.Error("the call got an answer that its upstream never gave")
	}
	if !strings.Contains(p.Logs(), "still in flight") {
		t.Errorf("nothing says that calls were cut off:\n%s", p.Logs())
	}
}
