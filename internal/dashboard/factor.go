package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// errPending is what every page but that of the second factor says to a session
// that waits for it.
var errPending = fault.Errorf(fault.Unauthenticated, "the second factor is still missing")

// factorForm asks for the second factor that a sign-in waits for.
func (d *dashboard) factorForm(x *exchange) error {
	next := local(x.URL.Query().Get("next"))
	switch {
	case x.pending == nil && x.session == nil:
		return x.redirect("/signin?next=" + url.QueryEscape(next))
	case x.pending == nil:
		return x.redirect(next)
	}
	return x.showFactorForm(http.StatusOK, view.FactorForm{Next: next})
}

func (x *exchange) showFactorForm(status int, form view.FactorForm) error {
	form.Email = x.pending.Person.Email
	p := x.page("Second factor")
	p.Width = "narrow"
	return x.show(status, view.FactorPage(p, form))
}

// giveFactor completes a sign-in.
func (d *dashboard) giveFactor(x *exchange) error {
	if x.pending == nil {
		return errSignIn
	}
	next := local(x.value("next"))
	in, err := d.People.GiveFactor(x.Context(), x.origin(), x.pending, x.value("code"))
	if err != nil {
		status, errs, err := x.refused(err, "code")
		if err != nil {
			return err
		}
		return x.showFactorForm(status, view.FactorForm{Next: next, Errors: errs})
	}
	x.keep(&in)
	return x.redirect(next)
}

// beginFactor shows a new second factor, this once.
func (d *dashboard) beginFactor(x *exchange) error {
	e, err := d.People.BeginFactor(x.Context(), x.session)
	if err != nil {
		return err
	}
	x.secret = true
	return x.showEnrolment(http.StatusOK, view.Enrolment{Secret: grouped(e.Secret.Reveal()), URI: e.URI.Reveal(), QR: qrPath(e.QR), Size: len(e.QR)})
}

func (x *exchange) showEnrolment(status int, e view.Enrolment) error {
	e.Replaces = x.session.Factor
	p := x.page("Set up a second factor")
	p.Width = "narrow"
	return x.show(status, view.EnrolmentPage(p, e))
}

// grouped is a long word in parts of four, for who types it.
func grouped(word string) string {
	var parts []string
	for len(word) > 4 {
		parts, word = append(parts, word[:4]), word[4:]
	}
	return strings.Join(append(parts, word), " ")
}

// qrPath draws the dark modules of a QR code as the path of an SVG.
func qrPath(rows [][]bool) string {
	var path strings.Builder
	for y, row := range rows {
		for from := 0; from < len(row); from++ {
			if !row[from] {
				continue
			}
			to := from
			for to < len(row) && row[to] {
				to++
			}
			fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from, y, to-from, to-from)
			from = to
		}
	}
	return path.String()
}

// confirmFactor puts the new factor in force and shows recovery codes.
func (d *dashboard) confirmFactor(x *exchange) error {
	in, codes, err := d.People.ConfirmFactor(x.Context(), x.origin(), x.session, x.value("code"))
	if err != nil {
		status, errs, err := x.refused(err, "code")
		if err != nil {
			return err
		}
		return x.showEnrolment(status, view.Enrolment{Errors: errs}) // the secret cannot be shown again
	}
	x.keep(&in)
	return x.showRecoveryCodes("Your second factor is set up", codes)
}

func (d *dashboard) renewRecoveryCodes(x *exchange) error {
	codes, err := d.People.NewRecoveryCodes(x.Context(), x.origin(), x.session)
	if err != nil {
		return err
	}
	return x.showRecoveryCodes("New recovery codes", codes)
}

// showRecoveryCodes shows them, this once.
func (x *exchange) showRecoveryCodes(title string, codes []secret.Plaintext) error {
	x.secret = true
	page := view.RecoveryCodes{}
	for _, code := range codes {
		page.Codes = append(page.Codes, code.Reveal())
	}
	p := x.page(title)
	p.Width = "narrow"
	return x.show(http.StatusOK, view.RecoveryCodesPage(p, page))
}

func (d *dashboard) removeFactor(x *exchange) error {
	in, err := d.People.RemoveFactor(x.Context(), x.origin(), x.session)
	if err != nil {
		status, errs, err := x.refused(err, "")
		if err != nil {
			return err
		}
		return x.showSecurity(status, view.Security{Errors: errs})
	}
	x.keep(&in)
	return x.done("/me/security", "Your second factor is removed. The password alone reaches nothing in production.", nil)
}
