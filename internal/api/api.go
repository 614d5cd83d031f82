// Package api answers the management API: each operation of the contract in
// package management, over the same operations of the registry as the
// Dashboard. It has no rules of its own.
//
// The management API is an API product: the gateway decides about a call, and
// hands it over with the decision. What must stay true: who acts is taken from
// the decision alone; the permissions of its routes are those of the contract;
// a client secret is in the one answer that created it; and clients of the
// operator are answered on their own listener only.
package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
)

// Config is what an API works with.
type Config struct {
	Registry *registry.Registry
	Keys     *signingkey.Ring
	DB       *sqldb.DB // of the leases of nodes
	// Checkpoints of the audit log are handed out.
	Checkpoints *journal.Checkpoints
	Ignored     []string // query parameters that the gateway reads on every call
	// Explain says what the gateway would decide about a call of a client.
	Explain func(context.Context, *access.Request, id.Client) (access.Decision, error)
}

// API answers calls of the management API. It is safe for concurrent use.
type API struct {
	Config
	contract *contract
}

// serve is a method of the generated wrapper.
type serve = func(*ServerInterfaceWrapper, http.ResponseWriter, *http.Request)

// New reads the contract.
func New(config Config) (*API, error) {
	c, err := readContract()
	if err != nil {
		return nil, fmt.Errorf("read the contract of the management API: %w", err)
	}
	for _, o := range c.operations {
		if operations[o.ID] == nil {
			return nil, fmt.Errorf("operation %s of the contract has no code: run make generate", o.ID)
		}
	}
	return &API{Config: config, contract: c}, nil
}

// Serving answers calls that the gateway has allowed. operators says whether
// clients of the operator may call here.
func (a *API) Serving(operators bool) func(http.ResponseWriter, *http.Request, *access.Decision, netip.Addr, string) error {
	return func(w http.ResponseWriter, r *http.Request, d *access.Decision, peer netip.Addr, traceID string) error {
		c := &call{API: a, request: r}
		if client := d.Holder.Client; client != nil {
			if client.Owner == registry.OwnedByOperator && !operators {
				return fault.Errorf(fault.Forbidden, "clients of the operator call the management API on its own listener, which management_listen names")
			}
			c.by = actor.NewClient(client.ID, client.Organisation, client.Account, id.Secret(d.Claims.SecretID), d.Permissions).From(peer, traceID)
		}
		return c.serve(w, d)
	}
}

// call is one call of the management API. Its methods, one for each operation,
// are those of the generated StrictServerInterface.
type call struct {
	*API
	by      actor.Actor
	request *http.Request
	body    []byte
	failure error
}

func (c *call) serve(w http.ResponseWriter, d *access.Decision) error {
	name := d.Match.Route.Method + " " + d.Match.Route.Path
	operation := c.contract.operations[name]
	if operation == nil {
		return fmt.Errorf("the product's route %s is not in the contract", name)
	}
	for _, parameter := range operation.pathParameters() {
		value, _ := d.Match.Param(parameter)
		c.request.SetPathValue(parameter, value)
	}
	if err := c.checkQuery(operation, d.RawQuery); err != nil {
		return err
	}
	if err := c.readBody(w, operation); err != nil {
		return err
	}
	strict := NewStrictHandlerWithOptions(c, []StrictMiddlewareFunc{c.strictly}, StrictHTTPServerOptions{RequestErrorHandlerFunc: c.refuse, ResponseErrorHandlerFunc: c.fail})
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	operations[operation.ID](&ServerInterfaceWrapper{Handler: strict, ErrorHandlerFunc: c.refuse}, w, c.request)
	return c.failure
}

// refuse takes what the generated code found wrong with the request.
func (c *call) refuse(_ http.ResponseWriter, _ *http.Request, err error) {
	c.failure = wrongRequest(err)
}

// fail takes what an operation returned.
func (c *call) fail(_ http.ResponseWriter, _ *http.Request, err error) { c.failure = err }
