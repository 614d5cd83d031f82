package tokensource

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Transport puts the source's token on every request and sends it through base;
// nil means http.DefaultTransport. If the API refuses the token as invalid
// (RFC 6750 §3.1), the token is dropped and the request repeated once with a new
// one, provided that its body can be sent again (no body, or GetBody is set). No
// token goes along when a redirect leads to another scheme, host or port.
func (s *Source) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{source: s, base: base}
}

type transport struct {
	source *Source
	base   http.RoundTripper
}

// Format writes what the source does.
func (t *transport) Format(f fmt.State, verb rune) { t.source.Format(f, verb) }

// RoundTrip sends the request.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if isLedAway(request) {
		return t.base.RoundTrip(request)
	}
	token, err := t.source.Token(request.Context())
	if err != nil {
		closeBody(request)
		return nil, fmt.Errorf("call without an access token: %w", err)
	}
	response, err := t.base.RoundTrip(withToken(request, token))
	if err != nil || !refusesToken(response) {
		return response, err
	}
	t.source.Invalidate(token)
	return t.repeat(request, token, response)
}

// repeat sends the request again with another token; where that cannot be done,
// the first answer stands.
func (t *transport) repeat(request *http.Request, refused string, first *http.Response) (*http.Response, error) {
	again := request
	switch {
	case request.Body == nil || request.Body == http.NoBody:
	case request.GetBody == nil:
		return first, nil
	default:
		body, err := request.GetBody()
		if err != nil {
			return first, nil //nolint:nilerr // the API's answer says more than this error
		}
		again = request.Clone(request.Context())
		again.Body = body
	}
	token, err := t.source.Token(request.Context())
	if err != nil || token == refused {
		closeBody(again)
		return first, nil //nolint:nilerr // as above
	}
	_, _ = io.CopyN(io.Discard, first.Body, maxResponse) // so that the connection can be used again
	_ = first.Body.Close()
	t.source.tell(Event{Kind: Repeated})
	return t.base.RoundTrip(withToken(again, token))
}

// withToken is a copy: a RoundTripper must not change its request.
func withToken(request *http.Request, token string) *http.Request {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+token)
	return request
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close()
	}
}

// isLedAway tells whether redirects have brought the request to another origin
// than the first request of the chain had.
func isLedAway(request *http.Request) bool {
	first := request
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return first.URL.Scheme != request.URL.Scheme || !strings.EqualFold(first.URL.Host, request.URL.Host)
}
