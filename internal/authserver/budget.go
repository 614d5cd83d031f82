package authserver

import (
	"encoding/base64"

	"github.com/doorward/doorward/internal/jwt"
)

// What a token holds beside its permissions, as long as it can get: the client
// id has its longest words, and the generation more digits than a client can be
// disabled times.
const (
	longestHeader  = `{"alg":"ES256","kid":"production-signing-key-012345678901","typ":"at+jwt"}`
	longestPayload = `{"iss":"","sub":"sandbox-abcdefghij-abcdefghij-123456","client_id":"sandbox-abcdefghij-abcdefghij-123456","aud":"",` +
		`"iat":1234567890,"nbf":1234567890,"exp":1234567890,"jti":"0123456789abcdefghijkl","scope":"",` +
		`"account_id":"a-s-0123456789abcdefghij","organisation_id":"o-0123456789abcdefghij","sandbox":false,"permissions":[],` +
		`"secret_id":"0123456789ab","generation":1234567890}`
)

// PermissionBudget returns how many bytes the permissions can take, each with
// its quotes and a comma, so that no token with all else at its longest exceeds
// [jwt.MaxSigned]. It is at least 1.
func PermissionBudget(issuer, audience string, algorithm jwt.Algorithm) int {
	encoded := jwt.MaxSigned - base64.RawURLEncoding.EncodedLen(len(longestHeader)) - base64.RawURLEncoding.EncodedLen(signatureSize(algorithm)) - len("..")
	payload := base64.RawURLEncoding.DecodedLen(encoded)
	return max(1, payload-len(longestPayload)-len(issuer)-len(audience)-maxScope)
}

// signatureSize is the length of a signature in bytes (RFC 7518 §3, RFC 8037).
func signatureSize(algorithm jwt.Algorithm) int {
	const rsa2048, pair256 = 256, 64
	if algorithm == jwt.RS256 {
		return rsa2048
	}
	return pair256
}
