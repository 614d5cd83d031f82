/**
 * Why a request does not pass. description is for its sender, in words of this
 * package only; cause is for the log.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    /** 400, 401, 403 or 503. */
    readonly status: 400 | 401 | 403 | 503,
    /** Of RFC 6750 §3.1, or "account_mismatch"; "" if there was no token, or with 503. */
    readonly code: string,
    readonly description: string,
    /** permission: the one that is missing; "" unless that is the reason. */
    readonly details: { permission?: string; cause?: unknown } = {},
  ) {
    super(description, "cause" in details ? { cause: details.cause } : {});
  }
}

/** An answer for any server: new Response(a.body, a), or response.writeHead(a.status, a.headers).end(a.body). */
export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

const titles = { 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable" };

/**
 * Writes the answer to a request that does not pass: the status, the challenge of
 * RFC 6750 §3 in the realm, and a problem document (RFC 9457). Whatever is not a
 * Refusal, and 503, gets 503 and no challenge, for a new token would not help.
 */
export function challenge(realm: string, error: unknown): Answer {
  const refusal = error instanceof Refusal ? error : new Refusal(503, "", "the call cannot be decided now, try again later");
  const { status, code, description } = refusal;
  const headers: Record<string, string> = { "Content-Type": "application/problem+json", "Cache-Control": "no-store" };
  if (status === 503) headers["Retry-After"] = "10";
  else headers["WWW-Authenticate"] = field(realm, refusal);
  const problem = { title: titles[status], status, ...(code && { code }), detail: description };
  return { status, headers, body: JSON.stringify(problem) + "\n" };
}

function field(realm: string, refusal: Refusal): string {
  const parameters = ["realm=" + quoted(realm)];
  // account_mismatch is not a code of RFC 6750: the token is good, for another account.
  if (refusal.code !== "" && refusal.code !== "account_mismatch") {
    parameters.push("error=" + quoted(refusal.code), "error_description=" + quoted(refusal.description));
  }
  if (refusal.details.permission) parameters.push("scope=" + quoted(refusal.details.permission));
  return "Bearer " + parameters.join(", ");
}

/** A quoted-string (RFC 9110 §5.6.4). */
function quoted(text: string): string {
  return '"' + text.replace(/[^ -~]/g, "?").replace(/["\\]/g, "\\$&") + '"';
}
