package mail_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// fixture is an outbox over a fresh database, and a mail server beside it.
type fixture struct {
	*mail.Outbox
	server *mailServer
	smtp   *mail.SMTP

	mu  sync.Mutex
	now time.Time
}

func (f *fixture) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) add(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, newFixture(t, db)) })
}

func newFixture(t *testing.T, db *sqldb.DB) *fixture {
	t.Helper()
	sealer, err := secret.NewSealer(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{server: newMailServer(t), now: time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC)}
	f.smtp = &mail.SMTP{Server: f.server.address, Encryption: mail.STARTTLS, Username: "doorward", Password: secret.NewPlaintext(mailPassword), From: "Example APIs <no-reply@example.com>", Roots: f.server.roots}
	f.Outbox = mail.New(mail.Config{
		DB: db, Sealer: sealer, Now: f.time, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Dashboard: "https://dashboard.example.com",
		Deliver: f.smtp.Deliver,
	})
	return f
}

func (f *fixture) post(t testing.TB, m mail.Message) error {
	t.Helper()
	return f.DB.Update(t.Context(), func(tx *sqldb.Tx) error { return f.Post(t.Context(), tx, m) })
}

// mustPost posts a mail with a link and returns its entry.
func (f *fixture) mustPost(t testing.TB, to string) mail.Entry {
	t.Helper()
	if err := f.post(t, message(to)); err != nil {
		t.Fatal(err)
	}
	return f.newest(t)
}

func message(to string) mail.Message {
	return mail.Message{
		Kind: "test", To: mail.Recipient{Address: to, Key: strings.ToLower(to)}, Subject: "Grüße", Text: "Use this:\n%LINK%\n\n.\nEnd — now.\n",
		Path: "/verify/", Token: secret.NewPlaintext("t0ken"),
	}
}

func (f *fixture) newest(t testing.TB) mail.Entry {
	t.Helper()
	entries, _, err := f.List(t.Context(), false, "")
	if err != nil || len(entries) == 0 {
		t.Fatalf("entries = %v, %v", entries, err)
	}
	return entries[0]
}

const mailPassword = "a mail password"

// mailServer is as much of RFC 5321 as a client needs, on a loopback socket,
// with STARTTLS and PLAIN.
type mailServer struct {
	address string
	roots   *x509.CertPool
	tls     *tls.Config

	mu      sync.Mutex
	clear   bool   // offers no STARTTLS
	sealed  bool   // speaks TLS from the first byte
	refusal string // of every recipient; empty: they are taken
	answers int    // until it hangs up in place of one; 0: it never does
	got     []delivered
	logins  []string
}

// delivered is a mail that the server took.
type delivered struct{ from, to, text string }

func newMailServer(t testing.TB) *mailServer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{address: listener.Addr().String()}
	s.certify(t)
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talks.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); talks.Wait() })
	return s
}

func (s *mailServer) certify(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(certificate)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// talk answers one connection, which ends when the client hangs up.
func (s *mailServer) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	var mail delivered
	s.mu.Lock()
	secured := s.sealed
	s.mu.Unlock()
	if secured {
		conn = tls.Server(conn, s.tls)
	}
	lines := bufio.NewReader(conn)
	say := func(text string) {
		s.mu.Lock()
		s.answers--
		last := s.answers == 0
		s.mu.Unlock()
		if last {
			_ = conn.Close()
		}
		_, _ = conn.Write([]byte(text + "\r\n"))
	}
	say("220 ready")
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		command, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.mu.Lock()
		refusal, clear := s.refusal, s.clear
		s.mu.Unlock()
		switch {
		case command == "RCPT" && refusal != "":
			say(refusal)
		case command == "EHLO" && !secured && !clear:
			say("250-here\r\n250 STARTTLS")
		case command == "EHLO":
			say("250-here\r\n250 AUTH PLAIN")
		case command == "STARTTLS":
			say("220 go ahead")
			conn = tls.Server(conn, s.tls)
			lines, secured = bufio.NewReader(conn), true
		case command == "AUTH":
			s.note(func() { s.logins = append(s.logins, strings.TrimPrefix(rest, "PLAIN ")) })
			say("235 welcome")
		case command == "MAIL":
			mail = delivered{from: rest}
			say("250 ok")
		case command == "RCPT":
			mail.to = rest
			say("250 ok")
		case command == "DATA":
			say("354 go on")
			var text strings.Builder
			for line, err = lines.ReadString('\n'); err == nil && line != ".\r\n"; line, err = lines.ReadString('\n') {
				text.WriteString(strings.TrimPrefix(line, ".")) // RFC 5321 §4.5.2
			}
			if err != nil {
				return
			}
			mail.text = text.String()
			s.note(func() { s.got = append(s.got, mail) })
			say("250 taken")
		case command == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// refuse sets what the server says of every recipient; empty: it takes them.
func (s *mailServer) refuse(text string) { s.note(func() { s.refusal = text }) }

func (s *mailServer) mails() []delivered {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]delivered(nil), s.got...)
}

func (s *mailServer) login() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.logins) == 0 {
		return ""
	}
	text, _ := base64.StdEncoding.DecodeString(s.logins[0])
	return string(text)
}
