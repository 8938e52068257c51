/** Models that stand in for each other in a real Node-RED: what the chat, the canvas, the gateway's panel and Prometheus see of it. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chatChunks, sse } from "../platforms/llm.ts";
import { watchStatuses } from "../rigs/comms.ts";
import { account, gateway, model, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/node-red.ts";
import { until } from "../kit/scripted.ts";

/** By key: what the provider does with it. */
type Acts = Record<string, "answers" | "refuses" | "limits" | "breaks off">;
interface Provider extends AsyncDisposable { readonly url: string; readonly acts: Acts; readonly asked: string[] }
async function startProvider(acts: Acts): Promise<Provider> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
      const key = /Bearer (\S+)/.exec(request.headers.authorization ?? "")?.[1] ?? "";
      asked.push(key);
      const act = acts[key] ?? "refuses";
      const fault = (status: number, error: string, headers = {}) => response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify({ error: { message: `${error} ${key}` } }));
      if (act === "refuses") return fault(401, "Incorrect API key provided:");
      if (act === "limits") return fault(429, "Too many requests of", { "retry-after": "600" });
      const { stream } = JSON.parse(Buffer.concat(chunks).toString()) as { stream?: boolean };
      if (stream !== true) return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: "test", choices: [{ index: 0, message: { role: "assistant", content: `${key} says OK` }, finish_reason: "stop" }] }));
      response.writeHead(200, { "content-type": "text/event-stream" });
      const text = sse(chatChunks(`${key} says hello to you`), "openai");
      if (act === "answers") return response.end(text);
      response.write(text.slice(0, text.length / 2));
      setTimeout(() => response.destroy(), 400);
      return undefined;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, acts, asked, [Symbol.asyncDispose]: () => new Promise<void>((resolve) => { server.closeAllConnections(); server.close(() => resolve()); }) };
}

const at = (provider: Provider, id: string, more: Record<string, unknown> = {}): FlowNode => model({ id, name: `${id} model`, provider: "openai-compatible", model: "test", baseUrl: provider.url, ...more });
const flow = (sink: Sink, models: readonly FlowNode[]): FlowNode[] => [
  tab, gateway, account(sink), ...models,
  on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ["agent"], []),
  on("agent", "clawflow-agent", { gateway: "gw", model: "first", live: true }, ["out"], ["pick"]),
  on("pick", "function", { func: "if (msg.payload.type === 'failover') { msg.payload = JSON.stringify(msg.payload); return msg; }", outputs: 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ["said"]),
  on("said", "clawflow-channel-out", { gateway: "gw", action: "reply" }),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }),
  on("catch", "catch", { scope: null, uncaught: false }, ["why"]),
  on("why", "function", { func: "msg.payload = 'caught ' + msg.error.message; return msg;", outputs: 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ["out"]),
];
interface Panel { readonly models: readonly { readonly id: string; readonly keys: readonly { readonly key: number; readonly state: string; readonly until?: number; readonly code?: string }[] }[] }
const states = async (home: Home): Promise<Record<string, string[]>> => Object.fromEntries((await home.red.admin<Panel>("GET", "/clawflow/gateway/gw")).models.map(({ id, keys }) => [id, keys.map(({ key, state, code }) => `${key} ${state} ${code ?? ""}`.trim())]));
const KEYS = { one: "sk-CANARY-one-0001", two: "sk-CANARY-two-0002", three: "sk-CANARY-three-0003" };

describe("models that stand in", function () {
  this.timeout(90_000);

  it("answer once, whole, and it shows: in the events, under the agent, in the gateway, in the metrics, never with a key", async () => {
    await using a = await startProvider({ [KEYS.one]: "limits", [KEYS.two]: "refuses" });
    await using b = await startProvider({ [KEYS.three]: "answers" });
    await using home = await startHome((sink) => flow(sink, [at(a, "first", { fallbacks: ["second"], credentials: { key: KEYS.one, moreKeys: `${KEYS.two}\n` } }), at(b, "second", { credentials: { key: KEYS.three } })]));
    using shown = await watchStatuses(home.red);
    await home.say("hi");
    const texts = await home.heard(3);
    const events = texts.filter((text) => text.startsWith("{")).map((text) => JSON.parse(text) as Record<string, string>);
    assert.deepEqual(events.map(({ type, from, to, why }) => [type, from, to, why?.slice(0, 11)]), [["failover", "first model (key 1)", "first model (key 2)", "[MODEL_003]"], ["failover", "first model (key 2)", "second model", "[MODEL_002]"]]);
    assert.deepEqual(texts.filter((text) => !text.startsWith("{")).map((text) => text.replace(KEYS.three, "***")), ["*** says hello to you"]);
    await shown.wait("agent", /answered by second model/);
    assert.deepEqual(await states(home), { first: ["1 resting MODEL_003", "2 out MODEL_002"], second: ["1 ready"] });
    // What rests or is out is left alone by the next message.
    await home.say("again");
    await home.heard(5);
    assert.deepEqual([a.asked, b.asked.length], [[KEYS.one, KEYS.two], 2]);
    const metrics = await (await home.red.fetch("/clawflow/metrics")).text();
    assert.match(metrics, /clawflow_model_faults_total\{provider="openai-compatible",code="MODEL_003"\} 1/);
    assert.match(metrics, /clawflow_model_failovers_total\{provider="openai-compatible",code="MODEL_002"\} 1/);
    const panel = JSON.stringify(await home.red.admin("GET", "/clawflow/gateway/gw"));
    for (const key of Object.values(KEYS)) for (const [place, text] of [["panel", panel], ["metrics", metrics], ["events", events.map((event) => JSON.stringify(event)).join("")], ["log", home.red.log()]] as const) assert.ok(!text.includes(key), `${place} holds a key`);
  });

  it("replace what the first one began to say", async () => {
    await using a = await startProvider({ [KEYS.one]: "breaks off" });
    await using b = await startProvider({ [KEYS.two]: "answers" });
    await using home = await startHome((sink) => flow(sink, [at(a, "first", { fallbacks: ["second"], credentials: { key: KEYS.one } }), at(b, "second", { credentials: { key: KEYS.two } })]));
    await home.say("hi");
    const stands = (): string[] => {
      const places = new Map<string | undefined, string>();
      let count = 0;
      for (const { op, ref, draft } of home.sink.said) if (op === "send") places.set(`m${++count}`, draft?.text ?? ""); else if (op === "edit") places.set(ref, draft?.text ?? ""); else if (op === "remove") places.delete(ref);
      return [...places.values()].filter((text) => !text.startsWith("{"));
    };
    await until(() => stands().some((text) => text.includes("says hello to you")), "the answer");
    assert.deepEqual(stands().map((text) => text.replace(KEYS.two, "***")), ["*** says hello to you"]);
    assert.ok(home.sink.said.some(({ draft }) => draft?.text.includes("CANARY-one")), "half of the first one's was shown");
  });

  it("a key that was refused is asked again once its test succeeds", async () => {
    await using a = await startProvider({ [KEYS.one]: "refuses" });
    await using b = await startProvider({ [KEYS.two]: "answers" });
    await using home = await startHome((sink) => flow(sink, [at(a, "first", { fallbacks: ["second"], contextTokens: 9_000, credentials: { key: KEYS.one } }), at(b, "second", { credentials: { key: KEYS.two } })]));
    await home.say("hi");
    await home.heard(2);
    a.acts[KEYS.one] = "answers";
    assert.deepEqual((await states(home)).first, ["1 out MODEL_002"]);
    const trial = await home.red.admin<{ ok: boolean }>("POST", "/clawflow/try/model", { node: "first", provider: "openai-compatible", model: "test", baseUrl: a.url, credentials: { key: "__PWRD__", moreKeys: "", headers: "" } }, { "sec-fetch-site": "same-origin" });
    assert.equal(trial.ok, true);
    assert.deepEqual((await states(home)).first, ["1 ready"]);
    await home.say("again");
    await until(() => home.texts().some((text) => text.includes("one-0001 says")), "the first model's answer");
  });

  it("are refused in a circle, and one that is missing is told at the start and left out", async () => {
    await using a = await startProvider({ [KEYS.one]: "answers" });
    await using home = await startHome((sink) => flow(sink, [at(a, "first", { fallbacks: ["second", ""], credentials: { key: KEYS.one } }), at(a, "second", { fallbacks: ["first", ""], credentials: { key: KEYS.one } })]));
    using shown = await watchStatuses(home.red);
    await shown.wait("agent", /CONF_001/);
    await home.say("hi");
    assert.match((await home.heard(1))[0] ?? "", /caught .*\[CONF_001\].*first model → second model → first model/);
    await home.red.deploy(flow(home.sink, [at(a, "first", { fallbacks: ["gone"] })]), "full");
    await shown.wait("agent", /CONF_002/);
    await home.say("hi");
    assert.match((await home.heard(2))[1] ?? "", /says hello/);
  });
});
