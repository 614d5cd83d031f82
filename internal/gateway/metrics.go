package gateway

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/metrics"
)

// Metrics are the gateway's. Routes are labelled by pattern. An outcome is the
// class of the upstream's own status (2xx to 5xx), or the code of our refusal,
// or caller_gone or upstream_broken when an answer broke off.
//
// A nil Metrics counts nothing. Safe for concurrent use.
type Metrics struct {
	calls     *metrics.Vector[*metrics.Counter]   // product, route, outcome
	durations *metrics.Vector[*metrics.Histogram] // product, route
	upstreams *metrics.Vector[*metrics.Histogram] // product
}

// NewMetrics registers the gateway's metrics, once per registry.
func NewMetrics(to *metrics.Registry) *Metrics {
	bounds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	return &Metrics{
		calls:     to.Counters("doorward_calls_total", "Calls of API products, by the class of the upstream's status or the code of our refusal.", "product", "route", "outcome"),
		durations: to.Histograms("doorward_call_duration_seconds", "Time from a call's header to the end of its answer.", bounds, "product", "route"),
		upstreams: to.Histograms("doorward_upstream_duration_seconds", "Time that an upstream took until the header of its answer.", bounds, "product"),
	}
}

// routeMetrics are a route's own: to look them up by labels costs a call more
// than all the rest of counting.
type routeMetrics struct {
	passed             [6]*metrics.Counter // by class of status
	duration, upstream *metrics.Histogram
}

// lazyMetrics are bound at the first call: most routes of a large product are
// never called.
type lazyMetrics struct{ bound atomic.Pointer[routeMetrics] }

func (m *Metrics) of(r *route) *routeMetrics {
	if bound := r.metrics.bound.Load(); bound != nil {
		return bound
	}
	bound := &routeMetrics{duration: m.durations.With(r.product, r.name), upstream: m.upstreams.With(r.product)}
	for class := 2; class < len(bound.passed); class++ {
		bound.passed[class] = m.calls.With(r.product, r.name, strconv.Itoa(class)+"xx")
	}
	r.metrics.bound.Store(bound) // who binds at the same time gets the same counters
	return bound
}

func (m *Metrics) observe(c *call, total time.Duration) {
	if m == nil {
		return
	}
	bound := m.of(c.route)
	bound.duration.Observe(total.Seconds())
	if c.upstream > 0 {
		bound.upstream.Observe(c.upstream.Seconds())
	}
	if class := c.status / 100; c.code == "" && class < len(bound.passed) && bound.passed[class] != nil {
		bound.passed[class].Inc()
		return
	}
	outcome := string(c.code)
	if outcome == "" {
		outcome = "other" // a status that is none
	}
	m.calls.With(c.route.product, c.route.name, outcome).Inc()
}
