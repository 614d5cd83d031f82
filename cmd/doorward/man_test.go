package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestManPageIsRoff(t *testing.T) {
	root := &cobra.Command{Use: "door", Short: "Open"}
	cmd := &cobra.Command{
		Use: "walk-in", Short: "Walk in", Run: func(*cobra.Command, []string) {},
		Long:    "Names `what` is\n.TH not a request, nor is\n'this, C:\\new.\n\n  kept\n   as it is",
		Example: "  door walk-in --slow",
	}
	cmd.Flags().BoolP("slow", "s", false, "take `time`")
	cmd.Flags().String("name", "me", "who")
	root.AddCommand(cmd)
	root.InitDefaultHelpCmd()
	want := `.TH DOOR\-WALK\-IN 1 "" Doorward "Doorward Manual"
.SH NAME
door\-walk\-in \- Walk in
.SH SYNOPSIS
.B door walk\-in [flags]
.SH DESCRIPTION
Names \fBwhat\fR is
\&.TH not a request, nor is
\&'this, C:\enew.
.PP
.nf
  kept
   as it is
.fi
.SH OPTIONS
.TP
\fB\-\-name\fR \fIstring\fR
who (default me)
.TP
\fB\-s\fR, \fB\-\-slow\fR \fItime\fR
take time
.SH EXAMPLES
.nf
  door walk\-in \-\-slow
.fi
.SH SEE ALSO
.BR door (1)
`
	if diff := cmp.Diff(want, string(manPage(cmd))); diff != "" {
		t.Error(diff)
	}
}

func TestEveryCommandHasAPage(t *testing.T) {
	folder := t.TempDir()
	if err := writePages(newRoot(nil), folder); err != nil {
		t.Fatal(err)
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !cmd.IsAvailableCommand() {
			return
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		if text, err := os.ReadFile(filepath.Join(folder, name+".1")); err != nil || !strings.Contains(string(text), ".SH SYNOPSIS") {
			t.Errorf("%s: %v", name, err)
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(newRoot(nil))
	if all, _ := filepath.Glob(filepath.Join(folder, "doorward-client-*.1")); len(all) < 8 {
		t.Errorf("pages of client: %s", all)
	}
}
