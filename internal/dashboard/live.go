package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/usage"
)

const (
	streamTime    = usage.WatchTime  // that one stream lasts
	streamBeat    = 15 * time.Second // between signs of life, for proxies
	maxStreams    = 8                // of one session
	shownAttempts = 20
)

var errStreams = &failure{status: http.StatusTooManyRequests, title: "Too many pages listen", text: "You have many pages open that wait for calls. Close some of them."}

var errStreamEnds = errors.New("the stream ends")

// streams are those that are open, and how to end them all.
type streams struct {
	ending chan struct{}
	end    func()

	mu   sync.Mutex
	open map[string]int // by session
}

func newStreams() *streams {
	ending := make(chan struct{})
	return &streams{ending: ending, end: sync.OnceFunc(func() { close(ending) }), open: map[string]int{}}
}

func (s *streams) enter(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[session] >= maxStreams {
		return false
	}
	s.open[session]++
	return true
}

func (s *streams) leave(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[session]--; s.open[session] == 0 {
		delete(s.open, session)
	}
}

// live shows the attempts of a client as they come.
func (d *dashboard) live(x *exchange) error {
	line, err := x.liveLine()
	if err != nil {
		return err
	}
	q, err := x.quickStart()
	if err != nil {
		return err
	}
	p := x.page("First call", x.client.Name)
	p.Width = "middle"
	return x.show(http.StatusOK, view.LivePage(p, view.LiveClient{Name: x.client.Name, Path: x.clientPath(), QuickStart: q, Live: line}))
}

// liveLine is what is known of the client's attempts so far. From now on they
// are written down.
func (x *exchange) liveLine() (l view.Live, err error) {
	path := x.clientPath() + "/live"
	l = view.Live{ID: "live", From: path, Look: path, Text: "Listening for the first call of " + x.client.Name + "."}
	if !strings.Contains(x.Header.Get("Sec-Purpose"), "prefetch") {
		if err := x.d.Usage.Watch(x.Context(), x.by, x.client.ID); err != nil && fault.KindOf(err) != fault.RateLimited {
			return l, err
		}
	}
	attempts, err := x.d.Usage.Attempts(x.Context(), x.by, x.client.ID, 0, 1000)
	if err != nil {
		return l, err
	}
	after := int64(0)
	for _, a := range attempts {
		after = a.Number
	}
	l.Stream = path + "/events?after=" + strconv.FormatInt(after, 10)
	if len(attempts) > shownAttempts {
		attempts = attempts[len(attempts)-shownAttempts:]
	}
	for i := len(attempts) - 1; i >= 0; i-- {
		l.Events = append(l.Events, x.eventOf(&attempts[i]))
		l.Called = l.Called || attempts[i].Kind == usage.Call && attempts[i].Allowed && attempts[i].Status < http.StatusBadRequest
	}
	return l, nil
}

// eventOf says what came of an attempt, and what to do about it.
func (x *exchange) eventOf(a *usage.Attempt) view.LiveEvent {
	e := view.LiveEvent{At: a.At}
	if a.Kind != usage.Call {
		if a.Allowed {
			e.Tone, e.Text = "ok", "Token issued"
			return e
		}
		e.Tone, e.Text = "bad", fmt.Sprintf("Token request → %d: %s", a.Status, titleOf(tokenWords[a.Code], a.Code))
		e.Remedy, e.Fix = x.tokenRemedy(a)
		return e
	}
	e.Text = fmt.Sprintf("%s %s → %d in %s", a.Method, a.Path, a.Status, milliseconds(a.Took))
	switch {
	case a.Allowed && a.Status < http.StatusBadRequest:
		e.Tone = "ok"
	case a.Allowed && a.Code == "":
		e.Tone, e.Remedy = "warn", "The call was allowed and forwarded. The answer is the product's own."
	case a.Code == string(fault.PermissionMissing):
		e.Tone, e.Text = "bad", e.Text+": it needs "+a.Lacking
		e.Fix = &view.Link{Label: "Add " + a.Lacking, Path: x.clientPath() + "/permissions/review?add=" + a.Lacking}
	default:
		e.Tone, e.Text = "bad", e.Text+": "+a.Code
		if row, ok := fault.Lookup(fault.Code(a.Code)); ok {
			e.Remedy = row.Cause + " " + row.Remedy
		}
	}
	return e
}

// tokenWords say why a token request was refused, to those who may know.
var tokenWords = map[string]string{
	"credentials_malformed":           "the id or the secret could not be read",
	"secret_wrong":                    "the secret is not one of this client",
	"client_unknown":                  "there is no such client",
	"secret_expired":                  "the secret has expired",
	"secret_disabled":                 "the secret is disabled",
	string(fault.SecretRevoked):       "the secret was revoked",
	string(fault.ClientDisabled):      "the client is disabled",
	string(fault.AccountSuspended):    "the account is suspended",
	string(fault.AddressRefused):      "the client may not be used from this address",
	string(fault.EnvironmentMismatch): "the secret is of another environment",
}

func (x *exchange) tokenRemedy(a *usage.Attempt) (remedy string, fix *view.Link) {
	switch {
	case a.Code == string(fault.ClientDisabled):
		return "", &view.Link{Label: "Enable the client", Path: x.clientPath()}
	case a.Code == string(fault.AddressRefused):
		return "Its address was " + a.Address.String() + ".", &view.Link{Label: "Change the networks", Path: x.clientPath() + "/settings"}
	case strings.HasPrefix(a.Code, "secret_"):
		return "", &view.Link{Label: "Show its secrets", Path: x.clientPath() + "/secrets"}
	}
	if row, ok := fault.LookupOAuth(fault.Code(a.Code)); ok {
		return row.Remedy, nil
	}
	return "", nil
}

func milliseconds(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// liveEvents is a stream of server-sent events: each says that there is
// something new, and the page fetches its part anew. It ends after a while, when
// the server stops, or with the connection.
func (d *dashboard) liveEvents(x *exchange) error {
	if !d.streams.enter(x.session.ID) {
		return errStreams
	}
	defer d.streams.leave(x.session.ID)
	h := x.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if x.Method == http.MethodHead {
		return nil
	}
	after, _ := strconv.ParseInt(titleOf(x.Header.Get("Last-Event-ID"), x.URL.Query().Get("after")), 10, 64)
	ctx, cancel := context.WithTimeoutCause(x.Context(), streamTime, errStreamEnds)
	defer cancel()
	out := &eventWriter{w: x.w, flush: http.NewResponseController(x.w).Flush}
	if err := out.write(": listening\n\n"); err != nil {
		return nil //nolint:nilerr // a reader that is gone needs no answer
	}
	var beating sync.WaitGroup
	defer beating.Wait()
	beating.Go(func() { d.beat(ctx, cancel, out) })
	defer cancel()
	err := d.Usage.Follow(ctx, x.by, x.client.ID, after, func(attempts []usage.Attempt) error {
		if err := x.mayGoOn(); err != nil {
			return err
		}
		return out.write(fmt.Sprintf("id: %d\ndata: %d\n\n", attempts[len(attempts)-1].Number, len(attempts)))
	})
	if errors.Is(context.Cause(ctx), errStreamEnds) {
		return out.write("event: done\ndata: \n\n")
	}
	if err != nil { // the answer has begun: the reader comes back and sees
		d.Log.Warn("a live page lost its stream", "request_id", x.requestID, "error", err)
	}
	return nil
}

// mayGoOn asks whether the request would be let in now as it was when it began:
// a stream outlives neither its session nor the right to see what it tells.
func (x *exchange) mayGoOn() error {
	now := &exchange{d: x.d, w: x.w, Request: x.Request, route: x.route}
	return now.enter()
}

// beat keeps the connection in use, and ends the stream when the server stops.
func (d *dashboard) beat(ctx context.Context, end func(), out *eventWriter) {
	ticker := time.NewTicker(streamBeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.streams.ending:
			end()
			return
		case <-ticker.C:
			if out.write(": still here\n\n") != nil {
				end()
				return
			}
		}
	}
}

// eventWriter writes whole events, from wherever.
type eventWriter struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	flush func() error
}

func (e *eventWriter) write(text string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.flush()
}
