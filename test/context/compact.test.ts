import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { systemClock } from "../../engine/clock.ts";
import { createCompactor, cutOf, transcript } from "../../engine/context/compact.ts";
import { createGauge, turnsTokens } from "../../engine/context/estimate.ts";
import { tidyTurns } from "../../engine/models/turns.ts";
import type { Model, Turn } from "../../engine/models/model.ts";
import { createSessions, type Sessions, type Summary } from "../../engine/sessions.ts";
import { createMemoryStore } from "../../engine/store/memory.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import type { Step, Store } from "../../engine/store/store.ts";
import { askedIn } from "../../engine/words.ts";
import { openProvider, talks, type Provider, type Seen } from "./kit.ts";

const SESSION = "agent:home:main";
const LIMITS = { turns: 20, tokens: 0 };
/** A step that is committed as the gateway does it: the record with what belongs to it. */
const onceIn = (store: Store) => async <T>(step: string, act: () => Promise<Step<T>>): Promise<T> => {
  const done = (await store.journal("1.s.n")).find((entry) => entry.step === step);
  if (done !== undefined) return done.data as T;
  const { data, also = [] } = await act();
  await store.commit([{ do: "journal", run: "1.s.n", entry: { step, at: 1, data } }, ...also]);
  return data;
};

/** Says everything that was ever said, as a good summary would; `facts` are the lines that hold one. */
const keeper = ({ texts }: Seen): string => [...new Set([...(texts.at(-1) ?? "").matchAll(/FACT [\w ]+\./g)].map(([line]) => line))].join("\n") || "Nothing of note.";

describe("compaction", () => {
  let provider: Provider;
  let folder: string;
  let store: Store;
  before(async () => { folder = await mkdtemp(join(tmpdir(), "clawflow-compact-")); });
  after(async () => { await rm(folder, { recursive: true, force: true }); });
  afterEach(async () => { await provider.close(); await store.close(); });

  async function rig(answer: (seen: Seen, nth: number) => string, place: string | undefined = undefined) {
    provider = await openProvider(answer);
    store = place === undefined ? createMemoryStore() : await openSqliteStore(join(folder, place));
    return begin(await provider.open());
  }
  function begin(model: Model) {
    const sessions = createSessions(store);
    const compactor = createCompactor({ sessions, gauge: createGauge(), clock: systemClock });
    const told: ({ summary: Summary } | { error: Error })[] = [];
    const deps = { model, signal: new AbortController().signal, timeoutMs: 5_000, once: onceIn(store), tell: (what: { summary: Summary } | { error: Error }) => { told.push(what); } };
    return { sessions, told, compact: (limits = LIMITS) => compactor.compact(SESSION, limits, deps), say: (n: number, text?: string) => say(sessions, n, text) };
  }
  async function say(sessions: Sessions, n: number, text = `question ${n}`): Promise<void> {
    const turns: Turn[] = [{ role: "user", text, ref: `m${n}` }, { role: "assistant", text: "", calls: [{ id: `c${n}`, name: "look", input: {} }] }, { role: "tool", call: `c${n}`, name: "look", text: `seen ${n}`, failed: false }, { role: "assistant", text: `answer ${n}` }];
    await store.commit(sessions.changes(SESSION, `${n}.s.n`, n, turns, false));
    sessions.added(SESSION, turns, false);
  }

  it("keeps a fact of 300 turns ago in the prompt, with the window small all the time, and over restarts", async function () {
    this.timeout(120_000);
    let rigged = await rig(keeper, "long");
    await rigged.say(0, "FACT my sister is called Enna.");
    for (let n = 1; n < 80; n++) {
      await rigged.compact();
      const history = await rigged.sessions.history(SESSION, LIMITS.turns, 0);
      assert.ok(history.length <= LIMITS.turns + 1);
      assert.deepEqual(tidyTurns(history), history);
      assert.match(JSON.stringify(history), /Enna/, `turn ${n * 4}`);
      await rigged.say(n);
      if (n % 30 === 0) {
        await store.close();
        store = await openSqliteStore(join(folder, "long"));
        rigged = begin(await provider.open());
      }
    }
    assert.ok(provider.seen.length >= 10 && provider.seen.length < 40, `${provider.seen.length} summaries`);
    assert.equal((await store.turns(SESSION, 1_000)).length, 320, "the originals stay");
  });

  it("is done once: the record and what it replaces are one commit, and a replay asks nobody", async () => {
    const { sessions, say, compact } = await rig(keeper);
    for (let n = 0; n < 6; n++) await say(n, n === 0 ? "FACT one." : undefined);
    await compact();
    const before = await sessions.history(SESSION, 20, 0);
    const again = begin(await provider.open());
    await again.compact();
    assert.deepEqual(await again.sessions.history(SESSION, 20, 0), before);
    assert.equal(provider.seen.length, 1);
    assert.equal((await store.journal("1.s.n")).length, 1);
  });

  it("goes on without a summary when it fails, and rests before the next try", async () => {
    const { sessions, say, compact, told } = await rig(() => "");
    for (let n = 0; n < 8; n++) { await say(n); await compact(); }
    assert.deepEqual(told.map((what) => "error" in what), [true]);
    const history = await sessions.history(SESSION, 20, 0);
    assert.ok(history.length <= 20 && history[0]?.role === "user" && history.at(-1)?.text === "answer 7");
  });

  it("keeps taint: a summary of outside text makes the session tainted, also when nothing else is left of it", async () => {
    const { sessions, compact } = await rig(keeper);
    const turns: Turn[] = Array.from({ length: 24 }, (_, n) => ({ role: n % 2 === 0 ? "user" : "assistant", text: `t${n}` }));
    await store.commit(sessions.changes(SESSION, "1.s.n", 1, turns, true));
    sessions.added(SESSION, turns, true);
    await compact();
    assert.equal((await sessions.since(SESSION)).summary?.tainted, true);
    assert.equal(await createSessions(store).tainted(SESSION), true);
  });

  it("is forgotten with the talk, and with age", async () => {
    const { sessions, say, compact } = await rig(keeper);
    for (let n = 0; n < 8; n++) await say(n, n === 0 ? "FACT secret." : undefined);
    await compact();
    await sessions.prune(0);
    assert.match(JSON.stringify(await sessions.history(SESSION, 20, 0)), /secret/);
    await sessions.prune(Date.now() + 1);
    assert.doesNotMatch(JSON.stringify(await sessions.history(SESSION, 20, 0)), /secret/);
    await sessions.forget(SESSION);
    assert.deepEqual(await store.list("summary", ""), []);
  });

  it("hides from a search what was taken back behind the window, and forgets that with the talk", async () => {
    const { sessions, say, compact } = await rig(keeper);
    for (let n = 0; n < 8; n++) await say(n, n === 0 ? "FACT password." : n === 1 ? "FACT wrong." : undefined);
    await compact();
    const found = async (word: string) => JSON.stringify(await sessions.search(SESSION, askedIn(word), 5));
    assert.match(await found("password"), /password/);
    await sessions.correct(SESSION, { ref: "m0", by: undefined, text: undefined }, { trust: "owner", tainted: false }, 5);
    await sessions.correct(SESSION, { ref: "m1", by: undefined, text: "FACT right." }, { trust: "owner", tainted: false }, 5);
    assert.doesNotMatch(await found("password"), /password/);
    assert.match(await found("wrong"), /FACT right/);
    assert.deepEqual((await store.list("edits", "")).length, 2);
    await sessions.prune(5);
    assert.equal((await store.list("edits", "")).length, 2);
    await sessions.prune(6);
    assert.equal((await store.list("edits", "")).length, 0, "with age");
    await sessions.correct(SESSION, { ref: "m0", by: undefined, text: "the password is 1234" }, { trust: "owner", tainted: false }, 7);
    await sessions.forget(SESSION);
    assert.deepEqual(await store.list("edits", ""), [], "with the talk");
  });

  it("follows an edit and a removal of what is not summarised yet", async () => {
    const { sessions, say, compact } = await rig(keeper);
    for (let n = 0; n < 8; n++) await say(n, n === 1 ? "FACT wrong." : undefined);
    await sessions.correct(SESSION, { ref: "m1", by: undefined, text: "FACT right." }, { trust: "owner", tainted: false }, 1);
    await sessions.correct(SESSION, { ref: "m2", by: undefined, text: undefined }, { trust: "owner", tainted: false }, 1);
    await compact();
    const text = JSON.stringify(provider.seen);
    assert.match(text, /FACT right/);
    assert.doesNotMatch(text, /FACT wrong|question 2/);
    assert.deepEqual((await sessions.since(SESSION)).turns.map(({ text: said }) => said).filter((said) => said.startsWith("question")), ["question 6", "question 7"]);
  });
});

describe("the cut of a compaction", () => {
  it("is between exchanges, leaves a smaller window, and takes no more than can be read", () => {
    fc.assert(fc.property(talks(), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 50, max: 5_000 }), fc.integer({ min: 50, max: 5_000 }), (turns, most, tokens, read) => {
      const cut = cutOf(turns, undefined, { turns: most, tokens, read });
      if (turns.length <= most && turnsTokens(turns) <= tokens) return assert.equal(cut, undefined);
      assert.ok(cut !== undefined && cut.keep < turns.length);
      const [old, kept] = [turns.slice(0, turns.length - cut.keep), turns.slice(turns.length - cut.keep)];
      assert.deepEqual([tidyTurns(old), tidyTurns(kept)], [old, kept]);
      assert.ok(kept.length === 0 || kept[0]?.role === "user");
      assert.match(transcript(old, undefined), /^<talk>\nUser: /);
    }), { numRuns: 200 });
  });
});
