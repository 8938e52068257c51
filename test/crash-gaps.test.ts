/** What the model check (test/model) takes for granted of those who carry out what the reducer says, each in the code that does it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { splitDraft } from "../engine/channels/split.ts";
import type { Connection } from "../engine/channels/channel.ts";
import { ChannelError, StoreError } from "../engine/errors.ts";
import { createGateway, type Gateway, type GatewayLimits } from "../engine/gateway.ts";
import type { Run } from "../engine/inbox.ts";
import { createOutbox, outboxKey, type Delivery } from "../engine/outbox.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import type { Change, OutboxRow, Store } from "../engine/store/store.ts";
import { manualClock, message, scriptedChannel, settle } from "./kit/scripted.ts";

const to = { channel: "scripted", account: "acc", chat: "c1", kind: "direct" } as const;
const say = (text: string, step: string, more: Partial<Delivery> = {}): Delivery => ({ run: "1.x.n", step, op: "send", to, draft: { text }, ...more });
const keyOf = (step: string, part = 0): string => outboxKey({ run: "1.x.n", step }, part);
const stateOf = async (store: Store, key: string): Promise<string | undefined> => (await store.outboxRow(key))?.state;

/** A store that keeps what is committed, and lets a test hold commits back or refuse them. */
function watchedStore() {
  const store = createMemoryStore();
  const { commit } = store;
  const commits: (readonly Change[])[] = [];
  const held: (() => void)[] = [];
  const rules = { hold: (_changes: readonly Change[]): boolean => false, refuse: (_changes: readonly Change[]): boolean => false };
  store.commit = async (changes) => {
    if (rules.refuse(changes)) throw new StoreError("STORE_001", { retry: "later" });
    if (rules.hold(changes)) await new Promise<void>((resolve) => { held.push(resolve); });
    if (changes.length > 0) commits.push(changes);
    return commit.call(store, changes);
  };
  return { store, commits, rules, letGo() { rules.hold = () => false; for (const resolve of held.splice(0)) resolve(); } };
}
const ends = (change: Change, state: string): boolean => (change.do === "outbox-update" && change.set.state === state) || (change.do === "receipt" && change.state === state);

async function setupOutbox(store: Store = createMemoryStore(), offers: Parameters<typeof scriptedChannel>[0] = {}) {
  const channel = scriptedChannel(offers);
  const clock = manualClock();
  const connection: Connection = await channel.open({ id: "acc", channel: "scripted", name: "acc", settings: {} }, {} as never);
  const dead: OutboxRow[] = [];
  const outbox = createOutbox({ store, clock, random: () => 0.5, line: () => ({ channel, connection }), split: (draft, own) => splitDraft(draft, own.limits), onDead: (row) => dead.push(row), isOver: async () => false });
  return { outbox, channel, clock, dead, texts: () => channel.sent.map(({ text }) => text) };
}

describe("outbox, where a crash could come in between", () => {
  // On a platform that honours a key: elsewhere the one waits for the other anyway.
  const keyed = { keyMs: 60_000 };
  it("takes a chat for idle once: of two deliveries at the same time only one goes out before its row says so", async () => {
    const { store, rules, letGo } = watchedStore();
    const { outbox, texts } = await setupOutbox(store, keyed);
    rules.hold = () => true;
    const both = [outbox.deliver(say("one", "s1")), outbox.deliver(say("two", "s2"))];
    letGo();
    assert.deepEqual((await Promise.all(both)).map(({ state }) => state), ["sent", "sent"]);
    assert.deepEqual(texts(), ["one", "two"]);
  });
  it("plans the second of them as planned", async () => {
    const { store, commits } = watchedStore();
    const { outbox } = await setupOutbox(store, keyed);
    await Promise.all([outbox.deliver(say("one", "s1")), outbox.deliver(say("two", "s2"))]);
    assert.deepEqual(commits.flat().flatMap((change) => (change.do === "outbox" ? [change.row.state] : [])), ["sending", "planned"]);
  });

  it("hands nothing over before it is on disk that it does, at the first try and at the next", async () => {
    const { store, rules, letGo } = watchedStore();
    const { outbox, channel, clock, texts } = await setupOutbox(store);
    rules.hold = (changes) => changes.some((change) => change.do === "outbox");
    void outbox.deliver(say("one", "s1"));
    await settle();
    assert.deepEqual(texts(), []);
    channel.fail = () => new ChannelError("CONN_001", { retry: "later", answered: true });
    letGo();
    await settle();
    channel.fail = undefined;
    rules.hold = (changes) => changes.some((change) => ends(change, "sending"));
    await clock.advance(2_000);
    assert.deepEqual(texts(), []);
    letGo();
    await settle();
    assert.deepEqual(texts(), ["one"]);
  });

  it("knows what it has sent, though the record of it is not on disk yet", async () => {
    const { store, rules, letGo } = watchedStore();
    const { outbox, texts } = await setupOutbox(store);
    rules.hold = (changes) => changes.some((change) => ends(change, "sent"));
    assert.equal((await outbox.deliver(say("hi", "s1"))).state, "sent");
    assert.equal(await stateOf(store, keyOf("s1")), "sending");
    assert.deepEqual(await outbox.deliver(say("hi", "s1")), { state: "sent", ref: "m1", refs: ["m1"] });
    letGo();
    await settle();
    assert.equal(await stateOf(store, keyOf("s1")), "sent");
    assert.deepEqual(texts(), ["hi"]);
  });

  it("does not send what expired between its plan and its turn", async () => {
    const { store } = watchedStore();
    const { outbox, clock, texts, dead } = await setupOutbox(store);
    const delivered = outbox.deliver(say("hi", "s1", { expiresAt: clock.now() + 1_000 }));
    await outbox.hold();
    await clock.advance(2_000);
    outbox.release();
    assert.equal((await delivered).state, "failed");
    assert.deepEqual([texts(), dead.map(({ error }) => error?.text)], [[], ["expired before it could be sent"]]);
  });

  it("does not put a more urgent row before the one that is on its way", async () => {
    const { outbox, channel, clock, texts } = await setupOutbox();
    const connection: Connection = await channel.open({} as never, {} as never);
    let answer: (() => void) | undefined;
    const slow: Connection = { ...connection, send: async (...sent) => { if (sent[1].text === "low") await new Promise<void>((resolve) => { answer = resolve; }); return connection.send(...sent); } };
    const busy = createOutbox({ store: createMemoryStore(), clock, random: () => 0.5, line: () => ({ channel, connection: slow }), split: (draft) => [draft], onDead: () => undefined, isOver: async () => false });
    void busy.deliver(say("first", "s0"));
    const low = busy.deliver(say("low", "s1", { priority: "low", run: "2.x.n" }));
    await settle();
    const normal = busy.deliver(say("normal", "s2", { run: "3.x.n" }));
    await settle();
    answer?.();
    assert.deepEqual([(await low).state, (await normal).state, texts()], ["sent", "sent", ["first", "low", "normal"]]);
    outbox.close();
  });

  it("gives what an earlier process left its one more try, also when the store fails in that moment", async () => {
    const { store, rules } = watchedStore();
    const row = { key: keyOf("s1"), run: "1.x.n", op: "send", to, draft: { text: "hi" }, priority: "normal", state: "unknown", plannedAt: 0, dueAt: 0 } as const;
    await store.commit([{ do: "outbox", row }]);
    const { outbox, clock, texts, dead } = await setupOutbox(store);
    let refused = 0;
    rules.refuse = () => refused++ === 0;
    await outbox.load();
    await settle();
    assert.equal(refused, 1);
    await clock.advance(2_000);
    assert.deepEqual([texts(), dead], [["hi"], []]);
  });

  it("keeps and tells no secret of a failure", async () => {
    const channel = scriptedChannel();
    const store = createMemoryStore();
    const connection: Connection = await channel.open({} as never, {} as never);
    const outbox = createOutbox({ store, clock: manualClock(), random: () => 0.5, line: () => ({ channel, connection }), split: (draft) => [draft], onDead: () => undefined, isOver: async () => false, redact: (text) => text.replace("hunter2", "…") });
    channel.fail = () => new ChannelError("MSG_002", { retry: "no" }, "refused at hunter2");
    assert.deepEqual(await outbox.deliver(say("hi", "s1")), { state: "failed", code: "MSG_002", text: "refused at …" });
    assert.equal((await store.outboxRow(keyOf("s1")))?.error?.text, "refused at …");
  });
});

async function setupGateway(limits: Partial<GatewayLimits>, store: Store) {
  const channel = scriptedChannel();
  const clock = manualClock();
  const runs: Run[] = [];
  const dead: string[] = [];
  const gateway: Gateway = await createGateway({
    store, clock, limits: () => limits, random: () => 0.5, spool: {} as never, fetchFor: async () => fetch, log: () => undefined,
    texts: { claimed: "", notice: ({ what, code }) => `${what} lost: ${code}` },
  });
  gateway.events.on("dead", ({ what }) => dead.push(what));
  gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => { runs.push(run); } });
  await gateway.setAccounts([{ account: { id: "acc", channel: "scripted", name: "Bot", settings: {}, policy: { policy: "open", allow: [] } }, channel }]);
  await settle();
  gateway.start();
  return { gateway, channel, clock, runs, dead };
}
const kicked = () => new ChannelError("MSG_002", { retry: "no" }, "kicked");

describe("a dead letter and its notice", () => {
  for (const [what, die] of [
    ["delivery", async ({ gateway, channel }) => {
      channel.fail = (_op, draft) => (draft.text === "hi" ? kicked() : undefined);
      assert.equal((await gateway.deliver(say("hi", "s1", { to: { ...to, chat: "c9" } }))).state, "failed");
    }],
    ["message", async ({ gateway, channel, runs }) => {
      await channel.context?.receive(message({ chat: "c9" }));
      await settle();
      gateway.settle(runs[0]?.id ?? "", { state: "dead", reason: "its flow is gone" });
    }],
  ] as [string, (rig: Awaited<ReturnType<typeof setupGateway>>) => Promise<void>][]) {
    it(`are one commit, and the notice is sent once: a ${what}`, async () => {
      const { store, commits } = watchedStore();
      const rig = await setupGateway({ notice: "chat" }, store);
      await die(rig);
      await settle();
      const last = commits.filter((changes) => changes.some((change) => ends(change, "dead")));
      assert.deepEqual(last.map((changes) => changes.map((change) => change.do)), [[what === "message" ? "receipt" : "outbox-update", "outbox"]]);
      assert.deepEqual(rig.channel.sent.filter(({ text }) => text.includes("lost")).map((one) => `${one.to.chat}: ${one.text}`), [`c9: ${what} lost: ${what === "message" ? "MSG_006" : "MSG_002"}`]);
      assert.deepEqual(rig.dead, [what]);
    });

    it(`are not there where nobody shall be told, or there is no owner to tell: a ${what}`, async () => {
      for (const notice of ["none", "owner"] as const) {
        const { store, commits } = watchedStore();
        const rig = await setupGateway({ notice }, store);
        await die(rig);
        await settle();
        assert.equal(commits.flat().filter((change) => ends(change, "dead")).length, 1);
        assert.ok(commits.flat().every((change) => change.do !== "outbox" || change.row.run !== "notice"));
      }
    });
  }

  it("are what a message comes to whose record was damaged on disk: one notice in its chat, and the others go on", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "clawflow-gaps-"));
    try {
      const first = await setupGateway({ notice: "chat" }, await openSqliteStore(folder));
      first.gateway.stop();
      for (const id of ["sound", "broken", "last"]) await first.channel.context?.receive(message({ id, chat: "c9" }));
      await first.gateway.close();
      const db = new DatabaseSync(path.join(folder, "store.sqlite"));
      db.exec("UPDATE inbox SET body = 'x' || body WHERE seq = 2");
      db.close();
      for (const start of [1, 2]) {
        const store = await openSqliteStore(folder);
        const { gateway, channel, runs, dead } = await setupGateway({ notice: "chat" }, store);
        await settle();
        for (let n = 0; n < 3; n++) { for (const run of [...gateway.inbox.runs()]) gateway.settle(run.id); await settle(); }
        assert.deepEqual([runs.map(({ receipt }) => receipt.message.id), dead], start === 1 ? [["sound", "last"], ["message"]] : [[], []]);
        assert.deepEqual(channel.sent.map(({ to: { chat }, text }) => `${chat}: ${text}`), start === 1 ? ["c9: message lost: STORE_002"] : []);
        const { done, dead: lost, pending } = await store.counts();
        assert.deepEqual([done, lost, pending, (await store.receipt(2))?.reason], [2, 1, 0, "Its record was damaged on disk."]);
        await gateway.close();
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("reach a chat also when the process ends before the notice is sent", async () => {
    const { store } = watchedStore();
    const { gateway, channel } = await setupGateway({ notice: "chat" }, store);
    channel.fail = (_op, draft) => (draft.text === "hi" ? kicked() : new ChannelError("CONN_001", { retry: "later", answered: true }));
    await gateway.deliver(say("hi", "s1"));
    await settle();
    const next = await setupGateway({ notice: "chat" }, store);
    await next.clock.advance(2_000);
    assert.deepEqual(next.channel.sent.map(({ text }) => text), ["delivery lost: MSG_002"]);
  });
});

describe("a message", () => {
  it("is confirmed and taken up when it is on disk", async () => {
    const { store, rules, letGo } = watchedStore();
    const { channel, runs } = await setupGateway({}, store);
    rules.hold = (changes) => changes.some((change) => change.do === "receive");
    let confirmed = false;
    const receiving = channel.context?.receive(message()).then(() => { confirmed = true; });
    await settle();
    assert.deepEqual([confirmed, runs.length], [false, 0]);
    letGo();
    await receiving;
    await settle();
    assert.deepEqual([confirmed, runs.length], [true, 1]);
  });
});

describe("a step of a run", () => {
  async function run(hold: (change: Change) => boolean) {
    const { store, rules, letGo } = watchedStore();
    const { gateway, channel, runs } = await setupGateway({}, store);
    await channel.context?.receive(message());
    await settle();
    rules.hold = (changes) => changes.some(hold);
    const said: string[] = [];
    void gateway.once(runs[0]?.id ?? "", "tool 1", async (begin) => { await begin(); said.push("called"); return { data: 1 }; }, () => -1).then(() => { said.push("used"); });
    await settle();
    return { said, async end() { letGo(); await settle(); return said; } };
  }
  const writes = (change: Change, step: string): boolean => change.do === "journal" && change.entry.step === step;

  it("that must not happen twice begins when it is on disk that it does", async () => {
    const { said, end } = await run((change) => writes(change, "tool 1 begun"));
    assert.deepEqual(said, []);
    assert.deepEqual(await end(), ["called", "used"]);
  });
  it("is used when it is on disk what it came to", async () => {
    const { said, end } = await run((change) => writes(change, "tool 1"));
    assert.deepEqual(said, ["called"]);
    assert.deepEqual(await end(), ["called", "used"]);
  });
});

describe("late output of a run that is over", () => {
  it("repeats no step that was done, and no tool whose end nobody knows", async () => {
    const { store } = watchedStore();
    const { gateway, channel, runs } = await setupGateway({}, store);
    await channel.context?.receive(message());
    await settle();
    const { id } = runs[0] as Run;
    let calls = 0;
    const act = async () => ({ data: ++calls });
    await gateway.once(id, "tool 1", act, () => -1);
    await store.commit([{ do: "journal", run: id, entry: { step: "tool 2 begun", at: 0, data: true } }]);
    gateway.settle(id);
    await settle();
    assert.equal(gateway.inbox.run(id), undefined);
    assert.deepEqual([await gateway.once(id, "tool 1", act, () => -1), await gateway.once(id, "tool 2", act, () => -1), calls], [1, -1, 1]);
  });
});
