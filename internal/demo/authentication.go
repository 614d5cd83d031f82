package demo

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/doorward/doorward/internal/fault"
)

const (
	sessionBody  = 64 << 10 // bytes of a request
	sessionCount = 10_000   // sessions kept; the oldest goes first
	sessionBytes = 8 << 20  // bytes kept of all sessions together
)

// AuthenticationConfig says how the Authentication product presents itself.
type AuthenticationConfig struct {
	PublicURL string    // of the API domain, without a slash at the end
	HelpURL   string    // of the page of error codes
	Rand      io.Reader // for session ids; must be unpredictable
}

// NewAuthentication returns the upstream of the Authentication product:
// POST /sessions and GET /sessions/{id}. A session belongs to the account that
// the gateway names in Doorward-Account-Id and is invisible to all others. The
// authenticationUrl is where a real product would ask the person to sign in;
// here nothing answers. Safe for concurrent use.
func NewAuthentication(c AuthenticationConfig) http.Handler {
	a := &authentication{AuthenticationConfig: c, sessions: map[string]session{}}
	mux := http.NewServeMux()
	mux.Handle("POST /sessions", a.handler(a.create))
	mux.Handle("GET /sessions/{id}", a.handler(a.read))
	mux.Handle("/sessions", a.handler(onlyMethods("POST")))
	mux.Handle("/sessions/{id}", a.handler(onlyMethods("GET", "HEAD")))
	mux.Handle("/", a.handler(func(http.ResponseWriter, *http.Request) error {
		return fault.New(fault.RouteUnknown, "this product has /sessions and /sessions/{id}")
	}))
	return mux
}

type authentication struct {
	AuthenticationConfig

	mu       sync.Mutex
	sessions map[string]session
	order    []string // ids, oldest first
	bytes    int      // of all sessions
}

type session struct {
	account  string
	document []byte // the answer, as JSON
}

func (a *authentication) handler(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			fault.WriteProblem(w, a.HelpURL, traceID(r), err)
		}
	})
}

func onlyMethods(allow ...string) func(http.ResponseWriter, *http.Request) error {
	return func(http.ResponseWriter, *http.Request) error {
		err := fault.New(fault.MethodNotAllowed, "")
		err.Allow = allow
		return err
	}
}

func (a *authentication) create(w http.ResponseWriter, r *http.Request) error {
	account, err := callerAccount(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, sessionBody)
	if err != nil {
		return err
	}
	fields, err := parseObject(body)
	if err != nil {
		return err
	}
	id, err := a.newID()
	if err != nil {
		return err
	}
	if err := addOurs(fields, map[string]string{
		"id":                id,
		"accountId":         account,
		"status":            "CREATED",
		"authenticationUrl": a.PublicURL + "/authentication/" + id,
	}); err != nil {
		return err
	}
	document, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	a.keep(id, session{account, document})
	w.Header().Set("Location", a.PublicURL+authPrefix+"/sessions/"+id)
	return writeJSON(w, http.StatusCreated, json.RawMessage(document))
}

func (a *authentication) read(w http.ResponseWriter, r *http.Request) error {
	account, err := callerAccount(r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	s, ok := a.sessions[r.PathValue("id")]
	a.mu.Unlock()
	if !ok || s.account != account {
		return fault.Errorf(fault.NotFound, "this account has no such session; check the id and the account")
	}
	return writeJSON(w, http.StatusOK, json.RawMessage(s.document))
}

func (a *authentication) newID() (string, error) {
	var raw [16]byte
	if _, err := io.ReadFull(a.Rand, raw[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw[:]), nil
}

// keep adds s and drops the oldest sessions until all bounds hold.
func (a *authentication) keep(id string, s session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[id] = s
	a.order = append(a.order, id)
	a.bytes += len(s.document)
	for len(a.order) > sessionCount || a.bytes > sessionBytes {
		oldest := a.order[0]
		a.order = a.order[1:]
		a.bytes -= len(a.sessions[oldest].document)
		delete(a.sessions, oldest)
	}
}

func callerAccount(r *http.Request) (string, error) {
	account := r.Header.Get("Doorward-Account-Id")
	if account == "" {
		return "", fault.New(fault.NotAllowed, "call this product through the gateway, which names the account")
	}
	return account, nil
}

// parseObject reads exactly one JSON object without repeated names.
func parseObject(body []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(body) {
		return nil, fault.Errorf(fault.Invalid, "send the session as one JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, fault.Errorf(fault.Invalid, "send the session as a JSON object, not as another value")
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if _, twice := fields[name]; twice {
			return nil, wrongField(name, "is given twice")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		fields[name] = value
	}
	return fields, nil
}

// addOurs adds the fields that the product sets; a request may not set them.
func addOurs(fields map[string]json.RawMessage, ours map[string]string) error {
	for name, text := range ours {
		if _, taken := fields[name]; taken {
			return wrongField(name, "is set by the product; leave it out")
		}
		value, err := json.Marshal(text)
		if err != nil {
			return err
		}
		fields[name] = value
	}
	return nil
}

func wrongField(name, reason string) error {
	err := fault.New(fault.InvalidRequest, "correct the fields named in invalidParams")
	err.Params = []fault.Param{{Name: name, Reason: reason}}
	return err
}
