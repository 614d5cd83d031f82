package clienttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// grace is how long a row looks out for a request that should not come. A good
	// client passes whatever it is; on a slow machine a bad one may pass, too.
	grace = 25 * time.Millisecond
	// patience is how long a row waits for a request that must come.
	patience = 10 * time.Second
)

// trial is one row under way. The first thing that goes wrong stays in err, and
// whatever is asked of the trial after that does nothing.
type trial struct {
	ctx      context.Context
	subject  Subject
	platform *platform
	client   *process
	others   []*process // further processes of the row
	releases []func()
	err      error
}

func (t *trial) failf(format string, arguments ...any) {
	if t.err == nil {
		t.err = fmt.Errorf(format, arguments...)
	}
}

func (t *trial) start() {
	if t.client == nil {
		t.client = t.launch()
	}
	now := Start
	if t.client != nil {
		now = now.Add(t.client.moved)
	}
	t.platform = newPlatform(now)
}

// launch starts a process that lives on when the row's context has ended.
func (t *trial) launch() *process {
	client, err := t.subject.startProcess(context.WithoutCancel(t.ctx))
	if err != nil {
		t.failf("%w", err)
		return nil
	}
	return client
}

// second starts another process of the client.
func (t *trial) second() *process {
	if t.err != nil {
		return nil
	}
	other := t.launch()
	if other != nil {
		t.others = append(t.others, other)
		t.move(other, t.client.moved)
	}
	return other
}

func (t *trial) lacks(needs []string) string {
	var missing []string
	for _, need := range needs {
		if !slices.Contains(t.client.hello.Capabilities, need) {
			missing = append(missing, need)
		}
		if need == CanRedis && t.subject.Redis == "" {
			missing = append(missing, "a Redis server")
		}
	}
	return strings.Join(missing, ", ")
}

// end frees what the row used. A client that failed is not used again.
func (t *trial) end() {
	t.releaseAll()
	for _, p := range t.others {
		p.end()
	}
	if t.err != nil {
		t.client.end()
		t.client = nil
	}
	t.platform.server.CloseClientConnections()
	t.platform.server.Close()
}

// hold is a gate for replies, and what opens it.
func (t *trial) hold() (<-chan struct{}, func()) {
	gate := make(chan struct{})
	opened := false
	open := func() {
		if !opened {
			opened = true
			close(gate)
		}
	}
	t.releases = append(t.releases, open)
	return gate, open
}

func (t *trial) releaseAll() {
	for _, release := range t.releases {
		release()
	}
}

// pending is an answer that has yet to come.
type pending struct {
	from    *process
	answers <-chan Answer
}

func (t *trial) sendTo(p *process, command Command) pending {
	if t.err != nil {
		return pending{}
	}
	answers, err := p.send(command)
	if err != nil {
		t.failf("%s: %w", command.Op, err)
	}
	return pending{from: p, answers: answers}
}

func (t *trial) await(waiting pending) Answer {
	if t.err != nil {
		return Answer{}
	}
	answer, err := waiting.from.await(t.ctx, waiting.answers)
	if err != nil {
		t.failf("%w", err)
	}
	return answer
}

func (t *trial) do(command Command) Answer { return t.await(t.sendTo(t.client, command)) }

// configuration of a source that the row changes as it likes.
func (t *trial) configuration(source string) Command {
	return Command{Op: "open", Source: source, TokenURL: t.platform.tokenURL(), ClientID: "sandbox-round-apple-123", ClientSecret: canary}
}

// canary is the client secret: rows look for it where it must not be.
const canary = "dw_s_canary7qk2v9x0m5n8w3e6r1t4y"

func (t *trial) openWith(configuration Command) {
	if answer := t.do(configuration); answer.Error != "" {
		t.failf("open: %s", answer.Error)
	}
}

func (t *trial) open(source string) { t.openWith(t.configuration(source)) }

// token asks the source for its token once, which must succeed.
func (t *trial) token(source string) string {
	return t.good(t.do(Command{Op: "token", Source: source}))
}

// good is the one token of an answer without failures.
func (t *trial) good(answer Answer) string {
	if t.err != nil {
		return ""
	}
	if answer.Failed > 0 || answer.Error != "" || len(answer.Tokens) != 1 {
		t.failf("token: %d tokens, %d callers failed: %s; want one token", len(answer.Tokens), answer.Failed, answer.Error)
		return ""
	}
	return answer.Tokens[0]
}

// noToken asks for a token, which must fail; it returns the error's text.
func (t *trial) noToken(source string) string {
	answer := t.do(Command{Op: "token", Source: source})
	if t.err == nil && answer.Failed == 0 {
		t.failf("token: got one where the server refused")
	}
	return answer.Error
}

// call sends a request through the library.
func (t *trial) call(command Command) Answer {
	command.Op = "call"
	if command.Method == "" {
		command.Method = "GET"
	}
	command.URL = t.platform.server.URL + "/api/things"
	return t.do(command)
}

// advance moves the clocks of client and server.
func (t *trial) advance(by time.Duration) {
	if t.err != nil {
		return
	}
	t.platform.advance(by)
	for _, p := range append(t.others, t.client) {
		t.move(p, by)
	}
}

func (t *trial) move(p *process, by time.Duration) {
	if by == 0 {
		return
	}
	answer := t.await(t.sendTo(p, Command{Op: "advance", Milliseconds: by.Milliseconds()}))
	if answer.Error != "" {
		t.failf("advance: %s", answer.Error)
	}
	p.moved += by
}

// wantRequests holds the number of token requests so far against want, at once.
func (t *trial) wantRequests(want int, when string) {
	if got, _ := t.platform.requests(); t.err == nil && got != want {
		t.failf("%d token requests %s, want %d", got, when, want)
	}
}

// noFurther fails if a token request beyond want arrives shortly.
func (t *trial) noFurther(want int, when string) {
	if t.err == nil && t.arrives(want+1, grace) {
		got, _ := t.platform.requests()
		t.failf("%d token requests %s, want %d", got, when, want)
	}
}

// until waits for the token request that makes want of them.
func (t *trial) until(want int, when string) {
	if t.err == nil && !t.arrives(want, patience) {
		got, _ := t.platform.requests()
		t.failf("%d token requests %s, want %d", got, when, want)
	}
}

// arrives tells whether n token requests have arrived within the time.
func (t *trial) arrives(n int, within time.Duration) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		got, changed := t.platform.requests()
		if got >= n {
			return true
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		case <-t.ctx.Done():
			t.failf("%w", context.Cause(t.ctx))
			return false
		}
	}
}

// quiet waits until no token request has come for a while.
func (t *trial) quiet() int {
	for t.err == nil {
		got, _ := t.platform.requests()
		if !t.arrives(got+1, grace) {
			return got
		}
	}
	return 0
}

// becomes asks for tokens until one other than old is given: a renewal in the
// background has ended.
func (t *trial) becomes(source, old, when string) {
	for deadline := time.Now().Add(patience); t.err == nil; {
		if token := t.token(source); token != old {
			return
		}
		if time.Now().After(deadline) {
			t.err = errors.New("the old token is still given " + when)
		}
	}
}
