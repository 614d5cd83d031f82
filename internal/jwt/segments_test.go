package jwt

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestJWT24_cutOrLongerTokenIsRefused(t *testing.T) {
	f := keysOf(t)
	for _, kid := range []string{es256, rs256, eddsa} {
		good := f.sign(t, kid, claims())
		signature := len(good) - strings.LastIndexByte(good, '.') - 1
		for n := 1; n < len(good); n++ {
			if err := f.verify(good[:len(good)-n]); err == nil {
				t.Errorf("JWT-24 %s: accepted without its last %d characters", kid, n)
			}
			if err := f.verify(good[n:]); err == nil {
				t.Errorf("JWT-24 %s: accepted without its first %d characters", kid, n)
			}
		}
		for n := 1; n <= 8; n++ {
			if err := f.verify(good + strings.Repeat("A", n)); err == nil {
				t.Errorf("JWT-24 %s: accepted with %d characters more", kid, n)
			}
		}
		f.refuse(t,
			refusal{"JWT-24 one character less " + kid, good[:len(good)-1], ErrMalformed, good},
			refusal{"JWT-24 half a signature " + kid, good[:len(good)-signature+signature/8*4], ErrSignature, good},
			refusal{"JWT-24 four characters more " + kid, good + "AAAA", ErrSignature, good},
		)
	}
}

func TestJWT24_signatureOfZerosIsRefused(t *testing.T) {
	f := keysOf(t)
	good := f.sign(t, es256, claims())
	input := good[:strings.LastIndexByte(good, '.')]
	one := strings.Repeat("\x00", 31) + "\x01"
	zero := strings.Repeat("\x00", 32)
	for name, raw := range map[string]string{"r and s": zero + zero, "r": zero + one, "s": one + zero} {
		f.refuse(t, refusal{"JWT-24 zero " + name, input + "." + encode(raw), ErrSignature, good})
	}
}

func TestJWT25_T41_onlyThreeSegments(t *testing.T) {
	f := keysOf(t)
	good := f.sign(t, es256, claims())
	parts := strings.Split(good, ".")
	f.refuse(t,
		refusal{"JWT-25 no token", "", ErrMalformed, good},
		refusal{"JWT-25 one segment", parts[0], ErrMalformed, good},
		refusal{"JWT-25 two segments", parts[0] + "." + parts[1], ErrMalformed, good},
		refusal{"JWT-25 four segments", good + ".", ErrMalformed, good},
		refusal{"JWT-25 five segments", good + "." + parts[1] + "." + parts[2], ErrMalformed, good},
		refusal{"JWT-25 T41 8 kB of dots", strings.Repeat(".", MaxSize), ErrMalformed, good},
		refusal{"JWT-25 T41 1 MiB of dots", strings.Repeat(".", 1<<20), ErrMalformed, good},
		refusal{"JWT-25 empty segments", "..", ErrMalformed, good},
	)
}

func TestJWT25_T41_refusingDotsAllocatesLittle(t *testing.T) {
	f := keysOf(t)
	for _, size := range []int{MaxSize, 1 << 20} {
		dots := strings.Repeat(".", size)
		const runs, limit = 100, 10 << 10 // bytes
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_ = f.verify(dots)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > limit {
			t.Errorf("JWT-25: %d dots allocate %d bytes, want at most %d", size, got, limit)
		}
	}
}

func TestJWT26_tokenAboveMaxSizeIsRefusedUnread(t *testing.T) {
	f := keysOf(t)
	largest := f.sized(t, MaxSize)
	f.refuse(t,
		refusal{"JWT-26 one byte too long", f.sized(t, MaxSize+1), ErrMalformed, largest},
		refusal{"JWT-26 largest and one byte more", largest + "A", ErrMalformed, largest},
		refusal{"JWT-26 64 kB", f.sized(t, 64<<10), ErrMalformed, largest},
	)
	asked := false
	_, _ = Verify(f.sized(t, 64<<10), func(string) (*PublicKey, bool) { asked = true; return nil, false }, want)
	if asked {
		t.Error("JWT-26: keys were asked for a token that is too long")
	}
}

// sized is a good token of exactly size bytes.
func (f fixture) sized(tb testing.TB, size int) string {
	tb.Helper()
	h, p := f.texts(tb)
	for inHeader := range 4 { // no base64url text is one byte longer than a multiple of four
		header := edit(tb, h, `"typ"`, `"x":"`+strings.Repeat("x", inHeader)+`","typ"`)
		for n := range size {
			payload := len(p) + len(`"x":"",`) + n
			if base64.RawURLEncoding.EncodedLen(len(header))+base64.RawURLEncoding.EncodedLen(payload)+len("..")+86 == size {
				return f.forge(tb, es256, header, edit(tb, p, `"generation"`, `"x":"`+strings.Repeat("x", n)+`","generation"`))
			}
		}
	}
	tb.Fatalf("no token of %d bytes", size)
	return ""
}

func TestJWT27_T42_encryptedTokenIsRefused(t *testing.T) {
	f := keysOf(t)
	good := f.sign(t, es256, claims())
	pbes2 := encode(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA","kid":"` + es256 + `","typ":"at+jwt"}`)
	bomb := encode(`{"alg":"dir","enc":"A128GCM","zip":"DEF","kid":"` + es256 + `","typ":"at+jwt"}`)
	for name, header := range map[string]string{"PBES2 count 2^31": pbes2, "compressed bomb": bomb} {
		f.refuse(t,
			refusal{"JWT-27 T42 " + name, header + ".AAAA.AAAA.AAAA.AAAA", ErrMalformed, good},
			refusal{"JWT-27 T42 " + name + " in three segments", header + ".AAAA.AAAA", ErrMalformed, good},
		)
	}
}

func TestJWT29_JSONSerialisationIsRefused(t *testing.T) {
	f := keysOf(t)
	good := f.sign(t, es256, claims())
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"flattened":    fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
		"general":      fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2]),
		"no protected": fmt.Sprintf(`{"payload":%q,"signature":%q}`, parts[1], parts[2]),
		"with dots":    fmt.Sprintf(`{"payload":%q,"x":"..","signature":%q}`, parts[1], parts[2]),
	} {
		f.refuse(t, refusal{"JWT-29 " + name, token, ErrMalformed, good})
	}
}

func TestJWT30_base64IsCanonical(t *testing.T) {
	f := keysOf(t)
	// Any key will do that gives a signature with - or _ and unused trailing bits.
	c := claims()
	good := f.sign(t, es256, c)
	for !strings.ContainsAny(good[strings.LastIndexByte(good, '.'):], "-_") {
		c.Generation++
		good = f.sign(t, es256, c)
	}
	dot := strings.LastIndexByte(good, '.')
	swapped := good[:dot] + strings.NewReplacer("-", "+", "_", "/").Replace(good[dot:])
	// The last of 86 characters carries two bits that are not used.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	f.refuse(t,
		refusal{"JWT-30 trailing bits", good[:len(good)-1] + alphabet[last+1:last+2], ErrMalformed, good},
		refusal{"JWT-30 plus and slash", swapped, ErrMalformed, good},
		refusal{"JWT-30 white space around", " " + good + "\n", ErrMalformed, good},
	)
	for name, inserted := range map[string]string{
		"padding": "=", "two paddings": "==", "line feed": "\n", "carriage return": "\r", "space": " ", "tab": "\t", "NUL": "\x00", "percent": "%2D",
	} {
		for i, at := range []int{0, 4, strings.IndexByte(good, '.'), dot + 1, dot + 5, len(good)} {
			f.refuse(t, refusal{fmt.Sprintf("JWT-30 %s at place %d", name, i), good[:at] + inserted + good[at:], ErrMalformed, good})
		}
		// Signed as it stands: the signature cannot tell, only the decoder can.
		h, p := f.texts(t)
		f.refuse(t, refusal{"JWT-30 signed payload with " + name, f.forgeSegments(t, encode(h), encode(p)[:4]+inserted+encode(p)[4:]), ErrMalformed, good})
	}
	h, p := f.texts(t)
	for len(p)%3 != 1 {
		p += " "
	}
	segment := encode(p)
	last = strings.IndexByte(alphabet, segment[len(segment)-1])
	f.refuse(t, refusal{
		"JWT-30 signed payload with trailing bits",
		f.forgeSegments(t, encode(h), segment[:len(segment)-1]+alphabet[last+1:last+2]), ErrMalformed,
		f.forgeSegments(t, encode(h), segment),
	})
}

// forgeSegments signs segments as they stand.
func (f fixture) forgeSegments(tb testing.TB, header, payload string) string {
	tb.Helper()
	token, err := f.keys[es256].sign([]byte(header+"."+payload+"."), 0)
	if err != nil {
		tb.Fatal(err)
	}
	return string(token)
}

func TestT38_failingKeySetRefuses(t *testing.T) {
	f := keysOf(t)
	good := f.sign(t, es256, claims())
	for name, keys := range map[string]func(string) (*PublicKey, bool){
		"no key":          func(string) (*PublicKey, bool) { return nil, false },
		"empty key":       func(string) (*PublicKey, bool) { return &PublicKey{}, true },
		"key without use": func(kid string) (*PublicKey, bool) { k, ok := f.find(kid); k.Use = ""; return k, ok },
		"key material of another algorithm": func(kid string) (*PublicKey, bool) {
			k, ok := f.find(kid)
			k.Key = f.keys[rs256].public.Key
			return k, ok
		},
	} {
		if _, err := Verify(good, keys, want); err == nil {
			t.Errorf("%s: token accepted", name)
		}
	}
	if _, err := Verify(good, f.find, Expected{}); err == nil {
		t.Error("zero Expected accepts a token")
	}
}
