package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/doorward/doorward/internal/dashboard"
)

// full asks for every page in both themes and widths; otherwise each page is
// looked at once, theme and width chosen by its name.
var full = flag.Bool("full", false, "look at every page in both themes and both widths")

// screens is where pictures go.
var screens = flag.String("screens", "", "folder for a picture of every page looked at")

//go:embed testdata/axe.min.js
var axe string

func TestAxeIsTheOneThatWasChecked(t *testing.T) {
	sum := sha256.Sum256([]byte(axe))
	if got := hex.EncodeToString(sum[:]); got != "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c" {
		t.Errorf("axe.min.js has the SHA-256 %s", got)
	}
}

// fixture is what a page has to be before anything else of it is judged: an
// error page passes every check of form.
type fixture struct {
	path    string // of this page, with ids in it
	status  int64
	heading string
	title   string   // what the window's title begins with; "" = the heading
	primary string   // text of the primary action; "" = none
	who     string   // who looks: "" = nobody, or a name of fixtures
	as      *session // who looks, of whom nothing is known but their session

	leads []chromedp.Action // from the page at path, which is a 200 then, to the one that is meant
	acts  []chromedp.Action // done there before it is looked at
}

// looks are the ways in which a page of that name is looked at.
func looks(name string) []look {
	if *full {
		return []look{{width: 1280}, {width: 360}, {dark: true, width: 1280}, {dark: true, width: 360}}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	sum := h.Sum32()
	return []look{{dark: sum&1 == 1, width: []int64{1280, 360}[sum>>1&1]}}
}

func (l look) String() string {
	theme := "light"
	if l.dark {
		theme = "dark"
	}
	return fmt.Sprintf("%s-%d", theme, l.width)
}

// TestEveryPage looks at each page of the router.
func TestEveryPage(t *testing.T) {
	p := start(t)
	fixtures := p.fixtures(t)
	for _, route := range dashboard.Routes() {
		if route.Method == "GET" && len(fixtures[route.Pattern]) == 0 && !slices.Contains(noPages, route.Pattern) {
			t.Errorf("GET %s has no fixture", route.Pattern)
		}
	}
	for pattern, list := range fixtures {
		for i, f := range list {
			name := strings.Trim(strings.NewReplacer("/", "_", "{", "", "}", "", "$", "").Replace(pattern), "_") + strings.Repeat("+", i)
			for _, l := range looks(name) {
				t.Run(name+"/"+l.String(), func(t *testing.T) { p.checkPage(t, name, f, l) })
			}
		}
	}
}

func (p *product) checkPage(t *testing.T, name string, f fixture, l look) {
	l.cookies = p.cookiesOf(t, f.who)
	if f.as != nil {
		l.cookies = f.as.jar()
	}
	b := open(t, l)
	got := b.visit(p.DashboardURL + f.path)
	if f.leads != nil && got == 200 {
		got = b.goes(f.leads...)
	}
	if got != f.status {
		t.Fatalf("%s: status %d, want %d", f.path, got, f.status)
	}
	b.run(f.acts...)
	b.isThe(f)
	b.fits()
	b.passesAxe()
	b.staysWithinItsBytes(shortPage)
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
	if *screens != "" {
		b.picture(filepath.Join(*screens, name+"."+l.String()+".png"))
	}
}

// isThe checks that this is the page that it should be, and its frame.
func (b *tab) isThe(f fixture) {
	b.t.Helper()
	type frame struct {
		Headings  []string
		Primary   []string
		Title     string
		Lang      string
		First     string
		Unlabeled int
	}
	got := evaluate[frame](b, `(() => {
		const text = (e) => e.innerText.trim();
		return {
			Headings: [...document.querySelectorAll("h1")].map(text),
			Primary: [...document.querySelectorAll("main .primary")].map(text),
			Title: document.title, Lang: document.documentElement.lang,
			First: document.querySelector("a, button, input")?.getAttribute("href") ?? "",
			Unlabeled: [...document.querySelectorAll("input:not([type=hidden]), select, textarea")].filter((e) => !e.labels?.length && !e.ariaLabel).length,
		};
	})()`)
	if len(got.Headings) != 1 || got.Headings[0] != f.heading {
		b.t.Errorf("h1 = %q, want %q alone", got.Headings, f.heading)
	}
	if f.primary != "" && !slices.Contains(got.Primary, f.primary) {
		b.t.Errorf("primary actions = %q, want %q among them", got.Primary, f.primary)
	}
	if !strings.HasPrefix(got.Title, cmp.Or(f.title, f.heading)+" · ") || !strings.HasSuffix(got.Title, " · Doorward") {
		b.t.Errorf("title = %q", got.Title)
	}
	if got.Lang != "en" || got.First != "#main" || got.Unlabeled > 0 {
		b.t.Errorf("lang %q, first stop %q, %d fields without a label", got.Lang, got.First, got.Unlabeled)
	}
}

// fits checks that the page never scrolls sideways, also with text of double
// size and with the spacing of WCAG 1.4.12.
func (b *tab) fits() {
	b.t.Helper()
	const wide = `(() => {
		const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("pre, .tabs, .matrix, .unseen, .skip, [popover], dialog")).slice(0, 3).map((e) => e.tagName + "." + e.className);
		return document.documentElement.scrollWidth > innerWidth ? document.documentElement.scrollWidth + " > " + innerWidth + " " + out.join(" ") : "";
	})()`
	check := func(when string) {
		if got := evaluate[string](b, wide); got != "" {
			b.t.Errorf("scrolls sideways %s: %s", when, got)
		}
	}
	check("as it is")
	b.run(chromedp.Evaluate(`document.documentElement.style.fontSize = "200%"`, nil))
	check("with text of double size")
	b.run(chromedp.Evaluate(`document.documentElement.style.fontSize = "";
		{ const s = new CSSStyleSheet(); s.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-block-end: 2em !important }"); document.adoptedStyleSheets = [s]; }`, nil))
	check("with wide spacing")
	b.run(chromedp.Evaluate(`document.adoptedStyleSheets = []`, nil))
}

// finding is what axe found.
type finding struct {
	ID    string
	Nodes []string
}

// passesAxe runs axe. Contrast that it could not judge because something lies
// over the text (a bar that sticks, a row that scrolls) or because it is a sign,
// was looked at: all pairs of colours are computed from the tokens.
func (b *tab) passesAxe() {
	b.t.Helper()
	b.run(chromedp.Evaluate(axe+";0", nil))
	found := evaluate[[]finding](b, `axe.run({
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations", "incomplete"],
	}).then((r) => [...r.violations, ...r.incomplete.filter((i) => i.id === "color-contrast")].map((v) => ({
		ID: v.id, Nodes: v.nodes.filter((n) => !/overlap|obscured|non-text/.test(n.any[0]?.message ?? "")).map((n) => n.target.join(" ") + ": " + (n.any[0]?.message ?? n.failureSummary ?? "")),
	})))`)
	for _, f := range found {
		if len(f.Nodes) > 0 {
			b.t.Errorf("axe %s: %q", f.ID, f.Nodes)
		}
	}
}

// bytesOf are those of the page as they came over the wire, by kind.
type bytesOf struct {
	HTML, JS, CSS, Fonts, Requests, Foreign int
}

// What the markup of a page may weigh, and that of one with a list of 50.
const (
	shortPage = 20 << 10
	longList  = 30 << 10
)

func (b *tab) staysWithinItsBytes(mostHTML int) {
	b.t.Helper()
	got := evaluate[bytesOf](b, `(() => {
		const files = performance.getEntriesByType("resource"), page = performance.getEntriesByType("navigation")[0];
		const size = (...ends) => files.filter((f) => ends.some((e) => f.name.endsWith(e))).reduce((n, f) => n + f.encodedBodySize, 0);
		return {
			HTML: page.encodedBodySize, JS: size(".js"), CSS: size(".css"), Fonts: size(".woff2"),
			Requests: files.length + 1, Foreign: files.filter((f) => !f.name.startsWith(location.origin)).length,
		};
	})()`)
	if got.JS == 0 || got.CSS == 0 {
		b.t.Errorf("the page came without script or style: %+v", got)
	}
	if got.HTML > mostHTML || got.JS > 12<<10 || got.CSS > 14<<10 || got.Fonts > 90<<10 || got.Requests > 8 || got.Foreign > 0 {
		b.t.Errorf("the page is too heavy: %+v", got)
	}
}

// tallest is how much of a page its picture shows: what is taller than the
// browser's largest surface would stop it.
const tallest = 8000

// picture saves the page.
func (b *tab) picture(path string) {
	b.t.Helper()
	var png []byte
	b.run(page.BringToFront(), chromedp.Evaluate(`scrollTo(0, 0)`, nil), chromedp.ActionFunc(func(ctx context.Context) (err error) {
		_, _, _, _, _, size, err := page.GetLayoutMetrics().Do(ctx)
		if err != nil {
			return err
		}
		clip := &page.Viewport{Width: size.Width, Height: min(size.Height, tallest), Scale: 1}
		png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(clip).Do(ctx)
		return err
	}))
	if len(png) < 1000 {
		b.t.Errorf("%s is blank", path)
	}
	if err := os.WriteFile(path, png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
