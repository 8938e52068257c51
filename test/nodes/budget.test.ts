/** Budgets and the ledger in a real Node-RED: what the chat sees, what the gateway's form and the CSV tell, also after a kill. */
import assert from "node:assert/strict";
import { until } from "../kit/scripted.ts";
import { watchStatuses } from "../rigs/comms.ts";
import { account, gateway, model, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/node-red.ts";

const agent = (id: string, more: Record<string, unknown>, ...wires: string[][]): FlowNode => on(id, "clawflow-agent", { gateway: "gw", model: "model", live: false, agentId: id, tools: [], ...more }, ...wires);
/** By chat: an agent whose third port speaks, and one where nothing is wired. The first call of a day passes the limit of one token. */
const flow = (sink: Sink): FlowNode[] => [
  tab, gateway, account(sink), model(),
  on("in", "clawflow-channel-in", { gateway: "gw", accounts: ["acc"] }, ["split"], []),
  on("split", "switch", { property: "message.at.chat", propertyType: "msg", rules: [{ t: "eq", v: "silent", vt: "str" }, { t: "else" }], checkall: "false", repair: false, outputs: 2 }, ["mute"], ["agent"]),
  agent("agent", { dayTokens: 1 }, ["out"], [], ["say"]),
  agent("mute", { dayTokens: "1" }, ["out"], [], []),
  on("say", "change", { rules: [{ t: "set", p: "payload", pt: "msg", to: "$join(['over', budget.limit, budget.unit, $string(budget.max), budget.used > 1 ? 'more' : 'less', budget.until > $millis() ? 'later' : 'never'], ' ')", tot: "jsonata" }] }, ["out"]),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, []),
];
interface Sum { of: Record<string, string>; calls: number; input: number; output: number; micros: number; unpriced: number; inexact: number }

describe("budgets in Node-RED", function () {
  this.timeout(180_000);
  let home: Home;
  before(async () => { home = await startHome(flow); });
  after(async () => { await home?.[Symbol.asyncDispose](); });
  const usage = async (): Promise<{ today: Sum; days: Sum; by: Record<string, Sum[]> }> => (await home.red.fetch("/clawflow/gateway/gw/usage")).json() as never;

  it("say by the third port that nothing is left, and by Catch and status where it is not wired; no error text is in the chat", async () => {
    using statuses = await watchStatuses(home.red);
    await home.say("hello", { chat: "c1" });
    const [first] = await home.heard(1);
    assert.doesNotMatch(first ?? "", /^over/);
    await home.say("hello again", { chat: "c2", from: "=HYPERLINK(1)" });
    assert.equal((await home.heard(2))[1], "over agentDay tokens 1 more later");
    await until(() => statuses.of("agent").at(-1)?.fill === "yellow", "the yellow status");
    await home.say("hello", { chat: "silent", from: "=HYPERLINK(1)" });
    await home.heard(3);
    await home.say("hello", { chat: "silent" });
    await until(() => /^BUDGET_001/.test(statuses.of("mute").at(-1)?.text ?? ""), "the fault under the node");
    await until(() => home.red.lines.some((line) => /Dead letter.*BUDGET_001/.test(line)), "the dead letter");
    for (const text of home.texts()) assert.doesNotMatch(text, /BUDGET_001/);
  });

  it("are shown in sums and as a table that no spreadsheet runs, and outlive a kill", async () => {
    const check = async (): Promise<void> => {
      const { today, days, by } = await usage();
      assert.deepEqual([today.calls, days.calls, today.micros, today.unpriced, today.inexact], [2, 2, 0, 0, 0], "the practice model costs nothing, which is known");
      assert.ok(today.input > 0 && today.output > 0);
      assert.deepEqual(by.agent?.map(({ of, calls }) => [of.agent, calls]).sort(), [["agent", 1], ["mute", 1]]);
      assert.equal(by.person?.length, 2);
      assert.deepEqual(by.model?.map(({ of }) => of.provider), ["practice"]);
      const response = await home.red.fetch("/clawflow/gateway/gw/usage.csv");
      assert.match(response.headers.get("content-type") ?? "", /^text\/csv/);
      const lines = (await response.text()).replace("\uFEFF", "").trimEnd().split("\r\n");
      assert.equal(lines.length, 3);
      assert.equal(lines[0], "time,message,run,session,channel,account,person,agent,provider,model,input tokens,output tokens,cached tokens,amount,unit,USD,exact");
      assert.match(lines[2] ?? "", /,"'=HYPERLINK\(1\)",mute,practice,/);
      assert.doesNotMatch(lines.join("\n"), /(^|,)"?=/m);
    };
    await check();
    await home.red.kill();
    await home.red.start();
    await until(async () => (await home.red.fetch("/clawflow/gateway/gw/usage")).ok, "the store");
    await check();
    const before = home.texts().length;
    await home.say("and now?", { chat: "c3" });
    assert.match((await home.heard(before + 1))[before] ?? "", /^over agentDay/);
  });

  it("are nobody's business who may not read", async () => {
    await using guarded = await startHome(flow, { settings: { adminAuth: { type: "credentials", users: [] } } });
    for (const path of ["usage", "usage.csv"]) assert.equal((await guarded.red.fetch(`/clawflow/gateway/gw/${path}`)).status, 401);
  });
});
