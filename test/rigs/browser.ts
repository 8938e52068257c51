/** Chromium for the browser tests. */
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { skip } from "./skip.ts";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A microphone that beeps, and is allowed to every page. */
export const MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** Skips the tests, with the reason, where there is no Chromium. */
export async function openBrowser(context: Mocha.Context, flags: readonly string[] = []): Promise<Browser> {
  // Plain JavaScript of the scripts has no types.
  const setup = "../../scripts/setup.mjs";
  const { findChromium } = (await import(setup)) as { findChromium(): string | undefined };
  return chromium.launch({ executablePath: findChromium() ?? skip(context, "no Chromium: the pages were not opened"), args: [...FLAGS, ...flags] });
}

/** Node-RED's editor slides its trays in and out, and waits for that by timers of up to a second: without the slides the timers may run ten times as fast, in the same order. */
export async function hurryEditor(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    const { setTimeout } = window;
    window.setTimeout = ((act: () => void, ms = 0, ...more: []) => setTimeout(act, ms <= 1_000 ? ms / 10 : ms, ...more)) as typeof window.setTimeout;
    addEventListener("DOMContentLoaded", () => {
      const style = document.createElement("style");
      style.textContent = "*, ::before, ::after { transition: none !important; animation: none !important; }";
      document.head.append(style);
      const { jQuery } = window as unknown as { jQuery?: { fx: { off: boolean } } };
      if (jQuery !== undefined) jQuery.fx.off = true;
    });
  });
}
/** Until the newest tray stands: the last thing that opening one does is to put the stack in front of the sidebar, long after the selects' change has been fired. */
export async function trayStands(page: Page): Promise<void> {
  await page.waitForFunction(() => document.getElementById("red-ui-editor-stack")?.style.zIndex === "13");
}
