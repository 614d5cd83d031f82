// Package metrics counts, and writes what was counted in the text exposition
// format of Prometheus, version 0.0.4.
package metrics

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// A Registry holds metrics by name. The zero Registry is empty and ready. Its
// methods panic when a name is taken or is none: who names metrics is code.
// Safe for concurrent use, as is every metric.
type Registry struct {
	mu       sync.Mutex
	families []*family // in order of name
}

// A family is all series of one name.
type family struct {
	name, help, kind string
	write            func(page []byte, name string) []byte
}

func (r *Registry) add(name, help, kind string, write func(page []byte, name string) []byte) {
	mustBeName(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	at, taken := slices.BinarySearchFunc(r.families, name, func(f *family, name string) int { return strings.Compare(f.name, name) })
	if taken {
		panic("metrics: " + name + " is registered twice")
	}
	r.families = slices.Insert(r.families, at, &family{name, help, kind, write})
}

func mustBeName(name string) {
	for i, c := range []byte(name) {
		if letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'; !letter && (i == 0 || c < '0' || c > '9') {
			panic("metrics: " + strconv.Quote(name) + " is no name")
		}
	}
	if name == "" {
		panic("metrics: a name is missing")
	}
}

// ServeHTTP answers with all metrics.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = r.WriteTo(w)
}

// WriteTo writes all metrics in order of name.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	families := slices.Clone(r.families)
	r.mu.Unlock()
	var page []byte
	for _, f := range families {
		page = fmt.Appendf(page, "# HELP %s %s\n# TYPE %s %s\n", f.name, helpText.Replace(f.help), f.name, f.kind)
		page = f.write(page, f.name)
	}
	n, err := w.Write(page)
	return int64(n), err
}

var (
	helpText  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// appendSample writes one line; labels are without their braces.
func appendSample(page []byte, name, labels string, value float64) []byte {
	page = append(page, name...)
	if labels != "" {
		page = append(append(append(page, '{'), labels...), '}')
	}
	page = append(page, ' ')
	return append(appendValue(page, value), '\n')
}

// appendValue spells infinity as the format does.
func appendValue(page []byte, value float64) []byte {
	if math.IsInf(value, 0) {
		return fmt.Appendf(page, "%+g", value)
	}
	return strconv.AppendFloat(page, value, 'g', -1, 64)
}

// A Counter only goes up.
type Counter struct{ count atomic.Uint64 }

// Inc adds one.
func (c *Counter) Inc() { c.count.Add(1) }

func (c *Counter) write(page []byte, name, labels string) []byte {
	return appendSample(page, name, labels, float64(c.count.Load()))
}

// A Gauge goes up and down; it begins at zero.
type Gauge struct{ bits atomic.Uint64 }

// Set makes value the gauge's.
func (g *Gauge) Set(value float64) { g.bits.Store(math.Float64bits(value)) }

func (g *Gauge) write(page []byte, name, labels string) []byte {
	return appendSample(page, name, labels, math.Float64frombits(g.bits.Load()))
}

// Counter registers a counter without labels.
func (r *Registry) Counter(name, help string) *Counter {
	return r.Counters(name, help).With()
}

// Gauge registers a gauge without labels.
func (r *Registry) Gauge(name, help string) *Gauge {
	return newVector(r, name, help, "gauge", nil, func() *Gauge { return new(Gauge) }).With()
}

// Histogram registers a histogram without labels; see Histograms.
func (r *Registry) Histogram(name, help string, bounds ...float64) *Histogram {
	return r.Histograms(name, help, bounds).With()
}

// Counters registers counters that labels tell apart.
func (r *Registry) Counters(name, help string, labels ...string) *Vector[*Counter] {
	return newVector(r, name, help, "counter", labels, func() *Counter { return new(Counter) })
}

// Histograms registers histograms that labels tell apart. The bounds are the
// upper ends of the buckets, inclusive, in ascending order; the bucket of what is
// above the last is added.
func (r *Registry) Histograms(name, help string, bounds []float64, labels ...string) *Vector[*Histogram] {
	return newVector(r, name, help, "histogram", labels, func() *Histogram {
		return &Histogram{bounds: bounds, buckets: make([]atomic.Uint64, len(bounds)+1)}
	})
}

// CounterFunc registers a counter that is read at each scrape.
func (r *Registry) CounterFunc(name, help string, read func() float64) {
	r.add(name, help, "counter", func(page []byte, name string) []byte { return appendSample(page, name, "", read()) })
}

// GaugeFunc registers a gauge that is read at each scrape.
func (r *Registry) GaugeFunc(name, help string, read func() float64) {
	r.add(name, help, "gauge", func(page []byte, name string) []byte { return appendSample(page, name, "", read()) })
}

// GaugeFuncs registers a gauge for each value of one label, in their order, read
// at each scrape.
func (r *Registry) GaugeFuncs(name, help, label string, values []string, read func(value string) float64) {
	mustBeName(label)
	r.add(name, help, "gauge", func(page []byte, name string) []byte {
		for _, value := range values {
			page = appendSample(page, name, pairs([]string{label}, []string{value}), read(value))
		}
		return page
	})
}
