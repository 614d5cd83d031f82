package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// A case is a token request that is refused, and its twin with one thing
// changed, which gets a token.
type refusalCase struct {
	name   string
	body   string
	change func(*http.Request)
	twin   string
	same   func(*http.Request) // change of the twin; nil: none
	status int
	code   string
}

func TestMalformedTokenRequestsAreRefused(t *testing.T) {
	w := newSQLiteWorld(t)
	good := w.a1.tokenForm()
	rest := w.a1.form()
	basicA1, target := basic(string(w.a1.id), w.a1.secret), func(query string) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawQuery, r.RequestURI = query, r.RequestURI+"?"+query }
	}
	all := func(changes ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, c := range changes {
				c(r)
			}
		}
	}
	parameters := func(n int) string { return strings.Repeat("&x=", n) }
	tests := []refusalCase{
		{name: "TOK-01 grant_type twice, equal", body: good + "&grant_type=client_credentials", twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-01 grant_type twice, different", body: good + "&grant_type=password", twin: good + "&grant_typ=password", status: 400, code: "invalid_request"},
		{name: "TOK-01 grant_type twice, one escaped", body: good + "&gr%61nt_type=client_credentials", twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-01 client_id twice", body: good + "&client_id=" + string(w.a1.id), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-01 unknown parameter twice", body: good + "&x=1&x=2", twin: good + "&x=1&y=2", status: 400, code: "invalid_request"},
		{name: "TOK-03 secret in header and body", body: good, change: basicA1, twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-03 bearer header and secret in the body", body: good, change: header("Authorization", "Bearer x"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-04 client_id of another beside Basic", body: "grant_type=client_credentials&client_id=" + string(w.b1.id), change: basicA1,
			twin: "grant_type=client_credentials&client_id=" + string(w.a1.id), same: basicA1, status: 400, code: "invalid_request"},
		{name: "TOK-06 credentials in the query", body: "grant_type=client_credentials", change: target(w.a1.form()), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-06 credentials in query and body", body: good, change: target(w.a1.form()), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-07 grant_type in the query", body: rest, change: target("grant_type=client_credentials"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-09 JSON", body: good, change: header("Content-Type", "application/json"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-09 text", body: good, change: header("Content-Type", "text/plain"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-09 multipart", body: good, change: header("Content-Type", "multipart/form-data; boundary=x"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-09 missing", body: good, change: header("Content-Type"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-09 twice", body: good, change: header("Content-Type", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-09 twice in one field", body: good, change: header("Content-Type", "application/x-www-form-urlencoded;a=b, application/json"), twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-12 NUL", body: good + "&x=%00", twin: good + "&x=%30", status: 400, code: "invalid_request"},
		{name: "TOK-12 NUL as client_id", body: "grant_type=client_credentials&client_secret=" + w.a1.secret + "&client_id=%00", twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-12 not UTF-8", body: good + "&x=%FF", twin: good + "&x=%C3%BF", status: 400, code: "invalid_request"},
		{name: "TOK-12 not UTF-8, raw", body: good + "&x=\xff", twin: good + "&x=ÿ", status: 400, code: "invalid_request"},
		{name: "TOK-12 lone surrogate", body: good + "&x=%ED%A0%80", twin: good + "&x=%ED%9F%BF", status: 400, code: "invalid_request"},
		{name: "TOK-12 broken escape", body: good + "&x=%zz", twin: good + "&x=%7a", status: 400, code: "invalid_request"},
		{name: "TOK-12 escape cut short", body: good + "&x=%7", twin: good + "&x=%77", status: 400, code: "invalid_request"},
		{name: "TOK-12 broken escape in a name", body: good + "&%x=1", twin: good + "&%41=1", status: 400, code: "invalid_request"},
		{name: "TOK-12 line break", body: good + "\r\n", twin: good + "&x=%0D%0A", status: 400, code: "invalid_request"},
		{name: "TOK-12 semicolon", body: good + ";x=1", twin: good + "&x=%3B1", status: 400, code: "invalid_request"},
		{name: "TOK-13 body of one byte too many", body: good + "&x=" + strings.Repeat("y", 16<<10-len(good)-2), twin: good + "&x=" + strings.Repeat("y", 16<<10-len(good)-3), status: 413, code: "invalid_request"},
		{name: "TOK-14 65 parameters", body: good + strings.Repeat("&", 62), twin: good + strings.Repeat("&", 61), status: 400, code: "invalid_request"},
		{name: "TOK-24 grant_type missing", body: rest, twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-24 grant_type empty", body: rest + "&grant_type=", twin: good, status: 400, code: "invalid_request"},
		{name: "TOK-24 password", body: rest + "&grant_type=password", twin: good, status: 400, code: "unsupported_grant_type"},
		{name: "TOK-24 implicit", body: rest + "&grant_type=implicit", twin: good, status: 400, code: "unsupported_grant_type"},
		{name: "TOK-24 unknown URN", body: rest + "&grant_type=urn:example:grant", twin: good, status: 400, code: "unsupported_grant_type"},
		{name: "TOK-26 unknown scope", body: good + "&scope=openid", twin: good + "&scope=" + scope, status: 400, code: "invalid_scope"},
		{name: "TOK-26 permission that is not granted", body: good + "&scope=echo.write", twin: good + "&scope=echo.read", status: 400, code: "invalid_scope"},
		{name: "TOK-26 one of two not granted", body: good + "&scope=echo.read+echo.write", twin: good + "&scope=echo.read+echo.call", status: 400, code: "invalid_scope"},
		{name: "TOK-26 default scope mixed with a permission", body: good + "&scope=" + scope + "+echo.read", twin: good + "&scope=echo.read", status: 400, code: "invalid_scope"},
		{name: "TOK-26 two spaces", body: good + "&scope=echo.read++echo.call", twin: good + "&scope=echo.read+echo.call", status: 400, code: "invalid_scope"},
		{name: "TOK-26 a space alone", body: good + "&scope=+", twin: good + "&scope=", status: 400, code: "invalid_scope"},
		{name: "TOK-26 other case", body: good + "&scope=Signicat-API", twin: good + "&scope=" + scope, status: 400, code: "invalid_scope"},
		{name: "TOK-26 prefix of a permission", body: good + "&scope=echo", twin: good + "&scope=echo.call", status: 400, code: "invalid_scope"},
		{name: "anonymous", body: "grant_type=client_credentials", twin: good, status: 401, code: "invalid_client"},
		{name: "id alone", body: "grant_type=client_credentials&client_id=" + string(w.a1.id), twin: good, status: 401, code: "invalid_client"},
	}
	tests = append(tests, refusalCase{
		name: "TOK-14 10,001 parameters", body: good + parameters(0) + strings.Repeat("&", 10_001), twin: good, status: 400, code: "invalid_request",
	}, refusalCase{
		name: "TOK-08 method override", body: good, change: all(func(r *http.Request) { r.Method = http.MethodGet }, header("X-HTTP-Method-Override", "POST")), twin: good, status: 405, code: "invalid_request",
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*http.Request) {}
			}
			a := w.refused(t, request(tokenPath, tt.body, change), tt.status, tt.code)
			if strings.Contains(w.log.String(), w.a1.secret) || strings.Contains(a.body, w.a1.secret) {
				t.Error("the secret is in the log or in the answer")
			}
			t.Run("twin", func(t *testing.T) {
				same := tt.same
				if same == nil {
					same = func(*http.Request) {}
				}
				w.issued(t, request(tokenPath, tt.twin, same))
			})
		})
	}
}

func TestTOK08_otherMethodsAreNotAllowed(t *testing.T) {
	w := newSQLiteWorld(t)
	for _, path := range []string{tokenPath, "/oauth/connect/token", issuerPath + "/oauth/connect/token", introspectPath, revokePath} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post"} {
			t.Run("TOK-08 "+method+" "+path, func(t *testing.T) {
				r := request(path, w.a1.tokenForm())
				r.Method = method
				a := w.refused(t, r, 405, "invalid_request")
				if got := a.Header["Allow"]; !cmp.Equal(got, []string{"POST"}) {
					t.Errorf("Allow = %q, want POST", got)
				}
			})
		}
	}
	t.Run("TOK-08 POST/twin", func(t *testing.T) { w.issued(t, request(tokenPath, w.a1.tokenForm())) })
}

func TestTOK10_mediaTypeMayHaveACharsetAndAnyCase(t *testing.T) {
	w := newSQLiteWorld(t)
	for _, media := range []string{
		"application/x-www-form-urlencoded; charset=UTF-8", "application/x-www-form-urlencoded;charset=utf-8",
		"APPLICATION/X-WWW-FORM-URLENCODED", "application/x-www-form-urlencoded ; x=y",
	} {
		t.Run("TOK-10 "+media, func(t *testing.T) {
			w.issued(t, request(tokenPath, w.a1.tokenForm(), header("Content-Type", media)))
		})
	}
}

// tokenClaims is the payload of an access token, read by another library.
type tokenClaims struct {
	Issuer         string    `json:"iss"`
	Subject        string    `json:"sub"`
	ClientID       string    `json:"client_id"`
	Audience       string    `json:"aud"`
	IssuedAt       int64     `json:"iat"`
	NotBefore      int64     `json:"nbf"`
	Expiry         int64     `json:"exp"`
	ID             string    `json:"jti"`
	Scope          string    `json:"scope"`
	AccountID      string    `json:"account_id"`
	OrganisationID string    `json:"organisation_id"`
	Sandbox        *bool     `json:"sandbox"`
	Permissions    *[]string `json:"permissions"`
	SecretID       string    `json:"secret_id"`
	Generation     int64     `json:"generation"`
}

func decoded(t testing.TB, token string, env id.Environment) tokenClaims {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("go-jose does not read the token: %v", err)
	}
	public := keys()[env].Public()
	payload, err := signed.Verify(public.Key)
	if err != nil {
		t.Fatalf("go-jose does not verify the token with the %s key: %v", env, err)
	}
	if h := signed.Signatures[0].Protected; h.KeyID != public.ID || h.ExtraHeaders["typ"] != "at+jwt" {
		t.Errorf("header = %v, want kid %s and typ at+jwt", h, public.ID)
	}
	var c tokenClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatalf("payload %s: %v", payload, err)
	}
	return c
}

func TestTokenSaysWhoItsClientIs(t *testing.T) {
	w := newSQLiteWorld(t)
	yes, no := true, false
	organisations := w.client(w.organisationA, "", "organisation's", "echo.call")
	operators := w.client("", "", "operator's")
	at := w.now.Unix()
	want := func(c credentials, sandbox *bool, account id.Account, organisation id.Organisation, permissions ...string) tokenClaims {
		if permissions == nil {
			permissions = []string{}
		}
		return tokenClaims{
			Issuer: issuer, Subject: string(c.id), ClientID: string(c.id), Audience: publicURL, IssuedAt: at, NotBefore: at, Expiry: at + 600,
			Scope: scope, AccountID: string(account), OrganisationID: string(organisation), Sandbox: sandbox, Permissions: &permissions,
			SecretID: string(c.secretID), Generation: 1,
		}
	}
	for name, tt := range map[string]struct {
		credentials
		env  id.Environment
		want tokenClaims
	}{
		"production account": {w.a1, id.Production, want(w.a1, &no, w.productionA, w.organisationA, "echo.call", "echo.read")},
		"sandbox account":    {w.s1, id.Sandbox, want(w.s1, &yes, w.sandboxA, w.organisationA, "echo.call")},
		"organisation":       {organisations, id.Production, want(organisations, &no, "", w.organisationA, "echo.call")},
		"operator":           {operators, id.Production, want(operators, &no, "", "")},
	} {
		t.Run(name, func(t *testing.T) {
			got := decoded(t, w.token(tt.credentials), tt.env)
			if len(got.ID) != 22 {
				t.Errorf("jti = %q, want 22 characters", got.ID)
			}
			got.ID = ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenIDsAreNeverTheSame(t *testing.T) {
	w := newSQLiteWorld(t)
	seen := map[string]bool{}
	for range 100 { // several draws from the random source
		jti := decoded(t, w.token(w.a1), id.Production).ID
		if seen[jti] {
			t.Fatalf("jti %s came twice", jti)
		}
		seen[jti] = true
	}
}

func TestTOK27_answerStatesTheEffectiveScope(t *testing.T) {
	w := newSQLiteWorld(t)
	for name, tt := range map[string]struct {
		more, scope string
		permissions []string
	}{
		"TOK-27 omitted":            {"", scope, []string{"echo.call", "echo.read"}},
		"TOK-27 empty":              {"scope=", scope, []string{"echo.call", "echo.read"}},
		"TOK-27 default":            {"scope=" + scope, scope, []string{"echo.call", "echo.read"}},
		"TOK-26 narrowed to one":    {"scope=echo.read", "echo.read", nil},
		"TOK-26 narrowed to two":    {"scope=echo.read+echo.call", "echo.read echo.call", nil},
		"TOK-26 the same twice":     {"scope=echo.read%20echo.read", "echo.read", nil},
		"TOK-26 sent with a raw SP": {"scope=echo.read echo.call", "echo.read echo.call", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.issued(t, request(tokenPath, w.a1.tokenForm(tt.more)))
			claims := decoded(t, a.Token, id.Production)
			if a.Scope != tt.scope || claims.Scope != tt.scope {
				t.Errorf("scope = %q in the answer and %q in the token, want %q", a.Scope, claims.Scope, tt.scope)
			}
			var got []string
			if claims.Permissions != nil {
				got = *claims.Permissions
			}
			if !cmp.Equal(got, tt.permissions) {
				t.Errorf("permissions = %q, want %q", got, tt.permissions)
			}
		})
	}
}

func TestTOK30_successIsJSONThatNobodyKeeps(t *testing.T) {
	w := newSQLiteWorld(t)
	w.apply(w.organisationA, registry.UpdateClient{Client: w.a1.id, TokenLifetime: new(90 * time.Second)})
	a := w.issued(t, request(tokenPath, w.a1.tokenForm()))
	want := http.Header{
		"Content-Type":  {"application/json; charset=UTF-8"},
		"Cache-Control": {"no-store, no-cache, max-age=0"},
		"Pragma":        {"no-cache"},
	}
	if diff := cmp.Diff(want, a.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if want := `{"access_token":"` + a.Token + `","expires_in":90,"token_type":"Bearer","scope":"` + scope + `"}`; a.body != want {
		t.Errorf("body = %s, want %s", a.body, want)
	}
	claims := decoded(t, a.Token, id.Production)
	if a.ExpiresIn != claims.Expiry-claims.IssuedAt {
		t.Errorf("expires_in = %d, want exp - iat = %d", a.ExpiresIn, claims.Expiry-claims.IssuedAt)
	}
}

func TestLongTokensAreNotSentInChunks(t *testing.T) {
	w := newSQLiteWorld(t)
	c := w.manyPermissions(t)
	server := httptest.NewServer(w.server)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+tokenPath, strings.NewReader(c.tokenForm()))
	w.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := server.Client().Do(r)
	w.must(err)
	a := read(t, response)
	if len(a.TransferEncoding) > 0 || a.ContentLength != int64(len(a.body)) {
		t.Errorf("sent as %q with length %d, want whole with length %d", a.TransferEncoding, a.ContentLength, len(a.body))
	}
	if len(a.Token) < 6000 || len(a.Token) > 7800 {
		t.Errorf("the token has %d bytes, want a long one of at most 7800", len(a.Token))
	}
}

func TestEveryTokenPathIssuesTokens(t *testing.T) {
	w := newSQLiteWorld(t)
	for _, path := range []string{tokenPath, "/oauth/connect/token", issuerPath + "/oauth/connect/token"} {
		w.issued(t, request(path, w.a1.tokenForm()))
	}
}

func TestOtherPathsSayWhereTheTokenEndpointIs(t *testing.T) {
	w := newSQLiteWorld(t)
	for _, path := range []string{
		"/oauth2/token", "/oidc/token", "/token", "/", tokenPath + "/", "/auth//open/connect/token", "/auth/open/connect/%74oken", "/AUTH/open/connect/token",
	} {
		t.Run(path, func(t *testing.T) {
			a := w.refused(t, request(path, w.a1.tokenForm()), 404, "invalid_request")
			if !strings.Contains(a.Description, issuer+"/connect/token") {
				t.Errorf("description = %q, want the address of the token endpoint", a.Description)
			}
		})
	}
	if _, ok := w.server.Handler("/auth/rest/sessions"); ok {
		t.Error("a path of a product is taken for one of the server's")
	}
	if _, ok := w.server.Handler("/oauth2/token"); !ok {
		t.Error("the guessable path /oauth2/token is not the server's")
	}
}

func TestObserverSeesWhatBecameOfEachRequest(t *testing.T) {
	w := newSQLiteWorld(t)
	w.issued(t, request(tokenPath, w.a1.tokenForm()))
	w.refused(t, request(tokenPath, w.a1.tokenForm("scope=x")), 400, "invalid_scope")
	w.refused(t, request(tokenPath, w.b1.tokenForm()[:40]), 401, "invalid_client")
	w.refused(t, request(introspectPath, "token=x"), 401, "invalid_client")
	w.refused(t, request("/token", ""), 404, "invalid_request") // no endpoint, so not seen
	type seen struct{ endpoint, outcome, reason, client, secret string }
	var got []seen
	for _, o := range w.seen {
		got = append(got, seen{o.Endpoint, o.Outcome, o.Reason, string(o.Client), string(o.Secret)})
	}
	want := []seen{
		{"token", "issued", "", string(w.a1.id), string(w.a1.secretID)},
		{"token", "invalid_scope", "", string(w.a1.id), string(w.a1.secretID)},
		{"token", "invalid_client", "credentials_malformed", "", ""},
		{"introspection", "invalid_client", "credentials_malformed", "", ""},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(seen{})); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func TestTokensAreIssuedWithinTheClientsRate(t *testing.T) {
	w := newSQLiteWorld(t, issuingLimit(1, 2))
	w.issued(t, request(tokenPath, w.a1.tokenForm()))
	w.issued(t, request(tokenPath, w.a1.tokenForm()))
	a := w.refused(t, request(tokenPath, w.a1.tokenForm()), 429, "slow_down")
	if got := a.Header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After = %q, want 1", got)
	}
	w.issued(t, request(tokenPath, w.b1.tokenForm())) // another client
	w.now = w.now.Add(time.Second)
	w.issued(t, request(tokenPath, w.a1.tokenForm()))
}
