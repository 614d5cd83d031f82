package dashboard

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/openapi"
	"github.com/doorward/doorward/internal/registry"
)

// maxUpload bounds a form that may come with a file.
const maxUpload = 2 << 20

// takeUpload puts the file that came with a form, if there is one, in the place
// of the field of that name.
func (x *exchange) takeUpload(field string) error {
	if x.MultipartForm == nil || len(x.MultipartForm.File["file"]) == 0 {
		return nil
	}
	file, err := x.MultipartForm.File["file"][0].Open()
	if err != nil {
		return errBadForm
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxUpload))
	if err != nil {
		return errBadForm
	}
	if len(text) > 0 {
		x.PostForm.Set(field, string(text))
	}
	return nil
}

func (d *dashboard) importForm(x *exchange) error {
	_, frame, err := x.enterProduct("Routes")
	if err != nil {
		return err
	}
	return x.showImport(http.StatusOK, frame, "", nil)
}

func (x *exchange) showImport(status int, frame view.ProductFrame, document string, errs []view.FieldError) error {
	p := x.page("Import OpenAPI document", frame.Name)
	p.Width = "middle"
	return x.show(status, view.ImportPage(p, view.Import{Frame: frame, Path: frame.Path + "/import", Document: document, Errors: errs}))
}

// importDocument puts the routes of a document in the place of a product's, after
// a look at what that changes.
func (d *dashboard) importDocument(x *exchange) error {
	if err := x.takeUpload("document"); err != nil {
		return err
	}
	p, frame, err := x.changesProduct("Routes")
	if err != nil {
		return err
	}
	document, next := x.PostForm.Get("document"), copyOf(&p.Definition)
	if err = x.importInto(&next, document); err == nil {
		err = d.Registry.CheckProduct(next)
	}
	if err == nil && x.value("confirm") == "" {
		effects := stops(&p.Definition, &next)
		return x.reviewProduct(&p, &next, "Import OpenAPI document", frame.Path+"/routes", effects)
	}
	if err == nil {
		err = x.putProduct(&p, next, frame.Path+"/routes", fmt.Sprintf("The document is imported: %s.", view.Many(len(next.Routes), "route")))
	}
	if err == nil {
		return nil
	}
	status, errs, err := x.refused(err, "document")
	if err != nil {
		return err
	}
	return x.showImport(status, frame, document, errs)
}

// importInto reads routes and permissions of a document into a definition. What
// was said about a permission before stays; one that the document does not name
// is dropped, or retired where clients hold it.
func (x *exchange) importInto(d *registry.Definition, document string) error {
	if strings.TrimSpace(document) == "" {
		return fault.Errorf(fault.Invalid, "paste a document, or choose a file")
	}
	permissions, routes, err := openapi.Read([]byte(document), d.Key)
	if err != nil {
		return fault.Errorf(fault.Invalid, "the document was not imported: %w", err)
	}
	before := d.Permissions
	d.Routes, d.Permissions = routes, nil
	for _, p := range permissions {
		for _, known := range before {
			if known.Key == p.Key {
				p.Assignable, p.Retired = known.Assignable, known.Retired
				if p.Description == "" {
					p.Description = known.Description
				}
			}
		}
		if p.Assignable == "" {
			p.Assignable = registry.ByCustomer
		}
		d.Permissions = append(d.Permissions, p)
	}
	for _, known := range before {
		if permissionAt(d, known.Key) >= 0 {
			continue
		}
		holders, err := x.d.Registry.PermissionHolders(x.Context(), x.by, known.Key)
		if err != nil {
			return err
		}
		if holders.Clients > 0 {
			known.Retired = true
			d.Permissions = append(d.Permissions, known)
		}
	}
	return nil
}
