package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// Share adds debts to those that all nodes know, or, if one of them would grow
// beyond its capacity, none, and returns for each of them how long it would have
// to wait. It uses one clock for all nodes. It is called by many goroutines at
// once.
type Share func(ctx context.Context, debts []Debt) (waits []time.Duration, err error)

// Debt is what a key owes for its failures: it is paid with time.
type Debt struct {
	Key      string        // by which nobody can tell what it stands for
	More     time.Duration // to be added; below zero: to be taken back
	Capacity time.Duration // that the key may owe
}

// after returns what a key owes that owed so much, once the debt is added, and
// how long that would have to wait. No key owes more than its capacity, even
// when a clock was set back.
func (d *Debt) after(owed time.Duration) (owes, wait time.Duration) {
	owes = max(min(owed, d.Capacity), 0) + d.More
	if d.More > 0 {
		wait = max(owes-d.Capacity, 0)
	}
	return max(owes, 0), wait
}

const (
	defaultPatience = 250 * time.Millisecond
	rest            = time.Second // after no answer came
	asksAtOnce      = 4           // of the connections to a database, which others need too
	asksWaiting     = 64
)

var errBusy = errors.New("too many failures at one time")

// Together counts failures with the other nodes on the same database. Whatever
// keeps it from doing so, this node counts alone, each failure as often as there
// are nodes: so all of them together answer as many as one would. Its methods
// work on nil, which is a node by itself.
type Together struct {
	config          TogetherConfig
	waiting, asking chan struct{}
	start           time.Time
	rests           atomic.Int64 // until then, in nanoseconds since start; 0: it answers
	away            atomic.Bool
}

// TogetherConfig is what a Together works with. All but the last are needed.
type TogetherConfig struct {
	Share    Share
	Key      []byte     // secret, the same on all nodes: hides the names of what is counted
	Nodes    func() int // how many there are
	Log      *slog.Logger
	Patience time.Duration // with an answer of Share; 0 means 250 ms
}

// NewTogether returns a Together for all Failures of a node.
func NewTogether(config TogetherConfig) *Together {
	config.Patience = orDefault(config.Patience, defaultPatience)
	return &Together{
		config: config, start: time.Now(),
		waiting: make(chan struct{}, asksWaiting), asking: make(chan struct{}, asksAtOnce),
	}
}

// Answers reports whether failures are counted with the other nodes now.
func (t *Together) Answers() bool { return t != nil && !t.away.Load() }

// size is how many nodes answer failures.
func (t *Together) size() int {
	if t == nil {
		return 1
	}
	return max(t.config.Nodes(), 1)
}

// answers says whether to ask. After a failure it lets one try once in a while.
func (t *Together) answers() bool {
	if t == nil {
		return false
	}
	until, now := t.rests.Load(), int64(time.Since(t.start))
	return until == 0 || now >= until && t.rests.CompareAndSwap(until, now+int64(rest))
}

// ask adds debts to those of all nodes. It does not end when the caller goes
// away: who hangs up early has failed too.
func (t *Together) ask(ctx context.Context, debts []Debt) (waits []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.config.Patience)
	defer cancel()
	select {
	case t.waiting <- struct{}{}:
		defer func() { <-t.waiting }()
	default:
		return nil, errBusy
	}
	select {
	case t.asking <- struct{}{}:
		defer func() { <-t.asking }()
	case <-ctx.Done():
		t.heard(ctx, errBusy)
		return nil, errBusy
	}
	waits, err = t.config.Share(ctx, debts)
	if err == nil && len(waits) != len(debts) {
		err = fmt.Errorf("%d answers to %d debts", len(waits), len(debts))
	}
	t.heard(ctx, err)
	return waits, err
}

func (t *Together) heard(ctx context.Context, err error) {
	if err == nil {
		t.rests.Store(0)
	} else {
		t.rests.Store(int64(time.Since(t.start) + rest))
	}
	if t.away.Swap(err != nil) != (err != nil) { // say it once
		level := slog.LevelInfo
		if err != nil {
			level = slog.LevelError
		}
		t.config.Log.Log(ctx, level, "failed authentications", "counted_by", map[bool]string{true: "this node alone, its share", false: "all nodes together"}[err != nil], "error", err)
	}
}

// pseudonym is a key for others to count under.
func (t *Together) pseudonym(name string, limit int, client string, addr netip.Addr) string {
	mac := hmac.New(sha256.New, t.config.Key)
	for _, text := range []string{name, client} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		mac.Write([]byte(text))
	}
	bytes := addr.As16()
	mac.Write(append(bytes[:], byte(limit)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
