/** The web chat's page in Chromium, against its own server; the server alone is real, the bot is the test. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import type { Received } from "../../engine/channels/channel.ts";
import { VISITOR_HEADER } from "../../engine/channels/webchat/protocol.ts";
import { createWebchat } from "../../engine/channels/webchat/webchat.ts";
import type { Address, Message } from "../../engine/message.ts";
import { until } from "../kit/scripted.ts";
import { createSpoolInMemory, createStorage, type Host, openHost } from "../platforms/host.ts";
import { builtPage } from "../platforms/webchat-page.ts";
import { openBrowser } from "../rigs/browser.ts";
import { projectRoot } from "../rigs/project.ts";
import { skip } from "../rigs/skip.ts";

const badInputs = path.join(path.resolve(projectRoot, process.env.CLAWFLOW_SPECS ?? "../shared/data/specs"), "..", "badinputs");
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const KILLS = 12;

/** What a page did that no page of ours may do. */
interface Watched { readonly page: Page; readonly faults: string[] }

describe("the chat page", function () {
  this.timeout(120_000);
  let browser: Browser;
  let host: Host;
  let spool = createSpoolInMemory();
  let answer: (message: Message) => Received | Promise<Received> = () => "saved";
  const opened: Page[] = [];

  before(async function () { browser = await openBrowser(this); });
  after(async () => { await browser?.close(); });
  async function start(settings: Record<string, unknown> = {}, context: NonNullable<Parameters<typeof openHost>[0]["context"]> = {}): Promise<void> {
    spool = createSpoolInMemory();
    host = await openHost({ channel: createWebchat(builtPage), settings, context, storage: createStorage(), spool, receive: async (message) => answer(message) });
  }
  afterEach(async () => {
    for (const page of opened.splice(0)) await page.context().close();
    await host?.close();
    answer = () => "saved";
  });

  async function open(options: BrowserContextOptions = {}, url = host.url): Promise<Watched> {
    const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: "en-GB", ...options });
    return watch(await context.newPage(), url);
  }
  async function watch(page: Page, url: string): Promise<Watched> {
    const faults: string[] = [];
    opened.push(page);
    page.setDefaultTimeout(15_000);
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
    page.on("request", (request) => { if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== new URL(url).origin) faults.push(`request: ${request.url()}`); });
    await page.exposeFunction("reportPolicy", (text: string) => { faults.push(`policy: ${text}`); });
    await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => (window as unknown as { reportPolicy(text: string): void }).reportPolicy(`${event.violatedDirective} ${event.blockedURI}`)));
    await page.goto(url);
    await page.waitForSelector('#state[data-state="open"]');
    await page.locator('#log[aria-busy="false"]').waitFor({ state: "attached" });
    return { page, faults };
  }
  const say = async (page: Page, text: string) => { await page.locator("#text").fill(text); await page.keyboard.press("Enter"); };
  const shown = (page: Page) => page.locator("#log article .text").allInnerTexts();
  async function talk(page: Page, text = "hello"): Promise<Address> {
    const before = host.received.length;
    await say(page, text);
    await until(() => host.received.length > before, "the message");
    await page.locator("#log article.visitor.kept").last().waitFor();
    return (host.received.at(-1) as Message).at;
  }

  it("shows the welcome, sends a suggestion, streams the answer into the bubble that stays, and keeps all over a reload", async () => {
    await start({ title: "Home", welcome: "Ask **me**.", suggestions: ["Which lights are on?"], notice: "A machine." });
    const { page, faults } = await open();
    assert.equal(await page.locator("#welcome strong").textContent(), "me");
    assert.equal(await page.title(), "Home");
    await page.getByRole("button", { name: "Which lights are on?" }).click();
    await until(() => host.received.length === 1);
    const { at } = host.received[0] as Message;
    assert.equal(await page.locator("#empty").isVisible(), false);
    await host.connection.typing?.(at);
    await page.locator("#live .dots").waitFor();
    await host.connection.preview?.(at, { text: "The **kit" }, "k1");
    const bubble = page.locator("#live article .text");
    await bubble.getByText("The **kit").waitFor();
    const node = await bubble.elementHandle();
    assert.equal(await page.locator(".dots").count(), 0);
    await host.connection.preview?.(at, { text: "The **kitchen** light" }, "k1");
    await bubble.locator("strong").waitFor();
    await host.connection.send(at, { text: "The **kitchen** light is on." }, "k1");
    await page.locator("#log").getByText("The kitchen light is on.").waitFor();
    assert.equal(await page.locator("#live article").count(), 0);
    assert.ok(await node?.evaluate((element) => element.isConnected && element.closest("#log") !== null), "the same element");
    await host.connection.preview?.(at, { text: "late" }, "k1");
    await page.reload();
    await page.locator("#log").getByText("The kitchen light is on.").waitFor();
    assert.deepEqual(await shown(page), ["Which lights are on?", "The kitchen light is on."]);
    assert.equal(host.received.length, 1);
    assert.deepEqual(faults, []);
  });

  it("keeps tabs of one visitor alike, and visitors apart", async () => {
    await start();
    const { page } = await open();
    const { page: tab } = await watch(await page.context().newPage(), host.url);
    const { page: other } = await open();
    const at = await talk(page, "from the first tab");
    await talk(tab, "from the second tab");
    await host.connection.send(at, { text: "to both" }, "k1");
    const ref = await host.connection.send(at, { text: "to go" }, "k2");
    await tab.getByText("to go").waitFor();
    await host.connection.remove?.(at, ref);
    for (const each of [page, tab]) await until(async () => JSON.stringify(await shown(each)) === JSON.stringify(["from the first tab", "from the second tab", "to both"]), "both tabs to show the same");
    assert.deepEqual(await shown(other), []);
    assert.equal(new Set(host.received.map(({ sender }) => sender.id)).size, 1);
    await talk(other);
    assert.notEqual(host.received.at(-1)?.sender.id, host.received[0]?.sender.id);
  });

  it("renders Markdown as elements, and pictures and scripts of others not at all", async () => {
    await start();
    const { page, faults } = await open();
    const at = await talk(page);
    await host.connection.send(at, { text: "## Head\n\n1. one\n2. *two*\n\n- [x] done\n\n| a | b |\n|--|-:|\n| 1 | 2 |\n\n```js\nlet a = '<b>';\n```\n\n> quote\n\n`x` ~~y~~ [z](https://example.org/) https://example.net a&amp;b &lt;i&gt; <b>raw</b> ![cat](https://evil.example/cat.png) [bad](javascript:alert(1)) [worse](data:text/html,x)" }, "k1");
    const text = page.locator("#log article.bot .text");
    await text.waitFor();
    const count = (selector: string) => text.locator(selector).count();
    for (const [selector, wanted] of Object.entries({ h3: 1, "ol > li": 2, "li.task input:checked": 1, "td.to-right": 1, "pre code": 1, blockquote: 1, del: 1, "p > code": 1, img: 0, b: 0, script: 0 })) assert.equal(await count(selector), wanted, selector);
    const links = await text.locator("a").evaluateAll((all) => all.map((link) => [(link as HTMLAnchorElement).href, (link as HTMLAnchorElement).rel, (link as HTMLAnchorElement).target]));
    assert.deepEqual(links, ["https://example.org/", "https://example.net/", "https://evil.example/cat.png"].map((href) => [href, "noopener noreferrer", "_blank"]));
    assert.match((await text.textContent()) ?? "", /a&b <i> <b>raw<\/b> .*\[bad\]\(javascript:alert\(1\)\)/);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await text.getByRole("button", { name: "Copy the code" }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "let a = '<b>';");
    assert.deepEqual(faults, []);
  });

  it("runs nothing that hostile texts, names, file names, labels and settings hold", async function () {
    const file = path.join(badInputs, "web-ui-xss.json");
    if (!existsSync(file)) skip(this, "the hostile strings are not there");
    const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: string[] };
    assert.ok(cases.length >= 20);
    const short = cases.filter((text) => text.length < 200);
    await start({ title: short[0] ?? "", welcome: short.join("\n\n"), suggestions: short, notice: short[1] ?? "" }, { clock: { now: () => Date.now(), monotonic: (() => { let ms = 0; return () => (ms += 60_000); })(), after: () => () => undefined } });
    const { page, faults } = await open();
    const at = await talk(page);
    // Everything the page shows comes from these elements; anything else was made of a text.
    const strange = () => page.evaluate(() => [...document.querySelectorAll("body *:not(svg, svg *)")].filter((element) => !/^(A|HEADER|DIV|H1|H2|H3|H4|H5|H6|P|BUTTON|MAIN|SECTION|ARTICLE|SPAN|FORM|UL|OL|LI|INPUT|TEXTAREA|DIALOG|NOSCRIPT|TIME|STRONG|EM|CODE|PRE|BR|BLOCKQUOTE|IMG|LABEL|DL|DT|DD|SMALL|SELECT|OPTION)$/.test(element.tagName) || [...element.attributes].some(({ name, value }) => (/^(on|id$)/.test(name) || (name === "style" && !/^--(?:stripe: #[0-9a-f]{6}|part: \d+%);$/i.test(value))) && element.closest("#log, #empty, #stranger, #sheet") !== null && !/^(log|empty|empty-title|welcome|suggestions|stranger|sheet|sheet-title|name)$/.test(value))).map((element) => element.outerHTML.slice(0, 200)));
    for (const [n, text] of cases.entries()) {
      await host.connection.send(at, { text }, `text${n}`);
      await host.connection.send(at, { text, plain: true }, `plain${n}`);
      await host.connection.preview?.(at, { text }, `preview${n}`);
      await say(page, text);
    }
    const kept = await spool.save(new Blob([PNG]).stream(), { mime: "image/png" });
    for (const [n, text] of short.entries()) {
      await host.connection.send(at, { text: "x", choices: { name: text, hint: text, options: [{ label: text, value: text, about: text }, { label: "b" }], ...(n % 2 === 0 ? { multiple: true } : {}) }, contact: { name: text, phone: text }, location: { latitude: 1, longitude: 2, title: text } }, `choices${n}`);
      await host.connection.send(at, { text: "x", cards: [{ title: text, text, url: text, color: text, footer: text, image: `spool:${kept.id}`, fields: [{ name: text, value: text }] }], poll: { question: text, options: [text, "b"] } }, `cards${n}`);
      await host.connection.send(at, { text: "x", buttons: [[{ label: text, value: text }, { label: text, url: text }]], attachments: [{ kind: "document", media: `spool:${kept.id}`, name: text, alt: text, mime: text }] }, `button${n}`);
      await host.connection.react?.(at, host.received[0]?.ref ?? "", text);
    }
    await page.locator("#me").click();
    await page.locator("#name").fill(short[0] ?? "");
    await page.keyboard.press("Enter");
    await page.locator("#pick").setInputFiles(short.map((name) => ({ name: name.replaceAll("/", "") || "x", mimeType: "text/html", buffer: Buffer.from("<script>alert(1)</script>") })).slice(0, 10));
    await page.locator("#files .attached:not(.busy)").nth(9).waitFor();
    await say(page, "the last one");
    await page.locator("#log").getByText("the last one").waitFor();
    await until(() => host.received.at(-1)?.text === "the last one", "all messages", 20_000);
    await until(async () => (await page.locator("#live article").count()) === cases.length, "the previews");
    const spoken = await page.locator("#log article.visitor .text").allTextContents();
    assert.deepEqual(spoken.slice(1, -1), cases.map((text) => text.trimEnd()));
    const plain = await page.locator("#log article.bot .text.typed").allTextContents();
    assert.deepEqual(plain, cases);
    for (const button of await page.locator("#log .choice-row .choice").all()) assert.ok(short.includes((await button.textContent()) ?? ""));
    assert.equal(await page.locator("#log .show").count(), short.length);
    assert.equal(await page.locator("#log .poll").count(), short.length);
    assert.deepEqual(await strange(), []);
    await page.reload();
    await page.locator("#log").getByText("the last one").waitFor();
    assert.deepEqual(await strange(), []);
    assert.ok((await page.title()).includes(short[0] ?? ""));
    const hrefs = await page.locator("a[href]").evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).protocol));
    for (const protocol of hrefs) assert.match(protocol, /^(https?|mailto|tel):$/);
    assert.deepEqual(faults, []);
  });

  it("does not freeze on texts made to freeze a parser", async () => {
    await start();
    const { page, faults } = await open();
    const at = await talk(page);
    for (const [n, text] of [">".repeat(10_000), "_a*".repeat(3_300), "a_".repeat(5_000), "[".repeat(10_000), "1. ".repeat(3_000), "![](".repeat(2_500), `${"a|".repeat(3_000)}\n${"-|".repeat(2_000)}`].entries()) await host.connection.send(at, { text }, `k${n}`);
    await host.connection.send(at, { text: "still here" }, "end");
    await page.locator("#log").getByText("still here").waitFor({ timeout: 30_000 });
    assert.equal(await page.locator("#log article.bot").count(), 8);
    assert.equal(await page.locator("#log article.bot").nth(1).locator("p.plain").count(), 1, "too many marks to be parsed");
    assert.deepEqual(faults, []);
  });

  it("presses buttons once, marks them, and opens only web addresses", async () => {
    await start();
    const { page } = await open();
    const at = await talk(page);
    await host.connection.send(at, { text: "Shall I?", buttons: [[{ label: "Yes", value: "y" }, { label: "No", value: "n" }], [{ label: "Docs", url: "https://example.org/" }, { label: "Bad", url: "javascript:alert(1)" }]] }, "k1");
    await page.getByRole("button", { name: "Yes" }).click();
    await page.locator('[aria-pressed="true"]').waitFor();
    assert.deepEqual(host.received.slice(1).map(({ kind, action }) => [kind, action]), [["action", { type: "button", value: "y", label: "Yes" }]]);
    assert.equal(await page.getByRole("link", { name: "Docs" }).getAttribute("href"), "https://example.org/");
    assert.equal(await page.locator("a", { hasText: "Bad" }).count(), 0);
    await page.reload();
    await page.locator('[aria-pressed="true"]').getByText("Yes").waitFor();
  });

  it("takes files by button, drop and paste, shows pictures from memory, and gives the others back as downloads", async () => {
    await start({ maxUploadMb: 1 });
    const { page, faults } = await open();
    await page.locator("#attach").click({ force: true });
    await page.locator(".toast").getByText("Files can be added once").waitFor();
    await talk(page);
    const give = (type: "drop" | "paste", name: string) => page.evaluate(([kind, file]) => {
      const data = new DataTransfer();
      data.items.add(new File(["bytes"], file as string, { type: "text/plain" }));
      if (kind === "drop") { dispatchEvent(new DragEvent("dragover", { dataTransfer: data, cancelable: true })); dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true })); } else document.getElementById("text")?.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }, [type, name]);
    await page.locator("#pick").setInputFiles([{ name: "cat.png", mimeType: "image/png", buffer: PNG }, { name: "large.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(1_100_000) }]);
    await page.locator(".toast").getByText("“large.bin” is larger than 1 MB.").waitFor();
    await give("drop", "dropped.txt");
    await give("paste", "pasted.txt");
    await page.getByRole("button", { name: "Remove pasted.txt" }).click();
    await say(page, "look");
    await until(() => host.received.length === 2);
    assert.deepEqual(host.received[1]?.attachments.map((file) => "name" in file && [file.kind, file.name]), [["image", "cat.png"], ["document", "dropped.txt"]]);
    const image = page.locator("#log img");
    await until(async () => image.evaluate((element) => (element as HTMLImageElement).naturalWidth === 1), "the picture");
    assert.match((await image.getAttribute("src")) ?? "", /^blob:/);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download dropped.txt" }).click()]);
    assert.equal(download.suggestedFilename(), "dropped.txt");
    assert.equal(readFileSync(await download.path(), "utf8"), "bytes");
    assert.deepEqual(faults, []);
  });

  it("quotes what is answered, on both sides", async () => {
    await start();
    const { page } = await open();
    const at = await talk(page, "first words");
    await host.connection.send(at, { text: "an **answer**", replyTo: host.received[0]?.ref ?? "" }, "k1");
    await page.locator("#log .quote").getByText("first words").waitFor();
    await page.locator("#log article.bot").getByRole("button", { name: "Reply" }).click();
    await page.locator("#quoting").getByText("an answer").waitFor();
    await say(page, "second words");
    await until(() => host.received.length === 2);
    const [, , last] = await page.locator("#log article").all();
    assert.equal(host.received[1]?.replyTo, await page.locator("#log article.bot").getAttribute("data-ref"));
    await last?.locator(".quote").getByText("an answer").waitFor();
    assert.equal(await page.locator("#quoting").isVisible(), false);
  });

  it("tells a stranger so, keeps the message, and delivers it once the owner let them in", async () => {
    answer = () => "refused";
    await start();
    const { page } = await open();
    await say(page, "may I come in?");
    await page.getByText("The owner has not let you in yet").waitFor();
    assert.equal(await page.locator("#stranger code").textContent(), host.received[0]?.sender.id);
    await page.reload();
    await page.getByText("The owner has not let you in yet").waitFor();
    answer = () => "saved";
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator("#log article.kept").getByText("may I come in?").waitFor();
    await page.locator("#stranger").waitFor({ state: "hidden" });
    assert.equal(new Set(host.received.map(({ id }) => id)).size, 1);
  });

  it("hands over the owner's code, and takes it out of the address", async () => {
    const claims: string[] = [];
    await start({}, { claim: async (code) => { claims.push(code); return code === "GOOD"; } });
    const { page } = await open({}, `${host.url}#owner=GOOD`);
    await page.locator(".toast.good").getByText("You are the owner").waitFor();
    assert.equal(page.url(), host.url);
    await page.reload();
    await page.waitForSelector('#state[data-state="open"]');
    assert.deepEqual(claims, ["GOOD"]);
    await page.evaluate(() => { location.hash = "#owner=BAD"; });
    await until(() => claims.length === 2);
    assert.equal(await page.evaluate(() => location.href), host.url);
    const { page: other } = await open({}, `${host.url}#owner=BAD`);
    await other.locator(".toast.fault").getByText("does not work any more").waitFor();
  });

  it("shows why a message waits or was not taken, and gets it out without a double", async () => {
    await start();
    const { page } = await open();
    await talk(page);
    await page.route("**/send", (route) => route.abort());
    await say(page, "no network");
    await page.locator(".meta.fault").getByText("Not sent yet").waitFor();
    // The request arrived, its answer did not.
    await page.unroute("**/send");
    await page.route("**/send", async (route) => { await route.fetch(); await route.abort(); }, { times: 1 });
    await page.getByRole("button", { name: "Try again" }).click().catch(() => undefined);
    await until(() => host.received.length === 2);
    await pauseUntilQuiet(page);
    await page.route("**/send", (route) => route.fulfill({ status: 413, contentType: "application/json", body: JSON.stringify({ error: { code: "MSG_003", text: "Expected less." } }) }), { times: 1 });
    await until(async () => (await page.locator("#log article.kept.visitor").count()) === 2);
    assert.equal(await page.locator(".meta.fault").count(), 0);
    await say(page, "too large");
    await page.locator(".meta.fault").getByText("Not sent: Expected less.").waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    await until(async () => JSON.stringify(await shown(page)) === JSON.stringify(["hello", "no network"]), "the message to go");
    for (let n = 0; n < 20; n++) await say(page, `fast ${n}`);
    await page.locator(".meta.fault").getByText("Too fast").first().waitFor({ timeout: 10_000 });
    assert.equal(new Set(host.received.map(({ id }) => id)).size, host.received.filter(({ text }) => text !== "no network").length + 1);
  });
  /** Until the queue has nothing left: its kept messages are gone from the browser. */
  const pauseUntilQuiet = (page: Page) => until(() => page.evaluate(() => Object.keys(localStorage).every((key) => !key.includes(":out/"))), "an empty queue", 10_000);

  it("says when the line is lost, keeps what is written meanwhile, and goes on by itself", async () => {
    await start();
    const { page, faults } = await open();
    const at = await talk(page);
    await host.connection.preview?.(at, { text: "half a sent" }, "k1");
    await page.locator("#live article").waitFor();
    await page.route("**/*", (route) => route.abort());
    host.cut();
    await page.locator("#banner").getByText("Connection lost").waitFor();
    assert.equal(await page.locator("#live article").count(), 0);
    await say(page, "written in the dark");
    await host.connection.send(at, { text: "half a sentence" }, "k1");
    await page.unroute("**/*");
    await page.locator("#banner").waitFor({ state: "hidden", timeout: 20_000 });
    await until(() => host.received.length === 2, "the message", 20_000);
    await until(async () => (await shown(page)).length === 3);
    assert.deepEqual((await shown(page)).sort(), ["half a sentence", "hello", "written in the dark"]);
    assert.deepEqual(faults, []);
  });

  it("needs no mouse: Tab reaches all, Enter sends, Shift and Enter breaks the line, Escape ends a reply", async () => {
    await start({ suggestions: ["Help"] });
    const { page } = await open({ viewport: { width: 1280, height: 800 } });
    assert.equal(await page.evaluate(() => document.activeElement?.id), "text");
    await page.keyboard.type("one");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await until(() => host.received.length === 1);
    const [{ text, at }] = host.received as [Message];
    assert.equal(text, "one\ntwo");
    await host.connection.send(at, { text: "Sure?", buttons: [[{ label: "Yes" }]] }, "k1");
    await page.getByRole("button", { name: "Yes" }).waitFor();
    const names: string[] = [];
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    for (let n = 0; n < 16; n++) {
      await page.keyboard.press("Tab");
      names.push(await page.evaluate(() => { const { activeElement: element } = document; return element === document.body || element === null ? "" : (element.getAttribute("aria-label") ?? element.textContent ?? "").trim(); }));
      if (names.at(-1) === "Yes") break;
    }
    assert.equal(names.at(-1), "Yes", names.join(", "));
    assert.equal(names.find((name) => name !== ""), "Skip to the text box");
    assert.ok(names.includes("About you") && names.includes("Conversation"), names.join(", "));
    await page.keyboard.press("Enter");
    await until(() => host.received.length === 2);
    await page.locator('[aria-pressed="true"]').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), "Yes");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Reply");
    await page.waitForFunction(() => getComputedStyle(document.activeElement?.closest(".acts") as Element).opacity === "1", undefined, { timeout: 5_000 });
    await page.keyboard.press("Enter");
    await page.locator("#quoting").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#quoting").waitFor({ state: "hidden" });
    assert.equal(await page.evaluate(() => document.activeElement?.id), "text");
  });

  it("has a name for everything that can be used, and a log that is read out politely", async () => {
    await start({ suggestions: ["Help"] });
    const { page } = await open();
    const at = await talk(page);
    await host.connection.send(at, { text: "```js\nx\n```\n\n- [x] a", buttons: [[{ label: "Yes" }]] }, "k1");
    await page.locator("#log pre").waitFor();
    await page.locator("#me").click();
    const bare = await page.evaluate(() => [...document.querySelectorAll("button, input, textarea, a, dialog, [role=region]")].filter((element) => !element.matches("[hidden], [hidden] *") && !(element.getAttribute("aria-label") || element.getAttribute("aria-labelledby") || element.textContent?.trim() || (element.id !== "" && document.querySelector(`label[for="${element.id}"]`)))).map((element) => element.outerHTML));
    assert.deepEqual(bare, []);
    const log = page.locator("#log");
    assert.deepEqual(await log.evaluate((element) => [element.getAttribute("role"), element.getAttribute("aria-live"), element.getAttribute("aria-busy"), element.getAttribute("aria-label")]), ["log", "polite", "false", "Conversation"]);
    // What grows is read once, when it is whole.
    await host.connection.preview?.(at, { text: "gro" }, "k2");
    await page.locator("#live article").waitFor();
    assert.equal(await page.locator("#live").getAttribute("aria-hidden"), "true");
    assert.match((await log.locator("article").last().textContent()) ?? "", /^Home said:/);
  });

  it("speaks German to a German browser, fits a small phone, and asks for the name it sends along", async () => {
    await start();
    const { page } = await open({ locale: "de-DE", viewport: { width: 320, height: 568 }, isMobile: true, hasTouch: true });
    assert.equal(await page.locator("#text").getAttribute("placeholder"), "Nachricht schreiben");
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    await page.getByRole("button", { name: "Über dich" }).click();
    await page.getByLabel("Dein Name (freiwillig)").fill("Ada");
    await page.getByRole("button", { name: "Speichern" }).click();
    const at = await talk(page, "x".repeat(500));
    assert.deepEqual([host.received[0]?.sender.name, host.received[0]?.sender.language], ["Ada", "de-DE"]);
    await host.connection.send(at, { text: `${"W".repeat(400)}\n\n| ${"a | ".repeat(30)}\n|${"--|".repeat(30)}\n\n\`\`\`\n${"y".repeat(400)}\n\`\`\`` }, "k1");
    await page.locator("#log pre").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
    assert.ok(await page.evaluate(() => { const scroll = document.getElementById("scroll") as HTMLElement; return scroll.scrollWidth <= scroll.clientWidth; }));
  });

  it("stays where the reader is, counts what is new, and jumps to it", async () => {
    await start();
    const { page } = await open();
    const at = await talk(page);
    for (let n = 0; n < 30; n++) await host.connection.send(at, { text: `line ${n}` }, `k${n}`);
    await page.locator("#log").getByText("line 29").waitFor();
    const top = () => page.evaluate(() => (document.getElementById("scroll") as HTMLElement).scrollTop);
    assert.ok((await top()) > 100);
    await page.evaluate(() => { (document.getElementById("scroll") as HTMLElement).scrollTop = 50; });
    await page.locator("#latest").waitFor();
    await host.connection.send(at, { text: "news" }, "news");
    await page.getByRole("button", { name: "Jump to the latest message, 1 new" }).waitFor();
    assert.equal(await top(), 50);
    await page.locator("#latest").click();
    await page.locator("#latest").waitFor({ state: "hidden" });
    assert.ok(await page.locator("#log").getByText("news").isVisible());
  });

  it("shows the newest 200 messages of a long talk, and the earlier ones on demand", async () => {
    await start();
    const { page } = await open();
    const at = await talk(page, "the very first");
    for (let n = 0; n < 210; n++) await host.connection.send(at, { text: `line ${n}` }, `k${n}`);
    await page.reload();
    await page.locator("#log").getByText("line 209").waitFor();
    assert.equal(await page.locator("#log article").count(), 200);
    await page.getByRole("button", { name: "Show earlier messages" }).click();
    await page.getByText("the very first").waitFor();
    assert.equal(await page.locator("#log article").count(), 211);
    assert.equal(await page.locator("#earlier").isVisible(), false);
  });

  describe("whose server is killed", () => {
    let folder: string;
    let child: ChildProcess | undefined;
    before(() => { folder = mkdtempSync(path.join(tmpdir(), "clawflow-chat-")); });
    after(() => { child?.kill("SIGKILL"); rmSync(folder, { recursive: true, force: true }); });
    async function serve(port: string): Promise<string> {
      const own = spawn(process.execPath, [path.join(projectRoot, "test/platforms/webchat-server.ts"), path.join(folder, "store"), port], { stdio: ["ignore", "pipe", "inherit"] });
      child = own;
      return new Promise((resolve, reject) => {
        own.stdout?.once("data", (line: Buffer) => resolve(line.toString().trim()));
        own.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
      });
    }
    const kill = async () => { const own = child as ChildProcess; const gone = new Promise((resolve) => own.once("exit", resolve)); own.kill("SIGKILL"); await gone; };

    it(`${KILLS} times, at any moment, and comes back: each message once, in order, on the page and in the transcript`, async () => {
      await start();
      const url = await serve("0");
      const { port } = new URL(url);
      const { page, faults } = await open({}, url);
      const asked: string[] = [];
      for (let n = 0; n < KILLS; n++) {
        const text = `question ${n}`;
        asked.push(text);
        await say(page, text);
        // By turns: at once, a little later, at the first visible piece of the answer, and at the whole answer.
        if (n % 4 === 1) await new Promise((resolve) => setTimeout(resolve, n * 3));
        if (n % 4 === 2) await page.locator("#live article").waitFor();
        if (n % 4 === 3) await page.locator("#log article.bot").nth(n).waitFor();
        await kill();
        await serve(port);
        await until(async () => (await page.locator("#log article.bot").count()) === n + 1, `answer ${n + 1}`, 30_000);
      }
      const wanted = asked.flatMap((text) => [text, `You said: ${text}. That is all I know.`]);
      await until(async () => JSON.stringify(await shown(page)) === JSON.stringify(wanted), `each once and in order, got ${JSON.stringify(await shown(page))}`, 10_000);
      const history = await page.evaluate(async (header) => {
        const key = Object.keys(localStorage).find((name) => name.endsWith(":token")) ?? "";
        return (await (await fetch("history", { headers: { [header]: JSON.parse(localStorage.getItem(key) ?? "") as string } })).json()) as { text: string }[];
      }, VISITOR_HEADER);
      assert.deepEqual(history.map(({ text }) => text.replaceAll("**", "")), wanted);
      assert.equal(await page.locator("#live article").count(), 0);
      await page.reload();
      await page.locator("#log article").nth(wanted.length - 1).waitFor();
      assert.deepEqual(await shown(page), wanted);
      assert.deepEqual(faults, []);
    });
  });
});
