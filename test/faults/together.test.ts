/**
 * A real Node-RED is killed while agents work together: when a model is asked, while its answer is put to use, while a tool is at work, at any time. Judged by what the model
 * was asked, what the tool did and what stood in the chats: no finished step of an asked agent is done again, a tool that writes runs once, a message is answered by one agent,
 * and who has the talk is on disk.
 *
 *     npx mocha test/faults/together.test.ts                                5 kills
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …                     200 kills
 */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { json, startLlm, wholeChat, type LlmStub } from "../platforms/llm.ts";
import { gateway, on, tab } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/node-red.ts";
import { accounts, BOTS, type Bot, type Chats, once, startChats } from "./chats.ts";
import { dice } from "./rounds.ts";
import { idOf } from "./stubs/model.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
/** Kills of each kind: within an asked agent's work; around a hand-over and back. */
const ASKS = full ? 80 : 2;
const HANDS = full ? 40 : 1;

const agent = (name: string, tools: readonly object[]) => on(name.toLowerCase(), "clawflow-agent", { gateway: "gw", model: "model", name, system: `You are ${name}.`, tools, live: false, history: 40, summarise: false, version: 1 }, ["out"], []);
const flow = (platform: string, llm: string): FlowNode[] => [
  tab, gateway, ...accounts(platform),
  { id: "model", type: "clawflow-model", name: "Stub", gateway: "gw", provider: "openai", model: "stub", baseUrl: `${llm}/v1`, credentials: { key: "sk-stub-of-the-fault-tests" }, version: 1 },
  on("in", "clawflow-channel-in", { gateway: "gw", version: 1 }, ["pick"], []),
  // "both": two agents get the message, of which one has the talk.
  on("pick", "function", { func: "return [msg, msg.payload.includes('both') ? msg : null];", outputs: 2, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ["desk"], ["billing"]),
  agent("Desk", [{ by: "agent", value: "expert" }, { by: "handover", value: "billing" }]),
  agent("Expert", [{ by: "agent", value: "deep" }, { by: "name", value: "note_it" }]), agent("Deep", [{ by: "name", value: "note_it" }]), agent("Billing", []),
  on("tool", "clawflow-tool", { gateway: "gw", tool: "note_it", description: "Notes it", params: [{ name: "id", type: "string", required: true }], risk: "write", shared: true, timeoutSeconds: 30, version: 1 }, ["effect"]),
  on("effect", "http request", { method: "POST", ret: "obj", paytoqs: "ignore", url: `${platform}/effect`, tls: "", persist: false, senderr: true, headers: [] }, ["done"]),
  on("done", "clawflow-tool-out", { field: "payload", fieldType: "msg", version: 1 }),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
];

interface Turn { readonly role: string; readonly content: string | null }
/** One round of one agent about one message. */
interface Asked { readonly who: string; readonly id: string; readonly round: number; readonly told: string }
type Call = readonly [name: string, input: object];

/** The same each time, so that every request is known beforehand. */
function says({ who, id, round, told }: Asked, text: string): string | Call {
  const rounds: Readonly<Record<string, readonly (string | Call)[]>> = {
    Desk: text.includes("sub") ? [["ask_expert", { question: `${id} expert` }], `a:${id} ${told}`] : text.includes("over") ? [["hand_over_to_billing", { note: `${id} note` }]] : [`Desk has ${id}`],
    Expert: [["note_it", { id: `${id} one` }], ["ask_deep", { question: `${id} deep` }], `expert(${told})`],
    Deep: [["note_it", { id: `${id} two` }], `deep(${told})`],
    Billing: text.includes("back") ? [["hand_back", { note: `${id} note` }]] : [`Billing has ${id}`],
  };
  return rounds[who]?.[round] ?? "never";
}

describe("a kill while agents work together", function () {
  this.timeout(full ? 0 : 300_000);
  const random = dice(seed);
  const done = { asked: 0, repeated: 0, effects: 0, unknown: 0, handed: 0, copies: 0 };
  let llm: LlmStub;
  let chats: Chats;
  let asked: Asked[] = [];
  /** Called with each request, before it is answered. */
  let watch: (one: Asked) => Promise<boolean> = async () => true;

  before(async () => {
    llm = await startLlm((response, { body }) => {
      const { messages } = body as unknown as { messages: Turn[] };
      const user = messages.findLastIndex(({ role }) => role === "user");
      const text = messages[user]?.content ?? "";
      const results = messages.slice(user).filter(({ role }) => role === "tool");
      const one: Asked = { who: /You are (\w+)/.exec(messages[0]?.content ?? "")?.[1] ?? "", id: idOf(text), round: results.length, told: results.at(-1)?.content ?? "" };
      asked.push(one);
      const said = says(one, text);
      const calls = typeof said === "string" ? [] : [{ id: `call_${one.who}_${one.round}`, type: "function", function: { name: said[0], arguments: JSON.stringify(said[1]) } }];
      void watch(one).then((answers) => { if (answers) json(typeof said === "string" ? wholeChat(said) : wholeChat("", { message: { role: "assistant", content: null, tool_calls: calls }, finish_reason: "tool_calls" }))(response, { path: "", headers: {}, body }); });
    });
    chats = await startChats((platform) => flow(platform, llm.url));
    for (const bot of BOTS) await chats.red.admin("POST", "/clawflow/gateway/gw/people", { channel: `fault-${bot}`, account: bot, id: "u", name: "u", trust: "paired" });
  });
  after(async () => {
    await chats?.[Symbol.asyncDispose]();
    await llm?.close();
    console.log(`      ${JSON.stringify({ ...done, kills: chats?.kills })} (seed ${seed})`);
  });
  afterEach(() => chats.settled());

  const effects = async (id: string, which: string) => (await chats.platform.entries()).filter((entry) => entry.what === "effect" && entry.id === `${id} ${which}`).length;
  const keyOf = ({ who, id, round }: Asked) => `${who} ${id} ${round}`;
  /** Kills at the n-th request from now on, before it is answered or so many milliseconds after. Resolves when Node-RED is there again. */
  function killAt(n: number, afterMs: number | undefined): Promise<void> {
    let left = n;
    return new Promise((resolve, reject) => {
      watch = async () => {
        if (--left !== 0) return true;
        watch = async () => true;
        const killed = (afterMs === undefined ? Promise.resolve() : pause(afterMs)).then(() => chats.kill());
        killed.then(resolve, reject);
        return afterMs !== undefined;
      };
    });
  }
  const anyTime = (): number | undefined => (random() < 0.4 ? undefined : random() * 40);

  it("an asked agent's finished steps are not repeated, and what it writes is written once", async () => {
    for (let round = 0; round < ASKS; round++) {
      const bot = BOTS[round % BOTS.length] as Bot;
      const from = (await chats.shown(bot)).length;
      const at = 1 + Math.floor(random() * 7);
      asked = [];
      const killed = killAt(at, anyTime());
      const id = await chats.say(bot, "# sub", { copies: random() < 0.3 ? 3 : 1 });
      await killed;
      const text = await chats.hears(bot, new RegExp(`^a:${id} `), "u", from);
      const times = new Map<string, number>();
      for (const one of asked) times.set(keyOf(one), (times.get(keyOf(one)) ?? 0) + 1);
      assert.equal(times.size, 7, `seven different requests, got ${JSON.stringify([...times])}`);
      const again = [...times].filter(([, count]) => count > 1);
      assert.ok(again.length <= 1 && again.every(([, count]) => count === 2), `asked again, killed at ${at}: ${JSON.stringify(again)}`);
      done.asked += asked.length;
      done.repeated += again.length;
      for (const [which, who] of [["one", "Expert"], ["two", "Deep"]] as const) {
        const count = await effects(id, which);
        const told = asked.findLast((one) => one.who === who && one.round === 1)?.told ?? "";
        assert.ok(count === 1 || (count === 0 && told.includes("TOOL_005")), `${which} of ${id} was done ${count} times, and the model was told ${told}`);
        if (told.includes("TOOL_005")) done.unknown++;
        done.effects += count;
      }
      done.copies += await once(chats, bot, [text], from);
    }
  });

  it("a message is answered by one agent, whoever was about to hand it over; who has the talk is on disk", async () => {
    for (let round = 0; round < HANDS; round++) {
      const bot = BOTS[round % BOTS.length] as Bot;
      const from = (await chats.shown(bot)).length;
      const answers: string[] = [];
      const say = async (text: string, answer: string, at?: number): Promise<void> => {
        const killed = at === undefined ? undefined : killAt(at, anyTime());
        const id = await chats.say(bot, text);
        await killed;
        answers.push(`${answer} ${id}`);
        await chats.hears(bot, new RegExp(`^${answer} ${id}$`), "u", from);
      };
      // Two requests: the one that hands over, and the one that answers.
      await say("# over", "Billing has", 1 + Math.floor(random() * 2));
      await say("# plain", "Billing has");
      await say("# both", "Billing has", 1);
      await say("# back", "Desk has", 1 + Math.floor(random() * 2));
      await say("# plain", "Desk has");
      done.handed += 2;
      const all = await chats.shown(bot, "u", from);
      assert.deepEqual(all.filter(({ again }) => !again).map(({ text }) => text), answers);
      const copies = all.filter(({ again }) => again).length;
      assert.ok(copies <= (bot === "none" ? 3 : 0), JSON.stringify(all));
      done.copies += copies;
      const status = await chats.say(bot, "/status");
      await chats.acked(status);
      assert.doesNotMatch(await chats.hears(bot, /Nothing|under way|Working|answers with/i, "u", from + all.length), /This chat is with/, "handed back, nobody in particular has it");
    }
  });
});
