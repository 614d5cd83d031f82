/** The examples of README.md, word for word: they compile, and a test runs them. */
import { fromEnvironment, TokenSource } from "@doorward/client";

const source = new TokenSource({
  tokenUrl: "https://api.example.com/auth/open/connect/token",
  clientId: "sandbox-round-apple-123",
  clientSecret: process.env["CLIENT_SECRET"] ?? "",
});

export async function readSession(id: string): Promise<unknown> {
  const response = await source.fetch(`https://api.example.com/auth/rest/sessions/${id}`);
  if (!response.ok) throw new Error(`the API answered ${response.status}`);
  return response.json();
}

export const configured = () => new TokenSource(fromEnvironment(process.env));

import { fromProfile } from "@doorward/client/profile";

export const signedIn = () => new TokenSource(fromEnvironment(process.env, fromProfile));

import { redisCache, type RedisCommand } from "@doorward/client/redis";

// redis:   withRedis((args) => client.sendCommand(args))
// ioredis: withRedis(([name = "", ...rest]) => client.call(name, ...rest))
export function withRedis(command: RedisCommand): TokenSource {
  return new TokenSource({ ...fromEnvironment(process.env), cache: redisCache(command) });
}

import { Guard } from "@doorward/client/resource-server";

const guard = new Guard({ issuer: "https://api.example.com/auth/open", audience: "https://api.example.com" });

export async function handle(request: Request): Promise<Response> {
  try {
    const token = await guard.authorize(request, { permission: "auth.sessions.read" });
    return Response.json({ client: token.clientId, account: token.accountId });
  } catch (error) {
    const answer = guard.challenge(error); // 400, 401, 403 or 503, as RFC 6750 says
    return new Response(answer.body, answer);
  }
}

import { createServer } from "node:http";

export const server = createServer(async (request, response) => {
  try {
    const token = await guard.authorize(request, { permission: "auth.sessions.read" });
    response.end(`hello, ${token.clientId}\n`);
  } catch (error) {
    const answer = guard.challenge(error);
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }
});
