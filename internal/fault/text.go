package fault

import (
	"strings"
	"unicode/utf8"
)

const maxDescription = 300 // bytes; a header is not the place for prose

// Description makes text fit for an error_description, in a header or in the
// token endpoint's JSON (RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E). Quotes
// become apostrophes, a backslash a slash, each other character that is not
// allowed a question mark; what is over 300 bytes is cut.
func Description(text string) string {
	var b strings.Builder
	for _, r := range text {
		if b.Len() == maxDescription {
			break
		}
		b.WriteByte(descriptionByte(r))
	}
	return b.String()
}

func descriptionByte(r rune) byte {
	switch {
	case r == '"':
		return '\''
	case r == '\\':
		return '/'
	case r >= ' ' && r <= '~':
		return byte(r)
	}
	return '?'
}

// sentence turns a message into a sentence: a capital where the first word is
// a plain word (not a name like client_id), and a stop.
func sentence(message string) string {
	word, _, _ := strings.Cut(message, " ")
	if plain := strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" && word != ""; plain {
		message = strings.ToUpper(word[:1]) + message[1:]
	}
	if strings.HasSuffix(message, ".") || strings.HasSuffix(message, "?") || strings.HasSuffix(message, "!") {
		return message
	}
	return message + "."
}

// appendString appends s as a JSON string that is also harmless inside HTML
// and JavaScript. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f || r == '<' || r == '>' || r == '&':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		case r == '\u2028' || r == '\u2029':
			b = append(b, `\u202`...)
			b = append(b, hex[r&0xf])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
