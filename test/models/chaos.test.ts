/**
 * A chain of models against a provider in chaos, through the engine as it is: store, journal, agent, live answers, outbox. Over real HTTP, at aimock: of its
 * requests a fifth each is dropped, garbled, cut off, refused for too many, or late, and a fifth of the turns break off in the middle of the first model's
 * stream. The judge is what stands in the chats of a stub channel in the end: for each turn one whole answer or nothing, and then a dead letter that says why.
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
import type { Clock } from "../../engine/clock.ts";
import { asClawError } from "../../engine/errors.ts";
import { type Candidate, failover } from "../../engine/failover.ts";
import { createBoard } from "../../engine/failover/board.ts";
import { createGateway, type Gateway } from "../../engine/gateway.ts";
import { createFetch } from "../../engine/http.ts";
import type { Run } from "../../engine/inbox.ts";
import { openModel } from "../../engine/models/index.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { message, scriptedChannel, settle, until } from "../kit/scripted.ts";
import { dice } from "../faults/rounds.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const TURNS = full ? 1_000 : 200;
const CHATS = 20;
const RATE = 0.2;
/** What one turn may take by the engine's clock, milliseconds. */
const TURN_MS = 120_000;
const whole = (by: string, id: string): string => `${by} answers ${id}: the kitchen light is on, the hall is dark, and nobody is at the door; that is all of ${id}.`;
const idOf = (text: string): string => /t\d+x/.exec(text)?.[0] ?? "";

/** The real clock, some times as fast: rests of half a minute pass in seconds. */
function fastClock(times: number): Clock {
  const began = Date.now();
  const monotonic = (): number => performance.now() * times;
  const first = monotonic();
  return {
    now: () => began + monotonic() - first, monotonic,
    after(ms, act) { const timer = setTimeout(act, ms / times); timer.unref(); return () => clearTimeout(timer); },
  };
}

/** A provider at its own port. `cuts`: it breaks off in the middle where a turn's text says so. */
async function provider(by: string, cuts: boolean): Promise<LLMock> {
  const mock = new LLMock({ port: 0, chunkSize: 12 });
  const answer = (request: { messages: { role: string; content?: unknown }[] }) => ({ content: whole(by, idOf(JSON.stringify(request.messages.findLast(({ role }) => role === "user")?.content))) });
  const paced = { streamingProfile: { ttft: 5, tps: 400 } };
  if (cuts) mock.onMessage(/cut/, answer as never, { ...paced, truncateAfterChunks: 4 });
  mock.onMessage(/t\d+x/, answer as never, paced);
  await mock.start();
  return mock;
}

interface Chaos { readonly standIn: boolean; readonly times: number; readonly seed: number; readonly turns: number }
interface Outcome {
  readonly answered: number; readonly byStandIn: number; readonly dead: Readonly<Record<string, number>>; readonly requests: number; readonly faults: Readonly<Record<string, number>>;
  /** Turns of which a piece was shown and taken back. */
  readonly takenBack: number; readonly slowest: number;
  /** One line for each turn that is not as it must be. */
  readonly wrong: readonly string[];
}

async function chaos({ standIn, times, seed, turns }: Chaos): Promise<Outcome> {
  const random = dice(seed);
  const clock = fastClock(times);
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-chaos-"));
  const mocks = { A: await provider("A", true), B: await provider("B", false) };
  await fetch(`${mocks.A.url}/__aimock/chaos`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ dropRate: RATE, malformedRate: RATE, disconnectRate: RATE, rateLimitRate: RATE }) });
  const own = createFetch();
  // Its delay is one for all requests, so each request carries its own.
  let requests = 0;
  const counted = ((url: string, init: RequestInit) => { requests++; return own(url, init as never); }) as unknown as typeof fetch;
  const late = ((url: string, init: RequestInit) => counted(url, { ...init, headers: { ...init.headers as object, ...(random() < RATE ? { "x-aimock-chaos-latency": "50" } : {}) } })) as unknown as typeof fetch;
  const faults: Record<string, number> = {};
  const candidate = async (by: "A" | "B"): Promise<Candidate> =>
    ({ id: by, group: by, name: by, model: await openModel({ provider: "openai-compatible", model: by, key: "k", baseUrl: `${mocks[by].url}/v1` }, by === "A" ? late : counted, { clock }) });
  const chain = [await candidate("A"), ...(standIn ? [await candidate("B")] : [])] as [Candidate, ...Candidate[]];
  const board = createBoard();
  const model = failover(chain, { board, clock, random, count: (name, { code = "" }) => { if (name === "clawflow_model_faults_total") faults[code] = (faults[code] ?? 0) + 1; } });

  const channel = scriptedChannel({ edit: true, limits: { text: 1_000 } });
  const gateway = await createGateway({
    store: await openSqliteStore(path.join(folder, "store"), { clock }), clock, random, log: () => undefined, fetchFor: async () => own as never,
    spool: { save: () => Promise.reject(new Error("no files here")), open: async () => undefined, remove: async () => undefined, sweep: async () => 0 } as never,
    texts: { claimed: "", notice: () => "" }, limits: () => ({ notice: "none" }),
  });
  await gateway.setAccounts([{ account: { id: "acc", channel: "scripted", name: "Bot", settings: {}, policy: { policy: "open", allow: [] } }, channel }]);
  await settle();
  const dead = new Map<string, string>();
  const took: number[] = [];
  const shown = new Set<string>();
  gateway.events.on("dead", ({ message, reason }) => { if (message !== undefined) dead.set(idOf(message.text), reason); });
  let ended = 0;
  gateway.events.on("end", () => { ended++; });
  const on = (id: string, event: AgentEvent): void => { if (event.type === "delta" && event.text === "") shown.add(id); };
  gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => {
    // As if somebody pressed Test: else the first model would rest most of the time, and little would go wrong.
    if (standIn && random() < 0.5) board.renew("A");
    void answer(gateway, run, model, on).then((ms) => took.push(ms));
  } });
  gateway.start();
  const texts = Array.from({ length: turns }, (_, n) => `t${n}x${random() < RATE ? " cut" : ""}`);
  await Promise.all(texts.map((text, n) => channel.context?.receive(message({ chat: `c${n % CHATS}`, text }))));
  await until(async () => ended === turns && (await gateway.store.counts()).pending === 0, "all turns to end", 600_000);

  // What stands in the chats at the end.
  const places = new Map<string, string>();
  for (const { op, to, ref, text } of channel.sent) {
    if (op === "remove") places.delete(`${to.chat}/${ref}`);
    else places.set(`${to.chat}/${ref}`, text);
  }
  const wrong: string[] = [];
  const codes: Record<string, number> = {};
  let answered = 0;
  let byStandIn = 0;
  const left = [...places.values()];
  for (const id of texts.map(idOf)) {
    const found = left.filter((text) => text.includes(` ${id}`));
    const reason = dead.get(id);
    if (found.length === 1 && reason === undefined && ["A", "B"].some((by) => found[0] === whole(by, id))) {
      answered++;
      if (found[0]?.startsWith("B")) byStandIn++;
    } else if (found.length === 0 && reason !== undefined && /\[?[A-Z]+_\d{3}/.test(reason)) {
      const code = /[A-Z]+_\d{3}/.exec(reason)?.[0] ?? "";
      codes[code] = (codes[code] ?? 0) + 1;
    } else wrong.push(`${id}: ${JSON.stringify(found)}, dead letter: ${reason ?? "none"}`);
  }
  if (left.length !== answered) wrong.push(`${left.length} messages stand in the chats for ${answered} answers`);
  const { received, done, dead: lost, pending } = await gateway.store.counts();
  if (received !== turns || pending !== 0 || done !== answered || lost !== turns - answered) wrong.push(`the store says ${JSON.stringify({ received, done, lost, pending })}`);
  await gateway.close();
  await Promise.all([mocks.A.stop(), mocks.B.stop()]);
  await own.destroy();
  rmSync(folder, { recursive: true, force: true });
  return { answered, byStandIn, dead: codes, requests, faults, takenBack: shown.size, slowest: Math.max(...took), wrong };
}

/** What agent and channel out do with one run, in the words of the engine. Milliseconds it took the agent. */
async function answer(gateway: Gateway, run: Run, model: ReturnType<typeof failover>, on: (id: string, event: AgentEvent) => void): Promise<number> {
  const { receipt, id } = run;
  const { at: to, text } = receipt.message;
  const began = gateway.clock.monotonic();
  const step = gateway.step(id, "agent", "");
  const out = gateway.step(id, "out", step);
  const live = gateway.live({ run: id, step: out, to });
  try {
    const result = await gateway.join(id, step, () => runAgent(
      { run: id, message: receipt.message, text, trust: receipt.trust, tainted: false, data: {} },
      { system: compileTemplate("Be short."), context: compileTemplate(""), maxRounds: 2, timeoutMs: TURN_MS },
      {
        clock: gateway.clock, model, tools: [], history: [], live: true, signal: new AbortController().signal,
        once: (name, act, unknown) => gateway.once(id, `${step} ${name}`, act, unknown),
        remember: () => [], remembered: () => undefined,
        on: (event) => { if (event.type === "delta") live.show(event.text); on(idOf(text), event); },
      },
    ));
    await live.stop();
    await gateway.deliver({ run: id, step: out, op: "send", to, draft: { text: result.text } });
    gateway.settle(id);
  } catch (thrown) {
    await live.abandon();
    const { code, message: words } = asClawError(thrown, "CORE_001");
    gateway.settle(id, { fault: `[${code}] ${words}` });
  }
  return gateway.clock.monotonic() - began;
}

const say = (outcome: Outcome, turns: number, own: number): void => {
  const { answered, byStandIn, dead, requests, faults, takenBack, slowest, wrong } = outcome;
  console.log(`      ${turns} turns: ${answered} answered once (${byStandIn} by the second model), dead letters ${JSON.stringify(dead)}, ${takenBack} had a piece shown and taken back, ${wrong.length} wrong; ${requests} requests, faults ${JSON.stringify(faults)}; slowest ${Math.round(slowest / 1000)} s of ${TURN_MS / 1000}; seed ${own}`);
};

describe("a provider in chaos", function () {
  this.timeout(600_000);
  it(`with a healthy second model: at least 99 in 100 turns are answered, each once and within its time (${TURNS} turns)`, async () => {
    const outcome = await chaos({ standIn: true, times: 1, seed, turns: TURNS });
    say(outcome, TURNS, seed);
    assert.deepEqual(outcome.wrong, []);
    assert.ok(outcome.answered >= 0.99 * TURNS, `${outcome.answered} of ${TURNS}`);
    assert.ok(outcome.slowest <= TURN_MS, `${outcome.slowest} ms`);
    assert.ok(outcome.byStandIn > 0 && outcome.answered > outcome.byStandIn && outcome.takenBack > TURNS / 50, "the chaos was none");
    // Twice at once, and twice more after a rest, for each of the two models.
    assert.ok(outcome.requests <= 8 * TURNS, `${outcome.requests} requests`);
  });
  it(`without a second one: nobody is answered twice, no half answer stays, and each turn without an answer says why (${TURNS} turns)`, async () => {
    const outcome = await chaos({ standIn: false, times: 40, seed, turns: TURNS });
    say(outcome, TURNS, seed);
    assert.deepEqual(outcome.wrong, []);
    assert.ok(outcome.answered > 0 && Object.keys(outcome.dead).length > 0 && outcome.takenBack > 0, "the chaos was none");
  });
});
