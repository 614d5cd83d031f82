//go:build linux && faults

package servertest_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/doorward/doorward/internal/backup"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// countUp runs a program again and again, and lets one call of the system fail in
// each of its threads: the first, then the second, and so on, until it was
// through before anything failed. It returns how often something did.
func countUp(t *testing.T, call string, run func(under ...string)) (failed int) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("no strace: run the test with `make faults-short`")
	}
	name, _, _ := strings.Cut(call, ":")
	for n := 1; ; n += 1 + n/size(1, 2, 40) {
		trace := filepath.Join(t.TempDir(), fmt.Sprint("trace-", n))
		run(strace, "-f", "--seccomp-bpf", "-e", "trace="+name, "-e", fmt.Sprintf("inject=%s:when=%d", call, n), "-o", trace)
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("call %d", n)
		}
		if !strings.Contains(string(text), "(INJECTED)") {
			break
		}
		failed++
	}
	if failed == 0 {
		t.Error("nothing failed")
	}
	return failed
}

// STO-03: the file of the database fails a worker once.
func TestSTO03_aFaultAtEachCallOfTheFileLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"pwrite64:error=EIO", "pwrite64:error=ENOSPC", "fsync:error=EIO", "ftruncate:error=EIO"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			k := newKilledWorkers(t, "sqlite", 1)
			failed := countUp(t, call, func(under ...string) {
				k.hearSome(t, startProcess(t, "worker", k.settings, under...), 30)
				k.check(t, k.touched)
			})
			figure(t, "%d calls failed, one in each run; %d changes acknowledged, none lost; %d made though nobody was told, whole", failed, k.acknowledged, k.unheard)
		})
	}
}

// The revocation journal fails a worker once: what is acknowledged is in it.
func TestSTO15_aFaultOfTheRevocationJournalLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"write:error=ENOSPC", "fsync:error=EIO", "openat:error=EMFILE"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			k := newKilledWorkers(t, "sqlite", 1)
			k.settings.Journal = filepath.Join(t.TempDir(), "revocations")
			failed := countUp(t, call, func(under ...string) {
				k.hearSome(t, startProcess(t, "worker", k.settings, append(under, "-P", k.settings.Journal)...), 60)
				k.check(t, k.touched)
				kept := map[string]bool{}
				_, err := sqldb.ReadRevocations(k.settings.Journal, func(r sqldb.Revocation) error {
					kept[string(r.Content)] = true
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				all := strings.Join(slices.Collect(maps.Keys(kept)), "\n")
				for client := range k.touched {
					for key, state := range k.known[client] {
						if _, pending := k.pending[0]; state == registry.SecretRevoked && !pending && !strings.Contains(all, string(key)) {
							t.Errorf("the journal lacks the acknowledged revocation of %s", key)
						}
					}
				}
			})
			figure(t, "%d calls failed, one in each run; %d changes acknowledged, none lost", failed, k.acknowledged)
		})
	}
}

// STO-15: a backup is whole, or it is none.
func TestSTO15_aFaultDuringABackupLeavesNoPartOfOne(t *testing.T) {
	t.Parallel()
	k := newKilledWorkers(t, "sqlite", 1)
	k.round(t, 40)
	for _, call := range []string{"pwrite64:error=ENOSPC", "write:error=ENOSPC", "fsync:error=EIO", "linkat:error=EIO", "openat:error=EMFILE"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			failed := countUp(t, call, func(under ...string) {
				folder := t.TempDir()
				s := backupSettings{Database: k.settings.Database, Target: filepath.Join(folder, "copy.db")}
				p := startProcess(t, "backup", s, under...)
				said, _ := io.ReadAll(p.out)
				_ = p.command.Wait()
				_, err := os.Lstat(s.Target)
				if errors.Is(err, fs.ErrNotExist) && len(said) == 0 {
					if err := s.make(t); err != nil { // and the next one succeeds
						t.Errorf("the next backup: %v", err)
					}
				}
				db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + s.Target})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := backup.Verify(t.Context(), db); err != nil {
					t.Errorf("the backup (which says %q): %v", said, err)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			figure(t, "%d calls failed, one in each run", failed)
		})
	}
}

func (s backupSettings) make(t *testing.T) error {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: s.Database})
	if err != nil {
		return err
	}
	_, err = backup.Make(t.Context(), db, s.Target)
	return errors.Join(err, db.Close())
}

// hearSome kills the worker after so many lines, unless it gave up before.
func (k *killedWorkers) hearSome(t *testing.T, p *process, lines int) {
	t.Helper()
	k.pending, k.touched = map[int]change{}, map[id.Client]bool{}
	in := bufio.NewScanner(p.out)
	for said := 1; in.Scan(); said++ {
		var c change
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			t.Errorf("a worker said %q: %v", in.Text(), err)
		}
		k.hear(c)
		if said == lines {
			_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		}
	}
	p.kill()
}
