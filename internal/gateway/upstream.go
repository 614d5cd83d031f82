package gateway

import (
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
	upstreamConnections = 1024      // idle ones that are kept, per upstream
	upstreamBuffer      = 16 << 10  // each way, of every connection; large bodies pass it by
	upstreamHeader      = 256 << 10 // longest header block of an answer
	upstreamIdle        = 90 * time.Second
	continueWait        = time.Second // for an upstream's 100 Continue
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
	direct       *direct // for calls without a body; nil: the transport takes them too
}

// transports are how a product's upstreams are reached. They outlive the
// product's versions, with their connections.
type transports struct {
	general *http.Transport
	direct  map[string]*direct // by host
}

func (t *transports) close() {
	t.general.CloseIdleConnections()
	for _, d := range t.direct {
		d.close()
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
		known = &transports{general: g.newTransport()}
		g.upstreams[definition.Key] = known
	}
	before := known.direct
	known.direct = map[string]*direct{}
	for environment, text := range definition.Upstreams {
		target, err := url.Parse(text)
		if err != nil {
			continue // the registry refuses it; a call is answered with an internal error
		}
		base := strings.Trim(target.EscapedPath(), "/")
		if base != "" {
			base = "/" + base
		}
		p.upstreams[environment] = &upstream{scheme: target.Scheme, host: target.Host, base: base, transport: known.general, direct: g.directTo(target, known.direct, before)}
	}
	for host, d := range before {
		if known.direct[host] == nil {
			d.close()
		}
	}
	return p
}

// directTo returns the way to an upstream in clear HTTP, from before if there
// was one, and notes it in now; nil for others.
func (g *Gateway) directTo(target *url.URL, now, before map[string]*direct) *direct {
	if target.Scheme != "http" {
		return nil
	}
	d := now[target.Host]
	if d == nil {
		d = before[target.Host]
	}
	if d == nil {
		port := target.Port()
		if port == "" {
			port = "80"
		}
		d = &direct{address: net.JoinHostPort(target.Hostname(), port), dial: g.dialer().DialContext, timeout: g.HeaderTimeout}
	}
	now[target.Host] = d
	return d
}

func (g *Gateway) dialer() *net.Dialer {
	return &net.Dialer{Timeout: g.DialTimeout, KeepAlive: 30 * time.Second}
}

func (g *Gateway) newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            g.dialer().DialContext, // and no proxy from the environment
		TLSHandshakeTimeout:    g.DialTimeout,
		ResponseHeaderTimeout:  g.HeaderTimeout,
		ExpectContinueTimeout:  continueWait,
		IdleConnTimeout:        upstreamIdle,
		MaxIdleConnsPerHost:    upstreamConnections,
		MaxResponseHeaderBytes: upstreamHeader,
		ReadBufferSize:         upstreamBuffer,
		WriteBufferSize:        upstreamBuffer,
		DisableCompression:     true, // what the caller accepts is the upstream's business
		ForceAttemptHTTP2:      true,
	}
}
