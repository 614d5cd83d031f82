package fault

import "net/http"

// calls is the table of the API domain: one row per code, by status. Not changed.
var calls = [...]Entry{
	{
		RequestMalformed, Invalid, http.StatusBadRequest, "Request malformed", ChallengeNone,
		"The request can be read in more than one way, so it was not forwarded: the path has dot segments, empty segments, a backslash, an encoded slash or a doubly encoded character; the query has a broken escape or a semicolon; a parameter or header that may come once came twice; or the body is not what the call expects.",
		"Read detail, which names the part. Send the path exactly as the product's documentation spells it, encode each value once, and send the account parameter at most once and in the documented spelling.",
	},
	{
		AccountMissing, Invalid, http.StatusBadRequest, "Account missing", ChallengeNone,
		"The client belongs to an organisation or to the operator, so its token does not say on which account the call acts, and the call does not say it either.",
		"Add the account parameter with the id of one of your accounts to the query (signicat-accountId unless your operator named it otherwise), or use a client that belongs to the account.",
	},
	{
		InvalidRequest, Invalid, http.StatusBadRequest, "Invalid request", ChallengeNone,
		"A value in the request is missing, has the wrong form or breaks a rule.",
		"Read detail and invalidParams, which name each value and what is wrong with it. Correct them and send the request again.",
	},
	{
		TokenMissing, Unauthenticated, http.StatusUnauthorized, "Access token missing", ChallengeBare,
		"The call came without an Authorization header, or with one that is not of the form Bearer followed by a token. Tokens in the query, in the body or in a cookie are not looked at.",
		"Get an access token from the token endpoint and send it as Authorization: Bearer <token>, in exactly one header.",
	},
	{
		TokenMalformed, Unauthenticated, http.StatusUnauthorized, "Access token malformed", ChallengeInvalidToken,
		"What came after Bearer is not an access token of this platform: it was cut off or changed on the way, it is a client secret or an ID token, or another issuer made it.",
		"Send the value of access_token as the token endpoint returned it, without quotes or line breaks. Check that the token comes from the issuer of this API domain.",
	},
	{
		TokenSignatureInvalid, Unauthenticated, http.StatusUnauthorized, "Access token signature invalid", ChallengeInvalidToken,
		"The signature does not fit the token, or the key that it names is not a key of this platform (any more). Usually the token comes from another installation, such as a test platform.",
		"Request a new token from the issuer of this API domain. If new tokens fail too, check the issuer URL in your configuration.",
	},
	{
		TokenExpired, Unauthenticated, http.StatusUnauthorized, "Access token expired", ChallengeInvalidToken,
		"The token is past its lifetime.",
		"Request a new token and repeat the call. Keep a token no longer than expires_in says and renew it a little earlier; our client libraries do so by themselves.",
	},
	{
		TokenNotYetValid, Unauthenticated, http.StatusUnauthorized, "Access token not yet valid", ChallengeInvalidToken,
		"The token says that it becomes valid in the future. A clock of the platform is wrong, or the token was not made by its token endpoint.",
		"Request a new token. If that one is refused as well, tell the operator and quote traceId.",
	},
	{
		TokenAudienceWrong, Unauthenticated, http.StatusUnauthorized, "Access token for another audience", ChallengeInvalidToken,
		"The token was issued for another API domain, or it is a token of another type, such as the assertion that an upstream receives.",
		"Request a token from the issuer of the API domain that you call, and send it to that domain only.",
	},
	{
		TokenRevoked, Unauthenticated, http.StatusUnauthorized, "Access token revoked", ChallengeInvalidToken,
		"The token was revoked before it expired, by your own side or by an administrator.",
		"Request a new token. If you did not expect this, ask who revoked it: the audit log of your organisation says so.",
	},
	{
		SecretRevoked, Unauthenticated, http.StatusUnauthorized, "Client secret revoked", ChallengeInvalidToken,
		"The client secret with which this token was obtained has been revoked or disabled, and the token went with it.",
		"Configure the client's current secret and request a new token. If there is none, add a secret to the client in the Dashboard.",
	},
	{
		ClientDisabled, Unauthenticated, http.StatusUnauthorized, "Client disabled", ChallengeInvalidToken,
		"The API client that the token was issued to has been disabled or deleted.",
		"Enable the client in the Dashboard, or use another one. A disabled client gets no new tokens.",
	},
	{
		AccountSuspended, Unauthenticated, http.StatusUnauthorized, "Account suspended", ChallengeInvalidToken,
		"The account that the client belongs to is suspended, and all calls of its clients with it.",
		"Ask an administrator of your organisation, or the operator, why. The clients work again once the account does.",
	},
	{
		OrganisationSuspended, Unauthenticated, http.StatusUnauthorized, "Organisation suspended", ChallengeInvalidToken,
		"The organisation that the client belongs to is suspended, and all calls of its clients with it.",
		"Contact the operator. The clients work again once the organisation does.",
	},
	{
		EnvironmentMismatch, Unauthenticated, http.StatusUnauthorized, "Wrong environment", ChallengeInvalidToken,
		"The token says sandbox and is used for production, or the reverse: its key, its claims and the client do not agree on one environment.",
		"Use a sandbox client for sandbox accounts and a production client for production accounts, and request a new token.",
	},
	{
		Unauthorized, Unauthenticated, http.StatusUnauthorized, "Not authenticated", ChallengeBare,
		"The request came without credentials that prove who is calling.",
		"Send an access token as Authorization: Bearer <token>.",
	},
	{
		PermissionMissing, Forbidden, http.StatusForbidden, "Permission missing", ChallengeInsufficientScope,
		"The token is good, but the client lacks a permission that this call needs. The challenge and detail name it.",
		"Add the permission to the client in the Dashboard. It counts from the next call on; a new token is not needed. Some permissions can be assigned by the operator only.",
	},
	{
		AccountMismatch, Forbidden, http.StatusForbidden, "Account mismatch", ChallengeNone,
		"The call names an account on which this client may not act: the account does not exist, belongs to someone else, or is another account of yours than the client's.",
		"Check the account id in the call against the client's account in the Dashboard. A client of an account acts on that account only; leaving the parameter out means the client's own account.",
	},
	{
		ProductNotGranted, Forbidden, http.StatusForbidden, "API product not granted", ChallengeNone,
		"Your organisation has not been given this API product for production, or no longer has it.",
		"Ask the operator to grant the product to your organisation. In the sandbox most products can be tried without a grant.",
	},
	{
		AddressRefused, Forbidden, http.StatusForbidden, "Address refused", ChallengeNone,
		"The client may be used from certain network addresses only, and this call came from another.",
		"Call from one of the allowed addresses, or add yours to the client's list in the Dashboard. Mind proxies and address translation: the address that counts is the one that the platform sees.",
	},
	{
		NotAllowed, Forbidden, http.StatusForbidden, "Forbidden", ChallengeNone,
		"The caller is known, but may not do this.",
		"Read detail. Ask an administrator of your organisation for the role or the permission that is needed.",
	},
	{
		ProductUnknown, NotFound, http.StatusNotFound, "API product unknown", ChallengeNone,
		"No API product answers under this path, or it is not there in this environment.",
		"Check the first part of the path against the list of API products in the Dashboard, and whether the product exists in the environment of your account.",
	},
	{
		RouteUnknown, NotFound, http.StatusNotFound, "Route unknown", ChallengeNone,
		"The API product exists, but has no such path. Paths are case-sensitive, and a slash at the end counts.",
		"Compare the path with the product's documentation, letter by letter.",
	},
	{
		Missing, NotFound, http.StatusNotFound, "Not found", ChallengeNone,
		"What the request names does not exist, or is not yours to see.",
		"Check the id, and that the client belongs to the organisation and the account that own it.",
	},
	{
		MethodNotAllowed, Invalid, http.StatusMethodNotAllowed, "Method not allowed", ChallengeNone,
		"The path exists, but not with this HTTP method.",
		"Use one of the methods that the Allow header lists. Headers that override the method have no effect.",
	},
	{
		Contradiction, Conflict, http.StatusConflict, "Conflict", ChallengeNone,
		"The request contradicts what is stored now: someone changed the object since you read it, or the name is taken.",
		"Read the object again, decide whether your change still applies, and repeat it on the current version.",
	},
	{
		IdempotencyKeyReused, Conflict, http.StatusConflict, "Idempotency key reused", ChallengeNone,
		"An earlier request with this Idempotency-Key asked for something else, or what it created is gone.",
		"Take a new Idempotency-Key for each new request, and repeat a request unchanged.",
	},
	{
		SecretAlreadyShown, Conflict, http.StatusConflict, "Client secret already shown", ChallengeNone,
		"The secret was created by an earlier request with this Idempotency-Key. Its value was in that answer and is stored nowhere.",
		"If the value is lost, revoke the secret whose id the problem document names, and add another with a new Idempotency-Key.",
	},
	{
		VersionStale, Conflict, http.StatusPreconditionFailed, "Version no longer current", ChallengeNone,
		"The object was changed since you read it, so that the version in If-Match is not the present one.",
		"Read the object again, decide whether your change still applies, and repeat it with the new version.",
	},
	{
		BodyTooLarge, Invalid, http.StatusRequestEntityTooLarge, "Body too large", ChallengeNone,
		"The body of the request is larger than this call accepts.",
		"Send less in one request, or split it. The limit is in the documentation of the product.",
	},
	{
		TargetTooLong, Invalid, http.StatusRequestURITooLong, "Request target too long", ChallengeNone,
		"Path and query together are longer than 8 KB.",
		"Move long values from the query to the body, if the product takes them there.",
	},
	{
		UnsupportedMedia, Invalid, http.StatusUnsupportedMediaType, "Unsupported media type", ChallengeNone,
		"The body of the request is not of the type that this operation reads.",
		"Send the body as JSON with Content-Type: application/json.",
	},
	{
		TooManyRequests, RateLimited, http.StatusTooManyRequests, "Rate limited", ChallengeNone,
		"More calls came than the limit of your client or your organisation allows, or too many attempts failed.",
		"Wait as many seconds as Retry-After says, then go on more slowly. Keep tokens until they expire instead of requesting one per call.",
	},
	{
		HeadersTooLarge, Invalid, http.StatusRequestHeaderFieldsTooLarge, "Headers too large", ChallengeNone,
		"The header block is larger than 32 KB, or the Authorization header larger than 8 KB.",
		"Leave out headers that the call does not need; cookies are the usual reason.",
	},
	{
		InternalError, Internal, http.StatusInternalServerError, "Internal error", ChallengeNone,
		"Something went wrong on our side. The request may or may not have had its effect.",
		"Repeat the request if repeating does no harm. If it goes on, tell the operator and quote traceId, under which the log has the cause.",
	},
	{
		UpstreamUnreachable, Unavailable, http.StatusBadGateway, "API product unreachable", ChallengeNone,
		"Your call was allowed, but the service behind the API product could not be reached or broke off its answer.",
		"Repeat the call after a pause if repeating does no harm. If it goes on, tell the operator and quote traceId.",
	},
	{
		TemporarilyUnavailable, Unavailable, http.StatusServiceUnavailable, "Temporarily unavailable", ChallengeNone,
		"The platform, or the API product, cannot take the request just now: it is starting, overloaded, or cut off from something that it needs to decide safely.",
		"Repeat the request after the seconds in Retry-After, or after a short and growing pause if there is none.",
	},
	{
		UpstreamTimeout, Unavailable, http.StatusGatewayTimeout, "API product too slow", ChallengeNone,
		"Your call was allowed and passed on, but the service behind the API product did not answer in time. It may still have had its effect.",
		"Look whether the call had its effect before you repeat it. If it goes on, tell the operator and quote traceId.",
	},
}

// tokens is the table of the token endpoint (RFC 6749 §5.2). Not changed.
var tokens = [...]Entry{
	{
		OAuthInvalidRequest, Invalid, http.StatusBadRequest, "Invalid request", ChallengeNone,
		"The token request lacks a parameter, repeats one, is not form-encoded, or carries client credentials both in the Authorization header and in the body.",
		"Send a POST with Content-Type: application/x-www-form-urlencoded and grant_type=client_credentials, each parameter once. Put client_id and client_secret either in the body or in Authorization: Basic, not in both.",
	},
	{
		OAuthUnauthorizedClient, Invalid, http.StatusBadRequest, "Unauthorized client", ChallengeNone,
		"The client is known, but may not use this grant type or this way to authenticate.",
		"Use a grant type and an authentication method that are enabled for the client in the Dashboard.",
	},
	{
		OAuthUnsupportedGrantType, Invalid, http.StatusBadRequest, "Unsupported grant type", ChallengeNone,
		"grant_type names a grant that this token endpoint does not have.",
		"Send grant_type=client_credentials. What the endpoint supports is in the issuer's metadata, under grant_types_supported.",
	},
	{
		OAuthInvalidScope, Invalid, http.StatusBadRequest, "Invalid scope", ChallengeNone,
		"The scope parameter asks for something that does not exist here or that the client was not given. A scope only narrows what the client's permissions already allow.",
		"Leave the scope parameter out, or send the one scope of the platform (signicat-api unless your operator named it otherwise). For a token that may do less, send permissions that the client holds, separated by spaces, and nothing else.",
	},
	{
		OAuthInvalidClient, Unauthenticated, http.StatusUnauthorized, "Invalid client", ChallengeBasic,
		"The client could not be authenticated: the id is unknown, the secret is wrong, expired or revoked, or the client, its account or its organisation is disabled. For your safety the answer does not say which.",
		"The owner of the client sees the reason in the Dashboard, on the client's page. Check that id and secret belong together and to this platform, and that nothing was cut off when they were copied. If the secret is lost, add a new one.",
	},
	{
		OAuthSlowDown, RateLimited, http.StatusTooManyRequests, "Too many token requests", ChallengeNone,
		"Too many attempts with wrong credentials came from your address or for this client, or the client requests tokens faster than the limit allows.",
		"Wait as many seconds as Retry-After says. Keep each token until shortly before it expires, and correct the credentials before you try again: a right secret is never refused because of earlier failures.",
	},
	{
		OAuthServerError, Internal, http.StatusInternalServerError, "Server error", ChallengeNone,
		"Something went wrong on our side while the token was made.",
		"Repeat the request after a short pause. If it goes on, tell the operator when it happened.",
	},
	{
		OAuthTemporarilyUnavailable, Unavailable, http.StatusServiceUnavailable, "Temporarily unavailable", ChallengeNone,
		"The token endpoint cannot answer just now: the platform is starting, overloaded, or cut off from its database.",
		"Repeat the request after the seconds in Retry-After, or after a short and growing pause. Tokens that you already have keep working until they expire.",
	},
}
