package jwt

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Claims are those of an access token or of an assertion. Strings are visible
// ASCII without spaces (Scope: single spaces between its tokens); "" and 0 stand
// for a claim that is absent. Times are seconds since 1970.
//
// An access token has Issuer, Audience, Subject = ClientID, ID, IssuedAt and
// Expiry; an assertion Issuer, Audience, Subject, IssuedAt and Expiry. The other
// claims are optional in both, except sandbox, which is always written.
type Claims struct {
	Issuer         string   // iss
	Audience       string   // aud, always one
	Subject        string   // sub
	ClientID       string   // client_id
	ID             string   // jti
	Scope          string   // scope: tokens separated by single spaces
	IssuedAt       int64    // iat
	NotBefore      int64    // nbf
	Expiry         int64    // exp
	AccountID      string   // account_id
	OrganisationID string   // organisation_id
	Sandbox        bool     // sandbox
	Permissions    []string // permissions; nil = absent, at most MaxPermissions
	SecretID       string   // secret_id
	Generation     int64    // generation
}

// CheckTime tells whether the claims are good at now: nil, ErrNotYetValid or
// ErrExpired. A token is dead from Expiry + Skew on, and alive from the later of
// NotBefore and IssuedAt − Skew on (RFC 7519 §4.1.4–4.1.6). Verify calls it; whoever
// keeps verified claims calls it again at each use.
func (c *Claims) CheckTime(now time.Time) error {
	const skew = int64(Skew / time.Second)
	at := now.Unix()
	switch {
	case at+skew < c.NotBefore || at+skew < c.IssuedAt:
		return ErrNotYetValid
	case at-skew >= c.Expiry:
		return ErrExpired
	}
	return nil
}

// The last second of the year 9999: later dates are mistakes, and sums with
// them cannot overflow.
const maxDate = 253402300799

// check tells whether a token of type typ may have these claims. Sign and Verify
// share it, so that what one makes the other accepts.
func (c *Claims) check(typ string) error {
	access := typ == TypeAccessToken
	for _, claim := range [...]struct {
		name, value string
		required    bool
	}{
		{"iss", c.Issuer, true},
		{"aud", c.Audience, true},
		{"sub", c.Subject, true},
		{"client_id", c.ClientID, access},
		{"jti", c.ID, access},
		{"account_id", c.AccountID, false},
		{"organisation_id", c.OrganisationID, false},
		{"secret_id", c.SecretID, false},
	} {
		if claim.required && claim.value == "" || !visible(claim.value) {
			return fmt.Errorf("%w: claim %s is missing or not visible ASCII", ErrMalformed, claim.name)
		}
	}
	if access && c.Subject != c.ClientID {
		return fmt.Errorf("%w: claims sub and client_id differ", ErrMalformed)
	}
	if err := c.checkNumbers(); err != nil {
		return err
	}
	return c.checkScope()
}

func (c *Claims) checkNumbers() error {
	for _, claim := range [...]struct {
		name       string
		value      int64
		least, max int64
	}{
		{"iat", c.IssuedAt, 1, maxDate},
		{"nbf", c.NotBefore, 0, maxDate},
		{"exp", c.Expiry, 1, maxDate},
		{"generation", c.Generation, 0, math.MaxInt64 >> 10},
	} {
		if claim.value < claim.least || claim.value > claim.max {
			return fmt.Errorf("%w: claim %s is missing or out of range", ErrMalformed, claim.name)
		}
	}
	return nil
}

func (c *Claims) checkScope() error {
	if len(c.Permissions) > MaxPermissions {
		return fmt.Errorf("%w: more than %d permissions", ErrMalformed, MaxPermissions)
	}
	for _, permission := range c.Permissions {
		if !isScopeToken(permission) {
			return fmt.Errorf("%w: claim permissions", ErrMalformed)
		}
	}
	for rest, more := c.Scope, c.Scope != ""; more; {
		var token string
		if token, rest, more = strings.Cut(rest, " "); !isScopeToken(token) {
			return fmt.Errorf("%w: claim scope", ErrMalformed)
		}
	}
	return nil
}

// isScopeToken tells whether text is a scope-token of RFC 6749 §3.3.
func isScopeToken(text string) bool {
	return text != "" && visible(text) && !strings.ContainsAny(text, `"\`)
}

// parseClaims reads a token's payload. Claims that are not ours are scanned and
// ignored; of ours only the expected JSON type is taken, so null is refused.
func parseClaims(text string) (*Claims, error) {
	var (
		c       Claims
		o       object
		sandbox bool
		s       = scanner{text: text}
	)
	for s.member(&o) {
		if field := c.text(o.name); field != nil {
			*field = s.str()
			continue
		}
		switch o.name {
		case "aud":
			c.Audience = s.audience()
		case "iat":
			c.IssuedAt = s.date()
		case "nbf":
			c.NotBefore = s.date()
		case "exp":
			c.Expiry = s.date()
		case "generation":
			c.Generation = s.whole()
		case "sandbox":
			c.Sandbox, sandbox = s.boolean(), true
		case "permissions":
			c.Permissions = s.list()
		default:
			s.skipOther(o.name, "iss", "aud", "sub", "client_id", "jti", "scope", "iat", "nbf", "exp", "account_id",
				"organisation_id", "sandbox", "permissions", "secret_id", "generation")
		}
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	if !sandbox {
		return nil, fmt.Errorf("%w: claim sandbox is missing", ErrMalformed)
	}
	return &c, nil
}

// text is the field of a claim that is a string, or nil.
func (c *Claims) text(claim string) *string {
	switch claim {
	case "iss":
		return &c.Issuer
	case "sub":
		return &c.Subject
	case "client_id":
		return &c.ClientID
	case "jti":
		return &c.ID
	case "scope":
		return &c.Scope
	case "account_id":
		return &c.AccountID
	case "organisation_id":
		return &c.OrganisationID
	case "secret_id":
		return &c.SecretID
	}
	return nil
}

// date reads a NumericDate (RFC 7519 §2) that is an integer above 0.
func (s *scanner) date() int64 {
	n := s.whole()
	if n == 0 {
		s.fail("date is not above 0")
	}
	return n
}

// audience reads aud: a string, or an array of exactly one string. A token that
// is for several audiences is refused, for any of them could replay it here.
func (s *scanner) audience() string {
	if s.peek() != '[' {
		return s.str()
	}
	var audience string
	var a array
	for n := 0; s.element(&a); n++ {
		if audience = s.str(); n > 0 {
			s.fail("more than one audience")
		}
	}
	return audience
}

func (s *scanner) list() []string {
	list := make([]string, 0, min(strings.Count(s.text[s.at:], ",")+1, MaxPermissions))
	var a array
	for s.element(&a) {
		list = append(list, s.str())
	}
	return list
}

// append writes the claims as JSON, in a fixed order.
func (c *Claims) append(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "iss", c.Issuer)
	dst = appendText(dst, "sub", c.Subject)
	dst = appendText(dst, "client_id", c.ClientID)
	dst = appendText(dst, "aud", c.Audience)
	dst = appendWhole(dst, "iat", c.IssuedAt)
	dst = appendWhole(dst, "nbf", c.NotBefore)
	dst = appendWhole(dst, "exp", c.Expiry)
	dst = appendText(dst, "jti", c.ID)
	dst = appendText(dst, "scope", c.Scope)
	dst = appendText(dst, "account_id", c.AccountID)
	dst = appendText(dst, "organisation_id", c.OrganisationID)
	dst = strconv.AppendBool(appendName(dst, "sandbox"), c.Sandbox)
	if c.Permissions != nil {
		dst = append(appendName(dst, "permissions"), '[')
		for i, permission := range c.Permissions {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendQuoted(dst, permission)
		}
		dst = append(dst, ']')
	}
	dst = appendText(dst, "secret_id", c.SecretID)
	dst = appendWhole(dst, "generation", c.Generation)
	return append(dst, '}')
}

// appendName starts a member of the object that dst ends with.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(appendQuoted(dst, name), ':')
}

func appendText(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendQuoted(appendName(dst, name), value)
}

func appendWhole(dst []byte, name string, value int64) []byte {
	if value == 0 {
		return dst
	}
	return strconv.AppendInt(appendName(dst, name), value, 10)
}

// appendQuoted writes value, which is visible ASCII and spaces, as a JSON string.
func appendQuoted(dst []byte, value string) []byte {
	dst = append(dst, '"')
	for i := range len(value) {
		if value[i] == '"' || value[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, value[i])
	}
	return append(dst, '"')
}
