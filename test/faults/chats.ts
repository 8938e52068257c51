/** A real Node-RED in chats of the stub platform, for tests that speak with it as people do and kill it in between. What stood in the chats is the judge. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../kit/scripted.ts";
import { type FlowNode, type NodeRed, projectRoot, startNodeRed, USUAL } from "../rigs/node-red.ts";
import { startStub, type Stub } from "./child.ts";
import { watchStore } from "./conserve.ts";
import type { Entry } from "./stubs/log.ts";

/** One that honours a key, one where one can look, one that offers nothing: there a kill in the send window may show one message twice. */
export const BOTS = ["key", "evidence", "none"] as const;
export type Bot = (typeof BOTS)[number];

export interface Chats extends AsyncDisposable {
  readonly red: NodeRed;
  readonly platform: Stub;
  /** Resolves to the message's id, once the platform has it. */
  say(bot: Bot, text: string, more?: { readonly chat?: string; readonly from?: string; readonly copies?: number }): Promise<string>;
  acked(id: string): Promise<void>;
  /** Texts in this chat since `from` of them had been shown, oldest first; `again`: of a key that was there already. */
  shown(bot: Bot, chat?: string, from?: number): Promise<{ readonly text: string; readonly again: boolean }[]>;
  /** Resolves with the first text of that chat, since `from`, that fits. */
  hears(bot: Bot, pattern: RegExp, chat?: string, from?: number): Promise<string>;
  wait(what: string, test: () => boolean | Promise<boolean>): Promise<void>;
  /** kill -9 and a new start. */
  kill(): Promise<void>;
  readonly kills: number;
  settled(): Promise<void>;
}

/** `flow` gets the platform's address; its accounts are those of `accounts`. */
export async function startChats(flow: (platform: string) => readonly FlowNode[]): Promise<Chats> {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-chats-"));
  const platform = await startStub("platform", path.join(folder, "platform.log"));
  const red = await startNodeRed({ core: USUAL, flows: flow(platform.url), packages: [path.join(projectRoot, "test/plugins/fault-channels")], env: { NODE_COMPILE_CACHE: path.join(folder, "compiled") }, settings: { disableEditor: true } });
  const watch = watchStore(path.join(red.userDir, "clawflow/home"), { seen: () => platform.entries() });
  for (const bot of BOTS) if (bot !== "evidence") await platform.control("hook", { bot, url: `${red.url}/clawflow/home/${bot}` });
  let ids = 0;
  let kills = 0;
  const shown: Chats["shown"] = async (bot, chat = "u", from = 0) => {
    const keys = new Set<unknown>();
    return (await platform.entries()).filter((entry: Entry) => entry.what === "shown" && entry.bot === bot && entry.chat === chat)
      .map(({ text, key }) => { const again = keys.has(key); keys.add(key); return { text: String(text), again }; }).slice(from);
  };
  const wait: Chats["wait"] = (what, test) => until(test, what, 120_000, 20).catch(async (error: Error) => assert.fail(`${error.message}; shown ${JSON.stringify((await platform.entries()).filter((entry) => entry.what === "shown").slice(-8).map(({ bot, chat, text }) => [bot, chat, text]))}\n${red.lines.slice(-12).join("\n")}`));
  return {
    red, platform, shown, wait,
    async say(bot, text, { chat = "u", from = chat, copies = 1 } = {}) {
      const id = `m${++ids}`;
      await platform.control("say", { messages: [{ bot, chat, from, id, text: text.replaceAll("#", id), copies }] });
      return id;
    },
    acked: (id) => wait(`${id} to be confirmed`, async () => (await platform.entries()).some((entry) => entry.what === "acked" && entry.id === id)),
    async hears(bot, pattern, chat, from) {
      let found: string | undefined;
      await wait(`${pattern} at ${bot}`, async () => { found = (await shown(bot, chat, from)).find(({ text }) => pattern.test(text))?.text; return found !== undefined; });
      return found ?? "";
    },
    async kill() { kills++; await red.kill(); await red.start(); },
    get kills() { return kills; },
    async settled() {
      await wait("the end of all messages", async () => { const { counts } = await red.admin<{ counts: { pending: number; outbox: { planned?: number; sending?: number } } }>("GET", "/clawflow/gateway/gw"); return counts.pending === 0 && (counts.outbox.planned ?? 0) + (counts.outbox.sending ?? 0) === 0; });
    },
    async [Symbol.asyncDispose]() {
      try {
        await red.kill();
        await watch[Symbol.asyncDispose]();
      } finally {
        await red.remove();
        await platform.close();
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

export const accounts = (platform: string): FlowNode[] => BOTS.map((bot) => ({ id: `acc-${bot}`, type: "clawflow-account", name: bot, gateway: "gw", slug: bot, channel: `fault-${bot}`, policy: "open", version: 1, settings: { api: `${platform}/bot/${bot}`, inbound: bot === "evidence" ? "poll" : "webhook" } }));

/** Of these texts each stood there once; on the platform that offers nothing once more for a kill, under the same key. */
export async function once(chats: Chats, bot: Bot, expected: readonly string[], from: number, chat = "u"): Promise<number> {
  await pause(20);
  const all = await chats.shown(bot, chat, from);
  assert.deepEqual(all.filter(({ again }) => !again).map(({ text }) => text), expected, `what stood at ${bot}`);
  const copies = all.length - expected.length;
  assert.ok(copies <= (bot === "none" ? 1 : 0), `${copies} copies at ${bot}: ${JSON.stringify(all)}`);
  return copies;
}
