package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/dashboard"
)

// What people may call things.
const (
	markup   = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	arabic   = "عميل \u2067فوترة\u2069 (قديم)"
	wideText = "🦊🦊 Lebensmittelversicherungsgesellschaftsangestellter&nbsp;&lt;"
)

// Names that are markup, run from right to left or are long are text on every
// page: nothing of them is run, and the layout holds.
func TestHostileTextIsText(t *testing.T) {
	p := start(t)
	fixtures := p.fixtures(t) // which finds things by their usual names
	v := p.signedIn(t, ada)
	base := func(path string) string {
		return v.find(path, regexp.MustCompile(`name="base" value="([^"]*)"`))
	}
	organisation, account, client := "/o/"+p.Organisation, "/a/"+p.Account, "/a/"+p.Account+"/clients/"+p.Client
	for path, form := range map[string]url.Values{
		client + "/settings":          {"name": {markup}, "lifetime": {"600"}, "note": {markup + "\n" + arabic}, "base": {base(client + "/settings")}},
		account + "/settings":         {"name": {arabic}, "base": {base(account + "/settings")}},
		organisation + "/settings":    {"name": {wideText}, "base": {base(organisation + "/settings")}},
		"/me":                         {"name": {markup}},
		client + "/secrets/new":       {"name": {markup}},
		organisation + "/team/invite": {"email": {"hostile@example.com"}, "name": {markup}, "role": {"developer"}, "account": {p.Account}},
	} {
		if response := v.do("POST", path, form.Encode()); response.StatusCode >= 400 {
			t.Fatalf("%s: status %d: %s", path, response.StatusCode, v.send("POST", path, form.Encode()))
		}
	}
	renamed := strings.NewReplacer("Sample client", markup, "Sandbox", arabic, "Sample organisation", wideText, "Ada Lovelace", markup)
	for _, route := range dashboard.Routes() {
		at := slices.IndexFunc(fixtures[route.Pattern], func(f fixture) bool {
			return f.who == ada && f.status == http.StatusOK && f.leads == nil && f.acts == nil
		})
		if route.Method != "GET" || at < 0 {
			continue
		}
		f := fixtures[route.Pattern][at]
		t.Run(strings.Trim(strings.ReplaceAll(route.Pattern, "/", "_"), "_"), func(t *testing.T) {
			f.heading, f.title, f.primary = renamed.Replace(f.heading), renamed.Replace(f.title), ""
			b := open(t, look{width: 360, cookies: v.jar()})
			if status := b.visit(p.DashboardURL + f.path); status != f.status {
				t.Fatalf("status %d", status)
			}
			b.isThe(f)
			b.fits()
			if n := evaluate[int](b, `document.querySelectorAll("script:not([src^='/']), img:not([src^='/']), [onerror]").length`); n > 0 {
				t.Errorf("%d elements came out of names", n)
			}
			if said := b.complaints(); len(said) > 0 {
				t.Errorf("the browser complains: %q", said)
			}
		})
	}
}
