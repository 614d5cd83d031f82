import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** Loads the library in a context that has what browsers and edge runtimes have, and nothing of Node.js. */
const program = `
  const vm = require("node:vm"), fs = require("node:fs"), path = require("node:path");
  const web = ["AbortController", "AbortSignal", "Blob", "FormData", "Headers", "Request", "Response", "TextDecoder", "TextEncoder", "URL",
    "URLSearchParams", "atob", "btoa", "clearTimeout", "crypto", "fetch", "performance", "setTimeout", "CryptoKey", "structuredClone"];
  const context = vm.createContext(Object.fromEntries(web.map((name) => [name, globalThis[name]])));
  const load = async (file) => {
    const module = new vm.SourceTextModule(fs.readFileSync(file, "utf8"), { context, identifier: file });
    await module.link((name, from) => cache[path.resolve(path.dirname(from.identifier), name)] ??= load(path.resolve(path.dirname(from.identifier), name)));
    return module;
  };
  const cache = {};
  (async () => {
    const module = await load(process.argv[1]);
    await module.evaluate();
    const { TokenSource, memoryCache } = module.namespace;
    const answer = async () => Response.json({ access_token: "t-1", token_type: "Bearer", expires_in: 60 });
    const source = new TokenSource({ tokenUrl: "https://api.example.com/t", clientId: "a", clientSecret: "b", cache: memoryCache(), fetch: answer });
    console.log(await source.token(), (await source.fetch("https://api.example.com/")).status);
  })();
`;

test("the token source works where there is nothing of Node.js", () => {
  const file = fileURLToPath(new URL("../src/index.js", import.meta.url));
  const printed = execFileSync(process.execPath, ["--no-warnings", "--experimental-vm-modules", "-e", program, file], { encoding: "utf8" });
  assert.equal(printed, "t-1 200\n");
});
