package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/fault"
)

func newExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain CODE", Short: "Explain the code of a refusal, and what to do about it", Args: cobra.ExactArgs(1),
		Example: "  doorward explain permission_missing",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return codes(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			entry, ok := fault.Lookup(fault.Code(args[0]))
			if !ok {
				entry, ok = fault.LookupOAuth(fault.Code(args[0]))
			}
			if !ok {
				return usageError{fmt.Errorf("there is no code %s; there are %s", args[0], strings.Join(codes(), ", "))}
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s (%d %s)\n\n%s\n\n%s\n", paint(out, bold, entry.Title), entry.Status, entry.Code, wrapped(entry.Cause), wrapped(entry.Remedy))
			return nil
		},
	}
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
