/** A visitor of the web chat without a browser: the requests of the page, one by one. */
import { readEvents } from "../../web/link.ts";
import { type Entry, type Hello, type ServerEvent, VISITOR_HEADER } from "../../engine/channels/webchat/protocol.ts";

export const TOKEN = "0123456789abcdef0123456789abcdef";

export interface Answer { readonly status: number; readonly headers: Headers; readonly body: { state?: string; ref?: string; claimed?: boolean; id?: string; error?: { code: string; text: string; remedy: string } } & Record<string, unknown> }
export interface Feed {
  readonly events: ServerEvent[];
  readonly ids: string[];
  entries(): Entry[];
  hello(): Hello;
  until(test: (events: readonly ServerEvent[]) => boolean, what?: string): Promise<void>;
  /** Resolves when the stream has ended, whoever ended it. */
  readonly ended: Promise<void>;
  close(): void;
}

/** `more`: further headers of each request. */
export function visitor(url: string, token = TOKEN, more: Readonly<Record<string, string>> = {}) {
  const headers = { [VISITOR_HEADER]: token, ...more };
  async function post(path: string, body: unknown, more: Record<string, string> = {}): Promise<Answer> {
    const raw = typeof body === "string" || body instanceof Uint8Array;
    const answer = await fetch(new URL(path, url), { method: "POST", headers: { ...headers, "content-type": "application/json", ...more }, body: raw ? (body as string) : JSON.stringify(body) });
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Answer["body"] };
  }
  return {
    post,
    say: (text: string, clientId: string, more: object = {}) => post("send", { clientId, text, ...more }),
    get: (path: string) => fetch(new URL(path, url), { headers }),
    async feed(last?: string): Promise<Feed> {
      const stop = new AbortController();
      const answer = await fetch(new URL("events", url), { headers: { ...headers, ...(last === undefined ? {} : { "last-event-id": last }) }, signal: stop.signal });
      if (!answer.ok || answer.body === null) throw new Error(`events: ${answer.status} ${await answer.text()}`);
      const events: ServerEvent[] = [];
      const ids: string[] = [];
      const ended = (async () => {
        for await (const { id, data } of readEvents(answer.body as ReadableStream<Uint8Array>, () => undefined)) {
          events.push(JSON.parse(data) as ServerEvent);
          if (id !== undefined) ids.push(id);
        }
      })().catch(() => undefined);
      const feed: Feed = {
        events, ids, ended,
        entries: () => events.flatMap((event) => (event.type === "entry" ? [event.entry] : [])),
        hello: () => { const first = events[0]; if (first?.type !== "hello") throw new Error("no hello"); return first.hello; },
        async until(test, what = "the event") {
          const end = Date.now() + 5_000;
          while (!test(events)) {
            if (Date.now() > end) throw new Error(`Expected ${what}, got ${JSON.stringify(events)}`);
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        },
        close() { stop.abort(); },
      };
      await feed.until((all) => all.some(({ type }) => type === "ready"), "ready");
      return feed;
    },
  };
}
