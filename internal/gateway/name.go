package gateway

// Frameworks that follow CGI read header names without regard to case, and take
// "_" and other marks for "-". So do the rules here: a name that an upstream
// could read as one of these is one of these.

const (
	namespace       = "doorward-"
	requestIDHeader = "Doorward-Request-Id"
)

// plain is the byte of a header name as such frameworks read it.
func plain(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return '-'
}

// is reports whether name reads as wanted, which is in lower case.
func is(name, wanted string) bool { return len(name) == len(wanted) && begins(name, wanted) }

// begins reports whether name reads as one that begins with prefix.
func begins(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if plain(name[i]) != prefix[i] {
			return false
		}
	}
	return true
}

// ofCaller reports whether a header of the caller passes to the upstream. What
// does not: our namespace; credentials for us; what belongs to one connection
// (RFC 9110 §7.6.1); and what upstreams believe because a proxy in front is
// supposed to have written it: addresses, host, scheme, path, method,
// certificates. Traceparent is written anew.
func ofCaller(name string) bool {
	switch plain(name[0]) { // never empty: net/http refuses that
	case 'a':
		return !is(name, "authorization")
	case 'c':
		return !is(name, "connection") && !begins(name, "client-cert") && !is(name, "client-ip") && !is(name, "cf-connecting-ip") && !is(name, "content-length")
	case 'd':
		return !begins(name, namespace)
	case 'f':
		return !is(name, "forwarded") && !is(name, "fastly-client-ip") && !is(name, "front-end-https")
	case 'h':
		return !is(name, "http2-settings") && !is(name, "host")
	case 'k':
		return !is(name, "keep-alive")
	case 'p':
		return !is(name, "proxy") && !begins(name, "proxy-")
	case 't':
		return !is(name, "te") && !is(name, "trailer") && !is(name, "transfer-encoding") && !is(name, "true-client-ip") &&
			!is(name, "traceparent") && !is(name, "tracestate")
	case 'u':
		return !is(name, "upgrade")
	case 'x':
		return ofCallerX(name)
	}
	return true
}

func ofCallerX(name string) bool {
	for _, prefix := range [...]string{
		"x-forwarded", "x-original-", "x-rewrite-", "x-envoy-", "x-http-method", "x-method-override", "x-client-cert", "x-ssl-client-",
	} {
		if begins(name, prefix) {
			return false
		}
	}
	for _, refused := range [...]string{"x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-host", "x-scheme", "x-url-scheme"} {
		if is(name, refused) {
			return false
		}
	}
	return true
}

// ofUpstream reports whether a header or trailer of an upstream's answer passes
// to the caller. What does not: our namespace, and what speaks for the whole
// API domain instead of this one answer: Strict-Transport-Security, Alt-Svc,
// Clear-Site-Data and key pins; nor what belongs to one connection (RFC 9110
// §7.6.1). Set-Cookie has a rule of its own, see [keepCookie].
func ofUpstream(name string) bool {
	switch plain(name[0]) {
	case 'a':
		return !is(name, "alt-svc")
	case 'c':
		return !is(name, "clear-site-data") && !is(name, "connection")
	case 'd':
		return !begins(name, namespace)
	case 'k':
		return !is(name, "keep-alive")
	case 'p':
		return !begins(name, "public-key-pins") && !is(name, "proxy-connection") && !is(name, "proxy-authenticate") && !is(name, "proxy-authorization")
	case 's':
		return !is(name, "strict-transport-security")
	case 't':
		return !is(name, "te") && !is(name, "trailer") && !is(name, "transfer-encoding")
	case 'u':
		return !is(name, "upgrade")
	}
	return true
}

// ofUpstreamTrailer reports whether a trailer passes to the caller.
func ofUpstreamTrailer(name string) bool { return ofUpstream(name) && !is(name, "set-cookie") }
