package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// freePort is one that was free a moment ago.
func freePort(t *testing.T) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// nameServer finds every name on this machine, until the test ends. It is asked
// by TCP, as the authority does.
func nameServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go answerNames(conn)
		}
	}()
	return listener.Addr().String()
}

func answerNames(conn net.Conn) {
	defer conn.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		var message dnsmessage.Message
		if message.Unpack(packet) != nil || len(message.Questions) != 1 {
			return
		}
		message.Response, message.Additionals = true, nil
		if asked := message.Questions[0]; asked.Type == dnsmessage.TypeA {
			message.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: asked.Name, Class: asked.Class},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		answer, err := message.AppendPack(make([]byte, 2, 512))
		if err != nil {
			return
		}
		binary.BigEndian.PutUint16(answer, uint16(len(answer)-2))
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// ownCertificate writes a certificate of the authority's own HTTPS.
func ownCertificate(t *testing.T, folder string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
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
	certificate, key = filepath.Join(folder, "authority.pem"), filepath.Join(folder, "authority.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// authority is a running ACME server, letsencrypt/pebble.
type authority struct{ directory, management, roots string }

func startAuthority(t *testing.T, apiPort int) authority {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", folder+"/pebble", "tool")
	build.Dir = "../../tools/pebble"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build pebble: %v\n%s", err, out)
	}
	dns := nameServer(t)
	certificate, key := ownCertificate(t, folder)
	listen, management := freePort(t), freePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": certificate, "privateKey": key,
		"httpPort": apiPort, "tlsPort": apiPort, "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": 86400}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "pebble.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, filepath.Join(folder, "pebble"), "-config", path, "-dnsserver", dns)
	return authority{directory: "https://" + listen + "/dir", management: "https://" + management, roots: certificate}
}

// start runs a program until the test ends.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // killed
	})
}

// issuedRoots waits for the authority and returns the roots that it signs by.
func (a authority) issuedRoots(t *testing.T) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(a.roots)
	if err != nil {
		t.Fatal(err)
	}
	own := x509.NewCertPool()
	own.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: own, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.management+"/roots/0", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			continue // not there yet
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		roots := x509.NewCertPool()
		if err == nil && roots.AppendCertsFromPEM(text) {
			return roots
		}
	}
	t.Fatal("the ACME server did not start")
	return nil
}

func TestCertificatesComeFromAnACMEAuthority(t *testing.T) {
	const domain = "api.example.com"
	address := freePort(t)
	_, portText, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	a := startAuthority(t, port)
	roots := a.issuedRoots(t)
	folder := filepath.Join(t.TempDir(), "certificates")
	running := servertest.Start(t, func(c *server.Config) {
		c.APIListen, c.PublicURL = address, "https://"+domain
		c.TLS.ACME = server.ACME{Domains: []string{domain}, Folder: folder, Directory: a.directory, RootsFile: a.roots}
	})
	connect := func(name string) (*tls.Conn, error) {
		dialer := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}}
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			return nil, err
		}
		return conn.(*tls.Conn), nil
	}
	if _, err := connect("other.example.com"); err == nil {
		t.Error("a certificate for a name that is not ours")
	}
	conn, err := connect(domain)
	if err != nil {
		t.Fatalf("no certificate: %v; the server says:\n%s", err, running.Logs())
	}
	defer conn.Close()
	state := conn.ConnectionState()
	if got := state.PeerCertificates[0].DNSNames; len(got) != 1 || got[0] != domain || state.NegotiatedProtocol != "h2" {
		t.Errorf("certificate for %q, protocol %q", got, state.NegotiatedProtocol)
	}
	kept, err := os.ReadDir(folder)
	if err != nil || len(kept) == 0 {
		t.Errorf("nothing kept in the folder: %v, %v", kept, err)
	}
}
