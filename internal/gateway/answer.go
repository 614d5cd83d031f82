package gateway

import (
	"errors"
	"net/http"
	"strings"
	"sync"
)

// A call is the http.ResponseWriter of its proxy and of our refusals, to know
// what was answered.

// Header is the header of the answer. While the upstream is waited for it leads
// nowhere: interim answers (RFC 9110 §15.2) are not passed on.
func (c *call) Header() http.Header {
	if c.waiting {
		return http.Header{}
	}
	return c.answer.Header()
}

func (c *call) WriteHeader(status int) {
	if status >= 200 {
		c.status = status
		c.answer.WriteHeader(status)
	}
}

func (c *call) Write(p []byte) (int, error) {
	n, err := c.answer.Write(p)
	c.sent += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController flush.
func (c *call) Unwrap() http.ResponseWriter { return c.answer }

// RoundTrip asks the upstream, and takes the time.
func (c *call) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := c.gateway.Now()
	response, err := c.upstreamOf().transport.RoundTrip(r)
	c.upstream = max(1, c.gateway.Now().Sub(asked))
	return response, err
}

var errNoAnswer = errors.New("the upstream's status is no final one")

// filter takes the header of the upstream's answer over, as far as it passes.
// The answer itself, whatever its status, is the caller's.
func (c *call) filter(response *http.Response) error {
	if response.StatusCode < 200 { // 101 among them: no upgrades; and 0xx, which net/http cannot write
		return errNoAnswer
	}
	c.waiting, c.response = false, response
	h := c.answer.Header()
	for name, values := range response.Header {
		if ofUpstream(name) {
			h[name] = values
		}
	}
	if cookies := response.Header["Set-Cookie"]; cookies != nil {
		takeCookies(h, cookies)
	}
	h[requestIDHeader] = c.trace.ids()
	c.unread = c.bodyIsUnread(h)
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		c.proxy.FlushInterval = -1
	}
	response.Header = nil // all taken over: the proxy need not copy it
	for name := range response.Trailer {
		if !ofUpstream(name) {
			delete(response.Trailer, name)
		}
	}
	return nil
}

func takeCookies(h http.Header, cookies []string) {
	var kept []string
	for _, cookie := range cookies {
		if keepCookie(cookie) {
			kept = append(kept, cookie)
		}
	}
	delete(h, "Set-Cookie")
	if kept != nil {
		h["Set-Cookie"] = kept
	}
}

// filterTrailers holds the trailers that came with the end of the body to the
// rule for headers. Cookies do not come this way.
func (c *call) filterTrailers() {
	if c.response == nil || len(c.response.Trailer) == 0 {
		return
	}
	h := c.answer.Header()
	for name := range c.response.Trailer {
		if !ofUpstream(name) || name == "Set-Cookie" {
			delete(h, http.TrailerPrefix+name)
		}
	}
}

// buffers are what bodies are copied with.
type buffers struct{ pool *sync.Pool }

const copyBuffer = 32 << 10

func newBuffers() buffers {
	return buffers{&sync.Pool{New: func() any { return new([copyBuffer]byte) }}}
}

func (b buffers) Get() []byte {
	return b.pool.Get().(*[copyBuffer]byte)[:] // the pool holds nothing else
}

func (b buffers) Put(buf []byte) { b.pool.Put((*[copyBuffer]byte)(buf)) }
