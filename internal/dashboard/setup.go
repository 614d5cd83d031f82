package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
)

func (d *dashboard) setUpForm(x *exchange) error {
	return x.showSetUp(http.StatusOK, view.SetUpForm{})
}

// showSetUp shows the page behind the link of a new installation's console.
func (x *exchange) showSetUp(status int, form view.SetUpForm) error {
	if x.d.People == nil {
		return errNoPage
	}
	if err := x.d.People.OpenSetUp(x.Context(), x.token()); err != nil {
		return deadLink(err)
	}
	form.Path, form.MinPassword, form.MaxPassword = x.URL.Path, signin.MinPassword, signin.MaxPassword
	p := x.page("Become the operator")
	p.Width = "narrow"
	return x.show(status, view.SetUpPage(p, form))
}

// setUp makes the first operator admin.
func (d *dashboard) setUp(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	form := view.SetUpForm{Email: x.value("email"), Name: x.value("name")}
	in, err := d.People.SetUp(x.Context(), x.origin(), x.token(), signin.Newcomer{Email: form.Email, Name: form.Name, Password: secret.NewPlaintext(x.PostForm.Get("password"))})
	if err != nil {
		status, errs, err := x.refused(err, "email e-mail", "password", "name")
		if err != nil {
			return deadLink(err)
		}
		form.Errors = errs
		return x.showSetUp(status, form)
	}
	if err := x.begin(&in); err != nil {
		return err
	}
	return x.done("/me/security", "You are operator admin. Set up a second factor now: the operator's pages ask for it.", nil)
}
