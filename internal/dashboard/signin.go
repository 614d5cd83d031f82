package dashboard

import (
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
)

// root leads to where a person begins.
func (d *dashboard) root(x *exchange) error {
	switch {
	case x.session == nil && d.People == nil:
		return x.redirect("/help")
	case x.session == nil:
		return x.redirect("/signin")
	case len(x.places) == 0:
		return x.show(http.StatusOK, view.NoPlace(x.page("No organisation")))
	case len(x.places) == 2:
		return x.redirect(x.places[1].Path) // the one account
	}
	return x.redirect(x.places[0].Path)
}

func (d *dashboard) signInForm(x *exchange) error {
	return x.showSignIn(http.StatusOK, view.SignInForm{Next: local(x.URL.Query().Get("next"))})
}

func (x *exchange) showSignIn(status int, form view.SignInForm) error {
	if x.d.People != nil {
		form.SignUp = !x.d.People.ByInvitation
	}
	p := x.page("Sign in")
	p.Width = "narrow"
	return x.show(status, view.SignIn(p, form))
}

// signIn begins a session, and ends the one that the browser had.
func (d *dashboard) signIn(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	form := view.SignInForm{Email: x.value("email"), Next: local(x.value("next"))}
	in, err := d.People.SignIn(x.Context(), x.origin(), form.Email, secret.NewPlaintext(x.PostForm.Get("password")))
	if err != nil {
		status, errs, err := x.refused(err, "email")
		form.Errors = errs
		if err != nil {
			return err
		}
		return x.showSignIn(status, form)
	}
	if err := x.begin(&in); err != nil {
		return err
	}
	if x.pending != nil {
		return x.redirect("/signin/factor?next=" + url.QueryEscape(form.Next))
	}
	return x.redirect(form.Next)
}

// begin gives the browser the cookies of a new session.
func (x *exchange) begin(in *signin.SignedIn) error {
	if x.session != nil {
		if err := x.d.People.SignOut(x.Context(), x.origin(), x.session); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	x.keep(in)
	return nil
}

// keep sets the cookies of a session that has a new id. In the flash that may
// follow, and on the page, it is the session.
func (x *exchange) keep(in *signin.SignedIn) {
	x.session, x.pending = &in.Session, nil
	if in.Session.Pending() {
		x.session, x.pending = nil, &in.Session
	}
	x.setCookie(sessionCookie, in.Cookie.Reveal(), signin.SessionTime)
	if !in.Browser.IsZero() {
		x.setCookie(browserCookie, in.Browser.Reveal(), signin.BrowserTime)
	}
}

func (d *dashboard) signUpForm(x *exchange) error {
	return x.showSignUp(http.StatusOK, view.SignUpForm{})
}

func (x *exchange) showSignUp(status int, form view.SignUpForm) error {
	form.ByInvitation = x.d.People == nil || x.d.People.ByInvitation
	form.MinPassword, form.MaxPassword = signin.MinPassword, signin.MaxPassword
	p := x.page("Create account")
	p.Width = "narrow"
	return x.show(status, view.SignUp(p, form))
}

// signUp makes a person, their organisation and its sandbox account.
func (d *dashboard) signUp(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	form := view.SignUpForm{Email: x.value("email"), Organisation: x.value("organisation")}
	up, err := d.People.SignUp(x.Context(), x.origin(), signin.Newcomer{
		Email: form.Email, Password: secret.NewPlaintext(x.PostForm.Get("password")), Organisation: form.Organisation,
	})
	if err != nil {
		status, errs, err := x.refused(err, "email", "password", "organisation")
		form.Errors = errs
		if err != nil {
			return err
		}
		return x.showSignUp(status, form)
	}
	if err := x.begin(&up.SignedIn); err != nil {
		return err
	}
	return x.redirect("/a/" + string(up.Account) + "/start")
}

// signOut works for those whose session has ended already, too.
func (d *dashboard) signOut(x *exchange) error {
	for _, s := range []*signin.Session{x.session, x.pending} {
		if s == nil {
			continue
		}
		if err := d.People.SignOut(x.Context(), x.origin(), s); err != nil {
			return err
		}
	}
	x.setCookie(sessionCookie, "", 0)
	if next := local(x.value("next")); next != "/" { // which asks to sign in, as somebody else
		return x.redirect(next)
	}
	return x.redirect("/signin")
}
