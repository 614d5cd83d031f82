package specimen

import (
	"io"
	"net/http"
	"strings"
)

// RoundTrip puts the token on the request, and repeats it once.
func (s *source) RoundTrip(request *http.Request) (*http.Response, error) {
	repeats := 1
	if s.client.fault == RepeatsTwice {
		repeats = 2
	}
	for {
		value, err := s.Token(request.Context())
		if err != nil {
			return nil, err
		}
		sent := request.Clone(request.Context())
		sent.Header.Set("Authorization", "Bearer "+value)
		response, err := http.DefaultTransport.RoundTrip(sent)
		if err != nil || !s.mayMend(response) {
			return response, err
		}
		s.invalidate(value)
		next, ok := s.again(request)
		if repeats == 0 || !ok || s.unchanged(value) && s.client.fault != RepeatsTwice {
			return response, nil
		}
		_ = response.Body.Close()
		request, repeats = next, repeats-1
	}
}

// unchanged tells whether the refused token is still the current one.
func (s *source) unchanged(value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.value == value
}

// mayMend tells whether a new token could help.
func (s *source) mayMend(response *http.Response) bool {
	switch {
	case response.StatusCode == http.StatusForbidden:
		return s.client.fault == RepeatsOn403
	case response.StatusCode != http.StatusUnauthorized:
		return false
	case s.client.fault == RepeatsAny401:
		return true
	}
	challenge := response.Header.Get("WWW-Authenticate")
	_, bearer, found := strings.Cut(challenge, `Bearer realm="api"`)
	return found && strings.HasPrefix(bearer, `, error="invalid_token"`)
}

// again is the request once more; false if its body is gone.
func (s *source) again(request *http.Request) (*http.Request, bool) {
	next := request.Clone(request.Context())
	switch {
	case request.Body == nil || request.Body == http.NoBody:
	case request.GetBody == nil && s.client.fault == ReplaysStreams:
		next.Body = io.NopCloser(strings.NewReader(""))
	case request.GetBody == nil:
		return nil, false
	case s.client.fault == LosesBody:
		next.Body, next.ContentLength, next.GetBody = nil, 0, nil
	default:
		body, err := request.GetBody()
		if err != nil {
			return nil, false
		}
		next.Body = body
	}
	return next, true
}
