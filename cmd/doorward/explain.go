package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/fault"
)

// question is what `doorward explain` is asked.
type question struct {
	printer
	client, address, profile string
}

func newExplain() *cobra.Command {
	q := &question{}
	cmd := &cobra.Command{
		Use: "explain {CODE | METHOD PATH}", Short: "Explain the code of a refusal, or what would become of a call", Args: cobra.RangeArgs(1, 2),
		Long: `With the code of a refusal: what it means and what to do about it, without a network.

With method and path of a call: which route it meets, what that needs, and what the
gateway would say to an API client, without making the call. The client of the profile
needs management.client.read; it is the one that is asked about, unless --client names
another.`,
		Example: "  doorward explain permission_missing\n  doorward explain GET /orders/1 --client sandbox-round-apple-123",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return append(operations()["explainCall"].parameter("query", "method").Schema.Enum, codes()...), cobra.ShellCompDirectiveNoFileComp
		},
		PreRunE: func(*cobra.Command, []string) error { return q.check() },
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return q.call(cmd, strings.ToUpper(args[0]), args[1])
			}
			return explainCode(cmd.OutOrStdout(), args[0])
		},
	}
	cmd.Flags().StringVar(&q.client, "client", "", "the API client that makes the call (default: the profile's)")
	cmd.Flags().StringVar(&q.address, "address", "", "from where it calls, to be held against the client's networks")
	cmd.Flags().StringVar(&q.profile, "profile", profileFromEnvironment(), "the profile that doorward login stored")
	q.flags(cmd)
	return cmd
}

func explainCode(out io.Writer, code string) error {
	entry, ok := fault.Lookup(fault.Code(code))
	if !ok {
		entry, ok = fault.LookupOAuth(fault.Code(code))
	}
	if !ok {
		return usageError{fmt.Errorf("there is no code %s; there are %s; for a call give method and path", visible(code), strings.Join(codes(), ", "))}
	}
	_, err := fmt.Fprintf(out, "%s (%d %s)\n\n%s\n\n%s\n", paint(out, bold, entry.Title), entry.Status, entry.Code, wrapped(entry.Cause), wrapped(entry.Remedy))
	return err
}

// explanation is what the management API says of a call.
type explanation struct {
	Allowed                                    bool
	Status                                     int
	Code, Detail, Remedy, Product, Environment string
	Route                                      json.RawMessage
	Holds                                      []string
	Account                                    string `json:"account_id"`
}

func (q *question) call(cmd *cobra.Command, method, target string) error {
	m, err := newManager(cmd, q.profile)
	if err != nil {
		return err
	}
	if q.client == "" {
		q.client = m.profile.tokens.ClientID
	}
	o := operations()["explainCall"]
	if _, err := o.parameter("query", "method").Schema.check(method); err != nil {
		return usageError{fmt.Errorf("METHOD %s: %w", visible(method), err)}
	}
	if _, err := o.parameter("path", "client_id").Schema.check(q.client); err != nil {
		return usageError{fmt.Errorf("--client %s: %w", visible(q.client), err)}
	}
	query := url.Values{"method": {method}, "target": {target}}
	if q.address != "" {
		query.Set("address", q.address)
	}
	text, _, err := m.do(cmd.Context(), ask{method: o.method, path: "/clients/" + q.client + "/explanation", query: query})
	if err != nil {
		return err
	}
	if q.format != "table" {
		return q.print(cmd.OutOrStdout(), text)
	}
	var e explanation
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	return e.show(cmd.OutOrStdout(), method+" "+target+" by "+q.client)
}

func (e *explanation) show(out io.Writer, call string) error {
	verdict := paint(out, green, "allowed")
	if !e.Allowed {
		verdict = paint(out, red, fmt.Sprintf("refused, %d %s", e.Status, visible(e.Code)))
	}
	fmt.Fprintf(out, "%s: %s\n", visible(call), verdict)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %s\t%s\n", name, value)
		}
	}
	line("product", visible(e.Product))
	if e.Route != nil {
		route, err := ordered(e.Route)
		if err != nil {
			return err
		}
		line("route", cellOf(route, "method")+" "+cellOf(route, "path"))
		needs := cellOf(route, "permissions")
		if member(route, "public") != nil {
			needs = "nothing: it is public"
		}
		line("needs", needs)
	}
	line("account", visible(e.Account))
	line("environment", visible(e.Environment))
	line("holds", visible(strings.Join(e.Holds, ", ")))
	if err := w.Flush(); err != nil || e.Allowed {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n\n%s\n", wrapped(visible(e.Detail)), wrapped(visible(e.Remedy)))
	return err
}

func codes() (all []string) {
	for _, entry := range append(fault.Entries(), fault.OAuthEntries()...) {
		all = append(all, string(entry.Code))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wrapped breaks a text into lines of 80 characters.
func wrapped(text string) string {
	var out strings.Builder
	length := 0
	for word := range strings.FieldsSeq(text) {
		switch n := len([]rune(word)); {
		case length == 0:
			length = n
		case length+1+n > 80:
			out.WriteByte('\n')
			length = n
		default:
			out.WriteByte(' ')
			length += 1 + n
		}
		out.WriteString(word)
	}
	return out.String()
}
