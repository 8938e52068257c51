import assert from "node:assert/strict";
import type { Connection } from "../../engine/channels/channel.ts";
import { degrade } from "../../engine/channels/degrade.ts";
import { splitDraft } from "../../engine/channels/split.ts";
import { actionOf, keyboard } from "../../engine/channels/telegram/keyboard.ts";
import { told } from "../../engine/channels/telegram/send.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { ChannelError } from "../../engine/errors.ts";
import { createFetch } from "../../engine/http.ts";
import type { Address, ChoiceOption, Draft, Message } from "../../engine/message.ts";
import { recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { startSocks } from "../kit/socks.ts";
import { ADA, telegramRig, type TelegramRig } from "../platforms/telegram-rig.ts";

const DIRECT: Address = { channel: "telegram", account: "home", chat: "7001", kind: "direct" };
const GROUP: Address = { channel: "telegram", account: "home", chat: "-1001000000001", kind: "group" };
const CHANNEL: Address = { ...GROUP, chat: "@claw_news" };
const SUPER = { id: -1001000000001, type: "supergroup", title: "Home" };
const refused = (code: string) => (error: unknown): boolean => error instanceof ChannelError && error.code === code && error.retry === "no";

describe("Telegram's menus", () => {
  const menu = (name: string | undefined, options: readonly ChoiceOption[]) => keyboard({ choices: { ...(name === undefined ? {} : { name }), options } })?.inline_keyboard.flat() ?? [];
  const back = (name: string | undefined, option: ChoiceOption) => { const [key] = menu(name, [option]); assert.ok(key !== undefined && "callback_data" in key); assert.ok(Buffer.byteLength(key.callback_data) <= 64); return actionOf(key.callback_data, key.text); };

  it("come back as the choice they were, whatever stands in them; buttons stay buttons", () => {
    const label = "Ein Zimmer mit Aussicht auf den Garten, den Bach und die Berge dahinter";
    assert.deepEqual(back("room", { label: "Kitchen", value: "k" }), { type: "choice", values: ["k"], name: "room" });
    assert.deepEqual(back(undefined, { label: "Kitchen" }), { type: "choice", values: ["Kitchen"] });
    assert.deepEqual(back("a\nb", { label: "x", value: "one\ntwo" }), { type: "choice", values: ["one\ntwo"], name: "a b" });
    assert.deepEqual(back("room", { label }), { type: "choice", values: [label], name: "room" });
    for (const value of ["y", "~", "~c", "~cx\ny", "~i\n0", "~=", "\n"]) {
      const [key] = keyboard({ buttons: [[{ label: "B", value }]] })?.inline_keyboard.flat() ?? [];
      assert.ok(key !== undefined && "callback_data" in key);
      assert.deepEqual(actionOf(key.callback_data, "B"), { type: "button", value, label: "B" }, JSON.stringify(value));
    }
  });

  it("say what is too long or too many", () => {
    assert.throws(() => menu("room", [{ label: "x", value: "v".repeat(58) }]), refused("MSG_003"));
    assert.doesNotThrow(() => menu("room", [{ label: "x", value: "v".repeat(57) }]));
    assert.throws(() => menu("n".repeat(62), [{ label: "x" }]), refused("MSG_003"));
    assert.throws(() => menu(undefined, Array.from({ length: 101 }, (_, index) => ({ label: String(index) }))), refused("MSG_003"));
  });

  it("stand beside each other where they are short, and say what is known of each option", () => {
    assert.deepEqual(keyboard({ choices: { options: ["A", "B", "C", "D"].map((label) => ({ label })) } })?.inline_keyboard.map((row) => row.length), [3, 1]);
    assert.deepEqual(keyboard({ choices: { options: [{ label: "a label of some length" }, { label: "b" }] } })?.inline_keyboard.map((row) => row.length), [1, 1]);
    assert.equal(told({ text: "Which?", choices: { hint: "Pick one", options: [{ label: "A", about: "the first" }, { label: "B" }] } }).text, "Which?\n\n**A**: the first\n\nPick one");
  });
});

describe("What a Telegram message can hold", () => {
  let rig: TelegramRig;
  let context: RecordingContext;
  let connection: Connection;
  beforeEach(async () => {
    rig = await telegramRig("polling");
    context = recordingContext({ ...rig.context, async file({ media, mime = "image/jpeg", name = "file.jpg" }) {
      const blob = new Blob([`bytes of ${media}`]);
      return { media, name, mime, bytes: blob.size, stream: () => blob.stream() as ReadableStream<Uint8Array>, read: async () => new Uint8Array(await blob.arrayBuffer()) };
    } });
    connection = await telegram.open(rig.account, context);
  });
  afterEach(async () => {
    await connection.close();
    await rig.close();
    assert.deepEqual(rig.stub.problems(), []);
  });
  const last = (method: string) => rig.stub.calls(method).at(-1)?.payload ?? assert.fail(`no ${method}`);
  const sendAll = async (to: Address, draft: Draft): Promise<string[]> => {
    const refs: string[] = [];
    for (const part of splitDraft(degrade(draft, telegram.shows ?? {}), telegram.limits, "telegram")) refs.push(await connection.send(to, part, `k${refs.length}`));
    return refs;
  };

  it("shows a card as text with its picture, and as text alone where both do not fit", async () => {
    const card = { title: "Weather <Berlin>", text: "Rain & *wind*", fields: [{ name: "Wind", value: "12" }], url: "https://example.com/w", footer: "today" };
    await connection.send(DIRECT, { text: "Today", cards: [{ ...card, image: "spool:rain" }] }, "k");
    assert.equal(last("sendPhoto").caption, "Today\n\n<b>Weather &lt;Berlin&gt;</b>\nRain &amp; <i>wind</i>\n<b>Wind</b>: 12\nhttps://example.com/w\ntoday");
    await connection.send(DIRECT, { text: "", cards: [{ ...card, text: "x".repeat(1_200), image: "https://example.com/rain.jpg" }] }, "k");
    assert.match(String(last("sendMessage").text), /x{1200}/);
    assert.match(String(last("sendMessage").text), /https:\/\/example\.com\/rain\.jpg/);
    await connection.send(DIRECT, { text: "", cards: [{ title: "A", image: "a" }, { title: "B", image: "b" }] }, "k");
    assert.equal((last("sendMediaGroup").media as object[]).length, 2);
    await connection.send(DIRECT, { text: "", cards: [{ title: "A", image: "a" }], buttons: [[{ label: "OK", style: "primary" }, { label: "No", style: "danger" }]] }, "k");
    assert.deepEqual(last("sendPhoto").reply_markup, { inline_keyboard: [[{ text: "OK", callback_data: "OK", style: "primary" }, { text: "No", callback_data: "No", style: "danger" }]] });
  });

  it("leaves room for what cards and menus say under the longest text", async () => {
    const refs = await sendAll(DIRECT, { text: "word ".repeat(1_600).trim(), cards: [{ title: "T", text: "c".repeat(900) }], choices: { options: [{ label: "A" }] } });
    assert.ok(refs.length >= 2);
    assert.match(String(last("sendMessage").text), /<b>T<\/b>/);
  });

  it("sends contacts, places with and without a name, stickers, and a menu without words", async () => {
    await connection.send(DIRECT, { text: "", contact: { name: "Ada Lovelace", phone: "+4930123456" } }, "k");
    assert.deepEqual(last("sendContact"), { chat_id: 7001, phone_number: "+4930123456", first_name: "Ada Lovelace" });
    await connection.send(DIRECT, { text: "", location: { latitude: 52.5, longitude: 13.4, title: "Home", address: "Street 1" } }, "k");
    assert.deepEqual(last("sendVenue"), { chat_id: 7001, latitude: 52.5, longitude: 13.4, title: "Home", address: "Street 1" });
    await connection.send(DIRECT, { text: "", location: { latitude: 52.5, longitude: 13.4, address: "Street 1" } }, "k");
    assert.equal(last("sendVenue").title, "Street 1");
    await connection.send(DIRECT, { text: "", choices: { options: [{ label: "A" }] } }, "k");
    assert.equal(last("sendMessage").text, "…");
    await connection.send(DIRECT, { text: "", attachments: [{ kind: "sticker", media: "CAACAgIAAx" }] }, "k");
    assert.equal(last("sendSticker").sticker, "CAACAgIAAx");
  });

  it("lets the platform's own fields go over ours: reply keyboards, quizzes, protected posts", async () => {
    const reply_markup = { keyboard: [[{ text: "My number", request_contact: true }]], resize_keyboard: true, one_time_keyboard: true };
    await connection.send(DIRECT, { text: "May I have your number?", native: { telegram: { reply_markup, protect_content: true }, slack: { channel: "X" } } }, "k");
    assert.deepEqual([last("sendMessage").reply_markup, last("sendMessage").protect_content, "channel" in last("sendMessage")], [reply_markup, true, false]);
    await connection.send(GROUP, { text: "", poll: { question: "1 + 1?", options: ["1", "2"] }, native: { telegram: { type: "quiz", correct_option_ids: [1], explanation: "Count them" } } }, "k");
    assert.equal(last("sendPoll").type, "quiz");
    const ref = await connection.send(DIRECT, { text: "a" }, "k");
    await connection.edit?.(DIRECT, ref, { text: "b", native: { telegram: { link_preview_options: { is_disabled: false } } } });
    assert.deepEqual(last("editMessageText").link_preview_options, { is_disabled: false });
  });

  it("cuts 23 pictures into albums of ten, ten and three", async () => {
    const refs = await sendAll(DIRECT, { text: "all of them", attachments: Array.from({ length: 23 }, (_, index) => ({ kind: "image" as const, media: `id-${index}` })) });
    assert.deepEqual(rig.stub.calls("sendMediaGroup").map(({ payload }) => (payload.media as object[]).length), [10, 10, 3]);
    assert.equal(new Set(refs).size, refs.length);
    await sendAll(DIRECT, { text: "", attachments: Array.from({ length: 11 }, (_, index) => ({ kind: "document" as const, media: `d-${index}` })) });
    assert.equal(last("sendDocument").document, "d-10");
  });

  it("broadcasts to a channel by its name, and shows a growing answer there by edits", async () => {
    const ref = await connection.send(CHANNEL, { text: "News", silent: true }, "k");
    assert.deepEqual([last("sendMessage").chat_id, last("sendMessage").disable_notification], ["@claw_news", true]);
    for (const to of [GROUP, { ...GROUP, thread: "12" }, CHANNEL]) await assert.rejects(async () => connection.preview?.(to, { text: "x" }, "k"), refused("MSG_005"));
    await connection.edit?.(CHANNEL, ref, { text: "News, more of it" });
    assert.equal(last("editMessageText").chat_id, "@claw_news");
    await connection.preview?.({ ...DIRECT, thread: "9" }, { text: "in a private topic" }, "k");
    assert.equal(last("sendMessageDraft").message_thread_id, 9);
  });

  it("tells votes where the poll stands, over a restart too, and how the poll stands", async () => {
    const ref = await connection.send({ ...GROUP, thread: "12" }, { text: "", poll: { question: "Pizza?", options: ["Gladly", "Never"], anonymous: false } }, "k");
    await connection.close();
    connection = await telegram.open(rig.account, context);
    const vote = { poll_id: `poll-${ref}`, user: ADA, option_ids: [1], option_persistent_ids: ["b"] };
    rig.stub.push({ poll_answer: vote });
    rig.stub.push({ poll_answer: { ...vote, option_ids: [], option_persistent_ids: [] } });
    rig.stub.push({ poll_answer: { ...vote, poll_id: "another" } });
    rig.stub.push({ poll: { id: `poll-${ref}`, question: "Pizza?", options: [{ text: "Gladly", voter_count: 3, persistent_id: "a" }, { text: "Never", voter_count: 1, persistent_id: "b" }], total_voter_count: 4, is_closed: true, is_anonymous: true, type: "regular", allows_multiple_answers: false } });
    await until(() => context.received.length === 4, "three votes and the result");
    const at = { channel: "telegram", account: "home", chat: "-1001000000001", kind: "group", thread: "12" };
    assert.deepEqual(context.received.map(({ at: where, action }) => [where.chat, action]), [
      ["-1001000000001", { type: "vote", poll: ref, options: ["1"] }], ["-1001000000001", { type: "vote", poll: ref, options: [] }], ["7001", { type: "vote", poll: "another", options: ["1"] }], ["-1001000000001", undefined],
    ]);
    assert.deepEqual([context.received[0]?.at, context.received[0]?.replyTo, context.received[0]?.sender.id], [at, ref, "7001"]);
    assert.deepEqual([context.received[3]?.kind, context.received[3]?.text, context.received[3]?.tags, context.received[3]?.ref], ["event", "Gladly: 3\nNever: 1", ["poll", "poll_closed"], ref]);
  });

  describe("inline queries", () => {
    async function ask(id: string, query = "weather"): Promise<Message> {
      rig.stub.push({ inline_query: { id, from: ADA, query, offset: "" } });
      await until(() => context.received.some(({ ref }) => ref === id), "the query");
      return context.received.find(({ ref }) => ref === id) ?? assert.fail();
    }
    const results = () => last("answerInlineQuery").results as Record<string, unknown>[];

    it("are answered once, by the draft sent to their address, for that person alone", async () => {
      const { to, at } = await ask("q1");
      assert.ok(to !== undefined);
      assert.deepEqual([at.thread, to.thread], ["inline", "inline:q1"]);
      await connection.typing?.(to);
      await connection.preview?.(to, { text: "Ra" }, "k");
      await connection.send(to, { text: "**Rain**, until noon\nand then sun" }, "k");
      assert.deepEqual(last("answerInlineQuery"), { inline_query_id: "q1", is_personal: true, results: [{ type: "article", id: "#0", title: "**Rain**, until noon", input_message_content: { message_text: "<b>Rain</b>, until noon\nand then sun", parse_mode: "HTML", link_preview_options: { is_disabled: true } } }] });
      assert.deepEqual([rig.stub.calls("sendChatAction").length, rig.stub.calls("sendMessageDraft").length], [0, 0]);
      await assert.rejects(connection.send(to, { text: "again" }, "k2"), refused("MSG_002"));
      await assert.rejects(connection.send({ ...to, thread: "inline:never-asked" }, { text: "late" }, "k3"), refused("MSG_002"));
      await assert.rejects(async () => connection.react?.(to, "5", "👍"), refused("MSG_005"));
    });

    it("get a result for each card, option, known file, place and contact, and their buttons", async () => {
      const { to } = await ask("q2");
      assert.ok(to !== undefined);
      await connection.send(to, {
        text: "not shown beside others", buttons: [[{ label: "More", value: "more" }]],
        cards: [{ title: "Berlin", text: "Rain", image: "https://example.com/b.jpg", url: "https://example.com/b" }, { text: "no title" }],
        choices: { options: [{ label: "Paris", value: "Sun in Paris", about: "sun" }, { label: "Paris again", value: "Sun in Paris" }, { label: "L", value: "v".repeat(100) }] },
        attachments: [{ kind: "image", media: "photo-id" }, { kind: "voice", media: "voice-id", alt: "Listen" }, { kind: "sticker", media: "sticker-id" }],
        location: { latitude: 1, longitude: 2 }, contact: { name: "Ada", phone: "+49" }, native: { telegram: { cache_time: 0, next_offset: "10" } },
      }, "k");
      assert.deepEqual(results().map(({ type, id, title }) => [type, id, title]), [
        ["article", "#0", "Berlin"], ["article", "#1", "no title"], ["article", "Sun in Paris", "Paris"], ["article", "#3", "Paris again"], ["article", "#4", "L"],
        ["photo", "#5", undefined], ["voice", "#6", "Listen"], ["sticker", "#7", undefined], ["location", "#8", "📍"], ["contact", "#9", undefined],
      ]);
      assert.ok(results().every(({ reply_markup }) => JSON.stringify(reply_markup) === '{"inline_keyboard":[[{"text":"More","callback_data":"more"}]]}'));
      assert.deepEqual([results()[0]?.thumbnail_url, results()[0]?.url, last("answerInlineQuery").cache_time], ["https://example.com/b.jpg", "https://example.com/b", 0]);
    });

    it("may find nothing, take no more than fifty results, and no file that Telegram does not have", async () => {
      const { to } = await ask("q3");
      assert.ok(to !== undefined);
      await assert.rejects(connection.send(to, { text: "", choices: { options: Array.from({ length: 51 }, (_, index) => ({ label: `${index}` })) } }, "k"), refused("MSG_003"));
      await assert.rejects(connection.send(to, { text: "", attachments: [{ kind: "image", media: "spool:a" }] }, "k"), refused("MSG_005"));
      await connection.send(to, { text: "" }, "k");
      assert.deepEqual(results(), []);
    });

    it("leave messages that can be edited by the id Telegram gives with the result or a button", async () => {
      rig.stub.fault("editMessageText", { code: 400, description: "Bad Request: MESSAGE_ID_INVALID" });
      await assert.rejects(async () => connection.edit?.(DIRECT, "AgAAAGHyAQBVWekJxtm7FPgQGjg", { text: "new" }), refused("MSG_002"));
      assert.equal(last("editMessageText").inline_message_id, "AgAAAGHyAQBVWekJxtm7FPgQGjg");
    });
  });

  it("administers groups by the platform's own methods", async () => {
    const chat_id = -1001000000001;
    const calls: [method: string, parameters: Record<string, unknown>][] = [
      ["banChatMember", { chat_id, user_id: 7002 }], ["unbanChatMember", { chat_id, user_id: 7002, only_if_banned: true }],
      ["restrictChatMember", { chat_id, user_id: 7002, permissions: { can_send_messages: false }, until_date: 1_790_003_600 }], ["promoteChatMember", { chat_id, user_id: 7002, can_delete_messages: true }],
      ["pinChatMessage", { chat_id, message_id: 5 }], ["unpinChatMessage", { chat_id, message_id: 5 }], ["setChatTitle", { chat_id, title: "Home" }],
      ["createForumTopic", { chat_id, name: "Garden" }], ["approveChatJoinRequest", { chat_id, user_id: 7002 }], ["declineChatJoinRequest", { chat_id, user_id: 7002 }],
    ];
    for (const [method, parameters] of calls) {
      assert.notEqual(await connection.call?.(method, parameters), undefined);
      assert.deepEqual(last(method), parameters);
    }
    for (const method of ["toJSON", "no such", "../getMe", "x", ""]) await assert.rejects(async () => connection.call?.(method, {}), refused("MSG_005"));
    rig.stub.fault("banChatMember", { code: 400, description: "Bad Request: not enough rights to restrict/unrestrict chat member" });
    await assert.rejects(async () => connection.call?.("banChatMember", { chat_id, user_id: 1 }), /not enough rights/);
  });

  it("asks Telegram for join requests, members, inline queries and polls", async () => {
    await until(() => rig.stub.calls("getUpdates").length > 0, "a poll");
    for (const kind of ["inline_query", "chosen_inline_result", "chat_join_request", "chat_member", "poll", "poll_answer", "channel_post", "edited_channel_post"]) assert.ok((last("getUpdates").allowed_updates as string[]).includes(kind), kind);
    rig.stub.push({ chat_join_request: { chat: SUPER, from: ADA, user_chat_id: 7001, date: 1_790_000_000 } });
    await until(() => context.received.length === 1, "the request");
    assert.deepEqual([context.received[0]?.kind, context.received[0]?.tags, context.received[0]?.to?.chat], ["event", ["chat_join_request"], "7001"]);
  });
});

describe("Telegram through a SOCKS5 proxy", () => {
  for (const login of [undefined, { user: "ada", password: "p@ss:w/rd" }]) {
    it(`receives, sends and fetches files ${login === undefined ? "without a password" : "with a password"}`, async () => {
      const socks = await startSocks(login);
      const rig = await telegramRig("polling");
      const proxy = `socks5://${login === undefined ? "" : `${login.user}:${encodeURIComponent(login.password)}@`}127.0.0.1:${socks.port}`;
      const fetch = createFetch({ proxy });
      const context = recordingContext({ ...rig.context, fetch });
      const account = { ...rig.account, settings: { ...rig.account.settings, proxy } };
      assert.deepEqual(telegram.check(account), []);
      const connection = await telegram.open(account, context);
      try {
        rig.say("hello");
        await until(() => context.received.length === 1, "the message");
        await connection.send(DIRECT, { text: "by proxy" }, "k1");
        const kept = await context.spool?.save(new Blob(["%PDF-1.7 of mine"]).stream(), { name: "a.pdf", mime: "application/pdf" });
        await connection.send(DIRECT, { text: "", attachments: [{ kind: "document", media: `spool:${kept?.id}`, name: "a.pdf" }] }, "k2");
        assert.deepEqual(Object.values(rig.stub.calls("sendDocument").at(-1)?.uploads ?? {}).map(({ bytes }) => String(bytes)), ["%PDF-1.7 of mine"]);
        rig.stub.keep("f1", "documents/a.txt", Buffer.from("theirs"));
        assert.equal(await new Response(await connection.media?.("f1", context.signal)).text(), "theirs");
        assert.ok(socks.asked.length > 0 && socks.asked.every((asked) => asked === rig.host), socks.asked.join(", "));
        assert.equal(socks.refused, 0);
        assert.deepEqual(rig.stub.problems(), []);
      } finally {
        context.abort();
        await connection.close();
        await fetch.destroy();
        await rig.close();
        await socks.close();
      }
    });
  }

  it("says that a proxy refuses its login, without the password", async () => {
    const socks = await startSocks({ user: "ada", password: "right" });
    const rig = await telegramRig("polling");
    const fetch = createFetch({ proxy: `socks5://ada:wrong-canary@127.0.0.1:${socks.port}` });
    try {
      await assert.rejects(telegram.open(rig.account, recordingContext({ ...rig.context, fetch })), (error: unknown) => error instanceof ChannelError && error.code === "CONN_001" && error.retry === "later" && !error.message.includes("wrong-canary"));
      assert.ok(socks.refused > 0);
      assert.equal(rig.stub.seen.length, 0);
    } finally {
      await fetch.destroy();
      await rig.close();
      await socks.close();
    }
  });
});
