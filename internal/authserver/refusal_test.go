package authserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

// checkError holds an error answer against RFC 6749 §5.2 and our own rules
// (TOK-31, TOK-49).
func checkError(t testing.TB, a *answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=UTF-8", "Cache-Control": "no-store, no-cache, max-age=0", "Pragma": "no-cache",
	} {
		if got := a.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got, want := a.Header.Get("WWW-Authenticate"), `Basic realm="doorward"`; (a.StatusCode == 401) != (got == want) {
		t.Errorf("status %d with WWW-Authenticate %q", a.StatusCode, got)
	}
	if a.Description == "" || fault.Description(a.Description) != a.Description {
		t.Errorf("error_description = %q, want text of the allowed characters", a.Description)
	}
	if want := helpURL + "#" + a.Error; a.URI != want {
		t.Errorf("error_uri = %q, want %q", a.URI, want)
	}
	if _, ok := fault.LookupOAuth(fault.Code(a.Error)); !ok {
		t.Errorf("error = %q, want one with a place on the help page", a.Error)
	}
	checkNoCORS(t, a)
}

func checkNoCORS(t testing.TB, a *answer) {
	t.Helper()
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("the answer has a %s header", name)
		}
	}
}

func TestTOK31_errorsDoNotEchoTheInput(t *testing.T) {
	w := newSQLiteWorld(t)
	const canary = "kilroy"
	good := w.a1.tokenForm()
	for name, r := range map[string]*http.Request{
		"scope":      request(tokenPath, good+"&scope="+canary),
		"grant_type": request(tokenPath, w.a1.form("grant_type="+canary)),
		"parameter":  request(tokenPath, good+"&"+canary+"=1&"+canary+"=1"),
		"client_id":  request(tokenPath, "client_secret=x&client_id="+canary),
		"secret":     request(tokenPath, "client_secret="+canary+"&client_id="+string(w.a1.id)),
		"query":      request(tokenPath+"?"+canary, good),
		"path":       request("/"+canary, good),
		"media type": request(tokenPath, good, header("Content-Type", canary)),
		"method":     request(tokenPath, good, func(r *http.Request) { r.Method = canary }),
		"header":     request(tokenPath, good, header("Authorization", "Basic "+canary)),
	} {
		t.Run("TOK-31 "+name, func(t *testing.T) {
			a := w.do(r)
			checkError(t, a)
			if a.Error == "" || strings.Contains(a.body, canary) {
				t.Errorf("body = %s, want an error without %q", a.body, canary)
			}
		})
	}
	t.Run("TOK-31 /twin", func(t *testing.T) { w.issued(t, request(tokenPath, good+"&"+canary+"=1")) })
}

func TestTOK49_foreignOriginsGetNoGrant(t *testing.T) {
	w := newSQLiteWorld(t)
	for _, origin := range []string{"null", "https://evil.example", "https://api.example.com.evil.example", publicURL} {
		for _, path := range []string{tokenPath, introspectPath, revokePath} {
			t.Run("TOK-49 WEB-34 "+origin+" "+path, func(t *testing.T) {
				preflight := request(path, "", header("Origin", origin), header("Access-Control-Request-Method", "POST"))
				preflight.Method = http.MethodOptions
				w.refused(t, preflight, 405, "invalid_request")
				checkNoCORS(t, w.do(request(path, w.a1.tokenForm(), header("Origin", origin))))
			})
		}
	}
	t.Run("TOK-49 WEB-34 /twin", func(t *testing.T) {
		w.issued(t, request(tokenPath, w.a1.tokenForm(), header("Origin", publicURL)))
	})
}
