package metrics_test

import (
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/doorward/doorward/internal/metrics"
)

// scrape reads what is exposed with the parser of Prometheus.
func scrape(t *testing.T, r *metrics.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if got := w.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("Content-Type = %s", got)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestPageIsTheFormat(t *testing.T) {
	r := new(metrics.Registry)
	calls := r.Counters("calls_total", "Calls \\ of\nproducts.", "product", "outcome")
	calls.With("b", "2xx").Inc()
	calls.With("a", "2xx").Inc()
	calls.With("a", "2xx").Inc()
	seconds := r.Histogram("seconds", "Time.", .5, 1)
	for _, v := range []float64{.5, .6, 7} {
		seconds.Observe(v)
	}
	r.Gauge("waiting", "Those who wait.").Set(-1.5)
	r.GaugeFunc("age", "Age.", func() float64 { return math.Inf(1) })
	r.CounterFunc("statements_total", "Statements.", func() float64 { return 3e9 })
	r.GaugeFuncs("key_age", "Age of keys.", "environment", []string{"production", "sandbox"}, func(e string) float64 { return float64(len(e)) })
	r.Counters("nothing_total", "Nothing yet.", "why")

	var page strings.Builder
	if _, err := r.WriteTo(&page); err != nil {
		t.Fatal(err)
	}
	want := `# HELP age Age.
# TYPE age gauge
age +Inf
# HELP calls_total Calls \\ of\nproducts.
# TYPE calls_total counter
calls_total{product="a",outcome="2xx"} 2
calls_total{product="b",outcome="2xx"} 1
# HELP key_age Age of keys.
# TYPE key_age gauge
key_age{environment="production"} 10
key_age{environment="sandbox"} 7
# HELP nothing_total Nothing yet.
# TYPE nothing_total counter
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="0.5"} 1
seconds_bucket{le="1"} 2
seconds_bucket{le="+Inf"} 3
seconds_sum 8.1
seconds_count 3
# HELP statements_total Statements.
# TYPE statements_total counter
statements_total 3e+09
# HELP waiting Those who wait.
# TYPE waiting gauge
waiting -1.5
`
	if diff := cmp.Diff(want, page.String()); diff != "" {
		t.Error(diff)
	}
	if got := scrape(t, r)["seconds"].GetMetric()[0].GetHistogram(); got.GetSampleCount() != 3 || got.GetSampleSum() != 8.1 {
		t.Errorf("histogram = %v", got)
	}
}

func TestHostileLabelsAreText(t *testing.T) {
	r := new(metrics.Registry)
	values := []string{"", `a"} 1` + "\n" + `b{c="`, `\`, "\xff\xfe", "ä, \u202e😀", strings.Repeat("x", 1000)}
	v := r.Counters("calls_total", "Calls.", "route")
	for _, value := range values {
		v.With(value).Inc()
	}
	var got []string
	for _, m := range scrape(t, r)["calls_total"].GetMetric() {
		got = append(got, m.GetLabel()[0].GetValue())
	}
	want := slices.Clone(values)
	want[3] = "\uFFFD"
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesOfCodePanic(t *testing.T) {
	r := new(metrics.Registry)
	v := r.Counters("calls_total", "Calls.", "route")
	v.With("good")
	for name, mistake := range map[string]func(){
		"taken name":      func() { r.Gauge("calls_total", "Again.") },
		"empty name":      func() { r.Gauge("", "None.") },
		"name with space": func() { r.Gauge("a b", "None.") },
		"leading digit":   func() { r.Gauge("1a", "None.") },
		"label's name":    func() { r.Counters("a", "A.", "b-c") },
		"too few values":  func() { v.With() },
		"too many values": func() { v.With("a", "b") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			mistake()
		})
	}
}

func TestCountingAtOnceLosesNothing(t *testing.T) {
	r := new(metrics.Registry)
	calls, seconds := r.Counters("calls_total", "Calls.", "product"), r.Histogram("seconds", "Time.", 1)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				calls.With(string('a' + rune(i%3))).Inc()
				seconds.Observe(1)
			}
			_, _ = r.WriteTo(new(strings.Builder))
		})
	}
	all.Wait()
	families := scrape(t, r)
	var counted float64
	for _, m := range families["calls_total"].GetMetric() {
		counted += m.GetCounter().GetValue()
	}
	if h := families["seconds"].GetMetric()[0].GetHistogram(); counted != 8000 || h.GetSampleSum() != 8000 || h.GetSampleCount() != 8000 {
		t.Errorf("%v calls, %v", counted, h)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	r := new(metrics.Registry)
	calls, seconds := r.Counter("calls_total", "Calls."), r.Histogram("seconds", "Time.", .1, .2, .5, 1, 2)
	if n := testing.AllocsPerRun(100, func() { calls.Inc(); seconds.Observe(.3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Dashboards that others made read these names.
func TestRuntimeKnowsTheProcess(t *testing.T) {
	r := new(metrics.Registry)
	metrics.Runtime(r)
	families := scrape(t, r)
	for _, name := range []string{
		"go_goroutines", "go_threads", "go_info", "go_memstats_alloc_bytes", "go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes", "go_memstats_sys_bytes",
		"go_memstats_mallocs_total", "go_memstats_next_gc_bytes", "go_sched_gomaxprocs_threads", "go_gc_gogc_percent",
		"process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds",
	} {
		if m := families[name].GetMetric(); len(m) != 1 || m[0].GetCounter().GetValue()+m[0].GetGauge().GetValue() <= 0 {
			t.Errorf("%s: %v", name, m)
		}
	}
	for families["process_cpu_seconds_total"].GetMetric()[0].GetCounter().GetValue() == 0 { // until it worked for a tick
		families = scrape(t, r)
	}
	if families["go_gc_duration_seconds"].GetType() != dto.MetricType_SUMMARY {
		t.Error("no pauses")
	}
}
