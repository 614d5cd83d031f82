import { base64url, compactVerify } from "jose";
import type { VerificationKey } from "./key-set.js";
import { Refusal } from "./refusal.js";

/** What a token must be. */
export interface Expected {
  readonly use: "access-token" | "assertion";
  readonly issuer: string;
  readonly audience: string;
  readonly sandbox: boolean | undefined; // undefined: either
  readonly now: number; // seconds
}

/** The claims of a token that is good, by their names in the token. */
export type Claims = Record<string, unknown>;

const maxSize = 8 << 10; // bytes
const skew = 5; // seconds that clocks may differ
const maxPermissions = 100;
const maxDate = 253402300799; // the last second of the year 9999
const types = { "access-token": "at+jwt", assertion: "doorward-assertion+jwt" };
/** Members of a header that bring a key, an address or another way of processing. */
const refusedMembers = ["crit", "b64", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "enc"];

/**
 * Verifies a token in a fixed order (RFC 8725 §3): size and three segments; header;
 * the key by its id, its use and its algorithm; signature; then, and only then, the
 * claims. Nothing in the token but its key id chooses how it is verified.
 */
export async function verify(token: string, find: (kid: string) => Promise<VerificationKey | undefined>, expected: Expected): Promise<Claims> {
  const segments = token.length <= maxSize ? token.split(".", 4) : [];
  if (segments.length !== 3 || !segments.every(isBase64Url)) throw invalidToken("the token is malformed");
  const { alg, kid } = readHeader(segments[0] ?? "", types[expected.use]);
  const key = await find(kid);
  if (key === undefined || key.use !== expected.use || key.algorithm !== alg) throw unsigned();
  const payload = await signed(token, key);
  const claims = parse(payload);
  check(claims, key, expected);
  return claims;
}

function readHeader(segment: string, type: string): { alg: string; kid: string } {
  const { alg, kid, typ, ...rest } = parse(base64url.decode(segment));
  if (typeof alg !== "string" || typeof typ !== "string" || typeof kid !== "string" || !/^[A-Za-z0-9._~-]{1,128}$/.test(kid)) {
    throw invalidToken("the token is malformed");
  }
  // Letter case and the prefix do not matter (RFC 7515 §4.1.9, RFC 9068 §4).
  if (!/^[!-~]+$/.test(typ) || typ.toLowerCase().replace(/^application\//, "") !== type) throw invalidToken("the token is malformed");
  if (refusedMembers.some((member) => member in rest)) throw invalidToken("the token is malformed");
  return { alg, kid };
}

async function signed(token: string, key: VerificationKey): Promise<Uint8Array> {
  try {
    return (await compactVerify(token, key.key, { algorithms: [key.algorithm] })).payload;
  } catch {
    throw unsigned();
  }
}

/** Tells whether a segment is base64url without padding, written in the one way. */
function isBase64Url(segment: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(segment) && segment.length % 4 !== 1 && base64url.encode(base64url.decode(segment)) === segment;
}

function parse(bytes: Uint8Array): Claims {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Claims;
  } catch {
    // below
  }
  throw invalidToken("the token is malformed");
}

function check(claims: Claims, key: VerificationKey, expected: Expected): void {
  const access = expected.use === "access-token";
  const required = access ? ["iss", "sub", "client_id", "jti"] : ["iss", "sub"];
  const optional = ["account_id", "organisation_id", "secret_id"];
  const texts = [...required, ...optional.filter((name) => name in claims)];
  const audience = Array.isArray(claims["aud"]) && claims["aud"].length === 1 ? (claims["aud"] as unknown[])[0] : claims["aud"];
  if (![audience, ...texts.map((name) => claims[name])].every((value) => typeof value === "string" && /^[!-~]+$/.test(value))) {
    throw invalidToken("the token is malformed");
  }
  const { iat, exp, nbf = iat, sandbox, permissions = [], scope = "" } = claims;
  const lists = Array.isArray(permissions) && permissions.length <= maxPermissions && permissions.every((p) => typeof p === "string");
  if (![iat, exp, nbf].every(isDate) || typeof sandbox !== "boolean" || typeof scope !== "string" || !lists) {
    throw invalidToken("the token is malformed");
  }
  if (access && claims["sub"] !== claims["client_id"]) throw invalidToken("the token is malformed");
  const environment = sandbox ? "sandbox" : "production";
  if ((access && key.environment !== environment) || (expected.sandbox !== undefined && sandbox !== expected.sandbox)) {
    throw invalidToken("the token is of another environment");
  }
  if (claims["iss"] !== expected.issuer) throw invalidToken("the token is of another issuer");
  if (audience !== expected.audience) throw invalidToken("the token is for another audience");
  checkTime(claims, expected.now);
}

/** Tells whether a value is a NumericDate that is whole and above 0. */
function isDate(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) <= maxDate;
}

/** Refuses claims that are not good at now, in seconds (RFC 7519 §4.1.4 to 4.1.6). */
export function checkTime(claims: Claims, now: number): void {
  const { iat, nbf = iat, exp } = claims;
  if (now + skew < Number(nbf) || now + skew < Number(iat)) throw invalidToken("the token is not valid yet");
  if (now - skew >= Number(exp)) throw invalidToken("the token has expired");
}

function unsigned(): Refusal {
  return invalidToken("the token is not signed by a current key of this issuer");
}

export function invalidToken(description: string): Refusal {
  return new Refusal(401, "invalid_token", description);
}
