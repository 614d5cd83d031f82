package clienttest

import (
	"net/http"
	"strings"
	"time"
)

func failureRows() []Row {
	clock := []string{CanClock}
	return []Row{
		{Name: "failed renewal", Says: "a token is served until it expires although its renewal fails", Needs: clock, check: failedRenewal},
		{Name: "back-off", Says: "after the n-th failed renewal at least half of, and at most, min(30, 2^(n-1)) s pass until the next", Needs: clock, check: backOff},
		{Name: "Retry-After", Says: "a server that asks for time gets it, and at most a tenth more is added", Needs: clock, check: retryAfter},
		{Name: "negative cache", Says: "invalid_client and unauthorized_client are remembered for 5 s", Needs: clock, check: negativeCache},
		{Name: "other failures", Says: "a failed connection and an answer of 500 are not remembered", check: otherFailures},
		{Name: "secrets", Says: "neither the client secret nor a token stands in an error, on standard error or in a printed source", check: secrets},
	}
}

func failedRenewal(t *trial) {
	const lifetime = 600 * time.Second
	t.open("a")
	first := t.token("a")
	t.platform.setGrant(failing(http.StatusServiceUnavailable))
	for _, by := range []float64{0.81, 0.05, 0.05, 0.08} { // the last one is within the margin
		t.advance(part(lifetime, by))
		for range 3 {
			t.same("a", first, "while its renewal fails")
			time.Sleep(grace)
		}
	}
}

// backOff follows six failures. Its bounds overlap those of early renewal
// nowhere: a client that does not renew early fails nothing here.
func backOff(t *trial) {
	const lifetime = 600 * time.Second
	t.open("a")
	t.token("a")
	t.platform.setGrant(failing(http.StatusServiceUnavailable))
	t.advance(part(lifetime, renewUntil) - time.Millisecond)
	t.ask("a")
	if !t.arrives(2, time.Second) {
		return
	}
	for n, full := 2, time.Second; n <= 7 && t.err == nil; n, full = n+1, min(2*full, 30*time.Second) {
		t.advance(full/2 - 10*time.Millisecond)
		t.ask("a")
		t.noFurther(n, "before half of the back-off")
		t.advance(full/2 + 20*time.Millisecond)
		t.follows("a", n+1, full)
	}
}

// follows asks until the token request that makes n of them has come. The failure
// before it counts from when the client has read it, which may be after the clock
// was moved: so the clock moves on, up to twice the time.
func (t *trial) follows(source string, n int, full time.Duration) {
	for range 20 {
		t.ask(source)
		if t.err != nil || t.arrives(n, 2*grace) {
			return
		}
		t.advance(full / 10)
	}
	t.until(n, "after the time to wait")
}

// ask asks for a token and does not care what comes: the row is about requests.
func (t *trial) ask(source string) { t.do(Command{Op: "token", Source: source}) }

func retryAfter(t *trial) {
	const lifetime = 600 * time.Second
	t.open("cold")
	t.platform.setGrant(func(int, *tokenRequest) reply {
		return reply{status: http.StatusTooManyRequests, code: "temporarily_unavailable", retryAfter: "7"}
	})
	t.noToken("cold")
	t.advance(6900 * time.Millisecond)
	t.noToken("cold")
	t.wantRequests(1, "before the 7 s that the server asked for")
	t.platform.setGrant(granting(lifetime))
	t.advance(900 * time.Millisecond)
	t.token("cold")

	t.platform.setGrant(func(int, *tokenRequest) reply {
		return reply{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", retryAfter: "20"}
	})
	t.advance(part(lifetime, renewUntil) - time.Millisecond)
	t.ask("cold")
	if !t.arrives(3, time.Second) {
		return // no early renewal: another row's subject
	}
	t.advance(19900 * time.Millisecond)
	t.ask("cold")
	t.noFurther(3, "before the 20 s that the server asked for")
	t.advance(2200 * time.Millisecond)
	t.follows("cold", 4, 20*time.Second)
}

func negativeCache(t *trial) {
	for code, status := range map[string]int{"invalid_client": http.StatusUnauthorized, "unauthorized_client": http.StatusBadRequest} {
		before, _ := t.platform.requests()
		t.platform.setGrant(func(int, *tokenRequest) reply { return reply{status: status, code: code} })
		t.open(code)
		t.noToken(code)
		first, _ := t.platform.requests() // a client that tries both styles is another row's subject
		for range 5 {
			t.noToken(code)
		}
		t.advance(4900 * time.Millisecond)
		t.noToken(code)
		t.wantRequests(first, "within 5 s of "+code)
		t.platform.setGrant(granting(time.Hour))
		t.advance(200 * time.Millisecond)
		t.token(code)
		if t.err == nil && first == before {
			t.failf("no token request arrived")
		}
	}
}

func otherFailures(t *trial) {
	t.open("a")
	for name, grant := range map[string]func(int, *tokenRequest) reply{
		"a failed connection": func(int, *tokenRequest) reply { return reply{drop: true} },
		"an answer of 500":    failing(http.StatusInternalServerError),
	} {
		t.platform.setGrant(grant)
		for range 3 {
			before, _ := t.platform.requests()
			t.noToken("a")
			if after, _ := t.platform.requests(); t.err == nil && after == before {
				t.failf("no token request after %s: it was remembered", name)
			}
		}
	}
	t.platform.setGrant(granting(time.Hour))
	t.token("a")
}

func secrets(t *trial) {
	t.platform.setGrant(func(_ int, r *tokenRequest) reply {
		return reply{status: http.StatusBadRequest, code: "invalid_request", text: "unexpected: " + r.secret + r.form.Get("client_secret")}
	})
	t.open("a")
	told := []string{t.noToken("a")}
	t.platform.setGrant(func(int, *tokenRequest) reply { return reply{drop: true} })
	told = append(told, t.noToken("a"))
	t.platform.setGrant(granting(time.Hour))
	t.open("b")
	token := t.token("b")
	told = append(told, t.do(Command{Op: "print", Source: "b"}).Text)
	if t.err != nil {
		return
	}
	told = append(told, t.client.stderr.String())
	for _, text := range told {
		if strings.Contains(text, canary) {
			t.failf("the client secret stands in clear in %q", text)
		}
		if strings.Contains(text, token) {
			t.failf("a token stands in clear in %q", text)
		}
	}
}
