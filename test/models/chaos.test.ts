/**
 * A chain of models against a provider in chaos, through the engine as it is: store, journal, agent, live answers, outbox. Over real HTTP, at aimock: of its
 * requests a fifth each is dropped, garbled, cut off, refused for too many, or late, and a fifth of the turns break off in the middle of the first model's
 * stream. The judge is what stands in the chats of a stub channel in the end: for each turn one whole answer or nothing, and then a dead letter that says why.
 * Each turn is paid for under limits of tokens and money, and the ledger is held against what the providers saw, call by call. One turn in 200 would go on with a
 * tool for ever: its budget ends it. When all is done the day's limit is set to a little more than was spent, and what is said then meets it.
 *
 *     npx mocha test/models/chaos.test.ts                      200 turns
 *     CLAWFLOW_FAULTS=full npx mocha test/models/chaos.test.ts 1,000 turns
 */
import { LLMock } from "@copilotkit/aimock";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type AgentEvent, compileTemplate, runAgent } from "../../engine/agent.ts";
import type { Budgets } from "../../engine/budget.ts";
import { type Clock, systemClock } from "../../engine/clock.ts";
import { asClawError } from "../../engine/errors.ts";
import { type Candidate, failover } from "../../engine/failover.ts";
import { createBoard } from "../../engine/failover/board.ts";
import { createGateway, type Gateway } from "../../engine/gateway.ts";
import { createFetch } from "../../engine/http.ts";
import type { Run } from "../../engine/inbox.ts";
import { chargeModel, paidBy } from "../../engine/models/charge.ts";
import { openModel } from "../../engine/models/index.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import type { Tool } from "../../engine/tool.ts";
import { chargesOf, overspent, priceList, type Seen, type Sum, sumOf, type Tariff, turnIn, turnNumber, turnOf, unlike, usageOf, type WireBody } from "../kit/bill.ts";
import { message, scriptedChannel, settle, until } from "../kit/scripted.ts";
import { dice } from "../faults/rounds.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const TURNS = full ? 1_000 : 200;
/** Said when all others are done, on what is left of the day. */
const MORE_TURNS = TURNS / 5;
const CHATS = 20;
const RATE = 0.2;
/** What one turn may take its agent by the engine's clock, milliseconds, and what ending it takes. */
const TURN_MS = 120_000;
const SLACK_MS = 2_000;
/** One turn of so many never comes to an end by itself; to one the provider never says a word, where nobody stands in for it. */
const ENDLESS = 200;
const SILENT = 50;
const TARIFF: Tariff = { A: [300, 1_500], B: [55, 219] };
const PROVIDER = "openai-compatible";
const ANSWER_TOKENS = 60;
/** Twice the dear model in vain and once the other fits; three times the dear one, or an endless turn, does not. */
const PER_TURN: Sum = { tokens: 400, micros: 2_500 };
/** What an average turn may take, of which the limits of talks, people, agent and day are made. */
const MEAN: Sum = { tokens: 300, micros: 2_500 };
const manyOf = ({ tokens, micros }: Sum, n: number): Sum => ({ tokens: tokens * n, micros: micros * n });
const LEFT = { tokens: 800, micros: 8_000 };
const whole = (by: string, id: string): string => `${by} answers ${id}: the kitchen light is on, the hall is dark, and nobody is at the door; that is all of ${id}.`;
/**
 * The real clock, some times as fast: rests of half a minute pass in seconds. It goes on while the event loop turns: of a moment in which the process was kept
 * waiting only a tick counts, or a tenth of a second of a busy machine would be four seconds of the engine's.
 */
function fastClock(times: number): Clock & { end(): void } {
  const began = Date.now();
  const timers = new Set<{ readonly at: number; act(): void }>();
  let passed = 0;
  let last = performance.now();
  const ticking = setInterval(() => {
    const now = performance.now();
    passed += Math.min(now - last, 2 * TICK_MS) * times;
    last = now;
    for (const timer of [...timers].filter(({ at }) => at <= passed).sort((a, b) => a.at - b.at)) if (timers.delete(timer)) timer.act();
  }, TICK_MS);
  return {
    now: () => began + passed, monotonic: () => passed, end: () => clearInterval(ticking),
    after(ms, act) { const timer = { at: passed + ms, act }; timers.add(timer); return () => { timers.delete(timer); }; },
  };
}
const TICK_MS = 5;

/** A provider at its own port. `cuts`: it breaks off in the middle where a turn's text says so. */
async function provider(by: string, cuts: boolean): Promise<LLMock> {
  const mock = new LLMock({ port: 0, chunkSize: 12, journalMaxEntries: 0 });
  const used = (request: unknown) => { const { input, output } = usageOf(by, request as WireBody); return { usage: { prompt_tokens: input, completion_tokens: output } }; };
  const answer = (request: unknown) => ({ content: whole(by, turnOf(request as WireBody)), ...used(request) });
  const paced = { streamingProfile: { ttft: 5, tps: 400 } };
  mock.onMessage(/endless/, ((request: unknown) => ({ toolCalls: [{ name: look.name, arguments: "{}" }], ...used(request) })) as never, paced);
  if (cuts) mock.onMessage(/cut/, answer as never, { ...paced, truncateAfterChunks: 4 });
  mock.onMessage(/t\d+x/, answer as never, paced);
  await mock.start();
  return mock;
}
const look: Tool = {
  name: "look", description: "Looks.", parameters: { type: "object", properties: {}, additionalProperties: false }, tags: [], risk: "read", readsPrivate: false, talksOutside: false, shared: true, timeoutMs: 10_000,
  call: async () => ({ text: "Nothing yet." }),
};

/** A request as it went out, and whether we broke it off. */
interface Sent { readonly by: "A" | "B"; readonly call: string; readonly body: WireBody; aborted: boolean }
/** What became of each request, as the stubs have it. */
function seenBy(mocks: Readonly<Record<"A" | "B", LLMock>>, sent: readonly Sent[], wrong: string[]): Seen[] {
  const entries = new Map(Object.values(mocks).flatMap((mock) => mock.getRequests().map(({ headers, response }) => [headers[CALL] ?? "", response] as const)));
  return sent.map(({ by, call, body, aborted }): Seen => {
    const entry = entries.get(call);
    if (entry === undefined && !aborted) wrong.push(`request ${call} of ${turnOf(body)} did not reach ${by}`);
    const cut = aborted || entry?.interrupted === true || entry?.chaosAction === "malformed" || entry?.chaosAction === "disconnect";
    return { turn: turnOf(body), model: by, body, end: cut ? "cut" : entry?.status === 200 ? "whole" : "refused", usage: usageOf(by, body) };
  });
}
const CALL = "x-call";

interface Chaos { readonly standIn: boolean; readonly times: number; readonly seed: number; readonly turns: number }
interface Outcome {
  readonly answered: number; readonly byStandIn: number; readonly dead: Readonly<Record<string, number>>; readonly requests: number; readonly faults: Readonly<Record<string, number>>;
  /** Turns of which a piece was shown and taken back. */
  readonly takenBack: number; readonly slowest: number;
  /** By the stubs: all of it, what the dearest turn came to, and the day's limit in the end. */
  readonly spent: Sum; readonly dearest: Sum; readonly day: Sum; readonly ends: Readonly<Record<string, number>>;
  /** Of what was said in the end: how much was answered, and refused because nothing was left of the day. */
  readonly late: { readonly answered: number; readonly refused: number };
  /** One line for each turn that is not as it must be. */
  readonly wrong: readonly string[];
}

async function chaos({ standIn, times: speed, seed, turns }: Chaos): Promise<Outcome> {
  const random = dice(seed);
  const fast = speed === 1 ? undefined : fastClock(speed);
  const clock = fast ?? systemClock;
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-chaos-"));
  const mocks = { A: await provider("A", true), B: await provider("B", false) };
  await fetch(`${mocks.A.url}/__aimock/chaos`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ dropRate: RATE, malformedRate: RATE, disconnectRate: RATE, rateLimitRate: RATE }) });
  const own = createFetch();
  const sent: Sent[] = [];
  /** Its delay is one for all requests, so each request carries its own: none, a little, or longer than any turn. */
  const delayOf = (by: "A" | "B", body: WireBody): string => (JSON.stringify(body.messages).includes(`${turnOf(body)} silent`) ? "30000" : by === "A" && random() < RATE ? "50" : "0");
  const asks = (by: "A" | "B") => ((url: string, init: RequestInit) => {
    const one: Sent = { by, call: String(sent.length), body: JSON.parse(String(init.body)) as WireBody, aborted: false };
    sent.push(one);
    init.signal?.addEventListener("abort", () => { one.aborted = true; }, { once: true });
    return own(url, { ...init, headers: { ...init.headers as object, [CALL]: one.call, "x-aimock-chaos-latency": delayOf(by, one.body) } } as never);
  }) as unknown as typeof fetch;
  const faults: Record<string, number> = {};
  const candidate = async (by: "A" | "B"): Promise<Candidate> =>
    ({ id: by, group: by, name: by, model: chargeModel(await openModel({ provider: PROVIDER, model: by, key: "k", baseUrl: `${mocks[by].url}/v1` }, asks(by), { clock, prices: [priceList(PROVIDER, TARIFF)] })) });
  const chain = [await candidate("A"), ...(standIn ? [await candidate("B")] : [])] as [Candidate, ...Candidate[]];
  const board = createBoard();
  const model = failover(chain, { board, clock, random, count: (name, { code = "" }) => { if (name === "clawflow_model_faults_total") faults[code] = (faults[code] ?? 0) + 1; } });

  const all = turns + MORE_TURNS;
  const agents: Record<"run" | "session" | "agentDay", Sum> = { run: PER_TURN, session: manyOf(MEAN, all / CHATS), agentDay: manyOf(MEAN, all) };
  const everybodys: Record<"personDay" | "day", Sum> = { personDay: manyOf(MEAN, all / CHATS), day: manyOf(MEAN, all) };
  const channel = scriptedChannel({ edit: true, limits: { text: 1_000 } });
  const gateway = await createGateway({
    store: await openSqliteStore(path.join(folder, "store"), { clock }), clock, random, log: () => undefined, fetchFor: async () => own as never,
    spool: { save: () => Promise.reject(new Error("no files here")), open: async () => undefined, remove: async () => undefined, sweep: async () => 0 } as never,
    texts: { claimed: "", notice: () => "" }, limits: () => ({ notice: "none", budgets: everybodys }),
  });
  await gateway.setAccounts([{ account: { id: "acc", channel: "scripted", name: "Bot", settings: {}, policy: { policy: "open", allow: [] } }, channel }]);
  await settle();
  const dead = new Map<string, string>();
  const took: number[] = [];
  const shown = new Set<string>();
  gateway.events.on("dead", ({ message, reason }) => { if (message !== undefined) dead.set(turnIn(message.text), reason); });
  let ended = 0;
  gateway.events.on("end", () => { ended++; });
  const on = (id: string, event: AgentEvent): void => { if (event.type === "delta" && event.text === "") shown.add(id); };
  gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => {
    // As if somebody pressed Test: else the first model would rest most of the time, and little would go wrong.
    if (standIn && random() < 0.5) board.renew("A");
    void answer(gateway, run, model, agents, on).then((ms) => took.push(ms));
  } });
  gateway.start();
  const chatOf = (id: string): string => `c${turnNumber(id) % CHATS}`;
  const turnsOf = new Map<string, string>();
  const sayAll = async (texts: readonly string[], total: number): Promise<void> => {
    const said = texts.map((text) => message({ chat: chatOf(turnIn(text)), from: `p${chatOf(turnIn(text))}`, text }));
    for (const { id, text } of said) turnsOf.set(id, turnIn(text));
    await Promise.all(said.map((one) => channel.context?.receive(one)));
    await until(async () => ended === total && (await gateway.store.counts()).pending === 0, "all turns to end", 600_000);
  };
  const kindOf = (n: number): string => (n % ENDLESS === ENDLESS / 2 ? " endless" : !standIn && n < turns && n % SILENT === SILENT / 2 ? " silent" : random() < RATE ? " cut" : "");
  const texts = Array.from({ length: all }, (_, n) => `t${n}x${kindOf(n)}`);
  const wrong: string[] = [];
  await sayAll(texts.slice(0, turns), turns);
  const spent = sumOf(chargesOf(seenBy(mocks, sent, []), TARIFF));
  everybodys.day = { tokens: spent.tokens + LEFT.tokens, micros: spent.micros + LEFT.micros };
  await sayAll(texts.slice(turns), all);

  // What stands in the chats at the end.
  const places = new Map<string, string>();
  for (const { op, to, ref, text } of channel.sent) {
    if (op === "remove") places.delete(`${to.chat}/${ref}`);
    else places.set(`${to.chat}/${ref}`, text);
  }
  const codes: Record<string, number> = {};
  let [answered, byStandIn] = [0, 0];
  const late = { answered: 0, refused: 0 };
  const left = [...places.values()];
  for (const [n, id] of texts.map(turnIn).entries()) {
    const found = left.filter((text) => text.includes(` ${id}`));
    const reason = dead.get(id);
    if (found.length === 1 && reason === undefined && ["A", "B"].some((by) => found[0] === whole(by, id))) {
      if (n < turns) answered++; else late.answered++;
      if (n < turns && found[0]?.startsWith("B")) byStandIn++;
    } else if (found.length === 0 && reason !== undefined && /\[?[A-Z]+_\d{3}/.test(reason)) {
      const code = /[A-Z]+_\d{3}/.exec(reason)?.[0] ?? "";
      if (n < turns) codes[code] = (codes[code] ?? 0) + 1;
      else if (reason.includes('budget "day"')) late.refused++;
    } else wrong.push(`${id}: ${JSON.stringify(found)}, dead letter: ${reason ?? "none"}`);
  }
  const answers = answered + late.answered;
  if (left.length !== answers) wrong.push(`${left.length} messages stand in the chats for ${answers} answers`);
  const { received, done, dead: lost, pending } = await gateway.store.counts();
  if (received !== all || pending !== 0 || done !== answers || lost !== all - answers) wrong.push(`the store says ${JSON.stringify({ received, done, lost, pending })}`);

  // What the providers saw, against the ledger and the limits.
  await settle();
  const seen = seenBy(mocks, sent, wrong);
  const rows = await gateway.store.usageRows({ from: 0, to: Number.MAX_SAFE_INTEGER, limit: 1_000_000 });
  wrong.push(...unlike(chargesOf(seen, TARIFF), rows, (row) => turnsOf.get(row.message) ?? row.message));
  for (const [name, group] of [["run", (id) => id], ["session", chatOf], ["agentDay", () => ""], ["personDay", chatOf], ["day", () => ""]] as const satisfies readonly (readonly [string, (id: string) => string])[]) {
    wrong.push(...overspent(name, seen, TARIFF, { ...agents, ...everybodys }[name], group));
  }
  const { today } = await gateway.ledger.usage({});
  const total = sumOf(chargesOf(seen, TARIFF));
  if (today.micros !== total.micros || today.input + today.output !== total.tokens) wrong.push(`the ledger says ${JSON.stringify(today)}, the stubs ${JSON.stringify(total)}`);
  const perTurn = [...Map.groupBy(seen, ({ turn }) => turn).values()].map((one): Sum => sumOf(chargesOf(one, TARIFF)));
  const dearest = { tokens: Math.max(...perTurn.map(({ tokens }) => tokens)), micros: Math.max(...perTurn.map(({ micros }) => micros)) };
  const ends = Object.fromEntries([...Map.groupBy(seen, ({ end }) => end)].map(([end, some]) => [end, some.length]));
  await gateway.close();
  await Promise.all([mocks.A.stop(), mocks.B.stop()]);
  await own.destroy();
  fast?.end();
  rmSync(folder, { recursive: true, force: true });
  return { answered, byStandIn, dead: codes, requests: sent.length, faults, takenBack: shown.size, slowest: Math.max(...took), spent: total, dearest, day: everybodys.day, ends, late, wrong };
}

/** What agent and channel out do with one run, in the words of the engine. Milliseconds it took the agent. */
async function answer(gateway: Gateway, run: Run, model: ReturnType<typeof failover>, budgets: Budgets, on: (id: string, event: AgentEvent) => void): Promise<number> {
  const { receipt, id } = run;
  const { at: to, text, sender } = receipt.message;
  const step = gateway.step(id, "agent", "");
  const out = gateway.step(id, "out", step);
  const live = gateway.live({ run: id, step: out, to });
  const payer = gateway.ledger.payer({ subject: { run: id, message: receipt.message.id, session: to.chat, channel: to.channel, account: to.account, person: sender.id, agent: "helper" }, since: receipt.receivedAt, budgets });
  let took = 0;
  try {
    const result = await gateway.join(id, step, async () => {
      const began = gateway.clock.monotonic();
      return runAgent(
        { run: id, message: receipt.message, text, trust: receipt.trust, tainted: false, data: {} },
        { system: compileTemplate("Be short."), context: compileTemplate(""), maxRounds: 50, timeoutMs: TURN_MS, maxTokens: ANSWER_TOKENS },
        {
          clock: gateway.clock, model: paidBy(model, payer), tools: [look], history: [], live: true, signal: new AbortController().signal, payer, booked: payer.changes,
          once: (name, act, unknown) => gateway.once(id, `${step} ${name}`, act, unknown),
          remember: () => [], remembered: () => undefined,
          on: (event) => { if (event.type === "delta") live.show(event.text); on(turnIn(text), event); },
        },
      ).finally(() => { took = gateway.clock.monotonic() - began; });
    });
    await live.stop();
    await gateway.deliver({ run: id, step: out, op: "send", to, draft: { text: result.text } });
    gateway.settle(id);
  } catch (thrown) {
    await live.abandon();
    const { code, message: words } = asClawError(thrown, "CORE_001");
    gateway.settle(id, { fault: `[${code}] ${words}` });
  } finally {
    payer.close();
  }
  return took;
}

const amount = ({ tokens, micros }: Sum): string => `${tokens} tokens and ${micros} micro-USD`;
const say = (outcome: Outcome, turns: number, own: number): void => {
  const { answered, byStandIn, dead, requests, faults, takenBack, slowest, spent, dearest, day, ends, late, wrong } = outcome;
  console.log(`      ${turns} turns: ${answered} answered once (${byStandIn} by the second model), dead letters ${JSON.stringify(dead)}, ${takenBack} had a piece shown and taken back, ${wrong.length} wrong; ${requests} requests, faults ${JSON.stringify(faults)}; slowest ${(slowest / 1000).toFixed(1)} s of ${TURN_MS / 1000}; seed ${own}`);
  console.log(`      spent by the stubs and in the ledger ${amount(spent)} (calls ${JSON.stringify(ends)}), the day's limit ${amount(day)}; the dearest turn ${amount(dearest)} of ${amount(PER_TURN)}; on what was left of the day ${late.answered} more answered, ${late.refused} refused`);
};
/** What holds for both. */
function held({ wrong, slowest, late, spent, day }: Outcome): void {
  assert.deepEqual(wrong, []);
  assert.ok(slowest <= TURN_MS + SLACK_MS, `${slowest} ms`);
  // What is left may go to calls that break off, and so to no answer at all: that it was used, the sums say.
  assert.ok(late.refused > 0, `nobody met the day's limit: ${JSON.stringify(late)}`);
  assert.ok(spent.tokens >= day.tokens - LEFT.tokens / 2 || spent.micros >= day.micros - LEFT.micros / 2, "what was left of the day can be used");
}

describe("a provider in chaos", function () {
  this.timeout(600_000);
  it(`with a healthy second model: at least 99 in 100 turns are answered, each once, within its budget and its time (${TURNS} turns)`, async () => {
    const outcome = await chaos({ standIn: true, times: 1, seed, turns: TURNS });
    say(outcome, TURNS, seed);
    held(outcome);
    assert.ok(outcome.answered >= 0.99 * TURNS, `${outcome.answered} of ${TURNS}`);
    assert.ok((outcome.dead.BUDGET_001 ?? 0) >= TURNS / ENDLESS, "an endless turn ends by its budget");
    assert.ok(outcome.byStandIn > 0 && outcome.answered > outcome.byStandIn && outcome.takenBack > TURNS / 50, "the chaos was none");
    // Twice at once, and twice more after a rest, for each of the two models.
    assert.ok(outcome.requests <= 8 * TURNS, `${outcome.requests} requests`);
  });
  it(`without a second one: nobody is answered twice, no half answer stays, and each turn without an answer says why, within its budget and its time (${TURNS} turns)`, async () => {
    const outcome = await chaos({ standIn: false, times: 40, seed, turns: TURNS });
    say(outcome, TURNS, seed);
    held(outcome);
    assert.ok(outcome.answered > 0 && Object.keys(outcome.dead).length > 0 && outcome.takenBack > 0, "the chaos was none");
    assert.ok((outcome.dead.BUDGET_001 ?? 0) > TURNS / ENDLESS, "the budget of a turn ended none");
    assert.equal(outcome.dead.MODEL_010, TURNS / SILENT, "who hears nothing ends by the time");
    assert.ok(outcome.slowest >= TURN_MS, `${outcome.slowest} ms`);
  });
});
