package authserver

import (
	"errors"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// revoke ends one token of the client that authenticated (RFC 7009). A token
// that is none, is dead already or is another's is answered alike, with 200
// and no effect (§2.2). Success is told only of what is stored and in force.
func (s *Server) revoke(x *exchange) error {
	if err := s.authenticate(x); err != nil {
		return err
	}
	token := x.form.get("token")
	if token == "" {
		return invalidRequest("token is missing: send the access token to revoke")
	}
	// The token alone is asked, not whether its secret is good now: a disabled
	// secret may be enabled again, and then the token must stay revoked.
	claims, err := jwt.Verify(token, s.Access.Keys, jwt.Expected{Type: jwt.TypeAccessToken, Issuer: s.issuer, Audience: s.PublicURL, Now: x.now})
	if err == nil && claims.ClientID == string(x.holder.Client.ID) {
		if err := s.revokeOwn(x, claims); err != nil {
			return err
		}
	}
	x.seen.Outcome = "revoked"
	x.answer = x.answer[:0]
	s.writeAnswer(x, 200)
	return nil
}

func (s *Server) revokeOwn(x *exchange, claims *jwt.Claims) error {
	ctx, client := x.r.Context(), x.holder.Client
	by := actor.NewClient(client.ID, client.Organisation, client.Account, x.secret.ID, client.Permissions).From(x.peer, s.requestID(x))
	dead := time.Unix(claims.Expiry, 0).Add(jwt.Skew) // until then it would be accepted
	err := s.Registry.Apply(ctx, by, registry.RevokeToken{Client: id.Client(claims.ClientID), TokenID: claims.ID, Expires: dead})
	if err == nil {
		err = s.Access.Refresh(ctx)
	}
	if limit, ok := errors.AsType[*fault.Error](err); ok && limit.Kind == fault.RateLimited {
		return slowDown(time.Minute, limit.Message)
	}
	if err != nil {
		return fault.Errorf(fault.Unavailable, "the revocation could not be stored and put into force: repeat it: %w", err)
	}
	return nil
}

func (s *Server) requestID(x *exchange) string {
	if s.RequestID == nil {
		return ""
	}
	return s.RequestID(x.r)
}
