package gateway

import (
	"net/netip"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// Observation is what became of a call that carried a token of ours.
type Observation struct {
	At      time.Time
	Took    time.Duration
	Client  id.Client // of the token
	Peer    netip.Addr
	Allowed bool       // by the decision, whatever the upstream answered
	Status  int        // of the answer (HTTP); 0: none was sent
	Code    fault.Code // why it was refused or failed; empty: the upstream answered

	Organisation id.Organisation // of an allowed call's client; empty: the operator's
	Permissions  []string        // that let it pass; shared, not to be changed
	Lacking      string          // the permission that was missing

	Method, Target string // as sent
	Product, Route string // route as in the access log; empty where none matched
	TraceID        string
}

// observe tells the observer what became of the call.
func (c *call) observe(total time.Duration) {
	d := &c.decision
	if c.gateway.Observe == nil || d.Claims == nil {
		return
	}
	o := Observation{
		At: c.started, Took: total, Client: id.Client(d.Claims.ClientID), Peer: c.peer, Allowed: c.allowed, Status: c.status, Code: c.code,
		Permissions: d.Used, Lacking: c.lacking, Method: c.incoming.Method, Target: c.incoming.RequestURI,
		Product: c.route.product, Route: c.route.name, TraceID: c.traceID(),
	}
	if d.Holder.Client != nil {
		o.Organisation = d.Holder.Client.Organisation
	}
	c.gateway.Observe(o)
}
