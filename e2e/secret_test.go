package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// A secret stands in the answer to the form that made it, and nowhere else.
func TestSecretStaysOnItsPage(t *testing.T) {
	p := start(t)
	b := open(t, look{cookies: p.cookiesOf(t, ada)})
	b.consents()
	sent := b.listens()
	client := "/a/" + p.Account + "/clients/" + p.Client
	b.reaches("Add secret", p.to(client+"/secrets/new"))
	b.reaches("Secret ci is added", write("name", "ci"), press("Add secret"))
	secret := b.seen("#secret-value")
	if status := p.token(secret); status != http.StatusOK {
		t.Fatalf("the secret %q gets no token: status %d", secret, status)
	}
	if h := sent.document(client + "/secrets/new"); h["Cache-Control"] != "no-store" || h["Content-Encoding"] != nil {
		t.Errorf("its page has the headers %v", h)
	}
	links := evaluate[[]string](b, `[...new Set([...document.links].map((a) => a.pathname + a.search))]`)
	for _, path := range links {
		if body := p.prefetch(t, p.signedIn(t, ada), path); strings.Contains(body, secret) {
			t.Errorf("a prefetched %s shows the secret", path)
		}
	}

	b.goes(chromedp.Reload())
	if b.path() != client+"/secrets" {
		t.Errorf("reloaded, the page is %s", b.path())
	}
	b.says("This secret was created already and shown once.")
	if n := strings.Count(b.text(), "created just now by Ada Lovelace"); n != 1 {
		t.Errorf("%d secrets were made: %s", n, b.text())
	}
	b.lacks(secret)

	b.reaches("Add secret", press("Add secret"))
	b.reaches("Secret server is added", write("name", "server"), press("Add secret"))
	second := b.seen("#secret-value")
	b.reaches("Sample client", press("Done"))
	b.lacks(second)
	for _, step := range []int64{-1, 1, -1} {
		b.historyStep(step)
		b.lacks(second)
	}

	for _, s := range []string{secret, second} {
		sent.lacks(t, s)
		p.lacks(t, s)
	}
}

// token asks for an access token of the sample client.
func (p *product) token(secret string) int {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), "POST", p.TokenURL, strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(p.Client, secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// prefetch is what a browser gets that fetches a page before anybody asks for it.
func (p *product) prefetch(t *testing.T, s *session, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", p.DashboardURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sec-Purpose", "prefetch;prerender")
	if s != nil {
		for name, value := range s.cookies {
			request.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return ""
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// lacks checks that neither the page nor anything that the browser keeps of it
// has a text.
func (b *tab) lacks(secret string) {
	b.t.Helper()
	kept := evaluate[string](b, `(async () => [
		document.documentElement.outerHTML, location.href, document.referrer, JSON.stringify(history.state),
		...await (async () => { try { return [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), JSON.stringify(await indexedDB.databases()), JSON.stringify(await caches.keys())]; } catch { return []; /* the browser's own page, which has none */ } })(),
	].join("\n"))()`)
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		cookies, err := network.GetCookies().Do(ctx)
		for _, c := range cookies {
			kept += "\n" + c.Name + "=" + c.Value
		}
		return err
	}))
	if strings.Contains(kept, secret) {
		b.t.Errorf("the secret is still there, at %s", b.path())
	}
}

// historyStep goes back or forth in the history of the tab, whatever comes of it: a
// page that was the answer to a form may be none.
func (b *tab) historyStep(step int64) {
	b.t.Helper()
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		at, entries, err := page.GetNavigationHistory().Do(ctx)
		if err != nil {
			return err
		}
		return page.NavigateToHistoryEntry(entries[at+step].ID).Do(ctx)
	}), chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			var state string
			if err := chromedp.Evaluate(`document.readyState`, &state).Do(ctx); err == nil && state == "complete" {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}))
}

// traffic is what a tab sent, and with which headers it was answered.
type traffic struct {
	mu        sync.Mutex
	sent      []byte // addresses and headers, not what forms hold
	documents map[string]network.Headers
}

// listens notes the traffic of the tab from now on.
func (b *tab) listens() *traffic {
	l := &traffic{documents: map[string]network.Headers{}}
	chromedp.ListenTarget(b.ctx, func(event any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			headers, _ := json.Marshal(e.Request.Headers)
			l.sent = append(append(append(l.sent, e.Request.URL...), headers...), '\n')
		case *network.EventResponseReceived:
			l.sent = append(append(l.sent, e.Response.URL...), '\n')
			if e.Type == network.ResourceTypeDocument {
				l.documents[e.Response.URL] = e.Response.Headers
			}
		}
	})
	return l
}

// document are the headers of the last document of that path.
func (l *traffic) document(path string) network.Headers {
	l.mu.Lock()
	defer l.mu.Unlock()
	for url, headers := range l.documents {
		if strings.HasSuffix(url, path) {
			return headers
		}
	}
	return nil
}

func (l *traffic) lacks(t *testing.T, secret string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(l.sent, []byte(secret)) {
		t.Error("an address or a header had the secret")
	}
}

// lacks checks that the product neither says nor keeps a text: its logs and its
// database are all that is in its folder.
func (p *product) lacks(t *testing.T, secret string) {
	t.Helper()
	if strings.Contains(p.said.String(), secret) {
		t.Error("the product printed the secret")
	}
	err := filepath.WalkDir(p.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s has the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
