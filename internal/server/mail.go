package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/secret"
)

// Mail names the mail server that delivers to anybody. Without one, mails stay in
// the outbox, where the operator reads them.
type Mail struct {
	Server       string `koanf:"server"`        // host:port; default none
	Encryption   string `koanf:"encryption"`    // starttls (default), implicit, or none on this machine
	Username     string `koanf:"username"`      // default: without authentication
	PasswordFile string `koanf:"password_file"` // or DOORWARD_MAIL__PASSWORD
	From         string `koanf:"from"`          // sender: an address, or Name <address>
	RootsFile    string `koanf:"roots_file"`    // to trust the server by; default the system's
}

// deliver returns how mails are delivered: by the mail server, else to the
// console if there is one, else nil.
func (c *Config) deliver() (func(context.Context, *mail.Entry, string) error, error) {
	s, err := c.Mail.read()
	switch {
	case err != nil:
		return nil, err
	case s != nil:
		return s.Deliver, nil
	case c.Console != nil:
		return c.printMail, nil
	}
	return nil, nil //nolint:nilnil // they wait in the outbox
}

// printMail is for who tries things out: a mail, on the console.
func (c *Config) printMail(_ context.Context, e *mail.Entry, text string) error {
	_, err := fmt.Fprintf(c.Console, "\n--- Mail to %s: %s\n%s---\n", e.Recipient, e.Subject, text)
	return err
}

// smtp returns the mail server that is named, without what stands in files; nil
// if there is none.
func (m Mail) smtp() (*mail.SMTP, error) {
	if m.Server == "" {
		if m != (Mail{}) {
			return nil, errors.New("mail.server: name the mail server, or leave out the other settings of mail")
		}
		return nil, nil //nolint:nilnil // none is an answer
	}
	s := &mail.SMTP{Server: m.Server, Encryption: mail.Encryption(cmp.Or(m.Encryption, string(mail.STARTTLS))), Username: m.Username, From: m.From}
	return s, s.Check()
}

// read returns the mail server with its password and roots.
func (m Mail) read() (*mail.SMTP, error) {
	s, err := m.smtp()
	if err != nil || s == nil {
		return nil, err
	}
	password := os.Getenv(environmentPrefix + "MAIL__PASSWORD")
	if m.PasswordFile != "" {
		text, err := os.ReadFile(m.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("mail.password_file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if s.Username != "" && password == "" {
		return nil, errors.New("mail.password_file: name the file with the password of mail.username, or set DOORWARD_MAIL__PASSWORD")
	}
	s.Password = secret.NewPlaintext(password)
	if m.RootsFile != "" {
		pem, err := os.ReadFile(m.RootsFile)
		if err != nil {
			return nil, fmt.Errorf("mail.roots_file: %w", err)
		}
		if s.Roots = x509.NewCertPool(); !s.Roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("mail.roots_file: it holds no certificate in PEM form")
		}
	}
	return s, nil
}
