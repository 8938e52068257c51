/** A live WhatsApp number on the Cloud API. Nothing is held open: Meta posts, and we ask. */
import type { Account, ChannelContext, Connection } from "../channel.ts";
import type { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import { said } from "./content.ts";
import { openEvidence } from "./evidence.ts";
import { createGraph, type Graph } from "./graph.ts";
import { DEFAULT_API_ROOT } from "./limits.ts";
import { fieldsOf, type Item, itemsOf } from "./payload.ts";
import { talk } from "./talk.ts";
import { errorText, type Self, toMessage } from "./to-message.ts";
import { createWebhook } from "./webhook.ts";
import { withRaw } from "../raw.ts";

/** Chats whose newest message is remembered, for the typing sign. */
const CHATS = 1_000;
/** Until the gateway serves the webhook: Meta asks it while it is being set. */
const SUBSCRIBE_AFTER_MS = 2_000;

/** Says who the number is. Changes nothing. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  return selfOf(graphOf(account, context, context.signal), text(account, "phone"));
}

function graphOf(account: Account, context: ChannelContext, signal: AbortSignal): Graph {
  const root = (text(account, "apiRoot") || DEFAULT_API_ROOT).replace(/\/+$/, "");
  return createGraph({ token: text(account, "token"), root, fetch: context.fetch, clock: context.clock, signal });
}

async function selfOf(graph: Graph, phone: string): Promise<Connection["self"]> {
  const { verified_name, display_phone_number } = (await graph.ask("GET", phone, { what: "the phone number", query: { fields: "id,verified_name,display_phone_number" }, seconds: 15 })) as Record<string, unknown>;
  const name = [verified_name, display_phone_number].filter((part) => typeof part === "string" && part !== "").join(" ");
  return { id: phone, name: name === "" ? phone : name };
}

/** Tries the credentials; from then on what is posted is taken. The settings were checked. */
export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  context.status("connecting");
  const graph = graphOf(account, context, signal);
  const phone = text(account, "phone");
  const business = text(account, "business");
  const self = await selfOf(graph, phone);
  const evidence = await openEvidence(context);
  const newest = new Map<string, string>();
  const save = createSave(account, context, (chat, ref) => {
    newest.delete(chat);
    newest.set(chat, ref);
    if (newest.size > CHATS) newest.delete(newest.keys().next().value as string);
  });

  async function take(payload: unknown): Promise<void> {
    const items = itemsOf(payload);
    const ours = items.filter(({ value }) => value.metadata?.phone_number_id === phone);
    if (ours.length < items.length) context.log("info", `Left out ${items.length - ours.length} of ${items.length} things that came for another phone number id than ${phone}.`);
    if (items.length === 0) context.log("debug", `Nothing to take from a webhook of ${fieldsOf(payload).join(", ") || "no field"}.`);
    for (const item of ours) await save(item);
    await evidence.keep(ours);
  }

  const cancel = business === "" || context.webhookUrl === undefined ? () => undefined : context.clock.after(SUBSCRIBE_AFTER_MS, () => void subscribe(graph, business, text(account, "key"), context, signal));
  context.status("connected");
  return {
    self,
    ...talk({ graph, context, phone, business, evidence, lastIn: (chat) => newest.get(chat) }),
    webhook: createWebhook({ secret: text(account, "secret"), key: text(account, "key"), context, signal, take }),
    async close() {
      cancel();
      own.abort();
    },
  };
}

/** Saves one thing that happened. Rejects when it could not be saved: then all of it comes again. */
function createSave(account: Account, context: ChannelContext, seen: (chat: string, ref: string) => void): (item: Item) => Promise<void> {
  const self: Omit<Self, "now"> = { id: text(account, "phone"), account: account.id };
  const statuses = account.settings["statuses"] === true;
  return async (item) => {
    if (item.kind === "status" && item.one.status === "failed") context.log("warn", `MSG_002: WhatsApp took message ${said(item.one.id, 200) ?? "without an id"} and could not deliver it: ${errorText(item.one.errors) ?? "no reason given"}.`);
    if (item.kind === "status" && !statuses) return;
    let message: ReturnType<typeof toMessage>;
    try {
      message = toMessage(item, { ...self, now: context.clock.now() });
    } catch (error) {
      // Meta would bring it again for seven days, and hold back what comes with it.
      context.log("warn", `MSG_001: something WhatsApp posted could not be read and is left out: ${(error as Error).message}`);
      return;
    }
    if (message === undefined) return;
    await context.receive(withRaw(account, message, { metadata: item.value.metadata, contacts: item.value.contacts, ...item.one }));
    if (item.kind === "message") seen(message.at.chat, message.kind === "message" ? message.ref : message.id);
  };
}

/** Tells Meta to post what happens in this business account to our address. The same again is no fault. */
async function subscribe(graph: Graph, business: string, key: string, context: ChannelContext, signal: AbortSignal): Promise<void> {
  try {
    await graph.ask("POST", `${business}/subscribed_apps`, { what: "the subscription", json: { override_callback_uri: context.webhookUrl, verify_token: key } });
  } catch (error) {
    if (!signal.aborted) context.log("warn", `${(error as ChannelError).code}: the webhook could not be set by itself, enter its address and verify token in the app: ${(error as Error).message}`);
  }
}
