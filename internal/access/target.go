package access

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
)

// Limits of a request target.
const (
	MaxTargetLength   = 8 << 10 // bytes, query included
	MaxTargetSegments = 256
)

// Target is a request target that can be read in one way only. Matching, logs,
// limits and the upstream all take the path from here: what was matched is what
// is forwarded, byte for byte. The zero Target has no path; use ParseTarget.
type Target struct {
	path     string // as sent
	query    string // as sent, without "?"
	segments []targetSegment
	slash    bool // the path has segments and ends in a slash
	encoded  bool // some segment holds an encoded slash
}

type targetSegment struct {
	text         string // decoded
	start        int    // where its slash stands in path
	encodedSlash bool
}

// ParseTarget reads the target of a request line as it was sent, and refuses
// with fault.RequestMalformed what two readers could take for different paths,
// instead of normalising it; a target that is too long is
// fault.TargetTooLong. A trailing slash and an encoded slash are kept: the
// matcher decides about them. An absolute target (RFC 9112 §3.2.2) must name
// the host of the request, ignoring case.
func ParseTarget(raw, host string) (Target, error) {
	if len(raw) > MaxTargetLength {
		return Target{}, fault.New(fault.TargetTooLong, "the request target has more than %d bytes; move data from the query to the body", MaxTargetLength)
	}
	if !visibleASCII(raw) {
		return Target{}, malformedRequest("the request target holds a space, a control or a non-ASCII byte, or a #; percent-encode what belongs to it")
	}
	path, query, err := originForm(raw, host)
	if err != nil {
		return Target{}, err
	}
	body := strings.TrimSuffix(path, "/")
	count := strings.Count(body, "/")
	if count > MaxTargetSegments {
		return Target{}, malformedRequest("the path has more than 256 segments; shorten it")
	}
	t := Target{path: path, query: query, slash: body != "" && body != path, segments: make([]targetSegment, 0, count)}
	if err := t.split(body); err != nil {
		return Target{}, err
	}
	return t, nil
}

// Path returns the whole path as sent, still encoded.
func (t *Target) Path() string { return t.path }

// RawQuery returns the query as sent, without its question mark. It has not
// been read; see ParseQuery.
func (t *Target) RawQuery() string { return t.query }

// Stripped returns the path without its first n segments, byte for byte as it
// was sent, "/" when nothing remains.
func (t *Target) Stripped(n int) string {
	if n < len(t.segments) {
		return t.path[t.segments[n].start:]
	}
	return "/"
}

// split reads the segments of body, the path without its trailing slash.
func (t *Target) split(body string) error {
	for start := 0; start < len(body); {
		end := len(body)
		if i := strings.IndexByte(body[start+1:], '/'); i >= 0 {
			end = start + 1 + i
		}
		segment, err := parseTargetSegment(body[start+1 : end])
		if err != nil {
			return err
		}
		segment.start = start
		t.encoded = t.encoded || segment.encodedSlash
		t.segments = append(t.segments, segment)
		start = end
	}
	return nil
}

// originForm takes scheme and authority from an absolute target, and cuts path
// and query apart.
func originForm(raw, host string) (path, query string, err error) {
	if !strings.HasPrefix(raw, "/") {
		if raw, err = withoutAuthority(raw, host); err != nil {
			return "", "", err
		}
	}
	path, query, _ = strings.Cut(raw, "?")
	if path == "" {
		path = "/" // RFC 9112 §3.2.1: an absolute target may leave it out
	}
	return path, query, nil
}

func withoutAuthority(raw, host string) (string, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", malformedRequest("the request target is no path; start it with a slash")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 || !strings.EqualFold(rest[:end], host) {
		return "", malformedRequest("the request target names another host than the Host header; send the path alone")
	}
	return rest[end:], nil
}

// parseTargetSegment reads what stands between two slashes.
func parseTargetSegment(raw string) (targetSegment, error) {
	text := raw
	for i := range len(raw) {
		if c := raw[i]; c == '%' {
			decoded, err := decodeSegment(raw, i)
			if err != nil {
				return targetSegment{}, err
			}
			text = decoded
			break
		} else if !pathByte(c) {
			return targetSegment{}, malformedRequest("the path holds a backslash, a semicolon or another character that RFC 3986 keeps out of paths; remove it or percent-encode it")
		}
	}
	s := targetSegment{text: text}
	for rest, more := text, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		s.encodedSlash = s.encodedSlash || more
		switch part {
		case "":
			return targetSegment{}, malformedRequest("the path has an empty segment; keep one slash where two follow each other")
		case ".", "..":
			return targetSegment{}, malformedRequest("the path has a dot segment; send the path that is meant")
		}
	}
	return s, nil
}

// decodeSegment decodes raw once; its first escape stands at index first.
func decodeSegment(raw string, first int) (string, error) {
	b := make([]byte, first, len(raw))
	copy(b, raw)
	for i := first; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '%':
			var ok bool
			if c, ok = unescape(raw[i:]); !ok {
				return "", malformedRequest("the path has a broken percent escape; write a percent sign as %25")
			}
			if c == '\\' || c == ';' || c == '?' || c == '#' {
				return "", malformedRequest("the path has an encoded backslash, semicolon, question mark or #, which the product could read otherwise; remove it")
			}
			i += 2
		case !pathByte(c):
			return "", malformedRequest("the path holds a backslash, a semicolon or another character that RFC 3986 keeps out of paths; remove it or percent-encode it")
		}
		b = append(b, c)
	}
	text := string(b)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", malformedRequest("the path has an encoded control character, or is not UTF-8 when decoded; remove it")
	}
	if escapes(text) {
		return "", malformedRequest("the path is percent-encoded twice; encode it once")
	}
	return text, nil
}

// escapes reports whether decoding text once more would change it.
func escapes(text string) bool {
	for i := range len(text) {
		if text[i] == '%' {
			if _, ok := unescape(text[i:]); ok {
				return true
			}
		}
	}
	return false
}

// unescape reads the escape that s starts with.
func unescape(s string) (c byte, ok bool) {
	if len(s) < 3 {
		return 0, false
	}
	high, low := fromHex(s[1]), fromHex(s[2])
	return high<<4 | low, high < 16 && low < 16
}

// fromHex is the value of a hexadecimal digit, 16 for any other byte.
func fromHex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 16
}

// pathByte reports whether c may stand for itself in a segment: RFC 3986 §3.3
// without the semicolon, and brackets, which browsers leave as they are.
func pathByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~!$&'()*+,=:@[]", c) >= 0
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

func malformedRequest(message string) error {
	return &fault.Error{Kind: fault.Invalid, Code: fault.RequestMalformed, Message: message}
}
