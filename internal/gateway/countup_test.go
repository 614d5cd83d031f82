package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Upstreams break off after the first byte of their answer, then after the
// second, and so on until the answer is whole: a caller never takes part of an
// answer for all of it, and nothing is asked twice.
func TestAnAnswerThatBreaksOffIsNeverTakenForAWholeOne(t *testing.T) {
	const body = "the whole answer"
	for framing, answer := range map[string]string{
		"with a length": "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n" + body,
		"in chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nthe whole\r\n7\r\n answer\r\n0\r\n\r\n",
	} {
		header := strings.Index(answer, "\r\n\r\n") + len("\r\n\r\n")
		for way, request := range ways {
			t.Run(framing+" "+way, func(t *testing.T) {
				w := newWorld(t)
				for n := range len(answer) + 1 {
					w.upstream.saysLast(answer[:n])
					got := w.callOnce(t, request(w))
					switch {
					case n < header && (got.status != http.StatusBadGateway || got.broken != nil || !strings.Contains(got.body, "upstream_unreachable")):
						t.Errorf("%d bytes, in the header: status %d, %q, %v", n, got.status, got.body, got.broken)
					case n >= header && n < len(answer) && (got.status > http.StatusOK || got.broken == nil || !strings.HasPrefix(body, got.body)):
						t.Errorf("%d bytes, in the body: status %d, %q, %v", n, got.status, got.body, got.broken)
					case n == len(answer) && (got.status != http.StatusOK || got.broken != nil || got.body != body):
						t.Errorf("the whole: status %d, %q, %v", got.status, got.body, got.broken)
					}
					if asked := len(w.upstream.taken()); asked != 1 {
						t.Errorf("%d bytes: the upstream was asked %d times", n, asked)
					}
				}
			})
		}
	}
}

// called is what a caller gets.
type called struct {
	status int // 0: none came
	body   string
	broken error // why the answer has no end
}

// callOnce calls on a connection of its own.
func (w *world) callOnce(t *testing.T, raw string) (got called) {
	t.Helper()
	conn := w.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return called{broken: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return called{response.StatusCode, string(text), err}
}
