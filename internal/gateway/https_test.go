package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorward/doorward/internal/registry"
)

// trusted is a certificate of 127.0.0.1 that this process takes for an
// authority's, as an operator has it by SSL_CERT_FILE.
var trusted tls.Certificate

func TestMain(m *testing.M) {
	trusted = newCertificate()
	roots, err := os.CreateTemp("", "doorward-roots-")
	if err != nil {
		panic(err)
	}
	if err := pem.Encode(roots, &pem.Block{Type: "CERTIFICATE", Bytes: trusted.Certificate[0]}); err != nil {
		panic(err)
	}
	if err := os.Setenv("SSL_CERT_FILE", roots.Name()); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.Remove(roots.Name())
		os.Exit(code)
	}))
}

func newCertificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// newSecureWorld is a world whose upstream speaks TLS with the certificate.
func newSecureWorld(t *testing.T, certificate tls.Certificate) *world {
	t.Helper()
	w := newWorld(t)
	listener := listen(t)
	w.upstream = newUpstreamOn(t, tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	for _, d := range products("https://" + listener.Addr().String()) {
		w.apply(registry.PutProduct{Definition: d, Source: registry.Managed})
	}
	return w
}

func TestCallsByHTTPSShareAConnectionAndNoAnswer(t *testing.T) {
	for name, request := range ways {
		t.Run(name, func(t *testing.T) {
			w := newSecureWorld(t, trusted)
			for range 5 {
				w.passes(t, request(w))
			}
			if got := w.upstream.accepted(); got != 1 {
				t.Errorf("five calls took %d connections, want 1", got)
			}
			w.upstream.says(ok + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers")
			w.passes(t, request(w))
			w.upstream.answers(nil)
			if _, a := w.passes(t, request(w)); strings.Contains(a.body, "others") {
				t.Errorf("got %q", a.body)
			}
			if got := w.upstream.accepted(); got != 2 {
				t.Errorf("what has sent too much is used again: %d connections, want 2", got)
			}
		})
	}
}

func TestConnectionByHTTPSThatTheUpstreamClosedIsNotUsed(t *testing.T) {
	w, closed := newSecureWorld(t, trusted), make(chan struct{})
	w.upstream.answers(func(conn net.Conn, _ *received) {
		_, _ = io.WriteString(conn, ok)
		_ = conn.Close()
		close(closed)
	})
	w.passes(t, ways["without a body"](w))
	<-closed
	w.upstream.answers(nil)
	w.passes(t, ways["without a body"](w))
}

func TestUpstreamOfAnUnknownAuthorityIsNotAsked(t *testing.T) {
	w := newSecureWorld(t, newCertificate())
	if a := w.refused(t, w.request("GET", "/p1/any/x", w.token(w.client)), http.StatusBadGateway); a.code() != "upstream_unreachable" {
		t.Errorf("code %q", a.code())
	}
	t.Run("twin", func(t *testing.T) {
		w := newSecureWorld(t, trusted)
		w.passes(t, w.request("GET", "/p1/any/x", w.token(w.client)))
	})
}
