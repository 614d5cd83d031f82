package tokensource

import (
	"fmt"
	"io"
)

// Secret is a client secret. Formatting it, in any way, alone or inside a Config,
// shows "[redacted]"; string(secret) is the way out.
type Secret string

const redacted = "[redacted]"

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String is "[redacted]".
func (Secret) String() string { return redacted }

// MarshalText gives "[redacted]", which is what encoding/json and log/slog write.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
