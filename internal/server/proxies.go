package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// behindProxies makes RemoteAddr the caller's address before anything else
// looks: behind a trusted proxy the rightmost address of X-Forwarded-For that
// is not a trusted proxy's, else the socket's. What other peers claim about
// themselves is removed.
func behindProxies(trusted []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := socketAddress(r)
		switch {
		case ok && isTrusted(trusted, peer):
			values := r.Header["X-Forwarded-For"]
			if values == nil { // the proxy itself, asking for its own health
				break
			}
			if caller, ok := forwardedFor(trusted, values); ok {
				r.RemoteAddr = netip.AddrPortFrom(caller, 0).String()
			}
		default:
			dropForwarded(r.Header)
		}
		next.ServeHTTP(w, r)
	})
}

func socketAddress(r *http.Request) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	return addr.Unmap().WithZone(""), err == nil
}

func isTrusted(trusted []netip.Prefix, addr netip.Addr) bool {
	for _, network := range trusted {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedFor walks the list from the right, where the nearest proxy wrote.
// An entry that is no address ends the walk: nothing left of it is believed.
func forwardedFor(trusted []netip.Prefix, values []string) (caller netip.Addr, ok bool) {
	entries := strings.Split(strings.Join(values, ","), ",")
	for i := len(entries) - 1; i >= 0; i-- {
		text := strings.TrimSpace(entries[i])
		addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
		if err != nil {
			ap, err := netip.ParseAddrPort(text)
			if err != nil {
				return caller, ok
			}
			addr = ap.Addr()
		}
		caller, ok = addr.Unmap().WithZone(""), true
		if !isTrusted(trusted, caller) {
			return caller, ok
		}
	}
	return caller, ok
}

// dropForwarded removes the whole forwarded family, in every spelling that a
// product could read.
func dropForwarded(header http.Header) {
	for name := range header {
		plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if strings.HasPrefix(plain, "x-forwarded-") || plain == "forwarded" || plain == "x-real-ip" {
			delete(header, name)
		}
	}
}
