import { readText, within } from "./http.js";

/** A token, and when it is of what use: milliseconds of the source's clock. */
export interface Held {
  readonly value: string;
  readonly lifetime: number;
  readonly renewAt: number; // from here it is renewed in the background
  readonly lateAt: number; // from here callers wait for the renewal
  readonly expiry: number;
}

/** What the token endpoint is asked, and how. */
export interface Asking {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scopes: readonly string[];
  readonly audience: string;
  readonly authStyle: "basic" | "post";
  readonly requestTimeout: number;
  readonly fetch: typeof fetch;
}

/** What the token endpoint gave: lifetime is in milliseconds. */
export interface Granted {
  readonly value: string;
  readonly lifetime: number;
}

const maxAnswer = 64 << 10; // bytes
const maxLifetime = 86_400; // seconds
const maxQuoted = 200; // characters of the server's words in an error

/** The token endpoint's refusal (RFC 6749 §5.2). */
export class TokenError extends Error {
  override readonly name = "TokenError";

  constructor(
    /** HTTP status. */
    readonly status: number,
    /** Such as "invalid_client"; "" if the answer had none. */
    readonly code: string,
    /** Of the server, may be "". */
    readonly description: string,
    /** Seconds that the server asks to wait; 0 if it did not say. */
    readonly retryAfter: number,
  ) {
    super(["token endpoint answered " + status, code, description].filter((part) => part !== "").join(": "));
  }
}

/** Asks for one token, within the time limit. */
export async function exchange(asking: Asking): Promise<Granted> {
  try {
    return await within(asking.requestTimeout, (signal) => ask(asking, signal));
  } catch (error) {
    // Not as a cause: what a fetch implementation throws may hold the request.
    throw error instanceof TokenError ? error : new Error("ask for an access token: " + quote(asking, reason(error)));
  }
}

/** The texts of an error and of its causes. */
function reason(error: unknown): string {
  const texts: string[] = [];
  for (let e = error; e instanceof Error && texts.length < 3; e = e.cause) texts.push(e.message || e.name);
  return texts.join(": ") || "failed";
}

async function ask(asking: Asking, signal: AbortSignal): Promise<Granted> {
  const response = await asking.fetch.call(undefined, asking.tokenUrl, {
    method: "POST",
    headers: headers(asking),
    body: form(asking).toString(),
    redirect: "manual", // a redirect would carry the secret to an address that nobody configured
    signal,
  });
  const body = await readText(response, maxAnswer);
  if (response.status !== 200) throw refusal(asking, response, body);
  return granted(body);
}

function headers(asking: Asking): Record<string, string> {
  const fields: Record<string, string> = {
    Accept: "application/json",
    "Content-Type": "application/x-www-form-urlencoded",
  };
  if (asking.authStyle === "basic") fields["Authorization"] = "Basic " + credentials(asking);
  return fields;
}

/** RFC 6749 §2.3.1: each half form-encoded. */
function credentials(asking: Asking): string {
  return btoa(formEncoded(asking.clientId) + ":" + formEncoded(asking.clientSecret));
}

function formEncoded(text: string): string {
  return new URLSearchParams({ x: text }).toString().slice(2);
}

function form(asking: Asking): URLSearchParams {
  const fields = new URLSearchParams({ grant_type: "client_credentials" });
  if (asking.scopes.length > 0) fields.set("scope", asking.scopes.join(" "));
  if (asking.audience !== "") fields.set("audience", asking.audience);
  if (asking.authStyle === "post") {
    fields.set("client_id", asking.clientId);
    fields.set("client_secret", asking.clientSecret);
  }
  return fields;
}

/** Reads a successful answer (RFC 6749 §5.1). A token without a lifetime is used once. */
function granted(body: string): Granted {
  const answer = parseObject(body);
  if (answer === undefined) throw new Error("the answer is not the JSON of RFC 6749 section 5.1");
  const { access_token: value, token_type: type, expires_in: seconds = 0 } = answer;
  if (typeof type !== "string" || type.toLowerCase() !== "bearer") throw new Error("the answer's token is not of type Bearer");
  if (typeof value !== "string" || !/^[!-~]+$/.test(value)) throw new Error("the answer has no usable access token");
  if (typeof seconds !== "number") throw new Error("the answer's expires_in is not a number");
  return { value, lifetime: Math.round(Math.min(Math.max(seconds, 0), maxLifetime) * 1000) };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // the cause could quote the token
  }
}

function refusal(asking: Asking, response: Response, body: string): TokenError {
  const { error, error_description: description } = parseObject(body) ?? {};
  const text = (value: unknown) => (typeof value === "string" ? quote(asking, value) : "");
  return new TokenError(response.status, text(error), text(description), retryAfter(response.headers));
}

/** Retry-After in seconds (RFC 9110 §10.2.3): a number, or a date beside the server's own. */
function retryAfter(fields: Headers): number {
  const value = fields.get("Retry-After") ?? "";
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.parse(fields.get("Date") ?? "")) / 1000;
  return seconds > 0 ? Math.min(Math.ceil(seconds), maxLifetime) : 0;
}

/** Makes foreign words safe to print: short, visible, and without the secret. */
function quote(asking: Asking, text: string): string {
  for (const form of [asking.clientSecret, formEncoded(asking.clientSecret), encodeURIComponent(asking.clientSecret), credentials(asking)]) {
    text = text.replaceAll(form, "[redacted]");
  }
  return text.replace(/[^ -~]/g, "?").slice(0, maxQuoted);
}
