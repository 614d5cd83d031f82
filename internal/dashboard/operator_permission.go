package dashboard

import (
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// permissionFields are those that a message about a permission can mean.
var permissionFields = []string{"key", "description", "assignable"}

func (d *dashboard) productPermissions(x *exchange) error {
	p, frame, err := x.enterProduct("Permissions")
	if err != nil {
		return err
	}
	return x.showProductPermissions(http.StatusOK, &p, frame, view.PermissionForm{Key: p.Definition.Key + ".", Assignable: string(registry.ByCustomer)}, nil)
}

func (x *exchange) showProductPermissions(status int, p *registry.OfferedProduct, frame view.ProductFrame, form view.PermissionForm, errs []view.FieldError) error {
	page := view.ProductPermissions{Frame: frame, Form: form, Errors: errs}
	for _, permission := range permissionsOf(&p.Definition) {
		holders, err := x.d.Registry.PermissionHolders(x.Context(), x.by, permission.Key)
		if err != nil {
			return err
		}
		page.Rows = append(page.Rows, view.ProductPermission{Permission: permission, Path: frame.Path + "/permissions/" + permission.Key, Holders: view.Holders(holders)})
	}
	return x.show(status, view.ProductPermissionsPage(x.productPage(frame), page))
}

// permissionForm is a permission as a form has it.
func (x *exchange) permissionForm() view.PermissionForm {
	return view.PermissionForm{Key: x.value("key"), Words: x.value("description"), Assignable: x.value("assignable"), Retired: x.value("retired") != ""}
}

func permissionFrom(f *view.PermissionForm) registry.Permission {
	return registry.Permission{Key: f.Key, Description: f.Words, Assignable: registry.Assignable(f.Assignable), Retired: f.Retired}
}

func (d *dashboard) addPermission(x *exchange) error {
	p, frame, err := x.changesProduct("Permissions")
	if err != nil {
		return err
	}
	form, next := x.permissionForm(), copyOf(&p.Definition)
	if permissionAt(&next, form.Key) >= 0 {
		err = fault.Errorf(fault.Conflict, "the product has a permission with that key already: choose another")
	} else {
		next.Permissions = append(next.Permissions, permissionFrom(&form))
		err = x.putProduct(&p, next, frame.Path+"/permissions", "Permission "+form.Key+" is added. No route needs it yet.")
	}
	if err == nil {
		return nil
	}
	status, errs, err := x.refused(err, permissionFields...)
	if err != nil {
		return err
	}
	return x.showProductPermissions(status, &p, frame, form, errs)
}

// namedPermission is the one that the address names.
func (x *exchange) namedPermission(d *registry.Definition) (int, error) {
	at := permissionAt(d, x.PathValue("permission"))
	if at < 0 {
		return at, errNoPage
	}
	return at, nil
}

func (d *dashboard) productPermission(x *exchange) error {
	p, frame, err := x.enterProduct("Permissions")
	if err != nil {
		return err
	}
	at, err := x.namedPermission(&p.Definition)
	if err != nil {
		return err
	}
	held := p.Definition.Permissions[at]
	form := view.PermissionForm{Key: held.Key, Words: held.Description, Assignable: string(held.Assignable), Retired: held.Retired}
	return x.showProductPermission(http.StatusOK, &p, frame, form, nil)
}

func (x *exchange) showProductPermission(status int, p *registry.OfferedProduct, frame view.ProductFrame, form view.PermissionForm, errs []view.FieldError) error {
	holders, err := x.d.Registry.PermissionHolders(x.Context(), x.by, form.Key)
	if err != nil {
		return err
	}
	page := view.EditPermission{Frame: frame, Path: frame.Path + "/permissions/" + form.Key, Form: form, Holders: view.Holders(holders), Errors: errs}
	for _, permission := range permissionsOf(&p.Definition) {
		if permission.Key == form.Key {
			page.Routes = permission.Routes
		}
	}
	w := x.page("Permission "+form.Key, frame.Name)
	w.Width = "middle"
	return x.show(status, view.EditPermissionPage(w, page))
}

func (d *dashboard) savePermission(x *exchange) error {
	return x.changePermission("is changed.", permissionFields[1:], func(next *registry.Definition, at int, form *view.PermissionForm) {
		next.Permissions[at] = permissionFrom(form)
	})
}

// removePermission takes a permission away that no client holds and no route
// needs; the registry says which does.
func (d *dashboard) removePermission(x *exchange) error {
	return x.changePermission("is removed.", []string{""}, func(next *registry.Definition, at int, _ *view.PermissionForm) {
		next.Permissions = slices.Delete(next.Permissions, at, at+1)
	})
}

func (x *exchange) changePermission(said string, fields []string, change func(next *registry.Definition, at int, form *view.PermissionForm)) error {
	p, frame, err := x.changesProduct("Permissions")
	if err != nil {
		return err
	}
	next := copyOf(&p.Definition)
	at, err := x.namedPermission(&next)
	if err != nil {
		return err
	}
	form := x.permissionForm()
	form.Key = next.Permissions[at].Key
	change(&next, at, &form)
	err = x.putProduct(&p, next, frame.Path+"/permissions", "Permission "+form.Key+" "+said)
	if err == nil {
		return nil
	}
	status, errs, err := x.refused(err, fields...)
	if err != nil {
		return err
	}
	return x.showProductPermission(status, &p, frame, form, errs)
}
