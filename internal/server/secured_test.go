package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// secured starts a platform that speaks TLS, and returns who trusts it.
func secured(t *testing.T) (*servertest.Platform, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	setting := server.TLS{CertificateFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem")}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, text := range map[string][]byte{setting.CertificateFile: certificate, setting.KeyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return servertest.Start(t, func(c *server.Config) { c.TLS = setting }), roots
}

func TestCertificateFilesGiveHTTP2AndHTTP1(t *testing.T) {
	p, roots := secured(t)
	for name, row := range map[string]struct{ http2, want bool }{"HTTP/2": {true, true}, "HTTP/1.1": {false, false}} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: row.http2}
			defer transport.CloseIdleConnections()
			c := p.NewClient("echo.call")
			r := request(t.Context(), t, "POST", p.TokenURL(), "grant_type=client_credentials")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(string(c.ID), c.Value)
			issued, _ := send(t, &http.Client{Transport: transport}, r).json["access_token"].(string)
			r = request(t.Context(), t, "GET", p.URL+"/echo/hello", "")
			r.Header.Set("Authorization", "Bearer "+issued)
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK || (response.ProtoMajor == 2) != row.want {
				t.Errorf("answer %s over %s", response.Status, response.Proto)
			}
		})
	}
	t.Run("plain HTTP", func(t *testing.T) {
		if a := get(t, strings.Replace(p.URL, "https:", "http:", 1)+"/echo/hello"); a.status != http.StatusBadRequest {
			t.Errorf("answers %d", a.status)
		}
	})
}

func TestTLSTakesModernSuitesOnly(t *testing.T) {
	p, roots := secured(t)
	shakes := func(config *tls.Config) bool {
		config.RootCAs = roots
		conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "https://"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	taken := map[string]bool{}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.SupportedVersions[0] != tls.VersionTLS13 && shakes(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}) {
			taken[suite.Name] = true
		}
	}
	want := map[string]bool{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": true, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": true} // the key is ECDSA
	if diff := cmp.Diff(want, taken); diff != "" {
		t.Errorf("suites of TLS 1.2 (-want +got):\n%s", diff)
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		if got, want := shakes(&tls.Config{MinVersion: version, MaxVersion: version}), version >= tls.VersionTLS12; got != want {
			t.Errorf("%s: taken = %v, want %v", tls.VersionName(version), got, want)
		}
	}
	for _, curve := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
		if !shakes(&tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{curve}}) {
			t.Errorf("%s is refused", curve)
		}
	}
}
