/**
 * Interactions that still take an answer. Discord wants the first one within 3 seconds and takes more for 15 minutes, by a token that comes with each.
 * The first is held back for a moment: only as the first can a form be opened, and only then is it known whether the answer is private.
 * They are kept in the account's storage, so that an answer finds its interaction after a restart too.
 */
import type { ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft, Form } from "../../message.ts";
import { modalOf } from "./components.ts";
import { type AnyInteraction, COMMAND, MODAL } from "./from-interaction.ts";
import { HOLD_MS, TOKEN_MS } from "./limits.ts";
import type { Api, Upload } from "./rest.ts";
import { type Body, FLAGS, lean } from "./send.ts";

/** The first answer (docs, "Interaction Callback Type"). */
export interface FirstAnswer { readonly type: number; readonly data?: Body }
export const CALLBACK = { pong: 1, loading: 5, nothing: 6, choices: 8, modal: 9 } as const;

/** `waiting`: it shows "is thinking…" until an answer comes. `private`: the same for one person. `done`: it shows nothing of its own (any more). */
interface Record_ { readonly id: string; readonly app: string; readonly token: string; readonly user: string; readonly chat: string; readonly thread?: string; readonly message?: string; readonly from: number; readonly loads: boolean; readonly posts: boolean; state: "fresh" | "waiting" | "private" | "done"; key?: string; refs: string[] }
export interface Held extends Record_ { respond(answer: FirstAnswer): Promise<void>; cancel?: () => void }

export interface Interactions {
  /** Those of an earlier process. */
  load(): Promise<void>;
  /** Call `saved` once it is on disk: its time begins to count then. */
  begin(interaction: AnyInteraction, at: Address, user: string, respond: (answer: FirstAnswer) => Promise<void>): Held;
  saved(held: Held): void;
  drop(held: Held): void;
  /** The one a draft answers: of a person (`only`), by its ref, or the oldest in this chat that waits for an answer. */
  find(to: Address, draft: Draft, key: string): Held | undefined;
  /** One that a form can still be opened by. */
  fresh(to: Address, draft: Draft): Held | undefined;
  form(held: Held, form: Form): Promise<string>;
  /** Puts the answer where "is thinking…" stands: an edit, which may be repeated. */
  original(held: Held, key: string, body: Body, files?: readonly Upload[]): Promise<string>;
  privately(held: Held, key: string, body: Body, files?: readonly Upload[]): Promise<string>;
  followup(held: Held, body: Body, files?: readonly Upload[]): Promise<string>;
  /** Is this ref an interaction's own, and no message that could be replied to? */
  has(ref: string | undefined): boolean;
  /** The one that showed this message. */
  owner(ref: string): Held | undefined;
  edit(held: Held, ref: string, body: Body, files?: readonly Upload[]): Promise<void>;
  remove(held: Held, ref: string): Promise<void>;
  close(): void;
}

const PREFIX = "interaction:";
/** What is kept within this goes to the disk together. */
const KEEP_MS = 20;
/** View Channel and Send Messages (docs, "Permissions"). */
const POSTS = 0x400n | 0x800n;

/** True for what Discord says when an interaction's time is over. */
export function isOver(error: unknown): boolean {
  return error instanceof ChannelError && /\((10062|10015|50027)\)/.test(error.message);
}

export function createInteractions({ api, context }: { readonly api: Api; readonly context: Pick<ChannelContext, "storage" | "clock" | "log"> }): Interactions {
  const { clock, storage, log } = context;
  const all = new Map<string, Held>();
  const owners = new Map<string, Held>();

  const hook = (held: Held): string => `/webhooks/${held.app}/${held.token}`;
  const recordOf = ({ respond: _, cancel: __, ...record }: Held): Record_ => record;
  async function keep(held: Held): Promise<void> {
    await storage.set({ [PREFIX + held.id]: recordOf(held) });
  }
  /** Those to be kept or forgotten soon, as they are then: many in one commit. */
  const unkept = new Map<string, Held>();
  let cancelKeeping: (() => void) | undefined;
  function keepSoon(held: Held): void {
    unkept.set(held.id, held);
    cancelKeeping ??= clock.after(KEEP_MS, keepAll);
  }
  function keepAll(): void {
    cancelKeeping?.();
    cancelKeeping = undefined;
    const records = Object.fromEntries([...unkept.values()].map((held) => [PREFIX + held.id, all.has(held.id) ? recordOf(held) : undefined]));
    unkept.clear();
    if (Object.keys(records).length > 0) storage.set(records).catch((error: Error) => log("debug", error.message));
  }

  function end(held: Held): void {
    held.cancel?.();
    if (!all.delete(held.id)) return;
    for (const ref of held.refs) owners.delete(ref);
    keepSoon(held);
  }
  function add(held: Held): void {
    all.set(held.id, held);
    for (const ref of held.refs) owners.set(ref, held);
  }
  /** When its time is over, "is thinking…" must not stay behind. */
  function expireLater(held: Held): void {
    held.cancel?.();
    held.cancel = clock.after(Math.max(0, held.from + TOKEN_MS - clock.now()), () => {
      if (held.state === "waiting" && held.key === undefined) api.call("DELETE", `${hook(held)}/messages/@original`, { auth: false }).catch((error: Error) => log("debug", error.message));
      end(held);
    });
  }

  /** Gives the first answer, once. What fails leaves it as it was. */
  async function first(held: Held, state: Held["state"], answer: FirstAnswer): Promise<void> {
    held.state = state;
    expireLater(held);
    try {
      await held.respond(answer);
    } catch (thrown) {
      // Given already, or most likely: whoever edits it then finds out.
      const given = thrown instanceof ChannelError && (/\(40060\)/.test(thrown.message) || (thrown.code === "CONN_001" && !thrown.unsent && !thrown.answered));
      if (!given) {
        held.state = "fresh";
        if (isOver(thrown)) end(held);
        throw thrown;
      }
    }
    keepSoon(held);
  }
  const defer = (held: Held): Promise<void> => (held.loads ? first(held, "waiting", { type: CALLBACK.loading }) : first(held, "done", { type: CALLBACK.nothing }));

  function noted(held: Held, message: { readonly id: string }): string {
    held.refs.push(message.id);
    owners.set(message.id, held);
    keepSoon(held);
    return message.id;
  }
  async function send(held: Held, body: Body, files: readonly Upload[] | undefined): Promise<{ id: string; flags?: number }> {
    return api.call("POST", hook(held), { body: lean(withoutReply(body)), auth: false, ...(files === undefined || files.length === 0 ? {} : { files }) });
  }
  async function patch(held: Held, ref: string, body: Body, files: readonly Upload[] | undefined): Promise<{ id: string }> {
    return api.call("PATCH", `${hook(held)}/messages/${ref}`, { body: withoutReply(body), auth: false, ...(files === undefined || files.length === 0 ? {} : { files }) });
  }
  const here = (to: Address) => (held: Held): boolean => held.chat === to.chat && held.thread === to.thread;

  async function original(held: Held, key: string, body: Body, files?: readonly Upload[]): Promise<string> {
    if (held.state === "fresh") await defer(held);
    held.key = key;
    await keep(held);
    return noted(held, await patch(held, "@original", body, files));
  }

  return {
    original,
    async load() {
      for (const [key, value] of await storage.list(PREFIX)) {
        const record = value as Record_;
        // Without a first answer Discord gave it up long ago.
        if (record.state === "fresh" || record.from + TOKEN_MS <= clock.now()) await storage.set({ [key]: undefined });
        else {
          const held: Held = { ...record, respond: async () => undefined };
          add(held);
          expireLater(held);
        }
      }
    },
    begin(interaction, at, user, respond) {
      const allowed = interaction.app_permissions === undefined || !/^\d{1,20}$/.test(interaction.app_permissions) || (BigInt(interaction.app_permissions) & POSTS) === POSTS;
      const held: Held = {
        id: interaction.id, app: interaction.application_id, token: interaction.token, user, chat: at.chat, ...(at.thread === undefined ? {} : { thread: at.thread }),
        ...(interaction.message === undefined ? {} : { message: interaction.message.id }), from: clock.now(), posts: allowed || at.kind === "direct",
        // A form that a command opened stands under no message it could leave as it is.
        loads: interaction.type === COMMAND || (interaction.type === MODAL && interaction.message === undefined), state: "fresh", refs: [], respond,
      };
      add(held);
      return held;
    },
    saved(held) {
      if (held.state !== "fresh") return;
      held.cancel = clock.after(Math.max(0, held.from + HOLD_MS - clock.now()), () => {
        if (held.state === "fresh") defer(held).catch((error: Error) => { log("warn", `An interaction could not be answered in time: ${error.message}`); end(held); });
      });
    },
    drop: end,
    find(to, draft, key) {
      const own = [...all.values()].filter(here(to));
      if (draft.only !== undefined) return own.findLast((held) => held.user === draft.only && held.key === key) ?? own.findLast((held) => held.user === draft.only);
      const same = own.find((held) => held.key === key);
      if (same !== undefined) return same;
      const open = own.filter((held) => held.loads && held.key === undefined && (held.state === "fresh" || held.state === "waiting"));
      return open.find((held) => held.id === draft.replyTo) ?? (draft.replyTo === undefined ? open[0] : undefined) ?? own.findLast((held) => !held.posts);
    },
    fresh(to, draft) {
      const open = [...all.values()].filter((held) => held.state === "fresh" && here(to)(held) && (draft.only === undefined || held.user === draft.only));
      return open.find((held) => held.id === draft.replyTo || held.message === draft.replyTo) ?? open[0];
    },
    async form(held, form) {
      await first(held, "done", { type: CALLBACK.modal, data: modalOf(form) });
      return held.id;
    },
    async privately(held, key, body, files) {
      if (held.state === "fresh") await (held.loads ? first(held, "private", { type: CALLBACK.loading, data: { flags: FLAGS.ephemeral } }) : defer(held));
      if (held.state === "private" && (held.key === undefined || held.key === key)) return original(held, key, body, files);
      if (held.state === "waiting" && held.key === undefined) {
        // Everybody sees this "is thinking…"; what is put there everybody would read.
        held.state = "done";
        await api.call("DELETE", `${hook(held)}/messages/@original`, { auth: false }).catch((error: Error) => log("debug", error.message));
      }
      const sent = await send(held, { ...body, flags: Number(body["flags"] ?? 0) | FLAGS.ephemeral }, files);
      if ((Number(sent.flags ?? 0) & FLAGS.ephemeral) !== 0) return noted(held, sent);
      await api.call("DELETE", `${hook(held)}/messages/${sent.id}`, { auth: false });
      throw new ChannelError("MSG_005", { answered: true }, "Discord would have shown the private answer to everybody; it was taken back.");
    },
    async followup(held, body, files) {
      if (held.state === "fresh") await defer(held);
      return noted(held, await send(held, body, files));
    },
    has: (ref) => ref !== undefined && all.has(ref),
    owner: (ref) => owners.get(ref),
    async edit(held, ref, body, files) { await patch(held, ref, body, files); },
    async remove(held, ref) { await api.call("DELETE", `${hook(held)}/messages/${ref}`, { auth: false }); },
    close() {
      keepAll();
      for (const held of all.values()) held.cancel?.();
      all.clear();
      owners.clear();
    },
  };
}

/** Answers to interactions know neither a nonce nor a reply. */
function withoutReply({ nonce: _, enforce_nonce: __, message_reference: ___, ...body }: Body): Body {
  return body;
}
