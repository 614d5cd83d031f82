package clienttest

// Capabilities that a client may announce.
const (
	CanClock      = "clock"      // its clock stands still and moves by the operation advance
	CanInvalidate = "invalidate" // the operation invalidate
	CanLeave      = "leave"      // timeout of the operation token
	CanTimeout    = "timeout"    // request_timeout of the operation open
	CanCall       = "call"       // the operation call: the library itself puts tokens on requests
	CanStream     = "stream"     // stream of the operation call
	CanShare      = "share"      // shared of the operation open
	CanRedis      = "redis"      // redis of the operation open
)

// Hello is the first line that a client writes.
type Hello struct {
	Ready        bool     `json:"ready"`
	Name         string   `json:"name"`
	Capabilities []string `json:"capabilities"`
}

// Command is one line for the client. Op says which of the other fields count.
type Command struct {
	ID     int    `json:"id"`
	Op     string `json:"op"`     // open, token, call, invalidate, advance or print
	Source string `json:"source"` // name of the token source; all but advance

	TokenURL       string   `json:"token_url,omitempty"` // open
	ClientID       string   `json:"client_id,omitempty"`
	ClientSecret   string   `json:"client_secret,omitempty"`
	AuthStyle      string   `json:"auth_style,omitempty"` // "": the library's default; "post"
	Scopes         []string `json:"scopes,omitempty"`
	Audience       string   `json:"audience,omitempty"`
	Shared         bool     `json:"shared,omitempty"`          // one memory cache with the other shared sources of the process
	Redis          string   `json:"redis,omitempty"`           // redis://host:port
	RequestTimeout int      `json:"request_timeout,omitempty"` // milliseconds; 0: the library's default

	Count   int `json:"count,omitempty"`   // token: callers at once; 0: one
	Timeout int `json:"timeout,omitempty"` // token: milliseconds until the callers leave; 0: they stay

	Method string `json:"method,omitempty"` // call
	URL    string `json:"url,omitempty"`
	Body   string `json:"body,omitempty"`
	Stream bool   `json:"stream,omitempty"` // call: the body can be read once only

	Token string `json:"token,omitempty"` // invalidate

	Milliseconds int64 `json:"milliseconds,omitempty"` // advance
}

// Answer is one line of the client. Answers may come in any order.
type Answer struct {
	ID     int      `json:"id"`
	Error  string   `json:"error,omitempty"`  // text of the (first) error, as the library words it
	Tokens []string `json:"tokens,omitempty"` // token: the distinct ones
	Failed int      `json:"failed,omitempty"` // token: callers that got an error
	Status int      `json:"status,omitempty"` // call
	Body   string   `json:"body,omitempty"`   // call
	Text   string   `json:"text,omitempty"`   // print: the source as the language prints values
}
