package e2e

import "testing"

// Who reviewed a change while somebody else made theirs sees both, loses
// nothing, and has both when they apply theirs again.
func TestTwoEditorsOfPermissionsSeeEachOther(t *testing.T) {
	p := start(t)
	client := "/a/" + p.Account + "/clients/" + p.Client
	first, second := open(t, look{cookies: p.cookiesOf(t, ada)}), open(t, look{cookies: p.cookiesOf(t, ada)})
	review := func(b *tab, ticks ...string) {
		b.reaches("Sample client", p.to(client+"/permissions"))
		for _, tick := range ticks {
			b.do(press(tick))
		}
		b.reaches("Review changes", press("Review changes"))
	}
	review(second, "Read authentication sessions") // taken away
	review(first, "Echo", "Call every")
	first.reaches("Sample client", press("Apply changes"))
	first.says("1 added")

	if status := second.goes(press("Apply changes")); status != 409 {
		t.Fatalf("status %d: %s", status, second.text())
	}
	for _, words := range []string{"Somebody changed these permissions while you looked", "Their change, in force", "echo.call", "Your change", "auth.sessions.read"} {
		second.says(words)
	}
	second.reaches("Sample client", press("Apply changes"))
	second.says("1 removed")
	held := evaluate[[]string](second, `[...document.querySelectorAll("[name=permission]:checked")].map((e) => e.value)`)
	if len(held) != 2 || held[0] != "auth.sessions.create" || held[1] != "echo.call" {
		t.Errorf("the client holds %q", held)
	}
}
