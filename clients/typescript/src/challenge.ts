/**
 * Tells whether an answer is 401 with a Bearer challenge that says
 * error="invalid_token" (RFC 6750 §3.1): nothing else is mended by a new token.
 */
export function refusesToken(response: Response): boolean {
  if (response.status !== 401) return false;
  let scheme = "";
  for (const item of listItems(response.headers.get("WWW-Authenticate") ?? "")) {
    // Several challenges are one list of parameters, some of which a scheme precedes (RFC 9110 §11.6.1).
    const [, first, rest] = /^([^\s=]+)(?:\s+(.*))?$/s.exec(item) ?? [];
    const isScheme = first !== undefined && !/^\s*=/.test(rest ?? "");
    if (isScheme) scheme = first.toLowerCase();
    const parameter = isScheme ? (rest ?? "") : item;
    const [, name, value] = /^([^\s=]+)\s*=\s*"?([^"]*)"?$/s.exec(parameter) ?? [];
    if (scheme === "bearer" && name?.toLowerCase() === "error" && value === "invalid_token") return true;
  }
  return false;
}

/** Yields what stands between the commas outside quoted strings. */
function* listItems(field: string): Generator<string> {
  let start = 0;
  let quoted = false;
  for (let i = 0; i < field.length; i++) {
    if (quoted && field[i] === "\\") i++;
    else if (field[i] === '"') quoted = !quoted;
    else if (field[i] === "," && !quoted) {
      yield field.slice(start, i).trim();
      start = i + 1;
    }
  }
  yield field.slice(start).trim();
}
