package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listening starts a server and returns its address.
func listening(t *testing.T, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
}

func TestLoadSendsEachRequestOnceAndReadsItsAnswer(t *testing.T) {
	var served atomic.Int64
	to := listening(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		fmt.Fprintf(w, "%s %s", r.URL.Path, strings.Repeat("x", 1000))
	})
	var requests [][]byte
	want := make(map[string]bool)
	for i := range 500 {
		path := fmt.Sprintf("/%d", i)
		want[path] = true
		requests = append(requests, callRequest(to, path, "token"))
	}
	l := load{address: to, connections: 8, status: 200, next: once(requests), answered: func(took time.Duration, body []byte) {
		path, _, _ := strings.Cut(string(body), " ")
		if took <= 0 || !want[path] {
			t.Errorf("answer %q after %v", path, took)
		}
		delete(want, path)
	}}
	if err := runAll(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if served.Load() != 500 || len(want) != 0 {
		t.Errorf("%d requests served, %d answers missing", served.Load(), len(want))
	}
}

func TestLoadEndsAtItsDeadlineWithNothingUnderWay(t *testing.T) {
	var served atomic.Int64
	to := listening(t, func(http.ResponseWriter, *http.Request) { served.Add(1) })
	g, err := dial(load{address: to, connections: 4, status: 200, next: inTurn([][]byte{callRequest(to, "/", "token")})})
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	for range 2 {
		served.Store(0)
		out, err := g.run(20 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if out.requests == 0 || out.requests != uint64(served.Load()) || out.requests != out.times.count || out.elapsed < 20*time.Millisecond {
			t.Errorf("%d requests counted, %d served, %d timed, in %v", out.requests, served.Load(), out.times.count, out.elapsed)
		}
	}
}

func TestLoadFailsOnAnAnswerThatIsNotAsWanted(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"framing": func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
		"close":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			to := listening(t, handler)
			l := load{address: to, connections: 1, status: 200, next: once([][]byte{callRequest(to, "/", "token")})}
			if err := runAll(t.Context(), l); err == nil {
				t.Error("the load ended without an error")
			}
		})
	}
}

func TestUpstreamAnswersRequestsThatComeInPieces(t *testing.T) {
	c, err := chooseCores()
	if err != nil {
		t.Fatal(err)
	}
	up, err := serve(c.load, "upstream")
	if err != nil {
		t.Fatal(err)
	}
	defer up.stop() //nolint:errcheck // the test is over
	long := callRequest(up.address, "/", strings.Repeat("x", 70_000))
	l := load{address: up.address, connections: 2, status: 200, next: once([][]byte{callRequest(up.address, "/", "token"), long, long})}
	answers := 0
	l.answered = func(_ time.Duration, body []byte) {
		if string(body) == upstreamBody {
			answers++
		}
	}
	if err := runAll(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if answers != 3 {
		t.Errorf("%d right answers, want 3", answers)
	}
}
