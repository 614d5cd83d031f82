package jwt

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxDepth   = 8  // of nested objects and arrays
	maxMembers = 64 // of one object
	maxDigits  = 32 // of one number
)

// scanner reads JSON (RFC 8259) strictly, from left to right and without
// copying. encoding/json lets the last of several equal members win and matches
// names in any letter case; here both are errors, at every depth. A member name
// is ASCII without escapes, so that no second spelling of it exists.
//
// The first defect sticks: after it every read returns a zero value and every
// loop over members or elements ends. err tells it.
type scanner struct {
	text   string
	at     int
	depth  int
	defect string
}

// err is the first defect, or that something follows the value.
func (s *scanner) err() error {
	if s.peek(); s.at < len(s.text) {
		s.fail("text after the JSON value")
	}
	if s.defect == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrMalformed, s.defect)
}

func (s *scanner) fail(defect string) {
	if s.defect == "" {
		s.defect = defect
	}
	s.at = len(s.text)
}

// peek is the next byte after white space, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take consumes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) expect(c byte) {
	if !s.take(c) {
		s.fail("unexpected JSON value or punctuation")
	}
}

// more enters an object or array at the first call and leaves it at the last,
// when it returns false.
func (s *scanner) more(open *bool, first, last byte) bool {
	entered := *open
	if !entered {
		*open = true
		s.expect(first)
		if s.depth++; s.depth > maxDepth {
			s.fail("JSON nested too deeply")
		}
	}
	if s.take(last) {
		s.depth--
		return false
	}
	if entered {
		s.expect(',')
	}
	return s.defect == ""
}

// array is a loop over elements: for s.element(&a) { read one value }.
type array struct{ open bool }

func (s *scanner) element(a *array) bool { return s.more(&a.open, '[', ']') }

// object is a loop over members: for s.member(&o) { read the value of o.name }.
type object struct {
	open  bool
	name  string
	count int
	seen  [maxMembers]string
}

func (s *scanner) member(o *object) bool {
	if !s.more(&o.open, '{', '}') {
		return false
	}
	o.name = s.memberName()
	s.expect(':')
	for _, other := range o.seen[:o.count] {
		if strings.EqualFold(other, o.name) {
			s.fail("two members of one name")
		}
	}
	if o.count == maxMembers {
		s.fail("too many members")
		return false
	}
	o.seen[o.count] = o.name
	o.count++
	return s.defect == ""
}

func (s *scanner) memberName() string {
	s.expect('"')
	start := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1]
		case c < ' ' || c > '~' || c == '\\':
			s.fail("member name is not plain ASCII")
		}
	}
	s.fail("member name does not end")
	return ""
}

// str reads a string. It must be valid UTF-8 and whole UTF-16 pairs.
func (s *scanner) str() string {
	s.expect('"')
	start := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			value := s.text[start:s.at]
			s.at++
			return s.valid(value)
		case c == '\\':
			return s.escaped(s.text[start:s.at])
		case c < ' ':
			s.fail("control character in a string")
		}
	}
	s.fail("string does not end")
	return ""
}

func (s *scanner) valid(value string) string {
	if !utf8.ValidString(value) {
		s.fail("string is not UTF-8")
		return ""
	}
	return value
}

// escaped reads the rest of a string from its first escape on.
func (s *scanner) escaped(before string) string {
	value := []byte(before)
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return s.valid(string(value))
		case c == '\\':
			value = utf8.AppendRune(value, s.escape())
		case c < ' ':
			s.fail("control character in a string")
		default:
			value = append(value, c)
		}
	}
	s.fail("string does not end")
	return ""
}

// escape reads what follows a backslash.
func (s *scanner) escape() rune {
	if s.at == len(s.text) {
		return 0
	}
	c := s.text[s.at]
	s.at++
	if c == 'u' {
		return s.codePoint()
	}
	const names, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := strings.IndexByte(names, c); i >= 0 {
		return rune(values[i])
	}
	s.fail("unknown escape in a string")
	return 0
}

func (s *scanner) codePoint() rune {
	r := s.codeUnit()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if strings.HasPrefix(s.text[s.at:], `\u`) {
		s.at += len(`\u`)
		if pair := utf16.DecodeRune(r, s.codeUnit()); pair != utf8.RuneError {
			return pair
		}
	}
	s.fail("half a surrogate pair in a string")
	return 0
}

func (s *scanner) codeUnit() rune {
	const digits = 4
	if len(s.text)-s.at < digits {
		s.fail("string does not end")
		return 0
	}
	unit, err := strconv.ParseUint(s.text[s.at:s.at+digits], 16, 16)
	if err != nil {
		s.fail("unknown escape in a string")
		return 0
	}
	s.at += digits
	return rune(unit)
}

// whole reads an integer from 0 to 2⁵³−1, the range on which all JSON libraries
// agree (RFC 8259 §6), written with digits only.
func (s *scanner) whole() int64 {
	literal := s.number()
	n, err := strconv.ParseUint(literal, 10, 53)
	if err != nil {
		s.fail("not an integer from 0 to 2^53-1")
		return 0
	}
	return int64(n)
}

// number reads the literal of a number that a float64 can hold.
func (s *scanner) number() string {
	s.peek()
	start := s.at
	for s.at < len(s.text) && strings.IndexByte("+-.0123456789Ee", s.text[s.at]) >= 0 {
		s.at++
	}
	literal := s.text[start:s.at]
	_, err := strconv.ParseFloat(literal, 64)
	if err != nil || len(literal) > maxDigits || !isNumber(literal) {
		s.fail("unexpected JSON value or punctuation")
		return ""
	}
	return literal
}

// isNumber tells whether what ParseFloat took is also a number of RFC 8259 §6: no
// plus sign, no leading zero, digits on both sides of the point.
func isNumber(literal string) bool {
	literal = strings.TrimPrefix(literal, "-")
	integer := len(literal) - len(strings.TrimLeft(literal, "0123456789"))
	if integer == 0 || integer > 1 && literal[0] == '0' {
		return false
	}
	fraction, found := strings.CutPrefix(literal[integer:], ".")
	return !found || fraction != "" && fraction[0] >= '0' && fraction[0] <= '9'
}

func (s *scanner) boolean() bool {
	if s.peek() == 't' {
		return s.literal("true")
	}
	s.literal("false")
	return false
}

func (s *scanner) literal(word string) bool {
	s.peek()
	if !strings.HasPrefix(s.text[s.at:], word) {
		s.fail("unexpected JSON value or punctuation")
		return false
	}
	s.at += len(word)
	return true
}

// skip reads a value of any type as strictly as all others.
func (s *scanner) skip() {
	switch s.peek() {
	case '{':
		var o object
		for s.member(&o) {
			s.skip()
		}
	case '[':
		var a array
		for s.element(&a) {
			s.skip()
		}
	case '"':
		s.str()
	case 't', 'f':
		s.boolean()
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// skipOther skips the value of a member that the caller does not read, unless it
// has one of the refused names in any letter case. Those that the caller does
// read belong to them: in another letter case a laxer reader would take them.
func (s *scanner) skipOther(name string, refused ...string) {
	for _, r := range refused {
		if strings.EqualFold(name, r) {
			s.fail("member " + r + " is refused here, or so spelled")
		}
	}
	s.skip()
}
