package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// task is a verb on its way: what the command line gave for its operation.
type task struct {
	*verb
	noun      *noun
	operation *operation
	fields    []*field // of the operation
	printer   *printer
	manager   *manager

	profile   string
	sure      bool     // --yes
	file      string   // of the body
	ifVersion string   // --if-version
	filters   []string // NAME=VALUE
	limit     int
}

func (t *task) field(name string) *field {
	for _, f := range t.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (t *task) run(cmd *cobra.Command, args []string) (err error) {
	if err := t.read(args); err != nil {
		return err
	}
	if t.printer.quiet && t.operation.showsSecret() {
		return errQuietSecret
	}
	if t.manager, err = newManager(cmd, t.profile); err != nil {
		return err
	}
	if f := t.organisation(); f != nil && f.value == nil && t.manager.profile.Organisation != "" {
		if err := f.Set(t.manager.profile.Organisation); err != nil {
			return usageError{fmt.Errorf("the organisation of the profile, %s: %w", t.manager.profile.Organisation, err)}
		}
	}
	if t.prepare != nil {
		if err := t.prepare(t); err != nil {
			return err
		}
	}
	request, err := t.request(cmd)
	if err != nil {
		return err
	}
	if t.asks && !t.sure {
		if err := t.ask(cmd, args); err != nil {
			return err
		}
	}
	return t.send(cmd, request, args)
}

// organisation is the field that says where to act, nil if none does.
func (t *task) organisation() *field {
	if f := t.field("organisation_id"); f != nil && f.in != "path" {
		return f
	}
	return nil
}

// read takes arguments and filters.
func (t *task) read(args []string) error {
	positional := t.positional()
	for i, text := range args {
		f := positional[min(i, len(positional)-1)]
		if err := f.Set(text); err != nil {
			return usageError{fmt.Errorf("%s %s: %w", f.placeholder(), visible(text), err)}
		}
	}
	for _, text := range t.filters {
		name, value, ok := strings.Cut(text, "=")
		at := slices.IndexFunc(t.filterFields(), func(f *field) bool { return f.flag() == name || f.name == name })
		if !ok || at < 0 {
			return usageError{fmt.Errorf("--filter %s: write NAME=VALUE with one of %s", visible(text), strings.Join(t.filterNames(), ", "))}
		}
		if err := t.filterFields()[at].Set(value); err != nil {
			return usageError{fmt.Errorf("--filter %s: %w", visible(text), err)}
		}
	}
	if t.limit < 0 {
		return usageError{fmt.Errorf("--limit %d: give a number from 1 on", t.limit)}
	}
	return nil
}

// values are those of the fields in one part of the request.
func (t *task) values(in string) map[string]any {
	found := map[string]any{}
	for _, f := range t.fields {
		if f.in == in && f.value != nil {
			found[f.name] = f.value
		}
	}
	return found
}

func (t *task) address(o *operation) string {
	path := o.path
	for name, value := range t.values("path") {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(fmt.Sprint(value)))
	}
	return path
}

func (t *task) request(cmd *cobra.Command) (a ask, err error) {
	a = ask{method: t.operation.method, path: t.address(t.operation), query: url.Values{}, header: http.Header{}}
	for name, value := range t.values("query") {
		a.query.Set(name, fmt.Sprint(value))
	}
	if t.operation.lists() {
		a.query.Set("limit", fmt.Sprint(largestPage))
	}
	if t.operation.parameter("header", "Idempotency-Key") != nil {
		a.header = idempotencyKey()
	}
	if t.operation.body != nil {
		var etag string
		if a.body, etag, err = t.body(cmd); err != nil {
			return a, err
		}
		if etag != "" {
			a.header.Set("If-Match", etag)
		}
	}
	if t.ifVersion != "" {
		a.header.Set("If-Match", t.ifVersion)
	}
	return a, nil
}

// send makes the request and prints the answer.
func (t *task) send(cmd *cobra.Command, request ask, args []string) error {
	items := t.items
	if items == "" {
		items = "items"
	}
	l := &listing{printer: t.printer, out: cmd.OutOrStdout(), id: t.id, columns: t.columns}
	if l.id == nil {
		l.id = t.noun.id
	}
	if l.columns == nil {
		l.columns = t.noun.columns
	}
	if t.operation.lists() {
		if err := t.manager.pages(cmd.Context(), request, items, t.limit, l.add); err != nil {
			return err
		}
		if err := l.end(cmd.ErrOrStderr()); err != nil || l.count > 0 {
			return err
		}
		return t.hintAtOrganisation(cmd)
	}
	text, _, err := t.manager.do(cmd.Context(), request)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s %s: done\n", cmd.Name(), visible(strings.Join(args, " ")))
		return err
	}
	if p, err := readPage(text, items); err == nil {
		return errors.Join(l.add(p.Items), l.end(cmd.ErrOrStderr()))
	}
	return t.printer.one(cmd, t.noun.id, json.RawMessage(text))
}

// hintAtOrganisation tells the operator why a list may be empty.
func (t *task) hintAtOrganisation(cmd *cobra.Command) error {
	if f := t.organisation(); f == nil || f.value != nil || !strings.HasPrefix(t.manager.profile.tokens.ClientID, "op-") {
		return nil
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "to see those of a customer, name it with --organisation")
	return err
}

// chooseOwner says who shall own a new client, from what else is said.
func chooseOwner(t *task) error {
	owner, organisation := t.field("owner"), t.field("organisation_id")
	kind, _, _ := strings.Cut(t.manager.profile.tokens.ClientID, "-")
	switch {
	case owner.value == "operator":
		organisation.value = nil // of the profile
	case owner.value != nil:
	case t.field("account_id").value != nil || kind == "sandbox" || kind == "prod":
		owner.value = "account"
	case organisation.value != nil || kind == "org":
		owner.value = "organisation"
	default:
		return usageError{errors.New("say who shall own the client: --account ACCOUNT, --organisation ORGANISATION or --owner operator")}
	}
	return nil
}

// endInADay lets the secret that is replaced work for a day.
func endInADay(t *task) error {
	if ends := t.field("ends_at"); ends.value == nil {
		return ends.Set("24h")
	}
	return nil
}
