/** Socket Mode with Bolt's receiver, but saved first and confirmed then: Bolt's own App confirms before anybody has looked (App.ts, processEvent). */
import type { App, ReceiverEvent } from "@slack/bolt";
import type { Dispatcher } from "undici";
import type { ChannelContext } from "../channel.ts";
import { asClawError, ChannelError } from "../../errors.ts";
import { openDispatcher } from "../../http.ts";
import { backoffMs } from "../../life.ts";
import { clientOptions, quietLogger } from "./api.ts";
import { toChannelError } from "./errors.ts";
import { chatIn } from "./take.ts";
import type { Take } from "./workspaces.ts";

export interface SocketOptions {
  readonly appToken: string;
  readonly apiUrl: string;
  /** "" where there is none. */
  readonly proxy: string;
  readonly secrets: readonly string[];
  readonly context: ChannelContext;
  readonly signal: AbortSignal;
  readonly take: Take;
  /** Called whenever a link stands again. */
  onLinked(): void;
}
export interface Socket { /** Resolves when no link and nothing under way is left. */ close(): Promise<void> }

/** From the request for an address to Slack's "hello". */
const HELLO_MS = 20_000;
const CLOSE_MS = 2_000;

/** Resolves when the first link stands; keeps one until the signal aborts. Throws a ChannelError when the first cannot be made. */
export async function openSocket(options: SocketOptions): Promise<Socket> {
  const { context, signal, onLinked } = options;
  const { clock } = context;
  const bolt = await import("@slack/bolt");
  const dispatcher = options.proxy === "" ? undefined : openDispatcher({ proxy: options.proxy });
  const queue = createQueue(options);
  const first = await link(options, bolt, dispatcher, queue.enter).catch(async (thrown: unknown) => { await dispatcher?.destroy(); throw thrown; });
  const running = keep(first);

  /** Slack renews each link after some hours: a link that has stood is made again at once, one that fails after 1, 2, 4 … s. */
  async function keep(link1: Link): Promise<void> {
    let current: Link | undefined = link1;
    let failures = 0;
    while (!signal.aborted) {
      if (current !== undefined) {
        onLinked();
        await current.ended;
        current = undefined;
        if (signal.aborted) return;
        context.status("reconnecting");
      }
      try {
        current = await link(options, bolt, dispatcher, queue.enter);
        failures = 0;
        context.status("connected");
      } catch (thrown) {
        if (signal.aborted) return;
        failures += 1;
        const error = asClawError(thrown, "CONN_001", "later");
        context.status(error.code === "CONN_001" || error.code === "CONN_003" ? "reconnecting" : "error", error);
        // A refused token stays refused until somebody changes it.
        if (error.retry === "no") return;
        await pause(clock, signal, Math.max(error.afterMs ?? 0, backoffMs(failures, (clock.now() % 1000) / 1000)));
      }
    }
  }
  return {
    async close() {
      await running;
      await queue.idle();
      await dispatcher?.destroy();
    },
  };
}

interface Link { /** Resolves when it is gone. */ readonly ended: Promise<void> }

/** One WebSocket, from apps.connections.open to its end. */
async function link({ appToken, apiUrl, secrets, context, signal }: SocketOptions, bolt: Pick<typeof import("@slack/bolt"), "SocketModeReceiver" | "LogLevel">, dispatcher: Dispatcher | undefined, enter: (event: ReceiverEvent) => void): Promise<Link> {
  const receiver = new bolt.SocketModeReceiver({
    appToken, autoReconnectEnabled: false, logger: quietLogger(bolt.LogLevel.ERROR, context, secrets),
    // The SDK's own reconnecting lets a failure of apps.connections.open go unhandled, which would end the process.
    installerOptions: { clientOptions: clientOptions({ apiUrl, context, signal }) },
    ...(dispatcher === undefined ? {} : { dispatcher }),
  });
  // Stands where Bolt's App would: it takes what the socket brings, and confirms it when it is saved.
  receiver.init({ processEvent: async (event: ReceiverEvent) => enter(event) } as unknown as App);
  const { client } = receiver;
  guard(client, context);
  const ended = new Promise<void>((resolve) => { client.on("disconnected", () => resolve()); });
  const end = async (): Promise<void> => {
    let cancel: (() => void) | undefined;
    // A peer that does not answer the closing frame is left behind.
    await Promise.race([client.disconnect().catch(() => undefined), new Promise<void>((resolve) => { cancel = context.clock.after(CLOSE_MS, resolve); })]);
    cancel?.();
  };
  const late = Promise.withResolvers<never>();
  const cancel = context.clock.after(HELLO_MS, () => late.reject(new ChannelError("CONN_001", { retry: "later" }, `Expected Slack to greet the socket within ${HELLO_MS / 1000} s, got nothing.`)));
  const stop = () => late.reject(new ChannelError("CONN_001", { retry: "later" }, "The account was closed."));
  signal.addEventListener("abort", stop, { once: true });
  try {
    // Its promise is rejected with nothing when the socket ends before the greeting.
    await Promise.race([client.start().catch((thrown: unknown) => { throw thrown ?? new ChannelError("CONN_001", { retry: "later" }, "Slack's socket closed before it greeted. Check the network and the proxy."); }), late.promise]);
  } catch (thrown) {
    await end();
    throw toChannelError(thrown, "apps.connections.open", secrets);
  } finally {
    cancel();
    signal.removeEventListener("abort", stop);
  }
  let over = false;
  const shut = () => { if (!over) void end().then(leave); };
  const left = Promise.withResolvers<void>();
  const leave = (): void => { over = true; signal.removeEventListener("abort", shut); left.resolve(); };
  signal.addEventListener("abort", shut, { once: true });
  if (signal.aborted) shut();
  void ended.then(leave);
  return { ended: left.promise };
}

/** The SDK reads an event's type without a look whether there is one, and its fault would end the process. */
function guard(client: EventEmitter, context: ChannelContext): void {
  const given = client.listeners("ws_message") as ((data: unknown, isBinary: boolean) => Promise<void>)[];
  client.removeAllListeners("ws_message");
  client.on("ws_message", (data: unknown, isBinary: boolean) => {
    const readable = withEvent(data);
    if (readable !== data) context.log("warn", "MSG_001: an event of Slack without a kind is left out.");
    for (const take of given) take(readable, isBinary).catch((error: Error) => context.log("warn", `MSG_001: something of Slack's socket could not be read: ${error.message}`));
  });
}
interface EventEmitter { listeners(name: string): unknown[]; removeAllListeners(name: string): unknown; on(name: string, listener: (data: unknown, isBinary: boolean) => void): unknown }

/** The same text; or, of an event that is none, an envelope that can at least be confirmed. */
function withEvent(data: unknown): unknown {
  try {
    const envelope = JSON.parse(String(data)) as { type?: unknown; payload?: { event?: { type?: unknown } | null } | null } | null;
    return envelope?.type === "events_api" && typeof envelope.payload?.event?.type !== "string" ? JSON.stringify({ ...envelope, type: "unreadable", payload: null }) : data;
  } catch {
    return data;
  }
}

interface Queue { enter(event: ReceiverEvent): void; idle(): Promise<void> }

/** Each chat in its order. What cannot be saved is tried again here, for Slack gives up after three times; only then it is confirmed. */
function createQueue({ context, signal, take }: SocketOptions): Queue {
  const chats = new Map<string, Promise<void>>();
  let stuck = 0;
  async function save(event: ReceiverEvent): Promise<void> {
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        await take(event.body);
        if (tries > 1 && --stuck === 0) context.status("connected");
        // The link may be gone by now: Slack brings it once more, and it is known then.
        await event.ack().catch((error: unknown) => context.log("debug", `A confirmation did not reach Slack: ${String(error)}`));
        return;
      } catch (thrown) {
        const error = asClawError(thrown, "STORE_001", "later");
        if (tries === 1) stuck += 1;
        context.status("error", error);
        await pause(context.clock, signal, error.afterMs ?? backoffMs(tries, (context.clock.now() % 1000) / 1000));
      }
    }
  }
  return {
    enter(event) {
      const chat = chatIn(event.body);
      const turn = (chats.get(chat) ?? Promise.resolve()).then(() => save(event)).finally(() => { if (chats.get(chat) === turn) chats.delete(chat); });
      chats.set(chat, turn);
    },
    async idle() { await Promise.all(chats.values()); },
  };
}

export function pause(clock: ChannelContext["clock"], signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, done);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    }
    if (signal.aborted) done();
  });
}
