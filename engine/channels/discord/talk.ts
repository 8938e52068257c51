/** Sending, editing, reacting, fetching: a Connection's methods over Discord's REST API. */
import { hash } from "node:crypto";
import type { APIMessage } from "discord.js";
import type { ChannelContext, Connection } from "../channel.ts";
import { firstFree } from "../doubt.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft, Form } from "../../message.ts";
import { bodyOf, filesOf } from "./files.ts";
import { type Interactions, isOver } from "./interactions.ts";
import { FORUMS, isSnowflake, NONCE_MS, snowflakeAt } from "./limits.ts";
import type { Places } from "./places.ts";
import type { Api, Method, Upload } from "./rest.ts";
import { type Body, contentOf, flagsOf, messageOf, nonceOf, postName } from "./send.ts";

/** Clocks may differ: what was sent after a moment is looked for from a little before it. */
const SKEW_MS = 60_000;
const OPENER = "clawflow-form:";
const FORM_KEY = "form:";

export interface TalkOptions {
  readonly api: Api;
  readonly context: ChannelContext;
  readonly places: Places;
  readonly interactions: Interactions;
  readonly self: string;
  readonly apiRoot: string;
}
export type Talk = Omit<Connection, "self" | "webhook" | "close" | "health">;

/** The form behind a button that was put there because nothing could open it at once. Undefined: another button, or too long ago. */
export async function formOf(customId: unknown, context: Pick<ChannelContext, "storage">): Promise<Form | undefined> {
  if (typeof customId !== "string" || !customId.startsWith(OPENER)) return undefined;
  return (await context.storage.get(FORM_KEY + customId.slice(OPENER.length))) as Form | undefined;
}

export function createTalk({ api, context, places, interactions, self, apiRoot }: TalkOptions): Talk {
  const directs = new Map<string, string>();
  /** By the key of a delivery without its part: the post its first part made. */
  const posts = new Map<string, string>();

  /** The channel that is posted to: a thread is one. `@<user id>` is a direct chat that is opened. */
  async function channelOf(to: Address): Promise<string> {
    const user = /^@(\d{1,20})$/.exec(to.chat)?.[1];
    if (user === undefined) return snowflake(to.thread ?? to.chat, "chat");
    const known = directs.get(user);
    if (known !== undefined) return known;
    const { id } = await api.call<{ id: string }>("POST", "/users/@me/channels", { body: { recipient_id: user } });
    directs.set(user, id);
    return id;
  }

  /** Opens a form where an interaction waits for its first answer; elsewhere by a button, which is one. */
  async function opened(to: Address, draft: Draft & { readonly form: Form }, key: string): Promise<string> {
    const { form, ...rest } = draft;
    const held = interactions.fresh(to, draft);
    if (held !== undefined) {
      const ref = await interactions.form(held, form);
      return draft.text === "" ? ref : sent(to, rest, key);
    }
    const id = hash("sha256", key, "base64url").slice(0, 32);
    await context.storage.set({ [FORM_KEY + id]: form });
    const label = [...form.title].slice(0, 80).join("") || form.name;
    return sent(to, { ...rest, buttons: [...(draft.buttons ?? []), [{ label, value: OPENER + id, style: "primary" }]] }, key);
  }

  async function sent(to: Address, draft: Draft, key: string): Promise<string> {
    const { uploads, options } = await filesOf(draft, context);
    const held = interactions.find(to, draft, key);
    if (draft.only !== undefined && to.kind === "group") {
      if (held === undefined) throw new ChannelError("MSG_005", {}, "Discord shows a message to one person only as the answer to a button or command this person gave here in the last 15 minutes. Send it as a direct message.");
      return interactions.privately(held, key, { ...contentOf(draft, options), flags: flagsOf(draft) }, uploads);
    }
    if (held !== undefined) {
      try {
        if (held.loads && held.state !== "private" && (held.key === undefined || held.key === key)) return await interactions.original(held, key, contentOf(draft, options), uploads);
        if (!held.posts) return await interactions.followup(held, { ...contentOf(draft, options), flags: flagsOf(draft) }, uploads);
      } catch (thrown) {
        if (!isOver(thrown)) throw thrown;
        interactions.drop(held);
      }
    }
    const { replyTo: _, ...unbound } = draft;
    const body = messageOf(interactions.has(draft.replyTo) ? unbound : draft, key, options);
    const channel = await channelOf(to);
    if (to.kind === "group" && to.thread === undefined && FORUMS.has((await typeOf(channel)) ?? -1)) return post(channel, body, key, uploads, draft.text);
    return (await api.call<APIMessage>("POST", `/channels/${channel}/messages`, { body, ...bodyOf(uploads) })).id;
  }

  /** Kind of a channel, where the gateway or Discord tells it. */
  async function typeOf(channel: string): Promise<number | undefined> {
    const known = places.channel(channel);
    if (known !== undefined) return known.type;
    try {
      const { type, guild_id, parent_id } = await api.call<{ type: number; guild_id?: string; parent_id?: string | null }>("GET", `/channels/${channel}`);
      places.remember(channel, { type, ...(guild_id === undefined ? {} : { guild: guild_id }), ...(parent_id === undefined || parent_id === null ? {} : { parent: parent_id }) });
      return type;
    } catch (thrown) {
      if (thrown instanceof ChannelError && thrown.retry === "later") throw new ChannelError(thrown.code, { retry: "later", unsent: true, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
      // Then the message itself says what is wrong.
      return undefined;
    }
  }

  /** A new post; what follows of the same delivery is written into it. */
  async function post(forum: string, body: Body, key: string, uploads: readonly Upload[], text: string): Promise<string> {
    const base = key.replace(/\.\d+$/, "");
    const open = posts.get(base);
    if (open !== undefined) return (await api.call<APIMessage>("POST", `/channels/${open}/messages`, { body, ...bodyOf(uploads) })).id;
    const { nonce: _, enforce_nonce: __, message_reference: ___, thread_name, applied_tags, ...message } = body;
    const made = await api.call<{ id: string; message?: { id: string } }>("POST", `/channels/${forum}/threads`, {
      body: { name: typeof thread_name === "string" ? thread_name : postName(text), message, ...(applied_tags === undefined ? {} : { applied_tags }) }, ...bodyOf(uploads),
    });
    posts.set(base, made.id);
    if (posts.size > 100) posts.delete(posts.keys().next().value as string);
    return made.message?.id ?? made.id;
  }

  return {
    send: (to, draft, key) => (draft.form === undefined ? sent(to, draft, key) : opened(to, { ...draft, form: draft.form }, key)),
    async find(to, sent) {
      const { key, draft, startedAt } = sent;
      const channel = await channelOf(to);
      const found = await api.call<APIMessage[]>("GET", `/channels/${channel}/messages`, { query: { after: snowflakeAt(startedAt - SKEW_MS).toString(), limit: "100" } });
      const own = found.filter(({ author }) => author.id === self);
      const nonce = nonceOf(key);
      const exact = own.find((message) => message.nonce === nonce);
      // While the nonce is honoured, sending again is surer than a likeness.
      if (exact !== undefined || context.clock.now() - startedAt < NONCE_MS) return exact?.id;
      // Discord may leave the nonce out of what it lists.
      const wanted = contentOf({ ...draft, cards: [] })["content"];
      const alike = own.filter((message) => message.nonce === undefined && message.content === wanted && message.attachments.length === (draft.attachments ?? []).length && message.embeds.length === (draft.cards ?? []).length);
      return firstFree(alike.map(({ id }) => id), sent);
    },
    async edit(to, ref, draft) {
      const { uploads, options } = await filesOf(draft, context);
      const body: Body = { ...contentOf(draft, options), flags: flagsOf({ ...draft, silent: false }) };
      const held = interactions.owner(ref);
      if (held !== undefined) return interactions.edit(held, ref, body, uploads);
      await api.call("PATCH", `/channels/${await channelOf(to)}/messages/${snowflake(ref, "message")}`, { body, ...bodyOf(uploads) });
    },
    async remove(to, ref) {
      const held = interactions.owner(ref);
      await (held === undefined ? api.call("DELETE", `/channels/${await channelOf(to)}/messages/${snowflake(ref, "message")}`) : interactions.remove(held, ref)).catch(unlessGone);
    },
    async react(to, ref, emoji) {
      const at = `/channels/${await channelOf(to)}/messages/${snowflake(ref, "message")}`;
      if (emoji !== "") return api.call("PUT", `${at}/reactions/${encodeURIComponent(emoji)}/@me`);
      const { reactions = [] } = await api.call<APIMessage>("GET", at);
      for (const { me, emoji: own } of reactions) if (me) await api.call("DELETE", `${at}/reactions/${encodeURIComponent(own.id === null ? (own.name ?? "") : `${own.name ?? "_"}:${own.id}`)}/@me`);
    },
    async typing(to) { await api.call("POST", `/channels/${await channelOf(to)}/typing`); },
    /** `method` is a method of HTTP and a path, "GET /guilds/123/roles"; parameters are the query of GET and DELETE, else the body. */
    async call(method, parameters) {
      const [, verb = "", path = ""] = /^(GET|POST|PUT|PATCH|DELETE) (\/[^\s?#]*)$/.exec(method) ?? [];
      if (verb === "" || path.split("/").includes("..")) throw new ChannelError("MSG_005", {}, `Expected a call of Discord as "GET /channels/123", got "${method.slice(0, 80)}".`);
      const filled = Object.keys(parameters).length > 0;
      if (verb === "GET" || verb === "DELETE") return api.call(verb as Method, path, filled ? { query: Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, String(value)])) } : {});
      return api.call(verb as Method, path, filled ? { body: parameters } : {});
    },
    async media(reference, signal) {
      const [url = "", where = ""] = reference.split("#");
      return context.download(await current(url, where, signal), { signal, trust: [new URL(apiRoot).origin] });
    },
  };

  /** Addresses of files are signed, and end after a day ("ex", Unix seconds in hex): the message they belong to has new ones. */
  async function current(url: string, where: string, signal: AbortSignal): Promise<string> {
    if (!URL.canParse(url)) throw new ChannelError("MSG_002", {}, "Expected a file of Discord to have an address.");
    const ends = Number.parseInt(new URL(url).searchParams.get("ex") ?? "", 16) * 1000;
    const [channel, message] = where.split("/");
    if (!(ends < context.clock.now() + 10_000) || !isSnowflake(channel) || !isSnowflake(message)) return url;
    const found = await api.call<APIMessage>("GET", `/channels/${channel}/messages/${message}`, { signal });
    const files: readonly { readonly url: string }[] = [...found.attachments, ...(found.message_snapshots ?? []).flatMap((each) => each.message.attachments)];
    const fresh = files.find((file) => URL.canParse(file.url) && new URL(file.url).pathname === new URL(url).pathname);
    if (fresh === undefined) throw new ChannelError("MSG_002", {}, "The file is no longer at Discord.");
    return fresh.url;
  }
}

function snowflake(id: string, what: string): string {
  if (isSnowflake(id)) return id;
  throw new ChannelError("MSG_002", {}, `Expected a Discord ${what} to be a number${what === "chat" ? ", or @ and the number of a person" : ""}, got "${String(id).slice(0, 40)}".`);
}

function unlessGone(error: Error): undefined {
  if (error instanceof ChannelError && /\(10008\)/.test(error.message)) return undefined;
  throw error;
}
