package redis_test

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/redis"
)

// realServer is a Redis or Valkey server, and a user of it with a password that
// may run scripts on keys beginning with its name.
func realServer(t *testing.T) (address, user, password string) {
	t.Helper()
	address = os.Getenv("DOORWARD_TEST_REDIS")
	if address == "" {
		t.Fatal("DOORWARD_TEST_REDIS names no server: run the tests by scripts/engines")
	}
	user, password = "user-"+rand.Text(), rand.Text()
	admin, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	replies := bufio.NewReader(admin)
	command := func(text string) { // as one types it into telnet
		_, err := io.WriteString(admin, text+"\r\n")
		reply, readErr := replies.ReadString('\n')
		if err = errors.Join(err, readErr); err != nil || strings.HasPrefix(reply, "-") {
			t.Errorf("%s: %s, %v", text, reply, err)
		}
	}
	t.Cleanup(func() { command("ACL DELUSER " + user); _ = admin.Close() })
	command("ACL SETUSER " + user + " on >" + password + " ~" + user + ":* +@all")
	return address, user, password
}

// count is a script that keeps something under its key.
const count = `return {redis.call('INCRBY', KEYS[1], ARGV[1])}`

func TestARealServerKnowsItsUsers(t *testing.T) {
	address, user, password := realServer(t)
	for name, c := range map[string]struct {
		user, password, key string
		want                string // in the error; "": none
	}{
		"its user":                 {user, password, user + ":a", ""},
		"a wrong password":         {user, password + "x", user + ":a", "WRONGPASS"},
		"an unknown user":          {user + "x", password, user + ":a", "WRONGPASS"},
		"a key that is not theirs": {user, password, "another:a", "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			client := redis.New(redis.Config{Address: address, Username: c.user, Password: func() string { return c.password }})
			defer client.Close()
			got, err := client.Eval(t.Context(), count, []string{c.key}, 2)
			switch {
			case c.want == "" && (err != nil || len(got) != 1 || got[0] != 2):
				t.Errorf("Eval = %v, %v", got, err)
			case c.want != "" && (!errors.As(err, new(redis.Error)) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.password)):
				t.Errorf("error = %v, want one that names %s and no password", err, c.want)
			}
		})
	}
}

// secured takes TLS connections for a server, as stunnel and managed servers do.
func secured(t *testing.T, server string) (address string, roots *x509.CertPool) {
	t.Helper()
	template := httptest.NewUnstartedServer(nil)
	template.StartTLS()
	t.Cleanup(template.Close)
	roots = x509.NewCertPool()
	roots.AddCert(template.Certificate())
	plain, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := template.TLS.Clone()
	config.NextProtos = nil
	listener := tls.NewListener(plain, config)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { pass(conn, server) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	return plain.Addr().String(), roots
}

// pass carries bytes both ways until either side closes.
func pass(conn net.Conn, server string) {
	defer conn.Close()
	behind, err := new(net.Dialer).Dial("tcp", server)
	if err != nil {
		return
	}
	defer behind.Close()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(conn, behind); _ = conn.Close() })
	_, _ = io.Copy(behind, conn)
	_ = behind.Close()
	back.Wait()
}

func TestARealServerIsReachedByTLS(t *testing.T) {
	server, user, password := realServer(t)
	address, roots := secured(t, server)
	ask := func(config redis.Config) ([]int64, error) {
		config.Username, config.Password = user, func() string { return password }
		client := redis.New(config)
		defer client.Close()
		return client.Eval(t.Context(), count, []string{user + ":b"}, 1)
	}
	for want := int64(1); want <= 2; want++ {
		if got, err := ask(redis.Config{Address: address, TLS: true, Roots: roots}); err != nil || fmt.Sprint(got) != fmt.Sprintf("[%d]", want) {
			t.Errorf("Eval = %v, %v, want %d", got, err, want)
		}
	}
	if _, err := ask(redis.Config{Address: address, TLS: true}); !errors.As(err, new(*tls.CertificateVerificationError)) {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
	if _, err := ask(redis.Config{Address: server, TLS: true, Roots: roots}); err == nil {
		t.Error("a server that speaks no TLS was spoken to")
	}
}
