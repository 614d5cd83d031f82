package redis_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/redis"
)

// server answers each command with the next of its replies, on connections that
// it closes when there is none left.
type server struct {
	address string

	mu       sync.Mutex
	commands []string
}

func serve(t *testing.T, secured *tls.Config, connections ...[]string) *server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: listener.Addr().String()}
	if secured != nil {
		listener = tls.NewListener(listener, secured)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for _, replies := range connections {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.answer(conn, replies)
		}
	})
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	return s
}

func (s *server) answer(conn net.Conn, replies []string) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for _, reply := range replies {
		command, err := readCommand(reader)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, command)
		s.mu.Unlock()
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

func (s *server) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands
}

func readCommand(r *bufio.Reader) (command string, err error) {
	read := func() string {
		line, e := r.ReadString('\n')
		err = errors.Join(err, e)
		return strings.TrimSuffix(line, "\r\n")
	}
	count := read()
	if err != nil {
		return "", err
	}
	var words []string
	for range int(count[1] - '0') {
		read()
		words = append(words, read())
	}
	return strings.Join(words, " "), err
}

func TestAnEvaluationIsOneCommand(t *testing.T) {
	s := serve(t, nil, []string{"*2\r\n:7\r\n:-1\r\n"})
	client := redis.New(redis.Config{Address: s.address})
	defer client.Close()
	got, err := client.Eval(t.Context(), "return", []string{"a", "b"}, 1, -2)
	if err != nil || cmp.Diff([]int64{7, -1}, got) != "" {
		t.Errorf("Eval = %v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"EVAL return 2 a b 1 -2"}, s.heard()); diff != "" {
		t.Error(diff)
	}
	if n := client.Commands(); n != 1 {
		t.Errorf("%d commands were counted", n)
	}
}

func TestAConnectionIsAuthenticatedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		config redis.Config
		want   []string
	}{
		"password alone":    {redis.Config{Password: func() string { return "hunter2" }}, []string{"AUTH hunter2", "EVAL x 0"}},
		"user and database": {redis.Config{Username: "doorward", Password: func() string { return "hunter2" }, Database: 3}, []string{"AUTH doorward hunter2", "SELECT 3", "EVAL x 0"}},
		"twin: neither":     {redis.Config{}, []string{"EVAL x 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, append([]string{"+OK\r\n", "+OK\r\n"}[:len(c.want)-1:2], ":1\r\n"))
			c.config.Address = s.address
			client := redis.New(c.config)
			defer client.Close()
			if got, err := client.Eval(t.Context(), "x", nil); err != nil || cmp.Diff([]int64{1}, got) != "" {
				t.Errorf("Eval = %v, %v", got, err)
			}
			if diff := cmp.Diff(c.want, s.heard()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARefusalIsAnErrorOfTheServer(t *testing.T) {
	s := serve(t, nil, []string{"-WRONGPASS no\r\n"}, []string{"+OK\r\n", "-NOPERM no\r\n", ":1\r\n"})
	client := redis.New(redis.Config{Address: s.address, Password: func() string { return "hunter2" }})
	defer client.Close()
	for _, want := range []string{"WRONGPASS", "NOPERM"} {
		_, err := client.Eval(t.Context(), "x", nil)
		if !errors.As(err, new(redis.Error)) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error = %v, want one that names %s and no password", err, want)
		}
	}
	t.Run("twin", func(t *testing.T) { // on the connection that was refused a command
		if got, err := client.Eval(t.Context(), "x", nil); err != nil || len(got) != 1 {
			t.Errorf("Eval = %v, %v", got, err)
		}
	})
}

func TestAConnectionThatTheServerClosedIsReplaced(t *testing.T) {
	s := serve(t, nil, []string{":1\r\n"}, []string{":2\r\n"})
	client := redis.New(redis.Config{Address: s.address})
	defer client.Close()
	for want := int64(1); want <= 2; want++ {
		if got, err := client.Eval(t.Context(), "x", nil); err != nil || got[0] != want {
			t.Errorf("Eval = %v, %v, want %d", got, err, want)
		}
	}
}

func TestNothingWaitsBeyondTheDeadline(t *testing.T) {
	s := serve(t, nil, []string{"", ":1\r\n"}) // says nothing, and holds the connection
	client := redis.New(redis.Config{Address: s.address})
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Eval(ctx, "x", nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error = %v, want that the time is up", err)
	}
}

func TestTheServerIsKnownByItsCertificate(t *testing.T) {
	template := httptest.NewUnstartedServer(nil)
	template.StartTLS()
	defer template.Close()
	roots := x509.NewCertPool()
	roots.AddCert(template.Certificate())
	ask := func(config redis.Config) error {
		s := serve(t, template.TLS.Clone(), []string{":1\r\n"})
		config.Address = s.address
		client := redis.New(config)
		defer client.Close()
		_, err := client.Eval(t.Context(), "x", nil)
		return err
	}
	if err := ask(redis.Config{TLS: true}); !errors.As(err, new(*tls.CertificateVerificationError)) {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
	t.Run("twin", func(t *testing.T) {
		if err := ask(redis.Config{TLS: true, Roots: roots}); err != nil {
			t.Error(err)
		}
	})
}
