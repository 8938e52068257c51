/** The forms in the editor of a real Node-RED, in a real browser: what a person sees, types and saves. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { projectRoot, startNodeRed, type FlowNode, type NodeRed } from "../rigs/node-red.ts";
import { hurryEditor, openBrowser, trayStands } from "../rigs/browser.ts";
import { until } from "../kit/scripted.ts";

/** What the tests use of the editor's own page. */
interface EditorNode extends Record<string, unknown> { id: string; type: string; z?: string; changed?: boolean; valid?: boolean; outputs?: number; _def: { category: string; defaults: Record<string, unknown> } }
interface EditorPage {
  RED: {
    nodes: {
      node(id: string): EditorNode; eachNode(visit: (node: EditorNode) => void): void; eachConfig(visit: (node: EditorNode) => void): void; eachLink(visit: (link: { source: EditorNode; sourcePort: number; target: EditorNode }) => void): void;
      createCompleteNodeSet(): FlowNode[]; clear(): void; import(nodes: FlowNode[], options: object): void; dirty(state?: boolean): boolean; getType(type: string): unknown;
    };
    editor: { edit(node: EditorNode): void; editConfig(name: string, type: string, id: string, prefix: null): void };
    workspaces: { show(id: string): void }; view: { redraw(all: boolean): void }; actions: { invoke(action: string): void };
  };
}
declare const window: EditorPage & { ClawFlow?: object };

const examples = readdirSync(path.join(projectRoot, "examples")).filter((name) => name.endsWith(".json"));
const readExample = (name: string): FlowNode[] => JSON.parse(readFileSync(path.join(projectRoot, "examples", name), "utf8")) as FlowNode[];
const demo = readExample("Home demo.json");
const idOf = (type: string, flow: readonly FlowNode[] = demo): string => flow.find((node) => node.type === type)?.id ?? "";

describe("forms in the editor", function () {
  this.timeout(120_000);
  let red: NodeRed;
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];

  before(async function () {
    browser = await openBrowser(this);
    red = await startNodeRed({ flows: demo });
    const context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, locale: "en-US" });
    await hurryEditor(context);
    await context.route("**/*", (route) => (new URL(route.request().url()).hostname === "127.0.0.1" || /^(data|blob):/.test(route.request().url()) ? route.continue() : route.abort()));
    page = await context.newPage();
    page.on("console", (message) => { if (message.type() === "error" && !/catalogue|ERR_FAILED/.test(message.text())) faults.push(message.text()); });
    page.on("pageerror", (error) => faults.push(error.stack ?? String(error)));
    await openEditor();
  });
  after(async () => {
    await browser?.close();
    await red?.remove();
  });
  afterEach(async () => {
    // A test that failed with a form open must not take the next ones along.
    if (await page.locator(".cf-form").count() > 0) await openEditor();
    assert.deepEqual(faults.splice(0), []);
  });

  async function openEditor(): Promise<void> {
    await page.goto(red.url);
    await page.waitForFunction(() => window.RED?.nodes?.getType("clawflow-webhook") !== undefined && document.querySelector("#red-ui-loading-progress:not([style*='display: none'])") === null);
    await page.waitForSelector("#red-ui-workspace-chart");
  }
  const load = (flow: readonly FlowNode[]): Promise<void> => page.evaluate((nodes) => {
    const { RED } = window;
    RED.nodes.clear();
    RED.nodes.import(nodes, { generateIds: false });
    RED.workspaces.show(nodes.find((node) => node.type === "tab")?.id ?? "");
    RED.view.redraw(true);
    RED.nodes.dirty(false);
  }, flow as FlowNode[]);
  async function open(id: string): Promise<void> {
    await page.evaluate((id) => {
      const { RED } = window;
      const node = RED.nodes.node(id);
      if (node._def.category === "config") RED.editor.editConfig("", node.type, id, null);
      else RED.editor.edit(node);
    }, id);
    await page.waitForSelector(".cf-form", { state: "visible" });
    await trayStands(page);
  }
  async function close(button: "ok" | "cancel"): Promise<void> {
    await page.click(`#node-dialog-${button}, #node-config-dialog-${button}`);
    await page.waitForSelector(".cf-form", { state: "detached" });
  }
  /** Without credentials: Node-RED keeps an empty text for each that was shown while the node was not deployed. */
  const saved = (): Promise<FlowNode[]> => page.evaluate(() => window.RED.nodes.createCompleteNodeSet().map(({ credentials: _, ...node }) => node as FlowNode));
  const node = async (id: string): Promise<FlowNode> => (await saved()).find((one) => one.id === id) as FlowNode;

  it("the editor has our nodes and widgets, and no error on the way", async () => {
    assert.equal(await page.evaluate(() => typeof window.ClawFlow), "object");
    assert.match(await page.textContent("#red-ui-palette-container-ClawFlow") ?? "", /channel\s+in[\s\S]*agent[\s\S]*tool\s+out/);
  });

  const elsewhere: Readonly<Record<string, string>> = { ask: "Ask before switching", documents: "Answers from documents", mcp: "Tools from an MCP server", "mcp-server": "Tools for other programs", skills: "A Python skill" };
  for (const type of ["gateway", "account", "model", "channel-in", "normalize", "route", "agent", "tool", "tool-out", "channel-out", "cron", "webhook", ...Object.keys(elsewhere)]) {
    it(`${type}: each field has a name of its own, nothing overflows, the keyboard reaches all`, async () => {
      const flow = elsewhere[type] === undefined ? demo : readExample(`${elsewhere[type]}.json`);
      await load(flow);
      await open(idOf(`clawflow-${type}`, flow));
      const found = await page.evaluate(() => {
        const form = document.querySelector(".cf-form") as HTMLElement;
        for (const part of form.querySelectorAll("details")) part.open = true;
        const shown = [...form.querySelectorAll<HTMLElement>("input:not([type=hidden]), select, textarea, button, [role=button], a.red-ui-button")].filter((element) => element.getClientRects().length > 0);
        const nameOf = (element: HTMLElement): string => element.getAttribute("aria-label") || element.getAttribute("aria-labelledby")
          || [...(element as HTMLInputElement).labels ?? []].map((label) => label.textContent?.trim()).join("") || (element.matches("button, a") ? element.textContent?.trim() ?? "" : "") || (element.closest(".red-ui-typedInput-container")?.previousElementSibling as HTMLInputElement | null)?.labels?.[0]?.textContent || "";
        const right = form.getBoundingClientRect().right + 1;
        const ids = [...form.querySelectorAll("[id]")].map((element) => element.id);
        return {
          count: shown.length,
          nameless: shown.filter((element) => nameOf(element) === "").map((element) => element.outerHTML.slice(0, 200)),
          unreachable: shown.filter((element) => element.tabIndex < 0).map((element) => element.outerHTML.slice(0, 200)),
          wide: [...form.querySelectorAll("*")].filter((element) => element.getClientRects().length > 0 && element.getBoundingClientRect().right > right && !element.closest(".cf-sr")).map((element) => element.outerHTML.slice(0, 200)),
          doubled: ids.filter((id, index) => ids.indexOf(id) !== index),
          untranslated: [...form.querySelectorAll("[data-i18n]")].filter((element) => /^(?:label|hint|option|heading|unit)\./.test(element.textContent ?? "")).length,
        };
      });
      await close("cancel");
      assert.ok(found.count >= 2);
      assert.deepEqual({ ...found, count: 0 }, { count: 0, nameless: [], unreachable: [], wide: [], doubled: [], untranslated: 0 });
    });
  }

  it("agent: a newcomer sees name, gateway, model, prompt and tools; the rest is folded, and opens where something is wrong", async () => {
    const opened = async (more: object): Promise<string[]> => {
      await load(demo.map((node) => (node.type === "clawflow-agent" ? { ...node, ...more } : node)));
      await open(idOf("clawflow-agent"));
      const found = await page.evaluate(() => [...document.querySelectorAll<HTMLDetailsElement>(".cf-form details")].filter((part) => part.open).map((part) => part.querySelector("summary")?.textContent ?? ""));
      assert.deepEqual(await page.locator(".cf-form input:visible, .cf-form textarea:visible").evaluateAll((fields) => fields.map(({ id }) => id).filter((id) => /name|system|context/.test(id))), ["node-input-name", "node-input-system", "node-input-context"]);
      await close("cancel");
      return found;
    };
    assert.deepEqual(await opened({}), []);
    assert.deepEqual(await opened({ maxRounds: 0 }), ["Limits"]);
  });

  for (const name of examples) {
    it(`${name}: is valid, and every form saved as it is changes nothing`, async () => {
      const flow = readExample(name);
      await load(flow);
      const before = await saved();
      assert.deepEqual(await page.evaluate(() => {
        const invalid: string[] = [];
        const look = (node: EditorNode): void => { if (node.valid === false) invalid.push(`${node.type} ${JSON.stringify(node["validationErrors"])}`); };
        window.RED.nodes.eachNode(look);
        window.RED.nodes.eachConfig(look);
        return invalid;
      }), []);
      const seen = new Set<string>();
      for (const { id, type } of flow.filter((one) => one.type.startsWith("clawflow-"))) {
        if (name !== "Home demo.json" && seen.has(type)) continue;
        seen.add(type);
        await open(id);
        await close("ok");
      }
      assert.deepEqual(await saved(), before);
    });
  }

  describe("the first node brings a gateway", () => {
    async function quickAdd(type: string, x: number, y: number): Promise<void> {
      const chart = await page.locator("#red-ui-workspace-chart").boundingBox();
      await page.keyboard.down("Control");
      await page.mouse.click((chart?.x ?? 0) + x, (chart?.y ?? 0) + y);
      await page.keyboard.up("Control");
      const search = page.locator("#red-ui-type-search-input");
      await search.waitFor();
      await search.pressSequentially(type, { delay: 10 });
      await page.waitForFunction((type) => document.querySelector("#red-ui-type-search li.selected")?.textContent?.replace(/\s+/g, " ").includes(type), type);
      await page.keyboard.press("Enter");
      await search.waitFor({ state: "hidden" });
      await page.waitForTimeout(600); // Node-RED empties its search a while after it has closed; opened before, its list throws
    }
    const gateways = async (): Promise<FlowNode[]> => (await saved()).filter(({ type }) => type === "clawflow-gateway");
    const empty: FlowNode[] = [{ id: "f100000000000000", type: "tab", label: "Empty", disabled: false, info: "", env: [] }];
    before(async () => {
      await red.deploy(empty);
      await openEditor();
    });
    after(async () => {
      await red.deploy(demo);
      await openEditor();
    });

    it("once, with a name and a slug; undo takes both away", async () => {
      await quickAdd("channel in", 200, 200);
      const [gateway, ...others] = await gateways();
      assert.deepEqual(others, []);
      assert.equal(gateway?.["name"], "Home");
      assert.equal(gateway?.["slug"], "home");
      assert.equal((await saved()).find(({ type }) => type === "clawflow-channel-in")?.["gateway"], gateway?.id);
      await quickAdd("channel out", 200, 400);
      assert.equal((await gateways()).length, 1);
      assert.equal((await saved()).find(({ type }) => type === "clawflow-channel-out")?.["gateway"], gateway?.id);
      await page.evaluate(() => { window.RED.actions.invoke("core:undo"); });
      assert.equal((await gateways()).length, 1);
      await page.evaluate(() => { window.RED.actions.invoke("core:undo"); });
      assert.deepEqual((await saved()).map(({ type }) => type), ["tab"]);
    });

    it("not when the user only looks through the list", async () => {
      const chart = await page.locator("#red-ui-workspace-chart").boundingBox();
      await page.keyboard.down("Control");
      await page.mouse.click((chart?.x ?? 0) + 300, (chart?.y ?? 0) + 300);
      await page.keyboard.up("Control");
      await page.locator("#red-ui-type-search-input").pressSequentially("agent");
      await page.waitForSelector("#red-ui-type-search li.selected:has-text('agent')");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Escape");
      assert.deepEqual(await gateways(), []);
    });

    it("but what is imported is left as it is", async () => {
      await load(empty);
      await load([...empty, { id: "f200000000000000", type: "clawflow-channel-out", z: "f100000000000000", x: 100, y: 100, name: "", gateway: "", wires: [[]] }]);
      assert.deepEqual(await gateways(), []);
    });
  });

  describe("route", () => {
    const flow = readExample("Route by command and time.json");
    const id = idOf("clawflow-route", flow);

    it("rules are ordered by the keyboard, and wires follow their rule", async () => {
      await load(flow);
      const wires = (): Promise<Record<string, string>> => page.evaluate((id) => {
        const found: Record<string, string> = {};
        window.RED.nodes.eachLink(({ source, sourcePort, target }) => { if (source.id === id) found[sourcePort] = String(target["name"]); });
        return found;
      }, id);
      assert.deepEqual(await wires(), { 0: "how it works", 1: "good night", 2: "thanks", 3: "anything else" });
      await open(id);
      await page.locator("#clawflow-rules .cf-move").first().focus();
      await page.keyboard.press("ArrowDown");
      await page.locator("#clawflow-rules input[type=text]").last().focus();
      const names = (): Promise<string[]> => page.locator("#clawflow-rules .cf-port + input").evaluateAll((inputs) => inputs.map((input) => (input as HTMLInputElement).value));
      assert.deepEqual(await names(), ["at night", "/help", "pictures"]);
      await page.locator("#clawflow-rules .cf-port + input").nth(2).focus();
      await page.keyboard.press("Alt+ArrowUp");
      assert.deepEqual(await names(), ["at night", "pictures", "/help"]);
      assert.deepEqual(await page.locator("#clawflow-rules .cf-port").allTextContents(), ["1", "2", "3"]);
      await close("ok");
      assert.deepEqual(((await node(id))["rules"] as { name: string }[]).map(({ name }) => name), ["at night", "pictures", "/help"]);
      assert.deepEqual(await wires(), { 0: "good night", 1: "thanks", 2: "how it works", 3: "anything else" });
      await page.evaluate(() => { window.RED.actions.invoke("core:undo"); });
      assert.deepEqual(await wires(), { 0: "how it works", 1: "good night", 2: "thanks", 3: "anything else" });
    });

    it("a rule removed takes its wire along, a new one has its own port", async () => {
      await load(flow);
      await open(id);
      await page.locator("#clawflow-rules .cf-row > button[aria-label=Remove]").first().click();
      await page.click("#clawflow-rules button:has-text('Add rule')");
      await page.keyboard.type("urgent");
      await page.locator("#clawflow-rules .cf-value input").last().fill("fire");
      await close("ok");
      const { rules, wires, outputs } = await node(id) as unknown as { rules: { name: string; rows: object[] }[]; wires: string[][]; outputs: number };
      assert.deepEqual(rules.map(({ name }) => name), ["at night", "pictures", "urgent"]);
      assert.deepEqual(rules[2]?.rows, [{ field: "text", test: "contains", value: "fire" }]);
      assert.equal(outputs, 4);
      assert.deepEqual(wires.map((targets) => targets.length), [1, 1, 0, 1]);
    });

    it("tries a message on the rules as they stand, and says which one takes it and why", async () => {
      await load(flow);
      await open(id);
      const box = page.locator("#clawflow-try");
      await box.getByLabel("Text", { exact: true }).fill("/help me");
      await page.waitForFunction(() => /goes to port 1: \/help/.test(document.querySelector("#clawflow-try")?.textContent ?? ""));
      assert.match(await box.textContent() ?? "", /command is "help"/);
      await box.getByLabel("Text", { exact: true }).fill("hello");
      await page.waitForFunction(() => /no rule matches: goes to "else"/.test(document.querySelector("#clawflow-try")?.textContent ?? ""));
      await box.getByText("Paste JSON instead").click();
      await box.getByLabel("Message as JSON").fill(JSON.stringify({ message: { text: "", attachments: [{ kind: "image", media: "x", state: "remote" }] } }));
      await page.waitForFunction(() => /goes to port 3: pictures/.test(document.querySelector("#clawflow-try")?.textContent ?? ""));
      await box.getByLabel("Message as JSON").fill("{");
      await page.waitForFunction(() => /This is no JSON/.test(document.querySelector("#clawflow-try")?.textContent ?? ""));
      await close("cancel");
    });
  });

  it("tool: rows become JSON Schema and come back; what rows cannot hold is said and kept", async () => {
    await load(demo);
    const id = demo.find((one) => one["tool"] === "switch_light")?.id ?? "";
    await open(id);
    await page.click("text=Edit as JSON Schema");
    const area = page.getByLabel("JSON Schema of the parameters");
    const schema = JSON.parse(await area.inputValue()) as { properties: Record<string, unknown>; required: string[] };
    assert.deepEqual(schema.required, ["room", "state"]);
    await area.fill(JSON.stringify({ ...schema, oneOf: [] }));
    await page.click("text=Edit as rows");
    assert.match(await page.textContent("#clawflow-params .cf-note") ?? "", /oneOf/);
    await area.fill(JSON.stringify({ type: "object", properties: { level: { type: "integer", maximum: 9 } }, required: [] }));
    await page.click("text=Edit as rows");
    assert.match(await page.textContent("#clawflow-params .cf-note") ?? "", /level\.maximum/);
    await close("ok");
    const tool = await node(id);
    assert.equal(tool["schemaMode"], true);
    assert.deepEqual((JSON.parse(String(tool["schema"])) as typeof schema).properties, { level: { type: "integer", maximum: 9 } });
  });

  it("tool: a name that another tool has is refused with a reason", async () => {
    await load(demo);
    const id = demo.find((one) => one["tool"] === "switch_light")?.id ?? "";
    await open(id);
    await page.fill("#node-input-tool", "list_lights");
    await close("ok");
    const reasons = await page.evaluate((id) => JSON.stringify(window.RED.nodes.node(id)["validationErrors"]), id);
    assert.match(reasons, /called list_lights too/);
  });

  it("tool: one that draws has another time of its own, and gives it back; one set by hand stays", async () => {
    await load(demo);
    const id = demo.find((one) => one["tool"] === "switch_light")?.id ?? "";
    await open(id);
    const time = async (makes: string): Promise<string> => { await page.selectOption("#node-input-makes", makes); return page.inputValue("#node-input-timeoutSeconds"); };
    assert.deepEqual([await time("picture"), await time(""), await time("picture")], ["180", "30", "180"]);
    await page.evaluate(() => { (document.querySelector("#node-input-timeoutSeconds") as HTMLInputElement).value = "40"; });
    assert.deepEqual([await time(""), await time("picture")], ["40", "40"]);
    await close("cancel");
    await load(demo.map((one) => (one.id === id ? { ...one, makes: "picture" } : one)));
    await open(id);
    assert.equal(await page.inputValue("#node-input-timeoutSeconds"), "180", "what holds for a node saved with the time of a flow");
    await close("cancel");
  });

  it("agent: tools are chosen from those on the canvas", async () => {
    await load(demo);
    await open(idOf("clawflow-agent"));
    assert.match(await page.textContent("#clawflow-tools") ?? "", /It sees: list_lights, read_door, read_thermostat, set_thermostat, switch_light/);
    await page.getByLabel("Choose by").selectOption("name");
    await page.getByLabel("Which").selectOption("read_door");
    assert.match(await page.textContent("#clawflow-tools") ?? "", /It sees: read_door$/m);
    await close("ok");
    assert.deepEqual((await node(idOf("clawflow-agent")))["tools"], [{ by: "name", value: "read_door" }]);
  });

  it("cron: plain words and the next five runs, and a fault in words", async () => {
    await load(demo);
    await open(idOf("clawflow-cron"));
    await page.waitForSelector("#clawflow-runs li:nth-child(5)");
    assert.match(await page.textContent("#clawflow-runs .cf-words") ?? "", /07:00/);
    await page.fill("#node-input-cron", "61 7 * * *");
    await page.waitForSelector("#clawflow-runs .cf-problems li");
    await page.selectOption("#node-input-kind", "every");
    await page.waitForFunction(() => document.querySelectorAll("#clawflow-runs .cf-next li").length === 5 && document.querySelector("#clawflow-runs .cf-problems li") === null);
    await close("cancel");
  });

  it("normalize: a mapping shows the message it makes", async () => {
    const flow = readExample("Message from another node.json");
    await load(flow);
    await open(idOf("clawflow-normalize", flow));
    await page.waitForFunction(() => /"text": "The cellar is wet\."/.test(document.querySelector("#clawflow-mapping .cf-preview")?.textContent ?? ""));
    await page.getByLabel("A msg to try it on").fill(JSON.stringify({ payload: { deep: "water" }, topic: "a" }));
    await page.waitForFunction(() => /MSG_001/.test(document.querySelector("#clawflow-mapping .cf-problems")?.textContent ?? ""));
    await close("cancel");
  });

  describe("gateway, account and model", () => {
    const gateway = idOf("clawflow-gateway");
    before(async () => { await openEditor(); });

    it("the gateway shows its accounts and models with their state, the owner code, and makes a new code", async () => {
      await open(gateway);
      await page.waitForSelector(".cf-code-big");
      assert.match(await page.textContent("#clawflow-panel") ?? "", /Web chat[\s\S]*connected[\s\S]*Model[\s\S]*ready/);
      const code = await page.textContent(".cf-code-big");
      assert.match(await page.getAttribute("#clawflow-panel a", "href") ?? "", new RegExp(`/clawflow/home/chat/#owner=${code}$`));
      await page.click("text=New code");
      await page.waitForFunction((old) => document.querySelector(".cf-code-big")?.textContent !== old, code);
      await close("cancel");
    });

    it("people get another trust, and leave", async () => {
      const person = { channel: "webchat", account: "chat", id: "v-1", name: "Anna" };
      await red.admin("POST", `/clawflow/gateway/${gateway}/people`, { ...person, trust: "allowed" });
      const people = async (): Promise<unknown> => (await red.admin<{ people: { id: string; trust: string }[] }>("GET", `/clawflow/gateway/${gateway}`)).people.map(({ id, trust }) => ({ id, trust }));
      await open(gateway);
      await page.getByLabel("Trust of Anna").selectOption("paired");
      await until(async () => JSON.stringify(await people()) === JSON.stringify([{ id: "v-1", trust: "paired" }]), "another trust", 20_000, 50);
      await page.click("[aria-label='Remove Anna']");
      await page.waitForSelector("[aria-label='Remove Anna']", { state: "detached" });
      assert.deepEqual(await people(), []);
      await close("cancel");
    });

    it("a model is added from the gateway, and tested", async () => {
      await open(gateway);
      await page.click("text=Add model");
      await page.waitForSelector("#node-config-input-provider option[value=openai]", { state: "attached" });
      await trayStands(page);
      assert.equal(await page.inputValue("#node-config-input-gateway"), gateway);
      await page.fill("#node-config-input-name", "Second");
      await page.click("#clawflow-test button");
      await page.waitForFunction(() => /It works/.test(document.querySelector("#clawflow-test")?.textContent ?? ""));
      await page.locator("#node-config-dialog-ok").last().click();
      await page.waitForFunction(() => /Second[\s\S]*not deployed/.test(document.querySelector("#clawflow-panel")?.textContent ?? ""));
      await close("cancel");
    });

    it("a channel in that takes all accounts shows them, each to be opened, and one to be added", async () => {
      await open(idOf("clawflow-channel-in"));
      await page.selectOption("#node-input-accounts-mode", "all");
      assert.equal(await page.getByRole("button", { name: "Edit Web chat" }).isVisible(), true);
      assert.equal(await page.locator("#clawflow-accounts input[type=checkbox]").count(), 0);
      assert.equal(await page.locator("#clawflow-accounts").getByText("Add account").isVisible(), true);
      await close("cancel");
    });

    it("an account is drawn from its channel: fields that depend, secrets as credentials, faults in words", async () => {
      const account = idOf("clawflow-account");
      await open(account);
      await page.waitForSelector("#clawflow-address:not([hidden])");
      assert.equal(await page.textContent("#clawflow-address code"), `${red.url}/clawflow/home/chat`);
      await page.selectOption("#node-config-input-channel", "telegram");
      assert.equal(await page.isVisible("#node-config-input-token"), true);
      assert.equal(await page.getByLabel("Webhook secret").isVisible(), false);
      await page.getByLabel("Receive by").selectOption("webhook");
      assert.equal(await page.getByLabel("Webhook secret").isVisible(), true);
      await page.click("#clawflow-test button");
      await page.waitForFunction(() => /settings incomplete/.test(document.querySelector("#clawflow-test")?.textContent ?? ""));
      await page.fill("#node-config-input-token", "123456:not-a-real-token");
      await page.selectOption("#node-config-input-policy", "open");
      assert.match(await page.textContent(".cf-note:not([hidden])") ?? "", /Everybody who finds this bot/);
      await close("ok");
      const after = await node(account);
      assert.equal(after["channel"], "telegram");
      assert.equal(after["slug"], "chat");
      assert.equal((after["settings"] as Record<string, unknown>)["mode"], "webhook");
      assert.doesNotMatch(JSON.stringify({ ...after, credentials: undefined }), /not-a-real-token/);
    });
  });
});
