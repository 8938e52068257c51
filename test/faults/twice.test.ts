/**
 * F39-F41: what a platform brings again, in another order, or while the memory of it is being tidied up, on the engine with its store on disk:
 * one run for each message, one message of a chat after the other, and nothing that makes it stumble.
 */
import assert from "node:assert/strict";
import type { Connection } from "../../engine/channels/channel.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { VISITOR_HEADER } from "../../engine/channels/webchat/protocol.ts";
import { createWebchat } from "../../engine/channels/webchat/webchat.ts";
import type { Message } from "../../engine/message.ts";
import { createWebhook } from "../../engine/webhook/webhook.ts";
import { message, scriptedChannel, settle, until } from "../kit/scripted.ts";
import { startTelegram, type TelegramStub } from "../platforms/telegram.ts";
import { DAY, type EngineRig, HOUR, MINUTE, startEngine } from "./engine.ts";
import { dice } from "./rounds.ts";

const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const full = process.env.CLAWFLOW_FAULTS === "full";

/** A way in: brings the event of this name so many times at once, and resolves when the platform has its answers. */
interface Door extends AsyncDisposable { readonly rig: EngineRig; bring(name: string, copies: number): Promise<void> }
type Flow = NonNullable<Parameters<typeof startEngine>[0]>["flow"];

/** A request that did not end in "yes" comes again, as every platform makes it. */
async function post(connection: () => Connection | undefined, path: string, headers: Record<string, string>, body: unknown): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const answer = await connection()?.webhook?.({ method: "POST", path, query: new URLSearchParams(), headers: { "content-type": "application/json", ...headers }, body: Buffer.from(JSON.stringify(body)), remote: "127.0.0.1", signal: new AbortController().signal });
    if (answer !== undefined && answer.status >= 200 && answer.status < 300) return;
    if (answer !== undefined && answer.status !== 503) throw new Error(`the platform got ${answer.status} ${String(answer.body)}`);
    await settle();
  }
  throw new Error("the platform was told to come again 50 times");
}
const together = async (copies: number, act: () => Promise<void>): Promise<void> => { await Promise.all(Array.from({ length: copies }, act)); };
/** Names are numbered from 1. */
const numberOf = (name: string): number => Number(/\d+$/.exec(name)?.[0]);
const chatOf = (name: string): number => 7000 + (numberOf(name) % 3);
function updateOf(name: string, more: object = {}) {
  const chat = chatOf(name);
  return { message_id: 100 + numberOf(name), date: 1_790_000_000 + numberOf(name), chat: { id: chat, type: "private", first_name: "Ada" }, from: { id: chat, is_bot: false, first_name: "Ada" }, text: name, ...more };
}
async function openTelegram(mode: "polling" | "webhook", flow?: Flow): Promise<{ rig: EngineRig; stub: TelegramStub; connection: () => Connection | undefined }> {
  const stub = await startTelegram();
  const rig = await startEngine({
    ...(flow === undefined ? {} : { flow }),
    accounts: [{ account: { id: "tg", settings: { token: stub.token, mode, apiRoot: stub.url }, webhookUrl: "https://bot.example/telegram" }, channel: telegram }],
  });
  const connection = () => rig.gateway.connections.get("tg")?.connection;
  await until(() => connection() !== undefined, "the bot's connection");
  return { rig, stub, connection };
}

const DOORS: Readonly<Record<string, (flow?: Flow) => Promise<Door>>> = {
  async "Telegram's webhook"(flow) {
    const { rig, stub, connection } = await openTelegram("webhook", flow);
    // Telegram itself would only post to its own address of us: here the posts are ours.
    return {
      rig,
      bring: (name, copies) => together(copies, () => post(connection, "/", { "x-telegram-bot-api-secret-token": stub.webhook.secret ?? "" }, { update_id: numberOf(name), message: updateOf(name) })),
      async [Symbol.asyncDispose]() { await rig[Symbol.asyncDispose](); await stub.close(); },
    };
  },
  async "Telegram's polling"(flow) {
    const { rig, stub, connection } = await openTelegram("polling", flow);
    let bot: Connection | undefined;
    return {
      rig,
      async bring(name, copies) {
        // Its own offset would hide from a poller what it has confirmed: Telegram brings that again to one who does not name it.
        if (bot !== undefined && bot === connection()) { rig.gateway.connections.reopen("tg"); await until(() => connection() !== undefined && connection() !== bot, "another poller"); }
        bot = connection();
        await until(() => stub.calls("getUpdates").length > 0);
        for (let copy = 0; copy < copies; copy++) stub.push({ message: updateOf(name) }, { id: numberOf(name) });
        await until(() => stub.pending().length === 0, "a confirmation");
      },
      async [Symbol.asyncDispose]() { await rig[Symbol.asyncDispose](); await stub.close(); },
    };
  },
  async "the web chat's POST"(flow) {
    const rig = await startEngine({ ...(flow === undefined ? {} : { flow }), accounts: [{ account: { id: "chat" }, channel: createWebchat(async () => undefined as never) }] });
    const connection = () => rig.gateway.connections.get("chat")?.connection;
    return {
      rig,
      bring: (name, copies) => together(copies, () => post(connection, "/send", { [VISITOR_HEADER]: `visitor-of-${name}-0123456789abcdef`, host: "here" }, { clientId: `client-${name}`, text: name })),
      [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
    };
  },
  async "a webhook whose sender names its deliveries"(flow) {
    const rig = await startEngine(flow === undefined ? {} : { flow });
    return { rig, bring: (name, copies) => together(copies, () => post(() => hookOf(rig, { mode: "now" }), "/", { "idempotency-key": name }, { text: name })), [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
  },
  async "a webhook that answers with the flow's reply"(flow) {
    const rig = await startEngine(flow === undefined ? {} : { flow });
    return { rig, bring: (name, copies) => together(copies, () => post(() => hookOf(rig, { mode: "reply", timeoutMs: 25_000 }), "/", { "idempotency-key": name }, { text: name })), [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
  },
};
const hooks = new WeakMap<EngineRig, Connection>();
/** A webhook node's endpoint; one for each process. */
function hookOf(rig: EngineRig, answer: Parameters<typeof createWebhook>[0]["answer"]): Connection {
  const { gateway } = rig;
  const before = hooks.get(rig) as (Connection & { readonly of?: unknown }) | undefined;
  if (before?.of === gateway) return before;
  void before?.close();
  const webhook = createWebhook({ scheme: { kind: "none" }, answer }, {
    clock: gateway.clock,
    receive: (inbound) => gateway.accept({ ...message({ id: inbound.id, ref: inbound.id, text: (inbound.body as { text: string }).text }), kind: "event", at: { channel: "webhook", account: "hook", chat: inbound.id, kind: "direct" } }, { trust: "allowed", tainted: true }),
  });
  if (answer.mode === "reply") gateway.events.on("end", ({ receipt }) => { try { webhook.reply(receipt.message.id, { text: "done" }); } catch { /* Nobody waits any more. */ } });
  const made = { of: gateway, self: { id: "hook", name: "hook" }, webhook: webhook.handle, send: async () => "", close: async () => webhook.close() };
  hooks.set(rig, made);
  return made;
}

/** Names of runs, each run once however often it was begun. */
function begun({ runs }: EngineRig): string[] {
  return [...new Map(runs.map((run) => [run.id, run.receipt.message.text])).values()].sort();
}

describe("F39: a delivery that comes again", function () {
  this.timeout(60_000);
  for (const [name, open] of Object.entries(DOORS)) {
    it(`by ${name}: ten times at once, later, after a restart and after seven days, is one run`, async () => {
      await using door = await open();
      const { rig } = door;
      const again = async () => { for (const one of ["e1", "e2", "e3"]) await door.bring(one, 10); };
      const check = async (when: string, received: number) => {
        await settle();
        assert.deepEqual(begun(rig).filter((one) => one !== "old9"), ["e1", "e2", "e3"], when);
        assert.deepEqual(await rig.conserve(), { received, pending: 0, done: received, dead: 0 }, when);
      };
      await door.bring("old9", 1);
      rig.sleep(1.2 * DAY);
      await again();
      await check("at first", 4);
      await rig.pass(MINUTE, 3);
      await again();
      await check("later", 4);
      await rig.restart("crash");
      await again();
      await check("after a crash", 4);
      rig.sleep(7 * DAY - HOUR);
      await rig.pass(2 * MINUTE, 3);
      // What is old enough was forgotten meanwhile, and nothing else.
      await again();
      await check("after seven days", 3);
      await rig.restart();
      await rig.pass(MINUTE, 3);
      await again();
      await check("after seven days and a restart", 3);
    });

    it(`by ${name}: also while its run is under way, and when that is begun again after a crash`, async () => {
      let hold = true;
      await using door = await open((run, gateway) => { if (!hold) gateway.settle(run.id); });
      const { rig } = door;
      const first = door.bring("e1", 5);
      await until(() => rig.runs.length === 1, "the run");
      if (name !== "a webhook that answers with the flow's reply") await first;
      await rig.restart("crash");
      await settle();
      assert.equal(rig.runs.length, 2, "the run was not begun again");
      const second = door.bring("e1", 5);
      hold = false;
      for (const run of [...rig.gateway.inbox.runs()]) rig.gateway.settle(run.id);
      await Promise.allSettled([first, second]);
      await settle();
      assert.deepEqual(begun(rig), ["e1"]);
      assert.deepEqual(await rig.conserve(), { received: 1, pending: 0, done: 1, dead: 0 });
    });
  }
});

const shuffled = <T>(items: readonly T[], random: () => number): T[] => items.map((item) => [random(), item] as const).sort(([a], [b]) => a - b).map(([, item]) => item);

describe("F40: deliveries in another order", function () {
  this.timeout(60_000);
  const random = dice(seed);

  it(`in Telegram's own order, its chats interleaved and bursts of copies between them, run in that order in each chat (seed ${seed})`, async () => {
    for (let round = 0; round < (full ? 40 : 6); round++) {
      const under: string[] = [];
      const { rig, stub } = await openTelegram("polling", (run, gateway) => {
        const chat = run.receipt.message.at.chat;
        assert.ok(!under.includes(chat), "two runs of one chat at once");
        under.push(chat);
        setTimeout(() => { under.splice(under.indexOf(chat), 1); gateway.settle(run.id); }, random() * 4);
      });
      try {
        const names = Array.from({ length: 30 }, (_, at) => `e${at + 1}`);
        for (const name of names) for (let copies = random() < 0.2 ? 3 : 1; copies > 0; copies--) stub.push({ message: updateOf(name) }, { id: numberOf(name) });
        await until(() => rig.runs.length >= 30 && [...rig.gateway.inbox.runs()].length === 0, "all runs");
        for (const chat of [7000, 7001, 7002]) assert.deepEqual(rig.texts().filter((name) => chatOf(name) === chat), names.filter((name) => chatOf(name) === chat));
        await settle();
        assert.deepEqual(await rig.conserve(), { received: 30, pending: 0, done: 30, dead: 0 });
      } finally {
        await rig[Symbol.asyncDispose]();
        await stub.close();
      }
    }
  });

  it(`shuffled, by webhook: each runs once, one after the other in its chat, as they came (seed ${seed})`, async () => {
    for (let round = 0; round < (full ? 40 : 6); round++) {
      const under = new Set<string>();
      const { rig, stub, connection } = await openTelegram("webhook", (run, gateway) => {
        const chat = run.receipt.message.at.chat;
        assert.ok(!under.has(chat), "two runs of one chat at once");
        under.add(chat);
        setTimeout(() => { under.delete(chat); gateway.settle(run.id); }, random() * 4);
      });
      try {
        const names = Array.from({ length: 30 }, (_, at) => `e${at + 1}`);
        const events = names.flatMap((name) => [
          { update_id: numberOf(name), message: updateOf(name) },
          // Edits of some, which may come before what they edit; copies of others; and what no flow wants.
          ...(random() < 0.3 ? [{ update_id: 500 + numberOf(name), edited_message: updateOf(name, { text: `${name} said anew`, edit_date: 1_790_000_900 }) }] : []),
          ...(random() < 0.3 ? [{ update_id: numberOf(name), message: updateOf(name) }] : []),
          ...(random() < 0.2 ? [{ update_id: 900 + numberOf(name), message_reaction: { chat: updateOf(name).chat, message_id: 100 + numberOf(name), date: 1_790_000_500, user: updateOf(name).from, old_reaction: [], new_reaction: [{ type: "emoji", emoji: "👍" }] } }] : []),
        ]);
        const order = shuffled(events, random);
        await Promise.all(order.map((event) => post(connection, "/", { "x-telegram-bot-api-secret-token": stub.webhook.secret ?? "" }, event)));
        await until(async () => (await rig.gateway.store.counts()).pending === 0, "all runs");
        const said = rig.runs.filter(({ receipt }) => receipt.message.kind === "message");
        assert.deepEqual(said.map(({ receipt }) => numberOf(receipt.message.id)).sort((a, b) => a - b), names.map(numberOf));
        const came = [...new Set(order.filter((event) => "message" in event).map(({ update_id }) => update_id))];
        for (const chat of ["7000", "7001", "7002"]) {
          const own = said.filter(({ receipt }) => receipt.message.at.chat === chat).map(({ receipt }) => numberOf(receipt.message.id));
          assert.deepEqual(own, came.filter((id) => own.includes(id)), "not as they came");
        }
        const { received, done, dead } = await rig.conserve();
        assert.equal(received, new Set(order.map(({ update_id }) => update_id)).size);
        assert.deepEqual([done, dead], [received, 0]);
      } finally {
        await rig[Symbol.asyncDispose]();
        await stub.close();
      }
    }
  });

  it(`edited and deleted before, while and after they are handled, with crashes in between: each runs at most once, what is deleted in time not at all (seed ${seed})`, async () => {
    for (let round = 0; round < (full ? 200 : 12); round++) {
      const channel = scriptedChannel();
      await using rig = await startEngine({ accounts: [{ account: { id: "acc" }, channel }], takes: ({ kind }) => kind === "message", flow: () => undefined });
      const receive = (one: Message) => channel.context?.receive(one);
      const act = (kind: "edit" | "delete", ref: string, text = "") => message({ kind, id: `${kind}-${ref}-${text}`, ref, text, chat: "c1", from: "u1" });
      const names = ["one", "two", "three", "four", "five", "six"];
      const inTime = new Set<string>();
      /** Said, and not begun: what is deleted now is not answered. */
      const erase = async (ref: string) => {
        await settle();
        const said = await rig.gateway.store.pending(0, 100);
        const waits = said.some(({ message: one }) => one.kind === "message" && one.ref === ref) && !rig.runs.some(({ receipt }) => receipt.message.ref === ref);
        if (waits) inTime.add(ref);
        await receive(act("delete", ref));
      };
      const acts = shuffled([
        ...names.map((ref) => () => receive(message({ id: `said-${ref}`, ref, text: ref, chat: "c1", from: "u1" }))),
        () => receive(act("edit", "two", "two, anew")), () => erase("three"), () => receive(act("edit", "four", "four, anew")), () => erase("four"),
        () => receive(act("delete", "nobody said it")), () => receive({ ...act("delete", "five"), sender: { id: "u2", name: "u2", bot: false, self: false } }),
        async () => { for (const run of [...rig.gateway.inbox.runs()]) rig.gateway.settle(run.id); await settle(); },
        async () => { for (const run of [...rig.gateway.inbox.runs()]) rig.gateway.settle(run.id); await settle(); },
        () => rig.restart("crash"), () => rig.restart("order"),
      ], random);
      for (const one of acts) await one();
      for (let tries = 0; (await rig.gateway.store.counts()).pending > 0 && tries < 50; tries++) { await settle(); for (const run of [...rig.gateway.inbox.runs()]) rig.gateway.settle(run.id); await settle(); }
      const ran = [...new Map(rig.runs.map((run) => [run.id, run.receipt.message.ref])).values()];
      assert.equal(new Set(ran).size, ran.length, "a message had two runs");
      for (const ref of names) assert.equal(ran.includes(ref), !inTime.has(ref), `${ref} ${inTime.has(ref) ? "ran, deleted in time" : "never ran"}`);
      const { received, done, dead } = await rig.conserve();
      assert.deepEqual([received, done, dead], [12, 12, 0]);
    }
  });
});

describe("F41: the memory of deliveries", function () {
  this.timeout(120_000);

  it(`is tidied up under load: what is younger than eight days still has one run (seed ${seed})`, async () => {
    const [OLD, YOUNG, FRESH] = full ? [60_000, 20_000, 10_000] : [6_000, 1_500, 500];
    const random = dice(seed);
    await using rig = await startEngine();
    const { gateway, time } = rig;
    const named = (kind: string, at: number) => message({ id: `${kind}-${at}`, ref: `${kind}-${at}`, text: `${kind}-${at}`, chat: `c${at % 50}` });
    const say = async (kind: string, count: number) => {
      for (let from = 0; from < count; from += 500) await Promise.all(Array.from({ length: Math.min(500, count - from) }, (_, at) => gateway.accept(named(kind, from + at), { trust: "owner", tainted: false })));
      await until(async () => (await gateway.store.counts()).pending === 0, "all runs", 60_000);
    };
    await say("old", OLD);
    rig.sleep(1.5 * DAY);
    await say("young", YOUNG);
    rig.sleep(6.9 * DAY);
    const before = await rig.conserve();
    assert.equal(before.received, OLD + YOUNG);
    // The first tidying comes within a minute, and takes its time: meanwhile everything that is known comes again, and more that is not.
    const tidying = time.pass(MINUTE);
    const load = shuffled([...Array.from({ length: YOUNG }, (_, at) => named("young", at)), ...Array.from({ length: YOUNG }, (_, at) => named("young", at)), ...Array.from({ length: FRESH }, (_, at) => named("fresh", at))], random);
    const answers = { saved: 0, duplicate: 0, refused: 0 };
    let partly = 0;
    for (let from = 0; from < load.length; from += 100) {
      for (const answer of await Promise.all(load.slice(from, from + 100).map((one) => gateway.accept(one, { trust: "owner", tainted: false })))) answers[answer]++;
      const left = (await gateway.store.counts()).received - YOUNG - answers.saved;
      if (left > 0 && left < OLD) partly++;
    }
    await tidying;
    await until(async () => (await gateway.store.counts()).pending === 0, "all runs", 60_000);
    await settle();
    assert.deepEqual(answers, { saved: FRESH, duplicate: 2 * YOUNG, refused: 0 });
    assert.ok(partly > 0, "nothing was tidied up while messages came");
    assert.deepEqual(await rig.conserve(), { received: YOUNG + FRESH, pending: 0, done: YOUNG + FRESH, dead: 0 }, "what is older than eight days is gone, all else is there");
    assert.equal(rig.runs.length, OLD + YOUNG + FRESH);
    assert.equal(new Set(rig.texts()).size, rig.runs.length);
  });
});
