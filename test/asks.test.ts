/** Questions to people: the reducer's part, and the engine over every store, with processes that end in between. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { readAnswer, type AnswerForm } from "../engine/answers.ts";
import type { Limits } from "../engine/channels/channel.ts";
import type { Question } from "../engine/asks.ts";
import { ChannelError, StoreError } from "../engine/errors.ts";
import { createGateway, type Gateway, type GatewayAccount } from "../engine/gateway.ts";
import type { Run } from "../engine/inbox.ts";
import { reduce, type ReceiptView } from "../engine/life.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import type { Store } from "../engine/store/store.ts";
import { manualClock, message, scriptedChannel, settle } from "./kit/scripted.ts";

const MINUTE = 60_000;

describe("a question in the reducer", () => {
  const receipt: ReceiptView = { seq: 7, state: "pending", attempts: 0, runs: {}, receivedAt: 0 };
  const entry = { step: "/ask", at: 1, data: { how: "timeout" } };

  it("lets the lane go on once all runs wait, and blames nobody who waits", () => {
    assert.deepEqual(reduce({ receipt }, { type: "waits", others: true }), { write: [], wait: false, act: { type: "none" } });
    assert.deepEqual(reduce({ receipt: { ...receipt, attempts: 2 } }, { type: "waits", others: false }), { write: [{ do: "receipt", seq: 7, attempts: 0 }], wait: false, act: { type: "step-aside" } });
  });
  it("journals the first end alone, together with the receipt of the words and the end of the waiting", () => {
    const first = reduce({ question: "open" }, { type: "answered", run: "r", question: "q", entry, seq: 9 });
    assert.deepEqual(first.write.map((change) => change.do), ["receipt", "journal", "set"]);
    assert.deepEqual([first.wait, first.act], [true, { type: "use" }]);
    const second = reduce({ question: "ended" }, { type: "answered", run: "r", question: "q", entry, seq: 10 });
    assert.deepEqual([second.write.map((change) => change.do), second.act], [["receipt"], { type: "none" }]);
    assert.deepEqual(reduce({ question: "ended" }, { type: "answered", run: "r", question: "q", entry }).write, []);
  });
  it("makes a run a dead letter whose question nobody asks any more", () => {
    const { write, act } = reduce({ receipt }, { type: "taken", suspect: undefined, entries: [{ id: "in", covers: true, matches: true }], now: 1, maxAgeMs: 1, broken: "gone" });
    assert.deepEqual(write, [{ do: "receipt", seq: 7, runs: {}, state: "dead", reason: "gone" }]);
    assert.deepEqual(act, { type: "release", state: "dead", reason: "gone", code: "MSG_004" });
  });
  it("writes the plan of a question and the waiting for it as one", () => {
    const also = { do: "set", space: "question", key: "q", value: 1 } as const;
    assert.deepEqual(reduce({}, { type: "planned", rows: [], free: false, also: [also] }).write, [also]);
  });
});

describe("words as an answer", () => {
  const choice: AnswerForm = { kind: "choice", choices: [{ label: "Yes", value: true, also: ["y", "ja"] }, { label: "No, never", value: false }, { label: "3", value: "three" }] };
  const read = (form: AnswerForm, text: string) => readAnswer(form, text)?.value;

  it("are read by label, by another word, by number; case and a full stop do not count", () => {
    assert.deepEqual(["yes", " YES. ", "Ja", "1", "2.", "no, never", "3", "4", "0", "maybe", ""].map((text) => read(choice, text)), [true, true, true, true, false, false, "three", undefined, undefined, undefined, undefined]);
  });
  it("are read as numbers within limits, with a point or a comma", () => {
    const number: AnswerForm = { kind: "number", min: -1, max: 30 };
    assert.deepEqual(["21", " 21,5 ", "-1", "+3", "31", "-2", "1e1", "0x10", "21 degrees", "1.2.3", "Infinity"].map((text) => read(number, text)), [21, 21.5, -1, 3, undefined, undefined, undefined, undefined, undefined, undefined, undefined]);
    assert.deepEqual(["2", "2.5"].map((text) => read({ kind: "number", whole: true }, text)), [2, undefined]);
  });
  it("are read as they are, or by a pattern", () => {
    assert.equal(read({ kind: "text" }, "  any words "), "any words");
    assert.deepEqual(["12:30", "noon"].map((text) => read({ kind: "text", pattern: "^\\d+:\\d+$" }, text)), ["12:30", undefined]);
  });
});

const account: GatewayAccount = { id: "acc", channel: "scripted", name: "Bot", settings: {}, policy: { policy: "list", allow: ["u1", "u2"] } };
const yesNo: AnswerForm = { kind: "choice", choices: [{ label: "Yes", value: true }, { label: "No", value: false }] };
type Asked = Partial<Pick<Question, "form" | "who" | "waitMs" | "again" | "to">>;

interface House { buttons?: number; gatherMs?: number; edit?: boolean; limits?: Partial<Limits> }
/** A house whose flow asks: what it asks follows from the message; any other message is answered at once. */
async function house(openStore: () => Promise<Store>, asked: Record<string, Asked> = {}, { buttons = 8, gatherMs = 0, edit = false, limits = {} }: House = {}) {
  const clock = manualClock();
  const channel = Object.assign(scriptedChannel({ edit, limits }), { shows: { buttons } });
  const dead: string[] = [];
  const ends: string[] = [];
  let gateway: Gateway;
  let stopping: AbortController;
  let asking: (() => void)[] = [];
  /** What a flow has to do before it asks. */
  let before: Promise<unknown> = Promise.resolve();
  const pass = async (run: Run): Promise<void> => {
    const own = gateway;
    const { signal } = stopping;
    const { message: about } = run.receipt;
    const text = run.messages.map((one) => one.text).join("+");
    const question = asked[text];
    const step = own.step(run.id, "ask", "", run.pass);
    try {
      if (question !== undefined) {
        await before;
        const end = await own.asks.ask({ run: run.id, step, node: "ask", to: about.at, who: { by: "person", id: about.sender.id }, text: `${text}?`, form: { kind: "text" }, waitMs: 10 * MINUTE, again: { text: "Once more?", times: 0 }, cancelWords: ["cancel", "/cancel"], signal, ...question });
        if (end === undefined) return;
        ends.push(`${text}: ${end.how}${end.how === "timeout" ? "" : ` ${String(end.answer.value)} by ${end.answer.by.id}`}`);
      }
      await own.deliver({ run: run.id, step: `${step}/out`, op: "send", to: about.at, draft: { text: `done ${text}` } });
    } catch (error) {
      ends.push(`${text}: ${(error as ChannelError).code}`);
    }
    own.settle(run.id);
  };
  async function start(nodes: readonly string[] = ["ask"]): Promise<void> {
    stopping = new AbortController();
    gateway = await createGateway({
      store: await openStore(), clock, random: () => 0.5, limits: () => ({ notice: "none" }), spool: { sweep: async () => 0 } as never, fetchFor: async () => fetch,
      texts: { claimed: "owner", notice: () => "lost" }, log: () => undefined,
    });
    gateway.events.on("dead", ({ reason }) => dead.push(reason));
    asking = nodes.map((node) => gateway.asks.add(node));
    gateway.inbox.add({ id: "in", gatherMs, covers: () => true, matches: () => true, emit: (run) => { void pass(run); } });
    await gateway.setAccounts([{ account, channel }]);
    await settle();
    gateway.start();
    await settle(40);
  }
  await start();
  const say = async (text: string, more: Parameters<typeof message>[0] = {}): Promise<string> => {
    assert.ok(channel.context);
    const received = await channel.context.receive(message({ text, ...more }));
    await settle(40);
    return received;
  };
  return {
    channel, clock, dead, ends, say,
    before(work: Promise<unknown>) { before = work; },
    get gateway() { return gateway; },
    texts: () => channel.sent.map((one) => one.text),
    press: (label: string, more: Parameters<typeof message>[0] = {}, nth = 0) => {
      const button = channel.sent.filter(({ draft }) => draft?.buttons !== undefined)[nth]?.draft?.buttons?.flat().find((one) => one.label === label);
      assert.ok(button?.value, `a button ${label}`);
      return say("", { kind: "action", action: { type: "button", value: button.value, label }, ...more });
    },
    /** As a crash does it, or in order. */
    async restart(how: "crash" | "order" = "crash", nodes?: readonly string[], between: () => Promise<void> = async () => undefined) {
      if (how === "crash") gateway.inbox.rest = async () => undefined;
      stopping.abort();
      gateway.stop();
      await gateway.close();
      await between();
      await start(nodes);
    },
    /** The node that asks is made anew, as a deploy does it; `nodes`: what is there afterwards. */
    async deploy(nodes: readonly string[] = ["ask"]) {
      gateway.stop();
      stopping.abort();
      await settle();
      stopping = new AbortController();
      for (const run of gateway.inbox.runs()) gateway.inbox.interrupt(run.id);
      for (const remove of asking) remove();
      asking = nodes.map((node) => gateway.asks.add(node));
      gateway.start();
      await settle(40);
    },
    async counts() {
      const { received, done, dead: lost, pending } = await gateway.store.counts();
      assert.equal(received, done + lost + pending, "received = done + dead + pending");
      return { done, dead: lost, pending };
    },
  };
}

const folders: string[] = [];
const stores: Record<string, () => () => Promise<Store>> = {
  memory: () => { const store = createMemoryStore(); return async () => ({ ...store, close: async () => undefined }); },
  sqlite: () => { const folder = mkdtempSync(path.join(tmpdir(), "clawflow-asks-")); folders.push(folder); return () => openSqliteStore(path.join(folder, "store")); },
};

for (const [kind, make] of Object.entries(stores)) describe(`a question to a person (${kind})`, function () {
  this.timeout(20_000);
  const homes: Awaited<ReturnType<typeof house>>[] = [];
  const open = async (...given: [Record<string, Asked>, House?]) => { const home = await house(make(), ...given); homes.push(home); return home; };
  afterEach(async () => { for (const home of homes.splice(0)) await home.gateway.close(); });
  after(() => { for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true }); });

  it("is asked once, and a press of its button is the answer, once", async () => {
    const home = await open({ light: { form: yesNo } });
    assert.equal(await home.say("light"), "saved");
    assert.deepEqual(home.texts(), ["light?"]);
    const values = home.channel.sent[0]?.draft?.buttons?.flat().map(({ value }) => value) ?? [];
    assert.ok(values.every((value) => Buffer.byteLength(value ?? "") <= 64), String(values));
    assert.deepEqual(await home.counts(), { done: 0, dead: 0, pending: 1 });
    assert.equal(await home.press("No", { id: "p1" }), "saved");
    assert.equal(await home.press("No", { id: "p1" }), "duplicate", "the platform brings it again");
    assert.equal(await home.press("Yes"), "refused", "a second press");
    assert.deepEqual([home.ends, home.texts()], [["light: answer false by u1"], ["light?", "done light"]]);
    assert.deepEqual(await home.counts(), { done: 3, dead: 0, pending: 0 });
    assert.deepEqual(await home.gateway.store.list("question", ""), []);
  });

  it("is answered by whom it is for, in the chat where it stands, and by nobody else", async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    assert.equal(await home.press("Yes", { from: "u2" }), "refused", "another person of the house");
    assert.equal(await home.press("Yes", { from: "eve" }), "refused", "a stranger");
    assert.equal(await home.press("Yes", { chat: "c2" }), "refused", "in another chat");
    assert.equal(await home.say("yes", { from: "u2" }), "saved");
    assert.deepEqual([home.ends, home.texts()], [[], ["light?", "done yes"]], "another person's words are a message");
    await home.press("Yes");
    assert.deepEqual(home.ends, ["light: answer true by u1"]);
  });

  it("may be for everybody in the chat, or for an owner alone", async () => {
    const group = { channel: "scripted", account: "acc", chat: "g", kind: "group" } as const;
    const home = await open({ all: { form: yesNo, who: { by: "chat" } }, own: { form: yesNo, who: { by: "owner" } } });
    await home.gateway.people.set({ channel: "scripted", account: "acc", id: "boss", name: "Boss", trust: "owner" });
    await home.say("all", { at: group });
    assert.equal(await home.press("Yes", { at: group, from: "eve" }), "refused");
    assert.equal(await home.press("Yes", { at: group, from: "u2" }), "saved");
    await home.say("own", { at: group });
    assert.equal(await home.press("Yes", { at: group, from: "u1" }, 1), "refused");
    assert.equal(await home.press("Yes", { at: group, from: "boss" }, 1), "saved");
    assert.deepEqual(home.ends, ["all: answer true by u2", "own: answer true by boss"]);
  });

  it("takes the next words as the answer, which then are no message; commands and words before it is seen stay messages", async () => {
    const home = await open({ name: {} });
    await home.say("name");
    await home.say("/lights", { action: { type: "command", name: "lights", args: "" } });
    await home.say("Ada");
    await home.say("Bob");
    assert.deepEqual(home.ends, ["name: answer Ada by u1"]);
    assert.deepEqual(home.texts(), ["name?", "done /lights", "done name", "done Bob"]);
    home.channel.fail = () => new ChannelError("CONN_001", { retry: "later", afterMs: 1_000, unsent: true }, "away");
    await home.say("name");
    home.channel.fail = undefined;
    await home.say("too early");
    assert.equal(home.ends.length, 1);
    await home.clock.advance(5_000);
    await home.say("Eve");
    assert.deepEqual(home.ends, ["name: answer Ada by u1", "name: answer Eve by u1"]);
    assert.deepEqual((await home.counts()).pending, 0);
  });

  it("does not take the message that began it for its answer when the platform brings it again", async () => {
    const home = await open({ name: {} });
    await home.say("name", { id: "n1" });
    assert.equal(await home.say("name", { id: "n1" }), "duplicate");
    assert.deepEqual([home.ends, home.texts()], [[], ["name?"]]);
    await home.say("Ada");
    assert.deepEqual(home.ends, ["name: answer Ada by u1"]);
  });

  it("stands beside others in one chat: a button is of its own, words go to the newest, or to the one they reply to", async () => {
    const home = await open({ a: { form: yesNo }, b: {}, c: {}, d: {} });
    for (const text of ["a", "b", "c", "d"]) await home.say(text === "a" ? "a" : text, text === "a" ? {} : { action: { type: "command", name: text, args: "" } });
    const refOf = (text: string) => home.channel.sent.find((one) => one.text === text)?.ref ?? "";
    await home.say("to b", { replyTo: refOf("b?") });
    await home.say("to d");
    await home.say("to c");
    await home.press("No");
    assert.deepEqual(home.ends, ["b: answer to b by u1", "d: answer to d by u1", "c: answer to c by u1", "a: answer false by u1"]);
    assert.deepEqual(await home.counts(), { done: 8, dead: 0, pending: 0 });
  });

  it("releases its lane, and no idle limit ends it", async () => {
    const home = await open({ light: { form: yesNo, waitMs: 0 } });
    await home.say("light");
    await home.say("something else");
    assert.deepEqual(home.texts(), ["light?", "done something else"]);
    await home.clock.advance(45 * MINUTE);
    assert.deepEqual([home.ends, await home.counts()], [[], { done: 1, dead: 0, pending: 1 }]);
    await home.press("Yes");
    assert.deepEqual([home.ends, home.texts().at(-1)], [["light: answer true by u1"], "done light"]);
  });

  it("asks again for words that do not fit, so many times; after that they are messages", async () => {
    const home = await open({ number: { form: { kind: "number", max: 30 }, again: { text: "A number, please.", times: 2 } } });
    await home.say("number");
    for (const text of ["warm", "99"]) await home.say(text);
    assert.deepEqual(home.texts(), ["number?", "A number, please.", "A number, please."]);
    await home.restart();
    await home.say("cold");
    assert.equal(home.texts().at(-1), "done cold");
    await home.say("21,5");
    assert.deepEqual(home.ends, ["number: answer 21.5 by u1"]);
    assert.deepEqual(await home.counts(), { done: 5, dead: 0, pending: 0 });
  });

  it("is a numbered list where there are no buttons, and number or label is the answer", async () => {
    for (const said of ["2", "NO"]) {
      const home = await open({ light: { form: yesNo } }, { buttons: 0 });
      await home.say("light");
      assert.deepEqual(home.texts(), ["light?\n\n1. Yes\n2. No"]);
      await home.say("whatever");
      await home.say(said);
      assert.deepEqual(home.ends, ["light: answer false by u1"]);
    }
  });

  it("in a group takes what is said to the bot, and of other words only the choices", async () => {
    const at = { channel: "scripted", account: "acc", chat: "g", kind: "group" } as const;
    const home = await open({ name: { again: { text: "again", times: 1 } }, light: { form: yesNo } });
    await home.say("name", { at });
    await home.say("hi Bob", { at, addressed: false });
    assert.deepEqual(home.ends, []);
    await home.say("@bot Ada", { at });
    await home.say("light", { at });
    await home.say("hm", { at, addressed: false });
    await home.say("no", { at, addressed: false });
    assert.deepEqual(home.ends, ["name: answer Ada by u1", "light: answer false by u1"]);
  });

  it("ends by a word that cancels, or when its time is over, once", async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    await home.say("Cancel.");
    await home.say("light");
    await home.clock.advance(9 * MINUTE);
    assert.equal(home.ends.length, 1);
    await home.clock.advance(2 * MINUTE);
    assert.deepEqual(home.ends, ["light: cancelled null by u1", "light: timeout"]);
    assert.equal(await home.press("Yes", {}, 1), "refused", "too late");
    await home.restart();
    assert.deepEqual([home.ends.length, await home.counts()], [2, { done: 4, dead: 0, pending: 0 }]);
  });

  it("loses its buttons once it has ended, where the platform can edit, and says how", async () => {
    const group = { channel: "scripted", account: "acc", chat: "g", kind: "group" } as const;
    const home = await open({ light: { form: yesNo }, name: {}, house: { form: yesNo, who: { by: "chat" } }, [`${"long ".repeat(19)}.`]: { form: yesNo } }, { edit: true });
    const edits = (): unknown[] => home.channel.sent.flatMap(({ op, ref, text, draft }) => (op === "edit" ? [[ref, text, draft?.buttons]] : []));
    await home.say("light");
    await home.restart();
    await home.press("No");
    assert.deepEqual(edits().splice(0), [["m1", "light?\n\n✓ No", undefined]]);
    await home.say("name");
    await home.say("Ann");
    assert.equal(edits().length, 1, "no buttons, nothing to take away");
    await home.say("light");
    await home.say("cancel");
    await home.say("light");
    await home.clock.advance(11 * MINUTE);
    assert.deepEqual(edits().slice(1).map((edit) => (edit as string[])[1]), ["light?\n\n✗ Cancelled", "light?\n\n– No longer open"]);
    await home.say("house", { at: group });
    await home.press("Yes", { at: group, sender: { id: "u2", name: "Ann *B*", bot: false, self: false } }, 3);
    assert.equal((edits().at(-1) as string[])[1], "house?\n\n✓ Yes · Ann \\*B\\*");
    await home.say(`${"long ".repeat(19)}.`);
    await home.press("Yes", {}, 4);
    assert.deepEqual([(edits().at(-1) as string[])[1]?.length, edits().length], [97, 5], "no room for more");
  });

  it("loses all its buttons where it was asked again, and where its run is stopped", async () => {
    const home = await open({ light: { form: yesNo, again: { text: "Yes or no?", times: 3 } } }, { edit: true });
    const edits = (): unknown[] => home.channel.sent.flatMap(({ op, ref, text }) => (op === "edit" ? [[ref, text]] : []));
    await home.say("light");
    await home.say("perhaps");
    await home.say("or not");
    await home.press("Yes", {}, 1);
    assert.deepEqual(edits(), [["m1", "light?\n\n✓ Yes"], ["m3", "Yes or no?\n\n✓ Yes"], ["m2", "Yes or no?\n\n✓ Yes"]]);
    await home.say("light");
    home.gateway.settle([...home.gateway.inbox.runs()][0]?.id ?? "", { state: "dead", reason: "stopped" });
    await settle(40);
    assert.equal((edits().at(-1) as string[])[1], "light?\n\n– No longer open");
  });

  it("goes on where the edit that takes its buttons away fails", async () => {
    const home = await open({ light: { form: yesNo } }, { edit: true });
    home.channel.fail = (op) => (op === "edit" ? new ChannelError("MSG_002", {}, "message to edit not found") : undefined);
    await home.say("light");
    await home.press("Yes");
    assert.deepEqual([home.texts(), home.ends, home.dead], [["light?", "done light"], ["light: answer true by u1"], []]);
  });

  for (const how of ["crash", "order"] as const) it(`waits on over a ${how === "crash" ? "crash" : "restart"}: asked once, answered once, and it blocks nobody`, async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    for (let times = 0; times < 4; times++) {
      await home.restart(how);
      await home.say(`message ${times}`);
      assert.equal(home.texts().at(-1), `done message ${times}`);
    }
    await home.press("No");
    await home.restart(how);
    assert.deepEqual(home.texts().filter((text) => text.includes("light")), ["light?", "done light"]);
    assert.deepEqual([home.ends, home.dead, await home.counts()], [["light: answer false by u1"], [], { done: 6, dead: 0, pending: 0 }]);
  });

  it("blocks nobody either while its run is only on its way back to it, and takes the answer then too", async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    const { promise, resolve } = Promise.withResolvers<void>();
    home.before(promise);
    await home.restart();
    await home.say("hello");
    assert.equal(home.texts().at(-1), "done hello");
    assert.equal(await home.press("Yes"), "saved");
    assert.deepEqual(home.ends, []);
    resolve();
    await settle(40);
    assert.deepEqual([home.ends, home.texts().at(-1), (await home.counts()).pending], [["light: answer true by u1"], "done light", 0]);
  });

  it("takes an answer that was saved and nothing more when the process broke off", async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    const { store } = home.gateway;
    const { commit } = store;
    store.commit = async (changes) => { if (changes.some((change) => change.do === "journal")) throw new StoreError("STORE_001", { retry: "later" }); return commit.call(store, changes); };
    void home.press("Yes").catch(() => undefined);
    await settle(40);
    assert.deepEqual([home.ends, await home.counts()], [[], { done: 0, dead: 0, pending: 2 }]);
    store.commit = commit;
    await home.restart();
    assert.deepEqual([home.ends, home.texts(), await home.counts()], [["light: answer true by u1"], ["light?", "done light"], { done: 2, dead: 0, pending: 0 }]);
  });

  it("counts its time by the clock on the wall: what passed while no process was there ends it, unless the platform brings an answer at once", async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    await home.restart("crash", undefined, () => home.clock.advance(20 * MINUTE));
    assert.deepEqual(home.ends, []);
    await home.press("Yes");
    await home.say("light");
    await home.restart("crash", undefined, () => home.clock.advance(20 * MINUTE));
    await home.clock.advance(6_000);
    await home.restart("crash", undefined, () => home.clock.advance(20 * MINUTE));
    await home.clock.advance(6_000);
    assert.deepEqual(home.ends, ["light: answer true by u1", "light: timeout"]);
  });

  it("is not asked again when it waits for longer than what was sent is remembered", async () => {
    const home = await open({ name: { waitMs: 0 } });
    await home.say("name");
    await home.gateway.store.commit([{ do: "prune", before: home.clock.now() + 1, turnsBefore: 0 }]);
    await home.restart();
    await home.say("Ada");
    assert.deepEqual([home.ends, home.texts()], [["name: answer Ada by u1"], ["name?", "done name"]]);
  });

  it("is joined by the run that a deploy begins anew", async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    await home.deploy();
    await home.clock.advance(20 * 1_000);
    await home.deploy();
    assert.deepEqual(home.texts(), ["light?"]);
    await home.press("Yes");
    assert.deepEqual([home.ends, home.texts(), (await home.counts()).pending], [["light: answer true by u1"], ["light?", "done light"], 0]);
  });

  it("whose node is gone makes its run a dead letter that says why, at a deploy and at the next start", async () => {
    const home = await open({ light: { form: yesNo } });
    await home.say("light");
    await home.restart("crash", []);
    assert.deepEqual([home.dead, await home.counts()], [["the node that asked was removed while it waited"], { done: 0, dead: 1, pending: 0 }]);
    const other = await open({ light: { form: yesNo } });
    await other.say("light");
    await other.deploy([]);
    assert.equal(await other.press("Yes"), "refused");
    assert.deepEqual([other.ends, other.dead.length, await other.counts()], [[], 1, { done: 1, dead: 1, pending: 0 }]);
  });

  it("that cannot be delivered tells why, and waits for nobody", async () => {
    const home = await open({ light: { form: yesNo } });
    home.channel.fail = (_op, draft) => (draft.text === "light?" ? new ChannelError("MSG_002", { retry: "no" }, "kicked") : undefined);
    await home.say("light");
    assert.deepEqual([home.ends, (await home.counts()).pending, await home.gateway.store.list("question", "")], [["light: MSG_002"], 0, []]);
  });

  it("has timed out when nobody knows whether it was delivered, and its time is over", async () => {
    const home = await open({ light: { form: yesNo } });
    home.channel.fail = (_op, draft) => (draft.text === "light?" ? new ChannelError("CONN_001", { retry: "later" }, "no answer") : undefined);
    await home.say("light");
    await home.restart("crash", undefined, () => home.clock.advance(20 * MINUTE));
    assert.deepEqual(home.ends, []);
    await home.clock.advance(6_000);
    assert.deepEqual([home.ends, home.texts(), (await home.counts()).pending], [["light: timeout"], ["done light"], 0]);
  });

  it("is forgotten when its message has ended and only the store still knows of it", async () => {
    const home = await open({ name: {} });
    await home.say("name");
    await home.gateway.store.commit([{ do: "receipt", seq: 1, state: "dead", reason: "brought back from a copy" }]);
    await home.restart();
    await home.say("Ada");
    assert.deepEqual([home.texts(), await home.gateway.store.list("question", "")], [["name?", "done Ada"], []]);
  });

  it("keeps a gathered burst together over a restart", async () => {
    const home = await open({ "turn+off": { form: yesNo } }, { gatherMs: 100 });
    await home.say("turn");
    await home.say("off");
    await home.clock.advance(500);
    assert.deepEqual(home.texts(), ["turn+off?"]);
    await home.restart();
    await home.clock.advance(500);
    await home.press("Yes");
    assert.deepEqual([home.ends, home.texts(), await home.counts()], [["turn+off: answer true by u1"], ["turn+off?", "done turn+off"], { done: 3, dead: 0, pending: 0 }]);
  });
});
