package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/doorward/doorward/internal/egress"
)

var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// get sends a GET with a client of that configuration.
func get(t *testing.T, config egress.Config, target string) (*egress.Response, error) {
	t.Helper()
	client := egress.New(config)
	t.Cleanup(client.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client.Do(r)
}

func TestKEY15_internalAndSpecialAddressesAreRefused(t *testing.T) {
	for name, host := range map[string]string{
		"loopback": "127.0.0.1", "loopback elsewhere": "127.8.9.1", "loopback IPv6": "[::1]", "localhost": "localhost", "localhost with a dot": "LocalHost.", "below localhost": "x.localhost",
		"unspecified": "0.0.0.0", "unspecified IPv6": "[::]", "this network": "0.1.2.3",
		"private 10": "10.0.0.1", "private 172": "172.31.255.255", "private 192": "192.168.1.1", "unique local": "[fd00::1]",
		"link-local": "169.254.1.1", "metadata": "169.254.169.254", "metadata IPv6": "[fd00:ec2::254]", "metadata of a carrier's network": "100.100.100.200", "metadata in protocol assignments": "192.0.0.192",
		"link-local IPv6": "[fe80::1]", "link-local with a zone": "[fe80::1%25eth0]", "site-local": "[fec0::1]",
		"mapped loopback": "[::ffff:127.0.0.1]", "mapped private": "[::ffff:10.0.0.1]", "mapped in hexadecimal": "[::ffff:a9fe:a9fe]", "compatible loopback": "[::127.0.0.1]", "mapped carrier": "[::ffff:100.100.100.200]",
		"NAT64 of private": "[64:ff9b::10.0.0.1]", "NAT64 of one's own": "[64:ff9b:1::10.0.0.1]", "6to4 of private": "[2002:a00:1::1]", "Teredo": "[2001:0:1::1]",
		"documentation": "192.0.2.1", "documentation IPv6": "[2001:db8::1]", "benchmark": "198.18.0.1", "multicast": "224.0.0.1", "multicast IPv6": "[ff02::1]", "reserved": "240.0.0.1", "broadcast": "255.255.255.255",
	} {
		t.Run("KEY-15 "+name, func(t *testing.T) {
			_, err := get(t, egress.Config{}, "https://"+host+"/hook")
			early := egress.Policy{}.Check("https://" + host + "/hook")
			if !errors.Is(err, egress.ErrRefused) || !errors.Is(early, egress.ErrRefused) {
				t.Errorf("%s gives %v, and %v when it is set; want ErrRefused", host, err, early)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		for _, host := range []string{"93.184.215.14", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]", "hooks.example.com", "[::ffff:8.8.8.8]", "172.32.0.1"} {
			if err := (egress.Policy{}).Check("https://" + host + "/hook"); err != nil {
				t.Errorf("%s gives %v", host, err)
			}
		}
	})
}

func TestURLsThatAreNoTargetAreRefused(t *testing.T) {
	for name, row := range map[string]struct{ target, want string }{
		"no scheme":      {"hooks.example.com/x", "whole URL"},
		"no host":        {"https:///x", "whole URL"},
		"port alone":     {"https://:443/x", "whole URL"},
		"opaque":         {"https:hooks.example.com", "whole URL"},
		"control":        {"https://hooks.example.com/\n", "whole URL"},
		"plain http":     {"http://hooks.example.com/x", "https://"},
		"other scheme":   {"ftp://hooks.example.com/x", "https://"},
		"file":           {"file:///etc/passwd", "whole URL"},
		"credentials":    {"https://user:pass@hooks.example.com/", "leave them out"},
		"fragment":       {"https://hooks.example.com/#x", "leave it out"},
		"http elsewhere": {"http://10.0.0.1/", "not a public address"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := loopback.Check(row.target); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%q gives %v, want %q", row.target, err, row.want)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		for _, target := range []string{"https://hooks.example.com/x?y=z", "https://127.0.0.1:8443/", "http://127.0.0.1:8080/", "http://localhost/"} {
			if err := loopback.Check(target); err != nil {
				t.Errorf("%q gives %v", target, err)
			}
		}
	})
}

// nameServer answers queries for any name with the addresses of next.
func nameServer(t *testing.T, next func(query int64) netip.Addr) *net.Resolver {
	t.Helper()
	socket, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { socket.Close(); <-ended })
	var queries atomic.Int64
	go func() {
		defer close(ended)
		buffer := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buffer[:n]) != nil {
				continue
			}
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions}
			if question := query.Questions[0]; question.Type == dnsmessage.TypeA {
				answer.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: next(queries.Add(1)).As4()},
				}}
			}
			text, err := answer.Pack()
			if err == nil {
				_, _ = socket.WriteTo(text, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func TestKEY15_nameThatResolvesInsideIsRefusedWhenItIsDialled(t *testing.T) {
	reached := make(chan struct{}, 10)
	target := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- struct{}{} }))
	defer target.Close()
	port := target.Listener.Addr().(*net.TCPAddr).Port
	inside, elsewhere := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.9.9.9")
	// The name is good when it is looked at and another when it is dialled.
	moving := nameServer(t, func(query int64) netip.Addr {
		if query == 1 {
			return elsewhere
		}
		return inside
	})
	onlyElsewhere := egress.Policy{Allow: []netip.Prefix{netip.PrefixFrom(elsewhere, 32)}}
	trust := trusting(target)
	url := fmt.Sprintf("https://example.com:%d/", port)
	for range 2 {
		_, err := get(t, egress.Config{Policy: onlyElsewhere, Resolver: moving, TLS: trust}, url)
		if err == nil {
			t.Fatal("KEY-15 the target inside was reached")
		}
	}
	if len(reached) > 0 {
		t.Error("KEY-15 the target inside was reached")
	}
	if _, err := get(t, egress.Config{Resolver: nameServer(t, func(int64) netip.Addr { return inside }), TLS: trust}, url); !errors.Is(err, egress.ErrRefused) || strings.Contains(egress.ErrRefused.Error(), "127") {
		t.Errorf("KEY-15 error = %v, want ErrRefused", err)
	}
	t.Run("twin", func(t *testing.T) {
		if _, err := get(t, egress.Config{Policy: loopback, Resolver: moving, TLS: trust}, url); err != nil {
			t.Error(err)
		}
	})
}

func trusting(server *httptest.Server) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return &tls.Config{RootCAs: pool}
}

func TestKEY15_redirectsAreCheckedAndCounted(t *testing.T) {
	var to atomic.Value
	to.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			_, _ = io.WriteString(w, "end")
			return
		}
		http.Redirect(w, r, to.Load().(string), http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	inside := nameServer(t, func(int64) netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	following := egress.Config{Policy: loopback, MaxRedirects: 2, Resolver: inside}
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	for name, target := range map[string]string{
		"KEY-15 metadata": "https://169.254.169.254/", "KEY-15 private": "https://10.0.0.1/", "KEY-15 mapped": "https://[::ffff:10.0.0.1]/",
		"KEY-15 plain http": "http://hooks.example.com:" + port + "/end", "KEY-15 file": "file:///etc/passwd", "KEY-15 for ever": "/again",
	} {
		t.Run(name, func(t *testing.T) {
			to.Store(target)
			if answer, err := get(t, following, server.URL); err == nil {
				t.Errorf("%s was followed: %d", target, answer.Status)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		to.Store("/end")
		if answer, err := get(t, following, server.URL); err != nil || string(answer.Body) != "end" {
			t.Errorf("got %v, %v", answer, err)
		}
	})
	t.Run("none is followed unless asked for", func(t *testing.T) {
		to.Store("/end")
		if answer, err := get(t, egress.Config{Policy: loopback}, server.URL); err != nil || answer.Status != http.StatusTemporaryRedirect {
			t.Errorf("got %v, %v", answer, err)
		}
	})
}

func TestKEY15_answersAreBoundInSizeAndTime(t *testing.T) {
	hanging := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 64<<10))
		case "/hang":
			<-hanging
		case "/drip":
			for {
				if _, err := io.WriteString(w, "x"); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				select {
				case <-hanging:
					return
				case <-r.Context().Done():
					return
				case <-time.After(time.Millisecond):
				}
			}
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	}))
	defer server.Close()
	defer close(hanging)
	quick := egress.Config{Policy: loopback, Timeout: 100 * time.Millisecond}
	for name, row := range map[string]struct {
		config egress.Config
		path   string
		want   error
	}{
		"KEY-15 body":       {egress.Config{Policy: loopback, MaxBytes: 999}, "/", egress.ErrTooLarge},
		"KEY-15 header":     {egress.Config{Policy: loopback}, "/header", nil},
		"KEY-15 no answer":  {quick, "/hang", context.DeadlineExceeded},
		"KEY-15 slow drops": {quick, "/drip", context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := get(t, row.config, server.URL+row.path)
			if err == nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("error = %v, want %v", err, row.want)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if answer, err := get(t, egress.Config{Policy: loopback, MaxBytes: 1000}, server.URL); err != nil || len(answer.Body) != 1000 {
			t.Errorf("got %v, %v", answer, err)
		}
	})
}

func TestKEY15_noProxyOfTheEnvironmentDialsForUs(t *testing.T) {
	proxied := make(chan struct{}, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied <- struct{}{} }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	if _, err := get(t, egress.Config{Resolver: nameServer(t, func(int64) netip.Addr { return netip.MustParseAddr("127.0.0.1") })}, "https://hooks.example.com/"); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("error = %v, want ErrRefused", err)
	}
	if len(proxied) > 0 {
		t.Error("the proxy was asked")
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("https://hooks.example.com/x")
	f.Add("https://[::ffff:127.0.0.1]/")
	f.Add("https://0x7f.1/")
	f.Fuzz(func(t *testing.T, target string) {
		if (egress.Policy{}).Check(target) == nil && !strings.HasPrefix(strings.ToLower(target), "https:") {
			t.Errorf("%q is a target", target)
		}
	})
}
