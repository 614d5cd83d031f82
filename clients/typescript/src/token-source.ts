import type { TokenCache } from "./cache.js";
import { refusesToken } from "./challenge.js";
import { newClock } from "./clock.js";
import { exchange, TokenError, type Asking, type Held } from "./exchange.js";
import { isConfidential } from "./http.js";
import { SharedToken, type Found } from "./shared.js";

/** Where tokens come from. */
export interface Config {
  /** https, or http to a loopback address. */
  tokenUrl: string;
  clientId: string;
  clientSecret: string;
  /** None: the server's default scope. */
  scopes?: readonly string[];
  /** Sent as the parameter audience; none: not sent. */
  audience?: string;
  /** "basic", the default: the Authorization header. "post": the form. The other one is never tried. */
  authStyle?: "basic" | "post";
  /** Shares tokens with other sources: redisCache or memoryCache. None: each source keeps its own. */
  cache?: TokenCache;
  /** Time limit of a token request in milliseconds; default 30 000. */
  requestTimeout?: number;
  /** For token requests and calls; default: the runtime's. */
  fetch?: typeof fetch;
  /** Is told what happens; it must not throw. */
  observe?: (event: TokenEvent) => void;
  /** Where a runtime ends with the response, what keeps work going: ctx.waitUntil of a worker. */
  waitUntil?: (work: Promise<unknown>) => void;
  /** Milliseconds of a clock that does not go back, for tests. */
  now?: () => number;
  /** From 0 to below 1, for tests. */
  random?: () => number;
}

/** What happened; no event holds a token or the secret. */
export type TokenEvent =
  | { type: "obtained"; from: "server" | "cache"; lifetime: number; milliseconds: number }
  | { type: "failed"; error: Error; milliseconds: number }
  | { type: "invalidated" }
  | { type: "cache_failed"; error: unknown };

const maxMargin = 10_000;
const invalidationInterval = 5_000;
const refusalMemory = 5_000;
const maxRefusalMemory = 60_000;
const maxBackOff = 30_000;
const lostTime = 10_000; // beyond its time limit, after which a flight is given up
const rememberedCodes = ["invalid_client", "unauthorized_client"];

/**
 * Gives access tokens of one client. Make one for all callers: they share one
 * token, and one request when it is due.
 */
export class TokenSource {
  readonly #asking: Asking;
  readonly #fetch: typeof fetch;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #observe: (event: TokenEvent) => void;
  readonly #waitUntil: ((work: Promise<unknown>) => void) | undefined;
  readonly #shared: SharedToken | undefined;

  #held: Held | undefined;
  #flight: Promise<Held> | undefined;
  #flightBegan = 0;
  #refusal: { error: Error; until: number } | undefined; // a failure that is remembered
  #failures = 0; // in a row
  #renewAfter = -Infinity; // the back-off's end
  #refused: string | undefined; // the token that was invalidated last
  #refusedAt = -Infinity;

  /** Checks the configuration; it makes no request. */
  constructor(config: Config) {
    check(config);
    const { tokenUrl, clientId, clientSecret, audience = "", authStyle = "basic", requestTimeout = 30_000 } = config;
    this.#fetch = config.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#asking = {
      tokenUrl, clientId, clientSecret, audience, authStyle, requestTimeout,
      scopes: [...(config.scopes ?? [])], fetch: this.#fetch,
    };
    this.#now = config.now ?? newClock();
    this.#random = config.random ?? Math.random;
    this.#observe = config.observe ?? (() => {});
    this.#waitUntil = config.waitUntil;
    this.#shared = config.cache && new SharedToken(config.cache, this.#asking, (error) => this.#observe({ type: "cache_failed", error }));
  }

  /**
   * Gives an access token that is good for a while yet, from memory or from the
   * server. When the signal is aborted the caller leaves; the request goes on for the
   * others. A refusal of the server is a TokenError.
   */
  async token(options: { signal?: AbortSignal | null | undefined } = {}): Promise<string> {
    options.signal?.throwIfAborted();
    const held = this.#held;
    const now = this.#now();
    const valid = held !== undefined && now < held.expiry;
    if (valid && (now < held.renewAt || (this.#flight === undefined && now < this.#renewAfter))) return held.value;
    if (!valid && this.#refusal !== undefined && now < this.#refusal.until) throw this.#refusal.error;
    const flight = this.#board();
    if (valid && now < held.lateAt) return held.value;
    try {
      return (await leavable(flight, options.signal)).value;
    } catch (error) {
      if (valid && this.#now() < held.expiry && !options.signal?.aborted) return held.value;
      throw error;
    }
  }

  /**
   * Drops the token if it is the one in memory, so that the next one is asked for.
   * Call it when an API has refused the token as invalid; fetch does it by itself.
   * Within five seconds of the last one nothing is dropped, so that an API that
   * refuses every token does not become a storm of token requests.
   */
  invalidate(token: string): void {
    const now = this.#now();
    if (this.#held?.value !== token || now - this.#refusedAt < invalidationInterval) return;
    this.#held = undefined;
    this.#refused = token;
    this.#refusedAt = now;
    this.#observe({ type: "invalidated" });
  }

  /**
   * Makes a call as fetch does, with the token. If the API refuses the token as
   * invalid (RFC 6750 §3.1), the token is dropped and the call repeated once with a
   * new one, provided that its body can be sent again: a stream cannot, nor can the
   * body of a Request object; give URL and init instead.
   */
  async fetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const signal = init.signal ?? (input instanceof Request ? input.signal : undefined);
    const token = await this.token({ signal });
    const first = await this.#call(input, init, token);
    if (!refusesToken(first) || isElsewhere(first, input)) return first;
    this.invalidate(token);
    if (!canRepeat(input, init)) return first;
    const next = await this.token({ signal }).catch(() => token); // the API's answer says more than this error
    if (next === token) return first;
    await first.body?.cancel();
    return this.#call(input, init, next);
  }

  /** Shows the client id and nothing else. */
  toString(): string {
    return `TokenSource(${this.#asking.clientId})`;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #call(input: string | URL | Request, init: RequestInit, token: string): Promise<Response> {
    const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
    headers.set("Authorization", "Bearer " + token);
    return this.#fetch.call(undefined, input, { ...init, headers });
  }

  /** The flight under way, or a new one. */
  #board(): Promise<Held> {
    const began = performance.now();
    // A worker that ends with its response takes its timers along: such a flight never lands.
    const lost = began - this.#flightBegan > this.#asking.requestTimeout + lostTime;
    if (this.#flight !== undefined && !lost) return this.#flight;
    const flight = this.#fly();
    this.#flight = flight;
    this.#flightBegan = began;
    const landed = () => {
      if (this.#flight === flight) this.#flight = undefined;
    };
    const ended = flight.then(landed, landed);
    this.#waitUntil?.(ended);
    return flight;
  }

  async #fly(): Promise<Held> {
    const began = this.#now();
    try {
      const { held, from } = await this.#obtain();
      this.#held = held;
      this.#refusal = undefined;
      this.#failures = 0;
      this.#renewAfter = -Infinity;
      this.#observe({ type: "obtained", from, lifetime: held.lifetime, milliseconds: this.#now() - began });
      return held;
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error("ask for an access token: failed");
      this.#fail(error);
      this.#observe({ type: "failed", error, milliseconds: this.#now() - began });
      throw error;
    }
  }

  async #obtain(): Promise<{ held: Held; from: "server" | "cache" }> {
    let from: "server" | "cache" = "cache";
    const fetch = async (): Promise<Found> => {
      from = "server";
      const asked = this.#now(); // before the request: the life of a token began no earlier
      const granted = await exchange(this.#asking);
      return { ...granted, left: asked + granted.lifetime - this.#now() };
    };
    const wanted = (found: Found) => found.value !== this.#held?.value && found.left > margin(found.lifetime);
    const found = await (this.#shared === undefined ? fetch() : this.#shared.obtain(wanted, this.#refused, fetch));
    return { held: this.#hold(found), from };
  }

  #hold({ value, lifetime, left }: Found): Held {
    const expiry = this.#now() + left;
    const renewAt = expiry - lifetime + lifetime * (0.6 + 0.2 * this.#random());
    return { value, lifetime, renewAt, lateAt: expiry - margin(lifetime), expiry };
  }

  /** Notes what follows from a failure: when to try again, and whether to remember it. */
  #fail(error: Error): void {
    const now = this.#now();
    const step = Math.min(1000 * 2 ** this.#failures, maxBackOff);
    this.#failures++;
    let wait = step * (0.5 + this.#random() / 2);
    let remember = 0;
    if (error instanceof TokenError && error.retryAfter > 0) {
      wait = error.retryAfter * 1000 * (1 + this.#random() / 10);
      remember = Math.min(wait, maxRefusalMemory);
    } else if (error instanceof TokenError && rememberedCodes.includes(error.code)) {
      remember = refusalMemory;
    }
    this.#renewAfter = now + wait;
    this.#refusal = { error, until: now + remember };
  }
}

/** How long before its end a token is late: 10 seconds, and of a short life a fifth. */
function margin(lifetime: number): number {
  return Math.min(maxMargin, lifetime / 5);
}

function check(config: Config): void {
  let url: URL;
  try {
    url = new URL(config.tokenUrl);
  } catch {
    throw new TypeError("tokenUrl cannot be parsed"); // without the cause, which quotes it
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new TypeError("tokenUrl must have neither credentials, query nor fragment");
  }
  if (!isConfidential(url)) throw new TypeError("tokenUrl must be https, or http to a loopback address");
  if (!config.clientId || !config.clientSecret) throw new TypeError("clientId and clientSecret are required");
  const { scopes = [], audience = "", authStyle = "basic" } = config;
  if (/[^ -~]/.test(config.clientId + audience)) throw new TypeError("clientId and audience must be visible ASCII");
  if (!scopes.every((scope) => /^[!#-[\]-~]+$/.test(scope))) throw new TypeError("each of scopes must be a scope token of RFC 6749 section 3.3");
  if (authStyle !== "basic" && authStyle !== "post") throw new TypeError('authStyle must be "basic" or "post"');
}

/** Waits for the flight until the signal is aborted. */
async function leavable(flight: Promise<Held>, signal: AbortSignal | null | undefined): Promise<Held> {
  if (!signal) return flight;
  let leave: (() => void) | undefined;
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([flight, left]);
  } finally {
    if (leave !== undefined) signal.removeEventListener("abort", leave);
  }
}

/** Tells whether a redirect led to another origin: the token did not go there (Fetch §4.4). */
function isElsewhere(response: Response, input: string | URL | Request): boolean {
  if (!response.redirected) return false;
  const asked = input instanceof Request ? input.url : String(input);
  return new URL(response.url).origin !== new URL(asked, response.url).origin;
}

/** Tells whether the same arguments make the same request again. */
function canRepeat(input: string | URL | Request, init: RequestInit): boolean {
  const body: unknown = init.body ?? (input instanceof Request ? input.body : null);
  if (body === null || typeof body === "string") return true;
  return [URLSearchParams, Blob, FormData, ArrayBuffer].some((kind) => body instanceof kind) || ArrayBuffer.isView(body);
}
