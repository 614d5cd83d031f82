package dashboard_test

import (
	"compress/gzip"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func request(t *testing.T, h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// post sends a form as a browser on our own pages does.
func post(t *testing.T, h http.Handler, target, form string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", target, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://example.com")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answers are one of each form that the Dashboard gives, by name.
func answers(t *testing.T, c dashboard.Config) map[string]*httptest.ResponseRecorder {
	t.Helper()
	h := dashboard.New(c)
	return map[string]*httptest.ResponseRecorder{
		"page":           request(t, h, "GET", "/help/errors"),
		"head":           request(t, h, "HEAD", "/help/errors"),
		"not found":      request(t, h, "GET", "/no/such/page"),
		"wrong method":   request(t, h, "DELETE", "/help/errors"),
		"cross-site":     request(t, h, "POST", "/theme", "Sec-Fetch-Site", "cross-site"),
		"form":           post(t, h, "/theme", "theme=dark&back=/help"),
		"form to a page": post(t, h, "/help", "a=b"),
		"not a form":     request(t, h, "POST", "/theme", "Content-Type", "text/plain"),
		"styleguide":     request(t, h, "GET", "/styleguide"),
		"redirect":       request(t, h, "GET", "/help//errors"),
		"stylesheet":     request(t, h, "GET", assetPath(t, h, "app", "css")),
		"missing asset":  request(t, h, "GET", "/assets/app.000000000000.css"),
	}
}

// assetPath finds an asset's path, hash included, on a page.
func assetPath(t *testing.T, h http.Handler, name, extension string) string {
	t.Helper()
	path := regexp.MustCompile(`/assets/` + name + `\.[0-9a-f]{12}\.` + extension).FindString(request(t, h, "GET", "/help/errors").Body.String())
	if path == "" {
		t.Fatalf("page names no %s.….%s", name, extension)
	}
	return path
}

func TestWEB11_noAnswerMayBeFramed(t *testing.T) {
	for name, w := range answers(t, dashboard.Config{}) {
		t.Run(name, func(t *testing.T) {
			if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none';") {
				t.Errorf("Content-Security-Policy = %q", got)
			}
		})
	}
}

func TestWEB12_policyIsExactAndWithoutUnsafeSources(t *testing.T) {
	const want = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	for name, w := range answers(t, dashboard.Config{}) {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{want}, w.Header().Values("Content-Security-Policy")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if body := w.Body.String(); regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\son\w+=|\sstyle=|javascript:|[^-]data:`).MatchString(body) {
				t.Errorf("markup that the policy forbids in %s", body)
			}
		})
	}
}

func TestWEB35_everyAnswerCarriesTheSecurityHeaders(t *testing.T) {
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Strict-Transport-Security":    "max-age=63072000",
	}
	for name, w := range answers(t, dashboard.Config{URL: "https://dashboard.example"}) {
		t.Run(name, func(t *testing.T) {
			for header, value := range want {
				if got := w.Header().Get(header); got != value {
					t.Errorf("%s = %q, want %q", header, got, value)
				}
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		for name, w := range answers(t, dashboard.Config{URL: "http://127.0.0.1:8081"}) {
			if got := w.Header().Get("Strict-Transport-Security"); got != "" {
				t.Errorf("%s over plain HTTP: Strict-Transport-Security = %q", name, got)
			}
		}
	})
}

func TestPagesLookAsBefore(t *testing.T) {
	h := dashboard.New(dashboard.Config{Name: `Alma & "Söhne" <b>`})
	for name, row := range map[string]struct {
		method, target string
		status         int
	}{
		"help":               {"GET", "/help", 200},
		"not_found":          {"GET", "/<script>", 404},
		"method_not_allowed": {"DELETE", "/help/errors", 405},
	} {
		t.Run(name, func(t *testing.T) {
			w := request(t, h, row.method, row.target)
			if got := w.Header().Get("Content-Type"); w.Code != row.status || got != "text/html; charset=utf-8" {
				t.Errorf("status %d, type %q, want %d and HTML", w.Code, got, row.status)
			}
			// One element per line; the hash of an asset would change with its style.
			page := regexp.MustCompile(`\.[0-9a-f]{12}\.`).ReplaceAllString(w.Body.String(), ".HASH.")
			golden(t, name, strings.ReplaceAll(page, "><", ">\n<")+"\n")
		})
	}
}

func TestEveryCodeHasItsPlaceOnThePage(t *testing.T) {
	page := request(t, dashboard.New(dashboard.Config{}), "GET", "/help/errors").Body.String()
	for _, row := range append(fault.Entries(), fault.OAuthEntries()...) {
		if !strings.Contains(page, `<article id="`+string(row.Code)+`">`) {
			t.Errorf("%s has no anchor", row.Code)
		}
	}
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(`id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if seen[id[1]] {
			t.Errorf("id %q appears twice", id[1])
		}
		seen[id[1]] = true
	}
	for _, link := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !seen[link[1]] {
			t.Errorf("link to #%s leads nowhere", link[1])
		}
	}
}

func TestAssetsMayBeKeptForEverAndPagesMayNot(t *testing.T) {
	h := dashboard.New(dashboard.Config{})
	for target, want := range map[string][2]string{
		assetPath(t, h, "app", "css"):  {"text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		assetPath(t, h, "icon", "svg"): {"image/svg+xml", "public, max-age=31536000, immutable"},
		"/help/errors":                 {"text/html; charset=utf-8", "no-store"},
		"/assets/app.css":              {"text/html; charset=utf-8", "no-store"},
	} {
		header := request(t, h, "GET", target).Header()
		if got := [2]string{header.Get("Content-Type"), header.Get("Cache-Control")}; got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func TestBodyIsCompressedForThoseWhoAccept(t *testing.T) {
	h := dashboard.New(dashboard.Config{})
	plain := request(t, h, "GET", "/help/errors").Body.String()
	for accept, zipped := range map[string]bool{
		"gzip": true, "br;q=1.0, GZIP ; q=1": true, "deflate, gzip": true,
		"": false, "br": false, "gzip;q=0": false, "xgzip": false,
	} {
		t.Run(accept, func(t *testing.T) {
			w := request(t, h, "GET", "/help/errors", "Accept-Encoding", accept)
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != zipped {
				t.Fatalf("compressed = %v, want %v", got, zipped)
			}
			if !zipped {
				return
			}
			if w.Body.Len() > 20<<10 {
				t.Errorf("page is %d bytes on the wire, want 20 KB at most", w.Body.Len())
			}
			r, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != plain {
				t.Errorf("unpacked page differs (%v)", err)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
