package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline of everything that goes over a socket: a test that hangs fails.
const deadline = 10 * time.Second

// received is a request as the upstream read it from its socket.
type received struct {
	line   string   // GET /x HTTP/1.1
	fields []string // header lines, as they were
	header http.Header
	body   string
}

func (r *received) target() string { return strings.Split(r.line, " ")[1] }

// upstream is a server that records and answers bytes.
type upstream struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	requests []*received
	count    int // requests whose body came to its end
	conns    map[net.Conn]bool
	total    int                              // connections, since the start
	answer   func(conn net.Conn, r *received) // nil: 200 with the body "ok"
	early    func(conn net.Conn, r *http.Request)
}

const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	return newUpstreamOn(t, listen(t))
}

func newUpstreamOn(t testing.TB, listener net.Listener) *upstream {
	t.Helper()
	u := &upstream{listener: listener, conns: map[net.Conn]bool{}}
	u.serving.Go(u.accept)
	t.Cleanup(u.close)
	return u
}

func (u *upstream) url() string { return "http://" + u.listener.Addr().String() }

func (u *upstream) close() {
	_ = u.listener.Close()
	u.mu.Lock()
	for conn := range u.conns {
		_ = conn.Close()
	}
	u.mu.Unlock()
	u.serving.Wait()
}

// reopen listens again where it did.
func (u *upstream) reopen(t testing.TB) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", u.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	u.listener = listener
	u.serving.Go(u.accept)
}

func (u *upstream) accept() {
	for {
		conn, err := u.listener.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns[conn] = true
		u.total++
		u.mu.Unlock()
		u.serving.Go(func() { u.serve(conn) })
	}
}

func (u *upstream) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		u.mu.Lock()
		delete(u.conns, conn)
		u.mu.Unlock()
	}()
	var raw bytes.Buffer
	source := bufio.NewReaderSize(io.TeeReader(conn, &raw), 16) // reads little ahead
	for {
		raw.Reset()
		parsed, err := http.ReadRequest(source)
		if err != nil {
			return
		}
		head, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
		head = head[strings.Index(head, parsed.Method):]
		first, rest, _ := strings.Cut(head, "\r\n")
		r := &received{line: first, fields: strings.Split(rest, "\r\n"), header: parsed.Header}
		u.mu.Lock()
		early := u.early
		u.mu.Unlock()
		if early != nil {
			early(conn, parsed)
			return
		}
		body, err := io.ReadAll(parsed.Body)
		r.body = string(body)
		u.mu.Lock()
		u.requests = append(u.requests, r)
		if err == nil {
			u.count++
		}
		answer := u.answer
		u.mu.Unlock()
		if err != nil {
			return
		}
		if answer == nil {
			_, err = io.WriteString(conn, ok)
		} else {
			answer(conn, r)
		}
		if err != nil {
			return
		}
	}
}

// answers sets what is answered from now on.
func (u *upstream) answers(answer func(conn net.Conn, r *received)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

// says sets bytes to answer from now on.
func (u *upstream) says(text string) {
	u.answers(func(conn net.Conn, _ *received) { _, _ = io.WriteString(conn, text) })
}

// says and hangs up.
func (u *upstream) saysLast(text string) {
	u.answers(func(conn net.Conn, _ *received) {
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	})
}

// takeOver lets a function handle the connection after the header was read.
func (u *upstream) takeOver(early func(conn net.Conn, r *http.Request)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.early = early
}

// taken returns what was received since the last time.
func (u *upstream) taken() []*received {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.requests
	u.requests = nil
	return taken
}

// whole is how many requests came as a whole, since the start.
func (u *upstream) whole() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count
}

func (u *upstream) accepted() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// answered is a response as the caller read it.
type answered struct {
	status  int
	header  http.Header
	body    string
	closed  bool // the connection, after this answer
	broken  error
	interim []int
}

// problem is the problem document's code, "" if it is none.
func (a *answered) code() string {
	var p struct{ Code string }
	if a.header.Get("Content-Type") == "application/problem+json" && json.Unmarshal([]byte(a.body), &p) == nil {
		return p.Code
	}
	return ""
}

// send writes bytes to the gateway and reads one answer.
func (w *world) send(raw string) *answered {
	w.t.Helper()
	conn := w.dial()
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, raw) }() // ends with the connection; the gateway may answer before it has read all
	return w.read(conn, strings.HasPrefix(raw, "HEAD "))
}

func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", w.address)
	w.must(err)
	w.must(conn.SetDeadline(time.Now().Add(deadline)))
	return conn
}

// read reads one answer, and whether the connection ends behind it.
func (w *world) read(conn net.Conn, head bool) *answered {
	w.t.Helper()
	reader := bufio.NewReader(conn)
	a := &answered{}
	method := http.MethodGet
	if head {
		method = http.MethodHead
	}
	var response *http.Response
	for {
		var err error
		if response, err = http.ReadResponse(reader, &http.Request{Method: method}); err != nil {
			a.broken = err
			return a
		}
		if response.StatusCode >= 200 || response.StatusCode == 101 {
			break
		}
		a.interim = append(a.interim, response.StatusCode)
	}
	defer response.Body.Close()
	a.status, a.header = response.StatusCode, response.Header
	body, err := io.ReadAll(response.Body)
	a.body, a.broken = string(body), err
	if response.Close {
		_, err := reader.ReadByte()
		a.closed = err != nil && !isTimeout(err)
	}
	return a
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// request builds the bytes of a request with a good token of the client ("" for none).
func (w *world) request(method, target string, token string, fields ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: api.example\r\n")
	if token != "" {
		b.WriteString("Authorization: Bearer " + token + "\r\n")
	}
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// passes sends and expects the upstream to have got exactly one request.
func (w *world) passes(t testing.TB, raw string) (*received, *answered) {
	t.Helper()
	w.upstream.taken()
	a := w.send(raw)
	taken := w.upstream.taken()
	if len(taken) != 1 || a.status != 200 {
		t.Fatalf("status %d, code %q, error %v, the upstream got %d requests, want 200 and 1\n%s%s", a.status, a.code(), a.broken, len(taken), clip(raw), clip(a.body))
	}
	return taken[0], a
}

// refused sends and expects the upstream to have got nothing.
func (w *world) refused(t testing.TB, raw string, statuses ...int) *answered {
	t.Helper()
	w.upstream.taken()
	a := w.send(raw)
	if taken := w.upstream.taken(); len(taken) != 0 {
		t.Errorf("the upstream got %q", taken[0].line)
	}
	for _, status := range statuses {
		if a.status == status {
			return a
		}
	}
	t.Errorf("status %d, code %q, error %v, want one of %v\n%s", a.status, a.code(), a.broken, statuses, clip(raw))
	return a
}

func clip(text string) string { return text[:min(len(text), 600)] }
