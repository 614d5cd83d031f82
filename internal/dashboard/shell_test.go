package dashboard_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/dashboard"
)

// transferred is how long a body is on the wire.
func transferred(t *testing.T, h http.Handler, path string) int {
	t.Helper()
	w := request(t, h, "GET", path, "Accept-Encoding", "gzip")
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d", path, w.Code)
	}
	return w.Body.Len()
}

func TestStyleScriptAndFontsStayWithinTheirBytes(t *testing.T) {
	h := dashboard.New(dashboard.Config{})
	fonts := 0
	for _, row := range []struct {
		name, extension string
		most            int
	}{{"app", "css", 14 << 10}, {"app", "js", 12 << 10}} {
		path := assetPath(t, h, row.name, row.extension)
		if got := transferred(t, h, path); got > row.most {
			t.Errorf("%s is %d bytes on the wire, want %d at most", path, got, row.most)
		}
	}
	for _, name := range []string{"inter", "jetbrains-mono"} {
		info, err := os.Stat(filepath.Join("assets", "fonts", name+".woff2"))
		if err != nil {
			t.Fatal(err)
		}
		fonts += int(info.Size())
	}
	if fonts > 90<<10 {
		t.Errorf("the fonts are %d bytes, want 90 KB at most", fonts)
	}
}

func TestScriptsHaveTheirOwnCeilings(t *testing.T) {
	for name, most := range map[string]int{"enhance": 2048, "copy": 512, "palette": 2560, "live": 1536, "secret": 1024, "permissions": 2048, "keys": 1024} {
		script, err := os.ReadFile(filepath.Join("assets", "js", name+".js"))
		if err != nil {
			t.Fatal(err)
		}
		var zipped bytes.Buffer
		w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		_, _ = w.Write(script)
		_ = w.Close()
		if zipped.Len() > most {
			t.Errorf("%s.js is %d bytes, want %d at most", name, zipped.Len(), most)
		}
		for _, sink := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"} {
			if bytes.Contains(script, []byte(sink)) {
				t.Errorf("%s.js uses %s, which builds markup from strings", name, sink)
			}
		}
	}
}

func TestFontsAndIconsHaveTheirLicence(t *testing.T) {
	for file, words := range map[string]string{
		"assets/fonts/inter.LICENSE":          "SIL Open Font License",
		"assets/fonts/jetbrains-mono.LICENSE": "SIL Open Font License",
		"view/icon.LICENSE":                   "ISC License",
	} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), words) {
			t.Errorf("%s: no %q in it (%v)", file, words, err)
		}
	}
}

func TestFontsAreTheOnesThatWereChecked(t *testing.T) {
	for name, want := range map[string]string{
		"inter":          "3100e775e8616cd2611beecfa23a4263d7037586789b43f035236a2e6fbd4c62",
		"jetbrains-mono": "18be452724bfdc236c074ca94a249a7f41a86752c7d04ab258ce9ed5651f6a7e",
	} {
		font, err := os.ReadFile(filepath.Join("assets", "fonts", name+".woff2"))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(font)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s.woff2 has the SHA-256 %s", name, got)
		}
	}
}

func TestThemeIsWrittenByTheServer(t *testing.T) {
	h := dashboard.New(dashboard.Config{URL: "https://dashboard.example"})
	w := post(t, h, "/theme", "theme=dark&back=/help/keys")
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != "/help/keys" {
		t.Fatalf("status %d to %q", w.Code, got)
	}
	cookie := w.Header().Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "__Host-theme=dark; Path=/;") || !strings.HasSuffix(cookie, "; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("cookie = %q", cookie)
	}
	for value, want := range map[string]string{"dark": `data-theme="dark"`, "light": `data-theme="light"`, `"><b>`: `<html lang="en">`} {
		page := request(t, h, "GET", "/help", "Cookie", "__Host-theme="+value).Body.String()
		if !strings.Contains(page, want) {
			t.Errorf("with theme %q the page has no %s", value, want)
		}
	}
}

func TestWEB17_themeComesBackToOurOwnPagesOnly(t *testing.T) {
	h := dashboard.New(dashboard.Config{})
	for _, back := range []string{"//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example/", "/%09/evil.example\t", "/..//evil.example", "evil", ""} {
		w := post(t, h, "/theme", "theme=dark&back="+strings.ReplaceAll(back, "%", "%25"))
		if got := w.Header().Get("Location"); got != "/" && got != "/%09/evil.example" {
			t.Errorf("back=%q leads to %q", back, got)
		}
	}
	t.Run("twin", func(t *testing.T) {
		if got := post(t, h, "/theme", "theme=dark&back=/help/errors%3Fq=a//b").Header().Get("Location"); got != "/help/errors?q=a//b" {
			t.Errorf("our own page becomes %q", got)
		}
	})
}

func TestWEB01_aFormFromElsewhereChangesNothing(t *testing.T) {
	h := dashboard.New(dashboard.Config{})
	for name, header := range map[string][]string{
		"another origin": {"Origin", "https://evil.example"},
		"null origin":    {"Origin", "null"},
		"cross-site":     {"Sec-Fetch-Site", "cross-site"},
		"same site only": {"Sec-Fetch-Site", "same-site"},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(t, h, "/theme", "theme=dark", header...)
			if w.Code != http.StatusForbidden || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("status %d, cookie %q", w.Code, w.Header().Get("Set-Cookie"))
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if w := post(t, h, "/theme", "theme=dark"); w.Code != http.StatusSeeOther {
			t.Errorf("our own form gets status %d", w.Code)
		}
	})
}

func TestWEB03_onlyFormsAreTaken(t *testing.T) {
	h := dashboard.New(dashboard.Config{})
	for _, kind := range []string{"text/plain", "application/json", "multipart/form-data; boundary=x", "/"} {
		if w := post(t, h, "/theme", "theme=dark", "Content-Type", kind); w.Code != http.StatusUnsupportedMediaType {
			t.Errorf("%s: status %d", kind, w.Code)
		}
	}
	if w := post(t, h, "/theme", "theme=dark&x="+strings.Repeat("x", 300<<10)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: status %d", w.Code)
	}
	t.Run("twin", func(t *testing.T) {
		if w := post(t, h, "/theme", "theme=dark", "Content-Type", "application/x-www-form-urlencoded; charset=utf-8"); w.Code != http.StatusSeeOther {
			t.Errorf("status %d", w.Code)
		}
	})
}
