/** Files, out by the three steps of files.uploadV2 (asked for, streamed, shared) and in by the bot's token. */
import type { ChannelContext, ReadyFile, SentBefore } from "../channel.ts";
import { waitsFrom } from "../doubt.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft } from "../../message.ts";
import type { Api } from "./api.ts";
import { contentOf } from "./blocks.ts";
import { statusError, toChannelError } from "./errors.ts";
import { FILE_LIMIT, FILES_LIMIT } from "./limits.ts";

export interface Files {
  /** Shares the files of a draft as one message; the first file's id is its ref. */
  send(to: Address, draft: Draft, key: string): Promise<string>;
  /** Was it shared? Asks to be asked later while Slack may not know yet. */
  find(to: Address, sent: SentBefore): Promise<string | undefined>;
  /** The time of the message a file was shared by in a chat. Slack knows it some moments after. */
  sharedAs(to: Address, file: string): Promise<string>;
  media(reference: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /** Forgets uploads nobody asks for any more. */
  tidy(): Promise<void>;
}

const NOTE = "upload:";
/** Slack shares a file some moments after it said yes. */
const SHARED_MS = 15_000;
const NOTE_MS = 8 * 86_400_000;
interface Note { readonly files: readonly string[]; readonly at: number }

export const isFile = (ref: string): boolean => ref.startsWith("F");

export function createFiles(api: Api, token: string, secrets: readonly string[], context: ChannelContext, signal: AbortSignal): Files {
  const { storage, clock } = context;

  async function send(to: Address, draft: Draft, key: string): Promise<string> {
    const drafts = draft.attachments ?? [];
    if (draft.only !== undefined) throw new ChannelError("MSG_005", {}, "Slack shows files to everybody in a channel; they cannot be sent to one person of it.");
    if (drafts.length > FILES_LIMIT) throw new ChannelError("MSG_003", {}, `Expected at most ${FILES_LIMIT} files in one message, got ${drafts.length}.`);
    const ids: { id: string; title: string }[] = [];
    await unseen(async () => {
      for (const [index, each] of drafts.entries()) {
        const file = await context.file(each, { bytes: FILE_LIMIT });
        ids.push({ id: await upload(file, drafts[index]?.alt), title: file.name });
      }
      // What is shared is found again by its file: https://docs.slack.dev/reference/methods/files.completeUploadExternal takes no metadata.
      await storage.set({ [`${NOTE}${key}`]: { files: ids.map(({ id }) => id), at: clock.now() } satisfies Note });
    });
    const { text, blocks } = contentOf(draft);
    const thread_ts = to.thread ?? draft.replyTo;
    await api.call("files.completeUploadExternal", {
      files: ids, channel_id: to.chat,
      ...(thread_ts === undefined ? {} : { thread_ts }),
      ...(blocks.length > 0 ? { blocks } : draft.text === "" ? {} : { initial_comment: text }),
      ...draft.native?.["slack"],
    } as never);
    return ids[0]?.id as string;
  }

  async function upload(file: ReadyFile, alt: string | undefined): Promise<string> {
    const { upload_url, file_id } = await api.call("files.getUploadURLExternal", { filename: file.name, length: file.bytes, ...(alt === undefined ? {} : { alt_text: alt }) });
    if (upload_url === undefined || file_id === undefined) throw new ChannelError("CONN_001", { retry: "later", answered: true }, "Expected Slack to say where a file goes, got nothing.");
    const target = URL.parse(upload_url);
    if (target === null || !mayKnow(target)) throw new ChannelError("MSG_002", {}, "Expected the address for a file to be one of Slack's, got another.");
    // Streamed with its length said beforehand; the address itself is the permission.
    const init = { method: "POST", headers: { "content-type": "application/octet-stream", "content-length": String(file.bytes) }, body: file.stream(), duplex: "half", redirect: "error", signal } as RequestInit;
    const response = await context.fetch(target, init).catch((thrown: unknown) => { throw toChannelError(thrown, "the upload", secrets); });
    const { ok, status } = response;
    await response.body?.cancel();
    if (!ok) throw statusError(status, { header: (name) => response.headers.get(name) }, clock.now());
    return file_id;
  }

  /** Hosts that may see the token and the files: Slack's own, and the configured one. */
  function mayKnow(url: URL): boolean {
    return url.origin === api.origin || (url.protocol === "https:" && /(?:^|\.)slack(?:-files|-edge|-gov)?\.com$/.test(url.hostname));
  }

  async function sharedIn(chat: string, file: string): Promise<string | undefined> {
    const { file: found } = await api.call("files.info", { file });
    const shares = Object.values((found?.shares ?? {}) as Record<string, Record<string, { ts?: string }[]>>);
    return shares.flatMap((each) => each[chat] ?? []).map(({ ts }) => ts).filter((ts) => ts !== undefined).sort()[0];
  }

  return {
    send,
    async find(to, sent) {
      const note = (await storage.get(`${NOTE}${sent.key}`)) as Note | undefined;
      const [file] = note?.files ?? [];
      if (file === undefined) return undefined;
      if ((await sharedIn(to.chat, file)) !== undefined) return file;
      const left = waitsFrom(sent) + SHARED_MS - clock.now();
      if (left > 0) throw new ChannelError("CONN_001", { retry: "later", afterMs: left }, "It is not known yet whether Slack shared this file.");
      return undefined;
    },
    async sharedAs(to, file) {
      const ts = await sharedIn(to.chat, file);
      if (ts === undefined) throw new ChannelError("MSG_002", { retry: "later", afterMs: 1_000, answered: true }, "Slack has not shown this file in the chat yet.");
      return ts;
    },
    async media(reference, abort) {
      const { file } = await api.call("files.info", { file: reference }, abort);
      const url = URL.parse(file?.url_private_download ?? file?.url_private ?? "");
      if (url === null) throw new ChannelError("MSG_002", {}, "Slack gave no address for this file.");
      return context.download(url.href, { headers: mayKnow(url) ? { authorization: `Bearer ${token}` } : {}, trust: [api.origin], signal: AbortSignal.any([signal, abort]), bytes: FILE_LIMIT });
    },
    async tidy() {
      const old = (await storage.list(NOTE)).filter(([, note]) => clock.now() - (note as Note).at > NOTE_MS);
      if (old.length > 0) await storage.set(Object.fromEntries(old.map(([key]) => [key, undefined])));
    },
  };
}

/** Nothing is seen before the last step: what fails until then may begin anew without doubling anything. */
async function unseen<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    if (!(thrown instanceof ChannelError) || thrown.retry !== "later" || thrown.answered) throw thrown;
    throw new ChannelError(thrown.code, { retry: "later", unsent: true, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }), cause: thrown }, thrown.message);
  }
}
