package e2e

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// prefer sets what the person's system says about media.
func (b *tab) prefer(medium, feature, value string) {
	b.t.Helper()
	b.run(emulation.SetEmulatedMedia().WithMedia(medium).WithFeatures([]*emulation.MediaFeature{{Name: feature, Value: value}}))
}

const moving = `[...document.querySelectorAll("*")].filter((e) => { const s = getComputedStyle(e); return s.animationName !== "none" || s.transitionDuration.split(",").some((d) => parseFloat(d) > .01); }).length`

func TestNothingMovesWhereMotionIsReduced(t *testing.T) {
	p := start(t)
	b := open(t, look{})
	b.visit(p.DashboardURL + "/styleguide")
	b.prefer("", "prefers-reduced-motion", "reduce")
	if n := evaluate[int](b, moving); n > 0 {
		t.Errorf("%d elements move", n)
	}
	b.prefer("", "prefers-reduced-motion", "no-preference")
	if n := evaluate[int](b, moving); n == 0 {
		t.Error("nothing moves where motion is welcome: the check is blind")
	}
}

// Where the system forces its colours, and where it asks for more contrast, each
// control still has an edge that can be told from what is around it.
func TestControlsHaveEdges(t *testing.T) {
	p := start(t)
	b := open(t, look{})
	b.visit(p.DashboardURL + "/styleguide")
	for _, media := range [][2]string{{"forced-colors", "active"}, {"prefers-contrast", "more"}} {
		b.prefer("", media[0], media[1])
		bare := evaluate[[]string](b, `[...document.querySelectorAll("main :is(.button:not(.quiet), input:not([type=hidden], [type=radio], [type=checkbox]), select, textarea, .badge, .banner)")].filter((e) => {
			const s = getComputedStyle(e);
			return e.checkVisibility() && (s.borderTopStyle === "none" || parseFloat(s.borderTopWidth) < 1 || s.borderTopColor === "rgba(0, 0, 0, 0)" || s.borderTopColor === getComputedStyle(document.body).backgroundColor);
		}).map((e) => e.outerHTML.slice(0, 100))`)
		if len(bare) > 0 {
			t.Errorf("%s: no edge have %q", media[0], bare)
		}
	}
}

// On paper a page is what it is about, without what leads elsewhere.
func TestAuditLogIsPrinted(t *testing.T) {
	p := start(t)
	b := open(t, look{cookies: p.cookiesOf(t, ada)})
	b.reaches("Audit log", p.to("/o/"+p.Organisation+"/audit"))
	b.prefer("print", "prefers-color-scheme", "dark")
	left := evaluate[[]string](b, `[...document.querySelectorAll("header.top, .rail, footer, .skip, form, .pager .button")].filter((e) => e.checkVisibility()).map((e) => e.outerHTML.slice(0, 100))`)
	if len(left) > 0 {
		t.Errorf("printed are %q", left)
	}
	if n := evaluate[int](b, `[...document.querySelectorAll("main table tbody tr")].filter((e) => e.checkVisibility()).length`); n < 5 {
		t.Errorf("%d records are printed", n)
	}
	if ground := evaluate[string](b, `getComputedStyle(document.body).backgroundColor + " " + getComputedStyle(document.documentElement).backgroundColor`); ground != "rgba(0, 0, 0, 0) rgba(0, 0, 0, 0)" && ground != "rgb(255, 255, 255) rgb(255, 255, 255)" {
		t.Errorf("the paper is %s", ground)
	}
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		pdf, _, err := page.PrintToPDF().Do(ctx)
		if len(pdf) < 1000 {
			t.Errorf("the print has %d bytes", len(pdf))
		}
		return err
	}))
}
