package throttle

import (
	"hash/maphash"
	"net/netip"
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
}

// Failures counts failed authentications. Where comparing is cheap and nobody can
// guess, the caller compares the credential first and asks Failures only about a
// failure, so that what is right is never refused because of what was wrong. It
// is safe for concurrent use.
type Failures struct {
	client, address *Rate
	anyAddress      bool
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
	}
}

// Failed counts a failure of client from addr. It returns 0 if the failure is to
// be answered as usual, or else the time after which the next one would be, for
// Retry-After (RFC 9110 §10.2.3) of a 429. A client that does not exist is given
// as "": it counts against the address alone, or made-up names would fill the
// table. All of an IPv6 /64 counts as one address.
func (f *Failures) Failed(client string, addr netip.Addr) (retryAfter time.Duration) {
	addr = network(addr)
	retryAfter = f.address.take(f.address.addressHash("", addr))
	if client != "" {
		retryAfter = max(retryAfter, f.client.take(f.clientHash(client, addr)))
	}
	return retryAfter
}

// Blocked returns what Failed would, and counts nothing: for a credential that
// is so dear to compare, such as a password, that it is not even tried.
func (f *Failures) Blocked(client string, addr netip.Addr) (retryAfter time.Duration) {
	addr = network(addr)
	retryAfter = f.address.wait(f.address.addressHash("", addr))
	if client != "" {
		retryAfter = max(retryAfter, f.client.wait(f.clientHash(client, addr)))
	}
	return retryAfter
}

// Forgive takes back one Failed that returned 0: for a credential that must not
// be compared before it was counted, or many attempts at once would each find
// room, and that turned out to be right or was not compared at all.
func (f *Failures) Forgive(client string, addr netip.Addr) {
	addr = network(addr)
	f.address.give(f.address.addressHash("", addr))
	if client != "" {
		f.client.give(f.clientHash(client, addr))
	}
}

func (f *Failures) clientHash(client string, addr netip.Addr) uint64 {
	if f.anyAddress {
		addr = netip.Addr{}
	}
	return f.client.addressHash(client, addr)
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
