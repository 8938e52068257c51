/** The official SDK against a flow in a real Node-RED: what it gets, by OpenAI's own description, and what a kill leaves of it. */
import assert from "node:assert/strict";
import { LLMock } from "@copilotkit/aimock";
import OpenAI from "openai";
import { until } from "../kit/scripted.ts";
import { gateway, model, on, tab } from "../rigs/home.ts";
import { type FlowNode, type NodeRed, startNodeRed } from "../rigs/node-red.ts";
import { openaiJudge } from "../spec/openai-schema.ts";

const TOKEN = "sk-home-0123456789abcdef";
const OTHER = "sk-other-0123456789abcdef";
const account = (slug: string, token: string, settings: object = {}): FlowNode => ({ id: `acc-${slug}`, type: "clawflow-account", name: slug, gateway: "gw", slug, channel: "api", settings, policy: "owner", version: 1, credentials: { token } });
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const channelIn = (...wires: string[][]) => on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ...wires);
const channelOut = on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" });
const ask = (content: string, more: object = {}) => ({ model: "home", messages: [{ role: "user" as const, content }], user: "ada", ...more });

describe("the OpenAI-compatible API in a real Node-RED", function () {
  this.timeout(400_000);
  let mock: LLMock;
  before(async () => { mock = new LLMock({ port: 0 }); await mock.start(); });
  after(async () => { await mock.stop(); });
  beforeEach(() => { mock.clearFixtures(); mock.clearRequests(); });
  const clientOf = (red: NodeRed, path = "home/home", apiKey = TOKEN) => new OpenAI({ apiKey, baseURL: `${red.url}/clawflow/${path}/v1`, maxRetries: 3 });
  const agentFlow = (): FlowNode[] => [
    tab, gateway, account("home", TOKEN), account("other", OTHER, { models: ["second", "third"] }),
    model({ provider: "openai", model: "gpt-4o", baseUrl: `${mock.url}/v1`, credentials: { key: "sk-test" } }),
    channelIn(["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", system: "You are Home.", tools: [] }, ["out"], []), channelOut,
  ];

  it("answers whole and streamed, as OpenAI describes it, remembers, and lists its models under every address", async () => {
    mock.on({ userMessage: "who" }, { content: "You are Ada, and this answer is long enough to be shown in several pieces while it is written." }, { chunkSize: 8, latency: 40 } as never);
    mock.on({ userMessage: "hello" }, { content: "Hello Ada." });
    await using red = await startNodeRed({ flows: agentFlow() });
    const client = clientOf(red);
    const judges = { whole: openaiJudge("CreateChatCompletionResponse"), piece: openaiJudge("CreateChatCompletionStreamResponse"), list: openaiJudge("ListModelsResponse"), fault: openaiJudge("ErrorResponse") };

    const { data: whole, response } = await client.chat.completions.create(ask("hello")).withResponse();
    assert.equal(whole.choices[0]?.message.content, "Hello Ada.");
    assert.ok((whole.usage?.prompt_tokens ?? 0) > 0 && (whole.usage?.completion_tokens ?? 0) > 0, JSON.stringify(whole.usage));
    assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
    assert.deepEqual(judges.whole?.(whole) ?? [], []);

    const pieces: OpenAI.ChatCompletionChunk[] = [];
    for await (const piece of await client.chat.completions.create({ ...ask("who am I?"), messages: [{ role: "user", content: "hello" }, { role: "assistant", content: "Hello Ada." }, { role: "user", content: "who am I?" }], stream: true, stream_options: { include_usage: true } })) pieces.push(piece);
    assert.equal(pieces.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "You are Ada, and this answer is long enough to be shown in several pieces while it is written.");
    assert.ok(pieces.filter(({ choices }) => (choices[0]?.delta.content ?? "") !== "").length >= 3, "shown while it is written");
    assert.equal(pieces.at(-2)?.choices[0]?.finish_reason, "stop");
    assert.ok((pieces.at(-1)?.usage?.total_tokens ?? 0) > 0);
    for (const piece of pieces) assert.deepEqual(judges.piece?.(JSON.parse(JSON.stringify(piece))) ?? [], []);
    // The session has the first question once: what the client sent along is passed over.
    const sent = mock.getRequests().at(-1)?.body as { messages: { role: string; content: string }[] };
    assert.deepEqual(sent.messages.map(({ role, content }) => `${role}: ${content}`), ["system: You are Home.", "user: hello", "assistant: Hello Ada.", "user: who am I?"]);

    for (const path of ["home/home", "home"]) assert.deepEqual((await clientOf(red, path).models.list()).data.map(({ id }) => id), ["home"], path);
    const everywhere = new OpenAI({ apiKey: OTHER, baseURL: `${red.url}/clawflow/v1`, maxRetries: 0 });
    const list = await (await red.fetch("/clawflow/v1/models", { headers: { authorization: `Bearer ${OTHER}` } })).json();
    assert.deepEqual([(list as { data: { id: string }[] }).data.map(({ id }) => id), judges.list?.(list) ?? []], [["second", "third"], []]);
    assert.equal((await everywhere.chat.completions.create(ask("hello", { model: "third" }))).choices[0]?.message.content, "Hello Ada.");
    for (const [key, name, status] of [[OTHER, "home", 404], ["sk-nobody", "home", 401]] as const) {
      const refused = await red.fetch("/clawflow/v1/chat/completions", { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(ask("hello", { model: name })) });
      assert.equal(refused.status, status);
      assert.deepEqual(judges.fault?.(await refused.json()) ?? [], []);
    }
    // Beside another gateway of the same name an example's address is another.
    await assert.rejects(clientOf(red, "home-2/home").models.list(), /404 Expected the address of .*, got \/clawflow\/home-2\/home\/v1\/models\./);
  });

  it("judges by a description that sees planted faults", () => {
    const judge = openaiJudge("CreateChatCompletionResponse");
    if (judge !== undefined) assert.notDeepEqual(judge({ id: "x", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop" }] }), []);
  });

  it("gives the flow's failure a status of its own, and asks an ask node's question as an answer", async () => {
    await using red = await startNodeRed({ flows: [
      tab, gateway, account("home", TOKEN), channelIn(["switch"], []),
      func("switch", "if (msg.payload === 'fail') throw new Error('the lamp burned'); if (msg.payload === 'mute') return null; return [msg];", ["ask"]),
      on("ask", "clawflow-ask", { gateway: "gw", to: "sender", question: "Which colour?", form: { kind: "text" }, kind: "text", timeoutMinutes: 5 }, ["paint"], [], []),
      func("paint", "return { ...msg, payload: 'painted ' + msg.payload };", ["out"]), channelOut,
    ] });
    const client = clientOf(red);
    for (const words of ["fail", "mute"]) {
      const error = await client.chat.completions.create(ask(words)).then(() => assert.fail("expected a fault"), (thrown: unknown) => thrown as InstanceType<typeof OpenAI.APIError>);
      assert.deepEqual([error.status, error.code], [500, "no_answer"], error.message);
      assert.doesNotMatch(error.message, /lamp/);
    }
    assert.equal((await client.chat.completions.create(ask("paint"))).choices[0]?.message.content, "Which colour?");
    assert.equal((await client.chat.completions.create(ask("blue"))).choices[0]?.message.content, "painted blue");
  });

  it("loses nothing to a kill: the same request, asked again, gets the one answer, and the flow's work is done once", async () => {
    mock.on({ userMessage: "slow" }, { content: "Here it is." });
    await using red = await startNodeRed({ flows: [
      ...agentFlow().filter(({ id }) => id !== "agent"), on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [] }, ["wait"], []),
      on("wait", "delay", { pauseType: "delay", timeout: "2", timeoutUnits: "seconds" }, ["out"]),
    ] });
    const options = { headers: { "Idempotency-Key": "one-and-only" }, maxRetries: 0 };
    const broken = clientOf(red).chat.completions.create(ask("slow"), options).catch((error: Error) => error);
    await until(() => mock.getRequests().length === 1, "the model's answer", 20_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await red.kill();
    assert.ok((await broken) instanceof Error);
    await red.start();
    const first = await clientOf(red).chat.completions.create(ask("slow"), { ...options, maxRetries: 5 });
    const again = await clientOf(red).chat.completions.create(ask("slow"), options);
    assert.deepEqual([first.choices[0]?.message.content, again.id], ["Here it is.", first.id]);
    assert.equal(mock.getRequests().length, 1);
  });
});
