/**
 * Verifies the access tokens of a Doorward issuer (RFC 9068) in your own service, and
 * the assertions that its gateway sends to what is behind it.
 *
 *     const guard = new Guard({ issuer: "https://api.example.com/auth/open", audience: "https://api.example.com" });
 *     try {
 *       const token = await guard.authorize(request, { permission: "auth.sessions.read" });
 *     } catch (error) {
 *       const answer = guard.challenge(error);
 *       return new Response(answer.body, answer);
 *     }
 *
 * Without keys, or in any doubt, the answer is no; and only production tokens pass
 * unless the configuration says otherwise.
 */
import { checkTime, verify, type Claims } from "./claims.js";
import { isConfidential } from "./http.js";
import { account, bearer, only, type Incoming } from "./incoming.js";
import { KeySet, type VerificationKey } from "./key-set.js";
import { challenge, Refusal, type Answer } from "./refusal.js";

export { Refusal, type Answer } from "./refusal.js";
export { type Incoming } from "./incoming.js";

/** Whose tokens are good for what. */
export interface GuardConfig {
  /** Exactly as in the tokens; https, or http to a loopback address. */
  issuer: string;
  /** Exactly as in the tokens; also the realm of challenges. */
  audience: string;
  /** Default: "production". */
  environment?: "production" | "sandbox";
  /** Query parameter that names the account of a call; default: signicat-accountId. */
  accountParameter?: string;
  /** For metadata and keys; default: the runtime's. */
  fetch?: typeof fetch;
  /** Milliseconds since 1970, for tests. */
  now?: () => number;
}

/** What a verified access token says. */
export interface Token {
  readonly id: string;
  readonly clientId: string;
  readonly accountId: string; // "" for clients of an organisation or of the operator
  readonly organisationId: string; // "" for clients of the operator
  readonly sandbox: boolean;
  readonly scope: string;
  readonly permissions: readonly string[];
  readonly issuedAt: Date;
  readonly expiry: Date;
}

/** What a verified assertion says: id and scope are "". permissions are those in force for this call's product. */
export type Assertion = Token;

/** What a call needs beyond a good token. */
export interface Needs {
  /** None: a good token is enough. */
  permission?: string;
  /** false: the account parameter is not looked at. Default: the account that the call names must be the token's. */
  account?: boolean;
}

const maxVerified = 1000; // tokens kept in memory

/** Verifies tokens of one issuer for one audience and one environment. */
export class Guard {
  readonly #issuer: string;
  readonly #audience: string;
  readonly #sandbox: boolean;
  readonly #accountParameter: string;
  readonly #keys: KeySet;
  readonly #now: () => number;
  readonly #verified = new Map<string, { claims: Claims; token: Token; kid: string; key: VerificationKey }>();

  /** Checks the configuration. It makes no request: keys are fetched at the first call. */
  constructor(config: GuardConfig) {
    checkIssuer(config.issuer);
    if (!config.audience) throw new TypeError("audience is required");
    const { environment = "production", accountParameter = "signicat-accountId", now = Date.now } = config;
    if (environment !== "production" && environment !== "sandbox") throw new TypeError('environment must be "production" or "sandbox"');
    this.#issuer = config.issuer;
    this.#audience = config.audience;
    this.#sandbox = environment === "sandbox";
    this.#accountParameter = accountParameter;
    this.#now = now;
    this.#keys = new KeySet(config.issuer, config.fetch ?? ((input, init) => globalThis.fetch(input, init)), now);
  }

  /**
   * Gives the token if it is good now, else throws a Refusal: 401 if it is not, 503 if
   * that cannot be told because the issuer's keys have never been had.
   */
  async verify(token: string): Promise<Token> {
    const known = this.#verified.get(token);
    // A key that was withdrawn meanwhile takes what it signed along.
    if (known !== undefined && (await this.#key(known.kid)) === known.key) {
      checkTime(known.claims, this.#seconds());
      return known.token;
    }
    this.#verified.delete(token);
    let used: { kid: string; key: VerificationKey } | undefined;
    const find = async (kid: string) => {
      const key = await this.#key(kid);
      if (key !== undefined) used = { kid, key };
      return key;
    };
    const claims = await verify(token, find, {
      use: "access-token", issuer: this.#issuer, audience: this.#audience, sandbox: this.#sandbox, now: this.#seconds(),
    });
    const read = newToken(claims);
    if (used !== undefined) this.#keep(token, { claims, token: read, ...used });
    return read;
  }

  /**
   * Gives what the assertion of a call through the gateway says (its header is
   * Doorward-Assertion), else throws a Refusal. product is the key of the API product.
   */
  async verifyAssertion(assertion: string, product: string): Promise<Assertion> {
    const claims = await verify(assertion, (kid) => this.#key(kid), {
      use: "assertion", issuer: this.#issuer, audience: product, sandbox: this.#sandbox, now: this.#seconds(),
    });
    return newToken(claims);
  }

  /** Gives the token of a request that has what the call needs, else throws a Refusal. */
  async authorize(request: Incoming, needs: Needs = {}): Promise<Token> {
    const token = await this.verify(bearer(request));
    this.#demand(request, token, needs);
    return token;
  }

  /** The same for a service behind the gateway: by the request's assertion, for the API product. */
  async authorizeAssertion(request: Incoming, product: string, needs: Needs = {}): Promise<Assertion> {
    const value = only(request, "doorward-assertion");
    if (value === "") throw new Refusal(401, "", "this call needs an assertion of the gateway");
    const assertion = await this.verifyAssertion(value, product);
    this.#demand(request, assertion, needs);
    return assertion;
  }

  /** Writes the answer to a request that was refused; whatever is not a Refusal becomes 503. */
  challenge(error: unknown): Answer {
    return challenge(this.#audience, error);
  }

  #demand(request: Incoming, token: Token, needs: Needs): void {
    const { permission = "", account: bound = true } = needs;
    if (permission !== "" && !token.permissions.includes(permission)) {
      throw new Refusal(403, "insufficient_scope", "this call needs a permission that the token does not have", { permission });
    }
    const named = bound ? account(request, this.#accountParameter) : undefined;
    // The same words for an account of somebody else and for one that does not exist.
    if (named !== undefined && named !== token.accountId) throw new Refusal(403, "account_mismatch", "the token is not for the account that the call names");
  }

  async #key(kid: string): Promise<VerificationKey | undefined> {
    try {
      return await this.#keys.find(kid);
    } catch (cause) {
      throw new Refusal(503, "", "the token cannot be verified now, try again later", { cause });
    }
  }

  #keep(text: string, entry: { claims: Claims; token: Token; kid: string; key: VerificationKey }): void {
    for (const oldest of this.#verified.keys()) {
      if (this.#verified.size < maxVerified) break;
      this.#verified.delete(oldest);
    }
    this.#verified.set(text, entry);
  }

  #seconds(): number {
    return Math.floor(this.#now() / 1000);
  }
}

function checkIssuer(text: string): void {
  if (!URL.canParse(text)) throw new TypeError("issuer is not a URL");
  const url = new URL(text);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new TypeError("issuer must have neither credentials, query nor fragment");
  }
  if (!isConfidential(url)) throw new TypeError("issuer must be https, or http to a loopback address");
  if (url.href !== text && url.href !== text + "/") throw new TypeError(`issuer is not written as a URL normally is, use ${url.href}`);
}

/** Reads the claims. A token of the default scope lists its permissions; in a narrowed one they are the scope. */
function newToken(claims: Claims): Token {
  const text = (name: string) => (typeof claims[name] === "string" ? claims[name] : "");
  const permissions = (claims["permissions"] as string[] | undefined) ?? text("scope").split(" ").filter(Boolean);
  return Object.freeze({
    id: text("jti"),
    clientId: text("sub"),
    accountId: text("account_id"),
    organisationId: text("organisation_id"),
    sandbox: claims["sandbox"] === true,
    scope: text("scope"),
    permissions: Object.freeze([...permissions]),
    issuedAt: new Date(Number(claims["iat"]) * 1000),
    expiry: new Date(Number(claims["exp"]) * 1000),
  });
}
