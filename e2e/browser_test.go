package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait for the browser; nothing is measured with it.
const patience = 60 * time.Second

// chromium is the browser that runs; its context is nil while none does.
var chromium struct {
	sync.Mutex
	ctx  context.Context
	stop func()
}

// chromiumPath is the browser that CHROMIUM names, or the first that is there.
func chromiumPath() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no browser: install the package chromium, or name one in CHROMIUM")
}

// browser is the browser that runs: it is started unless it is.
func browser(t *testing.T) context.Context {
	t.Helper()
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx != nil {
		return chromium.ctx
	}
	path, err := chromiumPath()
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("no-pings", true), chromedp.Flag("disable-dev-shm-usage", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator, chromedp.WithErrorf(func(format string, args ...any) {
		if !strings.HasPrefix(format, "unhandled") { // events that are newer than the library
			fmt.Printf(format+"\n", args...)
		}
	}))
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	chromium.ctx, chromium.stop = ctx, func() { stop(); stopAllocator() }
	return ctx
}

// closeBrowser ends the browser, whatever it does: the next window is one of
// another.
func closeBrowser() {
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx != nil {
		chromium.stop()
		chromium.ctx = nil
	}
}

// look is how a page is looked at.
type look struct {
	dark     bool
	width    int64 // in CSS pixels; 0 = 1280
	noScript bool
	cookies  []*network.CookieParam
}

// tab is a page of the one browser, with cookies and a store of its own.
type tab struct {
	t       *testing.T
	ctx     context.Context
	profile cdp.BrowserContextID

	mu       sync.Mutex
	problems []string // console, exceptions, failed requests, policy violations
}

// watch runs in the page before anything of it, and hears the policy's breaches.
const watch = `addEventListener("securitypolicyviolation", (e) => console.error("POLICY " + e.violatedDirective + " " + e.blockedURI + " " + e.sample));`

func open(t *testing.T, l look) *tab {
	t.Helper()
	first, profile := window(t)
	ctx, cancel := chromedp.NewContext(browser(t), chromedp.WithTargetID(first))
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 5*patience)
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx, profile: profile}
	chromedp.ListenTarget(ctx, b.hear)
	if err := chromedp.Run(ctx); err != nil { // the tab lives as long as this context: without the bound of a step
		t.Fatal(err)
	}
	if l.width == 0 {
		l.width = 1280
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.run(
		network.Enable(), log.Enable(), page.Enable(),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(watch).Do(ctx)
			return err
		}),
		emulation.SetDeviceMetricsOverride(l.width, 900, 1, false),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		emulation.SetScriptExecutionDisabled(l.noScript),
		emulation.SetFocusEmulationEnabled(true), // each window is the one that has the keyboard
	)
	for _, c := range l.cookies {
		b.run(network.SetCookie(c.Name, c.Value).WithURL(c.URL).WithHTTPOnly(true))
	}
	return b
}

// window opens a window of a profile of its own until the test ends.
func window(t *testing.T) (id target.ID, profile cdp.BrowserContextID) {
	t.Helper()
	browser := browser(t)
	executor := cdp.WithExecutor(browser, chromedp.FromContext(browser).Browser)
	ctx, cancel := context.WithTimeout(executor, patience)
	defer cancel()
	profile, err := target.CreateBrowserContext().Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(executor, patience) // a browser that hangs does not hide what it hung in
		defer cancel()
		_ = target.DisposeBrowserContext(profile).Do(ctx)
	})
	if id, err = target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(ctx); err != nil {
		t.Fatal(err)
	}
	return id, profile
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		var words []string
		for _, a := range e.Args {
			words = append(words, string(a.Value)+a.Description)
		}
		b.problems = append(b.problems, "console: "+strings.Join(words, " "))
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		// The browser logs each document with an error status; the page's fixture judges that.
		if !strings.Contains(e.Entry.Text, "Failed to load resource: the server responded") {
			b.problems = append(b.problems, "log: "+e.Entry.Text)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			b.problems = append(b.problems, "request failed: "+e.ErrorText)
		}
	case *network.EventResponseReceived:
		if e.Type != network.ResourceTypeDocument && e.Response.Status >= 400 {
			b.problems = append(b.problems, fmt.Sprintf("%s: %d", e.Response.URL, e.Response.Status))
		}
	}
}

// complaints are what the browser had to say since the last time.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.problems
	b.problems = nil
	return said
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// visit loads a page and returns its status.
func (b *tab) visit(url string) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, chromedp.Navigate(url))
	if err != nil {
		b.t.Fatalf("%s: %v", url, err)
	}
	return response.Status
}

// evaluate runs a script in the page and returns its value.
func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	var value T
	b.run(chromedp.Evaluate(script, &value, awaited))
	return value
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

func TestMain(m *testing.M) {
	code := m.Run()
	closeBrowser()
	os.Exit(code)
}
