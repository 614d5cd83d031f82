package server

import (
	"io"
	"net/http"
	"time"
)

// How long a caller may keep a connection waiting. A stream lives as long as
// it moves.
const (
	bodyPatience     = 30 * time.Second // between two pieces of a request's body
	responsePatience = time.Minute      // for a piece of the response to be taken
	tokenPatience    = 10 * time.Second // for the whole body of a token request
)

// patient gives each read of the body and each write of the response a
// deadline of its own, so that a slow caller holds no goroutine for ever and a
// long stream is not cut.
func patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &patience{ResponseWriter: w, control: http.NewResponseController(w)}
		p.extend()
		if r.ContentLength != 0 {
			r.Body = &patientBody{r.Body, p.control}
		}
		next.ServeHTTP(p, r)
	})
}

// prompt bounds the whole of a request that has no reason to be slow.
func prompt(w http.ResponseWriter, r *http.Request, next http.Handler) {
	control, now := http.NewResponseController(w), time.Now()
	_ = control.SetReadDeadline(now.Add(tokenPatience)) // a connection without deadlines is a test's
	_ = control.SetWriteDeadline(now.Add(responsePatience))
	next.ServeHTTP(w, r)
}

type patience struct {
	http.ResponseWriter
	control  *http.ResponseController
	extended time.Time
}

// extend goes by the second: to set a deadline costs too much for each write.
func (p *patience) extend() {
	now := time.Now()
	if now.Sub(p.extended) < time.Second {
		return
	}
	p.extended = now
	_ = p.control.SetWriteDeadline(now.Add(responsePatience)) // a connection without deadlines is a test's
}

func (p *patience) Write(data []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController reach the connection.
func (p *patience) Unwrap() http.ResponseWriter { return p.ResponseWriter }

type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *patientBody) Read(data []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(bodyPatience)) // a connection without deadlines is a test's
	return b.ReadCloser.Read(data)
}
