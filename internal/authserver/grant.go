package authserver

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
)

// grant says what the token of an authenticated client is for: it completes
// the claims, or refuses. Adding one to the map in New also publishes it in
// the metadata.
type grant func(s *Server, x *exchange) error

// token is the token endpoint (RFC 6749 §3.2). Order matters: nothing about the
// request is judged before its client is known.
func (s *Server) token(x *exchange) error {
	if err := s.authenticate(x); err != nil {
		return err
	}
	name := x.form.get("grant_type")
	if name == "" {
		return invalidRequest("grant_type is missing: send grant_type=client_credentials")
	}
	complete, ok := s.grants[name]
	if !ok {
		return oauthError(fault.OAuthUnsupportedGrantType, "")
	}
	if err := s.claim(x); err != nil {
		return err
	}
	if err := complete(s, x); err != nil {
		return err
	}
	if s.Issuing != nil {
		if wait, ok := s.Issuing.Allow(string(x.holder.Client.ID)); !ok {
			return slowDown(wait, "the client requests tokens faster than its limit: keep each token until shortly before it expires")
		}
	}
	return s.issue(x)
}

// claim says who the token is about (RFC 9068 §2.2). All of it comes from the
// client that authenticated, nothing from the request.
func (s *Server) claim(x *exchange) error {
	tokenID, err := x.newTokenID(s.Rand)
	if err != nil {
		return fmt.Errorf("draw a token id: %w", err)
	}
	client, issued := x.holder.Client, x.now.Unix()
	x.claims = jwt.Claims{
		Issuer: s.issuer, Audience: s.PublicURL, Subject: string(client.ID), ClientID: string(client.ID), ID: tokenID,
		IssuedAt: issued, NotBefore: issued, Expiry: issued + int64(client.TokenLifetime/time.Second),
		AccountID: string(client.Account), OrganisationID: string(client.Organisation), Sandbox: client.Environment() == id.Sandbox,
		SecretID: string(x.secret.ID), Generation: x.holder.Generation(),
	}
	return nil
}

// issue signs the claims and answers with the token (RFC 6749 §5.1).
func (s *Server) issue(x *exchange) error {
	key := s.Signer(x.holder.Client.Environment())
	if key == nil {
		return oauthError(fault.OAuthTemporarilyUnavailable, "there is no signing key just now")
	}
	out, err := key.Sign(append(x.answer[:0], `{"access_token":"`...), jwt.TypeAccessToken, &x.claims)
	if errors.Is(err, jwt.ErrTooLarge) {
		return oauthError(fault.OAuthInvalidScope, "a token with all permissions of the client would be too long: name the permissions that you need in scope")
	}
	if err != nil {
		return fmt.Errorf("sign a token: %w", err)
	}
	out = append(out, `","expires_in":`...)
	out = strconv.AppendInt(out, x.claims.Expiry-x.claims.IssuedAt, 10)
	out = append(out, `,"token_type":"Bearer","scope":"`...)
	out = append(out, x.claims.Scope...) // free of what JSON escapes
	x.answer = append(out, `"}`...)
	x.seen.Outcome = "issued"
	s.writeAnswer(x, 200)
	return nil
}
