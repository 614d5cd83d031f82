package demo

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
)

const echoBody = 1 << 20 // bytes

// received is what an upstream gets to see of a call.
type received struct {
	Method       string     `json:"method"`
	Host         string     `json:"host"`
	Path         string     `json:"path"` // as it stood on the request line
	Query        url.Values `json:"query"`
	Headers      url.Values `json:"headers"`
	Body         string     `json:"body"`
	BodyEncoding string     `json:"bodyEncoding"` // "text" or "base64"
}

// NewEcho returns the upstream of the Echo product: it answers every method
// and path with what it received, and a body over 1 MiB with 413. helpURL is
// the page of error codes. Safe for concurrent use.
func NewEcho(helpURL string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := echo(w, r); err != nil {
			fault.WriteProblem(w, helpURL, traceID(r), err)
		}
	})
}

func echo(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, echoBody)
	if err != nil {
		return err
	}
	path, _, _ := strings.Cut(r.RequestURI, "?") // r.URL would tidy the escapes
	answer := received{
		Method:       r.Method,
		Host:         r.Host,
		Path:         path,
		Query:        r.URL.Query(),
		Headers:      url.Values(r.Header),
		Body:         string(body),
		BodyEncoding: "text",
	}
	if !utf8.Valid(body) {
		answer.Body, answer.BodyEncoding = base64.StdEncoding.EncodeToString(body), "base64"
	}
	return writeJSON(w, http.StatusOK, answer)
}
