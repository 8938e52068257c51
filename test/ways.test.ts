import assert from "node:assert/strict";
import type { Gateway } from "../engine/gateway.ts";
import type { Host } from "../nodes/shared/gateways.ts";
import { payerFor } from "../nodes/shared/payer.ts";
import type { FlowMsg, HookEvent, Red, RedNode } from "../nodes/shared/red.ts";
import type { Known } from "../nodes/shared/run.ts";
import { markWays } from "../nodes/shared/ways.ts";

const RUN = "7.secret.in";
const TYPES: Record<string, string> = { debug: "debug", join: "join", contrib: "somebody-else's" };
const CODE: Record<string, string> = { plain: "return msg;", keeper: "context.set('a', msg); return null;" };
const node = (id: string) => ({ id, type: id in CODE ? "function" : TYPES[id] ?? "change", ...(id in CODE ? { func: CODE[id] } : {}) }) as RedNode;

/** Sends as Node-RED does, and gives what the nodes behind the wires get. */
function sender() {
  let onSend: (events: readonly HookEvent[]) => void = () => assert.fail("no hook");
  const hooks = { remove: () => undefined, add: (_name: string, handler: never) => { onSend = handler; } };
  markWays({ hooks, nodes: { getNode: node } } as unknown as Red);
  return (from: string, msg: FlowMsg, ...to: string[]): FlowMsg[] => {
    const events: HookEvent[] = to.map((id) => ({ msg, source: { id: from, node: node(from), port: 0 }, destination: { id } as never }));
    onSend(events);
    return events.map((event) => event.msg);
  };
}
const begun = (step = ""): FlowMsg => ({ payload: "p", run: { id: RUN, step, pass: 0 } });
const stepOf = (msg: FlowMsg | undefined) => msg?.run?.step ?? assert.fail("no step");

describe("ways through a flow", () => {
  it("tells the branches of a fork apart, by the same names each time, and leaves what the node sent as it is", () => {
    const send = sender();
    const msg = begun("/agent");
    const [x, y] = send("in", msg, "x", "y").map(stepOf);
    const [again, first] = send("in", msg, "y", "x").map(stepOf);
    assert.match(x as string, /^\/agent~[\w-]{8}$/);
    assert.notEqual(x, y);
    assert.deepEqual([first, again], [x, y]);
    assert.equal(stepOf(msg), "/agent");
  });

  it("keeps branches apart behind a node that they share, and when they fork again", () => {
    const send = sender();
    const ends = send("in", begun(), "x", "y").flatMap((msg) => send("plain", msg, "shared")).flatMap((msg) => send("shared", msg, "a", "b"));
    assert.equal(new Set(ends.map(stepOf)).size, 4);
  });

  it("has one name for what a node may have made of several branches", () => {
    const send = sender();
    for (const meeting of ["join", "keeper", "contrib"]) {
      const [x, y] = send("in", begun(), "x", "y").flatMap((msg) => send(meeting, msg, "out")).map(stepOf);
      assert.equal(x, y, meeting);
      assert.match(x as string, /^~[\w-]{8}$/);
    }
  });

  it("marks nothing where nothing forks: one wire, a debug node beside it, several msgs over one wire", () => {
    const send = sender();
    const msg = begun("/agent");
    assert.deepEqual([...send("join", msg, "out"), ...send("in", msg, "out", "debug"), ...send("in", msg, "out", "out")].map(stepOf), ["/agent", "/agent", "/agent", "/agent", "/agent"]);
  });

  it("gives a msg that goes round in a circle one name, however often", () => {
    const send = sender();
    const round = (msg: FlowMsg) => send("try", msg, "out", "log")[0] as FlowMsg;
    const once = round(begun());
    assert.equal(stepOf(round(round(once))), stepOf(once));
  });

  it("leaves the msgs of others alone", () => {
    const send = sender();
    for (const msg of [{ payload: 1 }, { run: "mine" }, { run: null }, { run: { id: "mine", step: "~one" } }, { run: { id: RUN } }] as unknown as FlowMsg[]) {
      assert.deepEqual([...send("in", msg, "x", "y"), ...send("in", msg, "x")].map((got) => got === msg), [true, true, true]);
    }
  });

  it("shows the agent that a msg has passed through the marks: it pays for what is done behind it", () => {
    const asked = { name: "Butler", budgets: {} };
    const gateway = { agents: new Map([["agent", asked]]), team: { sessionOf: () => "talk" }, ledger: { payer: (payer: unknown) => payer } } as unknown as Gateway;
    const receipt = { message: { id: "m", at: {}, sender: {} }, receivedAt: 0 };
    for (const step of ["/agent", "~fork/agent", "/agent~fork", "~fork/agent#1~fork~fork", "/agent~fork/out#2"]) {
      assert.equal((payerFor({} as Host, gateway, { id: RUN, step, receipt } as Known, "out") as unknown as { subject: { agent: string } }).subject.agent, "Butler", step);
    }
  });
});
