package authserver

import (
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jwt"
)

// introspect says whether a token is good now, and what it is good for (RFC
// 7662): to the token's own client, and to clients that may read all tokens.
// Whatever is wrong with a token, and whoever else's it is, the answer is that
// it is not active.
func (s *Server) introspect(x *exchange) error {
	if err := s.authenticate(x); err != nil {
		return err
	}
	token := x.form.get("token")
	if token == "" {
		return invalidRequest("token is missing: send the access token to look at")
	}
	claims, holder, err := s.Access.Inspect(x.r.Context(), token)
	if fault.KindOf(err) == fault.Unavailable {
		return err
	}
	x.seen.Outcome = "inspected"
	if err == nil && s.mayRead(x, claims) {
		x.answer = s.appendActive(x.answer[:0], claims, holder)
	} else {
		x.answer = append(x.answer[:0], `{"active":false}`...)
	}
	s.writeAnswer(x, 200)
	return nil
}

// mayRead asks who authenticated, not what the request says.
func (s *Server) mayRead(x *exchange, claims *jwt.Claims) bool {
	return claims.ClientID == string(x.holder.Client.ID) || x.holder.Holds(actor.ManagementPrefix+string(actor.TokenRead))
}

// appendActive writes the answer of RFC 7662 §2.2. permissions are those in
// effect now, which may be fewer or more than the token says.
func (s *Server) appendActive(out []byte, claims *jwt.Claims, h access.Holder) []byte {
	out = append(out, `{"active":true`...)
	for _, member := range [...]struct{ name, value string }{
		{"iss", claims.Issuer}, {"sub", claims.Subject}, {"client_id", claims.ClientID}, {"aud", claims.Audience},
		{"jti", claims.ID}, {"scope", claims.Scope}, {"token_type", "Bearer"},
		{"account_id", claims.AccountID}, {"organisation_id", claims.OrganisationID},
	} {
		if member.value != "" {
			out = appendQuoted(append(appendQuoted(append(out, ','), member.name), ':'), member.value)
		}
	}
	out = strconv.AppendInt(append(out, `,"exp":`...), claims.Expiry, 10)
	out = strconv.AppendInt(append(out, `,"iat":`...), claims.IssuedAt, 10)
	out = strconv.AppendInt(append(out, `,"nbf":`...), claims.NotBefore, 10)
	out = strconv.AppendBool(append(out, `,"sandbox":`...), claims.Sandbox)
	out = append(out, `,"permissions":[`...)
	for i, permission := range s.effective(claims, h) {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendQuoted(out, permission)
	}
	return append(out, "]}"...)
}

// effective returns what the client holds now, narrowed by the token's scope.
func (s *Server) effective(claims *jwt.Claims, h access.Holder) []string {
	if claims.Scope == s.Scope {
		return h.Client.Permissions
	}
	return slices.DeleteFunc(strings.Fields(claims.Scope), func(p string) bool { return !h.Holds(p) })
}

// appendQuoted writes text as JSON. What a verified token of ours holds, and
// what a client was granted, is free of what JSON escapes.
func appendQuoted(out []byte, text string) []byte {
	return append(append(append(out, '"'), text...), '"')
}
