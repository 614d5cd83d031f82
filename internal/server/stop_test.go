package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
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

// browser is who has signed up, with the cookies to show.
type browser struct {
	base    string
	cookies map[string]*http.Cookie
}

// send answers redirects to the caller, as a form does before it is followed.
func (b *browser) send(t *testing.T, method, path, form string) *http.Response {
	t.Helper()
	r := request(t.Context(), t, method, b.base+path, form)
	r.Header.Set("Origin", b.base)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range response.Cookies() {
		b.cookies[c.Name] = c
	}
	return response
}

// A page that listens for attempts would listen for ever.
func TestStopEndsTheStreamsOfPages(t *testing.T) {
	p := servertest.Start(t, func(c *server.Config) { c.GraceTime = time.Hour })
	b := &browser{base: p.DashboardURL, cookies: map[string]*http.Cookie{}}
	up := b.send(t, "POST", "/signup", "organisation=Acme&email=ada%40example.com&password=correct+horse+battery")
	_ = up.Body.Close()
	start := up.Header.Get("Location")
	made := b.send(t, "POST", start, "name=Shop&product=echo")
	page, err := io.ReadAll(made.Body)
	_ = made.Body.Close()
	events := regexp.MustCompile(`/a/[^"]*/live/events`).FindString(string(page))
	if err != nil || events == "" {
		t.Fatalf("signing up leads to %q, and that to status %d without a stream (%v)", start, made.StatusCode, err)
	}
	stream := b.send(t, "GET", events, "")
	defer stream.Body.Close()
	if stream.StatusCode != http.StatusOK {
		t.Fatalf("the stream has status %d", stream.StatusCode)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop() }()
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream breaks off: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}
