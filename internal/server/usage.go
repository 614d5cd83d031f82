package server

import (
	"strings"

	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/usage"
)

// useOfSecret takes note of what a client did with its secret.
func (s *Server) useOfSecret(o authserver.Observation) {
	a := usage.Attempt{
		Kind: usage.TokenRequest, At: o.At, Took: o.Took, Client: o.Named, Address: o.Peer,
		Organisation: o.Organisation, Secret: o.Presented, Status: o.Status,
	}
	switch o.Outcome {
	case "issued", "inspected", "revoked":
		a.Allowed, a.Client = true, o.Client
	default:
		a.Code = o.Outcome
		if o.Reason != "" {
			a.Code = o.Reason
		}
	}
	if o.Endpoint != "token" {
		a.Kind = usage.Introspection
	}
	s.usage.Record(a)
}

// useOfToken takes note of a call.
func (s *Server) useOfToken(o gateway.Observation) {
	path, _, _ := strings.Cut(o.Target, "?")
	s.usage.Record(usage.Attempt{
		Kind: usage.Call, At: o.At, Took: o.Took, Client: o.Client, Address: o.Peer, Allowed: o.Allowed, Status: o.Status, Code: string(o.Code),
		Organisation: o.Organisation, Permissions: o.Permissions,
		Method: o.Method, Path: path, Product: o.Product, Route: o.Route, Lacking: o.Lacking, TraceID: o.TraceID,
	})
}
