import assert from "node:assert/strict";
import { test } from "node:test";
import { fromEnvironment, TokenSource } from "../src/index.js";
import { clientId, clientSecret, tokenUrl } from "./issuer.js";

const required = { DOORWARD_TOKEN_URL: tokenUrl, DOORWARD_CLIENT_ID: clientId, DOORWARD_CLIENT_SECRET: clientSecret };

test("the environment holds the configuration", () => {
  const base = { tokenUrl, clientId, clientSecret };
  assert.deepEqual(fromEnvironment(required), { ...base, scopes: [], audience: "", authStyle: "basic" });
  const all = fromEnvironment({ ...required, DOORWARD_SCOPES: " a  b ", DOORWARD_AUDIENCE: "x", DOORWARD_AUTH_STYLE: "post" });
  assert.deepEqual(all, { ...base, scopes: ["a", "b"], audience: "x", authStyle: "post" });
  new TokenSource(all);
});

test("what is missing or not understood in the environment is named", () => {
  for (const name of Object.keys(required)) {
    assert.throws(() => fromEnvironment({ ...required, [name]: "" }), { message: `${name} is not set` });
  }
  for (const [name, value] of [["DOORWARD_AUTH_STYLE", "body"], ["DOORWARD_PROFILE", "default"]] as const) {
    assert.throws(() => fromEnvironment({ ...required, [name]: value }), new RegExp(name));
  }
});

test("a profile fills in what the environment leaves out", () => {
  const profile = { tokenUrl, clientId: "of-the-profile", clientSecret: "of-the-profile", scopes: ["a"], audience: "x" };
  const read = (name: string) => {
    assert.equal(name, "work");
    return profile;
  };
  assert.deepEqual(fromEnvironment({ DOORWARD_PROFILE: "work" }, read), { ...profile, authStyle: "basic" });
  const some = fromEnvironment({ DOORWARD_PROFILE: "work", DOORWARD_CLIENT_ID: clientId, DOORWARD_SCOPES: "b" }, read);
  assert.deepEqual(some, { ...profile, clientId, scopes: ["b"], authStyle: "basic" });
});
