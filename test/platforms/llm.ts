/** A provider of language models on loopback: answers what it is told to, keeps what it was asked. All wires. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked { readonly path: string; readonly headers: IncomingMessage["headers"]; readonly body: Record<string, unknown> }
export type Answer = (response: ServerResponse, asked: Asked) => void;
export interface LlmStub {
  readonly url: string;
  readonly asked: Asked[];
  /** What the next requests get. */
  answer: Answer;
  close(): Promise<void>;
}

export async function startLlm(answer: Answer): Promise<LlmStub> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const text = Buffer.concat(pieces).toString();
      const one: Asked = { path: request.url ?? "", headers: request.headers, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
      asked.push(one);
      stub.answer(response, one);
    });
  });
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  const stub: LlmStub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, answer,
    close: () => new Promise((done) => { server.closeAllConnections(); server.close(() => { done(); }); }),
  };
  return stub;
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (response) => { response.writeHead(status, { "content-type": "application/json", ...headers }).end(typeof body === "string" ? body : JSON.stringify(body)); };
}

type Wire = "openai" | "responses" | "anthropic";
/** A stream of server-sent events as the provider writes it: each is named but those of chat completions, which end with [DONE]. A text is sent as it is. */
export function sse(chunks: readonly unknown[], wire: Wire): string {
  const events = chunks.map((chunk) => (typeof chunk === "string" ? `data: ${chunk}\n\n` : `${wire === "openai" ? "" : `event: ${(chunk as { type: string }).type}\n`}data: ${JSON.stringify(chunk)}\n\n`));
  return events.join("") + (wire === "openai" ? "data: [DONE]\n\n" : "");
}

/** Sends a stream in pieces of `size` bytes, so that events and characters are cut anywhere. */
export function stream(text: string, size = 1_000_000): Answer {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    const bytes = Buffer.from(text);
    let at = 0;
    const next = (): void => {
      // Several pieces between two turns of the event loop, else a long recording takes minutes.
      for (let i = 0; i < 50 && at < bytes.length; i++, at += size) response.write(bytes.subarray(at, at + size));
      if (at < bytes.length) setImmediate(next);
      else response.end();
    };
    next();
  };
}

const WIRES: Readonly<Record<Wire, readonly [whole: (text: string) => object, events: (text: string) => object[]]>> = {
  openai: [wholeChat, chatChunks], responses: [wholeResponse, responseEvents], anthropic: [wholeMessage, messageEvents],
};
/** What a provider says to anything: one short answer, streamed or whole as asked. */
export function talk(text: string): Answer {
  return (response, asked) => {
    const wire: Wire = asked.path.endsWith("/messages") ? "anthropic" : asked.path.endsWith("/responses") ? "responses" : "openai";
    const [whole, events] = WIRES[wire];
    return (asked.body.stream === true ? stream(sse(events(text), wire)) : json(whole(text)))(response, asked);
  };
}

export function wholeChat(text: string, more: object = {}): object {
  return { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop", ...more }], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } };
}
export function chatChunks(text: string): object[] {
  const chunk = (delta: object, finish: string | null = null): object => ({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] });
  return [chunk({ role: "assistant", content: "" }), ...text.split(/(?<= )/).map((content) => chunk({ content })), chunk({}, "stop"), { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m", choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } }];
}
export function wholeMessage(text: string, more: object = {}): object {
  return { id: "msg_1", type: "message", role: "assistant", model: "m", content: [{ type: "text", text }], stop_reason: "end_turn", stop_sequence: null, usage: { input_tokens: 10, output_tokens: 5 }, ...more };
}
export function messageEvents(text: string): object[] {
  return [
    { type: "message_start", message: { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 10, output_tokens: 1 } } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    ...text.split(/(?<= )/).map((part) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: part } })),
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 5 } },
    { type: "message_stop" },
  ];
}
export function wholeResponse(text: string, more: object = {}): object {
  return {
    id: "resp_1", object: "response", created_at: 1, status: "completed", model: "m", error: null, incomplete_details: null, output: [messageItem(text)],
    usage: { input_tokens: 10, output_tokens: 5, total_tokens: 15, input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } }, ...more,
  };
}
function messageItem(text: string): object {
  return { id: "msg_1", type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text, annotations: [] }] };
}
export function responseEvents(text: string): object[] {
  const item = { id: "msg_1", type: "message", role: "assistant", status: "in_progress", content: [] };
  return [
    { type: "response.created", response: { id: "resp_1", object: "response", status: "in_progress", output: [], error: null } },
    { type: "response.output_item.added", output_index: 0, item },
    { type: "response.content_part.added", output_index: 0, content_index: 0, item_id: "msg_1", part: { type: "output_text", text: "", annotations: [] } },
    ...text.split(/(?<= )/).map((delta) => ({ type: "response.output_text.delta", output_index: 0, content_index: 0, item_id: "msg_1", delta })),
    { type: "response.output_text.done", output_index: 0, content_index: 0, item_id: "msg_1", text },
    { type: "response.output_item.done", output_index: 0, item: messageItem(text) },
    { type: "response.completed", response: wholeResponse(text) },
  ];
}
