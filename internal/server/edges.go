package server

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/metrics"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/throttle"
)

// maxIssuers is how many clients the issuing limit tells apart.
const maxIssuers = 16_384

func (s *Server) newAuthServer(helpURL string, accessLog io.Writer) (*authserver.Server, error) {
	tokens := newTokenMetrics(s.metrics)
	return authserver.New(authserver.Config{
		Access: s.access, Registry: s.registry, Mint: s.mint, Signer: s.keys.Signer, JWKSet: s.keys.JWKSet, Algorithms: s.algorithms(),
		PublicURL: s.config.PublicURL, IssuerPath: s.config.IssuerPath, Scope: s.config.Scope, HelpURL: helpURL,
		// These count by time that passes, which no clock sets forward or back.
		Failures: throttle.NewFailures(throttle.Config{Together: s.together, Name: "client"}),
		Issuing:  throttle.NewRate(*s.config.IssuingLimit.PerSecond, s.config.IssuingLimit.Burst, maxIssuers, time.Now),
		Now:      s.now, Rand: rand.Reader, Log: s.log,
		Peer: func(r *http.Request) netip.Addr { peer, _ := socketAddress(r); return peer },
		Observe: func(o authserver.Observation) {
			tokens.count(o)
			if accessLog != nil {
				logToken(accessLog, s.now(), o)
			}
			s.useOfSecret(o)
		},
	})
}

func (s *Server) newGateway(helpURL string, accessLog io.Writer) (*gateway.Gateway, error) {
	return gateway.New(gateway.Config{
		Access: s.access, AssertionSigner: s.keys.AssertionSigner, Issuer: s.issuer(), PublicURL: s.config.PublicURL, HelpURL: helpURL,
		Local: map[string]gateway.Local{registry.ManagementKey: s.managementAPI.Serving(s.config.ManagementListen == s.config.APIListen)},
		Now:   s.now, Rand: rand.Reader, Log: s.log, AccessLog: accessLog, Metrics: gateway.NewMetrics(s.metrics), Observe: s.useOfToken,
		MaxCalls: s.config.MaxCalls,
	})
}

func (s *Server) newDashboard(products *gateway.Gateway) *dashboard.Dashboard {
	return dashboard.New(dashboard.Config{
		Name: "Doorward", URL: s.config.DashboardURL, Registry: s.registry, People: s.people, Usage: s.usage,
		APIURL: s.config.PublicURL, TokenURL: s.issuer() + "/connect/token", KeySetURL: s.issuer() + "/.well-known/openid-configuration/jwks", AccountParameter: s.config.AccountParameter,
		Chain: s.chain.State, Now: s.now, Rand: rand.Reader, Log: s.log,
		Process: dashboard.Process{
			Version: version(), Keys: s.keys, Management: s.managementAddress(), StaleLimit: s.config.StaleLimit, Age: s.access.Age,
			Resting: func() (all []dashboard.Resting) {
				for _, r := range products.Resting() {
					all = append(all, dashboard.Resting(r))
				}
				return all
			},
		},
	})
}

// managementAddress is where clients of the operator are answered, as far as is
// known: behind a proxy it may have another name.
func (s *Server) managementAddress() string {
	if s.config.ManagementListen == s.config.APIListen {
		return s.config.PublicURL
	}
	return s.config.ManagementListen
}

// tokenMetrics counts what the token service answers.
type tokenMetrics struct {
	requests *metrics.Vector[*metrics.Counter]
	seconds  *metrics.Histogram
	bound    sync.Map // endpoint and outcome → *metrics.Counter
}

func newTokenMetrics(to *metrics.Registry) *tokenMetrics {
	return &tokenMetrics{
		requests: to.Counters("doorward_token_requests_total", "Requests of the token service by endpoint and outcome.", "endpoint", "outcome"),
		seconds: to.Histogram("doorward_token_request_seconds", "Time to answer requests of the token service.",
			.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2),
	}
}

func (m *tokenMetrics) count(o authserver.Observation) {
	key := [2]string{o.Endpoint, o.Outcome}
	counter, ok := m.bound.Load(key)
	if !ok {
		counter, _ = m.bound.LoadOrStore(key, m.requests.With(o.Endpoint, o.Outcome))
	}
	counter.(*metrics.Counter).Inc() //nolint:forcetypeassert // nothing else is stored
	m.seconds.Observe(o.Took.Seconds())
}

// logToken writes one line about a request of the token service.
func logToken(w io.Writer, now time.Time, o authserver.Observation) {
	line := make([]byte, 0, 256)
	line = append(line, `{"time":"`...)
	line = now.UTC().AppendFormat(line, time.RFC3339Nano)
	for _, field := range [...][2]string{{"endpoint", o.Endpoint}, {"outcome", o.Outcome}, {"reason", o.Reason}, {"client", string(o.Client)}, {"secret", string(o.Secret)}} {
		if field[1] != "" {
			line = append(line, `","`...)
			line = append(line, field[0]...)
			line = append(line, `":"`...)
			line = append(line, field[1]...) // ids and our own words: nothing to escape
		}
	}
	line = append(line, `","us":`...)
	line = strconv.AppendInt(line, o.Took.Microseconds(), 10)
	_, _ = w.Write(append(line, "}\n"...))
}
