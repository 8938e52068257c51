/** The main job as a person does it: the demo flow in a real Node-RED, the chat page in Chromium, and `kill -9` in the middle of answers. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { LLMock } from "@copilotkit/aimock";
import type { Browser, Page } from "playwright-core";
import { until } from "../kit/scripted.ts";
import { type FlowNode, type NodeRed, projectRoot, startNodeRed } from "../rigs/node-red.ts";
import { openBrowser } from "../rigs/browser.ts";

const KILLS = 20;
const CODE = "OWNERCODE23";

interface Entry { readonly from: "visitor" | "bot"; readonly text: string; readonly ref?: string; readonly seq: number }

/** The demo flow; every switch of a light is also counted by a server outside: the judge of tool effects. */
function demoFlow(counter: string, model: Record<string, unknown>): FlowNode[] {
  const flow = JSON.parse(readFileSync(path.join(projectRoot, "examples", "Home demo.json"), "utf8")) as (FlowNode & { tool?: string; wires?: string[][] })[];
  const tool = flow.find((node) => node.tool === "switch_light");
  assert.ok(tool);
  const counted = flow.map((node) => {
    if (node === tool) return { ...node, wires: [[...(node.wires?.[0] ?? []), "counter"]] };
    if (node.type === "clawflow-model") return { ...node, ...model };
    if (node.type === "clawflow-webhook") return { ...node, credentials: { secret: "ring-ring" } };
    return node;
  });
  return [...counted, { id: "counter", type: "http request", z: tool.z as string, x: 600, y: 900, name: "", method: "POST", ret: "txt", url: counter, wires: [] }];
}

/** Rigs that are killed many times start with what these flows use of Node-RED alone. */
const LEAN = { core: ["change", "debug", "httprequest", "inject", "link", "switch", "template"], settings: { disableEditor: true } } as const;

async function transcript(red: NodeRed, page: Page): Promise<Entry[]> {
  return page.evaluate(async (base) => {
    const token = [...Array(localStorage.length).keys()].map((n) => localStorage.getItem(localStorage.key(n) as string) ?? "").map((text) => /[A-Za-z0-9_-]{22,}/.exec(text)?.[0]).find((found) => found !== undefined) as string;
    const stop = new AbortController();
    const response = await fetch(`${base}events`, { headers: { "x-clawflow-visitor": token }, signal: stop.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>).getReader();
    let text = "";
    while (!/"type":"ready"|event: ready/.test(text)) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
    }
    stop.abort();
    const events = text.split("\n").filter((line) => line.startsWith("data:")).map((line) => JSON.parse(line.slice(5)) as { type?: string; entry?: Entry });
    return events.flatMap((event) => (event.entry === undefined ? [] : [event.entry]));
  }, `${red.url}/clawflow/home/chat/`);
}

describe("the demo in a browser", function () {
  this.timeout(300_000);
  let browser: Browser;
  let server: Server;
  let red: NodeRed;
  let page: Page;
  let counted: string[] = [];
  let counterUrl = "";
  const problems: string[] = [];

  before(async function () {
    browser = await openBrowser(this);
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => { body += chunk; });
      request.on("end", () => { counted.push(body); response.end("ok"); });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    counterUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  after(async () => { await browser?.close(); server?.closeAllConnections(); server?.close(); });

  async function openChat(owner = true, account = "chat"): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1000, height: 800 }, locale: "en-US" });
    const opened = await context.newPage();
    opened.on("pageerror", (error) => problems.push(error.message));
    opened.on("console", (message) => { if (message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text())) problems.push(message.text()); });
    await opened.goto(`${red.url}/clawflow/home/${account}/${owner ? `#owner=${CODE}` : ""}`);
    await opened.getByText("Online").waitFor();
    return opened;
  }
  const log = () => page.locator("#log");
  const live = () => page.locator("#live");
  /** By keyboard alone. */
  async function say(text: string): Promise<void> {
    await page.locator("#text").focus();
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  }
  async function answered(pattern: RegExp): Promise<void> {
    await until(async () => pattern.test((await log().textContent()) ?? ""), `an answer like ${pattern} in: ${await log().textContent()}\n${red.lines.slice(-5).join("\n")}`, 20_000);
  }

  /** Watched by the page itself: who looks from outside now and then may come too late on a busy machine. */
  const firstDelta = (): Promise<void> => live().evaluate((live) => new Promise<void>((resolve) => {
    const watcher = new MutationObserver(() => {
      if ((live.textContent ?? "").trim() === "") return;
      watcher.disconnect();
      resolve();
    });
    watcher.observe(live, { childList: true, characterData: true, subtree: true });
  }));
  async function within(what: Promise<void>, ms: number, name: () => string): Promise<void> {
    const late = AbortSignal.timeout(ms);
    await Promise.race([what, new Promise<never>((_, reject) => { late.addEventListener("abort", () => reject(new Error(`waited ${ms} ms for ${name()}`))); })]);
  }

  /** Kills Node-RED with -9 once a part of the answer is visible, starts it again, and counts what is there. */
  async function killed(question: (n: number) => string, calls: boolean): Promise<void> {
    for (let n = 0; n < KILLS; n++) {
      const before = await transcript(red, page);
      counted = [];
      const delta = firstDelta();
      await say(question(n));
      await within(delta, 60_000, () => `a visible delta of answer ${n + 1}\n${red.lines.slice(-5).join("\n")}`);
      await red.kill();
      await red.start();
      const answers = (entries: Entry[]) => entries.slice(before.length).filter((entry) => entry.from === "bot").length;
      await until(async () => answers(await transcript(red, page).catch(() => [])) >= 1, `the answer after kill ${n + 1}\n${red.lines.slice(-8).join("\n")}`, 30_000, 50);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const now = await transcript(red, page);
      assert.deepEqual(now.slice(before.length).map((entry) => entry.from), ["visitor", "bot"], `by the server's record after kill ${n + 1}`);
      const last = now.at(-1)?.text ?? "";
      await until(async () => ((await live().textContent()) ?? "").trim() === "" && (await log().locator("[data-ref]").count()) === now.length, `the page to show ${now.length} entries after kill ${n + 1}; it shows ${await log().locator("[data-ref]").count()}`, 20_000);
      assert.ok(((await log().textContent()) ?? "").includes(last.replace(/[*_`]/g, "").slice(0, 20)), `the page shows the answer after kill ${n + 1}`);
      if (calls) assert.equal(counted.length, 1, `effects of the tool after kill ${n + 1}`);
    }
  }

  it("shows the flow in the editor, light and dark", async () => {
    const plain = (JSON.parse(readFileSync(path.join(projectRoot, "examples", "Home demo.json"), "utf8")) as FlowNode[]).map((node) => (node.type === "clawflow-webhook" ? { ...node, credentials: { secret: "ring-ring" } } : node));
    await using own = await startNodeRed({ flows: plain });
    const pictures = process.env.CLAWFLOW_PICTURES;
    if (pictures !== undefined) mkdirSync(pictures, { recursive: true });
    for (const dark of [false, true]) {
      const context = await browser.newContext({ viewport: { width: 2000, height: 900 }, locale: "en-US" });
      await context.route("**/*", (route) => (new URL(route.request().url()).hostname === "127.0.0.1" ? route.continue() : route.abort()));
      const editor = await context.newPage();
      const errors: string[] = [];
      editor.on("pageerror", (error) => errors.push(error.message));
      await editor.goto(own.url);
      await editor.waitForFunction(() => document.querySelectorAll(".red-ui-flow-node-group").length > 20, null, { timeout: 30_000 });
      if (dark) await editor.evaluate(() => document.documentElement.classList.add("nr-theme-dark"));
      await editor.waitForTimeout(1_000);
      assert.equal(await editor.locator(".red-ui-flow-node-error:visible, .red-ui-flow-node-unknown").count(), 0, "no node is marked faulty");
      const clip = await editor.evaluate(() => {
        const boxes = [...document.querySelectorAll(".red-ui-flow-group-outline")].map((group) => group.getBoundingClientRect());
        const [left, top] = [Math.min(...boxes.map((box) => box.left)) - 12, Math.min(...boxes.map((box) => box.top)) - 12];
        return { x: left, y: top, width: Math.max(...boxes.map((box) => box.right)) + 12 - left, height: Math.max(...boxes.map((box) => box.bottom)) + 12 - top };
      });
      assert.ok(clip.width > 800 && clip.height > 300, "the flow is laid out in groups");
      if (pictures !== undefined) await editor.screenshot({ path: path.join(pictures, dark ? "demo-dark.png" : "demo.png"), clip });
      assert.deepEqual(errors, []);
      await context.close();
    }
  });

  describe("with the practice model", () => {
    before(async () => {
      red = await startNodeRed({ ...LEAN, flows: demoFlow(counterUrl, {}), env: { CLAWFLOW_OWNER_CODE: CODE } });
      page = await openChat();
    });
    after(async () => { await page?.context().close(); await red?.remove(); });

    it("makes the first visitor with the code the owner, takes the code out of the address, and refuses others", async () => {
      assert.equal(new URL(page.url()).hash, "");
      const own = page;
      page = await openChat(false);
      await say("hello?");
      await page.getByText("The owner has not let you in yet").waitFor();
      await page.context().close();
      page = own;
    });

    it("answers by calling the flows, streams, and keeps the conversation over a reload", async () => {
      await say("which lights are on?");
      await until(async () => ((await live().textContent()) ?? "").trim() !== "", "a streamed answer");
      await answered(/hall|light/i);
      counted = [];
      await say("turn on the kitchen light");
      await answered(/kitchen[\s\S]*\bon\b/i);
      assert.equal(counted.length, 1);
      await until(async () => ((await live().textContent()) ?? "").trim() === "", "the end of the stream");
      const entries = await log().locator("[data-ref]").count();
      const text = await log().textContent();
      await page.reload();
      await until(async () => (await log().locator("[data-ref]").count()) === entries, `${entries} entries after the reload`);
      assert.equal((await log().textContent())?.replace(/\s+/g, " "), text?.replace(/\s+/g, " "));
    });

    it("announces the doorbell to the owner", async () => {
      const response = await red.fetch("/clawflow/hooks/doorbell", { method: "POST", headers: { authorization: "Bearer ring-ring", "content-type": "application/json" }, body: JSON.stringify({ text: "the postman" }) });
      assert.ok(response.ok, String(response.status));
      await answered(/postman|door/i);
      assert.equal((await red.fetch("/clawflow/hooks/doorbell", { method: "POST", body: "{}" })).status, 401);
    });

    it(`gives exactly one answer each time of ${KILLS} that Node-RED is killed while it answers`, async () => {
      await killed((n) => `turn ${n % 2 === 0 ? "off" : "on"} the kitchen light`, true);
    });

    it("has a label for everything that can be used, and no fault on the console", async () => {
      const bare = await page.evaluate(() => [...document.querySelectorAll("button, input, textarea, select, a")].filter((element) => (element as HTMLElement).offsetParent !== null && !(element.getAttribute("aria-label") || element.textContent?.trim() || element.getAttribute("title") || (element.id !== "" && document.querySelector(`label[for="${element.id}"]`)))).map((element) => element.outerHTML.slice(0, 80)));
      assert.deepEqual(bare, []);
      assert.deepEqual(problems, []);
    });
  });

  describe("that asks before it switches", () => {
    before(async () => {
      red = await startNodeRed({ ...LEAN, flows: JSON.parse(readFileSync(path.join(projectRoot, "examples", "Ask before switching.json"), "utf8")) as FlowNode[], env: { CLAWFLOW_OWNER_CODE: CODE } });
      page = await openChat(true, "web");
    });
    after(async () => { await page?.context().close(); await red?.remove(); });

    it("shows buttons that can be pressed, also after a restart, and answers the press once", async () => {
      await say("switch off the heating");
      const buttons = (name: string) => log().getByRole("button", { name, exact: true });
      await buttons("Yes").waitFor();
      await red.kill();
      await red.start();
      await page.getByText("Online").waitFor();
      await say("open the gate");
      await until(async () => (await buttons("No").count()) === 2, "the second question beside the first");
      if (process.env.CLAWFLOW_PICTURES !== undefined) await page.screenshot({ path: path.join(process.env.CLAWFLOW_PICTURES, "ask.png") });
      await buttons("No").last().click();
      await answered(/Left as it is/);
      await buttons("Yes").first().click();
      await answered(/Done: switch off the heating/);
      await until(async () => (await log().getByRole("button", { name: /^(Yes|No)$/ }).count()) === 0, "the buttons to be gone");
      if (process.env.CLAWFLOW_PICTURES !== undefined) await page.screenshot({ path: path.join(process.env.CLAWFLOW_PICTURES, "asked.png") });
      const entries = (await log().locator("[data-ref] .text").allInnerTexts()).map((text) => text.trim());
      assert.deepEqual(entries.filter((text) => text !== ""), ["switch off the heating", "Really switch off the heating?\n\n✓ Yes", "open the gate", "Really open the gate?\n\n✓ No", "Left as it is.", "Done: switch off the heating"]);
      assert.deepEqual(problems, []);
    });
  });

  describe("with a model behind the openai wire", () => {
    let mock: LLMock;
    before(async () => {
      mock = new LLMock({ port: 0 });
      await mock.start();
      mock.on({ userMessage: "which lights", hasToolResult: false }, { toolCalls: [{ name: "list_lights", arguments: "{}" }] });
      mock.on({ userMessage: "which lights", hasToolResult: true }, { content: "The hall light is on, all others are off." });
      const slow = { streamingProfile: { ttft: 20, tps: 25 } } as object;
      mock.on({ userMessage: "turn", hasToolResult: false }, { toolCalls: [{ name: "switch_light", arguments: JSON.stringify({ room: "kitchen", state: "on" }) }] });
      mock.on({ userMessage: "turn", hasToolResult: true }, { content: "The kitchen light is switched, as you wished; is there anything else that I can do for you in this house tonight?" }, slow as never);
      red = await startNodeRed({ ...LEAN, flows: demoFlow(counterUrl, { provider: "openai", model: "gpt-4o", baseUrl: `${mock.url}/v1`, credentials: { key: "sk-test" } }), env: { CLAWFLOW_OWNER_CODE: CODE } });
      page = await openChat();
    });
    after(async () => { await page?.context().close(); await red?.remove(); await mock?.stop(); });

    it("answers by calling the flows", async () => {
      await say("which lights are on?");
      await answered(/The hall light is on/);
      counted = [];
      await say("turn on the kitchen light");
      await answered(/kitchen light is switched/);
      assert.equal(counted.length, 1);
    });

    it(`gives exactly one answer each time of ${KILLS} that Node-RED is killed while it answers`, async () => {
      await killed((n) => `turn on the kitchen light, please (${n})`, true);
    });
  });
});
