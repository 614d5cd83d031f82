package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cores are the two processor cores of a run, kept apart so that making load
// costs the server nothing.
type cores struct {
	server int // where the measured process runs, alone
	load   int // where the load generator and the upstream run
}

// coresVariable tells the pinned copy of this program which cores were chosen:
// its own mask no longer shows the other one.
const coresVariable = "DOORWARD_BENCH_CORES"

// pinned returns the chosen cores once this process runs on the load core
// alone. The first time it replaces the process by a pinned copy, for only a
// mask that was set before exec holds for every thread.
func pinned() (cores, error) {
	var c cores
	if _, err := fmt.Sscanf(os.Getenv(coresVariable), "%d,%d", &c.server, &c.load); err == nil {
		return c, nil
	}
	c, err := chooseCores()
	if err != nil {
		return c, err
	}
	self, err := os.Executable()
	if err != nil {
		return c, fmt.Errorf("find this program: %w", err)
	}
	runtime.LockOSThread()
	if err := bind(c.load); err != nil {
		return c, err
	}
	// Two Ps on one core: with a single one the runtime takes it away during
	// every epoll_wait, at the price of a wake-up per batch.
	env := append(os.Environ(), fmt.Sprintf("%s=%d,%d", coresVariable, c.server, c.load), "GOMAXPROCS=2")
	return c, syscall.Exec(self, os.Args, env)
}

// chooseCores takes the last two cores that this process may use.
func chooseCores() (cores, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return cores{}, fmt.Errorf("read the allowed cores: %w", err)
	}
	var found []int
	for core := range len(allowed) * strconv.IntSize {
		if allowed.IsSet(core) {
			found = append(found, core)
		}
	}
	if len(found) < 2 {
		return cores{}, fmt.Errorf("this process may use %d core: the benchmark needs two", len(found))
	}
	return cores{server: found[len(found)-1], load: found[len(found)-2]}, nil
}

// bind moves the calling thread, and what it forks or execs, to one core.
func bind(core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bind to core %d: %w", core, err)
	}
	return nil
}

// cpuTime returns the time that the threads of a process have run, from the
// scheduler's own nanosecond counters: those of stat tick in 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process %d has no scheduler statistics: has it ended?", pid)
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended between the listing and the reading
		}
		first, _, _ := strings.Cut(string(text), " ")
		ran, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", file, err)
		}
		sum += time.Duration(ran)
	}
	return sum, nil
}

// coreTicks are the clock ticks of one core since the machine started.
type coreTicks struct{ all, idle uint64 }

// ticksOf reads the ticks of a core from /proc/stat.
func ticksOf(core int) (coreTicks, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return coreTicks{}, fmt.Errorf("read the core's load: %w", err)
	}
	prefix := fmt.Appendf(nil, "cpu%d ", core)
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, prefix); ok {
			return parseTicks(string(rest))
		}
	}
	return coreTicks{}, fmt.Errorf("core %d is not in /proc/stat", core)
}

// parseTicks adds up user, nice, system, idle, iowait, irq, softirq and steal.
// What follows them is contained in user and nice.
func parseTicks(fields string) (coreTicks, error) {
	var t coreTicks
	for i, field := range strings.Fields(fields) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return t, fmt.Errorf("read the core's load: %w", err)
		}
		if i < 8 {
			t.all += n
		}
		if i == 3 || i == 4 {
			t.idle += n
		}
	}
	return t, nil
}

// busySince returns the share of the time since an earlier reading during
// which the core was not idle, from 0 to 1.
func (t coreTicks) busySince(earlier coreTicks) float64 {
	all := t.all - earlier.all
	if all == 0 {
		return 0
	}
	return 1 - float64(t.idle-earlier.idle)/float64(all)
}

// resident returns the resident memory of a process in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return pages * int64(os.Getpagesize()), nil
}
