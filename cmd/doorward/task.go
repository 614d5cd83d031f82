package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
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

func (n *noun) command() *cobra.Command {
	cmd := &cobra.Command{Use: n.name, Short: n.short}
	if n.alias != "" {
		cmd.Aliases = []string{n.alias}
	}
	p := &printer{}
	p.flags(cmd)
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return p.check() }
	for i := range n.verbs {
		t := &task{verb: &n.verbs[i], noun: n, operation: operations()[n.verbs[i].operation], printer: p}
		t.fields = t.operation.fields()
		parent, name := cmd, t.name
		if group, below, ok := strings.Cut(t.name, " "); ok {
			name = below
			if parent = childOf(cmd, group); parent == nil {
				parent = &cobra.Command{Use: group, Short: "The " + group + "s of one"}
				cmd.AddCommand(parent)
			}
		}
		parent.AddCommand(t.command(name))
	}
	for _, local := range n.local {
		cmd.AddCommand(local())
	}
	return cmd
}

func childOf(cmd *cobra.Command, name string) *cobra.Command {
	for _, child := range cmd.Commands() {
		if child.Name() == name {
			return child
		}
	}
	return nil
}

// command makes the command of one verb.
func (t *task) command(name string) *cobra.Command {
	use := name
	for _, f := range t.positional() {
		use += " " + f.placeholder()
	}
	var required []string
	if t.operation.body != nil && t.basis == "" {
		required = t.operation.body.Required
	}
	cmd := &cobra.Command{
		Short: t.summary(), Long: t.help(), Args: t.countArguments, ValidArgsFunction: t.completeArgument,
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args) },
	}
	if t.example != "" {
		cmd.Example = "  " + t.example
	}
	cmd.Flags().SortFlags = false
	for _, f := range t.flags() {
		cmd.Flags().Var(f, f.flag(), f.about)
		if f.schema.Type == "boolean" {
			cmd.Flags().Lookup(f.flag()).NoOptDefVal = "true"
		}
		if slices.Contains(required, f.name) && t.prepare == nil {
			use += " --" + f.flag() + " " + f.placeholder()
		}
		_ = cmd.RegisterFlagCompletionFunc(f.flag(), t.completion(f)) // fails only for a flag that does not exist
	}
	cmd.Use = use
	t.ownFlags(cmd)
	return cmd
}

// countArguments wants one for each field, and for a list one or more.
func (t *task) countArguments(cmd *cobra.Command, args []string) error {
	positional := t.positional()
	many := len(positional) > 0 && positional[len(positional)-1].schema.Type == "array"
	switch {
	case len(args) < len(positional):
		return fmt.Errorf("%s is missing: %s", positional[len(args)].placeholder(), cmd.UseLine())
	case len(args) > len(positional) && !many:
		return fmt.Errorf("%s is one argument too many: %s", visible(args[len(positional)]), cmd.UseLine())
	}
	return nil
}

// ownFlags adds what is of the command line and not of the contract.
func (t *task) ownFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	if t.operation.lists() {
		flags.IntVar(&t.limit, "limit", 0, "stop after so many (default: all)")
		if names := t.filterNames(); len(names) > 0 {
			flags.StringArrayVar(&t.filters, "filter", nil, "show only those with NAME=VALUE (repeatable)")
			_ = cmd.RegisterFlagCompletionFunc("filter", t.completeFilter) // fails only for a flag that does not exist
		}
	}
	if t.operation.parameter("header", "If-Match") != nil && !t.creates {
		flags.StringVar(&t.ifVersion, "if-version", "", "only if it has this version now")
	}
	if t.operation.body != nil && len(t.operation.body.Properties) > len(t.operation.bodyFields()) {
		flags.StringVarP(&t.file, "file", "f", "", "read the definition from this file, YAML or JSON; - is standard input")
	}
	if t.asks {
		flags.BoolVar(&t.sure, "yes", false, "do not ask")
	}
	flags.StringVar(&t.profile, "profile", profileFromEnvironment(), "the profile that doorward login stored")
}

func (t *task) summary() string {
	if t.short != "" {
		return t.short
	}
	return t.operation.Summary
}

// help is the text of the contract, with what it does not say of flags.
func (t *task) help() string {
	text := wrapped(t.summary() + ". " + strings.TrimSpace(t.operation.Description))
	if names := t.filterNames(); len(names) > 0 {
		text += "\n\nFilters:"
		for _, f := range t.filterFields() {
			text += fmt.Sprintf("\n  %-14s %s", f.flag(), strings.TrimSpace(f.about+" "+strings.Join(f.schema.Enum, ", ")))
		}
	}
	if t.operation.Permission != "" {
		text += "\n\nThe client of the profile needs " + t.operation.Permission + "."
	}
	return text
}

// lists says whether the answer is a list in pages.
func (o *operation) lists() bool { return o.parameter("query", "cursor") != nil }

// fields are what a request is filled with.
func (o *operation) fields() (all []*field) {
	for _, p := range o.Parameters {
		if p.In == "header" || p.Name == "limit" || p.Name == "cursor" {
			continue
		}
		about := p.Description
		if about == "" {
			about = p.Schema.Description
		}
		all = append(all, &field{name: p.Name, in: p.In, about: about, schema: p.Schema, past: p.Name == "from" || p.Name == "until"}) // of records, which lie behind
	}
	return append(all, o.bodyFields()...)
}

// bodyFields are the members of the body that a flag can give.
func (o *operation) bodyFields() (all []*field) {
	if o.body == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(o.body.Properties)) {
		if s := o.body.Properties[name]; s.Type != "array" && s.Type != "object" || s.isFlat() {
			all = append(all, &field{name: name, in: "body", about: s.Description, schema: s})
		}
	}
	return all
}

// isFlat says whether a list or an object can be written on the command line.
func (s *schema) isFlat() bool {
	if s.Type == "array" {
		return s.Items.Type != "object" || s.Items.isPair()
	}
	for _, property := range s.Properties {
		if property.Type != "string" {
			return false
		}
	}
	return len(s.Properties) > 0
}

func (t *task) field(name string) *field {
	for _, f := range t.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// positional are the fields that arguments give, in their order.
func (t *task) positional() (found []*field) {
	for _, name := range t.arguments {
		found = append(found, t.field(name))
	}
	if t.arguments == nil {
		for _, f := range t.fields {
			if f.in == "path" {
				found = append(found, f)
			}
		}
	}
	return found
}

// flags are the fields that flags give.
func (t *task) flags() []*field {
	if t.bare {
		return nil
	}
	taken := append(t.positional(), t.filterFields()...)
	return slices.DeleteFunc(slices.Clone(t.fields), func(f *field) bool { return slices.Contains(taken, f) })
}

// filterFields are the fields that --filter gives.
func (t *task) filterFields() (found []*field) {
	if !t.operation.lists() {
		return nil
	}
	for _, f := range t.fields {
		if f.in == "query" && f.name != "organisation_id" {
			found = append(found, f)
		}
	}
	return found
}

func (t *task) filterNames() (names []string) {
	for _, f := range t.filterFields() {
		names = append(names, f.flag())
	}
	return names
}

// placeholder stands for the value of a field in a usage line.
func (f *field) placeholder() string {
	name := strings.ToUpper(strings.ReplaceAll(f.flag(), "-", "_"))
	switch f.name {
	case "kid":
		return "KEY"
	case "add", "remove":
		return "PERMISSION…"
	case "roles":
		return "ROLE[@ACCOUNT]"
	}
	return name
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

// showsSecret says whether the answer is the only one with a secret.
func (o *operation) showsSecret() bool {
	return o.answer != nil && (o.answer.Properties["client_secret"] != nil || o.answer.Properties["signing_secret"] != nil)
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

// body puts the flags over the file, or over what is there now.
func (t *task) body(cmd *cobra.Command) (body map[string]any, etag string, err error) {
	body = map[string]any{}
	if t.basis != "" {
		if body, etag, err = t.present(cmd); err != nil {
			return nil, "", err
		}
	}
	if t.file != "" {
		if body, err = readDefinition(cmd, t.file); err != nil {
			return nil, "", err
		}
		t.dropReadOnly(body) // the file may be an answer
	}
	combine := over
	if t.combine != nil {
		combine = t.combine
	}
	for name, value := range t.values("body") {
		body[name] = combine(body[name], value)
	}
	for _, name := range t.operation.body.Required {
		if body[name] == nil {
			f := &field{name: name, schema: t.operation.body.Properties[name]}
			return nil, "", usageError{fmt.Errorf("--%s is missing: %s --%s %s", f.flag(), cmd.CommandPath(), f.flag(), f.placeholder())}
		}
	}
	return body, etag, nil
}

// over puts the members of an object over those that are there; other values
// replace what is there.
func over(present, given any) any {
	members, ok := given.(map[string]any)
	if !ok {
		return given
	}
	merged := map[string]any{}
	if before, ok := present.(map[string]any); ok {
		maps.Copy(merged, before)
	}
	maps.Copy(merged, members)
	maps.DeleteFunc(merged, func(_ string, value any) bool { return value == "" })
	return merged
}

// withItems and withoutItems combine lists of objects.
func withItems(present, given any) any {
	before, _ := present.([]any)
	added, _ := given.([]any)
	return append(append([]any{}, before...), lacking(added, before)...)
}

func withoutItems(present, given any) any {
	before, _ := present.([]any)
	removed, _ := given.([]any)
	return append([]any{}, lacking(before, removed)...)
}

// present reads what the operation replaces as a whole, so that flags change
// the rest as little as nothing.
func (t *task) present(cmd *cobra.Command) (body map[string]any, etag string, err error) {
	basis := operations()[t.basis]
	query := url.Values{}
	if f := t.organisation(); f != nil && f.value != nil {
		query.Set(f.name, fmt.Sprint(f.value))
	}
	text, etag, err := t.manager.do(cmd.Context(), ask{method: basis.method, path: t.address(basis), query: query})
	switch refused, _ := errors.AsType[*problem](err); {
	case refused != nil && refused.Status == http.StatusNotFound && t.creates:
		return map[string]any{}, "", nil
	case err != nil:
		return nil, "", err
	case t.creates:
		update := strings.TrimSuffix(cmd.CommandPath(), cmd.Name()) + "update"
		return nil, "", &problem{Status: http.StatusConflict, Code: "conflict", Detail: "there is one already: change it with " + update}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		return nil, "", err
	}
	t.dropReadOnly(body)
	return body, etag, nil
}

// dropReadOnly removes what the answer has and the request has not.
func (t *task) dropReadOnly(body map[string]any) {
	maps.DeleteFunc(body, func(name string, _ any) bool {
		return t.operation.body.Properties[name] == nil && t.operation.answer.Properties[name] != nil
	})
}

// readDefinition reads an object from a file of YAML, which JSON is too.
func readDefinition(cmd *cobra.Command, path string) (object map[string]any, err error) {
	var text []byte
	if path == "-" {
		text, err = io.ReadAll(cmd.InOrStdin())
	} else {
		text, err = os.ReadFile(path) //nolint:gosec // the user names the file
	}
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	if object == nil {
		return nil, usageError{fmt.Errorf("%s is empty: write the definition as doorward product get PRODUCT -o yaml prints one", path)}
	}
	return object, nil
}

var errNothingDone = errors.New("nothing was done")

// ask asks a person whether to go on.
func (t *task) ask(cmd *cobra.Command, args []string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usageError{fmt.Errorf("%s asks before it goes on, and there is no terminal: add --yes if you are sure", cmd.CommandPath())}
	}
	out := cmd.ErrOrStderr()
	fmt.Fprintf(out, "%s: %s\n%s\n", t.operation.Summary, paint(out, bold, visible(strings.Join(args, " "))), wrapped(t.operation.Description))
	if t.shows != "" {
		o := operations()[t.shows]
		l := &listing{printer: &printer{}, out: out, columns: []string{"client_id", "id", "name", "state", "last_used_at"}}
		if err := t.manager.pages(cmd.Context(), ask{method: o.method, path: t.address(o)}, "items", 0, l.add); err != nil {
			return err
		}
		if l.count > 0 {
			fmt.Fprintln(out, "Those were created with it.")
		}
	}
	return goOn(cmd)
}

// goOn waits for a yes.
func goOn(cmd *cobra.Command) error {
	fmt.Fprint(cmd.ErrOrStderr(), "Go on? [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errNothingDone
	}
	return nil
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
