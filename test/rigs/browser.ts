/** Chromium for the browser tests. */
import { chromium, type Browser } from "playwright-core";
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
