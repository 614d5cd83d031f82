package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// clock is the machine's, and wrong by an offset that changes.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

func (c *clock) of(config *server.Config) { config.Now = c.now }

// step sets the offset, and waits until the servers know again how old their
// knowledge is.
func (c *clock) step(t *testing.T, by time.Duration, servers ...*servertest.Platform) {
	t.Helper()
	c.offset.Store(int64(by))
	for _, p := range servers {
		until(t, "the change feed is read", func() bool { return get(t, p.OpsURL+"/readyz").status == http.StatusOK })
	}
}

// calls are tokens, and the code with which each call with one is refused; "":
// let through.
type calls map[string]string

func (c calls) hold(t *testing.T, when string, p *servertest.Platform) {
	t.Helper()
	for value, code := range c {
		if a := callEcho(t, p, value); a.code() != code || (code == "") != (a.status == http.StatusOK) {
			t.Errorf("%s: the call gets %d %q, want %q", when, a.status, a.code(), code)
		}
	}
}

// TestAClockThatStepsBringsNothingBack sets a server's clock by seconds to a day,
// forwards and backwards, and back again.
func TestAClockThatStepsBringsNothingBack(t *testing.T) {
	for _, c := range []struct {
		by           time.Duration
		stepped      string // what becomes of a token that was issued before the step
		steppedToken string // and, after the clock is set right again, of one issued while it was wrong
	}{
		{time.Second, "", ""}, {-time.Second, "", ""},
		{time.Hour, "token_expired", "token_not_yet_valid"}, {-time.Hour, "token_not_yet_valid", "token_expired"},
		{24 * time.Hour, "token_expired", "token_not_yet_valid"}, {-24 * time.Hour, "token_not_yet_valid", "token_expired"},
	} {
		t.Run(c.by.String(), func(t *testing.T) {
			for _, engine := range sqldbtest.Engines() {
				t.Run(engine, func(t *testing.T) {
					wrong := new(clock)
					p := servertest.Start(t, servertest.On(sqldbtest.Migrated(t, engine)), wrong.of)
					client, lost := p.NewClient("echo.call"), p.NewClient("echo.call")
					good, revoked, ofSecret := token(t, p, client), token(t, p, client), token(t, p, lost)
					revoke(t, p, client, revoked)
					p.Apply(registry.SetSecretState{Client: lost.ID, Secret: lost.Secret, State: registry.SecretRevoked})
					until(t, "the revocation is in force", func() bool { return callEcho(t, p, ofSecret).status != http.StatusOK })
					right := calls{good: "", revoked: "token_revoked", ofSecret: "secret_revoked"}
					right.hold(t, "before the step", p)

					wrong.step(t, c.by, p)
					after := token(t, p, client)
					p.Apply(registry.RenameAccount{Account: p.Sandbox, Name: "Read again"}) // and whatever is in memory
					revoke(t, p, client, after)
					kept := token(t, p, client)
					calls{good: c.stepped, after: "token_revoked", kept: ""}.hold(t, "while the clock is wrong", p)
					for _, dead := range []string{revoked, ofSecret} {
						if a := callEcho(t, p, dead); a.status != http.StatusUnauthorized {
							t.Errorf("while the clock is wrong a dead token gets %d", a.status)
						}
					}

					wrong.step(t, 0, p)
					right.hold(t, "when it is right again", p)
					calls{kept: c.steppedToken, token(t, p, client): ""}.hold(t, "when it is right again", p)
					if a := callEcho(t, p, after); a.status != http.StatusUnauthorized {
						t.Errorf("when it is right again a dead token gets %d", a.status)
					}
					if a := askToken(t, p, lost); a.status != http.StatusUnauthorized {
						t.Errorf("the revoked secret gets %d", a.status)
					}
				})
			}
		})
	}
}

func revoke(t *testing.T, p *servertest.Platform, c servertest.Client, value string) {
	t.Helper()
	form := url.Values{"token": {value}, "client_id": {string(c.ID)}, "client_secret": {c.Value}}
	r := request(t.Context(), t, "POST", p.URL+"/auth/open/connect/revocation", form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := send(t, http.DefaultClient, r); a.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", a.status, a.body)
	}
}

// A server whose clock is wrong harms its own tokens alone.
func TestServersWhoseClocksDiffer(t *testing.T) {
	if !slices.Contains(sqldbtest.Engines(), "postgres") {
		return // ENGINES leaves it out
	}
	for _, c := range []struct {
		ahead                time.Duration
		itsToken, othersOnIt string
	}{
		{4 * time.Second, "", ""}, {-4 * time.Second, "", ""},
		{time.Hour, "token_not_yet_valid", "token_expired"}, {-time.Hour, "token_expired", "token_not_yet_valid"},
	} {
		t.Run(c.ahead.String(), func(t *testing.T) {
			wrong := new(clock)
			a := servertest.Start(t, servertest.On(sqldbtest.Migrated(t, "postgres")))
			client := a.NewClient("echo.call")
			b := a.Node(wrong.of)
			wrong.step(t, c.ahead, b)
			ofA, ofB := token(t, a, client), token(t, b, client)
			calls{ofA: "", ofB: c.itsToken}.hold(t, "on the right server", a)
			calls{ofB: "", ofA: c.othersOnIt}.hold(t, "on the wrong server", b)
			a.Apply(registry.SetSecretState{Client: client.ID, Secret: client.Secret, State: registry.SecretRevoked})
			until(t, "the wrong server refuses what was revoked on the other", func() bool { return callEcho(t, b, ofB).code() == "secret_revoked" })
			until(t, "the right server refuses it too", func() bool { return callEcho(t, a, ofB).status == http.StatusUnauthorized })
		})
	}
}

// Days on which dates go wrong.
func TestOddDays(t *testing.T) {
	for name, day := range map[string]time.Time{
		"29 February":               time.Date(2028, 2, 29, 23, 59, 58, 0, time.UTC),
		"the last second of 32 bit": time.Date(2038, 1, 19, 3, 14, 6, 0, time.UTC),
		"beyond 32 bit":             time.Date(2039, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			odd := new(clock)
			odd.offset.Store(int64(time.Until(day)))
			p := servertest.Start(t, odd.of)
			client := p.NewClient("echo.call")
			value, dead := token(t, p, client), token(t, p, client)
			revoke(t, p, client, dead)
			calls{value: "", dead: "token_revoked"}.hold(t, "that day", p)
			odd.step(t, time.Until(day)+599*time.Second, p)
			calls{value: "", dead: "token_revoked"}.hold(t, "when it is about to end", p)
			odd.step(t, time.Until(day)+606*time.Second, p)
			calls{value: "token_expired"}.hold(t, "when it has ended", p)
		})
	}
}
