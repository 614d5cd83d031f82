package jwt

import (
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	issuer   = "https://api.example.com/auth/open"
	audience = "https://api.example.com"
)

var now = time.Unix(1_800_000_000, 0)

// fixture holds one key of each algorithm, all of the sandbox but for the last two.
type fixture struct {
	keys map[string]*PrivateKey
}

const (
	es256      = "sandbox-es256"
	rs256      = "sandbox-rs256"
	eddsa      = "sandbox-eddsa"
	production = "production-es256"
	assertion  = "assertion-es256"
)

var newFixture = sync.OnceValues(func() (fixture, error) {
	f := fixture{keys: map[string]*PrivateKey{}}
	for _, k := range []struct {
		alg         Algorithm
		kid         string
		use         Use
		environment string
	}{
		{ES256, es256, UseAccessToken, Sandbox},
		{RS256, rs256, UseAccessToken, Sandbox},
		{EdDSA, eddsa, UseAccessToken, Sandbox},
		{ES256, production, UseAccessToken, Production},
		{ES256, assertion, UseAssertion, ""},
	} {
		key, err := GenerateKey(k.alg, k.kid, k.use, k.environment)
		if err != nil {
			return f, err
		}
		f.keys[k.kid] = key
	}
	return f, nil
})

func keysOf(tb testing.TB) fixture {
	tb.Helper()
	f, err := newFixture()
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func (f fixture) find(kid string) (*PublicKey, bool) {
	key, ok := f.keys[kid]
	if !ok {
		return nil, false
	}
	public := key.Public()
	return &public, true
}

var want = Expected{Type: TypeAccessToken, Issuer: issuer, Audience: audience, Now: now}

func (f fixture) verify(token string) error {
	_, err := Verify(token, f.find, want)
	return err
}

func claims() *Claims {
	return &Claims{
		Issuer:         issuer,
		Audience:       audience,
		Subject:        "sandbox-round-apple-123",
		ClientID:       "sandbox-round-apple-123",
		ID:             "t7hs0c2mnb4k",
		Scope:          "signicat-api",
		IssuedAt:       now.Unix(),
		NotBefore:      now.Unix(),
		Expiry:         now.Unix() + 600,
		AccountID:      "a-s-0123456789abcdefghij",
		OrganisationID: "o-0123456789abcdefghij",
		Sandbox:        true,
		Permissions:    []string{"auth.sessions.create", "auth.sessions.read"},
		SecretID:       "k3v9x0q2m5n8",
		Generation:     7,
	}
}

func (f fixture) sign(tb testing.TB, kid string, c *Claims) string {
	tb.Helper()
	key := f.keys[kid]
	token, err := key.Sign(nil, key.public.Use.tokenType(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return string(token)
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func decode(tb testing.TB, segment string) string {
	tb.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// forge signs any header and payload as a careless issuer would.
func (f fixture) forge(tb testing.TB, kid, header, payload string) string {
	tb.Helper()
	token, err := f.keys[kid].sign([]byte(encode(header)+"."+encode(payload)+"."), 0)
	if err != nil {
		tb.Fatal(err)
	}
	return string(token)
}

// texts are the header and the payload of a good ES256 token.
func (f fixture) texts(tb testing.TB) (header, payload string) {
	tb.Helper()
	parts := strings.Split(f.sign(tb, es256, claims()), ".")
	return decode(tb, parts[0]), decode(tb, parts[1])
}

// edit is old replaced by with in text, where it must occur once.
func edit(tb testing.TB, text, old, with string) string {
	tb.Helper()
	if strings.Count(text, old) != 1 {
		tb.Fatalf("%q occurs %d times in %s", old, strings.Count(text, old), text)
	}
	return strings.Replace(text, old, with, 1)
}

// refusal is a token that must be refused, and its twin: the same with one thing
// changed, which must be accepted.
type refusal struct {
	name  string
	token string
	want  error
	twin  string
}

func (f fixture) refuse(t *testing.T, refusals ...refusal) {
	t.Helper()
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			c, err := Verify(r.token, f.find, want)
			if !errors.Is(err, r.want) || c != nil {
				t.Errorf("Verify = %v, %v; want error %q", c, err, r.want)
			}
			t.Run("twin", func(t *testing.T) {
				if err := f.verify(r.twin); err != nil {
					t.Errorf("Verify = %v, want acceptance", err)
				}
			})
		})
	}
}
