package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// A call is the http.ResponseWriter of its own answers and of our refusals, to
// know what was answered.

func (c *call) Header() http.Header { return c.answer.Header() }

func (c *call) WriteHeader(status int) {
	c.status = status
	c.answer.WriteHeader(status)
}

func (c *call) Write(p []byte) (int, error) {
	n, err := c.answer.Write(p)
	c.sent += int64(n)
	return n, err
}

// forward sends the call to its upstream, and the answer back.
func (c *call) forward() {
	to := c.upstreamOf().target
	if !to.load.enter(c.gateway.MaxCalls) {
		c.refuse(busy())
		return
	}
	defer to.load.leave()
	if c.incoming.ContentLength != 0 {
		c.body = &requestBody{ReadCloser: c.incoming.Body}
		defer c.leaveBody()
	}
	response, err := c.ask()
	if err != nil {
		c.fail(err)
		return
	}
	closed := false
	defer func() {
		if !closed { // a panic, or what cannot be passed on
			_ = response.Body.Close()
		}
	}()
	if response.StatusCode < 200 { // 101 among them: no upgrades; and 0xx, which net/http cannot write
		c.fail(errNoAnswer)
		return
	}
	c.passHeader(response)
	c.WriteHeader(response.StatusCode)
	c.passBody(response)
	_ = response.Body.Close() // now: it completes the trailers
	closed = true
	c.passTrailers(response)
	if c.unread {
		c.readNoMore()
	}
}

// ask sends the request and takes the time until the header of the answer.
func (c *call) ask() (response *http.Response, err error) {
	asked := c.gateway.Now()
	if u := c.upstreamOf(); u.direct != nil && c.body == nil {
		response, err = u.direct.ask(c)
	} else {
		response, err = c.roundTrip(u)
	}
	c.upstream = max(1, c.gateway.Now().Sub(asked))
	return response, err
}

// roundTrip has the transport ask, on another connection each time that one was
// found on which more than an answer had come.
func (c *call) roundTrip(u *upstream) (*http.Response, error) {
	for {
		response, err := u.transport.RoundTrip(c.request(u))
		if c.body == nil || !c.body.withheld.Load() {
			return response, err
		}
		if err == nil {
			_ = response.Body.Close()
		}
		c.body = &requestBody{ReadCloser: c.incoming.Body} // the transport may still hold the other
	}
}

var errNoAnswer = errors.New("the upstream's status is no final one")

// passHeader takes the header of the upstream's answer over, as far as it
// passes. The answer itself, whatever its status, is the caller's.
func (c *call) passHeader(response *http.Response) {
	c.response = response
	h := c.answer.Header()
	listed := response.Header["Connection"]
	for name, values := range response.Header {
		if ofUpstream(name) && !isListed(listed, name) {
			h[name] = values
		}
	}
	if cookies := h["Set-Cookie"]; cookies != nil {
		takeCookies(h, cookies)
	}
	h[requestIDHeader] = c.trace.ids()
	c.unread = c.bodyIsUnread(h)
	for name := range response.Trailer {
		if ofUpstreamTrailer(name) {
			h["Trailer"] = append(h["Trailer"], name)
		}
	}
}

// passBody copies the body, as it comes when its length is not known or it is
// a stream of events.
func (c *call) passBody(response *http.Response) {
	if response.Body == http.NoBody {
		return
	}
	flush := response.ContentLength < 0 || strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream")
	connection := http.NewResponseController(c.answer)
	if flush {
		_ = connection.Flush() // fails when the caller is gone, as the next write does
	}
	buffer := c.gateway.buffers.Get().(*[copyBuffer]byte) // the pool holds nothing else
	defer c.gateway.buffers.Put(buffer)
	for {
		n, err := response.Body.Read(buffer[:])
		if n > 0 {
			if _, err := c.Write(buffer[:n]); err != nil {
				panic(http.ErrAbortHandler)
			}
			if flush {
				_ = connection.Flush()
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			c.gateway.Log.LogAttrs(c.incoming.Context(), slog.LevelWarn, "an answer broke off", slog.String("trace_id", c.traceID()),
				slog.String("product", c.productKey()), slog.Any("error", err))
			panic(http.ErrAbortHandler) // to return would make it look whole
		}
	}
}

// passTrailers holds what came behind the body to the rule for headers.
// Cookies do not come this way.
func (c *call) passTrailers(response *http.Response) {
	if len(response.Trailer) == 0 {
		return
	}
	h := c.answer.Header()
	// Sent now, or net/http would count a short body and leave no place for trailers.
	_ = http.NewResponseController(c.answer).Flush()
	for name, values := range response.Trailer {
		switch {
		case !ofUpstreamTrailer(name):
		case slices.Contains(h["Trailer"], name):
			h[name] = values
		default:
			h[http.TrailerPrefix+name] = values
		}
	}
}

func takeCookies(h http.Header, cookies []string) {
	kept := slices.DeleteFunc(cookies, func(cookie string) bool { return !keepCookie(cookie) })
	if h["Set-Cookie"] = kept; len(kept) == 0 {
		delete(h, "Set-Cookie")
	}
}

// copyBuffer is how much of a body is copied at once.
const copyBuffer = 32 << 10
