/**
 * How envelopes come. Both ways the server forgets a message the moment it hands it over: it is saved at once, and no more is asked for before. By polling Signal
 * itself keeps what was not asked for yet; by WebSocket the server drops what comes while nobody listens.
 */
import type { ChannelContext } from "../channel.ts";
import { asClawError, ChannelError, type ClawError } from "../../errors.ts";
import type { Api } from "./connect.ts";
import { parseJson } from "../json.ts";

export interface Source {
  readonly api: Api;
  readonly context: Pick<ChannelContext, "status" | "log" | "clock">;
  readonly signal: AbortSignal;
  readonly number: string;
  /** Resolves when it is on disk (or the account closes). */
  take(update: unknown): Promise<void>;
}
export interface Receiving { /** Rejects when it cannot begin. */ readonly ready: Promise<void>; readonly ended: Promise<void>; /** It ended by itself. */ readonly gone?: Promise<ClawError> }

/** Few at once: what was handed over and not saved when the process dies is lost. */
const MOST = 10;
const WAIT_SECONDS = 5;
/** A connection that broke without a word is noticed by this. */
const POLL_MS = 20_000;
const REST_MS = 250;

export function poll({ api, context, signal, number, take }: Source): Receiving {
  const path = `/v1/receive/${encodeURIComponent(number)}?timeout=${WAIT_SECONDS}&max_messages=${MOST}&ignore_stories=true`;
  let failed = false;
  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        const updates = await api.ask("GET", path, undefined, { signal, ms: POLL_MS });
        if (failed) { failed = false; context.status("connected"); }
        for (const update of Array.isArray(updates) ? updates : []) await take(update);
        if (!Array.isArray(updates) || updates.length === 0) await rest(context, signal, REST_MS);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asClawError(thrown, "CONN_001", "later");
        failed = true;
        context.status("reconnecting", error);
        await rest(context, signal, error.afterMs ?? 2_000);
      }
    }
  }
  return { ready: Promise.resolve(), ended: run() };
}

export function listen({ api, context, signal, number, take }: Source): Receiving {
  const url = `${api.root.replace(/^http/, "ws")}/v1/receive/${encodeURIComponent(number)}`;
  let last: Promise<void> = Promise.resolve();
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<ClawError>();
  const socket = new WebSocket(url, { headers: api.headers } as unknown as string[]);
  let isOpen = false;
  socket.addEventListener("open", () => { isOpen = true; opened.resolve(); });
  socket.addEventListener("message", ({ data }) => {
    const update = parseJson(String(data));
    if (update === undefined) { context.log("warn", "MSG_001: a frame of Signal is no JSON and is left out."); return; }
    last = last.then(() => take(update));
  });
  socket.addEventListener("close", ({ code }) => {
    const error = new ChannelError("CONN_001", { retry: "later", unsent: !isOpen }, isOpen ? `The WebSocket of signal-cli-rest-api ended (${code}).` : "The WebSocket of signal-cli-rest-api did not open. It does so only in mode json-rpc; in other modes choose polling.");
    opened.reject(error);
    gone.resolve(error);
    ended.resolve();
  });
  socket.addEventListener("error", () => { /* A close follows. */ });
  const end = (): void => { socket.close(); opened.reject(signal.reason); ended.resolve(); };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  opened.promise.catch(() => undefined);
  return { ready: opened.promise, gone: gone.promise, ended: ended.promise.then(() => last) };
}

function rest({ clock }: Pick<ChannelContext, "clock">, signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => { cancel(); signal.removeEventListener("abort", end); resolve(); };
    const cancel = clock.after(ms, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
