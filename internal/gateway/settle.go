package gateway

import (
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
)

// settled is a connection of [http.Transport], of which the next call can tell
// that nothing is left from the one before. The transport reads a connection in
// the background and takes what comes for the answer to whoever has it just
// then: bytes behind an answer too, if the next call is quick. Once it reads
// again, it holds none.
type settled struct {
	net.Conn
	quiet func() bool // whether the upstream neither closed nor sent anything

	mu      sync.Mutex
	changed sync.Cond
	reading bool // a read is under way
	closed  bool
}

func newSettled(conn net.Conn) *settled {
	s := &settled{Conn: conn, quiet: watchOf(conn)}
	s.changed.L = &s.mu
	return s
}

func (s *settled) Read(p []byte) (int, error) {
	s.note(func() { s.reading = true })
	defer s.note(func() { s.reading = false })
	return s.Conn.Read(p)
}

func (s *settled) Close() error {
	defer s.note(func() { s.closed = true })
	return s.Conn.Close()
}

func (s *settled) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}

// empty waits until the transport has read all that came, or has closed the
// connection because it was not asked for, and says which.
func (s *settled) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.reading && !s.closed {
		s.changed.Wait()
	}
	return !s.closed
}

// got looks at the connection that the transport has found for the request,
// before it is sent. One that is not as the last call should have left it gets
// nothing of the body, so that the call can be sent on another.
func (b *requestBody) got(info httptrace.GotConnInfo) {
	if !info.Reused || fit(info.Conn) {
		return
	}
	if b != nil {
		b.withheld.Store(true)
	}
	_ = info.Conn.Close()
}

func fit(conn net.Conn) bool {
	if secure, ok := conn.(*tls.Conn); ok {
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			return true // its frames name their request
		}
		s, ok := secure.NetConn().(*settled)
		return ok && s.empty() // what TLS itself may send comes at any time
	}
	s, ok := conn.(*settled)
	return ok && s.empty() && s.quiet()
}
