import { importJWK, type JWK } from "jose";
import { readText, within } from "./http.js";

/** A key that verifies tokens of one algorithm, one type and one environment. */
export interface VerificationKey {
  readonly algorithm: string;
  readonly use: "access-token" | "assertion";
  readonly environment: string; // "" for assertions
  readonly key: CryptoKey;
}

const retryInterval = 10_000; // between two fetches, whatever asks for them
const keyLifetime = 300_000; // then keys are fetched anew, in the background
const fetchTime = 10_000;
const maxDocument = 1 << 20; // bytes
const maxKeys = 64;
const keyId = /^[A-Za-z0-9._~-]{1,128}$/;
const secretMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"]; // private or symmetric: RFC 7518 §6

/**
 * The issuer's keys in memory. A fetch that fails changes nothing: the last good keys
 * stay. Keys are fetched when there are none, when a token names one that is not
 * there, and when they are five minutes old, but never twice within ten seconds, so
 * that made-up key ids cannot cause a storm.
 */
export class KeySet {
  readonly #issuer: string;
  readonly #fetch: typeof fetch;
  readonly #now: () => number;
  #keys: Map<string, VerificationKey> | undefined;
  #fetched = -Infinity;
  #tried = -Infinity;
  #failure: unknown;
  #flight: Promise<void> | undefined;

  constructor(issuer: string, fetchFunction: typeof fetch, now: () => number) {
    this.#issuer = issuer;
    this.#fetch = fetchFunction;
    this.#now = now;
  }

  /** Gives the key, undefined if the issuer has none of that id; throws if there are no keys at all. */
  async find(id: string): Promise<VerificationKey | undefined> {
    const now = this.#now();
    const key = this.#keys?.get(id);
    const due = key === undefined || now - this.#fetched >= keyLifetime;
    if (due && this.#flight === undefined && now - this.#tried >= retryInterval) {
      this.#tried = now;
      this.#flight = this.#load().finally(() => (this.#flight = undefined));
    }
    if (key !== undefined) return key;
    await this.#flight;
    if (this.#keys === undefined) throw this.#failure;
    return this.#keys.get(id);
  }

  async #load(): Promise<void> {
    try {
      this.#keys = await within(fetchTime, (signal) => this.#fetchKeys(signal));
      this.#fetched = this.#now();
    } catch (error) {
      this.#failure = error;
    }
  }

  async #fetchKeys(signal: AbortSignal): Promise<Map<string, VerificationKey>> {
    // RFC 8414 §3.1: the well-known name stands between host and path.
    const issuer = new URL(this.#issuer);
    const address = new URL("/.well-known/oauth-authorization-server" + issuer.pathname.replace(/\/$/, ""), issuer);
    const metadata = await this.#get(address, signal);
    if (metadata["issuer"] !== this.#issuer) {
      throw new Error("metadata is of another issuer; configure the issuer exactly as its metadata says it"); // RFC 8414 §3.3
    }
    const jwks = URL.canParse(String(metadata["jwks_uri"])) ? new URL(String(metadata["jwks_uri"])) : undefined;
    if (jwks?.origin !== issuer.origin || jwks.username !== "") {
      throw new Error("metadata's jwks_uri is not a URL on the issuer's host");
    }
    return readKeys(await this.#get(jwks, signal));
  }

  async #get(address: URL, signal: AbortSignal): Promise<Record<string, unknown>> {
    const response = await this.#fetch.call(undefined, address, { headers: { Accept: "application/json" }, redirect: "manual", signal });
    if (response.status !== 200) throw new Error(`issuer answered ${response.status}`);
    const value: unknown = JSON.parse(await readText(response, maxDocument));
    if (typeof value !== "object" || value === null) throw new Error("issuer's document is not a JSON object");
    return value as Record<string, unknown>;
  }
}

/**
 * Reads a JWK Set (RFC 7517 §5). Keys of a kind that Doorward does not use are left
 * out; two keys with one id, or a private or symmetric key, refuse the whole set.
 */
async function readKeys(set: Record<string, unknown>): Promise<Map<string, VerificationKey>> {
  const jwks: unknown = set["keys"];
  if (!Array.isArray(jwks) || jwks.length > maxKeys) throw new Error("JWK Set has no keys member, or too many keys");
  const keys = new Map<string, VerificationKey>();
  const ids = new Set<string>();
  for (const jwk of jwks as Record<string, unknown>[]) {
    if (secretMembers.some((member) => member in jwk)) throw new Error("JWK Set has a key that is not public");
    const id = jwk["kid"];
    if (typeof id === "string" && ids.has(id)) throw new Error("JWK Set has two keys with one kid");
    ids.add(String(id));
    const kind = kindOf(jwk);
    if (kind === undefined || typeof id !== "string" || !keyId.test(id)) continue;
    const key = await importJWK(jwk as JWK, kind.algorithm);
    if (!(key instanceof Uint8Array)) keys.set(id, { ...kind, key });
  }
  return keys;
}

/** What a key is for, undefined if it is none of Doorward's kinds. */
function kindOf(jwk: Record<string, unknown>): Omit<VerificationKey, "key"> | undefined {
  const { use, alg: algorithm, kty, crv, n, e, environment = "", doorward_use: purpose } = jwk;
  const known =
    (algorithm === "ES256" && kty === "EC" && crv === "P-256") ||
    (algorithm === "RS256" && kty === "RSA" && typeof n === "string" && n.length === 342 && e === "AQAB") || // 2048 bits
    (algorithm === "EdDSA" && kty === "OKP" && crv === "Ed25519");
  if (!known || use !== "sig") return undefined;
  if (purpose === undefined && (environment === "sandbox" || environment === "production")) {
    return { algorithm, use: "access-token", environment };
  }
  return purpose === "assertion" && environment === "" ? { algorithm, use: "assertion", environment } : undefined;
}
