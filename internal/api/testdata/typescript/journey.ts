// A customer's first steps, by a client that openapi-typescript and
// openapi-fetch make of the contract. Prints what the test looks at.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const url = process.env["MANAGEMENT_URL"];
const token = process.env["TOKEN"];
const account = process.env["ACCOUNT"];
if (!url || !token || !account) throw new Error("MANAGEMENT_URL, TOKEN and ACCOUNT are needed");

const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

function must<T>(answer: { data?: T; error?: components["schemas"]["Problem"]; response: Response }): T {
  if (answer.error) throw new Error(`${answer.error.status} ${answer.error.code}: ${answer.error.detail}`);
  if (answer.data === undefined) throw new Error(`no data in the answer ${answer.response.status}`);
  return answer.data;
}

const client = must(
  await api.POST("/clients", {
    params: { header: { "Idempotency-Key": "typescript" } },
    body: { owner: "account", account_id: account, name: "TypeScript", networks: ["192.0.2.0/24"] },
  }),
);
const inPath = { path: { client_id: client.client_id } };
must(await api.PATCH("/clients/{client_id}/permissions", { params: inPath, body: { add: ["auth.sessions.read"] } }));
const secret = must(await api.POST("/clients/{client_id}/secrets", { params: inPath, body: { name: "ci" } }));
const read = await api.GET("/clients/{client_id}", { params: inPath });
const etag = read.response.headers.get("ETag") ?? "";
must(await api.PATCH("/clients/{client_id}", { params: { ...inPath, header: { "If-Match": etag } }, body: { token_lifetime: 60 } }));
const stale = await api.PATCH("/clients/{client_id}", { params: { ...inPath, header: { "If-Match": etag } }, body: { token_lifetime: 90 } });

let pages = 0;
const seen: string[] = [];
for (let cursor: string | undefined; ; pages++) {
  const page = must(await api.GET("/clients", { params: { query: { limit: 1, account_id: account, ...(cursor ? { cursor } : {}) } } }));
  seen.push(...page.items.map((item) => item.client_id));
  if (!page.next) break;
  cursor = page.next;
}
const unknown = await api.GET("/clients/{client_id}", { params: { path: { client_id: "sandbox-unknown-apple-123" } } });
await api.DELETE("/clients/{client_id}", { params: inPath });

console.log(
  JSON.stringify({
    client_id: client.client_id,
    secret_has_form: /^dw_s_[0-9a-z]{12}_[0-9A-Za-z]{35}$/.test(secret.client_secret),
    working: must(read).secrets.working,
    permissions: must(read).permissions,
    stale: stale.error?.code,
    unknown: unknown.error?.code,
    listed: seen.includes(client.client_id),
    pages: pages + 1,
  }),
);
