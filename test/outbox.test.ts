import assert from "node:assert/strict";
import { splitDraft } from "../engine/channels/split.ts";
import type { Connection } from "../engine/channels/channel.ts";
import { ChannelError, StoreError } from "../engine/errors.ts";
import { createOutbox, outboxKey, type Delivery, type Outbox } from "../engine/outbox.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import type { OutboxRow, Store } from "../engine/store/store.ts";
import { manualClock, scriptedChannel, settle, type ScriptedChannel } from "./kit/scripted.ts";

const to = { channel: "scripted", account: "acc", chat: "c1", kind: "direct" } as const;

interface Rig { readonly outbox: Outbox; readonly channel: ScriptedChannel; readonly store: Store; readonly clock: ReturnType<typeof manualClock>; readonly dead: OutboxRow[]; /** Runs that ended. */ readonly over: Set<string>; connect(): Promise<void>; disconnect(): void }
async function setup(options: Parameters<typeof scriptedChannel>[0] & { store?: Store; connected?: boolean } = {}): Promise<Rig> {
  const { store = createMemoryStore(), connected = true } = options;
  const channel = scriptedChannel(options);
  const clock = manualClock();
  const dead: OutboxRow[] = [];
  const over = new Set<string>();
  let connection: Connection | undefined;
  const open = async () => { connection = await channel.open({ id: "acc", channel: "scripted", name: "acc", settings: {} }, {} as never); };
  if (connected) await open();
  const outbox = createOutbox({ store, clock, random: () => 0.5, line: () => ({ channel, connection }), split: (draft, own) => splitDraft(draft, own.limits), onDead: (row) => dead.push(row), isOver: async (run) => over.has(run) });
  return { outbox, channel, store, clock, dead, over, async connect() { await open(); outbox.wake("acc"); }, disconnect() { connection = undefined; } };
}
const say = (text: string, step = "s1", more: Partial<Delivery> = {}): Delivery => ({ run: "1.x.n", step, op: "send", to, draft: { text }, ...more });
const later = () => new ChannelError("CONN_001", { retry: "later", answered: true }, "out of order");
const silence = () => new ChannelError("CONN_001", { retry: "later" }, "reset");

describe("outbox", () => {
  it("sends, records the platform's id, and never sends the same step again", async () => {
    const { outbox, channel, store } = await setup();
    assert.deepEqual(await outbox.deliver(say("hi")), { state: "sent", ref: "m1", refs: ["m1"] });
    assert.deepEqual(await outbox.deliver(say("hi")), { state: "sent", ref: "m1", refs: ["m1"] });
    assert.equal(channel.sent.length, 1);
    assert.equal((await store.outboxRow(outboxKey({ run: "1.x.n", step: "s1" }, 0)))?.state, "sent");
  });

  it("keeps the same step of two runs apart", async () => {
    const { outbox, channel } = await setup();
    await outbox.deliver(say("one", "s1"));
    await outbox.deliver(say("two", "s1", { run: "2.x.n" }));
    assert.deepEqual(channel.sent.map((part) => part.text), ["one", "two"]);
  });

  it("splits a long text into parts, in order, with the buttons under the last and the quote over the first", async () => {
    const { outbox, channel } = await setup();
    const text = Array.from({ length: 30 }, (_, n) => `word${n}`).join(" ");
    const receipt = await outbox.deliver(say(text, "s1", { draft: { text, replyTo: "r0", buttons: [[{ label: "ok", value: "ok" }]] } }));
    assert.equal(receipt.state, "sent");
    assert.equal(channel.sent.length, 3);
    assert.equal(channel.sent.map((part) => part.text).join(" "), text);
    assert.deepEqual(channel.sent.map((part) => [part.draft?.replyTo, part.draft?.buttons?.length]), [["r0", undefined], [undefined, undefined], [undefined, 1]]);
  });

  it("shows a whole group nothing that is meant for one person", async () => {
    const { outbox, channel, dead } = await setup({ edit: true });
    const group = { ...to, kind: "group" } as const;
    const secret: Partial<Delivery> = { draft: { text: "your code is 4711", only: "u1" } };
    const receipt = await outbox.deliver(say("", "s1", { ...secret, to: group }));
    assert.deepEqual([receipt.state, receipt.state === "failed" && receipt.code, receipt.state === "failed" && /one person of a group/.test(receipt.text)], ["failed", "MSG_005", true]);
    assert.equal((await outbox.deliver(say("", "s2", { ...secret, to: group, op: "edit", target: "m1" }))).state, "failed");
    assert.deepEqual([channel.sent, dead.length], [[], 2]);
    // Alone with the person it is a message as any other; and a platform that can do it gets it.
    assert.equal((await outbox.deliver(say("", "s3", secret))).state, "sent");
    Object.assign(channel, { shows: { only: true } });
    assert.equal((await outbox.deliver(say("", "s4", { ...secret, to: group }))).state, "sent");
    assert.deepEqual(channel.sent.map(({ draft }) => draft?.only), ["u1", "u1"]);
  });

  it("holds: what is under way is recorded first, nothing new begins, and all goes on at the release", async () => {
    const { outbox, channel, store } = await setup();
    let answered: (() => void) | undefined;
    const connection = await channel.open({} as never, {} as never);
    const slow: Connection = { ...connection, send: async (...sent) => { await new Promise<void>((resolve) => { answered = resolve; }); return connection.send(...sent); } };
    const held = createOutbox({ store, clock: manualClock(), random: () => 0.5, line: () => ({ channel, connection: slow }), split: (draft, own) => splitDraft(draft, own.limits), onDead: () => undefined, isOver: async () => false });
    const first = held.deliver(say("one", "s1"));
    await settle();
    const second = held.deliver(say("two", "s2"));
    let quiet = false;
    const holding = held.hold().then(() => { quiet = true; });
    await settle();
    assert.equal(quiet, false);
    answered?.();
    await holding;
    assert.equal((await first).state, "sent");
    assert.equal((await store.outboxRow(outboxKey({ run: "1.x.n", step: "s1" }, 0)))?.state, "sent");
    await settle();
    assert.equal((await store.outboxRow(outboxKey({ run: "1.x.n", step: "s2" }, 0)))?.state, "planned", "it did not begin");
    await held.hold();
    held.release();
    await settle();
    answered?.();
    assert.equal((await second).state, "sent");
    assert.deepEqual(channel.sent.map((part) => part.text), ["one", "two"]);
    outbox.close();
  });

  it("tries again what failed for a while, keeps the order of the chat, and tells the flow that it is queued", async () => {
    const { outbox, channel, clock } = await setup();
    let faults = 2;
    channel.fail = () => (faults-- > 0 ? later() : undefined);
    const first = outbox.deliver(say("one", "s1"));
    const second = outbox.deliver(say("two", "s2"));
    assert.equal((await first).state, "queued");
    assert.equal((await second).state, "queued");
    await clock.advance(10_000);
    assert.deepEqual(channel.sent.map((part) => part.text), ["one", "two"]);
  });

  it("waits as long as the platform asks and lets other chats go on", async () => {
    const { outbox, channel, clock } = await setup();
    let floods = 1;
    channel.fail = (_op, draft) => (draft.text === "slow" && floods-- > 0 ? new ChannelError("CONN_003", { retry: "later", afterMs: 30_000 }) : undefined);
    const slow = await outbox.deliver(say("slow", "s1"));
    assert.deepEqual(slow.state, "queued");
    assert.equal((await outbox.deliver(say("fast", "s2", { to: { ...to, chat: "c2" } }))).state, "sent");
    await clock.advance(29_000);
    assert.equal(channel.sent.length, 1);
    await clock.advance(2_000);
    assert.deepEqual(channel.sent.map((part) => part.text), ["fast", "slow"]);
  });

  it("does not repeat what can never work, and says so once", async () => {
    const { outbox, channel, dead } = await setup();
    channel.fail = () => new ChannelError("MSG_002", { retry: "no" }, "the bot was kicked");
    assert.deepEqual(await outbox.deliver(say("hi")), { state: "failed", code: "MSG_002", text: "the bot was kicked" });
    assert.equal(dead.length, 1);
  });

  it("sends plain text once where the markup was refused", async () => {
    const { outbox, channel } = await setup();
    channel.fail = (_op, draft) => (draft.plain === true ? undefined : new ChannelError("MSG_002", { retry: "no", markup: true }));
    await outbox.deliver(say("*hi*"));
    await settle();
    assert.deepEqual(channel.sent.map((part) => [part.text, part.draft?.plain]), [["*hi*", true]]);
  });

  it("gives up after twelve tries", async () => {
    const { outbox, channel, clock, dead } = await setup();
    channel.fail = later;
    void outbox.deliver(say("hi"));
    await settle();
    await clock.advance(3_600_000);
    assert.equal(dead.length, 1);
    assert.equal(dead[0]?.attempts, 12);
  });

  it("sends what was never answered once more, and no third time where the platform has no keys and cannot be asked", async () => {
    const { outbox, channel, store, clock, dead } = await setup();
    const tries: string[] = [];
    const key = outboxKey({ run: "1.x.n", step: "s1" }, 0);
    channel.fail = (op) => { tries.push(op); return silence(); };
    assert.equal((await outbox.deliver(say("hi"))).state, "queued");
    assert.equal((await store.outboxRow(key))?.state, "sending");
    await clock.advance(1_100);
    assert.equal((await store.outboxRow(key))?.state, "unknown");
    await clock.advance(600_000);
    assert.equal(tries.length, 2);
    assert.match(dead[0]?.error?.text ?? "", /never answered/);
  });

  it("goes on with the same key while the platform honours it, and asks where it can be asked", async () => {
    for (const offers of [{ keyMs: 3_600_000 }, { find: true }]) {
      const { outbox, channel, clock } = await setup({ ...offers });
      let faults = 4;
      channel.fail = () => (faults-- > 0 ? silence() : undefined);
      void outbox.deliver(say("hi"));
      await settle();
      await clock.advance(600_000);
      assert.deepEqual(channel.sent.map((part) => part.text), ["hi"], JSON.stringify(offers));
    }
  });

  it("takes a doubt back when the second try certainly did not arrive", async () => {
    const { outbox, channel, clock } = await setup();
    const faults = [silence(), new ChannelError("CONN_001", { retry: "later", unsent: true }), new ChannelError("CONN_001", { retry: "later", unsent: true })];
    channel.fail = () => faults.shift();
    void outbox.deliver(say("hi"));
    await settle();
    await clock.advance(600_000);
    assert.deepEqual(channel.sent.map((part) => part.text), ["hi"]);
  });

  it("is paced at the channel's own speed once the platform said that it is too much", async () => {
    const { outbox, channel, clock } = await setup({ limits: { perSecond: 10, perChatPerSecond: 1 } });
    let floods = 1;
    channel.fail = () => (floods-- > 0 ? new ChannelError("CONN_003", { retry: "later", afterMs: 2_000 }) : undefined);
    for (let n = 0; n < 4; n++) void outbox.deliver(say(`a${n}`, `s${n}`));
    await settle();
    assert.equal(channel.sent.length, 0);
    await clock.advance(2_050);
    assert.equal(channel.sent.length, 1);
    await clock.advance(1_000);
    assert.equal(channel.sent.length, 2);
    await clock.advance(2_000);
    assert.deepEqual(channel.sent.map((part) => part.text), ["a0", "a1", "a2", "a3"]);
  });

  it("keeps what is said while the account is away, and drops what has expired meanwhile", async () => {
    const { outbox, channel, clock, dead, connect } = await setup({ connected: false });
    assert.equal((await outbox.deliver(say("stale", "s1", { expiresAt: 1_005_000 }))).state, "queued");
    assert.equal((await outbox.deliver(say("good", "s2"))).state, "queued");
    await clock.advance(60_000);
    await connect();
    await settle();
    assert.deepEqual(channel.sent.map((part) => part.text), ["good"]);
    assert.match(dead[0]?.error?.text ?? "", /expired/);
  });

  it("drops, and says so, what was about to go out when its account went away for longer than it lasts", async () => {
    const { outbox, channel, store, clock, dead, connect, disconnect } = await setup();
    const { commit } = store;
    store.commit = async (changes) => { store.commit = commit; const seqs = await commit(changes); disconnect(); return seqs; };
    assert.equal((await outbox.deliver(say("hi", "s1", { expiresAt: clock.now() + 3_000 }))).state, "queued");
    assert.deepEqual((await store.unsent(0, 10)).map(({ state }) => state), ["sending"]);
    await clock.advance(40_000);
    assert.deepEqual(dead.map(({ error }) => error?.text), ["expired before it could be sent"]);
    await connect();
    await settle();
    assert.equal(channel.sent.length, 0);
  });

  it("looks for what a store that was full within the send left in doubt, and sends no copy", async () => {
    const { outbox, channel, clock } = await setup({ find: true });
    const full = new StoreError("STORE_001", { retry: "later", afterMs: 100 }, "full");
    channel.lose = (_op, draft) => { if (draft.text !== "second") return undefined; channel.lose = undefined; return full; };
    const both = Promise.all([outbox.deliver(say("first")), outbox.deliver(say("second", "s2"))]);
    await settle();
    await clock.advance(1_000);
    await both;
    assert.deepEqual(channel.sent.map(({ text }) => text), ["first", "second"]);
  });

  it("tells whoever looks for a message since when the platform is silent, and which refs are others'", async () => {
    const { outbox, channel, clock } = await setup({ find: true });
    const asked: unknown[] = [];
    channel.look = async ({ key, startedAt, silentAt, isTaken }) => { asked.push([key === outboxKey(say(""), 0), startedAt, silentAt, await isTaken?.("m1"), await isTaken?.("m2"), await isTaken?.("m9")]); return "m2"; };
    await outbox.deliver(say("first", "s0"));
    const began = clock.now();
    channel.lose = () => { channel.lose = undefined; void clock.advance(700); return silence(); };
    const receipt = outbox.deliver(say("second"));
    await settle();
    await clock.advance(5_000);
    assert.equal((await receipt).state, "queued");
    assert.deepEqual(asked, [[true, began, began + 700, true, false, false]]);
  });

  it("sends at once what waits for a token, when the account is connected again", async () => {
    const { outbox, channel, connect, disconnect } = await setup();
    channel.fail = () => new ChannelError("CONN_002", { retry: "no", answered: true }, "401");
    assert.equal((await outbox.deliver(say("hi"))).state, "queued");
    channel.fail = undefined;
    disconnect();
    await settle();
    assert.equal(channel.sent.length, 0);
    await connect();
    await settle();
    assert.deepEqual(channel.sent.map(({ text }) => text), ["hi"]);
  });

  it("sends later what is scheduled", async () => {
    const { outbox, channel, clock } = await setup();
    void outbox.deliver(say("later", "s1", { dueAt: clock.now() + 90_000 }));
    await clock.advance(80_000);
    assert.equal(channel.sent.length, 0);
    await clock.advance(20_000);
    assert.equal(channel.sent.length, 1);
  });

  it("holds nobody up with what is scheduled, and keeps the order with what is tried again", async () => {
    const { outbox, channel, clock } = await setup();
    void outbox.deliver(say("tomorrow", "s1", { run: "1.x.n", dueAt: clock.now() + 86_400_000 }));
    void outbox.deliver(say("soon", "s1", { run: "2.x.n", dueAt: clock.now() + 60_000 }));
    const faults = [later(), later(), later()];
    channel.fail = () => faults.shift();
    void outbox.deliver(say("first", "s1", { run: "3.x.n" }));
    void outbox.deliver(say("second", "s1", { run: "4.x.n" }));
    await clock.advance(1_500);
    assert.equal(channel.sent.length, 0, "the second does not overtake the first");
    await clock.advance(90_000_000);
    assert.deepEqual(channel.sent.map(({ text }) => text), ["first", "second", "soon", "tomorrow"]);
  });

  it("after a crash in the send window asks the platform first, and else sends again with the same key", async () => {
    for (const find of [true, false]) {
      const store = createMemoryStore();
      const key = outboxKey({ run: "1.x.n", step: "s1" }, 0);
      await store.commit([{ do: "outbox", row: { key, run: "1.x.n", op: "send", to, draft: { text: "hi" }, priority: "normal", state: "planned", plannedAt: 1, dueAt: 1 } }]);
      await store.commit([{ do: "outbox-update", key, set: { state: "sending", startedAt: 2 } }]);
      const { outbox, channel } = await setup({ store, find });
      channel.sent.push({ op: "send", to, text: "hi", key, ref: "m1" });
      await outbox.load();
      await settle();
      assert.equal((await store.outboxRow(key))?.state, "sent");
      assert.deepEqual(channel.sent.map((part) => part.key), find ? [key] : [key, key]);
    }
  });

  it("edits, reacts and removes, and names what a platform cannot do", async () => {
    const { outbox, channel } = await setup({ edit: true });
    await outbox.deliver(say("new", "s1", { op: "edit", target: "m9" }));
    await outbox.deliver(say("", "s2", { op: "remove", target: "m9" }));
    assert.deepEqual(channel.sent.map((part) => [part.op, part.ref]), [["edit", "m9"], ["remove", "m9"]]);
    const reaction = await outbox.deliver(say("👍", "s3", { op: "react", target: "m9" }));
    assert.deepEqual([reaction.state, reaction.state === "failed" && reaction.code], ["failed", "MSG_005"]);
  });

  describe("a live answer", () => {
    it("grows as a preview, and the final text comes once under the same key", async () => {
      const { outbox, channel, clock } = await setup({ preview: true, edit: true });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("Hel");
      await clock.advance(10);
      live.show("Hello wor");
      await clock.advance(10);
      await live.stop();
      await outbox.deliver(say("Hello world"));
      assert.deepEqual(channel.sent.map((part) => [part.op, part.text]), [["preview", "Hel"], ["preview", "Hello wor"], ["send", "Hello world"]]);
      assert.equal(new Set(channel.sent.map((part) => part.key)).size, 1);
    });

    it("is a placeholder that is edited where there are only edits", async () => {
      const { outbox, channel, clock, store } = await setup({ edit: true });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("Hel");
      await clock.advance(10);
      live.show("Hello wor");
      await clock.advance(10);
      await live.stop();
      assert.deepEqual(await outbox.deliver(say("Hello world")), { state: "sent", ref: "m1", refs: ["m1"] });
      assert.deepEqual(channel.sent.map((part) => [part.op, part.text, part.ref]), [["send", "Hel", "m1"], ["edit", "Hello wor", "m1"], ["edit", "Hello world", "m1"]]);
      assert.equal((await store.counts()).outbox.sent, 1);
    });

    it("begins soon, however slowly it grows then; one that is whole before needs no placeholder", async () => {
      const { outbox, channel, clock } = await setup({ edit: true, limits: { editEveryMs: 5_000 } });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("Hel");
      await clock.advance(200);
      live.show("Hello");
      await clock.advance(4_999);
      assert.deepEqual(channel.sent.map((part) => [part.op, part.text]), [["send", "Hel"]]);
      await clock.advance(1);
      await live.stop();
      const short = outbox.live({ run: "2.x.n", step: "s1", to });
      short.show("Yes");
      await clock.advance(199);
      await short.stop();
      await outbox.deliver(say("Yes.", "s1", { run: "2.x.n" }));
      assert.deepEqual(channel.sent.map((part) => [part.op, part.text]), [["send", "Hel"], ["edit", "Hello"], ["send", "Yes."]]);
    });

    it("is a placeholder at once where its place shows no previews", async () => {
      const { outbox, channel, clock } = await setup({ preview: true, edit: true, limits: { editEveryMs: 5_000 } });
      channel.fail = (op) => (op === "preview" ? new ChannelError("MSG_005", {}, "not here") : undefined);
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("Hel");
      await clock.advance(200);
      assert.deepEqual(channel.sent.map((part) => [part.op, part.text]), [["send", "Hel"]]);
      await live.stop();
    });

    it("that a crash cut is finished in its placeholder, not beside it", async () => {
      const store = createMemoryStore();
      const before = await setup({ store, edit: true });
      const live = before.outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("Hel");
      await before.clock.advance(10);
      before.outbox.close();
      const after = await setup({ store, edit: true });
      await after.outbox.load();
      await settle();
      assert.equal(after.channel.sent.length, 0, "the placeholder waits for its run");
      await after.outbox.deliver(say("Hello world"));
      assert.deepEqual(after.channel.sent.map((part) => [part.op, part.text, part.ref]), [["edit", "Hello world", "m1"]]);
    });

    it("puts a placeholder first where it is asked for, so that the text is an edit; not where keys do better", async () => {
      for (const keyMs of [undefined, 1_000]) {
        const { outbox, channel } = await setup({ edit: true, ...(keyMs === undefined ? {} : { keyMs }) });
        const live = outbox.live({ run: "1.x.n", step: "s1", to });
        await live.place("…");
        await live.stop();
        await outbox.deliver(say("Hello"));
        assert.deepEqual(channel.sent.map((part) => [part.op, part.text]), keyMs === undefined ? [["send", "…"], ["edit", "Hello"]] : [["send", "Hello"]]);
      }
    });

    it("is filled where it stands although the answer to it was lost, where keys or a look tell its place", async () => {
      for (const offers of [{ keyMs: 60_000 }, { find: true }]) {
        const { outbox, channel, clock, store } = await setup({ edit: true, ...offers });
        const live = outbox.live({ run: "1.x.n", step: "s1", to });
        const faults: Error[] = [silence()];
        channel.lose = () => faults.shift();
        live.show("He");
        await clock.advance(10);
        await live.stop();
        assert.deepEqual(await outbox.deliver(say("Hello")), { state: "sent", ref: "m1", refs: ["m1"] });
        assert.deepEqual(channel.sent.map((part) => [part.op, part.text, part.ref]), [["send", "He", "m1"], ["edit", "Hello", "m1"]]);
        assert.equal((await store.counts()).outbox.sent, 1);
      }
    });

    it("keeps what is delivered behind it behind all its parts", async () => {
      const { outbox, channel, clock } = await setup({ edit: true });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("word0");
      await clock.advance(10);
      await live.stop();
      const text = Array.from({ length: 30 }, (_, n) => `word${n}`).join(" ");
      await Promise.all([outbox.deliver(say(text)), outbox.deliver(say("a file", "s2"))]);
      assert.deepEqual(channel.sent.map(({ op, text: shown }) => `${op} ${shown.split(" ").at(-1)}`), ["send word0", "edit word14", "send word28", "send word29", "send file"]);
    });

    it("waits as the platform asks when words come too fast", async () => {
      const { outbox, channel, clock } = await setup({ edit: true });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("H");
      await clock.advance(10);
      let asked = 0;
      channel.fail = (op) => (op === "edit" && asked++ === 0 ? new ChannelError("CONN_003", { retry: "later", afterMs: 30_000 }, "too many") : undefined);
      for (let n = 0; n < 100; n++) {
        live.show(`H${"e".repeat(n)}`);
        await clock.advance(250);
      }
      assert.equal(asked, 1, "25 seconds");
      await clock.advance(6_000);
      assert.equal(asked, 2);
      await live.stop();
    });

    it("has an end for an account that is gone: the answer, what is behind it, edits, and what is to be taken away", async () => {
      const { outbox, channel, clock, store, dead, disconnect } = await setup({ edit: true });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("He");
      await clock.advance(10);
      await live.stop();
      disconnect();
      const expiresAt = clock.now() + 60_000;
      const receipts = [say("Hello", "s1", { expiresAt }), say("", "s2", { op: "react", target: "m1" }), say("more", "s3", { expiresAt })].map((one) => outbox.deliver(one));
      assert.deepEqual((await Promise.all(receipts)).map(({ state }) => state), ["queued", "queued", "queued"]);
      const other = outbox.live({ run: "2.x.n", step: "s1", to: { ...to, chat: "c2" } });
      assert.deepEqual(channel.sent.map(({ text }) => text), ["He"]);
      await clock.advance(2 * 60_000);
      await other.stop();
      assert.deepEqual(dead.map(({ key }) => key), [outboxKey({ run: "1.x.n", step: "s1" }, 0), outboxKey({ run: "1.x.n", step: "s3" }, 0)], "what never expires holds up nobody");
      assert.equal((await store.counts()).outbox.planned, 1);
    });

    it("is taken away when its run is ended while it is being put there", async () => {
      const { outbox, channel, clock, over } = await setup({ edit: true });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("He");
      const ended = clock.advance(10);
      channel.lose = () => { channel.lose = undefined; over.add("1.x.n"); outbox.over((run) => run === "1.x.n"); return undefined; };
      await ended;
      await live.abandon();
      await settle();
      assert.deepEqual(channel.sent.map(({ op, ref }) => `${op} ${ref}`), ["send m1", "remove m1"]);
    });

    it("is not begun again when nobody knows whether it stands there", async () => {
      for (const [fault, shown] of [[silence(), ["send Hello"]], [later(), ["send Hel", "edit Hello"]]] as const) {
        const { outbox, channel, clock } = await setup({ edit: true });
        const live = outbox.live({ run: "1.x.n", step: "s1", to });
        const faults: Error[] = [fault];
        channel.fail = () => faults.shift();
        live.show("He");
        await clock.advance(10);
        live.show("Hel");
        await clock.advance(10);
        await live.stop();
        await outbox.deliver(say("Hello"));
        assert.deepEqual(channel.sent.map(({ op, text }) => `${op} ${text}`), shown);
      }
    });

    it("that is given up is taken away", async () => {
      const { outbox, channel, clock } = await setup({ edit: true });
      const live = outbox.live({ run: "1.x.n", step: "s1", to });
      live.show("Half an ans");
      await clock.advance(10);
      await live.abandon();
      await settle();
      assert.deepEqual(channel.sent.map((part) => [part.op, part.ref]), [["send", "m1"], ["remove", "m1"]]);
    });

    describe("left by an earlier process", () => {
      /** The process ended in the middle of an answer; what the next one has. */
      async function broken(): Promise<Rig> {
        const first = await setup({ edit: true });
        const live = first.outbox.live({ run: "1.x.n", step: "s1", to });
        live.show("Half an ans");
        await first.clock.advance(10);
        assert.deepEqual(first.channel.sent.map((part) => [part.op, part.text]), [["send", "Half an ans"]]);
        return setup({ edit: true, store: first.store });
      }
      const removed = [["remove", "m1"]];

      it("is taken away when the run begins again and comes to nothing before a word is shown", async () => {
        const { outbox, channel, store } = await broken();
        await outbox.load();
        await outbox.live({ run: "1.x.n", step: "s1", to }).abandon();
        await settle();
        assert.deepEqual(channel.sent.map((part) => [part.op, part.ref]), removed);
        assert.deepEqual(await store.unsent(0, 10), []);
      });

      it("is taken away when its run ends without a word, and only then", async () => {
        const { outbox, channel, store } = await broken();
        await outbox.load();
        outbox.over((run) => run === "2.x.n");
        await settle();
        assert.equal(channel.sent.length, 0);
        outbox.over((run) => run === "1.x.n");
        outbox.over((run) => run === "1.x.n");
        await settle();
        assert.deepEqual(channel.sent.map((part) => [part.op, part.ref]), removed);
        assert.deepEqual(await store.unsent(0, 10), []);
      });

      it("is taken away at once when its run had ended already", async () => {
        const { outbox, channel, over } = await broken();
        over.add("1.x.n");
        await outbox.load();
        await settle();
        assert.deepEqual(channel.sent.map((part) => [part.op, part.ref]), removed);
      });

      it("that got its final text stays when the run ends", async () => {
        const { outbox, channel } = await broken();
        await outbox.load();
        await outbox.deliver(say("Half an answer"));
        outbox.over((run) => run === "1.x.n");
        await settle();
        assert.deepEqual(channel.sent.map((part) => [part.op, part.text]), [["edit", "Half an answer"]]);
      });
    });
  });

  it("lets a more urgent run pass those that wait, and keeps the order within a run", async () => {
    const { outbox, channel, connect } = await setup({ connected: false });
    void outbox.deliver(say("a1", "s1"));
    void outbox.deliver(say("a2", "s2"));
    void outbox.deliver(say("urgent", "s3", { run: "2.y.n", priority: "urgent" }));
    await settle();
    await connect();
    await settle();
    assert.deepEqual(channel.sent.map((part) => part.text), ["urgent", "a1", "a2"]);
  });
});
