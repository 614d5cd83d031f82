package throttle

import (
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"
)

// The limits of Failures where Config gives none.
const (
	DefaultPerClient  = 10          // failures of a client from one address in a window
	DefaultPerAddress = 100         // failures from one address in a window
	DefaultWindow     = time.Minute // the time in which so many are answered
	DefaultMaxEntries = 1 << 16     // 1 MB for clients and 1 MB for addresses
)

// ipv6Prefix is the part of an IPv6 address that is counted: a subscriber has
// at least a /64, and may take any address in it.
const ipv6Prefix = 64

// Config has the limits of Failures. A zero field means its default; a limit
// below zero is off.
type Config struct {
	PerClient  int           // failures per client and address in a Window
	PerAddress int           // failures per address in a Window
	Window     time.Duration // after a burst of so many, one more each Window/limit
	MaxEntries int           // places for clients, and again for addresses
	Now        func() time.Time

	// AnyAddress counts a client's failures over all addresses together, as
	// signing in must, where a person's password may be guessed from many.
	AnyAddress bool

	// Together counts with the other nodes, under Name, which tells several
	// Failures apart; nil: this process counts for itself.
	Together *Together
	Name     string
}

// Failures counts failed authentications. Where comparing is cheap and nobody can
// guess, the caller compares the credential first and asks Failures only about a
// failure, so that what is right is never refused because of what was wrong. It
// is safe for concurrent use.
type Failures struct {
	client, address *Rate
	anyAddress      bool
	together        *Together
	name            string
}

// NewFailures makes a Failures within config.
func NewFailures(config Config) *Failures {
	window := orDefault(config.Window, DefaultWindow)
	places := orDefault(config.MaxEntries, DefaultMaxEntries)
	now := config.Now
	if now == nil {
		now = time.Now
	}
	per := func(limit int) *Rate {
		return NewRate(float64(limit)/window.Seconds(), limit, places, now)
	}
	return &Failures{
		client:     per(orDefault(config.PerClient, DefaultPerClient)),
		address:    per(orDefault(config.PerAddress, DefaultPerAddress)),
		anyAddress: config.AnyAddress,
		together:   config.Together,
		name:       config.Name,
	}
}

// Failed counts a failure of client from addr. It returns 0 if the failure is to
// be answered as usual, or else the time after which the next one would be, for
// Retry-After (RFC 9110 §10.2.3) of a 429; then it has counted nothing. A client
// that does not exist may be given as "": it counts against the address alone.
// All of an IPv6 /64 counts as one address.
func (f *Failures) Failed(ctx context.Context, client string, addr netip.Addr) (retryAfter time.Duration) {
	_, retryAfter = f.count(ctx, client, addr)
	return retryAfter
}

// Attempt is Failed for a credential that is not known to be wrong yet: one that
// is so dear to compare, such as a password, that it is not even tried beyond the
// limit, and that is counted first, or many attempts at once would each find
// room. forgive takes back what was counted, for a credential that turned out
// to be right or was not compared at all.
func (f *Failures) Attempt(ctx context.Context, client string, addr netip.Addr) (forgive func(), retryAfter time.Duration) {
	c, retryAfter := f.count(ctx, client, addr)
	return func() { f.forgive(ctx, &c) }, retryAfter
}

// charge is a failure as it was counted.
type charge struct {
	debtors [2]debtor // an address, and a client if there is one
	count   int
	times   int  // it counts here
	shared  bool // the other nodes know of it
}

// debtor is a key of one of the two limits.
type debtor struct {
	rate   *Rate
	hash   uint64
	client string
	addr   netip.Addr
}

// count asks this node's memory first: what is too much for one node is for all
// of them, and a flood costs the others nothing.
func (f *Failures) count(ctx context.Context, client string, addr netip.Addr) (c charge, retryAfter time.Duration) {
	c = f.charge(client, network(addr))
	if !f.together.answers() {
		return c, c.take(f.together.size())
	}
	if wait := c.take(1); wait > 0 {
		return c, wait
	}
	waits, err := f.together.ask(ctx, f.debts(&c, 1))
	if err != nil {
		c.give()
		return c, c.take(f.together.size())
	}
	if retryAfter = slices.Max(append(waits, 0)); retryAfter > 0 {
		c.give()
		c.raise(waits)
		return c, retryAfter
	}
	c.shared = true
	return c, 0
}

func (f *Failures) charge(client string, addr netip.Addr) (c charge) {
	c.debtors[0] = debtor{rate: f.address, hash: f.address.addressHash("", addr), addr: addr}
	c.count = 1
	if client != "" {
		if f.anyAddress {
			addr = netip.Addr{}
		}
		c.debtors[1] = debtor{rate: f.client, hash: f.client.addressHash(client, addr), client: client, addr: addr}
		c.count = 2
	}
	return c
}

// all are those that it counts at.
func (c *charge) all() []debtor { return c.debtors[:c.count] }

// debts are those of the charge that have a limit, in the order of its debtors.
func (f *Failures) debts(c *charge, times time.Duration) (debts []Debt) {
	for i, d := range c.all() {
		if d.rate.interval > 0 {
			debts = append(debts, Debt{Key: f.together.pseudonym(f.name, i, d.client, d.addr), More: times * d.rate.interval, Capacity: d.rate.capacity})
		}
	}
	return debts
}

func (f *Failures) forgive(ctx context.Context, c *charge) {
	c.give()
	if c.shared && f.together.answers() {
		_, _ = f.together.ask(ctx, f.debts(c, -1)) // what cannot be taken back is paid with time
	}
}

// take counts the charge at all its debtors, or at none and returns how long it
// would have to wait.
func (c *charge) take(times int) (wait time.Duration) {
	c.times = times
	for i, d := range c.all() {
		if wait > 0 {
			wait = max(wait, d.rate.wait(d.hash, times))
		} else if wait = d.rate.take(d.hash, times); wait > 0 {
			for _, earlier := range c.debtors[:i] {
				earlier.rate.give(earlier.hash, times)
			}
		}
	}
	return wait
}

func (c *charge) give() {
	for _, d := range c.all() {
		d.rate.give(d.hash, c.times)
	}
}

// raise takes over how long the other nodes let each debtor wait.
func (c *charge) raise(waits []time.Duration) {
	for _, d := range c.all() {
		if d.rate.interval > 0 {
			d.rate.raise(d.hash, waits[0])
			waits = waits[1:]
		}
	}
}

// addressHash cannot confuse two pairs: the address has a fixed length.
func (r *Rate) addressHash(client string, addr netip.Addr) uint64 {
	var hash maphash.Hash
	hash.SetSeed(r.seed)
	_, _ = hash.WriteString(client) // never fails
	bytes := addr.As16()
	_, _ = hash.Write(bytes[:])
	return hash.Sum64()
}

// network returns what of addr is counted: an IPv4 address whole, however it is
// written, and the first 64 bits of an IPv6 address.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	prefix, _ := addr.Prefix(ipv6Prefix) // any IPv6 address has one
	return prefix.Addr()
}

func orDefault[T int | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}
