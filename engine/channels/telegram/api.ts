/** grammY's API client, loaded on first use, with ChannelErrors and limits of time. */
import type { Api, RawApi } from "grammy/web";
import type { InputFile, Opts } from "grammy/types";
import type { Clock } from "../../clock.ts";
import { ChannelError } from "../../errors.ts";
import { retryAfter } from "../../retry-after.ts";
import { type Answer, answerIn, foreignAnswer, toChannelError } from "./errors.ts";
import { parseJson } from "../json.ts";

export interface BotOptions { readonly token: string; readonly apiRoot: string; readonly fetch: typeof fetch; readonly clock: Pick<Clock, "now">; /** Ends every call. */ readonly signal: AbortSignal }
export interface CallOptions { /** Until the call counts as lost. */ readonly seconds?: number; /** Its files are streams, which cannot be sent twice. */ readonly once?: boolean; /** Ends it instead of the bot's own signal. */ readonly signal?: AbortSignal }

export interface Bot {
  /** Calls one method of the Bot API. Throws ChannelError. A group that became a supergroup is followed to its new id. */
  call<M extends keyof RawApi>(method: M, payload: Opts<M>, options?: CallOptions): Promise<Awaited<ReturnType<RawApi[M]>>>;
  /** A file to upload; read only when the request is written. */
  file(bytes: AsyncIterable<Uint8Array>, name: string): InputFile;
  /** Bytes of a file by the path that getFile gave. */
  download(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

export async function createBot({ token, apiRoot, fetch, clock, signal }: BotOptions): Promise<Bot> {
  // The web entry is the same client without node-fetch: 4 MB of memory instead of 20.
  const grammy = await import("grammy/web");
  const apis = new Map<number, Api>();
  const moved = new Map<string, number>();

  /** grammY reads every answer as the Bot API's. Here what others say becomes an error of its own, and a wait named in the headers alone gets into the answer. */
  async function asked(input: string, init: RequestInit): Promise<Response> {
    const response = await fetch(input, init);
    if (response.ok) return response;
    const header = (name: string) => response.headers.get(name);
    const answer = answerIn(parseJson(await response.text()));
    if (answer === undefined) throw foreignAnswer(response.status, { header }, clock.now());
    const waitMs = retryAfter({ body: answer.parameters }, clock.now()) ?? retryAfter({ header }, clock.now());
    return Response.json({ ...answer, ok: false, ...(waitMs === undefined ? {} : { parameters: { ...answer.parameters, retry_after: waitMs / 1000 } }) } satisfies Answer);
  }

  function apiFor(seconds: number): Api {
    let api = apis.get(seconds);
    if (api === undefined) {
      api = new grammy.Api(token, { apiRoot, timeoutSeconds: seconds, fetch: asked as never });
      apis.set(seconds, api);
    }
    return api;
  }

  async function call(method: keyof RawApi, payload: { chat_id?: number | string }, { seconds = 60, once = false, signal: ends = signal }: CallOptions = {}): Promise<unknown> {
    const raw = apiFor(seconds).raw[method] as (...given: unknown[]) => Promise<unknown>;
    const chat = payload.chat_id === undefined ? undefined : moved.get(String(payload.chat_id));
    try {
      // grammY gives methods without parameters their empty payload itself.
      return await (method === "getMe" ? raw(ends) : raw(chat === undefined ? payload : { ...payload, chat_id: chat }, ends));
    } catch (thrown) {
      const to = answerIn(thrown)?.parameters?.migrate_to_chat_id;
      if (to !== undefined && payload.chat_id !== undefined && chat === undefined) {
        moved.set(String(payload.chat_id), to);
        if (!once) return call(method, payload, { seconds, signal: ends });
        throw new ChannelError("MSG_002", { retry: "later", afterMs: 0, answered: true }, `The group of ${method} became a supergroup; its new id is used from now on.`);
      }
      throw toChannelError(thrown, method, token);
    }
  }

  return {
    call: call as Bot["call"],
    // grammY writes the name as it is given; only in quotes may it hold spaces and semicolons.
    file: (bytes, name) => new grammy.InputFile(bytes, `"${name.replace(/[\r\n"\\]/g, "_")}"`) as unknown as InputFile,
    async download(path, abort) {
      // A Bot API server in local mode gives a path on its own disk.
      if (path.startsWith("/")) throw new ChannelError("MSG_005", {}, "The Bot API server runs in local mode and keeps files on its own disk; start it without --local.");
      const address = `${apiRoot}/file/bot${token}/${path.split("/").map(encodeURIComponent).join("/")}`;
      const response = await fetch(address, { signal: AbortSignal.any([signal, abort]) }).catch((thrown: unknown) => { throw toChannelError(thrown, "the download", token); });
      if (response.ok && response.body !== null) return response.body;
      await response.body?.cancel();
      if (response.status >= 500 || response.status === 429) throw foreignAnswer(response.status, { header: (name) => response.headers.get(name) }, clock.now());
      throw new ChannelError("MSG_002", {}, `Expected a file from Telegram, got status ${response.status}.`);
    },
  };
}
