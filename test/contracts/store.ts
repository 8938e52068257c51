/** What every store must do. `make` opens a fresh, empty store; the suite closes it. */
import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { StoreError } from "../../engine/errors.ts";
import type { Message } from "../../engine/message.ts";
import type { Turn } from "../../engine/models/model.ts";
import type { Change, NewOutboxRow, NewReceipt, Store } from "../../engine/store/store.ts";
import { askedIn } from "../../engine/words.ts";
import { usageContract } from "./store-usage.ts";

export const NOW = 1_790_000_000_000;
export function message(id: string, more: Partial<Message> = {}): Message {
  return {
    version: 1, id, ref: `ref-${id}`, kind: "message", at: { channel: "telegram", account: "home", chat: "7", kind: "direct" },
    sender: { id: "42", name: "Ada", handle: "ada", roles: ["admin"], bot: false, self: false }, sentAt: NOW - 5, text: `text of ${id}`,
    attachments: [{ kind: "image", media: "tg:file", state: "remote" }], addressed: true, ...more,
  };
}
export function newReceipt(id: string, more: Partial<NewReceipt> = {}): NewReceipt {
  return { secret: `s-${id}`, lane: "telegram\nhome\n7\n", priority: "normal", trust: "owner", tainted: false, receivedAt: NOW, message: message(id), ...more };
}
export function newRow(key: string, more: Partial<NewOutboxRow> = {}): NewOutboxRow {
  return { key, run: "1.s.node", op: "send", to: { channel: "telegram", account: "home", chat: "7", kind: "direct" }, draft: { text: `draft of ${key}` }, priority: "normal", state: "planned", plannedAt: NOW, dueAt: NOW, ...more };
}
const receive = (id: string, more: Partial<NewReceipt> = {}): Change => ({ do: "receive", receipt: newReceipt(id, more) });
const plan = (key: string, more: Partial<NewOutboxRow> = {}): Change => ({ do: "outbox", row: newRow(key, more) });
const step = (run: string, name: string, data: unknown, at = NOW): Change => ({ do: "journal", run, entry: { step: name, at, data } });
const say = (session: string, texts: readonly string[], run = "r", at = NOW): Change => ({ do: "turns", session, run, at, turns: texts.map((text): Turn => ({ role: "user", text })) });
const set = (key: string, value: unknown, space = "space"): Change => ({ do: "set", space, key, value });
const texts = (turns: readonly { turn: Turn }[]): string[] => turns.map(({ turn }) => turn.text);
const refused = { name: "StoreError" };

/** What a search engine's own syntax would make of a question. */
const HOSTILE = ['"', '""', "'", "*", "a*", "NEAR(a b, 2)", "NEAR", "AND", "a OR", "NOT", "^end", "text:end", "-end", "(", "a)) OR 1=1 --", "%", "\u0000", "\uD800", "\u202E", "🏳️‍🌈", "{end}", "+", "end".repeat(5_000), "ß ﬀ İ ı", "a".repeat(100_000)];

export function storeContract(name: string, make: () => Promise<Store>): void {
  describe(`${name} keeps the contract of the store`, () => {
    let store: Store;
    beforeEach(async () => { store = await make(); });
    afterEach(async () => { await store.close(); });

    describe("inbox", () => {
      it("keeps a receipt as it was given, and numbers from 1 in order of arrival", async () => {
        assert.deepEqual(await store.commit([receive("a", { tainted: true, trust: "allowed", priority: "high" }), receive("b")]), [1, 2]);
        assert.deepEqual(await store.commit([receive("c")]), [3]);
        assert.deepEqual(await store.receipt(1), {
          seq: 1, secret: "s-a", lane: "telegram\nhome\n7\n", priority: "high", state: "pending", message: message("a"), trust: "allowed", tainted: true, receivedAt: NOW, attempts: 0, runs: {},
        });
        assert.equal(await store.receipt(4), undefined);
      });
      it("adds a message once per channel, account and id, also within one commit and after it is done", async () => {
        const other = receive("a", { message: message("a", { at: { channel: "telegram", account: "other", chat: "7", kind: "direct" } }) });
        const elsewhere = receive("a", { message: message("a", { at: { channel: "discord", account: "home", chat: "7", kind: "direct" } }) });
        assert.deepEqual(await store.commit([receive("a"), receive("a"), other, elsewhere]), [1, undefined, 2, 3]);
        await store.commit([{ do: "receipt", seq: 1, state: "done" }]);
        assert.deepEqual(await store.commit([receive("a", { secret: "another" }), receive("new")]), [undefined, 4]);
        assert.equal((await store.receipt(1))?.secret, "s-a");
      });
      it("lists pending receipts oldest first, in pages", async () => {
        await store.commit(["a", "b", "c", "d"].map((id) => receive(id)));
        await store.commit([{ do: "receipt", seq: 2, state: "done" }, { do: "receipt", seq: 3, state: "dead", reason: "no flow" }]);
        await store.commit([{ do: "receipt", seq: 3, state: "pending" }]);
        assert.deepEqual((await store.pending(0, 10)).map(({ seq }) => seq), [1, 3, 4]);
        assert.deepEqual((await store.pending(0, 2)).map(({ seq }) => seq), [1, 3]);
        assert.deepEqual((await store.pending(3, 2)).map(({ seq }) => seq), [4]);
        assert.deepEqual(await store.pending(4, 2), []);
      });
      it("changes attempts, runs, reason and words, each alone", async () => {
        await store.commit([receive("a")]);
        assert.deepEqual(await store.commit([{ do: "receipt", seq: 1, attempts: 2 }]), [1]);
        await store.commit([{ do: "receipt", seq: 1, runs: { one: { state: "done" }, two: { state: "dead", reason: "why" } } }]);
        await store.commit([{ do: "receipt", seq: 1, reason: "slow" }, { do: "receipt", seq: 1, message: message("a", { text: "edited" }) }]);
        const found = await store.receipt(1);
        assert.deepEqual([found?.attempts, found?.runs, found?.reason, found?.message.text, found?.state], [2, { one: { state: "done" }, two: { state: "dead", reason: "why" } }, "slow", "edited", "pending"]);
        assert.deepEqual(await store.commit([receive("a"), { do: "receipt", seq: 1 }, { do: "receipt", seq: 99, attempts: 1 }]), [undefined, undefined, undefined]);
      });
      it("scrubs a done receipt to what a late answer needs, and keeps it done", async () => {
        const to = { channel: "telegram", account: "home", chat: "8", kind: "direct" } as const;
        await store.commit([receive("a", { message: message("a", { to, raw: { secret: 1 }, mentions: ["9"] }) })]);
        await store.commit([{ do: "receipt", seq: 1, state: "done", runs: { one: { state: "done" } } }]);
        const done = await store.receipt(1);
        assert.deepEqual(done?.message, {
          version: 1, id: "a", ref: "ref-a", kind: "message", at: message("a").at, sender: { id: "42", name: "", bot: false, self: false }, sentAt: NOW - 5, text: "", attachments: [], addressed: true, to,
        });
        assert.deepEqual([done?.secret, done?.trust, done?.state, done?.runs], ["s-a", "owner", "done", { one: { state: "done" } }]);
        assert.deepEqual(await store.commit([{ do: "receipt", seq: 1, state: "pending" }, { do: "receipt", seq: 1, message: message("a") }]), [undefined, undefined]);
        assert.equal((await store.receipt(1))?.state, "done");
        assert.equal((await store.receipt(1))?.message.text, "");
      });
      it("lists dead receipts newest first, with their words and reason", async () => {
        await store.commit(["a", "b", "c"].map((id) => receive(id)));
        for (const seq of [2, 1, 3]) await store.commit([{ do: "receipt", seq, state: "dead", reason: `why ${seq}` }]);
        assert.deepEqual((await store.dead(2)).map(({ seq, reason, message: { text } }) => [seq, reason, text]), [[3, "why 3", "text of c"], [2, "why 2", "text of b"]]);
        assert.deepEqual(await store.pending(0, 10), []);
      });
      it("pages through 10,000 receipts in order", async () => {
        await Promise.all(Array.from({ length: 100 }, (_, group) => store.commit(Array.from({ length: 100 }, (__, n) => receive(`${group}-${n}`)))));
        const seen: number[] = [];
        for (let after = 0; ;) {
          const page = await store.pending(after, 999);
          if (page.length === 0) break;
          seen.push(...page.map(({ seq }) => seq));
          after = page.at(-1)?.seq as number;
        }
        assert.deepEqual(seen, Array.from({ length: 10_000 }, (_, n) => n + 1));
      });
    });

    describe("outbox", () => {
      it("keeps a row as it was planned, once per key", async () => {
        const more = { op: "edit", target: "77", expiresAt: NOW + 9, priority: "low", dueAt: NOW + 1 } as const;
        assert.deepEqual(await store.commit([plan("k1", more), plan("k1"), plan("k2")]), [1, undefined, 2]);
        assert.deepEqual(await store.outboxRow("k1"), { ...newRow("k1", more), seq: 1, attempts: 0 });
        assert.equal(await store.outboxRow("k3"), undefined);
      });
      it("lists what is neither sent nor dead in order of planning, in pages", async () => {
        await store.commit(["a", "b", "c", "d"].map((key) => plan(key)));
        await store.commit([{ do: "outbox-update", key: "b", set: { state: "sent", ref: "1" } }, { do: "outbox-update", key: "a", set: { state: "sending", startedAt: NOW } }, { do: "outbox-update", key: "c", set: { state: "dead", error: { code: "MSG_002", text: "gone" } } }]);
        assert.deepEqual((await store.unsent(0, 10)).map(({ key, state }) => [key, state]), [["a", "sending"], ["d", "planned"]]);
        assert.deepEqual((await store.unsent(0, 1)).map(({ key }) => key), ["a"]);
        assert.deepEqual((await store.unsent(1, 9)).map(({ key }) => key), ["d"]);
        await store.commit([{ do: "outbox-update", key: "c", set: { state: "planned" } }, { do: "outbox-update", key: "a", set: { state: "unknown" } }]);
        assert.deepEqual((await store.unsent(0, 10)).map(({ key, state }) => [key, state]), [["a", "unknown"], ["c", "planned"], ["d", "planned"]]);
        assert.deepEqual((await store.counts()).outbox, { planned: 2, sending: 0, unknown: 1, sent: 1, dead: 0 });
      });
      it("knows what was sent as a message, in its chat alone", async () => {
        const elsewhere = { ...newRow("a").to, chat: "elsewhere" };
        await store.commit([plan("a"), plan("b"), plan("c", { to: elsewhere }), ...["a", "c"].map((key): Change => ({ do: "outbox-update", key, set: { state: "sent", ref: "9" } }))]);
        assert.deepEqual((await store.sentAs(newRow("a").to, "9")).map(({ key }) => key), ["a"]);
        assert.deepEqual((await store.sentAs(elsewhere, "9")).map(({ key }) => key), ["c"]);
        assert.deepEqual(await store.sentAs(newRow("a").to, "8"), []);
      });
      it("changes each field alone, and tells the row's number", async () => {
        await store.commit([plan("a")]);
        for (const change of [{ dueAt: NOW + 5 }, { attempts: 3 }, { target: "t" }, { startedAt: NOW + 1 }, { expiresAt: NOW + 7 }, { error: { code: "CONN_001", text: "x" } }, { draft: { text: "new" } }, { state: "sending" }] as const) {
          assert.deepEqual(await store.commit([{ do: "outbox-update", key: "a", set: change }]), [1]);
        }
        assert.deepEqual(await store.outboxRow("a"), { ...newRow("a"), seq: 1, dueAt: NOW + 5, attempts: 3, target: "t", startedAt: NOW + 1, expiresAt: NOW + 7, error: { code: "CONN_001", text: "x" }, draft: { text: "new" }, state: "sending" });
        assert.deepEqual(await store.commit([{ do: "outbox-update", key: "nobody", set: { attempts: 1 } }, { do: "outbox-update", key: "a", set: {} }]), [undefined, undefined]);
      });
      it("empties the draft of a sent row, keeps its ref, and keeps it sent", async () => {
        await store.commit([plan("a")]);
        await store.commit([{ do: "outbox-update", key: "a", set: { state: "sent", ref: "900", draft: { text: "last" } } }]);
        const sent = { ...newRow("a"), seq: 1, attempts: 0, state: "sent", ref: "900", draft: { text: "" } };
        assert.deepEqual(await store.outboxRow("a"), sent);
        assert.deepEqual(await store.commit([{ do: "outbox-update", key: "a", set: { state: "planned", draft: { text: "again" } } }, plan("a")]), [undefined, undefined]);
        assert.deepEqual(await store.outboxRow("a"), sent);
      });
    });

    describe("journal", () => {
      it("keeps the first entry of a step, in order of writing", async () => {
        const [first, again] = await store.commit([step("1.s.n", "b", { text: "one" }), step("1.s.n", "b", { text: "two" }), step("1.s.n", "a", [1, null]), step("2.s.n", "b", "other")]);
        assert.notEqual(first, undefined);
        assert.equal(again, undefined);
        await store.commit([step("1.s.n", "c", undefined), step("1.s.n", "a", 0)]);
        assert.deepEqual(await store.journal("1.s.n"), [{ step: "b", at: NOW, data: { text: "one" } }, { step: "a", at: NOW, data: [1, null] }, { step: "c", at: NOW, data: null }]);
        assert.deepEqual(await store.journal("3.s.n"), []);
      });
    });

    describe("words", () => {
      const asked = (question: string) => askedIn(question);
      const talk = (session: string, run: string, texts: readonly string[], at = NOW): Change => ({ do: "turns", session, run, at, turns: texts.map((text, n): Turn => (n % 2 === 0 ? { role: "user", text, ref: run } : { role: "assistant", text })) });
      const found = async (session: string, question: string, limit = 9) => (await store.findTurns(session, asked(question), limit)).map((rows) => texts(rows).join("|"));
      const noted = async (book: string, question?: string) => (await store.notes(book, question === undefined ? undefined : asked(question), 99)).map(({ text }) => text);

      it("finds the commits of turns that hold one, newest first, of this session alone", async () => {
        await store.commit([talk("s", "r1", ["My sister is Enna", "Noted."]), talk("other", "r2", ["Enna is here"])]);
        await store.commit([talk("s", "r3", ["The boiler is broken", "I see"])]);
        await store.commit([talk("s", "r4", ["Enna comes on Friday"])]);
        assert.deepEqual(await found("s", "enna"), ["Enna comes on Friday", "My sister is Enna|Noted."]);
        assert.deepEqual(await found("s", "boiler FRIDAY"), ["Enna comes on Friday", "The boiler is broken|I see"]);
        assert.deepEqual([await found("s", "enna", 1), await found("s", "nothing"), await found("s", ""), await found("nobody", "enna")], [["Enna comes on Friday"], [], [], []]);
        const [[first] = []] = await store.findTurns("s", asked("sister"), 1);
        assert.deepEqual([first?.run, first?.at, first?.turn], ["r1", NOW, { role: "user", text: "My sister is Enna", ref: "r1" }]);
        await store.commit([talk("s", "r5", ["Enna was here"])]);
        assert.equal((await found("s", "enna")).length, 3, "what was added after a search is found too");
      });
      it("finds no turns that were forgotten or pruned", async () => {
        for (let n = 0; n < 4; n++) await store.commit([talk("s", `r${n}`, [`word ${n}`], NOW + n)]);
        assert.equal((await found("s", "word")).length, 4);
        await store.commit([{ do: "forget-turns", session: "s", run: "r3" }]);
        await store.commit([{ do: "prune", before: 0, turnsBefore: NOW + 1 }]);
        assert.deepEqual(await found("s", "word"), ["word 2", "word 1"]);
        await store.commit([{ do: "forget-turns", session: "s" }]);
        assert.deepEqual(await found("s", "word"), []);
        await store.commit([talk("s", "r9", ["word 9"])]);
        assert.deepEqual(await found("s", "word"), ["word 9"]);
      });
      it("knows every script, case and accent", async () => {
        await store.commit([talk("s", "r1", ["Grüße aus CAFÉ Łódź, die Hunde bellen"]), talk("s", "r2", ["明日の天気予報は雨です"]), talk("s", "r3", ["Привет, Мария"]), talk("s", "r4", ["دمشق مدينة"])]);
        for (const [question, run] of [["cafe", "r1"], ["grüsse grusse", "r1"], ["hund", "r1"], ["天気", "r2"], ["мария", "r3"], ["دمشق", "r4"]] as const) {
          assert.deepEqual((await store.findTurns("s", asked(question), 9)).map(([row]) => row?.run), [run], question);
        }
      });
      it("keeps notes in books of their own: newest first, found by words, with their taint", async () => {
        const note = (book: string, text: string, tainted = false): Change => ({ do: "note", book, at: NOW, tainted, text });
        const [one] = await store.commit([note("a", "likes tea"), note("b", "likes coffee")]);
        await store.commit([note("a", "has a dog", true)]);
        assert.deepEqual(await store.notes("a", undefined, 9), [{ n: 3, at: NOW, tainted: true, text: "has a dog" }, { n: one, at: NOW, tainted: false, text: "likes tea" }]);
        assert.deepEqual([await noted("a", "likes"), await noted("a", "coffee"), await noted("c"), await noted("a", "")], [["likes tea"], [], [], []]);
        assert.deepEqual(await store.books(9), [{ book: "a", notes: 2, at: NOW }, { book: "b", notes: 1, at: NOW }].sort((x, y) => y.at - x.at));
        assert.equal((await store.books(1)).length, 1);
      });
      it("forgets one note or a book, and nothing of another; numbers are not given twice", async () => {
        for (const book of ["a", "a", "b"]) await store.commit([{ do: "note", book, at: NOW, tainted: false, text: "same words" }]);
        assert.deepEqual(await store.commit([{ do: "forget-notes", book: "a", n: 3 }, { do: "forget-notes", book: "a", n: 2 }]), [undefined, 1]);
        assert.deepEqual([await noted("a", "words"), await noted("b", "words")], [["same words"], ["same words"]]);
        assert.deepEqual(await store.commit([{ do: "forget-notes", book: "b" }, { do: "forget-notes", book: "b" }]), [1, undefined]);
        assert.deepEqual([await noted("a", "words"), await noted("b", "words")], [["same words"], []]);
        const [next] = await store.commit([{ do: "note", book: "b", at: NOW, tainted: false, text: "x" }]);
        assert.equal(next, 4);
      });
      it("takes no more notes than a book may have", async () => {
        const note: Change = { do: "note", book: "a", at: NOW, tainted: false, text: "x", most: 2 };
        assert.deepEqual(await store.commit([note, note, note]), [1, 2, undefined]);
        assert.deepEqual(await store.commit([{ ...note, book: "b" }]), [3]);
      });
      it("stands every question", async () => {
        await store.commit([talk("s", "r1", ["NEAR the end AND \"quoted\" or not"]), { do: "note", book: "a", at: NOW, tainted: false, text: "NEAR the end" }]);
        for (const question of HOSTILE) {
          assert.ok(Array.isArray(await store.findTurns("s", asked(question), 9)), question);
          assert.ok(Array.isArray(await store.notes("a", asked(question), 9)), question);
        }
        await fc.assert(fc.asyncProperty(fc.oneof(fc.string({ unit: "binary", maxLength: 60 }), fc.array(fc.constantFrom(...HOSTILE), { maxLength: 4 }).map((parts) => parts.join(" "))), async (question) => {
          assert.ok(Array.isArray(await store.notes("a", asked(question), 9)));
          assert.ok(Array.isArray(await store.findTurns("s", asked(question), 9)));
        }), { numRuns: 60 });
        assert.deepEqual(await found("s", "near"), ["NEAR the end AND \"quoted\" or not"]);
      });
    });

    describe("turns", () => {
      it("gives the last ones, oldest first, numbered upwards", async () => {
        await store.commit([say("s", ["1", "2", "3"], "r1", NOW), say("other", ["x"]), say("s", ["4"], "r2", NOW + 1), say("s", [])]);
        const all = await store.turns("s", 10);
        assert.deepEqual(texts(all), ["1", "2", "3", "4"]);
        assert.deepEqual(all.map(({ run, at }) => [run, at]), [["r1", NOW], ["r1", NOW], ["r1", NOW], ["r2", NOW + 1]]);
        assert.ok(all.every(({ n }, index) => index === 0 || n > (all[index - 1]?.n as number)));
        assert.deepEqual(texts(await store.turns("s", 2)), ["3", "4"]);
        assert.deepEqual((await store.turns("s", 2)).map(({ n }) => n), all.slice(2).map(({ n }) => n));
        assert.deepEqual(await store.turns("s", 0), []);
        assert.deepEqual(await store.turns("nobody", 5), []);
      });
      it("reads far back", async () => {
        for (let n = 0; n < 100; n++) await store.commit([say("s", [`${n}a`, `${n}b`])]);
        const found = texts(await store.turns("s", 151));
        assert.deepEqual([found.length, found[0], found.at(-1)], [151, "24b", "99b"]);
      });
      it("keeps every part of a turn", async () => {
        const turns: Turn[] = [{ role: "user", text: "u", files: [{ kind: "image", media: "spool:1" }] }, { role: "assistant", text: "a", calls: [{ id: "c", name: "t", input: { x: [1] } }], echo: { sig: "z" } }, { role: "tool", call: "c", name: "t", text: "ok", failed: false }];
        await store.commit([{ do: "turns", session: "s", run: "r", at: NOW, turns }]);
        assert.deepEqual((await store.turns("s", 9)).map(({ turn }) => turn), turns);
      });
      it("forgets a session, or what one run added to it", async () => {
        await store.commit([say("s", ["1"], "r1"), say("s", ["2"], "r2"), say("s", ["3"], "r1"), say("t", ["4"], "r1")]);
        await store.commit([{ do: "forget-turns", session: "s", run: "r1" }]);
        assert.deepEqual([texts(await store.turns("s", 9)), texts(await store.turns("t", 9))], [["2"], ["4"]]);
        const [highest] = await store.turns("s", 1);
        await store.commit([{ do: "forget-turns", session: "s" }, { do: "forget-turns", session: "t" }]);
        assert.deepEqual([await store.turns("s", 9), await store.turns("t", 9)], [[], []]);
        assert.deepEqual(await store.commit([{ do: "forget-turns", session: "s" }]), [undefined]);
        await store.commit([say("s", ["5"])]);
        assert.ok(((await store.turns("s", 1))[0]?.n as number) > (highest?.n as number));
      });
    });

    describe("values", () => {
      it("sets, replaces, removes", async () => {
        await store.commit([set("k", { a: 1 }), set("k", "other", "elsewhere"), set("none", null)]);
        assert.deepEqual([await store.get("space", "k"), await store.get("elsewhere", "k"), await store.get("space", "none"), await store.get("space", "x")], [{ a: 1 }, "other", null, undefined]);
        await store.commit([set("k", [2]), set("k", undefined, "elsewhere"), set("x", undefined)]);
        assert.deepEqual([await store.get("space", "k"), await store.get("elsewhere", "k")], [[2], undefined]);
      });
      it("lists by prefix, after, limit and from the end, always in order of code points", async () => {
        const keys = ["a:1", "a:10", "a:2", "a:￿", "a:\u{1F600}", "a", "b:1", "a:ä", ""];
        await store.commit([...keys.map((key) => set(key, key)), set("a:1", "foreign", "other")]);
        const list = async (...args: [string, Parameters<Store["list"]>[2]?]): Promise<string[]> => (await store.list("space", ...args)).map(([key, value]) => { assert.equal(value, key); return key; });
        const all = ["a:1", "a:10", "a:2", "a:ä", "a:￿", "a:\u{1F600}"];
        assert.deepEqual(await list("a:"), all);
        assert.deepEqual(await list(""), ["", "a", ...all, "b:1"]);
        assert.deepEqual(await list("a:", { limit: 2 }), ["a:1", "a:10"]);
        assert.deepEqual(await list("a:", { after: "a:10" }), all.slice(2));
        assert.deepEqual(await list("a:", { after: "a:11", limit: 1 }), ["a:2"]);
        assert.deepEqual(await list("a:", { after: "" }), all);
        assert.deepEqual(await list("", { after: "" }), ["a", ...all, "b:1"]);
        assert.deepEqual(await list("a:", { after: "b" }), []);
        assert.deepEqual(await list("a:", { last: true, limit: 2 }), all.slice(-2));
        assert.deepEqual(await list("a:", { last: true, after: "a:￿", limit: 2 }), all.slice(-1));
        assert.deepEqual(await list("a:", { limit: 0 }), []);
        assert.deepEqual(await list("c"), []);
        assert.deepEqual(await store.list("nobody", ""), []);
      });
      it("treats %, _ and * in a prefix as themselves", async () => {
        await store.commit(["a_1", "ab1", "a%", "a*", "axx"].map((key) => set(key, 1)));
        assert.deepEqual((await store.list("space", "a_")).map(([key]) => key), ["a_1"]);
        assert.deepEqual((await store.list("space", "a%")).map(([key]) => key), ["a%"]);
      });
    });

    describe("commit", () => {
      it("is all or none over several changes, and rejects that caller only", async () => {
        const circular: Record<string, unknown> = {};
        circular.self = circular;
        const bad = store.commit([receive("bad"), plan("bad"), set("bad", 1), set("x", circular)]);
        const unbindable = store.commit([receive("worse"), step("1.s.n", "worse", 1), { do: "receipt", seq: 1, attempts: 1n as unknown as number }, receive("worse2", { secret: 10n as unknown as string, receivedAt: {} as number })]).catch((error: unknown) => error);
        const good = store.commit([receive("good"), set("good", 1)]);
        await assert.rejects(bad, (error) => error instanceof StoreError && error.retry === "no");
        await unbindable;
        assert.notEqual((await good)[0], undefined);
        assert.equal(await store.outboxRow("bad"), undefined);
        assert.deepEqual(await store.list("space", ""), [["good", 1]]);
        assert.ok((await store.pending(0, 9)).every(({ message: { id } }) => id !== "bad"));
        assert.deepEqual(await store.commit([receive("bad"), plan("bad")]).then((result) => result.every((seq) => seq !== undefined)), true);
      });
      it("answers each of many parallel callers with its own numbers", async () => {
        const results = await Promise.all(Array.from({ length: 500 }, (_, n) => store.commit([receive(`p${n}`), plan(`p${n}`), say(`s${n % 7}`, [String(n)])])));
        assert.deepEqual(results.map(([seq]) => seq), Array.from({ length: 500 }, (_, n) => n + 1));
        assert.deepEqual(results.map(([, seq]) => seq), Array.from({ length: 500 }, (_, n) => n + 1));
        for (const [n, [seq]] of results.entries()) assert.equal((await store.receipt(seq as number))?.message.id, `p${n}`);
        assert.deepEqual(texts(await store.turns("s3", 3)), ["479", "486", "493"]);
        assert.equal((await store.counts()).received, 500);
      });
      it("takes nothing and changes nothing", async () => {
        assert.deepEqual(await store.commit([]), []);
        assert.deepEqual(await store.counts(), { received: 0, pending: 0, done: 0, dead: 0, outbox: { planned: 0, sending: 0, unknown: 0, sent: 0, dead: 0 } });
      });
      it("shares no reference with its callers", async () => {
        const value = { list: [1] };
        const draft = { text: "d", buttons: [[{ label: "x" }]] };
        await store.commit([set("k", value), plan("k", { draft }), step("1.s.n", "a", value)]);
        value.list.push(2);
        (draft.buttons[0] as unknown[]).push("changed");
        (await store.get("space", "k") as typeof value).list.push(3);
        for (const { data } of await store.journal("1.s.n")) (data as typeof value).list.push(4);
        assert.deepEqual(await store.get("space", "k"), { list: [1] });
        assert.deepEqual((await store.journal("1.s.n"))[0]?.data, { list: [1] });
        assert.deepEqual((await store.outboxRow("k"))?.draft.buttons, [[{ label: "x" }]]);
      });
      it("keeps any text: emoji, right-to-left, NUL, lone surrogates, 1 MB", async () => {
        const hard = "ë \u{1F469}‍\u{1F4BB} שלום \u0000 \ud800 \u202e \"\\\n\r\u2028'--;";
        const big = "ä1".repeat(350_000);
        await store.commit([receive("a", { message: message("a", { text: hard, raw: { big } }) }), plan("k", { draft: { text: big } }), say("s", [hard, big]), step("1.s.n", "x", { big }), set("v", hard)]);
        const kept = await store.receipt(1);
        assert.equal(kept?.message.text, hard);
        assert.deepEqual(kept?.message.raw, { big });
        assert.equal((await store.outboxRow("k"))?.draft.text, big);
        assert.deepEqual(texts(await store.turns("s", 2)), [hard, big]);
        assert.deepEqual((await store.journal("1.s.n"))[0]?.data, { big });
        assert.equal(await store.get("space", "v"), hard);
      });
      it("keeps a __proto__ key as plain data and gives nobody a prototype", async () => {
        const hostile = JSON.parse('{"__proto__":{"owner":true},"constructor":{"prototype":{"owner":true}},"a":1}') as Record<string, unknown>;
        await store.commit([set("k", hostile), step("1.s.n", "x", hostile), receive("a", { message: message("a", { raw: hostile }) }), plan("k", { draft: Object.assign({ text: "t" }, { poll: hostile }) as never }),
          set("__proto__", "value"), set("x", 1, "__proto__")]);
        await store.commit([{ do: "receipt", seq: 1, runs: JSON.parse('{"__proto__":{"state":"done"}}') as Record<string, { state: "done" }> }]);
        const receipt = await store.receipt(1);
        for (const found of [await store.get("space", "k"), (await store.journal("1.s.n"))[0]?.data, receipt?.message.raw, (await store.outboxRow("k"))?.draft.poll] as Record<string, unknown>[]) {
          assert.equal(found.owner, undefined);
          assert.deepEqual(Object.keys(found), ["__proto__", "constructor", "a"]);
          assert.equal(Object.getPrototypeOf(found), Object.prototype);
        }
        assert.deepEqual(Object.keys(receipt?.runs ?? {}), ["__proto__"]);
        assert.equal(({} as { owner?: boolean }).owner, undefined);
        assert.deepEqual([await store.get("space", "__proto__"), await store.get("__proto__", "x"), await store.get("constructor", "x")], ["value", 1, undefined]);
      });
    });

    usageContract(() => store);

    it("counts", async () => {
      await store.commit(["a", "b", "c", "d"].map((id) => receive(id)));
      await store.commit(["1", "2", "3", "4", "5"].map((key) => plan(key)));
      await store.counts();
      await store.commit([{ do: "receipt", seq: 1, state: "done" }, { do: "receipt", seq: 2, state: "dead" }, receive("a"), receive("e"), plan("5"), plan("6")]);
      await store.commit([{ do: "outbox-update", key: "1", set: { state: "sent" } }, { do: "outbox-update", key: "2", set: { state: "dead" } }, { do: "outbox-update", key: "3", set: { state: "sending" } }]);
      assert.deepEqual(await store.counts(), { received: 5, pending: 3, done: 1, dead: 1, outbox: { planned: 3, sending: 1, unknown: 0, sent: 1, dead: 1 } });
      await store.commit([{ do: "prune", before: NOW + 1, turnsBefore: 0 }]);
      assert.deepEqual(await store.counts(), { received: 3, pending: 3, done: 0, dead: 0, outbox: { planned: 3, sending: 1, unknown: 0, sent: 0, dead: 0 } });
    });

    it("prunes what is finished and old, and nothing else", async () => {
      for (const [age, at] of [["old", NOW - 100], ["new", NOW]] as const) {
        await store.commit(["done", "dead", "pending"].map((state) => receive(`${age}-${state}`, { receivedAt: at })));
        await store.commit(["sent", "dead", "sending", "planned"].map((state) => plan(`${age}-${state}`, { plannedAt: at, dueAt: at })));
        await store.commit([say(age, ["x"], "r", at)]);
      }
      await store.commit([plan("later-sent", { plannedAt: NOW - 100, dueAt: NOW })]);
      const seqs = Object.fromEntries((await store.pending(0, 10)).map(({ seq, message: { id } }) => [id, seq])) as Record<string, number>;
      await store.commit(Object.entries(seqs).flatMap(([id, seq]): Change[] => [step(`${seq}.s.n`, "x", 1, id.startsWith("old") ? NOW - 100 : NOW), { do: "receipt", seq, ...(id.endsWith("pending") ? { attempts: 1 } : { state: id.slice(4) as "done" | "dead" }) }]));
      for (const state of ["sent", "dead", "sending"] as const) for (const age of ["old", "new"]) await store.commit([{ do: "outbox-update", key: `${age}-${state}`, set: { state } }]);
      await store.commit([{ do: "outbox-update", key: "later-sent", set: { state: "sent" } }]);

      assert.deepEqual(await store.commit([{ do: "prune", before: NOW, turnsBefore: NOW }]), [2 + 2 + 2 + 1]);
      const left = await Promise.all(Object.entries(seqs).map(async ([id, seq]) => ((await store.receipt(seq)) === undefined ? [] : [id])));
      assert.deepEqual(left.flat(), ["old-pending", "new-done", "new-dead", "new-pending"]);
      const journals = await Promise.all(Object.entries(seqs).map(async ([id, seq]) => ((await store.journal(`${seq}.s.n`)).length === 0 ? [] : [id])));
      assert.deepEqual(journals.flat(), ["old-pending", "new-done", "new-dead", "new-pending"]);
      const rows = await Promise.all(["old-sent", "old-dead", "old-sending", "old-planned", "new-sent", "new-dead", "new-sending", "new-planned", "later-sent"].map(async (key) => ((await store.outboxRow(key)) === undefined ? [] : [key])));
      assert.deepEqual(rows.flat(), ["old-sending", "old-planned", "new-sent", "new-dead", "new-sending", "new-planned", "later-sent"]);
      assert.deepEqual([texts(await store.turns("old", 9)), texts(await store.turns("new", 9))], [[], ["x"]]);
      assert.deepEqual(await store.commit([{ do: "prune", before: NOW, turnsBefore: NOW }]), [undefined]);
      assert.deepEqual(await store.commit([receive("old-done"), receive("new-done")]), [7, undefined], "a pruned key is free again");
    });
    it("prunes thousands while others commit", async () => {
      await Promise.all(Array.from({ length: 50 }, (_, group) => store.commit(Array.from({ length: 100 }, (__, n) => receive(`${group}-${n}`)))));
      await store.commit(Array.from({ length: 5000 }, (_, n): Change => ({ do: "receipt", seq: n + 1, state: "done" })));
      const [[removed], [seq]] = await Promise.all([store.commit([{ do: "prune", before: NOW + 1, turnsBefore: 0 }]), store.commit([receive("meanwhile")])]);
      assert.deepEqual([removed, seq], [5000, 5001]);
      assert.equal((await store.counts()).received, 1);
    });

    it("writes a backup", async () => {
      const folder = await mkdtemp(join(tmpdir(), "clawflow-backup-"));
      try {
        await store.commit([receive("a")]);
        await store.backup(join(folder, "sub", "copy"));
        assert.ok((await stat(join(folder, "sub", "copy"))).size > 0);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
    it("finishes what was handed in before close, and refuses what comes after", async () => {
      const last = store.commit([receive("a")]);
      await store.close();
      assert.deepEqual(await last, [1]);
      await assert.rejects(store.commit([receive("b")]), refused);
      await assert.rejects(store.pending(0, 1), refused);
      await store.close();
    });
  });
}
