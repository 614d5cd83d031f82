/**
 * An upstream of a Doorward that runs: it prints its URL, reads one line of JSON
 * (issuer, audience, product) and then answers what its guards make of a request: on
 * /direct by the access token, elsewhere by the gateway's assertion.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Guard } from "../src/resource-server.js";

let guard: Guard | undefined;
let product = "";

const server = createServer(async (request, response) => {
  try {
    const needs = { permission: request.headers["x-need"]?.toString() ?? "" };
    const said = await (request.url?.startsWith("/direct") ? guard?.authorize(request, needs) : guard?.authorizeAssertion(request, product, needs));
    response.setHeader("Content-Type", "application/json").end(JSON.stringify(said));
  } catch (error) {
    const answer = guard?.challenge(error);
    response.writeHead(answer?.status ?? 500, answer?.headers).end(answer?.body);
  }
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const bound = server.address();
console.log(`http://127.0.0.1:${typeof bound === "object" ? bound?.port : 0}`);

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const config = JSON.parse(line) as { issuer: string; audience: string; product: string };
  guard = new Guard({ issuer: config.issuer, audience: config.audience, environment: "sandbox" });
  product = config.product;
  console.log("ready");
});
lines.on("close", () => {
  server.close();
  server.closeAllConnections();
});
