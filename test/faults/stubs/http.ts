/** What the stubs share: a server on loopback that tells its port on stdout, and dies with whoever started it. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked { readonly method: string; readonly path: string; readonly query: URLSearchParams; readonly body: Record<string, unknown> }
export type Handler = (asked: Asked, response: ServerResponse, request: IncomingMessage) => Promise<unknown> | unknown;
/** A handler that answers for itself returns this. */
export const HANDLED = Symbol("handled");

export const wait = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Answers with the JSON a handler returns; `undefined` is 404. */
export function serve(handler: Handler): void {
  const server = createServer((request, response) => void (async () => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const url = new URL(request.url ?? "/", "http://stub");
    const text = Buffer.concat(pieces).toString();
    const asked: Asked = { method: request.method ?? "GET", path: url.pathname, query: url.searchParams, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
    const result = await handler(asked, response, request);
    if (result === HANDLED) return;
    response.writeHead(result === undefined ? 404 : 200, { "content-type": "application/json" }).end(JSON.stringify(result ?? {}));
  })().catch((error: Error) => {
    if (response.destroyed) return;
    if (!response.headersSent) response.writeHead(500);
    response.end(error.message);
  }));
  server.keepAliveTimeout = 60_000;
  process.stdin.on("close", () => process.exit(0)).resume();
  server.listen(0, "127.0.0.1", () => console.log(`listening on ${(server.address() as AddressInfo).port}`));
}
