package gateway_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/jwt"
)

func TestTokensThatAreNone(t *testing.T) {
	w := newWorld(t)
	good := w.token(w.client)
	twin := w.request("GET", "/p1/x", good)
	w.upstream.takeOver(nil)
	canary := newUpstream(t) // a key would be fetched from here
	header := func(members string) string {
		parts := strings.Split(good, ".")
		decoded, err := base64.RawURLEncoding.DecodeString(parts[0])
		w.must(err)
		text := strings.TrimSuffix(string(decoded), "}") + "," + members + "}"
		return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + parts[1] + "." + parts[2]
	}
	key := w.keys["sandbox-1"]
	der, err := x509.MarshalPKIXPublicKey(key.Key)
	w.must(err)
	jwk, err := json.Marshal(map[string]string{"kty": "EC", "x": base64.RawURLEncoding.EncodeToString(der)})
	w.must(err)
	foreign, err := jwt.GenerateKey(jwt.ES256, "sandbox-1", jwt.UseAccessToken, jwt.Sandbox)
	w.must(err)
	otherAudience, otherIssuer, expired := w.claims(w.client), w.claims(w.client), w.claims(w.client)
	otherAudience.Audience, otherIssuer.Issuer = "https://other.example", "https://other.example"
	expired.IssuedAt, expired.NotBefore, expired.Expiry = expired.IssuedAt-1000, expired.NotBefore-1000, expired.IssuedAt-500
	assertion, _ := w.passes(t, twin)
	wrongEnvironment := w.claims(w.client)
	wrongEnvironment.Sandbox = false
	for _, tt := range []struct{ name, token, code string }{
		{"JWT-08 T38 jku", header(`"jku":"` + canary.url() + `/jwks.json"`), ""},
		{"JWT-08 T38 x5u", header(`"x5u":"` + canary.url() + `/cert.pem"`), ""},
		{"T38 jwk", header(`"jwk":` + string(jwk)), ""},
		{"T38 signed with another key", w.sign(foreign, w.claims(w.client)), "token_signature_invalid"},
		{"T43 assertion to an upstream", reading(assertion, "Doorward-Assertion")[0], ""},
		{"T43 ID token", header(`"typ":"JWT"`), ""},
		{"T42 five parts", good + ".a.b", "token_malformed"},
		{"T40 other audience", w.sign(w.signing[jwt.Sandbox], otherAudience), "token_audience_wrong"},
		{"T40 other issuer", w.sign(w.signing[jwt.Sandbox], otherIssuer), "token_audience_wrong"},
		{"T45 expired", w.sign(w.signing[jwt.Sandbox], expired), "token_expired"},
		{"GW-39 sandbox client, production key", w.sign(w.signing[jwt.Production], wrongEnvironment), "environment_mismatch"},
		{"T47 a", "a", "token_malformed"},
		{"T47 abc", "abc", "token_malformed"},
		{"unsigned", good[:strings.LastIndex(good, ".")+1], ""},
		{"T41 dots", strings.Repeat(".", 8000), "token_malformed"},
		{"JWT-26 9 kB", good + strings.Repeat("a", 9<<10), "token_malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.refused(t, w.request("GET", "/p1/x", tt.token), 401)
			if tt.code != "" && a.code() != tt.code {
				t.Errorf("code %q, want %q", a.code(), tt.code)
			}
			if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) || strings.Contains(a.body, tt.token) && len(tt.token) > 3 {
				t.Errorf("challenge %q, body %s", challenge, a.body)
			}
			// T45: no token passes for none where one is optional.
			w.refused(t, w.request("GET", "/p1/public", tt.token), 401)
			t.Run("twin", func(t *testing.T) { w.passes(t, twin) })
		})
	}
	if got := canary.taken(); len(got) > 0 {
		t.Errorf("JWT-08: the canary was asked %q", got[0].line)
	}
	t.Run("JWT-26 T41 64 kB", func(t *testing.T) {
		w.refused(t, w.request("GET", "/p1/x", strings.Repeat("a.", 32<<10)), 401, 431)
		w.refused(t, w.request("GET", "/p1/x", strings.Repeat(".", 1<<20)), 431)
		t.Run("twin", func(t *testing.T) { w.passes(t, twin) })
	})
	if strings.Contains(w.accesses.String()+w.errors.String(), good[:40]) {
		t.Error("a log holds the token")
	}
}

func TestT41_dotsCostNoMemory(t *testing.T) {
	w := newWorld(t)
	raw := w.request("GET", "/p1/x", strings.Repeat(".", 8000))
	w.refused(t, raw, 401)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		w.refused(t, raw, 401)
	}
	runtime.ReadMemStats(&after)
	if perCall := (after.TotalAlloc - before.TotalAlloc) / 20; perCall > 200<<10 { // both ends of the socket included; a split would be 8000 × 16 B and more
		t.Errorf("T41: %d bytes per call", perCall)
	}
}

func TestWhereTokensMayStand(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	twin := w.request("GET", "/p1/x", token)
	authorization := func(value string) string { return w.request("GET", "/p1/x", "", "Authorization: "+value) }
	w.run(t, []wire{
		{name: "JWT-35 two tokens", raw: authorization("Bearer " + token + " " + token), twin: twin},
		{name: "JWT-35 comma list", raw: authorization("Bearer " + token + "," + token), twin: twin},
		{name: "JWT-35 two headers", raw: w.request("GET", "/p1/x", token, "Authorization: Bearer "+token), twin: twin},
		{name: "JWT-35 two headers, one of another scheme", raw: w.request("GET", "/p1/x", token, "authorization: Basic eA=="), twin: twin},
		{name: "JWT-36 in header and query", raw: w.request("GET", "/p1/x?access_token="+token, token), twin: twin},
		{name: "JWT-36 in the query alone", raw: w.request("GET", "/p1/x?access_token="+token, ""), twin: twin},
		{name: "JWT-36 in the query of an open route", raw: w.request("GET", "/p1/public?access_token="+token, ""), twin: w.request("GET", "/p1/public", "")},
		{name: "JWT-37 T47 no credentials", raw: w.request("GET", "/p1/x", ""), twin: twin, status: []int{401}},
		{name: "T47 Bearer alone", raw: authorization("Bearer"), twin: twin, status: []int{401}},
		{name: "T47 empty", raw: authorization(""), twin: twin, status: []int{401}},
	})
	for _, scheme := range []string{"bearer", "BEARER", "Bearer "} {
		t.Run("JWT-35 scheme "+scheme, func(t *testing.T) { w.passes(t, authorization(scheme+" "+token)) })
	}
	if log := w.accesses.String(); strings.Contains(log, token) || strings.Contains(log, "access_token") {
		t.Error("JWT-36: the access log holds the query")
	}
	for _, tt := range []struct {
		name, raw, want string
		status          int
	}{
		{"no credentials", w.request("GET", "/p1/x", ""), `Bearer realm="doorward"`, 401},
		{"bad token", w.request("GET", "/p1/x", token+"x"), `error="invalid_token"`, 401},
		{"missing right", w.request("GET", "/p1/secret", token), `error="insufficient_scope"`, 403},
	} {
		t.Run("JWT-37 "+tt.name, func(t *testing.T) {
			challenge := w.refused(t, tt.raw, tt.status).header.Get("WWW-Authenticate")
			if !strings.Contains(challenge, tt.want) || tt.name == "no credentials" && challenge != tt.want {
				t.Errorf("challenge %q, want %q", challenge, tt.want)
			}
		})
	}
}

func TestAccountParameterHasOneSpelling(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	mine, theirs := string(w.sandbox), string(w.other)
	get := func(query string) string { return w.request("GET", "/p1/x?"+query, token) }
	twin := get(parameter + "=" + mine)
	w.run(t, []wire{
		{name: "GW-30 own and other", raw: get(parameter + "=" + mine + "&" + parameter + "=" + theirs), twin: twin},
		{name: "GW-30 own twice", raw: get(parameter + "=" + mine + "&" + parameter + "=" + mine), twin: twin},
		{name: "GW-32 T33 semicolon", raw: get(parameter + "=" + mine + ";" + parameter + "=" + theirs), twin: twin},
		{name: "GW-32 brackets", raw: get(parameter + "[]=" + theirs), twin: twin},
		{name: "GW-32 escaped name", raw: get("%73ignicat-accountId=" + theirs), twin: twin},
		{name: "GW-32 lower case", raw: get("signicat-accountid=" + theirs), twin: twin},
		{name: "GW-32 T33 broken escape beside it", raw: get(parameter + "=" + mine + "&x=%x"), twin: twin},
		{name: "GW-32 T33 broken escape alone", raw: get("%x"), twin: twin},
		{name: "T33 on an open route", raw: w.request("GET", "/p1/public?a;b", ""), twin: w.request("GET", "/p1/public?a&b", "")},
		{name: "someone else's", raw: get(parameter + "=" + theirs), twin: twin, status: []int{403}},
		{name: "none that exists", raw: get(parameter + "=a-s-aaaaaaaaaaaaaaaaaaaa"), twin: twin, status: []int{403}},
		{name: "someone else's in the path", raw: w.request("GET", "/p1/accounts/"+theirs, token), twin: w.request("GET", "/p1/accounts/"+mine, token), status: []int{403}},
	})
	t.Run("answers for someone else's and for none are alike", func(t *testing.T) {
		body := func(account string) string {
			a := w.send(get(parameter + "=" + account))
			return strings.ReplaceAll(a.body, a.header.Get("Doorward-Request-Id"), "")
		}
		if a, b := body(theirs), body("a-s-aaaaaaaaaaaaaaaaaaaa"); a != b || !strings.Contains(a, "account_mismatch") {
			t.Errorf("answers differ:\n%s%s", a, b)
		}
	})
}

func TestRefusalsAreProblemDocuments(t *testing.T) {
	w := newWorld(t)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := w.refused(t, w.request("GET", "/p1/secret", w.token(w.client), "Traceparent: "+parent), 403)
	var got map[string]any
	w.must(json.Unmarshal([]byte(a.body), &got))
	for member, want := range map[string]any{
		"type": helpURL + "#permission_missing", "title": "Permission missing", "status": 403.0, "code": "permission_missing", "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
		"detail": "This call needs p1.admin; the client " + string(w.client) + " does not have it.",
	} {
		if got[member] != want {
			t.Errorf("%s = %v, want %v", member, got[member], want)
		}
	}
	if id := a.header.Get("Doorward-Request-Id"); id != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("Doorward-Request-Id = %q", id)
	}
}
