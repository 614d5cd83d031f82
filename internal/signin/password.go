package signin

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

// The cost of a password: OWASP's second choice for argon2id.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	saltLength   = 16
	hashLength   = 32
)

// Limits of a password, in characters. The upper one is far above any
// generator's; it bounds what is hashed.
const (
	MinPassword = 8
	MaxPassword = 128
)

// hasher hashes passwords, so many at a time; others wait in a bounded queue.
type hasher struct {
	rand    io.Reader
	working chan struct{}
	waiting atomic.Int64
	hashed  atomic.Uint64
	queue   int64
	nobody  string // a hash that no password has
}

func newHasher(workers int, rand io.Reader) *hasher {
	nobody := encodeHash(make([]byte, saltLength), make([]byte, hashLength))
	return &hasher{rand: rand, working: make(chan struct{}, workers), queue: int64(32 * workers), nobody: nobody}
}

// Hashes counts the passwords hashed so far, for tests and metrics.
func (p *People) Hashes() uint64 { return p.hasher.hashed.Load() }

// hash returns a password's hash in the PHC form: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func (h *hasher) hash(ctx context.Context, password secret.Plaintext) (string, error) {
	salt := make([]byte, saltLength)
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return "", fmt.Errorf("draw a salt: %w", err)
	}
	sum, err := h.sum(ctx, password, salt)
	if err != nil {
		return "", err
	}
	return encodeHash(salt, sum), nil
}

// verify compares a password with a stored hash. Without one it takes the same
// time and answers no.
func (h *hasher) verify(ctx context.Context, stored string, password secret.Plaintext) (bool, error) {
	exists := 1
	if stored == "" {
		stored, exists = h.nobody, 0
	}
	salt, want, err := decodeHash(stored)
	if err != nil {
		return false, err
	}
	got, err := h.sum(ctx, password, salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want)&exists == 1, nil
}

func (h *hasher) sum(ctx context.Context, password secret.Plaintext, salt []byte) ([]byte, error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.queue {
		return nil, errBusy()
	}
	select {
	case h.working <- struct{}{}:
		defer func() { <-h.working }()
	case <-ctx.Done():
		return nil, errBusy()
	}
	h.hashed.Add(1)
	text := password.Reveal()
	if len(text) > MaxPassword*utf8.UTFMax {
		text = text[:MaxPassword*utf8.UTFMax] + "…" // longer than any that was set
	}
	return argon2.IDKey([]byte(text), salt, argonTime, argonMemory, argonThreads, hashLength), nil
}

func errBusy() error {
	return &fault.Error{Kind: fault.Unavailable, Code: fault.TemporarilyUnavailable, Message: "too many people are signing in just now: try again shortly", RetryAfter: 5 * time.Second}
}

var encoding = base64.RawStdEncoding

func encodeHash(salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, encoding.EncodeToString(salt), encoding.EncodeToString(sum))
}

// decodeHash reads what encodeHash writes, and nothing else: parameters that
// change some day need a second form.
func decodeHash(text string) (salt, sum []byte, err error) {
	parts := strings.Split(text, "$")
	if len(parts) == 6 {
		if salt, err = encoding.DecodeString(parts[4]); err == nil {
			sum, err = encoding.DecodeString(parts[5])
		}
	}
	if err != nil || len(salt) != saltLength || len(sum) != hashLength || encodeHash(salt, sum) != text {
		return nil, nil, fmt.Errorf("a stored password hash cannot be read")
	}
	return salt, sum, nil
}

// PreparePerson returns the edit that makes a person with a verified address and
// that password, for whoever sets up an installation.
func (p *People) PreparePerson(ctx context.Context, email, name string, password secret.Plaintext) (registry.CreatePerson, error) {
	if err := checkPassword(password, email, name); err != nil {
		return registry.CreatePerson{}, err
	}
	hash, err := p.hasher.hash(ctx, password)
	return registry.CreatePerson{ID: id.NewPerson(p.Rand), Email: email, Name: name, Password: hash, Verified: true}, err
}

// checkPassword says what is wrong with a new password. Any character counts,
// spaces too, and nothing is cut off.
func checkPassword(password secret.Plaintext, context ...string) error {
	text := password.Reveal()
	length := utf8.RuneCountInString(text)
	switch {
	case !utf8.ValidString(text) || length < MinPassword || length > MaxPassword:
		return fault.Errorf(fault.Invalid, "a password has %d to %d characters: choose a longer phrase, or a shorter one", MinPassword, MaxPassword)
	case isCommon(text):
		return fault.Errorf(fault.Invalid, "this password is among the first that anybody would try: choose one of your own")
	case isContext(text, context):
		return fault.Errorf(fault.Invalid, "this password is made of your address or names: choose one that nobody can derive from them")
	}
	return nil
}
