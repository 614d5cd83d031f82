// Package management is the client of the management API: wire types and a
// typed client, generated from the contract in openapi.yaml, which is part of
// the package.
//
// Make a client with [NewClientWithResponses], give it an http.Client whose
// transport adds the access token (package tokensource has one), and the URL
// of the API domain followed by /management/v1. An answer other than the
// documented one has a [Problem].
package management

import _ "embed" // of the contract

// Contract is the OpenAPI 3.0 document of the management API, as YAML. It is
// not changed.
//
//go:embed openapi.yaml
var Contract string
