package authserver

import (
	"strings"
	"unicode/utf8"
)

// maxParameters is how many parameters a form can have, empty ones included.
const maxParameters = 64

// form is the parameters of a body that has exactly one reading: each name
// once, every escape whole, valid UTF-8, no NUL (RFC 6749 §3.2, appendix B).
type form struct {
	list  [maxParameters]parameter
	count int
}

type parameter struct{ name, value string }

// get returns a parameter's value. One without a value counts as left out
// (RFC 6749 §3.2).
func (f *form) get(name string) string {
	for i := range f.list[:f.count] {
		if f.list[i].name == name {
			return f.list[i].value
		}
	}
	return ""
}

func (f *form) reset() {
	clear(f.list[:f.count])
	f.count = 0
}

func (f *form) parse(body string) error {
	pieces := 0
	for more := body != ""; more; pieces++ {
		var piece string
		piece, body, more = strings.Cut(body, "&")
		if pieces == maxParameters {
			return invalidRequest("the body has too many parameters")
		}
		if piece == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(piece, "=")
		name, goodName := unescape(rawName)
		value, goodValue := unescape(rawValue)
		if !goodName || !goodValue {
			return invalidRequest("the body has a broken escape, a control character, a semicolon or bytes that are not UTF-8: form-encode each value once")
		}
		if !f.add(name, value) {
			return invalidRequest("a parameter came more than once")
		}
	}
	return nil
}

// add reports false if the name is there already.
func (f *form) add(name, value string) bool {
	for i := range f.list[:f.count] {
		if f.list[i].name == name {
			return false
		}
	}
	f.list[f.count] = parameter{name, value}
	f.count++
	return true
}

// unescape decodes one name or value of a form. It returns text itself, and
// allocates nothing, where nothing is escaped.
func unescape(text string) (string, bool) {
	escapes, ascii := 0, true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '%':
			if i+2 >= len(text) || unhex(text[i+1]) > 15 || unhex(text[i+2]) > 15 {
				return "", false
			}
			escapes, i = escapes+1, i+2
		case c == '+':
			escapes++
		case c < ' ' || c == 0x7f || c == ';':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if escapes > 0 {
		text = decode(text)
		return text, utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
	}
	return text, ascii || utf8.ValidString(text)
}

// decode resolves escapes that are known to be whole.
func decode(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '%':
			b.WriteByte(unhex(text[i+1])<<4 | unhex(text[i+2]))
			i += 2
		case '+':
			b.WriteByte(' ')
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// unhex returns the value of a hexadecimal digit, over 15 if it is none.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
