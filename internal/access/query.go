package access

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
)

// MaxQueryParameters is how many parameters a query may have.
const MaxQueryParameters = 256

// refusedParameter would leave a token in every log on its way (RFC 6750 §2.3).
const refusedParameter = "access_token"

// methodOverride is the parameter that some frameworks take the method from.
const methodOverride = "_method"

// ParseQuery reads a raw query strictly and returns the decoded value of the
// wanted parameter. Every parameter that a product could read as wanted counts:
// ignoring case, with brackets, with spaces around it. It may come once, spelled
// exactly like wanted, without escapes in its name; "wanted" without "=" is
// present with an empty value. An empty wanted looks for none.
//
// What it accepts can be forwarded unchanged. It refuses, as
// fault.RequestMalformed, broken escapes, semicolons, controls (in values all
// but encoded tabs and line ends, which are a product's data), too many
// parameters, and a token in the query.
func ParseQuery(raw, wanted string) (value string, present bool, err error) {
	if raw == "" {
		return "", false, nil
	}
	if strings.Count(raw, "&") >= MaxQueryParameters {
		return "", false, malformedRequest("the query has more than 256 parameters; move data to the body")
	}
	for rest, more := raw, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		name, text, _ := strings.Cut(pair, "=")
		decoded, err := parameterName(name)
		if err != nil {
			return "", false, err
		}
		if err := checkQueryBytes(text, "\t\r\n"); err != nil {
			return "", false, err
		}
		if couldBe(decoded, refusedParameter) {
			return "", false, malformedRequest("the query has an access token; send it in the Authorization header only, and take it out of your logs")
		}
		if wanted == "" || !couldBe(decoded, wanted) {
			continue
		}
		if present || name != wanted {
			return "", false, refuseParameter(wanted)
		}
		if value, err = url.QueryUnescape(text); err != nil {
			return "", false, malformedRequest("the query has a broken percent escape; write a percent sign as %25")
		}
		present = true
	}
	return value, present, nil
}

// withoutMethodOverride takes every parameter out of a query that ParseQuery
// accepts which a product could read as a method other than the one that was
// decided about. The rest stays as it was sent.
func withoutMethodOverride(raw string) string {
	override := func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		decoded, err := parameterName(name)
		return err == nil && couldBe(decoded, methodOverride)
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if override(pair) {
			return strings.Join(slices.DeleteFunc(strings.Split(raw, "&"), override), "&")
		}
	}
	return raw
}

// parameterName decodes the name of a parameter.
func parameterName(raw string) (string, error) {
	if err := checkQueryBytes(raw, ""); err != nil {
		return "", err
	}
	name, err := url.QueryUnescape(raw)
	if err != nil || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", malformedRequest("the name of a query parameter has a control character, or is not UTF-8; correct it")
	}
	return name, nil
}

// checkQueryBytes refuses what query parsers disagree about. Of the controls it
// lets those in allowed pass, encoded.
func checkQueryBytes(s, allowed string) error {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ';':
			return malformedRequest("the query has a semicolon; separate parameters with &, and write a semicolon as %3B")
		case c <= ' ' || c >= 0x7f:
			return malformedRequest("the query holds a space, a control or a non-ASCII byte; percent-encode it")
		case c != '%':
			continue
		}
		decoded, ok := unescape(s[i:])
		if !ok {
			return malformedRequest("the query has a broken percent escape; write a percent sign as %25")
		}
		if (decoded < ' ' || decoded == 0x7f) && strings.IndexByte(allowed, decoded) < 0 {
			return malformedRequest("the query has an encoded control character; remove it")
		}
		i += 2
	}
	return nil
}

// couldBe reports whether some product could read the decoded name as wanted.
// Frameworks ignore case, make lists of name[] and [name], trim spaces and a
// second question mark; PHP turns dots and spaces into underscores.
func couldBe(name, wanted string) bool {
	name = strings.TrimLeft(name, " +?[")
	if i := strings.IndexAny(name, "[]"); i >= 0 {
		name = name[:i]
	}
	name = strings.TrimRight(name, " +")
	return strings.EqualFold(name, wanted) || equalUnderscored(name, wanted)
}

func equalUnderscored(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if underscored(a[i]) != underscored(b[i]) {
			return false
		}
	}
	return true
}

func underscored(c byte) byte {
	switch {
	case c == '.' || c == ' ':
		return '_'
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return c
}

func refuseParameter(name string) error {
	return &fault.Error{
		Kind: fault.Invalid, Code: fault.RequestMalformed,
		Message: "the parameter " + name + " came more than once or in another spelling; send it once, spelled like this",
		Params:  []fault.Param{{Name: name, Reason: "came more than once or in another spelling"}},
	}
}
