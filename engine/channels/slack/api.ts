/** The Web API client of Bolt, loaded on first use, with our fetch (and so the account's proxy), ChannelErrors, limits of time and no retries of its own. */
import type { webApi } from "@slack/bolt";
import type { ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { hide, statusError, toChannelError } from "./errors.ts";
import { parseObject } from "../json.ts";

export interface ApiOptions { readonly token: string; readonly apiUrl: string; readonly secrets: readonly string[]; readonly context: Pick<ChannelContext, "fetch" | "clock" | "log">; /** Ends every call. */ readonly signal: AbortSignal }

/** What we call, as the SDK types it. */
export interface Calls {
  "auth.test": [webApi.AuthTestArguments, webApi.AuthTestResponse];
  "chat.postMessage": [webApi.ChatPostMessageArguments, webApi.ChatPostMessageResponse];
  "chat.postEphemeral": [webApi.ChatPostEphemeralArguments, webApi.ChatPostEphemeralResponse];
  "chat.update": [webApi.ChatUpdateArguments, webApi.ChatUpdateResponse];
  "chat.delete": [webApi.ChatDeleteArguments, webApi.ChatDeleteResponse];
  "chat.startStream": [webApi.ChatStartStreamArguments, webApi.ChatStartStreamResponse];
  "chat.appendStream": [webApi.ChatAppendStreamArguments, webApi.ChatAppendStreamResponse];
  "chat.stopStream": [webApi.ChatStopStreamArguments, webApi.ChatStopStreamResponse];
  "reactions.add": [webApi.ReactionsAddArguments, webApi.ReactionsAddResponse];
  "reactions.remove": [webApi.ReactionsRemoveArguments, webApi.ReactionsRemoveResponse];
  "reactions.get": [webApi.ReactionsGetArguments, webApi.ReactionsGetResponse];
  "conversations.history": [webApi.ConversationsHistoryArguments, webApi.ConversationsHistoryResponse];
  "conversations.replies": [webApi.ConversationsRepliesArguments, webApi.ConversationsRepliesResponse];
  "conversations.open": [webApi.ConversationsOpenArguments, webApi.ConversationsOpenResponse];
  "users.info": [webApi.UsersInfoArguments, webApi.UsersInfoResponse];
  "views.open": [webApi.ViewsOpenArguments, webApi.ViewsOpenResponse];
  "files.getUploadURLExternal": [webApi.FilesGetUploadURLExternalArguments, webApi.FilesGetUploadURLExternalResponse];
  "files.completeUploadExternal": [webApi.FilesCompleteUploadExternalArguments, webApi.FilesCompleteUploadExternalResponse];
  "files.info": [webApi.FilesInfoArguments, webApi.FilesInfoResponse];
  "files.delete": [webApi.FilesDeleteArguments, webApi.FilesDeleteResponse];
  "assistant.threads.setStatus": [webApi.AssistantThreadsSetStatusArguments, webApi.AssistantThreadsSetStatusResponse];
}

export interface Api {
  /** Origin of the configured address. */
  readonly origin: string;
  /** Calls one method. Throws ChannelError. `signal` ends the wait for it. */
  call<M extends keyof Calls>(method: M, args: Calls[M][0], signal?: AbortSignal): Promise<Calls[M][1]>;
  /** The same by any name. */
  raw(method: string, args: Readonly<Record<string, unknown>>): Promise<unknown>;
}

const CALL_MS = 60_000;

/** Options of a WebClient: every one of them talks by our fetch, and leaves trying again to the engine. */
export function clientOptions({ apiUrl, context, signal }: Pick<ApiOptions, "apiUrl" | "context" | "signal">): webApi.WebClientOptions {
  /** The SDK reads any text as Slack's answer. Here what others say becomes an error of its own. */
  const asked: webApi.FetchFunction = async (url, init) => {
    const response = await context.fetch(url, { ...(init as RequestInit), signal: AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]) });
    const text = await response.text();
    const header = (name: string) => response.headers.get(name);
    const answer = parseObject(text);
    if (response.status === 429) throw statusError(429, { header, body: answer }, context.clock.now());
    if (typeof answer?.ok !== "boolean" || (response.status !== 200 && answer.ok)) {
      if (response.status !== 200) throw statusError(response.status, { header }, context.clock.now());
      throw new ChannelError("CONN_001", { retry: "later" }, "Expected an answer of Slack, got something else with status 200.");
    }
    return new Response(text, { headers: { "content-type": "application/json", ...(header("retry-after") === null ? {} : { "retry-after": header("retry-after") as string }) } });
  };
  return { slackApiUrl: apiUrl, fetch: asked, retryConfig: { retries: 0 }, rejectRateLimitedCalls: true, allowAbsoluteUrls: false };
}

export async function createApi(options: ApiOptions): Promise<Api> {
  const { webApi: sdk } = await import("@slack/bolt");
  const { token, apiUrl, secrets, context } = options;
  const client = new sdk.WebClient(token, { ...clientOptions(options), logger: quietLogger(sdk.LogLevel.ERROR, context, secrets) });
  async function raw(method: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    try {
      return await client.apiCall(method, { ...args });
    } catch (thrown) {
      throw toChannelError(thrown, method, secrets);
    }
  }
  return {
    origin: new URL(apiUrl).origin,
    raw,
    call: async (method, args, signal) => (await until(raw(method, args as unknown as Record<string, unknown>), signal, method)) as never,
  };
}

/** The answer, or a ChannelError as soon as nobody waits for it any more. */
function until<T>(asked: Promise<T>, signal: AbortSignal | undefined, method: string): Promise<T> {
  if (signal === undefined) return asked;
  return new Promise((resolve, reject) => {
    const ended = () => reject(new ChannelError("CONN_001", { retry: "later" }, `${method} got no answer in time.`));
    if (signal.aborted) ended();
    signal.addEventListener("abort", ended, { once: true });
    asked.then(resolve, reject).finally(() => signal.removeEventListener("abort", ended));
  });
}

type LogLevel = webApi.LogLevel;
/** What the SDK has to say reaches our log as "debug"; its own debug lines hold whole messages and are left out. */
export function quietLogger(level: LogLevel, context: Pick<ChannelContext, "log">, secrets: readonly string[]): webApi.Logger {
  const note = (...parts: unknown[]): void => context.log("debug", hide(parts.map(String).join(" "), secrets).slice(0, 500));
  return { debug() {}, info() {}, warn: note, error: note, setLevel() {}, getLevel: () => level, setName() {} };
}
