/** The ask node in a real Node-RED: what a chat sees of a question, over answers, restarts and deploys. */
import assert from "node:assert/strict";
import { until } from "../kit/scripted.ts";
import { account, gateway, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/node-red.ts";

const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const ask = (name: string, more: Record<string, unknown> = {}): FlowNode => on(name, "clawflow-ask", { gateway: "gw", version: 1, question: `${name}, {{ sender.name }}?`, kind: "yesno", who: "sender", timeout: 10, unit: "minutes", ...more }, ["answered"], ["timeout"], ["cancelled"]);
const ASKS: Record<string, Record<string, unknown>> = {
  light: {}, anybody: { who: "chat" }, name: { kind: "text" }, number: { kind: "number", min: 5, max: 30, againText: "From 5 to 30, please.", againTimes: 1 },
  short: { timeout: 1, unit: "seconds" }, soon: { timeout: 4, unit: "seconds" }, room: { kind: "buttons", question: "", choices: [{ label: "Kitchen", value: "k" }, { label: "Hall", value: "" }] },
  boss: { who: "owner" }, there: { who: "address", account: "acc", chat: "c9" }, nobody: { kind: "buttons", choices: [] },
};
/** Each message names the question it leads to; every other one is answered at once. */
const flow = (sink: Sink, { asks = Object.keys(ASKS), mark = "" }: { asks?: readonly string[]; mark?: string } = {}): FlowNode[] => [
  tab, gateway, account(sink, { channel: "echo-buttons", name: `Echo${mark}` }), { ...account(sink), id: "acc2", slug: "plain" },
  on("in", "clawflow-channel-in", { gateway: "gw", version: 1, addressed: false }, ["pick"], []),
  func("pick", `const at = ${JSON.stringify(asks)}.indexOf(msg.payload); const all = Array(${asks.length + 1}).fill(null); all[at < 0 ? ${asks.length} : at] = msg; return all;`, ...asks.map((name) => [name]), ["else"]),
  ...asks.map((name) => ask(name, ASKS[name])),
  ...["answered", "timeout", "cancelled"].map((port) => func(port, `const by = msg.answer ? ' by ' + msg.answer.by.id : ''; msg.payload = msg.message.text + ' ${port} ' + JSON.stringify('${port}' === 'timeout' ? null : msg.answer.value) + by; return msg;`, ["out"])),
  func("else", "msg.payload = 'heard ' + msg.payload; return msg;", ["out"]),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
];

const counts = async ({ red }: Home) => (await red.admin<{ counts: { received: number; done: number; dead: number; pending: number; outbox: { sending: number } } }>("GET", "/clawflow/gateway/gw")).counts;
async function settled(home: Home, pending = 0): Promise<void> {
  let seen = {};
  await until(async () => { seen = await counts(home); return (seen as { pending?: number }).pending === pending; }, "", 40_000).catch(() => assert.fail(`expected ${pending} pending messages, got ${JSON.stringify(seen)}; the chat: ${JSON.stringify(home.texts())}\n${home.red.lines.slice(-15).join("\n")}`));
  const { received, done, dead } = await counts(home);
  assert.equal(received, done + dead + pending, "received = done + dead + pending");
}
/** Waits for a text in the chat; there must be one of it alone at the end, which the test asserts. */
const hears = (home: Home, text: string, ms = 40_000): Promise<void> => until(() => home.texts().includes(text), `"${text}" in ${JSON.stringify(home.texts())}\n${home.red.lines.slice(-15).join("\n")}`, ms);
const times = (home: Home, text: string): number => home.texts().filter((one) => one === text).length;
interface Buttons { readonly draft?: { readonly buttons?: { readonly label: string; readonly value: string }[][] } }
function press(home: Home, label: string, more: Record<string, unknown> = {}, back = 1): Promise<string> {
  const shown = home.sink.said.filter((one) => (one as Buttons).draft?.buttons !== undefined).at(-back) as Buttons | undefined;
  const value = shown?.draft?.buttons?.flat().find((one) => one.label === label)?.value;
  assert.ok(value, `a button ${label} in ${JSON.stringify(home.sink.said)}`);
  return home.say("", { kind: "action", action: { type: "button", value, label }, ...more });
}

describe("ask in a real Node-RED", function () {
  this.timeout(240_000);

  describe("while it runs", () => {
    let home: Home;
    before(async () => { home = await startHome((sink) => flow(sink)); });
    after(async () => { await home?.[Symbol.asyncDispose](); });
    beforeEach(() => { home.sink.said.length = 0; });
    afterEach(() => settled(home));

    it("shows buttons, hands the next message of the chat over meanwhile, and goes on with the press, once", async () => {
      await home.say("light");
      await hears(home, "light, u1?");
      await home.say("hello");
      await hears(home, "heard hello");
      await settled(home, 1);
      assert.equal(await press(home, "Yes", { from: "u2", id: "foreign" }), "refused", "another person's press");
      assert.equal(await press(home, "Yes", { id: "p1" }), "saved");
      await hears(home, "light answered true by u1");
      assert.equal(await press(home, "Yes", { id: "p1" }), "duplicate");
      assert.equal(await press(home, "No"), "refused", "a question is answered once");
      assert.deepEqual(home.texts(), ["light, u1?", "heard hello", "light answered true by u1"]);
    });

    it("takes words, and only the next ones; a button's value; a number that fits, after asking again", async () => {
      await home.say("name");
      await hears(home, "name, u1?");
      await home.say("Ada");
      await hears(home, "name answered \"Ada\" by u1");
      await home.say("Bob");
      await hears(home, "heard Bob");
      await home.say("room");
      await hears(home, "room");
      await press(home, "Kitchen");
      await hears(home, "room answered \"k\" by u1");
      await home.say("number");
      await hears(home, "number, u1?");
      await home.say("99");
      await hears(home, "From 5 to 30, please.");
      await home.say("98");
      await hears(home, "heard 98");
      await home.say("21,5");
      await hears(home, "number answered 21.5 by u1");
    });

    it("ends by a word that cancels, or when its time is over", async () => {
      await home.say("light");
      await hears(home, "light, u1?");
      await home.say("/cancel");
      await hears(home, "light cancelled null by u1");
      await home.say("short");
      await hears(home, "short timeout null");
      assert.equal(times(home, "short timeout null"), 1);
    });

    it("stands twice in one chat, each with its own buttons", async () => {
      await home.say("light");
      await hears(home, "light, u1?");
      await home.say("anybody");
      await hears(home, "anybody, u1?");
      await press(home, "No", {}, 2);
      await hears(home, "light answered false by u1");
      await press(home, "Yes", { from: "u2" });
      await hears(home, "anybody answered true by u2");
    });

    it("asks an owner, or somewhere else, and answers where the message came from", async () => {
      await home.say("there");
      await hears(home, "there, u1?");
      assert.equal(home.sink.said[0]?.to.chat, "c9");
      await press(home, "Yes", { chat: "c9", from: "u5" });
      await hears(home, "there answered true by u5");
      assert.equal(home.sink.said.at(-1)?.to.chat, "c1");
      const { ownerCode } = await home.red.admin<{ ownerCode: string }>("GET", "/clawflow/gateway/gw/owner-code");
      await home.say(ownerCode, { from: "me", chat: "mine" });
      await until(() => home.sink.said.length === 3);
      await home.say("boss");
      await hears(home, "boss, u1?");
      assert.equal(home.sink.said.at(-1)?.to.chat, "mine");
      assert.equal(await press(home, "Yes", { chat: "c1" }), "refused");
      await press(home, "Yes", { chat: "mine", from: "me" });
      await hears(home, "boss answered true by me");
    });

    it("is a numbered list where a channel has no buttons", async () => {
      const say = (body: object) => home.red.fetch("/clawflow/home/plain", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      await say({ id: "plain1", text: "light" });
      await hears(home, "light, u1?\n\n1. Yes\n2. No");
      await say({ id: "plain2", text: "2" });
      await hears(home, "light answered false by u1");
    });

    it("says at deploy that it has no buttons; who writes is not asked, and the owner hears of it", async () => {
      assert.match(home.red.log(), /CONF_001.*at least one button/);
      await home.say("nobody");
      assert.match(await home.red.waitForLog(/Dead letter: a message of echo/), /chat c1: \[CONF_001\] Expected at least one button/);
      await settled(home);
      await until(() => home.texts().length === 1, "the notice");
      assert.match(home.texts()[0] ?? "", /could not be handled/);
    });
  });

  it("waits on when Node-RED is killed: the chat is not held up, what is answered then or was answered meanwhile goes on once, and time goes by", async () => {
    await using home = await startHome((sink) => flow(sink));
    for (const [text, chat] of [["light", "c1"], ["name", "c2"]] as const) { await home.say(text, { chat }); await hears(home, `${text}, u1?`); }
    await until(async () => (await counts(home)).outbox.sending === 0, "the records of the questions", 30_000);
    await home.red.kill();
    // The platform brings it again until it is taken.
    const meanwhile = until(() => home.say("Ada", { chat: "c2", id: "ada" }).then(() => true, () => false), "the answer to be taken", 60_000);
    await home.red.start();
    await home.say("hello");
    await hears(home, "heard hello");
    await meanwhile;
    await hears(home, "name answered \"Ada\" by u1");
    // What is sent and not yet recorded may be sent twice on this channel: that is not what is looked at here.
    await until(async () => (await counts(home)).done >= 3, "the records", 30_000);
    await home.say("soon", { chat: "c3" });
    await hears(home, "soon, u1?");
    await until(async () => (await counts(home)).outbox.sending === 0, "the record of the question", 30_000);
    await home.red.kill();
    await home.red.start();
    await press(home, "Yes", { id: "yes" }, 2);
    await hears(home, "light answered true by u1");
    await hears(home, "soon timeout null");
    assert.equal(await press(home, "Yes", { id: "yes" }, 2), "duplicate");
    await settled(home);
    for (const text of ["light, u1?", "name, u1?", "soon, u1?", "light answered true by u1", "name answered \"Ada\" by u1", "soon timeout null", "heard hello"]) assert.equal(times(home, text), 1, text);
    assert.equal(home.texts().length, 7);
  });

  it("waits on when a deploy comes while an account of the one before is still closing", async () => {
    const slow = (sink: Sink): FlowNode => account(sink, { id: "acc3", slug: "slow", settings: { sink: sink.url, closeMs: 1_500 } });
    await using home = await startHome((sink) => [...flow(sink), slow(sink)]);
    await home.say("light");
    await hears(home, "light, u1?");
    const answer = Promise.withResolvers<undefined>();
    let asked = false;
    home.sink.fault = () => { asked = true; return answer.promise; };
    await home.say("hello");
    await until(() => asked, "an answer on its way");
    await home.red.deploy(flow(home.sink), "nodes");
    // The gateway's node waits for the answer on its way; the account is closed meanwhile.
    const second = home.red.deploy(flow(home.sink), "full");
    await new Promise((resolve) => { setTimeout(resolve, 2_200); });
    answer.resolve(undefined);
    await second;
    await press(home, "Yes");
    await hears(home, "light answered true by u1");
    await settled(home);
    assert.deepEqual([home.texts(), (await counts(home)).dead], [["light, u1?", "heard hello", "light answered true by u1"], 0]);
  });

  it("waits on over deploys of every kind; without its node the message is a dead letter that says why", async () => {
    await using home = await startHome((sink) => flow(sink));
    await home.say("light");
    await hears(home, "light, u1?");
    for (const type of ["full", "flows", "nodes"] as const) await home.red.deploy(flow(home.sink, { mark: ` ${type}` }), type);
    await press(home, "Yes");
    await hears(home, "light answered true by u1");
    await home.say("name");
    await hears(home, "name, u1?");
    await home.red.deploy(flow(home.sink, { asks: ["light"] }));
    await home.red.waitForLog(/Dead letter: a message of echo, chat c1: the node that asked was removed while it waited/);
    await home.say("Ada");
    await hears(home, "heard Ada");
    await settled(home);
    assert.deepEqual([home.texts(), (await counts(home)).dead], [["light, u1?", "light answered true by u1", "name, u1?", "heard Ada"], 1]);
  });
});
