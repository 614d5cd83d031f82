package id

import (
	"io"
	"strings"
)

// Person is the id of a human who signs in: "p-" and 20 of [a-z0-9].
type Person string

// Invitation is the id of an invitation: "i-" and 20 of [a-z0-9]. It names the
// invitation; the token in its link proves more.
type Invitation string

// Request is the id of a request for approval: "r-" and 20 of [a-z0-9].
type Request string

const (
	personPrefix     = "p-"
	invitationPrefix = "i-"
	requestPrefix    = "r-"
)

// NewPerson draws a person's id from rand.
func NewPerson(rand io.Reader) Person { return Person(personPrefix + letters(rand, longLength)) }

// ParsePerson returns s as a person's id if it is one in form.
func ParsePerson(s string) (Person, bool) {
	rest, ok := strings.CutPrefix(s, personPrefix)
	if !ok || !isLetters(rest, longLength) {
		return "", false
	}
	return Person(s), true
}

// NewInvitation draws an invitation's id from rand.
func NewInvitation(rand io.Reader) Invitation {
	return Invitation(invitationPrefix + letters(rand, longLength))
}

// ParseInvitation returns s as an invitation's id if it is one in form.
func ParseInvitation(s string) (Invitation, bool) {
	rest, ok := strings.CutPrefix(s, invitationPrefix)
	if !ok || !isLetters(rest, longLength) {
		return "", false
	}
	return Invitation(s), true
}

// NewRequest draws the id of a request for approval from rand.
func NewRequest(rand io.Reader) Request { return Request(requestPrefix + letters(rand, longLength)) }

// ParseRequest returns s as the id of a request for approval if it is one in
// form.
func ParseRequest(s string) (Request, bool) {
	rest, ok := strings.CutPrefix(s, requestPrefix)
	if !ok || !isLetters(rest, longLength) {
		return "", false
	}
	return Request(s), true
}
