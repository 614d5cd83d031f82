package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/internal/gateway"
)

// newWorld2 is a world whose gateway speaks HTTP/2 over TLS.
func newWorld2(t *testing.T) *world {
	t.Helper()
	return newWorld(t, func(_ *gateway.Config, s *http.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{trusted}, MinVersion: tls.VersionTLS12}
	})
}

// frames sends one request as the fields are, and returns the status, or "" when
// the stream or the connection was ended instead.
func (w *world) frames(fields []hpack.HeaderField, data string) string {
	w.t.Helper()
	conn := tls.Client(w.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // a certificate of this test
	defer conn.Close()
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err := io.WriteString(conn, http2.ClientPreface)
	w.must(err)
	w.must(framer.WriteSettings())
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		w.must(encoder.WriteField(f))
	}
	w.must(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: data == ""}))
	if data != "" {
		w.must(framer.WriteData(1, true, []byte(data)))
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			if isTimeout(err) || errors.Is(err, http2.ErrFrameTooLarge) {
				w.t.Errorf("read a frame: %v", err)
			}
			return ""
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return ""
		}
	}
}

func TestGW26_http2(t *testing.T) {
	w := newWorld2(t)
	token := w.token(w.client)
	get := func(change func(name, value string) string, more ...hpack.HeaderField) []hpack.HeaderField {
		fields := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "api.example"}, {Name: ":path", Value: "/p1/x"}, {Name: "authorization", Value: "Bearer " + token}}
		for i := range fields {
			if change != nil {
				fields[i].Value = change(fields[i].Name, fields[i].Value)
			}
		}
		return append(fields, more...)
	}
	with := func(name, value string) []hpack.HeaderField {
		return get(nil, hpack.HeaderField{Name: name, Value: value})
	}
	pseudo := func(wanted, to string) []hpack.HeaderField {
		return get(func(name, value string) string {
			if name == wanted {
				return to
			}
			return value
		})
	}
	for _, tt := range []struct {
		name   string
		fields []hpack.HeaderField
		data   string
	}{
		{"connection", with("connection", "close"), ""},
		{"connection names ours", with("connection", "doorward-client-id"), ""},
		{"keep-alive", with("keep-alive", "1"), ""},
		{"proxy-connection", with("proxy-connection", "close"), ""},
		{"transfer-encoding", with("transfer-encoding", "chunked"), "hello"},
		{"upgrade", with("upgrade", "websocket"), ""},
		{"te gzip", with("te", "gzip"), ""},
		{"CR LF in a value", with("x-a", "a\r\nx-evil: 1"), ""},
		{"LF in a value", with("x-a", "a\nb"), ""},
		{"NUL in a value", with("x-a", "a\x00b"), ""},
		{"upper-case name", with("X-A", "1"), ""},
		{"empty name", with("", "1"), ""},
		{"colon in a name", with("x:a", "1"), ""},
		{"CR LF in a name", with("x\r\na", "1"), ""},
		{"unknown pseudo header", with(":evil", "1"), ""},
		{"pseudo header behind others", with(":path", "/p1/public"), ""},
		{"empty path", pseudo(":path", ""), ""},
		{"path without a slash", pseudo(":path", "p1/x"), ""},
		{"asterisk", pseudo(":path", "*"), ""},
		{"absolute path of another host", pseudo(":path", "https://evil.example/p1/x"), ""},
		{"double slash", pseudo(":path", "//p1/x"), ""},
		{"dot segments", pseudo(":path", "/p1/../p2/x"), ""},
		{"space in the path", pseudo(":path", "/p1/any/a b"), ""},
		{"CR LF in the path", pseudo(":path", "/p1/x HTTP/1.1\r\nX-Evil: 1"), ""},
		{"method with a space", pseudo(":method", "GET /p1/public HTTP/1.1\r\n"), ""},
		{"no authority", pseudo(":authority", ""), ""},
		{"authority and host differ", with("host", "evil.example"), ""},
		{"length of other data", with("content-length", "2"), "hello"},
	} {
		t.Run("GW-26 "+tt.name, func(t *testing.T) {
			w.upstream.taken()
			before := w.upstream.whole()
			status := w.frames(tt.fields, tt.data)
			// A request whose body turns out wrong may have begun; it never ends.
			begun := len(w.upstream.taken()) > 0 && tt.data == ""
			if strings.HasPrefix(status, "2") || begun || w.upstream.whole() != before {
				t.Errorf("status %q", status)
			}
			t.Run("twin", func(t *testing.T) {
				fields := get(nil, hpack.HeaderField{Name: "x-twin", Value: tt.name}, hpack.HeaderField{Name: "te", Value: "trailers"}, hpack.HeaderField{Name: "host", Value: "api.example"})
				status := w.frames(fields, "")
				// The refused request's beginning may be recorded only now.
				twins := slices.DeleteFunc(w.upstream.taken(), func(r *received) bool { return r.header.Get("X-Twin") != tt.name })
				if status != "200" || len(twins) != 1 {
					t.Errorf("status %q, the upstream saw %d", status, len(twins))
				}
			})
		})
	}
	t.Run("refused body leaves the connection alone", func(t *testing.T) {
		fields := get(func(name, value string) string {
			switch name {
			case ":method":
				return "POST"
			case "authorization":
				return "Bearer x"
			}
			return value
		})
		if status := w.frames(fields, "hello"); status != "401" {
			t.Errorf("status %q", status)
		}
	})
}
