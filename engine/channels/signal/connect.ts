/** A live Signal number: what comes by polling or WebSocket, what goes by REST. */
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { asClawError, ChannelError } from "../../errors.ts";
import type { Address, Draft } from "../../message.ts";
import { render } from "../dialects.ts";
import { text } from "../setting-text.ts";
import { fromAnswer, fromFault } from "./errors.ts";
import { poll, listen, type Source } from "./receive.ts";
import { toMessages, type Envelope, type Self } from "./to-message.ts";
import { withRaw } from "../raw.ts";
import { parseJson } from "../json.ts";

const LIMIT_MS = 60_000;
const UPLOAD_MS = 10 * 60_000;
const MOST_AUTHORS = 5_000;
const FILES = { bytes: 95_000_000 } as const;

type Json = Readonly<Record<string, unknown>>;
export interface Api {
  readonly root: string;
  readonly headers: Readonly<Record<string, string>>;
  ask(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: Json, options?: { readonly ms?: number; readonly signal?: AbortSignal }): Promise<unknown>;
}

export function createApi(account: Account, { fetch, clock, signal }: Pick<ChannelContext, "fetch" | "clock" | "signal">): Api {
  const root = text(account, "apiRoot").replace(/\/+$/, "");
  const token = text(account, "token");
  const headers = token === "" ? {} : { authorization: `Bearer ${token}` };
  return {
    root, headers,
    async ask(method, path, body, { ms = LIMIT_MS, signal: own } = {}) {
      const what = `${method} ${path.replace(/\/[+%][^/?]*/g, "").split("?", 1)[0]}`;
      try {
        const answer = await fetch(`${root}${path}`, {
          method, headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.any([signal, AbortSignal.timeout(ms), ...(own === undefined ? [] : [own])]),
        });
        const written = await answer.text();
        const given = parseJson(written);
        if (!answer.ok) throw fromAnswer(answer.status, given, (name) => answer.headers.get(name), what, clock.now());
        if (given === undefined && written !== "") throw new ChannelError("CONN_001", { retry: "later" }, `Expected an answer of signal-cli-rest-api to ${what}, got something that is no JSON. Check its address.`);
        return given;
      } catch (thrown) {
        throw fromFault(thrown, what);
      }
    },
  };
}

/** Proves that the server is there and knows the number. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  const number = text(account, "number");
  const known = await createApi(account, context).ask("GET", "/v1/accounts");
  if (!Array.isArray(known) || !known.includes(number)) throw new ChannelError("CONN_002", {}, "Expected signal-cli-rest-api to have the number registered or linked, got another one or none. Link it: open /v1/qrcodelink?device_name=clawflow at the server and scan the code with Signal.");
  return { id: number, name: number };
}

export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  context.status("connecting");
  const api = createApi(account, context);
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  const number = text(account, "number");
  const self = await identify(account, context);
  const who: Self = { account: account.id, number, uuid: undefined };
  const path = (resource: string) => `/v1/${resource}/${encodeURIComponent(number)}`;

  /** Rejects when it could not be saved: the server has forgotten it, so it is offered again from here. */
  async function take(update: unknown): Promise<void> {
    const messages = read(update);
    for (const message of messages) await context.receive(withRaw(account, message, update));
    const [message] = messages;
    if (message?.at.kind === "group" && message.kind === "message") remember(message.at.chat, message.ref, message.sender.id);
  }
  function read(update: unknown) {
    try {
      return toMessages(update as Envelope, who);
    } catch (error) {
      context.log("warn", `MSG_001: an envelope of Signal could not be read and is left out: ${(error as Error).message}`);
      return [];
    }
  }
  /** Who wrote what in groups, the newest last: reactions and quotes have to name them. */
  const authors = new Map<string, string>();
  function remember(chat: string, ref: string, author: string): void {
    authors.set(`${chat} ${ref}`, author);
    if (authors.size > MOST_AUTHORS) authors.delete(authors.keys().next().value as string);
  }
  const source: Source = { api, context, signal, number, take: untilTaken };
  /** Nobody else has it any more: it is kept at hand, and what comes behind it waits. */
  async function untilTaken(update: unknown): Promise<void> {
    while (!signal.aborted) {
      try {
        return await take(update);
      } catch (thrown) {
        const { afterMs = 1_000 } = asClawError(thrown, "STORE_001", "later");
        await new Promise<void>((resolve) => { const cancel = context.clock.after(Math.max(10, afterMs), resolve); signal.addEventListener("abort", () => { cancel(); resolve(); }, { once: true }); });
      }
    }
  }
  const receiving = account.settings.mode === "websocket" ? listen(source) : poll(source);
  await receiving.ready;
  context.status("connected");

  const stamp = (ref: string) => timestampOf(ref);
  return {
    self,
    async send(to, draft) {
      if (draft.poll !== undefined) return refOf(await api.ask("POST", path("polls"), { recipient: to.chat, question: draft.poll.question, answers: draft.poll.options, allow_multiple_selections: draft.poll.multiple === true }));
      return refOf(await api.ask("POST", "/v2/send", await sendBody(to, draft, number, context, authors), (draft.attachments ?? []).length > 0 ? { ms: UPLOAD_MS } : {}));
    },
    async edit(to, ref, draft) { await api.ask("POST", "/v2/send", { ...await sendBody(to, { ...draft, attachments: [] }, number, context, authors), edit_timestamp: stamp(ref) }); },
    async remove(to, ref) { await api.ask("DELETE", path("remote-delete"), { recipient: to.chat, timestamp: stamp(ref) }); },
    async react(to, ref, emoji) {
      const target = authors.get(`${to.chat} ${ref}`) ?? (to.kind === "direct" ? to.chat : number);
      await api.ask(emoji === "" ? "DELETE" : "POST", path("reactions"), { recipient: to.chat, reaction: emoji === "" ? "👍" : emoji, target_author: target, timestamp: stamp(ref) });
    },
    async typing(to) { await api.ask("PUT", path("typing-indicator"), { recipient: to.chat }); },
    ...(account.settings.readReceipts === false ? {} : {
      async read(to: Address, ref: string) { if (to.kind === "direct") await api.ask("POST", path("receipts"), { receipt_type: "read", recipient: to.chat, timestamp: stamp(ref) }); },
    }),
    async health(abort) { await api.ask("GET", "/v1/health", undefined, { signal: abort }); },
    media: (reference, abort) => {
      if (!/^[\w.-]{1,200}$/.test(reference) || reference.startsWith(".")) throw new ChannelError("MSG_002", {}, "Expected the id of a file of signal-cli, got something else.");
      return context.download(`${api.root}/v1/attachments/${encodeURIComponent(reference)}`, { headers: api.headers, signal: abort, trust: [new URL(api.root).origin] });
    },
    async call(method, parameters) {
      const [, verb = "GET", at = ""] = /^(GET|POST|PUT|DELETE) (\/v\d\/\S+)$/.exec(method) ?? [];
      if (at === "") throw new ChannelError("MSG_001", {}, 'Expected a method such as "GET /v1/groups/+15551234567", got something else.');
      return api.ask(verb as "GET", at, verb === "GET" ? undefined : parameters);
    },
    ...(receiving.gone === undefined ? {} : { gone: receiving.gone }),
    async close() {
      own.abort();
      await receiving.ended;
    },
  };
}

/** The request of a draft that was cut to fit. Exported for tests. */
async function sendBody(to: Address, draft: Draft, number: string, context: Pick<ChannelContext, "file">, authors: ReadonlyMap<string, string> = new Map()): Promise<Json> {
  const files = await Promise.all((draft.attachments ?? []).map(async (file) => {
    const ready = await context.file(file, FILES);
    const name = ready.name.replace(/[;,\r\n]/g, "_");
    return `data:${ready.mime};filename=${name};base64,${Buffer.from(await ready.read()).toString("base64")}`;
  }));
  // In a group nobody but the messages that came says who wrote one, and a quote of the wrong person would be worse than none.
  const author = draft.replyTo === undefined ? undefined : (authors.get(`${to.chat} ${draft.replyTo}`) ?? (to.kind === "direct" ? to.chat : undefined));
  return {
    number, recipients: [to.chat],
    message: draft.plain === true ? draft.text : render(draft.text, "signal"),
    text_mode: draft.plain === true ? "normal" : "styled",
    notify_self: false,
    ...(files.length === 0 ? {} : { base64_attachments: files }),
    ...(author === undefined || draft.replyTo === undefined ? {} : { quote_timestamp: timestampOf(draft.replyTo), quote_author: author, quote_message: "" }),
    ...draft.native?.signal,
  };
}
function timestampOf(ref: string): number {
  if (!/^\d{10,16}$/.test(ref)) throw new ChannelError("MSG_002", {}, `Expected a message of Signal to be named by its time in milliseconds, got "${ref.slice(0, 40)}".`);
  return Number(ref);
}
function refOf(answer: unknown): string {
  const first = Array.isArray(answer) ? (answer[0] as Json | undefined) : (answer as Json | undefined);
  const timestamp = first?.timestamp;
  if (typeof timestamp !== "string" && typeof timestamp !== "number") throw new ChannelError("CONN_001", { retry: "later" }, "Expected signal-cli-rest-api to name the message it sent, got none.");
  return String(timestamp);
}
