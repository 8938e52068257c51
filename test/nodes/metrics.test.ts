/** Figures over HTTP in a real Node-RED, compared with what the other side saw, and read by a strict parser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { METRICS, type MetricRow } from "../../engine/metrics.ts";
import { ERRORS } from "../../engine/errors.ts";
import { metricRows } from "../kit/metrics-page.ts";
import { until } from "../kit/scripted.ts";
import { watchStatuses } from "../rigs/comms.ts";
import { account, gateway, model, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import { type FlowNode, projectRoot } from "../rigs/node-red.ts";

interface Sample { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }
/** Prometheus text format 0.0.4, nothing else: HELP and TYPE before the samples of each name, each series once, a line feed at the end. */
function parse(text: string): Sample[] {
  assert.ok(text.endsWith("\n"));
  const types = new Map<string, string>();
  const seen = new Set<string>();
  const samples: Sample[] = [];
  let helped = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$/.exec(line);
    if (help !== null) { helped = help[1] as string; continue; }
    if (type !== null) {
      assert.equal(type[1], helped, line);
      assert.ok(!types.has(helped), `${helped} twice`);
      types.set(helped, type[2] as string);
      continue;
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(line);
    assert.ok(sample !== null, `no line of the format: ${line}`);
    const [, name = "", inside = "", value] = sample;
    assert.equal(name, helped, "samples stand below their TYPE");
    const labels: Record<string, string> = {};
    const rest = inside.replace(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/g, (_, label: string, text: string) => { labels[label] = text; return ""; });
    assert.equal(rest, "", line);
    assert.ok(!seen.has(`${name}{${inside}}`), `${line} twice`);
    seen.add(`${name}{${inside}}`);
    if (types.get(name) === "counter") assert.ok(Number(value) >= 0 && name.endsWith("_total"), line);
    samples.push({ name, labels, value: Number(value) });
  }
  assert.deepEqual(Object.fromEntries(types), Object.fromEntries(Object.entries(METRICS).map(([name, { kind }]) => [name, kind])), "every metric of the table, and no other");
  return samples;
}

const flow = (sink: Sink): FlowNode[] => [
  tab, gateway, account(sink), account(sink, { id: "acc-shut", slug: "shut", policy: "owner" }), model(),
  on("in", "clawflow-channel-in", { gateway: "gw", accounts: ["acc"] }, ["split"], []),
  on("split", "switch", { property: "message.at.chat", propertyType: "msg", rules: [{ t: "eq", v: "lost", vt: "str" }, { t: "eq", v: "model", vt: "str" }, { t: "else" }], checkall: "false", repair: false, outputs: 3 }, ["aim"], ["agent"], ["out"]),
  on("aim", "function", { func: "if (msg.payload === 'good') msg.to = { account: 'echo', chat: 'x' }; return msg;", outputs: 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ["aimed"]),
  on("aimed", "clawflow-channel-out", { gateway: "gw", action: "send" }, []),
  on("agent", "clawflow-agent", { gateway: "gw", model: "model", live: false }, ["out"], []),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, []),
];

describe("metrics", function () {
  this.timeout(90_000);
  let home: Home;
  before(async () => { home = await startHome(flow); });
  after(async () => { await home?.[Symbol.asyncDispose](); });

  const scrape = async (): Promise<Sample[]> => {
    const response = await home.red.fetch("/clawflow/metrics");
    assert.deepEqual([response.status, response.headers.get("content-type")?.split("; ").toSorted()], [200, ["charset=utf-8", "text/plain", "version=0.0.4"]]);
    return parse(await response.text());
  };
  /** The sum of all series of this name with these labels. */
  const figure = (samples: readonly Sample[], name: keyof typeof METRICS, labels: Record<string, string> = {}): number =>
    samples.filter((one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value)).reduce((sum, { value }) => sum + value, 0);
  const echo = { gateway: "home", channel: "echo", account: "echo" };

  it("count what came in and went out as the other side saw it", async () => {
    let tries = 0;
    // Its first send is refused for a moment, and what goes to one chat for good.
    home.sink.fault = (said) => {
      if (said.to.chat === "gone") return { code: "MSG_002", retry: "no", text: "gone" };
      if (said.to.chat !== "shaky") return undefined;
      return ++tries < 3 ? { code: "CONN_003", retry: "later", afterMs: 100, text: "slowly" } : undefined;
    };
    const asked: string[] = [];
    for (let n = 0; n < 5; n++) { await home.say(`hello ${n}`, { chat: `c${n}`, id: `once${n}` }); asked.push(`hello ${n}`); }
    assert.equal(await home.say("hello 0", { chat: "c0", id: "once0" }), "duplicate");
    for (const chat of ["shaky", "gone", "model"]) await home.say(`in ${chat}`, { chat });
    const stranger = () => home.red.fetch("/clawflow/home/shut", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id: "s1", text: "let me in" }) });
    await until(async () => (await stranger()).status === 200, "the second account");
    await home.heard(7, 20_000);
    await until(async () => figure(await scrape(), "clawflow_messages_done_total", echo) === 8 && figure(await scrape(), "clawflow_sends_dead_total", echo) === 1, "the end of all runs", 20_000);
    const samples = await scrape();
    assert.deepEqual({
      received: figure(samples, "clawflow_messages_received_total", echo), duplicate: figure(samples, "clawflow_messages_duplicate_total", echo), pending: figure(samples, "clawflow_messages_pending"),
      started: figure(samples, "clawflow_runs_started_total"), ended: figure(samples, "clawflow_runs_ended_total", { state: "done" }), active: figure(samples, "clawflow_runs_active"),
      sent: figure(samples, "clawflow_sends_sent_total", echo), retried: figure(samples, "clawflow_sends_retried_total", echo), dead: figure(samples, "clawflow_dead_letters", { what: "delivery" }), waiting: figure(samples, "clawflow_outbox_waiting"),
      flood: figure(samples, "clawflow_errors_total", { code: "CONN_003" }), gone: figure(samples, "clawflow_errors_total", { code: "MSG_002" }),
      asked: figure(samples, "clawflow_model_requests_total", { provider: "practice", outcome: "answered" }), open: figure(samples, "clawflow_store_open"),
      connected: figure(samples, "clawflow_connection_state", { ...echo, state: "connected" }), states: samples.filter(({ name, labels }) => name === "clawflow_connection_state" && labels["account"] === "echo").length,
    }, { received: 8, duplicate: 1, pending: 0, started: 8, ended: 8, active: 0, sent: home.sink.said.length, retried: 2, dead: 1, waiting: 0, flood: 2, gone: 1, asked: 1, open: 1, connected: 1, states: 6 });
    assert.equal(tries, 3);
    assert.ok(figure(samples, "clawflow_messages_refused_total", { account: "shut" }) >= 1);
    assert.ok(figure(samples, "clawflow_store_bytes") > 4096 && figure(samples, "clawflow_store_limit_bytes") >= 0);
  });

  it("count a fault by the code that its node shows, and the status is not left standing when the next message goes well", async () => {
    using statuses = await watchStatuses(home.red);
    const faults = async () => figure(await scrape(), "clawflow_errors_total", { code: "MSG_001" });
    const before = await faults();
    const last = () => statuses.of("aimed").at(-1);
    for (const [text, look] of [["good", /^green/], ["bad", /^red MSG_001: Expected an account and a chat/], ["good", /^green/]] as const) {
      await home.say(text, { chat: "lost" });
      await until(() => look.test(`${last()?.fill} ${last()?.text}`), `${look} after "${text}", it had ${JSON.stringify(statuses.of("aimed"))}`);
    }
    assert.equal(await faults(), before + 1);
    for (const { labels, name } of await scrape()) if (name === "clawflow_errors_total") assert.ok(Object.hasOwn(ERRORS, labels["code"] ?? ""), JSON.stringify(labels));
  });

  it("have no label that grows with people or chats", async () => {
    const before = (await scrape()).length;
    for (let n = 0; n < 10; n++) await home.say("hi", { chat: `many${n}`, from: `person${n}` });
    await until(async () => figure(await scrape(), "clawflow_messages_pending") === 0, "the end");
    const after = await scrape();
    assert.equal(after.length, before);
    const allowed = new Set(["gateway", "channel", "account", "code", "state", "what", "provider", "outcome", "direction", "tool"]);
    for (const { labels: names } of Object.values(METRICS) as MetricRow[]) for (const name of names) assert.ok(allowed.has(name), name);
    for (const { labels } of after) for (const value of Object.values(labels)) assert.doesNotMatch(value, /many|person/);
  });

  it("need the right to read", async () => {
    await using guarded = await startHome(flow, { settings: { adminAuth: { type: "credentials", users: [] } }, settingsCode: "settings.adminAuth.tokens = (token) => Promise.resolve(token === 'prometheus' ? { username: 'prometheus', permissions: ['clawflow.read'] } : null);" });
    const status = async (headers: Record<string, string>): Promise<number> => (await guarded.red.fetch("/clawflow/metrics", { headers })).status;
    assert.deepEqual([await status({}), await status({ authorization: "Bearer wrong" }), await status({ authorization: "Bearer prometheus" })], [401, 401, 200]);
  });

  it("are listed in docs/operating.md as they are", () => {
    const page = readFileSync(path.join(projectRoot, "docs/operating.md"), "utf8");
    const rows = metricRows();
    assert.deepEqual(page.split("\n").filter((line) => line.startsWith("| `clawflow_")), rows, "the table of docs/operating.md is another than engine/metrics.ts");
  });
});
