package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes a certificate for 127.0.0.1 and its key, and sets
// when the files were changed.
func writeCertificate(t *testing.T, certificate, key string, serial int64, changed time.Time) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateIsReadAgainWhenItsFileChanges(t *testing.T) {
	folder := t.TempDir()
	setting := TLS{CertificateFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem")}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	writeCertificate(t, setting.CertificateFile, setting.KeyFile, 1, now)
	config, err := setting.config(logger, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	served := func() int64 {
		t.Helper()
		got, err := config.GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.SerialNumber.Int64()
	}
	later := func() { now = now.Add(certificateInterval) }
	step := func(what string, want int64) {
		t.Helper()
		if got := served(); got != want {
			t.Errorf("%s: serves certificate %d, want %d", what, got, want)
		}
	}
	step("at start", 1)
	writeCertificate(t, setting.CertificateFile, setting.KeyFile, 2, now.Add(time.Second))
	step("renewed a moment ago", 1)
	later()
	step("renewed", 2)
	if err := os.WriteFile(setting.CertificateFile, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	later()
	step("broken", 2)
	if !strings.Contains(log.String(), "renewed TLS certificate") {
		t.Errorf("nothing says that the file is broken: %s", log.String())
	}
	if err := os.Remove(setting.CertificateFile); err != nil {
		t.Fatal(err)
	}
	later()
	step("gone", 2)
	writeCertificate(t, setting.CertificateFile, setting.KeyFile, 3, now)
	later()
	step("there again", 3)
}

func TestCertificateThatCannotBeReadStopsTheStart(t *testing.T) {
	folder := t.TempDir()
	setting := TLS{CertificateFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem")}
	if _, err := setting.config(slog.Default(), time.Now); err == nil || !strings.Contains(err.Error(), "TLS certificate") {
		t.Errorf("err = %v, want one about the TLS certificate", err)
	}
	t.Run("twin", func(t *testing.T) {
		writeCertificate(t, setting.CertificateFile, setting.KeyFile, 1, time.Now())
		if _, err := setting.config(slog.Default(), time.Now); err != nil {
			t.Error(err)
		}
	})
}

func TestACMERootsMustBeCertificates(t *testing.T) {
	folder := t.TempDir()
	roots := filepath.Join(folder, "roots.pem")
	setting := TLS{ACME: ACME{Domains: []string{"api.example.com"}, Folder: folder, RootsFile: roots}}
	for name, prepare := range map[string]func(){
		"missing": func() {},
		"no PEM":  func() { _ = os.WriteFile(roots, []byte("no"), 0o600) },
	} {
		prepare()
		if _, err := setting.config(slog.Default(), time.Now); err == nil || !strings.Contains(err.Error(), "tls.acme.roots_file") {
			t.Errorf("%s: err = %v", name, err)
		}
		_ = os.Remove(roots)
	}
	t.Run("twin", func(t *testing.T) {
		writeCertificate(t, roots, filepath.Join(folder, "key.pem"), 1, time.Now())
		config, err := setting.config(slog.Default(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if got := config.NextProtos[len(config.NextProtos)-1]; got != "acme-tls/1" {
			t.Errorf("NextProtos = %v: the challenge of RFC 8737 cannot be answered", config.NextProtos)
		}
	})
}
