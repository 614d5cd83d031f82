package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// organisationDeletion asks whether to delete the organisation, or offers to
// restore it.
func (d *dashboard) organisationDeletion(x *exchange) error {
	return x.showOrganisationDeletion(http.StatusOK, nil)
}

func (x *exchange) showOrganisationDeletion(status int, errs []view.FieldError) (err error) {
	page := view.Deletion{Name: x.organisation.Name, Path: x.here(), EraseAt: x.organisation.EraseAt, Undo: registry.UndoTime, Quiet: registry.QuietTime, Errors: errs}
	if page.Locked, err = x.locked("organisation", actor.OrganisationWrite); err != nil {
		return err
	}
	p := x.page("Delete organisation")
	p.Width = "narrow"
	return x.show(status, view.DeletionPage(p, page))
}

func (d *dashboard) deleteOrganisation(x *exchange) error {
	if err := x.sees(actor.OrganisationWrite); err != nil {
		return err
	}
	if x.value("name") != x.organisation.Name {
		return x.showOrganisationDeletion(http.StatusUnprocessableEntity, []view.FieldError{{Field: "name", Text: "Type the name of the organisation to say that you mean it: " + x.organisation.Name + "."}})
	}
	if err := d.Registry.Apply(x.Context(), x.by, registry.DeleteOrganisation{}); err != nil {
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
		return x.showOrganisationDeletion(http.StatusConflict, []view.FieldError{{Text: message(err)}})
	}
	return x.done(x.here()+"/delete", x.organisation.Name+" has stopped, and is erased in "+view.Duration(registry.UndoTime)+" unless it is restored.", nil)
}

func (d *dashboard) restoreOrganisation(x *exchange) error {
	if err := d.Registry.Apply(x.Context(), x.by, registry.RestoreOrganisation{}); err != nil {
		return err
	}
	return x.done(x.here(), x.organisation.Name+" is restored. Its API clients work again, with new access tokens.", nil)
}
