import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesToken } from "../src/challenge.js";
import { Issuer, refuse, tokenUrl } from "./issuer.js";

const url = "https://api.example.com/things";
const invalid = 'Bearer realm="api", error="invalid_token"';

/** An API beside the issuer: it refuses the first n calls. */
function withApi(refused: number, status = 401, challenge = invalid) {
  const issuer = new Issuer();
  const calls: { token: string | null; body: string; method: string }[] = [];
  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    if (String(input) === tokenUrl) return issuer.fetch(input, init);
    const request = new Request(input, init);
    calls.push({ token: request.headers.get("Authorization"), body: await request.text(), method: request.method });
    return calls.length <= refused ? new Response("no", { status, headers: { "WWW-Authenticate": challenge } }) : new Response("yes");
  };
  return { issuer, calls, source: issuer.source({ fetch }) };
}

test("a call carries the token and keeps what the caller set", async () => {
  const { source, calls } = withApi(0);
  const response = await source.fetch(new Request(url, { method: "POST", body: "b", headers: { Authorization: "old", "X-Y": "z" } }));
  assert.equal(await response.text(), "yes");
  assert.deepEqual(calls, [{ token: "Bearer token-1", body: "b", method: "POST" }]);
});

test("a call that is refused with invalid_token is repeated once with a new token", async () => {
  const { source, calls } = withApi(1);
  assert.equal((await source.fetch(url, { method: "PUT", body: "b" })).status, 200);
  assert.deepEqual(calls.map((call) => call.token), ["Bearer token-1", "Bearer token-2"]);
  assert.deepEqual(calls.map((call) => call.body), ["b", "b"]);
  const always = withApi(9);
  assert.equal((await always.source.fetch(url)).status, 401);
  assert.equal(always.calls.length, 2);
  assert.equal(await (await always.source.fetch(url)).text(), "no"); // within 5 s: no other token
  assert.equal(always.issuer.asked.length, 2);
});

test("a body is repeated if it can be read again", async () => {
  const bodies: Record<string, () => RequestInit> = {
    string: () => ({ body: "b" }),
    bytes: () => ({ body: new TextEncoder().encode("b") }),
    buffer: () => ({ body: new TextEncoder().encode("b").buffer }),
    blob: () => ({ body: new Blob(["b"]) }),
    form: () => ({ body: new URLSearchParams("b") }),
    data: () => ({ body: new FormData() }),
  };
  for (const [name, init] of Object.entries(bodies)) {
    const { source, calls } = withApi(1);
    assert.equal((await source.fetch(url, { method: "POST", ...init() })).status, 200, name);
    assert.equal(calls.length, 2, name);
  }
  const stream = { method: "POST", body: new Blob(["b"]).stream(), duplex: "half" } as RequestInit;
  for (const [name, call] of Object.entries<Parameters<typeof fetch>>({
    stream: [url, stream],
    request: [new Request(url, { method: "POST", body: "b" })],
  })) {
    const { source, calls } = withApi(1);
    assert.equal((await source.fetch(...call)).status, 401, name);
    assert.equal(calls.length, 1, name);
    assert.equal(await source.token(), "token-2", `${name}: the token is dropped`);
  }
});

test("a 403, and a new token that cannot be had, leave the API's answer", async () => {
  const forbidden = withApi(9, 403);
  assert.equal((await forbidden.source.fetch(url)).status, 403);
  assert.equal(forbidden.calls.length, 1);
  const { source, issuer, calls } = withApi(9);
  issuer.answer = (n) => (n > 1 ? refuse(401, "invalid_client") : undefined);
  assert.equal(await (await source.fetch(url)).text(), "no");
  assert.equal(calls.length, 1);
});

test("a caller that leaves leaves its call", async () => {
  const { source } = withApi(0);
  await assert.rejects(source.fetch(url, { signal: AbortSignal.abort(new Error("gone")) }), /gone/);
});

test("only a Bearer challenge that says invalid_token is mended by a new token", () => {
  for (const [challenge, want] of [
    [invalid, true],
    ['bearer ERROR="invalid_token"', true],
    ["Bearer error=invalid_token", true],
    ['Bearer error = "invalid_token" , realm="x"', true],
    ['Basic realm="a, b", Bearer realm="api", error="invalid_token"', true],
    ['Bearer realm="a\\", b", error="invalid_token"', true],
    ["", false],
    ["Bearer", false],
    ['Bearer realm="api"', false],
    ['Bearer realm="api", error="insufficient_scope"', false],
    ['Basic realm="api", error="invalid_token"', false],
    ['Bearer realm="x", Basic error="invalid_token"', false],
    ['Bearer realm="error=\\"invalid_token\\", error=invalid_token"', false],
    ['Bearer realm="x, error=invalid_token"', false],
    ['Bearer error_description="invalid_token"', false],
  ] as const) {
    assert.equal(refusesToken(new Response(null, { status: 401, headers: { "WWW-Authenticate": challenge } })), want, challenge);
    assert.equal(refusesToken(new Response(null, { status: 403, headers: { "WWW-Authenticate": challenge } })), false);
  }
});
