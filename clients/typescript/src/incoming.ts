import { Refusal } from "./refusal.js";

/**
 * A request as it arrives: a Request of the Fetch standard, or a request of
 * node:http and what is built on it (Express, Fastify's request.raw).
 */
export interface Incoming {
  readonly url?: string | undefined;
  readonly headers: Headers | Record<string, string | string[] | undefined>;
  /** Of node:http, which keeps only the first Authorization in headers. */
  readonly headersDistinct?: Record<string, string[] | undefined>;
}

/**
 * Gives the token of a request: from the header only, and only if the request is
 * not open to another reading (RFC 6750 §2, RFC 9700 §4.3.2).
 */
export function bearer(incoming: Incoming): string {
  const fields = values(incoming, "authorization");
  if (query(incoming).has("access_token") || fields.length > 1) {
    throw invalid("send the token in one Authorization header and nowhere else");
  }
  const [, scheme, rest = ""] = /^(\S+) *(.*?) *$/s.exec(fields[0] ?? "") ?? [];
  if (scheme?.toLowerCase() !== "bearer" || rest === "") throw new Refusal(401, "", "this call needs an access token");
  if (/[\s,]/.test(rest)) throw invalid("send one token after the scheme");
  return rest;
}

/** Gives the one value of a header, "" if there is none. */
export function only(incoming: Incoming, name: string): string {
  const [value = "", ...more] = values(incoming, name);
  if (more.length > 0) throw invalid(`send one ${name} header`);
  return value;
}

function values(incoming: Incoming, name: string): string[] {
  if (incoming.headers instanceof Headers) {
    const value = incoming.headers.get(name); // several are joined by commas
    return value === null ? [] : [value];
  }
  const value = incoming.headersDistinct?.[name] ?? incoming.headers[name];
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

/**
 * Gives the account that a request names in its query, undefined if none. Every
 * parameter whose name equals the configured one ignoring case counts; several, and
 * another spelling, are refused, for what is behind may read them otherwise.
 */
export function account(incoming: Incoming, parameter: string): string | undefined {
  const found = [...query(incoming)].filter(([name]) => name.toLowerCase() === parameter.toLowerCase());
  if (found.length > 1) throw invalid(`name the account once in ${parameter}`);
  const [name, value] = found[0] ?? [];
  if (name !== undefined && name !== parameter) throw invalid(`write the parameter as ${parameter}`);
  return value;
}

function query(incoming: Incoming): URLSearchParams {
  const url = incoming.url ?? "";
  const start = url.indexOf("?");
  const text = start < 0 ? "" : url.slice(start + 1).replace(/#.*$/s, "");
  if (/;|%(?![0-9A-Fa-f]{2})/.test(text)) throw invalid("write the query as the URL standard does");
  return new URLSearchParams(text);
}

function invalid(description: string): Refusal {
  return new Refusal(400, "invalid_request", description);
}
