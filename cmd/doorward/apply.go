package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

// application is what `doorward apply` is told.
type application struct {
	printer
	files        []string
	dryRun       bool
	prune        bool
	sure         bool
	schema       bool
	profile      string
	organisation string
	manager      *manager
}

func newApply() *cobra.Command {
	a := &application{}
	cmd := &cobra.Command{
		Use: "apply -f FILE|DIR", Short: "Make what files declare to be so", Args: cobra.NoArgs,
		Long: `Make API products, organisations, product grants, accounts and API clients be what
files declare, in one change: all of it or nothing. What is to be changed is shown
first, and asked about on a terminal. What the files leave out stays as it is; a
product is whole. Applied again they change nothing. Secrets are never part of them.

A product may name its OpenAPI document with openapi: FILE; scopes become
permissions, and security: [] makes a route public.

The client of the profile needs management.declaration.write, and for each change
the permission that it needs alone.`,
		Example: `  doorward export > doorward.yaml
  doorward apply -f doorward.yaml --dry-run
  doorward apply -f customers/ -f products.yaml --yes
  doorward apply --schema > declaration.schema.json`,
		PreRunE: func(*cobra.Command, []string) error { return a.check() },
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringArrayVarP(&a.files, "file", "f", nil, "a file of YAML or JSON, a folder of them, or - for standard input (repeatable)")
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "show what would be changed, and change nothing")
	cmd.Flags().BoolVar(&a.prune, "prune", false, "delete clients and withdraw product grants that a declared list leaves out")
	cmd.Flags().BoolVar(&a.sure, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&a.schema, "schema", false, "print the JSON Schema of the files, for editors")
	cmd.Flags().StringVar(&a.organisation, "organisation", "", "declare this organisation alone, as it is named by its id")
	cmd.Flags().StringVar(&a.profile, "profile", profileFromEnvironment(), "the profile that doorward login stored")
	a.flags(cmd)
	return cmd
}

func newExport() *cobra.Command {
	a := &application{}
	cmd := &cobra.Command{
		Use: "export", Short: "Print all that can be declared, for doorward apply", Args: cobra.NoArgs,
		Long: `Print API products, organisations, product grants, accounts and API clients as
doorward apply reads them. Applied as it is, it changes nothing. Secrets are never
part of it.

The client of the profile needs management.declaration.read.`,
		Example: "  doorward export > doorward.yaml\n  doorward export --organisation o-4f7k2m9q1x8z3c6v5b0n > acme.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.export(cmd) },
	}
	cmd.Flags().StringVarP(&a.format, "output", "o", "yaml", "how to print it: yaml or json")
	cmd.Flags().StringVar(&a.organisation, "organisation", "", "this organisation alone")
	cmd.Flags().StringVar(&a.profile, "profile", profileFromEnvironment(), "the profile that doorward login stored")
	return cmd
}

// begin signs in, and says where to act.
func (a *application) begin(cmd *cobra.Command) (query url.Values, err error) {
	if a.manager, err = newManager(cmd, a.profile); err != nil {
		return nil, err
	}
	query = url.Values{}
	if a.organisation == "" {
		a.organisation = a.manager.profile.Organisation
	}
	if a.organisation != "" {
		query.Set("organisation_id", a.organisation)
	}
	return query, nil
}

func (a *application) export(cmd *cobra.Command) error {
	if a.format != "yaml" && a.format != "json" {
		return usageError{fmt.Errorf("-o %s: choose yaml or json", a.format)}
	}
	query, err := a.begin(cmd)
	if err != nil {
		return err
	}
	text, _, err := a.manager.do(cmd.Context(), ask{method: http.MethodGet, path: "/declaration", query: query})
	if err != nil {
		return err
	}
	return a.print(cmd.OutOrStdout(), text)
}

func (a *application) run(cmd *cobra.Command) error {
	if a.schema {
		_, err := cmd.OutOrStdout().Write(publishedSchema())
		return err
	}
	if len(a.files) == 0 {
		return usageError{errors.New("-f is missing: name a file or folder, like doorward apply -f doorward.yaml")}
	}
	declared, err := readDeclarations(cmd, a.files)
	if err != nil {
		return err
	}
	query, err := a.begin(cmd)
	if err != nil {
		return err
	}
	if a.prune {
		query.Set("prune", "true")
	}
	a.manager.patience.what = "comparing"
	text, etag, err := a.manager.do(cmd.Context(), ask{method: http.MethodPost, path: "/declaration/plan", query: query, body: declared})
	if err != nil {
		return err
	}
	p, err := readPlan(text)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if a.quiet || a.format != "table" { // it is for a program
		out = cmd.ErrOrStderr()
	}
	if err := p.show(out); err != nil {
		return err
	}
	if a.dryRun || len(p.Steps) == 0 {
		return a.result(cmd, text, p)
	}
	if !a.sure {
		if !isTerminal(cmd.InOrStdin()) || a.readsInput() {
			return usageError{errors.New("there is no terminal to ask whether to go on: look at it with --dry-run, then add --yes")}
		}
		if err := goOn(cmd); err != nil {
			return err
		}
	}
	return a.apply(cmd, query, declared, etag, p)
}

func (a *application) readsInput() bool {
	for _, file := range a.files {
		if file == "-" {
			return true
		}
	}
	return false
}

func (a *application) apply(cmd *cobra.Command, query url.Values, declared any, etag string, p *plan) error {
	a.manager.patience.what = fmt.Sprintf("applying %d changes", len(p.Steps))
	text, _, err := a.manager.do(cmd.Context(), ask{method: http.MethodPost, path: "/declaration/apply", query: query, body: declared, header: http.Header{"If-Match": {etag}}})
	if err != nil {
		return err
	}
	made, err := readPlan(text)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), paint(cmd.ErrOrStderr(), green, "done"))
	return a.result(cmd, text, made)
}

// result is for programs: what was planned or made; --quiet has the ids.
func (a *application) result(cmd *cobra.Command, text []byte, p *plan) error {
	if !a.quiet && a.format == "table" {
		return nil
	}
	if !a.quiet {
		return a.print(cmd.OutOrStdout(), text)
	}
	for _, s := range p.Steps {
		if s.ID != "" {
			fmt.Fprintln(cmd.OutOrStdout(), s.ID)
		}
	}
	return nil
}

// plan is what the server would do.
type plan struct {
	Steps []struct {
		Action, Kind, ID, Name, Organisation, Account string
		Fields                                        []plannedField
	}
}

type plannedField struct {
	Name          string
	Before, After any
}

func readPlan(text []byte) (*plan, error) {
	p := &plan{}
	return p, json.Unmarshal(text, p)
}

var planMarks = map[string]struct{ mark, colour string }{"create": {"+", green}, "change": {"~", yellow}, "delete": {"-", red}}

// show prints the plan for people.
func (p *plan) show(out io.Writer) error {
	counts := map[string]int{}
	for _, s := range p.Steps {
		counts[s.Action]++
		m := planMarks[s.Action]
		line := m.mark + " " + s.Kind + " " + visible(s.Name)
		if s.ID != "" && s.ID != s.Name {
			line += " (" + visible(s.ID) + ")"
		}
		for _, where := range []string{s.Account, s.Organisation} {
			if where != "" {
				line += " of " + visible(where)
			}
		}
		fmt.Fprintln(out, paint(out, m.colour, line))
		for _, f := range s.Fields {
			f.show(out)
		}
	}
	if len(p.Steps) == 0 {
		_, err := fmt.Fprintln(out, "nothing to change: all is as it is declared")
		return err
	}
	_, err := fmt.Fprintf(out, "%d to create, %d to change, %d to delete\n", counts["create"], counts["change"], counts["delete"])
	return err
}

// show prints a field before and after; of a list, what comes and what goes.
func (f *plannedField) show(out io.Writer) {
	before, wasList := f.Before.([]any)
	after, isList := f.After.([]any)
	if !(isList || wasList) || f.Before != nil && !wasList || f.After != nil && !isList {
		if f.Before == nil {
			fmt.Fprintf(out, "    %s: %s\n", visible(f.Name), short(f.After))
		} else {
			fmt.Fprintf(out, "    %s: %s → %s\n", visible(f.Name), short(f.Before), short(f.After))
		}
		return
	}
	fmt.Fprintf(out, "    %s:\n", visible(f.Name))
	for _, item := range lacking(before, after) {
		fmt.Fprintf(out, "      %s\n", paint(out, red, "- "+short(item)))
	}
	for _, item := range lacking(after, before) {
		fmt.Fprintf(out, "      %s\n", paint(out, green, "+ "+short(item)))
		if members, ok := item.(map[string]any); ok && members["public"] == true {
			fmt.Fprintf(out, "        %s\n", paint(out, yellow, "anybody may call it, without a token"))
		}
	}
}

// lacking are the items of a list that another does not have.
func lacking(list, other []any) (found []any) {
	present := map[string]bool{}
	for _, item := range other {
		present[short(item)] = true
	}
	for _, item := range list {
		if !present[short(item)] {
			found = append(found, item)
		}
	}
	return found
}

// short is a value in one line.
func short(value any) string {
	if value == nil || reflect.ValueOf(value).IsZero() {
		return "none"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	node, err := ordered(text)
	if err != nil {
		return "?"
	}
	if len(node.Content) == 0 && node.Value == "" {
		return "none"
	}
	readable(node)
	return strings.TrimSpace(cell(node))
}
