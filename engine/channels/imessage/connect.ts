/** A live iMessage account: what is new by asking, what goes by REST. */
import type { Account, ChannelContext, Connection, WebhookAnswer } from "../channel.ts";
import { firstFree } from "../doubt.ts";
import { asClawError, ChannelError } from "../../errors.ts";
import type { Address, Draft } from "../../message.ts";
import { sameSecret } from "../../verify.ts";
import { render } from "../dialects.ts";
import { text } from "../setting-text.ts";
import { type Api, createApi, identify } from "./api.ts";
import { createCatchUp } from "./catch-up.ts";
import { filesOf, OBJECT, TAPBACKS, toMessage, type Told } from "./to-message.ts";
import { withRaw } from "../raw.ts";
import { parseObject } from "../json.ts";

const POLL_MS = 2_000;
/** By webhook, in case one was lost: BlueBubbles brings none again. */
const CALM_MS = 60_000;
const UPLOAD_MS = 10 * 60_000;
const CLOCK_SLACK_MS = 5_000;

export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  context.status("connecting");
  const api = createApi(account, context);
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  const self = await identify(account, context);
  const privately = account.settings.privateApi === true;
  const webhook = account.settings.mode === "webhook";

  async function receive(told: Told, changed: boolean): Promise<void> {
    const message = read(told, changed);
    // What we said ourselves stands in the database like everything else.
    if (message === undefined || message.sender.self || (message.kind === "event" && account.settings.statuses !== true)) return;
    await context.receive(withRaw(account, message, told));
  }
  function read(told: Told, changed: boolean) {
    try {
      return toMessage(told, account.id, changed);
    } catch (error) {
      context.log("warn", `MSG_001: a message of iMessage could not be read and is left out: ${(error as Error).message}`);
      return undefined;
    }
  }
  const catchUp = createCatchUp(api, context, (told) => receive(told, false));
  await catchUp.begin();
  let wake = (): void => undefined;
  let woken = false;
  const asking = ask();
  context.status("connected");

  async function ask(): Promise<void> {
    let failed = false;
    while (!signal.aborted) {
      let waitMs = webhook ? CALM_MS : POLL_MS;
      try {
        woken = false;
        await catchUp.run(signal);
        if (failed) { failed = false; context.status("connected"); }
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asClawError(thrown, "CONN_001", "later");
        waitMs = error.afterMs ?? POLL_MS;
        // A full disk is no fault of the link.
        if (error.code.startsWith("CON")) { failed = true; context.status(error.retry === "no" ? "error" : "reconnecting", error); }
      }
      if (!woken) await rest(waitMs);
    }
  }
  function rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => { cancel(); signal.removeEventListener("abort", end); wake = () => undefined; resolve(); };
      const cancel = context.clock.after(ms, end);
      wake = end;
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
    });
  }

  async function take(body: Uint8Array): Promise<WebhookAnswer> {
    const event = parseObject(body);
    if (event === undefined) return { status: 400 };
    if (event.type === "updated-message") {
      try {
        await receive((event.data ?? {}) as Told, true);
      } catch (thrown) {
        return { status: 503, headers: { "retry-after": String(Math.ceil((asClawError(thrown, "STORE_001", "later").afterMs ?? 5_000) / 1_000)) } };
      }
    } else if (event.type === "new-message") { woken = true; wake(); }
    return { status: 200 };
  }

  const target = (ref: string): string => {
    if (!/^[\w:/.-]{8,128}$/.test(ref)) throw new ChannelError("MSG_002", {}, `Expected the guid of a message, got "${ref.slice(0, 40)}".`);
    return encodeURIComponent(ref);
  };
  const place = (to: Address): string => encodeURIComponent(chatOf(to));
  return {
    self,
    async send(to, draft, key) { return sendDraft(api, to, draft, key, privately, context); },
    async find(to, sent) {
      const told = (await api.ask("POST", "/message/query", { body: { chatGuid: chatOf(to), after: sent.startedAt - CLOCK_SLACK_MS, sort: "ASC", limit: 100, with: ["attachment"], where: [{ statement: "message.is_from_me = :me", args: { me: 1 } }] } })) as readonly Told[] | undefined;
      const isAlike = likenessOf(sent.draft, privately);
      const alike = told?.filter((message) => message.isFromMe === true && message.associatedMessageGuid == null && isAlike(message)) ?? [];
      return firstFree(alike.flatMap(({ guid }) => guid ?? []), sent);
    },
    ...(privately ? {
      async edit(_to: Address, ref: string, draft: Draft) { await api.ask("POST", `/message/${target(ref)}/edit`, { body: { editedMessage: bodyOf(draft), backwardsCompatibilityMessage: bodyOf(draft), partIndex: 0 } }); },
      async remove(_to: Address, ref: string) { await api.ask("POST", `/message/${target(ref)}/unsend`, { body: { partIndex: 0 } }); },
      async react(to: Address, ref: string, emoji: string) { await api.ask("POST", "/message/react", { body: { chatGuid: chatOf(to), selectedMessageGuid: decodeURIComponent(target(ref)), reaction: tapback(emoji), partIndex: 0 } }); },
      async typing(to: Address) { await api.ask("POST", `/chat/${place(to)}/typing`); },
      async read(to: Address) { await api.ask("POST", `/chat/${place(to)}/read`); },
    } : {}),
    async health(abort) { await api.ask("GET", "/ping", { signal: abort }); },
    media: (reference, abort) => {
      if (!/^[\w:.-]{8,128}$/.test(reference)) throw new ChannelError("MSG_002", {}, "Expected the guid of a file of iMessage, got something else.");
      return context.download(api.address(`/attachment/${encodeURIComponent(reference)}/download`, { original: "true" }), { signal: abort, trust: [new URL(api.root).origin] });
    },
    async call(method, parameters) {
      const [, verb = "", path = ""] = /^(GET|POST|PUT|DELETE) (\/\S+)$/.exec(method) ?? [];
      if (path === "") throw new ChannelError("MSG_001", {}, 'Expected a method such as "POST /chat/query", got something else.');
      return api.ask(verb as "GET", path, verb === "GET" ? {} : { body: parameters });
    },
    ...(webhook ? {
      async webhook({ method, path, body }) {
        if (!sameSecret(path.replace(/^\/+|\/+$/g, ""), text(account, "secret"))) return { status: 401 };
        if (signal.aborted) return { status: 503, headers: { "retry-after": "5" } };
        return method === "POST" ? take(body) : { status: 405, headers: { allow: "POST" } };
      },
    } satisfies Partial<Connection> : {}),
    async close() {
      own.abort();
      await asking;
    },
  };
}

/** A person is named by number or address alone, too. */
function chatOf({ chat, kind }: Address): string {
  if (/^[A-Za-z]+;[+-];\S+$/.test(chat)) return chat;
  if (kind === "direct" && /^(?:\+?\d{5,15}|[^\s;@]+@[^\s;@]+)$/.test(chat)) return `iMessage;-;${chat}`;
  throw new ChannelError("MSG_002", {}, `Expected a chat such as iMessage;-;+15551234567, a phone number or an e-mail address, got "${chat.slice(0, 60)}".`);
}
function bodyOf({ text: words, plain }: Draft): string { return plain === true ? words : render(words, "plain"); }

/** The words of a request. Without the Private API a subject is the first line. */
function wordsOf(draft: Draft, privately: boolean): { readonly message: string; readonly subject?: string } {
  const body = bodyOf(draft);
  const words = draft.subject === undefined ? { message: body } : privately ? { message: body, subject: draft.subject } : { message: `${draft.subject}\n${body}` };
  return { ...words, ...draft.native?.imessage };
}

/** Could a row of the database be this draft? A file goes without words, and one at a time. */
function likenessOf(draft: Draft, privately: boolean): (row: Told) => boolean {
  if (draft.attachments?.[0] !== undefined) return (row) => filesOf(row).length === 1 && (row.text ?? "").replace(OBJECT, "").trim() === "";
  const { message, subject = "" } = wordsOf(draft, privately);
  return (row) => filesOf(row).length === 0 && (row.text ?? "") === message && (row.subject ?? "") === subject;
}

async function sendDraft(api: Api, to: Address, draft: Draft, key: string, privately: boolean, context: ChannelContext): Promise<string> {
  const method = privately ? "private-api" : "apple-script";
  const answer = privately && draft.replyTo !== undefined ? { selectedMessageGuid: draft.replyTo, partIndex: 0 } : {};
  const [file] = draft.attachments ?? [];
  if (file === undefined) {
    return guidOf(await api.ask("POST", "/message/text", { body: { chatGuid: chatOf(to), tempGuid: key, method, ...answer, ...wordsOf(draft, privately) } }));
  }
  const ready = await context.file(file, { bytes: 100_000_000 });
  const form = new FormData();
  for (const [name, value] of Object.entries({ chatGuid: chatOf(to), tempGuid: key, name: ready.name, method, ...(file.kind === "voice" ? { isAudioMessage: "true" } : {}), ...answer })) form.set(name, String(value));
  form.set("attachment", new Blob([await ready.read()], { type: ready.mime }), ready.name);
  const ref = guidOf(await api.ask("POST", "/message/attachment", { body: form, ms: UPLOAD_MS }));
  return ref;
}

function guidOf(told: unknown): string {
  const guid = (told as Told | undefined)?.guid;
  if (typeof guid !== "string" || guid === "") throw new ChannelError("CONN_001", { retry: "later" }, "Expected BlueBubbles to name the message it sent, got none.");
  return guid;
}
function tapback(emoji: string): string {
  const bare = emoji.replace(/\ufe0f/g, "");
  const [name] = Object.entries(TAPBACKS).find(([, known]) => known.replace(/\ufe0f/g, "") === bare) ?? [];
  if (name === undefined) throw new ChannelError("MSG_005", {}, `Expected one of ${Object.values(TAPBACKS).join(" ")}, got "${emoji.slice(0, 16)}". iMessage by BlueBubbles knows no other reactions.`);
  return name;
}
