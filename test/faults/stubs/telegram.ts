/**
 * Telegram for the real adapter, in a process of its own: `node telegram.ts <log>`. The Bot API stub of test/platforms stands behind; this front
 * writes down what was confirmed (an offset) and what stood in each chat, in the words of platform.ts, and kills or holds at those moments.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { startTelegram } from "../../platforms/telegram.ts";
import { createActs } from "./acts.ts";
import { type Asked, HANDLED, serve } from "./http.ts";
import { openLog } from "./log.ts";
import { answerWith, createMisbehaviour, cut, type Order } from "./misbehave.ts";

interface Said { readonly id: string; readonly chat: string; readonly text: string; readonly copies?: number }
const log = openLog(process.argv[2] ?? "telegram.log");
const { order, stopped } = createActs(log);
const misbehaviour = createMisbehaviour();
const stub = await startTelegram();
/** The bot's token now: its owner may have asked for another. */
let token = stub.token;
/** Unconfirmed updates, oldest first. */
const waiting: { readonly update: number; readonly id: string; readonly chat: string }[] = [];
let messages = 0;
let update = 1000;

function say({ id, chat, text, copies = 1 }: Said): void {
  log("said", { bot: "telegram", chat, id, text });
  const message = { message_id: ++messages, date: Math.floor(Date.now() / 1000), chat: { id: Number(chat), type: "private", first_name: `Chat ${chat}` }, from: { id: Number(chat), is_bot: false, first_name: `Chat ${chat}` }, text };
  waiting.push({ update: ++update, id, chat });
  // Telegram repeats an update under its own id.
  for (let copy = 0; copy < copies; copy++) stub.push({ message }, { id: update });
}

async function confirm(offset: number): Promise<boolean> {
  while (waiting[0] !== undefined && waiting[0].update < offset) {
    const { id, chat } = waiting.shift() ?? { id: "", chat: "" };
    log("acked", { bot: "telegram", chat, id });
    if (await stopped("ack", id)) return true;
  }
  return false;
}

/** Passes a request on, and what came of it back. */
async function pass({ path: asked, body }: Asked, request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  if (!asked.includes(`bot${token}/`)) { response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ ok: false, error_code: 401, description: "Unauthorized" })); return HANDLED; }
  const path = asked.replace(token, stub.token);
  const method = path.split("/").at(-1) ?? "";
  const fault = misbehaviour.next(method === "sendMessage" ? "send" : method, String(body.chat_id));
  if (fault !== undefined && (fault.reset === "before" || fault.status !== undefined)) { log("failed", { bot: "telegram", chat: String(body.chat_id), method, fault }); await answerWith(fault, "", request, response); return HANDLED; }
  if (method === "getUpdates" && (await confirm(Number(body.offset ?? 0)))) { cut(request); return HANDLED; }
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const answer = await fetch(`${stub.url}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal: gone.signal }).catch(() => undefined);
  if (answer === undefined) return HANDLED;
  const text = await answer.text();
  const { result } = JSON.parse(text) as { result?: { message_id?: number; text?: string } };
  if (answer.ok && method === "sendMessage") {
    const ref = String(result?.message_id);
    log("shown", { bot: "telegram", chat: String(body.chat_id), ref, text: result?.text });
    if (await stopped("send", ref)) { cut(request); return HANDLED; }
  } else if (answer.ok && method === "editMessageText") log("edited", { bot: "telegram", chat: String(body.chat_id), ref: String(body.message_id), text: result?.text });
  else if (answer.ok && method === "deleteMessage") log("removed", { bot: "telegram", chat: String(body.chat_id), ref: String(body.message_id) });
  if (fault !== undefined) { await answerWith(fault, text, request, response); return HANDLED; }
  response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
  return HANDLED;
}

const control: Record<string, (asked: Asked) => unknown> = {
  about: () => ({ token: stub.token }),
  token({ body }) { token = String(body.token); return {}; },
  say({ body }) { for (const one of body.messages as Said[]) say(one); return {}; },
  act({ body }) { order(body); return {}; },
  fault({ body }) { if (body.op === undefined) misbehaviour.clear(); else misbehaviour.order(body as unknown as Order); return {}; },
};
serve((asked, response, request) => (asked.path.startsWith("/control/") ? control[asked.path.slice("/control/".length)]?.(asked) : pass(asked, request, response)));
