package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// command makes the command of a noun, with those of its verbs below it.
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
		if len(t.filterFields()) > 0 {
			flags.StringArrayVar(&t.filters, "filter", nil, "the same as --NAME VALUE, for scripts: NAME=VALUE (repeatable)")
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
	if t.operation.Permission != "" {
		text += "\n\nThe client of the profile needs " + t.operation.Permission + "."
	}
	return text
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
	taken := t.positional()
	return slices.DeleteFunc(slices.Clone(t.fields), func(f *field) bool { return slices.Contains(taken, f) })
}

// filterFields are the fields that choose among what is listed; --filter gives
// them too.
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
