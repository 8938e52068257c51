import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Message } from "../../engine/message.ts";
import { until } from "../kit/scripted.ts";
import { startTelegram, type TelegramStub } from "../platforms/telegram.ts";
import { ADA, ADA_CHAT } from "../platforms/telegram-rig.ts";
import { gateway, model, on, tab } from "../rigs/home.ts";
import { type FlowNode, type NodeRed, type NodeRedOptions, startNodeRed } from "../rigs/node-red.ts";
import { dataFolder } from "../spec/telegram-schema.ts";
import { skip } from "../rigs/skip.ts";

type Json = Record<string, unknown>;
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const out = (id: string, more: Json = {}, ...wires: string[][]) => on(id, "clawflow-channel-out", { gateway: "gw", action: "reply", ...more }, ...wires);
const tool = (name: string, more: Json, next: string) => on(`tool-${name}`, "clawflow-tool", { gateway: "gw", tool: name, shared: true, timeoutSeconds: 5, params: [], ...more }, [next]);

const account = (stub: TelegramStub, mode: string, more: Json = {}): FlowNode => ({
  id: "tg", type: "clawflow-account", name: "Claw", gateway: "gw", slug: "claw", channel: "telegram", policy: "owner", version: 1,
  settings: { mode, apiRoot: stub.url }, credentials: { token: stub.token }, ...more,
});
/** Writes down what it sees; the agent gets wishes, the echo all the rest, each with something of its kind in the answer. */
const LOOK = `
node.warn('SEEN ' + JSON.stringify(msg.message));
const { kind, text, action, attachments } = msg.message;
if (action?.type === 'command') return null;
if (kind === 'message' && /light|story/.test(text)) return [msg, null, null];
if (text === 'slow') return [null, null, msg];
const say = { edit: 'changed to ' + text, reaction: 'reacted ' + action?.emoji, action: 'pressed ' + (action?.value ?? action?.values ?? action?.options) }[kind] ?? 'heard ' + text;
const draft = { text: say };
if (attachments.length > 0) draft.attachments = attachments.map(({ kind, media, mime, name }) => ({ kind, media, mime, name }));
if (text === 'buttons') draft.buttons = [[{ label: 'Yes', value: 'yes:1' }, { label: 'Page', url: 'https://example.org/' }]];
if (text === 'poll') draft.poll = { question: 'Tea?', options: ['yes', 'no'], anonymous: false };
if (text === 'where') { draft.text = ''; draft.location = { latitude: 52.5, longitude: 13.4 }; }
msg.draft = draft;
return [null, msg, null];`;
const DONE = "Done: kitchen: on.";
const STORY = Array.from({ length: 60 }, (_, n) => `word${n}`).join(" ").concat(".");

const house = (stub: TelegramStub, mode: string, base = ""): FlowNode[] => [
  tab, { ...gateway, webhookBase: base }, account(stub, mode), model(),
  on("in", "clawflow-channel-in", { gateway: "gw", accounts: [], kinds: ["message", "action", "edit", "reaction"], addressed: true }, ["look"], []),
  func("look", LOOK, ["agent"], ["echo"], ["wait"]),
  on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "all" }] }, ["said"], []), out("said"),
  tool("set_light", { description: "Switches the light of a room on or off.", risk: "write", params: [{ name: "room", type: "enum", values: ["kitchen", "hall"], required: true }, { name: "on", type: "boolean", required: true }] }, "light"),
  func("light", "node.warn('LIGHT ' + JSON.stringify(msg.payload)); return msg;", ["toolout"]),
  tool("tell_story", { description: "Tells a story.", risk: "read" }, "story"), func("story", `node.warn('STORY'); msg.payload = '${STORY}'; return msg;`, ["toolout"]), on("toolout", "clawflow-tool-out"),
  out("echo", { replyTo: true }, ["receipt"]), func("receipt", "node.warn('RECEIPT ' + JSON.stringify(msg.receipt)); return msg.receipt.state === 'sent' && msg.message.text === 'star me' ? msg : null;", ["star"]),
  out("star", { action: "react", ref: "message.ref", refType: "msg", emoji: "👍" }),
  on("wait", "delay", { pauseType: "delay", timeout: "1500", timeoutUnits: "milliseconds", rate: "1", nbRateUnits: "1", rateUnits: "second", outputs: 1 }, ["after"]), out("after"),
  on("menu", "clawflow-channel-in", { gateway: "gw", accounts: ["tg"], command: "lights, /Help", name: "Switch the lights" }, ["cmd"], []),
  func("cmd", "msg.payload = msg.command.name + '(' + msg.payload + ')'; return msg;", ["cmdout"]), out("cmdout"),
];

let messages = 10;
/** A message of Ada as Telegram brings it. */
const said = (fields: Json, chat: Json = ADA_CHAT): Json => ({ message: { message_id: ++messages, date: 1_790_000_000, chat, from: ADA, ...fields } });
const GROUP = { id: -1001234, type: "supergroup", title: "Family", is_forum: true } as const;
const texts = (stub: TelegramStub, chat: number | string = ADA_CHAT.id) => stub.shown(chat).map(({ text }) => text);
/** Waits for a text in a chat; where it does not come, the error holds what did. */
async function heard(stub: TelegramStub, text: string | RegExp, chat: number | string = ADA_CHAT.id, red?: NodeRed): Promise<void> {
  const fits = (one: string) => (typeof text === "string" ? one === text : text.test(one));
  await until(() => texts(stub, chat).some(fits), "a text", 10_000).catch(() => assert.fail(`expected ${text} in the chat, got ${JSON.stringify(texts(stub, chat))}\n${red?.lines.slice(-20).join("\n") ?? ""}`));
}
const quoted = (stub: TelegramStub) => (stub.calls("sendMessage").at(-1)?.payload.reply_parameters as Json | undefined)?.message_id;
const seen = (red: NodeRed): Message[] => red.lines.flatMap((line) => (line.includes("SEEN ") ? [JSON.parse(line.slice(line.indexOf("SEEN ") + 5)) as Message] : []));
const state = async (red: NodeRed, admin = ""): Promise<{ state: string; code?: string; text?: string } | undefined> =>
  (await red.admin<{ accounts: { state: string; code?: string; text?: string }[] }>("GET", `${admin}/clawflow/gateway/gw`)).accounts[0];
const connected = (red: NodeRed, admin = "") => until(async () => (await state(red, admin))?.state === "connected", `the connection\n${red.lines.slice(-10).join("\n")}`, 15_000);
const counts = async (red: NodeRed, admin = "") => (await red.admin<{ counts: { pending: number; dead: number; outbox: Record<string, number> } }>("GET", `${admin}/clawflow/gateway/gw`)).counts;
async function claim(red: NodeRed, stub: TelegramStub, admin = ""): Promise<void> {
  const { ownerCode } = await red.admin<{ ownerCode: string }>("GET", `${admin}/clawflow/gateway/gw/owner-code`);
  stub.push(said({ text: `/start ${ownerCode}`, entities: [{ type: "bot_command", offset: 0, length: 6 }] }));
  await until(() => texts(stub).length === 1, "the owner's welcome");
}
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => { server.once("listening", resolve); });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

describe("a Telegram bot in a real Node-RED", function () {
  this.timeout(60_000);
  before(function () { if (dataFolder("specs", "telegram") === undefined) skip(this as unknown as Mocha.Context, "Telegram's specification is not here (CLAWFLOW_SPECS)"); });

  it("asks by buttons, takes the press that came while Node-RED was dead, and goes on once", async () => {
    const stub = await startTelegram();
    const ask = on("ask", "clawflow-ask", { gateway: "gw", question: "Really {{ text }}?", kind: "yesno", who: "sender", timeout: 10, unit: "minutes", version: 1 }, ["end"], [], []);
    const red = await startNodeRed({ flows: [tab, gateway, account(stub, "polling"), on("in", "clawflow-channel-in", { gateway: "gw", command: "" }, ["ask"], []), ask, func("end", "msg.payload = 'so ' + msg.payload; return msg;", ["out"]), out("out")] });
    try {
      await connected(red);
      await claim(red, stub);
      stub.push(said({ text: "switch it off" }));
      await heard(stub, "Really switch it off?");
      const { payload } = stub.calls("sendMessage").at(-1) as { payload: Json };
      const markup = payload.reply_markup as { inline_keyboard: { text: string; callback_data: string }[][] };
      const [yes, no] = markup.inline_keyboard.flat();
      assert.deepEqual([yes?.text, no?.text], ["Yes", "No"]);
      for (const { callback_data } of markup.inline_keyboard.flat()) assert.ok(Buffer.byteLength(callback_data) <= 64, callback_data);
      const press = (id: string, data: string | undefined, from: Json = ADA) => stub.push({ callback_query: { id, from, chat_instance: "1", data, message: { message_id: 61, date: 1_790_000_000, chat: ADA_CHAT, text: "Really switch it off?", reply_markup: markup } } });
      // A kill before that it was sent is on disk would show the question once more: Telegram offers nothing against that.
      await until(async () => { const { outbox } = await counts(red); return outbox.sending === 0 && outbox.planned === 0 && (outbox.sent ?? 0) >= 2; }, "the question to be recorded as sent");
      await red.kill();
      press("q1", no?.callback_data);
      press("q2", yes?.callback_data);
      await red.start();
      await heard(stub, "so false", ADA_CHAT.id, red);
      await until(() => stub.pending().length === 0, "both presses to be confirmed");
      await until(() => stub.calls("answerCallbackQuery").length === 2, "the end of the waiting signs");
      await until(async () => (await counts(red)).pending === 0, "the end of all messages");
      await until(() => stub.calls("editMessageText").length === 1, "its buttons to be taken away");
      assert.deepEqual(texts(stub).filter((text) => /Really|so /.test(text)), ["Really switch it off?\n\n✓ No", "so false"]);
      assert.equal(stub.calls("editMessageText")[0]?.payload.reply_markup, undefined);
      assert.deepEqual(stub.problems(), [], "every request holds to the specification");
    } finally {
      await red.remove();
      await stub.close();
    }
  });

  describe("by polling", () => {
    let stub: TelegramStub;
    let red: NodeRed;
    before(async () => {
      stub = await startTelegram();
      red = await startNodeRed({ flows: house(stub, "polling") });
      await connected(red);
      await claim(red, stub);
    });
    after(async () => { await red?.remove(); await stub?.close(); });
    afterEach(() => { assert.deepEqual(stub.problems(), [], "every request holds to the specification"); });

    it("answers a wish by calling the flow that is a tool, once", async () => {
      stub.push(said({ text: "turn on the kitchen light" }));
      assert.match(await red.waitForLog(/LIGHT/), /\{"room":"kitchen","on":true\}/);
      await heard(stub, DONE, ADA_CHAT.id, red);
      assert.equal(red.lines.filter((line) => line.includes("LIGHT ")).length, 1);
    });

    it("shows a long answer while it is written, and then sends it once", async () => {
      const before = stub.calls("sendMessage").length;
      stub.push(said({ text: "tell me a story" }));
      await heard(stub, STORY, ADA_CHAT.id, red);
      const drafts = stub.calls("sendMessageDraft").map(({ payload }) => payload);
      assert.ok(drafts.length >= 1, "at least one preview");
      for (const draft of drafts) assert.ok(STORY.startsWith(String(draft.text)), String(draft.text));
      assert.equal(stub.calls("sendMessage").length, before + 1);
      assert.ok((stub.calls("sendMessageDraft")[0]?.at ?? 0) <= (stub.calls("sendMessage").at(-1)?.at ?? 0));
    });

    it("keeps a photo and a voice message, hands them to the flow as ready, and can send them back", async () => {
      const jpeg = Buffer.from([0xff, 0xd8, 0xff, 0xe0, ...Buffer.from("a photo")]);
      const ogg = Buffer.from("OggS a voice");
      stub.keep("photo-big", "photos/file_1.jpg", jpeg);
      stub.keep("voice-1", "voice/file_2.oga", ogg);
      stub.push(said({ caption: "look at this", photo: [{ file_id: "photo-small", file_unique_id: "s", width: 90, height: 60, file_size: 4 }, { file_id: "photo-big", file_unique_id: "b", width: 900, height: 600, file_size: jpeg.length }] }));
      stub.push(said({ voice: { file_id: "voice-1", file_unique_id: "v", duration: 3, mime_type: "audio/ogg", file_size: ogg.length } }));
      await until(() => stub.calls("sendPhoto").length === 1 && stub.calls("sendVoice").length === 1, "both files", 10_000);
      const files = seen(red).slice(-2).map((message) => message.attachments[0] as unknown as Json);
      assert.deepEqual(files.map(({ kind, state, mime, bytes }) => ({ kind, state, mime, bytes })), [{ kind: "image", state: "ready", mime: "image/jpeg", bytes: jpeg.length }, { kind: "voice", state: "ready", mime: "audio/ogg", bytes: ogg.length }]);
      for (const file of files) assert.match(String(file.media), /^spool:/);
      assert.ok(Object.values(stub.calls("sendPhoto")[0]?.uploads ?? {})[0]?.bytes.equals(jpeg));
      assert.ok(Object.values(stub.calls("sendVoice")[0]?.uploads ?? {})[0]?.bytes.equals(ogg));
      assert.equal(stub.calls("sendPhoto")[0]?.payload.caption, "heard look at this");
    });

    it("hands a file on that could not be fetched, and says why", async () => {
      stub.push(said({ caption: "gone", photo: [{ file_id: "nowhere", file_unique_id: "n", width: 1, height: 1 }] }));
      await until(() => seen(red).some(({ text }) => text === "gone"), "the message");
      const file = seen(red).at(-1)?.attachments[0] as unknown as Json;
      assert.equal(file.state, "failed");
      assert.match(String(file.error), /invalid file_id/);
    });

    it("sends buttons, and a press is an answer of its own", async () => {
      stub.push(said({ text: "buttons" }));
      await heard(stub, "heard buttons");
      const markup = stub.calls("sendMessage").at(-1)?.payload.reply_markup;
      assert.deepEqual(markup, { inline_keyboard: [[{ text: "Yes", callback_data: "yes:1" }, { text: "Page", url: "https://example.org/" }]] });
      stub.push({ callback_query: { id: "q1", from: ADA, chat_instance: "1", data: "yes:1", message: { message_id: 60, date: 1_790_000_000, chat: ADA_CHAT, text: "heard buttons", reply_markup: markup } } });
      await heard(stub, "pressed yes:1");
      await until(() => stub.calls("answerCallbackQuery").length === 1, "the end of the waiting sign");
      assert.deepEqual(seen(red).at(-1)?.action, { type: "button", value: "yes:1", label: "Yes" });
    });

    it("takes a command with its arguments to the channel in that waits for it, and lists it in the menu", async () => {
      stub.push(said({ text: "/lights kitchen off", entities: [{ type: "bot_command", offset: 0, length: 7 }] }));
      await heard(stub, "lights(kitchen off)");
      const [menu, ...more] = stub.calls("setMyCommands").map(({ payload }) => payload.commands as { command: string; description: string }[]);
      assert.deepEqual([menu?.slice(0, 2), more], [[{ command: "help", description: "Switch the lights" }, { command: "lights", description: "Switch the lights" }], []]);
      // The built-in ones follow; where the flow has its own, they step back.
      assert.deepEqual(menu?.slice(2).map(({ command }) => command), ["new", "stop", "status", "model", "usage", "memory", "whoami", "pause", "resume", "approve", "deny"]);
    });

    it("sees edits, reactions, replies and votes for what they are", async () => {
      const first = said({ text: "tea" });
      const { message_id } = first.message as { message_id: number };
      stub.push(first);
      await heard(stub, "heard tea");
      assert.equal(quoted(stub), message_id);
      stub.push({ edited_message: { ...(first.message as Json), text: "coffee", edit_date: 1_790_000_060 } });
      await heard(stub, "changed to coffee");
      assert.equal(seen(red).at(-1)?.ref, String(message_id));
      stub.push({ message_reaction: { chat: ADA_CHAT, message_id, user: ADA, date: 1_790_000_070, old_reaction: [], new_reaction: [{ type: "emoji", emoji: "🔥" }] } });
      await heard(stub, "reacted 🔥");
      stub.push(said({ text: "that one", reply_to_message: { message_id, date: 1_790_000_000, chat: ADA_CHAT, text: "tea" } }));
      await heard(stub, "heard that one");
      assert.equal(seen(red).at(-1)?.replyTo, String(message_id));
      stub.push(said({ text: "poll" }));
      await until(() => stub.calls("sendPoll").length === 1, "the poll");
      stub.push({ poll_answer: { poll_id: "77", user: ADA, option_ids: [1], option_persistent_ids: ["b"] } });
      await heard(stub, "pressed 1");
      stub.push(said({ text: "where" }));
      await until(() => stub.calls("sendLocation").length === 1, "the place");
    });

    it("reacts to what was said", async () => {
      const update = said({ text: "star me" });
      stub.push(update);
      await until(() => stub.calls("setMessageReaction").length === 1, "the reaction");
      assert.deepEqual(stub.calls("setMessageReaction")[0]?.payload, { chat_id: ADA_CHAT.id, message_id: (update.message as Json).message_id, reaction: [{ type: "emoji", emoji: "👍" }] });
    });

    it("listens in a group only when it is addressed, and answers in the topic", async () => {
      stub.push(said({ text: "just talking" }, GROUP));
      stub.push(said({ text: "@claw_test_bot hello", entities: [{ type: "mention", offset: 0, length: 14 }], message_thread_id: 5, is_topic_message: true }, GROUP));
      await until(() => texts(stub, GROUP.id).length === 1, "the answer in the group");
      assert.equal(stub.calls("sendMessage").at(-1)?.payload.message_thread_id, 5);
      const last = seen(red).at(-1);
      assert.deepEqual([last?.at.kind, last?.at.thread, last?.addressed], ["group", "5", true]);
      assert.ok(!seen(red).some(({ text }) => text === "just talking"));
      assert.deepEqual(texts(stub, GROUP.id).length, 1);
    });

    it("refuses a stranger without a word", async () => {
      stub.push({ message: { message_id: 1, date: 1_790_000_000, chat: { id: 666, type: "private", first_name: "Eve" }, from: { id: 666, is_bot: false, first_name: "Eve" }, text: "let me in" } });
      await until(async () => (await red.admin<{ refused: { id: string }[] }>("GET", "/clawflow/gateway/gw")).refused.some(({ id }) => id === "666"), "the refusal");
      await until(() => stub.pending().length === 0, "its confirmation");
      assert.deepEqual(stub.shown(666), []);
    });

    it("tries a token for the form without a second poller", async () => {
      const attempt = (credentials: Json, more: Json = {}) => red.admin<Json>("POST", "/clawflow/try/account", { channel: "telegram", settings: { mode: "polling", apiRoot: stub.url }, credentials, ...more });
      const before = ["getUpdates", "deleteWebhook", "setWebhook"].map((method) => stub.calls(method).length);
      assert.deepEqual(await attempt({ token: stub.token }), { ok: true, name: "@claw_test_bot" });
      assert.deepEqual(await attempt({ token: "__PWRD__" }, { node: "tg" }), { ok: true, name: "@claw_test_bot" }, "the token that is deployed");
      assert.deepEqual(await attempt({ token: stub.token }, { settings: { mode: "webhook", apiRoot: stub.url } }), { ok: true, name: "@claw_test_bot" });
      const wrong = await attempt({ token: "987654321:AAHwrongWRONGwrongWRONGwrongWRONG" });
      assert.deepEqual([wrong.ok, wrong.fault, wrong.code], [false, "token refused", "CONN_002"]);
      assert.doesNotMatch(JSON.stringify(wrong), /AAHwrong/);
      const away = await attempt({ token: stub.token }, { settings: { mode: "polling", apiRoot: "http://127.0.0.1:9" } });
      assert.deepEqual([away.ok, away.fault, away.code], [false, "no network", "CONN_001"]);
      assert.equal((await attempt({ token: "nonsense" })).fault, "settings");
      assert.deepEqual(["getUpdates", "deleteWebhook", "setWebhook"].map((method) => stub.calls(method).length), before);
      assert.equal((await state(red))?.state, "connected");
    });

    it("answers exactly once when it is killed while it writes the answer, and asks its tool no second time", async () => {
      const answers = stub.calls("sendMessage").length;
      const previews = stub.calls("sendMessageDraft").length;
      const tools = red.lines.filter((line) => line.includes("STORY")).length;
      stub.push(said({ text: "tell me a story" }));
      await until(() => stub.calls("sendMessageDraft").length > previews, "the first words");
      await red.kill();
      assert.equal(stub.calls("sendMessage").length, answers, "nothing was sent yet");
      await red.start();
      await until(() => stub.calls("sendMessage").length > answers, "the answer", 10_000);
      await until(async () => (await counts(red)).pending === 0, "the end of the run");
      assert.equal(stub.calls("sendMessage").length, answers + 1);
      assert.equal(texts(stub).at(-1), STORY);
      assert.equal(red.lines.filter((line) => line.includes("STORY")).length, tools + 1);
      const { dead, outbox } = await counts(red);
      assert.deepEqual([dead, outbox.planned, outbox.sending], [0, 0, 0]);
    });

    it("changes the menu with the flows, and leaves the connection alone when they wait for the same", async () => {
      const menus = stub.calls("setMyCommands").length;
      const opened = stub.calls("getMe").length;
      const flows = house(stub, "polling").map(({ credentials: _, ...node }) => node as FlowNode);
      await red.deploy(flows.map((node) => (node.id === "cmd" ? { ...node, func: `${String(node.func)} ` } : node)), "nodes");
      stub.push(said({ text: "same as before" }));
      await heard(stub, "heard same as before");
      assert.equal(stub.calls("getMe").length, opened);
      await red.deploy(flows.map((node) => (node.id === "menu" ? { ...node, command: "lights", name: "" } : node)), "nodes");
      await until(() => stub.calls("setMyCommands").length === menus + 1, "the new menu");
      const menu = () => stub.calls("setMyCommands").at(-1)?.payload.commands as { command: string; description: string }[];
      assert.deepEqual(menu()[0], { command: "lights", description: "lights" });
      assert.ok(menu().some(({ command }) => command === "help"), "the built-in one is there again");
      await red.deploy(flows.filter(({ id }) => id !== "menu"), "nodes");
      await until(() => stub.calls("setMyCommands").length === menus + 2, "the menu without it");
      assert.ok(menu().every(({ command }) => command !== "lights"));
      stub.push(said({ text: "after it all" }));
      await heard(stub, "heard after it all");
    });
  });

  describe("by webhook", () => {
    let stub: TelegramStub;
    beforeEach(async () => { stub = await startTelegram(); });
    afterEach(async () => { const problems = stub.problems(); await stub.close(); assert.deepEqual(problems, []); });
    async function start(settings: NodeRedOptions["settings"] = {}, admin = "", node = ""): Promise<NodeRed> {
      const port = await freePort();
      const red = await startNodeRed({ port, settings: settings as Json, flows: house(stub, "webhook", `http://127.0.0.1:${port}`) });
      await connected(red, admin);
      assert.equal(stub.webhook.url, `http://127.0.0.1:${port}${node}/clawflow/home/claw`);
      return red;
    }
    const forged = (red: NodeRed, path: string, headers: Record<string, string> = {}) =>
      red.fetch(path, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify({ update_id: 1, ...said({ text: "forged" }) }) });

    for (const [admin, node] of [["/", "/"], ["/admin", "/"], ["/admin", "/api"], ["/", "/flows-here"]] as const) {
      it(`takes a whole turn with httpAdminRoot ${admin} and httpNodeRoot ${node}`, async () => {
        const [adminRoot, nodeRoot] = [admin, node].map((root) => root.replace(/\/$/, "")) as [string, string];
        await using red = await start({ httpAdminRoot: admin, httpNodeRoot: node }, adminRoot, nodeRoot);
        await claim(red, stub, adminRoot);
        stub.push(said({ text: "turn on the kitchen light" }));
        await heard(stub, DONE, ADA_CHAT.id, red);
        assert.equal(stub.calls("getUpdates").length, 0);
        assert.ok(stub.delivered.every(({ status }) => status === 200), JSON.stringify(stub.delivered));
        assert.equal((await forged(red, `${nodeRoot}/clawflow/home/claw`)).status, 401);
        assert.equal((await forged(red, `${nodeRoot}/clawflow/home/claw`, { "x-telegram-bot-api-secret-token": "wrong" })).status, 401);
        assert.equal((await red.fetch(`${nodeRoot}/clawflow/home/other`, { method: "POST", body: "{}" })).status, 404);
        assert.ok(!seen(red).some(({ text }) => text === "forged"));
      });
    }

    it("answers exactly once when it is killed after it took the update", async () => {
      await using red = await start();
      await claim(red, stub);
      const taken = stub.push(said({ text: "slow" }));
      await until(() => stub.delivered.some(({ update, status }) => update === taken && status === 200), "the confirmation");
      await red.kill();
      const waits = stub.push(said({ text: "while you were away" }));
      await red.start();
      await heard(stub, "slow", ADA_CHAT.id, red);
      await heard(stub, "heard while you were away", ADA_CHAT.id, red);
      await until(async () => (await counts(red)).pending === 0, "the end of the runs");
      assert.deepEqual(texts(stub).slice(1), ["slow", "heard while you were away"]);
      assert.equal(stub.delivered.find(({ update, status }) => update === waits && status !== 200)?.status, 0, "it was away");
      assert.deepEqual(stub.pending(), []);
    });

    it("connects as soon as the gateway knows its public address, and anew when that changes", async () => {
      await using red = await startNodeRed({ flows: house(stub, "webhook") });
      await until(async () => (await state(red))?.state === "failed", "the fault");
      const fault = await state(red);
      assert.equal(fault?.code, "CONF_001");
      assert.match(fault?.text ?? "", /public https address/);
      const flows = (base: string) => house(stub, "webhook", base).map(({ credentials: _, ...node }) => node as FlowNode);
      await red.deploy(flows(red.url));
      await until(() => stub.webhook.url === `${red.url}/clawflow/home/claw`, "the webhook");
      await connected(red);
      await claim(red, stub);
      const other = red.url.replace("127.0.0.1", "localhost");
      await red.deploy(flows(other), "nodes");
      await until(() => stub.webhook.url === `${other}/clawflow/home/claw`, "the new webhook");
      await connected(red);
      stub.push(said({ text: "still there?" }));
      await heard(stub, "heard still there?", ADA_CHAT.id, red);
    });

    it("says it when httpNodeAuth turns Telegram away, and takes requests that log in", async () => {
      // The hash is of "password".
      const auth = { user: "home", pass: "$2a$08$zZWtXTja0fB1pzD4sHCMyOCMYz2Z6dNbM6tl8sJogENOMcxWV9DN." };
      await using red = await start({ httpNodeAuth: auth });
      stub.push(said({ text: "anybody there?" }));
      const told = await red.waitForLog(/CONN_004/);
      assert.match(told, /httpNodeAuth.*answered 401.*polling/);
      assert.doesNotMatch(told, new RegExp(stub.token));
      assert.deepEqual([...new Set(stub.delivered.map(({ status }) => status))], [401]);
      const basic = `Basic ${Buffer.from("home:password").toString("base64")}`;
      assert.equal((await forged(red, "/clawflow/home/claw", { authorization: basic, "x-telegram-bot-api-secret-token": stub.webhook.secret ?? "" })).status, 200);
      assert.equal((await forged(red, "/clawflow/home/claw", { authorization: basic })).status, 401);
      assert.equal(red.lines.filter((line) => line.includes("httpNodeAuth")).length, 1, "once a minute is enough");
    });

    it("names httpNodeRoot: false as the reason why nothing can come in", async () => {
      await using red = await startNodeRed({ settings: { httpNodeRoot: false }, flows: house(stub, "webhook", "https://home.example") });
      await red.waitForLog(/httpNodeRoot is false/);
      await until(async () => (await state(red))?.state === "failed", "the fault");
      assert.equal(stub.webhook.url, "");
    });
  });
});
