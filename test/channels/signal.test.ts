import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Connection } from "../../engine/channels/channel.ts";
import { render } from "../../engine/channels/dialects.ts";
import { fromAnswer } from "../../engine/channels/signal/errors.ts";
import { toMarkdown } from "../../engine/channels/signal/styles.ts";
import { signal } from "../../engine/channels/signal/signal.ts";
import { type Envelope, groupChat, toMessages } from "../../engine/channels/signal/to-message.ts";
import type { ChannelError } from "../../engine/errors.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { channelContract, recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { ADA, signalRig, type SignalRig } from "../platforms/signal-rig.ts";
import { read } from "../platforms/signal.ts";
import { projectRoot } from "../rigs/project.ts";
import { skip } from "../rigs/skip.ts";
import { signalJudge } from "../spec/signal-schema.ts";

const NUMBER = "+15551230000";
const SELF = { account: "phone", number: NUMBER, uuid: "5f1c2d3e-1111-4222-8333-444455556666" };
const samples = JSON.parse(readFileSync(path.join(projectRoot, "engine/channels/signal/samples/envelopes.json"), "utf8")) as { about: string; envelope: Record<string, unknown> }[];
const GROUP = groupChat("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=");

/** kind, text, attachments, action, addressed; nothing: no message. */
const READINGS: Readonly<Record<string, readonly (readonly [kind: string, text: string, attachments: string, action: string, addressed: boolean])[]>> = {
  "a text": [["message", "Turn on the kitchen light", "", "", true]],
  "styled text": [["message", "**bold** and `code` 😀 *x*", "", "", true]],
  "a group message": [["message", "hello all", "", "", false]],
  "a mention in a group": [["message", "@Claw lights please", "", "", true]],
  "an answer to the bot in a group": [["message", "yes", "", "", true]],
  "a picture": [["message", "the meter", "image", "", true]],
  "a voice note": [["message", "", "voice", "", true]],
  "a document": [["message", "", "document", "", true]],
  "a reaction": [["reaction", "", "", "reaction 👍 false", true]],
  "a reaction taken back": [["reaction", "", "", "reaction 👍 true", true]],
  "a deletion": [["delete", "", "", "", true]],
  "a contact": [["message", "", "contact", "", true]],
  "a sticker": [["message", "", "embed", "", true]],
  "a poll": [["message", "", "embed", "", true]],
  "a vote": [["action", "", "", "vote 1795690000000 1", true]],
  "a command": [["message", "/status now", "", "command status now", true]],
  "a link with its preview": [["message", "https://example.org", "embed", "", true]],
  "an edit": [["edit", "Turn off the kitchen light", "", "", true]],
  "read receipts": [["event", "", "", "status 1795690000000 read", false], ["event", "", "", "status 1795690001000 read", false]],
  "a delivery receipt": [["event", "", "", "status 1795690002000 delivered", false]],
  "a call": [["call", "", "", "call ringing", true]],
  "typing, which is no message": [],
  "what the number's own phone sent, which is no message": [],
  "a changed timer, which is no message": [],
  "a changed group, which is no message": [],
};

describe("Signal", () => {
  let rig: SignalRig | undefined;
  afterEach(() => {
    const problems = rig?.stub.problems() ?? [];
    rig = undefined;
    assert.deepEqual(problems, []);
  });
  const WEBHOOK = "the bridge has no webhook";
  channelContract("Signal by polling", { channel: signal, lacks: { signed: WEBHOOK, unsecured: WEBHOOK, "fault markup": "styles are counted, not parsed" }, make: async () => { rig = await signalRig("polling"); return rig; } });

  describe("by WebSocket", () => {
    let context: RecordingContext;
    let connection: Connection;
    let own: SignalRig;
    beforeEach(async () => {
      own = await signalRig("websocket");
      rig = own;
      context = recordingContext(own.context);
      connection = await own.channel.open(own.account, context);
    });
    afterEach(async () => {
      await connection.close();
      await until(() => own.stub.listeners() === 0, "the end of the WebSocket");
      await own.close();
    });

    it("keeps at hand what could not be saved, and what came behind it, in order", async () => {
      context.refuseSaves = 3;
      own.say("first");
      own.say("second");
      await until(() => context.received.length === 2, "both");
      assert.deepEqual(context.received.map(({ text }) => text), ["first", "second"]);
    });

    it("says when it has ended, so that another is opened", async () => {
      own.stub.cut();
      const error = await connection.gone;
      assert.deepEqual([error?.code, error?.retry], ["CONN_001", "later"]);
      const next = await own.channel.open(own.account, context);
      own.say("after the cut");
      await until(() => context.received.length === 1, "the message");
      await next.close();
    });

    it("does not open where the server polls", async () => {
      const polling = await signalRig("polling");
      await assert.rejects(polling.channel.open({ ...polling.account, settings: { ...polling.account.settings, mode: "websocket" } }, recordingContext(polling.context)), (error: ChannelError) => error.code === "CONN_001" && /json-rpc/.test(error.message));
      await polling.close();
    });
  });

  describe("in chats", () => {
    let context: RecordingContext;
    let connection: Connection;
    let own: SignalRig;
    beforeEach(async () => {
      own = await signalRig("polling");
      rig = own;
      context = recordingContext(own.context);
      connection = await own.channel.open(own.account, context);
    });
    afterEach(async () => {
      await connection.close();
      await own.close();
    });
    const bodies = (at: string) => own.stub.seen.filter(({ path: where }) => where.startsWith(at)).map(({ body }) => body);

    it("answers in the group where it was asked, and quotes and reacts to whoever wrote", async () => {
      own.stub.push(own.envelope({ message: "who is at home?", groupInfo: { groupId: "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=", groupName: "Home", revision: 1, type: "DELIVER" } }));
      await until(() => context.received.length === 1, "the message");
      const [{ at, ref }] = context.received as [RecordingContext["received"][number]];
      assert.deepEqual([at.chat, at.kind], [GROUP, "group"]);
      await connection.send(at, { text: "nobody", replyTo: ref }, "k1");
      await connection.send(at, { text: "still nobody", replyTo: "1795000000000" }, "k2");
      await connection.react?.(at, ref, "👀");
      const [first, second] = bodies("/v2/send");
      assert.deepEqual([first?.recipients, first?.quote_timestamp, first?.quote_author], [[GROUP], Number(ref), ADA]);
      assert.equal(second?.quote_author, undefined);
      assert.deepEqual(bodies("/v1/reactions"), [{ recipient: GROUP, reaction: "👀", target_author: ADA, timestamp: Number(ref) }]);
    });

    it("sends files with their names and types, polls, edits and removals; marks as read, shows typing", async () => {
      const kept = await context.spool?.save(new Blob(["%PDF-1.4 x"]).stream(), { name: "a,b;c.pdf", mime: "application/pdf" });
      await connection.send(own.to, { text: "see", attachments: [{ kind: "document", media: `spool:${kept?.id}` }] }, "k1");
      const [file] = (bodies("/v2/send")[0]?.base64_attachments ?? []) as string[];
      assert.match(file ?? "", /^data:application\/pdf;filename=a_b_c\.pdf;base64,JVBERi0/);
      const poll = await connection.send(own.to, { text: "", poll: { question: "Dinner?", options: ["Pizza", "Soup"], multiple: true } }, "k2");
      assert.match(poll, /^\d+$/);
      assert.deepEqual(bodies("/v1/polls"), [{ recipient: ADA, question: "Dinner?", answers: ["Pizza", "Soup"], allow_multiple_selections: true }]);
      await connection.read?.(own.to, "1795700001000");
      assert.deepEqual(bodies("/v1/receipts"), [{ receipt_type: "read", recipient: ADA, timestamp: 1_795_700_001_000 }]);
      await connection.typing?.(own.to);
      assert.deepEqual(bodies("/v1/typing-indicator"), [{ recipient: ADA }]);
      await assert.rejects(connection.edit?.(own.to, "not a time", { text: "x" }) ?? Promise.resolve(), (error: ChannelError) => error.code === "MSG_002");
    });

    it("fetches files by their id alone", async () => {
      own.stub.keep("3kZ9f-Q2x.jpg", Buffer.from("jpeg"), "image/jpeg");
      assert.equal(await new Response(await connection.media?.("3kZ9f-Q2x.jpg", AbortSignal.timeout(5_000)) as ReadableStream).text(), "jpeg");
      for (const wrong of ["../accounts", "a/b", "", ".hidden"]) assert.throws(() => connection.media?.(wrong, AbortSignal.timeout(5_000)), (error: ChannelError) => error.code === "MSG_002", wrong);
    });

    it("asks the server's own API when a flow wants it", async () => {
      await connection.call?.("GET /v1/health", {});
      await assert.rejects(async () => connection.call?.("rm -rf", {}), (error: ChannelError) => error.code === "MSG_001");
      assert.equal(own.stub.seen.at(-1)?.path, "/v1/health");
    });

    it("takes an answer that is no JSON for what it is, and a number the server does not have for a wrong one", async () => {
      own.stub.fault(/^\/v2\/send$/, { raw: "<html>proxy</html>", status: 200 });
      await assert.rejects(connection.send(own.to, { text: "x" }, "k"), (error: ChannelError) => error.code === "CONN_001" && /JSON/.test(error.message));
      await assert.rejects(own.channel.open({ ...own.account, settings: { ...own.account.settings, number: "+15559999999" } }, recordingContext(own.context)), (error: ChannelError) => error.code === "CONN_002" && /qrcodelink/.test(error.message));
    });
  });
});

describe("what Signal hands out", () => {
  it("is read as it is meant", function () {
    const judge = signalJudge();
    assert.deepEqual(samples.map(({ about }) => about), Object.keys(READINGS));
    const rows: string[] = [];
    for (const { about, envelope } of samples) {
      assert.deepEqual(judge?.envelope(envelope) ?? [], [], about);
      const messages = toMessages({ envelope } as Envelope, SELF);
      const actionText = ({ action }: (typeof messages)[number]) => (action === undefined ? "" : Object.values(action).flat().join(" "));
      assert.deepEqual(messages.map((message) => [message.kind, message.text, message.attachments.map(({ kind }) => kind).join(" "), actionText(message), message.addressed]), READINGS[about], about);
      for (const message of messages) {
        assert.deepEqual(parseMessage(message), message);
        rows.push(`${about.padEnd(34)} ${message.kind.padEnd(9)} ${message.text.slice(0, 26).padEnd(27)} ${message.sender.name.padEnd(5)} ${message.at.kind} ${message.at.chat.slice(0, 12)}…`);
      }
    }
    console.log(`      ${samples.length} samples\n${rows.map((row) => `      ${row}`).join("\n")}`);
    const [poll] = toMessages(samples.find(({ about }) => about === "a poll") as unknown as Envelope, SELF);
    assert.deepEqual(poll?.attachments[0], { kind: "embed", type: "poll", title: "Dinner?", options: ["Pizza", "Soup"] });
    const edit = toMessages(samples.find(({ about }) => about === "an edit") as unknown as Envelope, SELF)[0];
    assert.equal(edit?.ref, "1795700001000");
    if (judge === undefined) skip(this, "the description of signal-cli-rest-api is not on this machine: the samples were not held against it");
  });

  it("crashes on nothing, and changes no prototype", function () {
    this.timeout(120_000);
    const rounds = Number(process.env.CLAWFLOW_FUZZ ?? 1_000);
    let state = 11;
    const random = (below: number): number => { state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; return (state >>> 8) % below; };
    const strange = [null, 0, -1, 1e99, "", "\u0000", "x".repeat(5_000), [], {}, true, { __proto__: null, constructor: 1 }, JSON.parse('{"__proto__":{"polluted":1}}') as object];
    const spoil = (value: unknown, depth = 0): unknown => {
      if (random(12) === 0) return strange[random(strange.length)];
      if (Array.isArray(value)) return value.map((each) => spoil(each, depth + 1));
      if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, spoil(part, depth + 1)]));
      return value;
    };
    let read = 0;
    for (let round = 0; round < rounds; round++) {
      const { envelope } = samples[random(samples.length)] as (typeof samples)[number];
      // What cannot be read throws, and is caught and logged by the connection; what is read is a Message or refused by name.
      try {
        for (const message of toMessages({ envelope: spoil(envelope) } as Envelope, SELF)) { parseMessage(message); read++; }
      } catch (error) {
        assert.ok(error instanceof TypeError || /^MSG_00[13]$/.test(String((error as { code?: unknown }).code)), String(error));
      }
    }
    assert.ok(read > rounds / 10);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
});

describe("Signal's styles", () => {
  it("come as Markdown, whatever their order and edges", () => {
    assert.equal(toMarkdown("both", [{ start: 0, length: 4, style: "ITALIC" }, { start: 0, length: 4, style: "BOLD" }], []), "***both***");
    assert.equal(toMarkdown(" padded ", [{ start: 0, length: 8, style: "BOLD" }], []), " **padded** ");
    assert.equal(toMarkdown("a", [{ start: 5, length: 9, style: "BOLD" }, { start: 0, length: 1, style: "UNKNOWN" }], []), "a");
  });

  it("go so that a reader sees what was meant, and nothing written is taken for a mark", () => {
    for (const [markdown, seen] of [["a **bold** word", "a bold word"], ["2 \\* 3 ~ 4", "2 * 3 ~ 4"], ["`a*b|c`", "a*b|c"], ["**ends with \\***", "ends with *"], ["~~gone~~ ||", "gone ||"], ["C:\\dir", "C:\\dir"]] as const) {
      assert.equal(read(render(markdown, "signal")), seen, markdown);
    }
  });
});

describe("the judge of requests to signal-cli-rest-api", () => {
  it("finds planted faults", function () {
    const judge = signalJudge();
    if (judge === undefined) return skip(this, "its description is not on this machine");
    const good = { number: NUMBER, recipients: [ADA], message: "x", text_mode: "styled" };
    const none = new URLSearchParams();
    assert.deepEqual(judge.request("POST", "/v2/send", none, good), []);
    const planted: readonly [string, string, string, unknown, URLSearchParams?][] = [
      ["no recipients", "POST", "/v2/send", { ...good, recipients: undefined }], ["no number", "POST", "/v2/send", { number: undefined, recipients: [ADA], message: "x" }],
      ["no message", "POST", "/v2/send", { number: NUMBER, recipients: [ADA] }], ["recipients as text", "POST", "/v2/send", { ...good, recipients: ADA }],
      ["an unknown field", "POST", "/v2/send", { ...good, text: "x" }], ["an unknown mode", "POST", "/v2/send", { ...good, text_mode: "markdown" }],
      ["a quote by text", "POST", "/v2/send", { ...good, quote_timestamp: "1795700000000" }], ["a reaction by text", "POST", "/v1/reactions/+1", { recipient: ADA, reaction: "👍", target_author: ADA, timestamp: "1" }],
      ["a receipt of another kind", "POST", "/v1/receipts/+1", { receipt_type: "seen", recipient: ADA, timestamp: 1 }], ["typing for nobody", "PUT", "/v1/typing-indicator/+1", {}],
      ["a wrong method", "POST", "/v1/typing-indicator/+1", { recipient: ADA }], ["no such path", "GET", "/v3/send", undefined], ["an unknown query", "GET", "/v1/receive/+1", undefined, new URLSearchParams({ wait: "5" })],
    ];
    for (const [about, method, at, body, query] of planted) assert.notDeepEqual(judge.request(method, at, query ?? none, JSON.parse(JSON.stringify(body ?? null)) ?? undefined), [], about);
    console.log(`      ${planted.length} planted faults found`);
  });
});

describe("Signal's errors", () => {
  it("are what they are", () => {
    const rows: readonly [number, string, Record<string, string>, string, string, boolean, number?][] = [
      [429, "Failed: rate limited. Use the attached challenge tokens", {}, "CONN_003", "later", true],
      [429, "", { "retry-after": "60" }, "CONN_003", "later", true, 60_000],
      [400, "Failed to send (some) messages: RateLimitException", {}, "CONN_003", "later", true],
      [400, "User +15551230000 is not registered.", {}, "CONN_002", "no", true],
      [400, "Failed to send: Unregistered user", {}, "MSG_002", "no", true],
      [400, "Untrusted identity key", {}, "MSG_002", "no", true],
      [400, "Invalid group id", {}, "MSG_002", "no", true],
      [400, "attachment too large", {}, "MSG_003", "no", true],
      [400, "signal-cli: java.net.SocketTimeoutException: timeout", {}, "CONN_001", "later", false],
      [400, "Failed to send message: Connection closed!", {}, "CONN_001", "later", false],
      [400, "something else", {}, "MSG_002", "no", true],
      [404, "", {}, "MSG_002", "no", true],
      [413, "", {}, "MSG_003", "no", true],
      [500, "", {}, "CONN_001", "later", true],
      [401, "", {}, "CONN_002", "no", true],
    ];
    for (const [status, error, headers, code, retry, answered, afterMs] of rows) {
      const got = fromAnswer(status, error === "" ? undefined : { error }, (name) => headers[name] ?? null, "POST /v2/send", 0);
      assert.deepEqual([got.code, got.retry, got.answered, got.unsent, got.afterMs], [code, retry, answered, false, afterMs], `${status} ${error}`);
    }
  });
});
