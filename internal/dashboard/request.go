package dashboard

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

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
	names, err := x.names()
	if err != nil {
		return err
	}
	approvable, err := d.Registry.Approvable(x.Context(), x.by, list.Items)
	if err != nil {
		return err
	}
	for i := range list.Items {
		row, err := x.requestRow(&list.Items[i], names)
		if err != nil {
			return err
		}
		row.Decides = approvable[list.Items[i].ID]
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

func (x *exchange) requestRow(q *registry.Request, names names) (view.Request, error) {
	row := view.Request{
		Path: x.here() + "/requests/" + string(q.ID), ID: string(q.ID), Who: names.of("person:" + string(q.RequestedBy)), Note: q.Note,
		State: string(q.StateAt(x.d.Now())), CreatedAt: q.CreatedAt, ExpiresAt: q.ExpiresAt, DecidedAt: q.DecidedAt, Reason: q.Reason,
		Mine: q.RequestedBy == x.session.Person.ID, ForOperator: q.ForOperator,
	}
	switch _, known := names[q.DecidedBy]; {
	case q.DecidedBy == "":
	case q.ForOperator && !known:
		row.DecidedBy = "the operator"
	default:
		row.DecidedBy = names.of(q.DecidedBy)
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
	for _, e := range edits {
		row.Edits = append(row.Edits, requestedEdit(e.Kind, e.Edit))
	}
	return row, nil
}

// requestedEdit puts an edit into words: what is done, to which client or with
// which product, and what comes or goes.
func requestedEdit(kind string, edit map[string]any) view.RequestedEdit {
	e := view.RequestedEdit{Title: sentence(kind), Subject: words(cmp.Or(edit["client"], edit["product"]))}
	change := "added"
	if strings.HasPrefix(kind, "Remove") || strings.HasPrefix(kind, "Delete") || strings.HasPrefix(kind, "Withdraw") {
		change = "removed"
	}
	for _, name := range slices.Sorted(maps.Keys(edit)) {
		if name == "base" || name == "client" || name == "product" {
			continue
		}
		values, isList := edit[name].([]any)
		if !isList {
			values = []any{edit[name]}
		}
		for _, value := range values {
			e.Changes = append(e.Changes, view.Change{Kind: change, Words: words(value), Key: name})
		}
	}
	return e
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
	if err := d.Registry.Apply(x.Context(), x.by, registry.ApproveRequest{Request: id.Request(x.PathValue("request"))}); err != nil {
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
	if q.RequestedBy == x.by.Person() {
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
