package id

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Client is the id of an API client, which is also its client_id (RFC 6749
// §2.2): who owns it, an adjective, a noun and a number, as in
// sandbox-round-apple-123. It is made to be read aloud, and is not a secret.
type Client string

// What a client id begins with, by the kind of the client's owner.
const (
	SandboxClient      = "sandbox" // owned by a sandbox account
	ProductionClient   = "prod"    // owned by a production account
	OrganisationClient = "org"     // owned by an organisation
	OperatorClient     = "op"      // owned by the operator
)

// The length of the number of a client id. NewClient takes the shortest first,
// and one digit more when ids of that length begin to collide.
const (
	MinClientDigits = 3
	MaxClientDigits = 6
)

const (
	maxClientLength = 64
	minWordLength   = 3
	maxWordLength   = 10
)

// NewClient draws a client id from rand: prefix is one of the four constants
// above, and digits, forced into [MinClientDigits, MaxClientDigits], the length
// of the number. It panics on any other prefix. The caller sees to it that the
// id was never used before.
func NewClient(rand io.Reader, prefix string, digits int) Client {
	if !isClientPrefix(prefix) {
		panic(fmt.Sprintf("id: no client id begins with %q", prefix))
	}
	words := [...]string{pick(rand, adjectives), pick(rand, nouns)}
	least := 1
	for range min(max(digits, MinClientDigits), MaxClientDigits) - 1 {
		least *= 10
	}
	value := least + number(rand, 9*least) // no leading zero: one spelling, also in a spreadsheet
	return Client(prefix + "-" + words[0] + "-" + words[1] + "-" + strconv.Itoa(value))
}

// Prefix returns the first word of the id, which tells the kind of its owner.
func (c Client) Prefix() string {
	prefix, _, _ := strings.Cut(string(c), "-")
	return prefix
}

// ParseClient returns s as a client id if it is one in form. The words need not
// be in today's lists, which may change.
func ParseClient(s string) (Client, bool) {
	if len(s) > maxClientLength {
		return "", false
	}
	prefix, rest, _ := strings.Cut(s, "-")
	adjective, rest, _ := strings.Cut(rest, "-")
	noun, digits, _ := strings.Cut(rest, "-")
	if !isClientPrefix(prefix) || !isWord(adjective) || !isWord(noun) || !isClientNumber(digits) {
		return "", false
	}
	return Client(s), true
}

func pick(rand io.Reader, list string) string {
	words := strings.Fields(list)
	return words[number(rand, len(words))]
}

func isClientPrefix(s string) bool {
	switch s {
	case SandboxClient, ProductionClient, OrganisationClient, OperatorClient:
		return true
	}
	return false
}

func isWord(s string) bool {
	for i := range len(s) {
		if !isLower(s[i]) {
			return false
		}
	}
	return minWordLength <= len(s) && len(s) <= maxWordLength
}

func isClientNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return MinClientDigits <= len(s) && len(s) <= MaxClientDigits && s[0] != '0'
}
