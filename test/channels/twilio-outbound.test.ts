/** What goes to Twilio: requests by its own description, files, evidence of a send, errors, and what people see. */
import assert from "node:assert/strict";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { fromAnswer } from "../../engine/channels/twilio/errors.ts";
import type { ChannelError } from "../../engine/errors.ts";
import { createSpool } from "../../engine/media.ts";
import { createDownload } from "../../engine/media/download.ts";
import { createReady } from "../../engine/media/ready.ts";
import type { Draft } from "../../engine/message.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createEmulator } from "emulate";
import { recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { skip } from "../rigs/skip.ts";
import { twilioJudge } from "../spec/twilio-schema.ts";
import { ADA, twilioRig, type TwilioRig } from "../platforms/twilio-rig.ts";

describe("Twilio's messages", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-twilio-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let rig: TwilioRig;
  let context: RecordingContext;
  let connection: Connection;
  const spool = createSpool(folder);
  async function connect(kind: "sms" | "whatsapp", settings: Record<string, unknown> = {}): Promise<void> {
    rig = await twilioRig(kind, settings);
    const download = createDownload({ fetch: globalThis.fetch });
    context = recordingContext({ ...rig.context, download, file: createReady({ spool, download }) });
    connection = await rig.channel.open(rig.account, context);
    rig.serve?.(connection);
  }
  afterEach(async () => {
    await connection.close();
    await rig.close();
    assert.deepEqual(rig.stub.problems(), []);
  });
  const send = (draft: Partial<Draft>, key = "k1") => connection.send(rig.to, { text: "", ...draft }, key);
  const last = () => rig.stub.seen.filter(({ method, path: at }) => method === "POST" && at.endsWith("/Messages.json")).at(-1)?.fields;

  it("are one request each, in the words of the channel", async () => {
    await connect("whatsapp", { statuses: true });
    await send({ text: "a **bold** word, [docs](https://a.example)" });
    assert.deepEqual(last(), { To: [`whatsapp:${ADA}`], From: [`whatsapp:${rig.stub.number}`], Body: ["a *bold* word, docs (https://a.example)"], StatusCallback: [`${rig.webhookUrl}/status`] });
    await send({ location: { latitude: 1.5, longitude: 2, title: "Here" } });
    assert.deepEqual([last()?.PersistentAction, last()?.Body], [["geo:1.5,2|Here"], ["Here"]]);
    await send({ template: { name: "HX0123456789abcdef0123456789abcdef", language: "en", values: ["Ada", "42"] } });
    assert.deepEqual([last()?.ContentSid, last()?.ContentVariables, last()?.Body], [["HX0123456789abcdef0123456789abcdef"], ['{"1":"Ada","2":"42"}'], undefined]);
    await send({ text: "x", native: { "twilio-whatsapp": { SmartEncoded: true }, telegram: { nonsense: 1 } } });
    assert.deepEqual(last()?.SmartEncoded, ["true"]);
    await connection.typing?.(rig.to, "SM0123456789abcdef0123456789abcdef");
    assert.deepEqual(rig.stub.seen.at(-1)?.fields, { messageId: ["SM0123456789abcdef0123456789abcdef"], channel: ["whatsapp"] });
  });

  it("carry files that Twilio can fetch for an hour, and nobody who guesses", async () => {
    await connect("sms");
    const kept = await spool.save(Buffer.from("\u0089PNG\r\n\u001a\n picture", "latin1"), { name: "a b.png", mime: "image/png" });
    await send({ text: "look", attachments: [{ kind: "image", media: `spool:${kept.id}` }, { kind: "image", media: "https://pictures.example/x.png" }] });
    const [own = "", foreign] = last()?.MediaUrl ?? [];
    assert.equal(foreign, "https://pictures.example/x.png");
    const got = await fetch(own);
    assert.deepEqual([got.status, got.headers.get("content-type"), (await got.arrayBuffer()).byteLength], [200, "image/png", kept.bytes]);
    for (const wrong of [own.replace(/\/\d{13}\//, "/9999999999999/"), own.replace(kept.id, "0".repeat(32)), own.replace(/[\w-]{43}/, "A".repeat(43)), own.replace(/\/media\/.*/, "/media/../../x")]) {
      assert.notEqual((await fetch(wrong)).status, 200, wrong);
    }
    const clock = context.clock;
    (context as { clock: typeof clock }).clock = { ...clock, now: () => Date.now() + 2 * 3_600_000 };
    assert.equal((await fetch(own)).status, 404);
  });

  it("come with files that are fetched with the account's password, from Twilio alone", async () => {
    await connect("sms");
    const address = rig.stub.keep(Buffer.from("jpeg bytes"), "image/jpeg");
    await rig.stub.say({ MessageSid: rig.stub.newSid("SM"), From: ADA, To: rig.stub.number, Body: "", NumMedia: "1", MediaUrl0: address, MediaContentType0: "image/jpeg" });
    const [file] = context.received[0]?.attachments ?? [];
    assert.ok(file?.kind === "image");
    const stream = await connection.media?.(file.media, AbortSignal.timeout(5_000));
    assert.equal(await new Response(stream as ReadableStream).text(), "jpeg bytes");
    assert.throws(() => connection.media?.("https://evil.example/x", AbortSignal.timeout(5_000)), (error: ChannelError) => error.code === "SEC_001");
  });

  it("that were sent are found again, and others are not", async () => {
    await connect("sms");
    const startedAt = Date.now();
    rig.stub.fault(/Messages\.json$/, { reset: "after" });
    await assert.rejects(send({ text: "Done." }), (error: ChannelError) => error.retry === "later" && !error.unsent && !error.answered);
    const found = await connection.find?.(rig.to, { key: "k1", draft: { text: "Done." }, startedAt });
    assert.equal(found, rig.stub.posted[0]?.sid);
    assert.equal(await connection.find?.(rig.to, { key: "k2", draft: { text: "Done, too." }, startedAt }), undefined);
    assert.equal(await connection.find?.({ ...rig.to, chat: "+14155550199" }, { key: "k1", draft: { text: "Done." }, startedAt }), undefined);
    // The same words of long ago are another message.
    assert.equal(await connection.find?.(rig.to, { key: "k3", draft: { text: "Done." }, startedAt: startedAt + 60_000 }), undefined);
  });

  it("that were never taken are not found in another that looks alike, and the one that was taken is", async () => {
    await connect("sms");
    const startedAt = Date.now();
    const files = (...names: string[]): Draft => ({ text: "", attachments: names.map((name) => ({ kind: "image", media: `https://pictures.example/${name}.png` })) });
    const taken = new Set([await send(files("1"), "p1"), await send({ text: "ok" }, "o1")]);
    const find = (draft: Draft) => connection.find?.(rig.to, { key: "k", draft, startedAt, isTaken: async (ref) => taken.has(ref) });
    for (const draft of [files("2"), files("2", "3"), { text: "ok" }]) {
      rig.stub.fault(/Messages\.json$/, { reset: "before" });
      await assert.rejects(send(draft, "k"));
      assert.equal(await find(draft), undefined);
    }
    for (const draft of [files("2"), files("2", "3"), { text: "ok" }]) {
      rig.stub.fault(/Messages\.json$/, { reset: "after" });
      await assert.rejects(send(draft, "k"));
      assert.equal(await find(draft), rig.stub.posted.at(-1)?.sid);
    }
    assert.equal(await find(files("1", "2", "3")), undefined, "so many files nothing had");
  });

  it("by a template are found, whatever Twilio made of it", async () => {
    await connect("whatsapp");
    const startedAt = Date.now();
    const draft: Draft = { text: "", template: { name: "HX0123456789abcdef0123456789abcdef", language: "en", values: ["Ada", "42"] } };
    const taken = new Set([await send(draft, "t1"), await send({ text: "words" }, "w1")]);
    const find = () => connection.find?.(rig.to, { key: "t2", draft, startedAt, isTaken: async (ref) => taken.has(ref) });
    assert.equal(await find(), undefined);
    rig.stub.fault(/Messages\.json$/, { reset: "after" });
    await assert.rejects(send(draft, "t2"));
    assert.equal(rig.stub.posted.at(-1)?.body, "Your order: Ada, 42");
    assert.equal(await find(), rig.stub.posted.at(-1)?.sid);
  });

  it("are compared as they are sent, native parts too", async () => {
    await connect("sms");
    const startedAt = Date.now();
    const draft: Draft = { text: "x", native: { "twilio-sms": { Body: "other words" } } };
    rig.stub.fault(/Messages\.json$/, { reset: "after" });
    await assert.rejects(send(draft));
    assert.equal(await connection.find?.(rig.to, { key: "k1", draft, startedAt }), rig.stub.posted[0]?.sid);
  });

  it("tell a flow what became of them, when it wants to know", async () => {
    await connect("sms", { statuses: true });
    const ref = await send({ text: "x" });
    await rig.stub.post({ MessageSid: ref, MessageStatus: "queued", To: ADA, From: rig.stub.number }, "/status");
    await rig.stub.post({ MessageSid: ref, MessageStatus: "delivered", To: ADA, From: rig.stub.number }, "/status");
    await rig.stub.post({ MessageSid: ref, MessageStatus: "delivered", To: ADA, From: rig.stub.number }, "/status");
    assert.deepEqual(context.received.map(({ action, kind }) => [kind, action]), [["event", { type: "status", ref, state: "delivered" }]]);
  });

  it("name what is wrong with an address, and Twilio's errors for what they are", async () => {
    await connect("sms");
    await assert.rejects(connection.send({ ...rig.to, chat: "a b\n" }, { text: "x" }, "k"), (error: ChannelError) => error.code === "MSG_002");
    const rows: readonly [status: number, body: unknown, headers: Record<string, string>, code: string, retry: string, afterMs?: number][] = [
      [401, { code: 20003, message: "Authenticate" }, {}, "CONN_002", "no"],
      [403, undefined, {}, "CONN_002", "no"],
      [429, { code: 20429, message: "Too Many Requests" }, { "retry-after": "7" }, "CONN_003", "later", 7_000],
      [429, undefined, {}, "CONN_003", "later"],
      [400, { code: 21610, message: "unsubscribed" }, {}, "MSG_002", "no"],
      [400, { code: 21211, message: "Invalid 'To'" }, {}, "MSG_002", "no"],
      [400, { code: 63016, message: "outside the allowed window" }, {}, "MSG_002", "no"],
      [400, { code: 21617, message: "exceeds the 1600 character limit" }, {}, "MSG_003", "no"],
      [400, { code: 21606, message: "'From' is not a valid" }, {}, "CONF_001", "no"],
      [400, { code: 21220, message: "Call is not in-progress" }, {}, "MSG_002", "no"],
      [404, { code: 20404, message: "not found" }, {}, "MSG_002", "no"],
      [413, undefined, {}, "MSG_003", "no"],
      [500, { code: 20500, message: "Internal Server Error" }, {}, "CONN_001", "later"],
      [503, undefined, { "retry-after": "Sat, 28 Nov 2026 00:00:05 GMT", date: "Sat, 28 Nov 2026 00:00:00 GMT" }, "CONN_001", "later", 5_000],
      [502, "<html>", {}, "CONN_001", "later"],
      [400, { code: 99999, message: "something new" }, {}, "MSG_002", "no"],
    ];
    for (const [status, body, headers, code, retry, afterMs] of rows) {
      const error = fromAnswer(status, body, (name) => headers[name] ?? null, "POST Messages.json", 0);
      assert.deepEqual([error.code, error.retry, error.answered, error.unsent, error.afterMs], [code, retry, true, false, afterMs], `${status} ${JSON.stringify(body)}`);
    }
    rig.stub.fault(/Messages\.json$/, { raw: "<html>a proxy</html>", status: 200 });
    await assert.rejects(send({ text: "x" }), (error: ChannelError) => error.code === "CONN_001" && /JSON/.test(error.message));
  });
});

describe("the judge of requests to Twilio", () => {
  it("finds planted faults", function () {
    const judge = twilioJudge();
    if (judge === undefined) return skip(this, "Twilio's description is not on this machine");
    const own = "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef";
    const good = { To: [ADA], From: ["+15551230000"], Body: ["hello"] };
    assert.deepEqual(judge.request("POST", `${own}/Messages.json`, good), []);
    const planted: readonly [string, "GET" | "POST", string, Record<string, string[]>][] = [
      ["no To", "POST", "/Messages.json", { From: good.From, Body: good.Body }],
      ["no Body", "POST", "/Messages.json", { To: good.To, From: good.From }],
      ["no sender", "POST", "/Messages.json", { To: good.To, Body: good.Body }],
      ["Body too long", "POST", "/Messages.json", { ...good, Body: ["x".repeat(1_601)] }],
      ["eleven files", "POST", "/Messages.json", { ...good, MediaUrl: Array.from({ length: 11 }, () => "https://a.example/x") }],
      ["a file without address", "POST", "/Messages.json", { ...good, MediaUrl: ["spool:1"] }],
      ["an unknown field", "POST", "/Messages.json", { ...good, Text: ["x"] }],
      ["a wrong number", "POST", "/Messages.json", { ...good, To: ["Ada Lovelace!"] }],
      ["a callback that is no address", "POST", "/Messages.json", { ...good, StatusCallback: ["/status"] }],
      ["a validity that is no number", "POST", "/Messages.json", { ...good, ValidityPeriod: ["soon"] }],
      ["a call without From", "POST", "/Calls.json", { To: good.To, Twiml: ["<Response/>"] }],
      ["TwiML that is too long", "POST", "/Calls.json", { To: good.To, From: good.From, Twiml: [`<Response>${"x".repeat(4_000)}</Response>`] }],
      ["TwiML that is none", "POST", "/Calls.json", { To: good.To, From: good.From, Twiml: ["hello"] }],
      ["no such resource", "POST", "/Mesages.json", good],
      ["an unknown filter", "GET", "/Messages.json", { Since: ["2026-01-01"] }],
    ];
    for (const [about, method, route, fields] of planted) assert.notDeepEqual(judge.request(method, own + route, fields), [], about);
    assert.notDeepEqual(judge.request("POST", "/2010-04-01/Accounts/me/Messages.json", good), []);
    console.log(`      ${planted.length + 1} planted faults found`);
  });
});

describe("Twilio, against an emulator of it", () => {
  it("sends, is asked for what it sent, and takes signed messages", async function () {
    this.timeout(30_000);
    const context = recordingContext();
    let connection: Connection | undefined;
    const { createServer } = await import("node:http");
    const statuses: number[] = [];
    const door = createServer((request, response) => void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://x");
      const answer = await connection?.webhook?.({ method: request.method ?? "", path: pathname.slice("/sms".length) || "/", query: searchParams, headers: request.headers as Record<string, string>, body: Buffer.concat(chunks), remote: "", signal: new AbortController().signal });
      statuses.push(answer?.status ?? 503);
      response.writeHead(answer?.status ?? 503, answer?.headers ?? {}).end(answer?.body);
    })());
    await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
    const address = door.address();
    assert.ok(address !== null && typeof address === "object");
    const webhookUrl = `http://127.0.0.1:${address.port}/sms`;
    const accountSid = "AC00000000000000000000000000000000";
    const number = "+15551234567";
    const emulator = await createEmulator({ service: "twilio", port: 0, seed: { twilio: { account: { sid: accountSid, auth_token: "twilio_test_auth_token", friendly_name: "Local" }, phone_numbers: [{ phone_number: number, friendly_name: "SMS", sms_url: webhookUrl }] } } });
    try {
      const { twilioSms } = await import("../../engine/channels/twilio-sms/twilio-sms.ts");
      const account: Account = { id: "line", channel: "twilio-sms", name: "Line", settings: { accountSid, token: "twilio_test_auth_token", number, apiRoot: emulator.url } };
      const own = { ...context, webhookUrl };
      await assert.rejects(twilioSms.open({ ...account, settings: { ...account.settings, token: "wrong" } }, own), (error: ChannelError) => error.code === "CONN_002");
      connection = await twilioSms.open(account, own);
      const to = { channel: "twilio-sms", account: "line", chat: "+15550001111", kind: "direct" } as const;
      const startedAt = Date.now();
      const ref = await connection.send(to, { text: "hello" }, "k1");
      assert.match(ref, /^SM/);
      assert.equal(await connection.find?.(to, { key: "k1", draft: { text: "hello" }, startedAt }), ref);
      assert.equal(await connection.find?.(to, { key: "k2", draft: { text: "other" }, startedAt }), undefined);
      const simulated = await fetch(`${emulator.url}/_twilio/simulate/inbound-message`, { method: "POST", headers: { authorization: `Basic ${Buffer.from(`${accountSid}:twilio_test_auth_token`).toString("base64")}`, "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams({ To: number, From: to.chat, Body: "Which lights are on?" }) });
      assert.ok(simulated.ok, await simulated.text());
      await until(() => context.received.length === 1, "the message");
      assert.deepEqual([context.received[0]?.text, context.received[0]?.at, statuses.at(-1)], ["Which lights are on?", to, 200]);
    } finally {
      await connection?.close();
      await emulator.close();
      await new Promise((resolve) => { door.close(resolve); door.closeAllConnections(); });
    }
  });
});
