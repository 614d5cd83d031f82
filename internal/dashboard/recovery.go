package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
)

func (d *dashboard) recoveryForm(x *exchange) error {
	return x.showRecovery(http.StatusOK, view.RecoveryForm{})
}

func (x *exchange) showRecovery(status int, form view.RecoveryForm) error {
	if x.d.People == nil {
		return errNoPage
	}
	p := x.page("Set a new password")
	p.Width = "narrow"
	return x.show(status, view.RecoveryPage(p, form))
}

// recover has a link mailed. Whether somebody has the address does not show.
func (d *dashboard) recover(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	form := view.RecoveryForm{Email: x.value("email")}
	if err := d.People.Recover(x.Context(), x.origin(), form.Email); err != nil {
		status, errs, err := x.refused(err, "email")
		if err != nil {
			return err
		}
		form.Errors = errs
		return x.showRecovery(status, form)
	}
	form.Sent, form.Life = true, signin.ResetTime
	return x.showRecovery(http.StatusOK, form)
}

func (d *dashboard) resetForm(x *exchange) error { return x.showReset(http.StatusOK, nil) }

func (x *exchange) showReset(status int, errs []view.FieldError) error {
	if x.d.People == nil {
		return errNoPage
	}
	email, err := x.d.People.OpenReset(x.Context(), x.token())
	if err != nil {
		return deadLink(err)
	}
	p := x.page("Choose a new password")
	p.Width = "narrow"
	return x.show(status, view.ResetPage(p, view.ResetForm{Path: x.URL.Path, Email: email, MinPassword: signin.MinPassword, MaxPassword: signin.MaxPassword, Errors: errs}))
}

// reset sets a new password by a mailed link, which is no sign-in.
func (d *dashboard) reset(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	if err := d.People.Reset(x.Context(), x.origin(), x.token(), secret.NewPlaintext(x.PostForm.Get("password"))); err != nil {
		status, errs, err := x.refused(err, "password")
		if err != nil {
			return deadLink(err)
		}
		return x.showReset(status, errs)
	}
	x.setCookie(sessionCookie, "", 0)
	x.session, x.places = nil, nil
	return x.thanks("Your password is set", "You are signed out everywhere. Sign in with the new password.")
}
