package tokensource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxResponse = 64 << 10 // bytes
	maxQuoted   = 200      // characters of the server's words in an error
)

// Error is the token endpoint's refusal (RFC 6749 §5.2).
type Error struct {
	Status      int           // HTTP status
	Code        string        // such as "invalid_client"; "" if the answer had none
	Description string        // of the server, may be ""
	RetryAfter  time.Duration // 0: the server did not say
}

func (e *Error) Error() string {
	text := "token endpoint answered " + strconv.Itoa(e.Status)
	for _, part := range []string{e.Code, e.Description} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// fetch asks for one token.
func (s *Source) fetch(ctx context.Context) (*lease, error) {
	request, err := s.config.request(ctx)
	if err != nil {
		return nil, err
	}
	asked := s.now() // before the request: the life of a token began no earlier
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for an access token: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return nil, fmt.Errorf("read the token endpoint's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, s.config.refusal(response, body, s.now())
	}
	return parseToken(body, asked)
}

func (c *Config) request(ctx context.Context) (*http.Request, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(c.Scopes) > 0 {
		form.Set("scope", strings.Join(c.Scopes, " "))
	}
	if c.Audience != "" {
		form.Set("audience", c.Audience)
	}
	if c.AuthStyle == AuthPost {
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", string(c.ClientSecret))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask for an access token: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if c.AuthStyle == AuthBasic {
		// RFC 6749 §2.3.1: each half form-encoded.
		request.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(string(c.ClientSecret)))
	}
	return request, nil
}

// parseToken reads a successful answer (RFC 6749 §5.1). A token without a lifetime
// is used once.
func parseToken(body []byte, asked time.Time) (*lease, error) {
	var answer struct {
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   json.Number `json:"expires_in"` // some servers write it as a string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, errors.New("token endpoint's answer is not the JSON of RFC 6749 section 5.1") // the cause could quote the token
	}
	if !strings.EqualFold(answer.TokenType, "Bearer") {
		return nil, errors.New("token endpoint gave a token that is not of type Bearer")
	}
	if !isToken(answer.AccessToken) {
		return nil, errors.New("token endpoint gave no usable access token")
	}
	seconds, err := answer.ExpiresIn.Float64()
	if err != nil || !(seconds > 0) {
		seconds = 0
	}
	lifetime := time.Duration(min(seconds, maxLifetime.Seconds()) * float64(time.Second))
	return newLease(answer.AccessToken, lifetime, asked), nil
}

// isToken tells whether text can stand in a header (b64token of RFC 6750 §2.1, and
// whatever else is visible ASCII).
func isToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// refusal is the *Error of an answer other than 200.
func (c *Config) refusal(response *http.Response, body []byte, now time.Time) *Error {
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &answer) // an answer of something else than a token endpoint has no code
	refused := &Error{
		Status:      response.StatusCode,
		Code:        c.quote(answer.Code),
		Description: c.quote(answer.Description),
	}
	refused.RetryAfter = retryAfter(response.Header, now)
	return refused
}

// retryAfter reads the field of RFC 9110 §10.2.3: seconds, or a date, which is by
// the server's clock.
func retryAfter(header http.Header, now time.Time) time.Duration {
	field := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(field, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxLifetime)
	}
	date, err := http.ParseTime(field)
	if err != nil {
		return 0
	}
	if there, err := http.ParseTime(header.Get("Date")); err == nil {
		now = there
	}
	return min(max(date.Sub(now), 0), maxLifetime)
}

// quote makes the server's words safe to print: short, printable ASCII, and
// without the secret, should the server repeat it.
func (c *Config) quote(text string) string {
	text = strings.ReplaceAll(text, string(c.ClientSecret), redacted)
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), maxQuoted)]
}
