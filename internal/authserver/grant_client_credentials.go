package authserver

import (
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
)

// maxScope is the length of the longest default scope.
const maxScope = 64

// clientCredentials is the grant of RFC 6749 §4.4: the client acts for itself,
// with all that it holds or with the part that it names.
func clientCredentials(s *Server, x *exchange) error {
	asked := x.form.get("scope")
	if asked == "" || asked == s.Scope {
		x.claims.Scope = s.Scope
		x.claims.Permissions = x.holder.Client.Permissions
		if x.claims.Permissions == nil {
			x.claims.Permissions = []string{} // there, and empty
		}
		return nil
	}
	scope, ok := narrow(x.holder, asked)
	if !ok {
		return oauthError(fault.OAuthInvalidScope, "the scope is neither "+s.Scope+" nor a list of permissions that the client holds: leave scope out to get them all")
	}
	x.claims.Scope = scope
	return nil
}

// narrow returns the permissions that a scope lists (RFC 6749 §3.3), each once,
// if the client holds all of them and nothing else is in the list.
func narrow(h access.Holder, asked string) (scope string, ok bool) {
	var kept []string
	seen := map[string]bool{}
	for permission := range strings.SplitSeq(asked, " ") {
		if !h.Holds(permission) {
			return "", false
		}
		if !seen[permission] {
			seen[permission] = true
			kept = append(kept, permission)
		}
	}
	return strings.Join(kept, " "), true
}
