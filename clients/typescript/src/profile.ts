import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Config } from "./token-source.js";

/** A profile as `doorward login` stores it; other members are ignored. */
interface Profile {
  token_url?: unknown;
  client_id?: unknown;
  client_secret?: unknown;
  scopes?: unknown;
  audience?: unknown;
}

/**
 * Gives the configuration in a profile that `doorward login` stored, the one of the
 * name "default" unless told otherwise. A file that others than its owner may read is
 * refused. It reads files: Node.js, Deno and Bun have them.
 *
 *     const source = new TokenSource(fromEnvironment(process.env, fromProfile));
 */
export function fromProfile(name = "default"): Config {
  const path = profilePath(name);
  let profile: Profile;
  try {
    // Windows has no such mode; there the directory is the user's own.
    if (process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0) throw new Error(`others may read ${path}, which holds a secret: chmod 600 it`);
    profile = parse(readFileSync(path, "utf8"), path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") throw new Error(`no profile "${name}" at ${path}; store one with: doorward login`);
    throw error;
  }
  const text = (field: keyof Profile) => {
    const value = profile[field];
    if (typeof value !== "string" || value === "") throw new Error(`profile "${name}": ${field} is missing; store it anew with: doorward login`);
    return value;
  };
  return {
    tokenUrl: text("token_url"),
    clientId: text("client_id"),
    clientSecret: text("client_secret"),
    scopes: Array.isArray(profile.scopes) ? profile.scopes.map(String) : [],
    audience: typeof profile.audience === "string" ? profile.audience : "",
  };
}

function parse(text: string, path: string): Profile {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // What is wrong with it could quote the secret.
  }
  throw new Error(`${path} is not the JSON of a profile; store it anew with: doorward login`);
}

function profilePath(name: string): string {
  if (!/^[a-z0-9_-]{1,64}$/.test(name)) throw new TypeError(`profile "${name}": a name is 1 to 64 of a-z, 0-9, - and _`);
  return join(configurationDirectory(), "doorward", "profiles", `${name}.json`);
}

function configurationDirectory(): string {
  switch (process.platform) {
    case "win32":
      return process.env["AppData"] ?? join(homedir(), "AppData", "Roaming");
    case "darwin":
      return join(homedir(), "Library", "Application Support");
    default:
      return process.env["XDG_CONFIG_HOME"] || join(homedir(), ".config");
  }
}
