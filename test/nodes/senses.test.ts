/** Voice, pictures and languages in a real Node-RED: the models' servers are judged by what they were asked, the chat by what it shows. */
import assert from "node:assert/strict";
import { LLMock } from "@copilotkit/aimock";
import { timeoutOf } from "../../nodes/tool.ts";
import { until } from "../kit/scripted.ts";
import { voiceNote } from "../kit/voice-note.ts";
import { account, gateway, model, on, startHome, tab, type Home } from "../rigs/home.ts";
import { skip } from "../rigs/skip.ts";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const channelIn = (...wires: string[][]) => on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ...wires);
const channelOut = (more: Record<string, unknown> = {}) => on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", ...more });
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const normal = (steps: object[], next: string) => on("norm", "clawflow-normalize", { mode: "clean", steps, earModel: "ear", mindModel: "model" }, [next]);

it("a tool that draws has longer than a flow, unless its node was given a time of its own", () => {
  const saved: Parameters<typeof timeoutOf>[0][] = [{}, { timeoutSeconds: 30 }, { timeoutSeconds: "" }, { timeoutSeconds: 45 }];
  assert.deepEqual(saved.map((one) => timeoutOf({ ...one, makes: "picture" })), [180_000, 180_000, 180_000, 45_000]);
  assert.deepEqual(saved.map((one) => timeoutOf({ ...one, makes: "" })), [30_000, 30_000, 30_000, 45_000]);
});

describe("voice, pictures and languages in a real Node-RED", function () {
  this.timeout(400_000);
  let mock: LLMock;
  const note = voiceNote();
  before(async () => { mock = new LLMock({ port: 0 }); await mock.start(); });
  after(async () => { await mock.stop(); });
  beforeEach(() => { mock.clearFixtures(); mock.clearRequests(); });
  // A name that is the id of a node would count as a link to it.
  const at = (id: string, name: string) => model({ id, name: `The ${id}`, provider: "openai", model: name, baseUrl: `${mock.url}/v1`, credentials: { key: "sk-test" } });
  const house = (...more: ReturnType<typeof on>[]) => (sink: Parameters<typeof account>[0]) => [tab, gateway, account(sink, { channel: "echo-voice" }), at("model", "gpt-4o"), at("ear", "whisper-1"), at("mouth", "tts-1"), at("brush", "gpt-image-1"), ...more];
  const asked = (part: string): number => mock.getRequests().filter((request) => request.path.includes(part)).length;
  const files = (home: Home) => home.sink.said.map(({ draft }) => ((draft as { attachments?: { kind: string; mime: string; bytes: string }[] } | undefined)?.attachments ?? []).map(({ kind, mime }) => `${kind} ${mime}`));

  it("answers a voice note by voice, routed by its words, and a written question in writing", async function () {
    if (note === undefined) return skip(this, "no ffmpeg with Opus on this machine");
    mock.onTranscription({ transcription: { text: "Is the door shut?" } });
    mock.onSpeech(/shut/, { audio: note, format: "opus" });
    mock.on({ userMessage: "door" }, { content: "The door is **shut**." });
    await using home = await startHome(house(
      channelIn(["norm"], []), normal([{ type: "hear" }, { type: "trim" }], "route"),
      on("route", "switch", { property: "payload", propertyType: "msg", rules: [{ t: "cont", v: "door", vt: "str" }], outputs: 1 }, ["agent"]),
      on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [] }, ["out"], []), channelOut({ voice: "asked", voiceModel: "mouth" }),
    ));
    await home.say("", { attach: [{ kind: "voice", mime: "audio/ogg", base64: note }] });
    await home.heard(1, 20_000);
    assert.deepEqual([home.texts()[0], files(home)[0]], ["", ["voice audio/ogg"]]);
    assert.equal((home.sink.said[0]?.draft as unknown as { attachments: { bytes: string }[] } | undefined)?.attachments[0]?.bytes, note);
    await home.say("what about the door?");
    await home.heard(2);
    assert.deepEqual([home.texts()[1], files(home)[1], asked("/audio/speech"), asked("/audio/transcriptions")], ["The door is **shut**.", [], 1, 1]);
  });

  it("hears a note once, also when it is killed while the flow goes on", async function () {
    if (note === undefined) return skip(this, "no ffmpeg with Opus on this machine");
    mock.onTranscription({ transcription: { text: "turn it off" } });
    await using home = await startHome(house(channelIn(["norm"], []), normal([{ type: "hear" }], "wait"), on("wait", "delay", { pauseType: "delay", timeout: "3", timeoutUnits: "seconds" }, ["out"]), channelOut()));
    await home.say("", { attach: [{ kind: "voice", mime: "audio/ogg", base64: note }] });
    await until(() => asked("/audio/transcriptions") === 1, "the request", 20_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await home.red.kill();
    await home.red.start();
    assert.deepEqual(await home.heard(1, 60_000), ["turn it off"]);
    assert.equal(asked("/audio/transcriptions"), 1);
  });

  it("lets a note that cannot be heard go on, marked, and tells Catch; an answer that cannot be spoken is written", async function () {
    if (note === undefined) return skip(this, "no ffmpeg with Opus on this machine");
    mock.onTranscription({ error: { message: "no credit", type: "insufficient_quota" }, status: 402 } as never);
    mock.onSpeech(/./, { error: { message: "down", type: "server_error" }, status: 500 } as never);
    await using home = await startHome(house(
      channelIn(["norm"], []), normal([{ type: "hear" }], "f"), func("f", "msg.payload = msg.message.tags.join() + ' [' + msg.payload + ']'; return msg;", ["out"]), channelOut({ voice: "always", voiceModel: "mouth" }),
      on("catch", "catch", { scope: null }, ["c"]), func("c", "node.warn('CAUGHT ' + msg.error.source.type + ' ' + msg.error.message); return null;", []),
    ));
    await home.say("", { attach: [{ kind: "voice", mime: "audio/ogg", base64: note }] });
    assert.deepEqual(await home.heard(1, 20_000), ["unheard []"]);
    assert.match(await home.red.waitForLog(/CAUGHT clawflow-normalize/), /MODEL_0\d\d/);
    assert.match(await home.red.waitForLog(/CAUGHT clawflow-channel-out/), /MODEL_0\d\d/);
    assert.doesNotMatch(home.red.log(), /sk-test/);
  });

  it("translates what is said, and the answer back, but neither code nor links", async () => {
    mock.on({ userMessage: /Mach das Licht/ }, { content: "Turn on the light please, see ⟦0⟧" });
    mock.on({ userMessage: /Turn on the light/ }, { content: "The light is on, as at https://home.example, run `off` to end" });
    mock.on({ userMessage: /The light is on/ }, { content: "Das Licht ist an, wie auf ⟦0⟧, mit ⟦1⟧ endet es" });
    await using home = await startHome(house(
      channelIn(["norm"], []), normal([{ type: "translate", to: "en" }], "agent"),
      on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [] }, ["out"], []), channelOut({ translateModel: "model" }),
    ));
    await home.say("Mach das Licht bitte an, siehe https://home.example/licht");
    assert.deepEqual(await home.heard(1, 20_000), ["Das Licht ist an, wie auf https://home.example,, mit `off` endet es"]);
    const words = mock.getRequests().map(({ body }) => (body as { messages: { content: string }[] }).messages.at(-1)?.content ?? "");
    assert.equal(words[1], "Turn on the light please, see https://home.example/licht");
  });

  it("draws a picture as a tool, which the agent's answer carries; a picture that came in is described", async () => {
    mock.onImage(/red door/, { image: { b64Json: PIXEL } });
    mock.on({ userMessage: /The picture/ }, { content: "A tiny dot." });
    mock.on({ userMessage: /draw/, hasToolResult: false }, { toolCalls: [{ name: "draw", arguments: JSON.stringify({ prompt: "a red door" }) }] });
    mock.on({ userMessage: /draw/, hasToolResult: true }, { content: "Here it is." });
    await using home = await startHome(house(
      channelIn(["norm"], []), normal([{ type: "see" }], "agent"),
      on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "all" }] }, ["out"], []), channelOut(),
      on("draw", "clawflow-tool", { gateway: "gw", tool: "draw", description: "Draws a picture.", makes: "picture", model: "brush", risk: "read", shared: true, params: [] }, []),
    ));
    await home.say("draw me this", { attach: [{ kind: "image", mime: "image/png", base64: PIXEL }] });
    await until(() => files(home).flat().length > 0, "the picture", 20_000);
    assert.ok(home.sink.said.some(({ draft }) => draft?.text === "Here it is."), JSON.stringify(home.sink.said).slice(0, 500));
    assert.deepEqual(files(home).flat(), ["image image/png"]);
    const first = mock.getRequests()[1]?.body as { messages: unknown[] } | undefined;
    assert.match(JSON.stringify(first?.messages.at(-1)), /draw me this\\n\[image: A tiny dot\.\]/);
  });

  it("pays for what is heard, seen, spoken, translated and drawn: in cents, for whom it is, and not beyond the budget", async function () {
    if (note === undefined) return skip(this, "no ffmpeg with Opus on this machine");
    mock.onTranscription({ transcription: { text: "Is the door shut?" } });
    mock.onSpeech(/./, { audio: note, format: "opus" });
    mock.onImage(/red door/, { image: { b64Json: PIXEL } });
    mock.on({ userMessage: /The picture/ }, { content: "A tiny dot." });
    mock.on({ userMessage: /draw/, hasToolResult: false }, { toolCalls: [{ name: "draw", arguments: JSON.stringify({ prompt: "a red door" }) }] });
    mock.on({ userMessage: /draw/, hasToolResult: true }, { content: "Here it is." });
    mock.on({ userMessage: "door" }, { content: "The door is shut." });
    // 45 cents a person and day: one picture by its reserve is 25 cents. The agent has no limit of its own.
    await using home = await startHome((sink) => [
      ...house()(sink).map((one) => (one.id === "gw" ? { ...one, personDayUsd: 0.45 } : one)),
      channelIn(["norm"], []), normal([{ type: "hear" }, { type: "see" }], "agent"),
      on("agent", "clawflow-agent", { gateway: "gw", model: "model", agentId: "helper", tools: [{ by: "all" }] }, ["out"], [], ["over"]), channelOut({ voice: "asked", voiceModel: "mouth" }),
      func("over", "msg.payload = 'over ' + msg.budget.limit + ' ' + (msg.message.tags || []).join(); return msg;", ["out"]),
      on("draw", "clawflow-tool", { gateway: "gw", tool: "draw", description: "Draws a picture.", makes: "picture", model: "brush", risk: "read", shared: true, params: [] }, []),
      on("catch", "catch", { scope: null }, ["c"]), func("c", "node.warn('CAUGHT ' + msg.error.source.type + ' ' + msg.error.message + ' ' + (msg.budget && msg.budget.limit)); return null;", []),
    ]);
    const rows = async () => {
      const [head = [], ...lines] = (await (await home.red.fetch("/clawflow/gateway/gw/usage.csv")).text()).replace("\uFEFF", "").trimEnd().split("\r\n").map((line) => line.split(","));
      return lines.map((fields) => Object.fromEntries(fields.map((field, at) => [head[at] ?? "", field])));
    };
    await home.say("", { attach: [{ kind: "voice", mime: "audio/ogg", base64: note }] });
    await home.heard(1, 60_000);
    await home.say("draw me this", { attach: [{ kind: "image", mime: "image/png", base64: PIXEL }] });
    await until(() => files(home).flat().some((file) => file.startsWith("image")), "the picture", 60_000);
    await until(async () => (await rows()).length === 7 && (await rows()).every((row) => row.exact === "yes" || row.model === "gpt-image-1"), `seven calls, each with its end: ${JSON.stringify(await rows())}`, 60_000);
    const kept = await rows();
    const of = (model: string) => kept.filter((row) => row.model === model);
    assert.deepEqual([of("whisper-1"), of("tts-1"), of("gpt-image-1"), of("gpt-4o")].map((list) => list.length), [1, 1, 1, 4], "heard, spoken, drawn; answered, described, and twice around the tool");
    for (const row of kept) assert.deepEqual([row.agent, row.person !== "", row.session !== ""], ["helper", true, true], `${row.model}: whoever the agent answers pays`);
    // 0.3 s (and what Opus adds to it) by the minute of 0.6 cents; 17 characters of 15 USD for a million; a picture by its tokens.
    const heard = of("whisper-1")[0];
    assert.equal(heard?.unit, "seconds");
    assert.ok(Number(heard?.amount) > 0.29 && Number(heard?.amount) < 0.4, heard?.amount);
    assert.equal(Number(heard?.USD), Math.ceil(Number(heard?.amount) * 100) / 1e6);
    assert.deepEqual([of("tts-1")[0]?.amount, of("tts-1")[0]?.unit, Number(of("tts-1")[0]?.USD)], ["17", "characters", 0.000255]);
    assert.equal(Number(of("gpt-image-1")[0]?.USD), Number(((Number(of("gpt-image-1")[0]?.["input tokens"]) * 5 + Number(of("gpt-image-1")[0]?.["output tokens"]) * 40) / 1e6).toFixed(6)));
    const sum = kept.reduce((all, row) => all + Math.round(Number(row.USD) * 1e6), 0);
    const usage = await (await home.red.fetch("/clawflow/gateway/gw/usage")).json() as { today: { micros: number; calls: number } };
    assert.deepEqual([usage.today.micros, usage.today.calls], [sum, 7]);
    const before = home.texts().length;
    await home.say("/usage");
    assert.match((await home.heard(before + 1))[before] ?? "", new RegExp(String(kept.reduce((all, row) => all + Number(row["input tokens"]) + Number(row["output tokens"]), 0))));
    // The picture's reserve counts as used where the mock tells no tokens: a second one passes the limit, and then nothing is asked for any more.
    await home.say("draw me this");
    await until(() => asked("/images/") === 2, "the second picture", 60_000);
    await until(async () => (await rows()).filter((row) => row.model === "gpt-image-1").length === 2, "its row");
    const [transcribed, spoken] = [asked("/audio/transcriptions"), asked("/audio/speech")];
    await home.say("", { attach: [{ kind: "voice", mime: "audio/ogg", base64: note }] });
    await until(() => home.texts().includes("over personDay unheard"), `the over-budget way: ${JSON.stringify(home.texts())}`, 60_000);
    assert.match(await home.red.waitForLog(/CAUGHT clawflow-normalize/), /BUDGET_001.*personDay/);
    assert.match(await home.red.waitForLog(/CAUGHT clawflow-channel-out/), /BUDGET_001/, "it is written, not spoken");
    assert.deepEqual([asked("/audio/transcriptions"), asked("/audio/speech")], [transcribed, spoken]);
  });
});
