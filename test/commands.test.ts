import assert from "node:assert/strict";
import { sayIn } from "../engine/chat-texts.ts";
import { COMMANDS, mayUse, menuOf, readCommand } from "../engine/commands.ts";
import { createGateway, type GatewayAccount, type GatewayLimits } from "../engine/gateway.ts";
import type { Run } from "../engine/inbox.ts";
import type { Message } from "../engine/message.ts";
import { bookOf } from "../engine/memory.ts";
import { StoreError } from "../engine/errors.ts";
import { stopOf } from "../engine/stopped.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import type { Store } from "../engine/store/store.ts";
import { manualClock, message, scriptedChannel, settle } from "./kit/scripted.ts";

const OPEN: GatewayAccount = { id: "acc", channel: "scripted", name: "Bot", settings: {}, policy: { policy: "open", allow: [] } };
const SESSION = "agent:home:scripted:acc:direct:u1";

async function setup(options: { store?: Store; limits?: Partial<GatewayLimits>; commands?: GatewayAccount["commands"]; language?: string; start?: boolean } = {}) {
  const { store = createMemoryStore() } = options;
  const channel = scriptedChannel({ limits: { text: 4_000 } });
  const clock = manualClock();
  const gateway = await createGateway({
    store, clock, random: () => 0.5, limits: () => options.limits ?? {}, spool: { sweep: async () => 0 } as never, fetchFor: async () => fetch,
    texts: { claimed: "", notice: ({ code }) => code }, log: () => undefined, ...(options.language === undefined ? {} : { language: options.language }),
  });
  gateway.agents.set("a1", { name: "home", scope: "account-channel-peer", handle: "home", label: "Home", model: { id: "m1", label: "Small" }, models: [{ id: "m1", label: "Small" }, { id: "m2", label: "Large" }] });
  const account = { ...OPEN, ...(options.commands === undefined ? {} : { commands: options.commands }) };
  await gateway.setAccounts([{ account, channel }]);
  await settle();
  const runs: Run[] = [];
  gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: ({ kind }) => kind === "message", emit: (run) => { runs.push(run); } });
  if (options.start !== false) { gateway.start(); await settle(); }
  const receive = async (fields: Parameters<typeof message>[0] | Message) => {
    const result = await channel.context?.receive("version" in (fields as object) ? (fields as Message) : message(fields as Parameters<typeof message>[0]));
    await settle();
    return result;
  };
  const said = () => channel.sent.map(({ text }) => text);
  const own = async () => { await gateway.people.set({ channel: "scripted", account: "acc", id: "boss", name: "Boss", trust: "owner", at: { channel: "scripted", account: "acc", chat: "bosschat", kind: "direct" } }); };
  return { gateway, channel, clock, runs, receive, said, store, own };
}
const counts = async (store: Store) => { const { pending, done, dead } = await store.counts(); return { pending, done, dead }; };

describe("words to the gateway", () => {
  const read = (text: string, more: Partial<Message> = {}, self = { id: "1", name: "house_bot" }) => { const found = readCommand(message({ text, ...more }), self); return found && [found.row.name, found.args]; };

  it("are read with the bot's name, in any case, in German too, with the words after them", () => {
    assert.deepEqual(read("/stop"), ["stop", ""]);
    assert.deepEqual(read("/STOP now "), ["stop", "now"]);
    assert.deepEqual(read("/stop@house_bot"), ["stop", ""]);
    assert.deepEqual(read("/stop@House_Bot x\ny"), ["stop", "x\ny"]);
    assert.deepEqual(read("@house_bot /neu"), ["new", ""]);
    assert.deepEqual(read("<@1> /modell Large"), ["model", "Large"]);
    assert.deepEqual(read("/gedächtnis"), ["memory", ""]);
    assert.deepEqual(read("/geda\u0308chtnis"), ["memory", ""], "decomposed");
    assert.deepEqual(read("", { action: { type: "command", name: "Hilfe", args: " x " } }), ["help", "x"]);
  });
  it("are not read where they are for another bot, not said to the bot, part of a text, or no message", () => {
    for (const text of ["/stop@other_bot", "please /stop", "/stopping", "/etc/passwd", "/ stop", "stop", "//stop", "/constructor", "/__proto__"]) assert.equal(read(text), undefined, text);
    assert.equal(read("/stop", { addressed: false }), undefined);
    assert.equal(read("/stop", { kind: "edit" }), undefined);
    assert.equal(read("/stop", { action: { type: "button", value: "/stop" } }), undefined);
  });
  it("have one word each, a text in every language, and a level", () => {
    const words = COMMANDS.flatMap(({ name, also }) => [name, ...also]);
    assert.equal(new Set(words).size, words.length);
    for (const { name } of COMMANDS) for (const language of ["en", "de"]) assert.notEqual(sayIn(language)(`about.${name}`), `about.${name}`);
    assert.deepEqual(["owner", "paired", "allowed", "stranger"].map((trust) => ["all", "paired", "owner", "off"].map((use) => Number(mayUse(use as "all", trust as "owner"))).join("")), ["1110", "1100", "1000", "0000"]);
  });
  it("stand in the menu behind the flows' own, which win", () => {
    const names = menuOf([{ name: "stop", description: "Stops the mill" }], ["whoami"], { new: "off" }, sayIn("de")).map(({ name }) => name);
    assert.deepEqual([names[0], names.filter((name) => name === "stop").length, names.includes("new"), names.includes("whoami"), names.includes("status")], ["stop", 1, false, false, true]);
  });
});

describe("commands", () => {
  it("are answered in the sender's language, once, outside the lane, and reach no flow", async () => {
    const { receive, said, runs, store, channel } = await setup();
    await receive({ text: "hello" });
    const help = message({ text: "/help", sender: { id: "u1", name: "U", bot: false, self: false, language: "de-CH" } });
    assert.equal(await receive(help), "saved");
    assert.equal(await receive(help), "duplicate");
    assert.match(said()[0] ?? "", /^Ich verstehe:\n.*\/stop: Beendet/s);
    assert.doesNotMatch(said()[0] ?? "", /pause/, "not listed for whom it is not");
    assert.equal(said().length, 1);
    assert.equal(runs.length, 1);
    assert.deepEqual(await counts(store), { pending: 1, done: 1, dead: 0 });
    assert.ok(channel.context?.commands.some(({ name }) => name === "stop"));
  });

  it("a stranger's are refused like everything a stranger says; who may not use one is told so", async () => {
    const { receive, said, gateway, channel } = await setup();
    await receive({ text: "/pause" });
    assert.deepEqual(said(), ["/pause is not for you here."]);
    assert.equal(gateway.pauses.all().length, 0);
    await gateway.setAccounts([{ account: { ...OPEN, policy: { policy: "owner", allow: [] } }, channel }]);
    assert.equal(await receive({ text: "/stop" }), "refused");
    assert.equal(said().length, 1);
  });

  it("step back where one is off, or a flow has its own", async () => {
    const { receive, said, runs } = await setup({ limits: { commands: { status: "off" } }, commands: [{ name: "stopp", description: "" }] });
    for (const text of ["/status", "/stopp"]) await receive({ text, chat: text });
    assert.deepEqual([runs.map(({ receipt }) => receipt.message.text), said()], [["/status", "/stopp"], []]);
    await receive({ text: "/stop" });
    assert.deepEqual(said(), ["Nothing was under way."]);
  });

  it("/stop ends what is under way and what waits in this chat, and nothing else; late output is not used", async () => {
    const { gateway, receive, said, runs, store } = await setup();
    for (const text of ["one", "two"]) await receive({ text });
    await receive({ text: "elsewhere", chat: "c2" });
    const [run] = runs as [Run];
    await receive({ text: "/stop" });
    assert.deepEqual([stopOf(run.abort.signal), said()], ["stopped", ["Stopped: 2 messages."]]);
    assert.deepEqual(await counts(store), { pending: 1, done: 3, dead: 0 });
    assert.equal((await store.receipt(1))?.reason, "a person stopped it");
    assert.equal(gateway.inbox.control.stopped(run.id), "stopped");
    gateway.settle(run.id, { fault: "aborted" });
    await receive({ text: "three" });
    assert.deepEqual(runs.map(({ receipt }) => receipt.message.text), ["one", "elsewhere", "three"]);
    assert.deepEqual(await counts(store), { pending: 2, done: 3, dead: 0 });
  });

  it("/new forgets the talk and its taint", async () => {
    const { gateway, receive, store } = await setup();
    await store.commit(gateway.sessions.changes(SESSION, "1.s.in", 1, [{ role: "user", text: "old" }], true));
    gateway.sessions.added(SESSION, [{ role: "user", text: "old" }], true);
    await receive({ text: "/new" });
    assert.deepEqual([await gateway.sessions.history(SESSION, 9, 0), await gateway.sessions.tainted(SESSION)], [[], false]);
  });

  it("/status, /usage, /memory and /whoami say what is", async () => {
    const { gateway, receive, said, store, clock } = await setup();
    await store.commit(gateway.sessions.changes(SESSION, "1.s.in", 1, [{ role: "user", text: "x".repeat(400) }], false));
    for (const text of ["one", "two"]) await receive({ text });
    await clock.advance(7_000);
    for (const text of ["/status", "/usage", "/memory", "/whoami"]) await receive({ text });
    assert.deepEqual(said(), ["Under way here: 1, for 7 s.\nWaiting: 1.\nHome answers with Small.", "You: today 0 tokens, US$ 0.00; this month 0 tokens, US$ 0.00.\nThis talk: 0 tokens, US$ 0.00.", "Of this talk I remember 1 entries. /new forgets them.", "u1 (u1), allowed, on scripted by acc."]);
  });

  it("/memory of somebody who may have forged the address reads and forgets nothing of whom it names", async () => {
    const { gateway, receive, said } = await setup();
    const mail = (from: string, text: string) => ({ text, from, chat: "ada@example.org" });
    await gateway.memory.remember(bookOf("chat", message(mail("ada@example.org", ""))), "the alarm code is 77", false);
    for (const text of ["/memory", "/memory forget all"]) await receive(mail("unverified:ada@example.org#0123456789abcdef", text));
    assert.deepEqual([said().some((text) => /77/.test(text)), said().at(-1)], [false, "There is no such note here."]);
    await receive(mail("ada@example.org", "/memory"));
    assert.match(said().at(-1) ?? "", /the alarm code is 77/);
  });

  it("/model shows to everybody, and lets an owner choose among the allowed ones, for good", async () => {
    const { gateway, receive, said, own } = await setup();
    await own();
    const boss = (text: string) => receive({ text, from: "boss", chat: "bosschat" });
    await receive({ text: "/model" });
    await receive({ text: "/model Large" });
    await boss("/model");
    await boss("/model Huge");
    await boss("/model large");
    assert.deepEqual(said(), ["Home: Small", "Only an owner chooses the model.", "Home: Small\nTo choose: /model Small | Large", "I know no model \"Huge\". Choose one of: Small, Large", "Home answers with Large from now on."]);
    const view = gateway.agents.get("a1");
    assert.ok(view);
    assert.equal(await gateway.team.chosen(view, message({ from: "boss", chat: "bosschat" })), "m2");
    assert.equal(await gateway.team.chosen(view, message({ from: "u1" })), undefined);
  });

  it("a command that was saved and not done when the process broke off is done by the next one, once", async () => {
    const store = createMemoryStore();
    const first = await setup({ store });
    for (const text of ["one", "two"]) await first.receive({ text });
    // The commit with its end never comes to the disk.
    const { commit } = store;
    store.commit = async (changes) => (changes.some((change) => change.do === "outbox") ? new Promise<never>(() => undefined) : commit.call(store, changes));
    void first.receive({ id: "the command", text: "/stop" });
    await settle();
    store.commit = commit;
    assert.deepEqual(await counts(store), { pending: 3, done: 0, dead: 0 });
    const second = await setup({ store });
    assert.deepEqual(second.said(), ["Stopped: 2 messages."]);
    assert.equal(second.runs.length, 0);
    assert.deepEqual(await counts(store), { pending: 0, done: 3, dead: 0 });
    const third = await setup({ store });
    await third.receive({ id: "the command", text: "/stop" });
    assert.deepEqual(third.said(), []);
  });

  /** Each is saved, the process breaks off before its end is on disk, and the next one does it. */
  async function brokenOff(text: string, before: (house: Awaited<ReturnType<typeof setup>>) => Promise<void>, more: Parameters<typeof message>[0] = {}) {
    const store = createMemoryStore();
    const first = await setup({ store });
    await first.own();
    await before(first);
    const { commit } = store;
    store.commit = async (changes) => (changes.some((change) => change.do === "outbox") ? new Promise<never>(() => undefined) : commit.call(store, changes));
    void first.receive({ id: "the command", from: "boss", text, ...more });
    await settle();
    store.commit = commit;
    const second = await setup({ store });
    assert.equal(await second.receive({ id: "the command", from: "boss", text, ...more }), "duplicate");
    assert.equal(second.said().length, 1, "answered once");
    return { ...second, text: second.said()[0] };
  }
  const turns = async ({ gateway, store }: Awaited<ReturnType<typeof setup>>) => { await store.commit(gateway.sessions.changes(SESSION.replace("u1", "boss"), "1.s.in", 1, [{ role: "user", text: "old" }], true)); };

  it("of which the process broke off do what they were to do, with agents that are known only once the flows run", async () => {
    const fresh = await brokenOff("/new", turns);
    assert.deepEqual([fresh.text, await fresh.gateway.sessions.history(SESSION.replace("u1", "boss"), 9, 0)], ["A new talk begins.", []]);
    const chosen = await brokenOff("/model large", async () => undefined);
    const view = chosen.gateway.agents.get("a1");
    assert.deepEqual([chosen.text, view && (await chosen.gateway.team.chosen(view, message({ from: "boss" })))], ["Home answers with Large from now on.", "m2"]);
    const gone = await brokenOff("/resume", async ({ receive }) => { await receive({ from: "boss", text: "/pause" }); });
    assert.deepEqual([gone.text, gone.gateway.pauses.all()], ["It goes on.", []]);
    const forgot = await brokenOff("/memory forget all", async ({ gateway }) => { await gateway.memory.remember(bookOf("person", message({ from: "boss" })), "likes tea", false); });
    assert.deepEqual([forgot.text, await forgot.gateway.memory.books(9)], ["Forgotten: 1.", []]);
  });

  it("in a group are understood after a restart, when the bot's own name is not known yet", async () => {
    const at = { channel: "scripted", account: "acc", chat: "g1", kind: "group" } as const;
    const { text } = await brokenOff("@Bot /whoami", async () => undefined, { at });
    assert.match(text ?? "", /^boss \(boss\), owner/);
  });

  it("wait while a deploy has the flows stopped, and are done in order before anything begins", async () => {
    const { gateway, receive, said, runs, own } = await setup();
    await own();
    gateway.stop();
    const [view] = [...gateway.agents];
    gateway.agents.clear();
    for (const text of ["/model Large", "/pause", "/model"]) await receive({ from: "boss", text });
    await receive({ from: "boss", text: "hello" });
    assert.deepEqual([said(), runs], [[], []]);
    gateway.agents.set(...(view as NonNullable<typeof view>));
    gateway.start();
    await settle();
    assert.deepEqual(said(), ["Home answers with Large from now on.", "This chat is paused. What comes waits until /resume.", "Home: Large\nTo choose: /model Small | Large"]);
    assert.deepEqual(runs, []);
  });

  it("/stop ends a question too that waits in a chat which was paused over a restart", async () => {
    const store = createMemoryStore();
    const first = await setup({ store });
    await first.own();
    first.gateway.asks.add("asker");
    await first.receive({ from: "boss", text: "ask me" });
    const [run] = first.runs as [Run];
    void first.gateway.asks.ask({ run: run.id, step: "q", node: "asker", to: run.receipt.message.at, who: { by: "chat" }, form: { kind: "text" }, text: "What?", waitMs: 0, again: { text: "", times: 0 }, cancelWords: [], signal: run.abort.signal });
    await settle();
    await first.receive({ from: "boss", text: "/pause" });
    const second = await setup({ store, start: false });
    second.gateway.asks.add("asker");
    second.gateway.start();
    await settle();
    await second.receive({ from: "boss", text: "/stop" });
    assert.deepEqual([second.said(), await store.list("question", "")], [["Stopped."], []]);
  });
});

describe("the kill switch", () => {
  it("/pause holds a chat: what is under way begins again later, what comes waits, nothing is lost", async () => {
    const { gateway, receive, said, runs, store, own } = await setup();
    await own();
    const boss = (text: string) => receive({ text, from: "boss" });
    await receive({ text: "one" });
    await gateway.once((runs[0] as Run).id, "step", async () => ({ data: "kept" }));
    await boss("/pause");
    assert.equal(stopOf((runs[0] as Run).abort.signal), "paused");
    gateway.settle((runs[0] as Run).id, { fault: "aborted" });
    await receive({ text: "two" });
    await receive({ text: "beside", chat: "c2" });
    assert.deepEqual([runs.length, runs[1]?.receipt.message.text], [2, "beside"]);
    assert.deepEqual(await counts(store), { pending: 3, done: 1, dead: 0 });
    await boss("/resume");
    assert.deepEqual(runs.map(({ receipt, pass }) => [receipt.message.text, pass]), [["one", 0], ["beside", 0], ["one", 1]]);
    assert.equal(await gateway.once((runs[2] as Run).id, "step", async () => ({ data: "again" })), "kept");
    gateway.settle((runs[2] as Run).id);
    await settle();
    assert.equal(runs[3]?.receipt.message.text, "two");
    assert.deepEqual(said(), ["This chat is paused. What comes waits until /resume.", "It goes on."]);
  });

  it("/pause all holds the gateway, over a restart, and for a time when it is told one", async () => {
    const store = createMemoryStore();
    const first = await setup({ store });
    await first.own();
    await first.receive({ text: "/pause all 30", from: "boss" });
    await first.receive({ text: "one" });
    assert.equal(first.runs.length, 0);
    const { receive, runs, clock, gateway, said } = await setup({ store });
    await receive({ text: "two", chat: "c2" });
    await receive({ text: "/status" });
    assert.match(said()[0] ?? "", /All agents are paused \(boss\)/);
    await clock.advance(29 * 60_000);
    assert.equal(runs.length, 0);
    await clock.advance(2 * 60_000);
    assert.deepEqual(runs.map(({ receipt }) => receipt.message.text).sort(), ["one", "two"]);
    assert.equal(gateway.pauses.of("all"), undefined);
  });

  it("lets a gateway go that is full of what waits: commands are taken still, messages are not", async () => {
    const store = { ...createMemoryStore(), size: async () => 200 };
    const { receive, said, runs, own, clock } = await setup({ store, limits: { storeBytes: 100 } });
    await own();
    const boss = (text: string) => receive({ text, from: "boss", chat: "bosschat" });
    await boss("/pause all");
    await receive({ text: "waits" });
    await clock.advance(3_000);
    await assert.rejects(receive({ text: "too much" }), { code: "STORE_005", retry: "later" });
    assert.equal(runs.length, 0);
    assert.equal(await boss("/resume all"), "saved");
    assert.deepEqual([runs.map(({ receipt }) => receipt.message.text), said().length], [["waits"], 2]);
    assert.equal(await receive({ text: "/stop" }), "saved");
    assert.equal(said().at(-1), "Stopped.");
  });

  it("says so once for each chat and pause, where it is set", async () => {
    const { receive, said, own } = await setup({ limits: { pausedAnswer: true } });
    await own();
    await receive({ text: "/pause all", from: "boss", chat: "bosschat" });
    for (const text of ["one", "two"]) await receive({ text });
    assert.deepEqual(said().slice(1), ["I rest for the moment. Your message is kept and answered later."]);
  });
});

describe("a message that takes the place of what is under way", () => {
  it("waits where a tool that changes something has begun, done or not; a tool that reads keeps nobody waiting", async () => {
    for (const how of ["reads", "at work", "done"]) {
      const { gateway, receive, runs } = await setup();
      await receive({ text: "one" });
      const [{ id, abort }] = runs as [Run];
      gateway.inbox.control.more(id, "interrupt");
      const act = async (begin: () => Promise<void>) => {
        if (how !== "reads") await begin();
        return how === "at work" ? new Promise<never>(() => undefined) : { data: 1 };
      };
      void gateway.once(id, "agent tool 1.0", act, () => -1);
      await settle();
      await receive({ text: "two" });
      assert.equal(stopOf(abort.signal), how === "reads" ? "interrupted" : undefined, how);
      gateway.settle(id);
      await settle();
      assert.deepEqual(runs.map(({ messages }) => messages.map(({ text }) => text)), how === "reads" ? [["one"], ["one\ntwo"]] : [["one"], ["two"]], how);
    }
  });
});

describe("a command while the store is away", () => {
  /** Each of the named reads and writes fails once. */
  function flaky(fails: Set<string>): Store {
    const store = createMemoryStore();
    const once = (name: string, error: () => Error = () => new StoreError("STORE_001", { retry: "later" }, "the disk is away")): void => { if (fails.delete(name)) throw error(); };
    return {
      ...store,
      async commit(changes) { for (const change of changes) if (change.do === "forget-turns") once("forget"); return store.commit(changes); },
      async notes(...given) { once("notes", () => new TypeError("something else")); return store.notes(...given); },
    };
  }
  it("is done once it is back, and one that fails otherwise ends, and is told in the log", async () => {
    const { clock, receive, said, store } = await setup({ store: flaky(new Set(["forget", "notes"])) });
    const first = receive({ text: "/new" });
    await settle();
    await clock.advance(1_000);
    await settle();
    assert.equal(await first, "saved");
    assert.equal(said().length, 1);
    assert.equal(await receive({ text: "/memory" }), "saved");
    assert.equal(await receive({ text: "/status" }), "saved");
    assert.equal(said().length, 2, "the second had no answer, the third has");
    assert.deepEqual(await counts(store), { pending: 0, done: 3, dead: 0 });
  });
  it("of an earlier process keeps no message from its flow", async () => {
    const fails = new Set<string>();
    const store = flaky(fails);
    const early = await setup({ store, start: false });
    assert.equal(await early.receive({ text: "/memory" }), "saved");
    fails.add("notes");
    const { receive, runs } = await setup({ store });
    await receive({ text: "hello" });
    assert.deepEqual(runs.map(({ receipt }) => receipt.message.text), ["hello"]);
  });
});

describe("bots that answer each other", () => {
  it("pause their chat, the owner is told once, and a person's word ends it", async () => {
    const { gateway, receive, said, runs, own, channel } = await setup({ limits: { botTurns: 3, botPauseMs: 600_000 } });
    await own();
    const bot = (text: string) => receive({ text, sender: { id: "b2", name: "Other", bot: true, self: false } });
    for (const text of ["1", "2"]) { await bot(text); gateway.settle((runs.at(-1) as Run).id); }
    await receive({ text: "a person" });
    gateway.settle((runs.at(-1) as Run).id);
    await settle();
    for (const text of ["1", "2", "3", "4"]) { await bot(text); const last = runs.at(-1); if (last !== undefined && gateway.inbox.run(last.id)) gateway.settle(last.id); await settle(); }
    assert.deepEqual(runs.map(({ receipt }) => receipt.message.text), ["1", "2", "a person", "1", "2"]);
    assert.equal(said().length, 1);
    assert.match(said()[0] ?? "", /3 times.*rests for 10 minutes/);
    assert.equal(channel.sent[0]?.to.chat, "bosschat");
    await receive({ text: "/status", chat: "c1", sender: { id: "b2", name: "Other", bot: true, self: false }, language: "de" });
    assert.match(said().at(-1) ?? "", /Bots, die einander antworten/);
    await receive({ text: "stop it, both" });
    assert.equal(gateway.pauses.all().length, 0);
    assert.equal(runs.at(-1)?.receipt.message.text, "3");
  });
});
