// Package demo holds the sample API products that doorward dev puts behind the
// gateway: Authentication, which keeps sessions per account, and Echo, which
// shows what an upstream receives.
//
// They are upstreams and nothing more: they take the caller's identity from the
// gateway's headers and hide nothing that a real product could not do itself.
// They must be reachable for the gateway only, and stay within bounded memory
// whatever is sent.
package demo

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/fault"
)

// readBody returns the whole body, or a fault when it is over limit bytes or
// breaks off.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.New(fault.BodyTooLarge, "send at most %d bytes", limit)
	}
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "send the whole body: %w", err)
	}
	return body, nil
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that is gone needs no answer
	return nil
}

// traceID is the trace id of the traceparent header that the gateway sends
// (W3C Trace Context §3.2), empty if there is none.
func traceID(r *http.Request) string {
	version, rest, _ := strings.Cut(r.Header.Get("Traceparent"), "-")
	id, _, _ := strings.Cut(rest, "-")
	if version != "00" || len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}
