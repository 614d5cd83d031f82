package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
)

// heard keeps what the page's live region says from now on, in order.
const heard = `window.heard = []; new MutationObserver(() => { const text = document.querySelector("#announcer").textContent; if (text) heard.push(text); }).observe(document.querySelector("#announcer"), { childList: true, characterData: true, subtree: true })`

// What a client attempts while somebody looks is shown as it comes, refused or
// not, is announced once, and goes on after the server was restarted.
func TestAttemptsAppearWhileThePageIsOpen(t *testing.T) {
	p := start(t)
	b := open(t, look{cookies: p.cookiesOf(t, ada)})
	b.reaches("First call", p.to("/a/"+p.Account+"/clients/"+p.Client+"/live"))
	b.run(chromedp.Evaluate(heard, nil))
	shown := func(what, text string) {
		t.Helper()
		b.eventually(what, fmt.Sprintf(`document.querySelector("#live").innerText.includes(%q) && heard.some((h) => h.includes(%q))`, text, text))
	}
	if status := p.token(p.ClientSecret[:len(p.ClientSecret)-1] + "~"); status != http.StatusUnauthorized {
		t.Fatalf("status %d with a wrong secret", status)
	}
	shown("the refused attempt is shown", "the secret is not one of this client")
	if status := p.token(p.ClientSecret); status != http.StatusOK {
		t.Fatalf("status %d with the secret", status)
	}
	shown("the token is shown", "Token issued")

	p.restart()
	if status := p.token(p.ClientSecret[:len(p.ClientSecret)-1] + "~"); status != http.StatusUnauthorized {
		t.Fatalf("status %d after the restart", status)
	}
	b.eventually("the attempt after the restart is shown", `document.querySelectorAll("#live .bad").length === 2 && heard.length >= 3`)
	got := evaluate[[]string](b, `heard`)
	if len(got) != 3 || got[0] != got[2] || got[0] == got[1] {
		t.Errorf("it was announced: %q", got)
	}
}
