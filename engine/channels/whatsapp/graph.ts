/** The Graph API by plain fetch: JSON in, JSON out, ChannelErrors. The token travels in a header alone. */
import type { Clock } from "../../clock.ts";
import { ChannelError } from "../../errors.ts";
import type { Answered } from "../../retry-after.ts";
import { foreignAnswer, fromAnswer, fromThrown, graphErrorIn } from "./errors.ts";
import { parseJson } from "../json.ts";

export interface GraphOptions { readonly token: string; /** With the version, without a slash at its end. */ readonly root: string; readonly fetch: typeof fetch; readonly clock: Pick<Clock, "now">; /** Ends every call. */ readonly signal: AbortSignal }
export interface Ask {
  /** For people: "the message". */
  readonly what: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly form?: { readonly body: AsyncIterable<Uint8Array>; readonly headers: Readonly<Record<string, string>> };
  /** Until the call counts as lost. */
  readonly seconds?: number;
  readonly signal?: AbortSignal;
}
export interface Graph {
  readonly root: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Throws ChannelError. */
  ask(method: "GET" | "POST" | "DELETE", path: string, ask: Ask): Promise<unknown>;
}

export function createGraph({ token, root, fetch, clock, signal }: GraphOptions): Graph {
  const headers = { authorization: `Bearer ${token}` };
  return {
    root, headers,
    async ask(method, path, { what, query, json, form, seconds = 60, signal: own }) {
      const ends = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000), ...(own === undefined ? [] : [own])]);
      const address = `${root}/${path}${query === undefined ? "" : `?${new URLSearchParams(query)}`}`;
      const body = json === undefined ? form?.body : JSON.stringify(json);
      const sent = {
        method, signal: ends, redirect: "error" as const,
        headers: { ...headers, ...(json === undefined ? form?.headers : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: body as BodyInit }),
      };
      try {
        const answer = await fetch(address, sent);
        const answered: Answered = { header: (name) => answer.headers.get(name) };
        const text = await answer.text();
        const read = parseJson(text);
        const error = graphErrorIn(read);
        if (error !== undefined) throw fromAnswer(answer.status, error, { ...answered, body: read, text: error.message }, what, token, clock.now());
        if (!answer.ok) throw foreignAnswer(answer.status, answered, clock.now());
        if (typeof read !== "object" || read === null) throw new ChannelError("CONN_001", { retry: "later" }, `${what} got an answer that was not JSON, so it did not come from the Graph API.`);
        return read;
      } catch (thrown) {
        throw fromThrown(thrown, what, token);
      }
    },
  };
}
