package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/registry"
)

// method and body of calls that take each of the two ways to an upstream.
var ways = map[string]func(w *world) string{
	"without a body": func(w *world) string { return w.request("GET", "/p1/any/x", w.token(w.client)) },
	"no repeatable":  func(w *world) string { return w.request("POST", "/p1/any/x", w.token(w.client), "Content-Length: 0") },
	"with a body": func(w *world) string {
		return w.request("PUT", "/p1/any/x", w.token(w.client), "Content-Length: 2") + "hi"
	},
}

func TestConnectionsToUpstreamsAreUsedAgain(t *testing.T) {
	for name, request := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range 5 {
				w.passes(t, request(w))
			}
			if got := w.upstream.accepted(); got != 1 {
				t.Errorf("five calls took %d connections, want 1", got)
			}
		})
	}
}

// With a body net/http sends the call, and learns of the end in its own time.
func TestConnectionThatTheUpstreamClosedIsNotUsed(t *testing.T) {
	for _, name := range []string{"without a body", "no repeatable"} {
		t.Run(name, func(t *testing.T) {
			w, closed := newWorld(t), make(chan struct{})
			w.upstream.answers(func(conn net.Conn, _ *received) {
				_, _ = io.WriteString(conn, ok)
				_ = conn.Close()
				close(closed)
			})
			w.passes(t, ways[name](w))
			<-closed
			w.upstream.answers(nil)
			w.passes(t, ways[name](w))
			if got := w.upstream.accepted(); got != 2 {
				t.Errorf("two calls took %d connections, want 2", got)
			}
		})
	}
}

// A request that the upstream has taken without an answer may have had its
// effect: only what may be done twice is sent twice.
func TestOnlyRepeatableCallsAreRepeated(t *testing.T) {
	hangUp := func(conn net.Conn, _ *received) { _ = conn.Close() }
	half := func(conn net.Conn, _ *received) { _, _ = io.WriteString(conn, "HTTP/1.1 2"); _ = conn.Close() }
	for _, tt := range []struct {
		method string
		answer func(net.Conn, *received)
		sent   int
	}{
		{"GET", hangUp, 2}, {"HEAD", hangUp, 2}, {"OPTIONS", hangUp, 2}, {"PUT", hangUp, 2}, {"DELETE", hangUp, 2},
		{"POST", hangUp, 1}, {"PATCH", hangUp, 1}, {"GET", half, 1},
	} {
		t.Run(tt.method, func(t *testing.T) {
			w := newWorld(t)
			w.passes(t, w.request("GET", "/p1/any/x", w.token(w.client))) // leaves a connection
			w.upstream.answers(tt.answer)
			a := w.send(w.request(tt.method, "/p1/any/x", w.token(w.client), "Content-Length: 0"))
			if sent := len(w.upstream.taken()); a.status != http.StatusBadGateway || sent != tt.sent {
				t.Errorf("status %d, sent %d times, want 502 and %d", a.status, sent, tt.sent)
			}
			t.Run("twin", func(t *testing.T) {
				w.upstream.answers(nil)
				w.passes(t, w.request(tt.method, "/p1/any/x", w.token(w.client), "Content-Length: 0"))
			})
		})
	}
	t.Run("not on a new connection", func(t *testing.T) {
		w := newWorld(t)
		w.upstream.answers(hangUp)
		if a := w.send(w.request("GET", "/p1/any/x", w.token(w.client))); a.status != http.StatusBadGateway || len(w.upstream.taken()) != 1 {
			t.Errorf("status %d", a.status)
		}
	})
}

// An upstream that sends more than its answer must not answer the next caller
// with it.
func TestBytesBehindAnAnswerAreNobodysAnswer(t *testing.T) {
	const foreign = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers"
	for name, request := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upstream.says(ok + foreign)
			w.passes(t, request(w))
			w.upstream.answers(nil)
			if _, a := w.passes(t, request(w)); strings.Contains(a.body, "others") {
				t.Errorf("got %q", a.body)
			}
		})
		t.Run(name+", later", func(t *testing.T) {
			w := newWorld(t)
			answered, written := make(chan struct{}), make(chan struct{})
			w.upstream.answers(func(conn net.Conn, _ *received) {
				_, _ = io.WriteString(conn, ok)
				<-answered // the connection is idle
				_, _ = io.WriteString(conn, foreign)
				close(written)
			})
			w.passes(t, request(w))
			close(answered)
			<-written
			w.upstream.answers(nil)
			if _, a := w.passes(t, request(w)); strings.Contains(a.body, "others") {
				t.Errorf("got %q", a.body)
			}
		})
	}
}

func TestInterimAnswersAreKeptFromTheCaller(t *testing.T) {
	const interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	for name, request := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upstream.says(interim + interim + ok)
			if _, a := w.passes(t, request(w)); a.interim != nil || a.header.Get("Link") != "" {
				t.Errorf("interim %v, header %v", a.interim, a.header)
			}
			t.Run("endless", func(t *testing.T) {
				w.upstream.saysLast(strings.Repeat(interim, 20_000))
				if a := w.send(request(w)); a.status != http.StatusBadGateway {
					t.Errorf("status %d, want 502", a.status)
				}
			})
		})
	}
}

func TestAnswersWithoutALengthEndWithTheirConnection(t *testing.T) {
	for name, request := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upstream.saysLast("HTTP/1.1 200 OK\r\n\r\nall of it")
			if _, a := w.passes(t, request(w)); a.body != "all of it" {
				t.Errorf("body %q", a.body)
			}
		})
	}
}

func TestIdleConnectionsAreClosedWithTheGateway(t *testing.T) {
	w := newWorld(t)
	closed := make(chan error, 1)
	w.upstream.takeOver(func(conn net.Conn, _ *http.Request) {
		_, _ = io.WriteString(conn, ok)
		_, err := conn.Read(make([]byte, 1))
		closed <- err
	})
	if a := w.send(w.request("GET", "/p1/any/x", w.token(w.client))); a.status != http.StatusOK {
		t.Fatalf("status %d", a.status)
	}
	w.gateway.Close()
	if err := <-closed; err != io.EOF { //nolint:errorlint // a connection's end is this very value
		t.Errorf("read %v, want the end of the connection", err)
	}
}

func TestUpstreamThatMovedKeepsNoConnection(t *testing.T) {
	w := newWorld(t)
	closed := make(chan struct{})
	w.upstream.takeOver(func(conn net.Conn, _ *http.Request) {
		_, _ = io.WriteString(conn, ok)
		_, _ = conn.Read(make([]byte, 1))
		close(closed)
	})
	if a := w.send(w.request("GET", "/p1/any/x", w.token(w.client))); a.status != http.StatusOK {
		t.Fatalf("status %d", a.status)
	}
	other := newUpstream(t)
	for _, d := range products(other.url()) {
		w.apply(registry.PutProduct{Definition: d, Source: registry.Managed})
	}
	if a := w.send(w.request("GET", "/p1/any/x", w.token(w.client))); a.status != http.StatusOK || len(other.taken()) != 1 {
		t.Fatalf("status %d", a.status)
	}
	<-closed
}

// Nor another caller that comes just as the answer ends.
func TestBytesBehindAnAnswerAreNobodysAnswerUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.upstream.answers(func(conn net.Conn, r *received) {
		id := r.header.Get("X-Own")
		const answer = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
		_, _ = fmt.Fprintf(conn, answer+answer, len(id), id, len("others"), "others")
	})
	token := w.token(w.client)
	var all sync.WaitGroup
	for caller := range 16 {
		all.Go(func() {
			for n := range 100 {
				own := fmt.Sprintf("%d-%d", caller, n)
				a := w.send(w.request("POST", "/p1/any/x", token, "X-Own: "+own, "Content-Length: 4") + "body")
				if a.status != http.StatusOK || a.body != own {
					t.Errorf("call %s got %d %q", own, a.status, a.body)
					return
				}
			}
		})
	}
	all.Wait()
}
