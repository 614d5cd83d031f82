import type { Config } from "./token-source.js";

/**
 * Gives the configuration of the variables that all client libraries read:
 * DOORWARD_TOKEN_URL, DOORWARD_CLIENT_ID, DOORWARD_CLIENT_SECRET, and, if they are
 * set, DOORWARD_SCOPES (separated by spaces), DOORWARD_AUDIENCE and
 * DOORWARD_AUTH_STYLE (basic or post). Where DOORWARD_PROFILE names a profile, they
 * win over its fields. Profiles are files, which are not everywhere: what reads them
 * is given, `fromProfile` of "@doorward/client/profile"; without it they are refused,
 * not ignored.
 *
 *     const source = new TokenSource(fromEnvironment(process.env));
 */
export function fromEnvironment(environment: Record<string, string | undefined>, readProfile?: (name: string) => Config): Config {
  const read = (name: string) => environment[name] ?? "";
  let profile: Partial<Config> = {};
  if (read("DOORWARD_PROFILE") !== "") {
    if (!readProfile) throw new TypeError('DOORWARD_PROFILE is set: pass fromProfile of "@doorward/client/profile", or set the variables of its fields');
    profile = readProfile(read("DOORWARD_PROFILE"));
  }
  const required = (name: string, otherwise = "") => {
    const value = read(name) || otherwise;
    if (value === "") throw new TypeError(`${name} is not set`);
    return value;
  };
  const style = read("DOORWARD_AUTH_STYLE") || "basic";
  if (style !== "basic" && style !== "post") throw new TypeError("DOORWARD_AUTH_STYLE must be basic or post");
  const scopes = read("DOORWARD_SCOPES").split(" ").filter(Boolean);
  return {
    tokenUrl: required("DOORWARD_TOKEN_URL", profile.tokenUrl),
    clientId: required("DOORWARD_CLIENT_ID", profile.clientId),
    clientSecret: required("DOORWARD_CLIENT_SECRET", profile.clientSecret),
    scopes: scopes.length > 0 ? scopes : (profile.scopes ?? []),
    audience: read("DOORWARD_AUDIENCE") || (profile.audience ?? ""),
    authStyle: style,
  };
}
