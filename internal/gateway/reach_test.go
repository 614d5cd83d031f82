package gateway_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestUpstreamThatCannotBeReachedRests(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	w.upstream.close()
	for range 5 {
		if a := w.send(w.request("GET", "/p1/x", token)); a.status != 502 || a.header.Get("Retry-After") != "" {
			t.Fatalf("status %d, Retry-After %q, want 502 without", a.status, a.header.Get("Retry-After"))
		}
	}
	rests := func(t *testing.T, request string) {
		t.Helper()
		logged := w.errors.String()
		a := w.send(request)
		if a.status != 502 || a.code() != "upstream_unreachable" || a.header.Get("Retry-After") == "" {
			t.Errorf("status %d, code %q, Retry-After %q, want 502 with one", a.status, a.code(), a.header.Get("Retry-After"))
		}
		if more := strings.TrimPrefix(w.errors.String(), logged); more != "" {
			t.Errorf("a call to a resting upstream is logged: %s", more)
		}
		w.hides(t, a)
	}
	rests(t, w.request("GET", "/p1/x", token))
	if all := w.gateway.Resting(); len(all) != 1 || all[0].Product != "p1" || all[0].Address == "" {
		t.Errorf("resting: %v", all)
	}
	t.Run("with a body", func(t *testing.T) { rests(t, w.request("POST", "/p1/x", token, "Content-Length: 2")+"hi") })
	t.Run("one tries after a while", func(t *testing.T) {
		w.pass(5 * time.Second)
		if a := w.send(w.request("GET", "/p1/x", token)); a.status != 502 || a.header.Get("Retry-After") != "" {
			t.Errorf("status %d, Retry-After %q: nobody tried", a.status, a.header.Get("Retry-After"))
		}
		rests(t, w.request("GET", "/p1/x", token))
	})
	t.Run("twin", func(t *testing.T) { // it is back
		w.upstream.reopen(t)
		rests(t, w.request("GET", "/p1/x", token))
		w.pass(5 * time.Second)
		for range 3 {
			w.passes(t, w.request("GET", "/p1/x", token))
		}
		if all := w.gateway.Resting(); len(all) != 0 {
			t.Errorf("resting: %v", all)
		}
		if log := w.errors.String(); strings.Count(log, "an upstream cannot be reached") != 1 || strings.Count(log, "an upstream can be reached again") != 1 {
			t.Errorf("log %s", log)
		}
	})
}

// Answers that fail are no sign that the upstream is away: a caller may have
// brought them about, and would take the product from all others.
func TestUpstreamThatAnswersBadlyIsAskedAllTheSame(t *testing.T) {
	w := newWorld(t)
	w.upstream.saysLast("")
	for range 10 {
		w.send(w.request("GET", "/p1/x", w.token(w.client)))
	}
	w.upstream.answers(nil)
	w.passes(t, w.request("GET", "/p1/x", w.token(w.client)))
}

// DOS-16: what a slow upstream cannot take is refused at once and costs the
// other products nothing.
func TestDOS16_oneUpstreamHasSoManyCallsAtOneTime(t *testing.T) {
	const most = 4
	w := newWorld(t, func(c *gateway.Config, _ *http.Server) { c.MaxCalls = most })
	elsewhere := newUpstream(t)
	for _, d := range products(w.upstream.url()) {
		if d.Key == "p2" {
			d.Upstreams = map[id.Environment]string{id.Sandbox: elsewhere.url()}
			w.apply(registry.PutProduct{Definition: d, Source: registry.Managed})
		}
	}
	asked, done := make(chan struct{}, 100), make(chan struct{})
	w.upstream.answers(func(conn net.Conn, _ *received) {
		asked <- struct{}{}
		<-done
		_, _ = conn.Write([]byte(ok))
	})
	var waiting sync.WaitGroup
	token := w.token(w.client)
	for i := range most {
		waiting.Go(func() {
			request := w.request("GET", "/p1/x", token)
			if i%2 == 0 { // both ways count alike
				request = w.request("POST", "/p1/x", token, "Content-Length: 2") + "hi"
			}
			if a := w.send(request); a.status != 200 {
				t.Errorf("a call that had a place ended with %d", a.status)
			}
		})
	}
	for range most {
		<-asked
	}
	a := w.send(w.request("GET", "/p1/x", token))
	if a.status != 503 || a.code() != "temporarily_unavailable" || a.header.Get("Retry-After") != "1" {
		t.Errorf("status %d, code %q, Retry-After %q, want 503 with 1", a.status, a.code(), a.header.Get("Retry-After"))
	}
	if log := w.errors.String(); log != "" {
		t.Errorf("the refusal is logged: %s", log)
	}
	w.send(w.request("GET", "/p2/x", token))
	if len(elsewhere.taken()) != 1 {
		t.Error("the other product does not answer")
	}
	close(done)
	waiting.Wait()
	t.Run("twin", func(t *testing.T) {
		w.upstream.answers(nil)
		w.passes(t, w.request("GET", "/p1/x", token))
	})
}
