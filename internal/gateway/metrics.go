package gateway

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the gateway's. Routes are labelled by pattern. An outcome is the
// class of the upstream's own status (2xx to 5xx), or the code of our refusal,
// or caller_gone or upstream_broken when an answer broke off.
//
// A nil Metrics counts nothing. Safe for concurrent use.
type Metrics struct {
	calls     *prometheus.CounterVec   // product, route, outcome
	durations *prometheus.HistogramVec // product, route
	upstreams *prometheus.HistogramVec // product
}

// NewMetrics registers the gateway's metrics, once per registerer.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorward_calls_total", Help: "Calls of API products, by the class of the upstream's status or the code of our refusal.",
		}, []string{"product", "route", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "doorward_call_duration_seconds", Help: "Time from a call's header to the end of its answer.", Buckets: buckets,
		}, []string{"product", "route"}),
		upstreams: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "doorward_upstream_duration_seconds", Help: "Time that an upstream took until the header of its answer.", Buckets: buckets,
		}, []string{"product"}),
	}
	for _, collector := range []prometheus.Collector{m.calls, m.durations, m.upstreams} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// routeMetrics are a route's own: to look them up by labels costs a call more
// than all the rest of counting.
type routeMetrics struct {
	passed             [6]prometheus.Counter // by class of status
	duration, upstream prometheus.Observer
}

// lazyMetrics are bound at the first call: most routes of a large product are
// never called.
type lazyMetrics struct{ bound atomic.Pointer[routeMetrics] }

func (m *Metrics) of(r *route) *routeMetrics {
	if bound := r.metrics.bound.Load(); bound != nil {
		return bound
	}
	bound := &routeMetrics{duration: m.durations.WithLabelValues(r.product, r.name), upstream: m.upstreams.WithLabelValues(r.product)}
	for class := 2; class < len(bound.passed); class++ {
		bound.passed[class] = m.calls.WithLabelValues(r.product, r.name, strconv.Itoa(class)+"xx")
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
	m.calls.WithLabelValues(c.route.product, c.route.name, outcome).Inc()
}
