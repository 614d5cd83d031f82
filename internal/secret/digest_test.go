package secret_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
)

func TestSEC03_digestSentAsSecretIsRefused(t *testing.T) {
	mint := newMint(t, 1)
	value, err := mint.New(rand.Reader, secret.SandboxLetter, id.NewSecret(rand.Reader))
	if err != nil {
		t.Fatal(err)
	}
	digest := secret.DigestOf(value)
	if strings.Contains(string(digest), value.Reveal()) || len(digest) != 33 {
		t.Fatalf("the digest %x is not a scheme byte and a hash", digest)
	}
	sent := map[string]string{
		"as stored":     string(digest),
		"hash alone":    string(digest[1:]),
		"hexadecimal":   hex.EncodeToString(digest),
		"hash in hex":   hex.EncodeToString(digest[1:]),
		"base64":        base64.StdEncoding.EncodeToString(digest),
		"raw base64url": base64.RawURLEncoding.EncodeToString(digest[1:]),
		"empty":         "",
	}
	for name, text := range sent {
		t.Run(name, func(t *testing.T) {
			if digest.Matches(text) {
				t.Error("the digest matches itself")
			}
			if _, _, ok := mint.Parse(text); ok {
				t.Error("the digest parses as a secret")
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if !digest.Matches(value.Reveal()) {
			t.Error("the secret does not match its digest")
		}
	})
}

func TestDigestOfAnotherSchemeOrLengthMatchesNothing(t *testing.T) {
	good := secret.DigestOf(secret.NewPlaintext("value"))
	otherScheme := append(secret.Digest{2}, good[1:]...)
	for name, digest := range map[string]secret.Digest{
		"nil": nil, "empty": {}, "scheme alone": good[:1], "short": good[:32], "long": append(good[:33:33], 0), "other scheme": otherScheme,
	} {
		t.Run(name, func(t *testing.T) {
			if digest.Matches("value") || digest.Matches("") {
				t.Errorf("digest %x matches", digest)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if !good.Matches("value") || good.Matches("Value") {
			t.Error("the whole digest does not tell its value from another")
		}
	})
}

func TestComparingDoesNotAllocate(t *testing.T) {
	mint := newMint(t, 1)
	value, err := mint.New(rand.Reader, secret.ProductionLetter, id.NewSecret(rand.Reader))
	if err != nil {
		t.Fatal(err)
	}
	text, digest := value.Reveal(), secret.DigestOf(value)
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, ok := mint.Parse(text); !ok || !digest.Matches(text) {
			t.Error("the secret is refused")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
