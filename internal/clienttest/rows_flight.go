package clienttest

import (
	"time"
)

const callers = 500

func flightRows() []Row {
	return []Row{
		{Name: "one flight", Says: "500 callers at once without a token in memory cause one token request", check: oneFlight},
		{Name: "leaving", Says: "a caller that no longer waits leaves, and the request goes on for the others", Needs: []string{CanLeave}, check: leaving},
		{Name: "time-out", Says: "a token request that is never answered ends, and the next caller asks anew", Needs: []string{CanTimeout}, check: timeout},
	}
}

// holdFirst answers the first token request when a second has come, or after the time.
func (t *trial) holdFirst(shortly time.Duration) {
	gate, open := t.hold()
	t.platform.setGrant(func(n int, _ *tokenRequest) reply {
		if n == 1 {
			return reply{lifetime: 10 * time.Minute, hold: gate}
		}
		return reply{lifetime: 10 * time.Minute}
	})
	t.until(1, "of callers without a token")
	t.arrives(2, shortly)
	open()
}

func oneFlight(t *trial) {
	t.open("a")
	waiting := t.sendTo(t.client, Command{Op: "token", Source: "a", Count: callers})
	t.holdFirst(300 * time.Millisecond)
	t.good(t.await(waiting))
	t.wantRequests(1, "of 500 callers")
}

func leaving(t *trial) {
	gate, open := t.hold()
	t.platform.setGrant(func(int, *tokenRequest) reply { return reply{lifetime: 10 * time.Minute, hold: gate} })
	t.open("a")
	leaver := t.sendTo(t.client, Command{Op: "token", Source: "a", Timeout: 200})
	t.until(1, "of a caller that will leave")
	stayer := t.sendTo(t.client, Command{Op: "token", Source: "a"})
	if answer := t.await(leaver); t.err == nil && answer.Failed != 1 {
		t.failf("the caller with a time limit got %d tokens while the server was silent", len(answer.Tokens))
	}
	time.Sleep(grace) // for a request that is broken off to be noticed
	open()
	t.good(t.await(stayer))
	if t.err == nil && t.platform.isCut(1) {
		t.failf("the request was broken off when its first caller left")
	}
}

func timeout(t *trial) {
	gate, _ := t.hold()
	t.platform.setGrant(func(n int, _ *tokenRequest) reply {
		if n == 1 {
			return reply{lifetime: 10 * time.Minute, hold: gate}
		}
		return reply{lifetime: 10 * time.Minute}
	})
	configuration := t.configuration("a")
	configuration.RequestTimeout = 1000
	t.openWith(configuration)
	t.noToken("a")
	t.token("a")
}

// failing is a reply of the status without more.
func failing(status int) func(int, *tokenRequest) reply {
	return func(int, *tokenRequest) reply { return reply{status: status, code: "temporarily_unavailable"} }
}

// granting is the reply of a healthy server.
func granting(lifetime time.Duration) func(int, *tokenRequest) reply {
	return func(int, *tokenRequest) reply { return reply{lifetime: lifetime} }
}
