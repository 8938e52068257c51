/** The gateway by the SDK's WebSocketManager, without its caches: heartbeats, RESUME and identify limits are its own; what becomes of the link is told to the engine. */
import type { GatewayDispatchPayload } from "discord.js";
import type { ChannelContext } from "../channel.ts";
import type { Clock } from "../../clock.ts";
import { ChannelError } from "../../errors.ts";
import { finalClose, toChannelError } from "./errors.ts";
import type { Api } from "./rest.ts";
import { loadSdk, type SessionInfo, type WebSocketManager } from "./sdk.ts";

export interface GatewayOptions {
  readonly api: Api;
  readonly token: string;
  readonly intents: number;
  readonly clock: Clock;
  readonly log: ChannelContext["log"];
  /** Ends the opening. What is open is ended by `close`. */
  readonly signal: AbortSignal;
  /** Rewrites an address of the gateway (a relay through a proxy). */
  readonly via?: (url: string) => string;
  /** `id` is the same when a RESUME brings the event again. Must not throw. */
  onEvent(event: GatewayDispatchPayload, id: string): void;
  onState(state: "connected" | "reconnecting" | "error", error?: ChannelError): void;
}
export interface Gateway { close(): Promise<void> }

/** The library closes with a handshake; a server that is gone never answers it. */
const CLOSE_MS = 1_000;
interface Socket { readonly readyState: number; on(event: "error", listener: () => void): void; terminate(): void }

/** Resolves when every shard is ready. Throws ChannelError; nothing of it is left then. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { api, token, intents, clock, log, signal, via = (url: string) => url } = options;
  const { WebSocketManager: Manager, WebSocketShardEvents: Shard } = loadSdk();
  const sessions = new Map<number, SessionInfo>();
  const never = new Promise<never>(() => undefined);
  let closed = false;
  let opened = false;
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);

  const manager = new Manager({
    token, intents, rest: api.rest,
    // A shard asks for its session before each connect: after the end it gets no answer, which is the one way to stop its waiting for the next try.
    retrieveSessionInfo: (shard) => (closed ? never : (sessions.get(shard) ?? null)),
    updateSessionInfo(shard, info) { if (info === null) sessions.delete(shard); else sessions.set(shard, { ...info, resumeURL: via(info.resumeURL) }); },
  });
  const fault = (error: ChannelError): void => {
    if (!opened) failed.reject(error);
    else if (!closed) options.onState(error.retry === "no" ? "error" : "reconnecting", error);
  };
  manager.on(Shard.Error, ({ error }) => log("debug", `Gateway: ${error?.message ?? "unknown fault"}`));
  manager.on(Shard.Closed, ({ code }) => {
    if (closed) return;
    fault(finalClose(code) ?? new ChannelError("CONN_001", { retry: "later" }, `Discord's gateway closed the connection (${code}).`));
  });
  manager.on(Shard.Ready, () => { if (opened && !closed) options.onState("connected"); });
  manager.on(Shard.Resumed, () => { if (opened && !closed) options.onState("connected"); });
  manager.on(Shard.Dispatch, ({ data, shardId }) => {
    if (!closed) options.onEvent(data, `${sessions.get(shardId)?.sessionId ?? "?"}:${data.s}`);
  });

  async function close(): Promise<void> {
    closed = true;
    const sockets = socketsOf(manager);
    // A socket that is still being made is forgotten by the library: its end would be an error nobody hears, and its beginning a link nobody closes.
    for (const socket of sockets) socket.on("error", () => undefined);
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => { cancel = clock.after(CLOSE_MS, resolve); });
    await Promise.race([Promise.resolve(manager.destroy({ reason: "closed" })).catch((error: Error) => log("debug", error.message)), late]);
    cancel();
    for (const socket of sockets) if (socket.readyState !== 3) socket.terminate();
    manager.removeAllListeners();
    manager.on(Shard.Error, () => undefined);
  }

  const leave = (): void => failed.reject(new ChannelError("CONN_001", { retry: "later" }, "The account was closed while it was opened."));
  signal.addEventListener("abort", leave, { once: true });
  try {
    const information = await manager.fetchGatewayInformation();
    const { remaining, reset_after } = information.session_start_limit;
    if (remaining < information.shards) throw new ChannelError("CONN_003", { retry: "later", afterMs: reset_after, answered: true }, `Discord allows no more starts of this bot for ${Math.ceil(reset_after / 60_000)} minutes.`);
    information.url = via(information.url);
    await Promise.race([manager.connect(), failed.promise]);
    opened = true;
    return { close };
  } catch (thrown) {
    await close();
    throw toChannelError(thrown, "the gateway", [token]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/** The library keeps them to itself (1.2.3): where they stand elsewhere one day, nothing is ended early. */
function socketsOf(manager: WebSocketManager): Socket[] {
  const { shards } = (manager as unknown as { strategy: { shards?: Map<number, { connection?: Socket | null }> } }).strategy;
  return shards === undefined ? [] : [...shards.values()].map(({ connection }) => connection).filter((socket) => typeof socket?.terminate === "function") as Socket[];
}
