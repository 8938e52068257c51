/** A webhook of one channel: what it posts it can edit and take away again. */
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { bodyOf, filesOf } from "../discord/files.ts";
import { isSnowflake } from "../discord/limits.ts";
import { createApi } from "../discord/rest.ts";
import { contentOf, flagsOf, lean } from "../discord/send.ts";
import { ChannelError } from "../../errors.ts";
import type { Address } from "../../message.ts";
import { text } from "../setting-text.ts";
import { partsOf } from "./discord-webhook.ts";

interface Hook { readonly id: string; readonly name: string | null; readonly channel_id?: string }

function apiOf(account: Account, context: ChannelContext) {
  const parts = partsOf(account);
  if (parts === undefined) throw new ChannelError("CONF_001", {}, "Expected the address of a Discord webhook, got something else.");
  const { apiRoot, id, token } = parts;
  const api = createApi({ token: "", apiRoot, fetch: context.fetch, clock: context.clock, signal: context.signal });
  const place = `/webhooks/${id}/${token}`;
  /** A webhook that is gone or was given another token is a credential that no longer holds. */
  const named = (error: unknown): never => {
    if (error instanceof ChannelError && /\((?:10015|50027)\)/.test(error.message)) throw new ChannelError("CONN_002", { answered: true }, "Discord does not know this webhook (any more). Copy its URL again from the channel's settings under Integrations.");
    throw error;
  };
  return { api, place, hook: (signal?: AbortSignal) => api.call<Hook>("GET", place, { auth: false, seconds: 15, ...(signal === undefined ? {} : { signal }) }).catch(named), named };
}
const selfOf = ({ id, name }: Hook): Connection["self"] => ({ id, name: name ?? "Webhook" });

/** Posts nothing. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  const { api, hook } = apiOf(account, context);
  try {
    return selfOf(await hook());
  } finally {
    api.close();
  }
}

export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  context.status("connecting");
  const { api, place, hook, named } = apiOf(account, context);
  const self = selfOf(await hook().catch((error: unknown) => { api.close(); throw error; }));
  const shown = text(account, "name");
  context.status("connected");
  /** A webhook speaks into its own channel, whatever chat is named; a thread has to be one of that channel. */
  const thread = ({ thread: id }: Address): Record<string, string> => {
    if (id !== undefined && !isSnowflake(id)) throw new ChannelError("MSG_002", {}, `Expected a Discord thread to be a number, got "${String(id).slice(0, 40)}".`);
    return id === undefined ? {} : { thread_id: id };
  };
  return {
    self,
    async send(to, draft) {
      if (draft.only !== undefined) throw new ChannelError("MSG_005", {}, "A webhook shows nothing to one person alone.");
      const { uploads, options } = await filesOf(draft, context);
      const body = { ...(shown === "" ? {} : { username: shown }), flags: flagsOf(draft), ...lean(contentOf(draft, options)) };
      return (await api.call<{ id: string }>("POST", place, { body, query: { wait: "true", ...thread(to) }, auth: false, ...bodyOf(uploads) }).catch(named)).id;
    },
    async edit(to, ref, draft) {
      const { uploads, options } = await filesOf(draft, context);
      await api.call("PATCH", `${place}/messages/${known(ref)}`, { body: contentOf(draft, options), query: thread(to), auth: false, ...bodyOf(uploads) }).catch(named);
    },
    async remove(to, ref) {
      await api.call("DELETE", `${place}/messages/${known(ref)}`, { query: thread(to), auth: false }).catch((error: Error) => {
        if (!/\(10008\)/.test(error.message)) named(error);
      });
    },
    async health(signal) { await hook(signal); },
    async close() { api.close(); },
  };
}

function known(ref: string): string {
  if (isSnowflake(ref)) return ref;
  throw new ChannelError("MSG_002", {}, `Expected a Discord message to be a number, got "${String(ref).slice(0, 40)}".`);
}
