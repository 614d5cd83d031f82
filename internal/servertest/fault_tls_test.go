//go:build linux

package servertest_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

// recorder keeps the first bytes of a connection instead of sending them.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error)      { return r.sent.Write(p) }
func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) Close() error                     { return nil }

// clientHello is the first message of a handshake.
func clientHello(t *testing.T) []byte {
	t.Helper()
	var r recorder
	if err := tls.Client(&r, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(t.Context()); err == nil || r.sent.Len() == 0 {
		t.Fatalf("no ClientHello: %v", err)
	}
	return r.sent.Bytes()
}

// DOS-12: a handshake that does not go on ends at the header time-out.
func TestDOS12_stalledHandshakesEnd(t *testing.T) {
	hello := clientHello(t)
	for name, sent := range map[string][]byte{"DOS-12 nothing is sent": nil, "DOS-12 half a ClientHello": hello[:len(hello)/2], "DOS-12 a ClientHello and no more": hello} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, api *pipes) {
				var stalled sync.WaitGroup
				for range 100 {
					conn := api.dial()
					stalled.Go(func() {
						defer conn.Close()
						go func() { _, _ = conn.Write(sent) }()
						if kept, _ := untilClosed(conn); kept > 15*time.Second {
							t.Errorf("a connection without a handshake was kept for %s", kept)
						}
					})
				}
				stalled.Wait()
			}, withTLS(t))
			t.Run("twin", func(t *testing.T) { // one that goes on
				inTime(t, func(t *testing.T, api *pipes) {
					conn := tls.Client(api.dial(), &tls.Config{InsecureSkipVerify: true})
					defer conn.Close()
					wantStatus(t, conn, "GET /auth/open/.well-known/openid-configuration HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n", 200)
				}, withTLS(t))
			})
		})
	}
}

// sealedConn writes records of TLS 1.3 (RFC 8446 §5.2) with TLS_AES_128_GCM_SHA256
// on a connection whose handshake crypto/tls has made: it sends no such floods.
type sealedConn struct {
	net.Conn
	secret []byte // client_application_traffic_secret_N
	aead   cipher.AEAD
	iv     []byte
	number uint64 // of the next record under this secret
}

// expand is HKDF-Expand-Label without a context (RFC 8446 §7.1).
func expand(t *testing.T, secret []byte, label string, length int) []byte {
	t.Helper()
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(info, byte(len("tls13 "+label)))
	info = append(append(info, "tls13 "+label...), 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), length)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *sealedConn) use(t *testing.T, secret []byte) {
	t.Helper()
	block, err := aes.NewCipher(expand(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	if c.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	c.secret, c.iv, c.number = secret, expand(t, secret, "iv", 12), 0
}

// record seals a piece of one content type.
func (c *sealedConn) record(contentType byte, content []byte) []byte {
	plain := append(bytes.Clone(content), contentType)
	head := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(plain)+c.aead.Overhead()))
	nonce := bytes.Clone(c.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(c.number >> (56 - 8*i))
	}
	c.number++
	return append(head, c.aead.Seal(nil, nonce, plain, head)...)
}

// keyUpdate asks for new keys and takes them (RFC 8446 §4.6.3).
func (c *sealedConn) keyUpdate(t *testing.T) []byte {
	t.Helper()
	out := c.record(22, []byte{24, 0, 0, 1, 1})
	c.use(t, expand(t, c.secret, "traffic upd", sha256.Size))
	return out
}

func dialSealed(t *testing.T, p *servertest.Platform) *sealedConn {
	t.Helper()
	plain, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	var keys bytes.Buffer
	conn := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &keys})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("the suite is %s: this test speaks TLS_AES_128_GCM_SHA256 only", tls.CipherSuiteName(suite))
	}
	c := &sealedConn{Conn: plain}
	for line := range strings.Lines(keys.String()) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			c.use(t, secret)
		}
	}
	if err := plain.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// DOS-12: messages behind the handshake that lead nowhere end the connection.
func TestDOS12_floodsBehindTheHandshakeEnd(t *testing.T) {
	p := servertest.Start(t, withTLS(t))
	for name, piece := range map[string]func(t *testing.T, c *sealedConn) []byte{
		"DOS-12 key updates":             func(t *testing.T, c *sealedConn) []byte { return c.keyUpdate(t) },
		"DOS-12 empty records":           func(_ *testing.T, c *sealedConn) []byte { return c.record(23, nil) },
		"DOS-12 tickets from the client": func(_ *testing.T, c *sealedConn) []byte { return c.record(22, []byte{4, 0, 0, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			const most = 1000
			conn := dialSealed(t, p)
			defer conn.Close()
			ended := make(chan error)
			go func() { _, err := io.Copy(io.Discard, conn); ended <- err }()
			var err error
			sent := 0
			for ; sent < most && err == nil; sent++ {
				_, err = conn.Write(piece(t, conn))
			}
			if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after %d messages and a minute the connection is still open", sent)
			}
			t.Run("twin", func(t *testing.T) { // one key update is answered, and the request behind it
				conn := dialSealed(t, p)
				defer conn.Close()
				update := conn.keyUpdate(t)
				request := conn.record(23, []byte("GET /auth/open/.well-known/openid-configuration HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
				if _, err := conn.Write(append(update, request...)); err != nil {
					t.Fatal(err)
				}
				answer, err := io.ReadAll(conn)
				if err != nil || len(answer) < 500 { // sealed
					t.Errorf("%d bytes of an answer, %v", len(answer), err)
				}
			})
		})
	}
}
