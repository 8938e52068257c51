import assert from "node:assert/strict";
import type { Turn } from "../engine/models/model.ts";
import { estimateTokens } from "../engine/context/estimate.ts";
import { createSessions } from "../engine/sessions.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import { settle } from "./kit/scripted.ts";

const user = (text: string): Turn => ({ role: "user", text });
const bot = (text: string): Turn => ({ role: "assistant", text });
const call: Turn = { role: "assistant", text: "", calls: [{ id: "k", name: "switch", input: {} }] };
const result: Turn = { role: "tool", call: "k", name: "switch", text: "on", failed: false };
const OWNER = { trust: "owner", tainted: false } as const;
const ALLOWED = { trust: "allowed", tainted: false } as const;
const never = new AbortController().signal;

async function setup(turns: readonly Turn[] = []) {
  const store = createMemoryStore();
  const sessions = createSessions(store);
  if (turns.length > 0) await store.commit(sessions.changes("s", "r", 1, turns, false));
  return { store, sessions };
}

describe("sessions", () => {
  it("give the last turns back, beginning with the user, never parting a call from its result", async () => {
    const { sessions } = await setup([user("1"), call, result, bot("a"), user("2"), bot("b")]);
    assert.deepEqual((await sessions.history("s", 40, 0)).map((turn) => turn.text), ["1", "", "on", "a", "2", "b"]);
    assert.deepEqual((await sessions.history("s", 4, 0)).map((turn) => turn.text), ["2", "b"]);
    assert.deepEqual(await sessions.history("s", 1, 0), []);
  });

  it("keep to a limit of tokens", async () => {
    const { sessions } = await setup([user("x".repeat(400)), bot("y"), user("z"), bot("w")]);
    assert.deepEqual((await sessions.history("s", 40, 50)).map((turn) => turn.text), ["z", "w"]);
    assert.equal((await sessions.history("s", 40, 500)).length, 4);
    assert.equal(estimateTokens("abcd"), 1);
    assert.equal(estimateTokens("日本語"), 3);
  });

  it("remember what is added without reading it again, and what another process wrote at the first look", async () => {
    const { store, sessions } = await setup([user("1"), bot("a")]);
    await sessions.history("s", 40, 0);
    const added = [user("2"), bot("b")];
    await store.commit(sessions.changes("s", "r2", 2, added, false));
    sessions.added("s", added, false);
    assert.equal((await sessions.history("s", 40, 0)).length, 4);
    assert.equal((await createSessions(store).history("s", 40, 0)).length, 4);
  });

  it("take no more memory than they may: those that rested longest are read again when they go on, and only as far back as is asked", async () => {
    const store = createMemoryStore();
    const read: [string, number][] = [];
    const sessions = createSessions({ ...store, turns: (session, limit) => { read.push([session, limit]); return store.turns(session, limit); } }, 20_000);
    for (let n = 0; n < 30; n++) {
      await store.commit(sessions.changes(`s${n}`, "r", n, Array.from({ length: 10 }, (_, k) => [user(`${n}.${k}`), bot("x".repeat(40))]).flat(), false));
      assert.equal((await sessions.history(`s${n}`, 6, 0)).length, 6);
    }
    assert.ok(read.every(([, limit]) => limit === 7), "no more is read than is shown, and one to see whether there is more");
    read.length = 0;
    await sessions.history("s29", 6, 0);
    assert.deepEqual(read, []);
    assert.deepEqual((await sessions.history("s0", 6, 0)).filter(({ role }) => role === "user").map(({ text }) => text), ["0.7", "0.8", "0.9"]);
    assert.deepEqual(read, [["s0", 7]]);
    // Whoever wants more of a talk than is at hand gets it.
    assert.equal((await sessions.since("s0")).turns.length, 20);
    assert.equal(await sessions.reachesBack("s0", 20), false);
    assert.equal(await sessions.reachesBack("s0", 19), true);
  });

  it("know turns that are still on their way to the disk, also where the session is not at hand any more", async () => {
    const { store, sessions } = await setup([user("1"), bot("a")]);
    const added = [user("2"), bot("b")];
    const disk = Promise.withResolvers<void>();
    const saved = disk.promise.then(() => store.commit(sessions.changes("s", "r2", 2, added, false)));
    sessions.added("s", added, false, saved);
    const history = sessions.history("s", 40, 0);
    await settle();
    disk.resolve();
    assert.deepEqual((await history).map(({ text }) => text), ["1", "a", "2", "b"]);
  });

  it("stay tainted until they are forgotten, over a restart too", async () => {
    const { store, sessions } = await setup();
    assert.equal(await sessions.tainted("s"), false);
    await store.commit(sessions.changes("s", "r", 1, [user("1")], true));
    sessions.added("s", [user("1")], true);
    assert.equal(await sessions.tainted("s"), true);
    const after = createSessions(store);
    assert.equal(await after.tainted("s"), true);
    await after.forget("s");
    assert.equal(await after.tainted("s"), false);
    assert.deepEqual(await after.history("s", 40, 0), []);
  });

  it("let one run in at a time, its sub-runs with it, and others in the order they came", async () => {
    const { sessions } = await setup();
    const order: string[] = [];
    const release = await sessions.lock("s", "run1", never);
    const inner = await sessions.lock("s", "run1", never);
    const enter = async (run: string) => { const leave = await sessions.lock("s", run, never); order.push(run); await settle(2); leave(); };
    const others = [enter("run2"), enter("run3")];
    await (await sessions.lock("t", "run4", never))();
    inner();
    await settle();
    assert.deepEqual(order, [], "the root run still has it");
    release();
    await Promise.all(others);
    assert.deepEqual(order, ["run2", "run3"]);
  });

  it("follow the user who edits or deletes a message, at once and after a restart", async () => {
    const said = (text: string, ref: string): Turn => ({ role: "user", text, ref, by: "ada" });
    const { store, sessions } = await setup([said("my code is 1234", "r1"), bot("noted"), said("helo", "r2"), bot("hello")]);
    await sessions.history("s", 40, 0);
    await sessions.correct("s", { ref: "r2", by: "ada", text: "hello" }, OWNER, 1);
    await sessions.correct("s", { ref: "r1", by: "ada", text: undefined }, OWNER, 1);
    await sessions.correct("s", { ref: "unknown", by: "ada", text: "x" }, OWNER, 1);
    for (const one of [sessions, createSessions(store)]) assert.deepEqual((await one.history("s", 40, 0)).map((turn) => turn.text), ["hello", "hello"]);
  });

  it("let nobody edit or delete what somebody else said, whatever ref they name, nor undo it", async () => {
    const { store, sessions } = await setup([{ role: "user", text: "the door stays shut", ref: "r1", by: "ada" }, bot("yes"), { role: "user", text: "may I come in", ref: "r1", by: "eve" }, bot("no")]);
    const texts = async () => Promise.all([sessions, createSessions(store)].map(async (one) => (await one.history("s", 40, 0)).map((turn) => turn.text)));
    const both = (...said: string[]) => [said, said];
    await sessions.correct("s", { ref: "r1", by: "mallory", text: "open the door" }, ALLOWED, 1);
    await sessions.correct("s", { ref: "r1", by: "mallory", text: undefined }, ALLOWED, 1);
    assert.deepEqual(await texts(), both("the door stays shut", "yes", "may I come in", "no"));
    assert.equal(await sessions.trust("s", "owner"), "owner", "who said nothing in it lowers nothing");
    await sessions.correct("s", { ref: "r1", by: "ada", text: undefined }, OWNER, 1);
    await sessions.correct("s", { ref: "r1", by: "eve", text: "let me in" }, ALLOWED, 1);
    assert.deepEqual(await texts(), both("let me in", "no"));
  });

  it("of which the store does not say who said what follow an edit only where nobody else ever spoke", async () => {
    const { store, sessions } = await setup([{ role: "user", text: "old", ref: "r1" }, bot("yes")]);
    await sessions.correct("s", { ref: "r1", by: "ada", text: "new" }, OWNER, 1);
    assert.equal((await sessions.history("s", 40, 0))[0]?.text, "old");
    await sessions.correct("s", { ref: "r1", by: "ada", alone: true, text: "new" }, OWNER, 1);
    for (const one of [sessions, createSessions(store)]) assert.equal((await one.history("s", 40, 0))[0]?.text, "new");
    await store.commit([{ do: "set", space: "edits", key: "s\nr1", value: { text: "as an earlier version kept it", at: 1 } }]);
    assert.equal((await createSessions(store).history("s", 40, 0))[0]?.text, "as an earlier version kept it");
  });

  it("take an edit for the words of whoever wrote it: as far trusted, and tainted where they passed it on, also behind what is at hand", async () => {
    const long = Array.from({ length: 300 }, (_, n): Turn => (n % 2 === 0 ? { role: "user", text: `t${n}`, ref: `r${n}`, by: "eve" } : bot(`t${n}`)));
    for (const [ref, facts, known] of [["r298", ALLOWED, ["allowed", false]], ["r0", ALLOWED, ["allowed", false]], ["r298", { trust: "owner", tainted: true }, ["owner", true]], ["r0", { trust: "owner", tainted: true }, ["owner", true]], ["never said", { trust: "allowed", tainted: true }, ["owner", false]]] as const) {
      const { store, sessions } = await setup(long);
      await sessions.correct("s", { ref, by: "eve", text: "anew" }, facts, 1);
      for (const one of [sessions, createSessions(store)]) assert.deepEqual([await one.trust("s", "owner"), await one.tainted("s")], known, ref);
    }
  });

  it("do not keep a run waiting that was stopped", async () => {
    const { sessions } = await setup();
    await sessions.lock("s", "run1", never);
    const stop = new AbortController();
    const waiting = sessions.lock("s", "run2", stop.signal);
    stop.abort(new Error("stopped"));
    await assert.rejects(waiting, /stopped/);
  });

  it("trust nobody more for words that are written while they are being forgotten", async () => {
    const { store } = await setup();
    const gate = Promise.withResolvers<void>();
    let held = false;
    const sessions = createSessions({ ...store, async commit(changes) { const saved = store.commit(changes); if (changes.some((change) => change.do === "forget-turns")) { held = true; await gate.promise; } return saved; } });
    const words = [user("I am only allowed"), bot("hello")];
    assert.equal(await sessions.trust("s", "allowed"), "allowed");
    assert.equal(await sessions.tainted("s"), false);
    await store.commit([...sessions.changes("s", "r", 1, words, true), ...sessions.spoke("s", "allowed")]);
    sessions.added("s", words, true);
    const gone = sessions.forget("s");
    while (!held) await settle();
    await store.commit([...sessions.changes("s", "r", 2, words, true), ...sessions.spoke("s", "allowed")]);
    gate.resolve();
    await gone;
    for (const one of [sessions, createSessions(store)]) assert.deepEqual([await one.trust("s", "owner"), await one.tainted("s")], ["allowed", true]);
  });
});
