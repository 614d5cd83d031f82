package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/registry"
)

// finds are the paths of the results of a search.
func (v *visitor) finds(query ...string) []string {
	v.t.Helper()
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	a := v.get("/search?"+values.Encode(), "X-Fragment", "results")
	if a.status != http.StatusOK || strings.Contains(a.body, "<html") {
		v.t.Fatalf("%s: status %d: %s", values.Encode(), a.status, a.body)
	}
	return links(a.body)
}

func TestSearchFindsWhatHasAName(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer)).proven()
	client := s.at("/a/{account}/clients/{client}")
	for _, c := range []struct{ q, at, path string }{
		{"BILL", "", client},
		{string(s.client), s.at("/a/{account}"), client},
		{"try-o", "", s.at("/a/{account}")},
		{"analytical", "", s.at("/o/{organisation}")},
		{"viewer@a", "", s.at("/o/{organisation}/team/{person}")},
		{"authentic", "", s.at("/a/{account}/products/auth")},
		{"audit", "", s.at("/o/{organisation}/audit")},
		{"clients", s.at("/a/{account}"), s.at("/a/{account}/clients")},
		{"preferences", "", "/me/preferences"},
		{"permission_missing", "", "/help/errors"},
		{"", s.at("/a/{account}"), s.at("/a/{account}/settings")},
	} {
		if found := v.finds("q", c.q, "at", c.at); !slices.Contains(found, c.path) {
			t.Errorf("%q at %q finds %q, not %s", c.q, c.at, found, c.path)
		}
	}
	v.get("/search?q=billing").wants(t, http.StatusOK, "Clients", "billing", string(s.client))
	v.get("/search?q=nothing+like+this").wants(t, http.StatusOK, "Nothing here is called “nothing like this”.")
	if a := s.visitor(t).get("/search?q=billing"); a.status != http.StatusUnauthorized || strings.Contains(a.body, string(s.client)) {
		t.Errorf("nobody gets status %d", a.status)
	}
}

func TestTEN01_searchFindsWhatIsOnesOwnAlone(t *testing.T) {
	s := newSite(t)
	hidden, err := s.registry.CreateClient(t.Context(), s.system, registry.NewClient{Account: s.production, Name: "hidden shop"})
	must(t, err)
	stranger, admin := s.as(t, "admin@b.example").proven(), s.as(t, emailOf(actor.AccountAdmin)).proven()
	for _, q := range []string{"billing", string(s.client), "hidden", "try-out", string(s.sandbox), "viewer", "Analytical"} {
		for _, at := range []string{"", s.at("/a/{account}"), s.at("/o/{organisation}"), "/operator"} {
			for _, path := range stranger.finds("q", q, "at", at) {
				if strings.Contains(path, string(s.organisation)) || strings.Contains(path, string(s.sandbox)) || strings.Contains(path, string(s.production)) {
					t.Errorf("a stranger finds %s by %q at %q", path, q, at)
				}
			}
		}
	}
	if a := stranger.get("/search?q=bill&only=clients&in=" + string(s.organisation)); a.status != http.StatusNotFound {
		t.Errorf("one kind of another's organisation: status %d", a.status)
	}
	path := "/a/" + string(s.production) + "/clients/" + string(hidden)
	for name, c := range map[string]struct {
		v     *visitor
		finds bool
	}{
		"one who is of another account":       {admin, false},
		"one without a second factor":         {s.as(t, emailOf(actor.Viewer)), false},
		"one who may, with the second factor": {s.as(t, emailOf(actor.Viewer)).proven(), true},
	} {
		if found := c.v.finds("q", "hidden"); slices.Contains(found, path) != c.finds {
			t.Errorf("%s finds %q", name, found)
		}
	}
}

func TestSearchGoesThroughOneKindPageByPage(t *testing.T) {
	s := newSite(t)
	for i := range 33 {
		_, err := s.registry.CreateClient(t.Context(), s.system, registry.NewClient{Account: s.sandbox, Name: fmt.Sprintf("worker %d", i)})
		must(t, err)
	}
	v, seen := s.as(t, emailOf(actor.Viewer)), map[string]int{}
	next := "/search?q=worker"
	for pages := 0; next != "" && pages < 9; pages++ {
		a := v.get(next, "X-Fragment", "results")
		next = ""
		for _, link := range links(a.body) {
			if strings.HasPrefix(link, "/search") {
				next = link
			} else {
				seen[link]++
			}
		}
	}
	if len(seen) != 33 {
		t.Errorf("%d clients were seen, want 33: %v", len(seen), seen)
	}
	for path, times := range seen {
		if times != 1 {
			t.Errorf("%s was seen %d times", path, times)
		}
	}
	in := "&only=clients&in=" + string(s.organisation)
	v.get("/search?q=billing"+in+"&after=nonsense").wants(t, http.StatusOK, "billing")
	if a := v.get("/search?q=billing&only=secrets&in=" + string(s.organisation)); a.status != http.StatusNotFound {
		t.Errorf("an unknown kind: status %d", a.status)
	}
}

func TestWEB06_searchedTextStaysText(t *testing.T) {
	s := newSite(t)
	hostile := `<script>alert(1)</script>"'&`
	_, err := s.registry.CreateClient(t.Context(), s.system, registry.NewClient{Account: s.sandbox, Name: hostile})
	must(t, err)
	v := s.as(t, emailOf(actor.Viewer))
	a := v.get("/search?q=" + url.QueryEscape("<script>alert"))
	a.wants(t, http.StatusOK, hostile, "1 found.")
	if strings.Contains(a.body, "<script>alert") {
		t.Error("a searched text is markup")
	}
	for _, q := range []string{"%25", "_", "%00", "%ff%fe", strings.Repeat("x", 5000), "%5c", "%27+OR+1=1"} {
		if found := v.get("/search?q="+q, "X-Fragment", "results"); found.status != http.StatusOK || slices.Contains(links(found.body), s.at("/a/{account}/clients/{client}")) {
			t.Errorf("%q: status %d, %q", q, found.status, links(found.body))
		}
	}
}

func TestThePaletteIsWhereOneIsSignedIn(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer))
	page := v.get(s.at("/a/{account}/clients"))
	if !strings.Contains(page.body, `<dialog id="palette"`) || !strings.Contains(page.body, `name="at" value="`+s.at("/a/{account}")+`"`) || !slices.Contains(links(page.body), "/search?at="+s.at("/a/{account}")) {
		t.Error("a page has no palette, or none that knows where it is")
	}
	for name, a := range map[string]answer{"the page of search": v.get("/search"), "a page for everybody": s.visitor(t).get("/help")} {
		if strings.Contains(a.body, `<dialog id="palette"`) {
			t.Errorf("%s has a palette", name)
		}
	}
}
