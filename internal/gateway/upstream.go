package gateway

import (
	"cmp"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

const (
	upstreamBuffer = 16 << 10  // each way, of every connection; large bodies pass it by
	upstreamHeader = 256 << 10 // longest header block of an answer
	upstreamIdle   = 90 * time.Second
	continueWait   = time.Second // for an upstream's 100 Continue
)

// product is what calls of one version of an API product need, made once.
type product struct {
	definition *registry.Definition
	routes     map[*registry.Route]*route // nil: the product, where no route matched
	upstreams  map[id.Environment]*upstream
}

// upstream is where a product's calls of one environment go.
type upstream struct {
	scheme, host string
	base         string // path before that of each call, without a slash at its end
	transport    *http.Transport
	*target
}

// transports are how a product's upstreams are reached. They outlive the
// product's versions, with their connections.
type transports struct {
	reach   *reach
	general *http.Transport
	targets map[string]*target // by scheme and host
}

// target is one host of a product's upstreams.
type target struct {
	load   load
	direct *direct // for calls without a body; nil: the transport takes them too
}

func (t *transports) close() {
	t.general.CloseIdleConnections()
	for _, to := range t.targets {
		to.close()
	}
}

func (t *target) close() {
	if t.direct != nil {
		t.direct.close()
	}
}

// product returns what belongs to a definition. Definitions are replaced when
// any product changes; the transport stays the product's, with its connections.
func (g *Gateway) product(definition *registry.Definition) *product {
	if p := (*g.bound.Load())[definition]; p != nil {
		return p
	}
	g.binding.Lock()
	defer g.binding.Unlock()
	known := *g.bound.Load()
	if p := known[definition]; p != nil {
		return p
	}
	p := g.bind(definition)
	next := maps.Clone(known)
	maps.DeleteFunc(next, func(d *registry.Definition, _ *product) bool { return d.Key == definition.Key }) // its earlier versions
	next[definition] = p
	g.bound.Store(&next)
	return p
}

func (g *Gateway) bind(definition *registry.Definition) *product {
	p := &product{definition: definition, routes: map[*registry.Route]*route{nil: newRoute(definition.Key, nil)}, upstreams: map[id.Environment]*upstream{}}
	for i := range definition.Routes {
		p.routes[&definition.Routes[i]] = newRoute(definition.Key, &definition.Routes[i])
	}
	known := g.upstreams[definition.Key]
	if known == nil {
		known = g.newTransports(definition.Key)
		g.upstreams[definition.Key] = known
	}
	before := known.targets
	known.targets = map[string]*target{}
	for environment, text := range definition.Upstreams {
		address, err := url.Parse(text)
		if err != nil {
			continue // the registry refuses it; a call is answered with an internal error
		}
		base := strings.Trim(address.EscapedPath(), "/")
		if base != "" {
			base = "/" + base
		}
		p.upstreams[environment] = &upstream{scheme: address.Scheme, host: address.Host, base: base, transport: known.general, target: g.targetOf(address, known, before)}
	}
	for name, to := range before {
		if known.targets[name] == nil {
			to.close()
		}
	}
	return p
}

// targetOf returns what belongs to the host of an upstream, from before if there
// was one, and notes it in known.
func (g *Gateway) targetOf(address *url.URL, known *transports, before map[string]*target) *target {
	name := address.Scheme + "://" + address.Host
	to := known.targets[name]
	if to == nil {
		to = before[name]
	}
	if to == nil {
		to = &target{}
		if address.Scheme == "http" {
			to.direct = &direct{
				address: net.JoinHostPort(address.Hostname(), cmp.Or(address.Port(), "80")),
				dial:    known.reach.dial, timeout: g.HeaderTimeout, most: g.MaxCalls,
			}
		}
	}
	known.targets[name] = to
	return to
}

func (g *Gateway) newTransports(product string) *transports {
	r := &reach{
		Dialer: net.Dialer{Timeout: g.DialTimeout, KeepAlive: 30 * time.Second},
		now:    g.Now, log: g.Log, product: product, failing: map[string]*failing{},
	}
	return &transports{reach: r, general: &http.Transport{
		DialContext:            r.dialSettled, // and no proxy from the environment
		TLSHandshakeTimeout:    g.DialTimeout,
		ResponseHeaderTimeout:  g.HeaderTimeout,
		ExpectContinueTimeout:  continueWait,
		IdleConnTimeout:        upstreamIdle,
		MaxIdleConnsPerHost:    g.MaxCalls,
		MaxResponseHeaderBytes: upstreamHeader,
		ReadBufferSize:         upstreamBuffer,
		WriteBufferSize:        upstreamBuffer,
		DisableCompression:     true, // what the caller accepts is the upstream's business
		ForceAttemptHTTP2:      true,
	}}
}
