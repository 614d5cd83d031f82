package gateway

import (
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
)

// forwardedAs is what upstreams are told about the API domain, whatever Host
// the caller sent.
type forwardedAs struct{ host, proto []string }

// rewrite makes the request to the upstream. The proxy has taken nothing over
// from the caller's header: what passes is chosen here.
func (c *call) rewrite(r *httputil.ProxyRequest) {
	u := c.upstreamOf()
	// Opaque and not Path: net/url would write some escapes differently.
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Opaque = u.scheme, u.host, u.base+c.decision.Path
	r.Out.URL.RawQuery = c.decision.RawQuery
	r.Out.URL.ForceQuery = c.decision.RawQuery == "" && strings.HasSuffix(c.incoming.RequestURI, "?")
	r.Out.Host = ""
	r.Out.Header = c.header()
}

func (c *call) upstreamOf() *upstream { return c.product.upstreams[c.decision.Environment] }

// header is what the upstream gets: the caller's, less what only we may say,
// then ours. Values are shared with the caller's header, which nobody changes.
func (c *call) header() http.Header {
	in := c.incoming.Header
	out := make(http.Header, len(in)+14)
	for name, values := range in {
		if ofCaller(name) {
			out[name] = values
		}
	}
	if cookies := in["Cookie"]; cookies != nil {
		if out["Cookie"] = withoutDashboardCookies(cookies); out["Cookie"] == nil {
			delete(out, "Cookie")
		}
	}
	for _, listed := range in["Connection"] {
		dropListed(out, listed)
	}
	if te := in["Te"]; te != nil && acceptsTrailers(te) {
		out["Te"] = []string{"trailers"}
	}
	c.setOurs(out)
	return out
}

// setOurs adds what the upstream may believe.
func (c *call) setOurs(out http.Header) {
	own := &[4]string{c.trace.parent, c.trace.id(), c.peerText, ""}
	out["Traceparent"] = own[0:1:1]
	out[requestIDHeader] = own[1:2:2]
	if c.trace.state != nil {
		out["Tracestate"] = c.trace.state
	}
	if c.peerText != "" {
		out["X-Forwarded-For"] = own[2:3:3]
	}
	out["X-Forwarded-Host"], out["X-Forwarded-Proto"] = c.gateway.forwarded.host, c.gateway.forwarded.proto
	if _, sent := out["User-Agent"]; !sent {
		out["User-Agent"] = own[3:4:4] // else Go adds its own
	}
	if i := c.identity; i != nil {
		set(out, "Doorward-Client-Id", i.client)
		set(out, "Doorward-Account-Id", i.account)
		set(out, "Doorward-Organisation-Id", i.organisation)
		set(out, "Doorward-Sandbox", i.sandbox)
		set(out, "Doorward-Permissions", i.permissions)
		set(out, "Doorward-Assertion", i.assertion)
	}
}

func set(header http.Header, name string, values []string) {
	if values != nil {
		header[name] = values
	}
}

// dropListed removes the headers that a Connection header names (RFC 9110
// §7.6.1). Ours are not there yet, so it cannot remove them.
func dropListed(header http.Header, listed string) {
	for name := range strings.SplitSeq(listed, ",") {
		header.Del(strings.Trim(name, " \t"))
	}
}

func acceptsTrailers(te []string) bool {
	for _, listed := range te {
		for coding := range strings.SplitSeq(listed, ",") {
			if strings.EqualFold(strings.Trim(coding, " \t"), "trailers") {
				return true
			}
		}
	}
	return false
}

// requestBody is the caller's body. It remembers why it could not be read,
// which is not the upstream's fault. It is not part of the call: the transport
// may hold it longer.
type requestBody struct {
	io.ReadCloser
	failed atomic.Pointer[error]
	ended  atomic.Bool // no more comes, for whatever reason

	reading sync.Mutex // held while a read is under way
	closed  bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		if err != io.EOF {
			b.failed.CompareAndSwap(nil, &err)
		}
		b.ended.Store(true)
	}
	return n, err
}

// stop waits for a read that is under way, and allows no other.
func (b *requestBody) stop() {
	b.reading.Lock()
	b.closed = true
	b.reading.Unlock()
}

// problem is why the caller's body could not be read, nil if it could or there
// is none.
func (b *requestBody) problem() error {
	if b == nil {
		return nil
	}
	if err := b.failed.Load(); err != nil {
		return *err
	}
	return nil
}
