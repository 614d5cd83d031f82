import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryCache, type TokenCache, type TokenEvent } from "../src/index.js";
import { redisCache } from "../src/redis.js";
import { clientSecret, Issuer, newGate, settle } from "./issuer.js";

test("sources of one client share one token", async () => {
  const issuer = new Issuer();
  const cache = memoryCache();
  const gate = newGate();
  issuer.answer = () => gate.passed.then(() => undefined as unknown as Response);
  const asked = [issuer.source({ cache, scopes: ["a", "b"] }), issuer.source({ cache, scopes: ["b", "a", "a"] })].map((source) => source.token());
  await settle();
  gate.open();
  assert.deepEqual(await Promise.all(asked), ["token-1", "token-1"]);
  assert.equal(issuer.asked.length, 1);
});

test("sources that differ in anything do not share", async () => {
  const issuer = new Issuer();
  const cache = memoryCache();
  const base = { cache, scopes: ["a", "b"], audience: "x" };
  assert.equal(await issuer.source(base).token(), "token-1");
  let n = 1;
  for (const change of [
    { clientId: "prod-round-apple-123" },
    { clientSecret: "another" },
    { scopes: ["a"] },
    { audience: "y" },
    { tokenUrl: "https://other.example.com/token" },
  ]) {
    assert.equal(await issuer.source({ ...base, ...change }).token(), `token-${++n}`, JSON.stringify(change));
  }
  assert.equal(await issuer.source(base).token(), "token-1");
});

test("a cache sees neither the token nor the secret, and cannot exchange values", async () => {
  const seen: string[] = [];
  const values = new Map<string, string>();
  const watching: TokenCache = {
    ...memoryCache(),
    get: async (name) => (values.has(name) ? { value: values.get(name) ?? "", milliseconds: 1000_000 } : undefined),
    set: async (name, value, milliseconds) => {
      assert.equal(milliseconds, 600_000);
      seen.push(name, value);
      values.set(name, value);
    },
  };
  const issuer = new Issuer();
  await issuer.source({ cache: watching }).token();
  await issuer.source({ cache: watching, audience: "x" }).token();
  assert.equal(seen.length, 4);
  for (const text of seen) assert.ok(!text.includes("token-1") && !text.includes(clientSecret) && !text.includes(btoa("token-1")), text);
  const [first = "", second = ""] = values.keys();
  values.set(first, values.get(second) ?? ""); // sealed for another name
  assert.equal(await issuer.source({ cache: watching }).token(), "token-3");
  values.set(first, "c3BvaWx0");
  assert.equal(await issuer.source({ cache: watching }).token(), "token-4");
  assert.equal(await issuer.source({ cache: watching }).token(), "token-4", "the twin");
});

test("a token from the cache lives as long as it has left", async () => {
  const issuer = new Issuer();
  const cache = memoryCache();
  await issuer.source({ cache }).token();
  const aged: TokenCache = { ...cache, get: async (name) => ({ value: (await cache.get(name))?.value ?? "", milliseconds: 300_000 }) };
  const source = issuer.source({ cache: aged });
  assert.equal(await source.token(), "token-1");
  issuer.advance(119); // 0.7 of the life, as random says, is 120 s away
  assert.equal(await source.token(), "token-1");
  await settle();
  assert.equal(issuer.asked.length, 1);
  issuer.advance(172); // within the margin
  assert.equal(await source.token(), "token-2");
});

test("an invalidated token is removed from the cache", async () => {
  const issuer = new Issuer();
  const cache = memoryCache();
  const source = issuer.source({ cache });
  const other = issuer.source({ cache });
  await source.token();
  source.invalidate("token-1");
  assert.equal(await source.token(), "token-2");
  assert.equal(await other.token(), "token-2");
});

test("without the cache the memory serves, and the cache is left alone for a while", async () => {
  for (const [name, operation] of Object.entries({
    failing: () => Promise.reject(new Error("connection refused")),
    hanging: () => new Promise<never>(() => {}),
  })) {
    let operations = 0;
    const events: TokenEvent[] = [];
    const away = redisCache(() => (operations++, operation()));
    const issuer = new Issuer();
    const source = issuer.source({ cache: away, observe: (event) => events.push(event) });
    assert.equal(await source.token(), "token-1", name);
    assert.equal(operations, 1, name);
    assert.deepEqual(events.map((event) => event.type), ["cache_failed", "obtained"]);
  }
});

test("a lock of somebody else holds nobody up for long, and stays", async () => {
  let unlocked = 0;
  const locked: TokenCache = { ...memoryCache(), lock: async () => false, unlock: async () => void unlocked++ };
  const issuer = new Issuer();
  assert.equal(await issuer.source({ cache: locked }).token(), "token-1");
  assert.equal(unlocked, 0);
});

test("the lock is released after a failure", async () => {
  const cache = memoryCache();
  const taken: boolean[] = [];
  const watched: TokenCache = { ...cache, lock: async (...args) => ((taken.push(await cache.lock(...args)), taken.at(-1) === true)) };
  const issuer = new Issuer();
  issuer.answer = () => Promise.reject(new Error("connection refused"));
  await assert.rejects(issuer.source({ cache: watched }).token());
  issuer.answer = undefined;
  assert.equal(await issuer.source({ cache: watched }).token(), "token-2");
  assert.deepEqual(taken, [true, true]);
});

test("the memory cache forgets and compares", async () => {
  const cache = memoryCache();
  await cache.set("a", "1", 1000);
  await cache.delete("a", "2");
  assert.equal((await cache.get("a"))?.value, "1");
  await cache.set("b", "1", 0);
  assert.equal(await cache.get("b"), undefined);
  assert.equal(await cache.lock("l", "me", 1000), true);
  assert.equal(await cache.lock("l", "you", 1000), false);
  await cache.unlock("l", "you");
  assert.equal(await cache.lock("l", "you", 1000), false);
  await cache.unlock("l", "me");
  assert.equal(await cache.lock("l", "you", 1000), true);
  for (let i = 0; i < 1000; i++) await cache.set(`x${i}`, "1", 1000);
  assert.equal(await cache.get("a"), undefined, "more than 1000 are kept");
});
