package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// permissions is the tick list of a client: all that it could hold, by product,
// with the routes that each opens. Who may not change it can still tick, to ask.
func (d *dashboard) permissions(x *exchange) error {
	p, frame, err := x.clientPage("Permissions")
	if err != nil {
		return err
	}
	page := view.Permissions{Frame: frame, Base: x.client.Version, Was: strings.Join(x.client.Permissions, " "), Most: registry.MaxPermissions}
	if page.Locked, err = x.locked("permissions", actor.PermissionWrite); err != nil {
		return err
	}
	use, err := d.Usage.Client(x.Context(), x.by, x.client.ID)
	if err != nil {
		return err
	}
	products, err := x.products()
	if err != nil {
		return err
	}
	left := slices.Clone(x.client.Permissions)
	for _, product := range products {
		group := view.PermissionGroup{Key: product.Definition.Key, Name: product.Definition.Name, Prefix: product.Definition.Prefix}
		for _, permission := range permissionsOf(&product.Definition) {
			held := slices.Contains(left, permission.Key)
			if permission.Retired && !held {
				continue
			}
			left = slices.DeleteFunc(left, func(key string) bool { return key == permission.Key })
			row := view.PermissionRow{Permission: permission, Held: held, UsedAt: use.Permissions[permission.Key].At}
			row.Fixed = !held && !permission.Assignable && !x.by.May(actor.PermissionAssign, x.account.ID)
			group.Rows = append(group.Rows, row)
			if held {
				group.Held++
			}
		}
		page.Groups = append(page.Groups, group)
	}
	if len(left) > 0 {
		group := view.PermissionGroup{Name: "No longer offered here", Held: len(left)}
		for _, key := range left {
			group.Rows = append(group.Rows, view.PermissionRow{Permission: view.Permission{Key: key, Words: key}, Held: true, UsedAt: use.Permissions[key].At})
		}
		page.Groups = append(page.Groups, group)
	}
	return x.show(http.StatusOK, view.PermissionsPage(p, page))
}

// permissionChange is what is to be added to and taken from a client that held
// was when somebody looked.
type permissionChange struct {
	add, remove, was []string
	base             int64
}

// changeOf reads a change: as the ticks of the whole list against what was held
// then, or as what to add and remove.
func (x *exchange) changeOf(form url.Values) (c permissionChange) {
	c.base, _ = strconv.ParseInt(form.Get("base"), 10, 64)
	c.was = strings.Fields(form.Get("was"))
	if !form.Has("was") {
		c.was, c.base = x.client.Permissions, x.client.Version
	}
	c.add, c.remove = unique(form["add"]), unique(form["remove"])
	if form.Has("ticks") {
		c.add, c.remove = minus(form["permission"], c.was), minus(c.was, form["permission"])
	}
	return c
}

// theirs is what others changed meanwhile.
func (x *exchange) theirs(c *permissionChange) (added, removed []string) {
	if c.base == x.client.Version {
		return nil, nil
	}
	return minus(x.client.Permissions, c.was), minus(c.was, x.client.Permissions)
}

// minus are the strings of a that are not in b, once each.
func minus(a, b []string) []string {
	return slices.DeleteFunc(unique(a), func(text string) bool { return slices.Contains(b, text) })
}

func (d *dashboard) reviewPermissions(x *exchange) error {
	return x.showReview(http.StatusOK, x.changeOf(x.URL.Query()), nil)
}

// showReview says what a change means, before it is made; and what others did
// since the person looked.
func (x *exchange) showReview(status int, c permissionChange, errs []view.FieldError) error {
	products, err := x.products()
	if err != nil {
		return err
	}
	words := wordsOf(products)
	page := view.PermissionReview{Client: x.client.Name, Path: x.clientPath() + "/permissions", Errors: errs}
	if page.Locked, err = x.locked("permissions", actor.PermissionWrite); err != nil {
		return err
	}
	added, removed := x.theirs(&c)
	page.Theirs = diffOf(added, removed, words)
	if len(page.Theirs) > 0 && status == http.StatusOK {
		status = http.StatusConflict
	}
	c.add, c.remove = minus(c.add, x.client.Permissions), slices.DeleteFunc(unique(c.remove), func(key string) bool { return !slices.Contains(x.client.Permissions, key) })
	page.Yours = diffOf(c.add, c.remove, words)
	page.Opens, page.Closes = routesBetween(products, x.client.Permissions, append(minus(x.client.Permissions, c.remove), c.add...))
	page.Fields = append(hiddenList("add", c.add), hiddenList("remove", c.remove)...)
	page.Fields = append(page.Fields,
		view.Hidden{Name: "was", Value: strings.Join(x.client.Permissions, " ")}, view.Hidden{Name: "base", Value: strconv.FormatInt(x.client.Version, 10)})
	use, err := x.d.Usage.Client(x.Context(), x.by, x.client.ID)
	if err != nil {
		return err
	}
	for _, key := range c.remove {
		if at := use.Permissions[key].At; !at.IsZero() {
			page.Used = append(page.Used, view.UsedPermission{Key: key, At: at})
		}
	}
	p := x.page("Review changes", x.client.Name)
	p.Width = "middle"
	return x.show(status, view.PermissionReviewPage(p, page))
}

func hiddenList(name string, values []string) (fields []view.Hidden) {
	for _, value := range values {
		fields = append(fields, view.Hidden{Name: name, Value: value})
	}
	return fields
}

// wordsOf says in words what each permission is.
func wordsOf(products []registry.OfferedProduct) map[string]string {
	words := map[string]string{}
	for _, p := range products {
		for _, permission := range p.Definition.Permissions {
			words[permission.Key] = titleOf(permission.Description, permission.Key)
		}
	}
	return words
}

func diffOf(added, removed []string, words map[string]string) (list []view.Change) {
	for _, key := range added {
		list = append(list, view.Change{Kind: "added", Words: titleOf(words[key], key), Key: key})
	}
	for _, key := range removed {
		list = append(list, view.Change{Kind: "removed", Words: titleOf(words[key], key), Key: key})
	}
	return list
}

// routesBetween are the routes that a change opens and closes.
func routesBetween(products []registry.OfferedProduct, before, after []string) (opened, closed []string) {
	for _, p := range products {
		for _, r := range p.Definition.Routes {
			switch was, is := opens(&r, before), opens(&r, after); {
			case is && !was:
				opened = append(opened, routeWords(&p.Definition, &r))
			case was && !is:
				closed = append(closed, routeWords(&p.Definition, &r))
			}
		}
	}
	return opened, closed
}

// edits are the change as the registry makes it. The first has the base: behind
// it the client has another version, in the same transaction.
func (c *permissionChange) edits(x *exchange) (list []registry.Edit) {
	base := c.base
	if len(c.add) > 0 {
		list = append(list, registry.AddPermissions{Client: x.client.ID, Permissions: c.add, Base: base})
		base = 0
	}
	if len(c.remove) > 0 {
		list = append(list, registry.RemovePermissions{Client: x.client.ID, Permissions: c.remove, Base: base})
	}
	return list
}

func (d *dashboard) changePermissions(x *exchange) error {
	c := x.changeOf(x.PostForm)
	err := x.apply(c.edits(x)...)
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Code == fault.VersionStale {
		return x.showReview(http.StatusConflict, c, nil)
	}
	if err != nil {
		return x.permissionsRefused(err, c)
	}
	undo := &view.Action{Label: "Undo", Path: x.clientPath() + "/permissions", Class: "small", Icon: "undo-2", Fields: append(hiddenList("remove", c.add), hiddenList("add", c.remove)...)}
	return x.done(x.clientPath()+"/permissions", "Permissions of "+x.client.Name+" are changed: "+view.CountChanges(len(c.add), len(c.remove))+".", undo)
}

func (x *exchange) permissionsRefused(err error, c permissionChange) error {
	status, errs, err := x.refused(err, "")
	if err != nil {
		return err
	}
	return x.showReview(status, c, errs)
}
