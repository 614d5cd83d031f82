package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// hides checks that an answer of ours tells nothing of the upstream.
func (w *world) hides(t *testing.T, a *answered) {
	t.Helper()
	address := w.upstream.listener.Addr().String()
	host, port, err := net.SplitHostPort(address)
	w.must(err)
	for _, part := range []string{address, port, "dial", "tcp", "EOF", "malformed", "goroutine", host + ":"} {
		if strings.Contains(a.body, part) {
			t.Errorf("the answer holds %q: %s", part, a.body)
		}
	}
}

func TestGW35_upstreamFailuresAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer string // then it hangs up
		status int
		code   string
	}{
		{"hangs up without an answer", "", 502, "upstream_unreachable"},
		{"speaks no HTTP", "SSH-2.0-x\r\n\r\n", 502, "upstream_unreachable"},
		{"breaks off in the header", "HTTP/1.1 200 OK\r\nContent-Le", 502, "upstream_unreachable"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", 502, "upstream_unreachable"},
		{"status below 100", "HTTP/1.1 042 X\r\nContent-Length: 0\r\n\r\n", 502, "upstream_unreachable"},
		{"switches protocols unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502, "upstream_unreachable"},
		{"header without end", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1<<20), 502, "upstream_unreachable"},
	} {
		t.Run("GW-35 "+tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.upstream.saysLast(tt.answer)
			a := w.send(w.request("POST", "/p1/x", w.token(w.client), "Connection: Upgrade", "Upgrade: websocket"))
			if a.status != tt.status || a.code() != tt.code || len(w.upstream.taken()) != 1 {
				t.Errorf("status %d, code %q, want %d, %q", a.status, a.code(), tt.status, tt.code)
			}
			w.hides(t, a)
			if log := w.accesses.String(); !strings.Contains(log, `"code":"`+tt.code+`"`) || !strings.Contains(w.errors.String(), a.header.Get("Doorward-Request-Id")) {
				t.Errorf("access log %s, log %s", log, w.errors)
			}
			t.Run("twin", func(t *testing.T) {
				w.upstream.answers(nil)
				w.passes(t, w.request("POST", "/p1/x", w.token(w.client)))
			})
		})
	}
	t.Run("GW-35 nobody listens", func(t *testing.T) {
		w := newWorld(t)
		w.upstream.close()
		a := w.send(w.request("GET", "/p1/x", w.token(w.client)))
		if a.status != 502 || a.code() != "upstream_unreachable" {
			t.Errorf("status %d, code %q", a.status, a.code())
		}
		w.hides(t, a)
	})
	t.Run("GW-35 slow", func(t *testing.T) {
		w := newWorld(t, func(c *gateway.Config, _ *http.Server) { c.HeaderTimeout = 20 * time.Millisecond })
		done := make(chan struct{})
		w.upstream.answers(func(net.Conn, *received) { <-done })
		a := w.send(w.request("GET", "/p1/x", w.token(w.client)))
		close(done)
		if a.status != 504 || a.code() != "upstream_timeout" {
			t.Errorf("status %d, code %q", a.status, a.code())
		}
		w.hides(t, a)
	})
	for name, answer := range map[string]string{
		"lies about the length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "breaks a chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
	} {
		t.Run("GW-35 "+name, func(t *testing.T) {
			w := newWorld(t)
			w.upstream.saysLast(answer)
			a := w.send(w.request("GET", "/p1/x", w.token(w.client)))
			if a.broken == nil || strings.Contains(a.body, "problem") {
				t.Errorf("status %d, body %q: the caller takes a part for the whole", a.status, a.body)
			}
			w.accesses.await(t, `"code":"upstream_broken"`)
		})
	}
	t.Run("errors of the upstream itself are the caller's", func(t *testing.T) {
		w := newWorld(t)
		w.upstream.says("HTTP/1.1 503 Oops\r\nContent-Type: text/x\r\nRetry-After: 7\r\nWWW-Authenticate: Custom\r\nContent-Length: 4\r\n\r\nbusy")
		a := w.send(w.request("GET", "/p1/x", w.token(w.client)))
		if a.status != 503 || a.body != "busy" || a.header.Get("Content-Type") != "text/x" || a.header.Get("Retry-After") != "7" || a.header.Get("WWW-Authenticate") != "Custom" {
			t.Errorf("status %d, header %v, body %q", a.status, a.header, a.body)
		}
		w.accesses.await(t, `"status":503,"client"`)
	})
}

func TestGW36_redirectsArePassedOn(t *testing.T) {
	w := newWorld(t)
	canary := newUpstream(t)
	w.upstream.says("HTTP/1.1 302 Found\r\nLocation: " + canary.url() + "/meta-data\r\nContent-Length: 0\r\n\r\n")
	a := w.send(w.request("GET", "/p1/x", w.token(w.client)))
	if a.status != 302 || a.header.Get("Location") != canary.url()+"/meta-data" {
		t.Errorf("GW-36: status %d, header %v", a.status, a.header)
	}
	if got := canary.taken(); len(got) > 0 {
		t.Errorf("GW-36: the redirect was followed: %s", got[0].line)
	}
}

func TestGW37_answersSpeakForThemselvesOnly(t *testing.T) {
	w := newWorld(t)
	fields := []string{
		"Strict-Transport-Security: max-age=1", "Alt-Svc: h3=\":1\"", "Clear-Site-Data: \"*\"", "Public-Key-Pins: x", "Doorward-Request-Id: evil", "Doorward-Client-Id: evil", "doorward_x: evil",
		"Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 5", "Proxy-Authenticate: Basic", "Upgrade: h2c",
		"Set-Cookie: a=1; Path=/", "Set-Cookie: b=1; domain=example", "Set-Cookie: c=1; Path=/; Domain = .api.example", "Set-Cookie: __Host-doorward=1; Path=/; Secure", "Set-Cookie:  __host-DOORWARD-session=1", "Set-Cookie: d=domain=1; Secure",
		"X-Own: 1", "X-Own: 2", "Content-Security-Policy: default-src 'none'",
	}
	w.upstream.says("HTTP/1.1 200 OK\r\n" + strings.Join(fields, "\r\n") + "\r\nContent-Length: 2\r\n\r\nok")
	_, a := w.passes(t, w.request("GET", "/p1/x", w.token(w.client)))
	for _, name := range []string{"Strict-Transport-Security", "Alt-Svc", "Clear-Site-Data", "Public-Key-Pins", "Doorward-Client-Id", "Doorward_x", "X-Hop", "Keep-Alive", "Proxy-Authenticate", "Upgrade", "Connection"} {
		if values := a.header.Values(name); len(values) > 0 {
			t.Errorf("GW-37: %s = %q", name, values)
		}
	}
	if values := a.header.Values("Doorward-Request-Id"); len(values) != 1 || len(values[0]) != 32 {
		t.Errorf("GW-37: Doorward-Request-Id = %q", values)
	}
	if diff := cmp.Diff([]string{"a=1; Path=/", "d=domain=1; Secure"}, a.header.Values("Set-Cookie")); diff != "" {
		t.Error("GW-37: " + diff)
	}
	if diff := cmp.Diff([]string{"1", "2"}, a.header.Values("X-Own")); diff != "" {
		t.Error(diff)
	}
	t.Run("GW-37 interim answers", func(t *testing.T) {
		w.upstream.says("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nStrict-Transport-Security: max-age=1\r\n\r\n" + ok)
		_, a := w.passes(t, w.request("GET", "/p1/x", w.token(w.client)))
		if len(a.interim) > 0 || a.header.Get("Link") != "" || a.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("interim answers %v, header %v", a.interim, a.header)
		}
	})
	t.Run("GW-37 trailers", func(t *testing.T) {
		for _, announced := range []string{"", "Trailer: X-Sum, Doorward-Client-Id, Strict-Transport-Security\r\n"} {
			w.upstream.says("HTTP/1.1 200 OK\r\n" + announced + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nDoorward-Client-Id: evil\r\nSet-Cookie: a=1; Domain=example\r\nStrict-Transport-Security: x\r\n\r\n")
			conn := w.dial()
			_, err := io.WriteString(conn, w.request("GET", "/p1/x", w.token(w.client), "TE: trailers", "Connection: close"))
			w.must(err)
			text, err := io.ReadAll(conn)
			w.must(err)
			conn.Close()
			if s := strings.ToLower(string(text)); strings.Contains(s, "evil") || strings.Contains(s, "strict-") || strings.Contains(s, "set-cookie") || !strings.Contains(s, "x-sum: 1") {
				t.Errorf("the caller got %s", text)
			}
		}
	})
}

func TestStreamsFlowBothWays(t *testing.T) {
	for name, header := range map[string]string{
		"chunked": "Transfer-Encoding: chunked\r\n", "until the end": "", "events of a known length": "Content-Type: text/event-stream\r\nContent-Length: 10\r\n",
	} {
		t.Run("answer "+name, func(t *testing.T) {
			w := newWorld(t)
			next := make(chan struct{})
			send := func(conn net.Conn, part string) {
				if name == "chunked" {
					part = "5\r\n" + part + "\r\n"
				}
				_, _ = io.WriteString(conn, part)
			}
			w.upstream.answers(func(conn net.Conn, _ *received) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+header+"\r\n")
				send(conn, "one;;")
				<-next // until the caller has read the first part
				send(conn, "two;;")
				if name == "chunked" {
					_, _ = io.WriteString(conn, "0\r\n\r\n")
				}
				_ = conn.Close()
			})
			conn := w.dial()
			defer conn.Close()
			_, err := io.WriteString(conn, w.request("GET", "/p1/x", w.token(w.client)))
			w.must(err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			w.must(err)
			defer response.Body.Close()
			part := make([]byte, 5)
			_, err = io.ReadFull(response.Body, part)
			close(next)
			rest, restErr := io.ReadAll(response.Body)
			if err != nil || restErr != nil || string(part)+string(rest) != "one;;two;;" {
				t.Errorf("read %q and %q, errors %v, %v", part, rest, err, restErr)
			}
		})
	}
	t.Run("request", func(t *testing.T) {
		w := newWorld(t)
		got := make(chan string, 1)
		w.upstream.takeOver(func(conn net.Conn, r *http.Request) {
			part := make([]byte, 5)
			_, _ = io.ReadFull(r.Body, part)
			got <- string(part)
			rest, _ := io.ReadAll(r.Body)
			got <- string(rest)
			_, _ = io.WriteString(conn, ok)
		})
		conn := w.dial()
		defer conn.Close()
		_, err := io.WriteString(conn, w.request("POST", "/p1/x", w.token(w.client), "Transfer-Encoding: chunked")+"5\r\none;;\r\n")
		w.must(err)
		first := <-got // before the rest is sent
		_, err = io.WriteString(conn, "5\r\ntwo;;\r\n0\r\n\r\n")
		w.must(err)
		if a := w.read(conn, false); first != "one;;" || <-got != "two;;" || a.status != 200 {
			t.Errorf("first part %q, status %d", first, a.status)
		}
	})
	t.Run("upstream answers before it has read", func(t *testing.T) {
		w := newWorld(t)
		w.upstream.takeOver(func(conn net.Conn, _ *http.Request) {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		})
		conn := w.dial()
		defer conn.Close()
		_, err := io.WriteString(conn, w.request("POST", "/p1/x", w.token(w.client), "Content-Length: 100000")+"begin")
		w.must(err)
		if a := w.read(conn, false); a.status != 413 || a.body != "no" {
			t.Errorf("status %d, body %q, error %v", a.status, a.body, a.broken)
		}
	})
}

func TestDOS07_endlessAnswersStayInBoundedMemory(t *testing.T) {
	w := newWorld(t)
	const size = 64 << 20
	w.upstream.answers(func(conn net.Conn, _ *received) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n") // not ours to unpack
		block := make([]byte, 1<<20)
		for range size / len(block) {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
		_ = conn.Close()
	})
	conn := w.dial()
	defer conn.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := io.WriteString(conn, w.request("GET", "/p1/x", w.token(w.client), "Accept-Encoding: gzip"))
	w.must(err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	w.must(err)
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; err != nil || n != size || allocated > size/4 {
		t.Errorf("DOS-07: %d bytes, error %v, %d bytes allocated", n, err, allocated)
	}
}

func TestCallerThatLeavesStopsTheUpstream(t *testing.T) {
	w := newWorld(t)
	asked, left := make(chan struct{}), make(chan struct{})
	w.upstream.takeOver(func(conn net.Conn, _ *http.Request) {
		close(asked)
		_, _ = conn.Read(make([]byte, 1)) // until the gateway hangs up
		close(left)
	})
	conn := w.dial()
	_, err := io.WriteString(conn, w.request("GET", "/p1/x", w.token(w.client)))
	w.must(err)
	<-asked
	conn.Close()
	select {
	case <-left:
	case <-time.After(deadline):
		t.Error("the upstream is still asked")
	}
	w.accesses.await(t, `"status":0,"code":"caller_gone"`)
}

func TestConnectionsToUpstreamsOutliveTheirDefinition(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	w.passes(t, w.request("GET", "/p1/x", token))
	elsewhere := newUpstream(t)
	for _, d := range products(w.upstream.url()) {
		d.Description = "changed"
		if d.Key == "p2" {
			d.Upstreams = map[id.Environment]string{id.Sandbox: elsewhere.url()}
		}
		w.apply(registry.PutProduct{Definition: d, Source: registry.Managed})
	}
	w.passes(t, w.request("GET", "/p1/x", token))
	if n := w.upstream.accepted(); n != 1 {
		t.Errorf("%d connections to the upstream, want 1", n)
	}
	w.send(w.request("GET", "/p2/x", token))
	if got := elsewhere.taken(); len(got) != 1 || got[0].target() != "/x" {
		t.Errorf("the new upstream got %v", got)
	}
}
