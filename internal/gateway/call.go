package gateway

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
)

// call is one call on its way. It is used again for others. Nothing may keep a
// call after ServeHTTP.
type call struct {
	gateway *Gateway
	random  randomness
	line    []byte // of the access log
	progress
}

// progress is what a call knows so far.
type progress struct {
	answer   http.ResponseWriter
	incoming *http.Request
	body     *requestBody   // nil: there is none
	response *http.Response // of the upstream, once its header has come

	peer     netip.Addr
	peerText string // as in RemoteAddr
	trace    trace
	decision access.Decision
	product  *product // nil: none was found
	route    *route
	local    Local     // nil: an upstream answers
	identity *identity // nil: anonymous
	allowed  bool
	lacking  string // permission

	started  time.Time
	upstream time.Duration // until its header had come; 0: it was not asked
	status   int           // 0: none was sent
	code     fault.Code    // why the upstream's answer is not the caller's; empty when it is
	sent     int64         // bytes of the body
	unread   bool          // the answer began before the body's end
	lingers  bool          // the rest of the body is read for a moment
	complete bool
}

func (c *call) begin(w http.ResponseWriter, r *http.Request) {
	c.answer, c.incoming = w, r
	c.started = c.gateway.Now()
	c.route = c.gateway.nowhere
	c.peer, c.peerText = peerOf(r.RemoteAddr)
	c.trace = c.random.traceOf(c.gateway.Rand, r.Header)
}

// decide asks whether the call may pass, and finds all that forwarding needs.
func (c *call) decide(local map[string]Local) (err error) {
	r := c.incoming
	if err := oneHost(r); err != nil {
		return err
	}
	request := access.Request{Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header, Peer: c.peer}
	c.decision, err = c.gateway.Access.Decide(r.Context(), &request)
	if definition := c.decision.Match.Product; definition != nil {
		c.product = c.gateway.product(definition)
		c.route = c.product.routes[c.decision.Match.Route]
	}
	switch {
	case err != nil:
		return err
	case local[c.productKey()] != nil:
		c.local, c.allowed = local[c.productKey()], true
		return nil
	case c.upstreamOf() == nil:
		return fault.Errorf(fault.Internal, "product %s has no usable upstream in %s", c.productKey(), c.decision.Environment)
	}
	c.identity, err = c.gateway.identities.of(&c.decision, c.started)
	c.allowed = err == nil
	return err
}

// oneHost refuses what net/http lets pass: HTTP/1.0 without Host (RFC 9112
// §3.2), and HTTP/2 with a Host header beside :authority that is not the same
// (RFC 9113 §8.3.1).
func oneHost(r *http.Request) error {
	beside := r.Header["Host"] // net/http has taken that of HTTP/1 out
	if r.Host == "" || len(beside) > 1 || len(beside) == 1 && beside[0] != r.Host {
		return fault.New(fault.RequestMalformed, "the request names no host, or two; send one Host header")
	}
	return nil
}

// answerLocally has this process answer in place of an upstream.
func (c *call) answerLocally() {
	c.answer.Header()[requestIDHeader] = c.trace.ids()
	if err := c.local(c, c.incoming, &c.decision, c.peer, c.traceID()); err != nil {
		c.refuse(err)
	}
}

// refuse answers in place of the upstream.
func (c *call) refuse(err error) {
	c.gateway.report(c.incoming.Context(), c, err)
	h := c.answer.Header()
	h[requestIDHeader] = c.trace.ids()
	c.unread = c.bodyIsUnread(h)
	c.code = fault.InternalError
	if e, ok := errors.AsType[*fault.Error](err); ok {
		c.code, c.lacking = e.Code, e.Scope
	}
	fault.WriteProblem(c, c.gateway.HelpURL, c.traceID(), err)
	if c.unread {
		c.readNoMore()
	}
}

// bodyIsUnread says whether the answer comes before the end of a body that was
// announced. It ends the connection then, so that nobody waits for the rest:
// not the caller that asked first (RFC 9110 §10.1.1), nor we. HTTP/2 ends the
// stream by itself.
func (c *call) bodyIsUnread(answer http.Header) bool {
	unread := c.incoming.ContentLength != 0 && c.incoming.ProtoMajor == 1 && (c.body == nil || !c.body.ended.Load())
	if unread {
		answer["Connection"] = []string{"close"}
	}
	return unread
}

// unreadBody is how long the rest of a body is read for when the answer is
// out: a connection that is closed with bytes unread can take the answer away
// (RFC 9112 §9.6).
const unreadBody = 500 * time.Millisecond

// readNoMore sends the answer and leaves the rest of the body to net/http, for
// a moment. A read that is under way would make it wait without a limit.
func (c *call) readNoMore() {
	c.lingers = true
	connection := http.NewResponseController(c.answer)
	if c.body != nil {
		_ = connection.Flush() // fails when the caller is gone
	}
	_ = connection.SetReadDeadline(time.Now().Add(unreadBody)) // not supported: then the server's own limit holds
}

// leaveBody lets nobody read the caller's body any longer: the transport may
// still do so when the answer has come early or broke off.
func (c *call) leaveBody() {
	if !c.lingers && !c.body.ended.Load() {
		_ = http.NewResponseController(c.answer).SetReadDeadline(time.Now()) // ends a read that is under way
	}
	c.body.stop()
}

// end writes the call down and makes it ready for another. A call that was
// aborted is left to the garbage collector: parts of it may still be in use.
func (c *call) end() {
	if !c.complete {
		c.code = c.abortedBy()
	}
	total := c.gateway.Now().Sub(c.started)
	c.gateway.Metrics.observe(c, total)
	c.log(total)
	c.observe(total)
	if c.complete {
		c.progress = progress{}
		c.gateway.calls.Put(c)
	}
}

func (c *call) traceID() string { return c.trace.id() }

func (c *call) productKey() string {
	if c.product == nil {
		return ""
	}
	return c.product.definition.Key
}

// peerOf reads an address with or without a port. What is no address is the
// zero Addr, which no list of networks contains.
func peerOf(text string) (netip.Addr, string) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		host := text
		for i := len(text) - 1; host == text && i > 0; i-- {
			if text[i] == ':' {
				host = text[:i]
			}
		}
		if host[0] == '[' {
			host = host[1 : len(host)-1]
		}
		return withPort.Addr(), host
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, ""
	}
	return addr, text
}
