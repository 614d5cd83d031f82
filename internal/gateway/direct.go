package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// direct asks one upstream in clear HTTP/1.1 on behalf of calls without a body:
// most of them. [http.Transport] hands each request to two goroutines of the
// connection, so that a body can go one way while an answer comes the other; a
// call without a body has no use for that, and its own goroutine writes the
// request and reads the answer. That is a quarter of the cost of a call. The
// answer is still read by net/http.
//
// It is safe for concurrent use.
type direct struct {
	address string // to dial
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	timeout time.Duration // until the header of the answer has come
	most    int           // idle connections

	mu      sync.Mutex
	idle    []*connection // the one used last at the end
	sweeper *time.Timer   // nil: nothing is idle
}

const (
	directBuffer = 4 << 10         // of answers; large bodies pass it by
	directSweep  = 5 * time.Second // between two looks at what is idle
)

// ask sends the call's request and returns the answer once its header has come.
// Its body is closed by the caller, and gives the connection back.
func (d *direct) ask(c *call) (*http.Response, error) {
	for fresh := false; ; fresh = true {
		conn, err := d.connect(c.incoming.Context(), fresh)
		if err != nil {
			return nil, err
		}
		response, err := conn.exchange(c)
		if err == nil {
			return response, nil
		}
		again := conn.mayAskAgain(c, err)
		conn.abandon()
		if !again {
			return nil, err
		}
	}
}

// idempotent methods may be sent twice (RFC 9110 §9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// connect returns an idle connection that is still open, or a new one.
func (d *direct) connect(ctx context.Context, fresh bool) (*connection, error) {
	for !fresh {
		c := d.take()
		if c == nil {
			break
		}
		if c.open() {
			return c, nil
		}
		_ = c.Conn.Close() // the upstream has closed it, or speaks unasked
	}
	conn, err := d.dial(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, of: d, quiet: watchOf(conn)}
	c.reader = bufio.NewReaderSize(c, directBuffer)
	c.cancel = func() { _ = conn.SetDeadline(time.Unix(1, 0)) } // fails when it is closed
	return c, nil
}

func (d *direct) take() *connection {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) == 0 {
		return nil
	}
	c := d.idle[len(d.idle)-1]
	d.idle[len(d.idle)-1] = nil
	d.idle = d.idle[:len(d.idle)-1]
	return c
}

// keep takes a connection whose answer was read to its end.
func (d *direct) keep(c *connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) >= d.most {
		_ = c.Conn.Close()
		return
	}
	d.idle = append(d.idle, c)
	if d.sweeper == nil {
		d.sweeper = time.AfterFunc(directSweep, d.sweep)
	}
}

// sweep closes what was idle for too long, and what the upstream has closed
// meanwhile. It comes again while any is idle.
func (d *direct) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	latest := time.Now().Add(-upstreamIdle)
	d.idle = slices.DeleteFunc(d.idle, func(c *connection) bool {
		gone := !c.since.After(latest) || !c.open()
		if gone {
			_ = c.Conn.Close()
		}
		return gone
	})
	if d.sweeper = nil; len(d.idle) > 0 {
		d.sweeper = time.AfterFunc(directSweep, d.sweep)
	}
}

// close closes what is idle. Calls in flight go on.
func (d *direct) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.idle {
		_ = c.Conn.Close()
	}
	d.idle = nil
	if d.sweeper != nil {
		d.sweeper.Stop()
		d.sweeper = nil
	}
}

// connection is one to an upstream, used by one call at a time. It is the body
// of the answer that it carries.
type connection struct {
	net.Conn
	of     *direct
	reader *bufio.Reader
	quiet  func() bool  // whether the upstream neither closed nor sent anything
	cancel func()       // ends every read and write
	since  time.Time    // when it became idle; zero: it is new
	until  time.Time    // its deadline; zero: none
	room   int          // for more bytes of the answer's header; negative: its body may be of any length
	head   []byte       // of the request
	asked  http.Request // what net/http must know of it

	watched func() bool // ends the watch over the caller's patience
	answer  *http.Response
	body    io.ReadCloser // as net/http reads it
	ended   bool          // the body
}

// open looks whether the upstream has closed the idle connection, or has sent
// what nobody asked for: the next caller would take it for its answer.
func (c *connection) open() bool { return c.reader.Buffered() == 0 && c.quiet() }

var (
	errLongHeader  = errors.New("the header of the upstream's answer is too long")
	errSplitHeader = errors.New("a header of the request holds a line end")
)

// exchange writes the request and reads the header of the answer.
func (c *connection) exchange(call *call) (*http.Response, error) {
	c.watched = context.AfterFunc(call.incoming.Context(), c.cancel)
	c.room = upstreamHeader
	if err := c.patience(call.incoming.Context(), c.of.timeout); err != nil {
		return nil, err
	}
	if err := c.write(call); err != nil {
		return nil, err
	}
	c.asked.Method = call.incoming.Method
	for {
		response, err := http.ReadResponse(c.reader, &c.asked)
		if err != nil {
			return nil, err
		}
		if interim := response.StatusCode >= 100 && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols; interim {
			continue // not passed on (RFC 9110 §15.2); room bounds them
		}
		return response, c.begin(call.incoming.Context(), response)
	}
}

// begin lends the connection to the answer as its body.
func (c *connection) begin(ctx context.Context, response *http.Response) error {
	c.room = -1
	c.answer, c.body, c.ended = response, response.Body, response.Body == http.NoBody
	response.Close = response.Close || response.StatusCode < 200 // no final answer: what follows is not known
	response.Body = (*connectionBody)(c)
	if length := response.ContentLength; length >= 0 && length <= int64(c.reader.Buffered()) {
		return nil // it is here already
	}
	return c.patience(ctx, 0)
}

// patience sets the deadline; 0 is none. It may be up to a second late: to set
// one costs too much for each call.
func (c *connection) patience(ctx context.Context, timeout time.Duration) error {
	var until time.Time
	if timeout > 0 {
		now, late := time.Now(), min(time.Second, timeout/8)
		if left := c.until.Sub(now); left >= timeout && left <= timeout+late {
			return nil
		}
		until = now.Add(timeout + late)
	}
	c.until = until
	if err := c.Conn.SetDeadline(until); err != nil {
		return err
	}
	return ctx.Err() // the deadline that cancel had set is lost
}

// write sends the request, which has no body.
func (c *connection) write(call *call) error {
	if err := c.compose(call); err != nil {
		return err
	}
	_, err := c.Conn.Write(c.head)
	return err
}

func (c *connection) compose(call *call) error {
	u, method := call.upstreamOf(), call.incoming.Method
	b := append(c.head[:0], method...)
	b = append(b, ' ')
	b = append(b, u.base...)
	b = append(b, call.decision.Path...)
	if call.decision.RawQuery != "" || call.emptyQuery() {
		b = append(b, '?')
		b = append(b, call.decision.RawQuery...)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, u.host...)
	b = append(b, "\r\n"...)
	lines := 3 // with the empty one
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch: // RFC 9110 §8.6
		b = append(b, "Content-Length: 0\r\n"...)
		lines++
	}
	call.passHeaders(func(name string, values []string) {
		for _, value := range values {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
			lines++
		}
	})
	b = append(b, "\r\n"...)
	c.head = b
	if bytes.Count(b, []byte{'\n'}) != lines || bytes.Count(b, []byte{'\r'}) != lines { // net/http refuses such a caller; it must stay so
		return errSplitHeader
	}
	return nil
}

// Read reads from the upstream, as much as an answer's header may hold.
func (c *connection) Read(p []byte) (int, error) {
	if c.room < 0 {
		return c.Conn.Read(p)
	}
	if c.room == 0 {
		return 0, errLongHeader
	}
	n, err := c.Conn.Read(p[:min(len(p), c.room)])
	c.room -= n
	return n, err
}

// mayAskAgain says whether the request may be sent on another connection: the
// upstream has closed this one, which was used before, without a byte of an
// answer, and to ask twice does no harm.
func (c *connection) mayAskAgain(call *call, err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return !c.since.IsZero() && c.room == upstreamHeader && !(ok && timeout.Timeout()) &&
		idempotent(call.incoming.Method) && call.incoming.Context().Err() == nil && !errors.Is(err, errSplitHeader)
}

func (c *connection) abandon() {
	c.watched()
	_ = c.Conn.Close()
}

// connectionBody is the connection as the body of its answer.
type connectionBody connection

func (b *connectionBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

// Close gives the connection back if nothing is left on it and nobody has
// cancelled it, else closes it.
func (b *connectionBody) Close() error {
	c := (*connection)(b)
	reusable := c.ended && !c.answer.Close && c.reader.Buffered() == 0
	c.answer, c.body = nil, nil
	if !c.watched() || !reusable {
		return c.Conn.Close()
	}
	c.since = time.Now()
	c.of.keep(c)
	return nil
}
