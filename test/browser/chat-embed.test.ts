/** The web chat on a page of another site, in Chromium: the launcher, the frame, who the visitor is, and rooms. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, BrowserContextOptions, Frame, Page } from "playwright-core";
import { createWebchat } from "../../engine/channels/webchat/webchat.ts";
import type { Address } from "../../engine/message.ts";
import { until } from "../kit/scripted.ts";
import { createStorage, type Host, openHost } from "../platforms/host.ts";
import { builtPage } from "../platforms/webchat-page.ts";
import { openBrowser } from "../rigs/browser.ts";

const SECRET = "an-account-secret-of-more-than-32-characters";
const PHONE = { width: 390, height: 844 };
const WIDE = { width: 1100, height: 800 };
/** Where pictures of the page are put for a person to look at. */
const PICTURES = process.env.CLAWFLOW_PICTURES;

interface Site { readonly page: Page; readonly faults: string[]; chat(): Promise<Frame>; toggle(): Promise<void>; names(role: string): Promise<string[]> }

describe("the chat on another site's page", function () {
  this.timeout(120_000);
  let browser: Browser;
  let host: Host;
  let site: Server;
  let siteUrl: string;
  let markup = "";
  const opened: Page[] = [];
  const sign = (exp = Math.floor(Date.now() / 1_000) + 3_600, secret = SECRET): string => {
    const claims = Buffer.from(JSON.stringify({ id: "42", name: "Ada Lovelace", exp })).toString("base64url");
    return `${claims}.${createHmac("sha256", secret).update(claims).digest("base64url")}`;
  };

  before(async function () { browser = await openBrowser(this); });
  after(async () => { await browser?.close(); });
  async function start(settings: Record<string, unknown> = {}): Promise<void> {
    site = createServer((request, response) => {
      // As strict as a page can be: nothing but the chat's own origin, no inline style.
      response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": `default-src 'none'; script-src ${new URL(host.url).origin}; frame-src ${new URL(host.url).origin}; require-trusted-types-for 'script'; trusted-types 'none'` });
      response.end(request.url === "/" ? `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>A shop</title><h1>A shop</h1><p>Its own words.</p><a href="#x">a link</a>${markup}</html>` : "");
    });
    await new Promise<void>((done) => { site.listen(0, "127.0.0.1", done); });
    siteUrl = `http://localhost:${(site.address() as AddressInfo).port}/`;
    host = await openHost({ channel: createWebchat(builtPage), storage: createStorage(), settings: { title: "Claw", secret: SECRET, rooms: ["help: Help desk"], origins: [new URL(siteUrl).origin], ...settings }, receive: async () => "saved" });
    markup = `<script src="${host.url}embed.js"></script>`;
  }
  afterEach(async () => {
    for (const page of opened.splice(0)) await page.context().close();
    await host?.close();
    site?.closeAllConnections();
    await new Promise((done) => { site?.close(done); });
  });

  async function visit(options: BrowserContextOptions = {}): Promise<Site> {
    const context = await browser.newContext({ viewport: WIDE, locale: "en-GB", ...options });
    const page = await context.newPage();
    const faults: string[] = [];
    opened.push(page);
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("console", (line) => { if (/Content.Security|Trusted/i.test(line.text())) faults.push(line.text()); });
    await page.goto(siteUrl);
    await page.locator("clawflow-chat").waitFor({ state: "attached" });
    const chat = async (): Promise<Frame> => {
      await until(() => page.frames().some((frame) => frame.url().startsWith(host.url)), "the frame", 20_000);
      const frame = page.frames().find((each) => each.url().startsWith(host.url)) as Frame;
      await frame.waitForSelector('#state[data-state="open"]');
      await frame.locator('#log[aria-busy="false"]').waitFor({ state: "attached" });
      return frame;
    };
    const size = () => page.viewportSize() ?? WIDE;
    return {
      page, faults, chat,
      toggle: () => page.mouse.click(size().width - 48, size().height - 48),
      /** As a screen reader finds them, in the closed shadow tree too. */
      async names(role) {
        const session = await context.newCDPSession(page);
        const { nodes } = await session.send("Accessibility.getFullAXTree");
        await session.detach();
        return nodes.filter((node) => node.role?.value === role && node.ignored !== true).map((node) => String(node.name?.value ?? ""));
      },
    };
  }
  const say = async (frame: Frame, text: string) => { await frame.locator("#text").fill(text); await frame.locator("#text").press("Enter"); };
  async function talk(frame: Frame, text = "hello"): Promise<Address> {
    const before = host.received.length;
    await say(frame, text);
    await until(() => host.received.length > before, "the message", 20_000);
    await frame.locator("#log article.visitor.kept").last().waitFor();
    return host.received.at(-1)?.at ?? assert.fail();
  }
  const picture = async (page: Page, name: string): Promise<void> => { if (PICTURES !== undefined) await page.screenshot({ path: `${PICTURES}/${name}.png` }); };

  it("opens by one button under the strictest policy, talks, closes by Escape and counts what came meanwhile", async () => {
    await start();
    const { page, faults, chat, toggle, names } = await visit();
    assert.equal(page.frames().length, 1, "nothing is loaded before somebody wants to talk");
    assert.deepEqual(await names("button"), ["Open the chat"]);
    await picture(page, "closed");
    await toggle();
    const frame = await chat();
    assert.deepEqual((await names("button")).includes("Close the chat"), true);
    await picture(page, "empty");
    const to = await talk(frame, "what do you sell?");
    await host.connection.send(to, { text: "Claws." }, "k1");
    await frame.locator("#log").getByText("Claws.").waitFor();
    await frame.locator("#text").press("Escape");
    await until(async () => (await names("button")).join() === "Open the chat", "the chat to close");
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), "CLAWFLOW-CHAT", "the focus comes back to the button");
    await host.connection.send(to, { text: "And more claws." }, "k2");
    await until(async () => (await names("button")).join() === "Open the chat, 1 new", "the count");
    await picture(page, "unread");
    await page.keyboard.press("Enter");
    await until(async () => (await names("button")).includes("Close the chat"), "the chat to open by the keyboard");
    await frame.locator("#log").getByText("And more claws.").waitFor();
    await frame.locator("#leave").click();
    await until(async () => (await names("button")).join() === "Open the chat", "the chat to close, and nothing to be new");
    assert.deepEqual(await page.context().cookies(), []);
    assert.deepEqual(faults, []);
  });

  it("lets neither side read the other, and believes no word of anybody else", async () => {
    await start();
    const { page, chat, toggle, names } = await visit();
    await toggle();
    const frame = await chat();
    await talk(frame, "a private word");
    assert.deepEqual(await page.evaluate(() => {
      const node = document.querySelector("clawflow-chat");
      return [node?.shadowRoot ?? null, document.querySelector("iframe"), document.body.textContent?.includes("a private word"), Object.keys(localStorage), Object.keys(sessionStorage)];
    }), [null, null, false, [], []]);
    assert.equal(await page.evaluate(() => window.length), 0, "the page finds no frame to ask");
    await assert.rejects(frame.evaluate(() => parent.document.title), /cross-origin|Blocked a frame/);
    assert.equal(await frame.evaluate(() => location.hash), "", "nothing stays in the address");
    // The page itself is not the frame, and another frame is not the page.
    await page.evaluate(() => postMessage({ clawflow: "close" }, "*"));
    await page.evaluate(() => postMessage({ clawflow: "unread", count: 7 }, "*"));
    await frame.evaluate(() => postMessage({ clawflow: "identity", token: "x.y" }, "*"));
    await page.evaluate(() => new Promise((done) => { setTimeout(done, 200); }));
    assert.ok((await names("button")).includes("Close the chat"));
    assert.equal(await frame.locator("#log").getByText("a private word").count(), 1);
  });

  it("shows nothing on a site that the account does not name", async () => {
    await start({ origins: ["https://shop.example"] });
    const { page, toggle } = await visit();
    await toggle();
    await until(() => page.frames().length === 2, "the frame");
    await page.waitForTimeout(300);
    assert.equal(await page.frames()[1]?.locator("#text").count().catch(() => 0), 0);
    assert.deepEqual(host.received, []);
  });

  it("knows whom the site vouches for; refuses a word that is forged or over until a better one comes", async () => {
    await start();
    markup = `<script src="${host.url}embed.js" data-identity="${sign()}" data-open></script>`;
    const first = await visit();
    const frame = await first.chat();
    await talk(frame, "it is me");
    assert.deepEqual([host.received[0]?.sender.id, host.received[0]?.sender.name], ["user:42", "Ada Lovelace"]);
    await frame.locator("#me").click();
    assert.deepEqual([await frame.locator("#name").inputValue(), await frame.locator("#name").getAttribute("readonly")], ["Ada Lovelace", ""]);
    const other = await visit({ viewport: PHONE });
    await (await other.chat()).locator("#log").getByText("it is me").waitFor();

    for (const [about, identity] of [["over", sign(1)], ["forged", sign(undefined, "another secret that is long enough for it")]] as const) {
      markup = `<script src="${host.url}embed.js" data-identity="${identity}"></script>`;
      const { page } = await visit();
      await page.evaluate(() => {
        const node = document.querySelector("clawflow-chat") as HTMLElement & { open(): void };
        node.addEventListener("expired", () => { document.title = "expired"; });
        node.open();
      });
      await until(async () => (await page.title()) === "expired", `the word that it is ${about}`, 20_000);
      const inside = page.frames()[1] as Frame;
      await inside.locator("#banner").getByText("who you are").waitFor();
      assert.equal(await inside.locator("#log article").count(), 0);
      await picture(page, `identity-${about}`);
      await page.evaluate((token) => (document.querySelector("clawflow-chat") as HTMLElement & { identify(token: string): void }).identify(token), sign());
      await page.frames()[1]?.locator("#log").getByText("it is me").waitFor();
    }
    assert.equal(host.received.length, 1, "nothing was heard of the forged one");

    markup = `<script src="${host.url}embed.js" data-open></script>`;
    const anonymous = await visit();
    assert.equal(await (await anonymous.chat()).locator("#log article").count(), 0);
  });

  it("takes no word about its visitor from a link: whoever follows one stays who they are", async () => {
    await start();
    const context = await browser.newContext({ viewport: WIDE, locale: "en-GB" });
    const page = await context.newPage();
    opened.push(page);
    page.setDefaultTimeout(20_000);
    const words = async (hash: string): Promise<void> => {
      await page.goto("about:blank");
      await page.goto(`${host.url}${hash}`);
      await page.waitForSelector('#state[data-state="open"]');
      assert.equal(await page.evaluate(() => location.hash), "", "the token stays in no address");
      await talk(page.mainFrame(), "who am I?");
    };
    await words(`#identity=${sign()}`);
    await words(`#host=${encodeURIComponent(new URL(siteUrl).origin)}&identity=${sign()}`);
    assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
    // What a frame of before kept in this tab is nothing for the page alone.
    await page.evaluate((token) => sessionStorage.setItem("clawflow:identity", token), sign());
    await words("");
    assert.deepEqual(host.received.map(({ sender }) => sender.id.slice(0, 4)), ["web-", "web-", "web-"]);
    assert.equal(new Set(host.received.map(({ sender }) => sender.id)).size, 1);
  });

  it("opens a room where several talk, each by name, and shows it on the phone, light and dark", async () => {
    await start();
    markup = `<script src="${host.url}embed.js" data-room="help" data-side="left" data-accent="#ffd166" data-label="Help" data-open></script>`;
    const ada = await visit();
    const bob = await visit({ viewport: PHONE, colorScheme: "dark", locale: "de-DE" });
    const name = async (frame: Frame, text: string) => { await frame.locator("#me").click(); await frame.locator("#name").fill(text); await frame.locator("#name").press("Enter"); };
    const [a, b] = [await ada.chat(), await bob.chat()];
    await name(a, "Ada");
    const long = "Bartholomäus Freiherr von Hohenstein-Überlingen zu Altenburg";
    await name(b, long);
    const to = await talk(a, "does anybody hear me?");
    assert.equal(to.kind, "group");
    await talk(b, "Ja!");
    await a.locator("#log article.other").getByText("Ja!").waitFor();
    assert.equal(await a.locator("#log article.other .author").textContent(), long);
    await b.locator("#log article.other").getByText("does anybody hear me?").waitFor();
    assert.deepEqual([host.received[0]?.sender.name, host.received[1]?.sender.name, host.received[1]?.addressed], ["Ada", long, false]);
    await say(b, "@Claw bist du da?");
    await until(() => host.received.at(-1)?.addressed === true, "the bot to be addressed");
    await host.connection.send(to, { text: "", cards: [{ title: "A card with a title", url: "https://example.org/", text: "Words with *marks* in them.", color: "#e4694b", fields: [{ name: "Wind", value: "12 km/h", short: true }, { name: "Rain", value: "none", short: true }], footer: "seen just now" }] }, "k0");
    const poll = await host.connection.send(to, { text: "One question:", poll: { question: "Tea or coffee?", options: ["Tea", "Coffee", "Something that has a very long name and needs two lines"] } }, "k1");
    await host.connection.send(to, { text: "Which room?", choices: { name: "room", hint: "One of these", options: [{ label: "Kitchen", value: "k", about: "with the big table" }, { label: "Garden" }] }, contact: { name: "Ada Lovelace", phone: "+49 30 123456" } }, "k2");
    await a.locator(".vote").nth(0).click();
    await b.locator(".vote").nth(1).click();
    await until(() => host.received.filter(({ action }) => action?.type === "vote").length === 2, "both votes", 20_000);
    await until(async () => (await a.locator(".vote-count").allTextContents()).join() === "1,1,0", "the counts", 20_000);
    assert.deepEqual([await a.locator('.vote[aria-pressed="true"]').count(), await b.locator('.vote[aria-pressed="true"]').textContent()], [1, "Coffee1"]);
    assert.deepEqual(host.received.filter(({ action }) => action?.type === "vote").map(({ action }) => action), [{ type: "vote", poll, options: ["0"] }, { type: "vote", poll, options: ["1"] }]);
    await b.getByRole("button", { name: "Kitchen" }).click();
    await until(() => host.received.at(-1)?.action?.type === "choice", "the choice", 20_000);
    assert.deepEqual(host.received.at(-1)?.action, { type: "choice", values: ["k"], name: "room" });
    await b.locator(".option.chosen").waitFor();
    // On a phone the chat is all there is, and nothing stands over its edge.
    assert.deepEqual(await b.evaluate(() => [innerWidth, innerHeight, document.documentElement.scrollWidth <= innerWidth]), [PHONE.width, PHONE.height, true]);
    await picture(ada.page, "room-light");
    await picture(bob.page, "room-phone-dark");
    for (const { faults } of [ada, bob]) assert.deepEqual(faults, []);
  });

  it("tells a room that is not there as a fault, and keeps what is written", async () => {
    await start();
    markup = `<script src="${host.url}embed.js" data-room="none" data-open></script>`;
    const { page } = await visit();
    await until(() => page.frames().length === 2, "the frame");
    const frame = page.frames()[1] as Frame;
    await frame.locator("#banner").getByText("no such room").waitFor();
    await say(frame, "hello?");
    await frame.locator("#log article.waiting").waitFor();
    await picture(page, "room-none");
    assert.deepEqual(host.received, []);
  });
});
