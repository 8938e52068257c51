/** Budgets against real calls: cents exactly, any order of reserve, settle, crash and midnight, fifty at once over HTTP, a killed process. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { systemClock } from "../engine/clock.ts";
import { BudgetError, type Budgets, type Subject } from "../engine/budget.ts";
import { createGauge } from "../engine/context/estimate.ts";
import { fitModel, gaugeKey } from "../engine/context/fit.ts";
import { createFetch } from "../engine/http.ts";
import { createLedger, reserveOf, type Ledger, type LedgerOptions, type Warning } from "../engine/ledger.ts";
import { ModelError } from "../engine/errors.ts";
import { type Candidate, failover } from "../engine/failover.ts";
import { createBoard } from "../engine/failover/board.ts";
import { chargeModel, paidBy, paidMedia } from "../engine/models/charge.ts";
import { ModelFault } from "../engine/models/faults.ts";
import { openModel } from "../engine/models/index.ts";
import type { HeardSound, MediaModel, Picture } from "../engine/models/media.ts";
import type { Bill, Model, ModelEvent, ModelRequest, Turn, Usage } from "../engine/models/model.ts";
import type { MediaPrice, Price } from "../engine/models/prices.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import type { Change, Store } from "../engine/store/store.ts";
import { manualClock, settle } from "./kit/scripted.ts";
import { at } from "./models/kit.ts";
import { json, startLlm, talk, wholeChat, wholeMessage, wholeResponse } from "./platforms/llm.ts";

const START = Date.parse("2026-07-10T10:00:00Z");
const subject = (more: Partial<Subject> = {}): Subject => ({ run: "1.s.in", message: "m1", session: "s1", channel: "echo", account: "acc", person: "ada", agent: "helper", ...more });
const request = (more: Partial<ModelRequest> = {}): ModelRequest => ({ system: "", turns: [], tools: [], live: false, maxTokens: 100, ...more });
const model = (events: readonly ModelEvent[] | Error, more: Partial<Model> = {}): Model => ({
  id: "m", provider: "p", contextTokens: 1000, ...more,
  async *stream() { if (events instanceof Error) throw events; yield* events; },
});
const end = (usage: Usage): ModelEvent => ({ type: "end", reason: "stop", usage });
const drain = async (from: Model, asked: ModelRequest, signal = new AbortController().signal): Promise<ModelEvent[]> => { const events = []; for await (const event of from.stream(asked, signal)) events.push(event); return events; };
const refused = (error: unknown): boolean => error instanceof BudgetError;
const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER };

async function rig(budgets: Budgets = {}, more: Partial<LedgerOptions> & { store?: Store; now?: number } = {}) {
  const store = more.store ?? createMemoryStore();
  const clock = manualClock(more.now ?? START);
  const warnings: Warning[] = [];
  const options: LedgerOptions = { store, clock, zone: () => "Europe/Berlin", budgets: () => budgets, warned: (warning) => { warnings.push(warning); void store.commit([warning.mark]); }, log: (text) => assert.fail(text), ...more };
  const open = (): Promise<Ledger> => createLedger(options);
  const ledger = await open();
  const payer = (who: Partial<Subject> = {}, own: Budgets = {}, from = ledger) => from.payer({ subject: subject(who), since: START - 1000, budgets: own });
  const total = async (query: object = {}) => (await store.usage({ ...ALL, ...query }))[0];
  return { store, clock, warnings, ledger, payer, total, open };
}

describe("ledger", () => {
  it("keeps one row for each call, in cents exactly, committed with what the call came to", async () => {
    const { store, payer, ledger, total } = await rig();
    const price: Price = { input: 3, output: 15, cachedInput: 0.3 };
    const run = payer();
    const charged = chargeModel(model([{ type: "text", delta: "hi" }, end({ input: 1000, output: 100, cachedInput: 400 })], { price }));
    const events = await drain(charged, request({ payer: run }));
    assert.deepEqual(events.map(({ type }) => type), ["text", "end"]);
    assert.equal((await total())?.inexact, 1, "until the reply is kept it counts with its reserve");
    const booked = run.changes();
    await store.commit([...booked, { do: "journal", run: "1.s.in", entry: { step: "model 1", at: START, data: {} } }]);
    // 600 × 3 + 400 × 0.3 + 100 × 15 USD for a million.
    const row = { n: 1, ...subject(), at: START, provider: "p", model: "m", input: 1000, output: 100, cached: 400, micros: 1800 + 120 + 1500, exact: true };
    assert.deepEqual(await store.usageRows({ ...ALL, limit: 9 }), [row]);
    await store.commit([...booked, ...booked]);
    assert.deepEqual(await store.usageRows({ ...ALL, limit: 9 }), [row], "committed again it is not counted again");
    assert.deepEqual(run.changes(), []);
    const { today, month, session } = await ledger.usage({ person: "ada", channel: "echo", account: "acc", session: "s1" });
    assert.deepEqual([today.micros, month.micros, session?.micros, today.calls], [3420, 3420, 3420, 1]);
    assert.equal((await ledger.usage({ person: "bob", channel: "echo", account: "acc" })).today.calls, 0);
  });

  it("books its own estimate, as one, where a server tells no tokens: a token a letter for Chinese, and pictures too", async () => {
    const [stub, fetch] = [await startLlm(talk("")), createFetch()];
    try {
      const answer = "好".repeat(500);
      const turns: Turn[] = [{ role: "user", text: "门".repeat(1_000), files: [{ kind: "image", media: "data:image/png;base64,iVBORw0KGgo=" }] }];
      for (const [wire, whole] of [["openai", wholeChat], ["responses", wholeResponse], ["anthropic", wholeMessage]] as const) {
        stub.answer = json({ ...whole(answer), usage: undefined });
        const gauge = createGauge();
        const { payer, store } = await rig({}, { ratio: () => 2 });
        const run = payer();
        const fitted = fitModel(chargeModel(await openModel({ ...at(stub.url, wire), price: { input: 1, output: 1 } }, fetch)), gauge);
        const asked = request({ payer: run, turns });
        const told = (await drain(fitted, asked)).at(-1);
        await store.commit([...run.changes()]);
        const { input, output, micros, exact } = (await store.usageRows({ ...ALL, limit: 9 }))[0] ?? assert.fail("no row");
        assert.deepEqual([input, output, micros, exact], [reserveOf(asked, 2).input, 500, reserveOf(asked, 2).input + 500, false], wire);
        assert.ok(input > 2 * (1_000 + 1_200), `${wire}: ${input}`);
        assert.deepEqual(told?.type === "end" && told.usage, { input, output, guessed: true }, wire);
        assert.equal(gauge.ratio(gaugeKey(fitted)), 1, `${wire}: our own estimate teaches nothing`);
      }
    } finally {
      await fetch.destroy();
      await stub.close();
    }
  });

  it("adds a hundred calls of odd prices without losing a millionth", async () => {
    const { payer, total } = await rig();
    const price: Price = { input: 0.07, output: 0.11 };
    const run = payer();
    let micros = 0n;
    for (let n = 1; n <= 100; n++) {
      await drain(chargeModel(model([end({ input: n * 7, output: n })], { price })), request({ payer: run }));
      // Rounded up for each call, as the table of prices says.
      micros += (BigInt(n * 7) * 7n + BigInt(n) * 11n + 99n) / 100n;
    }
    run.close();
    await settle();
    assert.deepEqual([BigInt((await total())?.micros ?? 0), (await total())?.calls, (await total())?.inexact], [micros, 100, 0]);
  });

  it("counts apart what has no price, and believes no impossible figures", async () => {
    const { payer, total } = await rig({ day: { tokens: 1e9 } });
    for (const usage of [{ input: -5, output: 1 }, { input: Number.NaN, output: 1 }, { input: 1e300, output: 1 }, { input: 1, output: 1, cachedInput: 2 }]) {
      const run = payer();
      const [last] = await drain(chargeModel(model([end(usage)])), request({ payer: run, turns: [{ role: "user", text: "x".repeat(400) }] }));
      assert.deepEqual(last, end({ input: 108, output: 100 }), "what the agent adds up is the booked figure too");
      run.close();
    }
    await settle();
    assert.deepEqual(await total(), { of: {}, calls: 4, input: 432, output: 400, cached: 0, micros: 0, unpriced: 4, inexact: 4 });
  });

  it("books nothing where the provider did nothing, and the reserve where nobody knows", async () => {
    const { payer, total } = await rig({ day: { tokens: 1e9 } });
    const failing = async (fault: Error, before: ModelEvent[] = []) => {
      const broken: Model = { ...model([]), async *stream() { yield* before; throw fault; } };
      await assert.rejects(drain(chargeModel(broken), request({ payer: payer() })), fault);
    };
    for (const fault of [new ModelError("MODEL_003", { retry: "later" }), new ModelError("MODEL_002", {}), new ModelFault("no network", "refused", { unsent: true })]) await failing(fault);
    await settle();
    assert.equal((await total())?.calls, 0);
    await failing(new ModelFault("no network", "reset"));
    await failing(new ModelError("MODEL_004", {}), [{ type: "text", delta: "half" }]);
    // The arguments of a call had come, which nobody was shown.
    await failing(Object.assign(new ModelFault("overloaded", "in the middle"), { begun: true }));
    const left = chargeModel(model([{ type: "text", delta: "a" }, { type: "text", delta: "b" }, end({ input: 1, output: 1 })]));
    for await (const _ of left.stream(request({ payer: payer() }), new AbortController().signal)) break;
    await assert.rejects(drain(chargeModel(model([end({ input: 1, output: 1 })])), request({ payer: payer() }), AbortSignal.abort()));
    await settle();
    assert.deepEqual([(await total())?.calls, (await total())?.output, (await total())?.inexact], [4, 400, 4], "an abort before the request books nothing");
  });

  it("refuses by name before the model is asked, each limit by itself, and again as soon as something is left", async () => {
    const { clock, payer, warnings } = await rig({ personDay: { tokens: 1000 } });
    let asked = 0;
    const spends = (tokens: number): Model => chargeModel({ ...model([]), async *stream() { asked++; yield end({ input: tokens, output: 0 }); } });
    await drain(spends(1000), request({ payer: payer() }));
    await assert.rejects(drain(spends(1), request({ payer: payer({ session: "s2", run: "2.s.in", agent: "other" }) })), (error) => error instanceof BudgetError && error.over.limit === "personDay" && error.over.used === 1000 && error.over.until === Date.parse("2026-07-10T22:00Z"));
    assert.equal(asked, 1);
    await drain(spends(1), request({ payer: payer({ person: "bob" }) }));
    await drain(spends(1), request({ payer: payer({ account: "other" }) }));
    await clock.advance(12 * 3_600_000);
    await drain(spends(1), request({ payer: payer() }));
    assert.equal(asked, 4);
    for (const [limit, same] of [["run", { session: "x", agent: "x" }], ["session", { run: "9.s.in", agent: "y" }], ["agentDay", { run: "8.s.in", session: "z" }]] as const) {
      const own = { [limit]: { micros: 3 } };
      const priced = chargeModel(model([end({ input: 1, output: 0 })], { price: { input: 3, output: 0 } }));
      await drain(priced, request({ payer: payer({ ...same, person: limit }, own) }));
      await assert.rejects(drain(priced, request({ payer: payer({ ...same, person: `${limit}2` }, own) })), (error) => error instanceof BudgetError && error.over.limit === limit && error.over.unit === "micros");
    }
    assert.deepEqual(warnings.map(({ limit }) => limit), ["personDay", "run", "session", "agentDay"], "once each");
  });

  it("warns once in a span, also after a restart", async () => {
    const told: string[] = [];
    const { ledger, open, clock, store } = await rig({ day: { tokens: 100 } });
    const spend = async (from: Ledger) => {
      const run = from.payer({ subject: subject(), since: START, budgets: {}, near: ({ limit, used }) => { told.push(`${limit} ${used}`); } });
      await drain(chargeModel(model([end({ input: 42, output: 0 })])), request({ payer: run }));
      await store.commit(run.changes());
    };
    await spend(ledger);
    assert.deepEqual(told, []);
    await spend(ledger);
    assert.deepEqual(told, ["day 84"]);
    await spend(await open());
    assert.deepEqual(told, ["day 84"]);
    await clock.advance(24 * 3_600_000);
    const next = await open();
    await spend(next);
    await spend(next);
    assert.deepEqual(told, ["day 84", "day 84"]);
  });

  it("forgets the marks of warnings when their span is long over, a talk's as long as its usage is kept", async () => {
    const { ledger, clock, store, payer } = await rig({ day: { tokens: 10 }, session: { tokens: 10 } });
    const run = payer();
    await drain(chargeModel(model([end({ input: 9, output: 0 })])), request({ payer: run, maxTokens: 1 }));
    await settle();
    const marks = async (): Promise<string[]> => (await store.list("budgets", "")).map(([key]) => (JSON.parse(key.split("\n")[0] ?? "") as string[])[0] ?? "").sort();
    assert.deepEqual(await marks(), ["day", "session"]);
    await ledger.prune();
    await clock.advance(41 * 86_400_000);
    await ledger.prune();
    await settle();
    assert.deepEqual(await marks(), ["session"]);
    await clock.advance(360 * 86_400_000);
    await ledger.prune();
    await settle();
    assert.deepEqual(await marks(), []);
    run.close();
  });

  it("estimates Chinese and pictures for what they are", () => {
    assert.deepEqual(reserveOf(request(), 3), { input: 12, output: 100 }, "as the provider counted before");
    assert.deepEqual(reserveOf(request(), 0.25), { input: 4, output: 100 }, "never less than the estimate");
    assert.deepEqual(reserveOf(request({ system: "x".repeat(40), turns: [{ role: "user", text: "漢".repeat(50), files: [{ kind: "image", media: "m" }] }] })), { input: 4 + 10 + 4 + 50 + 1200, output: 100 });
  });
});

describe("budgets of sound and pictures", () => {
  const signal = new AbortController().signal;
  /** A WAV file of so many seconds, 1000 bytes each. */
  function recording(seconds: number): Uint8Array<ArrayBuffer> {
    const bytes = Buffer.alloc(44 + seconds * 1_000);
    bytes.write("RIFF", 0); bytes.write("WAVEfmt ", 8); bytes.writeUInt32LE(16, 16); bytes.writeUInt32LE(1_000, 28); bytes.write("data", 36); bytes.writeUInt32LE(seconds * 1_000, 40);
    return new Uint8Array(bytes);
  }
  const sound = (seconds: number) => ({ bytes: recording(seconds), mime: "audio/wav", name: "a.wav" });
  function media(price: MediaPrice | undefined, more: { hears?: HeardSound; speaks?: Uint8Array<ArrayBuffer>; draws?: Partial<Picture>; fault?: Error; wait?: Promise<unknown> } = {}) {
    const asked: string[] = [];
    const act = async <T>(what: string, gives: T): Promise<T> => { asked.push(what); await more.wait; if (more.fault !== undefined) throw more.fault; return gives; };
    const model: MediaModel = {
      id: "m", provider: "p", ...(price === undefined ? {} : { price }),
      hear: () => act("hear", more.hears ?? { text: "words" }), speak: () => act("speak", { bytes: more.speaks ?? recording(2), mime: "audio/wav" }), draw: () => act("draw", { bytes: recording(0), mime: "image/png", ...more.draws }),
    };
    return { asked, model };
  }
  const MINUTE = { per: "minute", usd: 0.006 } as const;

  it("come to cents by the minute, by the character and by the picture, with what was counted in the row", async () => {
    const { store, payer, ledger } = await rig();
    const run = payer();
    await paidMedia(media(MINUTE).model, run).hear(sound(90), { limitMs: 1 }, signal);
    await paidMedia(media(MINUTE, { hears: { text: "x", counted: { seconds: 60 } } }).model, run).hear(sound(90), { limitMs: 1 }, signal);
    await paidMedia(media(MINUTE, { hears: { text: "x", counted: { tokens: { input: 7, output: 3 } } } }).model, run).hear(sound(10), { limitMs: 1 }, signal);
    await paidMedia(media({ per: "million characters", usd: 15 }).model, run).speak("é".repeat(1_000), { limitMs: 1 }, signal);
    await paidMedia(media({ per: "minute", usd: 0.015 }).model, run).speak("Good morning", { limitMs: 1 }, signal);
    await paidMedia(media({ per: "picture", usd: 0.04, sizes: { "1x2": 0.08 } }).model, run).draw("a door", { size: "1x2", limitMs: 1 }, signal);
    await paidMedia(media({ input: 5, output: 40 }, { draws: { usage: { input: 10, output: 1_000 } } }).model, run).draw("a door", { limitMs: 1 }, signal);
    await store.commit(run.changes());
    const rows = await store.usageRows({ ...ALL, limit: 9 });
    assert.deepEqual(rows.map(({ micros, input, output, work, exact }) => [micros, input, output, work && `${work.amount} ${work.unit}`, exact]), [
      [9_000, 0, 0, "90 seconds", true], [6_000, 0, 0, "60 seconds", true], [1_000, 7, 3, "10 seconds", true], [15_000, 0, 0, "1000 characters", true], [500, 0, 0, "2 seconds", true], [80_000, 0, 0, "1 pictures", true], [40_050, 10, 1_000, "1 pictures", true],
    ]);
    const { today, session } = await ledger.usage({ person: "ada", channel: "echo", account: "acc", session: "s1" });
    assert.deepEqual([today.calls, today.micros, session?.micros, today.input + today.output], [7, 151_550, 151_550, 1_020], "15.155 cents");
  });

  it("are held before the call, so that many at once pass a limit by one at most; nothing is asked for over it", async () => {
    // Of one minute each costs 0.6 cents; 3 cents are allowed.
    const { store, payer, total } = await rig({ day: { micros: 30_000 } });
    const { promise: wait, resolve: go } = Promise.withResolvers<void>();
    const { model, asked } = media(MINUTE, { wait });
    const runs = Array.from({ length: 40 }, (_, n) => payer({ run: `${n}.s.in`, session: `s${n}`, person: `p${n % 7}`, agent: n % 2 === 0 ? "" : "helper" }));
    const heard = Promise.allSettled(runs.map((run) => paidMedia(model, run).hear(sound(60), { limitMs: 1 }, signal)));
    await settle(20);
    assert.equal(asked.length, 5);
    assert.deepEqual([(await total())?.calls, (await total())?.micros, (await total())?.inexact], [5, 30_000, 5], "reserved on disk while they are under way");
    go();
    const ended = await heard;
    assert.deepEqual([ended.filter(({ status }) => status === "fulfilled").length, ended.filter((one) => one.status === "rejected" && refused(one.reason)).length], [5, 35]);
    await store.commit(runs.flatMap((run) => run.changes()));
    assert.deepEqual([(await total())?.calls, (await total())?.micros, (await total())?.inexact], [5, 30_000, 0]);
  });

  it("count for the limits of the person, the talk, the agent and the day; what belongs to no agent for none", async () => {
    for (const limit of ["run", "session", "agentDay", "personDay", "day", "month"] as const) {
      const { payer } = await rig({ [limit]: { micros: 4_000 } });
      await paidMedia(media({ per: "picture", usd: 0.004 }).model, payer()).draw("x", { limitMs: 1 }, signal);
      await assert.rejects(paidMedia(media(MINUTE).model, payer()).hear(sound(1), { limitMs: 1 }, signal), (error) => error instanceof BudgetError && error.over.limit === limit && error.over.used === 4_000);
      if (limit === "session" || limit === "agentDay") await paidMedia(media(MINUTE).model, payer({ session: "", agent: "" })).hear(sound(1), { limitMs: 1 }, signal);
    }
    const { payer } = await rig({ session: { micros: 1 }, agentDay: { micros: 1 }, personDay: { micros: 1 }, run: { micros: 1 } });
    const nobody = { run: "", session: "", agent: "", person: "" };
    for (let n = 0; n < 3; n++) await paidMedia(media(MINUTE).model, payer(nobody)).hear(sound(60), { limitMs: 1 }, signal);
  });

  it("book nothing where the provider refused, the reserve where nobody knows, and say what has no price", async () => {
    const { store, payer, total } = await rig({ day: { micros: 1e9, tokens: 1e9 } });
    for (const fault of [new ModelFault("rate limited", "slow down"), new ModelFault("key refused", "no"), new ModelFault("no network", "refused", { unsent: true })]) await assert.rejects(paidMedia(media(MINUTE, { fault }).model, payer()).hear(sound(60), { limitMs: 1 }, signal), fault);
    await assert.rejects(paidMedia(media(MINUTE).model, payer()).hear(sound(60), { limitMs: 1 }, AbortSignal.abort()));
    await settle();
    assert.equal((await total())?.calls, 0);
    await assert.rejects(paidMedia(media(MINUTE, { fault: new ModelFault("too slow", "silence") }).model, payer()).hear(sound(60), { limitMs: 1 }, signal));
    await assert.rejects(paidMedia(media({ input: 5, output: 40 }, { fault: new ModelFault("bad answer", "no picture") }).model, payer()).draw("x".repeat(30), { limitMs: 1 }, signal));
    await settle();
    assert.deepEqual([(await total())?.micros, (await total())?.output, (await total())?.inexact], [6_000 + 60 * 5 + 6_240 * 40, 6_240, 2]);
    const run = payer();
    await paidMedia(media(undefined).model, run).hear(sound(60), { limitMs: 1 }, signal);
    await paidMedia(media(undefined).model, run).speak("hello", { limitMs: 1 }, signal);
    await paidMedia(media(undefined).model, run).draw("x", { limitMs: 1 }, signal);
    await store.commit(run.changes());
    assert.equal((await total())?.unpriced, 3);
    assert.deepEqual((await store.usageRows({ ...ALL, limit: 9 })).slice(-3).map(({ work, micros }) => [work?.amount, work?.unit, micros]), [[60, "seconds", null], [5, "characters", null], [1, "pictures", null]]);
  });
});

describe("budgets of a chain of models", () => {
  it("pay for the model that answered at its own price, and stop the chain without a mark on anybody when nothing is left", async () => {
    const { payer, store, clock, total } = await rig({ day: { micros: 2_000 } });
    const asked: string[] = [];
    const one = (id: string, price: Price, events: readonly ModelEvent[] | Error): Candidate => ({ id, group: id, name: id, model: chargeModel({ ...model([], { id, price }), async *stream() { asked.push(id); if (events instanceof Error) throw events; yield* events; } }) });
    const board = createBoard();
    const chain = failover([one("dear", { input: 100, output: 100 }, new ModelFault("key refused", "no")), one("cheap", { input: 2, output: 2 }, [end({ input: 900, output: 100 })])], { board, clock, random: () => 0.5 });
    const run = payer();
    await drain(paidBy(chain, run), request({ maxTokens: 10 }));
    await store.commit(run.changes());
    assert.deepEqual([asked, await total()], [["dear", "cheap"], { of: {}, calls: 1, input: 900, output: 100, cached: 0, micros: 2_000, unpriced: 0, inexact: 0 }]);
    const before = JSON.stringify(board.get("cheap"));
    await assert.rejects(drain(paidBy(chain, payer({ run: "2.s.in" })), request()), refused);
    assert.deepEqual([asked.length, JSON.stringify(board.get("cheap"))], [2, before]);
  });
});

describe("budgets under any order of calls, crashes and midnights", () => {
  interface Call { readonly who: number; readonly at: number; readonly reserve: number; readonly bill: Bill; readonly take: () => readonly Change[]; state: "open" | "paid" | "broken" | "lost"; durable: number; memory: number; changes: readonly Change[] }
  const PEOPLE = ["ada", "bob"];
  /** Input of a request of nothing. */
  const FRAME = 4;
  const LIMITS = { day: { tokens: 5_000 }, personDay: { tokens: 3_000 } };
  /** The day as a calendar on the wall says it: nothing of budget.ts. */
  const calendar = new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Berlin", dateStyle: "short" });
  const days = new Map<number, string>();
  const dayOf = (at: number): string => { const day = days.get(at) ?? calendar.format(at); days.set(at, day); return day; };
  const operation = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("begin" as const), who: fc.nat(1), output: fc.integer({ min: 0, max: 900 }), times: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant("paid" as const), which: fc.nat(), input: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 900 }) }, fc.constantFrom(-1, Number.NaN, 1e18)) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("broken" as const), which: fc.nat(), unused: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("commit" as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 30 * 3_600_000 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
  );

  it("refuse when nothing is left, admit otherwise, and never count less than was used", async function () {
    this.timeout(300_000);
    await fc.assert(fc.asyncProperty(fc.constantFrom("2026-03-28T18:00Z", "2026-10-24T18:00Z", "2026-07-10T18:00Z"), fc.array(operation, { minLength: 5, maxLength: 50 }), async (start, operations) => {
      const { clock, store, open, ledger: first } = await rig(LIMITS, { now: Date.parse(start), warned: () => undefined });
      let ledger = first;
      const calls: Call[] = [];
      let gone = false;
      const used = (who: number | undefined): number => calls.filter((call) => dayOf(call.at) === dayOf(clock.now()) && (who === undefined || call.who === who)).reduce((sum, { memory }) => sum + memory, 0);
      const admits = (who: number): boolean => used(undefined) < LIMITS.day.tokens && used(who) < LIMITS.personDay.tokens;
      const pick = (which: number, states: readonly Call["state"][]): Call | undefined => { const some = calls.filter(({ state }) => states.includes(state)); return some[which % Math.max(1, some.length)]; };
      for (const one of operations) {
        if (one.do === "begin") {
          const payer = ledger.payer({ subject: subject({ person: PEOPLE[one.who] as string }), since: 0, budgets: {} });
          const asked = request({ maxTokens: one.output, payer });
          const reserve = FRAME + one.output;
          const begun = await Promise.allSettled(Array.from({ length: one.times }, () => payer.begin(model([]), asked)));
          for (const result of begun) {
            assert.equal(result.status === "fulfilled", admits(one.who), `used ${used(undefined)}, of this person ${used(one.who)}`);
            if (result.status === "rejected") { assert.ok(refused(result.reason)); continue; }
            const bill = result.value;
            calls.push({ who: one.who, at: clock.now(), reserve, bill, take: payer.changes, state: "open", durable: reserve, memory: reserve, changes: [] });
          }
        } else if (one.do === "paid") {
          const call = pick(one.which, ["open"]);
          if (call === undefined) continue;
          call.bill.paid({ input: one.input, output: 0 });
          call.state = "paid";
          call.memory = one.input >= 0 && one.input < 1e9 ? one.input : call.reserve;
          call.changes = call.take();
        } else if (one.do === "broken") {
          const call = pick(one.which, ["open"]);
          if (call === undefined) continue;
          call.bill.broken(one.unused);
          call.state = "broken";
          if (one.unused) call.memory = call.durable = 0;
          await settle(2);
        } else if (one.do === "commit") {
          const call = pick(one.which, ["paid"]);
          if (call === undefined) continue;
          await store.commit(call.changes);
          call.durable = call.memory;
        } else if (one.do === "wait") await clock.advance(one.ms);
        else {
          // The process is gone with all it had in mind; the store is what it had committed.
          gone = true;
          for (const call of calls) { call.memory = call.durable; if (call.state !== "broken") call.state = "lost"; }
          ledger = await open();
        }
      }
      const owed = new Map<string, number>();
      for (const { at, durable } of calls) owed.set(dayOf(at), (owed.get(dayOf(at)) ?? 0) + durable);
      const rows = await store.usageRows({ ...ALL, limit: 1e6 });
      const kept = new Map<string, number>([...owed.keys()].map((day) => [day, 0]));
      for (const { at, input, output } of rows) kept.set(dayOf(at), (kept.get(dayOf(at)) ?? 0) + input + output);
      assert.deepEqual(kept, owed, gone ? "after a crash" : "without a crash");
    }), { numRuns: 300 });
  });
});

/** Speaks OpenAI's protocol slowly, and keeps what it charged for. */
async function slowModel(tokens: (n: number) => number): Promise<{ url: string; charged: number[]; server: Server }> {
  const charged: number[] = [];
  const server = createServer((asked, answer) => {
    asked.resume().on("end", () => {
      const used = tokens(charged.length);
      charged.push(used);
      setTimeout(() => {
        answer.writeHead(200, { "content-type": "application/json" });
        answer.end(JSON.stringify({ id: "1", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", content: "yes" }, finish_reason: "stop" }], usage: { prompt_tokens: used, completion_tokens: 0, total_tokens: used } }));
      }, 20 + (used % 7) * 10);
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, charged, server };
}

describe("fifty runs on one limit, over HTTP", function () {
  this.timeout(60_000);
  const folders: string[] = [];
  after(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });
  const folder = (): string => { const made = mkdtempSync(join(tmpdir(), "clawflow-ledger-")); folders.push(made); return made; };

  it("never use more than the limit and one reserve, in tokens and in money, and a killed process loses none of it", async () => {
    for (const [unit, max, perToken] of [["tokens", 2_000, 1], ["micros", 6_000, 3]] as const) {
      const { url, charged, server } = await slowModel((n) => 100 + (n * 37) % 150);
      const path = folder();
      const clock = manualClock(START);
      const open = async () => { const store = await openSqliteStore(path); return { store, ledger: await createLedger({ store, clock, zone: () => "UTC", budgets: () => ({ day: { [unit]: max } }), log: (text) => assert.fail(text) }) }; };
      const home = await open();
      const charge = chargeModel(await openModel({ provider: "openai-compatible", model: "m", key: "k", baseUrl: url, price: { input: 3, output: 3 } }, fetch));
      const one = async (n: number): Promise<"answered" | "refused"> => {
        const payer = home.ledger.payer({ subject: subject({ run: `${n}.s.in`, session: `s${n}`, person: `p${n}` }), since: START, budgets: {} });
        try {
          await drain(charge, request({ maxTokens: 246, turns: [{ role: "user", text: "" }], payer }));
          await home.store.commit([...payer.changes(), { do: "journal", run: `${n}.s.in`, entry: { step: "model 1", at: START, data: n } }]);
          return "answered";
        } catch (error) {
          assert.ok(refused(error), String(error));
          return "refused";
        }
      };
      const reserve = (246 + 4 + 4) * perToken;
      // What was refused comes again, as people do, until nothing is left.
      const answers: string[] = [];
      for (let round = 0; round < 6; round++) answers.push(...await Promise.all(Array.from({ length: 50 }, (_, n) => one(round * 50 + n))));
      const sum = charged.reduce((all, each) => all + each, 0) * perToken;
      assert.ok(sum >= max, `all of it can be used: ${sum} of ${max}`);
      assert.ok(sum <= max + reserve, `used ${sum}, limit ${max}, reserve ${reserve}`);
      assert.equal(answers.filter((answer) => answer === "answered").length, charged.length);
      await home.store.close();
      server.close();
      const again = await open();
      assert.deepEqual((await again.store.usage(ALL)).map(({ calls, input, micros, inexact }) => [calls, input, micros, inexact]), [[charged.length, sum / perToken, charged.reduce((all, each) => all + each, 0) * 3, 0]]);
      await assert.rejects(again.ledger.payer({ subject: subject(), since: START, budgets: {} }).begin(model([]), request()), refused);
      await again.store.close();
    }
  });

  it("counts what was journaled as it was, and with its reserve what a kill left without an end", async () => {
    const path = folder();
    const child = spawn(process.execPath, ["--no-warnings", "--experimental-strip-types", fileURLToPath(new URL("ledger-child.ts", import.meta.url)), path], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(child.stdout, "data");
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
    }
    const store = await openSqliteStore(path);
    const ledger = await createLedger({ store, clock: systemClock, zone: () => "UTC", budgets: () => ({ month: { tokens: 218 } }), log: (text) => assert.fail(text) });
    assert.deepEqual((await store.usageRows({ ...ALL, limit: 9 })).map(({ n, run, input, output, micros, exact }) => [n, run, input, output, micros, exact]), [[1, "1.s.in", 7, 3, 10, true], [2, "2.s.in", 4, 100, 104, false], [3, "3.s.in", 4, 100, 104, false]]);
    assert.equal((await store.journal("1.s.in")).length, 1);
    await assert.rejects(ledger.payer({ subject: subject(), since: START, budgets: {} }).begin(model([]), request()), (error) => error instanceof BudgetError && error.over.used === 218);
    await store.close();
  });
});
