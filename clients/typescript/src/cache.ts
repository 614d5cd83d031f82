/** A value in a cache, and for how many milliseconds more. */
export interface CachedValue {
  readonly value: string;
  readonly milliseconds: number;
}

/**
 * Where sources share tokens. Values are encrypted before they come here, and a
 * name shows nothing of what it stands for. Any method may fail: the source then
 * goes on without the cache for a while.
 */
export interface TokenCache {
  get(name: string): Promise<CachedValue | undefined>;
  /** Keeps the value, which replaces what was there, for the time. */
  set(name: string, value: string, milliseconds: number): Promise<void>;
  /** Removes the value if it is still that one. */
  delete(name: string, value: string): Promise<void>;
  /** Takes the name if nobody has it; it is free again after the time. */
  lock(name: string, owner: string, milliseconds: number): Promise<boolean>;
  /** Frees the name if it is the owner's. */
  unlock(name: string, owner: string): Promise<void>;
}

/**
 * A cache in the memory of this process, for sources that are made anew for each
 * request. It keeps at most 1000 values; the oldest goes first.
 */
export function memoryCache(): TokenCache {
  const values = new Map<string, { value: string; until: number }>();
  const alive = (name: string) => {
    const found = values.get(name);
    if (found !== undefined && found.until > performance.now()) return found;
    values.delete(name);
    return undefined;
  };
  const put = (name: string, value: string, milliseconds: number) => {
    values.delete(name);
    values.set(name, { value, until: performance.now() + milliseconds });
    for (const oldest of values.keys()) {
      if (values.size <= 1000) break;
      values.delete(oldest);
    }
  };
  const remove = (name: string, value: string) => {
    if (alive(name)?.value === value) values.delete(name);
  };
  return {
    async get(name) {
      const found = alive(name);
      return found && { value: found.value, milliseconds: found.until - performance.now() };
    },
    async set(name, value, milliseconds) {
      put(name, value, milliseconds);
    },
    async delete(name, value) {
      remove(name, value);
    },
    async lock(name, owner, milliseconds) {
      if (alive(name) !== undefined) return false;
      put(name, owner, milliseconds);
      return true;
    },
    async unlock(name, owner) {
      remove(name, owner);
    },
  };
}
