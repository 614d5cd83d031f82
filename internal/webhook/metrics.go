package webhook

import "github.com/doorward/doorward/internal/metrics"

// A tally is what the delivery of events counts.
type tally struct {
	attempts *metrics.Vector[*metrics.Counter]
	seconds  *metrics.Histogram
	disabled *metrics.Counter
	pending  *metrics.Gauge
}

func newTally(to *metrics.Registry) tally {
	return tally{
		attempts: to.Counters("doorward_webhook_attempts_total", "Attempts to deliver an event, by outcome.", "outcome"),
		seconds:  to.Histogram("doorward_webhook_attempt_seconds", "Time until a receiver answered.", .01, .05, .1, .5, 1, 5, 10),
		disabled: to.Counter("doorward_webhooks_disabled_total", "Webhooks disabled because they failed for too long or fell too far behind."),
		pending:  to.Gauge("doorward_webhook_pending", "Events that wait in the outbox, as of the last minute."),
	}
}

func (t *tally) count(why failure) {
	outcome := "delivered"
	if why != "" {
		outcome = "failed"
	}
	t.attempts.With(outcome).Inc()
}
