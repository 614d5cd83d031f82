//go:build linux

package servertest_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// withTLS gives a platform a certificate of its own making.
func withTLS(t *testing.T) func(*server.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *server.Config) {
		c.TLS.CertificateFile, c.TLS.KeyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
		for path, block := range map[string]*pem.Block{c.TLS.CertificateFile: {Type: "CERTIFICATE", Bytes: certificate}, c.TLS.KeyFile: {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// usage is what floods must give back.
type usage struct{ goroutines, descriptors int }

func used(t *testing.T) usage {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), len(open)}
}

// returned waits until goroutines and descriptors are back where they were.
// Idle connections to the upstream are kept for the next call; they are no
// leak, and would hide one.
func returned(t *testing.T, before usage, upstream *httptest.Server) {
	t.Helper()
	eventually(t, "the return of goroutines and descriptors", func() bool {
		upstream.CloseClientConnections()
		now := used(t)
		return now.goroutines <= before.goroutines+10 && now.descriptors <= before.descriptors+5
	})
}

// Frames of HTTP/2 (RFC 9113 §6), by hand: no client sends what floods need.
const (
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

func frame(kind, flags byte, stream int, payload []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	out = append(out, flags)
	return append(binary.BigEndian.AppendUint32(out, uint32(stream)), payload...)
}

// hpack appends a literal: an index of a name in the static table, and a value
// (RFC 7541 §6.2.2).
func hpack(out []byte, index int, value string) []byte {
	return append(hpackInteger(hpackInteger(out, 15, index), 127, len(value)), value...)
}

func hpackInteger(out []byte, most, n int) []byte {
	if n < most {
		return append(out, byte(n))
	}
	out = append(out, byte(most))
	for n -= most; n >= 128; n /= 128 {
		out = append(out, byte(n%128|128))
	}
	return append(out, byte(n))
}

// flood sends the i-th piece of an attack; request is the header block of a
// good call.
type flood func(i int, request []byte) []byte

func stream(i int) int { return 2*i + 1 }

var floods = map[string]flood{
	"DOS-04 rapid reset": func(i int, request []byte) []byte {
		return append(frame(frameHeaders, flagEndHeaders|flagEndStream, stream(i), request), frame(frameReset, 0, stream(i), []byte{0, 0, 0, 8})...)
	},
	"DOS-04 resets by the server": func(i int, request []byte) []byte { // an increment of 0 is an error of the stream
		return append(frame(frameHeaders, flagEndHeaders, stream(i), request), frame(frameWindowUpdate, 0, stream(i), make([]byte, 4))...)
	},
	"DOS-04 streams without end": func(i int, request []byte) []byte { return frame(frameHeaders, flagEndHeaders, stream(i), request) },
	"DOS-04 continuations": func(i int, request []byte) []byte {
		if i == 0 {
			return frame(frameHeaders, 0, 1, request)
		}
		return frame(frameContinuation, 0, 1, hpack(nil, 32, strings.Repeat("x", 100)))
	},
	"DOS-04 settings": func(int, []byte) []byte { return frame(frameSettings, 0, 0, nil) },
	"DOS-04 pings":    func(int, []byte) []byte { return frame(framePing, 0, 0, make([]byte, 8)) },
}

// floodPlatform is a platform with a product whose upstream never answers.
func floodPlatform(t *testing.T) (p *servertest.Platform, c servertest.Client, upstream *httptest.Server, peak *atomic.Int64) {
	t.Helper()
	peak = new(atomic.Int64)
	var now atomic.Int64
	upstream = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > peak.Load() {
			peak.Store(n)
		}
		defer now.Add(-1)
		if _, err := io.Copy(io.Discard, r.Body); err == nil { // net/http notices the end of a connection only behind the body
			<-r.Context().Done()
		}
	}))
	t.Cleanup(upstream.Close)
	p = servertest.Start(t, withTLS(t), func(c *server.Config) {
		c.Products = append(c.Products, demo.Catchall("slow", "/slow", upstream.URL))
	})
	return p, p.NewClient("slow.call"), upstream, peak
}

// tlsClient trusts every certificate: the floods are about something else.
func tlsClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
}

func TestDOS04_floodsOfFramesAreBounded(t *testing.T) {
	p, c, upstream, peak := floodPlatform(t)
	address := strings.TrimPrefix(p.URL, "https://")
	accessToken := tokenOverTLS(t, p, c)
	request := []byte{0x82, 0x87} // GET, https
	request = hpack(request, 1, address)
	request = hpack(request, 4, "/slow/x")
	request = hpack(request, 23, "Bearer "+accessToken)
	for name, piece := range floods {
		t.Run(name, func(t *testing.T) {
			before := used(t)
			conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			most := before.goroutines
			_, err = conn.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameSettings, 0, 0, nil)...))
			sent := 0
			for ; sent < size(5_000, 20_000, 20_000) && err == nil; sent++ {
				if _, err = conn.Write(piece(sent, request)); sent%50 == 0 {
					most = max(most, runtime.NumGoroutine())
				}
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the server neither read the flood nor closed the connection")
			}
			if bound := before.goroutines + 10*250; most > bound { // 250 streams at once, each with some goroutines
				t.Errorf("%d goroutines during the flood, want %d at most", most, bound)
			}
			if n := peak.Load(); n > 3*250 { // some end while others begin
				t.Errorf("%d calls reached the upstream at once", n)
			}
			t.Run("twin", func(t *testing.T) { // another caller, meanwhile
				if tokenOverTLS(t, p, c) == "" {
					t.Error("no token")
				}
			})
			_ = conn.Close()
			returned(t, before, upstream)
		})
	}
	if peak.Load() == 0 {
		t.Error("no call of the floods reached the upstream: they flooded nothing")
	}
}

func tokenOverTLS(t *testing.T, p *servertest.Platform, c servertest.Client) string {
	t.Helper()
	form := credentials(c)
	form.Set("grant_type", "client_credentials")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.TokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := tlsClient().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	_, rest, _ := strings.Cut(string(body), `"access_token":"`)
	value, _, _ := strings.Cut(rest, `"`)
	if err != nil || value == "" {
		t.Fatalf("token request = %d %s %v", response.StatusCode, body, err)
	}
	return value
}

// raw sends bytes and returns the answer; status 0: the server closed without.
func raw(t *testing.T, p *servertest.Platform, request string) (status int, closes bool) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	defer conn.Close()
	writing.Go(func() { _, _ = io.WriteString(conn, request) }) // the server may answer before it has read all
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, true
	}
	_ = response.Body.Close()
	return response.StatusCode, response.Close
}

func TestDOS10_oversizedHeadersAreRefused(t *testing.T) {
	p := servertest.Start(t)
	head := func(target, fields string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(p.URL, "http://") + "\r\n" + fields + "\r\n"
	}
	field := func(name string, bytes int) string { return name + ": " + strings.Repeat("x", bytes) + "\r\n" }
	for _, c := range []struct{ name, request, twin string }{
		{"DOS-10 a megabyte of one field", head("/echo/x", field("X-A", 1<<20)), head("/echo/x", field("X-A", 4<<10))},
		{"DOS-10 a megabyte of fields", head("/echo/x", strings.Repeat(field("X-A", 100), 10_000)), head("/echo/x", strings.Repeat(field("X-A", 100), 20))},
		{"DOS-10 ten thousand cookies", head("/echo/x", "Cookie: "+strings.Repeat("a=b; ", 10_000)+"\r\n"), head("/echo/x", "Cookie: "+strings.Repeat("a=b; ", 100)+"\r\n")},
		{"DOS-10 a target of 64 kB", head("/echo/"+strings.Repeat("x", 64<<10), ""), head("/echo/"+strings.Repeat("x", 4<<10), "")},
		{"DOS-10 a query of 64 kB", head("/echo/x?"+strings.Repeat("x", 64<<10), ""), head("/echo/x?"+strings.Repeat("x", 4<<10), "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, closes := raw(t, p, c.request)
			if status != http.StatusRequestHeaderFieldsTooLarge && status != http.StatusRequestURITooLong || !closes {
				t.Errorf("answer = %d, closes %t; want 431 or 414 and the connection closed", status, closes)
			}
			t.Run("twin", func(t *testing.T) {
				if status, _ := raw(t, p, c.twin); status != http.StatusUnauthorized {
					t.Errorf("answer = %d, want 401: only the token is missing", status)
				}
			})
		})
	}
}

func TestTOK13_bodyOverTheLimitIsRefusedAtTheListener(t *testing.T) {
	p := servertest.Start(t)
	head := strings.Replace(tokenHead, "127.0.0.1:1", strings.TrimPrefix(p.URL, "http://"), 1)
	const limit = 16 << 10
	announced := func(bytes int) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, bytes) }
	chunk := func(bytes int) string { return fmt.Sprintf("%x\r\n%s\r\n", bytes, strings.Repeat("x", bytes)) }
	for _, c := range []struct {
		name, request, twin string
	}{
		{"TOK-13 announced and never sent", announced(limit + 1), announced(limit) + strings.Repeat("x", limit)},
		{"TOK-13 a terabyte announced", announced(1 << 40), announced(1) + "x"},
		{"TOK-13 in chunks without end", head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(limit+1), head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(limit) + "0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, closes := raw(t, p, c.request); status != http.StatusRequestEntityTooLarge || !closes {
				t.Errorf("answer = %d, closes %t; want 413 and the connection closed", status, closes)
			}
			t.Run("twin", func(t *testing.T) {
				if status, _ := raw(t, p, c.twin); status != http.StatusUnauthorized {
					t.Errorf("answer = %d, want 401: read whole", status)
				}
			})
		})
	}
}

func TestTOK14_thousandsOfParametersAreRefusedAtTheListener(t *testing.T) {
	p := servertest.Start(t)
	form := func(parameters int) string {
		var body strings.Builder
		for i := range parameters {
			body.WriteByte('&')
			if parameters < 100 {
				fmt.Fprintf(&body, "%x=", i)
			}
		}
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", strings.Replace(tokenHead, "127.0.0.1:1", strings.TrimPrefix(p.URL, "http://"), 1), body.Len(), body.String())
	}
	if status, _ := raw(t, p, form(10_001)); status != http.StatusBadRequest {
		t.Errorf("answer = %d, want 400", status)
	}
	t.Run("twin", func(t *testing.T) {
		if status, _ := raw(t, p, form(20)); status != http.StatusUnauthorized {
			t.Errorf("answer = %d, want 401: only the client is missing", status)
		}
	})
}

// Callers that go in the middle of everything leave nothing behind.
func TestDOS14_floodsGiveBackWhatTheyTook(t *testing.T) {
	upstream := httptest.NewServer(demo.NewEcho(""))
	t.Cleanup(upstream.Close)
	p := servertest.Start(t, func(c *server.Config) {
		c.Products = []registry.Definition{demo.Catchall("echo", "/echo", upstream.URL)}
	})
	c := p.NewClient("echo.call")
	accessToken := token(t, p.URL, c)
	if a := get(t, p.URL+"/echo/x", accessToken); a.status != http.StatusOK {
		t.Fatalf("call = %d %s", a.status, a.body)
	}
	host := strings.TrimPrefix(p.URL, "http://")
	token := strings.Replace(tokenHead, "127.0.0.1:1", host, 1)
	for name, sent := range map[string]string{
		"DOS-14 nothing":                  "",
		"DOS-14 half a header":            "GET / HTT",
		"DOS-14 half a token request":     token + "Content-Length: 100\r\n\r\ngrant",
		"DOS-14 half a chunk":             token + "Transfer-Encoding: chunked\r\n\r\n64\r\ngrant",
		"DOS-14 half a call's body":       "POST /echo/x HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + accessToken + "\r\nContent-Length: 100\r\n\r\nhalf",
		"DOS-14 an answer that is unread": "GET /echo/x HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + accessToken + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := used(t)
			conns := make([]net.Conn, 200)
			for i := range conns {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, sent); err != nil {
					t.Fatal(err)
				}
				conns[i] = conn
			}
			t.Run("twin", func(t *testing.T) { // another caller, meanwhile
				if a := get(t, p.URL+"/echo/x", accessToken); a.status != http.StatusOK {
					t.Errorf("call = %d %s", a.status, a.body)
				}
			})
			for _, conn := range conns {
				_ = conn.Close()
			}
			returned(t, before, upstream)
		})
	}
}
