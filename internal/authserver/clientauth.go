package authserver

import (
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// clientMethod is a way to authenticate as a client (RFC 6749 §2.3). Adding one
// to the slice in New also publishes it in the metadata.
type clientMethod struct {
	name string // as the metadata lists it

	// read takes the credentials of this method from a request. present says
	// that the request means to use the method; nothing about the credentials
	// needs to be right for that.
	read func(x *exchange) (c credentials, present bool)
}

// credentials are a client id and a secret as presented. Empty ones prove
// nothing, and fail like wrong ones.
type credentials struct{ id, secret string }

// The true reasons of an invalid_client beside the codes of fault.
const (
	reasonMalformed     = "credentials_malformed"
	reasonClientUnknown = "client_unknown"
	reasonSecretWrong   = "secret_wrong"
	reasonEnvironment   = string(fault.EnvironmentMismatch)
	reasonAddress       = string(fault.AddressRefused)
)

// authenticate fills in the exchange's holder and secret, or says that the
// request did not prove to come from a client that may work now.
func (s *Server) authenticate(x *exchange) error {
	c, err := s.credentials(x)
	if err != nil {
		return err
	}
	reason, err := s.prove(x, c)
	if err != nil || reason == "" {
		return err
	}
	x.seen.Reason = reason
	return s.notAuthenticated(x)
}

// credentials finds the one method that the request uses (RFC 6749 §2.3: a
// client must not use more than one).
func (s *Server) credentials(x *exchange) (found credentials, err error) {
	used := false
	for _, method := range s.methods {
		c, present := method.read(x)
		switch {
		case present && used:
			return credentials{}, invalidRequest("client credentials came in two ways: put them either in the body or in the Authorization header")
		case present:
			found, used = c, true
		}
	}
	// Rights come from who authenticated; a parameter that names someone else
	// is a mistake, or an attempt to confuse.
	if named := x.form.get("client_id"); named != "" && found.id != "" && named != found.id {
		return credentials{}, invalidRequest("client_id in the body is not the client of the Authorization header: leave it out")
	}
	return found, nil
}

// prove returns "" if the credentials are a client's that may work now, and
// else why not. A secret that was never made here is refused before anything
// is looked up; after that an unknown client, an unknown secret and all others
// go the same way, with stand-ins for what does not exist.
func (s *Server) prove(x *exchange, c credentials) (reason string, err error) {
	client, named := id.ParseClient(c.id)
	if named {
		x.named = id.Client(strings.Clone(string(client))) // what is kept of it must not pin the body
	}
	public, letter, genuine := s.Mint.Parse(c.secret)
	switch {
	case !named:
		return reasonMalformed, nil
	case !genuine:
		return reasonSecretWrong, nil
	}
	h, err := s.Access.Holder(x.r.Context(), x.named)
	if err != nil {
		return "", err
	}
	if h.Client == nil {
		h.Client = &s.stranger
	}
	found := h.Secret(public)
	if found == nil {
		found = &s.blank
	}
	right := found.Digest.Matches(c.secret)
	state, standing := found.StateAt(x.now), h.Standing()
	x.seen.Client, x.seen.Organisation = h.Client.ID, h.Client.Organisation
	if right {
		x.seen.Presented = found.ID
	}
	switch {
	case h.Client == &s.stranger:
		return reasonClientUnknown, nil
	case !right:
		return reasonSecretWrong, nil
	case letter != registry.EnvironmentLetter(h.Client.ID):
		return reasonEnvironment, nil
	case state != registry.SecretActive && state != registry.SecretRetiring:
		return reasonOfState(state), nil
	case standing != "":
		return string(standing), nil
	case !s.Access.MayCallFrom(h, x.peer):
		return reasonAddress, nil
	}
	x.holder, x.secret, x.seen.Secret = h, found, found.ID
	return "", nil
}

func reasonOfState(state registry.SecretState) string {
	switch state {
	case registry.SecretExpired:
		return "secret_expired"
	case registry.SecretDisabled:
		return "secret_disabled"
	}
	return string(fault.SecretRevoked)
}

// notAuthenticated counts the failure. Only now, after the credentials were
// found wrong, may a limit answer in its place: what is right is never refused
// because of what was wrong.
func (s *Server) notAuthenticated(x *exchange) error {
	if wait := s.Failures.Failed(x.r.Context(), string(x.named), x.peer); wait > 0 {
		return slowDown(wait, "too many attempts with wrong credentials: correct them, and wait as Retry-After says")
	}
	return oauthError(fault.OAuthInvalidClient, "")
}
