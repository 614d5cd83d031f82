package access

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// verified is a token whose signature and form were found good. Time, key and
// revocation are looked at again at each use. It is kept under the digest of the
// token's exact bytes: smaller than they are, and of no use to a thief of memory.
type verified struct {
	claims *jwt.Claims
	key    *jwt.PublicKey
}

// Inspect says whether an access token is good now, and whose it is: its
// signature, issuer, audience, environment and time, and whether the client,
// its account and organisation, and the secret that obtained it still are. An
// error is fault.Unauthenticated with the code that says why, or
// fault.Unavailable; with it there may be claims, of a token that is ours and
// not good any more, which say whose attempt it was and nothing else.
func (a *Access) Inspect(ctx context.Context, token string) (*jwt.Claims, Holder, error) {
	claims, err := a.verify(token)
	if err != nil {
		return claims, Holder{}, err
	}
	h, err := a.Holder(ctx, id.Client(claims.ClientID))
	if err != nil {
		return claims, Holder{}, err
	}
	if code := a.standing(claims, h); code != "" {
		return claims, Holder{}, fault.New(code, "")
	}
	return claims, h, nil
}

// verify returns the claims of a token that is good by itself; with an error
// too when it was good once and only the time is wrong.
func (a *Access) verify(token string) (*jwt.Claims, error) {
	digest := digest(token)
	if known, ok := a.tokens.get(digest); ok {
		if key, published := a.Keys(known.key.ID); published && key == known.key {
			return known.claims, tokenRefusal(known.claims.CheckTime(a.Now()))
		}
	}
	var key *jwt.PublicKey
	keys := func(kid string) (*jwt.PublicKey, bool) {
		found, ok := a.Keys(kid)
		key = found
		return found, ok
	}
	claims, err := jwt.Verify(token, keys, jwt.Expected{Type: jwt.TypeAccessToken, Issuer: a.Issuer, Audience: a.Audience, Now: a.Now()})
	if err != nil {
		return nil, tokenRefusal(err)
	}
	a.tokens.put(digest, verified{claims, key})
	return claims, nil
}

// digest is that of a token's exact bytes.
func digest(token string) [sha256.Size]byte {
	var raw [2 << 10]byte // on the stack; longer tokens are rare
	return sha256.Sum256(append(raw[:0], token...))
}

// tokenRefusal gives a defect of a token its code.
func tokenRefusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrSignature):
		return fault.New(fault.TokenSignatureInvalid, "")
	case errors.Is(err, jwt.ErrExpired):
		return fault.New(fault.TokenExpired, "")
	case errors.Is(err, jwt.ErrNotYetValid):
		return fault.New(fault.TokenNotYetValid, "")
	case errors.Is(err, jwt.ErrAudience), errors.Is(err, jwt.ErrIssuer):
		return fault.New(fault.TokenAudienceWrong, "")
	case errors.Is(err, jwt.ErrEnvironment):
		return fault.New(fault.EnvironmentMismatch, "")
	}
	return fault.New(fault.TokenMalformed, "")
}

// standing holds a good token against what is known of its client now.
func (a *Access) standing(claims *jwt.Claims, h Holder) fault.Code {
	if h.Client == nil {
		return fault.ClientDisabled
	}
	if code := h.Standing(); code != "" {
		return code
	}
	sandbox := h.Client.Environment() == id.Sandbox
	if claims.Sandbox != sandbox || claims.AccountID != string(h.Client.Account) || claims.OrganisationID != string(h.Client.Organisation) {
		return fault.EnvironmentMismatch
	}
	s := h.Secret(id.Secret(claims.SecretID))
	if s == nil || s.State == registry.SecretRevoked || s.State == registry.SecretDisabled {
		return fault.SecretRevoked
	}
	if claims.Generation != h.Generation() {
		return fault.TokenRevoked
	}
	if _, revoked := h.Client.RevokedTokens[claims.ID]; revoked {
		return fault.TokenRevoked
	}
	return ""
}
