/** A server that answers every request by repeating what is secret in it: the worst a platform, a provider or a proxy can do to us. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { chatChunks, sse } from "../platforms/llm.ts";

export interface Parrot extends AsyncDisposable {
  readonly url: string;
  /** Everything that was ever asked: head and body. */
  readonly heard: string[];
}

/** All that a request carries, secrets first; what Basic hides is shown as well. */
function repeat(request: IncomingMessage, body: string): string {
  const headers = Object.entries(request.headers).filter(([name]) => !/^(host|accept|content-|connection|user-agent|x-stainless|anthropic-)/.test(name)).map(([, value]) => String(value));
  const basic = headers.flatMap((value) => /^Basic (\S+)/i.exec(value)?.[1] ?? []).map((code) => Buffer.from(code, "base64").toString());
  return [...headers, ...basic, request.url ?? "", body].join(" ");
}

type Say = (response: ServerResponse, said: string, body: Record<string, unknown>, url: string) => void;
const json = (response: ServerResponse, status: number, data: unknown) => { response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(data)); };
const llmError = (status: number, lead = ""): Say => (response, said) => json(response, status, { type: "error", error: { type: status === 401 ? "authentication_error" : "api_error", message: `${lead}${said}` } });
const telegram = (method: string, said: string, body: Record<string, unknown>): [number, unknown] => {
  if (method === "getMe") return [200, { ok: true, result: { id: 1, is_bot: true, first_name: "Bot", username: "canary_bot" } }];
  if (/^(send|getFile)/.test(method)) return [400, { ok: false, error_code: 400, description: `Bad Request: ${said} ${JSON.stringify(body)}` }];
  return [200, { ok: true, result: true }];
};

/** By the first part of the path. */
const SAYS: Readonly<Record<string, Say>> = {
  refuse: llmError(401, "Incorrect API key provided: "),
  broken: llmError(500),
  /** The text is cut by its reader: somewhere inside the key. */
  cut: llmError(400, "x".repeat(265)),
  page: (response, said) => { response.writeHead(502, { "content-type": "text/html" }).end(`<html><title>${said}</title></html>`); },
  halfway: (response, said) => { response.writeHead(200, { "content-type": "text/event-stream" }).end(`data: ${JSON.stringify({ error: { message: said, code: 500 } })}\n\n`); },
  "bot-refuse": (response, said) => json(response, 401, { ok: false, error_code: 401, description: `Unauthorized: ${said}` }),
  "bot-send": (response, said, body, url) => json(response, ...telegram(url.split("/").at(-1) ?? "", said, body)),
  /** Asks for every tool once, then answers. */
  model: (response, _said, body) => {
    const messages = (body.messages ?? []) as { role: string }[];
    const tools = (body.tools ?? []) as { function: { name: string } }[];
    const [first, ...rest] = chatChunks("All is well.") as { choices: { delta: object; finish_reason: string | null }[] }[];
    const calls = tools.map(({ function: { name } }, index) => ({ index, id: `c${index}`, type: "function", function: { name, arguments: "{}" } }));
    const ask = [{ ...first, choices: [{ index: 0, delta: { role: "assistant", tool_calls: calls }, finish_reason: null }] }, { ...first, choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] }];
    response.writeHead(200, { "content-type": "text/event-stream" }).end(sse(calls.length > 0 && messages.at(-1)?.role === "user" ? ask : [first, ...rest], "openai"));
  },
};

export async function startParrot(): Promise<Parrot> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const said = repeat(request, text);
      heard.push(said);
      const body = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
      const say = /^https?:/.test(request.url ?? "") ? undefined : SAYS[(request.url ?? "").split("/")[1] ?? ""];
      if (say === undefined) response.writeHead(407, said.replace(/[^\x20-\x7e]/g, " ").slice(0, 500), { "content-type": "text/plain" }).end(said);
      else say(response, said, body, request.url ?? "");
    });
  });
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    const said = repeat(request, "");
    heard.push(said);
    socket.end(`HTTP/1.1 407 ${said.replace(/[^\x20-\x7e]/g, " ")}\r\n\r\n${said}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard,
    async [Symbol.asyncDispose]() { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); },
  };
}
