package dashboard

import (
	"net/http"
	"strconv"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// versionsPage is how many versions of a product a page shows.
const versionsPage = 20

// productVersions lists what a product said before, newest first.
func (d *dashboard) productVersions(x *exchange) error {
	_, frame, err := x.enterProduct("Versions")
	if err != nil {
		return err
	}
	query := x.URL.Query()
	list, err := d.Registry.ProductVersions(x.Context(), x.by, frame.Key, registry.Page{Limit: versionsPage + 1, After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") {
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	page := view.ProductVersions{Frame: frame}
	for i := range list.Items {
		v := &list.Items[i]
		row := view.VersionRow{Number: v.Version, At: v.CreatedAt, Live: v.Version == frame.Version, Path: frame.Path + "/versions/" + strconv.FormatInt(v.Version, 10)}
		if i+1 < len(list.Items) {
			for _, c := range differenceOf(&list.Items[i+1].Definition, &v.Definition) {
				if c.Kind == "added" {
					row.Added++
				} else {
					row.Removed++
				}
			}
		}
		row.First = v.Version == 1
		page.Rows = append(page.Rows, row)
	}
	if query.Has("after") {
		page.Newest = x.URL.Path
	}
	if list.Next != "" {
		query.Set("after", string(list.Next))
		page.Older = x.URL.Path + "?" + query.Encode()
	}
	return x.show(http.StatusOK, view.ProductVersionsPage(x.productPage(frame), page))
}

// namedVersion is the version of the product that the address names.
func (x *exchange) namedVersion(key string) (v registry.ProductVersion, err error) {
	number, err := strconv.ParseInt(x.PathValue("version"), 10, 64)
	if err != nil || number < 1 {
		return v, errNoPage
	}
	for page := (registry.Page{Limit: registry.MaxPageSize}); ; {
		list, err := x.d.Registry.ProductVersions(x.Context(), x.by, key, page)
		if err != nil {
			return v, err
		}
		for _, v := range list.Items {
			if v.Version == number {
				return v, nil
			}
		}
		if page.After = list.Next; page.After == "" {
			return v, errNoPage
		}
	}
}

// productVersion shows what would change if a version were the live one again.
func (d *dashboard) productVersion(x *exchange) error {
	p, frame, err := x.enterProduct("Versions")
	if err != nil {
		return err
	}
	return x.showVersion(http.StatusOK, &p, frame, nil)
}

func (x *exchange) showVersion(status int, p *registry.OfferedProduct, frame view.ProductFrame, errs []view.FieldError) error {
	v, err := x.namedVersion(frame.Key)
	if err != nil {
		return err
	}
	page := view.ProductVersion{
		Frame: frame, Path: frame.Path + "/versions/" + strconv.FormatInt(v.Version, 10), List: frame.Path + "/versions", Number: v.Version, At: v.CreatedAt,
		Live: v.Version == frame.Version, Changes: differenceOf(&p.Definition, &v.Definition), Effects: stops(&p.Definition, &v.Definition), Errors: errs,
	}
	w := x.page("Version "+strconv.FormatInt(v.Version, 10), frame.Name)
	w.Width = "middle"
	return x.show(status, view.ProductVersionPage(w, page))
}

// restoreVersion makes what a version said the next one. Its page was the review.
func (d *dashboard) restoreVersion(x *exchange) error {
	p, frame, err := x.changesProduct("Versions")
	if err != nil {
		return err
	}
	v, err := x.namedVersion(frame.Key)
	if err != nil {
		return err
	}
	err = d.Registry.Apply(x.Context(), x.by, registry.PutProduct{Definition: v.Definition, Source: registry.Managed, Base: x.base()})
	if err == nil {
		return x.done(frame.Path+"/versions", "The product says again what it said in version "+strconv.FormatInt(v.Version, 10)+".", nil)
	}
	status, errs, err := x.refused(err, "")
	if err != nil {
		return err
	}
	return x.showVersion(status, &p, frame, errs)
}
