import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { inspect } from "node:util";
import { TokenError, TokenSource, type Config, type TokenEvent } from "../src/index.js";
import { clientId, clientSecret, Issuer, newGate, refuse, settle, tokenUrl } from "./issuer.js";

test("client authenticates in the style that is configured", async () => {
  for (const [authStyle, header, fields] of [
    ["basic", "Basic " + btoa("a+b%3A%25:" + clientSecret), {}],
    ["post", null, { client_id: "a b:%", client_secret: clientSecret }],
  ] as const) {
    const issuer = new Issuer();
    await issuer.source({ clientId: "a b:%", authStyle, scopes: ["p.read", "p.write"], audience: "x" }).token();
    assert.equal(issuer.asked[0]?.headers.get("Authorization"), header);
    assert.deepEqual(Object.fromEntries(issuer.forms[0] ?? []), { grant_type: "client_credentials", scope: "p.read p.write", audience: "x", ...fields });
  }
});

test("many callers share one request, and one can leave", async () => {
  const issuer = new Issuer();
  const gate = newGate();
  issuer.answer = () => gate.passed.then(() => refuse(503, "temporarily_unavailable"));
  const source = issuer.source();
  const leaving = new AbortController();
  const leaver = source.token({ signal: leaving.signal });
  const stayers = Array.from({ length: 500 }, () => source.token());
  leaving.abort(new Error("gone"));
  await assert.rejects(leaver, /gone/);
  gate.open();
  for (const result of await Promise.allSettled(stayers)) assert.equal(result.status, "rejected");
  assert.equal(issuer.asked.length, 1);
  assert.equal(issuer.asked[0]?.signal.aborted, false);
  issuer.answer = undefined;
  assert.equal(await source.token(), "token-2"); // the failure was not kept
});

test("a token is renewed in the background between 0.6 and 0.8 of its life", async () => {
  for (const lifetime of [3600, 600, 60, 5, 1]) {
    for (const random of [0, 0.5, 0.999]) {
      const issuer = new Issuer();
      issuer.lifetime = lifetime;
      const source = issuer.source({ random: () => random });
      assert.equal(await source.token(), "token-1");
      issuer.advance(lifetime * (0.6 + 0.2 * random) - lifetime / 1e5);
      await source.token();
      await settle();
      assert.equal(issuer.asked.length, 1, `${lifetime} s: too early`);
      issuer.advance(lifetime / 5e4);
      assert.equal(await source.token(), "token-1", "the old token is served meanwhile");
      await settle();
      assert.equal(await source.token(), "token-2");
    }
  }
});

test("through an hour no caller waits or gets an expired token", async () => {
  const issuer = new Issuer();
  issuer.lifetime = 60;
  const expiries = new Map<string, number>();
  issuer.answer = (n) => void expiries.set(`token-${n}`, issuer.now + 60_000);
  const source = issuer.source({ random: Math.random });
  await source.token();
  for (let second = 0; second < 3600; second += 2) {
    issuer.advance(2);
    let waited = true;
    const asked = source.token().then((token) => ((waited = false), token));
    await Promise.resolve().then(() => {}).then(() => {});
    assert.equal(waited, false, "a caller waited for a renewal");
    const token = await asked;
    assert.ok((expiries.get(token) ?? 0) > issuer.now, "an expired token was given");
    await settle();
  }
  assert.ok(issuer.asked.length <= 101, `${issuer.asked.length} token requests`);
});

test("in the margin a caller waits for the renewal; an expired token is never given", async () => {
  const issuer = new Issuer();
  const source = issuer.source();
  await source.token();
  issuer.advance(591);
  assert.equal(await source.token(), "token-2");
  issuer.answer = () => refuse(503, "");
  issuer.advance(591);
  assert.equal(await source.token(), "token-2", "the valid token outlives a failed renewal");
  issuer.advance(9);
  await assert.rejects(source.token(), TokenError);
});

test("a failed renewal backs off from 1 s to 30 s", async () => {
  const issuer = new Issuer();
  issuer.lifetime = 3600;
  const source = issuer.source({ random: () => 0 }); // the least: half of each step
  await source.token();
  issuer.answer = () => refuse(503, "");
  issuer.advance(2160.001);
  let asked = 2;
  for (const step of [0.5, 1, 2, 4, 8, 15, 15]) {
    assert.equal(await source.token(), "token-1");
    await settle();
    assert.equal(issuer.asked.length, asked++);
    issuer.advance(step - 0.001);
    await source.token();
    await settle();
    assert.equal(issuer.asked.length, asked - 1, `asked again before ${step} s`);
    issuer.advance(0.001);
  }
});

test("Retry-After is honoured, as a number and as a date", async () => {
  for (const value of ["7", "Wed, 25 Nov 2026 10:00:07 GMT"]) {
    const issuer = new Issuer();
    const source = issuer.source({ random: () => 0 });
    issuer.answer = () => refuse(429, "", { "Retry-After": value, Date: "Wed, 25 Nov 2026 10:00:00 GMT" });
    await assert.rejects(source.token(), (error: TokenError) => error.retryAfter === 7);
    issuer.advance(6.999);
    await assert.rejects(source.token());
    assert.equal(issuer.asked.length, 1);
    issuer.answer = undefined;
    issuer.advance(0.001);
    assert.equal(await source.token(), "token-2");
  }
});

test("invalid_client and unauthorized_client are remembered for 5 s, other failures are not", async () => {
  for (const [code, remembered] of [["invalid_client", true], ["unauthorized_client", true], ["invalid_scope", false]] as const) {
    const issuer = new Issuer();
    const source = issuer.source();
    issuer.answer = () => refuse(400, code);
    await assert.rejects(source.token(), { code });
    issuer.advance(4.999);
    await assert.rejects(source.token(), { code });
    assert.equal(issuer.asked.length, remembered ? 1 : 2, code);
    issuer.answer = undefined;
    issuer.advance(0.001);
    await source.token();
  }
});

test("invalidate drops that token only, and once in 5 s", async () => {
  const issuer = new Issuer();
  const source = issuer.source();
  await source.token();
  source.invalidate("another");
  assert.equal(await source.token(), "token-1");
  source.invalidate("token-1");
  assert.equal(await source.token(), "token-2");
  source.invalidate("token-1");
  source.invalidate("token-2");
  assert.equal(await source.token(), "token-2", "dropped twice within 5 s");
  issuer.advance(5);
  source.invalidate("token-2");
  assert.equal(await source.token(), "token-3");
});

test("a request that hangs ends, whether or not fetch heeds the signal", async () => {
  for (const heeds of [true, false]) {
    let signal: AbortSignal | undefined;
    const hang = (_: unknown, init?: RequestInit) =>
      new Promise<Response>((_, reject) => {
        signal = init?.signal ?? undefined;
        if (heeds) init?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const source = new TokenSource({ tokenUrl, clientId, clientSecret, fetch: hang, requestTimeout: 20 });
    await assert.rejects(source.token(), /no answer within 20 ms/);
    assert.equal(signal?.aborted, true);
  }
});

test("a redirect of the token request is not followed", async () => {
  let reached = 0;
  const elsewhere = createServer((_, response) => (reached++, response.end())).listen(0, "127.0.0.1");
  const server = createServer((_, response) => response.writeHead(307, { Location: address(elsewhere) }).end()).listen(0, "127.0.0.1");
  try {
    await settle();
    const source = new TokenSource({ tokenUrl: address(server), clientId, clientSecret, authStyle: "post" });
    await assert.rejects(source.token(), { status: 307 });
    assert.equal(reached, 0);
  } finally {
    server.close();
    elsewhere.close();
  }
});

function address(server: ReturnType<typeof createServer>): string {
  const bound = server.address();
  return `http://127.0.0.1:${typeof bound === "object" && bound !== null ? bound.port : 0}/`;
}

test("unusable answers are errors that do not quote them", async () => {
  for (const [name, body] of Object.entries({
    "not JSON": "<html>canary",
    "no token": '{"token_type":"Bearer"}',
    "other type": '{"access_token":"canary","token_type":"DPoP"}',
    "no type": '{"access_token":"canary"}',
    "line break": '{"access_token":"canary\\r\\nX: y","token_type":"Bearer"}',
    "lifetime a string": '{"access_token":"canary","token_type":"Bearer","expires_in":"canary"}',
    "too long": `{"access_token":"${"canary".repeat(20_000)}","token_type":"Bearer"}`,
  })) {
    const issuer = new Issuer();
    issuer.answer = () => new Response(body);
    await assert.rejects(issuer.source().token(), (error: Error) => !inspect(error).includes("canary"), name);
    issuer.answer = () => new Response('{"access_token":"t","token_type":"bearer"}'); // the twin
    assert.equal(await issuer.source().token(), "t", name);
  }
});

test("a token without a lifetime is used once", async () => {
  for (const lifetime of [0, -5]) {
    const issuer = new Issuer();
    issuer.lifetime = lifetime;
    const source = issuer.source();
    assert.notEqual(await source.token(), await source.token());
  }
});

test("neither the secret nor a token is printed", async () => {
  const issuer = new Issuer();
  const events: TokenEvent[] = [];
  const source = issuer.source({ observe: (event) => events.push(event) });
  const printed = () => [inspect(source, { showHidden: true, depth: 9 }), JSON.stringify({ source }), `${source}`, inspect(events)].join();
  await source.token();
  const texts = [printed()];
  source.invalidate("token-1");
  for (const echoed of [clientSecret, btoa(`${clientId}:${clientSecret}`)]) {
    issuer.answer = () => refuse(400, "invalid_request", {}, `got ${echoed}\n`);
    await assert.rejects(source.token(), (error) => texts.push(inspect(error, { depth: 9 })) > 0);
    issuer.answer = () => Promise.reject(new Error("fetch failed", { cause: Object.assign(new Error(echoed), { headers: echoed }) }));
    await assert.rejects(source.token(), (error) => texts.push(inspect(error, { depth: 9 })) > 0);
  }
  texts.push(printed());
  for (const text of texts) {
    for (const canary of [clientSecret, btoa(`${clientId}:${clientSecret}`), "token-1"]) assert.ok(!text.includes(canary), text);
  }
  assert.match(texts.join(), /\[redacted\]/);
  assert.match(texts.join(), /sandbox-round-apple-123/);
});

test("events tell what happened", async () => {
  const issuer = new Issuer();
  const types: string[] = [];
  const work: Promise<unknown>[] = [];
  const source = issuer.source({ observe: (event) => types.push(event.type), waitUntil: (promise) => work.push(promise) });
  await source.token();
  source.invalidate("token-1");
  issuer.answer = () => refuse(503, "");
  await assert.rejects(source.token());
  assert.deepEqual(types, ["obtained", "invalidated", "failed"]);
  await Promise.all(work); // settles, whatever came of it
  assert.equal(work.length, 2);
});

test("the configuration is checked, without showing the secret", () => {
  for (const [name, change] of Object.entries<Partial<Config>>({
    "no URL": { tokenUrl: "" },
    http: { tokenUrl: "http://api.example.com/token" },
    "other scheme": { tokenUrl: "ftp://localhost/token" },
    credentials: { tokenUrl: `https://u:${clientSecret}@api.example.com/token` },
    query: { tokenUrl: `${tokenUrl}?client_secret=${clientSecret}` },
    unparsable: { tokenUrl: `https://${clientSecret} x/` },
    "loopback lookalike": { tokenUrl: "http://127.0.0.1.example.com/token" },
    "no client id": { clientId: "" },
    "client id": { clientId: "a\nb" },
    "no secret": { clientSecret: "" },
    scope: { scopes: ["a b"] },
    audience: { audience: "a\nb" },
    style: { authStyle: "both" as "basic" },
  })) {
    assert.throws(() => new Issuer().source(change), (error: Error) => !inspect(error).includes(clientSecret), name);
  }
  for (const good of [tokenUrl, "http://127.0.0.1:8080/t", "http://[::1]:8080/t", "http://localhost/t"]) new Issuer().source({ tokenUrl: good });
});
