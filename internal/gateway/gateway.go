// Package gateway is the door of the API products: it asks [access.Access] for
// a decision about each call, refuses, or forwards exactly what was matched to
// the product's upstream.
//
// It hides the reverse proxy, the identity headers with their signed assertion,
// trace context, the access log and metrics. What must stay true: an upstream
// sees nothing of a call that was not allowed; of identity and forwarding
// headers it sees ours only, whatever the caller sent; the path and query that
// it gets are byte for byte those that were decided about; and no answer of
// ours tells an upstream's address.
//
// See RFC 9110 §7.6 (forwarding), RFC 6750 §3 (challenges), RFC 9457 (problem
// documents) and https://www.w3.org/TR/trace-context/.
package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// Config is what a Gateway works with. Fields without a note are needed.
type Config struct {
	Access          *access.Access
	AssertionSigner func() *jwt.PrivateKey // of use assertion; nil for now: calls are answered 503
	Issuer          string                 // iss of assertions
	PublicURL       string                 // of the API domain: what upstreams read in X-Forwarded-Host and -Proto
	HelpURL         string                 // page of error codes; empty: about:blank

	// Local answers the calls of products that have no upstream, by key; see
	// Serving.
	Local map[string]Local

	Now  func() time.Time
	Rand io.Reader // trace and span ids

	Log       *slog.Logger // causes of our own refusals
	AccessLog io.Writer    // one Write per call and line, from many goroutines; nil: none
	Metrics   *Metrics     // nil: none
	// Observe sees each call that carried a token of ours once it has ended. It
	// must not keep the caller waiting; nil: nobody.
	Observe func(Observation)

	DialTimeout   time.Duration // 0: 5 s
	HeaderTimeout time.Duration // until an upstream's header has come; 0: 60 s
	MaxCalls      int           // of one upstream at one time; 0: DefaultMaxCalls
}

// Local answers a call that was allowed, in place of an upstream. It gets the
// request as it came: who calls is in the decision alone, which is valid until
// it returns. An error that it returns, having written nothing, is answered
// like the gateway's own refusals.
type Local func(w http.ResponseWriter, r *http.Request, d *access.Decision, peer netip.Addr, traceID string) error

// Gateway answers calls of API products. It is safe for concurrent use.
type Gateway struct {
	Config
	forwarded  forwardedAs
	identities *identities
	calls      sync.Pool
	buffers    sync.Pool // of *[copyBuffer]byte

	bound     atomic.Pointer[map[*registry.Definition]*product]
	binding   sync.Mutex             // held to replace bound and to use upstreams
	upstreams map[string]*transports // by product
	nowhere   *route                 // of calls that no product answers
}

// New returns a Gateway. PublicURL must be a URL.
func New(config Config) (*Gateway, error) {
	public, err := url.Parse(config.PublicURL)
	if err != nil || public.Host == "" {
		return nil, errors.New("the gateway needs the public URL of the API domain")
	}
	if config.DialTimeout == 0 {
		config.DialTimeout = 5 * time.Second
	}
	if config.HeaderTimeout == 0 {
		config.HeaderTimeout = time.Minute
	}
	if config.MaxCalls == 0 {
		config.MaxCalls = DefaultMaxCalls
	}
	g := &Gateway{
		Config:    config,
		forwarded: forwardedAs{host: []string{public.Host}, proto: []string{public.Scheme}},
		buffers:   sync.Pool{New: func() any { return new([copyBuffer]byte) }},
		upstreams: map[string]*transports{},
	}
	g.identities = newIdentities(config.Issuer, config.AssertionSigner)
	g.nowhere = newRoute("", nil)
	g.bound.Store(&map[*registry.Definition]*product{})
	g.calls.New = func() any { return &call{gateway: g} }
	return g, nil
}

// ServeHTTP asks for the decision first and touches the upstream only after
// it. The caller's address is taken from r.RemoteAddr.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.serve(w, r, g.Local) }

// Serving returns the gateway for another listener, on which products without
// an upstream are answered by others than Config.Local.
func (g *Gateway) Serving(local map[string]Local) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, local) })
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, local map[string]Local) {
	c := g.calls.Get().(*call) // the pool holds nothing else
	c.begin(w, r)
	defer c.end() // also when the proxy aborts the answer
	switch err := c.decide(local); {
	case err != nil:
		c.refuse(err)
	case c.local != nil:
		c.answerLocally()
	default:
		c.forward()
	}
	c.complete = true
}

// Close closes idle connections to upstreams. Calls in flight go on.
func (g *Gateway) Close() {
	g.binding.Lock()
	defer g.binding.Unlock()
	for _, t := range g.upstreams {
		t.close()
	}
}

// report logs what made us fail; refusals that are the caller's doing are in
// the access log only.
func (g *Gateway) report(ctx context.Context, c *call, err error) {
	if kind := fault.KindOf(err); (kind == fault.Internal || kind == fault.Unavailable) && !errors.Is(err, errNotAsked) {
		g.Log.LogAttrs(ctx, slog.LevelError, "call failed", slog.String("trace_id", c.traceID()),
			slog.String("product", c.productKey()), slog.Any("error", err))
	}
}
