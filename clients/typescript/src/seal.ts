import type { Asking, Granted } from "./exchange.js";

/** Where a source's token lies in a cache, and how it is encrypted there. */
export interface Seal {
  readonly name: string;
  seal(token: Granted): Promise<string>;
  /** undefined if the value was not sealed by this client with this secret. */
  open(value: string): Promise<Granted | undefined>;
}

const encoder = new TextEncoder();
const nonceSize = 12;

/**
 * Derives both from the client secret: HKDF-SHA256 gives an AES-256-GCM key and a
 * key for the name, which is an HMAC over all that tokens depend on. Who does not
 * know the secret can tell neither; another secret leads elsewhere.
 */
export async function newSeal(asking: Asking): Promise<Seal> {
  const secret = await crypto.subtle.importKey("raw", encoder.encode(asking.clientSecret), "HKDF", false, ["deriveBits"]);
  const derivation = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: encoder.encode("doorward token cache v1") };
  const keys = await crypto.subtle.deriveBits(derivation, secret, 512);
  const aes = await crypto.subtle.importKey("raw", keys.slice(0, 32), "AES-GCM", false, ["encrypt", "decrypt"]);
  const mac = await crypto.subtle.importKey("raw", keys.slice(32), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const scopes = [...new Set(asking.scopes)].sort().join(" ");
  const identity = [asking.tokenUrl, asking.clientId, scopes, asking.audience].join("\n");
  const name = "doorward:token:" + toBase64Url(new Uint8Array(await crypto.subtle.sign("HMAC", mac, encoder.encode(identity))));
  return { name, seal: (token) => seal(aes, name, token), open: (value) => open(aes, name, value) };
}

async function seal(key: CryptoKey, name: string, token: Granted): Promise<string> {
  const clear = encoder.encode(JSON.stringify({ access_token: token.value, lifetime: token.lifetime }));
  const nonce = crypto.getRandomValues(new Uint8Array(nonceSize));
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: encoder.encode(name) }, key, clear);
  return toBase64Url(new Uint8Array([...nonce, ...new Uint8Array(sealed)]));
}

async function open(key: CryptoKey, name: string, value: string): Promise<Granted | undefined> {
  try {
    const bytes = fromBase64Url(value);
    const parameters = { name: "AES-GCM", iv: bytes.slice(0, nonceSize), additionalData: encoder.encode(name) };
    const clear = await crypto.subtle.decrypt(parameters, key, bytes.slice(nonceSize));
    const token = JSON.parse(new TextDecoder().decode(clear)) as { access_token?: unknown; lifetime?: unknown };
    const { access_token: text, lifetime } = token;
    return typeof text === "string" && typeof lifetime === "number" ? { value: text, lifetime } : undefined;
  } catch {
    return undefined; // what cannot be read is as good as nothing
  }
}

export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
