package metrics

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
)

// Runtime registers what the Go runtime knows of itself, and what the system
// knows of the process where it has /proc, under the names that Prometheus' own
// clients use.
func Runtime(r *Registry) {
	r.GaugeFunc("go_goroutines", "Goroutines that exist.", func() float64 { return float64(runtime.NumGoroutine()) })
	r.GaugeFunc("go_threads", "Threads of the operating system that were made.", func() float64 {
		threads, _ := runtime.ThreadCreateProfile(nil)
		return float64(threads)
	})
	r.GaugeFuncs("go_info", "The version of Go.", "version", []string{runtime.Version()}, func(string) float64 { return 1 })
	r.add("go_gc_duration_seconds", "Time that collections of garbage stopped the world.", "summary", writePauses)
	r.GaugeFunc("go_memstats_last_gc_time_seconds", "Time of the last collection of garbage, since 1970.", func() float64 {
		var s debug.GCStats
		debug.ReadGCStats(&s)
		if s.LastGC.IsZero() {
			return 0
		}
		return float64(s.LastGC.UnixNano()) / float64(time.Second)
	})
	for _, m := range memory {
		read := func() float64 { return sum(m.of) }
		if m.total {
			r.CounterFunc(m.name, m.help, read)
		} else {
			r.GaugeFunc(m.name, m.help, read)
		}
	}
	registerProcess(r)
}

// memory is what runtime/metrics has, by the names of runtime.MemStats.
var memory = []struct {
	name, help string
	total      bool
	of         []string // added up
}{
	{"go_gc_gogc_percent", "Growth of the heap between two collections (GOGC).", false, []string{"/gc/gogc:percent"}},
	{"go_gc_gomemlimit_bytes", "Limit of memory (GOMEMLIMIT).", false, []string{"/gc/gomemlimit:bytes"}},
	{"go_memstats_alloc_bytes", "Bytes of the heap in use.", false, []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_alloc_bytes_total", "Bytes of the heap allocated until now.", true, []string{"/gc/heap/allocs:bytes"}},
	{"go_memstats_buck_hash_sys_bytes", "Bytes of the profiler's table.", false, []string{"/memory/classes/profiling/buckets:bytes"}},
	{"go_memstats_frees_total", "Objects of the heap freed until now.", true, []string{"/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_gc_sys_bytes", "Bytes of the collector's own.", false, []string{"/memory/classes/metadata/other:bytes"}},
	{"go_memstats_heap_alloc_bytes", "Bytes of the heap in use.", false, []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_heap_idle_bytes", "Bytes of the heap that wait to be used.", false, []string{"/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes"}},
	{"go_memstats_heap_inuse_bytes", "Bytes of the heap's spans in use.", false, []string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes"}},
	{"go_memstats_heap_objects", "Objects of the heap.", false, []string{"/gc/heap/objects:objects"}},
	{"go_memstats_heap_released_bytes", "Bytes of the heap given back to the system.", false, []string{"/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_sys_bytes", "Bytes of the heap obtained from the system.", false, []string{
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes",
	}},
	{"go_memstats_mallocs_total", "Objects of the heap allocated until now.", true, []string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_mcache_inuse_bytes", "Bytes of caches of threads in use.", false, []string{"/memory/classes/metadata/mcache/inuse:bytes"}},
	{"go_memstats_mcache_sys_bytes", "Bytes of caches of threads obtained from the system.", false, []string{"/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mcache/free:bytes"}},
	{"go_memstats_mspan_inuse_bytes", "Bytes that describe spans, in use.", false, []string{"/memory/classes/metadata/mspan/inuse:bytes"}},
	{"go_memstats_mspan_sys_bytes", "Bytes that describe spans, obtained from the system.", false, []string{"/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes"}},
	{"go_memstats_next_gc_bytes", "Size of the heap that begins the next collection.", false, []string{"/gc/heap/goal:bytes"}},
	{"go_memstats_other_sys_bytes", "Other bytes obtained from the system.", false, []string{"/memory/classes/other:bytes"}},
	{"go_memstats_stack_inuse_bytes", "Bytes of stacks of goroutines.", false, []string{"/memory/classes/heap/stacks:bytes"}},
	{"go_memstats_stack_sys_bytes", "Bytes of stacks obtained from the system.", false, []string{"/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes"}},
	{"go_memstats_sys_bytes", "Bytes obtained from the system.", false, []string{"/memory/classes/total:bytes"}},
	{"go_sched_gomaxprocs_threads", "Threads that may run Go at the same time (GOMAXPROCS).", false, []string{"/sched/gomaxprocs:threads"}},
}

func sum(names []string) float64 {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var total float64
	for _, s := range samples {
		total += float64(s.Value.Uint64())
	}
	return total
}

func writePauses(page []byte, name string) []byte {
	s := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&s)
	for i, pause := range s.PauseQuantiles {
		quantile := strconv.FormatFloat(float64(i)/4, 'g', -1, 64)
		page = appendSample(page, name, `quantile="`+quantile+`"`, pause.Seconds())
	}
	page = appendSample(page, name+"_sum", "", s.PauseTotal.Seconds())
	return appendSample(page, name+"_count", "", float64(s.NumGC))
}
