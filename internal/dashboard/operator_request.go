package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

const operatorRequestsPath = operatorPath + "/requests"

// operatorRequests lists what customers ask of the operator, as long as it waits.
func (d *dashboard) operatorRequests(x *exchange) error {
	query := x.URL.Query()
	list, err := d.Registry.Requests(x.Context(), x.by, registry.RequestFilter{Pending: true}, registry.Page{Limit: requestsPage, After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") {
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	page := view.OperatorRequests{Decides: x.by.May(actor.GrantWrite, "")}
	for i := range list.Items {
		q := &list.Items[i]
		by := x.by.In(q.Organisation)
		o, err := d.Registry.Organisation(x.Context(), by)
		if err != nil {
			return err
		}
		members, err := d.Registry.Members(x.Context(), by)
		if err != nil {
			return err
		}
		outlooks, err := d.Registry.Outlooks(x.Context(), by, list.Items[i:i+1])
		if err != nil {
			return err
		}
		row, err := x.requestRow(q, outlooks[q.ID], wording{people: members})
		if err != nil {
			return err
		}
		row.Organisation, row.OrganisationPath = o.Name, "/o/"+string(o.ID)
		row.Fields = []view.Hidden{{Name: "organisation", Value: string(o.ID)}}
		page.Rows = append(page.Rows, row)
	}
	if query.Has("after") {
		page.Newest = x.URL.Path
	}
	if list.Next != "" {
		query.Set("after", string(list.Next))
		page.Older = x.URL.Path + "?" + query.Encode()
	}
	return x.show(http.StatusOK, view.OperatorRequestsPage(x.page("Requests"), page))
}

// decide makes an edit about a request of the organisation that the form names.
func (x *exchange) decide(edit registry.Edit, said string) error {
	if err := x.d.Registry.Apply(x.Context(), x.by.In(id.Organisation(x.value("organisation"))), edit); err != nil {
		return err
	}
	return x.done(operatorRequestsPath, said, nil)
}

func (d *dashboard) approveForOrganisation(x *exchange) error {
	return x.decide(registry.ApproveRequest{Request: id.Request(x.PathValue("request"))}, "It is given, and who asked for it is told.")
}

func (d *dashboard) declineForOrganisation(x *exchange) error {
	return x.decide(registry.DeclineRequest{Request: id.Request(x.PathValue("request")), Reason: x.value("reason")}, "The request is declined, and who asked is told.")
}
