package server

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// settle gives back what only the start needed: garbage, and pages of the
// program's file. The kernel maps those by the dozen around each one that is
// used; what is needed again comes back from its cache.
func settle() error {
	debug.FreeOSMemory()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to uintptr
		var access string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &access); err != nil {
			return fmt.Errorf("read /proc/self/maps: %w", err)
		}
		if !strings.HasSuffix(lines.Text(), " "+program) || strings.Contains(access, "w") {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give pages of the program back: %w", errno)
		}
	}
	return lines.Err()
}
