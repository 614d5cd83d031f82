import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import { Guard, Refusal, type GuardConfig, type Needs } from "../src/resource-server.js";

const issuer = "https://api.example.com/auth/open";
const audience = "https://api.example.com";
const start = 1_800_000_000; // seconds

interface Key {
  kid: string;
  alg: string;
  key: CryptoKey;
  jwk: Record<string, unknown>;
}

async function newKey(kid: string, more: Record<string, unknown>, alg = "ES256"): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, alg === "EdDSA" ? { crv: "Ed25519" } : {});
  return { kid, alg, key: privateKey, jwk: { ...((await exportJWK(publicKey)) as JWK), kid, alg, use: "sig", ...more } };
}

const production = await newKey("production-1", { environment: "production" });
const rsa = await newKey("production-rsa", { environment: "production" }, "RS256");
const edwards = await newKey("production-ed", { environment: "production" }, "EdDSA");
const sandbox = await newKey("sandbox-1", { environment: "sandbox" });
const assertion = await newKey("assertion-1", { doorward_use: "assertion" });
const keys = [production, rsa, edwards, sandbox, assertion];

/** The issuer's documents in memory. */
class Documents {
  now = start;
  requests: string[] = [];
  keys: Record<string, unknown>[] = keys.map((key) => key.jwk);
  metadata: unknown = { issuer, jwks_uri: `${issuer}/.well-known/openid-configuration/jwks` };
  away = false;

  readonly fetch = async (input: string | URL | Request): Promise<Response> => {
    this.requests.push(String(input));
    if (this.away) throw new Error("connection refused");
    if (String(input) === "https://api.example.com/.well-known/oauth-authorization-server/auth/open") return Response.json(this.metadata);
    if (String(input) === `${issuer}/.well-known/openid-configuration/jwks`) return Response.json({ keys: this.keys });
    return new Response("", { status: 404 });
  };

  guard(more: Partial<GuardConfig> = {}): Guard {
    return new Guard({ issuer, audience, fetch: this.fetch, now: () => this.now * 1000, ...more });
  }
}

type Changes = { claims?: Record<string, unknown>; header?: Record<string, unknown>; key?: Key };

/** Signs an access token, or an assertion, with something changed. */
async function sign({ claims = {}, header = {}, key = production }: Changes = {}): Promise<string> {
  const good = {
    iss: issuer, sub: "prod-round-apple-123", client_id: "prod-round-apple-123", aud: audience, iat: start, exp: start + 600, jti: "t-1",
    scope: "signicat-api", account_id: "a-p-1", organisation_id: "o-1", sandbox: false, permissions: ["auth.sessions.read"],
  };
  const signer = new SignJWT({ ...good, ...claims });
  return signer.setProtectedHeader({ alg: key.alg, kid: key.kid, typ: "at+jwt", ...header }).sign(key.key);
}

const forProduct = { claims: { aud: "auth", client_id: undefined, jti: undefined, scope: undefined, exp: start + 60 }, header: { typ: "doorward-assertion+jwt" }, key: assertion };

async function refused(work: Promise<unknown>, status: number, code: string, name = ""): Promise<Refusal> {
  let caught: unknown;
  await work.catch((error: unknown) => (caught = error));
  assert.ok(caught instanceof Refusal, `${name}: passed, or ${caught}`);
  assert.deepEqual([caught.status, caught.code], [status, code], `${name}: ${caught.description}`);
  return caught;
}

test("a good token of each algorithm says who calls", async () => {
  const guard = new Documents().guard();
  for (const key of [production, rsa, edwards]) {
    const token = await guard.verify(await sign({ key }));
    assert.deepEqual(token, {
      id: "t-1", clientId: "prod-round-apple-123", accountId: "a-p-1", organisationId: "o-1", sandbox: false, scope: "signicat-api",
      permissions: ["auth.sessions.read"], issuedAt: new Date(start * 1000), expiry: new Date((start + 600) * 1000),
    });
  }
  const narrow = await guard.verify(await sign({ claims: { permissions: undefined, scope: "a.b c.d" } }));
  assert.deepEqual(narrow.permissions, ["a.b", "c.d"]);
});

test("a token that is wrong in one thing is refused", async () => {
  const guard = new Documents().guard();
  const other = await newKey("production-1", { environment: "production" });
  const good = await sign();
  const [head = "", body = "", signature = ""] = good.split(".");
  const rows: Record<string, string | Promise<string>> = {
    empty: "",
    "two segments": `${head}.${body}`,
    "four segments": `${good}.${signature}`,
    "a megabyte of dots": ".".repeat(1 << 20),
    "padded signature": `${good}==`,
    "other bits of the signature": good.slice(0, -1) + String.fromCharCode(good.charCodeAt(good.length - 1) + 1),
    "changed payload": `${head}.${btoa('{"a":1}').replaceAll("=", "")}.${signature}`,
    "no algorithm": `${btoa('{"alg":"none","typ":"at+jwt","kid":"production-1"}').replaceAll("=", "")}.${body}.`,
    "another's key": sign({ key: other }),
    "unknown key": sign({ header: { kid: "production-9" } }),
    "kid that is no id": sign({ header: { kid: "../production-1" } }),
    "no kid": sign({ header: { kid: undefined } }),
    "an ID token": sign({ header: { typ: "JWT" } }),
    "no type": sign({ header: { typ: undefined } }),
    "a key in the header": sign({ header: { jwk: production.jwk } }),
    "an address in the header": sign({ header: { jku: "https://evil.example/" } }),
    "another algorithm of the key": sign({ key: { ...rsa, kid: "production-1" } }),
    "the assertion's key": sign({ key: assertion }),
    "an assertion": sign(forProduct),
    "the sandbox's key": sign({ key: sandbox }),
    "of the sandbox": sign({ key: sandbox, claims: { sandbox: true } }),
    "no environment": sign({ claims: { sandbox: undefined } }),
    "another issuer": sign({ claims: { iss: `${issuer}/` } }),
    "another audience": sign({ claims: { aud: "https://api.example.com/" } }),
    "two audiences": sign({ claims: { aud: [audience, "x"] } }),
    "no audience": sign({ claims: { aud: undefined } }),
    expired: sign({ claims: { exp: start - 5 } }),
    "no expiry": sign({ claims: { exp: undefined } }),
    "not valid yet": sign({ claims: { nbf: start + 6 } }),
    "issued later": sign({ claims: { iat: start + 6 } }),
    "another subject": sign({ claims: { sub: "x" } }),
    "no id": sign({ claims: { jti: undefined } }),
    "permissions as text": sign({ claims: { permissions: "auth.sessions.read" } }),
  };
  for (const [name, token] of Object.entries(rows)) await refused(guard.verify(await token), 401, "invalid_token", name);
  for (const twin of [good, sign({ claims: { exp: start - 4 } }), sign({ claims: { nbf: start + 5 } }), sign({ claims: { aud: [audience] } }), sign({ header: { typ: "application/AT+jwt" } })]) {
    await guard.verify(await twin);
  }
});

test("one guard is for one environment", async () => {
  const guard = new Documents().guard({ environment: "sandbox" });
  await refused(guard.verify(await sign()), 401, "invalid_token");
  assert.equal((await guard.verify(await sign({ key: sandbox, claims: { sandbox: true } }))).sandbox, true);
});

test("a token that was verified is refused when it expires, or its key is withdrawn", async () => {
  const documents = new Documents();
  const guard = documents.guard();
  const token = await sign();
  await guard.verify(token);
  documents.now += 604;
  assert.equal(await guard.verify(token), await guard.verify(token), "it is kept");
  assert.ok(!inspect(guard, { showHidden: true, depth: 9 }).includes(token), "and printed");
  documents.now += 1;
  await refused(guard.verify(token), 401, "invalid_token");
  const long = await sign({ claims: { exp: start + 3600 } });
  await guard.verify(long);
  documents.keys = [sandbox.jwk];
  documents.now += 600;
  await guard.verify(long); // it asks for the keys in the background
  await new Promise((resolve) => setTimeout(resolve, 0));
  await refused(guard.verify(long), 401, "invalid_token");
});

test("unknown key ids cause no storm, and the last good keys stay", async () => {
  const documents = new Documents();
  const guard = documents.guard();
  await guard.verify(await sign());
  assert.equal(documents.requests.length, 2);
  for (let i = 0; i < 20; i++) await refused(guard.verify(await sign({ header: { kid: `made-up-${i}` } })), 401, "invalid_token");
  assert.equal(documents.requests.length, 2);
  documents.now += 10;
  const rotated = await newKey("production-2", { environment: "production" });
  documents.keys.push(rotated.jwk);
  await guard.verify(await sign({ key: rotated }));
  assert.equal(documents.requests.length, 4);
  documents.away = true;
  documents.now += 400;
  await guard.verify(await sign());
  await guard.verify(await sign({ key: rotated }));
});

test("without keys the answer is 503, and another try comes after 10 s", async () => {
  for (const [name, spoil] of Object.entries<(d: Documents) => void>({
    away: (d) => (d.away = true),
    "another issuer's metadata": (d) => (d.metadata = { issuer: "https://api.example.com", jwks_uri: `${issuer}/.well-known/openid-configuration/jwks` }),
    "keys elsewhere": (d) => (d.metadata = { issuer, jwks_uri: "https://evil.example/jwks" }),
    "no keys member": (d) => (d.keys = undefined as unknown as []),
    "a private key": (d) => (d.keys = [{ ...production.jwk, d: "x" }]),
    "a symmetric key": (d) => (d.keys = [production.jwk, { kty: "oct", k: "x", kid: "s" }]),
    "two keys of one id": (d) => (d.keys = [production.jwk, production.jwk]),
    "too many keys": (d) => (d.keys = Array.from({ length: 65 }, () => production.jwk)),
    "too long": (d) => (d.metadata = { issuer, x: "x".repeat(1 << 20) }),
  })) {
    const documents = new Documents();
    spoil(documents);
    const guard = documents.guard();
    const token = await sign();
    const refusal = await refused(guard.verify(token), 503, "", name);
    assert.ok(refusal.cause instanceof Error, name);
    const asked = documents.requests.length;
    await refused(guard.verify(token), 503, "", name);
    assert.equal(documents.requests.length, asked, name);
    assert.ok(documents.requests.every((url) => url.startsWith("https://api.example.com/")), name);
    Object.assign(documents, { away: false, metadata: new Documents().metadata, keys: new Documents().keys });
    documents.now += 10;
    await guard.verify(token);
  }
});

test("keys of a kind that is not Doorward's are left out", async () => {
  const documents = new Documents();
  documents.keys.push({ kty: "EC", crv: "P-521", kid: "x", alg: "ES512", use: "sig" }, { kty: "new" });
  await documents.guard().verify(await sign());
});

test("a request passes with the permission and the account that the call needs", async () => {
  const guard = new Documents().guard();
  const headers = { authorization: `Bearer ${await sign()}` };
  const rows: [string, string, Needs, number?, string?][] = [
    ["no needs", "/", {}],
    ["permission", "/", { permission: "auth.sessions.read" }],
    ["other permission", "/", { permission: "auth.sessions.create" }, 403, "insufficient_scope"],
    ["part of a permission", "/", { permission: "auth.sessions" }, 403, "insufficient_scope"],
    ["its account", "/?signicat-accountId=a-p-1", {}],
    ["its account, escaped", "/?signicat%2DaccountId=a%2Dp-1", {}],
    ["another account", "/?signicat-accountId=a-p-2", {}, 403, "account_mismatch"],
    ["an empty account", "/?signicat-accountId=", {}, 403, "account_mismatch"],
    ["two accounts", "/?signicat-accountId=a-p-1&signicat-accountId=a-p-1", {}, 400, "invalid_request"],
    ["another spelling", "/?signicat-accountid=a-p-1", {}, 400, "invalid_request"],
    ["a query that two read differently", "/?x=1;signicat-accountId=a-p-2", {}, 400, "invalid_request"],
    ["an escape that is none", "/?signicat-accountId=%zz", {}, 400, "invalid_request"],
    ["an account that is not looked at", "/?signicat-accountId=a-p-2", { account: false }],
    ["a token in the query", "/?access_token=x", {}, 400, "invalid_request"],
  ];
  for (const [name, path, needs, status, code] of rows) {
    for (const request of [new Request(audience + path, { headers }), { url: path, headers }]) {
      const work = guard.authorize(request, needs);
      if (status === undefined) assert.equal((await work).clientId, "prod-round-apple-123", name);
      else await refused(work, status, code ?? "", name);
    }
  }
});

test("a token comes in one Authorization header", async () => {
  const guard = new Documents().guard();
  const token = await sign();
  const rows: [string, string | string[] | undefined, number?, string?][] = [
    ["one", `Bearer ${token}`],
    ["small letters", `bearer  ${token} `],
    ["none", undefined, 401, ""],
    ["another scheme", `Basic ${token}`, 401, ""],
    ["nothing behind the scheme", "Bearer", 401, ""],
    ["two tokens", `Bearer ${token} ${token}`, 400, "invalid_request"],
    ["two fields in one", `Bearer ${token}, Bearer ${token}`, 400, "invalid_request"],
    ["two fields", [`Bearer ${token}`, `Bearer ${token}`], 400, "invalid_request"],
  ];
  for (const [name, authorization, status, code] of rows) {
    const work = guard.authorize({ url: "/", headers: { authorization } });
    if (status === undefined) await work;
    else await refused(work, status, code ?? "", name);
  }
  const doubled = { url: "/", headers: { authorization: `Bearer ${token}` }, headersDistinct: { authorization: [`Bearer ${token}`, "Bearer x"] } };
  await refused(guard.authorize(doubled), 400, "invalid_request"); // as node:http shows it
});

test("an assertion of the gateway is verified for its product", async () => {
  const guard = new Documents().guard();
  const value = await sign(forProduct);
  const request = (text: string | undefined, url = "/") => ({ url, headers: { "doorward-assertion": text } });
  const said = await guard.authorizeAssertion(request(value, "/?signicat-accountId=a-p-1"), "auth", { permission: "auth.sessions.read" });
  assert.deepEqual([said.clientId, said.accountId, said.id], ["prod-round-apple-123", "a-p-1", ""]);
  await refused(guard.authorizeAssertion(request(value), "echo"), 401, "invalid_token", "another product");
  await refused(guard.authorizeAssertion(request(undefined), "auth"), 401, "", "none");
  await refused(guard.authorizeAssertion(request(await sign()), "auth"), 401, "invalid_token", "an access token");
  await refused(guard.authorizeAssertion(request(await sign({ ...forProduct, key: production })), "auth"), 401, "invalid_token", "a key of access tokens");
  await refused(guard.authorizeAssertion(request(value, "/?signicat-accountId=a-p-2"), "auth"), 403, "account_mismatch");
  await refused(guard.authorizeAssertion({ headers: { "doorward-assertion": [value, value] } }, "auth"), 400, "invalid_request");
});

test("the challenge says what is wrong", async () => {
  const guard = new Documents().guard();
  const answer = async (request: { headers: Record<string, string> }, needs?: Needs) =>
    guard.challenge(await guard.authorize(request, needs).then(() => undefined, (error: unknown) => error));
  const none = await answer({ headers: {} });
  assert.deepEqual([none.status, none.headers["WWW-Authenticate"]], [401, 'Bearer realm="https://api.example.com"']);
  const bad = await answer({ headers: { authorization: "Bearer x" } });
  assert.equal(bad.headers["WWW-Authenticate"], 'Bearer realm="https://api.example.com", error="invalid_token", error_description="the token is malformed"');
  const forbidden = await answer({ headers: { authorization: `Bearer ${await sign()}` } }, { permission: 'a"b' });
  assert.match(forbidden.headers["WWW-Authenticate"] ?? "", /, error="insufficient_scope", .*, scope="a\\"b"$/);
  assert.equal(JSON.parse(forbidden.body).code, "insufficient_scope");
  const broken = guard.challenge(new Error("secret detail"));
  assert.deepEqual([broken.status, broken.headers["WWW-Authenticate"], broken.headers["Retry-After"]], [503, undefined, "10"]);
  assert.ok(!broken.body.includes("secret detail"));
  assert.equal(new Response(broken.body, broken).status, 503);
});

test("the configuration is checked", () => {
  for (const config of [
    { issuer: "" }, { issuer: "http://api.example.com" }, { issuer: "https://u:p@api.example.com" }, { issuer: "https://API.example.com/x" },
    { issuer: "https://api.example.com/?x" }, { audience: "" }, { environment: "test" as "sandbox" },
  ]) {
    assert.throws(() => new Documents().guard(config), TypeError, JSON.stringify(config));
  }
  for (const good of ["https://api.example.com", "http://127.0.0.1:8080/auth/open"]) new Documents().guard({ issuer: good });
});
