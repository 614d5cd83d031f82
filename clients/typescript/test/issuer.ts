import { TokenSource, type Config } from "../src/index.js";

export const tokenUrl = "https://api.example.com/auth/open/connect/token";
export const clientId = "sandbox-round-apple-123";
export const clientSecret = "dw_s_k3v9x0q2m5n8_canary";

/** A token endpoint and a clock in memory: token-1, token-2 and so on. */
export class Issuer {
  asked: Request[] = [];
  forms: URLSearchParams[] = [];
  lifetime = 600;
  now = 1_000_000;
  /** Answers instead, if it gives something. */
  answer: ((n: number) => Response | Promise<Response> | undefined) | undefined;

  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    this.asked.push(request);
    this.forms.push(new URLSearchParams(await request.text()));
    const n = this.asked.length;
    return (await this.answer?.(n)) ?? Response.json({ access_token: `token-${n}`, token_type: "Bearer", expires_in: this.lifetime });
  };

  source(more: Partial<Config> = {}): TokenSource {
    return new TokenSource({ tokenUrl, clientId, clientSecret, fetch: this.fetch, now: () => this.now, random: () => 0.5, ...more });
  }

  advance(seconds: number): void {
    this.now += seconds * 1000;
  }
}

/** A refusal of the token endpoint. */
export function refuse(status: number, code: string, headers: Record<string, string> = {}, description = ""): Response {
  return Response.json({ error: code, error_description: description }, { status, headers });
}

/** Lets everything that is due happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

export interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}

export function newGate(): Gate {
  let open = () => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}
