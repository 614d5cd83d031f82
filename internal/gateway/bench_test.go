package gateway_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/gateway"
)

type copyBuffers struct{ pool sync.Pool }

func (b *copyBuffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buf[:]
	}
	return make([]byte, 32<<10)
}

func (b *copyBuffers) Put(buf []byte) { b.pool.Put((*[32 << 10]byte)(buf)) }

// bareProxy is what a warm call is held against.
func bareProxy(b *testing.B, upstream string) http.Handler {
	target, err := url.Parse(upstream)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second, DisableCompression: true, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10}
	b.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, BufferPool: new(copyBuffers), Transport: transport}
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkWarmCall(b *testing.B) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 09:00:00 GMT\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}"
	w := newWorld(b, func(c *gateway.Config, _ *http.Server) { c.AccessLog = io.Discard; c.Now = time.Now })
	w.upstream.takeOver(func(conn net.Conn, _ *http.Request) { // reads no more than it must
		buf := make([]byte, 16<<10)
		for {
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
			for end := 0; !bytes.HasSuffix(buf[:end], []byte("\r\n\r\n")); {
				n, err := conn.Read(buf[end:])
				if err != nil {
					return
				}
				end += n
			}
		}
	})
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://api.example/p1/things/42?"+parameter+"="+string(w.sandbox), http.NoBody)
	w.must(err)
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "192.0.2.7:4711"
	r.Header = http.Header{"Authorization": {"Bearer " + w.token(w.client)}, "User-Agent": {"bench/1"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}}
	for _, contestant := range []struct {
		name    string
		handler http.Handler
	}{{"gateway", w.gateway}, {"bare", bareProxy(b, w.upstream.url())}} {
		b.Run(contestant.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				contestant.handler.ServeHTTP(&discard{header: http.Header{}}, r)
			}
		})
	}
}
