import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { fromProfile } from "../src/profile.js";
import { clientId, clientSecret, tokenUrl } from "./issuer.js";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "profile-"));
  process.env["XDG_CONFIG_HOME"] = folder;
  mkdirSync(join(folder, "doorward", "profiles"), { recursive: true });
});
afterEach(() => {
  delete process.env["XDG_CONFIG_HOME"];
  rmSync(folder, { recursive: true });
});

const store = (name: string, text: string, mode = 0o600) => writeFileSync(join(folder, "doorward", "profiles", `${name}.json`), text, { mode });
const fields = { url: "https://api.example.com", token_url: tokenUrl, client_id: clientId, client_secret: clientSecret };

test("a profile of the command line is a configuration", () => {
  store("default", JSON.stringify({ ...fields, scopes: null, audience: "" }));
  store("work", JSON.stringify({ ...fields, scopes: ["a", "b"], audience: "x" }));
  const base = { tokenUrl, clientId, clientSecret };
  assert.deepEqual(fromProfile(), { ...base, scopes: [], audience: "" });
  assert.deepEqual(fromProfile("work"), { ...base, scopes: ["a", "b"], audience: "x" });
});

test("a profile that cannot be read says why, never with the secret", () => {
  store("open", JSON.stringify(fields), 0o640);
  store("spoilt", JSON.stringify(fields).slice(1));
  store("partial", JSON.stringify({ ...fields, client_secret: "" }));
  for (const [name, reason] of [
    ["open", /chmod 600/],
    ["spoilt", /doorward login/],
    ["partial", /client_secret is missing/],
    ["absent", /no profile "absent"/],
    ["../default", /a name is/],
  ] as const) {
    assert.throws(() => fromProfile(name), (error: Error) => reason.test(error.message) && !error.message.includes(clientSecret), name);
  }
});
