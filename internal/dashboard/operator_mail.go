package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
)

// mails lists the outbox: what was not delivered, or all of the last weeks.
func (d *dashboard) mails(x *exchange) error {
	query := x.URL.Query()
	page := view.Outbox{Path: x.URL.Path, All: query.Has("all"), Delivers: d.Registry.Mail.Delivers(), Kept: mail.Kept}
	entries, more, err := d.Registry.Mails(x.Context(), x.by, !page.All, query.Get("after"))
	if err != nil {
		return err
	}
	for i := range entries {
		page.Rows = append(page.Rows, x.mailRow(&entries[i]))
	}
	if more {
		query.Set("after", entries[len(entries)-1].ID)
		page.Older = x.URL.Path + "?" + query.Encode()
	}
	if query.Has("after") {
		page.Newest = x.URL.Path
		if page.All {
			page.Newest += "?all="
		}
	}
	return x.show(http.StatusOK, view.OutboxPage(x.page("Outbox"), page))
}

func (x *exchange) mailRow(e *mail.Entry) view.MailRow {
	row := view.MailRow{
		Path: operatorPath + "/mail/" + e.ID, Recipient: e.Recipient, Subject: e.Subject, Kind: mailKinds[e.Kind], State: string(e.State),
		CreatedAt: e.CreatedAt, EndsAt: e.EndsAt, EndedAt: e.EndedAt, NextAt: e.NextAt, Attempts: e.Attempts, Failure: e.Failure, Organisation: string(e.Organisation),
	}
	if e.State == mail.Waiting && !e.EndsAt.After(x.d.Now()) {
		row.State = view.MailOver
	}
	return row
}

// mailKinds say what a mail is about.
var mailKinds = map[mail.Kind]string{
	mail.KindInvitation:   "Invitation",
	mail.KindVerification: "Verification of an address",
	mail.KindReset:        "Link for a new password",
	mail.KindPassword:     "Changed password",
	mail.KindFactor:       "Second factor",
	mail.KindDeletion:     "Deleted organisation",
	mail.KindRequest:      "Request",
	mail.KindSecrets:      "Secrets that end",
}

// mail shows what is known of a mail. Its text is asked for by a form, since
// reading it is recorded.
func (d *dashboard) mail(x *exchange) error {
	e, err := d.Registry.MailEntry(x.Context(), x.by, x.PathValue("mail"))
	if err != nil {
		return err
	}
	return x.showMail(&e, "")
}

// readMail shows a mail with its text, which may hold a link as good as a
// password: the page is neither kept nor compressed.
func (d *dashboard) readMail(x *exchange) error {
	e, text, err := d.Registry.ReadMail(x.Context(), x.by, x.PathValue("mail"))
	if err != nil {
		return err
	}
	x.secret = true
	return x.showMail(&e, text)
}

func (x *exchange) showMail(e *mail.Entry, text string) error {
	page := view.Mail{MailRow: x.mailRow(e), List: operatorPath + "/mail", Text: text, Delivers: x.d.Registry.Mail.Delivers()}
	if e.Organisation != "" {
		entry, err := x.d.Registry.Organisation(x.Context(), x.by.In(id.Organisation(page.Organisation)))
		if unlessGone(err) != nil {
			return err
		}
		page.OrganisationName = entry.Name
	}
	p := x.page(e.Subject)
	p.Width = "middle"
	return x.show(http.StatusOK, view.MailPage(p, page))
}
