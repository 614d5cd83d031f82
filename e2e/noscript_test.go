package e2e

import "testing"

// Each core flow, from signing up to signing out, in a browser that runs no script.
func TestEverythingWorksWithoutScript(t *testing.T) {
	p := start(t)
	b := open(t, look{noScript: true})
	const email = "grace@analytical-engines.example"
	b.reaches("Create account", p.to("/signup"))
	b.reaches("First steps", write("email", email), write("password", "a phrase of words"), write("organisation", "Analytical Engines"), press("Create account"))
	b.reaches("Client first client is created", press("Create client and secret"))
	if b.seen("#secret-value") == "" || b.seen("[data-script]") != "" {
		t.Errorf("the secret is %q, and what needs a script says %q", b.seen("#secret-value"), b.seen("[data-script]"))
	}
	b.reaches("first client", press("Done"))
	client := b.path()

	b.reaches("Verify your e-mail address", p.to(p.link(email, "Verify your e-mail address")))
	b.reaches("Profile", press("Verify address"))

	b.reaches("first client", p.to(client))
	b.reaches("first client", press("Permissions"))
	b.do(press("Authentication"), press("Read authentication sessions"))
	b.reaches("Review changes", press("Review changes"))
	b.reaches("first client", press("Apply changes"))
	b.says("Permissions of first client are changed: 1 added.")

	b.reaches("first client", press("Secrets"))
	b.reaches("Add secret", press("Add secret"))
	b.reaches("Secret ci is added", write("name", "ci"), press("Add secret"))
	b.reaches("first client", press("Done"))
	b.reaches("first client", press("Secrets"))
	b.reaches("Rotate secret first", press("Rotate"))
	b.reaches("Secret second is added", write("name", "second"), press("Rotate secret"))
	b.reaches("first client", press("Done"))
	b.reaches("first client", press("Secrets"))
	b.reaches("first client", press("Finish rotation"))
	b.says("Disabled")

	b.reaches("Clients", press("Clients"))
	b.reaches("Create client", press("Create client"))
	b.reaches("Client billing is created", write("name", "billing"), press("Create client and secret"))
	b.reaches("billing", press("Done"))
	b.reaches("billing", press("Settings"))
	b.goes(press("Disable client"))
	b.says("This client is disabled")
	b.reaches("billing", press("Enable client"))
	p.addClients(t, b.organisation(), b.account(), 60)
	b.reaches("Clients", press("Clients"))
	b.says("62 clients")
	b.reaches("Clients", press("Older"))
	b.reaches("Clients", write("q", "billing"), press("Filter clients"))
	b.says("1 client")
	b.reaches("Clients", press("name or id: billing")) // the filter in force

	b.reaches("Clients", press("Dark"))
	if got := evaluate[string](b, `document.documentElement.dataset.theme`); got != "dark" {
		t.Errorf("the theme is %q", got)
	}
	b.reaches("Team", p.to("/o/"+b.organisation()+"/team"))
	b.reaches("Invite person", press("Invite person"))
	b.reaches("Team", write("email", "charles@analytical-engines.example"), press("Developer"), press("Send invitation"))
	b.says("charles@analytical-engines.example")
	b.do(press("You:"))
	b.reaches("Sign in", press("Sign out"))

	b.reaches("Join Analytical Engines", p.to(p.link("charles@analytical-engines.example", "")))
	b.reaches("Analytical Engines", write("password", "another phrase of words"), press("Join Analytical Engines"))
	b.do(press("You:"))
	b.reaches("Sign in", press("Sign out"))
}
