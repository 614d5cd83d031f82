/**
 * The library as a client process of internal/clienttest: commands come as lines of
 * JSON on standard input, answers go to standard output; docs/clients.md says how.
 */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { inspect } from "node:util";
import { memoryCache, TokenSource, type Config } from "../src/index.js";
import { redisCache } from "../src/redis.js";

interface Command {
  id: number;
  op: string;
  source: string;
  token_url?: string;
  client_id?: string;
  client_secret?: string;
  auth_style?: string;
  scopes?: string[];
  audience?: string;
  shared?: boolean;
  redis?: string;
  request_timeout?: number;
  count?: number;
  timeout?: number;
  method?: string;
  url?: string;
  body?: string;
  stream?: boolean;
  token?: string;
  milliseconds?: number;
}

let now = Date.UTC(2026, 2, 1, 12);
const sources = new Map<string, TokenSource>();
const shared = memoryCache();
const sockets: Socket[] = [];

function open(c: Command): object {
  const config: Config = { tokenUrl: c.token_url ?? "", clientId: c.client_id ?? "", clientSecret: c.client_secret ?? "", now: () => now };
  if (c.auth_style === "post") config.authStyle = "post";
  if (c.scopes !== undefined) config.scopes = c.scopes;
  if (c.audience !== undefined) config.audience = c.audience;
  if (c.request_timeout !== undefined) config.requestTimeout = c.request_timeout;
  if (c.shared) config.cache = shared;
  if (c.redis !== undefined) config.cache = redisCache(redis(new URL(c.redis)));
  sources.set(c.source, new TokenSource(config));
  return {};
}

async function token(source: TokenSource, c: Command): Promise<object> {
  const signal = c.timeout === undefined ? undefined : AbortSignal.timeout(c.timeout);
  const results = await Promise.allSettled(Array.from({ length: c.count ?? 1 }, () => source.token({ signal })));
  const tokens = new Set<string>();
  const errors: string[] = [];
  for (const result of results) {
    if (result.status === "fulfilled") tokens.add(result.value);
    else errors.push(inspect(result.reason)); // all that a log would show
  }
  return { tokens: [...tokens], failed: errors.length, error: errors[0] ?? "" };
}

async function call(source: TokenSource, c: Command): Promise<object> {
  const init: RequestInit & { duplex?: "half" } = { method: c.method ?? "GET" };
  if (c.body !== undefined && c.stream) {
    init.body = new Blob([c.body]).stream();
    init.duplex = "half";
  } else if (c.body !== undefined) {
    init.body = c.body;
  }
  const response = await source.fetch(c.url ?? "", init);
  return { status: response.status, body: await response.text() };
}

async function perform(c: Command): Promise<object> {
  const source = sources.get(c.source);
  if (c.op === "open") return open(c);
  if (c.op === "advance") {
    now += c.milliseconds ?? 0;
    return {};
  }
  if (source === undefined) return { error: `no source ${c.source}` };
  switch (c.op) {
    case "token":
      return token(source, c);
    case "call":
      return call(source, c);
    case "invalidate":
      source.invalidate(c.token ?? "");
      return {};
    case "print":
      return { text: [inspect(source, { showHidden: true, depth: 9 }), JSON.stringify(source), String(source)].join(" ") };
  }
  return { error: `no such operation: ${c.op}` };
}

/** Enough of the Redis protocol for the cache: one connection, answers in the order of commands. */
function redis(url: URL): (args: string[]) => Promise<unknown> {
  let socket: Socket | undefined;
  let received = Buffer.alloc(0);
  let waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
  const fail = (error: Error) => {
    socket = undefined;
    received = Buffer.alloc(0);
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  const dial = () => {
    const dialled = connect(Number(url.port), url.hostname);
    sockets.push(dialled);
    dialled.on("error", fail).on("close", () => fail(new Error("closed")));
    dialled.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      for (let reply = parse(received, 0); reply !== undefined; reply = parse(received, 0)) {
        received = received.subarray(reply.end);
        waiting.shift()?.resolve(reply.value);
      }
    });
    return dialled;
  };
  return (args) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      socket ??= dial();
      socket.write(`*${args.length}\r\n` + args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join(""));
    });
}

/** Reads one reply; undefined if it is not there as a whole yet. */
function parse(data: Buffer, at: number): { value: unknown; end: number } | undefined {
  const line = data.indexOf("\r\n", at);
  if (line < 0) return undefined;
  const kind = String.fromCharCode(data[at] ?? 0);
  const text = data.toString("utf8", at + 1, line);
  const size = Number(text);
  let end = line + 2;
  if (kind === "$" && size >= 0) {
    if (data.length < end + size + 2) return undefined;
    return { value: data.toString("utf8", end, end + size), end: end + size + 2 };
  }
  if (kind === "*") {
    const values: unknown[] = [];
    for (let i = 0; i < size; i++) {
      const element = parse(data, end);
      if (element === undefined) return undefined;
      values.push(element.value);
      end = element.end;
    }
    return { value: values, end };
  }
  if (kind === "-") return { value: Promise.reject(new Error(text)), end };
  return { value: kind === "$" ? null : kind === ":" ? size : text, end };
}

const write = (answer: object) => process.stdout.write(JSON.stringify(answer) + "\n");
const capabilities = ["clock", "invalidate", "leave", "timeout", "call", "stream", "share", "redis"];
write({ ready: true, name: "@doorward/client", capabilities });
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line) as Command;
  void perform(command)
    .catch((error: unknown) => ({ error: inspect(error) }))
    .then((answer) => write({ id: command.id, ...answer }));
});
lines.on("close", () => {
  for (const socket of sockets) socket.destroy();
});
