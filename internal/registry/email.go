package registry

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/internal/fault"
)

const maxEmailLength = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets

// Email is an e-mail address: as it was written, which is where mail goes, and
// the key that all its spellings share.
type Email struct {
	Address string
	Key     string
}

// ParseEmail reads an address that a person typed. Spaces around it do not
// count. Two addresses that differ in case, in width or composition of their
// characters, or in the spelling of the domain have the same key.
func ParseEmail(text string) (Email, error) {
	refusal := fault.Errorf(fault.Invalid, "write the e-mail address like ada@example.com")
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, '@')
	if len(text) > maxEmailLength || !utf8.ValidString(text) || at < 1 || strings.IndexFunc(text, notOfEmail) >= 0 {
		return Email{}, refusal
	}
	local := cases.Fold().String(norm.NFKC.String(text[:at]))
	domain, err := idna.Lookup.ToASCII(norm.NFKC.String(text[at+1:]))
	if err != nil || domain == "" || strings.ContainsRune(local, '@') || strings.IndexFunc(local, notOfEmail) >= 0 || strings.HasSuffix(domain, ".") {
		return Email{}, refusal
	}
	return Email{Address: text, Key: norm.NFKC.String(local) + "@" + strings.ToLower(domain)}, nil
}

// notOfEmail refuses what only quoted addresses may hold, and what would end
// or forge a header of a mail.
func notOfEmail(r rune) bool {
	return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune(`"(),:;<>[\]`, r) || r == utf8.RuneError
}
