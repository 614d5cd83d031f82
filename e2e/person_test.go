package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// spot finds what can be pressed and is called so, and brings it into view; the
// last one where several are, for what the page is about comes behind its frame.
const spot = `((text) => {
	const words = (e) => (e.getAttribute("aria-label") ?? e.innerText).trim().replace(/\s+/g, " ");
	const all = [...document.querySelectorAll("a, button, summary, label, [role=option]")].filter((e) => e.checkVisibility() && (words(e) === text || words(e).startsWith(text + " ") || e.matches("label") && words(e).startsWith(text)));
	const e = all.findLast((e) => words(e) === text) ?? all.at(-1);
	if (!e) return null;
	e.scrollIntoView({ block: "center", behavior: "instant" });
	const r = e.getClientRects()[0];
	return [r.x + Math.min(r.width, 40) / 2, r.y + r.height / 2];
})(%s)`

// press presses the button, link or label of that text with the mouse.
func press(text string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var at []float64
		if err := chromedp.Evaluate(fmt.Sprintf(spot, strconv.Quote(text)), &at).Do(ctx); err != nil {
			return err
		}
		if len(at) != 2 {
			return fmt.Errorf("there is no %q", text)
		}
		return chromedp.MouseClickXY(at[0], at[1]).Do(ctx)
	})
}

// write replaces what stands in a field, by its keys.
func write(name, text string) chromedp.Action {
	field := fmt.Sprintf(`main [name=%q]`, name)
	return chromedp.Tasks{
		chromedp.Focus(field, chromedp.ByQuery),
		chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).select()`, field), nil),
		chromedp.KeyEvent(text),
	}
}

// choose chooses one of a list by its value.
func choose(name, value string) chromedp.Action {
	return chromedp.SetValue(fmt.Sprintf(`main select[name=%q]`, name), value, chromedp.ByQuery)
}

// does is what somebody does, one thing after the other.
func does(actions ...chromedp.Action) []chromedp.Action { return actions }

// to opens a page by its path.
func (p *product) to(path string) chromedp.Action { return chromedp.Navigate(p.DashboardURL + path) }

// goes does what leads to another page, and returns its status.
func (b *tab) goes(actions ...chromedp.Action) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, actions...)
	if err != nil {
		b.t.Fatalf("%v; the page is %s", err, b.text())
	}
	return response.Status
}

// reaches does what leads to the page of that heading.
func (b *tab) reaches(heading string, actions ...chromedp.Action) {
	b.t.Helper()
	status := b.goes(actions...)
	if got := b.heading(); got != heading || status != 200 {
		b.t.Fatalf("the page is %q with status %d, want %q\n%s", got, status, heading, b.text())
	}
}

func (b *tab) heading() string {
	b.t.Helper()
	return evaluate[string](b, `document.querySelector("h1")?.innerText.trim() ?? ""`)
}

// do does what leads to no other page.
func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	b.run(actions...)
}

// says checks that something can be read on the page.
func (b *tab) says(words string) {
	b.t.Helper()
	if text := b.text(); !strings.Contains(text, words) {
		b.t.Errorf("the page does not say %q but\n%s", words, text)
	}
}

// seen is the text of the first element that can be seen.
func (b *tab) seen(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].find((e) => e.checkVisibility())?.innerText ?? ""`, selector))
}

// organisation is the first to which the person of the page belongs.
func (b *tab) organisation() string {
	b.t.Helper()
	return evaluate[string](b, `document.querySelector("a[href^='/o/']").pathname.split("/")[2]`)
}

// account is the one in which the page is.
func (b *tab) account() string {
	b.t.Helper()
	return strings.Split(b.path(), "/")[2]
}

// text is what can be read on the page.
func (b *tab) text() string {
	b.t.Helper()
	return evaluate[string](b, `document.querySelector("main").innerText`)
}

// path is where the page is.
func (b *tab) path() string {
	b.t.Helper()
	return evaluate[string](b, `location.pathname`)
}

// eventually waits until a script says true.
func (b *tab) eventually(what, script string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if evaluate[bool](b, script) {
			return
		}
	}
	b.t.Fatalf("it never happened that %s: %s", what, b.text())
}

// consents answers what a page asks before it is left.
func (b *tab) consents() {
	chromedp.ListenTarget(b.ctx, func(event any) {
		if _, ok := event.(*page.EventJavascriptDialogOpening); ok {
			go func() { _ = chromedp.Run(b.ctx, page.HandleJavaScriptDialog(true)) }()
		}
	})
}
