/** Two branches of one run that come to one node, in another order in the second pass than in the first: each is answered once. */
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { FlowNode } from "../rigs/node-red.ts";
import { account, gateway, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import { USUAL } from "../rigs/node-red.ts";
import { until } from "../kit/scripted.ts";

const channelIn = (...to: string[]) => on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, to, []);
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const out = (...to: string[]) => on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, to);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Answers with the path's last part; what is held waits until it is let go. */
async function startPlaces() {
  const held = new Set<string>();
  const waiting: { name: string; response: ServerResponse }[] = [];
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const name = (request.url ?? "").slice(1);
    asked.push(name);
    if (held.has(name)) waiting.push({ name, response }); else response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold: (name: string) => { held.add(name); },
    /** Requests of a pass that was broken off are let go as well; nobody hears them. */
    release(name: string) { held.delete(name); for (const one of waiting.splice(0)) { if (one.name === name) one.response.end(name); else waiting.push(one); } },
    asked: (name: string) => asked.filter((one) => one === name).length,
    [Symbol.asyncDispose]: async () => { server.closeAllConnections(); await new Promise((resolve) => server.close(resolve)); },
  };
}
type Places = Awaited<ReturnType<typeof startPlaces>>;
const ask = ({ url }: Places, name: string, to: string) => on(name, "http request", { method: "GET", ret: "txt", paytoqs: "ignore", url: `${url}/${name}`, tls: "", persist: false, senderr: false, headers: [] }, [to]);

const breaks: readonly { readonly by: string; again(home: Home, flow: FlowNode[]): Promise<void> }[] = [
  { by: "a full deploy", again: (home, flow) => home.red.deploy(flow, "full").then(() => undefined) },
  { by: "a crash", again: async (home) => { await home.red.kill(); await home.red.start(); } },
];

describe("branches of one run that meet", function () {
  this.timeout(60_000);

  for (const { by, again } of breaks) {
    it(`are each answered once when ${by} turns their order round`, async () => {
      await using places = await startPlaces();
      const flow = (sink: Sink) => [
        tab, gateway, account(sink), channelIn("x", "y"), ask(places, "x", "say"), ask(places, "y", "say"), func("say", "msg.payload = 'said ' + msg.payload; return msg;", ["out"]), out(),
      ];
      places.hold("y");
      await using home = await startHome(flow);
      await home.say("both");
      assert.deepEqual(await home.heard(1), ["said x"]);
      // Until the store has it: a crash in the moment of sending is another matter.
      await pause(300);
      places.hold("x");
      await again(home, flow(home.sink));
      await until(() => places.asked("x") === 2 && places.asked("y") === 2, "both are asked again", 15_000);
      places.release("y");
      await home.heard(2, 15_000);
      places.release("x");
      await pause(1_500);
      assert.deepEqual(home.texts(), ["said x", "said y"]);
    });
  }

  for (const [what, meeting] of [
    ["a join node", on("meet", "join", { mode: "custom", build: "array", property: "payload", propertyType: "msg", key: "topic", joiner: ",", joinerType: "str", accumulate: false, timeout: "", count: "2", reduceRight: false }, ["say"])],
    ["a function that keeps them", func("meet", "const all = [...(context.get('all') ?? []), msg.payload]; context.set('all', all.length < 2 ? all : []); if (all.length < 2) return null; msg.payload = all; return msg;", ["say"])],
  ] as const) {
    it(`are one answer behind ${what}, whichever came last`, async () => {
      await using places = await startPlaces();
      const flow = (sink: Sink) => [
        tab, gateway, account(sink), channelIn("x", "y"), ask(places, "x", "meet"), ask(places, "y", "meet"), meeting, func("say", "msg.payload = msg.payload.join(); return msg;", ["out"]), out("linger"),
        // The run is under way until it is broken off.
        on("linger", "delay", { pauseType: "delay", timeout: "1", timeoutUnits: "seconds", rate: "1", nbRateUnits: "1", rateUnits: "second", outputs: 1 }, []),
      ];
      places.hold("y");
      await using home = await startHome(flow, { core: [...USUAL, "split"] });
      await home.say("both");
      await until(() => places.asked("y") === 1, "y is asked");
      await pause(300);
      places.release("y");
      assert.deepEqual(await home.heard(1), ["x,y"]);
      places.hold("x");
      await home.red.deploy(flow(home.sink), "full");
      await until(() => places.asked("x") === 2, "x is asked again", 15_000);
      await pause(300);
      places.release("x");
      await pause(1_500);
      assert.deepEqual(home.texts(), ["x,y"]);
    });
  }
});
