//go:build linux

package servertest_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// faultyProxy stands in front of a database and makes the network's faults. It
// is ours because it must know PostgreSQL's protocol: the worst moment for a
// connection to break is just behind the server's word that it has committed.
type faultyProxy struct {
	listener net.Listener
	target   string
	gate     sync.RWMutex // write-locked: what arrives is held, on old connections and new ones
	delay    atomic.Int64 // of what the server says, in nanoseconds
	breaks   atomic.Pointer[breakage]
	broken   atomic.Int64 // connections
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// breakage says whether a connection is reset instead of passing these bytes on.
type breakage func(fromServer bool, bytes []byte) bool

func newFaultyProxy(t *testing.T, target string) *faultyProxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &faultyProxy{listener: listener, target: target}
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *faultyProxy) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *faultyProxy) serve(client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	p.running.Go(func() { p.forward(server, client, false) })
	p.forward(client, server, true)
}

func (p *faultyProxy) forward(to, from net.Conn, fromServer bool) {
	defer to.Close()
	data := make([]byte, 64<<10)
	for {
		n, err := from.Read(data)
		if n > 0 {
			err = p.pass(to, from, fromServer, data[:n])
		}
		if err != nil {
			return
		}
	}
}

func (p *faultyProxy) pass(to, from net.Conn, fromServer bool, data []byte) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if delay := p.delay.Load(); fromServer && delay > 0 {
		<-time.After(time.Duration(delay))
	}
	if breaks := p.breaks.Load(); breaks != nil && (*breaks)(fromServer, data) {
		p.broken.Add(1)
		reset(to)
		reset(from)
		return net.ErrClosed
	}
	_, err := to.Write(data)
	return err
}

// reset ends a connection without a goodbye.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
