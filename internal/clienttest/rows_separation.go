package clienttest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
)

func separationRows() []Row {
	return []Row{
		{Name: "isolation", Says: "sources share a token only if authorization server, client, secret, scopes and audience are the same", Needs: []string{CanShare}, check: isolation},
		{Name: "authentication style", Says: "the client authenticates by Basic, or in the body if told so, and never tries the other way", check: authenticationStyle},
		{Name: "redirects", Says: "the secret does not follow a redirect", check: redirects},
	}
}

// differing are sources that differ from the source "base" in one thing each.
func (t *trial) differing() []Command {
	var all []Command
	for name, change := range map[string]func(c *Command){
		"another client":   func(c *Command) { c.ClientID = "prod-round-apple-123" },
		"another secret":   func(c *Command) { c.ClientSecret = canary + "-2" },
		"fewer scopes":     func(c *Command) { c.Scopes = c.Scopes[:1] },
		"another audience": func(c *Command) { c.Audience = "https://other.example.com" },
		"another issuer":   func(c *Command) { c.TokenURL = t.platform.server.URL + "/other/connect/token" },
	} {
		c := t.shared(name)
		change(&c)
		all = append(all, c)
	}
	return all
}

func (t *trial) shared(name string) Command {
	c := t.configuration(name)
	c.Shared, c.Scopes, c.Audience = true, []string{"auth.read", "auth.write"}, "https://api.example.com"
	return c
}

func isolation(t *trial) {
	t.openWith(t.shared("base"))
	base := t.token("base")
	for i, configuration := range t.differing() {
		t.openWith(configuration)
		if got := t.token(configuration.Source); t.err == nil && got == base {
			t.failf("a source with %s got the token of another", configuration.Source)
		}
		t.wantRequests(i+2, fmt.Sprintf("of %d sources that differ", i+2))
	}
	before, _ := t.platform.requests()
	reordered := t.shared("reordered")
	reordered.Scopes = []string{"auth.write", "auth.read"}
	t.openWith(reordered)
	t.same("reordered", base, "for the same scopes in another order")
	t.wantRequests(before, "after a source that shares")
}

func authenticationStyle(t *trial) {
	for i, style := range []string{"", "post"} {
		t.platform.setGrant(func(int, *tokenRequest) reply {
			return reply{status: http.StatusUnauthorized, code: "invalid_client"}
		})
		configuration := t.configuration("style" + style)
		configuration.AuthStyle = style
		t.openWith(configuration)
		t.noToken(configuration.Source)
		t.wantRequests(i+1, "of a client that is refused")
		if t.err != nil {
			return
		}
		r := t.platform.request(i + 1)
		id, secret := r.id, r.secret
		if style == "post" {
			id, secret = r.form.Get("client_id"), r.form.Get("client_secret")
		}
		if r.basic != (style == "") || r.form.Has("client_secret") == (style == "") || id != configuration.ClientID || secret != configuration.ClientSecret {
			t.failf("style %q: Basic %t, client_secret in the body %t, want one of them with the configured id and secret", style, r.basic, r.form.Has("client_secret"))
		}
		if got := r.form.Get("grant_type"); got != "client_credentials" {
			t.failf("grant_type %q, want client_credentials", got)
		}
	}
}

func redirects(t *trial) {
	var reached atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer elsewhere.Close()
	t.platform.setGrant(func(int, *tokenRequest) reply {
		return reply{status: http.StatusTemporaryRedirect, location: elsewhere.URL}
	})
	t.open("a")
	t.noToken("a")
	if got := reached.Load(); t.err == nil && got > 0 {
		t.failf("the request was sent on to where a redirect pointed")
	}
}
