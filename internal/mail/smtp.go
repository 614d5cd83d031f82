package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/doorward/doorward/internal/secret"
)

// Encryption says how a connection to the mail server is encrypted.
type Encryption string

// The kinds of encryption.
const (
	STARTTLS Encryption = "starttls" // before anything is said, or not at all (RFC 3207)
	Implicit Encryption = "implicit" // from the first byte (RFC 8314)
	Clear    Encryption = "none"     // for a server on this machine
)

// SMTP names a mail server that takes mails to anybody.
type SMTP struct {
	Server     string // host:port
	Encryption Encryption
	Username   string // empty: without authentication
	Password   secret.Plaintext
	From       string         // address, or Name <address>
	Roots      *x509.CertPool // to trust the server by; nil: the system's
}

const (
	attemptTime = 30 * time.Second // for all of an attempt
	claimTime   = time.Minute      // after which an attempt is taken for lost
)

// Check says what is wrong with the settings.
func (s *SMTP) Check() error {
	host, port, err := net.SplitHostPort(s.Server)
	if _, numeric := strconv.Atoi(port); err != nil || numeric != nil || host == "" {
		return errors.New("mail.server: write host:port, like smtp.example.com:587")
	}
	if _, err := netmail.ParseAddress(s.From); err != nil {
		return errors.New("mail.from: name the sender, like no-reply@example.com or Example APIs <no-reply@example.com>")
	}
	switch s.Encryption {
	case STARTTLS, Implicit:
	case Clear:
		if address := net.ParseIP(host); host != "localhost" && (address == nil || !address.IsLoopback()) {
			return errors.New("mail.encryption: none is for a mail server on this machine alone: mails hold links that are as good as passwords")
		}
	default:
		return fmt.Errorf("mail.encryption: %q is not one of starttls, implicit, none", s.Encryption)
	}
	return nil
}

// permanentError is an answer of the mail server that another attempt would
// get too.
type permanentError struct{ error }

// Deliver hands one mail to the server.
func (s *SMTP) Deliver(ctx context.Context, e *Entry, text string) error {
	m, err := s.compose(e, text)
	if err != nil {
		return permanentError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel() // closes the connection, however far it came
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, m)
	if refusal, ok := errors.AsType[*gomail.SendError](err); ok && !refusal.IsTemp() && refusal.ErrorCode() >= 500 {
		return permanentError{err}
	}
	return err
}

func (s *SMTP) compose(e *Entry, text string) (*gomail.Msg, error) {
	sender, err := netmail.ParseAddress(s.From)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(sender.Address, "@")
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(m.From(s.From), m.To(e.Recipient)); err != nil {
		return nil, err
	}
	m.Subject(e.Subject)
	m.SetDateWithValue(e.CreatedAt)
	m.SetMessageIDWithValue(e.ID + "@" + domain) // the same in each attempt
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, text)
	return m, nil
}

// client connects within the context, with which the connection ends too: the
// library leaves it open when a step of the greeting fails.
func (s *SMTP) client(ctx context.Context) (*gomail.Client, error) {
	host, port, err := net.SplitHostPort(s.Server)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	encryption := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: s.Roots}
	dial := func(dialling context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialling, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		if s.Encryption != Implicit {
			return conn, nil
		}
		secured := tls.Client(conn, encryption)
		return secured, secured.HandshakeContext(dialling)
	}
	policies := map[Encryption]gomail.TLSPolicy{STARTTLS: gomail.TLSMandatory, Implicit: gomail.TLSOpportunistic, Clear: gomail.NoTLS} // implicit is encrypted by then
	options := []gomail.Option{
		gomail.WithPort(number), gomail.WithTimeout(attemptTime), gomail.WithTLSConfig(encryption),
		gomail.WithDialContextFunc(dial), gomail.WithTLSPolicy(policies[s.Encryption]),
	}
	if s.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.Username), gomail.WithPassword(s.Password.Reveal()))
	}
	return gomail.NewClient(host, options...)
}
