package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// config returns what the API and Dashboard listeners speak; nil is plain
// HTTP. TLS 1.2 with AES-GCM over ECDHE only, and 1.3; HTTP/2 by ALPN.
func (t TLS) config(log *slog.Logger, now func() time.Time) (*tls.Config, error) {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	switch {
	case t.CertificateFile != "":
		files := &certificateFiles{certificate: t.CertificateFile, key: t.KeyFile, log: log, now: now}
		if _, err := files.current(nil); err != nil {
			return nil, err
		}
		base.GetCertificate = files.current
		return base, nil
	case len(t.ACME.Domains) > 0:
		manager, err := t.ACME.manager()
		if err != nil {
			return nil, err
		}
		base.GetCertificate = manager.GetCertificate
		base.NextProtos = append(base.NextProtos, acme.ALPNProto)
		return base, nil
	}
	return nil, nil //nolint:nilnil // plain HTTP is an answer
}

func (a ACME) manager() (*autocert.Manager, error) {
	client := &acme.Client{DirectoryURL: a.Directory}
	if a.RootsFile != "" {
		pem, err := os.ReadFile(a.RootsFile)
		if err != nil {
			return nil, fmt.Errorf("tls.acme.roots_file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls.acme.roots_file: it holds no certificate in PEM form")
		}
		transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one, by its documentation
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		client.HTTPClient = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	return &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.Folder), Email: a.Email,
		HostPolicy: autocert.HostWhitelist(a.Domains...), Client: client,
	}, nil
}

// certificateInterval is how often the certificate file is looked at.
const certificateInterval = 10 * time.Second

// certificateFiles reads a certificate again when its file has changed, so
// that renewing one needs no restart. A file that cannot be read leaves the
// certificate that works in place.
type certificateFiles struct {
	certificate, key string
	log              *slog.Logger
	now              func() time.Time

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time
	checked time.Time
}

func (f *certificateFiles) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded != nil && f.now().Sub(f.checked) < certificateInterval {
		return f.loaded, nil
	}
	f.checked = f.now()
	info, err := os.Stat(f.certificate)
	if err == nil && f.loaded != nil && info.ModTime().Equal(f.changed) {
		return f.loaded, nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(f.certificate, f.key); err == nil {
			f.loaded, f.changed = &pair, info.ModTime()
		}
	}
	if f.loaded != nil {
		if err != nil {
			f.log.Error("the renewed TLS certificate cannot be read; the earlier one stays in use", "error", err)
		}
		return f.loaded, nil
	}
	return nil, fmt.Errorf("read the TLS certificate: %w", err)
}
