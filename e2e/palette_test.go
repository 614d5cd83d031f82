package e2e

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Ctrl and K goes to what is found, from wherever one is.
func TestPaletteGoesToWhatIsFound(t *testing.T) {
	p := start(t)
	for _, l := range []look{{width: 1280}, {dark: true, width: 360}} {
		t.Run(l.String(), func(t *testing.T) {
			l.cookies = p.cookiesOf(t, ada)
			k := &typist{tab: open(t, l)}
			k.visit(p.DashboardURL + "/a/" + p.Account + "/settings")
			k.run(chromedp.KeyEvent("k", chromedp.KeyModifiers(input.ModifierCtrl)))
			k.eventually("the palette offers the pages of the place", `document.querySelector("#palette").open && document.activeElement.name === "q" && /Clients/.test(document.querySelector("#results").innerText)`)
			k.run(chromedp.KeyEvent("sample cl"))
			k.eventually("the client is found", `/Sample client/.test(document.querySelector("#results").innerText)`)
			if k.passesAxe(); *screens != "" {
				k.picture(filepath.Join(*screens, "palette."+l.String()+".png"))
			}
			k.presses(kb.ArrowDown)
			k.eventually("it is marked", `/Sample client/.test(document.querySelector("#results a.active").innerText)`)
			k.leaves(kb.Enter)
			if got := k.path(); got != "/a/"+p.Account+"/clients/"+p.Client {
				t.Errorf("the palette leads to %s", got)
			}
			k.run(chromedp.KeyEvent("k", chromedp.KeyModifiers(input.ModifierCtrl)))
			k.eventually("it opens again", `document.querySelector("#palette").open`)
			k.presses(kb.Escape)
			k.eventually("Escape closes it", `!document.querySelector("#palette").open`)
			if said := k.complaints(); len(said) > 0 {
				t.Errorf("the browser complains: %q", said)
			}
		})
	}
}

// A letter behind g goes to an entry of the navigation, unless the person has
// switched single keys off (WCAG 2.1.4).
func TestSingleKeysAreSwitchedOff(t *testing.T) {
	p := start(t)
	k := &typist{tab: open(t, look{cookies: p.cookiesOf(t, ada)})}
	home := "/a/" + p.Account
	k.visit(p.DashboardURL + home)
	k.presses("g")
	k.leaves("c")
	if got := k.path(); got != home+"/clients" {
		t.Fatalf("g c leads to %s", got)
	}
	k.visit(p.DashboardURL + "/me/preferences")
	k.do(chromedp.Click(`input[name=keys]`, chromedp.ByQuery))
	k.goes(press("Save preferences"))
	k.visit(p.DashboardURL + home)
	for _, key := range []string{"?", "g", "c", "/"} {
		k.presses(key)
	}
	if evaluate[bool](k.tab, `document.querySelector("#keys").open`) || k.path() != home {
		t.Errorf("single keys work all the same: at %s", k.path())
	}
	k.run(chromedp.KeyEvent("k", chromedp.KeyModifiers(input.ModifierCtrl)))
	k.eventually("the palette opens: it is no single key", `document.querySelector("#palette").open`)
}
