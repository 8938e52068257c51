/**
 * A chat platform in a process of its own, with three bots: `key` honours an idempotency key, `evidence` lets one look for a key, `none` offers nothing.
 * `node platform.ts <log>`; the log says what people said, what was confirmed, and what stood in each chat.
 *
 *     GET  /bot/<bot>/me, /updates?wait=ms, /find?chat=&key=      POST /bot/<bot>/ack {id}, /send {chat, text, key, plain}, /edit {chat, ref, text}, /remove {chat, ref}
 *     POST /effect {id}                                           what a tool does to the world
 *     POST /control/…                                             what the test orders
 *
 * Inbound as real platforms do it: in order in each chat, and again until confirmed.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createActs } from "./acts.ts";
import { type Asked, HANDLED, serve, wait } from "./http.ts";
import { openLog } from "./log.ts";
import { answerWith, createMisbehaviour, cut, type Order } from "./misbehave.ts";

interface Said { readonly id: string; readonly chat: string; readonly from: string; readonly text: string; readonly sentAt: number; /** How often each push is made, at once. */ readonly copies: number }
interface Shown { readonly ref: string; readonly chat: string; readonly text: string; readonly key: string }
interface Bot { readonly name: string; readonly chats: Map<string, Said[]>; readonly shown: Map<string, Shown>; readonly pumping: Set<string>; polling: number; hook: string | undefined; wake: () => void }
const RETRY_MS = 40;
const log = openLog(process.argv[2] ?? "platform.log");
const misbehaviour = createMisbehaviour();
const { order, stopped } = createActs(log);
const bots = new Map<string, Bot>();
let refs = 0;

function botOf(name: string): Bot {
  const bot = bots.get(name) ?? { name, chats: new Map(), shown: new Map(), pumping: new Set(), polling: 0, hook: undefined, wake: () => undefined };
  bots.set(name, bot);
  return bot;
}

async function acked(bot: Bot, id: string): Promise<void> {
  for (const [chat, queue] of bot.chats) {
    if (queue[0]?.id !== id) continue;
    queue.shift();
    if (queue.length === 0) bot.chats.delete(chat);
    log("acked", { bot: bot.name, chat, id });
    await stopped("ack", id);
  }
}

async function push(bot: Bot, said: Said): Promise<boolean> {
  const { copies, ...body } = said;
  const answers = await Promise.all(Array.from({ length: copies }, () =>
    fetch(bot.hook ?? "", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) })
      .then(async (response) => { await response.text(); return response.status; }, () => 0)));
  return answers.some((status) => status >= 200 && status < 300);
}
/** One chat, one message at a time. */
async function pump(bot: Bot, chat: string): Promise<void> {
  if (bot.hook === undefined || bot.pumping.has(chat)) return;
  bot.pumping.add(chat);
  for (let said = bot.chats.get(chat)?.[0]; said !== undefined; said = bot.chats.get(chat)?.[0]) {
    if (await push(bot, said)) await acked(bot, said.id);
    else await wait(RETRY_MS);
  }
  bot.pumping.delete(chat);
}

/** The first unconfirmed message of each chat, again with each request. */
async function updates(bot: Bot, waitMs: number): Promise<Omit<Said, "copies">[]> {
  if (bot.chats.size === 0) await Promise.race([wait(waitMs), new Promise<void>((resolve) => { bot.wake = resolve; })]);
  return [...bot.chats.values()].flatMap(([first]) => { const { copies = 1, ...body } = first ?? {}; return Array.from({ length: copies }, () => body as Omit<Said, "copies">); });
}

async function send(bot: Bot, { body }: Asked, request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  const fault = misbehaviour.next("send", String(body.chat));
  if (fault !== undefined && (fault.reset === "before" || fault.status !== undefined)) {
    log("failed", { bot: bot.name, chat: body.chat, key: body.key, fault });
    await answerWith(fault, "", request, response);
    return HANDLED;
  }
  const shown: Shown = { ref: `s${++refs}`, chat: String(body.chat), text: String(body.text), key: String(body.key) };
  const known = bot.name === "key" ? bot.shown.get(shown.key) : undefined;
  if (known === undefined) bot.shown.set(shown.key, shown);
  log(known === undefined ? "shown" : "repeated", { bot: bot.name, ...shown, ref: (known ?? shown).ref, ...(body.plain === true ? { plain: true } : {}) });
  if (await stopped("send", shown.key)) { cut(request); return HANDLED; }
  const answer = { ref: (known ?? shown).ref };
  if (fault === undefined) return answer;
  await answerWith(fault, JSON.stringify(answer), request, response);
  return HANDLED;
}

/** A change of what stands in a chat; `what` is how the log calls it. */
async function change(what: "edited" | "removed", bot: Bot, { body }: Asked, request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  const fault = misbehaviour.next(what, String(body.chat));
  if (fault === undefined || fault.reset === "after" || fault.reset === "middle") log(what, { bot: bot.name, chat: body.chat, ref: body.ref, ...(what === "edited" ? { text: body.text } : {}) });
  if (fault === undefined) return {};
  await answerWith(fault, "{}", request, response);
  return HANDLED;
}

const botRoutes: Record<string, (bot: Bot, asked: Asked, request: IncomingMessage, response: ServerResponse) => unknown> = {
  me: (bot) => ({ name: bot.name }),
  updates(bot, { query }, _request, response) {
    if (++bot.polling > 1) log("two pollers", { bot: bot.name });
    response.on("close", () => { bot.polling--; });
    return updates(bot, Number(query.get("wait")));
  },
  async ack(bot, { body }) { await acked(bot, String(body.id)); return {}; },
  find(bot, { query }) {
    const ref = bot.shown.get(query.get("key") ?? "")?.ref;
    log("looked", { bot: bot.name, key: query.get("key"), ...(ref === undefined ? {} : { ref }) });
    return ref === undefined ? {} : { ref };
  },
  send,
  edit: (bot, asked, request, response) => change("edited", bot, asked, request, response),
  remove: (bot, asked, request, response) => change("removed", bot, asked, request, response),
};

const control: Record<string, (asked: Asked) => unknown> = {
  /** Where the bot's messages go; without it they wait to be fetched. */
  hook({ body }) { botOf(String(body.bot)).hook = String(body.url); return {}; },
  say({ body }) {
    for (const { bot: name, ...one } of body.messages as (Said & { bot: string })[]) {
      const bot = botOf(name);
      log("said", { bot: name, chat: one.chat, id: one.id, text: one.text });
      bot.chats.set(one.chat, [...bot.chats.get(one.chat) ?? [], { ...one, sentAt: Date.now(), copies: one.copies ?? 1 }]);
      if (bot.hook === undefined) bot.wake();
      else void pump(bot, one.chat);
    }
    return {};
  },
  act({ body }) { order(body); return {}; },
  fault({ body }) { if (body.op === undefined) misbehaviour.clear(); else misbehaviour.order(body as unknown as Order); return {}; },
  note({ body }) { const { what, ...fields } = body; log(String(what), fields); return {}; },
};

serve(async (asked, response, request) => {
  const [, room, name = "", route = ""] = asked.path.split("/");
  if (room === "bot") return botRoutes[route]?.(botOf(name), asked, request, response);
  if (room === "control") return control[name]?.(asked);
  if (room === "effect") {
    const fault = misbehaviour.next("effect");
    if (fault?.reset === "before") { cut(request); return HANDLED; }
    const id = String(asked.body.id);
    log("effect", { id });
    if (await stopped("effect", id)) { cut(request); return HANDLED; }
    return { noted: id };
  }
  return undefined;
});
