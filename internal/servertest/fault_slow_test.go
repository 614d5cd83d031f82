//go:build linux

package servertest_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// pipes is a listener whose connections are in memory, so that a test can let
// their time pass at once (testing/synctest).
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes { return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})} }

func (l *pipes) dial() net.Conn {
	client, served := net.Pipe()
	l.accepted <- served
	return client
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// inTime runs a test of a whole server in a bubble of its own time.
func inTime(t *testing.T, test func(t *testing.T, api *pipes), change ...func(*server.Config)) {
	t.Helper()
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		config := server.Config{Database: "sqlite:" + filepath.Join(folder, "doorward.db"), AccessLog: "off", PublicURL: "http://127.0.0.1:1"}
		config.KeyEncryptionKey.File = filepath.Join(folder, "key")
		if _, err := secret.CreateKeyEncryptionKey(config.KeyEncryptionKey.File, rand.Reader); err != nil {
			t.Fatal(err)
		}
		for _, f := range change {
			f(&config)
		}
		s, err := server.Open(t.Context(), config, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		listeners, ended := server.Listeners{API: newPipes(), Dashboard: newPipes(), Ops: newPipes()}, make(chan error)
		go func() { ended <- s.Serve(ctx, listeners) }()
		test(t, listeners.API.(*pipes))
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

const tokenHead = "POST /auth/open/connect/token HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Type: application/x-www-form-urlencoded\r\n"

// untilClosed returns how long the server keeps a connection on which nothing
// else is sent, and what it said.
func untilClosed(conn net.Conn) (kept time.Duration, said string) {
	start := time.Now()
	data, _ := io.ReadAll(conn) // the end is what is waited for, of either kind
	return time.Since(start), string(data)
}

// slowHeaders opens connections that send a byte each second, until the server
// has closed all of them.
func slowHeaders(t *testing.T, api *pipes) *sync.WaitGroup {
	t.Helper()
	var slow sync.WaitGroup
	for range 200 {
		conn := api.dial()
		slow.Go(func() {
			defer conn.Close()
			go func() { _, _ = untilClosed(conn) }() // a pipe has no buffer for the server's last words
			start := time.Now()
			for _, letter := range []byte(tokenHead) {
				if _, err := conn.Write([]byte{letter}); err != nil {
					break
				}
				time.Sleep(time.Second) // of the bubble
			}
			if kept := time.Since(start); kept > 15*time.Second {
				t.Errorf("a connection without a whole header was kept for %s", kept)
			}
		})
	}
	return &slow
}

func TestDOS01_slowHeadersEndAtTheHeaderTimeout(t *testing.T) {
	inTime(t, func(t *testing.T, api *pipes) {
		synctest.Wait()
		before := runtime.NumGoroutine()
		slowHeaders(t, api).Wait()
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before+20 {
			t.Errorf("%d goroutines before, %d after", before, after)
		}
	})
	t.Run("twin", func(t *testing.T) { // who sends a header at once is served meanwhile
		inTime(t, func(t *testing.T, api *pipes) {
			slow := slowHeaders(t, api)
			conn := api.dial()
			defer conn.Close()
			wantStatus(t, conn, "GET /auth/open/.well-known/openid-configuration HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n", http.StatusOK)
			slow.Wait()
		})
	})
}

func TestDOS03_slowBodyOfATokenRequestEnds(t *testing.T) {
	for name, framing := range map[string]string{
		"DOS-03 announced length": "Content-Length: 100\r\n\r\ngrant_",
		"DOS-03 in chunks":        "Transfer-Encoding: chunked\r\n\r\n6\r\ngrant_\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, api *pipes) {
				conn := api.dial()
				defer conn.Close()
				if _, err := io.WriteString(conn, tokenHead+framing); err != nil {
					t.Fatal(err)
				}
				kept, said := untilClosed(conn)
				if kept > 15*time.Second || !strings.HasPrefix(said, "HTTP/1.1 400 ") {
					t.Errorf("answer after %s: %q, want 400 within 15 s", kept, said)
				}
			})
			t.Run("twin", func(t *testing.T) {
				inTime(t, func(t *testing.T, api *pipes) {
					conn := api.dial()
					defer conn.Close()
					body := "grant_type=client_credentials&client_id=sandbox-round-apple-123&client_secret=x"
					wantStatus(t, conn, fmt.Sprintf("%sConnection: close\r\nContent-Length: %d\r\n\r\n%s", tokenHead, len(body), body), http.StatusUnauthorized)
				})
			})
		})
	}
}

// DOS-03: a byte of the body just in time, each time, buys no more.
func TestDOS03_tricklingBodyOfATokenRequestEnds(t *testing.T) {
	inTime(t, func(t *testing.T, api *pipes) {
		conn := api.dial()
		defer conn.Close()
		answered := make(chan string)
		go func() { _, said := untilClosed(conn); answered <- said }()
		start := time.Now()
		_, err := io.WriteString(conn, tokenHead+"Content-Length: 10000\r\n\r\n")
		for range 10000 {
			if _, err = conn.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(time.Second) // of the bubble
		}
		said := <-answered
		if kept := time.Since(start); err == nil || kept > 15*time.Second || !strings.HasPrefix(said, "HTTP/1.1 400 ") {
			t.Errorf("answer after %s: %q, want 400 within 15 s", kept, said)
		}
	})
	t.Run("twin", func(t *testing.T) {
		inTime(t, func(t *testing.T, api *pipes) { // slow and still in time
			conn := api.dial()
			defer conn.Close()
			body := "client_id=x"
			go func() {
				_, _ = fmt.Fprintf(conn, "%sConnection: close\r\nContent-Length: %d\r\n\r\n", tokenHead, len(body))
				for _, letter := range []byte(body) {
					time.Sleep(time.Second / 2) // of the bubble
					_, _ = conn.Write([]byte{letter})
				}
			}()
			wantAnswer(t, conn, http.StatusUnauthorized)
		})
	})
}

func TestDOS03_slowReaderOfAResponseEnds(t *testing.T) {
	const get = "GET /auth/open/.well-known/openid-configuration/jwks HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n"
	inTime(t, func(t *testing.T, api *pipes) {
		conn := api.dial()
		defer conn.Close()
		if _, err := io.WriteString(conn, get); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // of the bubble; nobody reads
		if _, said := untilClosed(conn); said != "" {
			t.Errorf("the response still waited to be read after two minutes: %q", said)
		}
	})
	t.Run("twin", func(t *testing.T) {
		inTime(t, func(t *testing.T, api *pipes) {
			conn := api.dial()
			defer conn.Close()
			if _, err := io.WriteString(conn, get); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second) // of the bubble
			wantAnswer(t, conn, http.StatusOK)
		})
	})
}

func wantStatus(t *testing.T, conn net.Conn, request string, status int) {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, request) }()
	wantAnswer(t, conn, status)
}

func wantAnswer(t *testing.T, conn net.Conn, status int) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		t.Errorf("answer = %d, want %d", response.StatusCode, status)
	}
	_, _ = io.Copy(io.Discard, response.Body)
}
