//go:build linux && faults

package servertest_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// traced is what a trace of system calls shows of one acknowledgement, since the
// one before it.
type traced struct{ wrote, synced bool }

// acknowledgements reads a trace of strace -f -y, in the order in which calls
// ended: the writes of the journal, its syncs, and the answers that have nothing
// but a header to say, as those to revocations.
func acknowledgements(t *testing.T, path string) (all []traced) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var now traced
	syncing := map[string]bool{} // threads whose sync of the journal has begun
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		thread, call, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		call = strings.TrimSpace(call)
		switch {
		case strings.HasPrefix(call, "pwrite64(") && strings.Contains(call, "-wal>"):
			now.wrote = true // what comes behind a sync is another transaction's, such as a lease: there is one writer
		case strings.HasPrefix(call, "f") && strings.Contains(call, "sync(") && strings.Contains(call, "-wal>"):
			if syncing[thread] = strings.Contains(call, "unfinished"); !syncing[thread] {
				now.synced = now.wrote
			}
		case strings.Contains(call, "sync resumed>") && syncing[thread]:
			syncing[thread], now.synced = false, now.wrote
		case strings.HasPrefix(call, "write(") && strings.Contains(call, `"HTTP/1.1 200 OK`) && strings.Contains(call, "Content-Length: 0"):
			all = append(all, now)
			now = traced{}
		}
	}
	return all
}

// STO-03: the page cache survives kill -9. That an acknowledged change also
// survives a power cut is what the order of system calls shows: its journal was
// written, then synced, then the caller was told.
func TestSTO03_acknowledgedChangesAreOnTheDisk(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("no strace: run the test with `make faults-short`")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	folder := t.TempDir()
	p := startProcess(t, "server", serverSettings{folder}, strace, "-f", "-y", "-s", "400", "-e", "trace=write,pwrite64,fsync,fdatasync", "-o", trace)
	var s served
	if err := json.NewDecoder(p.out).Decode(&s); err != nil {
		t.Fatalf("the server process did not start: %v", err)
	}
	const changes = 20
	for i := range changes {
		c := s.Clients[i%len(s.Clients)]
		if a := revoke(t, s.URL, c, token(t, s.URL, c)); a.status != http.StatusOK {
			t.Fatalf("revocation = %d %s", a.status, a.body)
		}
	}
	p.kill()
	all := acknowledgements(t, trace)
	if len(all) != changes {
		t.Errorf("the trace shows %d acknowledgements, want %d", len(all), changes)
	}
	for i, a := range all {
		if !a.wrote || !a.synced {
			t.Errorf("acknowledgement %d: journal written %t, and then synced %t", i, a.wrote, a.synced)
		}
	}
	figure(t, "%d changes, each synced before its acknowledgement", len(all))
}
