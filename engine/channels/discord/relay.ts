/**
 * The gateway through a proxy. The SDK makes its sockets itself and knows no proxy: here it reaches a server of this process on loopback, which speaks to
 * the gateway through the account's proxy. Whoever does not know the secret in the path is refused.
 */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { WebSocket } from "undici";
import type { ChannelContext } from "../channel.ts";
import { openDispatcher } from "../../http.ts";
import { sameSecret } from "../../verify.ts";
import { type LocalSocket, loadSocketServer } from "./sdk.ts";

export interface Relay {
  /** The address to use instead of one of the gateway; one of its own stays as it is. */
  via(url: string): string;
  close(): Promise<void>;
}

export async function openRelay(proxy: string, log: ChannelContext["log"]): Promise<Relay> {
  const Server = loadSocketServer();
  const secret = randomBytes(24).toString("base64url");
  const dispatcher = openDispatcher({ proxy });
  const server = new Server({ host: "127.0.0.1", port: 0, verifyClient: ({ req }) => sameSecret((req.url ?? "").split("/")[1], secret) });
  server.on("connection", (local, { url = "" }) => {
    const [path = "", query = ""] = url.split("?");
    join(local, new WebSocket(`${decodeURIComponent(path.split("/")[2] ?? "")}?${query}`, { dispatcher }), log);
  });
  await new Promise<void>((resolve, reject) => { server.once("listening", () => resolve()); server.once("error", reject); });
  const home = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/${secret}/`;
  return {
    via: (url) => (url.startsWith(home) ? url : home + encodeURIComponent(url)),
    async close() {
      for (const socket of server.clients) socket.terminate();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await dispatcher.destroy();
    },
  };
}

function join(local: LocalSocket, remote: WebSocket, log: ChannelContext["log"]): void {
  const early: string[] = [];
  remote.binaryType = "arraybuffer";
  local.on("error", (error) => log("debug", `Gateway relay: ${error.message}`));
  local.on("message", (data) => { if (remote.readyState === WebSocket.OPEN) remote.send(String(data)); else early.push(String(data)); });
  // Code 1000 and those of applications may be sent; the others only tell that there was none.
  local.on("close", (code) => { if (code === 1000 || code >= 3000) remote.close(code); else remote.close(); });
  remote.addEventListener("open", () => { for (const data of early.splice(0)) remote.send(data); });
  remote.addEventListener("message", ({ data }) => local.send(data as string));
  remote.addEventListener("error", ({ message }) => log("debug", `The gateway is not reached through the proxy: ${message}`));
  remote.addEventListener("close", ({ code, reason }) => { if (code === 1000 || code >= 3000) local.close(code, reason); else local.terminate(); });
}
