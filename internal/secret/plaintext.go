package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Plaintext is a secret in clear that shows itself to nobody by accident: fmt,
// JSON, XML, YAML and slog get "[redacted]" in its place. The zero value is the
// empty secret. Values cannot be compared with ==; compare by Digest.
type Plaintext struct {
	reveal func() string // not a string: fmt prints fields of fields without asking their methods
}

// NewPlaintext wraps value.
func NewPlaintext(value string) Plaintext {
	return Plaintext{reveal: func() string { return value }}
}

// Reveal returns the secret. It is the only way out: each call of it is a place
// where a secret leaves.
func (p Plaintext) Reveal() string {
	if p.reveal == nil {
		return ""
	}
	return p.reveal()
}

// IsZero reports whether p is the empty secret.
func (p Plaintext) IsZero() bool { return p.Reveal() == "" }

// String redacts.
func (p Plaintext) String() string { return redacted }

// GoString redacts.
func (p Plaintext) GoString() string { return redacted }

// Format redacts, whatever the verb.
func (p Plaintext) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalText redacts, for JSON, XML, YAML and flags.
func (p Plaintext) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue redacts.
func (p Plaintext) LogValue() slog.Value { return slog.StringValue(redacted) }
