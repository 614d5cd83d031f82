import type { TokenCache } from "./cache.js";
import type { Asking, Granted } from "./exchange.js";
import { within } from "./http.js";
import { newSeal, toBase64Url, type Seal } from "./seal.js";

/** A token, and for how many milliseconds more it is valid. */
export interface Found extends Granted {
  readonly left: number;
}

const operationTime = 500; // of one operation of the cache, in milliseconds
const awayTime = 5_000; // without the cache after an operation failed
const pollEach = 50;
const pollTime = 1_000;
const lockTime = 10_000;

/**
 * A source's token in a cache that others share. Whatever the cache does, obtain
 * gives what the source would have had without it: the lock saves requests, and
 * nothing depends on it.
 */
export class SharedToken {
  readonly #cache: TokenCache;
  readonly #asking: Asking;
  readonly #failed: (error: unknown) => void;
  #seal: Promise<Seal> | undefined;
  #awaySince = -Infinity;

  constructor(cache: TokenCache, asking: Asking, failed: (error: unknown) => void) {
    this.#cache = cache;
    this.#asking = asking;
    this.#failed = failed;
  }

  /**
   * Gives the token that lies in the cache if it is wanted, else what fetch gives,
   * and leaves that for others. A token whose value is refused is removed.
   */
  async obtain(wanted: (found: Found) => boolean, refused: string | undefined, fetch: () => Promise<Found>): Promise<Found> {
    const seal = await (this.#seal ??= newSeal(this.#asking));
    const read = () => this.#read(seal, wanted, refused);
    const found = await read();
    if (found !== undefined) return found;
    const owner = toBase64Url(crypto.getRandomValues(new Uint8Array(16)));
    const lock = seal.name + ":lock";
    const owned = await this.#try((cache) => cache.lock(lock, owner, lockTime));
    try {
      // The one that had the lock may have left a token since.
      const late = owned === true ? await read() : owned === false ? await poll(read) : undefined;
      if (late !== undefined) return late;
      const fetched = await fetch();
      await this.#write(seal, fetched);
      return fetched;
    } finally {
      if (owned === true) await this.#try((cache) => cache.unlock(lock, owner));
    }
  }

  async #read(seal: Seal, wanted: (found: Found) => boolean, refused: string | undefined): Promise<Found | undefined> {
    const cached = await this.#try((cache) => cache.get(seal.name));
    if (cached === undefined) return undefined;
    const token = await seal.open(cached.value);
    if (token === undefined) return undefined;
    if (token.value === refused) {
      await this.#try((cache) => cache.delete(seal.name, cached.value));
      return undefined;
    }
    const found = { ...token, left: Math.min(cached.milliseconds, token.lifetime) };
    return wanted(found) ? found : undefined;
  }

  async #write(seal: Seal, token: Found): Promise<void> {
    const left = Math.floor(token.left);
    if (left <= 0) return;
    const sealed = await seal.seal(token);
    await this.#try((cache) => cache.set(seal.name, sealed, left));
  }

  /** Runs one operation; undefined if the cache is away. */
  async #try<T>(operation: (cache: TokenCache) => Promise<T>): Promise<T | undefined> {
    if (performance.now() - this.#awaySince < awayTime) return undefined;
    try {
      return await within(operationTime, () => operation(this.#cache));
    } catch (error) {
      this.#awaySince = performance.now();
      this.#failed(error);
      return undefined;
    }
  }
}

/** Reads until something is there, for a short while. */
async function poll(read: () => Promise<Found | undefined>): Promise<Found | undefined> {
  for (const until = performance.now() + pollTime; performance.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, pollEach));
    const found = await read();
    if (found !== undefined) return found;
  }
  return undefined;
}
