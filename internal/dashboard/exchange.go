package dashboard

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signin"
)

// maxForm bounds what a form may send.
const maxForm = 256 << 10

// exchange is one request, its answer, and who makes it.
type exchange struct {
	*http.Request
	w       http.ResponseWriter
	d       *dashboard
	started time.Time
	secret  bool // the page shows a secret: neither kept nor compressed
	asked   bool // others were asked to make the form's change

	route     route
	requestID string
	session   *signin.Session // nil: nobody is signed in
	pending   *signin.Session // waits for the second factor, and is good for nothing else
	places    []view.Place    // where they can go

	// The place in which the page is, if it is in one, and who acts there.
	organisation registry.Organisation
	account      registry.Account
	client       registry.ClientSummary
	operator     bool // the operator's area
	by           actor.Actor
}

func (d *dashboard) serve(handle handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{Request: r, w: w, d: d, started: time.Now(), requestID: d.random()}
		w.Header().Set("X-Request-Id", x.requestID)
		if err := handle(x); err != nil {
			x.fail(err)
		}
	})
}

// random is a text that nobody guesses: 80 bits.
func (d *dashboard) random() string {
	var b [10]byte
	if _, err := io.ReadFull(d.Rand, b[:]); err != nil {
		panic("dashboard: no random bytes: " + err.Error())
	}
	return hex.EncodeToString(b[:])
}

// readForm takes what a browser's form sends, and nothing else (WEB-03).
func (x *exchange) readForm() error {
	kind, _, err := mime.ParseMediaType(x.Header.Get("Content-Type"))
	file := kind == "multipart/form-data" && x.route.uploads
	if err != nil && x.ContentLength != 0 || kind != "" && kind != "application/x-www-form-urlencoded" && !file {
		return errNoForm
	}
	parse, most := x.ParseForm, int64(maxForm)
	if x.route.uploads {
		most = maxUpload
	}
	if file {
		parse = func() error { return x.ParseMultipartForm(most) } // all of it in memory
	}
	x.Body = http.MaxBytesReader(x.w, x.Body, most)
	if err := parse(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return errLargeForm
		}
		return errBadForm
	}
	return nil
}

// value is a field of the form, without space around it.
func (x *exchange) value(name string) string { return strings.TrimSpace(x.PostForm.Get(name)) }

// base is the version that the form was made from; 0 if it does not say.
func (x *exchange) base() int64 {
	n, err := strconv.ParseInt(x.value("base"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// page begins a page of that title, at the place where the exchange is.
func (x *exchange) page(title string, context ...string) view.Page {
	p := view.Page{
		Title: title, Context: context, Site: x.d.Name, Assets: x.d.assets.paths, Path: x.URL.RequestURI(),
		Theme: x.theme(), NoKeys: x.cookie(keysCookie) == "off", Now: x.d.Now(), Places: x.places, Nav: x.nav(), At: x.here(),
	}
	if x.session != nil {
		p.Person = &view.Person{Name: x.session.Person.Title(), Email: x.session.Person.Email}
		p.Flash = x.takeFlash()
	}
	switch {
	case x.account.ID != "":
		p.Context = append(p.Context, x.account.Name, x.organisation.Name)
		p.Environment = string(x.account.ID.Environment())
	case x.organisation.ID != "":
		p.Context = append(p.Context, x.organisation.Name)
	case x.operator:
		p.Context, p.Operator = append(p.Context, "Operator"), true
	}
	return p
}

// show is the one writer of pages. A request for a fragment gets that part.
func (x *exchange) show(status int, content templ.Component) error {
	var body bytes.Buffer
	if err := x.render(&body, content); err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Encoding, Cookie, X-Fragment")
	h.Set("Server-Timing", "app;dur="+strconv.FormatFloat(float64(time.Since(x.started).Microseconds())/1000, 'f', 2, 64))
	out := body.Bytes()
	if !x.secret && acceptsGzip(x.Header.Get("Accept-Encoding")) { // the length of a compressed secret could tell of it
		h.Set("Content-Encoding", "gzip")
		out = zip(out)
	}
	h.Set("Content-Length", strconv.Itoa(len(out)))
	x.w.WriteHeader(status)
	if x.Method != http.MethodHead {
		_, _ = x.w.Write(out) // a reader that is gone needs no answer
	}
	return nil
}

func (x *exchange) render(body *bytes.Buffer, content templ.Component) error {
	ctx := context.WithoutCancel(x.Context()) // rendering is short; half a page helps nobody
	if id := x.Header.Get("X-Fragment"); id != "" {
		if err := templ.RenderFragments(ctx, body, content, id); err != nil {
			return err
		}
		if body.Len() > 0 {
			x.w.Header().Set("X-Fragment", id)
			return nil
		}
	}
	return content.Render(ctx, body)
}

// redirect answers a form: the page at path is what comes next.
func (x *exchange) redirect(path string) error {
	x.w.Header().Set("Cache-Control", "no-store")
	x.w.Header().Set("Location", path)
	x.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// setCookie keeps a value in the browser. With https the name binds it to
// this host (RFC 6265bis, __Host-); a cookie of that kind needs https, so plain
// http, which is for loopback, has the bare name.
func (x *exchange) setCookie(name, value string, age time.Duration) {
	c := &http.Cookie{ //nolint:gosec // G124: Secure wherever there is https
		Name: x.d.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: x.d.https, SameSite: http.SameSiteLaxMode,
		MaxAge: int(age.Seconds()),
	}
	if age <= 0 {
		c.MaxAge = -1
	}
	http.SetCookie(x.w, c)
}

func (x *exchange) cookie(name string) string {
	if c, err := x.Cookie(x.d.cookieName(name)); err == nil {
		return c.Value
	}
	return ""
}

func (d *dashboard) cookieName(name string) string {
	if d.https {
		return "__Host-" + name
	}
	return name
}

// local is the path that a form wants to go to next, if it is one of ours.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") || strings.Contains(path, "/../") || strings.Contains(path, "//") && !strings.Contains(path, "?") {
		return "/"
	}
	return path
}
