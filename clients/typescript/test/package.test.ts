import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../../", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, root), "utf8");
const onNode = new Set(["profile.ts"]); // imported by nothing else of the library
const sources = readdirSync(new URL("src/", root)).map((name) => [name, read(`src/${name}`)] as const);

test("the library runs where fetch and Web Crypto are, without Node.js", () => {
  for (const [name, text] of sources.filter(([name]) => !onNode.has(name))) {
    for (const [, from] of text.matchAll(/from "([^"]+)"/g)) {
      assert.ok(from === "jose" || (from?.startsWith("./") && !onNode.has(from.slice(2).replace(/\.js$/, ".ts"))), `${name} imports ${from}`);
    }
    assert.doesNotMatch(text.replace(/\/\*[^]*?\*\/|\/\/.*/g, ""), /\b(Buffer|process|require|__dirname|setImmediate)\b/, name);
  }
});

test("only the part for resource servers needs jose", () => {
  const graph = new Map(sources.map(([name, text]) => [name, [...text.matchAll(/from "([^"]+)"/g)].map(([, from]) => from ?? "")]));
  const reach = (name: string): string[] => (graph.get(name) ?? [name]).flatMap((from) => (from.startsWith("./") ? reach(from.slice(2).replace(/\.js$/, ".ts")) : [from]));
  assert.deepEqual(reach("index.ts"), []);
  assert.deepEqual(reach("redis.ts"), []);
  assert.deepEqual([...new Set(reach("resource-server.ts"))], ["jose"]);
});

test("the package holds the library alone, and npm runs nothing of it", () => {
  const manifest = JSON.parse(read("package.json")) as { scripts: object; dependencies: object; devDependencies: object; files: string[] };
  assert.deepEqual(manifest.files, ["dist/src"]); // beside package.json and README.md
  assert.deepEqual(Object.keys(manifest.scripts), ["build", "test"]);
  assert.deepEqual(Object.keys(manifest.dependencies), ["jose"]);
  for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies })) assert.match(String(version), /^\d+\.\d+\.\d+$/);
});
