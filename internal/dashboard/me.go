package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// me is the profile of who is signed in.
func (d *dashboard) me(x *exchange) error {
	return x.showMe(http.StatusOK, x.session.Person.Name, nil)
}

func (x *exchange) showMe(status int, name string, errs []view.FieldError) error {
	person := &x.session.Person
	page := view.Profile{Name: name, Email: person.Email, Verified: !person.VerifiedAt.IsZero(), ID: string(person.ID), Version: person.Version, Since: person.CreatedAt, Errors: errs}
	for _, m := range x.session.Memberships {
		place := view.Belonging{Name: titleOf(m.Name, "The operator's people")}
		for _, held := range rolesHeld(m.Roles, map[id.Account]string{}) {
			place.Roles = append(place.Roles, held.Text())
		}
		if m.Organisation != "" {
			place.Path = "/o/" + string(m.Organisation)
		}
		page.Places = append(page.Places, place)
	}
	p := x.page("Profile")
	p.Width = "middle"
	return x.show(status, view.ProfilePage(p, page))
}

func (d *dashboard) saveMe(x *exchange) error {
	edit := registry.RenamePerson{Name: x.value("name"), Base: x.base()}
	if err := d.Registry.Apply(x.Context(), x.self(), edit); err != nil {
		status, errs, err := x.refused(err, "name")
		if err != nil {
			return err
		}
		return x.showMe(status, edit.Name, errs)
	}
	return x.done("/me", "Your name is saved.", nil)
}

// sendVerification mails another link that verifies the address.
func (d *dashboard) sendVerification(x *exchange) error {
	if err := d.People.SendVerification(x.Context(), x.origin(), x.session); err != nil {
		return err
	}
	return x.done("/me", "A mail with a link is on its way to "+x.session.Person.Email+".", nil)
}

// preferences are what a person likes, here and in mails.
func (d *dashboard) preferences(x *exchange) error {
	p := x.page("Preferences")
	p.Width = "narrow"
	return x.show(http.StatusOK, view.PreferencesPage(p, view.Preferences{
		Theme: x.theme(), Keys: !p.NoKeys, SecretMails: !x.session.Person.NoMails, Version: x.session.Person.Version,
	}))
}

func (d *dashboard) savePreferences(x *exchange) error {
	if mails := x.value("mails") != ""; mails == x.session.Person.NoMails {
		if err := d.Registry.Apply(x.Context(), x.self(), registry.ChooseMails{SecretsEnding: mails}); err != nil {
			return err
		}
	}
	if err := x.keepTheme(x.value("theme")); err != nil {
		return err
	}
	if x.value("keys") == "" {
		x.setCookie(keysCookie, "off", year)
	} else {
		x.setCookie(keysCookie, "", 0)
	}
	return x.done("/me/preferences", "Your preferences are saved.", nil)
}

// farewell asks whether somebody wants to delete themselves.
func (d *dashboard) farewell(x *exchange) error { return x.showFarewell(http.StatusOK, nil) }

func (x *exchange) showFarewell(status int, errs []view.FieldError) error {
	page := view.Farewell{Email: x.session.Person.Email, Errors: errs}
	for _, m := range x.session.Memberships {
		page.Places = append(page.Places, titleOf(m.Name, "the operator's people"))
	}
	p := x.page("Delete yourself")
	p.Width = "narrow"
	return x.show(status, view.FarewellPage(p, page))
}

// deleteMe deletes who is signed in, and says so without a session.
func (d *dashboard) deleteMe(x *exchange) error {
	if x.value("email") != x.session.Person.Email {
		return x.showFarewell(http.StatusUnprocessableEntity, []view.FieldError{{Field: "email", Text: "Type your e-mail address to say that you mean it: " + x.session.Person.Email + "."}})
	}
	if err := d.Registry.Apply(x.Context(), x.self(), registry.DeletePerson{Person: x.session.Person.ID}); err != nil {
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
		return x.showFarewell(http.StatusConflict, []view.FieldError{{Text: message(err)}})
	}
	x.setCookie(sessionCookie, "", 0)
	x.setCookie(browserCookie, "", 0)
	x.session, x.places = nil, nil
	p := x.page("You are deleted")
	p.Width = "narrow"
	return x.show(http.StatusOK, view.GonePage(p))
}
