/** The store in the gateway's dialog, in a real browser: what befell it is said in words, copies are made and put back. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { createStoreCare } from "../../engine/store-care.ts";
import { systemClock } from "../../engine/clock.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { newReceipt } from "../contracts/store.ts";
import { until } from "../kit/scripted.ts";
import { hurryEditor, openBrowser, trayStands } from "../rigs/browser.ts";
import { gateway, tab } from "../rigs/home.ts";
import { startNodeRed, type NodeRed } from "../rigs/node-red.ts";

declare const window: { RED: { nodes: { getType(type: string): unknown }; editor: { editConfig(name: string, type: string, id: string, prefix: null): void } } };
/** A folder to keep pictures in, for people to look at. */
const pictures = process.env["CLAWFLOW_PICTURES"];

describe("the store in the editor", function () {
  this.timeout(120_000);
  let userDir: string;
  let red: NodeRed;
  let browser: Browser;
  const faults: string[] = [];

  before(async function () {
    browser = await openBrowser(this);
    userDir = mkdtempSync(path.join(tmpdir(), "clawflow-store-page-"));
    // A store with a backup, whose second half is damaged afterwards: some of it can be rescued.
    const folder = path.join(userDir, "clawflow", "home");
    mkdirSync(folder, { recursive: true });
    const store = await openSqliteStore(folder);
    for (let n = 0; n < 400; n++) await store.commit([{ do: "receive", receipt: newReceipt(`m${n}`) }]);
    const care = createStoreCare({ store, folder, clock: systemClock, log: () => undefined });
    await care.backup();
    await care.close();
    await store.close();
    const file = path.join(folder, "store.sqlite");
    const bytes = readFileSync(file);
    bytes.fill(0x5a, Math.floor(bytes.length / 2 / 4096) * 4096, bytes.length - 8192);
    writeFileSync(file, bytes);
    red = await startNodeRed({ flows: [tab, gateway], userDir });
    await until(async () => (await red.admin<{ store: { open: boolean } }>("GET", "/clawflow/gateway/gw")).store.open, "the store", 20_000);
  });
  after(async () => {
    await browser?.close();
    await red?.remove();
    if (userDir !== undefined) rmSync(userDir, { recursive: true, force: true });
  });
  afterEach(() => assert.deepEqual(faults.splice(0), []));

  async function openGateway(locale: string, width = 1400, dark = false): Promise<Page> {
    const context = await browser.newContext({ viewport: { width, height: 1400 }, locale });
    await hurryEditor(context);
    await context.route("**/*", (route) => (new URL(route.request().url()).hostname === "127.0.0.1" || /^(data|blob):/.test(route.request().url()) ? route.continue() : route.abort()));
    const page = await context.newPage();
    page.on("console", (message) => { if (message.type() === "error" && !/catalogue|ERR_FAILED/.test(message.text())) faults.push(message.text()); });
    // The editor's own scripts may stumble when a page is closed in the middle of their work; ours are part of the page itself.
    page.on("pageerror", (error) => { const lines = (error.stack ?? String(error)).split("\n").slice(1); if (lines.length === 0 || !lines.every((line) => /\/red\.min\.js/.test(line))) faults.push(error.stack ?? String(error)); });
    await page.goto(red.url);
    await page.waitForFunction(() => window.RED?.nodes?.getType("clawflow-webhook") !== undefined && document.querySelector("#red-ui-loading-progress:not([style*='display: none'])") === null);
    if (dark) await page.evaluate(() => document.documentElement.classList.add("nr-theme-dark"));
    await page.evaluate(() => window.RED.editor.editConfig("", "clawflow-gateway", "gw", null));
    await page.waitForSelector(".cf-backups", { state: "visible" });
    await trayStands(page);
    return page;
  }
  async function picture(page: Page, name: string): Promise<void> {
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    await page.locator(".red-ui-tray-body").last().evaluate((body) => { body.scrollTop = body.scrollHeight; });
    await page.screenshot({ path: path.join(pictures, `${name}-low.png`) });
    await page.locator(".red-ui-tray-body").last().evaluate((body) => { body.scrollTop = 0; });
    await page.screenshot({ path: path.join(pictures, `${name}.png`) });
  }
  const texts = async (page: Page, selector: string): Promise<string> => ((await page.locator(selector).allTextContents()).join(" ")).replace(/\s+/g, " ");
  /** Elements of the form that stand out to the right of it. */
  const wide = (page: Page): Promise<string[]> => page.evaluate(() => {
    const form = document.querySelector(".cf-form") as HTMLElement;
    const right = form.getBoundingClientRect().right + 1;
    return [...form.querySelectorAll("*")].filter((element) => element.getClientRects().length > 0 && element.getBoundingClientRect().right > right).map((element) => element.outerHTML.slice(0, 200));
  });

  it("says what befell it, lists the backups, makes one, and puts one back after asking", async () => {
    const page = await openGateway("en-US");
    const said = await texts(page, ".cf-store-event");
    assert.match(said, /The store was damaged, and a new one was begun\..+STORE_002.*Reason: .+The damaged file is now \S+store\.sqlite\.damaged-\S+.*Rescued: \d+ messages \(\d+ of them waiting\)/);
    assert.doesNotMatch(said.replace(/\/\S+/g, ""), /&#|store\.|__/, "no key and no placeholder is left");
    await page.locator("#clawflow-limits summary").click();
    await picture(page, "store-light");
    await page.getByRole("button", { name: "Back up now" }).click();
    await page.waitForSelector(".cf-store-told .cf-state-ok");
    assert.match(await texts(page, ".cf-store-told"), /Backed up on /);
    assert.equal(await page.locator(".cf-backups tbody tr").count(), 2);

    const restore = page.getByRole("button", { name: /^Restore the state of/ });
    await restore.last().click();
    assert.match(await texts(page, ".cf-store-ask"), /Go back to the state of .+\?\s*The present store is moved aside, not deleted.+dead letter.+nothing that was sent is sent twice/);
    assert.deepEqual(await wide(page), []);
    await picture(page, "store-ask");
    await page.getByRole("button", { name: "Cancel", exact: true }).last().click();
    await page.waitForSelector(".cf-store-ask", { state: "detached" });
    assert.equal(await page.locator(".cf-backups tbody tr").count(), 2);

    await restore.last().click();
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await page.waitForSelector(".cf-store-told .cf-state-ok", { timeout: 20_000 });
    assert.match(await texts(page, ".cf-store-told"), /The store is as it was on /);
    assert.match(await texts(page, ".cf-store-event"), /A backup was restored\..+dead letters because they may have been answered: 400/);
    assert.match(await texts(page, ".cf-backups"), /put aside by a restore/);
    await picture(page, "store-restored");
    await page.getByRole("button", { name: "I have read this" }).click();
    await page.waitForSelector(".cf-store-event", { state: "detached" });
    await page.context().close();
  });

  it("says so in German, in the dark, and where there is little room; a fault has its code and the way out", async () => {
    const page = await openGateway("de", 1000, true);
    const { store: { folder, backups } } = await red.admin<{ store: { folder: string; backups: { name: string }[] } }>("GET", "/clawflow/gateway/gw");
    for (const { name } of backups) if (name.startsWith("store-")) writeFileSync(path.join(folder, "backups", name), "text ".repeat(3000));
    await page.getByRole("button", { name: /^Den Stand vom .+ zurückspielen/ }).last().click();
    assert.match(await texts(page, ".cf-store-ask"), /Zum Stand vom .+ zurückkehren\?/);
    assert.deepEqual(await wide(page), []);
    await picture(page, "store-de-narrow-dark");
    await page.getByRole("button", { name: "Zurückspielen", exact: true }).click();
    await page.waitForSelector(".cf-store-told .cf-problems li");
    assert.match(await texts(page, ".cf-store-told"), /Expected a sound backup, got .+\(STORE_002\)/);
    await picture(page, "store-de-fault");
    faults.splice(0, faults.length, ...faults.filter((text) => !/status of 400/.test(text)));
    await page.context().close();
  });
});
