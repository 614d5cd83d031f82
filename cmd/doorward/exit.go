package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/tokensource"
)

// Exit codes. They are documented in docs/command-line.md and do not change.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2   // the command line is wrong
	exitRefused     = 3   // not signed in, or not permitted
	exitNotFound    = 4   // there is no such thing, or not for this client
	exitConflict    = 5   // it contradicts what is stored now
	exitUnavailable = 6   // the server does not answer, or wants less: try again
	exitInterrupted = 130 // by a signal
)

// usageError is an error in the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode tells scripts what kind of error it was.
func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var refused *problem
	var token *tokensource.Error
	var network *url.Error
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refused):
		return exitOfStatus(refused.Status)
	case errors.As(err, &token):
		return exitOfStatus(token.Status)
	case errors.As(err, &network):
		return exitUnavailable
	}
	switch fault.KindOf(err) { // of the database on this machine
	case fault.NotFound:
		return exitNotFound
	case fault.Conflict:
		return exitConflict
	case fault.Unavailable:
		return exitUnavailable
	}
	return exitFailed
}

func exitOfStatus(status int) int {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return exitRefused
	case status == http.StatusNotFound:
		return exitNotFound
	case status == http.StatusConflict || status == http.StatusPreconditionFailed:
		return exitConflict
	case status == http.StatusTooManyRequests || status >= 500:
		return exitUnavailable
	}
	return exitFailed
}
