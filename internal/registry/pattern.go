package registry

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
)

// Limits of a pattern and of a product's prefix.
const (
	MaxPatternLength   = 256 // bytes of its text
	MaxPatternSegments = 32
)

// SegmentKind says what a segment of a pattern stands for.
type SegmentKind uint8

const (
	LiteralSegment   SegmentKind = iota // itself, byte for byte
	ParameterSegment                    // {name}: any one segment
	RestSegment                         // {name...}: zero or more segments, last only
)

// Segment is one part of a pattern between slashes. Text is the literal, or the
// name of the parameter.
type Segment struct {
	Kind SegmentKind
	Text string
}

// Pattern is the path of a route beneath its product's prefix, such as
// /sessions/{id}, or the prefix itself. Literals are compared with decoded path
// segments, byte for byte: case matters, and so does Unicode normalisation. The
// zero Pattern has no segments: it matches only the prefix itself, as "/" does.
type Pattern struct {
	text     string
	segments []Segment
}

// ParsePattern reads the path of a route. It refuses, as fault.Invalid, what
// two readers could understand differently.
func ParsePattern(text string) (Pattern, error) {
	if text == "/" {
		return Pattern{text: text}, nil
	}
	if err := checkPatternText(text); err != nil {
		return Pattern{}, err
	}
	parts := strings.Split(text[1:], "/")
	if len(parts) > MaxPatternSegments {
		return Pattern{}, fault.Errorf(fault.Invalid, "path %q has %d segments; shorten it to %d", text, len(parts), MaxPatternSegments)
	}
	p := Pattern{text: text, segments: make([]Segment, len(parts))}
	for i, part := range parts {
		segment, err := parseSegment(part)
		if err != nil {
			return Pattern{}, fault.Errorf(fault.Invalid, "path %q: %w", text, err)
		}
		if segment.Kind == RestSegment && i < len(parts)-1 {
			return Pattern{}, fault.Errorf(fault.Invalid, "path %q: move %q to the end, because it takes all that follows", text, part)
		}
		if segment.Kind != LiteralSegment && p.names(segment.Text) {
			return Pattern{}, fault.Errorf(fault.Invalid, "path %q uses the name %q twice; give each parameter its own", text, segment.Text)
		}
		p.segments[i] = segment
	}
	return p, nil
}

// ParsePrefix reads the prefix of an API product, such as /auth/rest: at least
// one segment, literals only, as strict as ParsePattern.
func ParsePrefix(text string) (Pattern, error) {
	p, err := ParsePattern(text)
	if err != nil {
		return Pattern{}, err
	}
	if len(p.segments) == 0 {
		return Pattern{}, fault.Errorf(fault.Invalid, `prefix "/" would take the whole domain; add a segment that names the product, such as /echo`)
	}
	for _, s := range p.segments {
		if s.Kind != LiteralSegment {
			return Pattern{}, fault.Errorf(fault.Invalid, "prefix %q has the parameter %q; move it to the paths of the routes", text, s.Text)
		}
	}
	return p, nil
}

// String returns the text that was parsed.
func (p Pattern) String() string { return p.text }

// Segments returns the parts in order. The caller must not change them.
func (p Pattern) Segments() []Segment { return p.segments }

// hasParameter reports whether {name} is a segment of p. A {name...} is none.
func (p Pattern) hasParameter(name string) bool {
	for _, s := range p.segments {
		if s.Kind == ParameterSegment && s.Text == name {
			return true
		}
	}
	return false
}

// Overlaps reports whether p and q are ambiguous beside each other: some path
// matches both, and neither is more specific, that is, matches only paths that
// the other matches too. A literal is more specific than a {parameter}, and
// that than a {rest...}. Patterns of the same shape overlap, so each overlaps
// itself.
func (p Pattern) Overlaps(q Pattern) bool {
	var pNarrower, qNarrower bool
	for i := 0; ; i++ {
		a, b := p.at(i), q.at(i)
		switch {
		case a.Kind == RestSegment || b.Kind == RestSegment:
			pNarrower = pNarrower || a.Kind != RestSegment
			qNarrower = qNarrower || b.Kind != RestSegment
			return pNarrower == qNarrower
		case i == len(p.segments) && i == len(q.segments):
			return pNarrower == qNarrower
		case i == len(p.segments) || i == len(q.segments):
			return false
		case a.Kind == LiteralSegment && b.Kind == LiteralSegment:
			if a.Text != b.Text {
				return false
			}
		default:
			pNarrower = pNarrower || a.Kind < b.Kind
			qNarrower = qNarrower || b.Kind < a.Kind
		}
	}
}

// sameShape reports whether p and q differ in parameter names at most, and so
// match the same paths.
func (p Pattern) sameShape(q Pattern) bool {
	return slices.EqualFunc(p.segments, q.segments, func(a, b Segment) bool {
		return a.Kind == b.Kind && (a.Kind != LiteralSegment || a.Text == b.Text)
	})
}

// at is segment i of p, past the end the zero Segment.
func (p Pattern) at(i int) Segment {
	if i < len(p.segments) {
		return p.segments[i]
	}
	return Segment{}
}

// names reports whether a parameter of p, rest or not, has the name.
func (p Pattern) names(name string) bool {
	for _, s := range p.segments {
		if s.Kind != LiteralSegment && s.Text == name {
			return true
		}
	}
	return false
}

// ReservedPrefix reports whether a product may not have the prefix: it equals,
// holds or lies beneath a path that Doorward answers itself. ASCII case is
// ignored, or /Management would invite mistakes. An empty issuerPath takes the
// whole domain.
func ReservedPrefix(prefix, issuerPath string) bool {
	for _, reserved := range [...]string{issuerPath, "/oauth", "/oauth2", "/oidc", "/token", "/.well-known", "/management"} {
		a, b := strings.TrimRight(prefix, "/")+"/", strings.TrimRight(reserved, "/")+"/"
		shorter := min(len(a), len(b))
		if strings.EqualFold(a[:shorter], b[:shorter]) {
			return true
		}
	}
	return false
}

func checkPatternText(text string) error {
	switch {
	case text == "":
		return fault.Errorf(fault.Invalid, `path is empty; write "/" for the prefix itself`)
	case len(text) > MaxPatternLength:
		return fault.Errorf(fault.Invalid, "path is %d bytes long; shorten it to %d", len(text), MaxPatternLength)
	case !utf8.ValidString(text):
		return fault.Errorf(fault.Invalid, "path is not UTF-8; write its characters themselves, in UTF-8")
	case text[0] != '/':
		return fault.Errorf(fault.Invalid, "path %q does not start with a slash; write %q", text, "/"+text)
	case text[len(text)-1] == '/':
		return fault.Errorf(fault.Invalid, "path %q ends in a slash; drop it, or end in {rest...} to take all that follows", text)
	}
	return nil
}

func parseSegment(part string) (Segment, error) {
	switch {
	case part == "":
		return Segment{}, fault.Errorf(fault.Invalid, "two slashes follow each other; keep one")
	case part == "." || part == "..":
		return Segment{}, fault.Errorf(fault.Invalid, "dot segment %q; write the path that is meant", part)
	case part[0] == ':':
		return Segment{}, fault.Errorf(fault.Invalid, "segment %q starts with a colon; write a parameter as {name}", part)
	case part[0] == '{' && part[len(part)-1] == '}':
		return parseParameter(part)
	}
	for _, r := range part {
		if err := checkLiteral(r); err != nil {
			return Segment{}, err
		}
	}
	return Segment{Kind: LiteralSegment, Text: part}, nil
}

func parseParameter(part string) (Segment, error) {
	name, rest := strings.CutSuffix(part[1:len(part)-1], "...")
	if !parameterName(name) {
		return Segment{}, fault.Errorf(fault.Invalid, "%q is no parameter; write {name} or, at the end, {name...} with letters, digits, - and _, a letter first", part)
	}
	if rest {
		return Segment{Kind: RestSegment, Text: name}, nil
	}
	return Segment{Kind: ParameterSegment, Text: name}, nil
}

func parameterName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '-' && c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

// checkLiteral refuses characters that end a path, start an escape or a
// parameter, stand for a wildcard elsewhere, or cannot be seen.
func checkLiteral(r rune) error {
	switch {
	case r == '{' || r == '}':
		return fault.Errorf(fault.Invalid, "a brace inside a segment; a parameter is a whole segment, such as /{name}/")
	case r == '*':
		return fault.Errorf(fault.Invalid, "%q is no wildcard here; write {name} for one segment, {name...} for all that follow", r)
	case r == '%':
		return fault.Errorf(fault.Invalid, "%q starts an escape; write the character itself, paths are compared decoded", r)
	case strings.ContainsRune(`\?#;`, r):
		return fault.Errorf(fault.Invalid, "%q cannot stand in a path; remove it", r)
	case r == ' ' || !unicode.IsPrint(r):
		return fault.Errorf(fault.Invalid, "%q is a space, a control or an invisible character; remove it", r)
	}
	return nil
}
