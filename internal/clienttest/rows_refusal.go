package clienttest

import (
	"net/http"
	"time"
)

func refusalRows() []Row {
	call := []string{CanCall}
	return []Row{
		{Name: "repeat once", Says: "a call that is refused with invalid_token is repeated once with a new token, and no more", Needs: call, check: repeatOnce},
		{Name: "challenges", Says: "no call is repeated unless a Bearer challenge of a 401 says invalid_token", Needs: call, check: challenges},
		{Name: "never on 403", Says: "no call is repeated, and no token dropped, on 403", Needs: call, check: never403},
		{Name: "replayed bodies", Says: "a repeated call has the body of the first", Needs: call, check: replayedBodies},
		{Name: "streams", Says: "a call is not repeated if its body can be read only once; but the token is dropped", Needs: []string{CanCall, CanStream}, check: streams},
		{Name: "many refused", Says: "50 calls that one revoked token refuses cause one new token", Needs: call, check: manyRefused},
		{Name: "interval", Says: "an API that refuses every token causes one new token in 5 s", Needs: []string{CanCall, CanClock}, check: interval},
		{Name: "compare and delete", Says: "to invalidate a token leaves a newer one in place", Needs: []string{CanInvalidate, CanClock}, check: compareAndDelete},
	}
}

// refusing answers the first n calls with the status and challenge.
func refusing(n, status int, challenge string) func(int, *call) (int, string) {
	return func(i int, _ *call) (int, string) {
		if i <= n {
			return status, challenge
		}
		return http.StatusOK, ""
	}
}

const always = 1 << 30

// wantCall makes a call and holds its status and the number of requests that
// reached the API against what is wanted.
func (t *trial) wantCall(command Command, status, reached int, when string) {
	answer := t.call(command)
	if t.err != nil {
		return
	}
	if answer.Status != status {
		t.failf("status %d %s (%s), want %d", answer.Status, when, answer.Error, status)
	}
	if got := len(t.platform.callsMade()); got != reached {
		t.failf("%d requests reached the API %s, want %d", got, when, reached)
	}
}

func repeatOnce(t *trial) {
	t.open("once")
	t.platform.setAPI(refusing(1, http.StatusUnauthorized, invalidToken))
	t.wantCall(Command{Source: "once"}, http.StatusOK, 2, "when the first token is refused")
	if calls := t.platform.callsMade(); t.err == nil && calls[0].token == calls[1].token {
		t.failf("the call was repeated with the token that was refused")
	}
	t.open("twice")
	t.platform.setAPI(refusing(always, http.StatusUnauthorized, invalidToken))
	t.wantCall(Command{Source: "twice"}, http.StatusUnauthorized, 2, "when every token is refused")
}

func challenges(t *trial) {
	t.open("a")
	for name, challenge := range map[string]string{
		"without a challenge":               "",
		"with a challenge without an error": `Bearer realm="api"`,
		"with insufficient_scope":           `Bearer realm="api", error="insufficient_scope"`,
		"with a challenge of Basic":         `Basic realm="api", error="invalid_token"`,
		"with the word in a realm":          `Bearer realm="error=\"invalid_token\", error=invalid_token"`,
	} {
		t.platform.setAPI(refusing(always, http.StatusUnauthorized, challenge))
		t.wantCall(Command{Source: "a"}, http.StatusUnauthorized, 1, "on a 401 "+name)
	}
	t.wantRequests(1, "after refusals that a new token does not mend")
	t.platform.setAPI(refusing(1, http.StatusUnauthorized, `Basic realm="a, b", Bearer realm="api", error="invalid_token"`))
	t.wantCall(Command{Source: "a"}, http.StatusOK, 2, "on a 401 with two challenges")
}

func never403(t *trial) {
	t.open("a")
	t.platform.setAPI(refusing(always, http.StatusForbidden, invalidToken))
	t.wantCall(Command{Source: "a"}, http.StatusForbidden, 1, "on a 403")
	t.token("a")
	t.wantRequests(1, "after a 403")
}

func replayedBodies(t *trial) {
	const body = `{"a":"long enough to be a body"}`
	t.open("a")
	t.platform.setAPI(refusing(1, http.StatusUnauthorized, invalidToken))
	t.wantCall(Command{Source: "a", Method: "POST", Body: body}, http.StatusOK, 2, "when the first token is refused")
	for _, c := range t.platform.callsMade() {
		if c.body != body || c.method != "POST" {
			t.failf("%s with body %q reached the API, want POST with %q", c.method, c.body, body)
		}
	}
}

func streams(t *trial) {
	t.open("a")
	t.platform.setAPI(refusing(1, http.StatusUnauthorized, invalidToken))
	t.wantCall(Command{Source: "a", Method: "POST", Body: "a stream", Stream: true}, http.StatusUnauthorized, 1, "when its token is refused")
	if calls := t.platform.callsMade(); t.err == nil && t.token("a") == calls[0].token {
		t.failf("the refused token is still given")
	}
}

func manyRefused(t *trial) {
	t.open("a")
	revoked := t.token("a")
	t.platform.setAPI(func(_ int, c *call) (int, string) {
		if c.token == revoked {
			return http.StatusUnauthorized, invalidToken
		}
		return http.StatusOK, ""
	})
	var waiting []pending
	for range 50 {
		waiting = append(waiting, t.sendTo(t.client, Command{Op: "call", Source: "a", Method: "GET", URL: t.platform.server.URL + "/api/things"}))
	}
	for _, w := range waiting {
		if answer := t.await(w); t.err == nil && answer.Status != http.StatusOK {
			t.failf("status %d (%s), want 200", answer.Status, answer.Error)
		}
	}
	t.wantRequests(2, "after 50 calls with one revoked token")
}

func interval(t *trial) {
	t.open("a")
	t.platform.setAPI(refusing(always, http.StatusUnauthorized, invalidToken))
	for range 5 {
		t.call(Command{Source: "a"})
	}
	t.wantRequests(2, "of 5 calls that were all refused")
	t.advance(5100 * time.Millisecond)
	t.call(Command{Source: "a"})
	t.call(Command{Source: "a"})
	t.wantRequests(3, "when 5 s had passed")
}

func compareAndDelete(t *trial) {
	t.open("a")
	first := t.token("a")
	t.do(Command{Op: "invalidate", Source: "a", Token: "another"})
	t.same("a", first, "after another one was invalidated")
	t.do(Command{Op: "invalidate", Source: "a", Token: first})
	second := t.token("a")
	if t.err == nil && second == first {
		t.failf("the token is still given after it was invalidated")
	}
	t.advance(10 * time.Second)
	t.do(Command{Op: "invalidate", Source: "a", Token: first})
	t.same("a", second, "after the old one was invalidated again")
}
