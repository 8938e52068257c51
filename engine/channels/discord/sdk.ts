/**
 * The parts of discord.js this channel stands on: its REST client and its gateway. They are packages of discord.js's own; they are taken from where it
 * keeps them, in just the versions it was released with. Its Client on top of them would hold whole servers in memory, and costs 15 MB more to load.
 */
import { createRequire } from "node:module";

export type { REST, RouteLike } from "@discordjs/rest";
export type { SessionInfo, WebSocketManager } from "@discordjs/ws";

export interface Sdk {
  readonly REST: typeof import("@discordjs/rest").REST;
  readonly WebSocketManager: typeof import("@discordjs/ws").WebSocketManager;
  readonly WebSocketShardEvents: typeof import("@discordjs/ws").WebSocketShardEvents;
}

export function loadSdk(): Sdk {
  const own = createRequire(createRequire(import.meta.url).resolve("discord.js"));
  const { REST } = own("@discordjs/rest") as Pick<Sdk, "REST">;
  const { WebSocketManager, WebSocketShardEvents } = own("@discordjs/ws") as Pick<Sdk, "WebSocketManager" | "WebSocketShardEvents">;
  return { REST, WebSocketManager, WebSocketShardEvents };
}

/** What is used of `ws`, the library the SDK's gateway stands on. */
export interface LocalSocket {
  on(event: "message", listener: (data: unknown) => void): void;
  on(event: "close", listener: (code: number) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  send(data: string): void;
  close(code: number, reason: string): void;
  terminate(): void;
}
interface SocketServer {
  readonly clients: Iterable<LocalSocket>;
  on(event: "connection", listener: (socket: LocalSocket, request: { readonly url?: string }) => void): void;
  once(event: "listening" | "error", listener: (error: Error) => void): void;
  address(): unknown;
  close(done: () => void): void;
}
type SocketServerOf = new (options: { readonly host: string; readonly port: number; verifyClient(info: { readonly req: { readonly url?: string } }): boolean }) => SocketServer;

export function loadSocketServer(): SocketServerOf {
  const own = createRequire(createRequire(import.meta.url).resolve("discord.js"));
  return (createRequire(own.resolve("@discordjs/ws"))("ws") as { readonly WebSocketServer: SocketServerOf }).WebSocketServer;
}
