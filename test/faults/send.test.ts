/**
 * F33-F38: what a chat platform does wrong when something is sent, in a real Node-RED (test/rigs/node-red.ts), for each class of channel and the real Telegram adapter.
 * What passes is sent again and seen once; what does not pass is not sent again, and told: one dead letter, one notice to the owner. Only silence is doubt.
 *
 *     npx mocha test/faults/send.test.ts                       each fault on each kind of channel, one byte in a fifth of a second
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …          one byte a second, and a platform that fails without end (7 minutes)
 */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { selfSigned } from "../platforms/certificate.ts";
import { partsOf } from "./judge.ts";
import { type Scene, startScene, type Speaker } from "./scene.ts";
import { type Entry, monotonicMs } from "./stubs/log.ts";
import { answerTo } from "./stubs/model.ts";
import type { Fault, Order } from "./stubs/misbehave.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const BOTS = ["key", "evidence", "none", "edit", "telegram"] as const;
type Bot = (typeof BOTS)[number];
/** In Telegram a long answer is one message. */
const second = (bot: Bot): number => (bot === "telegram" ? 0 : 1);
/** There nothing tells a second copy from a first. */
const offersNothing = (bot: Speaker): boolean => bot !== "key" && bot !== "evidence";

interface Case {
  readonly name: string;
  readonly text?: string;
  readonly faults: (bot: Bot) => readonly Omit<Order, "op" | "chat">[];
  /** Where the answer stands at last. "extra": once, or once more where the platform offers nothing. */
  readonly ends: "once" | "extra" | "dead" | "extra, then dead";
  /** Refused sends; left out where the platform does not count them. */
  readonly refused?: number;
  /** Between a refused send and the next there is at least this. */
  readonly waitMs?: number;
  /** The next send does not begin before the date that was named (`dates`). */
  readonly date?: true;
  readonly plain?: true;
}
/** The answer as each platform words it. */
function says(bot: Bot, status: number, description: string, fields: { readonly headers?: Record<string, string>; readonly seconds?: number } = {}): Fault {
  const { headers = {}, seconds } = fields;
  if (bot === "telegram") return { status, headers, body: JSON.stringify({ ok: false, error_code: status, description, ...(seconds === undefined ? {} : { parameters: { retry_after: seconds } }) }) };
  return { status, headers: { ...headers, ...(seconds === undefined ? {} : { "retry-after": String(seconds) }) }, body: description };
}
const once = (fault: (bot: Bot) => Fault, more: { times?: number } = {}) => (bot: Bot) => [{ fault: fault(bot), ...more }];
const dates = new Map<Bot, number>();
/** In whole seconds, as the header has it, and far enough for the clock of the second to have moved. */
function dateFor(bot: Bot): string {
  dates.set(bot, Math.floor(Date.now() / 1_000) * 1_000 + 4_000);
  return new Date(dates.get(bot) ?? 0).toUTCString();
}
const CASES: readonly Case[] = [
  { name: "429, seconds", faults: once((bot) => says(bot, 429, "Too Many Requests", { seconds: 1 })), ends: "once", refused: 1, waitMs: 1_000 },
  { name: "429, milliseconds", faults: once((bot) => says(bot, 429, "Too Many Requests", { headers: { "retry-after-ms": "700" } })), ends: "once", refused: 1, waitMs: 700 },
  { name: "429, a fraction", faults: once((bot) => says(bot, 429, "Too Many Requests", { seconds: 1.4 })), ends: "once", refused: 1, waitMs: 1_400 },
  { name: "429, a date", faults: once((bot) => says(bot, 429, "Too Many Requests", { headers: { "retry-after": dateFor(bot) } })), ends: "once", refused: 1, date: true },
  { name: "429, without a word", faults: once((bot) => says(bot, 429, "Too Many Requests")), ends: "once", refused: 1 },
  { name: "500, twice", faults: once((bot) => says(bot, 500, "Internal Server Error"), { times: 2 }), ends: "once", refused: 2 },
  { name: "503 with a wait", faults: once((bot) => says(bot, 503, "Service Unavailable", { headers: { "retry-after": "2" } })), ends: "once", refused: 1, waitMs: 2_000 },
  { name: "502 of a proxy", faults: once(() => ({ status: 502, headers: { "content-type": "text/html" }, body: "<html>Bad Gateway</html>" })), ends: "once", refused: 1 },
  { name: "500 at the second part", text: "long", faults: (bot) => [{ fault: says(bot, 500, "Internal Server Error"), skip: second(bot) }], ends: "once", refused: 1 },
  { name: "the markup is refused", faults: once((bot) => says(bot, 400, "Bad Request: can't parse entities: markup")), ends: "once", refused: 1, plain: true },
  { name: "kicked", faults: once((bot) => says(bot, 403, "Forbidden: bot was kicked from the group chat"), { times: 99 }), ends: "dead", refused: 1 },
  { name: "the chat is gone", faults: once((bot) => says(bot, bot === "telegram" ? 400 : 404, "Bad Request: chat not found"), { times: 99 }), ends: "dead", refused: 1 },
  { name: "too long", faults: once((bot) => says(bot, bot === "telegram" ? 400 : 413, "Bad Request: message is too long"), { times: 99 }), ends: "dead", refused: 1 },
  { name: "reset before the platform took it", faults: once(() => ({ reset: "before" })), ends: "once", refused: 1 },
  { name: "reset before its answer", faults: once(() => ({ reset: "after" })), ends: "extra" },
  { name: "reset in its answer", faults: once(() => ({ reset: "middle" })), ends: "extra" },
  { name: "reset before its answer, at the second part", text: "long", faults: (bot) => [{ fault: { reset: "after" }, skip: second(bot) }], ends: "extra" },
  { name: "reset before its answer, and again", faults: once(() => ({ reset: "after" }), { times: 2 }), ends: "extra, then dead" },
  { name: "500, then silence", faults: (bot) => [{ fault: says(bot, 500, "Internal Server Error"), times: 1 }, { fault: { reset: "after" }, times: 1 }], ends: "extra" },
  { name: "an answer byte by byte", faults: once((bot) => ({ slowMs: bot === "telegram" && !full ? 5 : full ? 1_000 : 200 })), ends: "extra" },
  ...full ? [{ name: "500 without end", faults: once((bot: Bot) => says(bot, 500, "Internal Server Error"), { times: 99 }), ends: "dead", refused: 12 } as const] : [],
];

interface Trial { readonly one: Case; readonly bot: Bot; readonly chat: string; id: string; next: string }
const isDead = ({ one, bot }: Trial): boolean => one.ends === "dead" || (one.ends === "extra, then dead" && offersNothing(bot));

/** While the answer grows: what goes wrong with the placeholder (`op`, on a platform that offers edits alone), and how the model goes on. */
interface Growing { readonly name: string; readonly model: "pause" | "drip" | "reset"; readonly op?: "send" | "edited" | "removed"; readonly fault?: Fault; readonly times?: number; /** Copies of a piece of it that may stay: the platform took them, and nobody was told where. */ readonly strays?: number }
const GROWING: readonly Growing[] = [
  { name: "all goes well", model: "pause" },
  { name: "a placeholder is refused for now", model: "pause", op: "send", fault: { status: 500, body: "" } },
  { name: "too many", model: "pause", op: "send", fault: { status: 429, headers: { "retry-after": "1" }, body: "" } },
  { name: "the answer to a placeholder is lost", model: "pause", op: "send", fault: { reset: "after" }, strays: 1 },
  { name: "the answer to a placeholder is lost, again and again", model: "drip", op: "send", fault: { reset: "after" }, times: 3, strays: 2 },
  { name: "edits fail for now", model: "pause", op: "edited", fault: { status: 500, body: "" }, times: 2 },
  { name: "the answer to an edit is lost", model: "pause", op: "edited", fault: { reset: "after" } },
  { name: "the placeholder is gone", model: "pause", op: "edited", fault: { status: 404, body: "message not found" }, times: 99 },
  { name: "the model breaks off, and removing fails for now", model: "reset", op: "removed", fault: { status: 500, body: "" } },
  { name: "the model breaks off, and the answer to a removal is lost", model: "reset", op: "removed", fault: { reset: "after" } },
  { name: "the model breaks off, and the answer to the placeholder was lost", model: "reset", op: "send", fault: { reset: "after" }, strays: 1 },
];

/** Accounts whose sends go astray before they reach anything; a deploy puts them right. */
const ASTRAY = ["dns", "refused", "tls", "noise"] as const;

describe("a fault of the platform", function () {
  this.timeout(full ? 0 : 600_000);
  let scene: Scene;
  let secure: Server;
  let knocks = 0;
  before(async () => {
    secure = createServer(selfSigned("chat.invalid"), (_request, response) => { knocks++; response.end("{}"); });
    await new Promise<void>((resolve) => { secure.listen(0, "127.0.0.1", resolve); });
    const port = (secure.address() as AddressInfo).port;
    const sendApis = (platform: string): Record<(typeof ASTRAY)[number], string> => ({ dns: "http://chat.invalid/bot/dns", refused: "http://127.0.0.1:9/bot/refused", tls: `https://127.0.0.1:${port}/bot/tls`, noise: `${platform.replace("http:", "https:")}/bot/noise` });
    scene = await startScene({
      seed, accounts: ({ platform }) => [...ASTRAY.map((bot) => account(bot, platform, { sendApi: sendApis(platform)[bot] })), account("hour", platform, {}), account("minute", platform, {})],
      // A reply may wait for three hours here.
      change: (flows) => flows.map((node) => (node.id === "gw" ? { ...node, staleMinutes: 180 } : node)),
    });
    await scene.own([...BOTS, "hour"]);
  });
  after(async () => {
    await scene?.[Symbol.asyncDispose]();
    secure?.closeAllConnections();
    secure?.close();
  });

  it(`is met as it must be, on every kind of channel (seed ${seed})`, async () => {
    const trials = CASES.flatMap((one, number) => BOTS.map((bot): Trial => ({ one, bot, chat: bot === "telegram" ? String(7200 + number) : `${bot}-${number}`, id: "", next: "" })));
    for (const trial of trials) {
      for (const order of trial.one.faults(trial.bot)) await stubOf(scene, trial.bot).control("fault", { op: "send", chat: trial.chat, ...order });
      trial.id = await scene.say({ ...trial, text: `quiet ${trial.one.text ?? ""}`.trim() });
      // The same person once more: in order, whatever becomes of the first.
      if (trial.one.ends !== "dead") trial.next = await scene.say({ ...trial, text: "quiet" });
    }
    const counts = await scene.quiet(0, full ? 900_000 : 90_000);
    const { byId, whole } = await scene.verdict(counts);
    const [seen, delivered] = [await scene.seen(), await scene.told("delivered")];
    const wrong = whole.findings.filter(({ id }) => id === undefined).map(({ what, text }) => `${what}: ${text}`);
    for (const trial of trials) wrong.push(...judged(trial, seen, byId, delivered));
    const dead = trials.filter(isDead);
    const notices = await scene.notices(dead.length);
    for (const bot of BOTS) {
      const [told, wanted] = [notices.filter((text) => text.startsWith(`${bot}: `)).length, dead.filter((one) => one.bot === bot).length];
      if (told !== wanted) wrong.push(`the owner of ${bot} got ${told} notices for ${wanted} dead letters`);
    }
    console.log(`      ${trials.length} faults, ${counts.received} messages, ${seen.filter(({ what }) => what === "failed").length} sends refused, ${dead.length} dead letters, ${notices.length} notices; doubled where the platform offers nothing: ${trials.filter(({ id }) => byId.get(id)?.includes("doubled")).length}; seed ${seed}; found wrong: ${wrong.length}`);
    assert.deepEqual(wrong, []);
    assert.equal(counts.outbox.dead, dead.length, "rows given up");
  });

  it("that is for good ends in one dead letter, one status, one receipt and one notice", async () => {
    const [dead, notices, from] = [(await scene.quiet()).outbox.dead ?? 0, (await scene.notices()).length, monotonicMs()];
    const lines = scene.rig.red.lines.length;
    await scene.rig.world.platform.control("fault", { op: "send", chat: "kicked", times: 99, fault: says("none", 403, "kicked") });
    const id = await scene.say({ bot: "none", chat: "kicked", text: "quiet" });
    const counts = await scene.quiet();
    const told = await scene.notices(notices + 1);
    await pause(3_000);
    assert.equal(counts.outbox.dead, dead + 1);
    assert.equal((await scene.notices()).length, notices + 1);
    assert.match(told.filter((text) => text.startsWith("none: ")).at(-1) ?? "", /MSG_002/);
    assert.deepEqual((await scene.told("status")).filter(({ t, fill }) => t > from && fill === "red").map(({ text }) => String(text).slice(0, 7)), ["MSG_002"]);
    assert.deepEqual((await scene.told("delivered")).filter((one) => one.id === id).map(({ state, code }) => [state, code]), [["failed", "MSG_002"]]);
    assert.equal((await scene.seen()).filter(({ what, chat }) => what === "failed" && chat === "kicked").length, 1, "tried once");
    const logged = scene.rig.red.lines.slice(lines).filter((line) => line.includes("kicked"));
    assert.deepEqual([logged.filter((line) => line.includes("Dead letter")).length, logged.length], [1, 2], "one line for the dead letter, one of the node");
  });

  it("before anything was sent counts as not sent: a name, a port, a certificate, a handshake", async () => {
    const ids = new Map<string, string>();
    const before = (await scene.quiet()).outbox.dead ?? 0;
    for (const bot of ASTRAY) ids.set(bot, await scene.say({ bot, chat: `far-${bot}`, text: "quiet" }));
    // Three tries (1 and 2 s between them): two would be the end of what is in doubt.
    await pause(4_500);
    await scene.deploy(scene.flows.map((node) => (ASTRAY.includes(node.slug as "dns") ? { ...node, settings: { ...node.settings as object, sendApi: undefined } } : node)), "nodes");
    const counts = await scene.quiet();
    const { byId } = await scene.verdict(counts);
    // What answers in another language than TLS may have understood something: there it may end as a dead letter.
    const lost = byId.get(ids.get("noise") ?? "") ?? [];
    assert.ok(lost.length === 0 || lost.join() === "lost", `noise: ${lost.join()}`);
    assert.deepEqual(ASTRAY.slice(0, -1).map((bot) => [bot, byId.get(ids.get(bot) ?? "") ?? []]), ASTRAY.slice(0, -1).map((bot) => [bot, []]));
    assert.equal(counts.outbox.dead, before + lost.length);
    assert.equal(knocks, 0, "a request went to a host whose certificate was refused");
  });

  it("while an answer grows leaves no piece of it", async () => {
    const { model, platform } = scene.rig.world;
    const ids: string[] = [];
    for (const [number, { model: fault, op, times, fault: broken }] of GROWING.entries()) {
      const [chat, word] = [`grow-${number}`, `grows-${number}`];
      await model.control("fault", { fault, word, pauseMs: 1_500, times: fault === "reset" ? 99 : 1 });
      if (op !== undefined) await platform.control("fault", { op, chat, fault: broken, times: times ?? 1 });
      ids.push(await scene.say({ bot: "edit", chat, text: `long ${word}` }));
    }
    const counts = await scene.quiet();
    const seen = await scene.seen();
    const wrong: string[] = [];
    for (const [number, { name, model: fault, strays = 0 }] of GROWING.entries()) {
      const own = seen.filter(({ chat, what }) => chat === `grow-${number}` && what !== "acked" && what !== "said");
      const texts = new Map<unknown, string>();
      for (const { what, ref, text } of own) if (what === "shown" || what === "edited") texts.set(ref, String(text)); else if (what === "removed") texts.delete(ref);
      const pieces = [...texts.values()];
      const wanted = fault === "reset" ? [] : answerTo(`${ids[number]} long`).split("\n\n");
      if (!wanted.every((part) => pieces.includes(part)) || pieces.length - wanted.length > strays) wrong.push(`${name} (${ids[number]}): expected ${wanted.length} parts and at most ${strays} strays, got ${JSON.stringify(pieces.map((text) => `${text.slice(0, 12)}… ${text.length}`))} by ${own.map(({ what, ref }) => `${what} ${String(ref)}`).join(", ")}`);
      if (!own.some(({ what }) => what === "shown" || what === "failed")) wrong.push(`${name}: no placeholder was shown`);
    }
    assert.deepEqual(wrong, []);
    assert.equal(counts.outbox.planned, 0, "rows that wait for ever");
  });

  it("of an hour keeps the answer, sends nothing meanwhile, and holds up nobody else", async () => {
    const { platform } = scene.rig.world;
    const before = await scene.quiet();
    await platform.control("fault", { op: "send", chat: "hour", fault: says("none", 429, "Too Many Requests", { seconds: 3_600 }), times: 99 });
    await platform.control("fault", { op: "send", chat: "minute", fault: says("none", 429, "Too Many Requests", { seconds: 60 }), times: 99 });
    await platform.control("fault", { op: "send", chat: "day", fault: says("none", 429, "Too Many Requests", { seconds: 14_400 }), times: 99 });
    const waits = [await scene.say({ bot: "hour", chat: "hour", text: "quiet" }), await scene.say({ bot: "minute", chat: "minute", text: "quiet" })];
    const stale = await scene.say({ bot: "none", chat: "day", text: "quiet" });
    await scene.quiet(3);
    const others = [await scene.say({ bot: "minute", chat: "other", text: "quiet" }), await scene.say({ bot: "key", chat: "other", text: "quiet" })];
    const behind = await scene.say({ bot: "minute", chat: "minute", text: "quiet" });
    await scene.quiet(4);
    await pause(3_000);
    const counts = await scene.quiet(4);
    const { byId } = await scene.verdict(counts);
    const seen = await scene.seen();
    assert.deepEqual(others.map((id) => byId.get(id) ?? []), [[], []], "other chats go on");
    assert.deepEqual([...waits, behind].map((id) => byId.get(id)), [["lost"], ["lost"], ["lost"]], "what waits is not seen");
    // The fourth is the notice to the owner: it goes by the account that was told to wait for four hours.
    assert.equal(counts.outbox.planned, 4, "and is kept");
    assert.deepEqual(["hour", "minute", "day"].map((chat) => seen.filter((entry) => entry.chat === chat && (entry.what === "failed" || entry.what === "shown")).length), [1, 1, 1], "sends");
    const told = await scene.told("delivered");
    assert.deepEqual([...waits, behind].map((id) => told.filter((one) => one.id === id).map(({ state, code }) => `${String(state)} ${String(code)}`)), [["queued CONN_003"], ["queued CONN_003"], ["queued CONN_003"]]);
    // A wait that goes beyond the life of a reply is its end.
    assert.deepEqual(told.filter((one) => one.id === stale).map(({ state, code }) => `${String(state)} ${String(code)}`), ["failed CONN_003"]);
    assert.equal(counts.outbox.dead, (before.outbox.dead ?? 0) + 1);
  });
});

const account = (bot: string, platform: string, settings: object) => ({ id: `acc-${bot}`, type: "clawflow-account", name: bot, gateway: "gw", slug: bot, channel: "fault-none", policy: "open", settings: { api: `${platform}/bot/${bot}`, inbound: "webhook", ...settings }, version: 1 });
const stubOf = (scene: Scene, bot: Speaker) => (bot === "telegram" ? scene.rig.world.telegram : scene.rig.world.platform);

function judged(trial: Trial, seen: readonly Entry[], byId: ReadonlyMap<string, readonly string[]>, delivered: readonly Entry[]): string[] {
  const { one, bot, chat, id, next } = trial;
  const wrong: string[] = [];
  const check = (what: string, got: unknown, wanted: unknown) => { if (JSON.stringify(got) !== JSON.stringify(wanted)) wrong.push(`${one.name}, ${bot} (${id}): expected ${what} to be ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`); };
  const found = byId.get(id) ?? [];
  // A second copy of a message of Telegram has all parts of a long answer in it.
  const most = bot === "telegram" ? partsOf(one.text ?? "") : 1;
  const extra = one.ends.startsWith("extra") && offersNothing(bot) && found.length <= most && found.every((what) => what === "doubled");
  check("what the judge finds", extra ? [] : found, one.ends === "dead" ? ["lost"] : []);
  if (next !== "") check("what the judge finds of the next message", byId.get(next) ?? [], []);
  const own = seen.filter((entry) => entry.chat === chat && entry.bot === bot);
  const failed = own.filter(({ what }) => what === "failed");
  if (one.refused !== undefined) check("refused sends", failed.length, one.refused);
  const after = own.find(({ what, t }) => what === "shown" && t > (failed.at(-1)?.t ?? 0));
  if (one.waitMs !== undefined) check(`a wait of ${one.waitMs} ms`, (after?.t ?? 0) - (failed[0]?.t ?? 0) >= one.waitMs - 5, true);
  if (one.date) check("a wait until the date", (after?.t ?? 0) >= monotonicMs() + (dates.get(bot) ?? 0) - Date.now() - 5, true);
  if (one.plain && bot !== "telegram") check("plain text", after?.plain, true);
  const receipts = delivered.filter((entry) => entry.id === id);
  check("receipts", receipts.length, 1);
  if (isDead(trial)) check("a receipt that says it was sent", receipts[0]?.state === "sent", false);
  return wrong;
}
