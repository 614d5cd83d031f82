package authserver

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// oauthError makes an error of the token endpoint. An empty message stands for
// the cause in the code's row.
func oauthError(code fault.Code, message string) *fault.Error {
	row, _ := fault.LookupOAuth(code)
	return &fault.Error{Kind: row.Kind, Code: code, Message: message}
}

func invalidRequest(message string) error {
	return oauthError(fault.OAuthInvalidRequest, message)
}

func slowDown(wait time.Duration, message string) error {
	err := oauthError(fault.OAuthSlowDown, message)
	err.RetryAfter = wait
	return err
}

// writeError is the one writer of errors (RFC 6749 §5.2). It logs them too.
func (s *Server) writeError(x *exchange, err error) {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind == fault.Internal {
		e = oauthError(fault.OAuthServerError, "")
	}
	code, status := wireCode(e)
	row, _ := fault.LookupOAuth(code)
	x.seen.Outcome = string(code)
	s.logRefusal(x, refusalLevel(row.Kind), err)

	header := x.w.Header()
	if wait := retrySeconds(e, row.Kind); wait > 0 {
		header.Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	if challenge := row.WWWAuthenticate("", ""); challenge != "" {
		header.Set("Www-Authenticate", challenge)
	}
	if len(e.Allow) > 0 {
		header.Set("Allow", strings.Join(e.Allow, ", "))
	}
	message := e.Message
	if message == "" {
		message = row.Cause
	}
	out := append(x.answer[:0], `{"error":"`...)
	out = append(out, code...)
	out = append(out, `","error_description":"`...)
	out = append(out, fault.Description(message)...) // free of what JSON escapes
	if s.HelpURL != "" {
		out = append(out, `","error_uri":"`...)
		out = append(out, s.HelpURL...)
		out = append(out, '#')
		out = append(out, code...)
	}
	x.answer = append(out, "\"}\n"...)
	s.writeAnswer(x, status)
}

// wireCode returns the code and status under which an error leaves. One without
// a code of the token endpoint is a fault of the request, with the status of its
// own row (404, 405, 413).
func wireCode(e *fault.Error) (code fault.Code, status int) {
	if row, ok := fault.LookupOAuth(e.Code); ok {
		return row.Code, row.Status
	}
	row, _ := fault.Lookup(e.Code)
	return fault.OAuthInvalidRequest, row.Status
}

// defaultRetry is what a client is told to wait where nothing better is known.
const defaultRetry = 5

// retrySeconds rounds up: who obeys is never early.
func retrySeconds(e *fault.Error, kind fault.Kind) int64 {
	if e.RetryAfter > 0 {
		return int64((e.RetryAfter-1)/time.Second) + 1
	}
	if kind == fault.RateLimited || kind == fault.Unavailable {
		return defaultRetry
	}
	return 0
}

// refusalLevel is how loud the log is about a refusal.
func refusalLevel(kind fault.Kind) slog.Level {
	switch kind {
	case fault.Internal:
		return slog.LevelError
	case fault.Unavailable:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// At most so many lines about refusals of one address go to the log.
const (
	linesPerSecond = 1
	linesAtOnce    = 20
	linesAddresses = 4096
)

// logRefusal writes to the security log. What is ours to mend says its cause.
func (s *Server) logRefusal(x *exchange, level slog.Level, err error) {
	ctx := x.r.Context()
	if !s.Log.Enabled(ctx, level) {
		return
	}
	if _, ok := s.lines.AllowAddress(x.peer); !ok {
		return
	}
	attributes := []slog.Attr{
		slog.String("endpoint", x.seen.Endpoint), slog.String("code", x.seen.Outcome), slog.String("reason", x.seen.Reason),
		slog.String("client", string(x.named)), slog.String("address", x.peer.String()),
	}
	if level > slog.LevelInfo {
		attributes = append(attributes, slog.Any("error", err))
	}
	s.Log.LogAttrs(ctx, level, "token service refused a request", attributes...)
}
