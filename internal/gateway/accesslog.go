package gateway

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/registry"
)

// route is a route as logs and metrics call it: by its pattern, never by the
// path of a call.
type route struct {
	product, name string
	logged        []byte // its members of a line, ready
	metrics       lazyMetrics
}

// newRoute is for a route of a product; nil where none matched.
func newRoute(product string, r *registry.Route) *route {
	name := ""
	if r != nil {
		name = r.Method + " " + r.Path
	}
	logged := appendMember(nil, "product", product)
	return &route{product: product, name: name, logged: appendMember(logged, "route", name)}
}

// log writes the call's line of the access log: a JSON object in ASCII, so that
// no text in it can pretend to be another line or member.
func (c *call) log(total time.Duration) {
	w := c.gateway.AccessLog
	if w == nil {
		return
	}
	b := append(c.line[:0], `{"time":"`...)
	b = c.started.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendMember(b, "trace_id", c.traceID())
	b = appendMember(b, "method", loggedMethod(c.incoming.Method))
	b = append(b, c.route.logged...)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(c.status), 10)
	b = appendMember(b, "code", string(c.code))
	if d := &c.decision; d.Claims != nil && d.Holder.Client != nil {
		b = appendMember(b, "client", string(d.Holder.Client.ID))
		b = appendMember(b, "account", string(d.Account))
		b = appendMember(b, "jti", d.Claims.ID)
	}
	b = appendMember(b, "peer", c.peerText)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, c.sent, 10)
	b = append(b, `,"upstream_ms":`...)
	b = appendMillis(b, c.upstream)
	b = append(b, `,"total_ms":`...)
	b = appendMillis(b, total)
	b = append(b, "}\n"...)
	_, _ = w.Write(b) // a log that is full must not stop calls
	c.line = b
}

// loggedMethod keeps made-up methods from filling the log.
func loggedMethod(method string) string { return method[:min(len(method), 16)] }

// appendMillis writes milliseconds with three digits behind the point.
func appendMillis(b []byte, d time.Duration) []byte {
	micros := max(0, d.Microseconds())
	b = strconv.AppendInt(b, micros/1000, 10)
	rest := micros % 1000
	return append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// appendMember writes a member behind others; an empty value leaves it out.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendString(b, value)
}

// appendString writes a JSON string. All but harmless ASCII is escaped: controls
// of terminals, line ends and marks that turn the direction of text around too.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ' && r <= '~':
			b = append(b, byte(r))
		case r == utf8.RuneError && s[i] != 0xef: // a byte that is not UTF-8
			b = append(b, `\ufffd`...)
		default:
			b = appendEscaped(b, r)
		}
	}
	return append(b, '"')
}

func appendEscaped(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	if r > 0xffff { // a surrogate pair (RFC 8259 §7)
		r -= 0x10000
		return appendEscaped(appendEscaped(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
