package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// What the golden path may ask of a person.
const (
	mostSubmits = 3
	mostClicks  = 2 // beyond those
	mostFields  = 3
	mostKeys    = 60 // beyond typing
	mostTime    = 8 * time.Second
)

// typist does everything by the keyboard, and looks where the focus is.
type typist struct {
	*tab
	keys, fields, clicks int
	submits              int
}

// From signing up to the first call with the keyboard alone.
func TestGoldenPathByKeyboard(t *testing.T) {
	p := start(t)
	k := &typist{tab: open(t, look{})}
	chromedp.ListenTarget(k.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok && e.Type == network.ResourceTypeDocument && e.Request.Method == "POST" && e.RedirectResponse == nil {
			k.submits++
		}
	})
	folder := k.downloadsInto()
	k.visit(p.DashboardURL + "/signup")
	began := time.Now()

	k.types("email", "grace@analytical-engines.example")
	k.until(`document.activeElement.name === "password"`)
	k.types("password", "a phrase of words")
	k.until(`document.activeElement.name === "organisation"`)
	k.types("organisation", "Analytical Engines")
	k.leaves(kb.Enter)
	if got := k.heading(); got != "First steps" {
		t.Fatalf("the page is %q", got)
	}
	k.until(`document.activeElement.innerText.trim() === "Create client and secret"`)
	k.leaves(kb.Enter)
	k.until(`document.activeElement.innerText.trim() === "Download .env"`)
	k.presses(kb.Enter)
	k.until(`document.activeElement.dataset.copy === "first-call-script"`)
	k.presses(kb.Enter)
	k.clicks++
	answer := paste(t, filepath.Join(folder, downloaded(t, folder)), evaluate[string](k.tab, `document.querySelector("#first-call-script").textContent`))
	if !strings.Contains(answer, "HTTP 200") {
		t.Errorf("the first call is answered by\n%s", answer)
	}
	k.eventually("the call is seen", `/GET .* → 200/.test(document.querySelector("#live").innerText)`)
	took := time.Since(began)

	t.Logf("%d submits, %d clicks, %d fields, %d keys beyond typing, %s", k.submits, k.clicks, k.fields, k.keys, took.Round(time.Millisecond))
	if k.submits > mostSubmits || k.clicks > mostClicks || k.fields > mostFields || k.keys > mostKeys {
		t.Error("that is more than the golden path may ask")
	}
	if *full && took > mostTime {
		t.Errorf("it took %s, more than %s", took, mostTime)
	}
	if said := k.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}

// A dialog takes the focus, Escape closes it, and the focus is where it was.
func TestDialogGivesTheFocusBack(t *testing.T) {
	p := start(t)
	k := &typist{tab: open(t, look{cookies: p.cookiesOf(t, ada)})}
	k.visit(p.DashboardURL + "/a/" + p.Account + "/clients")
	k.until(`document.activeElement.innerText.trim() === "Create client"`)
	before := k.focused()
	k.presses("?")
	k.eventually("the list of keys is open and has the focus", `document.querySelector("#keys").open && document.querySelector("#keys").contains(document.activeElement)`)
	k.presses(kb.Escape)
	k.eventually("it is closed", `!document.querySelector("#keys").open`)
	if after := k.focused(); after != before {
		t.Errorf("the focus was on %s and is on %s", before, after)
	}
	k.presses("/")
	k.eventually("the filter has the focus", `document.activeElement.name === "q"`)
}

// presses presses one key.
func (k *typist) presses(key string) {
	k.t.Helper()
	k.keys++
	k.run(chromedp.KeyEvent(key))
}

// leaves presses one key that leads to another page.
func (k *typist) leaves(key string) {
	k.t.Helper()
	k.keys++
	if status := k.goes(chromedp.KeyEvent(key)); status != 200 {
		k.t.Fatalf("status %d: %s", status, k.text())
	}
}

// types types into the field that has the focus.
func (k *typist) types(name, text string) {
	k.t.Helper()
	k.fields++
	if got := evaluate[string](k.tab, `document.activeElement.name`); got != name {
		k.t.Fatalf("the focus is on %q, want %q", got, name)
	}
	k.run(chromedp.KeyEvent(text))
}

// until tabs on until the focus is where the script says; it is there at once if
// the page put it there. Each stop on the way is looked at.
func (k *typist) until(there string) {
	k.t.Helper()
	last := ""
	for range mostKeys {
		if evaluate[bool](k.tab, there) {
			k.looks()
			return
		}
		k.presses(kb.Tab)
		k.looks()
		now := k.focused()
		if now == last {
			break
		}
		last = now
	}
	k.t.Fatalf("the focus never came there: %s; it is on %s", there, last)
}

func (k *typist) focused() string {
	k.t.Helper()
	return evaluate[string](k.tab, `((e) => e.tagName + " " + e.id + " " + (e.getAttribute("name") ?? e.innerText).trim())(document.activeElement)`)
}

// looks checks what has the focus: it can be seen, is outlined, lies under
// nothing, and comes behind the stop before.
func (k *typist) looks() {
	k.t.Helper()
	wrong := evaluate[string](k.tab, `(() => {
		const e = document.activeElement, r = e.getClientRects()[0], style = getComputedStyle(e);
		if (!r || r.width < 1 || r.bottom <= 0 || r.top >= innerHeight) return "it cannot be seen";
		const outlined = (s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2;
		if (!outlined(style) && !outlined(getComputedStyle(e.closest("label") ?? e))) return "it has no outline";
		const at = (x, y) => document.elementFromPoint(Math.min(Math.max(x, 1), innerWidth - 2), Math.min(Math.max(y, 1), innerHeight - 2));
		const over = at(r.x + r.width / 2, r.y + r.height / 2);
		if (over && !e.contains(over) && !over.contains(e)) return "it is covered by " + over.tagName + "." + over.className;
		const before = window.stopBefore;
		window.stopBefore = e;
		if (before?.isConnected && before !== e && !(before.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)) return "it stands before the last stop, " + before.outerHTML.slice(0, 80);
		return "";
	})()`)
	if wrong != "" {
		k.t.Errorf("%s has the focus, but %s", k.focused(), wrong)
	}
}

// downloadsInto lets the page download into a folder, and returns it.
func (b *tab) downloadsInto() string {
	b.t.Helper()
	folder := b.t.TempDir()
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		return cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(folder).
			WithBrowserContextID(b.profile).Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
	}))
	return folder
}

// downloaded is the file that came into the folder, when all of it is there.
func downloaded(t *testing.T, folder string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		files, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".crdownload") && !strings.HasPrefix(f.Name(), ".com.google") {
				return f.Name()
			}
		}
	}
	t.Fatal("nothing was downloaded")
	return ""
}

// paste runs in a shell what a page says to paste, beside the file, and returns
// what it prints.
func paste(t *testing.T, file, script string) string {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "bash", "-c", script)
	shell.Dir = filepath.Dir(file)
	printed, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, fmt.Sprint(script))
	}
	return string(printed)
}
