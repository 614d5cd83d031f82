import type { Config } from "./token-source.js";

/**
 * Gives the configuration of the variables that all client libraries read:
 * DOORWARD_TOKEN_URL, DOORWARD_CLIENT_ID, DOORWARD_CLIENT_SECRET, and, if they are
 * set, DOORWARD_SCOPES (separated by spaces), DOORWARD_AUDIENCE and
 * DOORWARD_AUTH_STYLE (basic or post). Profiles (DOORWARD_PROFILE) are files, which
 * are not everywhere: they are refused, not ignored.
 *
 *     const source = new TokenSource(fromEnvironment(process.env));
 */
export function fromEnvironment(environment: Record<string, string | undefined>): Config {
  const read = (name: string) => environment[name] ?? "";
  const required = (name: string) => {
    if (read(name) === "") throw new TypeError(`${name} is not set`);
    return read(name);
  };
  if (read("DOORWARD_PROFILE") !== "") throw new TypeError("DOORWARD_PROFILE is set, but this library reads no profiles; set the variables of its fields");
  const style = read("DOORWARD_AUTH_STYLE") || "basic";
  if (style !== "basic" && style !== "post") throw new TypeError("DOORWARD_AUTH_STYLE must be basic or post");
  return {
    tokenUrl: required("DOORWARD_TOKEN_URL"),
    clientId: required("DOORWARD_CLIENT_ID"),
    clientSecret: required("DOORWARD_CLIENT_SECRET"),
    scopes: read("DOORWARD_SCOPES").split(" ").filter(Boolean),
    audience: read("DOORWARD_AUDIENCE"),
    authStyle: style,
  };
}
