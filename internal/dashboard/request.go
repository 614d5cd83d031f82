package dashboard

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// requestsPage is how many requests a page shows.
const requestsPage = 20

// requests lists what people ask others to change, newest first: what waits, or
// all.
func (d *dashboard) requests(x *exchange) error {
	query := x.URL.Query()
	page := view.Requests{Path: x.here() + "/requests", All: query.Has("all")}
	list, err := d.Registry.Requests(x.Context(), x.by, registry.RequestFilter{Pending: !page.All}, registry.Page{Limit: requestsPage, After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") {
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	people, err := x.people()
	if err != nil {
		return err
	}
	outlooks, err := d.Registry.Outlooks(x.Context(), x.by, list.Items)
	if err != nil {
		return err
	}
	accounts, err := x.accountNames(grantsOf(list.Items)...)
	if err != nil {
		return err
	}
	for i := range list.Items {
		row, err := x.requestRow(&list.Items[i], outlooks[list.Items[i].ID], wording{people, accounts})
		if err != nil {
			return err
		}
		page.Rows = append(page.Rows, row)
	}
	if query.Has("after") {
		page.Newest = page.Path + without(query, "after")
	}
	if list.Next != "" {
		older := url.Values{"after": {string(list.Next)}}
		if page.All {
			older.Set("all", "1")
		}
		page.Older = page.Path + "?" + older.Encode()
	}
	return x.show(http.StatusOK, view.RequestsPage(x.page("Requests"), page))
}

// grantsOf are the roles that requests would give, and the accounts that they
// are about.
func grantsOf(requests []registry.Request) (all []actor.RoleGrant) {
	for _, q := range requests {
		all = append(all, actor.RoleGrant{Account: q.Account})
		for _, edit := range q.Edits {
			if e, ok := edit.(registry.ChangeRoles); ok {
				all = append(all, e.Roles...)
			}
		}
	}
	return all
}

func (x *exchange) requestRow(q *registry.Request, outlook registry.Outlook, w wording) (view.Request, error) {
	row := view.Request{
		Path: x.here() + "/requests/" + string(q.ID), ID: string(q.ID), Who: w.people.of(q.RequestedBy), Note: q.Note,
		State: string(q.StateAt(x.d.Now())), CreatedAt: q.CreatedAt, ExpiresAt: q.ExpiresAt, DecidedAt: q.DecidedAt, Reason: q.Reason,
		Mine: q.RequestedBy == x.by.String(), ForOperator: q.ForOperator, Decides: outlook.Approvable, Place: w.accounts[q.Account],
	}
	switch name := w.people.nameOf(q.DecidedBy); {
	case q.DecidedBy == "":
	case q.ForOperator && name == "":
		row.DecidedBy = "the operator"
	default:
		row.DecidedBy = w.people.of(q.DecidedBy)
	}
	text, err := json.Marshal(q.Edits)
	if err != nil {
		return row, err
	}
	var edits []struct {
		Kind string
		Edit map[string]any
	}
	if err := json.Unmarshal(text, &edits); err != nil {
		return row, err
	}
	for i, e := range edits {
		before, err := beforeOf(outlook, i)
		if err != nil {
			return row, err
		}
		row.Edits = append(row.Edits, w.requestedEdit(e.Kind, e.Edit, before))
	}
	return row, nil
}

// beforeOf are the fields of what an edit would change, as they are.
func beforeOf(outlook registry.Outlook, edit int) (map[string]any, error) {
	if edit >= len(outlook.Before) || outlook.Before[edit] == nil {
		return nil, nil
	}
	text, err := json.Marshal(outlook.Before[edit])
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	err = json.Unmarshal(text, &fields)
	return foldedNames(fields), err
}

// subjects are the fields of edits that name what is changed, and how.
var subjects = []string{"base", "client", "account", "person", "secret", "product", "id", "state"}

// requestedEdit puts an edit into words: what is done, to what, and what of it
// comes and goes.
func (w wording) requestedEdit(kind string, edit, before map[string]any) view.RequestedEdit {
	e := view.RequestedEdit{Title: titleOfEdit(kind, words(edit["state"])), Name: titleOf(words(before["name"]), words(before["email"]))}
	for _, field := range []string{"person", "secret", "client", "account", "product"} {
		if subject := words(edit[field]); subject != "" && e.Subject == "" && kind != "CreateClient" {
			e.Subject = subject
		}
	}
	for _, name := range slices.Sorted(maps.Keys(edit)) {
		if slices.Contains(subjects, name) {
			continue
		}
		old, had := before[folded(name)]
		lines := changed(name, old, had, edit[name], w.of(name))
		if kind == "RemovePermissions" {
			for i := range lines {
				lines[i].Kind = "removed"
			}
		}
		e.Changes = append(e.Changes, lines...)
	}
	return e
}

// titleOfEdit says what an edit does.
func titleOfEdit(kind, state string) string {
	what := map[string]string{"SetClientState": "client", "SetSecretState": "secret"}[kind]
	verb := map[string]string{"enabled": "Enable", "active": "Enable", "disabled": "Disable", "deleted": "Delete", "revoked": "Revoke"}[state]
	if what == "" || verb == "" {
		return sentence(kind)
	}
	return verb + " " + what
}

// sentence is a name of Go as words: AddPermissions is “Add permissions”.
func sentence(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// approveRequest makes the change with the rights of who approves.
func (d *dashboard) approveRequest(x *exchange) error {
	q, err := d.Registry.Request(x.Context(), x.by, id.Request(x.PathValue("request")))
	if err != nil {
		return err
	}
	if final(q.Edits) && !x.by.Recent() {
		return actor.ErrRecentSignIn
	}
	if err := d.Registry.Apply(x.Context(), x.by, registry.ApproveRequest{Request: q.ID}); err != nil {
		return err
	}
	return x.done(x.here()+"/requests", "The change is made, and who asked for it is told.", nil)
}

// declineRequest refuses a request, or takes one's own back.
func (d *dashboard) declineRequest(x *exchange) error {
	q, err := d.Registry.Request(x.Context(), x.by, id.Request(x.PathValue("request")))
	if err != nil {
		return err
	}
	edit, said := registry.Edit(registry.DeclineRequest{Request: q.ID, Reason: x.value("reason")}), "The request is declined, and who asked is told."
	if q.RequestedBy == x.by.String() {
		edit, said = registry.WithdrawRequest{Request: q.ID}, "Your request is withdrawn."
	}
	if err := d.Registry.Apply(x.Context(), x.by, edit); err != nil {
		return err
	}
	back := x.here() + "/requests"
	if x.value("back") != "" {
		back = local(x.value("back"))
	}
	return x.done(back, said, nil)
}
