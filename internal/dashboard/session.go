package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/dashboard/view"
)

// sessions lists where somebody is signed in.
func (d *dashboard) sessions(x *exchange) error {
	list, err := d.People.Sessions(x.Context(), x.session)
	if err != nil {
		return err
	}
	var page view.Sessions
	for _, s := range list {
		page.Rows = append(page.Rows, view.SessionRow{
			ID: s.ID, Browser: browserName(s.UserAgent), Agent: s.UserAgent, Address: s.Address, SeenAt: s.SeenAt, CreatedAt: s.CreatedAt, EndsAt: s.EndsAt, Here: s.ID == x.session.ID,
		})
	}
	return x.show(http.StatusOK, view.SessionsPage(x.page("Sessions"), page))
}

func (d *dashboard) endSession(x *exchange) error {
	key := x.PathValue("session")
	if key == x.session.ID {
		return d.signOut(x)
	}
	if err := d.People.EndSession(x.Context(), x.origin(), x.session, key); err != nil {
		return err
	}
	return x.done("/me/sessions", "The session is ended.", nil)
}

func (d *dashboard) endOtherSessions(x *exchange) error {
	if err := d.People.EndOtherSessions(x.Context(), x.origin(), x.session); err != nil {
		return err
	}
	return x.done("/me/sessions", "You are signed out everywhere else.", nil)
}
