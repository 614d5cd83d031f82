package authserver

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// MaxBody is the longest body of a request, in bytes.
const MaxBody = 16 << 10

const (
	tokenIDBytes = 16
	tokenIDs     = 32 // drawn at once: a system call costs more than the rest
	usualAnswer  = 2 << 10
	headerBuffer = 2 << 10 // net/http counts a body up to here by itself
)

// exchange is one request and its answer. It is reused, so nothing may keep a
// reference to it or its buffers after the answer.
type exchange struct {
	w    http.ResponseWriter
	r    *http.Request
	now  time.Time
	peer netip.Addr
	form form

	named  id.Client // as presented, well formed; there may be no such client
	holder access.Holder
	secret *registry.Secret // that authenticated the holder

	claims jwt.Claims
	seen   Observation

	body   []byte
	answer []byte
	random []byte // not used yet; each byte serves one token id
	drawn  [tokenIDs * tokenIDBytes]byte
}

func newExchange() any {
	return &exchange{body: make([]byte, MaxBody+1), answer: make([]byte, 0, usualAnswer)}
}

// form is the handler of an endpoint that clients post forms to.
func (s *Server) form(endpoint string, serve func(*exchange) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.exchange(w, r, endpoint, func(x *exchange) error {
			if err := x.read(); err != nil {
				return err
			}
			return serve(x)
		})
	}
}

// refuse answers a request that is for none of the endpoints.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.exchange(w, r, "", func(*exchange) error { return err })
}

func (s *Server) exchange(w http.ResponseWriter, r *http.Request, endpoint string, serve func(*exchange) error) {
	x := s.exchanges.Get().(*exchange)
	x.w, x.r, x.now, x.peer = w, r, s.Now(), s.Peer(r)
	x.seen.Endpoint = endpoint
	if err := serve(x); err != nil {
		s.writeError(x, err)
	}
	s.observe(x)
	x.forget()
	s.exchanges.Put(x)
}

// forget drops what belongs to the request.
func (x *exchange) forget() {
	x.form.reset()
	x.w, x.r, x.named, x.holder, x.secret = nil, nil, "", access.Holder{}, nil
	x.claims, x.seen = jwt.Claims{}, Observation{}
}

// read takes the form from the body, and nothing from anywhere else.
func (x *exchange) read() error {
	if x.r.URL.RawQuery != "" {
		return invalidRequest("parameters stand in the URL: send them in the body, where no log keeps them")
	}
	if !isForm(x.r.Header["Content-Type"]) {
		return invalidRequest("the body needs exactly one Content-Type, application/x-www-form-urlencoded")
	}
	body, err := x.readBody()
	if err != nil {
		return err
	}
	return x.form.parse(body)
}

// isForm tells whether the header fields name the one media type (RFC 9110
// §8.3). Its parameters do not matter: the body is UTF-8 or refused. A comma
// would be several fields that were joined on the way.
func isForm(contentTypes []string) bool {
	const form = "application/x-www-form-urlencoded"
	if len(contentTypes) != 1 {
		return false
	}
	if contentTypes[0] == form {
		return true
	}
	media, _, _ := strings.Cut(contentTypes[0], ";")
	return strings.EqualFold(strings.Trim(media, " \t"), form) && !strings.Contains(contentTypes[0], ",")
}

// readBody reads no further than one byte over the limit.
func (x *exchange) readBody() (string, error) {
	if x.r.ContentLength > MaxBody {
		return "", x.tooLarge()
	}
	n := 0
	for n < len(x.body) {
		more, err := x.r.Body.Read(x.body[n:])
		n += more
		if err == io.EOF {
			body := string(x.body[:n])
			clear(x.body[:n]) // there was a secret in it
			return body, nil
		}
		if err != nil {
			return "", invalidRequest("the body did not arrive whole")
		}
	}
	return "", x.tooLarge()
}

// tooLarge also has the connection closed, or the server would read the rest.
func (x *exchange) tooLarge() error {
	if x.r.ProtoMajor == 1 {
		x.w.Header().Set("Connection", "close")
	}
	return fault.New(fault.BodyTooLarge, "the body is longer than %d bytes", MaxBody)
}

// newTokenID draws a jti: 128 random bits, in base64url.
func (x *exchange) newTokenID(rand io.Reader) (string, error) {
	if len(x.random) == 0 {
		if _, err := io.ReadFull(rand, x.drawn[:]); err != nil {
			return "", err
		}
		x.random = x.drawn[:]
	}
	var text [24]byte
	drawn := x.random[:tokenIDBytes]
	x.random = x.random[tokenIDBytes:]
	tokenID := string(base64.RawURLEncoding.AppendEncode(text[:0], drawn))
	clear(drawn)
	return tokenID, nil
}

// writeAnswer sends x.answer as JSON that nobody keeps (RFC 6749 §5.1).
func (s *Server) writeAnswer(x *exchange, status int) {
	x.seen.Status = status
	header := x.w.Header()
	header["Content-Type"], header["Cache-Control"], header["Pragma"] = s.fixed.json, s.fixed.noStore, s.fixed.noCache
	if len(x.answer) > headerBuffer { // or it would be sent in chunks
		header["Content-Length"] = []string{strconv.Itoa(len(x.answer))}
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(x.answer) // a caller that is gone needs no answer
}

// fixedHeaders are values of headers that all answers share. They have no room
// to append to, so what one answer adds to them is not in the next.
type fixedHeaders struct{ json, noStore, noCache []string }

func newFixedHeaders() fixedHeaders {
	return fixedHeaders{
		json:    []string{"application/json; charset=UTF-8"},
		noStore: []string{"no-store, no-cache, max-age=0"},
		noCache: []string{"no-cache"},
	}
}
