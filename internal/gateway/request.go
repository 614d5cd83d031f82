package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// forwardedAs is what upstreams are told about the API domain, whatever Host
// the caller sent.
type forwardedAs struct{ host, proto []string }

// request is the call as [http.Transport] takes it. It may be held there for
// longer than the call lasts.
func (c *call) request(u *upstream) *http.Request {
	r := c.incoming.WithContext(httptrace.WithClientTrace(c.incoming.Context(), &httptrace.ClientTrace{GotConn: c.body.got}))
	// Opaque and not Path: net/url would write some escapes differently.
	r.URL = &url.URL{Scheme: u.scheme, Host: u.host, Opaque: u.base + c.decision.Path, RawQuery: c.decision.RawQuery, ForceQuery: c.emptyQuery()}
	r.Host, r.RequestURI, r.Trailer, r.Close = "", "", nil, false
	r.Header = make(http.Header, len(c.incoming.Header)+14)
	c.passHeaders(func(name string, values []string) { r.Header[name] = values })
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // else Go adds its own
	}
	r.Body = nil
	if c.body != nil {
		r.Body = c.body
	}
	return r
}

// emptyQuery says whether the target ends in a question mark.
func (c *call) emptyQuery() bool {
	return c.decision.RawQuery == "" && strings.HasSuffix(c.incoming.RequestURI, "?")
}

func (c *call) upstreamOf() *upstream { return c.product.upstreams[c.decision.Environment] }

// passHeaders calls add with each header that the upstream gets: the caller's,
// less what only we may say, then ours. Values are shared with the caller's
// header, which nobody changes.
func (c *call) passHeaders(add func(name string, values []string)) {
	in := c.incoming.Header
	listed := in["Connection"]
	for name, values := range in {
		if !ofCaller(name) || isListed(listed, name) {
			continue
		}
		if name == "Cookie" {
			values = withoutDashboardCookies(values)
		}
		if values != nil {
			add(name, values)
		}
	}
	if te := in["Te"]; te != nil && acceptsTrailers(te) {
		add("Te", []string{"trailers"})
	}
	c.passOurs(add)
}

// passOurs adds what the upstream may believe.
func (c *call) passOurs(add func(name string, values []string)) {
	own := &[3]string{c.trace.parent, c.trace.id(), c.peerText}
	add("Traceparent", own[0:1:1])
	add(requestIDHeader, own[1:2:2])
	if c.trace.state != nil {
		add("Tracestate", c.trace.state)
	}
	if c.peerText != "" {
		add("X-Forwarded-For", own[2:3:3])
	}
	add("X-Forwarded-Host", c.gateway.forwarded.host)
	add("X-Forwarded-Proto", c.gateway.forwarded.proto)
	i := c.identity
	if i == nil {
		return
	}
	for _, header := range [...]struct {
		name   string
		values []string
	}{
		{"Doorward-Client-Id", i.client}, {"Doorward-Account-Id", i.account}, {"Doorward-Organisation-Id", i.organisation},
		{"Doorward-Sandbox", i.sandbox}, {"Doorward-Permissions", i.permissions}, {"Doorward-Assertion", i.assertion},
	} {
		if header.values != nil {
			add(header.name, header.values)
		}
	}
}

// isListed says whether a Connection header names the header (RFC 9110 §7.6.1).
// Ours are not asked about, so it cannot remove them.
func isListed(connection []string, name string) bool {
	for _, listed := range connection {
		for option := range strings.SplitSeq(listed, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), name) {
				return true
			}
		}
	}
	return false
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

	withheld atomic.Bool // it is not sent: the connection is not fit for it

	reading sync.Mutex // held while a read is under way
	closed  bool
}

var errWithheld = errors.New("more than an answer has come on the upstream's connection")

func (b *requestBody) Read(p []byte) (int, error) {
	if b.withheld.Load() {
		return 0, errWithheld
	}
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

func (b *requestBody) Close() error {
	if b.withheld.Load() {
		return nil // another attempt sends it
	}
	return b.ReadCloser.Close()
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
