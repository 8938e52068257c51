/** Slack's payloads to Messages: recorded ones, our samples, every kind, and what is broken. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { toMarkdown } from "../../engine/channels/slack/mrkdwn.ts";
import { type Self, toMessage } from "../../engine/channels/slack/to-message.ts";
import { workspaceOf } from "../../engine/channels/slack/workspaces.ts";
import { emojiOf, nameOf } from "../../engine/channels/slack/emoji.ts";
import type { Message } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { ADA, CHANNEL, DIRECT, envelope, said } from "../platforms/slack-rig.ts";
import { projectRoot } from "../rigs/project.ts";
import { skip } from "../rigs/skip.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

const SELF: Self = { account: "home", userId: "U00FAKEBOT01", botId: "B00FAKEBOT01", teamId: "T00FAKE00AA", now: 1_790_000_000_000 };
const read = (body: unknown, self: Self = SELF): Message | undefined => {
  const message = toMessage(body, self);
  return message === undefined ? undefined : parseMessage(message);
};
const must = (body: unknown, self: Self = SELF): Message => read(body, self) ?? assert.fail("expected a message");
const event = (more: Record<string, unknown>): Message => must(envelope(more));

/** Hand-written reading of each recorded payload: kind, text or action, sender, chat, thread, addressed. */
const RECORDED: Readonly<Record<string, readonly [kind: string, what: string, sender: string, chat: string, thread: string | undefined, addressed: boolean]>> = {
  "actions-reactions.mention": ["message", "<@U00FAKEBOT01> Test", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "actions-reactions.action": ["action", "button info (Show Info)", "U00FAKEUSER1", "C00FAKECHAN1", "1767326125.870439", true],
  "actions-reactions.reaction": ["reaction", "reaction 👍", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "actions-reactions.staticSelectAction": ["action", "choice quick_action=greet", "U00FAKEUSER1", "C00FAKECHAN1", "1767326125.870439", true],
  "actions-reactions.radioButtonsAction": ["action", "choice plan_selected=all_text", "U00FAKEUSER1", "C00FAKECHAN1", "1767326125.870439", true],
  "channel-mention.mention": ["message", "<@U00FAKEBOT01> Can you see the name of this channel: #C00FAKECHAN2?", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "channel.mention": ["message", "<@U00FAKEBOT01> Hey", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "channel.channel_post_action": ["action", "button channel-post (Channel Post)", "U00FAKEUSER1", "C00FAKECHAN1", "1771287144.743569", true],
  "dm.directDM": ["message", "hello hello", "U0ADXQT6CRW", "D0ACX51K95H", undefined, true],
  "dm.followUp": ["message", "cool!!", "U0ADXQT6CRW", "D0ACX51K95H", undefined, true],
  "member-joined-channel.memberJoinedChannel": ["member", "member joined U00FAKEBOT01", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "member-joined-channel.mention": ["message", "<@U00FAKEBOT01> test", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "native-table.mention": ["message", "<@U00FAKEBOT01> Hey", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "native-table.action": ["action", "button show-table (Show Table)", "U00FAKEUSER1", "C00FAKECHAN1", "1772914709.229499", true],
  "multi-workspace-team1.mention": ["message", "<@U0A9G5N5URZ> testing", "U0A8WUV28QM", "C0A9D9RTBMF", undefined, true],
  "slack.mention": ["message", "<@U00FAKEBOT01> Hey", "U00FAKEUSER1", "C00FAKECHAN1", undefined, true],
  "slack.followUp": ["message", "Hi", "U00FAKEUSER1", "C00FAKECHAN1", "1767224888.280449", false],
};

function told({ text, action }: Message): string {
  switch (action?.type) {
    case undefined: return text;
    case "button": return `button ${action.value} (${action.label})`;
    case "choice": return `choice ${action.name}=${action.values.join()}`;
    case "reaction": return `reaction ${action.emoji}`;
    case "member": return `member ${action.change} ${action.ids.join()}`;
    default: return JSON.stringify(action);
  }
}

describe("Slack's payloads", () => {
  it("reads every recorded payload as a person would", function () {
    const folder = dataFolder("payloads", "slack");
    if (folder === undefined) return skip(this, "no recorded payloads beside this checkout");
    const rows: string[][] = [];
    const ids = new Set<string>();
    for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
      const data = JSON.parse(readFileSync(path.join(folder, file), "utf8")) as Record<string, unknown> & { botUserId: string };
      const name = file.replace(/^vercel-chat-(?:slack-)?/, "").replace(/-slack(?:-direct)?\.json$|\.json$/, "");
      for (const [key, body] of Object.entries(data)) {
        if (typeof body !== "object") continue;
        const message = must(body, { ...SELF, userId: data.botUserId });
        ids.add(message.id);
        const wanted = RECORDED[`${name}.${key}`] ?? assert.fail(`no reading for ${name}.${key}: ${JSON.stringify(message)}`);
        assert.deepEqual([message.kind, told(message), message.sender.id, message.at.chat, message.at.thread, message.addressed], wanted, `${name}.${key}`);
        assert.equal(message.at.space, workspaceOf(body as object).team);
        rows.push([message.kind, told(message).slice(0, 40), message.sender.id, `${message.at.space}/${message.at.chat}${message.at.thread === undefined ? "" : `/${message.at.thread}`}`]);
      }
    }
    console.log(`      ${rows.length} recorded payloads\n${rows.map((row) => `      ${row.join(" | ")}`).join("\n")}`);
    assert.equal(rows.length, Object.keys(RECORDED).length);
    assert.equal(ids.size, rows.length);
  });

  it("reads its own samples", () => {
    const folder = path.join(projectRoot, "engine/channels/slack/samples");
    const kinds = readdirSync(folder).flatMap((file) => (JSON.parse(readFileSync(path.join(folder, file), "utf8")) as unknown[]).map((body) => must(body, { ...SELF, userId: "U012BOT" }).kind));
    assert.deepEqual(kinds, ["message", "message", "reaction", "action", "action"]);
  });

  it("gives twin events one id, and every other act its own", () => {
    const mention = said(`<@${SELF.userId}> hi`, { channel: CHANNEL, channel_type: "channel" });
    const { channel_type: _, ...twin }: Record<string, unknown> = { ...mention, type: "app_mention" };
    assert.equal(event(mention).id, event(twin).id);
    assert.ok(event(mention).addressed && event(twin).addressed);
    assert.notEqual(event(said("a")).id, event(said("a")).id);
    const reaction = { type: "reaction_added", user: ADA, reaction: "tada", item: { type: "message", channel: CHANNEL, ts: "1.000001" }, event_ts: "2.000002" };
    const wrapped = envelope(reaction);
    assert.equal(must(wrapped).id, must(structuredClone(wrapped)).id);
    assert.notEqual(must(envelope(reaction)).id, must(envelope(reaction)).id);
    assert.equal(must({ ...wrapped, event_id: undefined }).id, must({ ...wrapped, event_id: undefined }).id);
  });

  it("knows whose a message is: a person's, the bot's own, another bot's", () => {
    assert.deepEqual(event(said("x")).sender, { id: ADA, name: ADA, bot: false, self: false });
    assert.deepEqual(event(said("x", { user: SELF.userId, bot_id: SELF.botId })).sender, { id: SELF.userId, name: SELF.userId, bot: true, self: true });
    assert.deepEqual(event({ ...said("x", { subtype: "bot_message", bot_id: "B99", username: "Alarm" }), user: undefined }).sender, { id: "B99", name: "Alarm", bot: true, self: false });
    assert.equal(event(said("x", { bot_id: "B98", bot_profile: { name: "Other" } })).sender.bot, true);
    assert.equal(must(envelope(said("x")), { ...SELF, nameOf: (id) => (id === ADA ? "Ada" : undefined) }).sender.name, "Ada");
  });

  it("reads threads, broadcasts and answers to the bot", () => {
    const root = event(said("x", { channel: CHANNEL, channel_type: "channel", thread_ts: "1.000001", ts: "1.000001" }));
    assert.deepEqual([root.at.thread, root.replyTo, root.addressed], [undefined, undefined, false]);
    const answer = event(said("x", { channel: CHANNEL, channel_type: "channel", thread_ts: "1.000001", parent_user_id: SELF.userId }));
    assert.deepEqual([answer.at.thread, answer.replyTo, answer.addressed], ["1.000001", "1.000001", true]);
    assert.deepEqual(event(said("x", { subtype: "thread_broadcast", channel: CHANNEL, channel_type: "channel", thread_ts: "1.000001", root: {} })).tags, ["thread_broadcast"]);
    const own = must(envelope(said(`<@${SELF.userId}> x`, { channel: CHANNEL, channel_type: "channel", ts: "7.000001" })), { ...SELF, threads: true });
    assert.equal(own.at.thread, "7.000001");
    assert.equal(must(envelope(said("x")), { ...SELF, threads: true }).at.thread, undefined);
    assert.equal(must(envelope(said("x", { channel: CHANNEL, channel_type: "channel" })), { ...SELF, threads: true }).at.thread, undefined);
  });

  it("reads edits and deletions once, and no preview or growing thread as one", () => {
    const before = { type: "message", user: ADA, text: "old", ts: "5.000001" };
    const change = { type: "message", subtype: "message_changed", hidden: true, channel: CHANNEL, channel_type: "channel", ts: "6.000001", event_ts: "6.000001", previous_message: before, message: { ...before, text: `new <@${SELF.userId}>`, edited: { user: ADA, ts: "6.000000" } } };
    const edited = event(change);
    assert.deepEqual([edited.kind, edited.id, edited.ref, edited.text, edited.sender.id, edited.sentAt, edited.addressed], ["edit", `edit:${CHANNEL}:5.000001:6.000000`, "5.000001", `new <@${SELF.userId}>`, ADA, 6_000, true]);
    assert.equal(read(envelope({ ...change, message: { ...before, attachments: [{ from_url: "https://example.org" }] } })), undefined);
    const gone = event({ type: "message", subtype: "message_deleted", hidden: true, channel: CHANNEL, channel_type: "channel", ts: "8.000001", event_ts: "8.000001", deleted_ts: "5.000001", previous_message: before });
    assert.deepEqual([gone.kind, gone.id, gone.ref, gone.sender.id], ["delete", `delete:${CHANNEL}:5.000001`, "5.000001", ADA]);
    assert.deepEqual([event({ ...change, message: { subtype: "tombstone", ts: "5.000001", text: "This message was deleted." } })].map(({ kind, id }) => [kind, id]), [["delete", gone.id]]);
    for (const subtype of ["channel_join", "channel_leave", "message_replied"]) assert.equal(read(envelope(said("x", { subtype }))), undefined, subtype);
  });

  it("reads files by their kind, voice clips, links and shared messages", () => {
    const file = (mimetype: string, more: object = {}) => ({ id: `F${mimetype}`, name: "n", mimetype, size: 3, ...more });
    const { attachments } = event(said("", { subtype: "file_share", files: [file("image/png", { alt_txt: "a cat" }), file("video/mp4"), file("audio/mpeg"), file("audio/mp4", { subtype: "slack_audio", duration_ms: 1500 }), file("application/pdf"), file("x/y", { is_external: true, url_private: "https://docs.example/x" }), { id: "F9", mode: "tombstone" }, { id: "F10", file_access: "check_file_info" }] }));
    assert.deepEqual(attachments.map(({ kind }) => kind), ["image", "video", "audio", "voice", "document", "embed", "document"]);
    assert.deepEqual(attachments[0], { kind: "image", media: "Fimage/png", state: "remote", mime: "image/png", name: "n", bytes: 3, alt: "a cat" });
    assert.equal((attachments[3] as { seconds?: number }).seconds, 1.5);
    const shared = event(said("look", { attachments: [{ is_share: true, author_name: "Bob", author_id: "U2", text: "*said*", from_url: "https://x.slack.com/archives/C/p1" }] }));
    assert.deepEqual(shared.forwarded, { name: "Bob", id: "U2" });
    assert.deepEqual(shared.attachments, [{ kind: "embed", type: "message", title: "Bob", text: "**said**", url: "https://x.slack.com/archives/C/p1" }]);
    assert.equal(event(said("", { subtype: "bot_message", bot_id: "B9", blocks: [{ type: "header", text: { type: "plain_text", text: "Alarm" } }, { type: "section", text: { type: "mrkdwn", text: "*red*" }, fields: [{ type: "mrkdwn", text: "a" }] }, { type: "actions", elements: [{ type: "button", text: { type: "plain_text", text: "no" } }] }] })).text, "Alarm\n**red**\na");
  });

  it("turns mrkdwn into Markdown and keeps what a person typed", () => {
    const names = (id: string) => ({ U1: "Ada", C1: "general" })[id];
    for (const [from, to] of [
      ["plain 2 * 3 * 4", "plain 2 * 3 * 4"], ["*bold* and _em_ and ~gone~", "**bold** and _em_ and ~~gone~~"], ["*bold <https://a.org/x*y|*link*> on*", "**bold [*link*](https://a.org/x*y) on**"],
      ["a &amp; b &lt;tag&gt; 5*5*5", "a & b <tag> 5*5*5"], ["<@U1> and <@U2> and <@U3|bob>", "@Ada and <@U2> and @bob"], ["<#C1> <#C2|random> <#C3>", "#general #random #C3"],
      ["<!here> <!channel> <!subteam^S1|@team> <!date^1392734382^{date}|Feb 18, 2014>", "@here @channel @team Feb 18, 2014"], ["<https://a.org?x=1&amp;y=2>", "https://a.org?x=1&y=2"], ["<https://a.org|a.org>", "https://a.org"], ["<https://a.org/(b)|c>", "[c](<https://a.org/(b)>)"],
      ["<mailto:a@b.org|a@b.org>", "a@b.org"], ["`a*b*c &lt;x&gt;` ok", "`a*b*c <x>` ok"], ["```\nlet *x* = <https://a.org|a.org>;\n```", "```\nlet *x* = a.org;\n```"], ["```one```", "```\none\n```"], ["&gt; quote", "> quote"], ["• one\n• two", "- one\n- two"], ["\ue0000\ue000 <@U1>", "0 @Ada"],
    ] as const) assert.equal(toMarkdown(from, names), to, from);
  });

  it("names emoji as everybody else does", () => {
    assert.deepEqual(["+1", "thumbsup", "thinking_face", "heart", "flag-us", "+1::skin-tone-3", "party_parrot"].map(emojiOf), ["👍", "👍", "🤔", "❤", "🇺🇸", "👍🏼", ":party_parrot:"]);
    assert.deepEqual(["👍", "❤️", "❤", "🤔", "👍🏼", ":party_parrot:", "tada", "🇺🇸", "no such", "é"].map(nameOf), ["+1", "heart", "heart", "thinking_face", "+1::skin-tone-3", "party_parrot", "tada", "us", undefined, undefined]);
  });

  const user = { id: ADA, username: "ada", name: "ada", team_id: "T00FAKE00AA" };
  const team = { id: "T00FAKE00AA", domain: "x" };
  const press = (element: Record<string, unknown>, more: Record<string, unknown> = {}) => ({ type: "block_actions", user, team, trigger_id: "9.9.x", channel: { id: CHANNEL, name: "c" }, container: { type: "message", message_ts: "3.000001", channel_id: CHANNEL, is_ephemeral: false }, message: { ts: "3.000001", text: "t" }, response_url: "https://hooks.slack.com/actions/x", actions: [{ action_ts: "4.000001", block_id: "b", action_id: "a", ...element }], ...more });

  it("reads presses, choices of every kind of element, and no opened links", () => {
    const choice = (element: Record<string, unknown>) => must(press(element)).action;
    assert.deepEqual(choice({ type: "button", value: "v", text: { type: "plain_text", text: "L" } }), { type: "button", value: "v", label: "L" });
    assert.equal(read(press({ type: "button", url: "https://a.org", text: { type: "plain_text", text: "L" } })), undefined);
    for (const [element, values] of [
      [{ type: "static_select", selected_option: { value: "x" } }, ["x"]], [{ type: "overflow", selected_option: { value: "x" } }, ["x"]], [{ type: "radio_buttons", selected_option: null }, []], [{ type: "multi_static_select", selected_options: [{ value: "x" }, { value: "y" }] }, ["x", "y"]], [{ type: "checkboxes", selected_options: [] }, []],
      [{ type: "users_select", selected_user: "U1" }, ["U1"]], [{ type: "multi_users_select", selected_users: ["U1", "U2"] }, ["U1", "U2"]], [{ type: "conversations_select", selected_conversation: "C1" }, ["C1"]], [{ type: "multi_channels_select", selected_channels: ["C1"] }, ["C1"]], [{ type: "datepicker", selected_date: "2026-01-02" }, ["2026-01-02"]],
      [{ type: "timepicker", selected_time: "10:00" }, ["10:00"]], [{ type: "datetimepicker", selected_date_time: 1790000000 }, ["1790000000"]], [{ type: "plain_text_input", value: "hi" }, ["hi"]],
    ] as const) assert.deepEqual(choice(element), { type: "choice", values, name: "a" }, element.type);
    assert.deepEqual(choice({ type: "static_select", action_id: "menu:size", selected_option: { value: "x" } }), { type: "choice", values: ["x"], name: "size" });
    const message = must(press({ type: "button", value: "v" }));
    assert.deepEqual([message.id, message.ref, message.sentAt, message.at, message.sender], ["trigger:9.9.x", "3.000001", 4_000, { channel: "slack", account: "home", chat: CHANNEL, space: "T00FAKE00AA", kind: "group" }, { id: ADA, name: "ada", handle: "ada", bot: false, self: false }]);
    assert.equal(must(press({ type: "button", value: "v" }, { container: { message_ts: "3.000001", channel_id: CHANNEL, is_ephemeral: true } })).ref, "ephemeral:3.000001");
  });

  it("reads commands, shortcuts and submitted forms, each where it belongs", () => {
    const command = must({ command: "/Lights", text: "kitchen off", user_id: ADA, user_name: "ada", team_id: "T2", channel_id: DIRECT, trigger_id: "1.1.c", response_url: "x" });
    assert.deepEqual([command.kind, command.action, command.text, command.at.kind, command.at.space, command.addressed, command.id], ["action", { type: "command", name: "lights", args: "kitchen off" }, "/Lights kitchen off", "direct", "T2", true, "trigger:1.1.c"]);
    const global = must({ type: "shortcut", callback_id: "new", user, team, trigger_id: "1.1.s", action_ts: "5.5" });
    assert.deepEqual([global.action, global.at.chat, global.at.kind], [{ type: "shortcut", name: "new" }, ADA, "direct"]);
    const onMessage = must({ type: "message_action", callback_id: "todo", user, team, trigger_id: "1.1.m", channel: { id: CHANNEL }, message_ts: "3.000001", message: { ts: "3.000001", text: "*do* it", thread_ts: "2.000001" }, response_url: "x" });
    assert.deepEqual([onMessage.action, onMessage.ref, onMessage.at.thread, onMessage.attachments], [{ type: "shortcut", name: "todo", ref: "3.000001" }, "3.000001", "2.000001", [{ kind: "embed", type: "message", text: "**do** it" }]]);
    const values = { name: { value: { type: "plain_text_input", value: "Ada" } }, size: { value: { type: "static_select", selected_option: { value: "l" } } }, extras: { x: { type: "checkboxes", selected_options: [{ value: "a" }, { value: "b" }] } }, none: { value: { type: "plain_text_input", value: null } } };
    const form = must({ type: "view_submission", user, team, trigger_id: "1.1.v", view: { id: "V1", callback_id: "order", private_metadata: JSON.stringify({ chat: CHANNEL, thread: "2.000001" }), state: { values } } });
    assert.deepEqual([form.action, form.at.chat, form.at.thread, form.ref], [{ type: "form", name: "order", values: { name: "Ada", size: "l", extras: "a, b", none: "" } }, CHANNEL, "2.000001", "V1"]);
    assert.equal(must({ type: "view_submission", user, team, view: { id: "V1", hash: "h", private_metadata: "not ours", state: { values: {} } } }).at.chat, ADA);
    assert.equal(read({ type: "view_closed", user, team, view: {} }), undefined);
  });

  it("reads members, other events by their name, and who installed it as a whole", () => {
    const left = event({ type: "member_left_channel", user: ADA, channel: CHANNEL, channel_type: "C", team: "T", event_ts: "1.1" });
    assert.deepEqual([left.kind, left.action], ["member", { type: "member", change: "left", ids: [ADA] }]);
    const pin = event({ type: "pin_added", user: ADA, channel_id: CHANNEL, item: {}, event_ts: "1.1" });
    assert.deepEqual([pin.kind, pin.tags, pin.at.chat], ["event", ["pin_added"], CHANNEL]);
    assert.deepEqual([event(said("set the topic", { subtype: "channel_topic", channel: CHANNEL })).kind], ["event"]);
    assert.equal(read(envelope({ type: "app_home_opened", user: ADA, channel: DIRECT })), undefined);
    // In a channel shared with another company team_id is the author's.
    assert.equal(must(envelope(said("x"), { team_id: "TOTHER", context_team_id: "T00FAKE00AA" })).at.space, "T00FAKE00AA");
    assert.deepEqual(workspaceOf({ context_team_id: "T1", context_enterprise_id: "E1" }), { team: "T1", enterprise: "E1" });
  });

  it("survives a thousand mutilated payloads: nothing but an error or a valid message comes out", () => {
    const times = Number(process.env.CLAWFLOW_FUZZ ?? 1_000);
    const bodies = [envelope(said("*a* <@U1>", { files: [{ id: "F1", mimetype: "image/png" }], attachments: [{ text: "x" }] })), envelope({ type: "message", subtype: "message_changed", channel: CHANNEL, message: { text: "a", ts: "1.1" }, previous_message: {} }), press({ type: "static_select", selected_option: { value: "x" } }), { type: "view_submission", user, team, view: { id: "V", private_metadata: "{}", state: { values: { a: { b: { value: "x" } } } } } }, { command: "/x", text: "y", user_id: ADA, channel_id: CHANNEL }];
    const junk = [null, undefined, 0, -1, "", "x".repeat(300), [], {}, true, { __proto__: null }, "\u0000", Number.NaN, [[[]]], JSON.parse('{"__proto__":{"polluted":1}}')];
    let seed = 42;
    const random = (most: number): number => { seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648; return seed % most; };
    let read1 = 0;
    for (let turn = 0; turn < times; turn++) {
      const body = structuredClone(bodies[random(bodies.length)]) as Record<string, unknown>;
      for (let changes = 1 + random(3); changes > 0; changes--) {
        let node: Record<string, unknown> = body;
        for (let depth = random(5); depth > 0; depth--) { const inner = node[Object.keys(node)[random(Math.max(1, Object.keys(node).length))] as string]; if (typeof inner !== "object" || inner === null) break; node = inner as Record<string, unknown>; }
        const key = Object.keys(node)[random(Math.max(1, Object.keys(node).length))];
        if (key !== undefined) node[key] = junk[random(junk.length)];
      }
      try { if (read(body) !== undefined) read1++; } catch (error) { assert.ok(error instanceof Error && !(error instanceof RangeError), String(error)); }
    }
    console.log(`      ${times} mutilated payloads, ${read1} of them still messages`);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
    assert.ok(read1 > times / 10);
  });
});
