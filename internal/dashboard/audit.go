package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// auditNouns are what the audit log is filtered by most: the first words of
// actions.
var auditNouns = []view.Option{
	{Value: "account", Label: "Accounts"},
	{Value: "client", Label: "API clients"},
	{Value: "secret", Label: "Secrets"},
	{Value: "token", Label: "Tokens"},
	{Value: "member", Label: "Members and roles"},
	{Value: "invitation", Label: "Invitations"},
	{Value: "request", Label: "Requests"},
	{Value: "sign-in", Label: "Sign-ins"},
	{Value: "session", Label: "Sessions"},
	{Value: "factor", Label: "Second factors"},
	{Value: "person", Label: "Profiles"},
	{Value: "organisation", Label: "The organisation"},
	{Value: "product", Label: "API products"},
	{Value: "webhook", Label: "Webhooks"},
	{Value: "refusal", Label: "What was refused"},
}

// operatorNouns are those of the operator's own records.
var operatorNouns = []view.Option{
	{Value: "key", Label: "Signing keys"},
	{Value: "mail", Label: "Mails that were read"},
}

// audit lists the audit log. Its filters stand in the URL.
func (d *dashboard) audit(x *exchange) error {
	query := x.URL.Query()
	people, err := x.people()
	if err != nil {
		return err
	}
	page := x.auditForm(query, people)
	filter, err := people.filter(query)
	if fault.KindOf(err) == fault.Invalid {
		status, errs, err := x.refused(err, "from", "until", "actor", "object")
		page.Errors = errs
		return errOr(err, x.show(status, view.AuditPage(x.page("Audit log"), page)))
	}
	list, newer, err := x.auditPage(query, filter)
	switch {
	case fault.KindOf(err) == fault.Invalid && (query.Has("after") || query.Has("newer")):
		return x.redirect(x.URL.Path + without(query, "after", "newer"))
	case err != nil:
		return err
	case query.Has("newer") && !newer:
		return x.redirect(x.URL.Path + without(query, "after", "newer")) // all of the newest, not the part that was left over
	}
	for i := range list.Items {
		page.Rows = append(page.Rows, x.auditRow(&list.Items[i], people))
	}
	pager := url.Values{}
	for name, values := range query {
		if name != "after" && name != "newer" && values[0] != "" {
			pager[name] = values
		}
	}
	if list.Next != "" {
		pager.Set("after", string(list.Next))
		page.Older = x.URL.Path + "?" + pager.Encode()
	}
	if newer && len(list.Items) > 0 {
		pager.Del("after")
		pager.Set("newer", strconv.FormatInt(list.Items[0].Seq, 10))
		page.Newer = x.URL.Path + "?" + pager.Encode()
	}
	return x.show(http.StatusOK, view.AuditPage(x.page("Audit log"), page))
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// auditPage is the part of the log that the address asks for: what is older
// than a cursor, newer than a record, or the newest.
func (x *exchange) auditPage(query url.Values, filter registry.AuditFilter) (list registry.List[registry.AuditRecord], newer bool, err error) {
	if text := query.Get("newer"); text != "" {
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return list, false, fault.Errorf(fault.Invalid, "there is no such record")
		}
		return x.d.Registry.NewerAuditRecords(x.Context(), x.by, filter, seq, registry.DefaultPageSize)
	}
	after := registry.Cursor(query.Get("after"))
	list, err = x.d.Registry.AuditRecords(x.Context(), x.by, filter, registry.Page{After: after})
	return list, after != "", err
}

// auditForm is the form of the filters as they were typed, and what stands
// around the list.
func (x *exchange) auditForm(query url.Values, people people) view.Audit {
	page := view.Audit{
		Path: x.URL.Path, Actor: query.Get("actor"), Object: query.Get("object"), From: query.Get("from"), Until: query.Get("until"),
		Export: x.URL.Path + "/export", Chain: x.chain(), People: people.addresses(maxChoices),
	}
	action, known := query.Get("action"), false
	nouns := auditNouns
	if x.operator {
		nouns = slices.Concat(auditNouns, operatorNouns)
	}
	for _, o := range nouns {
		o.Chosen = o.Value == action
		known = known || o.Chosen
		page.Actions = append(page.Actions, o)
	}
	if action != "" && !known {
		page.Actions = append(page.Actions, view.Option{Value: action, Label: action, Chosen: true})
	}
	filters := without(query, "after", "newer")
	page.Query = strings.TrimPrefix(filters, "?")
	for _, name := range []string{"actor", "action", "object", "from", "until"} {
		if value := query.Get(name); value != "" {
			page.Chips = append(page.Chips, view.Chip{Text: auditLabels[name] + ": " + value, Path: x.URL.Path + without(query, name, "after", "newer")})
		}
	}
	return page
}

var auditLabels = map[string]string{"actor": "Who", "action": "Action", "object": "Object", "from": "From", "until": "Until"}

func (x *exchange) chain() view.Chain {
	state := x.d.Chain()
	return view.Chain{VerifiedAt: state.At, Broken: state.Broken, Later: state.Later}
}

func (x *exchange) auditRow(a *registry.AuditRecord, people people) view.AuditRow {
	row := view.AuditRow{
		Path: x.here() + "/audit/" + strconv.FormatInt(a.Seq, 10), At: a.At, Address: a.Address,
		Actor: people.nameOf(a.Actor), ActorID: a.Actor, Object: people.nameOf(string(actor.Person) + ":" + a.Subject), ObjectID: a.Subject,
	}
	if x.operator && a.Organisation != "" {
		row.Organisation, row.OrganisationPath = string(a.Organisation), customerPath(a.Organisation)
	}
	for _, place := range x.places {
		if place.Path == "/a/"+a.Subject || place.Path == "/o/"+a.Subject {
			row.Object = place.Name
		}
	}
	row.Action, row.Refused = strings.CutPrefix(a.Action, registry.RefusalPrefix)
	return row
}

// filter reads the filters of the audit log.
func (p people) filter(query url.Values) (f registry.AuditFilter, err error) {
	f.Action = query.Get("action")
	f.Actor, f.Subject = strings.TrimSpace(query.Get("actor")), strings.TrimSpace(query.Get("object"))
	if person, ok := p.find(f.Subject); ok && f.Subject != "" {
		f.Subject = string(person)
	}
	f.Actor = p.actorOf(f.Actor)
	if f.From, err = dayOf(query.Get("from"), "from"); err != nil {
		return f, err
	}
	if f.Until, err = dayOf(query.Get("until"), "until"); err == nil && !f.Until.IsZero() {
		f.Until = f.Until.AddDate(0, 0, 1)
	}
	return f, err
}

// dayOf reads a day of UTC.
func dayOf(text, what string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1970 || t.Year() > 9000 {
		return time.Time{}, fault.Errorf(fault.Invalid, "the day in %s is written like 2026-02-28", what)
	}
	return t, nil
}

// auditRecord shows one record: what was before, and what came.
func (d *dashboard) auditRecord(x *exchange) error {
	seq, err := strconv.ParseInt(x.PathValue("record"), 10, 64)
	if err != nil {
		return errNoPage
	}
	record, err := d.Registry.AuditRecord(x.Context(), x.by, seq)
	if err != nil {
		return err
	}
	people, err := x.people()
	if err != nil {
		return err
	}
	list := x.here() + "/audit"
	page := view.AuditRecord{
		AuditRow: x.auditRow(&record, people), List: list, Seq: seq, RequestID: record.RequestID, Chain: x.chain(),
		SameActor: list + "?" + url.Values{"actor": {record.Actor}}.Encode(), SameObject: list + "?" + url.Values{"object": {record.Subject}}.Encode(),
		SameAction: list + "?" + url.Values{"action": {record.Action}}.Encode(),
	}
	if record.Content != nil {
		page.Content = indented(record.Content)
	}
	page.Changes, page.Reason = wording{people, x.accountsHere()}.changesOf(record.Action, record.Subject, record.Content)
	if page.ObjectPath, page.Object, err = x.objectOf(&record, page.Object); err != nil {
		return err
	}
	return x.show(http.StatusOK, view.AuditRecordPage(x.page("Record "+strconv.FormatInt(seq, 10)), page))
}

// objectOf is where a record's object is looked at, and what it is called, if
// it is still there.
func (x *exchange) objectOf(a *registry.AuditRecord, name string) (path, title string, err error) {
	in := x.by.In(a.Organisation) // the operator's people read about every organisation
	if _, ok := id.ParsePerson(a.Subject); ok && name != "" {
		return x.memberPath(id.Person(a.Subject)), name, nil
	}
	if key, ok := id.ParseOrganisation(a.Subject); ok && x.operator {
		o, err := x.d.Registry.Organisation(x.Context(), x.by.In(key))
		if err == nil {
			return customerPath(key), o.Name, nil
		}
		return "", name, unlessGone(err)
	}
	if key, ok := id.ParseAccount(a.Subject); ok {
		account, err := x.d.Registry.Account(x.Context(), in, key)
		if err == nil {
			return "/a/" + a.Subject, account.Name, nil
		}
		return "", name, unlessGone(err)
	}
	if key, ok := id.ParseClient(a.Subject); ok {
		client, err := x.d.Registry.Client(x.Context(), in, key)
		if err == nil && client.Account != "" {
			return "/a/" + string(client.Account) + "/clients/" + a.Subject, client.Name, nil
		}
		if err == nil && x.operator && a.Organisation == "" {
			return operatorPath + "/clients/" + a.Subject, client.Name, nil
		}
		return "", name, unlessGone(err)
	}
	return "", name, nil
}

// unlessGone passes over what is not there, or not the reader's to see.
func unlessGone(err error) error {
	if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Forbidden {
		return nil
	}
	return err
}
