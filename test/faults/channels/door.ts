/** What stands between a platform's stub and the process: hands each request on over real HTTP, remembers it, and can bring it several times or keep an answer back. */
import type { Connection, WebhookAnswer, WebhookRequest } from "../../../engine/channels/channel.ts";

export interface Door {
  /** For the rig's `serve`. Where nobody answers, the platform sees a 503, as behind any proxy. */
  readonly connection: Connection;
  /** So often, in parallel, the next requests come. */
  copies: number;
  /** Called when the process said yes and the platform has not heard it: what it returns decides whether it does. */
  onYes: (() => Promise<boolean>) | undefined;
  /** Brings all requests once more. */
  replay(): Promise<void>;
  /** Bodies of all answers, for channels that speak by them. */
  readonly bodies: string[];
}

const AWAY: WebhookAnswer = { status: 503, headers: { "retry-after": "1" } };
const OURS = new Set(["host", "connection", "content-length", "transfer-encoding", "keep-alive", "accept-encoding", "expect"]);

export function createDoor(port: () => number): Door {
  const requests: WebhookRequest[] = [];
  const door: Door = {
    copies: 1, onYes: undefined, bodies: [],
    connection: {
      self: { id: "door", name: "door" },
      async send() { throw new Error("the process sends"); },
      async webhook(request) {
        requests.push(request);
        const { copies, onYes } = door;
        const answers = await Promise.all(Array.from({ length: copies }, () => carry(request)));
        const best = answers.find(isYes) ?? answers[0] ?? AWAY;
        if (onYes === undefined || !isYes(best)) return best;
        door.onYes = undefined;
        return (await onYes()) ? best : AWAY;
      },
      async close() { /* Nothing is open. */ },
    },
    async replay() { for (const request of [...requests]) await carry({ ...request, signal: AbortSignal.timeout(2_000) }); },
  };
  async function carry({ method, path, query, headers, body, signal }: WebhookRequest): Promise<WebhookAnswer> {
    try {
      const answer = await fetch(`http://127.0.0.1:${port()}${path}${query.size > 0 ? `?${query}` : ""}`, {
        method, signal, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !OURS.has(name.toLowerCase()))), ...(method === "GET" || method === "HEAD" ? {} : { body: Buffer.from(body) }),
      });
      const text = await answer.text();
      door.bodies.push(text);
      return { status: answer.status, headers: Object.fromEntries(answer.headers), body: text };
    } catch {
      return AWAY;
    }
  }
  return door;
}
const isYes = ({ status }: WebhookAnswer): boolean => status >= 200 && status < 300;
