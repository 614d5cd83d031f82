package fault

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WriteProblem answers with the problem document (RFC 9457) of err, and the
// bearer challenge (RFC 6750 §3) that its code asks for. helpURL is the address
// of the help page, to which "#" and the code are added; empty gives
// about:blank. An empty traceID is left out. An err that may not leave is
// answered as internal_error, without its text; logging it is the caller's.
func WriteProblem(w http.ResponseWriter, helpURL string, traceID string, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind == Internal {
		e = &Error{Code: InternalError}
	}
	row, detail := e.row(), e.Detail()
	setHeader(w.Header(), e, &row, detail)
	w.WriteHeader(row.Status)
	_, _ = w.Write(appendProblem(make([]byte, 0, 512), helpURL, traceID, e, &row, detail)) // a caller that is gone needs no answer
}

// Detail is the text of the problem document: Message as a sentence, or the
// cause in the code's row.
func (e *Error) Detail() string {
	if e.Message == "" {
		return e.row().Cause
	}
	return sentence(e.Message)
}

func setHeader(h http.Header, e *Error, row *Entry, detail string) {
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	if wait := retrySeconds(e, row); wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	if challenge := row.WWWAuthenticate(detail, e.Scope); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if len(e.Allow) > 0 {
		h.Set("Allow", strings.Join(e.Allow, ", "))
	}
}

// retrySeconds rounds up: a caller that obeys is never early. A rate limit
// always says how long.
func retrySeconds(e *Error, row *Entry) int64 {
	if e.RetryAfter > 0 {
		return int64((e.RetryAfter-1)/time.Second) + 1
	}
	if row.Kind == RateLimited {
		return 1
	}
	return 0
}

// WWWAuthenticate is the value of that header for the row, empty for none.
// detail becomes the error_description; scope, the space-separated missing
// permissions, is told for insufficient_scope only.
func (row Entry) WWWAuthenticate(detail, scope string) string {
	const bearer = `Bearer realm="doorward"`
	switch row.Challenge {
	case ChallengeNone:
		return ""
	case ChallengeBasic:
		return `Basic realm="doorward"`
	case ChallengeBare:
		return bearer // RFC 6750 §3.1: no error code when no credentials came
	}
	value := bearer + `, error="` + row.Challenge + `", error_description="` + Description(detail) + `"`
	if row.Challenge == ChallengeInsufficientScope && scope != "" {
		value += `, scope="` + Description(scope) + `"`
	}
	return value
}

func appendProblem(b []byte, helpURL, traceID string, e *Error, row *Entry, detail string) []byte {
	b = append(b, `{"type":`...)
	if helpURL == "" {
		b = append(b, `"about:blank"`...)
	} else {
		b = appendString(b, helpURL+"#"+string(row.Code))
	}
	b = appendMember(b, "title", row.Title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(row.Status), 10)
	b = appendMember(b, "code", string(row.Code))
	b = appendMember(b, "detail", detail)
	if traceID != "" {
		b = appendMember(b, "traceId", traceID)
	}
	if e.ID != "" {
		b = appendMember(b, "id", e.ID)
	}
	if len(e.Params) > 0 {
		b = appendParams(b, e.Params)
	}
	return append(b, "}\n"...)
}

func appendParams(b []byte, params []Param) []byte {
	b = append(b, `,"invalidParams":[`...)
	for i, p := range params {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendString(b, p.Name)
		b = appendMember(b, "reason", p.Reason)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendMember(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendString(b, value)
}
