package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// once is a listener of the one connection that it is given.
type once struct {
	conn   chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func (l *once) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *once) Close() error   { l.close.Do(func() { close(l.closed) }); return nil }
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

// patiently serves a connection in memory by a patient handler, in a bubble of
// its own time.
func patiently(t *testing.T, handler http.HandlerFunc, caller func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &once{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		client, served := net.Pipe()
		l.conn <- served
		server := &http.Server{Handler: patient(handler), ReadHeaderTimeout: readHeaderTimeout}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(l) }) // ends with Close
		caller(t, client)
		_ = client.Close()
		_ = server.Close()
		serving.Wait()
	})
}

const upload = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"

func TestDOS03_callThatStopsMovingEnds(t *testing.T) {
	t.Run("DOS-03 body", func(t *testing.T) {
		// sends a byte of the body each pause, and returns what the handler met.
		send := func(t *testing.T, pause time.Duration) (took time.Duration, met error) {
			start := time.Now()
			patiently(t, func(_ http.ResponseWriter, r *http.Request) {
				start = time.Now()
				_, met = io.ReadAll(r.Body)
				took = time.Since(start)
			}, func(_ *testing.T, conn net.Conn) {
				var sending sync.WaitGroup
				defer sending.Wait()
				sending.Go(func() {
					_, err := io.WriteString(conn, upload)
					for i := 0; i < 100 && err == nil; i++ {
						time.Sleep(pause) // of the bubble
						_, err = conn.Write([]byte("x"))
					}
				})
				_, _ = io.ReadAll(conn)
				_ = conn.Close()
			})
			return took, met
		}
		if took, met := send(t, time.Hour); !errors.Is(met, os.ErrDeadlineExceeded) || took > 2*bodyPatience {
			t.Errorf("the handler read %v after %s, want the deadline", met, took)
		}
		t.Run("twin", func(t *testing.T) {
			if took, met := send(t, bodyPatience/2); met != nil || took < 40*bodyPatience {
				t.Errorf("the handler read %v after %s, want the whole slow body", met, took)
			}
		})
	})
	t.Run("DOS-03 response", func(t *testing.T) {
		// reads a kilobyte of the response each pause.
		receive := func(t *testing.T, pause time.Duration) (took time.Duration, met error) {
			patiently(t, func(w http.ResponseWriter, _ *http.Request) {
				start, piece := time.Now(), []byte(strings.Repeat("x", 16<<10))
				for i := 0; i < 20 && met == nil; i++ {
					_, met = w.Write(piece)
				}
				took = time.Since(start)
			}, func(_ *testing.T, conn net.Conn) {
				_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				for data := make([]byte, 32<<10); err == nil; {
					time.Sleep(pause) // of the bubble
					_, err = conn.Read(data)
				}
			})
			return took, met
		}
		if took, met := receive(t, time.Hour); !errors.Is(met, os.ErrDeadlineExceeded) || took > 2*responsePatience {
			t.Errorf("the handler wrote %v after %s, want the deadline", met, took)
		}
		t.Run("twin", func(t *testing.T) {
			if took, met := receive(t, responsePatience/10); met != nil || took < responsePatience {
				t.Errorf("the handler wrote %v after %s, want a whole slow response", met, took)
			}
		})
	})
}
