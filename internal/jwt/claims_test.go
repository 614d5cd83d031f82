package jwt

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestJWT13_duplicateMemberIsRefused(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	good := f.forge(t, es256, h, p)
	add := func(text, member string) string { return strings.TrimSuffix(text, "}") + "," + member + "}" }
	for name, member := range map[string]string{
		"duplicate sub":              `"sub":"sandbox-round-apple-123"`,
		"other sub":                  `"sub":"sandbox-round-apple-124"`,
		"duplicate aud":              `"aud":"` + audience + `"`,
		"duplicate scope":            `"scope":"signicat-api"`,
		"duplicate exp":              `"exp":1800000600`,
		"duplicate permissions":      `"permissions":[]`,
		"escaped sub":                `"\u0073ub":"sandbox-round-apple-124"`,
		"escaped exp":                `"ex\u0070":1900000000`,
		"case twin of sub":           `"Sub":"sandbox-round-apple-124"`,
		"case twin of exp":           `"EXP":1900000000`,
		"escaped case twin":          `"\u0053ub":"x"`,
		"long s for s":               `"ſub":"x"`,
		"duplicate of unknown claim": `"x":1,"x":1`,
		"case twin of unknown claim": `"x":1,"X":1`,
		"duplicate inside a claim":   `"x":{"y":1,"y":1}`,
		"case twin inside a list":    `"x":[{"y":1,"Y":1}]`,
	} {
		f.refuse(t, refusal{"JWT-13 " + name, f.forge(t, es256, h, add(p, member)), ErrMalformed, f.forge(t, es256, h, add(p, `"x":{"y":1}`))})
	}
	for name, member := range map[string]string{
		"duplicate alg":        `"alg":"ES256"`,
		"case twin of alg":     `"ALG":"none"`,
		"escaped alg":          `"\u0061lg":"none"`,
		"duplicate kid":        `"kid":"` + es256 + `"`,
		"duplicate typ":        `"typ":"at+jwt"`,
		"duplicate of unknown": `"x":1,"x":1`,
	} {
		f.refuse(t, refusal{"JWT-13 header with " + name, f.forge(t, es256, add(h, member), p), ErrMalformed, f.forge(t, es256, add(h, `"x":1`), p)})
	}
	only := edit(t, p, `"scope"`, `"Scope"`)
	f.refuse(t, refusal{"JWT-13 known claim in other letters alone", f.forge(t, es256, h, only), ErrMalformed, good})
}

func TestJWT17_expiryIsExactToTheSecond(t *testing.T) {
	f := keysOf(t)
	at := func(expiry time.Time) string {
		c := claims()
		c.IssuedAt, c.NotBefore, c.Expiry = now.Unix()-600, 0, expiry.Unix()
		return f.sign(t, es256, c)
	}
	alive := at(now.Add(-Skew + time.Second))
	f.refuse(t,
		refusal{"JWT-17 exp one second before the edge", at(now.Add(-Skew - time.Second)), ErrExpired, alive},
		refusal{"JWT-17 exp at the edge", at(now.Add(-Skew)), ErrExpired, alive},
	)
}

func TestJWT18_datesAreWholeNumbersInRange(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	for _, value := range []string{
		`"1800000600"`, `null`, `-1`, `-1800000600`, `1e400`, `9223372036854775808`, `9223372036854775807`, `9007199254740993`, `1800000600.5`,
		`1800000600.0`, `18e8`, `0`, `-0`, `01800000600`, `+1800000600`, `0x6B49D200`, `true`, `[1800000600]`, `{}`, `253402300800`, `NaN`, `Infinity`, ``,
	} {
		for _, claim := range []struct{ name, text string }{{"exp", `"exp":1800000600`}, {"iat", `"iat":1800000000`}, {"nbf", `"nbf":1800000000`}} {
			bad := edit(t, p, claim.text, `"`+claim.name+`":`+value)
			f.refuse(t, refusal{fmt.Sprintf("JWT-18 %s is %s", claim.name, value), f.forge(t, es256, h, bad), ErrMalformed, f.forge(t, es256, h, p)})
		}
	}
	f.refuse(t,
		refusal{"JWT-18 exp missing", f.forge(t, es256, h, edit(t, p, `"exp":1800000600,`, "")), ErrMalformed, f.forge(t, es256, h, p)},
		refusal{"JWT-18 iat missing", f.forge(t, es256, h, edit(t, p, `"iat":1800000000,`, "")), ErrMalformed, f.forge(t, es256, h, p)},
	)
}

func TestJWT19_tokenOfTheFutureIsRefused(t *testing.T) {
	f := keysOf(t)
	at := func(change func(*Claims, int64), start time.Time) string {
		c := claims()
		change(c, start.Unix())
		return f.sign(t, es256, c)
	}
	nbf := func(c *Claims, start int64) { c.NotBefore = start }
	iat := func(c *Claims, start int64) { c.IssuedAt = start }
	f.refuse(t,
		refusal{"JWT-19 nbf past the edge", at(nbf, now.Add(Skew+time.Second)), ErrNotYetValid, at(nbf, now.Add(Skew))},
		refusal{"JWT-19 iat past the edge", at(iat, now.Add(Skew+time.Second)), ErrNotYetValid, at(iat, now.Add(Skew))},
	)
}

func TestJWT21_T40_issuerIsComparedByteForByte(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	good := f.forge(t, es256, h, p)
	for _, other := range []string{
		issuer + "/", strings.ToUpper(issuer), "https://API.example.com/auth/open", "https://api.example.com:443/auth/open", "http://api.example.com/auth/open",
		"https://api.example.com/auth", issuer + "?", "https://api.example.com/auth/open%20",
	} {
		bad := edit(t, p, `"iss":"`+issuer+`"`, `"iss":"`+other+`"`)
		f.refuse(t, refusal{"JWT-21 T40 iss " + other, f.forge(t, es256, h, bad), ErrIssuer, good})
	}
	f.refuse(t,
		refusal{"JWT-21 T40 iss missing", f.forge(t, es256, h, edit(t, p, `"iss":"`+issuer+`",`, "")), ErrMalformed, good},
		refusal{"JWT-21 T40 iss empty", f.forge(t, es256, h, edit(t, p, `"iss":"`+issuer+`"`, `"iss":""`)), ErrMalformed, good},
		refusal{"JWT-21 T40 iss null", f.forge(t, es256, h, edit(t, p, `"iss":"`+issuer+`"`, `"iss":null`)), ErrMalformed, good},
		refusal{"JWT-40 token of another issuer", f.forge(t, es256, h, edit(t, p, issuer, "https://other.example.com")), ErrIssuer, good},
	)
	t.Run("T40 verifier without an issuer", func(t *testing.T) {
		careless := want
		careless.Issuer = ""
		if _, err := Verify(f.forge(t, es256, h, edit(t, p, issuer, "")), f.find, careless); err == nil {
			t.Error("empty issuer accepted where none is expected")
		}
		t.Run("twin", func(t *testing.T) {
			if err := f.verify(good); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestJWT22_T40_audienceIsOurs(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	one := f.forge(t, es256, h, edit(t, p, `"aud":"`+audience+`"`, `"aud":["`+audience+`"]`))
	for _, row := range []struct {
		name, value string
		want        error
	}{
		{"empty array", `[]`, ErrMalformed},
		{"array with a number", `[7]`, ErrMalformed},
		{"ours and a number", `["` + audience + `",7]`, ErrMalformed},
		{"ours among others", `["` + audience + `","https://other.example.com"]`, ErrMalformed},
		{"ours last", `["https://other.example.com","` + audience + `"]`, ErrMalformed},
		{"ours twice", `["` + audience + `","` + audience + `"]`, ErrMalformed},
		{"nested array", `[["` + audience + `"]]`, ErrMalformed},
		{"another product", `"auth"`, ErrAudience},
		{"array of another", `["auth"]`, ErrAudience},
		{"trailing slash", `"` + audience + `/"`, ErrAudience},
		{"longer host", `"` + audience + `.example.org"`, ErrAudience},
		{"null", `null`, ErrMalformed},
		{"empty", `""`, ErrMalformed},
		{"object", `{"aud":"` + audience + `"}`, ErrMalformed},
	} {
		bad := edit(t, p, `"aud":"`+audience+`"`, `"aud":`+row.value)
		f.refuse(t, refusal{"JWT-22 T40 aud " + row.name, f.forge(t, es256, h, bad), row.want, one})
	}
	f.refuse(t, refusal{"JWT-22 T40 aud missing", f.forge(t, es256, h, edit(t, p, `"aud":"`+audience+`",`, "")), ErrMalformed, one})
}

func TestJWT32_idsArePlainASCII(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	const id = "sandbox-round-apple-123"
	for name, other := range map[string]string{
		"zero-width space":  "sandbox-round-apple\u200b-123",
		"Cyrillic a":        "s\u0430ndbox-round-apple-123",
		"combining mark":    "sandbox-round-apple\u0301-123",
		"full-width digits": "sandbox-round-apple-\uff11\uff12\uff13",
		"escaped":           `sandbox-round-apple\u200b-123`,
		"NUL":               `sandbox-round-apple-123\u0000`,
		"space":             "sandbox-round-apple-123 ",
	} {
		both := strings.ReplaceAll(p, id, other)
		f.refuse(t,
			refusal{"JWT-32 sub and client_id with " + name, f.forge(t, es256, h, both), ErrMalformed, f.forge(t, es256, h, p)},
			refusal{"JWT-32 sub with " + name, f.forge(t, es256, h, edit(t, p, `"sub":"`+id+`"`, `"sub":"`+other+`"`)), ErrMalformed, f.forge(t, es256, h, p)},
		)
	}
	differ := edit(t, p, `"sub":"`+id+`"`, `"sub":"sandbox-round-apple-124"`)
	f.refuse(t, refusal{"JWT-32 sub differs from client_id", f.forge(t, es256, h, differ), ErrMalformed, f.forge(t, es256, h, p)})
}

func TestJWT40_environmentOfKeyAndClaimAgree(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	good := f.forge(t, es256, h, p)
	live := edit(t, p, `"sandbox":true`, `"sandbox":false`)
	f.refuse(t,
		refusal{"JWT-40 sandbox key, production claim", f.forge(t, es256, h, live), ErrEnvironment, good},
		refusal{"JWT-40 production key, sandbox claim", f.forge(t, production, edit(t, h, es256, production), p), ErrEnvironment,
			f.forge(t, production, edit(t, h, es256, production), live)},
		refusal{"JWT-40 no sandbox claim", f.forge(t, es256, h, edit(t, p, `"sandbox":true,`, "")), ErrMalformed, good},
		refusal{"JWT-40 sandbox claim is a string", f.forge(t, es256, h, edit(t, p, `"sandbox":true`, `"sandbox":"true"`)), ErrMalformed, good},
		refusal{"JWT-40 sandbox claim is null", f.forge(t, es256, h, edit(t, p, `"sandbox":true`, `"sandbox":null`)), ErrMalformed, good},
	)
	t.Run("JWT-40 key of no environment", func(t *testing.T) {
		nowhere := func(kid string) (*PublicKey, bool) {
			key, ok := f.find(kid)
			key.Environment = ""
			return key, ok
		}
		if _, err := Verify(good, nowhere, want); !errors.Is(err, ErrEnvironment) {
			t.Errorf("error = %v, want %v", err, ErrEnvironment)
		}
		t.Run("twin", func(t *testing.T) {
			if err := f.verify(good); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestClaimsOfTheWrongTypeAreRefused(t *testing.T) {
	f := keysOf(t)
	h, p := f.texts(t)
	good := f.forge(t, es256, h, p)
	for name, change := range map[string][2]string{
		"permissions as string":           {`["auth.sessions.create","auth.sessions.read"]`, `"auth.sessions.create"`},
		"permissions null":                {`["auth.sessions.create","auth.sessions.read"]`, `null`},
		"permission empty":                {`"auth.sessions.create"`, `""`},
		"permission with space":           {`"auth.sessions.create"`, `"a b"`},
		"permission a number":             {`"auth.sessions.create"`, `1`},
		"permissions over 100":            {`"auth.sessions.create"`, strings.Repeat(`"p",`, 100) + `"p"`},
		"scope as array":                  {`"scope":"signicat-api"`, `"scope":["signicat-api"]`},
		"scope with two spaces":           {`"scope":"signicat-api"`, `"scope":"a  b"`},
		"scope with space before":         {`"scope":"signicat-api"`, `"scope":" a"`},
		"jti missing":                     {`"jti":"t7hs0c2mnb4k",`, ``},
		"generation negative":             {`"generation":7`, `"generation":-7`},
		"generation fraction":             {`"generation":7`, `"generation":7.5`},
		"account a number":                {`"a-s-0123456789abcdefghij"`, `7`},
		"nothing after a comma":           {`"generation":7`, `"generation":7,`},
		"text after the object":           {`"generation":7}`, `"generation":7}{}`},
		"NUL after the object":            {`"generation":7}`, `"generation":7}` + "\x00"},
		"array instead of object":         {`{"iss"`, `[{"iss"`},
		"string that is not UTF-8":        {`"generation":7`, `"generation":7,"x":"` + "\xff" + `"`},
		"half a surrogate pair":           {`"generation":7`, `"generation":7,"x":"\ud800"`},
		"unknown claim nested too deeply": {`"generation":7`, `"generation":7,"x":` + strings.Repeat("[", 9) + strings.Repeat("]", 9)},
		"unknown claim out of range":      {`"generation":7`, `"generation":7,"x":1e400`},
	} {
		f.refuse(t, refusal{name, f.forge(t, es256, h, edit(t, p, change[0], change[1])), ErrMalformed, good})
	}
	for _, member := range []string{`"x":null`, `"x":{"y":[1,-2.5e3,true,false,null,"\u00e9\ud83d\ude00\/"]}`, `"x":" \" "`, `"x":[[],{}]`, `"x":"é"`} {
		token := f.forge(t, es256, h, edit(t, p, `"generation":7`, `"generation":7,`+member))
		if err := f.verify(token); err != nil {
			t.Errorf("unknown claim %s: %v, want acceptance", member, err)
		}
	}
}
