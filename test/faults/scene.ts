/** The rig for faults of models and sends: further agents and accounts, and wires that tell the platform's log what Catch, Status and channel out say in Node-RED. */
import assert from "node:assert/strict";
import { until } from "../kit/scripted.ts";
import { on } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/project.ts";
import { CHANNELS, type Bot } from "./flow.ts";
import { type Counts, type Finding, judge, type Verdict } from "./judge.ts";
import { type FaultRig, startFaultRig } from "./rig.ts";
import type { Entry } from "./stubs/log.ts";

/** The bots of flow.ts, one that can edit, and ones that a test adds. */
export type Speaker = Bot | (string & {});
export interface Line { readonly bot: Speaker; readonly chat: string; readonly text?: string }
export interface Scene extends AsyncDisposable {
  readonly rig: FaultRig;
  readonly flows: readonly FlowNode[];
  /** Resolves when the flows run again. */
  readonly deploy: FaultRig["deploy"];
  /** Says it and resolves to its id, which begins the text. The sender is a trusted person. */
  say(line: Line): Promise<string>;
  /** Makes somebody in the chat "boss" the owner of each of these: notices go there. */
  own(bots: readonly Speaker[]): Promise<void>;
  /** All is confirmed, no run is under way, and no more than `queued` rows wait. */
  quiet(queued?: number, ms?: number): Promise<Counts>;
  /** All that the platforms saw, but for the owner's chat. */
  seen(): Promise<Entry[]>;
  /** What the owner was told, once it is `count` or more, or after a while. */
  notices(count?: number): Promise<string[]>;
  /** What a wire of the flow told: "caught", "delivered" or "status". */
  told(wire: "caught" | "delivered" | "status"): Promise<Entry[]>;
  /** The judge's findings, by message; those that name none stand under "". */
  verdict(counts: Counts): Promise<{ readonly byId: ReadonlyMap<string, readonly Finding["what"][]>; readonly whole: Verdict }>;
}

const BOSS = "boss";
const BOSS_NUMBER = "7999";
const bossOf = (bot: Speaker): string => (bot === "telegram" ? BOSS_NUMBER : BOSS);
const personOf = (bot: Speaker, chat: string): string => (bot === "telegram" ? chat : `u-${chat}`);

/** Words in a message choose the agent: "quiet" does not stream, "hasty" has two seconds, "nowhere" has a model whose port is closed. */
const CHOOSE = `
const has = (word) => msg.payload.split(" ").includes(word);
const outs = [null, null, null, null, null];
outs[has("nowhere") ? 4 : (has("hasty") ? 2 : 0) + (has("quiet") ? 1 : 0)] = msg;
return outs;`;
/** To who says "please" the Catch wire answers, with what the judge takes for an answer. */
const SORRY = `
if (!msg.payload.split(" ").includes("please")) return null;
msg.payload = "a:" + /\\bm\\d+\\b/.exec(msg.message.text)[0] + ":1/1";
return msg;`;
/** The id is taken from what the platform brought; the msg itself goes on to nobody. */
const NOTE = (what: string, fields: string) => `const id = (/\\bm\\d+\\b/.exec(msg.message?.text ?? "") ?? [])[0];\nreturn { payload: { what: "${what}", id, ${fields} } };`;

export interface SceneOptions { readonly seed: number; readonly accounts?: (places: { readonly platform: string }) => readonly FlowNode[]; readonly change?: (flows: readonly FlowNode[]) => readonly FlowNode[] }

export async function startScene({ seed, accounts = () => [], change = (flows) => flows }: SceneOptions): Promise<Scene> {
  const rig = await startFaultRig({ seed });
  const { platform } = rig.world;
  const agent = rig.flows.find(({ id }) => id === "agent") as FlowNode;
  const model = rig.flows.find(({ id }) => id === "model") as FlowNode;
  const agents: [string, Record<string, unknown>][] = [["agent", {}], ["agent-quiet", { live: false }], ["agent-hasty", { timeoutSeconds: 2 }], ["agent-hasty-quiet", { timeoutSeconds: 2, live: false }], ["agent-nowhere", { model: "model-nowhere" }]];
  const note = on("note", "http request", { method: "POST", ret: "txt", paytoqs: "ignore", url: `${platform.url}/control/note`, tls: "", persist: false, senderr: true, headers: [] }, []);
  const flows = change([
    ...rig.flows.filter(({ id }) => id !== "agent").map((node) => (node.id === "clean" ? { ...node, wires: [["choose"]] } : node.id === "out" ? { ...node, wires: [["delivered"]] } : node)),
    { id: "acc-edit", type: "clawflow-account", name: "edit", gateway: "gw", slug: "edit", channel: "fault-edit", policy: "open", settings: { api: `${platform.url}/bot/edit`, inbound: "webhook" }, version: 1 },
    ...accounts({ platform: platform.url }),
    // A provider without a key: Node-RED takes credentials of new nodes from a deploy only in another form.
    { ...model, id: "model-nowhere", name: "Nowhere", provider: "ollama", baseUrl: "http://127.0.0.1:9/v1", credentials: {} },
    on("choose", "function", { func: CHOOSE, outputs: 5, noerr: 0, initialize: "", finalize: "", libs: [] }, ...agents.map(([id]) => [id])),
    ...agents.map(([id, fields]) => ({ ...agent, id, ...fields })),
    on("catch", "catch", { scope: null, uncaught: false }, ["caught", "sorry"]),
    on("sorry", "function", { func: SORRY, outputs: 1, noerr: 0, initialize: "", finalize: "", libs: [] }, ["out"]),
    on("caught", "function", { func: NOTE("caught", 'code: msg.error?.code ?? (/\\[(\\w+_\\d+)\\]/.exec(msg.error?.message ?? "") ?? [])[1], text: msg.error?.message, from: msg.error?.source?.id'), outputs: 1, noerr: 0, initialize: "", finalize: "", libs: [] }, ["note"]),
    on("delivered", "function", { func: NOTE("delivered", "state: msg.receipt.state, code: msg.receipt.code, usage: msg.usage"), outputs: 1, noerr: 0, initialize: "", finalize: "", libs: [] }, ["note"]),
    on("status", "status", { scope: ["out"] }, ["stated"]),
    on("stated", "function", { func: NOTE("status", "fill: msg.status.fill, text: msg.status.text"), outputs: 1, noerr: 0, initialize: "", finalize: "", libs: [] }, ["note"]),
    note,
  ]);
  await deploy(flows, "full");
  const hooked = flows.filter((node) => node.type === "clawflow-account" && (node.settings as { inbound?: string }).inbound === "webhook");
  for (const { slug } of hooked) await platform.control("hook", { bot: slug, url: `${rig.red.url}/clawflow/home/${String(slug)}` });
  const channelOf = (bot: Speaker): string => CHANNELS[bot as Bot] ?? String(flows.find(({ id }) => id === `acc-${bot}`)?.channel);
  const known = new Set<string>();
  const isBoss = ({ chat, id }: Entry): boolean => chat === BOSS || chat === BOSS_NUMBER || String(id).startsWith("boss");
  let ids = 0;
  /** A deploy is told before its nodes stand, and on a busy machine the store opens some time after them. */
  async function deploy(...[changed, type]: Parameters<FaultRig["deploy"]>): Promise<void> {
    const from = rig.red.lines.length;
    await rig.deploy(changed, type);
    await rig.red.waitForLog(/Started (modified )?(flows|nodes)/, 20_000, from);
    await until(async () => (await rig.red.admin<{ counts?: Counts }>("GET", "/clawflow/gateway/gw")).counts !== undefined, "the store", 30_000, 25);
  }

  const scene: Scene = {
    rig, flows, deploy,
    async say({ bot, chat, text = "" }) {
      const id = `m${++ids}`;
      const from = personOf(bot, chat);
      if (!known.has(`${bot}/${chat}`)) await rig.red.admin("POST", "/clawflow/gateway/gw/people", { channel: channelOf(bot), account: bot, id: from, name: chat, trust: "paired" });
      known.add(`${bot}/${chat}`);
      await rig.world.say([{ bot: bot as Bot, chat, from, id, copies: 1, text: `${id} ${text}`.trim() }]);
      return id;
    },
    async own(bots) {
      for (const bot of bots) {
        const { ownerCode } = await rig.red.admin<{ ownerCode: string }>("POST", "/clawflow/gateway/gw/owner-code", {});
        await rig.world.say([{ bot: bot as Bot, chat: bossOf(bot), from: personOf(bot, bossOf(bot)), id: `boss-${bot}`, copies: 1, text: ownerCode }]);
        await until(async () => (await rig.red.admin<{ people: { account: string; trust: string }[] }>("GET", "/clawflow/gateway/gw")).people.some((one) => one.account === bot && one.trust === "owner"), `an owner of ${bot}`, 10_000, 25);
      }
    },
    async quiet(queued = 0, ms = 120_000) {
      let counts: Counts | undefined;
      let unsaid: string[] = [];
      const settled = async () => {
        const seen = await rig.world.seen();
        const acked = new Set(seen.filter(({ what }) => what === "acked").map(({ id }) => id));
        unsaid = seen.filter(({ what, id }) => what === "said" && !acked.has(id)).map(({ id }) => String(id));
        ({ counts } = await rig.red.admin<{ counts?: Counts }>("GET", "/clawflow/gateway/gw"));
        // Just started: the store opens.
        if (counts === undefined) return false;
        const { outbox } = counts;
        return unsaid.length === 0 && counts.pending === 0 && (outbox.planned ?? 0) + (outbox.sending ?? 0) + (outbox.unknown ?? 0) <= queued;
      };
      await until(settled, "everything to end", ms, 50).catch((error: Error) => { throw new Error(`${error.message}; not confirmed: ${unsaid.join(", ")}; our records: ${JSON.stringify(counts)}\n${rig.red.lines.slice(-15).join("\n")}`); });
      const { received, done, dead, pending } = counts as unknown as Counts;
      assert.equal(received, done + dead + pending, `received ${received} is not done ${done} + dead ${dead} + pending ${pending}`);
      return counts as unknown as Counts;
    },
    async seen() { return (await rig.world.seen()).filter((entry) => !isBoss(entry)); },
    async notices(count = 0) {
      let found: string[] = [];
      const look = async () => {
        // The first thing an owner reads is that they are the owner.
        const entries = (await rig.world.seen()).filter(({ what, chat }) => what === "shown" && (chat === BOSS || chat === BOSS_NUMBER));
        found = [...new Set(entries.map(({ bot }) => bot))].flatMap((bot) => entries.filter((entry) => entry.bot === bot).slice(1).map(({ text }) => `${String(bot)}: ${String(text)}`));
        return found.length >= count;
      };
      await until(look, `${count} notices`, 15_000).catch(() => undefined);
      return found;
    },
    async told(wire) { return (await platform.entries()).filter(({ what }) => what === wire); },
    async verdict(counts) {
      const whole = judge(await scene.seen(), await rig.world.model.entries(), rig.kills, counts);
      const byId = new Map<string, Finding["what"][]>();
      for (const { id = "", what } of whole.findings) byId.set(id, [...byId.get(id) ?? [], what]);
      return { byId, whole };
    },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
  return scene;
}
