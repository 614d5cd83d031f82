package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// newBareProxy is the ceiling of calls: the standard library's proxy, tuned as
// well as it can be, in front of the same upstream, letting everyone through.
func newBareProxy(upstream string) *httputil.ReverseProxy {
	target := &url.URL{Scheme: "http", Host: upstream}
	return &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(target) },
		BufferPool: new(copyBuffers),
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
			ReadBufferSize:      64 << 10,
			WriteBufferSize:     64 << 10,
		},
	}
}

// copyBuffers is a pool of 32 KiB buffers.
type copyBuffers struct{ pool sync.Pool }

func (b *copyBuffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buf[:]
	}
	return make([]byte, 32<<10)
}

func (b *copyBuffers) Put(buf []byte) { b.pool.Put((*[32 << 10]byte)(buf)) }

// serveBareProxy is the role bare-proxy; its argument is the upstream's address.
func serveBareProxy(ctx context.Context, stdout io.Writer, args []string) error {
	return announceAndServe(ctx, stdout, newBareProxy(args[0]))
}

// serveBareHandler is the role bare-handler: what net/http costs by itself.
func serveBareHandler(ctx context.Context, stdout io.Writer, _ []string) error {
	return announceAndServe(ctx, stdout, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := io.WriteString(w, upstreamBody); err != nil {
			panic(fmt.Errorf("%w: %w", http.ErrAbortHandler, err))
		}
	}))
}
