package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// errNothingDone is what becomes of a command that a person stops.
var errNothingDone = errors.New("nothing was done")

// ask asks a person whether to go on.
func (t *task) ask(cmd *cobra.Command, args []string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usageError{fmt.Errorf("%s asks before it goes on, and there is no terminal: add --yes if you are sure", cmd.CommandPath())}
	}
	out := cmd.ErrOrStderr()
	fmt.Fprintf(out, "%s: %s\n%s\n", t.operation.Summary, paint(out, bold, visible(strings.Join(args, " "))), wrapped(t.operation.Description))
	if t.reads != "" {
		o := operations()[t.reads]
		text, _, err := t.manager.do(cmd.Context(), ask{method: o.method, path: t.address(o)})
		if err != nil {
			return err
		}
		if err := (&printer{format: "yaml"}).print(out, text); err != nil {
			return err
		}
	}
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
