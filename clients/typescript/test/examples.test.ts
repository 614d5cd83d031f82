import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { test } from "node:test";

process.env["CLIENT_SECRET"] = "dw_s_example";
const { handle, server } = await import("./examples.js");

test("README.md shows the examples that are compiled and run here", () => {
  const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");
  const shown = [...read("README.md").matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block ?? "");
  assert.equal(read("test/examples.ts").split("\n").slice(1).join("\n"), shown.join("\n"));
});

test("the guards of the examples refuse a request without a token", async () => {
  const answer = await handle(new Request("https://api.example.com/"));
  assert.deepEqual([answer.status, answer.headers.get("WWW-Authenticate")], [401, 'Bearer realm="https://api.example.com"']);
  server.listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    const bound = server.address();
    const response = await fetch(`http://127.0.0.1:${typeof bound === "object" ? bound?.port : 0}/`, { headers: { Authorization: "Basic x" } });
    assert.equal(response.status, 401);
    assert.match(await response.text(), /needs an access token/);
  } finally {
    server.close();
  }
});
