import type { TokenCache } from "./cache.js";

/** Sends one command to Redis and gives its answer, as every Redis library can. */
export type RedisCommand = (args: string[]) => Promise<unknown>;

const getWithTime = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";
const compareAndDelete = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/**
 * A cache in Redis or Valkey, shared by processes and machines:
 *
 *     cache: redisCache((args) => client.sendCommand(args))        // redis
 *     cache: redisCache(([name, ...rest]) => client.call(name, ...rest))  // ioredis
 *
 * What lies there is encrypted under a key that only holders of the client secret
 * can derive. Without Redis, sources work from memory.
 */
export function redisCache(command: RedisCommand): TokenCache {
  return {
    async get(name) {
      const [value, milliseconds] = (await command(["EVAL", getWithTime, "1", name])) as [unknown, unknown];
      const left = Number(milliseconds);
      return typeof value === "string" && left > 0 ? { value, milliseconds: left } : undefined;
    },
    async set(name, value, milliseconds) {
      await command(["SET", name, value, "PX", String(milliseconds)]);
    },
    async delete(name, value) {
      await command(["EVAL", compareAndDelete, "1", name, value]);
    },
    async lock(name, owner, milliseconds) {
      return (await command(["SET", name, owner, "PX", String(milliseconds), "NX"])) === "OK";
    },
    async unlock(name, owner) {
      await command(["EVAL", compareAndDelete, "1", name, owner]);
    },
  };
}
