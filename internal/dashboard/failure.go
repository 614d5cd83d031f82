package dashboard

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
)

// failure is an error with its own page.
type failure struct {
	status      int
	title, text string
	ways        []view.Link // out of it; none: to the start
}

func (f *failure) Error() string { return f.text }

var (
	errNoPage    = &failure{status: http.StatusNotFound, title: "Page not found", text: "There is no page at this address, or it is not yours to see."}
	errNoMethod  = &failure{status: http.StatusMethodNotAllowed, title: "Method not allowed", text: "This address does not take that kind of request."}
	errOrigin    = &failure{status: http.StatusForbidden, title: "Sent from elsewhere", text: "This form was sent from another website, so nothing was changed. Open the page here and send it again."}
	errNoForm    = &failure{status: http.StatusUnsupportedMediaType, title: "Not a form", text: "Send a form as application/x-www-form-urlencoded; programs use the management API."}
	errLargeForm = &failure{status: http.StatusRequestEntityTooLarge, title: "Form too large", text: "The form is larger than 256 KB. Send less at once."}
	errBadForm   = &failure{status: http.StatusBadRequest, title: "Form not understood", text: "The form could not be read. Go back and send it again."}

	errSignIn = fault.Errorf(fault.Unauthenticated, "sign in to see this page")
)

// failureOf turns any error into what its page says. The text of an internal
// error stays inside.
func (x *exchange) failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	text := message(err)
	switch fault.KindOf(err) {
	case fault.Invalid:
		return &failure{status: http.StatusUnprocessableEntity, title: "That cannot be done", text: text}
	case fault.Forbidden:
		return x.forbidden(err)
	case fault.NotFound:
		return errNoPage
	case fault.Conflict:
		return &failure{status: http.StatusConflict, title: "That does not fit what is there now", text: text}
	case fault.RateLimited:
		return &failure{status: http.StatusTooManyRequests, title: "Too many attempts", text: text}
	case fault.Unavailable:
		return &failure{status: http.StatusServiceUnavailable, title: "Not available now", text: text}
	}
	return &failure{status: http.StatusInternalServerError, title: "Something failed here", text: "The request reached us and was not completed. Nothing of it was kept."}
}

// forbidden says which role is missing and who has it, or what the person can
// do by themselves.
func (x *exchange) forbidden(err error) *failure {
	f := &failure{status: http.StatusForbidden, title: "You may not do that", text: message(err)}
	switch {
	case errors.Is(err, actor.ErrRecentSignIn):
		f.title = "Sign in once more"
		return f
	case errors.Is(err, actor.ErrSecondFactor):
		f.title, f.ways = "Second factor needed", []view.Link{x.factorWay()}
		return f
	case errors.Is(err, actor.ErrUnverified):
		f.title, f.ways = "Verified address needed", []view.Link{{Label: "Go to your profile", Path: "/me"}}
		return f
	case x.route.needs == "" || x.by.May(x.route.needs, x.account.ID):
		return f
	}
	f.text = x.lacking(x.route.needs)
	if path := x.here(); path != "" && !x.operator && x.by.May(actor.AccountRead, x.account.ID) {
		f.ways = []view.Link{{Label: "Go back to " + titleOf(x.account.Name, x.organisation.Name), Path: path}}
	}
	return f
}

// factorWay leads to where the second factor is given, or set up.
func (x *exchange) factorWay() view.Link {
	if x.session != nil && x.session.Factor {
		return view.Link{Label: "Give your second factor", Path: "/signin/again?next=" + url.QueryEscape(x.from())}
	}
	return view.Link{Label: "Set up a second factor", Path: "/me/security"}
}

// lacking names the roles that have an ability and the people who hold them.
func (x *exchange) lacking(ability actor.Ability) string {
	text := "This needs the right to " + ability.Words() + ". "
	roles := x.rolesWith(ability)
	if len(roles) == 0 {
		return text + "It is the operator's alone."
	}
	text += "Roles that have it: " + strings.Join(roles, ", ") + ". "
	holders, err := x.holders(ability)
	if err != nil {
		return text + "Ask an organisation admin."
	}
	return text + view.Locked{Holders: holders}.Text()
}

// from is the page from which a request came, or its own if it was no form.
func (x *exchange) from() string {
	if x.Method != http.MethodPost {
		return x.URL.RequestURI()
	}
	if u, err := url.Parse(x.Referer()); err == nil && u.Host == x.Host && u.Path != x.URL.Path {
		return local(u.RequestURI())
	}
	return "/"
}

// fail writes the page of an error. To those who are not signed in it is the
// form to do so, which leads back here.
func (x *exchange) fail(err error) {
	f := x.failureOf(err)
	if f.status >= http.StatusInternalServerError {
		x.d.Log.Error("the dashboard failed", "page", x.Pattern, "method", x.Method, "request_id", x.requestID, "error", err)
	}
	if e, ok := errors.AsType[*fault.Error](err); ok && e.RetryAfter > 0 {
		x.retryAfter(e.RetryAfter)
	}
	x.Header.Del("X-Fragment")
	switch {
	case x.pending != nil && errors.Is(err, errPending):
		err = x.showFactorForm(http.StatusUnauthorized, view.FactorForm{Next: x.from()})
	case fault.KindOf(err) == fault.Unauthenticated:
		err = x.askToSignIn(err)
	case x.session != nil && errors.Is(err, actor.ErrRecentSignIn):
		err = x.askAgain(f.status)
	default:
		err = x.show(f.status, view.Failure(x.page(f.title), x.wordsOf(f), f.ways))
	}
	if err != nil {
		x.d.Log.Error("the error page failed", "error", err)
		http.Error(x.w, f.title, f.status)
	}
}

// askToSignIn is what somebody sees whose session is over, in place of the page.
func (x *exchange) askToSignIn(err error) error {
	x.w.Header().Set("WWW-Authenticate", `Cookie realm="`+strings.ReplaceAll(x.d.Name, `"`, `'`)+`"`)
	form := view.SignInForm{Next: x.from()}
	if !errors.Is(err, errSignIn) {
		form.Errors = []view.FieldError{{Text: message(err)}}
	}
	return x.showSignIn(http.StatusUnauthorized, form)
}

func (x *exchange) wordsOf(f *failure) string {
	if f.status < http.StatusInternalServerError {
		return f.text
	}
	return strings.TrimSpace(f.text + " Request " + x.requestID + ".")
}

func (x *exchange) retryAfter(wait time.Duration) {
	x.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}

// refused is for a form that the person can mend: its status, and what is wrong
// with which field. Fields are names, each with the words by which a message
// means it if they are others ("ends last day"); the first that is meant counts,
// else the first. Any other error is returned.
func (x *exchange) refused(err error, fields ...string) (status int, errs []view.FieldError, other error) {
	text := message(err)
	switch fault.KindOf(err) {
	case fault.Invalid:
		status = http.StatusUnprocessableEntity
	case fault.Conflict:
		status = http.StatusConflict
	case fault.Unauthenticated:
		status = http.StatusUnauthorized
	case fault.RateLimited:
		status = http.StatusTooManyRequests
		e, _ := errors.AsType[*fault.Error](err)
		x.retryAfter(e.RetryAfter)
		text = fmt.Sprintf("Too many attempts. Wait %d s, then try again.", int(math.Ceil(e.RetryAfter.Seconds())))
	default:
		return 0, nil, err
	}
	field, _, _ := strings.Cut(fields[0], " ")
	for _, f := range fields {
		name, words, ok := strings.Cut(f, " ")
		if !ok {
			words = name
		}
		if strings.Contains(text, words) {
			field = name
			break
		}
	}
	return status, []view.FieldError{{Field: field, Text: text}}, nil
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
