package main

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// patience repeats once what may be repeated when the connection breaks, and
// says on a terminal what it waits for when that takes longer than a second.
type patience struct {
	next http.RoundTripper
	to   io.Writer
	what string
}

func (p *patience) RoundTrip(request *http.Request) (*http.Response, error) {
	done := waiting(p.to, p.what)
	defer done()
	response, err := p.next.RoundTrip(request)
	repeatable := request.Method == http.MethodGet || request.Header.Get("Idempotency-Key") != ""
	if err == nil || !repeatable || request.Context().Err() != nil || request.Body != nil && request.GetBody == nil {
		return response, err
	}
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return nil, err
		}
	}
	return p.next.RoundTrip(again)
}

// waiting shows on a terminal, from the second second on, what is being waited
// for. done takes it away again.
func waiting(to io.Writer, what string) (done func()) {
	if !isTerminal(to) {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() { // awaited by done
		defer close(stopped)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		shown := false
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(to, "\r\x1b[K%s, %ds", what, int(time.Since(start).Seconds()))
				shown = true
			case <-stop:
				if shown {
					fmt.Fprint(to, "\r\x1b[K")
				}
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}
