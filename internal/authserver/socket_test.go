package authserver_test

import (
	"bufio"
	"fmt"
	"github.com/doorward/doorward/internal/authserver"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// dial opens a raw connection to a server, since HTTP libraries send no broken
// requests.
func (w *world) dial(t testing.TB) net.Conn {
	t.Helper()
	server := httptest.NewServer(w.server)
	t.Cleanup(server.Close)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	w.must(err)
	t.Cleanup(func() { _ = conn.Close() })
	w.must(conn.SetDeadline(time.Now().Add(10 * time.Second)))
	return conn
}

func (w *world) readAnswer(t testing.TB, in *bufio.Reader) *answer {
	t.Helper()
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return read(t, response)
}

const postHead = "POST " + tokenPath + " HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n"

func TestTOK13_bodyOverTheLimitIsRefusedBeforeItsEnd(t *testing.T) {
	w := newSQLiteWorld(t)
	t.Run("TOK-13 announced length", func(t *testing.T) {
		conn := w.dial(t)
		fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n", postHead, 16<<10+1) // and nothing more
		a := w.readAnswer(t, bufio.NewReader(conn))
		if a.StatusCode != 413 || !a.Close {
			t.Errorf("answer = %d %s, close %t, want 413 and the connection closed", a.StatusCode, a.body, a.Close)
		}
		checkError(t, a)
	})
	t.Run("TOK-13 in chunks", func(t *testing.T) {
		conn := w.dial(t)
		fmt.Fprintf(conn, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", postHead, 16<<10+1, strings.Repeat("x", 16<<10+1)) // no last chunk
		if a := w.readAnswer(t, bufio.NewReader(conn)); a.StatusCode != 413 || !a.Close {
			t.Errorf("answer = %d %s, close %t, want 413 and the connection closed", a.StatusCode, a.body, a.Close)
		}
	})
	t.Run("TOK-13 /twin", func(t *testing.T) {
		conn := w.dial(t)
		body := w.a1.tokenForm()
		body += "&x=" + strings.Repeat("y", 16<<10-len(body)-3)
		in := bufio.NewReader(conn)
		for range 2 { // the connection stays open
			fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", postHead, len(body), body)
			if a := w.readAnswer(t, in); a.StatusCode != 200 || a.Close {
				t.Errorf("answer = %d %s, close %t, want a token", a.StatusCode, a.body, a.Close)
			}
		}
	})
	t.Run("TOK-13 memory stays flat", func(t *testing.T) {
		refuse := func() {
			r := request(tokenPath, "")
			r.Body, r.ContentLength = endless{}, -1
			w.refused(t, r, 413, "invalid_request")
		}
		refuse()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const rounds = 50
		for range rounds {
			refuse()
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / rounds; each > 2*authserver.MaxBody { // the race detector makes pools forget
			t.Errorf("%d bytes allocated per refusal of a body without end", each)
		}
	})
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func (endless) Close() error { return nil }

func TestBrokenBodyIsInvalidRequest(t *testing.T) {
	w := newSQLiteWorld(t)
	conn := w.dial(t)
	body := w.a1.tokenForm()
	fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", postHead, len(body)+1, body)
	w.must(conn.(*net.TCPConn).CloseWrite())
	if a := w.readAnswer(t, bufio.NewReader(conn)); a.StatusCode != 400 || a.Error != "invalid_request" {
		t.Errorf("answer = %d %s, want invalid_request", a.StatusCode, a.body)
	}
}
