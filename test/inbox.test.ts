import assert from "node:assert/strict";
import { createInbox, type Entry, type Inbox, type InboxOptions, type Run } from "../engine/inbox.ts";
import { StoreError } from "../engine/errors.ts";
import type { Message } from "../engine/message.ts";
import { stopOf } from "../engine/stopped.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import type { Store } from "../engine/store/store.ts";
import { manualClock, message, settle } from "./kit/scripted.ts";

const owner = { trust: "owner", tainted: false } as const;

function setup(store: Store = createMemoryStore(), more: Partial<InboxOptions> = {}) {
  const clock = manualClock();
  const dead: string[] = [];
  const inbox = createInbox({ store, clock, limits: () => ({ pendingMaxMs: 60_000, idleMs: 10_000 }), onDead: (_receipt, reason) => dead.push(reason), ...more });
  return { store, clock, inbox, dead };
}
function entry(id: string, options: { gatherMs?: number; matches?: (message: Message) => boolean; covers?: (message: Message) => boolean } = {}): Entry & { runs: Run[] } {
  const runs: Run[] = [];
  return { id, runs, gatherMs: options.gatherMs ?? 0, covers: options.covers ?? (() => true), matches: options.matches ?? (() => true), emit: (run) => { runs.push(run); } };
}
async function endAll(inbox: Inbox): Promise<void> { for (const run of [...inbox.runs()]) await inbox.end(run.id); await settle(); }

describe("inbox", () => {
  it("hands messages of one lane over strictly in order, one at a time, and other lanes beside it", async () => {
    const { inbox, store } = setup();
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    for (const [id, chat] of [["a1", "A"], ["a2", "A"], ["b1", "B"], ["a3", "A"]] as const) await inbox.receive(message({ id, chat }), owner);
    await settle();
    assert.deepEqual(one.runs.map((run) => run.receipt.message.id), ["a1", "b1"]);
    await inbox.end((one.runs[0] as Run).id);
    await settle();
    assert.deepEqual(one.runs.map((run) => run.receipt.message.id), ["a1", "b1", "a2"]);
    await endAll(inbox);
    await endAll(inbox);
    assert.deepEqual(one.runs.map((run) => run.receipt.message.id), ["a1", "b1", "a2", "a3"]);
    const counts = await store.counts();
    assert.deepEqual([counts.received, counts.done, counts.dead, counts.pending], [4, 4, 0, 0]);
  });

  it("takes the same event once, also while it is under way and after it is done", async () => {
    const { inbox } = setup();
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    const twice = message({ id: "same" });
    assert.equal(await inbox.receive(twice, owner), "saved");
    assert.equal(await inbox.receive(twice, owner), "duplicate");
    await settle();
    await endAll(inbox);
    assert.equal(await inbox.receive(twice, owner), "duplicate");
    assert.equal(one.runs.length, 1);
  });

  it("makes one run for each matching entry and is done when all have ended", async () => {
    const { inbox, store } = setup();
    const [first, second, other] = [entry("n1"), entry("n2"), entry("n3", { matches: () => false })];
    for (const one of [first, second, other]) inbox.add(one);
    inbox.start();
    await inbox.receive(message(), owner);
    await settle();
    assert.equal(first.runs.length + second.runs.length, 2);
    assert.equal(other.runs.length, 0);
    await inbox.end((first.runs[0] as Run).id);
    assert.equal((await store.counts()).pending, 1);
    await inbox.end((second.runs[0] as Run).id);
    assert.equal((await store.counts()).done, 1);
  });

  it("goes on after a restart with what had not ended, in order, and knows the runs that had", async () => {
    const store = createMemoryStore();
    const before = setup(store);
    const [first, second] = [entry("n1"), entry("n2")];
    before.inbox.add(first);
    before.inbox.add(second);
    before.inbox.start();
    await before.inbox.receive(message({ id: "x1" }), owner);
    await before.inbox.receive(message({ id: "x2" }), owner);
    await settle();
    await before.inbox.end((first.runs[0] as Run).id);
    await store.commit([{ do: "journal", run: (second.runs[0] as Run).id, entry: { step: "model", at: 1, data: "said" } }]);
    before.inbox.close();

    const after = setup(store);
    const [again1, again2] = [entry("n1"), entry("n2")];
    after.inbox.add(again1);
    after.inbox.add(again2);
    await after.inbox.load();
    after.inbox.start();
    await settle();
    assert.equal(again1.runs.length, 0, "the run that had ended is not repeated");
    assert.equal(again2.runs.length, 1);
    const run = again2.runs[0] as Run;
    assert.equal(run.id, (second.runs[0] as Run).id);
    assert.equal(run.journal.get("model"), "said");
    await after.inbox.end(run.id);
    await settle();
    assert.deepEqual(again1.runs.map((one) => one.receipt.message.id), ["x2"]);
  });

  it("gives up a message that stopped the process three times, and the lane moves on", async () => {
    const store = createMemoryStore();
    for (let start = 0; start < 3; start++) {
      const { inbox, dead } = setup(store);
      const one = entry("n1");
      inbox.add(one);
      await inbox.load();
      inbox.start();
      if (start === 0) await inbox.receive(message({ id: "poison" }), owner);
      await settle();
      assert.equal(one.runs.length, 1, `try ${start + 1}`);
      assert.equal(dead.length, 0);
    }
    const last = setup(store);
    const one = entry("n1");
    last.inbox.add(one);
    await last.inbox.load();
    last.inbox.start();
    await last.inbox.receive(message({ id: "healthy" }), owner);
    await settle();
    assert.deepEqual(one.runs.map((run) => run.receipt.message.id), ["healthy"]);
    assert.match(last.dead[0] ?? "", /interrupted/);
    assert.equal((await store.counts()).dead, 1);
  });

  it("blames none of those that were under way beside it", async () => {
    const store = createMemoryStore();
    const told: string[] = [];
    const ended: string[] = [];
    for (let start = 0; start < 6; start++) {
      const { inbox, dead, clock } = setup(store);
      const one = entry("n1");
      inbox.add(one);
      await inbox.load();
      inbox.start();
      if (start === 0) for (const id of ["i1", "i2", "poison", "i3"]) await inbox.receive(message({ id, chat: id }), owner);
      await settle();
      // The first two processes end at once; the later ones as soon as the poison is under way.
      for (let turn = 0; start > 1 && turn < 10; turn++) {
        const running = [...inbox.runs()];
        if (running.some(({ receipt }) => receipt.message.id === "poison")) { assert.equal(running.length, 1, "it is tried alone"); break; }
        for (const run of running) { ended.push(run.receipt.message.id); await inbox.end(run.id); }
        await clock.advance(100);
      }
      told.push(...dead);
    }
    assert.deepEqual([told, ended], [["gave up after 3 interrupted tries"], ["i1", "i2", "i3"]]);
    const { done, dead, pending } = await store.counts();
    assert.deepEqual([done, dead, pending], [3, 1, 0]);
  });

  it("lets the others begin when the one that is tried takes long", async () => {
    const store = createMemoryStore();
    for (let start = 0; start < 3; start++) {
      const { inbox, clock } = setup(store, { limits: () => ({ pendingMaxMs: 600_000, idleMs: 600_000 }) });
      inbox.add(entry("n1"));
      await inbox.load();
      inbox.start();
      if (start === 0) for (const id of ["a", "b"]) await inbox.receive(message({ id, chat: id }), owner);
      await settle();
      if (start < 2) continue;
      assert.deepEqual([...inbox.runs()].map(({ receipt }) => receipt.message.id), ["a"]);
      await clock.advance(61_000);
      assert.deepEqual([...inbox.runs()].map(({ receipt }) => receipt.message.id), ["a", "b"]);
    }
  });

  it("tries one that was paused meanwhile alone again, and counts that once", async () => {
    const store = createMemoryStore();
    let paused = false;
    for (let start = 0; start < 3; start++) {
      const { inbox, clock, dead } = setup(store, { limits: () => ({ pendingMaxMs: 600_000, idleMs: 600_000 }), pausedUntil: () => (paused ? Number.MAX_SAFE_INTEGER : undefined) });
      inbox.add(entry("n1"));
      await inbox.load();
      inbox.start();
      if (start === 0) for (const id of ["a", "b"]) await inbox.receive(message({ id, chat: id }), owner);
      await settle();
      if (start < 2) continue;
      const running = () => [...inbox.runs()].map(({ receipt }) => `${receipt.message.id} ${receipt.attempts}`);
      assert.deepEqual(running(), ["a 2"]);
      paused = true;
      inbox.control.suspend(() => true);
      await settle();
      assert.deepEqual(running(), []);
      paused = false;
      inbox.control.wake();
      await settle();
      assert.deepEqual(running(), ["a 2"]);
      await clock.advance(61_000);
      assert.deepEqual(running(), ["a 2", "b 2"]);
      assert.deepEqual(dead, []);
    }
  });

  it("blames nothing on a message that was under way when its process ended in order", async () => {
    const store = createMemoryStore();
    for (let start = 0; start < 6; start++) {
      const { inbox, dead } = setup(store);
      const one = entry("n1");
      inbox.add(one);
      await inbox.load();
      inbox.start();
      if (start === 0) await inbox.receive(message({ id: "slow" }), owner);
      await settle();
      assert.equal(one.runs.length, 1);
      assert.equal(one.runs[0]?.receipt.attempts, 0);
      assert.equal(dead.length, 0);
      await inbox.close();
      assert.equal(stopOf((one.runs[0] as Run).abort.signal), "closed", "no fault, to whom it works for");
    }
  });

  it("keeps a message no flow takes until its age limit, then it is a dead letter; one whose kind nobody wants is done at once", async () => {
    const { inbox, store, clock, dead } = setup();
    inbox.start();
    await inbox.receive(message({ chat: "A" }), owner);
    await settle();
    assert.equal((await store.counts()).pending, 1);
    await clock.advance(120_000);
    assert.match(dead[0] ?? "", /no flow/);
    inbox.add(entry("n1", { matches: () => false }));
    await inbox.receive(message({ chat: "B" }), owner);
    await settle();
    assert.equal((await store.counts()).done, 1);
  });

  it("hands a waiting message over as soon as a flow for it is deployed", async () => {
    const { inbox } = setup();
    inbox.start();
    await inbox.receive(message(), owner);
    await settle();
    const one = entry("n1");
    inbox.stop();
    inbox.add(one);
    inbox.start();
    await settle();
    assert.equal(one.runs.length, 1);
  });

  it("begins a run again that a deploy took the flow from, with its journal, and ends one whose entry is gone", async () => {
    const { inbox, dead } = setup();
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    await inbox.receive(message({ chat: "A" }), owner);
    await settle();
    const run = one.runs[0] as Run;
    run.journal.set("model", "said");
    inbox.stop();
    inbox.remove("n1");
    const anew = entry("n1");
    inbox.add(anew);
    inbox.start();
    assert.equal(anew.runs.length, 0, "a run whose msgs still move goes on where it is");
    inbox.stop();
    inbox.interrupt(run.id);
    inbox.start();
    assert.equal(anew.runs[0], run);
    assert.equal(anew.runs[0]?.journal.get("model"), "said");
    assert.equal(run.pass, 1);
    inbox.stop();
    inbox.remove("n1");
    inbox.interrupt(run.id);
    inbox.start();
    await settle();
    assert.match(dead[0] ?? "", /removed/);
  });

  it("gathers a burst of one sender and repeats the same burst after a restart", async () => {
    const store = createMemoryStore();
    const { inbox, clock } = setup(store);
    const one = entry("n1", { gatherMs: 500 });
    inbox.add(one);
    inbox.start();
    await inbox.receive(message({ id: "b1", text: "one" }), owner);
    await clock.advance(300);
    await inbox.receive(message({ id: "b2", text: "two" }), owner);
    await clock.advance(400);
    assert.equal(one.runs.length, 0, "still quiet for less than 500 ms");
    await clock.advance(700);
    await settle();
    assert.deepEqual(one.runs[0]?.messages.map((part) => part.text), ["one", "two"]);
    inbox.close();
    const after = setup(store);
    const again = entry("n1", { gatherMs: 500 });
    after.inbox.add(again);
    await after.inbox.load();
    await after.inbox.receive(message({ id: "b3", text: "three" }), owner);
    after.inbox.start();
    await settle();
    assert.deepEqual(again.runs[0]?.messages.map((part) => part.text), ["one", "two"]);
  });

  it("repeats the same burst that was put back before it began, by a deploy or by a fault of the store", async () => {
    for (const why of ["deploy", "fault"]) {
      const store = createMemoryStore();
      const { commit } = store;
      const files = Promise.withResolvers<void>();
      let prepared = 0;
      const { inbox, clock } = setup(store, { prepare: async (told) => { if (prepared++ === 0) await files.promise; return { ...told, attachments: [] }; } });
      const one = entry("n1", { gatherMs: 500 });
      inbox.add(one);
      inbox.start();
      await inbox.receive(message({ id: "b1", text: "one", attachments: [{ kind: "image", media: "x", state: "remote" }] }), owner);
      await inbox.receive(message({ id: "b2", text: "two" }), owner);
      await clock.advance(1_500);
      assert.equal(prepared, 1);
      await inbox.receive(message({ id: "b3", text: "three" }), owner);
      if (why === "deploy") inbox.stop();
      else store.commit = async (changes) => { if (changes.length === 0) return []; store.commit = commit; throw new StoreError("STORE_001", { retry: "later" }); };
      files.resolve();
      await settle();
      inbox.start();
      await clock.advance(2_000);
      assert.deepEqual(one.runs.map((run) => run.messages.map((part) => part.text)), [["one", "two"]], why);
      await endAll(inbox);
      await clock.advance(1_500);
      await endAll(inbox);
      assert.deepEqual(one.runs.map((run) => run.messages.map((part) => part.text)), [["one", "two"], ["three"]], why);
      assert.equal((await store.counts()).pending, 0);
    }
  });

  it("gathers nothing any more for a message that was stopped meanwhile", async () => {
    for (const maxInMemory of [2_000, 0]) {
      const store = createMemoryStore();
      const { inbox, clock } = setup(store, { maxInMemory });
      const one = entry("n1", { gatherMs: 500 });
      inbox.add(one);
      inbox.start();
      const first = message({ id: "b1", text: "one" });
      await inbox.receive(first, owner);
      await settle();
      await inbox.receive(message({ id: "b2", text: "two" }), owner);
      await clock.advance(200);
      const { write, count } = await inbox.control.stop(first.at, 2, "a person stopped it");
      await store.commit(write);
      assert.equal(count, 1);
      await clock.advance(100);
      await inbox.receive(message({ id: "b3", text: "three" }), owner);
      await clock.advance(2_000);
      assert.deepEqual(one.runs.map((run) => run.messages.map((part) => part.text)), [["two", "three"]]);
      await endAll(inbox);
      assert.deepEqual([(await store.counts()).pending, inbox.size], [0, 0]);
    }
  });

  it("puts back what it took for a message that was stopped in that very moment", async () => {
    const store = createMemoryStore();
    const { inbox, clock } = setup(store, { maxInMemory: 0 });
    const one = entry("n1", { gatherMs: 500 });
    inbox.add(one);
    inbox.start();
    const first = message({ id: "b1", text: "one" });
    await inbox.receive(first, owner);
    await settle();
    await inbox.receive(message({ id: "b2", text: "two" }), owner);
    const read = store.receipt;
    let reads = 0;
    store.receipt = async (seq) => {
      const found = await read.call(store, seq);
      // The second look is the one that takes it.
      if (seq === 2 && ++reads === 2) queueMicrotask(() => { void inbox.control.stop(first.at, 2, "a person stopped it").then(({ write }) => store.commit(write)); });
      return found;
    };
    await clock.advance(3_000);
    assert.deepEqual(one.runs.map((run) => run.messages.map((part) => part.text)), [["two"]]);
    await endAll(inbox);
    assert.deepEqual([(await store.counts()).pending, inbox.size], [0, 0]);
  });

  it("gives up by itself what is damaged in a burst that is repeated, and repeats the rest", async () => {
    const store = createMemoryStore();
    const before = setup(store);
    before.inbox.add(entry("n1", { gatherMs: 500 }));
    before.inbox.start();
    for (const text of ["one", "two", "three"]) await before.inbox.receive(message({ text }), owner);
    await before.clock.advance(2_000);
    const { pending } = store;
    store.pending = async (...asked) => (await pending.call(store, ...asked)).map((one) => (one.seq === 2 ? { ...one, reason: "damaged" } : one));
    const { inbox, clock, dead } = setup(store);
    const one = entry("n1", { gatherMs: 500 });
    inbox.add(one);
    await inbox.load();
    inbox.start();
    await clock.advance(2_000);
    assert.deepEqual([one.runs.map((run) => run.messages.map((part) => part.text)), dead], [[["one", "three"]], ["damaged"]]);
    await endAll(inbox);
    assert.deepEqual([(await store.counts()).pending, (await store.counts()).dead, inbox.size], [0, 1, 0]);
  });

  it("leaves out of a burst what was deleted before it was taken", async () => {
    const { inbox, store, clock } = setup(createMemoryStore(), { maxInMemory: 0 });
    const one = entry("n1", { gatherMs: 500 });
    inbox.add(one);
    inbox.start();
    for (const id of ["b1", "b2", "b3"]) await inbox.receive(message({ id, ref: `ref-${id}`, text: id }), owner);
    await inbox.receive(message({ id: "del", ref: "ref-b2", kind: "delete", text: "" }), owner);
    await clock.advance(2_000);
    assert.deepEqual(one.runs.map((run) => run.messages.map((part) => part.text)), [["b1", "b3"]]);
    await endAll(inbox);
    assert.deepEqual([(await store.counts()).pending, inbox.size], [0, 0]);
  });

  it("puts nothing into a burst that is trusted less, or comes from elsewhere: what is passed on has a run of its own", async () => {
    const { inbox, clock } = setup();
    const one = entry("n1", { gatherMs: 500 });
    inbox.add(one);
    inbox.start();
    for (const [id, facts] of [["typed", owner], ["also typed", owner], ["passed on", { ...owner, tainted: true }], ["when no owner any more", { trust: "allowed", tainted: true }]] as const) await inbox.receive(message({ id }), facts);
    for (let left = 3; left > 0; left--) { await clock.advance(1_500); await endAll(inbox); }
    assert.deepEqual(one.runs.map((run) => [run.messages.map(({ id }) => id).join(" + "), run.receipt.trust, run.receipt.tainted]), [["typed + also typed", "owner", false], ["passed on", "owner", true], ["when no owner any more", "allowed", true]]);
  });

  it("lets a button press pass the run that waits in its chat", async () => {
    const { inbox } = setup();
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    await inbox.receive(message({ id: "slow" }), owner);
    await inbox.receive(message({ id: "press", kind: "action", action: { type: "button", value: "yes" } }), owner);
    await settle();
    assert.deepEqual(one.runs.map((run) => run.receipt.message.id), ["slow", "press"]);
  });

  it("changes what was edited or deleted while it still waited, and runs an edit of what was taken up already", async () => {
    for (const maxInMemory of [2_000, 0]) {
      const { inbox, store } = setup(createMemoryStore(), { maxInMemory });
      const one = entry("n1");
      inbox.add(one);
      inbox.start();
      for (const id of ["first", "second", "third"]) await inbox.receive(message({ id, ref: `ref-${id}`, text: id }), owner);
      await settle();
      await inbox.receive(message({ id: "edit2", ref: "ref-second", kind: "edit", text: "second, better" }), owner);
      await inbox.receive(message({ id: "delete3", ref: "ref-third", kind: "delete", text: "" }), owner);
      await inbox.receive(message({ id: "edit1", ref: "ref-first", kind: "edit", text: "too late" }), owner);
      await inbox.receive(message({ id: "foreign", ref: "ref-second", kind: "edit", text: "not mine", from: "eve" }), owner);
      for (let n = 0; n < 5; n++) { await endAll(inbox); }
      assert.deepEqual(one.runs.map((run) => [run.receipt.message.kind, run.receipt.message.text]), [["message", "first"], ["message", "second, better"], ["edit", "too late"], ["edit", "not mine"]]);
      assert.equal((await store.counts()).pending, 0);
    }
  });

  it("says of what joins whether text of others came with it, as of what begins a run", async () => {
    const { inbox } = setup();
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    const mail = { channel: "email", account: "acc", chat: "ada@x.org", kind: "direct" } as const;
    for (const [id, more] of [["first", {}], ["own", {}], ["quoting", { replyTo: "m1" }]] as const) await inbox.receive(message({ id, text: id, at: mail, ...more }), owner);
    await settle();
    assert.deepEqual((await inbox.control.join((one.runs[0] as Run).id))?.step.data.map(({ text, outside }) => [text, outside === true]), [["own", false], ["quoting", true]]);
  });

  it("lets join what waits as it is said now: nothing that was deleted, not even while its files were fetched, and no old words", async () => {
    for (const maxInMemory of [2_000, 0]) {
      let fetching: (() => Promise<unknown>) | undefined;
      const { inbox, store } = setup(createMemoryStore(), { maxInMemory, prepare: async (told) => { if (told.text === "slow") await fetching?.(); return told; } });
      const one = entry("n1");
      inbox.add(one);
      inbox.start();
      const send = (id: string, more: Parameters<typeof message>[0] = {}) => inbox.receive(message({ id, ref: `ref-${id}`, text: id, ...more }), owner);
      for (const id of ["first", "second", "third"]) await send(id);
      await settle();
      const { id: run } = one.runs[0] as Run;
      await send("del2", { kind: "delete", ref: "ref-second", text: "" });
      const joined = async () => ((await inbox.control.join(run))?.step.data ?? []).map(({ text }) => text);
      assert.deepEqual(await joined(), ["third"]);
      await send("fourth", { text: "slow" });
      fetching = () => send("del4", { kind: "delete", ref: "ref-fourth", text: "" });
      assert.deepEqual(await joined(), []);
      await send("fifth", { text: "slow" });
      fetching = () => send("edit5", { kind: "edit", ref: "ref-fifth", text: "quick" });
      assert.deepEqual(await joined(), []);
      assert.deepEqual(await joined(), ["quick"]);
      for (let n = 0; n < 5; n++) await endAll(inbox);
      assert.deepEqual([one.runs.length, inbox.size], [1, 0]);
      assert.deepEqual([(await store.receipt(2))?.reason, (await store.receipt(5))?.reason], ["deleted by its sender", "deleted by its sender"]);
    }
  });

  it("runs an edit or deletion by itself, in its place, where the store fails just as it would change what waits", async () => {
    for (const kind of ["edit", "delete"] as const) for (const maxInMemory of [2_000, 0]) {
      const store = createMemoryStore();
      const { inbox } = setup(store, { maxInMemory });
      const one = entry("n1");
      inbox.add(one);
      inbox.start();
      for (const id of ["first", "second"]) await inbox.receive(message({ id, ref: `ref-${id}`, text: id }), owner);
      await settle();
      const { commit } = store;
      store.commit = async (changes) => {
        if (!changes.some((change) => change.do === "receipt")) return commit.call(store, changes);
        await inbox.receive(message({ id: "third", text: "third" }), owner);
        throw new StoreError("STORE_005", { retry: "later" });
      };
      const act = message({ id: "act", ref: "ref-second", kind, text: "another" });
      assert.equal(await inbox.receive(act, owner), "saved");
      store.commit = commit;
      assert.equal(await inbox.receive(act, owner), "duplicate");
      for (let n = 0; n < 5; n++) await endAll(inbox);
      assert.deepEqual(one.runs.map((run) => `${run.receipt.message.kind} ${run.receipt.message.text}`), ["message first", "message second", `${kind} another`, "message third"]);
      assert.equal((await store.counts()).pending, 0);
      assert.equal(inbox.size, 0);
    }
  });

  it("lets nothing overtake an edit whose message is looked for among those that wait", async () => {
    const { inbox } = setup(createMemoryStore(), { maxInMemory: 0 });
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    for (const id of ["first", "second"]) await inbox.receive(message({ id, ref: `ref-${id}`, text: id }), owner);
    await settle();
    await Promise.all([inbox.receive(message({ id: "act", ref: "ref-first", kind: "edit", text: "too late" }), owner), inbox.receive(message({ id: "third", text: "third" }), owner)]);
    for (let n = 0; n < 5; n++) await endAll(inbox);
    assert.deepEqual(one.runs.map((run) => run.receipt.message.text), ["first", "second", "too late", "third"]);
  });

  it("ends no process whose store is away when a run's entry is removed and everything closes", async () => {
    const store = createMemoryStore();
    const { inbox, clock } = setup(store);
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    await inbox.receive(message(), owner);
    await settle();
    inbox.stop();
    inbox.interrupt((one.runs[0] as Run).id);
    inbox.remove("n1");
    store.commit = async () => { throw new StoreError("STORE_001", { retry: "later" }); };
    const faults: unknown[] = [];
    const hear = (fault: unknown): void => { faults.push(fault); };
    const others = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", hear);
    try {
      inbox.start();
      await inbox.close();
      await clock.advance(10_000);
    } finally {
      process.off("unhandledRejection", hear);
      for (const other of others) process.on("unhandledRejection", other);
    }
    assert.deepEqual(faults, []);
  });

  it("refuses more than it can keep before it is confirmed", async () => {
    const { inbox } = setup(createMemoryStore(), { maxPending: 2 });
    for (const chat of ["A", "B"]) await inbox.receive(message({ chat }), owner);
    await assert.rejects(inbox.receive(message({ chat: "C" }), owner), { code: "STORE_005", retry: "later" });
    assert.equal((await inbox.save(message({ chat: "C", text: "/stop" }), owner, "beside"))?.state, "pending", "what steers it is taken");
  });

  it("reads waiting messages again from the store when memory is full, in order", async () => {
    const { inbox } = setup(createMemoryStore(), { maxInMemory: 1 });
    const one = entry("n1");
    inbox.add(one);
    for (const id of ["q1", "q2", "q3", "q4"]) await inbox.receive(message({ id }), owner);
    inbox.start();
    for (let n = 0; n < 4; n++) { await settle(); await endAll(inbox); }
    assert.deepEqual(one.runs.map((run) => run.receipt.message.id), ["q1", "q2", "q3", "q4"]);
  });

  it("ends a run that shows no sign of life, says that nothing was answered, and aborts what it held", async () => {
    const ends: string[] = [];
    const { inbox, clock } = setup(createMemoryStore(), { onEnd: (_run, end) => ends.push(end.reason ?? "") });
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    await inbox.receive(message(), owner);
    await settle();
    await clock.advance(15_000);
    assert.match(ends[0] ?? "", /unanswered/);
    assert.equal(one.runs[0]?.abort.signal.aborted, true);
  });

  it("gives up no run while the flows are stopped, and begins it again when they come back", async () => {
    const ends: string[] = [];
    const { inbox, clock } = setup(createMemoryStore(), { onEnd: (_run, end) => ends.push(end.reason ?? "") });
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    await inbox.receive(message(), owner);
    await settle();
    const run = one.runs[0] as Run;
    inbox.waits(run.id);
    inbox.stop();
    // The node that asked is closed: its wait ends, and nothing goes on.
    inbox.goesOn(run.id);
    await clock.advance(600_000);
    assert.deepEqual([ends, run.abort.signal.aborted], [[], false]);
    inbox.interrupt(run.id);
    inbox.start();
    assert.equal(one.runs.length, 2);
    await clock.advance(9_000);
    assert.deepEqual(ends, []);
    await clock.advance(10_000);
    assert.equal(ends.length, 1, "the limit counts from there");
  });

  it("counts the time of a run that a stop left in its flow from the start on", async () => {
    const ends: string[] = [];
    const { inbox, clock } = setup(createMemoryStore(), { onEnd: (_run, end) => ends.push(end.reason ?? "") });
    inbox.add(entry("n1"));
    inbox.start();
    await inbox.receive(message(), owner);
    await settle();
    inbox.stop();
    await clock.advance(600_000);
    inbox.start();
    await clock.advance(9_000);
    assert.deepEqual(ends, []);
  });

  it("makes a dead letter of a message whose flow failed before there was an answer, and of no other", async () => {
    const { inbox, store, dead } = setup();
    const one = entry("n1");
    inbox.add(one);
    inbox.start();
    for (const id of ["a", "b"]) await inbox.receive(message({ id, chat: id }), owner);
    await settle();
    const [first, second] = one.runs as [Run, Run];
    second.answered = true;
    for (const { id } of [first, second]) await inbox.end(id, { fault: "[MODEL_004] overloaded" });
    assert.deepEqual(dead, ["[MODEL_004] overloaded"]);
    assert.deepEqual([(await store.receipt(first.receipt.seq))?.state, (await store.receipt(second.receipt.seq))?.state], ["dead", "done"]);
    assert.equal((await store.receipt(second.receipt.seq))?.reason, "[MODEL_004] overloaded");
  });

  it("takes it for no silence of a run that the whole process stood still", async () => {
    const ends: string[] = [];
    const clock = manualClock();
    let stood = 0;
    const { inbox } = setup(createMemoryStore(), { clock: { ...clock, monotonic: () => clock.monotonic() + stood }, onEnd: (_run, end) => ends.push(end.reason ?? "") });
    inbox.add(entry("n1"));
    inbox.start();
    await inbox.receive(message(), owner);
    await settle();
    stood = 3_600_000;
    await clock.advance(9_000);
    assert.deepEqual(ends, []);
    await clock.advance(5_000);
    assert.equal(ends.length, 1);
  });

  it("goes on by itself when the store could not be read for a while", async () => {
    const store = createMemoryStore();
    const { inbox, clock } = setup(store, { maxInMemory: 0 });
    const one = entry("n1");
    inbox.add(one);
    await inbox.receive(message({ id: "s1" }), owner);
    const read = store.receipt;
    let broken = true;
    store.receipt = async (seq) => { if (broken) throw new Error("disk"); return read.call(store, seq); };
    inbox.start();
    await settle();
    assert.equal(one.runs.length, 0);
    broken = false;
    await clock.advance(5_000);
    assert.deepEqual(one.runs.map((run) => run.receipt.message.id), ["s1"]);
  });
});
