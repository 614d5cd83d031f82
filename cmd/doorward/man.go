package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(root *cobra.Command) *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use: "man --dir DIR", Short: "Write man pages of all commands", Args: cobra.NoArgs,
		Example: "  doorward man --dir /usr/local/share/man/man1",
		RunE: func(*cobra.Command, []string) error {
			if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // man pages are for everybody
				return err
			}
			return writePages(root, folder)
		},
	}
	required(cmd, &folder, "dir", "the folder to write them to")
	return cmd
}

// writePages writes the page of a command and those of all below it.
func writePages(cmd *cobra.Command, folder string) error {
	if !cmd.IsAvailableCommand() {
		return nil
	}
	cmd.InitDefaultHelpFlag()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(folder, name), manPage(cmd), 0o644); err != nil { //nolint:gosec // man pages are for everybody
		return err
	}
	for _, below := range cmd.Commands() {
		if err := writePages(below, folder); err != nil {
			return err
		}
	}
	return nil
}

// manPage is a command's page in the macros of man(7).
func manPage(cmd *cobra.Command) []byte {
	var page bytes.Buffer
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&page, ".TH %s 1 \"\" Doorward \"Doorward Manual\"\n", strings.ToUpper(roff(name)))
	fmt.Fprintf(&page, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	use := cmd.UseLine()
	if !cmd.Runnable() {
		use = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(&page, ".SH SYNOPSIS\n.B %s\n", roff(use))
	if cmd.Long != "" {
		fmt.Fprint(&page, ".SH DESCRIPTION\n", paragraphs(cmd.Long))
	}
	section := func(title string, flags *pflag.FlagSet) {
		if flags.HasAvailableFlags() {
			fmt.Fprintf(&page, ".SH %s\n", title)
			flags.VisitAll(func(f *pflag.Flag) { writeFlag(&page, f) })
		}
	}
	section("OPTIONS", cmd.NonInheritedFlags())
	section("COMMON OPTIONS", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&page, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	writeCommands(&page, cmd)
	return page.Bytes()
}

func writeFlag(page *bytes.Buffer, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	names := `\fB\-\-` + roff(f.Name) + `\fR`
	if f.Shorthand != "" {
		names = `\fB\-` + roff(f.Shorthand) + `\fR, ` + names
	}
	if value != "" {
		names += ` \fI` + roff(value) + `\fR`
	}
	switch f.DefValue {
	case "", "false", "0", "[]":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(page, ".TP\n%s\n%s\n", names, cmp.Or(roff(usage), `\&`))
}

// writeCommands lists those below, and names the page above.
func writeCommands(page *bytes.Buffer, cmd *cobra.Command) {
	var also []string
	if cmd.HasParent() {
		also = append(also, `.BR `+roff(strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-"))+" (1)\n")
	}
	if cmd.HasAvailableSubCommands() {
		page.WriteString(".SH COMMANDS\n")
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			fmt.Fprintf(page, ".TP\n\\fB%s\\fR\n%s\n", roff(below.Name()), roff(below.Short))
			also = append(also, `.BR `+roff(strings.ReplaceAll(below.CommandPath(), " ", "-"))+" (1)\n")
		}
	}
	if len(also) > 0 {
		page.WriteString(".SH SEE ALSO\n" + strings.Join(also, ""))
	}
}

// paragraphs sets running text, and keeps the lines of what is indented.
func paragraphs(text string) string {
	var page strings.Builder
	kept := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(line, "\n")
		switch indented := strings.HasPrefix(line, " "); {
		case indented && !kept:
			page.WriteString(".nf\n")
			kept = true
		case !indented && kept:
			page.WriteString(".fi\n")
			kept = false
		}
		if line == "" {
			page.WriteString(".PP\n")
			continue
		}
		page.WriteString(code.ReplaceAllString(roff(line), `\fB$1\fR`) + "\n")
	}
	if kept {
		page.WriteString(".fi\n")
	}
	return page.String()
}

// code is what the contract writes between backticks.
var code = regexp.MustCompile("`([^`]+)`")

// roff is text that the formatter takes as it is: no escape, no request at the
// beginning of a line, and hyphens that can be copied.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// required adds a flag that must be given.
func required(cmd *cobra.Command, value *string, name, usage string) {
	cmd.Flags().StringVar(value, name, "", usage)
	_ = cmd.MarkFlagRequired(name) // fails only for a flag that does not exist
}
