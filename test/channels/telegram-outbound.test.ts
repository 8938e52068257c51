import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { Connection, FileNeeds } from "../../engine/channels/channel.ts";
import { PLAIN_TEXT, renderMarkdown } from "../../engine/channels/markdown.ts";
import { toChannelError } from "../../engine/channels/telegram/errors.ts";
import { renderText } from "../../engine/channels/telegram/render.ts";
import { keyboard } from "../../engine/channels/telegram/keyboard.ts";
import { place, sendCall } from "../../engine/channels/telegram/send.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { ChannelError } from "../../engine/errors.ts";
import type { Address, Draft } from "../../engine/message.ts";
import { recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { parseTelegramHtml } from "../platforms/telegram-html.ts";
import { telegramRig, type TelegramRig } from "../platforms/telegram-rig.ts";
import { skip } from "../rigs/skip.ts";
import { dataFolder, loadTelegramSpec } from "../spec/telegram-schema.ts";

const DIRECT: Address = { channel: "telegram", account: "home", chat: "7001", kind: "direct" };
const GROUP: Address = { channel: "telegram", account: "home", chat: "-1001000000001", kind: "group" };

describe("Telegram's rendering", () => {
  const html = (markdown: string) => renderText(markdown, 4096).text;

  it("writes each piece of Markdown as Telegram's HTML", () => {
    const pairs: [markdown: string, html: string][] = [
      ["a **bold** and *leaning* ~~gone~~ `a<b`", "a <b>bold</b> and <i>leaning</i> <s>gone</s> <code>a&lt;b</code>"],
      ["***both***", "<i><b>both</b></i>"],
      ["# Title\n\ntext", "<b>Title</b>\n\ntext"],
      ["```ts\nif (a < b) {}\n```", '<pre><code class="language-ts">if (a &lt; b) {}</code></pre>'],
      ["```\nx\n```", "<pre>x</pre>"],
      ["[here](https://example.com/?a=1&b=\"2\")", '<a href="https://example.com/?a=1&amp;b=&quot;2&quot;">here</a>'],
      ["[run](javascript:alert(1))", "run (javascript:alert(1))"],
      ["![a cat](https://example.com/cat.png)", '<a href="https://example.com/cat.png">a cat</a>'],
      ["see https://example.com/a_b_c *now*", "see https://example.com/a_b_c <i>now</i>"],
      ["> quoted\n> > twice", "<blockquote>quoted\n\ntwice</blockquote>"],
      ["- one\n- two\n  - three", "• one\n• two\n  • three"],
      ["3. three\n4. four", "3. three\n4. four"],
      ["- [x] done\n- [ ] open", "☑ done\n☐ open"],
      ["a\n\n---\n\nb", "a\n\n———\n\nb"],
      ["| a | bb |\n|---|---|\n| **1** | 2 |", "<pre>a | bb\n--+---\n1 | 2</pre>"],
      ["<b>not markup</b> & AT&amp;T, 5 < 6", "&lt;b&gt;not markup&lt;/b&gt; &amp; AT&amp;T, 5 &lt; 6"],
      ["\\*literal\\* stays", "*literal* stays"],
      ["line one\nline *two*", "line one\nline <i>two</i>"],
    ];
    for (const [markdown, wanted] of pairs) assert.equal(html(markdown), wanted, markdown);
  });

  it("sends a text without any marks as it is, without a parse mode", () => {
    for (const text of ["Hello there!", "3 - 2 = 1\nis right", "It costs 5 € (net).", ""]) assert.deepEqual(renderText(text, 4096), { text });
    assert.equal(renderText("a *b*", 4096).parse_mode, "HTML");
  });

  it("gives up layout that would burst the limit, and absurd nesting", () => {
    const table = `| a | b |\n|---|---|\n${Array.from({ length: 60 }, (_, row) => `| ${row === 0 ? "x".repeat(40) : "y"} | ${row} |`).join("\n")}`;
    assert.equal(renderText(table, 4096).parse_mode, "HTML");
    assert.ok(table.length < 900);
    assert.deepEqual(renderText(table, 900), { text: table });
    const nested = `${"> ".repeat(2000)}x`;
    assert.deepEqual(renderText(nested, 4096), { text: nested });
    assert.deepEqual(renderText("```\n```", 4096), { text: "```\n```" });
  });

  it("makes markup that Telegram reads, from any piece of text", () => {
    const pieces = ["**", "*", "_", "~~", "`", "```\n", "[a](", ")", "](x)", "<b>", "</a>", "&", "&lt;", "> ", "- ", "1. ", "# ", "\n", "\n\n", "|", "---\n", "word ", "https://a.b/?c&d ", "\"", "  ", "![", "\\"];
    let seed = 7;
    const random = (below: number) => { seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31; return seed % below; };
    for (let turn = 0; turn < 3000; turn++) {
      const markdown = Array.from({ length: 1 + random(30) }, () => pieces[random(pieces.length)]).join("");
      const rendered = renderText(markdown, 4096);
      if (rendered.parse_mode !== "HTML") continue;
      const read = parseTelegramHtml(rendered.text);
      assert.ok("text" in read, `${JSON.stringify(markdown)} became ${rendered.text}: ${"error" in read ? read.error : ""}`);
    }
  });

  it("has a second dialect in the same table: no marks at all", () => {
    assert.equal(renderMarkdown("# A **b** [c](https://d.e)\n\n- `f`", PLAIN_TEXT), "A b c (https://d.e)\n\n• f");
  });
});

describe("Telegram's calls", () => {
  const call = (draft: Partial<Draft>, to = DIRECT) => sendCall(to, { text: "", ...draft }, ({ media }) => media);

  it("choose the method by what is to be shown", () => {
    const file = (kind: "image" | "video" | "audio" | "voice" | "document" | "sticker", mime?: string) => call({ attachments: [{ kind, media: "id", ...(mime === undefined ? {} : { mime }) }] }).method;
    assert.equal(call({ text: "x" }).method, "sendMessage");
    assert.deepEqual((["image", "video", "audio", "voice", "document", "sticker"] as const).map((kind) => file(kind)), ["sendPhoto", "sendVideo", "sendAudio", "sendVoice", "sendDocument", "sendSticker"]);
    assert.deepEqual([file("image", "image/gif"), file("image", "image/svg+xml"), file("image", "image/png")], ["sendAnimation", "sendDocument", "sendPhoto"]);
    assert.equal(call({ location: { latitude: 1, longitude: 2 } }).method, "sendLocation");
    assert.equal(call({ poll: { question: "?", options: ["a", "b"] } }).method, "sendPoll");
    assert.equal(call({ attachments: [{ kind: "image", media: "a" }, { kind: "video", media: "b" }] }).method, "sendMediaGroup");
  });

  it("refuse what Telegram cannot show as one message, and say what to do", () => {
    const file = (kind: "image" | "voice" | "document" | "sticker") => ({ kind, media: "id" });
    const refused: [Partial<Draft>, string][] = [
      [{ text: "x".repeat(4097) }, "MSG_003"],
      [{ text: "x".repeat(1025), attachments: [file("image")] }, "MSG_003"],
      [{ attachments: Array.from({ length: 11 }, () => file("image")) }, "MSG_003"],
      [{ text: "x", buttons: [[{ label: "b", value: "ä".repeat(33) }]] }, "MSG_003"],
      [{ text: "x", buttons: [[{ label: "b", value: "" }]] }, "MSG_003"],
      [{ attachments: [file("image"), file("document")] }, "MSG_005"],
      [{ attachments: [file("voice"), file("voice")] }, "MSG_005"],
      [{ attachments: [file("image"), file("image")], buttons: [[{ label: "b" }]] }, "MSG_005"],
      [{ text: "x", attachments: [file("sticker")] }, "MSG_005"],
      [{ text: "x", location: { latitude: 1, longitude: 2 } }, "MSG_005"],
      [{ poll: { question: "?", options: ["a"] }, attachments: [file("image")] }, "MSG_005"],
      [{ text: "x", replyTo: "not a number" }, "MSG_002"],
    ];
    for (const [draft, code] of refused) assert.throws(() => call(draft), (error: unknown) => error instanceof ChannelError && error.code === code && error.retry === "no", `${code} ${JSON.stringify(draft).slice(0, 80)}`);
    assert.throws(() => place({ ...DIRECT, chat: "somebody" }), { code: "MSG_002" });
    assert.throws(() => place({ ...DIRECT, thread: "x" }), { code: "MSG_002" });
  });

  it("address chats, topics and topics of direct messages", () => {
    assert.deepEqual(place(GROUP), { chat_id: -1001000000001 });
    assert.deepEqual(place({ ...GROUP, chat: "@news" }), { chat_id: "@news" });
    assert.deepEqual(place({ ...GROUP, thread: "12" }), { chat_id: -1001000000001, message_thread_id: 12 });
    assert.deepEqual(place({ ...GROUP, thread: "dm:7001" }), { chat_id: -1001000000001, direct_messages_topic_id: 7001 });
  });

  it("give a button its label as value, or its address", () => {
    assert.deepEqual(keyboard({ buttons: [[{ label: "Yes" }, { label: "No", value: "no:1" }], [], [{ label: "Open", url: "https://example.com" }]] }), { inline_keyboard: [[{ text: "Yes", callback_data: "Yes" }, { text: "No", callback_data: "no:1" }], [{ text: "Open", url: "https://example.com" }]] });
    assert.equal(keyboard({ buttons: [[]] }), undefined);
  });
});

describe("Telegram's errors", () => {
  const TOKEN = "123456789:AAHsecretSECRETsecretSECRETsecretSE";
  const answer = (error_code: number, description: string, parameters?: object) => ({ error_code, description, ...(parameters === undefined ? {} : { parameters }) });

  it("are told apart: permanent or for later, ours or theirs", () => {
    const rows: [object, Partial<ChannelError>][] = [
      [answer(429, "Too Many Requests: retry after 14", { retry_after: 14 }), { code: "CONN_003", retry: "later", afterMs: 14_000 }],
      [answer(429, "Too Many Requests"), { code: "CONN_003", retry: "later", afterMs: undefined }],
      [answer(401, "Unauthorized"), { code: "CONN_002", retry: "no" }],
      [answer(404, "Not Found"), { code: "CONN_002", retry: "no" }],
      [answer(404, "Not Found: method not found"), { code: "MSG_005", retry: "no" }],
      [answer(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"), { code: "CONN_005", retry: "later" }],
      [answer(403, "Forbidden: bot was blocked by the user"), { code: "MSG_002", retry: "no" }],
      [answer(403, "Forbidden: bot was kicked from the supergroup chat"), { code: "MSG_002", retry: "no" }],
      [answer(400, "Bad Request: chat not found"), { code: "MSG_002", retry: "no" }],
      [answer(400, "Bad Request: message thread not found"), { code: "MSG_002", retry: "no" }],
      [answer(400, "Bad Request: message can't be deleted"), { code: "MSG_002", retry: "no" }],
      [answer(400, "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0"), { code: "MSG_002", markup: true }],
      [answer(400, "Bad Request: message is too long"), { code: "MSG_003", retry: "no" }],
      [answer(400, "Bad Request: MEDIA_CAPTION_TOO_LONG"), { code: "MSG_003", retry: "no" }],
      [answer(400, "Bad Request: file is too big"), { code: "MSG_003", retry: "no" }],
      [answer(400, "Bad Request: BUTTON_DATA_INVALID"), { code: "MSG_003", retry: "no" }],
      [answer(413, "Request Entity Too Large"), { code: "MSG_003", retry: "no" }],
      [answer(400, "Bad Request: REACTION_INVALID"), { code: "MSG_005", retry: "no" }],
      [answer(400, "Bad Request: failed to get HTTP URL content"), { code: "MSG_002", retry: "no" }],
      [answer(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"), { code: "CONF_001", retry: "no" }],
      [answer(500, "Internal Server Error"), { code: "CONN_001", retry: "later", unsent: false }],
      [answer(502, "Bad Gateway"), { code: "CONN_001", retry: "later", unsent: false }],
      [{ error: Object.assign(new Error("x"), { code: "ENOTFOUND" }) }, { code: "CONN_001", retry: "later", unsent: true }],
      [{ error: new TypeError("fetch failed", { cause: Object.assign(new Error("x"), { code: "ECONNREFUSED" }) }) }, { code: "CONN_001", retry: "later", unsent: true }],
      [{ error: Object.assign(new Error("x"), { code: "ECONNRESET" }) }, { code: "CONN_001", retry: "later", unsent: false }],
      [{ error: new SyntaxError("Unexpected token < in JSON") }, { code: "CONN_001", retry: "later", unsent: false }],
      [{ error: new ChannelError("MSG_002", {}, "the file is gone") }, { code: "MSG_002", retry: "no" }],
    ];
    for (const [thrown, wanted] of rows) {
      const error = toChannelError(thrown, "sendMessage", TOKEN);
      for (const [key, value] of Object.entries(wanted)) assert.equal(error[key as keyof ChannelError], value, `${key} of ${inspect(thrown)}`);
    }
  });

  it("never hold the token, wherever it stood", () => {
    const address = `https://api.telegram.org/bot${TOKEN}/sendMessage`;
    for (const thrown of [
      answer(400, `Bad Request: ${TOKEN}`), answer(502, address), { error: new Error(`Failed to parse URL from ${address}`) }, new Error(address), address, { error: address },
      { error: new TypeError("fetch failed", { cause: new Error(`connect to ${address}`) }) }, new Error(encodeURIComponent(TOKEN)), { error: { message: address } }, new Error("/bot99:otherTOKENotherTOKEN/getMe"),
    ]) {
      const text = inspect(toChannelError(thrown, "sendMessage", TOKEN), { depth: 10, showHidden: true });
      assert.ok(!text.includes(TOKEN) && !text.includes("AAHsecret") && !text.includes("otherTOKEN"), text);
    }
  });
});

describe("Telegram's connection", () => {
  let rig: TelegramRig;
  let context: RecordingContext;
  let connection: Connection;
  const asked: (FileNeeds | undefined)[] = [];
  beforeEach(async () => {
    asked.length = 0;
    rig = await telegramRig("polling");
    context = recordingContext({ ...rig.context, async file({ media, mime = "image/jpeg", name = "file.jpg" }, needs) {
      asked.push(needs);
      if (media === "spool:gone") throw new ChannelError("MSG_002", { unsent: true }, "The file to send is no longer kept here.");
      const blob = new Blob([`bytes of ${media.replace("spool:", "")}`]);
      return { media, name, mime, bytes: blob.size, stream: () => blob.stream() as ReadableStream<Uint8Array>, read: async () => new Uint8Array(await blob.arrayBuffer()) };
    } });
    connection = await telegram.open(rig.account, context);
  });
  afterEach(async () => {
    await connection.close();
    await rig.close();
  });
  const last = (method: string) => rig.stub.calls(method).at(-1);

  it("sends everything a draft can hold, each request as the specification wants it", async () => {
    const { stub } = rig;
    await connection.send(DIRECT, { text: "**hi**", silent: true, replyTo: "5", buttons: [[{ label: "Yes", value: "y" }]] }, "k1");
    assert.equal(last("sendMessage")?.type, "application/json");
    assert.deepEqual(last("sendMessage")?.payload, { chat_id: 7001, text: "<b>hi</b>", parse_mode: "HTML", link_preview_options: { is_disabled: true }, disable_notification: true, reply_parameters: { message_id: 5, allow_sending_without_reply: true }, reply_markup: { inline_keyboard: [[{ text: "Yes", callback_data: "y" }]] } });
    await connection.send({ ...GROUP, thread: "12" }, { text: "in a topic" }, "k2");
    assert.deepEqual(last("sendMessage")?.payload, { chat_id: -1001000000001, message_thread_id: 12, text: "in a topic", link_preview_options: { is_disabled: true } });
    await connection.send(DIRECT, { text: "Which *one*?", poll: { question: "Pizza?", options: ["Yes", "No"], multiple: true, anonymous: false } }, "k3");
    assert.deepEqual(last("sendPoll")?.payload, { chat_id: 7001, question: "Pizza?", options: [{ text: "Yes" }, { text: "No" }], is_anonymous: false, allows_multiple_answers: true, description: "Which <i>one</i>?", description_parse_mode: "HTML" });
    await connection.send(DIRECT, { text: "", location: { latitude: 52.5, longitude: 13.4 } }, "k4");
    await connection.send(DIRECT, { text: "from *there*", attachments: [{ kind: "image", media: "https://example.com/cat.jpg" }] }, "k5");
    const { photo, ...rest } = last("sendPhoto")?.payload ?? {};
    assert.deepEqual([String(photo).slice(0, 9), rest, asked], ["attach://", { chat_id: 7001, caption: "from <i>there</i>", parse_mode: "HTML" }, [{ bytes: 10_000_000 }]]);
    assert.deepEqual(Object.values(last("sendPhoto")?.uploads ?? {}).map((upload) => String(upload.bytes)), ["bytes of https://example.com/cat.jpg"]);
    assert.deepEqual(stub.problems(), []);
  });

  it("uploads kept files as streams, names and all, and albums of them", async () => {
    const name = 'Jahres "bericht" – 2026; final.pdf';
    await connection.send(DIRECT, { text: "read *this*", attachments: [{ kind: "document", media: "spool:a", name, mime: "application/pdf" }], buttons: [[{ label: "OK" }]] }, "k1");
    const document = last("sendDocument");
    assert.match(document?.type ?? "", /^multipart\/form-data/);
    assert.deepEqual(Object.values(document?.uploads ?? {}).map((upload) => [upload.name, String(upload.bytes)]), [["Jahres _bericht_ – 2026; final.pdf", "bytes of a"]]);
    assert.deepEqual(document?.payload.reply_markup, { inline_keyboard: [[{ text: "OK", callback_data: "OK" }]] });
    for (const kind of ["image", "video", "audio", "voice", "sticker"] as const) await connection.send(DIRECT, { text: "", attachments: [{ kind, media: "spool:b" }] }, "k2");
    const ref = await connection.send(DIRECT, { text: "two", attachments: [{ kind: "image", media: "spool:c" }, { kind: "video", media: "file-id" }] }, "k3");
    assert.match(ref, /^\d+$/);
    assert.deepEqual(((last("sendMediaGroup")?.payload.media ?? []) as { type: string; caption?: string }[]).map(({ type, caption }) => [type, caption]), [["photo", "two"], ["video", undefined]]);
    assert.deepEqual(Object.values(last("sendMediaGroup")?.uploads ?? {}).map(({ name: named }) => named), ["file.jpg"]);
    assert.deepEqual(rig.stub.problems(), []);
    await assert.rejects(connection.send(DIRECT, { text: "", attachments: [{ kind: "image", media: "spool:gone" }] }, "k4"), { name: "ChannelError", code: "MSG_002", retry: "no" });
  });

  it("edits text, and the text under a file; the same again is no fault, a message that is gone is", async () => {
    const ref = await connection.send(DIRECT, { text: "one", buttons: [[{ label: "b" }]] }, "k");
    await connection.edit?.(DIRECT, ref, { text: "**two**" });
    await connection.edit?.(DIRECT, ref, { text: "**two**" });
    assert.deepEqual(rig.shown(), ["two"]);
    assert.equal("reply_markup" in (last("editMessageText")?.payload ?? {}), false);
    const photo = await connection.send(DIRECT, { text: "before", attachments: [{ kind: "image", media: "id" }] }, "k2");
    await connection.edit?.(DIRECT, photo, { text: "after" });
    await connection.edit?.(DIRECT, photo, { text: "after" });
    assert.deepEqual(rig.shown(), ["two", "after"]);
    await assert.rejects(async () => connection.edit?.(DIRECT, "99999", { text: "x" }), { name: "ChannelError", code: "MSG_002", retry: "no" });
    assert.deepEqual(rig.stub.problems(), []);
  });

  it("reacts with Telegram's spelling of an emoji, and takes the reaction back", async () => {
    for (const emoji of ["❤️", "👍", "5312536423851630001", ""]) await connection.react?.(DIRECT, "5", emoji);
    assert.deepEqual(rig.stub.calls("setMessageReaction").map(({ payload }) => payload.reaction), [[{ type: "emoji", emoji: "❤" }], [{ type: "emoji", emoji: "👍" }], [{ type: "custom_emoji", custom_emoji_id: "5312536423851630001" }], []]);
    assert.deepEqual(rig.stub.problems(), []);
  });

  it("shows an unfinished answer in private chats only, the same draft for the same key", async () => {
    await connection.preview?.(DIRECT, { text: "thinking **about" }, "key-1");
    await connection.preview?.(DIRECT, { text: "thinking **about it**" }, "key-1");
    await connection.preview?.(DIRECT, { text: "another" }, "key-2");
    const ids = rig.stub.calls("sendMessageDraft").map(({ payload }) => payload.draft_id as number);
    assert.equal(ids[0], ids[1]);
    assert.notEqual(ids[0], ids[2]);
    assert.ok(ids.every((id) => Number.isInteger(id) && id > 0));
    await assert.rejects(async () => connection.preview?.(GROUP, { text: "x" }, "k"), { code: "MSG_005" });
    await connection.typing?.({ ...GROUP, thread: "3" });
    assert.deepEqual(last("sendChatAction")?.payload, { chat_id: -1001000000001, message_thread_id: 3, action: "typing" });
    assert.deepEqual(rig.stub.problems(), []);
  });

  it("fetches the bytes behind a reference", async () => {
    rig.stub.keep("file-1", "photos/a b#1.jpg", Buffer.from("picture"));
    rig.stub.keep("file-2", "/var/lib/telegram/x", Buffer.from("local"));
    const stream = await connection.media?.("file-1", new AbortController().signal);
    assert.equal(await new Response(stream).text(), "picture");
    await assert.rejects(async () => connection.media?.("unknown", new AbortController().signal), { code: "MSG_002" });
    await assert.rejects(async () => connection.media?.("file-2", new AbortController().signal), { code: "MSG_005" });
    assert.deepEqual(rig.stub.problems(), []);
  });

  it("follows a group that became a supergroup, once and for all", async () => {
    const old = { ...GROUP, chat: "-42" };
    rig.stub.chats.set("-42", { code: 400, description: "Bad Request: group chat was upgraded to a supergroup chat", parameters: { migrate_to_chat_id: -1001000000009 } });
    await connection.send(old, { text: "one" }, "k1");
    await connection.send(old, { text: "two" }, "k2");
    assert.deepEqual(rig.stub.shown(-1001000000009).map(({ text }) => text), ["one", "two"]);
    assert.deepEqual(rig.stub.calls("sendMessage").map(({ payload }) => payload.chat_id), [-42, -1001000000009, -1001000000009]);
  });

  it("does not hang on a platform that falls silent when it is closed", async () => {
    rig.stub.fault("sendMessage", { delayMs: 5_000 });
    const sending = connection.send(DIRECT, { text: "x" }, "k").then(() => "sent", (error: ChannelError) => error.retry);
    await until(() => rig.stub.calls("sendMessage").length === 1, "the request");
    await connection.close();
    assert.equal(await sending, "later");
  });
});

describe("The check of requests against Telegram's specification", () => {
  const photo = { type: "photo", media: "id" };
  /** Faults planted on purpose: each must be found. */
  const PLANTED: readonly [about: string, method: string, payload: object][] = [
    ["no text", "sendMessage", { chat_id: 1 }],
    ["no chat", "sendMessage", { text: "x" }],
    ["4097 characters", "sendMessage", { chat_id: 1, text: "x".repeat(4097) }],
    ["an empty text", "sendMessage", { chat_id: 1, text: "" }],
    ["a field that does not exist", "sendMessage", { chat_id: 1, text: "x", markdown: true }],
    ["a wrong type", "sendMessage", { chat_id: 1, text: "x", disable_notification: "yes" }],
    ["an unknown parse mode", "sendMessage", { chat_id: 1, text: "x", parse_mode: "html" }],
    ["a button value of 65 bytes", "sendMessage", { chat_id: 1, text: "x", reply_markup: { inline_keyboard: [[{ text: "b", callback_data: "ä".repeat(33) }]] } }],
    ["a button that does nothing", "sendMessage", { chat_id: 1, text: "x", reply_markup: { inline_keyboard: [[{ text: "b" }]] } }],
    ["a button that does two things", "sendMessage", { chat_id: 1, text: "x", reply_markup: { inline_keyboard: [[{ text: "b", url: "https://a.b", callback_data: "c" }]] } }],
    ["a caption of 1025 characters", "sendPhoto", { chat_id: 1, photo: "id", caption: "x".repeat(1025) }],
    ["an album of one", "sendMediaGroup", { chat_id: 1, media: [photo] }],
    ["an album of eleven", "sendMediaGroup", { chat_id: 1, media: Array.from({ length: 11 }, () => photo) }],
    ["a voice note in an album", "sendMediaGroup", { chat_id: 1, media: [photo, { type: "voice", media: "id" }] }],
    ["a poll without options", "sendPoll", { chat_id: 1, question: "?", options: [] }],
    ["a poll's question of 301 characters", "sendPoll", { chat_id: 1, question: "?".repeat(301), options: [{ text: "a" }] }],
    ["an edit of nothing", "editMessageText", { chat_id: 1, text: "x" }],
    ["a reaction that is not on the list", "setMessageReaction", { chat_id: 1, message_id: 1, reaction: [{ type: "emoji", emoji: "❤️" }] }],
    ["an unknown action", "sendChatAction", { chat_id: 1, action: "dancing" }],
    ["a command in capitals", "setMyCommands", { commands: [{ command: "Help", description: "x" }] }],
    ["101 commands", "setMyCommands", { commands: Array.from({ length: 101 }, () => ({ command: "a", description: "b" })) }],
    ["a secret with a space", "setWebhook", { url: "https://a.b", secret_token: "a b" }],
    ["a draft with number zero", "sendMessageDraft", { chat_id: 1, draft_id: 0, text: "x" }],
    ["an answer to no query", "answerInlineQuery", { results: [] }],
    ["a result without a title", "answerInlineQuery", { inline_query_id: "1", results: [{ type: "article", id: "a", input_message_content: { message_text: "x" } }] }],
    ["a result whose id is 65 bytes", "answerInlineQuery", { inline_query_id: "1", results: [{ type: "article", id: "x".repeat(65), title: "t", input_message_content: { message_text: "x" } }] }],
    ["a contact without a number", "sendContact", { chat_id: 1, first_name: "Ada" }],
    ["a venue without an address", "sendVenue", { chat_id: 1, latitude: 1, longitude: 2, title: "Home" }],
    ["a reply keyboard of bare words", "sendMessage", { chat_id: 1, text: "x", reply_markup: { keyboard: ["Yes"] } }],
    ["a button in a colour that does not exist", "sendMessage", { chat_id: 1, text: "x", reply_markup: { inline_keyboard: [[{ text: "b", callback_data: "c", style: "red" }]] } }],
    ["a ban of nobody", "banChatMember", { chat_id: 1 }],
    ["an unknown method", "sendEverything", {}],
  ];

  it("finds every planted fault, and none in what is right", async function () {
    const specs = dataFolder("specs", "telegram");
    if (specs === undefined) return skip(this, "no Telegram specification here (CLAWFLOW_SPECS)");
    const spec = loadTelegramSpec(specs);
    for (const [about, method, payload] of PLANTED) assert.notDeepEqual(spec.request(method, payload), [], about);
    assert.deepEqual(spec.request("sendMessage", { chat_id: 1, text: "x".repeat(4096), parse_mode: "HTML" }), []);
    assert.deepEqual(spec.request("sendMediaGroup", { chat_id: 1, media: [photo, { type: "video", media: "attach://x" }] }), []);

    const rig = await telegramRig("polling");
    const post = (method: string, payload: object) => fetch(`${rig.stub.url}/bot${rig.stub.token}/${method}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(payload) });
    assert.equal((await post("sendMessage", { chat_id: 1 })).status, 400);
    assert.equal((await post("sendMessage", { chat_id: 1, text: "<b>open", parse_mode: "HTML" })).status, 400);
    assert.equal((await post("sendMessage", { chat_id: 1, text: `<b>${"x".repeat(4090)}</b>`, parse_mode: "HTML" })).status, 200, "lengths count without markup");
    assert.deepEqual(rig.stub.problems(), ["sendMessage: must have required property 'text'"]);
    await rig.close();
  });
});
