/**
 * Access tokens of the client credentials grant (RFC 6749 §4.4): fetched once for
 * all callers, kept, renewed before they expire, and put on calls (RFC 6750 §2.1).
 *
 *     const source = new TokenSource({
 *       tokenUrl: "https://api.example.com/auth/open/connect/token",
 *       clientId: "sandbox-round-apple-123",
 *       clientSecret: process.env.CLIENT_SECRET ?? "",
 *     });
 *     const response = await source.fetch("https://api.example.com/auth/rest/sessions/42");
 *
 * It needs fetch and Web Crypto and nothing else: Node.js 20, Deno, Bun, and edge
 * runtimes have both. Neither the secret nor a token stands in an error or in what
 * is printed.
 */
export { TokenSource, type Config, type TokenEvent } from "./token-source.js";
export { TokenError } from "./exchange.js";
export { fromEnvironment } from "./environment.js";
export { memoryCache, type CachedValue, type TokenCache } from "./cache.js";
