import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Connection } from "../../engine/channels/channel.ts";
import { fromAnswer } from "../../engine/channels/imessage/errors.ts";
import { imessage } from "../../engine/channels/imessage/imessage.ts";
import { toMessage, type Told } from "../../engine/channels/imessage/to-message.ts";
import type { ChannelError } from "../../engine/errors.ts";
import type { Draft } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { channelContract } from "../contracts/channel.ts";
import { recordingContext, type RecordingContext } from "../contracts/channel-rig.ts";
import { until } from "../kit/scripted.ts";
import { problemsOf } from "../platforms/bluebubbles.ts";
import { blueBubblesRig, CHAT, type BlueBubblesRig } from "../platforms/bluebubbles-rig.ts";
import { projectRoot } from "../rigs/project.ts";

const samples = JSON.parse(readFileSync(path.join(projectRoot, "engine/channels/imessage/samples/messages.json"), "utf8")) as { about: string; changed?: true; told: Told }[];
/** kind, text, attachments, action, addressed; undefined: no message. */
const READINGS: Readonly<Record<string, readonly [kind: string, text: string, attachments: string, action: string, addressed: boolean] | undefined>> = {
  "a text": ["message", "Turn on the kitchen light", "", "", true],
  "a text in a group": ["message", "hello all", "", "", false],
  "by e-mail address": ["message", "hi", "", "", true],
  "an SMS": ["message", "from an Android", "", "", true],
  "a picture with words": ["message", "the meter", "image", "", true],
  "a voice note": ["message", "", "voice", "", true],
  "two files": ["message", "", "document video", "", true],
  "a sticker": ["message", "", "sticker", "", true],
  "an answer": ["message", "that one", "", "", true],
  "a tapback": ["reaction", "", "", "reaction 👍 false", true],
  "a tapback taken back": ["reaction", "", "", "reaction 👍 true", true],
  "a command": ["message", "/status now", "", "command status now", true],
  "with a subject": ["message", "The subject\nthe words", "", "", true],
  "passed on": ["message", "news", "", "", true],
  "a link with its preview": ["message", "https://example.org", "", "", true],
  "somebody was added": ["member", "", "", "member joined", false],
  "somebody left": ["member", "", "", "member left +14155550100", false],
  "the name changed, which is no message": undefined,
  "an edit": ["edit", "Turn off the kitchen light", "", "", true],
  unsent: ["delete", "", "", "", true],
  "ours was read": ["event", "", "", "status 00000047-1111-4222-8333-ABCDEF012345 read", false],
  "what we said ourselves": ["message", "from the owner's own phone", "", "", true],
};

describe("iMessage", () => {
  let rig: BlueBubblesRig | undefined;
  afterEach(() => {
    const problems = rig?.stub.problems() ?? [];
    rig = undefined;
    assert.deepEqual(problems, []);
  });
  const lacks = { polling: { signed: "it polls", unsecured: "it polls" }, webhook: {} };
  for (const mode of ["polling", "webhook"] as const) channelContract(`iMessage by ${mode}`, { channel: imessage, lacks: { ...lacks[mode], "fault markup": "texts are plain" }, make: async () => { rig = await blueBubblesRig(mode); return rig; } });

  describe("over BlueBubbles", () => {
    let own: BlueBubblesRig;
    let context: RecordingContext;
    let connection: Connection;
    async function connect(mode: "polling" | "webhook", settings: Record<string, unknown> = {}): Promise<void> {
      own = await blueBubblesRig(mode, settings);
      rig = own;
      context = recordingContext(own.context);
      connection = await own.channel.open(own.account, context);
      own.serve?.(connection);
    }
    afterEach(async () => {
      await connection.close();
      await own.close();
    });
    const bodies = (at: string) => own.stub.seen.filter(({ path: where }) => where.startsWith(at)).map(({ body }) => body);

    it("begins with what is written from now on, and loses nothing of a thousand rows that came while it was away", async function () {
      this.timeout(60_000);
      own = await blueBubblesRig("polling");
      rig = own;
      own.stub.write({ text: "long ago" });
      context = recordingContext(own.context);
      connection = await own.channel.open(own.account, context);
      await connection.close();
      // Rows that come late from the cloud have old dates.
      for (let count = 0; count < 230; count++) own.stub.write({ text: `row ${count}`, dateCreated: 1_795_000_000_000 - count });
      const storage = context.storage;
      context = recordingContext({ ...own.context, storage });
      connection = await own.channel.open(own.account, context);
      await until(() => context.received.length >= 230, "all rows", 30_000);
      assert.deepEqual(context.received.map(({ text }) => text), Array.from({ length: 230 }, (_, count) => `row ${count}`));
    });

    it("takes edits and removals by webhook, and needs none of it for messages", async () => {
      await connect("webhook");
      const row = own.stub.write({ text: "first words" });
      assert.equal(await own.post({ type: "new-message", data: { nonsense: true } }), 200);
      await until(() => context.received.length === 1, "the message");
      assert.equal(await own.post({ type: "updated-message", data: { ...row, text: "other words", dateEdited: 1_795_700_000_001 } }), 200);
      assert.equal(await own.post({ type: "updated-message", data: { ...row, dateRetracted: 1_795_700_000_002 } }), 200);
      assert.equal(await own.post({ type: "typing-indicator", data: {} }), 200);
      assert.deepEqual(context.received.map(({ kind, text, ref }) => [kind, text, ref]), [["message", "first words", row.guid], ["edit", "other words", row.guid], ["delete", "", row.guid]]);
      assert.equal(await own.post({ type: "updated-message", data: {} }, "another secret, as long as it is"), 401);
    });

    it("says only what it can: without the Private API nothing is edited, and an answer is a message", async () => {
      await connect("polling", { privateApi: false });
      for (const missing of ["edit", "remove", "react", "typing", "read"] as const) assert.equal(connection[missing], undefined, missing);
      await connection.send(own.to, { text: "a **bold** word", replyTo: "00000033-1111-4222-8333-ABCDEF012345", subject: "About" }, "k1");
      assert.deepEqual(bodies("/message/text"), [{ chatGuid: CHAT, tempGuid: "k1", message: "About\na bold word", method: "apple-script" }]);
    });

    it("answers, reacts, edits and reads by the Private API; a person may be named by number alone", async () => {
      await connect("polling");
      const ref = await connection.send({ ...own.to, chat: "+14155550100" }, { text: "x", replyTo: "00000033-1111-4222-8333-ABCDEF012345" }, "k1");
      assert.deepEqual(bodies("/message/text")[0], { chatGuid: CHAT, tempGuid: "k1", message: "x", method: "private-api", selectedMessageGuid: "00000033-1111-4222-8333-ABCDEF012345", partIndex: 0 });
      await connection.react?.(own.to, ref, "❤");
      assert.equal(bodies("/message/react")[0]?.reaction, "love");
      await assert.rejects(async () => connection.react?.(own.to, ref, "🦀"), (error: ChannelError) => error.code === "MSG_005");
      await connection.read?.(own.to, ref);
      await connection.typing?.(own.to);
      assert.deepEqual(own.stub.seen.slice(-2).map(({ path: at }) => decodeURIComponent(at)), [`/chat/${CHAT}/read`, `/chat/${CHAT}/typing`]);
      await assert.rejects(connection.send({ ...own.to, chat: "../server" }, { text: "x" }, "k2"), (error: ChannelError) => error.code === "MSG_002");
    });

    it("finds what was sent, and nothing else", async () => {
      await connect("polling");
      const startedAt = Date.now();
      own.stub.write({ text: "Done.", isFromMe: true, handle: null, dateCreated: startedAt - 60_000 });
      own.stub.fault(/^\/message\/text$/, { reset: "after" });
      await assert.rejects(connection.send(own.to, { text: "Done." }, "k1"), (error: ChannelError) => !error.unsent && !error.answered);
      assert.equal(await connection.find?.(own.to, { key: "k1", draft: { text: "Done." }, startedAt }), own.stub.rows.at(-1)?.guid);
      assert.equal(await connection.find?.(own.to, { key: "k2", draft: { text: "Other." }, startedAt }), undefined);
      assert.equal(await connection.find?.({ ...own.to, chat: "iMessage;-;+19995550000" }, { key: "k1", draft: { text: "Done." }, startedAt }), undefined);
    });

    it("takes no other message for one that was never taken, and finds each that was as it was sent", async () => {
      for (const privateApi of [true, false]) {
        await connect("polling", { privateApi });
        const startedAt = Date.now();
        assert.ok(context.spool !== undefined);
        const { id } = await context.spool.save(new Blob(["a picture"]).stream(), { name: "a.png", mime: "image/png" });
        const picture: Draft = { text: "", attachments: [{ kind: "image", media: `spool:${id}` }] };
        const taken = new Set([await connection.send(own.to, picture, "p1"), await connection.send(own.to, { text: "ok" }, "o1")]);
        const find = (draft: Draft) => connection.find?.(own.to, { key: "k", draft, startedAt, isTaken: async (ref) => taken.has(ref) });
        own.stub.write({ text: "https://example.org", isFromMe: true, handle: null, balloonBundleId: "com.apple.messages.URLBalloonProvider", attachments: [{ guid: "preview-1" }] });
        own.stub.write({ text: "two \ufffc", isFromMe: true, handle: null, attachments: [{ guid: "two-1" }, { guid: "two-2" }] });
        for (const draft of [picture, { text: "ok" }, { text: "ok", subject: "About" }]) {
          own.stub.fault(/^\/message\//, { reset: "before" });
          await assert.rejects(connection.send(own.to, draft, "k"));
          assert.equal(await find(draft), undefined);
          own.stub.fault(/^\/message\/(?:text|attachment)$/, { reset: "after" });
          await assert.rejects(connection.send(own.to, draft, "k"));
          assert.equal(await find(draft), own.stub.rows.at(-1)?.guid);
        }
        assert.notEqual(await find({ text: "https://example.org" }), undefined, "a preview is no file that was sent");
        if (privateApi) { await connection.close(); await own.close(); }
      }
    });
  });
});

describe("what BlueBubbles tells", () => {
  it("is read as it is meant", () => {
    assert.deepEqual(samples.map(({ about }) => about), Object.keys(READINGS));
    const rows: string[] = [];
    for (const { about, told, changed } of samples) {
      const message = toMessage(told, "mac", changed);
      const action = message?.action === undefined ? "" : Object.values(message.action).flat().join(" ");
      assert.deepEqual(message && [message.kind, message.text, message.attachments.map(({ kind }) => kind).join(" "), action, message.addressed], READINGS[about], about);
      if (message === undefined) continue;
      assert.deepEqual(parseMessage(message), message, about);
      rows.push(`${about.padEnd(28)} ${message.kind.padEnd(9)} ${message.text.replace(/\n/g, " / ").slice(0, 26).padEnd(27)} ${message.sender.id.padEnd(16)} ${message.at.kind} ${message.at.chat}`);
    }
    console.log(`      ${samples.length} samples\n${rows.map((row) => `      ${row}`).join("\n")}`);
    assert.equal(toMessage((samples.at(-1) as { told: Told }).told, "mac")?.sender.self, true);
  });

  it("crashes on nothing, and changes no prototype", function () {
    this.timeout(120_000);
    const rounds = Number(process.env.CLAWFLOW_FUZZ ?? 1_000);
    let state = 5;
    const random = (below: number): number => { state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; return (state >>> 8) % below; };
    const strange = [null, 0, -1, 1e99, "", "\u0000", "x".repeat(5_000), [], {}, true, JSON.parse('{"__proto__":{"polluted":1}}') as object];
    const spoil = (value: unknown): unknown => {
      if (random(12) === 0) return strange[random(strange.length)];
      if (Array.isArray(value)) return value.map(spoil);
      return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value).map(([key, part]) => [key, spoil(part)])) : value;
    };
    let read = 0;
    for (let round = 0; round < rounds; round++) {
      const { told, changed } = samples[random(samples.length)] as (typeof samples)[number];
      try {
        const message = toMessage(spoil(told) as Told, "mac", changed);
        if (message !== undefined) { parseMessage(message); read++; }
      } catch (error) {
        assert.ok(error instanceof TypeError || /^MSG_00[13]$/.test(String((error as { code?: unknown }).code)), String(error));
      }
    }
    assert.ok(read > rounds / 20);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
});

describe("iMessage's errors", () => {
  it("are what they are", () => {
    const rows: readonly [number, unknown, string, string, boolean][] = [
      [401, { message: "You are not authorized" }, "CONN_002", "no", true],
      [403, { message: "Forbidden", error: { error: "Private API is not enabled" } }, "MSG_005", "no", true],
      [400, { message: "bad request", error: { error: "Message is already queued to be sent! (Temp GUID: k)" } }, "CONN_001", "later", false],
      [500, { message: "Message Send Error", error: { error: "Transaction timeout" } }, "CONN_001", "later", false],
      [500, { message: "Message Send Error", error: { error: "Failed to send message! See attached message error code." } }, "MSG_002", "no", true],
      [404, { message: "Message does not exist!" }, "MSG_002", "no", true],
      [413, undefined, "MSG_003", "no", true],
      [429, undefined, "CONN_003", "later", true],
      [400, { message: "bad request" }, "MSG_002", "no", true],
      [500, { message: "The server has encountered an error" }, "CONN_001", "later", true],
      [502, "<html>", "CONN_001", "later", true],
    ];
    for (const [status, body, code, retry, answered] of rows) {
      const error = fromAnswer(status, body, () => null, "POST /message/text", 0);
      assert.deepEqual([error.code, error.retry, error.answered, error.unsent], [code, retry, answered, false], `${status} ${JSON.stringify(body)}`);
    }
  });

  it("are found in settings before anything is tried", () => {
    const account = (settings: Record<string, unknown>) => imessage.check({ id: "mac", channel: "imessage", name: "Mac", settings: { apiRoot: "http://127.0.0.1:1234", password: "p", ...settings } });
    assert.deepEqual(account({}), []);
    assert.equal(account({ mode: "webhook" }).length, 1);
    assert.equal(account({ mode: "webhook", secret: "short" }).length, 1);
    assert.equal(account({ apiRoot: "http://127.0.0.1:1234?password=x" }).length, 1);
  });
});

describe("the judge of requests to BlueBubbles", () => {
  it("finds planted faults", () => {
    const good = { chatGuid: CHAT, tempGuid: "k", message: "x", method: "private-api" };
    assert.deepEqual(problemsOf("POST", "/message/text", good, true), []);
    const planted: readonly [string, string, object, boolean?][] = [
      ["no chat", "/message/text", { ...good, chatGuid: undefined }], ["an empty chat", "/message/text", { ...good, chatGuid: "" }], ["no message", "/message/text", { ...good, message: "" }], ["an unknown method", "/message/text", { ...good, method: "telepathy" }],
      ["an unknown field", "/message/text", { ...good, text: "x" }], ["no tempGuid for AppleScript", "/message/text", { chatGuid: CHAT, message: "x", method: "apple-script" }], ["the Private API where there is none", "/message/text", good, false],
      ["a part by name", "/message/text", { ...good, partIndex: "0" }], ["an emoji as reaction", "/message/react", { chatGuid: CHAT, selectedMessageGuid: "g", reaction: "👍" }], ["no target", "/message/react", { chatGuid: CHAT, reaction: "like" }],
      ["an edit without words", "/message/abc/edit", { backwardsCompatibilityMessage: "x" }], ["a page too large", "/message/query", { limit: 5_000 }], ["an unknown order", "/message/query", { sort: "UP" }], ["no such path", "/messages/text", good],
    ];
    for (const [about, at, body, priv] of planted) assert.notDeepEqual(problemsOf("POST", at, JSON.parse(JSON.stringify(body)) as Record<string, unknown>, priv ?? true), [], about);
    console.log(`      ${planted.length} planted faults found`);
  });
});
