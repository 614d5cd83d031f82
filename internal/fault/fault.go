// Package fault holds the errors that a caller can act on: their kinds, the
// codes under which they appear on the wire, and the one writer of problem
// documents for the gateway and the management API.
//
// It hides how an error becomes an answer. What must stay true: an error that
// is not a *Error, or is of kind Internal, leaves as a generic 500; text of a
// wrapped cause never leaves; every code has a row in the table, and so a place
// on the help page.
//
// See RFC 9457 (problem details), RFC 6750 §3 (bearer challenges) and
// RFC 6749 §5.2 (errors of the token endpoint).
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what a caller can do about an error. The zero Kind is Internal.
type Kind int

const (
	Internal        Kind = iota // ours to mend; the text never leaves
	Invalid                     // the request is wrong as it stands
	Unauthenticated             // no good credentials came with it
	Forbidden                   // the caller is known and may not do this
	NotFound                    // not there, or not the caller's to see
	Conflict                    // it contradicts what is stored now
	RateLimited                 // too much, too fast: wait, then repeat
	Unavailable                 // something we depend on is away: repeat later
)

// Error is an error with a kind and a code. Message is for the person whose
// request was refused: lower case, no stop, what to do. An empty Message stands
// for the cause in the code's row. An Error is not changed once returned.
type Error struct {
	Kind       Kind
	Code       Code          // empty = the kind's general code
	Message    string        // leaves the process; never a secret
	RetryAfter time.Duration // rounded up to seconds; zero = not said
	Params     []Param       // which parameters are wrong
	Scope      string        // permissions that were missing, space-separated
	Allow      []string      // methods for the Allow header of a 405
	ID         string        // of what an earlier request had created; extension member id

	err error // the formatted error with its causes, for the log
}

// Param names a parameter that is wrong, and says why.
type Param struct {
	Name   string
	Reason string
}

// Errorf makes an *Error of the kind, with the kind's general code. A cause
// given with %w is kept for errors.Is, errors.As and Error, and is cut from
// Message unless it is itself an *Error that may leave.
func Errorf(kind Kind, format string, args ...any) error {
	return build(kind, kind.code(), format, args)
}

// New makes an *Error of the code, whose row gives the kind. It treats %w as
// Errorf does. The caller may fill in the other fields before returning it.
// A code without a row is of kind Internal.
func New(code Code, format string, args ...any) *Error {
	entry, _ := Lookup(code)
	return build(entry.Kind, code, format, args)
}

// KindOf returns the kind of the outermost *Error in err's tree, Internal when
// there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Error returns the whole text, causes included. It is for the log.
func (e *Error) Error() string {
	switch {
	case e.err != nil:
		return e.err.Error()
	case e.Message != "":
		return e.Message
	}
	return string(e.row().Code)
}

// Unwrap returns what New or Errorf wrapped, nil if nothing.
func (e *Error) Unwrap() error { return e.err }

// row is the table row of e; the kind's general row if its code has none.
func (e *Error) row() Entry {
	if entry, ok := Lookup(e.Code); ok {
		return entry
	}
	entry, _ := Lookup(e.Kind.code())
	return entry
}

func build(kind Kind, code Code, format string, args []any) *Error {
	if len(args) == 0 && !strings.Contains(format, "%") {
		return &Error{Kind: kind, Code: code, Message: format}
	}
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Code: code, Message: publicText(err), err: err}
}

// publicText is err's text without the text of causes that may not leave.
func publicText(err error) string {
	text := err.Error()
	for _, cause := range causes(err) {
		hidden := cause.Error()
		if public, ok := errors.AsType[*Error](cause); ok && public.Kind != Internal {
			text = strings.Replace(text, hidden, public.Message, 1)
			continue
		}
		text = strings.TrimSuffix(text, ": "+hidden)
		if hidden != "" && strings.Contains(text, hidden) {
			return ""
		}
	}
	return text
}

func causes(err error) []error {
	switch e := err.(type) { //nolint:errorlint // looks at what fmt.Errorf just made, not at a chain
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			return []error{cause}
		}
	}
	return nil
}
