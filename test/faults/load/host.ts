/**
 * The engine in a process of its own, lighter than a Node-RED: the real gateway, its store on disk (FULL), the channels of test/plugins/fault-channels,
 * a real model wire; what stands for the flow is a function. The parent asks by messages: { id, op, … } → { id, result } or { id, error }.
 *
 * Argument: Settings as JSON. Started with --expose-gc, so that what is measured is what is held.
 */
import { existsSync, readdirSync, statSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { buffer } from "node:stream/consumers";
import { getHeapSpaceStatistics } from "node:v8";
import { compileTemplate, runAgent } from "../../../engine/agent.ts";
import type { Channel } from "../../../engine/channels/channel.ts";
import { createGateway, type Gateway, type GatewayAccount } from "../../../engine/gateway.ts";
import { createFetch } from "../../../engine/http.ts";
import type { Run } from "../../../engine/inbox.ts";
import { createSpool } from "../../../engine/media.ts";
import { sessionKey } from "../../../engine/message.ts";
import { openModel } from "../../../engine/models/index.ts";
import type { Model } from "../../../engine/models/model.ts";
import type { Faults } from "../../../engine/points.ts";
import { openSqliteStore } from "../../../engine/store/sqlite.ts";
import type { Tool } from "../../../engine/tool.ts";
import { answerOf } from "../../../nodes/shared/http.ts";
import { partsOf } from "../judge.ts";
import { monotonicMs } from "../stubs/log.ts";
import { fastClock, type Pace } from "./clock.ts";

export interface Settings {
  readonly folder: string;
  /** Address of the stub platform. */
  readonly platform: string;
  /** Address of the stub model; without one the flow answers by itself. */
  readonly model?: string;
  readonly pace: Pace;
  /** Turns of sessions are kept so long. */
  readonly keepMs?: number;
  /** A fault put into the host, to see that the tests find it. */
  readonly broken?: string;
}
export interface Measure {
  /** Bytes, without compiled code. */
  readonly heap: number; readonly rss: number; readonly fds: number; readonly timers: number; readonly waiting: number; readonly storeBytes: number; readonly worstTurnMs: number;
}
const settings = JSON.parse(process.argv[2] ?? "{}") as Settings;
const bots = ["key", "evidence", "none"] as const;
const clock = fastClock(settings.pace);
const loop = monitorEventLoopDelay({ resolution: 5 });
loop.enable();

/** The n-th passage of any point from now on is the last thing this process does. */
let passages = 0;
const faults: Faults = {
  at(point, id) {
    if (passages === 0 || --passages > 0) return;
    writeSync(1, `${JSON.stringify({ t: monotonicMs(), what: "crash", point, id })}\n`);
    process.kill(process.pid, "SIGKILL");
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
  async reached(point, id) { faults.at(point, id); },
};
(globalThis as { clawflowFaults?: Faults }).clawflowFaults = faults;

const channels: Channel[] = [];
createRequire(import.meta.url)("../../plugins/fault-channels/fault-channels.cjs")({ plugins: { registerPlugin: (_id: string, { channel }: { channel: Channel }) => channels.push(channel) } });
const fetch = createFetch();
const fetchOf = fetch as unknown as typeof globalThis.fetch;
const store = await openSqliteStore(settings.folder, { clock });
const gateway: Gateway = await createGateway({
  store, clock, spool: createSpool(path.join(settings.folder, "media"), { clock }), fetchFor: async () => fetchOf,
  // By a clock that runs fast, what was planned a minute ago would be stale.
  limits: () => ({ notice: "none", staleMs: 24 * 3_600_000, ...(settings.keepMs === undefined ? {} : { keepMs: settings.keepMs }) }),
  texts: { claimed: "", notice: () => "" }, log: () => undefined,
});
gateway.events.on("dead", ({ what, reason, message, row }) => { writeSync(2, `dead letter: a ${what} of ${message?.at.account ?? row?.to.account}, ${message?.id ?? `${row?.run} ${row?.state} planned ${clock.now() - (row?.plannedAt ?? 0)} ms ago`}: ${reason}\n`); });
const model: Model | undefined = settings.model === undefined ? undefined : await openModel({ provider: "openai", model: "stub", baseUrl: `${settings.model}/v1`, key: "sk-stub-of-the-fault-tests" }, fetchOf, { clock });

async function post(address: string, body: object): Promise<string> {
  const answer = await fetchOf(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  return answer.text();
}
const tool: Tool = {
  name: "note_it", description: "Notes it", parameters: { type: "object", properties: { id: { type: "string" } }, required: ["id"] }, tags: [], risk: "write", readsPrivate: false, talksOutside: false, shared: true, timeoutMs: 30_000,
  call: async (input) => ({ text: await post(`${settings.platform}/effect`, input as object) }),
};

/** What the stub model would say. */
function answerTo(text: string): string {
  const parts = partsOf(text);
  return Array.from({ length: parts }, (_, part) => `a:${/\bm\d+\b/.exec(text)?.[0] ?? "m0"}:${part + 1}/${parts}${parts === 1 ? "" : ` ${"and so on ".repeat(14)}`}`.trim()).join("\n\n");
}
/** Counts deploys: what a flow of an earlier one sends goes nowhere, as on the canvas. */
let generation = 0;
const underWay = new Set<string>();
const sessions = new Set<string>();
const agent = { system: compileTemplate("Answer."), context: compileTemplate(""), maxRounds: 8, timeoutMs: 120_000 };

/** What the agent node does. A flow answers in its place where the model gives nothing. */
async function answer(run: Run, step: string): Promise<string> {
  const { receipt } = run;
  if (model === undefined) return answerTo(receipt.message.text);
  const session = sessionKey(receipt.message, "account-channel-peer", "agent");
  sessions.add(session);
  const release = await gateway.sessions.lock(session, run.id, run.abort.signal);
  try {
    const result = await runAgent(
      { run: run.id, message: receipt.message, text: receipt.message.text, trust: receipt.trust, tainted: receipt.tainted, data: {} }, agent,
      {
        clock, model, history: await gateway.sessions.history(session, 20, 0), signal: run.abort.signal, tools: [tool], live: false, on: () => undefined,
        once: (name, act, unknown) => gateway.once(run.id, `${step} ${name}`, act, unknown),
        remember: (turns, taint) => gateway.sessions.changes(session, run.id, clock.now(), turns, taint),
        remembered: (turns, taint, saved) => gateway.sessions.added(session, turns, taint, saved),
      },
    );
    return result.text || answerTo(receipt.message.text);
  } catch (error) {
    if ((error as Error).name !== "ModelError") throw error;
    return answerTo(receipt.message.text);
  } finally {
    release();
  }
}
/** The flow: agent, then channel out. Between any two nodes a deploy may have taken it away. */
async function flow(run: Run, pass: number, born: number): Promise<void> {
  underWay.add(run.id);
  const { message } = run.receipt;
  const step = gateway.step(run.id, "agent", "", pass);
  const text = await gateway.join(run.id, step, () => answer(run, step));
  if (born !== generation) return;
  await gateway.deliver({ run: run.id, step: gateway.step(run.id, "out", step, pass), op: "send", to: message.at, draft: { text } });
  if (born !== generation) return;
  underWay.delete(run.id);
  gateway.settle(run.id);
}
const leaked: unknown[] = [];
const entry = { id: "in", covers: () => true, matches: () => true, gatherMs: 0, emit(run: Run) {
  if (settings.broken === "leak") leaked.push({ run, text: run.receipt.message.text.repeat(2) });
  if (settings.broken === "timers") clock.after(1e12, () => undefined);
  if (settings.broken === "drop" && run.receipt.seq % 50 === 0) return gateway.settle(run.id);
  const born = generation;
  flow(run, run.pass, born).catch((error: Error) => { if (!run.abort.signal.aborted) writeSync(2, `flow of ${run.receipt.message.id}: ${error.stack}\n`); });
} };

const accounts = (deploy: number): readonly { readonly account: GatewayAccount; readonly channel: Channel }[] => bots.map((bot) => ({
  account: { id: bot, channel: `fault-${bot}`, name: bot, settings: { api: `${settings.platform}/bot/${bot}`, inbound: bot === "evidence" ? "poll" : "webhook", deploy: bot === "evidence" ? deploy : 0 }, policy: { policy: "open", allow: [] } },
  channel: channels.find(({ id }) => id === `fault-${bot}`) as Channel,
}));
let changes = 0;
async function deploy(kind: "full" | "flows" | "account"): Promise<void> {
  gateway.stop();
  generation++;
  gateway.inbox.remove("in");
  const lost = [...underWay];
  underWay.clear();
  if (kind === "full") await gateway.pause();
  if (kind === "account") changes++;
  gateway.inbox.add(entry);
  await gateway.setAccounts(accounts(changes));
  for (const run of lost) if (gateway.inbox.run(run) !== undefined) gateway.inbox.interrupt(run);
  gateway.start();
}
gateway.inbox.add(entry);
await gateway.setAccounts(accounts(0));
gateway.start();

const server = createServer((request, response) => void (async () => {
  const bot = (request.url ?? "").split("/").at(-1) ?? "";
  const body = await buffer(request);
  const connection = gateway.connections.get(bot)?.connection;
  const { status, headers, body: text } = connection?.webhook === undefined
    ? { status: 503, headers: { "retry-after": "1" }, body: "not connected" }
    : await answerOf(connection.webhook, { method: "POST", path: "/", query: new URLSearchParams(), headers: {}, body, remote: "", signal: new AbortController().signal });
  response.writeHead(status, headers).end(text as string);
})().catch(() => { response.destroy(); }));
server.keepAliveTimeout = 60_000;

/** Linux only; elsewhere there are none to count. */
const HANDLES = "/proc/self/fd";
/** Compiled code comes and goes as V8 likes, by megabytes: what is held is the rest. */
function heldBytes(): number {
  return getHeapSpaceStatistics().filter(({ space_name: name }) => !/code|trusted/.test(name)).reduce((sum, { space_used_size: size }) => sum + size, 0);
}
function measure(): Measure {
  const collect = (globalThis as { gc?: () => void }).gc;
  collect?.();
  collect?.();
  const { external, rss } = process.memoryUsage();
  const worstTurnMs = loop.max / 1e6;
  loop.reset();
  return { heap: heldBytes() + external, rss, fds: existsSync(HANDLES) ? readdirSync(HANDLES).length : 0, timers: clock.timers, waiting: gateway.inbox.size, storeBytes: statSync(path.join(settings.folder, "store.sqlite")).size, worstTurnMs };
}
interface Ask { readonly id: number; readonly op: string; readonly ms?: number; readonly n?: number; readonly share?: number; readonly kind?: "full" | "flows" | "account"; readonly people?: readonly { readonly bot: string; readonly id: string }[] }
const ops: Readonly<Record<string, (ask: Ask) => unknown>> = {
  measure,
  counts: () => store.counts(),
  jump: ({ ms = 0 }) => clock.jump(ms),
  deploy: ({ kind = "full" }) => deploy(kind),
  /** As if somebody said "/new" in this share of the chats, every so many. */
  async forget({ share = 1, n = 0 }) { await Promise.all([...sessions].filter((_, at) => (at + n) % Math.round(1 / share) === 0).map((session) => gateway.sessions.forget(session))); },
  killAfter({ n = 1 }) { passages = n; },
  async meet({ people = [] }) { await Promise.all(people.map(({ bot, id }) => gateway.people.set({ channel: `fault-${bot}`, account: bot, id, name: id, trust: "paired" }))); },
  async stop() { await gateway.pause(); await gateway.close(); },
};
process.on("message", (ask: Ask) => {
  void (async () => ops[ask.op]?.(ask))().then((result) => process.send?.({ id: ask.id, result }), (error: Error) => process.send?.({ id: ask.id, error: error.stack }));
});
process.on("disconnect", () => process.exit(0));
process.on("unhandledRejection", (error) => { writeSync(2, `unhandled: ${(error as Error).stack ?? String(error)}\n`); process.exit(70); });
server.listen(0, "127.0.0.1", () => process.send?.({ id: 0, result: (server.address() as AddressInfo).port }));
