package metrics

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// A file of /proc that cannot be read leaves its values at zero: a scrape is not
// the place to fail.

// clockTick is the unit of times in /proc/self/stat: Linux shows every program
// a hundredth of a second, whatever it counts in itself.
const clockTick = 100

func registerProcess(r *Registry) {
	r.CounterFunc("process_cpu_seconds_total", "Time of the processor spent.", func() float64 { return (stat(11) + stat(12)) / clockTick })
	r.GaugeFunc("process_start_time_seconds", "Time of the process's start, since 1970.", func() float64 { return bootTime() + stat(19)/clockTick })
	r.GaugeFunc("process_virtual_memory_bytes", "Size of virtual memory.", func() float64 { return stat(20) })
	r.GaugeFunc("process_resident_memory_bytes", "Size of resident memory.", func() float64 { return stat(21) * float64(os.Getpagesize()) })
	r.GaugeFunc("process_virtual_memory_max_bytes", "Limit of virtual memory.", func() float64 { return limit(syscall.RLIMIT_AS) })
	r.GaugeFunc("process_max_fds", "Limit of open file descriptors.", func() float64 { return limit(syscall.RLIMIT_NOFILE) })
	r.GaugeFunc("process_open_fds", "Open file descriptors.", func() float64 {
		open, _ := os.ReadDir("/proc/self/fd")
		return float64(len(open))
	})
	r.CounterFunc("process_network_receive_bytes_total", "Bytes that the process's network received.", func() float64 { return network("InOctets") })
	r.CounterFunc("process_network_transmit_bytes_total", "Bytes that the process's network sent.", func() float64 { return network("OutOctets") })
}

// stat is a field of /proc/self/stat, counted from what follows the name of the
// program (proc_pid_stat(5) counts from one, and it is the third).
func stat(field int) float64 {
	text, _ := os.ReadFile("/proc/self/stat")
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if field >= len(fields) {
		return 0
	}
	return number(fields[field])
}

func bootTime() float64 {
	text, _ := os.ReadFile("/proc/stat")
	_, after, _ := bytes.Cut(text, []byte("\nbtime "))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return number(line)
}

// network is a column of the line of IpExt in /proc/self/net/netstat, which has
// a line of names before it.
func network(column string) float64 {
	text, _ := os.ReadFile("/proc/self/net/netstat")
	var names [][]byte
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 0 || string(fields[0]) != "IpExt:" {
			continue
		}
		for i, name := range names {
			if string(name) == column && i < len(fields) {
				return number(fields[i])
			}
		}
		names = fields
	}
	return 0
}

func limit(resource int) float64 {
	var l syscall.Rlimit
	_ = syscall.Getrlimit(resource, &l)
	return float64(l.Cur)
}

func number(text []byte) float64 {
	value, _ := strconv.ParseFloat(string(text), 64)
	return value
}
