package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestJWT01_T37_tokenWithoutAlgorithmIsRefused(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	good := f.forge(t, es256, h, p)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		bad := edit(t, h, `"alg":"ES256"`, `"alg":"`+alg+`"`)
		f.refuse(t,
			refusal{"JWT-01 T37 unsigned " + alg, encode(bad) + "." + encode(p) + ".", ErrSignature, good},
			refusal{"JWT-01 T37 other signature " + alg, encode(bad) + "." + encode(p) + "." + signature, ErrSignature, good},
			refusal{"JWT-01 T37 signed " + alg, f.forge(t, es256, bad, p), ErrSignature, good},
		)
	}
	f.refuse(t, refusal{"JWT-01 T37 no signature", encode(h) + "." + encode(p) + ".", ErrSignature, good})
}

func TestJWT02_T37_publicKeyIsNoSharedSecret(t *testing.T) {
	f := keysOf(t)
	for _, kid := range []string{es256, rs256, eddsa} {
		good := f.sign(t, kid, claims())
		parts := strings.Split(good, ".")
		public := f.keys[kid].Public()
		der, err := x509.MarshalPKIXPublicKey(public.Key)
		if err != nil {
			t.Fatal(err)
		}
		set, err := AppendJWKSet(nil, []PublicKey{public})
		if err != nil {
			t.Fatal(err)
		}
		jwk := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`)
		for form, key := range map[string][]byte{
			"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
			"DER": der,
			"JWK": []byte(jwk),
		} {
			h := edit(t, decode(t, parts[0]), string(public.Algorithm), "HS256")
			f.refuse(t,
				refusal{"JWT-02 T37 HS256 keyed with " + form + " of " + kid, hs256(key, encode(h)+"."+parts[1]), ErrSignature, good},
				refusal{"JWT-02 T37 MAC under the right alg with " + form + " of " + kid, hs256(key, parts[0]+"."+parts[1]), ErrSignature, good},
			)
		}
	}
}

func hs256(key []byte, input string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(input))
	return input + "." + encode(string(mac.Sum(nil)))
}

func TestJWT03_keyHasOneAlgorithm(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	es384 := encode(edit(t, h, "ES256", "ES384")) + "." + encode(p)
	digest384 := sha512.Sum384([]byte(es384))
	der, err := ecdsa.SignASN1(rand.Reader, f.keys[es256].signer.(*ecdsa.PrivateKey), digest384[:])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rawSignature(der)
	if err != nil {
		t.Fatal(err)
	}
	rsaHeader := `{"alg":"RS256","kid":"` + rs256 + `","typ":"at+jwt"}`
	ps256 := encode(edit(t, rsaHeader, "RS256", "PS256")) + "." + encode(p)
	underRS256 := encode(rsaHeader) + "." + encode(p)
	f.refuse(t,
		refusal{"JWT-03 ES256 to ES384", es384 + "." + encode(string(raw[:])), ErrSignature, f.forge(t, es256, h, p)},
		refusal{"JWT-03 RS256 to PS256", ps256 + "." + pss(t, f, ps256), ErrSignature, f.forge(t, rs256, rsaHeader, p)},
		refusal{"JWT-03 PSS signature under RS256", underRS256 + "." + pss(t, f, underRS256), ErrSignature, f.forge(t, rs256, rsaHeader, p)},
		refusal{"JWT-03 EdDSA kid under ES256", f.forge(t, eddsa, edit(t, h, es256, eddsa), p), ErrSignature, f.forge(t, es256, h, p)},
		refusal{"JWT-03 alg in other letters", f.forge(t, es256, edit(t, h, "ES256", "es256"), p), ErrSignature, f.forge(t, es256, h, p)},
	)
}

func pss(t *testing.T, f fixture, input string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, f.keys[rs256].signer.(*rsa.PrivateKey), crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return encode(string(signature))
}

func TestJWT07_T38_keyInTokenIsRefused(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	attacker, err := GenerateKey(ES256, es256, UseAccessToken, Sandbox)
	if err != nil {
		t.Fatal(err)
	}
	set, err := AppendJWKSet(nil, []PublicKey{attacker.Public()})
	if err != nil {
		t.Fatal(err)
	}
	jwk := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`)
	evil := fixture{keys: map[string]*PrivateKey{es256: attacker}}

	var fetched atomic.Int32
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer canary.Close()
	for name, member := range map[string]string{
		"jwk":      `"jwk":` + jwk,
		"x5c":      `"x5c":["MIIB"]`,
		"jku":      `"jku":"` + canary.URL + `"`,
		"x5u":      `"x5u":"` + canary.URL + `"`,
		"x5t":      `"x5t":"abcd"`,
		"x5t#S256": `"x5t#S256":"abcd"`,
		"zip":      `"zip":"DEF"`,
		"enc":      `"enc":"A256GCM"`,
	} {
		with := edit(t, h, `"typ"`, member+`,"typ"`)
		unknown := edit(t, h, `"typ"`, `"other_`+name+`":1,"typ"`)
		f.refuse(t,
			refusal{"JWT-07 T38 attacker's signature with " + name, evil.forge(t, es256, with, p), ErrMalformed, f.forge(t, es256, unknown, p)},
			refusal{"JWT-07 T38 our signature with " + name, f.forge(t, es256, with, p), ErrMalformed, f.forge(t, es256, unknown, p)},
		)
	}
	f.refuse(t, refusal{"JWT-07 T38 attacker's key under our kid", evil.forge(t, es256, h, p), ErrSignature, f.forge(t, es256, h, p)})
	if got := fetched.Load(); got != 0 {
		t.Errorf("token caused %d requests, want 0", got)
	}
}

func TestJWT10_T38_keyIDIsNothingButAName(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	for name, kid := range map[string]string{
		"path":    `"../../etc/passwd"`,
		"SQL":     `"x' OR '1'='1"`,
		"NUL":     `"sandbox\u0000es256"`,
		"newline": `"sandbox\nes256"`,
		"1 KB":    `"` + strings.Repeat("k", 1<<10) + `"`,
		"4 KB":    `"` + strings.Repeat("k", 4<<10) + `"`,
		"10 kB":   `"` + strings.Repeat("k", 10_000) + `"`,
		"number":  `7`,
		"array":   `["` + es256 + `"]`,
		"object":  `{"kid":"` + es256 + `"}`,
		"null":    `null`,
		"empty":   `""`,
	} {
		bad := f.forge(t, es256, edit(t, h, `"`+es256+`"`, kid), p)
		asked := false
		_, err := Verify(bad, func(string) (*PublicKey, bool) { asked = true; return nil, false }, want)
		if err == nil || asked {
			t.Errorf("JWT-10 kid as %s: error %v, keys asked: %t; want an error before any look-up", name, err, asked)
		}
		f.refuse(t, refusal{"JWT-10 T38 kid as " + name, bad, ErrMalformed, f.forge(t, es256, h, p)})
	}
	f.refuse(t, refusal{"JWT-40 kid that no key has", f.forge(t, es256, edit(t, h, es256, "retired"), p), ErrSignature, f.forge(t, es256, h, p)})
}

func TestJWT12_keyIDIsRequired(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	bad := edit(t, h, `"kid":"`+es256+`",`, "")
	f.refuse(t, refusal{"JWT-12 no kid", f.forge(t, es256, bad, p), ErrMalformed, f.forge(t, es256, h, p)})
}

func TestJWT15_T43_otherTypesAreNoAccessTokens(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	good := f.forge(t, es256, h, p)
	for _, typ := range []string{
		"JWT", "jwt", "dpop+jwt", "logout+jwt", "", "at+jwt ", " at+jwt", "at jwt", "application/", "application/application/at+jwt",
		"text/at+jwt", "at+jwt\\u0000", "reset+jwt", TypeAssertion,
	} {
		bad := edit(t, h, `"at+jwt"`, `"`+typ+`"`)
		f.refuse(t, refusal{fmt.Sprintf("JWT-15 T43 typ %q", typ), f.forge(t, es256, bad, p), ErrMalformed, good})
	}
	f.refuse(t,
		refusal{"JWT-15 typ missing", f.forge(t, es256, edit(t, h, `,"typ":"at+jwt"`, ""), p), ErrMalformed, good},
		refusal{"JWT-15 typ is an array", f.forge(t, es256, edit(t, h, `"at+jwt"`, `["at+jwt"]`), p), ErrMalformed, good},
	)
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"} {
		if err := f.verify(f.forge(t, es256, edit(t, h, `"at+jwt"`, `"`+typ+`"`), p)); err != nil {
			t.Errorf("JWT-15 typ %q: %v, want acceptance", typ, err)
		}
	}
}

func TestT43_assertionKeyAndAccessTokenKeyAreApart(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	good := f.forge(t, es256, h, p)
	f.refuse(t,
		refusal{"T43 T40 assertion used as access token", f.sign(t, assertion, claims()), ErrMalformed, good},
		refusal{"T43 access token signed by the assertion key", f.forge(t, assertion, edit(t, h, es256, assertion), p), ErrSignature, good},
	)
	wantAssertion := want
	wantAssertion.Type = TypeAssertion
	t.Run("T43 access token used as assertion", func(t *testing.T) {
		if _, err := Verify(good, f.find, wantAssertion); err == nil {
			t.Error("Verify accepted an access token as an assertion")
		}
		forged := f.forge(t, es256, edit(t, h, TypeAccessToken, TypeAssertion), p)
		if _, err := Verify(forged, f.find, wantAssertion); err == nil {
			t.Error("Verify accepted an assertion signed by an access token key")
		}
		t.Run("twin", func(t *testing.T) {
			if _, err := Verify(f.sign(t, assertion, claims()), f.find, wantAssertion); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestJWT16_criticalHeaderIsRefused(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	for name, member := range map[string]string{
		"unknown name":    `"crit":["x"],"x":1`,
		"empty list":      `"crit":[]`,
		"repeated name":   `"crit":["x","x"],"x":1`,
		"standard name":   `"crit":["alg"]`,
		"b64 false":       `"crit":["b64"],"b64":false`,
		"b64 alone":       `"b64":false`,
		"null":            `"crit":null`,
		"other letters":   `"Crit":["x"],"x":1`,
		"escaped letters": `"cr\u0069t":["x"],"x":1`,
	} {
		bad := edit(t, h, `"typ"`, member+`,"typ"`)
		twin := edit(t, h, `"typ"`, `"x":1,"typ"`)
		f.refuse(t, refusal{"JWT-16 crit with " + name, f.forge(t, es256, bad, p), ErrMalformed, f.forge(t, es256, twin, p)})
	}
}
