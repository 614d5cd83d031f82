package resourceserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/jwt"
)

// Error is why a request does not pass. Description is for its sender, in words
// of this package only; the cause, which Unwrap gives, is for the log.
type Error struct {
	Status      int    // 400, 401, 403 or 503
	Code        string // of RFC 6750 §3.1; "" if there was no token, or with 503
	Description string // what is wrong, or what to do
	Permission  string // the one that is missing; "" unless Status is 403
	cause       error
}

func (e *Error) Error() string {
	if e.cause == nil {
		return e.Description
	}
	return e.Description + ": " + e.cause.Error()
}

func (e *Error) Unwrap() error { return e.cause }

func invalidRequest(description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: description}
}

// invalidToken is the refusal of a token for a cause of package jwt.
func invalidToken(cause error) *Error {
	refused := &Error{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "the token is not one of this API", cause: cause}
	for _, known := range []error{
		jwt.ErrMalformed, jwt.ErrSignature, jwt.ErrEnvironment, jwt.ErrIssuer, jwt.ErrAudience, jwt.ErrNotYetValid, jwt.ErrExpired,
	} {
		if errors.Is(cause, known) {
			refused.Description = "the " + known.Error() // constant texts: nothing of the token is repeated
		}
	}
	return refused
}

const retryAfter = int(retryInterval / 1e9) // seconds

// Challenge answers a request with err: the status, the challenge of RFC 6750 §3 in
// the realm, and a problem document (RFC 9457). A request without a token gets the
// realm alone, and one about another account no challenge. An err that is not an *Error, and one with status 503, gets 503 and
// no challenge, for a new token would not help.
func Challenge(w http.ResponseWriter, realm string, err error) {
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		refused = &Error{Status: http.StatusServiceUnavailable, Description: "the call cannot be decided now, try again later"}
	}
	header := w.Header()
	switch {
	case refused.Status == http.StatusServiceUnavailable:
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	case refused.Status == http.StatusUnauthorized || refused.Code != "":
		header.Set("WWW-Authenticate", refused.Challenge(realm))
	}
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/problem+json")
	w.WriteHeader(refused.Status)
	_ = json.NewEncoder(w).Encode(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code,omitempty"`
		Detail string `json:"detail"`
	}{http.StatusText(refused.Status), refused.Status, refused.Code, refused.Description})
}

// Challenge is the field WWW-Authenticate of RFC 6750 §3; the realm is left out if it
// is empty.
func (e *Error) Challenge(realm string) string {
	challenge := "Bearer"
	if realm != "" {
		challenge += " realm=" + quoted(realm)
	}
	if e.Code == "" {
		return challenge
	}
	if realm != "" {
		challenge += ","
	}
	challenge += " error=" + quoted(e.Code) + ", error_description=" + quoted(e.Description)
	if e.Permission != "" {
		challenge += ", scope=" + quoted(e.Permission)
	}
	return challenge
}

// quoted is a quoted-string (RFC 9110 §5.6.4); net/http replaces line breaks.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
