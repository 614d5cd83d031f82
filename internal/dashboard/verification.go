package dashboard

import (
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

// token is the end of a mailed link, which is as good as a password.
func (x *exchange) token() secret.Plaintext { return secret.NewPlaintext(x.PathValue("token")) }

// deadLink is the page of a link that is not good any more.
func deadLink(err error) error {
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	return &failure{status: http.StatusNotFound, title: "This link does not work", text: message(err)}
}

// verification shows what a link is about that verifies an address.
func (d *dashboard) verification(x *exchange) error { return x.showVerification(http.StatusOK, nil) }

func (x *exchange) showVerification(status int, errs []view.FieldError) error {
	if x.d.People == nil {
		return errNoPage
	}
	v, err := x.d.People.OpenVerification(x.Context(), x.origin(), x.token())
	if err != nil {
		return deadLink(err)
	}
	page := view.Verification{
		Path: x.URL.Path, Email: v.Email, SignedUpAt: v.SignedUpAt, Organisations: v.Organisations, Known: v.Known, Taken: v.Taken, Errors: errs,
		SignIn: "/signin?next=" + url.QueryEscape(x.URL.Path),
	}
	if x.session != nil {
		page.Me, page.Mine = x.session.Person.Email, x.owns(v.Email) && !x.session.Person.VerifiedAt.IsZero()
	}
	p := x.page("Verify your e-mail address")
	p.Width = "narrow"
	return x.show(status, view.VerificationPage(p, page))
}

// owns says whether an address is that of who is signed in, however it is
// spelled.
func (x *exchange) owns(address string) bool {
	mine, err := registry.ParseEmail(x.session.Person.Email)
	if err != nil {
		return false
	}
	other, err := registry.ParseEmail(address)
	return err == nil && mine.Key == other.Key
}

// verify takes the address for whose the link is.
func (d *dashboard) verify(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	in, err := d.People.Verify(x.Context(), x.origin(), x.token(), secret.NewPlaintext(x.PostForm.Get("password")))
	switch {
	case fault.KindOf(err) == fault.Conflict: // somebody was first: the page says what to do
		return x.showVerification(http.StatusConflict, nil)
	case err != nil:
		status, errs, err := x.refused(err, "password")
		if err != nil {
			return deadLink(err)
		}
		return x.showVerification(status, errs)
	}
	if !in.Cookie.IsZero() {
		if err := x.begin(&in); err != nil {
			return err
		}
	}
	if x.session == nil {
		return x.thanks("Your e-mail address is verified", "You can invite people and use production now.")
	}
	return x.done("/me", "Your e-mail address is verified.", nil)
}

// thanks is the page of something that was done without a session.
func (x *exchange) thanks(title, text string) error {
	p := x.page(title)
	p.Width = "narrow"
	return x.show(http.StatusOK, view.ThanksPage(p, text))
}

// join hands what was signed up for on to who had the address before.
func (d *dashboard) join(x *exchange) error {
	if x.session == nil {
		return errSignIn
	}
	if err := d.People.Join(x.Context(), x.origin(), x.session, x.token()); err != nil {
		return deadLink(err)
	}
	return x.done("/me", "What you signed up for is yours now.", nil)
}

// discard deletes what somebody else signed up for with an address.
func (d *dashboard) discard(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	if err := d.People.Discard(x.Context(), x.origin(), x.token()); err != nil {
		return deadLink(err)
	}
	return x.thanks("It is deleted", "What was signed up for with your e-mail address is gone, and nobody can sign in to it.")
}
