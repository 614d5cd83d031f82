package demo

import (
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

const authPrefix = "/auth/rest"

// Definitions returns the sample products, with their upstreams at the given
// URLs in both environments. Every organisation may use them.
func Definitions(authURL, echoURL string) []registry.Definition {
	return []registry.Definition{authenticationProduct(authURL), echoProduct(echoURL)}
}

// Catchall returns a product for an upstream of which nothing is known: every
// method and path beneath the prefix needs the one permission key + ".call".
func Catchall(key, prefix, upstream string) registry.Definition {
	d := open(key, key, prefix, upstream)
	d.Permissions = []registry.Permission{customers(key+".call", "Call every method and path.")}
	d.Routes = []registry.Route{{Method: "*", Path: "/{path...}", Permissions: oneOf(key + ".call")}}
	return d
}

func authenticationProduct(upstream string) registry.Definition {
	const create, read = "auth.sessions.create", "auth.sessions.read"
	d := open("auth", "Authentication", authPrefix, upstream)
	d.Description = "Sample product: starts a sign-in of a person and tells how it went."
	d.Permissions = []registry.Permission{
		customers(create, "Start authentication sessions."),
		customers(read, "Read authentication sessions and their results."),
	}
	d.Routes = []registry.Route{
		{Method: "POST", Path: "/sessions", Permissions: oneOf(create)},
		{Method: "GET", Path: "/sessions/{id}", Permissions: oneOf(read)},
	}
	return d
}

func echoProduct(upstream string) registry.Definition {
	d := Catchall("echo", "/echo", upstream)
	d.Name = "Echo"
	d.Description = "Sample product: answers with what the gateway forwarded."
	return d
}

func open(key, name, prefix, upstream string) registry.Definition {
	return registry.Definition{
		Key:              key,
		Name:             name,
		Prefix:           prefix,
		Visibility:       registry.Published,
		SandboxAccess:    registry.Open,
		ProductionAccess: registry.Open,
		Upstreams:        map[id.Environment]string{id.Sandbox: upstream, id.Production: upstream},
	}
}

func customers(key, description string) registry.Permission {
	return registry.Permission{Key: key, Description: description, Assignable: registry.ByCustomer}
}

func oneOf(permission string) [][]string { return [][]string{{permission}} }
