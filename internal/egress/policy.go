package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Policy says which targets may be reached. The zero value allows public
// addresses by HTTPS. It is an immutable value.
type Policy struct {
	// Allow names networks that may be reached although they are not public,
	// by plain HTTP too where the URL names an address of them: for tests and
	// for operators whose receivers stand inside.
	Allow []netip.Prefix

	// Inside lets a request stay in the operator's own networks, as upstreams do:
	// private addresses and this machine are reached, by plain HTTP too. What
	// lends its address to a host, link-local networks and the metadata services
	// of clouds, is refused all the same.
	Inside bool
}

// Check refuses a URL that can never be reached: another scheme than https,
// credentials in it, or an address that is not public. A name is not resolved;
// what it stands for is checked when it is dialled. The error says what to do.
func (p Policy) Check(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("give a whole URL, like https://hooks.example.com/doorward")
	case u.User != nil:
		return errors.New("the URL holds a user name or password: leave them out")
	case u.Fragment != "":
		return errors.New("the URL has a fragment, which is never sent: leave it out")
	}
	address, literal := parseHost(u.Hostname())
	if literal && !p.allows(address) {
		return fmt.Errorf("%w: it is an internal or special one, so choose another, or have the operator allow its network", ErrRefused)
	}
	inside := literal && p.named(address) || p.Inside
	if u.Scheme != "https" && (u.Scheme != "http" || !inside) {
		return errors.New("the URL must begin with https://")
	}
	return nil
}

// parseHost reads a host that is an address, and the one name that always
// stands for one.
func parseHost(host string) (netip.Addr, bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	address, err := netip.ParseAddr(host)
	return address, err == nil
}

// allows says whether an address may be dialled.
func (p Policy) allows(address netip.Addr) bool {
	return p.named(address) || isPublic(address) || p.Inside && isInside(address)
}

// isInside is true of an operator's own networks.
func isInside(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if slices.Contains(metadata, address) {
		return false
	}
	return address.IsPrivate() || address.IsLoopback() || carriers.Contains(address)
}

// carriers is the network of carriers' NAT, which overlay networks use too.
var carriers = netip.MustParsePrefix("100.64.0.0/10")

// metadata are the services of clouds that hand out credentials by address, as
// far as they are not link-local.
var metadata = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254")}

func (p Policy) named(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(p.Allow, func(network netip.Prefix) bool { return network.Contains(address) })
}

// isPublic is true of what IANA's registries call globally reachable. An IPv4
// address in any IPv6 clothes is judged as what it is: mapped ones by
// themselves, and those that a translator on the way would unwrap not at all.
func isPublic(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if !address.IsGlobalUnicast() || address.IsPrivate() {
		return false
	}
	if address.Is6() && !globalIPv6.Contains(address) {
		return false
	}
	return !slices.ContainsFunc(special, func(network netip.Prefix) bool { return network.Contains(address) })
}

// globalIPv6 is what is handed out as global unicast; all else is refused.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// special are the networks inside global unicast that do not lead to a host of
// the public Internet, or lead to one by way of an embedded IPv4 address.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carriers' NAT, and metadata of some clouds
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments, and metadata of some clouds
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays, which are gone
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4, around any IPv4 address
	netip.MustParsePrefix("3fff::/20"),       // documentation
}
