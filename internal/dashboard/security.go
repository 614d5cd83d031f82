package dashboard

import (
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
)

// security is where password and second factor are changed.
func (d *dashboard) security(x *exchange) error {
	return x.showSecurity(http.StatusOK, view.Security{})
}

func (x *exchange) showSecurity(status int, page view.Security) (err error) {
	page.Factor, page.MinPassword, page.MaxPassword = x.session.Factor, signin.MinPassword, signin.MaxPassword
	for _, m := range x.session.Memberships {
		page.Removable = page.Factor && m.Organisation != "" && m.SandboxOnly
		if !page.Removable {
			break
		}
	}
	if page.Factor {
		if page.Codes, err = x.d.People.CountRecoveryCodes(x.Context(), x.session); err != nil {
			return err
		}
	}
	p := x.page("Security")
	p.Width = "narrow"
	return x.show(status, view.SecurityPage(p, page))
}

func (d *dashboard) changePassword(x *exchange) error {
	in, err := d.People.ChangePassword(x.Context(), x.origin(), x.session, secret.NewPlaintext(x.PostForm.Get("old")), secret.NewPlaintext(x.PostForm.Get("password")))
	if err != nil {
		status, errs, err := x.refused(err, "old do not fit", "password")
		if err != nil {
			return err
		}
		return x.showSecurity(status, view.Security{Errors: errs})
	}
	x.keep(&in)
	return x.done("/me/security", "Your password is changed. You are signed out everywhere else.", nil)
}

// browserName is what people call a browser, of what it says of itself.
func browserName(agent string) string {
	for _, known := range []struct{ mark, name string }{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}} {
		if strings.Contains(agent, known.mark) {
			return known.name + systemName(agent)
		}
	}
	if agent == "" {
		return "Unknown browser"
	}
	name, _, _ := strings.Cut(agent, " ")
	return name
}

func systemName(agent string) string {
	for _, known := range []struct{ mark, name string }{{"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, known.mark) {
			return " on " + known.name
		}
	}
	return ""
}
