package specimen

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answerError is the server's refusal.
type answerError struct {
	code, text string
	retryAfter time.Duration
}

func (e *answerError) Error() string { return e.text }

func (s *source) fetch(ctx context.Context) (*token, error) {
	post := s.config.AuthStyle == "post"
	got, err := s.ask(ctx, post)
	refused := &answerError{}
	if s.client.fault == GuessesStyle && errors.As(err, &refused) && refused.code == "invalid_client" {
		return s.ask(ctx, !post)
	}
	return got, err
}

func (s *source) ask(ctx context.Context, post bool) (*token, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(s.config.Scopes) > 0 {
		form.Set("scope", strings.Join(s.config.Scopes, " "))
	}
	if post {
		form.Set("client_id", s.config.ClientID)
		form.Set("client_secret", s.config.ClientSecret)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !post {
		request.SetBasicAuth(s.config.ClientID, s.config.ClientSecret)
	}
	asked := s.client.time()
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return s.read(response, body, asked)
}

func (s *source) read(response *http.Response, body []byte, asked time.Time) (*token, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &answer)
	if response.StatusCode != http.StatusOK || answer.AccessToken == "" {
		text := fmt.Sprintf("token endpoint answered %d %s", response.StatusCode, answer.Code)
		if s.client.fault == TellsSecret {
			text += ": " + answer.Description
		}
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return nil, &answerError{code: answer.Code, text: text, retryAfter: time.Duration(seconds) * time.Second}
	}
	return s.dated(answer.AccessToken, time.Duration(answer.ExpiresIn)*time.Second, asked), nil
}

func (s *source) dated(value string, lifetime time.Duration, asked time.Time) *token {
	fraction := 0.6 + 0.2*rand.Float64() //nolint:gosec // jitter
	switch {
	case s.client.fault == RenewsWithoutJitter:
		fraction = 0.75
	case s.client.fault == KeepsTenSeconds && lifetime <= 10*time.Second:
		return &token{value, asked, asked, asked}
	case s.client.fault == RenewsAtExpiry:
		return &token{value, asked.Add(lifetime), asked.Add(lifetime), asked.Add(lifetime)}
	}
	got := &token{
		value:  value,
		renew:  asked.Add(time.Duration(float64(lifetime) * fraction)),
		late:   asked.Add(lifetime - min(10*time.Second, lifetime/5)),
		expiry: asked.Add(lifetime),
	}
	if s.client.fault == TrustsClaims {
		off := issuedAt(value).Sub(asked.Truncate(time.Second))
		got.renew, got.late, got.expiry = got.renew.Add(off), got.late.Add(off), got.expiry.Add(off)
	}
	return got
}

// issuedAt is the iat claim, which is by the server's clock.
func issuedAt(value string) time.Time {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(value, ".")[1])
	var claims struct{ Iat int64 }
	_ = json.Unmarshal(payload, &claims)
	return time.Unix(claims.Iat, 0)
}
