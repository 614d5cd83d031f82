package webhook

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
	disabled prometheus.Counter
	pending  prometheus.Gauge
}

func newMetrics() metrics {
	return metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "doorward_webhook_attempts_total", Help: "Attempts to deliver an event, by outcome."}, []string{"outcome"}),
		seconds:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "doorward_webhook_attempt_seconds", Help: "Time until a receiver answered.", Buckets: []float64{.01, .05, .1, .5, 1, 5, 10}}),
		disabled: prometheus.NewCounter(prometheus.CounterOpts{Name: "doorward_webhooks_disabled_total", Help: "Webhooks disabled because they failed for too long or fell too far behind."}),
		pending:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "doorward_webhook_pending", Help: "Events that wait in the outbox, as of the last minute."}),
	}
}

func (m *metrics) count(why failure) {
	outcome := "delivered"
	if why != "" {
		outcome = "failed"
	}
	m.attempts.WithLabelValues(outcome).Inc()
}

// Register adds the metrics of delivery.
func (d *Dispatcher) Register(to prometheus.Registerer) {
	to.MustRegister(d.metrics.attempts, d.metrics.seconds, d.metrics.disabled, d.metrics.pending)
}
