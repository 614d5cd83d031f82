package jwt

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// oracles tells why another library refuses a token, or reads other claims in it
// than ours did; nil if all agree.
func (f fixture) oracles(token string, ours *Claims) error {
	if err := f.goJOSE(token, ours); err != nil {
		return fmt.Errorf("go-jose: %w", err)
	}
	if err := f.golangJWT(token, ours); err != nil {
		return fmt.Errorf("golang-jwt: %w", err)
	}
	return nil
}

func (f fixture) goJOSE(token string, ours *Claims) error {
	parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA})
	if err != nil {
		return err
	}
	if len(parsed.Headers) != 1 {
		return fmt.Errorf("%d headers", len(parsed.Headers))
	}
	key, ok := f.find(parsed.Headers[0].KeyID)
	if !ok || parsed.Headers[0].Algorithm != string(key.Algorithm) {
		return fmt.Errorf("header %+v", parsed.Headers[0])
	}
	var registered josejwt.Claims
	var theirs wireClaims
	if err := parsed.Claims(key.Key, &registered, &theirs); err != nil {
		return err
	}
	if err := registered.ValidateWithLeeway(josejwt.Expected{Issuer: issuer, AnyAudience: []string{audience}, Time: now}, Skew); err != nil {
		return err
	}
	return theirs.equal(ours)
}

func (f fixture) golangJWT(token string, ours *Claims) error {
	parser := golangjwt.NewParser(
		golangjwt.WithValidMethods([]string{"ES256", "RS256", "EdDSA"}), golangjwt.WithStrictDecoding(), golangjwt.WithIssuedAt(), golangjwt.WithExpirationRequired(),
		golangjwt.WithLeeway(Skew), golangjwt.WithTimeFunc(func() time.Time { return now }), golangjwt.WithIssuer(issuer), golangjwt.WithAudience(audience),
	)
	parsed, err := parser.Parse(token, func(t *golangjwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, ok := f.find(kid)
		if !ok || t.Method.Alg() != string(key.Algorithm) {
			return nil, fmt.Errorf("header %v", t.Header)
		}
		return key.Key, nil
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(parsed.Claims)
	if err != nil {
		return err
	}
	var theirs wireClaims
	if err := json.Unmarshal(text, &theirs); err != nil {
		return err
	}
	return theirs.equal(ours)
}

// wireClaims are the claims as encoding/json reads them.
type wireClaims struct {
	Subject        string   `json:"sub"`
	ClientID       string   `json:"client_id"`
	ID             string   `json:"jti"`
	Scope          string   `json:"scope"`
	IssuedAt       float64  `json:"iat"`
	NotBefore      float64  `json:"nbf"`
	Expiry         float64  `json:"exp"`
	AccountID      string   `json:"account_id"`
	OrganisationID string   `json:"organisation_id"`
	Sandbox        bool     `json:"sandbox"`
	Permissions    []string `json:"permissions"`
	SecretID       string   `json:"secret_id"`
	Generation     float64  `json:"generation"`
}

func (w wireClaims) equal(c *Claims) error {
	ours := wireClaims{
		c.Subject, c.ClientID, c.ID, c.Scope, float64(c.IssuedAt), float64(c.NotBefore), float64(c.Expiry), c.AccountID, c.OrganisationID, c.Sandbox,
		c.Permissions, c.SecretID, float64(c.Generation),
	}
	if diff := cmp.Diff(ours, w); diff != "" {
		return fmt.Errorf("other claims (-ours +theirs):\n%s", diff)
	}
	return nil
}

// mutants draws mutated tokens. The same seed gives the same tokens.
type mutants struct {
	*rand.Rand
	fixture
	header, payload string
}

// Pieces that mutation puts into headers and payloads beside single bytes.
var pieces = []string{
	`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, ` `, "\n", "\x00", "\xff", `\u0073`, `\u0000`, `null`, `true`, `false`, `-1`, `0`, `1.5`, `1e9`, `1e400`,
	`9007199254740993`, `"exp":1`, `"exp":1900000000`, `"Exp":1900000000`, `"aud":"x"`, `"aud":[]`, `"sub":"x"`, `"sandbox":false`, `"alg":"none"`,
	`"crit":["x"]`, `"b64":false`, `,"x":{}`, `,"x":[1,{"y":null}]`, `,"x":"y"`, `"kid":"production-es256"`, `"typ":"JWT"`, `"é"`, `"\ud800"`, `"\/"`,
}

func (m *mutants) next(tb testing.TB) string {
	header, payload := m.header, m.payload
	kid := es256
	if m.IntN(4) > 0 { // mostly, for EdDSA signs in a third of the time
		kid = eddsa
		header = strings.NewReplacer(es256, eddsa, "ES256", "EdDSA").Replace(header)
	}
	switch m.IntN(8) {
	case 0:
		header = m.change(header)
	case 1, 2, 3, 4:
		payload = m.change(payload)
	case 5:
		header, payload = m.change(header), m.change(payload)
	case 6:
		return m.change(m.forge(tb, kid, header, payload))
	case 7:
		payload = m.reorder(payload)
	}
	return m.forge(tb, kid, header, payload)
}

// change makes one to three small changes.
func (m *mutants) change(text string) string {
	for range 1 + m.IntN(3) {
		if text == "" {
			return text
		}
		at := m.IntN(len(text))
		switch m.IntN(6) {
		case 0: // another byte
			text = text[:at] + string([]byte{byte(m.IntN(256))}) + text[at+1:]
		case 1: // less
			text = text[:at] + text[min(len(text), at+1+m.IntN(4)):]
		case 2: // a piece more
			text = text[:at] + pieces[m.IntN(len(pieces))] + text[at:]
		case 3: // a bit more or less
			text = text[:at] + string([]byte{text[at] ^ 1<<m.IntN(8)}) + text[at+1:]
		case 4: // a piece of itself again
			end := min(len(text), at+m.IntN(24))
			text = text[:end] + text[at:]
		case 5: // a member more
			text = strings.TrimSuffix(text, "}") + "," + pieces[m.IntN(len(pieces))] + "}"
		}
	}
	return text
}

// reorder keeps the meaning: members in another order, with white space.
func (m *mutants) reorder(text string) string {
	members := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(text), &members) != nil {
		return text
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(members)) { // the same seed, the same tokens
		out = append(out, fmt.Sprintf("%q : %s", name, members[name]))
	}
	m.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return "{ " + strings.Join(out, " ,\n") + " }"
}

// DOORWARD_JWT42 is the number of tokens, 20,000 unless it is set.
func TestJWT42_whateverWeAcceptOtherLibrariesAccept(t *testing.T) {
	count := 20_000
	if text := os.Getenv("DOORWARD_JWT42"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("DOORWARD_JWT42: %v", err)
		}
		count = n
	}
	f := keysOf(t)
	header, payload := f.texts(t)
	m := &mutants{Rand: rand.New(rand.NewPCG(42, 7519)), fixture: f, header: header, payload: payload}
	accepted := 0
	for range count {
		token := m.next(t)
		claims, err := Verify(token, f.find, want)
		if err != nil {
			continue
		}
		accepted++
		if err := f.oracles(token, claims); err != nil {
			t.Errorf("JWT-42: accepted here only: %v\n%s", err, token)
		}
	}
	t.Logf("%d tokens, %d accepted by all", count, accepted)
	t.Run("twin", func(t *testing.T) {
		if least := count / 20; accepted < least {
			t.Errorf("%d of %d mutants accepted, want at least %d, or the comparison says little", accepted, count, least)
		}
	})
}

func FuzzVerify(f *testing.F) {
	fix := keysOf(f)
	header, payload := fix.texts(f)
	f.Add(header, payload)
	f.Add(`{"alg":"none"}`, `{}`)
	f.Add(header, strings.Replace(payload, `"aud":"`+audience+`"`, `"aud":["`+audience+`"]`, 1))
	f.Add(header, strings.Replace(payload, `{`, `{"x":[1.5e3,"\ud83d\ude00",{"y":null}],`, 1))
	f.Fuzz(func(t *testing.T, header, payload string) {
		_, _ = Verify(header, fix.find, want)
		token := fix.forge(t, es256, header, payload)
		claims, err := Verify(token, fix.find, want)
		if err != nil {
			return
		}
		if err := fix.oracles(token, claims); err != nil {
			t.Errorf("accepted here only: %v\n%s\n%s", err, header, payload)
		}
	})
}
