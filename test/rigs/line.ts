/** What one channel of a Node-RED under test is: its account, its person, and what the platform saw. */
import type { FlowNode } from "./project.ts";

/** One channel of the Node-RED at `base`. */
export interface Line {
  readonly name: string;
  /** Its account; or the webhook node, which has none. */
  readonly node: FlowNode;
  /** Its person writes. */
  say(text: string): Promise<unknown>;
  /** What its person was answered, oldest first. */
  answers(): readonly string[];
  /** How often the account logged in. Undefined: there is nothing to log in to. */
  logins?(): number;
  /** Links that the platform holds open now, each the same object as long as it is the same link. */
  links?(): readonly unknown[];
  /** A request of the platform that brings these words of another of its people, signed; each a message of its own. Left out: it does not post. */
  knock?(text: string, person: number): Knock;
  /** Credentials that the platform refuses. */
  readonly wrong?: Readonly<Record<string, string>>;
  /** What the platform's specification says against our requests. */
  problems(): string[];
  close(): Promise<void>;
}
export interface Knock { readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly body: string }
export type OpenLine = (base: string) => Promise<Line>;
export type Json = Record<string, unknown>;

export const account = (slug: string, channel: string, settings: Json, credentials: Record<string, string> = {}): FlowNode =>
  ({ id: `acc-${slug}`, type: "clawflow-account", name: slug, gateway: "gw", slug, channel, settings, credentials, policy: "open", version: 1 });
export const pathOf = (slug: string) => `/clawflow/home/${slug}`;
export const pause = (ms: number) => new Promise((resolve) => { setTimeout(resolve, ms); });
let serial = 0;
/** Never the same twice. */
export const nextNumber = () => ++serial;

export const JSON_TYPE = { "content-type": "application/json" } as const;

/** As platforms do it: who is told to come again comes again. */
export async function post({ url, body, headers }: Knock): Promise<Response> {
  for (;;) {
    const answer = await fetch(url, { method: "POST", headers, body });
    if (answer.status !== 503) return answer;
    await answer.arrayBuffer();
    await pause(100);
  }
}
export async function taken(answer: Response): Promise<void> {
  if (!answer.ok) throw new Error(`Expected the webhook to take it, got ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
}
