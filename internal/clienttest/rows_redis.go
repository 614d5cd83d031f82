package clienttest

import (
	"encoding/json"
	"strconv"
	"time"
)

func redisRows() []Row {
	redis := []string{CanRedis}
	return []Row{
		{Name: "shared by Redis", Says: "two processes with one Redis fetch one token, also when 250 callers of each ask at once", Needs: redis, check: sharedByRedis},
		{Name: "encrypted in Redis", Says: "Redis sees neither token nor secret, but the value and the life that docs/clients.md says", Needs: redis, check: encryptedInRedis},
		{Name: "Redis away", Says: "without Redis the memory alone serves, and no caller gets an error", Needs: redis, check: redisAway},
		{Name: "foreign lock", Says: "a lock that nobody releases holds nobody up for long, and stays its owner's", Needs: redis, check: foreignLock},
		{Name: "spoilt value", Says: "what cannot be decrypted in Redis is as good as nothing", Needs: redis, check: spoiltValue},
		{Name: "invalidated in Redis", Says: "an invalidated token is not taken from Redis again", Needs: []string{CanRedis, CanInvalidate}, check: invalidatedInRedis},
	}
}

// inRedis is the configuration of a source whose id is new with each trial.
func (t *trial) inRedis(source, address string) Command {
	c := t.configuration(source)
	c.Redis = address
	c.ClientID = "sandbox-round-apple-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	return c
}

func (t *trial) relay() *relay {
	r, err := newRelay(t.subject.Redis)
	if err != nil {
		t.failf("%w", err)
		return nil
	}
	t.releases = append(t.releases, r.leave)
	return r
}

// redis sends a command to the server itself.
func (t *trial) redis(arguments ...string) string {
	if t.err != nil {
		return ""
	}
	answer, err := redis(t.ctx, t.subject.Redis, arguments...)
	if err != nil {
		t.failf("redis %s: %w", arguments[0], err)
	}
	return answer
}

func (t *trial) entry(c Command) sharedEntry {
	e, err := entryOf(c)
	if err != nil {
		t.failf("%w", err)
	}
	return e
}

func sharedByRedis(t *trial) {
	other := t.second()
	configuration := t.inRedis("a", "redis://"+t.subject.Redis)
	t.openWith(configuration)
	t.await(t.sendTo(other, configuration))
	mine := t.sendTo(t.client, Command{Op: "token", Source: "a", Count: 250})
	theirs := t.sendTo(other, Command{Op: "token", Source: "a", Count: 250})
	t.holdFirst(100 * time.Millisecond) // who waits for the lock does so for a second
	one, two := t.good(t.await(mine)), t.good(t.await(theirs))
	if t.err == nil && one != two {
		t.failf("two processes have two tokens")
	}
	t.wantRequests(1, "of two processes that share")
}

func encryptedInRedis(t *trial) {
	const lifetime = 600 * time.Second
	r := t.relay()
	if t.err != nil {
		return
	}
	configuration := t.inRedis("a", r.url())
	configuration.Scopes, configuration.Audience = []string{"auth.write", "auth.read"}, "https://api.example.com"
	t.platform.setGrant(granting(lifetime))
	t.openWith(configuration)
	token := t.token("a")
	for what, text := range map[string]string{"the token": token, "the secret": canary} {
		if t.err == nil && r.contains(text) {
			t.failf("%s went to Redis in clear", what)
		}
	}
	e := t.entry(configuration)
	value := t.redis("GET", e.name)
	left, _ := strconv.Atoi(t.redis("PTTL", e.name))
	if t.err == nil && (left <= 0 || left > int(lifetime/time.Millisecond)) {
		t.failf("the value under %s lives for %d ms more, want up to 600000", e.name, left)
	}
	if t.err == nil {
		t.readEntry(e, value, token, lifetime)
	}
}

// readEntry holds the decrypted value against docs/clients.md.
func (t *trial) readEntry(e sharedEntry, value, token string, lifetime time.Duration) {
	clear, err := e.read(value)
	if err != nil {
		t.failf("%w", err)
		return
	}
	var content struct {
		AccessToken string `json:"access_token"`
		Lifetime    int64  `json:"lifetime"`
	}
	if json.Unmarshal([]byte(clear), &content) != nil || content.AccessToken != token || content.Lifetime != lifetime.Milliseconds() {
		t.failf("the decrypted value is not the JSON of docs/clients.md with this token and lifetime")
	}
}

func redisAway(t *trial) {
	r := t.relay()
	if t.err != nil {
		return
	}
	t.openWith(t.inRedis("a", r.url()))
	before := t.token("a")
	r.leave()
	t.same("a", before, "after Redis went away")
	t.openWith(t.inRedis("b", r.url()))
	b := t.token("b")
	t.same("b", b, "without Redis")
	t.wantRequests(2, "of two sources")
}

func foreignLock(t *trial) {
	configuration := t.inRedis("a", "redis://"+t.subject.Redis)
	lock := t.entry(configuration).name + ":lock"
	t.redis("SET", lock, "somebody-else", "PX", "60000")
	t.openWith(configuration)
	t.token("a")
	if got := t.redis("GET", lock); t.err == nil && got != "somebody-else" {
		t.failf("the lock of another owner was released")
	}
	t.redis("DEL", lock)
}

func spoiltValue(t *trial) {
	configuration := t.inRedis("a", "redis://"+t.subject.Redis)
	t.redis("SET", t.entry(configuration).name, "c3BvaWx0IHZhbHVlIHdpdGhvdXQgYSBrZXk", "PX", "60000")
	t.openWith(configuration)
	t.token("a")
	t.wantRequests(1, "beside a spoilt value")
}

func invalidatedInRedis(t *trial) {
	configuration := t.inRedis("a", "redis://"+t.subject.Redis)
	t.openWith(configuration)
	first := t.token("a")
	t.do(Command{Op: "invalidate", Source: "a", Token: first})
	if got := t.token("a"); t.err == nil && got == first {
		t.failf("the invalidated token is given again")
	}
	configuration.Source = "b"
	other := t.second()
	t.await(t.sendTo(other, configuration))
	if got := t.good(t.await(t.sendTo(other, Command{Op: "token", Source: "b"}))); t.err == nil && got == first {
		t.failf("another process gets the invalidated token")
	}
}
