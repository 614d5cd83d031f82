package jwt

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func (f fixture) publicKeys() []PublicKey {
	var keys []PublicKey
	for _, kid := range []string{es256, rs256, eddsa, production, assertion} {
		keys = append(keys, f.keys[kid].Public())
	}
	return keys
}

func (f fixture) set(tb testing.TB) string {
	tb.Helper()
	set, err := AppendJWKSet(nil, f.publicKeys())
	if err != nil {
		tb.Fatal(err)
	}
	return string(set)
}

func TestKEY01_setShowsPublicMembersOnly(t *testing.T) {
	f := keysOf(t)
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(f.set(t)), &set); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]string{
		"EC":  "kid use alg kty crv x y environment doorward_use",
		"OKP": "kid use alg kty crv x environment doorward_use",
		"RSA": "kid use alg kty n e environment doorward_use",
	}
	seen := map[string]bool{}
	for _, key := range set.Keys {
		kty, _ := key["kty"].(string)
		for member := range key {
			if !strings.Contains(" "+allowed[kty]+" ", " "+member+" ") {
				t.Errorf("KEY-01: %s key has member %q", kty, member)
			}
		}
		kid, _ := key["kid"].(string)
		if kid == "" || seen[kid] || key["use"] != "sig" || key["alg"] == nil {
			t.Errorf("KEY-01: kid %q (seen: %t), use %v, alg %v", kid, seen[kid], key["use"], key["alg"])
		}
		seen[kid] = true
	}
	if got, want := len(set.Keys), len(f.publicKeys()); got != want {
		t.Errorf("KEY-01: %d keys, want %d", got, want)
	}
}

func TestKEY01_setWithoutUniqueUsableKeysIsNotWritten(t *testing.T) {
	f := keysOf(t)
	good := f.keys[es256].Public()
	with := func(change func(*PublicKey)) PublicKey {
		key := good
		key.ID = "other"
		change(&key)
		return key
	}
	for name, key := range map[string]PublicKey{
		"KEY-01 same kid":            good,
		"KEY-01 no kid":              with(func(k *PublicKey) { k.ID = "" }),
		"KEY-01 private key":         with(func(k *PublicKey) { k.Key = f.keys[es256].signer }),
		"KEY-01 no alg":              with(func(k *PublicKey) { k.Algorithm = "" }),
		"KEY-01 alg of other key":    with(func(k *PublicKey) { k.Algorithm = RS256 }),
		"KEY-01 no use":              with(func(k *PublicKey) { k.Use = "" }),
		"KEY-01 no environment":      with(func(k *PublicKey) { k.Environment = "" }),
		"KEY-01 shared secret":       with(func(k *PublicKey) { k.Key = []byte("secret") }),
		"KEY-01 assertion somewhere": with(func(k *PublicKey) { k.Use = UseAssertion }),
	} {
		t.Run(name, func(t *testing.T) {
			set, err := AppendJWKSet([]byte("before"), []PublicKey{good, key})
			if !errors.Is(err, ErrMalformed) || string(set) != "before" {
				t.Errorf("AppendJWKSet = %q, %v; want the slice as it was and %v", set, err, ErrMalformed)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := AppendJWKSet(nil, []PublicKey{good, with(func(*PublicKey) {})}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestParsedSetIsTheWrittenOne(t *testing.T) {
	f := keysOf(t)
	got, err := ParseJWKSet([]byte(f.set(t)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.publicKeys(), got); diff != "" {
		t.Errorf("keys (-written +parsed):\n%s", diff)
	}
	var theirs jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(f.set(t)), &theirs); err != nil {
		t.Fatal(err)
	}
	for i, key := range f.publicKeys() {
		if diff := cmp.Diff(key.Key, theirs.Keys[i].Key); diff != "" {
			t.Errorf("go-jose reads %s otherwise (-written +parsed):\n%s", key.ID, diff)
		}
	}
}

func TestDefectiveSetIsRefusedWhole(t *testing.T) {
	f := keysOf(t)
	good := f.set(t)
	ec := `"crv":"P-256","x":"`
	for name, bad := range map[string]string{
		"empty":                       ``,
		"no object":                   `[]`,
		"no keys":                     `{}`,
		"keys null":                   `{"keys":null}`,
		"KEYS":                        strings.Replace(good, `"keys"`, `"KEYS"`, 1),
		"two keys members":            `{"keys":[],` + good[1:],
		"over 1 MiB":                  good + strings.Repeat(" ", MaxJWKSetSize),
		"HTML":                        `<html></html>`,
		"KEY-01 duplicate kid":        strings.Replace(good, production, es256, 1),
		"KEY-01 private d":            strings.Replace(good, `"x":`, `"d":"AAAA","x":`, 1),
		"KEY-01 private p":            strings.Replace(good, `"n":`, `"p":"AAAA","n":`, 1),
		"KEY-01 private DP":           strings.Replace(good, `"n":`, `"DP":"AAAA","n":`, 1),
		"KEY-01 symmetric k":          strings.Replace(good, `{"keys":[`, `{"keys":[{"kty":"oct","kid":"s","alg":"HS256","k":"AAAA"},`, 1),
		"no kid":                      strings.Replace(good, `"kid":"`+es256+`",`, ``, 1),
		"kid a path":                  strings.Replace(good, es256, "../"+es256, 1),
		"kid a number":                strings.Replace(good, `"`+es256+`"`, `7`, 1),
		"duplicate member":            strings.Replace(good, `"use":"sig"`, `"use":"sig","use":"sig"`, 1),
		"short coordinate":            strings.Replace(good, ec, `"crv":"P-256","x":"AAAA`, 1),
		"point off the curve":         strings.Replace(good, ec+point(good, ec), ec+strings.Repeat("A", 43), 1),
		"RSA of 2056 bits":            strings.Replace(good, `"n":"`, `"n":"AQ`, 1),
		"RSA exponent 3":              strings.Replace(good, `"AQAB"`, `"Aw"`, 1),
		"Ed25519 key of other length": strings.Replace(good, `"crv":"Ed25519","x":"`, `"crv":"Ed25519","x":"AAAA`, 1),
		"too many keys":               `{"keys":[` + strings.Repeat(`{},`, MaxKeys) + `{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if bad == good {
				t.Fatal("the set is not changed, mend the test")
			}
			if keys, err := ParseJWKSet([]byte(bad)); !errors.Is(err, ErrMalformed) || keys != nil {
				t.Errorf("ParseJWKSet = %d keys, %v; want %v", len(keys), err, ErrMalformed)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := ParseJWKSet([]byte(good)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// point is the 43 characters after prefix.
func point(text, prefix string) string {
	_, rest, _ := strings.Cut(text, prefix)
	return rest[:43]
}

func TestKeysThatTheProfileDoesNotKnowAreLeftOut(t *testing.T) {
	f := keysOf(t)
	good := f.set(t)
	for name, key := range map[string]string{
		"unknown kty":         `{"kty":"AKP","kid":"a","use":"sig","alg":"ML-DSA-44","pub":"AAAA","environment":"sandbox"}`,
		"unknown curve":       `{"kty":"EC","kid":"a","use":"sig","alg":"ES384","crv":"P-384","x":"AAAA","y":"AAAA","environment":"sandbox"}`,
		"alg of another kty":  `{"kty":"EC","kid":"a","use":"sig","alg":"RS256","crv":"P-256","environment":"sandbox"}`,
		"encryption key":      `{"kty":"RSA","kid":"a","use":"enc","alg":"RS256","n":"AAAA","e":"AQAB","environment":"sandbox"}`,
		"no environment":      `{"kty":"RSA","kid":"a","use":"sig","alg":"RS256","n":"AAAA","e":"AQAB"}`,
		"unknown environment": `{"kty":"RSA","kid":"a","use":"sig","alg":"RS256","n":"AAAA","e":"AQAB","environment":"test"}`,
		"unknown purpose":     `{"kty":"RSA","kid":"a","use":"sig","alg":"RS256","n":"AAAA","e":"AQAB","doorward_use":"logout"}`,
	} {
		keys, err := ParseJWKSet([]byte(strings.Replace(good, `{"keys":[`, `{"other":[1],"keys":[`+key+`,`, 1)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(f.publicKeys(), keys); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzParseJWKSet(f *testing.F) {
	fix := keysOf(f)
	f.Add([]byte(fix.set(f)))
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseJWKSet(data)
		if err != nil {
			return
		}
		written, err := AppendJWKSet(nil, keys)
		if err != nil {
			t.Fatalf("parsed keys cannot be written: %v", err)
		}
		again, err := ParseJWKSet(written)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(keys, again); diff != "" {
			t.Errorf("keys change on the way (-first +second):\n%s", diff)
		}
	})
}
