/**
 * Examples as a newcomer takes them: imported by the editor's own dialog, deployed by its button, opened by "Open Web chat as owner", talked to on the chat page.
 * One Node-RED, one browser; the flows stand side by side, each with the gateway it brought. Only the voice note needs servers: stand-ins for them.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { LLMock } from "@copilotkit/aimock";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { until } from "../kit/scripted.ts";
import { voiceNote } from "../kit/voice-note.ts";
import { MICROPHONE, openBrowser } from "../rigs/browser.ts";
import { type NodeRed, startNodeRed } from "../rigs/node-red.ts";
import { skip } from "../rigs/skip.ts";

/** What the tests use of the editor's own page. */
interface EditorNode { id: string; type: string; z?: string; name?: string; gateway?: string; valid?: boolean; status?: { fill?: string; text?: string }; validationErrors?: unknown }
interface EditorPage {
  RED: {
    nodes: { eachNode(visit: (node: EditorNode) => void): void; eachConfig(visit: (node: EditorNode) => void): void; eachWorkspace(visit: (flow: { id: string; label: string }) => void): void; getType(type: string): unknown; dirty(): boolean };
    actions: { invoke(action: string): void };
    editor: { editConfig(name: string, type: string, id: string, prefix: null): void };
  };
}
declare const window: EditorPage;

const EXAMPLES = ["A Python skill", "Answers from documents", "Voice note answered", "Two agents hand over", "Ask before switching"];
/** A busy machine takes minutes for what takes seconds. */
const WAIT_MS = 240_000;

describe("examples, tried in the editor", function () {
  this.timeout(1_200_000);
  let browser: Browser;
  let red: NodeRed;
  let context: BrowserContext;
  let editor: Page;
  let mock: LLMock;
  const note = voiceNote();
  const faults: string[] = [];

  before(async function () {
    browser = await openBrowser(this, MICROPHONE);
    mock = new LLMock({ port: 0 });
    await mock.start();
    red = await startNodeRed({ flows: [], startMs: 280_000 });
    context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, locale: "en-US", permissions: ["microphone"] });
    context.setDefaultTimeout(WAIT_MS);
    await context.route("**/*", (route) => (new URL(route.request().url()).hostname === "127.0.0.1" || /^(data|blob):/.test(route.request().url()) ? route.continue() : route.abort()));
    context.on("weberror", (error) => faults.push(String(error.error().stack)));
    editor = await context.newPage();
    await editor.goto(red.url);
    await editor.waitForFunction(() => window.RED?.nodes?.getType("clawflow-webhook") !== undefined && document.querySelector("#red-ui-loading-progress:not([style*='display: none'])") === null);
  });
  after(async () => {
    await browser?.close();
    await red?.remove();
    await mock?.stop();
  });
  afterEach(() => { assert.deepEqual(faults.splice(0), []); });

  async function importExample(name: string): Promise<void> {
    await editor.evaluate(() => window.RED.actions.invoke("core:show-examples-import-dialog"));
    await editor.locator(".red-ui-treeList-label-text:visible").getByText("@clawflow/node-red", { exact: true }).click();
    await editor.locator(".red-ui-treeList-label-text:visible").getByText(name, { exact: true }).click();
    await editor.click("#red-ui-clipboard-dialog-ok");
    await editor.waitForFunction((label) => { let found = false; window.RED.nodes.eachWorkspace((flow) => { found ||= flow.label === label; }); return found; }, name);
    await editor.locator("#red-ui-clipboard-dialog-ok").waitFor({ state: "hidden" });
  }
  /** Nodes of a flow by its label. */
  const nodesOf = (label: string): Promise<EditorNode[]> => editor.evaluate((label) => {
    const found: EditorNode[] = [];
    let flow: string | undefined;
    window.RED.nodes.eachWorkspace((one) => { if (one.label === label) flow = one.id; });
    window.RED.nodes.eachNode(({ id, type, z, name, gateway, status }) => { if (z === flow) found.push({ id, type, name, gateway, status } as EditorNode); });
    return found;
  }, label);
  async function editConfig(type: string, id: string): Promise<void> {
    await editor.evaluate(([type, id]) => window.RED.editor.editConfig("", type as string, id as string, null), [type, id]);
    await editor.locator("#clawflow-form").waitFor();
  }
  async function closeConfig(button: "ok" | "cancel"): Promise<void> {
    await editor.click(`#node-config-dialog-${button}`);
    await editor.locator("#clawflow-form").waitFor({ state: "detached" });
  }
  /** The chat of a flow, by the button in its gateway's form. */
  async function openChat(label: string): Promise<Page> {
    const gateway = (await nodesOf(label)).find((node) => node.gateway !== undefined && node.gateway !== "")?.gateway ?? "";
    await editConfig("clawflow-gateway", gateway);
    const [chat] = await Promise.all([context.waitForEvent("page"), editor.getByText("Open Web chat as owner").click()]);
    await closeConfig("cancel");
    await chat.getByText("Online").waitFor();
    return chat;
  }
  async function say(chat: Page, text: string): Promise<void> {
    await chat.fill("#text", text);
    await chat.press("#text", "Enter");
  }
  const bot = (chat: Page) => chat.locator("#log .message.bot");
  /** The newest answer, when there are so many. */
  async function answer(chat: Page, count: number): Promise<string> {
    await until(async () => (await bot(chat).count()) >= count, `answer ${count} in: ${await chat.locator("#log").textContent()}\n${red.lines.slice(-8).join("\n")}`, WAIT_MS);
    return (await bot(chat).nth(count - 1).locator(".text").textContent()) ?? "";
  }
  /** Waits until a node shows that it is ready; resolves to false where it shows that it cannot be. */
  async function isReady(label: string, type: string): Promise<boolean> {
    let fill: string | undefined;
    await until(async () => { fill = (await nodesOf(label)).find((node) => node.type === type)?.status?.fill; return fill === "green" || fill === "red" || fill === "yellow"; }, `a status of ${type}`, WAIT_MS);
    return fill === "green";
  }

  it("are imported by the dialog, valid, each with a gateway of its own, and deployed", async () => {
    for (const name of EXAMPLES) await importExample(name);
    // As their comments say: the keys of three models, here with the address of a stand-in.
    const models = await editor.evaluate(() => { const found: EditorNode[] = []; window.RED.nodes.eachConfig(({ id, type, name }) => { if (type === "clawflow-model" && /^(Thinks|Hears|Speaks)$/.test(name ?? "")) found.push({ id, type }); }); return found; });
    assert.equal(models.length, 3);
    for (const { id, type } of models) {
      await editConfig(type, id);
      await editor.fill("#node-config-input-key", "sk-test");
      await editor.locator(".cf-form summary").click();
      await editor.fill("#node-config-input-baseUrl", `${mock.url}/v1`);
      await closeConfig("ok");
    }
    assert.deepEqual(await editor.evaluate(() => {
      const invalid: string[] = [];
      const look = (node: EditorNode): void => { if (node.valid === false) invalid.push(`${node.type} ${JSON.stringify(node.validationErrors)}`); };
      window.RED.nodes.eachNode(look);
      window.RED.nodes.eachConfig(look);
      return invalid;
    }), []);
    await editor.click("#red-ui-header-button-deploy");
    await editor.waitForFunction(() => !window.RED.nodes.dirty());
    const gateways = await editor.evaluate(() => { const found: string[] = []; window.RED.nodes.eachConfig((node) => { if (node.type === "clawflow-gateway") found.push(`${node.name} ${(node as unknown as { slug: string }).slug}`); }); return found; });
    assert.deepEqual(gateways.sort(), ["Home 2 home-2", "Home 3 home-3", "Home 4 home-4", "Home 5 home-5", "Home home"]);
  });

  it("A Python skill: the script counts", async function () {
    if (!(await isReady("A Python skill", "clawflow-skills"))) skip(this, "no sandbox for scripts on this machine");
    const chat = await openChat("A Python skill");
    await say(chat, "Count the words of: the quick brown fox");
    assert.match(await answer(chat, 1), /Words: 4, lines: 1, characters: 19/);
  });

  it("Answers from documents: the passage, with its source", async () => {
    assert.ok(await isReady("Answers from documents", "clawflow-documents"));
    const chat = await openChat("Answers from documents");
    await say(chat, "How warm may the heating be at night?");
    const text = await answer(chat, 1);
    assert.match(text, /house-rules\.md, .*Heating/);
    assert.match(text, /At night the heating stays at 17 degrees/);
  });

  it("Voice note answered: what the microphone heard is answered by voice", async function () {
    if (note === undefined) return skip(this, "no ffmpeg with Opus on this machine");
    mock.on({ userMessage: "hello" }, { content: "Good day." });
    mock.onTranscription({ transcription: { text: "Is the door shut?" } });
    mock.onSpeech(/shut/, { audio: note, format: "opus" });
    mock.on({ userMessage: "door" }, { content: "The door is **shut**." });
    const chat = await openChat("Voice note answered");
    await say(chat, "hello");
    assert.equal(await answer(chat, 1), "Good day.");
    await chat.getByRole("button", { name: "Record a voice note" }).click();
    const stop = chat.getByRole("button", { name: "Stop recording" });
    await stop.waitFor();
    await chat.locator("#text[placeholder*='0:01']").waitFor();
    if (process.env.CLAWFLOW_PICTURES !== undefined) await chat.screenshot({ path: path.join(process.env.CLAWFLOW_PICTURES, "recording.png") });
    await stop.click();
    await chat.getByText("Voice note.webm", { exact: true }).waitFor();
    await chat.locator("#send").click();
    // It has no words beside the sound.
    await chat.locator("#log .message.bot audio.sound[src^='blob:']").waitFor();
    assert.equal(await chat.locator("#log .message.visitor audio.sound").count(), 1);
    const seconds = () => chat.locator("#log audio.sound").evaluateAll((players) => players.map((player) => (player as HTMLAudioElement).readyState > 0));
    await until(async () => (await seconds()).every(Boolean), "both notes to be playable", WAIT_MS);
    if (process.env.CLAWFLOW_PICTURES !== undefined) await chat.screenshot({ path: path.join(process.env.CLAWFLOW_PICTURES, "voice.png") });
    assert.equal(mock.getRequests().filter(({ path: asked }) => asked.includes("/audio/transcriptions")).length, 1);
  });

  it("Two agents hand over: billing has the chat, and /new gives it back", async () => {
    const chat = await openChat("Two agents hand over");
    await say(chat, "I have a question about my bill");
    await answer(chat, 1);
    await say(chat, "/status");
    assert.match(await answer(chat, 2), /This chat is with billing now/);
    await say(chat, "/new");
    await answer(chat, 3);
    await say(chat, "/status");
    assert.doesNotMatch(await answer(chat, 4), /billing now/);
  });

  it("Ask before switching: the press is the answer", async () => {
    const chat = await openChat("Ask before switching");
    await say(chat, "switch off the heating");
    await chat.getByRole("button", { name: "Yes", exact: true }).click();
    assert.match(await answer(chat, 2), /Done: switch off the heating/);
    await chat.getByText("✓ Yes").waitFor();
    assert.equal(await chat.getByRole("button", { name: /^(Yes|No)$/ }).count(), 0, "the question is over");
  });
});
