package server

import (
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/metrics"
)

// ops serves operators: health, readiness, metrics and, when asked for, pprof.
func (s *Server) ops() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics)
	if s.config.Ops.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// readyz says whether calls sent here now would be answered.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	switch {
	case !s.ready.Load():
		answer(w, http.StatusServiceUnavailable, "starting or stopping\n")
	case s.access.Age() > s.config.StaleLimit:
		answer(w, http.StatusServiceUnavailable, "the database has not answered for longer than stale_limit\n")
	case s.access.Held():
		answer(w, http.StatusServiceUnavailable, "restored from a backup: run doorward restore list, then doorward restore confirm\n")
	case s.db.Writable(r.Context()) != nil:
		answer(w, http.StatusServiceUnavailable, "the disk under the database fails or is read-only\n")
	default:
		answer(w, http.StatusOK, "ready\n")
	}
}

// registerMetrics adds what is read at each scrape; counters of calls and
// tokens belong to the packages that count.
func (s *Server) registerMetrics() {
	metrics.Runtime(s.metrics)
	gauge, counter := s.metrics.GaugeFunc, s.metrics.CounterFunc
	counter("doorward_sql_statements_total", "SQL statements run.", func() float64 { return float64(s.db.Statements()) })
	if s.redis != nil {
		counter("doorward_redis_commands_total", "Commands sent to Redis.", func() float64 { return float64(s.redis.Commands()) })
	}
	if s.together != nil {
		gauge("doorward_failures_shared", "1 while failed authentications are counted with the other servers, 0 while this one counts its share alone.", func() float64 {
			if s.together.Answers() {
				return 1
			}
			return 0
		})
	}
	gauge("doorward_snapshot_age_seconds", "Time since the change feed was last read.", func() float64 { return s.access.Age().Seconds() })
	gauge("doorward_directory_clients", "API clients held in memory.", func() float64 { return float64(s.access.Statistics().Clients) })
	gauge("doorward_verified_tokens", "Verified access tokens held in memory.", func() float64 { return float64(s.access.Statistics().Tokens) })
	counter("doorward_directory_hits_total", "Look-ups of API clients answered from memory.", func() float64 { return float64(s.access.Statistics().Hits) })
	counter("doorward_directory_misses_total", "Look-ups of API clients that read the database.", func() float64 { return float64(s.access.Statistics().Misses) })
	counter("doorward_usage_lost_total", "Last uses and watched attempts that were not written.", func() float64 { return float64(s.usage.Lost()) })
	s.metrics.GaugeFuncs("doorward_signing_key_age_seconds", "Age of the key that signs access tokens now.",
		"environment", []string{string(id.Production), string(id.Sandbox)}, s.keyAge)
}

// keyAge is the time since the environment's current key began to sign.
func (s *Server) keyAge(environment string) float64 {
	for _, key := range s.keys.Keys() {
		if key.Purpose == environment && key.State == "current" {
			return s.now().Sub(key.Activated).Truncate(time.Millisecond).Seconds()
		}
	}
	return 0
}
