package clienttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// platform plays the authorization server and the API. Its clock stands still
// beside the client's.
type platform struct {
	server *httptest.Server

	mu      sync.Mutex
	now     time.Time
	grant   func(n int, r *tokenRequest) reply // n counts from 1
	api     func(n int, r *call) (status int, challenge string)
	asked   []*tokenRequest
	calls   []*call
	issued  map[string]time.Time // value to expiry
	changed chan struct{}        // closed and replaced at each request
}

// tokenRequest is what arrived at the token endpoint.
type tokenRequest struct {
	path, id, secret string // id and secret of the Authorization header
	basic            bool
	form             url.Values
	broken           bool // off by the client before it was answered
	at               time.Time
}

// call is what arrived at the API.
type call struct {
	method, path, token, body string
}

// reply says what the token endpoint does.
type reply struct {
	status     int           // 0: 200
	code       string        // error
	text       string        // error_description
	retryAfter string        // field
	location   string        // field
	lifetime   time.Duration // of a token
	skew       time.Duration // of the clock that dates the answer and the token
	hold       <-chan struct{}
	drop       bool // close the connection instead
}

// Start is when the clock of a client with CanClock stands still.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newPlatform starts both servers; their clock says now.
func newPlatform(now time.Time) *platform {
	p := &platform{
		now:     now,
		issued:  map[string]time.Time{},
		changed: make(chan struct{}),
		grant:   func(int, *tokenRequest) reply { return reply{lifetime: 10 * time.Minute} },
	}
	p.api = func(int, *call) (int, string) { return http.StatusOK, "" }
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/open/connect/token", p.serveToken)
	mux.HandleFunc("POST /other/connect/token", p.serveToken)
	mux.HandleFunc("/api/", p.serveAPI)
	p.server = httptest.NewServer(mux)
	return p
}

func (p *platform) tokenURL() string { return p.server.URL + "/auth/open/connect/token" }

func (p *platform) serveToken(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "not a form", http.StatusBadRequest)
		return
	}
	request := &tokenRequest{path: r.URL.Path, form: r.PostForm}
	request.id, request.secret, request.basic = basic(r)
	p.mu.Lock()
	request.at = p.now
	p.asked = append(p.asked, request)
	n := len(p.asked)
	answer := p.grant(n, request)
	p.wake()
	p.mu.Unlock()
	if answer.hold != nil {
		select {
		case <-answer.hold:
		case <-r.Context().Done():
			p.cut(request)
			return
		}
	}
	if answer.drop {
		panic(http.ErrAbortHandler)
	}
	p.answer(w, n, request, answer)
}

// basic reads the credentials, whose halves are form-encoded (RFC 6749 §2.3.1); some
// libraries encode more than they must, others nothing.
func basic(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = r.BasicAuth()
	for _, half := range []*string{&id, &secret} {
		if decoded, err := url.QueryUnescape(*half); err == nil {
			*half = decoded
		}
	}
	return id, secret, ok
}

func (p *platform) answer(w http.ResponseWriter, n int, request *tokenRequest, answer reply) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Date", request.at.Add(answer.skew).Format(http.TimeFormat))
	for name, value := range map[string]string{"Retry-After": answer.retryAfter, "Location": answer.location} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if answer.status != 0 {
		w.WriteHeader(answer.status)
		writeJSON(w, map[string]any{"error": answer.code, "error_description": answer.text})
		return
	}
	writeJSON(w, map[string]any{
		"access_token": p.issue(n, request, answer),
		"token_type":   "Bearer",
		"expires_in":   int(answer.lifetime / time.Second),
		"scope":        request.form.Get("scope"),
	})
}

func writeJSON(w io.Writer, value any) { _ = json.NewEncoder(w).Encode(value) }

// issue makes a token that looks like a JWT, dated by the server's clock.
func (p *platform) issue(n int, request *tokenRequest, answer reply) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	dated := request.at.Add(answer.skew)
	payload := fmt.Sprintf(`{"iat":%d,"exp":%d,"jti":"%d"}`, dated.Unix(), dated.Add(answer.lifetime).Unix(), n)
	encode := base64.RawURLEncoding.EncodeToString
	token := encode([]byte(`{"alg":"ES256","typ":"at+jwt"}`)) + "." + encode([]byte(payload)) + "." + encode(fmt.Appendf(nil, "signature-%d", n))
	p.issued[token] = request.at.Add(answer.lifetime)
	return token
}

// serveAPI answers a call as the row says; a token that expired or was never
// issued is refused in any case.
func (p *platform) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c := &call{method: r.Method, path: r.URL.Path, token: token, body: string(body)}
	p.mu.Lock()
	p.calls = append(p.calls, c)
	status, challenge := p.api(len(p.calls), c)
	if expiry, known := p.issued[token]; !known || !p.now.Before(expiry) {
		status, challenge = http.StatusUnauthorized, invalidToken
	}
	p.wake()
	p.mu.Unlock()
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, c.body)
}

// invalidToken is the challenge of RFC 6750 §3.1 that asks for another token.
const invalidToken = `Bearer realm="api", error="invalid_token", error_description="the token was revoked"`

// wake tells who waits that a request arrived. The mutex is held.
func (p *platform) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *platform) setGrant(grant func(n int, r *tokenRequest) reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grant = grant
}

func (p *platform) setAPI(api func(n int, r *call) (int, string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.api, p.calls = api, nil
}

// requests is how many token requests arrived, and what closes at the next one.
func (p *platform) requests() (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked), p.changed
}

func (p *platform) request(n int) *tokenRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[n-1]
}

func (p *platform) cut(r *tokenRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.broken = true
}

// isCut tells whether the client broke off the n-th token request.
func (p *platform) isCut(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[n-1].broken
}

func (p *platform) callsMade() []*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*call(nil), p.calls...)
}

func (p *platform) advance(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(by)
}

func (p *platform) isExpired(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	expiry, known := p.issued[token]
	return !known || !p.now.Before(expiry)
}
