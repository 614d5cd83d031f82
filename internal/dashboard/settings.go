package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/registry"
)

func (d *dashboard) organisationSettings(x *exchange) error {
	return x.showOrganisationSettings(http.StatusOK, x.organisation.Name, nil)
}

func (x *exchange) showOrganisationSettings(status int, typed string, errs []view.FieldError) error {
	return x.showSettings(status, actor.OrganisationWrite, view.Settings{
		What: "organisation", Name: x.organisation.Name, Typed: typed, Version: x.organisation.Version,
		ID: string(x.organisation.ID), CreatedAt: x.organisation.CreatedAt, Delete: x.here() + "/delete", Errors: errs,
	})
}

func (d *dashboard) accountSettings(x *exchange) error {
	return x.showAccountSettings(http.StatusOK, x.account.Name, nil)
}

func (x *exchange) showAccountSettings(status int, typed string, errs []view.FieldError) error {
	return x.showSettings(status, actor.AccountWrite, view.Settings{
		What: "account", Name: x.account.Name, Typed: typed, Version: x.account.Version, Environment: string(x.account.ID.Environment()),
		ID: string(x.account.ID), CreatedAt: x.account.CreatedAt, Delete: x.here() + "/delete", Errors: errs,
	})
}

func (x *exchange) showSettings(status int, ability actor.Ability, s view.Settings) (err error) {
	s.Path = x.here() + "/settings"
	if s.Locked, err = x.locked("settings", ability); err != nil {
		return err
	}
	p := x.page("Settings")
	p.Width = "narrow"
	return x.show(status, view.SettingsPage(p, s))
}

func (d *dashboard) saveOrganisationSettings(x *exchange) error {
	edit := registry.RenameOrganisation{Name: x.value("name"), Base: x.base()}
	if err := x.apply(edit); err != nil {
		status, errs, err := x.refused(err, "name")
		if err != nil {
			return err
		}
		return x.showOrganisationSettings(status, edit.Name, errs)
	}
	return x.renamed("organisation", x.organisation.Name, edit.Name)
}

func (d *dashboard) saveAccountSettings(x *exchange) error {
	edit := registry.RenameAccount{Account: x.account.ID, Name: x.value("name"), Base: x.base()}
	if err := x.apply(edit); err != nil {
		status, errs, err := x.refused(err, "name")
		if err != nil {
			return err
		}
		return x.showAccountSettings(status, edit.Name, errs)
	}
	return x.renamed("account", x.account.Name, edit.Name)
}

// renamed says so, and offers the name of before.
func (x *exchange) renamed(what, before, name string) error {
	return x.done(x.URL.Path, "The "+what+" is called "+name+" now.", &view.Action{
		Label: "Undo", Path: x.URL.Path, Fields: []view.Hidden{{Name: "name", Value: before}}, Class: "small", Icon: "undo-2",
	})
}
