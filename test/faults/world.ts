/** What is outside of Node-RED: chat platforms and a model, each a process of its own, and what they saw. */
import path from "node:path";
import { startStub, type Stub } from "./child.ts";
import type { Bot } from "./flow.ts";
import { type Kill, unfinished } from "./judge.ts";
import type { Entry } from "./stubs/log.ts";

export interface Spoken { readonly bot: Bot; readonly chat: string; readonly from: string; readonly id: string; readonly text: string; readonly copies: number }

export interface World {
  readonly platform: Stub;
  readonly telegram: Stub;
  readonly model: Stub;
  /** All that the platforms saw, in time. */
  seen(): Promise<Entry[]>;
  /** Messages not yet confirmed or not yet wholly answered, oldest first. */
  open(): Promise<string[]>;
  /** Those of them that are confirmed: runs in flight. */
  inFlight(): Promise<number>;
  /** All is answered: what is known so far need not be looked through again. */
  forget(): Promise<void>;
  say(messages: readonly Spoken[]): Promise<void>;
  /** A platform kills or holds at the n-th such moment, whichever of them it is; none where nothing is given. */
  act(order: object): Promise<void>;
  /** What became of a message, in the stubs' words. */
  story(id: string, kills: readonly Kill[]): Promise<string>;
  close(): Promise<void>;
}

export async function startWorld(folder: string): Promise<World> {
  const [platform, telegram, model] = await Promise.all([startStub("platform", path.join(folder, "platform.log")), startStub("telegram", path.join(folder, "telegram.log")), startStub("model", path.join(folder, "model.log"))]);
  const chats = [platform, telegram];
  const settled = new Map<Stub, number>();

  async function recent(): Promise<Entry[]> {
    const parts = await Promise.all(chats.map(async (stub) => (await stub.entries()).slice(settled.get(stub) ?? 0)));
    return parts.flat();
  }
  const seen = async (): Promise<Entry[]> => (await Promise.all(chats.map((stub) => stub.entries()))).flat().sort((a, b) => a.t - b.t);
  return {
    platform, telegram, model, seen,
    open: async () => unfinished(await recent()),
    async inFlight() {
      const entries = await recent();
      const acked = new Set(entries.filter(({ what }) => what === "acked").map(({ id }) => id));
      return unfinished(entries).filter((id) => acked.has(id)).length;
    },
    async forget() { for (const stub of chats) settled.set(stub, (await stub.entries()).length); },
    async say(messages) {
      const own = (mine: boolean) => messages.filter(({ bot }) => (bot === "telegram") === mine);
      await Promise.all([platform.control("say", { messages: own(false) }), telegram.control("say", { messages: own(true) })]);
    },
    async act(order) { await Promise.all(chats.map((stub) => stub.control("act", order))); },
    async story(id, kills) {
      const own = (entry: Entry) => entry.id === id || String(entry.text ?? "").includes(`a:${id}:`);
      const steps = [...await seen(), ...await model.entries()].filter(own).sort((a, b) => a.t - b.t);
      const from = steps[0]?.t ?? 0;
      const since = (t: number) => `+${(t - from).toFixed(0)}`;
      const died = kills.filter(({ t }) => t > from).map(({ t, point }) => `killed at ${point} ${since(t)}`);
      return `${id} of ${String(steps[0]?.bot)}: ${[...steps.map(({ t, what, round }) => `${what}${round === undefined ? "" : ` ${String(round)}`} ${since(t)}`), ...died].join(", ")}`;
    },
    async close() { await Promise.all([...chats, model].map((stub) => stub.close())); },
  };
}
