/** What a person cannot enter again (notes, usage, whom an owner always allows, who may talk) comes back: from a copy, and from a store that is damaged. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLedger } from "../../engine/ledger.ts";
import { createMemory } from "../../engine/memory.ts";
import { createPeople } from "../../engine/people.ts";
import { backupsOf, createStoreCare, restore } from "../../engine/store-care.ts";
import { openSqliteStore, type SqliteStore } from "../../engine/store/sqlite.ts";
import { askedIn } from "../../engine/words.ts";
import { manualClock } from "../kit/scripted.ts";
import { AT, usageRow } from "../contracts/store-usage.ts";

const NOTES = 300;
const CALLS = 400;
const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER };
const PAGE = 4096;

describe("what nobody can enter again", function () {
  this.timeout(120_000);
  const folders: string[] = [];
  after(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });
  const clock = manualClock(AT + 1_000);

  /** A gateway's store as it is after some months: notes in two books, calls by tokens and by seconds, approvals that always hold, an open question, people, marks of warnings, talks. */
  async function house(): Promise<{ folder: string; store: SqliteStore }> {
    const folder = join(mkdtempSync(join(tmpdir(), "clawflow-rescue-")), "gateway");
    folders.push(join(folder, ".."));
    const store = await openSqliteStore(folder, { clock });
    const memory = createMemory(store, clock);
    for (let n = 0; n < NOTES; n++) await memory.remember(n % 3 === 0 ? "person/ada" : "gateway", `note ${n}: the ${n % 2 === 0 ? "boiler" : "garden"} of house ${n}`, n % 5 === 0);
    for (let n = 1; n <= CALLS; n++) await store.commit([{ do: "usage", n, row: usageRow({ at: AT - n, session: `s${n % 7}`, person: String(n % 11), micros: n % 13 === 0 ? null : n * 100, exact: n % 17 !== 0, ...(n % 4 === 0 ? { input: 0, output: 0, work: { unit: "seconds" as const, amount: n / 8 } } : {}) }) }]);
    for (let n = 0; n < 50; n++) await store.commit([
      { do: "set", space: "always", key: `tool${n}/ada`, value: { tool: `tool${n}`, person: "ada", at: AT, args: "x".repeat(200) } }, { do: "set", space: "people", key: `echo/acc/p${n}`, value: { channel: "echo", account: "acc", id: `p${n}`, name: `Person ${n}`, trust: n === 0 ? "owner" : "paired", at: AT } },
      { do: "set", space: "budgets", key: `["day",${n},"x"]\ntokens`, value: AT }, { do: "turns", session: `s${n}`, run: `${n}.s.in`, at: AT, turns: [{ role: "user", text: "t".repeat(2_000) }] },
    ]);
    await store.commit([{ do: "set", space: "approvals", key: "asked", value: [AT] }, { do: "set", space: "question", key: "q1", value: { run: "1.s.in", text: "May I?" } }]);
    return { folder, store };
  }
  interface Kept { readonly notes: string[]; readonly boilers: number; readonly calls: number; readonly sums: unknown; readonly rows: unknown; readonly always: string[]; readonly people: string[]; readonly marks: number; readonly asked: unknown; readonly question: unknown }
  async function all(store: SqliteStore): Promise<Kept> {
    const notes = (await Promise.all(["person/ada", "gateway"].map((book) => store.notes(book, undefined, 9_999)))).flat();
    const rows = await store.usageRows({ ...ALL, limit: 9_999 });
    return {
      notes: notes.map(({ n, text, tainted, at }) => `${n} ${at} ${text} ${tainted}`).sort(), boilers: (await store.notes("gateway", askedIn("boiler"), 9_999)).length,
      calls: rows.length, sums: await store.usage({ ...ALL, by: ["session", "person"] }), rows,
      always: (await store.list("always", "")).map(([key]) => key), people: (await store.list("people", "")).map(([key]) => key), marks: (await store.list("budgets", "")).length,
      asked: await store.get("approvals", "asked"), question: await store.get("question", "q1"),
    };
  }

  it("comes back whole from a copy that is put in the place of a store that is gone", async () => {
    const { folder, store } = await house();
    const before = await all(store);
    assert.deepEqual([before.notes.length, before.calls, before.always.length, before.people.length, before.marks], [NOTES, CALLS, 50, 50, 50]);
    assert.equal(before.boilers, 100);
    const care = createStoreCare({ store, folder, clock, log: () => undefined });
    await care.backup();
    // What was done since is not in it.
    await createMemory(store, clock).remember("gateway", "made later", false);
    await store.commit([{ do: "usage", n: CALLS + 1, row: usageRow() }]);
    await care.close();
    await store.close();
    writeFileSync(join(folder, "store.sqlite"), "x".repeat(9_000));
    const empty = await openSqliteStore(folder, { clock });
    const [problem] = empty.problems;
    assert.deepEqual([problem?.code, problem?.backup !== undefined, (await all(empty)).calls], ["STORE_002", true, 0], "a new store, with the copy offered");
    await empty.close();
    await restore(folder, problem?.backup as string, clock);
    const back = await openSqliteStore(folder, { clock });
    assert.deepEqual(await all(back), before);
    assert.ok(backupsOf(folder).some(({ kind }) => kind === "replaced"));
    // And it is used on: new notes are found, new calls get numbers of their own, budgets count what was spent, an owner is still the owner.
    const memory = createMemory(back, clock);
    await memory.remember("gateway", "a boiler more", false);
    assert.equal((await back.notes("gateway", askedIn("boiler"), 9_999)).length, 101);
    const ledger = await createLedger({ store: back, clock, zone: () => "UTC", budgets: () => ({}), log: (text) => assert.fail(text) });
    const payer = ledger.payer({ subject: { run: "9.s.in", message: "m", session: "s1", channel: "telegram", account: "home", person: "1", agent: "helper" }, since: AT, budgets: {} });
    const bill = await payer.begin({ id: "m", provider: "p", contextTokens: 9, async *stream() { /* Nobody asks it. */ } }, { system: "", turns: [], tools: [], live: false, maxTokens: 1 });
    bill.paid({ input: 1, output: 1 });
    await back.commit(payer.changes());
    assert.equal(await back.lastUsage(), CALLS + 1);
    const ofTalk = Array.from({ length: CALLS }, (_, n) => n + 1).filter((n) => n % 7 === 1).length;
    assert.equal((await ledger.usage({ session: "s1" })).session?.calls, ofTalk + 1);
    const people = await createPeople(back, clock);
    assert.equal(people.all().find(({ trust }) => trust === "owner")?.id, "p0");
    await back.close();
  });

  it("is read over from a store that is damaged in the middle: all but what lay in the damaged pages", async () => {
    const { folder, store } = await house();
    const before = await all(store);
    await store.close();
    const file = join(folder, "store.sqlite");
    const size = statSync(file).size;
    const bytes = readFileSync(file);
    // A page of the talks, found by what stands in it: its head is overwritten, so no table can be walked through it.
    const at = Math.floor(bytes.indexOf("t".repeat(1_900)) / PAGE) * PAGE;
    assert.ok(at > 0 && at < size);
    const handle = openSync(file, "r+");
    writeSync(handle, Buffer.alloc(PAGE, 0xff), 0, PAGE, at);
    closeSync(handle);
    writeFileSync(join(folder, "store.json"), JSON.stringify({ ...JSON.parse(readFileSync(join(folder, "store.json"), "utf8")), state: "damaged" }));
    const again = await openSqliteStore(folder, { clock });
    const [problem] = again.problems;
    assert.ok(problem?.code === "STORE_002" && problem.moved !== "" && problem.saved !== undefined, JSON.stringify(again.problems));
    const { question: _question, ...kept } = await all(again);
    const { question: _before, ...expected } = before;
    assert.deepEqual(kept, expected, "notes with their words, usage to the row, approvals, people and marks");
    assert.equal(await again.lastUsage(), CALLS);
    const [n] = await again.commit([{ do: "note", book: "gateway", at: AT, tainted: false, text: "after" }]);
    assert.ok((n ?? 0) > NOTES, "a number is not given twice");
    await again.close();
  });
});
