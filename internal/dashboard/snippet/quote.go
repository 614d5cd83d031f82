package snippet

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// quotes makes a literal of each syntax of a snippet.
var quotes = map[string]func(string) string{"sh": shell, "go": goString, "js": text, "python": text, "csharp": jsonString}

// shell is a literal of a POSIX shell.
func shell(value string) string {
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// text is a literal that JavaScript and Python read alike: JSON's, or between
// single quotes where that spares escapes.
func text(value string) string {
	quoted := jsonString(value)
	inside := quoted[1 : len(quoted)-1]
	if !strings.Contains(inside, `\"`) || strings.Contains(inside, "'") {
		return quoted
	}
	return "'" + unescapeQuotes(inside) + "'"
}

// unescapeQuotes takes the backslash from before each double quote, and from
// nowhere else.
func unescapeQuotes(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] == '\\' {
			if i++; escaped[i] != '"' {
				b.WriteByte('\\')
			}
		}
		b.WriteByte(escaped[i])
	}
	return b.String()
}

func goString(value string) string {
	if strings.Contains(value, `"`) && strconv.CanBackquote(value) {
		return "`" + value + "`"
	}
	return strconv.Quote(value)
}

// jsonString is a literal of C# too, whose escapes include those of JSON.
func jsonString(value string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
