/**
 * A provider of the chat completions wire in a process of its own: `node model.ts <log>`. It answers by rule, so the judge knows what every answer must be:
 * a user text "m17" gets "a:m17:1/1"; with the word "long" three paragraphs "a:m17:1/3" …, each too long to stand with another in one message;
 * with the word "tool" it first calls the tool `note_it` with { id: "m17" }; with the word "slow" it thinks for a while.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { HANDLED, serve, wait } from "./http.ts";
import { openLog } from "./log.ts";
import { cut } from "./misbehave.ts";

interface ChatMessage { readonly role: string; readonly content: string | null; readonly tool_calls?: readonly unknown[] }
interface Body { readonly messages: readonly ChatMessage[]; readonly stream?: boolean; readonly tools?: readonly { function: { name: string } }[] }
/**
 * Names of what can go wrong; a number is an HTTP status. `silent`: not even a head; `stall`: nothing after the middle; `cut-end`: without usage and end;
 * `no-finish`: the last delta is missing too; `cut-json`: the token limit ends the arguments of a call; `plain`: right, whole, and under another content type; `pause`: right, with a rest in the middle; `drip`: right, and slowly.
 */
export type Fault = "silent" | "stall" | "reset" | "cut-call" | "bad-json" | "cut-json" | "empty" | "html" | "plain" | "error-body" | "no-finish" | "cut-end" | "pause" | "drip" | number;
interface Order {
  readonly fault: Fault;
  readonly headers?: Record<string, string>;
  /** Text of an error, in the place of our own. */
  readonly error?: string;
  times: number;
  /** Only requests of this round (0: before any tool answered). */
  readonly round?: number;
  /** Only requests whose newest user text has this word. */
  readonly word?: string;
  /** So long nothing comes before a stream breaks, so that what came is shown. */
  readonly pauseMs?: number;
}

const DELTA_MS = 1;
const SLOW_MS = 300;
const DRIP_MS = 120;
const log = openLog(process.argv[2] ?? "model.log");
let orders: Order[] = [];

export const idOf = (text: string): string => /\bm\d+\b/.exec(text)?.[0] ?? "m0";
export function answerTo(text: string): string {
  const parts = /\blong\b/.test(text) ? 3 : 1;
  return Array.from({ length: parts }, (_, part) => `a:${idOf(text)}:${part + 1}/${parts}${parts === 1 ? "" : ` ${"and so on ".repeat(14)}`}`.trim()).join("\n\n");
}

function nextFault(round: number, words: readonly string[]): Order | undefined {
  const order = orders.find((one) => (one.round === undefined || one.round === round) && (one.word === undefined || words.includes(one.word)));
  if (order !== undefined && --order.times <= 0) orders = orders.filter((other) => other !== order);
  return order;
}

const whole = (message: object, finish: string) => ({ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finish }], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } });
const piece = (delta: object, finish: string | null = null) => `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const ENDING = `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m", choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } })}\n\ndata: [DONE]\n\n`;

function callOf(id: string, fault: Fault | undefined) {
  const text = JSON.stringify({ id });
  return { index: 0, id: `call_${id}`, type: "function", function: { name: "note_it", arguments: fault === "bad-json" || fault === "cut-json" ? text.slice(0, -2) : text } };
}

async function stream(pieces: readonly string[], order: Order | undefined, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { fault, pauseMs = 0 } = order ?? {};
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  for (const [at, one] of pieces.entries()) {
    if (response.destroyed) return;
    if (at === Math.ceil(pieces.length / 2)) {
      if (fault === "stall") return;
      if (fault === "reset" || fault === "cut-call" || fault === "error-body" || fault === "pause") await wait(pauseMs);
      if (fault === "reset" || fault === "cut-call") return cut(request);
      if (fault === "error-body") { response.write(`data: ${JSON.stringify(errorBody(order))}\n\n`); break; }
    }
    if (at === pieces.length - 2 && fault === "no-finish") { await wait(pauseMs); break; }
    if (at === pieces.length - 1 && fault === "cut-end") break;
    response.write(one);
    await wait(fault === "drip" ? DRIP_MS : DELTA_MS);
  }
  response.end();
}
const errorBody = (order: Order | undefined) => ({ error: { message: order?.error ?? `the stub answers ${order?.fault ?? 500}`, type: "stub" } });

async function complete(body: Body, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const users = body.messages.filter(({ role }) => role === "user").map(({ content }) => content ?? "");
  const text = users.at(-1) ?? "";
  const id = idOf(text);
  const after = body.messages.slice(body.messages.findLastIndex(({ role }) => role === "user") + 1);
  const round = after.filter(({ role }) => role === "tool").length;
  const order = nextFault(round, text.split(/\s+/));
  log("asked", { id, round, live: body.stream === true, history: users.map(idOf), ...(order === undefined ? {} : { fault: order.fault }), ...(round === 0 ? {} : { told: after.findLast(({ role }) => role === "tool")?.content }) });
  response.on("close", () => log(response.writableFinished ? "answered" : "left", { id, round }));
  if (/\bslow\b/.test(text) && round === 0) await wait(SLOW_MS);
  if (typeof order?.fault === "number") return void response.writeHead(order.fault, { "content-type": "application/json", ...order.headers }).end(JSON.stringify(errorBody(order)));
  if (order?.fault === "silent") return;
  if (order?.fault === "html") return void response.writeHead(200, { "content-type": "text/html" }).end("<html>the proxy says no</html>");
  // A call that was refused for its arguments is made again.
  const call = /\btool\b/.test(text) && (round === 0 || after.at(-1)?.content?.includes("TOOL_001") === true) && body.tools?.some((tool) => tool.function.name === "note_it") === true;
  const said = order?.fault === "empty" ? "" : answerTo(text);
  if (body.stream !== true || order?.fault === "plain") {
    if (order?.fault === "error-body") return void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(errorBody(order)));
    if (order?.fault === "no-finish") return void response.writeHead(200, { "content-type": "application/json", "content-length": "4000" }).end("{", () => cut(request));
    if (order?.fault === "reset" || order?.fault === "cut-call") return cut(request);
    if (order?.fault === "stall") return;
    const { usage, ...rest } = call ? whole({ content: null, tool_calls: [callOf(id, order?.fault)] }, order?.fault === "cut-json" ? "length" : "tool_calls") : whole({ content: said }, "stop");
    return void response.writeHead(200, { "content-type": order?.fault === "plain" ? "text/plain" : "application/json" }).end(JSON.stringify(order?.fault === "cut-end" ? rest : { ...rest, usage }));
  }
  const { function: { arguments: given, ...named }, ...bare } = callOf(id, order?.fault);
  const pieces = call
    ? [piece({ tool_calls: [{ ...bare, function: { ...named, arguments: "" } }] }), piece({ tool_calls: [{ index: 0, function: { arguments: given.slice(0, 4) } }] }), piece({ tool_calls: [{ index: 0, function: { arguments: given.slice(4) } }] }), piece({}, order?.fault === "cut-json" ? "length" : "tool_calls"), ENDING]
    : [piece({ role: "assistant", content: "" }), ...(said.match(/[\s\S]{1,80}|^$/g) ?? []).flatMap((part) => [piece({ content: part.slice(0, 4) }), piece({ content: part.slice(4) })]), piece({}, "stop"), ENDING];
  await stream(pieces, order, request, response);
}

if (import.meta.main) serve(async ({ path, body }, response, request) => {
  if (path === "/control/fault") { if (body.fault === undefined) orders = []; else orders.push({ times: 1, ...body } as unknown as Order); return {}; }
  if (!path.endsWith("/chat/completions")) return undefined;
  await complete(body as unknown as Body, request, response);
  return HANDLED;
});
