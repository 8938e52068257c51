/** What ClawFlow sends to Slack: requests as its stub saw them, checked by the SDK's own types. */
import assert from "node:assert/strict";
import type { Connection } from "../../engine/channels/channel.ts";
import { contentOf, mrkdwn } from "../../engine/channels/slack/blocks.ts";
import { toChannelError } from "../../engine/channels/slack/errors.ts";
import { slack } from "../../engine/channels/slack/slack.ts";
import type { ChannelError, ErrorCode, Retry } from "../../engine/errors.ts";
import type { Address, Draft } from "../../engine/message.ts";
import { memoryStorage, recordingContext, type RecordingContext, refuseWrites } from "../contracts/channel.ts";
import { manualClock, until } from "../kit/scripted.ts";
import { ADA, CHANNEL, DIRECT, envelope, said, type SlackRig, slackRig } from "../platforms/slack-rig.ts";
import { skip } from "../rigs/skip.ts";
import { loadSlackSpec } from "../spec/slack-schema.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

const TO: Address = { channel: "slack", account: "home", chat: CHANNEL, space: "T00FAKE00AA", kind: "group" };
const DM: Address = { ...TO, chat: DIRECT, kind: "direct" };

describe("Slack's outbound", () => {
  let rig: SlackRig;
  let context: RecordingContext;
  let connection: Connection;
  beforeEach(async () => {
    rig = await slackRig("events");
    context = recordingContext(rig.context);
    connection = await slack.open(rig.account, context);
    rig.serve?.(connection);
  });
  afterEach(async () => {
    await connection.close();
    assert.deepEqual(rig.stub.problems(), []);
    await rig.close();
  });
  const last = (method: string) => rig.stub.calls(method).at(-1)?.args ?? assert.fail(`no ${method}`);
  const send = (draft: Draft, to: Address = TO, key = "k") => connection.send(to, draft, key);
  const press = (more: Record<string, unknown> = {}) => rig.stub.push({ type: "block_actions", user: { id: ADA, name: "ada" }, team: { id: "T00FAKE00AA" }, trigger_id: `t.${Math.random()}`, channel: { id: CHANNEL }, container: { message_ts: "3.000001" }, message: { ts: "3.000001" }, actions: [{ type: "button", action_id: "a", value: "v", action_ts: "4.000001" }], ...more }, "interactive");
  const pressed = async (more: Record<string, unknown> = {}) => { const before = context.received.length; press(more); await until(() => context.received.length > before, "the press"); };

  it("writes text as mrkdwn with its key, without previews; people by id, and nothing that rings everybody", async () => {
    await send({ text: "**b** _e_ [l](https://a.org) <!channel> <@U012AB3CD> <#C012AB3CD> <!subteam^S1> & `c`" });
    assert.deepEqual(last("chat.postMessage"), { channel: CHANNEL, text: "*b* _e_ <https://a.org|l> &lt;!channel&gt; <@U012AB3CD> <#C012AB3CD> &lt;!subteam^S1&gt; &amp; `c`", metadata: { event_type: "clawflow_message", event_payload: { key: "k" } }, unfurl_links: false, unfurl_media: false });
    await send({ text: "*as* <it> is @here", plain: true });
    assert.deepEqual(last("chat.postMessage").blocks, [{ type: "section", text: { type: "plain_text", text: "*as* <it> is @here", emoji: false } }]);
    assert.equal(mrkdwn("a <!here> b"), "a &lt;!here&gt; b");
  });

  it("puts answers into threads, and replies under what they answer", async () => {
    await send({ text: "a" }, { ...TO, thread: "1.000001" });
    assert.equal(last("chat.postMessage").thread_ts, "1.000001");
    await send({ text: "a", replyTo: "2.000002" });
    assert.equal(last("chat.postMessage").thread_ts, "2.000002");
    await send({ text: "a", replyTo: "trigger:x" });
    assert.equal(last("chat.postMessage").thread_ts, undefined);
    await assert.rejects(send({ text: "a" }, { ...TO, thread: "general" }), { code: "MSG_002" });
  });

  it("shows buttons, menus and cards as blocks, and what comes back is whole", async () => {
    const buttons = [[{ label: "Yes", value: "y", style: "primary" as const }, { label: "N".repeat(80), value: "n" }], [{ label: "Site", url: "https://a.org" }], []];
    await send({ text: "see https://a.org/x. or @here", buttons, choices: { name: "size", hint: "Pick", options: [{ label: "Large", value: "l", about: "XL" }, { label: "Small" }] } });
    const { blocks, text } = last("chat.postMessage") as { blocks: { type: string; text?: unknown; elements?: Record<string, unknown>[] }[]; text: string };
    assert.equal(text, "see https://a.org/x. or @here");
    assert.deepEqual(blocks[0], { type: "section", text: { type: "mrkdwn", text: "see <https://a.org/x>. or @here", verbatim: true } });
    assert.deepEqual(blocks[1]?.elements?.[0], { type: "button", action_id: "button-0-0", text: { type: "plain_text", text: "Yes", emoji: true }, style: "primary", value: "y" });
    assert.equal((blocks[1]?.elements?.[1]?.text as { text: string } | undefined)?.text.length, 75);
    assert.equal(blocks[2]?.elements?.[0]?.url, "https://a.org");
    assert.deepEqual(blocks[3]?.elements?.[0], { type: "static_select", action_id: "menu:size", placeholder: { type: "plain_text", text: "Pick", emoji: true }, options: [{ text: { type: "plain_text", text: "Large", emoji: true }, value: "l", description: { type: "plain_text", text: "XL", emoji: true } }, { text: { type: "plain_text", text: "Small", emoji: true }, value: "Small" }] });
    await send({ text: "", choices: { multiple: true, options: [{ label: "a" }] } });
    assert.equal((last("chat.postMessage").blocks as { elements: { type: string }[] }[])[0]?.elements[0]?.type, "multi_static_select");
    await send({ text: "", cards: [{ title: "Rain", text: "till *noon*", url: "https://w.org", image: "https://w.org/a.png", fields: Array.from({ length: 11 }, (_, index) => ({ name: `f${index}`, value: "v" })), footer: "now" }, { title: "Red", text: "x", color: "#ff0000" }] });
    const card = last("chat.postMessage") as { blocks: { type: string }[]; attachments: { color: string }[]; text: string };
    assert.deepEqual(card.blocks.map(({ type }) => type), ["section", "section", "section", "image", "context"]);
    assert.deepEqual([card.attachments[0]?.color, card.text], ["#ff0000", "Rain, Red"]);
    assert.equal(contentOf({ text: `${"a ".repeat(1_990)}`, buttons: [[{ label: "x" }]] }).blocks.filter(({ type }) => type === "section").length, 2);
  });

  it("refuses by itself what Slack would", async () => {
    const button = { label: "x", value: "v".repeat(2_001) };
    for (const draft of [{ text: "", buttons: [[button]] }, { text: "", buttons: [[{ label: "x", url: `https://a.org/${"x".repeat(3_000)}` }]] }, { text: "", choices: { options: [{ label: "x", value: "v".repeat(151) }] } }, { text: "", choices: { options: Array.from({ length: 101 }, (_, index) => ({ label: `${index}` })) } }, { text: "x".repeat(4_001) }] satisfies Draft[]) {
      await assert.rejects(send(draft), { name: "ChannelError", code: "MSG_003", retry: "no" });
    }
    assert.equal(rig.stub.calls("chat.postMessage").length, 0);
  });

  it("lets native fields go over ours", async () => {
    await send({ text: "a", native: { slack: { unfurl_links: true, icon_emoji: ":robot_face:" } } });
    assert.deepEqual([last("chat.postMessage").unfurl_links, last("chat.postMessage").icon_emoji], [true, ":robot_face:"]);
  });

  it("whispers to one person of a channel, and to nobody else", async () => {
    const ref = await send({ text: "psst", only: ADA }, { ...TO, thread: "1.000001" });
    assert.match(ref, /^ephemeral:/);
    assert.deepEqual([last("chat.postEphemeral").user, last("chat.postEphemeral").thread_ts], [ADA, "1.000001"]);
    assert.equal(rig.stub.calls("chat.postMessage").length, 0);
    for (const act of [connection.edit?.(TO, ref, { text: "x" }), connection.remove?.(TO, ref), connection.react?.(TO, ref, "👍")]) await assert.rejects(async () => act, { code: "MSG_005" });
    await assert.rejects(send({ text: "", only: ADA, attachments: [{ kind: "image", media: "spool:x" }] }), { code: "MSG_005" });
    await send({ text: "direct anyway", only: ADA }, DM);
    assert.equal(rig.stub.calls("chat.postMessage").length, 1);
  });

  it("answers a command where the bot is no member by its response address, five times and for half an hour", async () => {
    rig.stub.closed.add("C0ELSEWHERE");
    const elsewhere = { ...TO, chat: "C0ELSEWHERE" };
    rig.stub.push({ command: "/x", text: "", user_id: ADA, team_id: "T00FAKE00AA", channel_id: "C0ELSEWHERE", trigger_id: "1.1.r", response_url: `${rig.stub.url}/respond/1` }, "slash_commands");
    await until(() => context.received.length === 1, "the command");
    assert.match(await send({ text: "**here**" }, elsewhere, "answer"), /^response:answer$/);
    await send({ text: "for you", only: ADA }, elsewhere);
    assert.deepEqual(rig.stub.responses.map(({ body }) => [body.response_type, body.text]), [["in_channel", "*here*"], ["ephemeral", "for you"]]);
    for (let turn = 0; turn < 3; turn++) await send({ text: "x" }, elsewhere);
    await assert.rejects(send({ text: "x" }, elsewhere), { code: "MSG_002" });
    assert.equal(rig.stub.responses.length, 5);
    rig.stub.push({ command: "/x", text: "", user_id: ADA, team_id: "T00FAKE00AA", channel_id: "C0ELSEWHERE", trigger_id: "1.1.q", response_url: "http://169.254.169.254/x" }, "slash_commands");
    await until(() => context.received.length === 2, "the command");
    await assert.rejects(send({ text: "x" }, elsewhere), { code: "MSG_002", message: /one of Slack's/ });
  });

  it("takes the status of its answer to a command for a yes, whatever becomes of the words", async () => {
    rig.stub.closed.add("C0ELSEWHERE");
    await connection.close();
    const broken = new ReadableStream({ start(controller) { controller.error(new TypeError("terminated")); } });
    connection = await slack.open(rig.account, { ...context, async fetch(url, init) { const answer = await context.fetch(url, init); return String(url).includes("/respond/") ? new Response(broken, { status: answer.status }) : answer; } });
    rig.serve?.(connection);
    rig.stub.push({ command: "/x", text: "", user_id: ADA, team_id: "T00FAKE00AA", channel_id: "C0ELSEWHERE", trigger_id: "1.1.r", response_url: `${rig.stub.url}/respond/1` }, "slash_commands");
    await until(() => context.received.length === 1, "the command");
    assert.equal(await send({ text: "here" }, { ...TO, chat: "C0ELSEWHERE" }, "answer"), "response:answer");
    assert.deepEqual(rig.stub.responses.map(({ body }) => body.text), ["here"]);
  });

  describe("forms", () => {
    const form: Draft = { text: "Fill **in**", form: { name: "order", title: "An order with a very long title", submit: "Go", fields: [{ key: "who", label: "Who", type: "text", required: true, initial: "Ada" }, { key: "why", label: "Why", type: "long" }, { key: "size", label: "Size", type: "choice", initial: "l", options: [{ label: "Large", value: "l" }, { label: "Small" }] }] } };

    it("open by the press they answer, and remember the chat", async () => {
      await pressed();
      assert.match(await send(form, { ...TO, thread: "1.000001" }), /^view:V/);
      const { view } = last("views.open") as { view: { title: { text: string }; callback_id: string; private_metadata: string; blocks: { type: string; block_id?: string; optional?: boolean; element?: { type: string; initial_option?: { value: string } } }[] } };
      assert.equal(view.title.text.length, 24);
      assert.equal(view.callback_id, "order");
      assert.deepEqual(JSON.parse(view.private_metadata), { chat: CHANNEL, thread: "1.000001" });
      assert.deepEqual(view.blocks.map(({ block_id, optional, element }) => [block_id, optional, element?.type]), [[undefined, undefined, undefined], ["who", false, "plain_text_input"], ["why", true, "plain_text_input"], ["size", true, "static_select"]]);
      assert.equal(view.blocks[3]?.element?.initial_option?.value, "l");
      await assert.rejects(send(form), { code: "MSG_002", retry: "no" }, "a trigger opens one form");
    });

    it("fail for good without a press, after 3 seconds, and where it is not clear whose", async () => {
      await assert.rejects(send(form), { code: "MSG_002", retry: "no", message: /3 seconds/ });
      await connection.close();
      const clock = manualClock();
      connection = await slack.open(rig.account, { ...context, clock: { ...clock, now: Date.now } });
      rig.serve?.(connection);
      press();
      await clock.advance(0);
      await until(() => rig.stub.pending().length === 0, "the press");
      await clock.advance(3_000);
      await assert.rejects(send(form), { code: "MSG_002", retry: "no" });
      press({ user: { id: "U1" } });
      press({ user: { id: "U2" } });
      await until(() => rig.stub.pending().length === 0, "both presses");
      await assert.rejects(send(form), { code: "MSG_002", message: /Several people/ });
      await send({ ...form, only: "U1" });
      assert.equal(rig.stub.views.length, 1);
      assert.equal(rig.stub.calls("views.open").length, 1);
    });

    it("tell Slack's word when it was too late there", async () => {
      await pressed();
      rig.stub.fault("views.open", { error: "expired_trigger_id" });
      await assert.rejects(send(form), { code: "MSG_002", retry: "no", message: /3 seconds/ });
    });
  });

  it("edits whole, so that nothing of before stays, and keeps the key", async () => {
    const ref = await send({ text: "a", buttons: [[{ label: "x" }]] });
    await connection.edit?.(TO, ref, { text: "b" });
    assert.deepEqual(last("chat.update"), { channel: CHANNEL, ts: ref, text: "b", blocks: [], attachments: [] });
    assert.equal(await connection.find?.(TO, { key: "k", draft: { text: "a" }, startedAt: Date.now() }), ref);
    await assert.rejects(async () => connection.edit?.(TO, "not a ref", { text: "b" }), { code: "MSG_002" });
  });

  it("reacts by name, takes its reactions back, and knows what has none", async () => {
    const ref = await send({ text: "a" });
    await connection.react?.(TO, ref, "👍");
    await connection.react?.(TO, ref, "👍");
    await connection.react?.(TO, ref, "🤔");
    assert.deepEqual(rig.stub.calls("reactions.add").map(({ args }) => args.name), ["+1", "+1", "thinking_face"]);
    await connection.react?.(TO, ref, "");
    assert.deepEqual(rig.stub.calls("reactions.remove").map(({ args }) => args.name), ["+1", "thinking_face"]);
    await assert.rejects(async () => connection.react?.(TO, ref, "no emoji"), { code: "MSG_005" });
  });

  it("opens the chat with a person whose own id is all there is", async () => {
    const person = { ...DM, chat: ADA };
    const ref = await send({ text: "hi" }, person);
    assert.equal(last("chat.postMessage").channel, `D${ADA.slice(1)}`);
    await connection.edit?.(person, ref, { text: "ho" });
    assert.equal(rig.stub.calls("conversations.open").length, 1);
  });

  it("shows typing in threads alone, and not again where Slack refuses it", async () => {
    await connection.typing?.(TO);
    assert.equal(rig.stub.calls("assistant.threads.setStatus").length, 0);
    await connection.typing?.({ ...TO, thread: "1.000001" });
    rig.stub.fault("assistant.threads.setStatus", { error: "missing_scope" });
    await connection.typing?.({ ...TO, thread: "1.000001" });
    await connection.typing?.({ ...TO, thread: "1.000001" });
    assert.equal(rig.stub.calls("assistant.threads.setStatus").length, 2);
  });

  it("reaches no other method and no file of this machine by a raw call", async () => {
    for (const method of ["files.uploadV2", "https://evil.example/x", "../oauth", "chat.postMessage?x", ""]) await assert.rejects(async () => connection.call?.(method, { file: "/etc/passwd" }), { code: "MSG_005" });
  });

  describe("files", () => {
    const kept = async (bytes: Buffer, name: string) => `spool:${(await context.spool?.save(new Blob([new Uint8Array(bytes)]).stream(), { name }))?.id}`;

    it("are streamed to Slack without the token, shared once, and found again by their ids", async () => {
      const bytes = Buffer.alloc(300_000, 7);
      const draft: Draft = { text: "two **files**", attachments: [{ kind: "document", media: await kept(bytes, "a.bin"), name: "a.bin" }, { kind: "image", media: await kept(Buffer.from("x"), "b.png"), name: "b.png", alt: "a cat" }] };
      const ref = await send(draft, { ...TO, thread: "1.000001" }, "files-1");
      assert.match(ref, /^F/);
      assert.deepEqual(rig.stub.uploads.map(({ bytes: sent }) => sent.length), [300_000, 1]);
      assert.equal(rig.stub.uploads[0]?.headers.authorization, undefined);
      assert.equal(rig.stub.uploads[0]?.headers["content-length"], "300000");
      assert.equal(rig.stub.calls("files.getUploadURLExternal")[1]?.args.alt_text, "a cat");
      const complete = last("files.completeUploadExternal");
      assert.deepEqual([complete.channel_id, complete.thread_ts, complete.initial_comment, (complete.files as unknown[]).length], [CHANNEL, "1.000001", "two *files*", 2]);
      assert.equal(await connection.find?.(TO, { key: "files-1", draft, startedAt: Date.now() }), ref);
      assert.equal(await connection.find?.(TO, { key: "files-2", draft, startedAt: Date.now() }), undefined);
      await connection.react?.(TO, ref, "👍");
      await connection.edit?.(TO, ref, { text: "other words" });
      assert.equal(last("chat.update").ts, rig.stub.files.get(ref)?.shares[CHANNEL]?.[0]?.ts);
      await connection.remove?.(TO, ref);
      await connection.remove?.(TO, ref);
    });

    it("may begin anew until they are shared; after that Slack is asked", async () => {
      const draft: Draft = { text: "", attachments: [{ kind: "document", media: await kept(Buffer.from("abc"), "a.txt"), name: "a.txt" }] };
      rig.stub.fault("upload", { status: 502, body: "" });
      await assert.rejects(send(draft), { retry: "later", answered: true });
      rig.stub.fault("files.getUploadURLExternal", { reset: "after" });
      await assert.rejects(send(draft), { retry: "later", unsent: true });
      rig.stub.fault("files.completeUploadExternal", { reset: "after" });
      await assert.rejects(send(draft, TO, "doubt"), (error: ChannelError) => error.retry === "later" && !error.unsent && !error.answered);
      rig.stub.fault("files.completeUploadExternal", { reset: "before" });
      await assert.rejects(send(draft, TO, "unshared"), { retry: "later" });
      await assert.rejects(async () => connection.find?.(TO, { key: "unshared", draft, startedAt: Date.now() }), (error: ChannelError) => error.retry === "later" && (error.afterMs ?? 0) > 0 && !error.answered);
      assert.equal(await connection.find?.(TO, { key: "unshared", draft, startedAt: Date.now() - 31_000 }), undefined);
      await assert.rejects(async () => connection.find?.(TO, { key: "unshared", draft, startedAt: Date.now() - 31_000, silentAt: Date.now() }), (error: ChannelError) => error.retry === "later" && (error.afterMs ?? 0) > 10_000);
      assert.match((await connection.find?.(TO, { key: "doubt", draft, startedAt: Date.now() })) ?? "", /^F/);
    });

    it("come in with the bot's token, which no other host ever sees", async () => {
      rig.stub.keepFile("F1", { name: "a.txt", bytes: Buffer.from("inside"), mimetype: "text/plain" });
      assert.equal(await new Response(await connection.media?.("F1", new AbortController().signal)).text(), "inside");
      rig.stub.keepFile("F2", { name: "b.txt", bytes: Buffer.from(""), mimetype: "text/plain", url: "http://127.0.0.1:1/steal" });
      await assert.rejects(async () => connection.media?.("F2", new AbortController().signal), { code: "SEC_003" });
      const asked: (readonly [string, string | undefined])[] = [];
      const other = await slack.open(rig.account, { ...context, async download(url, options) { asked.push([url, options?.headers?.["authorization"]]); return new Blob(["x"]).stream(); } });
      for (const [id, url] of [["F3", "https://files.slack.com/files-pri/T1-F3/a.txt"], ["F4", "https://slack.com.evil.example/a.txt"], ["F5", "http://files.slack.com/a.txt"]] as const) {
        rig.stub.keepFile(id, { name: "c.txt", bytes: Buffer.from(""), mimetype: "text/plain", url });
        await other.media?.(id, new AbortController().signal);
      }
      await other.close();
      assert.deepEqual(asked.map(([, header]) => header), [`Bearer ${rig.stub.team.token}`, undefined, undefined]);
      rig.stub.fault("files.info", { error: "missing_scope", more: { needed: "files:read" } });
      await assert.rejects(async () => connection.media?.("F1", new AbortController().signal), { code: "MSG_005", message: /files:read/ });
    });
  });

  describe("streams", () => {
    const thread = { ...TO, thread: "1.000001" };
    const asked = async () => { rig.stub.push(envelope(said("hi", { channel: CHANNEL, channel_type: "channel", thread_ts: "1.000001" }))); await until(() => context.received.length > 0, "the question"); };

    it("show an answer while it is written and end as the message itself, with its key", async () => {
      await asked();
      await connection.preview?.(thread, { text: "Once" }, "s1");
      await connection.preview?.(thread, { text: "Once **upon**" }, "s1");
      await connection.preview?.(thread, { text: "Once **upon**" }, "s1");
      const ref = await connection.send(thread, { text: "Once **upon** a time", buttons: [[{ label: "More" }]] }, "s1");
      assert.deepEqual([rig.stub.calls("chat.startStream").length, rig.stub.calls("chat.appendStream").length, rig.stub.calls("chat.stopStream").length, rig.stub.calls("chat.postMessage").length], [1, 1, 1, 0]);
      assert.deepEqual([last("chat.startStream").recipient_user_id, last("chat.startStream").recipient_team_id], [ADA, "T00FAKE00AA"]);
      const message = rig.stub.messages.find(({ ts }) => ts === ref);
      assert.deepEqual([message?.text, message?.streaming, message?.blocks?.length], ["Once **upon** a time", false, 1]);
      assert.equal(await connection.find?.(thread, { key: "s1", draft: { text: "" }, startedAt: Date.now() }), ref);
      await connection.edit?.(thread, ref, { text: "later" });
      assert.deepEqual(await context.storage.list("stream:"), []);
    });

    it("are finished once Slack said so, also where that cannot be kept; the next start leaves them", async () => {
      await asked();
      await connection.preview?.(thread, { text: "Once" }, "s4");
      refuseWrites(context.storage, "stream:");
      const ref = await connection.send(thread, { text: "Once upon" }, "s4");
      assert.deepEqual(rig.stub.messages.filter(({ ts }) => ts === ref).map(({ text }) => text), ["Once upon"]);
      assert.ok(context.logs.some((line) => /^warn STORE_001: a message was sent/.test(line)));
    });

    it("are put right by an edit where the text became another, or Slack ended them", async () => {
      await asked();
      await connection.preview?.(thread, { text: "Thinking" }, "s2");
      await connection.preview?.(thread, { text: "Something else" }, "s2");
      const ref = await connection.send(thread, { text: "Final" }, "s2");
      assert.equal(rig.stub.messages.find(({ ts }) => ts === ref)?.text, "Final");
      await connection.preview?.(thread, { text: "One" }, "s3");
      const own = rig.stub.messages.at(-1);
      assert.ok(own !== undefined);
      own.streaming = false;
      await assert.rejects(async () => connection.preview?.(thread, { text: "One two" }, "s3"), { code: "MSG_005" });
      assert.equal(await connection.send(thread, { text: "One two" }, "s3"), own.ts);
      assert.equal(own.text, "One two");
      assert.equal(rig.stub.calls("chat.postMessage").length, 0);
    });

    it("say that they cannot where there is no thread, nobody who asked, or no permission: then edits show it", async () => {
      await assert.rejects(async () => connection.preview?.(TO, { text: "x" }, "a"), { code: "MSG_005" });
      await assert.rejects(async () => connection.preview?.(thread, { text: "x" }, "a"), { code: "MSG_005" });
      assert.equal(rig.stub.calls("chat.startStream").length, 0);
      await connection.preview?.({ ...DM, thread: "1.000001" }, { text: "x" }, "a");
      rig.stub.fault("chat.startStream", { error: "feature_not_enabled" });
      for (const key of ["b", "c"]) await assert.rejects(async () => connection.preview?.({ ...DM, thread: "1.000001" }, { text: "x" }, key), { code: "MSG_005" });
      assert.equal(rig.stub.calls("chat.startStream").length, 2);
    });

    it("ring nobody, whatever the text says", async () => {
      await connection.preview?.({ ...DM, thread: "1.000001" }, { text: "<!channel> @here" }, "r");
      assert.ok(!/<!|@here/.test(String(last("chat.startStream").markdown_text)));
    });

    it("vanish when nothing more comes, and after a restart, but never the finished one", async () => {
      await connection.close();
      const clock = manualClock();
      const storage = memoryStorage();
      connection = await slack.open(rig.account, { ...context, clock, storage });
      const place = { ...DM, thread: "1.000001" };
      await connection.preview?.(place, { text: "left alone" }, "v1");
      await clock.advance(300_000);
      await until(() => rig.stub.messages.length === 0, "it to vanish");
      await connection.preview?.(place, { text: "half" }, "v2");
      await connection.preview?.(place, { text: "whole" }, "v3");
      const note = (await storage.list("stream:")).at(-1);
      const ref = await connection.send(place, { text: "whole" }, "v3");
      assert.ok(note !== undefined);
      // As if the process had ended before it could forget.
      await storage.set({ [note[0]]: note[1] });
      await connection.close();
      // What Slack does not tell now is looked for at the next start, not forgotten.
      const left = (await storage.list("stream:")).length;
      rig.stub.fault("conversations.replies", { status: 503, body: "" }, left);
      const asked = rig.stub.calls("conversations.replies").length;
      connection = await slack.open(rig.account, { ...context, storage });
      await until(() => rig.stub.calls("conversations.replies").length === asked + left, "the look that fails");
      await connection.close();
      assert.equal((await storage.list("stream:")).length, left);
      connection = await slack.open(rig.account, { ...context, storage });
      await until(async () => (await storage.list("stream:")).length === 0, "the tidying");
      assert.deepEqual(rig.stub.messages.map(({ ts }) => ts), [ref]);
    });
  });

  describe("against a doubled send", () => {
    it("finds a message whose answer was lost by its key, in the channel and in the thread, over pages", async () => {
      for (const to of [TO, { ...TO, thread: "1.000001" }]) {
        const startedAt = Date.now();
        rig.stub.fault("chat.postMessage", { reset: "after" });
        await assert.rejects(send({ text: "in doubt" }, to, `doubt-${to.thread}`), (error: ChannelError) => error.retry === "later" && !error.unsent && !error.answered);
        for (let index = 0; index < 150; index++) rig.stub.said({ channel: CHANNEL, text: "noise", user: ADA, ...(to.thread === undefined ? {} : { thread_ts: to.thread }) });
        assert.match((await connection.find?.(to, { key: `doubt-${to.thread}`, draft: { text: "in doubt" }, startedAt })) ?? "", /^\d+\.\d+$/);
        assert.equal(await connection.find?.(to, { key: "never", draft: { text: "x" }, startedAt }), undefined);
      }
      rig.stub.fault("chat.postMessage", { reset: "before" });
      await assert.rejects(send({ text: "gone" }, TO, "lost"), { retry: "later" });
      assert.equal(await connection.find?.(TO, { key: "lost", draft: { text: "gone" }, startedAt: Date.now() }), undefined);
      rig.stub.fault("conversations.history", { error: "missing_scope" });
      await assert.rejects(async () => connection.find?.(TO, { key: "x", draft: { text: "x" }, startedAt: Date.now() }), { code: "MSG_005" });
    });
  });

  describe("what Slack says", () => {
    const VERDICTS: Readonly<Record<string, readonly [ErrorCode, Retry]>> = {
      invalid_auth: ["CONN_002", "no"], token_revoked: ["CONN_002", "no"], account_inactive: ["CONN_002", "no"], team_access_not_granted: ["CONN_002", "no"], missing_scope: ["MSG_005", "no"],
      ratelimited: ["CONN_003", "later"], rate_limited: ["CONN_003", "later"], message_limit_exceeded: ["CONN_003", "later"], internal_error: ["CONN_001", "later"], fatal_error: ["CONN_001", "later"], service_unavailable: ["CONN_001", "later"],
      channel_not_found: ["MSG_002", "no"], not_in_channel: ["MSG_002", "no"], is_archived: ["MSG_002", "no"], cant_update_message: ["MSG_002", "no"], edit_window_closed: ["MSG_002", "no"], restricted_action: ["MSG_002", "no"], something_new: ["MSG_002", "no"],
      msg_too_long: ["MSG_003", "no"], msg_blocks_too_long: ["MSG_003", "no"], too_many_attachments: ["MSG_003", "no"], file_too_large: ["MSG_003", "no"], unknown_method: ["MSG_005", "no"], invalid_name: ["MSG_005", "no"], too_many_reactions: ["MSG_005", "no"], expired_trigger_id: ["MSG_002", "no"],
    };
    for (const [name, [code, retry]] of Object.entries(VERDICTS)) it(`${name} → ${code}, ${retry}`, async () => {
      rig.stub.fault("chat.postMessage", { error: name });
      const error = await send({ text: "x" }).then(() => assert.fail("expected an error"), (thrown: unknown) => thrown as ChannelError);
      assert.deepEqual([error.code, error.retry, error.answered, error.unsent, error.markup], [code, retry, true, false, false], error.message);
    });

    it("keeps every wait it names, and knows whose word to believe", async () => {
      for (const [fault, afterMs] of [[{ status: 429, body: "", headers: { "retry-after": "30" } }, 30_000], [{ error: "ratelimited", headers: { "retry-after": "7" } }, 7_000], [{ status: 429, body: '{"ok":false,"error":"ratelimited"}' }, undefined], [{ status: 503, body: "<html>", headers: { "retry-after": "3" } }, 3_000]] as const) {
        rig.stub.fault("chat.postMessage", fault);
        await assert.rejects(send({ text: "x" }), (error: ChannelError) => error.retry === "later" && error.afterMs === afterMs && error.answered);
      }
      for (const fault of [{ half: true as const }, { status: 200, body: "<html>Sign in to the hotel</html>" }, { status: 200, body: "" }, { status: 200, body: "[]" }]) {
        rig.stub.fault("chat.postMessage", fault);
        await assert.rejects(send({ text: "x" }), (error: ChannelError) => error.code === "CONN_001" && error.retry === "later" && !error.unsent && !error.answered);
      }
      rig.stub.fault("chat.postMessage", { status: 413, body: "" });
      await assert.rejects(send({ text: "x" }), { code: "MSG_003" });
      rig.stub.fault("chat.postMessage", { error: "invalid_blocks_format" });
      await assert.rejects(send({ text: "x" }), { markup: true, retry: "no" });
      const before = rig.stub.calls("chat.postMessage").length;
      assert.equal(before, 10, "each was asked once");
    });

    it("tells no token", () => {
      const thrown = { original: new Error("wss://wss.slack.com/link/?ticket=abc-canary&app_id=1 with xoxb-1-2-canary, xapp-1-canary, https://hooks.slack.com/services/T1/B1/canary and mySecretcanary") };
      assert.ok(!toChannelError(thrown, "x", ["mySecretcanary"]).message.includes("canary"));
    });

    it("tells its health by one auth.test, no longer than it is asked to", async () => {
      await connection.health?.(new AbortController().signal);
      rig.stub.fault("auth.test", { error: "token_revoked" });
      await assert.rejects(async () => connection.health?.(new AbortController().signal), { code: "CONN_002", retry: "no" });
      rig.stub.fault("auth.test", { delayMs: 2_000 });
      const limit = new AbortController();
      const before = rig.stub.calls("auth.test").length;
      const asking = assert.rejects(async () => connection.health?.(limit.signal), { code: "CONN_001", retry: "later" });
      await until(() => rig.stub.calls("auth.test").length > before, "the slow call");
      limit.abort();
      await asking;
    });
  });

  it("is judged by a specification that finds planted faults", function () {
    if (dataFolder("specs", "slack") === undefined) return skip(this, "no specification beside this checkout");
    const spec = loadSlackSpec();
    const text = (of: string) => ({ type: "plain_text", text: of });
    const actions = (element: object) => ({ channel: "C1", text: "x", blocks: [{ type: "actions", elements: [element] }] });
    const good = { type: "button", action_id: "a", text: text("x"), value: "v" };
    assert.deepEqual(spec.request("chat.postMessage", actions(good)), []);
    const faults: readonly (readonly [string, Record<string, unknown>])[] = [
      ["chat.postMessage", { text: "x" }], ["chat.postMessage", { channel: "C1" }], ["chat.postMessage", { channel: "C1", text: "x", parse_mode: "HTML" }], ["chat.postMessage", { channel: "C1", text: "x".repeat(40_001) }],
      ["chat.postMessage", actions({ ...good, style: "blue" })], ["chat.postMessage", actions({ ...good, text: text("x".repeat(76)) })], ["chat.postMessage", actions({ ...good, text: { type: "mrkdwn", text: "x" } })], ["chat.postMessage", actions({ ...good, value: "x".repeat(2_001) })],
      ["chat.postMessage", { channel: "C1", text: "x", blocks: [{ type: "section", text: { type: "mrkdwn", text: "x".repeat(3_001) } }] }], ["chat.postMessage", { channel: "C1", text: "x", blocks: [{ type: "unknown" }] }], ["chat.postMessage", { channel: "C1", text: "x", blocks: Array.from({ length: 51 }, () => ({ type: "divider" })) }],
      ["chat.update", { channel: "C1", ts: "1.1", text: "x", metadata: { event_type: "a" } }], ["chat.update", { channel: "C1", text: "x" }], ["chat.update", { channel: "C1", ts: "1.1", text: "x".repeat(4_001) }], ["chat.postEphemeral", { channel: "C1", text: "x" }], ["chat.startStream", { channel: "C1", markdown_text: "x" }], ["chat.appendStream", { channel: "C1", ts: "1.1" }],
      ["views.open", { trigger_id: "t", view: { type: "modal", title: text("x".repeat(25)), blocks: [] } }], ["views.open", { trigger_id: "t" }], ["reactions.add", { channel: "C1", timestamp: "1.1" }], ["files.getUploadURLExternal", { filename: "a" }], ["files.completeUploadExternal", { files: [] }], ["conversations.replies", { channel: "C1" }], ["users.info", {}],
    ];
    for (const [method, args] of faults) assert.notDeepEqual(spec.request(method, args), [], `${method} ${JSON.stringify(args).slice(0, 120)}`);
    console.log(`      ${faults.length} planted faults, all found`);
  });
});
