//go:build linux

package servertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// processVariable says which program the test binary is when a test starts it
// again: a process that can be killed, or that the disk fails.
const processVariable = "DOORWARD_TEST_PROCESS"

// settingsVariable holds what that program is told, as JSON.
const settingsVariable = "DOORWARD_TEST_SETTINGS"

func TestMain(m *testing.M) {
	programs := map[string]func(settings []byte) error{"worker": runWorker, "server": runServer, "backup": runBackup}
	program, ok := programs[os.Getenv(processVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := program([]byte(os.Getenv(settingsVariable))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is a running program of the test binary.
type process struct {
	command *exec.Cmd
	out     io.Reader
}

// startProcess starts a program, which ends with the test at the latest, under
// the command that is given, if any.
func startProcess(t *testing.T, program string, settings any, under ...string) *process {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	command := append(under, os.Args[0])
	p := &process{command: exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)}
	p.command.Env = append(os.Environ(), processVariable+"="+program, settingsVariable+"="+string(text))
	p.command.Stderr = os.Stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to kill what it starts, too
	if p.out, err = p.command.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9, and waits until nothing of the process is left. What it
// wrote must have been read.
func (p *process) kill() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
	_ = p.command.Wait()
}

// eventually waits until the condition holds, a minute at most, for what no channel announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not happen within a minute", what)
		case <-ticker.C:
		}
	}
}

// figure prints what was measured; `make faults` shows these lines.
func figure(t *testing.T, format string, args ...any) {
	t.Helper()
	fmt.Printf("figure: %-40s %s\n", strings.ReplaceAll(t.Name(), "_", " "), fmt.Sprintf(format, args...))
}
