package dashboard

import (
	"errors"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
)

// failure is an error with its own page.
type failure struct {
	status      int
	title, text string
}

func (f *failure) Error() string { return f.text }

var (
	errNoPage    = &failure{http.StatusNotFound, "Page not found", "There is no page at this address, or it is not yours to see."}
	errNoMethod  = &failure{http.StatusMethodNotAllowed, "Method not allowed", "This address does not take that kind of request."}
	errOrigin    = &failure{http.StatusForbidden, "Sent from elsewhere", "This form was sent from another website, so nothing was changed. Open the page here and send it again."}
	errNoForm    = &failure{http.StatusUnsupportedMediaType, "Not a form", "Send a form as application/x-www-form-urlencoded; programs use the management API."}
	errLargeForm = &failure{http.StatusRequestEntityTooLarge, "Form too large", "The form is larger than 256 KB. Send less at once."}
	errBadForm   = &failure{http.StatusBadRequest, "Form not understood", "The form could not be read. Go back and send it again."}
)

// failureOf turns any error into what its page says. The text of an internal
// error stays inside.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	text := message(err)
	switch fault.KindOf(err) {
	case fault.Invalid:
		return &failure{http.StatusUnprocessableEntity, "That cannot be done", text}
	case fault.Unauthenticated:
		return &failure{http.StatusUnauthorized, "Sign in first", text}
	case fault.Forbidden:
		return &failure{http.StatusForbidden, "You may not do that", text}
	case fault.NotFound:
		return &failure{http.StatusNotFound, errNoPage.title, errNoPage.text}
	case fault.Conflict:
		return &failure{http.StatusConflict, "That does not fit what is there now", text}
	case fault.RateLimited:
		return &failure{http.StatusTooManyRequests, "Too many attempts", text}
	case fault.Unavailable:
		return &failure{http.StatusServiceUnavailable, "Not available now", text}
	}
	return &failure{http.StatusInternalServerError, "Something failed here", "The request reached us and was not completed. Nothing of it was kept."}
}

// fail writes the page of an error.
func (x *exchange) fail(err error) {
	f := failureOf(err)
	if f.status >= http.StatusInternalServerError {
		x.d.Log.Error("the dashboard failed", "method", x.Method, "path", x.URL.EscapedPath(), "error", err)
	}
	x.Header.Del("X-Fragment")
	if err := x.show(f.status, view.Failure(x.page(f.title), f.text)); err != nil {
		x.d.Log.Error("the error page failed", "error", err)
		http.Error(x.w, f.title, f.status)
	}
}

// message is what an error says to people, as a sentence; "" for an error
// that is ours.
func message(err error) string {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind == fault.Internal || e.Message == "" {
		return ""
	}
	first, rest := e.Message[:1], e.Message[1:]
	if strings.HasSuffix(rest, ".") {
		return strings.ToUpper(first) + rest
	}
	return strings.ToUpper(first) + rest + "."
}
