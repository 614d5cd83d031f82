package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSignedClaimsComeBack(t *testing.T) {
	f := keysOf(t)
	full, least, organisation := claims(), claims(), claims()
	*least = Claims{Issuer: issuer, Audience: audience, Subject: "c", ClientID: "c", ID: "i", IssuedAt: full.IssuedAt, Expiry: full.Expiry, Sandbox: true}
	organisation.AccountID, organisation.Permissions = "", []string{}
	for _, kid := range []string{es256, rs256, eddsa} {
		for _, c := range []*Claims{full, least, organisation} {
			got, err := Verify(f.sign(t, kid, c), f.find, want)
			if err != nil {
				t.Fatalf("%s: %v", kid, err)
			}
			if diff := cmp.Diff(c, got); diff != "" {
				t.Errorf("%s: claims (-signed +verified):\n%s", kid, diff)
			}
		}
	}
}

func TestAssertionIsVerifiedByItsOwnType(t *testing.T) {
	f := keysOf(t)
	c := &Claims{
		Issuer: issuer, Audience: "auth", Subject: "prod-round-apple-123", AccountID: "a-p-0123456789abcdefghij", OrganisationID: "o-0123456789abcdefghij",
		Permissions: []string{"auth.sessions.read"}, IssuedAt: now.Unix(), Expiry: now.Unix() + 60,
	}
	token := f.sign(t, assertion, c)
	got, err := Verify(token, f.find, Expected{Type: TypeAssertion, Issuer: issuer, Audience: "auth", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("claims (-signed +verified):\n%s", diff)
	}
	const payload = `{"iss":"https://api.example.com/auth/open","sub":"prod-round-apple-123","aud":"auth","iat":1800000000,"exp":1800000060,` +
		`"account_id":"a-p-0123456789abcdefghij","organisation_id":"o-0123456789abcdefghij","sandbox":false,"permissions":["auth.sessions.read"]}`
	parts := strings.Split(token, ".")
	if got := decode(t, parts[1]); got != payload {
		t.Errorf("payload = %s\nwant %s", got, payload)
	}
	const header = `{"alg":"ES256","kid":"assertion-es256","typ":"doorward-assertion+jwt"}`
	if got := decode(t, parts[0]); got != header {
		t.Errorf("header = %s\nwant %s", got, header)
	}
}

func TestSignRefusesWhatVerifyWould(t *testing.T) {
	f := keysOf(t)
	for name, row := range map[string]struct {
		change func(*Claims)
		want   error
	}{
		"no issuer":                {func(c *Claims) { c.Issuer = "" }, ErrMalformed},
		"no audience":              {func(c *Claims) { c.Audience = "" }, ErrMalformed},
		"no client":                {func(c *Claims) { c.ClientID = "" }, ErrMalformed},
		"other subject":            {func(c *Claims) { c.Subject = "x" }, ErrMalformed},
		"no id":                    {func(c *Claims) { c.ID = "" }, ErrMalformed},
		"no expiry":                {func(c *Claims) { c.Expiry = 0 }, ErrMalformed},
		"negative generation":      {func(c *Claims) { c.Generation = -1 }, ErrMalformed},
		"expiry in year 10000":     {func(c *Claims) { c.Expiry = maxDate + 1 }, ErrMalformed},
		"invalid UTF-8":            {func(c *Claims) { c.AccountID = "\xff" }, ErrMalformed},
		"control character":        {func(c *Claims) { c.Scope = "a\nb" }, ErrMalformed},
		"quote in a permission":    {func(c *Claims) { c.Permissions = []string{`"`} }, ErrMalformed},
		"too many permissions":     {func(c *Claims) { c.Permissions = make([]string, MaxPermissions+1) }, ErrMalformed},
		"claim of other key":       {func(c *Claims) { c.Sandbox = false }, ErrEnvironment},
		"token above maximum size": {func(c *Claims) { c.Scope = strings.Repeat("x", MaxSigned) }, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			c := claims()
			row.change(c)
			dst, err := f.keys[es256].Sign([]byte("before"), TypeAccessToken, c)
			if !errors.Is(err, row.want) || string(dst) != "before" {
				t.Errorf("Sign = %q, %v; want the slice as it was and %v", dst, err, row.want)
			}
			t.Run("twin", func(t *testing.T) { f.sign(t, es256, claims()) })
		})
	}
	if _, err := f.keys[es256].Sign(nil, TypeAssertion, claims()); !errors.Is(err, ErrMalformed) {
		t.Errorf("access token key signs an assertion: %v", err)
	}
}

func TestLargestGrantFitsIntoAToken(t *testing.T) {
	f := keysOf(t)
	c := claims()
	c.Issuer, c.Audience = "https://api.a-rather-long-company-name.example.com/auth/open", "https://api.a-rather-long-company-name.example.com"
	c.ID, c.Generation = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1_000_000
	c.Permissions = nil
	for i := range MaxPermissions {
		c.Permissions = append(c.Permissions, fmt.Sprintf("%048d", i))
	}
	token := f.sign(t, es256, c)
	t.Logf("100 permissions of 48 characters: %d bytes", len(token))
	want := want
	want.Issuer, want.Audience = c.Issuer, c.Audience
	if _, err := Verify(token, f.find, want); err != nil {
		t.Errorf("token of %d bytes: %v", len(token), err)
	}
}

func TestStringsAreEscaped(t *testing.T) {
	f := keysOf(t)
	c := claims()
	c.ClientID = `a"b\c</script>&'`
	c.Subject = c.ClientID
	token := f.sign(t, eddsa, c)
	var got map[string]any
	if err := json.Unmarshal([]byte(decode(t, strings.Split(token, ".")[1])), &got); err != nil {
		t.Fatal(err)
	}
	if got["sub"] != c.Subject {
		t.Errorf("sub = %q, want %q", got["sub"], c.Subject)
	}
	verified, err := Verify(token, f.find, want)
	if err != nil || verified.Subject != c.Subject {
		t.Errorf("Verify = %v, %v; want sub %q", verified, err, c.Subject)
	}
}

func TestSameKeyAndClaimsGiveTheSameToken(t *testing.T) {
	f := keysOf(t)
	for _, kid := range []string{es256, rs256, eddsa} {
		if a, b := f.sign(t, kid, claims()), f.sign(t, kid, claims()); a != b {
			t.Errorf("%s: two tokens of the same claims differ", kid)
		}
	}
}

func TestPrivateKeySurvivesPKCS8(t *testing.T) {
	f := keysOf(t)
	for _, kid := range []string{es256, rs256, eddsa} {
		der, err := f.keys[kid].MarshalPKCS8()
		if err != nil {
			t.Fatal(err)
		}
		key, err := ParsePrivateKey(der, kid, UseAccessToken, Sandbox)
		if err != nil {
			t.Fatal(err)
		}
		again := fixture{keys: map[string]*PrivateKey{kid: key}}
		if got, want := again.sign(t, kid, claims()), f.sign(t, kid, claims()); got != want {
			t.Errorf("%s: parsed key signs differently", kid)
		}
		if _, err := ParsePrivateKey(der[:len(der)-1], kid, UseAccessToken, Sandbox); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: cut key: %v, want %v", kid, err, ErrMalformed)
		}
	}
}

func TestPrivateKeyHasAUsableLabel(t *testing.T) {
	for name, row := range map[string]struct {
		alg         Algorithm
		kid         string
		use         Use
		environment string
	}{
		"unknown algorithm":          {"HS256", "k", UseAccessToken, Sandbox},
		"no id":                      {EdDSA, "", UseAccessToken, Sandbox},
		"id with slash":              {EdDSA, "a/b", UseAccessToken, Sandbox},
		"no use":                     {EdDSA, "k", "", Sandbox},
		"no environment":             {EdDSA, "k", UseAccessToken, ""},
		"unknown environment":        {EdDSA, "k", UseAccessToken, "test"},
		"assertion in a environment": {EdDSA, "k", UseAssertion, Sandbox},
	} {
		if _, err := GenerateKey(row.alg, row.kid, row.use, row.environment); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error = %v, want %v", name, err, ErrMalformed)
		}
	}
}

func TestPrivateKeyPrintsNothingButItsID(t *testing.T) {
	f := keysOf(t)
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, kid := range []string{es256, rs256, eddsa} {
		key := f.keys[kid]
		logger.Info("key", "key", key)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got, want := fmt.Sprintf(verb, key), "jwt.PrivateKey("+kid+")"; got != want {
				t.Errorf("%s prints %q, want %q", verb, got, want)
			}
		}
		if !strings.Contains(log.String(), "jwt.PrivateKey("+kid+")") {
			t.Errorf("log = %s", log.String())
		}
	}
}

// RFC 7515 appendix A.3, at the level of the signature: its header has no typ.
func TestRFC7515A3ES256SignatureVerifies(t *testing.T) {
	set := `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"A.3","environment":"sandbox",` +
		`"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	keys, err := ParseJWKSet([]byte(set))
	if err != nil {
		t.Fatal(err)
	}
	input := "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	signature := decode(t, "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
	if !keys[0].verify([]byte(input), []byte(signature)) {
		t.Error("signature of RFC 7515 A.3.1 does not verify")
	}
	if keys[0].verify([]byte(input+"A"), []byte(signature)) {
		t.Error("signature verifies over another text")
	}
}

// RFC 8037 appendix A.4 and A.5.
func TestRFC8037A4Ed25519Signature(t *testing.T) {
	seed := decode(t, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	key, err := newPrivateKey(ed25519.NewKeyFromSeed([]byte(seed)), "A.1", UseAccessToken, Sandbox)
	if err != nil {
		t.Fatal(err)
	}
	const want = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	got, err := key.sign([]byte(want[:strings.LastIndexByte(want, '.')+1]), 0)
	if err != nil || string(got) != want {
		t.Errorf("JWS = %s, %v; want %s", got, err, want)
	}
}

// RFC 6979 appendix A.2.5: P-256, SHA-256, message "sample".
func TestRFC6979A25DeterministicSignature(t *testing.T) {
	private, err := hex.DecodeString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := newPrivateKey(signer, "A.2.5", UseAccessToken, Sandbox)
	if err != nil {
		t.Fatal(err)
	}
	const want = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
	token, err := key.sign([]byte("sample."), 0) // signed without the dot
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString([]byte(decode(t, string(token[len("sample."):])))); got != want {
		t.Errorf("signature = %s, want %s", got, want)
	}
}

func TestRawAndDERSignaturesConvert(t *testing.T) {
	for name, raw := range map[string][64]byte{
		"small numbers": {31: 1, 63: 2},
		"high bits":     {0: 0x80, 32: 0xff},
		"leading zeros": {1: 0x80, 33: 0x7f},
	} {
		der, ok := derSignature(nil, raw[:])
		if !ok {
			t.Fatalf("%s: no DER", name)
		}
		if got, err := rawSignature(der); err != nil || got != raw {
			t.Errorf("%s: %x becomes %x, %v", name, raw, got, err)
		}
		for n := range der {
			if _, err := rawSignature(der[:n]); err == nil {
				t.Errorf("%s: first %d bytes of DER taken for a signature", name, n)
			}
		}
		if _, err := rawSignature(append(der, 0)); err == nil {
			t.Errorf("%s: DER with a byte more taken for a signature", name)
		}
	}
}

// The bounds are what the crypto of the standard library allocates, and the few
// objects that a caller gets.
func TestSigningAndVerifyingAllocateLittle(t *testing.T) {
	f := keysOf(t)
	c, dst := claims(), make([]byte, 0, MaxSigned)
	token := f.sign(t, es256, c)
	public := f.keys[es256].Public()
	find := func(string) (*PublicKey, bool) { return &public, true }
	const runs = 50
	for name, row := range map[string]struct {
		limit float64
		run   func()
	}{
		"CheckTime":  {0, func() { _ = c.CheckTime(now) }},
		"sign EdDSA": {0, func() { _, _ = f.keys[eddsa].Sign(dst[:0], TypeAccessToken, c) }}, // so the encoder adds none
		"sign ES256": {60, func() { _, _ = f.keys[es256].Sign(dst[:0], TypeAccessToken, c) }},
		"verify":     {16, func() { _, _ = Verify(token, find, want) }}, // header, payload, claims, permissions; then crypto
	} {
		if got := testing.AllocsPerRun(runs, row.run); got > row.limit {
			t.Errorf("%s: %v allocations, want at most %v", name, got, row.limit)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	f := keysOf(b)
	c, dst := claims(), make([]byte, 0, MaxSigned)
	for _, kid := range []string{es256, eddsa, rs256} {
		key := f.keys[kid]
		b.Run(string(key.public.Algorithm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.Sign(dst[:0], TypeAccessToken, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	f := keysOf(b)
	for _, kid := range []string{es256, eddsa, rs256} {
		token, public := f.sign(b, kid, claims()), f.keys[kid].Public()
		find := func(string) (*PublicKey, bool) { return &public, true }
		b.Run(string(public.Algorithm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(token, find, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
