package gateway_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/gateway"
)

// post is a request with its body behind it.
func (w *world) post(body string, fields ...string) string {
	return w.request("POST", "/p1/x", w.token(w.client), fields...) + body
}

// refusedOrRepaired expects a refusal that ends the connection, or exactly one
// request at the upstream, with one framing and values of one line: net/http
// repairs some requests before a handler runs.
func (w *world) refusedOrRepaired(t *testing.T, raw, body string) {
	t.Helper()
	w.upstream.taken()
	a := w.send(raw)
	taken := w.upstream.taken()
	switch {
	case len(taken) == 0 && (a.status == 400 || a.status == 501) && (a.closed || a.code() != ""): // read as one whole, ours keep the connection
	case len(taken) == 1 && a.status == 200 && taken[0].body == body:
		framing := 0
		for _, f := range taken[0].fields {
			name, value, _ := strings.Cut(strings.ToLower(f), ":")
			if name == "content-length" || name == "transfer-encoding" {
				framing++
			}
			if strings.TrimSpace(name) != name || name == "" || strings.ContainsAny(value, "\r\n\x00") {
				t.Errorf("the upstream got the field %q", f)
			}
		}
		if framing > 1 {
			t.Errorf("the upstream got two framings: %q", taken[0].fields)
		}
	default:
		t.Errorf("status %d, closed %v, error %v, the upstream got %d requests", a.status, a.closed, a.broken, len(taken))
	}
}

func TestGW23_framingHasOneMeaning(t *testing.T) {
	w := newWorld(t)
	smuggled := "GET /p1/secret HTTP/1.1\r\nHost: x\r\n\r\n"
	const chunked = "5\r\nhello\r\n0\r\n\r\n"
	for _, tt := range []struct {
		name   string
		fields []string
		body   string
	}{
		{"GW-23 T29 length and chunked", []string{"Content-Length: 5", "Transfer-Encoding: chunked"}, chunked},
		{"GW-23 T29 chunked and length", []string{"Transfer-Encoding: chunked", "Content-Length: 5"}, chunked},
		{"GW-23 chunked, identity", []string{"Transfer-Encoding: chunked, identity"}, chunked},
		{"GW-23 identity", []string{"Transfer-Encoding: identity"}, "hello"},
		{"GW-23 vertical tab", []string{"Transfer-Encoding: \x0bchunked"}, chunked},
		{"GW-23 comma first", []string{"Transfer-Encoding: ,chunked"}, chunked},
		{"GW-23 chunked twice in a line", []string{"Transfer-Encoding: chunked, chunked"}, chunked},
		{"GW-23 chunked twice", []string{"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}, chunked},
		{"GW-23 gzip, chunked", []string{"Transfer-Encoding: gzip, chunked"}, chunked},
		{"GW-23 xchunked", []string{"Transfer-Encoding: xchunked"}, chunked},
		{"GW-23 T29 two unequal lengths", []string{"Content-Length: 5", "Content-Length: 6"}, "hello"},
		{"GW-23 T29 two equal lengths", []string{"Content-Length: 5", "Content-Length: 5"}, "hello"},
		{"GW-23 T29 list of lengths", []string{"Content-Length: 5, 5"}, "hello"},
		{"GW-23 T29 signed length", []string{"Content-Length: +5"}, "hello"},
		{"GW-23 T29 negative length", []string{"Content-Length: -5"}, "hello"},
		{"GW-23 T29 hexadecimal length", []string{"Content-Length: 0x5"}, "hello"},
		{"GW-23 T29 empty length", []string{"Content-Length:"}, ""},
		{"GW-23 T29 length with a space", []string{"Content-Length: 5 5"}, "hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.refusedOrRepaired(t, w.post(tt.body, tt.fields...), "hello")
			if strings.Contains(tt.name, "chunked") {
				w.refusedOrRepaired(t, w.post("0\r\n\r\n"+smuggled, tt.fields...), "")
			}
			t.Run("twin", func(t *testing.T) {
				for body, field := range map[string]string{"hello": "Content-Length: 5", chunked: "Transfer-Encoding: chunked"} {
					if got, _ := w.passes(t, w.post(body, field)); got.body != "hello" {
						t.Errorf("%s: body %q", field, got.body)
					}
				}
			})
		})
	}
	for name, body := range map[string]string{
		"broken chunk size": "5g\r\nhello\r\n0\r\n\r\n", "chunk longer than said": "5\r\nhello!\r\n0\r\n\r\n", "negative chunk": "-5\r\nhello\r\n0\r\n\r\n", "huge chunk": "ffffffffffffffff0\r\nhello\r\n0\r\n\r\n",
	} {
		t.Run("GW-23 "+name, func(t *testing.T) {
			w := newWorld(t) // the upstream may see the part that was good at any time
			a := w.send(w.post(body, "Transfer-Encoding: chunked"))
			if a.status != 400 || a.code() != "request_malformed" || !a.closed || w.upstream.whole() != 0 {
				t.Errorf("status %d, code %q, closed %v, the upstream got %d whole requests", a.status, a.code(), a.closed, w.upstream.whole())
			}
			w = newWorld(t)
			t.Run("twin", func(t *testing.T) { w.passes(t, w.post(chunked, "Transfer-Encoding: chunked")) })
		})
	}
}

func TestGW25_fieldsHaveOneMeaning(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	twin := w.request("GET", "/p1/x", token, "X-A: 1")
	for name, field := range map[string]string{
		"T26 empty name": ": x", "T27 NUL in a value": "X-A: a\x00b", "T27 bare CR in a value": "X-A: a\rX-Evil: 1", "space before the colon": "X-A : 1",
		"tab before the colon": "X-A\t: 1", "space in a name": "X A: 1", "name with a control": "X\x01A: 1", "no colon": "X-A", "name not ASCII": "X-É: 1", "control in a value": "X-A: a\x01b", "DEL in a value": "X-A: a\x7fb",
	} {
		t.Run("GW-25 "+name, func(t *testing.T) {
			if a := w.refused(t, w.request("GET", "/p1/x", token, field), 400); !a.closed {
				t.Error("the connection stays open")
			}
			t.Run("twin", func(t *testing.T) { w.passes(t, twin) })
		})
	}
	for name, fields := range map[string][]string{
		"folded header": {"X-A: 1", " X-Evil: 1"}, "folded with a tab": {"X-A: 1", "\tdoorward-client-id: 1"}, "fold at the start": {" X-A: 1"},
	} {
		t.Run("GW-25 "+name, func(t *testing.T) { w.refusedOrRepaired(t, w.request("GET", "/p1/x", token, fields...), "") })
	}
	t.Run("GW-25 T27 bare LF line ends", func(t *testing.T) {
		w.refusedOrRepaired(t, strings.ReplaceAll(twin, "\r\n", "\n"), "")
		w.refusedOrRepaired(t, w.request("GET", "/p1/x", token, "X-A: a\nX-B: b"), "")
	})
	t.Run("T22 two Authorization headers", func(t *testing.T) {
		w.refused(t, w.request("GET", "/p1/x", token, "Authorization: Bearer "+token), 400)
		t.Run("twin", func(t *testing.T) { w.passes(t, twin) })
	})
}

func TestGW21_methods(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{"TRACE", "CONNECT", "get", "GETX", "", "*", "OPTIONS", "DELETE", "PROPFIND"} {
		t.Run("GW-21 GW-22 "+method, func(t *testing.T) {
			w.refused(t, w.request(method, "/p1/x", w.token(w.client)), 400, 405, 501)
			t.Run("twin", func(t *testing.T) { w.passes(t, w.request("GET", "/p1/x", w.token(w.client))) })
		})
	}
	t.Run("GW-21 CONNECT to a host", func(t *testing.T) {
		w.refused(t, w.request("CONNECT", "internal.example:443", w.token(w.client)), 400)
		t.Run("twin", func(t *testing.T) { w.passes(t, w.request("GET", "/p1/x", w.token(w.client))) })
	})
	t.Run("GW-22 OPTIONS only where it is declared", func(t *testing.T) {
		w.refused(t, w.request("OPTIONS", "/p2/cors", ""), 401)
		w.refused(t, w.request("OPTIONS", "/p1/public", ""), 405)
		t.Run("twin", func(t *testing.T) { w.passes(t, w.request("OPTIONS", "/p2/cors", w.token(w.client))) })
	})
	t.Run("GW-22 OPTIONS of the server shows nothing", func(t *testing.T) {
		if a := w.send(w.request("OPTIONS", "*", w.token(w.client))); len(w.upstream.taken()) != 0 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("status %d, header %v", a.status, a.header)
		}
	})
	t.Run("GW-22 HEAD is answered like GET", func(t *testing.T) {
		w.upstream.answers(func(conn net.Conn, _ *received) {
			_, _ = io.WriteString(conn, strings.TrimSuffix(ok, "ok"))
		})
		defer w.upstream.answers(nil)
		got, a := w.passes(t, w.request("HEAD", "/p1/x", w.token(w.client)))
		if !strings.HasPrefix(got.line, "HEAD ") || a.header.Get("Content-Length") != "2" {
			t.Errorf("the upstream got %s, header %v", got.line, a.header)
		}
	})
}

func TestGW42_refusedBodiesAreNotRead(t *testing.T) {
	w := newWorld(t)
	bad := w.token(w.client) + "x"
	t.Run("GW-42 Expect: 100-continue", func(t *testing.T) {
		a := w.refused(t, w.request("POST", "/p1/x", bad, "Expect: 100-continue", "Content-Length: 1000000000"), 401)
		if !a.closed || len(a.interim) > 0 {
			t.Errorf("closed %v, interim answers %v", a.closed, a.interim)
		}
		t.Run("twin", func(t *testing.T) {
			got, a := w.passes(t, w.request("POST", "/p1/x", w.token(w.client), "Expect: 100-continue", "Content-Length: 5")+"hello")
			if got.body != "hello" || !slices.Equal(a.interim, []int{100}) {
				t.Errorf("body %q, interim answers %v", got.body, a.interim)
			}
		})
	})
	t.Run("GW-42 body without end", func(t *testing.T) {
		if a := w.refused(t, w.request("POST", "/p1/x", bad, "Transfer-Encoding: chunked")+"5\r\nhello\r\n", 401); !a.closed {
			t.Error("the connection stays open")
		}
	})
	t.Run("refusals without a body keep the connection", func(t *testing.T) {
		if a := w.refused(t, w.request("GET", "/p1/x", bad), 401); a.closed {
			t.Error("the connection is closed")
		}
	})
}

func TestSizesAreBounded(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	w.run(t, []wire{
		{name: "DOS-10 T46 header of 1 MB", raw: w.request("GET", "/p1/x", token, "X-A: "+strings.Repeat("a", 1<<20)), twin: w.request("GET", "/p1/x", token, "X-A: "+strings.Repeat("a", 16<<10)), status: []int{431}},
		{name: "DOS-10 10,000 cookies", raw: w.request("GET", "/p1/x", token, slices.Repeat([]string{"Cookie: a=b"}, 10_000)...), twin: w.request("GET", "/p1/x", token, slices.Repeat([]string{"Cookie: a=b"}, 100)...), status: []int{431}},
		{name: "DOS-10 T46 target of 64 kB", raw: w.request("GET", "/p1/x?"+strings.Repeat("a", 64<<10), token), twin: w.request("GET", "/p1/x?"+strings.Repeat("a", 8000), token), status: []int{414, 431}},
		{name: "DOS-10 target of 9 kB", raw: w.request("GET", "/p1/x?"+strings.Repeat("a", 9<<10), token), twin: w.request("GET", "/p1/x?"+strings.Repeat("a", 8000), token), status: []int{414}},
		{name: "T46 many parameters", raw: w.request("GET", "/p1/x?"+strings.Repeat("a&", 300), token), twin: w.request("GET", "/p1/x?"+strings.Repeat("a&", 200), token)},
	})
	t.Run("body that a server in front bounds", func(t *testing.T) {
		w := newWorld(t, func(_ *gateway.Config, s *http.Server) { s.Handler = http.NotFoundHandler() })
		w.serve(&http.Server{ReadHeaderTimeout: deadline, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(rw, r.Body, 10)
			w.gateway.ServeHTTP(rw, r)
		})})
		t.Run("twin", func(t *testing.T) {
			w.passes(t, w.post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
		})
		a := w.send(w.post("b\r\nhello hello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
		if a.status != 413 || a.code() != "body_too_large" || w.upstream.whole() != 1 {
			t.Errorf("status %d, code %q, the upstream got %d whole requests, want only the twin", a.status, a.code(), w.upstream.whole())
		}
	})
}
