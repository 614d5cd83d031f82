package dashboard

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/secret"
)

// unkept are the fields of a form that no other page may hold.
var unkept = []string{"password", "old", "code", "secret"}

// askAgain is what somebody gets whose sign-in is too long ago for what they
// want: once they have proved who they are, they go on with it.
func (x *exchange) askAgain(status int) error {
	form := view.AgainForm{Next: x.URL.RequestURI()}
	if x.Method == http.MethodPost {
		form.Next, form.Path = x.from(), x.URL.Path
		for _, name := range slices.Sorted(maps.Keys(x.PostForm)) {
			for _, value := range x.PostForm[name] {
				form.Fields = append(form.Fields, view.Hidden{Name: name, Value: value})
			}
			if slices.Contains(unkept, name) { // it has to be filled in anew
				form.Path, form.Fields = "", nil
				break
			}
		}
	}
	return x.showAgain(status, form)
}

func (x *exchange) showAgain(status int, form view.AgainForm) error {
	form.Why, form.Factor = message(actor.ErrRecentSignIn), x.session.Factor
	p := x.page("Sign in once more")
	p.Width = "narrow"
	return x.show(status, view.AgainPage(p, form))
}

func (d *dashboard) againForm(x *exchange) error {
	return x.showAgain(http.StatusOK, view.AgainForm{Next: local(x.URL.Query().Get("next"))})
}

// again proves who somebody is, and leads back to what they were about to do.
func (d *dashboard) again(x *exchange) error {
	form := view.AgainForm{Next: local(x.value("next")), Path: local(x.value("path"))}
	kept, err := url.ParseQuery(x.PostForm.Get("form"))
	if err != nil {
		return errBadForm
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		for _, value := range kept[name] {
			form.Fields = append(form.Fields, view.Hidden{Name: name, Value: value})
		}
	}
	in, err := d.People.Prove(x.Context(), x.origin(), x.session, secret.NewPlaintext(x.PostForm.Get("password")), x.value("code"))
	if err != nil {
		status, errs, err := x.refused(err, "password", "code")
		if err != nil {
			return err
		}
		form.Errors = errs
		return x.showAgain(status, form)
	}
	x.keep(&in)
	if form.Path == "/" {
		return x.redirect(form.Next)
	}
	p := x.page("Go on with what you began")
	p.Width = "narrow"
	return x.show(http.StatusOK, view.GoOnPage(p, form))
}
