/**
 * A real Node-RED is killed around commands: right after they were said, when they are confirmed, while their answer is on its way. Each takes effect once and is answered
 * once (once more at most where the platform offers nothing); /stop brings back no run, a pause holds over restarts. Judged by the platform and by what the model was asked.
 *
 *     npx mocha test/faults/commands.test.ts                                5 kills
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …                     180 kills
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
const ROUNDS = full ? 30 : 1;

const modelNode = (id: string, name: string, url: string): FlowNode => ({ id, type: "clawflow-model", name, gateway: "gw", provider: "openai", model: name.toLowerCase(), baseUrl: `${url}/v1`, credentials: { key: "sk-stub-of-the-fault-tests" }, version: 1 });
const flow = (platform: string, llm: string): FlowNode[] => [
  tab, { ...gateway, commands: { pause: "all", resume: "all" } }, ...accounts(platform), modelNode("model", "Small", llm), modelNode("model2", "Large", llm),
  on("in", "clawflow-channel-in", { gateway: "gw", version: 1 }, ["agent"], []),
  on("agent", "clawflow-agent", { gateway: "gw", name: "Desk", model: "model", models: ["model", "model2"], system: "Answer.", live: false, history: 40, summarise: false, version: 1 }, ["out"], []),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
];

/** What the model was asked: the newest message, all it was told of the talk, and which model it was. */
interface Asked { readonly id: string; readonly told: readonly string[]; readonly model: string }

describe("a kill around a command", function () {
  this.timeout(full ? 0 : 300_000);
  const random = dice(seed);
  const done = { kills: 0, confirmedBefore: 0, copies: 0 };
  let llm: LlmStub;
  let chats: Chats;
  const asked: Asked[] = [];
  let last: Bot | undefined;
  let chosen = "small";

  before(async () => {
    llm = await startLlm((response, { body }) => {
      const { messages, model } = body as unknown as { messages: { role: string; content: string }[]; model: string };
      const told = messages.filter(({ role }) => role === "user").map(({ content }) => idOf(content));
      const one = { id: told.at(-1) ?? "", told, model };
      asked.push(one);
      // Words that are never answered: their run is under way until somebody stops it.
      if (!messages.at(-1)?.content.includes("stuck")) json(wholeChat(`re ${one.id}`))(response, { path: "", headers: {}, body });
    });
    chats = await startChats((platform) => flow(platform, llm.url));
    for (const bot of BOTS) await chats.red.admin("POST", "/clawflow/gateway/gw/people", { channel: `fault-${bot}`, account: bot, id: "u", name: "u", trust: "owner" });
  });
  after(async () => {
    await chats?.[Symbol.asyncDispose]();
    await llm?.close();
    console.log(`      ${JSON.stringify({ ...done, kills: chats?.kills })} (seed ${seed})`);
  });
  afterEach(() => chats.settled());

  /** Each time another bot, so that the texts of a test are its own. */
  const next = (): Bot => { last = BOTS[(BOTS.indexOf(last ?? "none") + 1) % BOTS.length] as Bot; return last; };
  const placeOf = async (bot: Bot): Promise<number> => (await chats.shown(bot)).length;
  /** Says the command and kills: soon, or when it is confirmed and its answer may be on its way. True: it was confirmed before. */
  async function killed(bot: Bot, text: string): Promise<boolean> {
    const id = await chats.say(bot, text, { copies: random() < 0.3 ? 3 : 1 });
    if (random() < 0.5) await chats.acked(id);
    await pause(random() * 60);
    const before = (await chats.platform.entries()).some((entry) => entry.what === "acked" && entry.id === id);
    await chats.kill();
    if (before) done.confirmedBefore++;
    return before;
  }
  const answers = async (bot: Bot, id: string, from: number) => { await chats.hears(bot, new RegExp(`^re ${id}$`), "u", from); };
  const tell = async (bot: Bot, expected: readonly string[], from: number) => { done.copies += await once(chats, bot, expected, from); };

  it("/new forgets what was said, and nothing that is said afterwards", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const bot = next();
      const from = await placeOf(bot);
      const old = await chats.say(bot, "# before");
      await answers(bot, old, from);
      await killed(bot, "/new");
      await chats.hears(bot, /^A new talk begins/, "u", from);
      const ids = [await chats.say(bot, "# one"), await chats.say(bot, "# two")];
      for (const id of ids) await answers(bot, id, from);
      assert.deepEqual(ids.map((id) => asked.find((one) => one.id === id)?.told), [ids.slice(0, 1), ids], "what the model was told");
      await tell(bot, [`re ${old}`, "A new talk begins.", ...ids.map((id) => `re ${id}`)], from);
    }
  });

  it("/model: the one that was chosen answers", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const bot = next();
      const from = await placeOf(bot);
      chosen = chosen === "small" ? "large" : "small";
      await killed(bot, `/model ${chosen}`);
      const text = await chats.hears(bot, /^Desk answers with /, "u", from);
      const id = await chats.say(bot, "#");
      await answers(bot, id, from);
      assert.equal(asked.find((one) => one.id === id)?.model, chosen);
      await tell(bot, [text, `re ${id}`], from);
    }
  });

  it("/stop: what it stopped does not come back", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const bot = next();
      const from = await placeOf(bot);
      const stuck = await chats.say(bot, "# stuck");
      await chats.wait("the model to be asked", () => asked.some(({ id }) => id === stuck));
      const waiting = await chats.say(bot, "# waits");
      await chats.acked(waiting);
      const confirmed = await killed(bot, "/stop");
      await chats.hears(bot, /^Stopped/, "u", from);
      const id = await chats.say(bot, "# after");
      await answers(bot, id, from);
      await tell(bot, ["Stopped: 2 messages.", `re ${id}`], from);
      assert.ok(asked.filter((one) => one.id === stuck).length <= (confirmed ? 1 : 2), `${stuck} was asked ${asked.filter((one) => one.id === stuck).length} times, /stop was ${confirmed ? "" : "not "}confirmed before the kill`);
      assert.ok(!asked.some((one) => one.id === waiting), "what waited began");
    }
  });

  it("/pause holds over restarts, and /resume has everything answered, once", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const bot = next();
      const everywhere = round % 2 === 1 ? " all" : "";
      const from = await placeOf(bot);
      await killed(bot, `/pause${everywhere}`);
      const paused = await chats.hears(bot, /paused/, "u", from);
      const ids = [await chats.say(bot, "# one"), await chats.say(bot, "# two")];
      for (const id of ids) await chats.acked(id);
      if (full) await chats.kill();
      // It is open, and what it had to begin it has begun.
      const status = await chats.say(bot, "/status");
      await chats.acked(status);
      const told = await chats.hears(bot, /is paused|are paused \(/, "u", from + 1);
      assert.ok(!asked.some(({ id }) => ids.includes(id)), "something began in a paused chat");
      await killed(bot, `/resume${everywhere}`);
      for (const id of ids) await answers(bot, id, from);
      const goesOn = await chats.hears(bot, /^It goes on/, "u", from);
      const [first, second, ...rest] = [...new Set((await chats.shown(bot, "u", from)).map(({ text }) => text))];
      assert.deepEqual([first, second, rest.toSorted()], [paused, told, [goesOn, ...ids.map((id) => `re ${id}`)].toSorted()]);
      done.copies += (await chats.shown(bot, "u", from)).filter(({ again }) => again).length;
      assert.ok((await chats.shown(bot, "u", from)).length <= 5 + (bot === "none" ? 3 : 0));
      assert.ok(ids.every((id) => asked.filter((one) => one.id === id).length <= 2));
    }
  });
});
