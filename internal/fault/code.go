package fault

import "slices"

// Code names a refusal on the wire. Codes are part of the API: they never
// change their meaning.
type Code string

// Codes of the API domain: what the gateway and the management API answer.
const (
	// 401, with a bearer challenge.
	TokenMissing          Code = "token_missing"
	TokenMalformed        Code = "token_malformed"
	TokenSignatureInvalid Code = "token_signature_invalid"
	TokenExpired          Code = "token_expired"
	TokenNotYetValid      Code = "token_not_yet_valid"
	TokenAudienceWrong    Code = "token_audience_wrong"
	TokenRevoked          Code = "token_revoked"
	SecretRevoked         Code = "secret_revoked"
	ClientDisabled        Code = "client_disabled"
	AccountSuspended      Code = "account_suspended"
	OrganisationSuspended Code = "organisation_suspended"
	EnvironmentMismatch   Code = "environment_mismatch"
	Unauthorized          Code = "unauthenticated" // general

	// 403.
	PermissionMissing Code = "permission_missing"
	AccountMismatch   Code = "account_mismatch"
	ProductNotGranted Code = "product_not_granted"
	AddressRefused    Code = "address_refused"
	NotAllowed        Code = "forbidden" // general

	// 400 and the other faults of the request itself.
	RequestMalformed Code = "request_malformed"
	AccountMissing   Code = "account_missing"
	InvalidRequest   Code = "invalid" // general
	ProductUnknown   Code = "product_unknown"
	RouteUnknown     Code = "route_unknown"
	Missing          Code = "not_found" // general
	MethodNotAllowed Code = "method_not_allowed"
	Contradiction    Code = "conflict" // general
	VersionStale     Code = "version_stale"
	UnsupportedMedia Code = "unsupported_media_type"

	// Of requests that carry an Idempotency-Key.
	IdempotencyKeyReused Code = "idempotency_key_reused"
	SecretAlreadyShown   Code = "secret_already_shown"

	BodyTooLarge    Code = "body_too_large"
	TargetTooLong   Code = "target_too_long"
	HeadersTooLarge Code = "headers_too_large"

	// Limits, and faults on our side.
	TooManyRequests        Code = "rate_limited" // general
	InternalError          Code = "internal_error"
	UpstreamUnreachable    Code = "upstream_unreachable"
	UpstreamTimeout        Code = "upstream_timeout"
	TemporarilyUnavailable Code = "temporarily_unavailable" // general
)

// Codes of the token endpoint (RFC 6749 §5.2), its rate limit included.
const (
	OAuthInvalidRequest         Code = "invalid_request"
	OAuthInvalidClient          Code = "invalid_client"
	OAuthUnauthorizedClient     Code = "unauthorized_client"
	OAuthUnsupportedGrantType   Code = "unsupported_grant_type"
	OAuthInvalidScope           Code = "invalid_scope"
	OAuthSlowDown               Code = "slow_down"
	OAuthTemporarilyUnavailable Code = "temporarily_unavailable"
	OAuthServerError            Code = "server_error"
)

// Challenges: what WWW-Authenticate says beside a refusal (RFC 6750 §3).
const (
	ChallengeNone              = ""
	ChallengeBasic             = "basic" // token endpoint, RFC 6749 §5.2
	ChallengeBare              = "bare"  // realm only: no credentials came
	ChallengeInvalidToken      = "invalid_token"
	ChallengeInsufficientScope = "insufficient_scope"
)

// Entry is a code's row in the table. Cause and Remedy are prose for the help
// page, written for the developer whose call was refused.
type Entry struct {
	Code      Code
	Kind      Kind
	Status    int
	Title     string
	Challenge string // one of the Challenge constants
	Cause     string
	Remedy    string
}

// Lookup returns the row of a code of the API domain.
func Lookup(code Code) (Entry, bool) {
	for i := range calls {
		if calls[i].Code == code {
			return calls[i], true
		}
	}
	return Entry{}, false
}

// LookupOAuth returns the row of a code of the token endpoint.
func LookupOAuth(code Code) (Entry, bool) {
	for i := range tokens {
		if tokens[i].Code == code {
			return tokens[i], true
		}
	}
	return Entry{}, false
}

// Entries returns the rows of the API domain, by status.
func Entries() []Entry { return slices.Clone(calls[:]) }

// OAuthEntries returns the rows of the token endpoint, by status.
func OAuthEntries() []Entry { return slices.Clone(tokens[:]) }

// code is the general code of a kind.
func (k Kind) code() Code {
	switch k {
	case Invalid:
		return InvalidRequest
	case Unauthenticated:
		return Unauthorized
	case Forbidden:
		return NotAllowed
	case NotFound:
		return Missing
	case Conflict:
		return Contradiction
	case RateLimited:
		return TooManyRequests
	case Unavailable:
		return TemporarilyUnavailable
	default:
		return InternalError
	}
}
