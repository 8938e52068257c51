import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import type { Connection, WebhookRequest } from "../../engine/channels/channel.ts";
import { channels } from "../../engine/channels/index.ts";
import { openAuth } from "../../engine/channels/whatsapp-web/auth.ts";
import { fromReference, reference } from "../../engine/channels/whatsapp-web/content.ts";
import { jidOf } from "../../engine/channels/whatsapp-web/jid.ts";
import { checked, type Library, loadLibrary, type WebMessage } from "../../engine/channels/whatsapp-web/library.ts";
import { keyOf, messageId } from "../../engine/channels/whatsapp-web/ref.ts";
import { fromMembers, toMessage } from "../../engine/channels/whatsapp-web/to-message.ts";
import { createWhatsappWeb, whatsappWeb } from "../../engine/channels/whatsapp-web/whatsapp-web.ts";
import { ChannelError } from "../../engine/errors.ts";
import type { Address, Message } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { channelContract, memoryStorage, recordingContext, type RecordingContext, refuseWrites } from "../contracts/channel.ts";
import { manualClock, settle, until } from "../kit/scripted.ts";
import { ADA, whatsappWebRig, type WebRig } from "../platforms/whatsapp-web-rig.ts";
import { projectRoot } from "../rigs/project.ts";

type Json = Record<string, unknown>;
const self = { jids: ["15550783881@s.whatsapp.net", "99887766554433@lid"], id: "15550783881", account: "phone", now: 1_790_000_100_000 };
const TO: Address = { channel: "whatsapp-web", account: "phone", chat: ADA, kind: "direct" };

describe("WhatsApp as a linked device", () => {
  const NUMBERS = "WhatsApp gives numbers for refusals and no reasons";
  const PHONE = "a phone links it: there is nothing to enter";
  channelContract("WhatsApp as a linked device", { channel: whatsappWeb, lacks: {
    signed: "its webhook takes nothing in: it shows a picture to whoever has its address", unsecured: "its webhook takes nothing in", wrong: PHONE, away: "Baileys connects by itself, as long as it takes",
    "fault server": NUMBERS, "fault markup": "signs that are no markup are shown as they are", "refusal gone": NUMBERS, "refusal kicked": NUMBERS, "refusal long": NUMBERS,
  }, make: () => whatsappWebRig() });

  describe("its samples", () => {
    const folder = path.join(projectRoot, "engine/channels/whatsapp-web/samples");
    const cases = readdirSync(folder).flatMap((file) => JSON.parse(readFileSync(path.join(folder, file), "utf8")) as { about: string; event: WebMessage; message: Json }[]);
    for (const { about, event, message: wanted } of cases) {
      it(about, () => {
        const message = toMessage(event, self);
        assert.ok(message !== undefined);
        assert.deepEqual(parseMessage(message), message);
        for (const [key, value] of Object.entries(wanted)) assert.deepEqual(message[key as keyof Message] ?? null, value, key);
        assert.equal(toMessage(structuredClone(event), { ...self, now: self.now + 1 })?.id, message.id);
      });
    }
    it("are many", () => assert.ok(cases.length >= 25));
  });

  describe("its events", () => {
    const said = (message: Json, key: Json = {}): Message | undefined => toMessage({ key: { remoteJid: ADA, id: "X1", ...key }, message, messageTimestamp: { toNumber: () => 1_790_000_000 } }, self);

    it("name files so that they can be fetched later, by kind", () => {
      const file = { mediaKey: Buffer.from("key"), directPath: "/v/t62/abc?ccb=1", url: "https://mmg.whatsapp.net/v/abc", mimetype: "audio/ogg; codecs=opus", fileLength: { toNumber: () => 1234 }, seconds: 3, fileName: "a.bin", caption: "*look*" };
      const wanted: [string, string, Json?][] = [["imageMessage", "image"], ["videoMessage", "video"], ["ptvMessage", "video"], ["audioMessage", "audio"], ["audioMessage", "voice", { ptt: true }], ["documentMessage", "document"], ["stickerMessage", "sticker"]];
      for (const [type, kind, more = {}] of wanted) {
        const message = said({ [type]: { ...file, ...more } });
        const [attachment] = message?.attachments ?? [];
        assert.ok(attachment !== undefined && "media" in attachment, type);
        assert.deepEqual([attachment.kind, attachment.mime, attachment.bytes, attachment.seconds, attachment.name], [kind, "audio/ogg", 1234, 3, "a.bin"]);
        assert.deepEqual(fromReference(attachment.media)?.directPath, file.directPath);
        assert.deepEqual(Buffer.from(fromReference(attachment.media)?.mediaKey ?? []), file.mediaKey);
        assert.equal(message?.sentAt, 1_790_000_000_000);
        assert.equal(message?.text, "**look**");
        if (message !== undefined) assert.deepEqual(parseMessage(message), message);
      }
      assert.deepEqual(said({ documentWithCaptionMessage: { message: { documentMessage: file } } })?.attachments.length, 1);
      assert.deepEqual(said({ viewOnceMessageV2: { message: { imageMessage: file } } })?.attachments.length, 1);
      assert.deepEqual(said({ imageMessage: { ...file, mediaKey: "no bytes" } })?.attachments, []);
      for (const word of ["", "x", Buffer.from('["exe","a","b",""]').toString("base64url"), Buffer.from("{}").toString("base64url"), reference({ of: "image", mediaKey: Buffer.from("k") }).slice(3)]) assert.equal(fromReference(word), undefined, word);
    });

    it("name no place of a file but WhatsApp's own servers, nor is another read from a name", () => {
      const rows: readonly [directPath: string, url: string, kept: readonly string[]][] = [
        ["/v/t62/abc?ccb=1", "https://media-fra3-1.cdn.whatsapp.net/v/abc", ["/v/t62/abc?ccb=1", "https://media-fra3-1.cdn.whatsapp.net/v/abc"]], ["/v/abc", "https://whatsapp.net/v", ["/v/abc", "https://whatsapp.net/v"]],
        [".evil.example/x", "", []], ["@evil.example/x", "", []], [":8080/x", "", []], ["//evil.example/x", "", []], ["evil", "", []],
        ["/v/abc", "https://evil.example/x", ["/v/abc"]], ["/v/abc", "http://mmg.whatsapp.net/x", ["/v/abc"]], ["/v/abc", "https://mmg.whatsapp.net.evil.example/x", ["/v/abc"]], ["/v/abc", "https://evilwhatsapp.net/x", ["/v/abc"]],
        ["", "https://mmg.whatsapp.net@evil.example/x", []], ["", "https://mmg.whatsapp.net:8080/x", []], ["", "https://evil.example/.whatsapp.net", []], ["", "https://evil.example\\.whatsapp.net/", []], ["", "https://192.168.1.1/", []], ["", "file:///etc/passwd", []], ["", "mmg.whatsapp.net", []],
      ];
      for (const [directPath, url, kept] of rows) {
        const [attachment] = said({ imageMessage: { mediaKey: Buffer.from("key"), directPath, url, mimetype: "image/jpeg" } })?.attachments ?? [];
        assert.ok(attachment !== undefined && "media" in attachment, directPath);
        const forged = Buffer.from(JSON.stringify(["image", "a2V5", directPath, url])).toString("base64url");
        for (const word of [attachment.media, forged]) {
          const found = fromReference(word);
          assert.deepEqual([found?.directPath, found?.url].filter((each) => each !== undefined), kept, `${directPath} ${url}`);
        }
        assert.deepEqual((JSON.parse(Buffer.from(attachment.media, "base64url").toString()) as string[]).slice(2).filter((each) => each !== ""), kept);
      }
    });

    it("leave out what is no word to us: statuses, channels, keys that travel, empty ones", () => {
      for (const jid of ["status@broadcast", "120363@newsletter", "1@broadcast"]) assert.equal(said({ conversation: "x" }, { remoteJid: jid }), undefined);
      for (const message of [{}, { protocolMessage: { type: 5, historySyncNotification: {} } }, { senderKeyDistributionMessage: {} }, { messageContextInfo: {} }]) assert.equal(said(message), undefined);
      assert.throws(() => toMessage({ key: {}, message: { conversation: "x" } }, self), { code: "MSG_001" });
    });

    it("tell who came to a group and who left, and what else changed there", () => {
      const change = (action: string, participants: { id: string; phoneNumber?: string }[]) => fromMembers({ id: "1203@g.us", author: ADA, participants, action }, self);
      assert.deepEqual(change("add", [{ id: "1@s.whatsapp.net" }, { id: "2@lid", phoneNumber: "3@s.whatsapp.net" }])?.action, { type: "member", change: "joined", ids: ["1", "3"] });
      assert.deepEqual(change("remove", [{ id: "1@s.whatsapp.net" }])?.action, { type: "member", change: "left", ids: ["1"] });
      assert.deepEqual(change("promote", [{ id: "1@s.whatsapp.net" }])?.tags, ["members", "promote"]);
      assert.equal(change("add", []), undefined);
      const message = change("add", [{ id: "1@s.whatsapp.net" }]);
      assert.deepEqual(message && parseMessage(message), message);
    });

    it("have ids that nobody else's message can stand in for", () => {
      const group = { remoteJid: "1203@g.us" };
      const ids = [said({ conversation: "a" }, { ...group, participant: "1@s.whatsapp.net" }), said({ conversation: "a" }, { ...group, participant: "2@s.whatsapp.net" }), said({ conversation: "a" }, { ...group, fromMe: true })].map((each) => each?.id);
      assert.equal(new Set(ids).size, 3);
    });

    it("whatever they hold make a valid Message, none, or a fault that is caught; never a changed prototype", () => {
      const names = ["conversation", "extendedTextMessage", "imageMessage", "protocolMessage", "reactionMessage", "listResponseMessage", "contactsArrayMessage", "pollCreationMessageV3", "ephemeralMessage", "locationMessage", "__proto__"];
      const runs = Number(process.env["CLAWFLOW_FUZZ"] ?? 1_000);
      fc.assert(fc.property(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 2 }), (name, value, other) => {
        const event = JSON.parse(`{"key":{"remoteJid":"${ADA}","id":"X1"},"message":{${JSON.stringify(name)}:${JSON.stringify(value)},"messageContextInfo":{}},"messageTimestamp":${JSON.stringify(other)},"pushName":${JSON.stringify(other)}}`) as WebMessage;
        const message = toMessage(event, self);
        if (message !== undefined) assert.deepEqual(parseMessage(message), message);
        assert.equal(({} as Json)["isOwner"], undefined);
      }), { numRuns: runs });
      console.log(`        ${runs} made-up events`);
    });

    it("addresses are numbers or what was received; refs say who wrote", () => {
      assert.equal(jidOf("+49 (151) 123-456"), "49151123456@s.whatsapp.net");
      for (const jid of [ADA, "123@lid", "1203-44@g.us"]) assert.equal(jidOf(jid), jid);
      for (const jid of ["ada", "", "x@evil.example", "a b@lid", "12"]) assert.throws(() => jidOf(jid), { code: "MSG_002" });
      assert.deepEqual(keyOf("me/3EB0AA", ADA), { remoteJid: ADA, id: "3EB0AA", fromMe: true });
      assert.deepEqual(keyOf("/3AFF", ADA), { remoteJid: ADA, id: "3AFF", fromMe: false });
      assert.deepEqual(keyOf("1@lid/3AFF", "g@g.us"), { remoteJid: "g@g.us", id: "3AFF", fromMe: false, participant: "1@lid" });
      for (const ref of ["", "3AFF", "me/"]) assert.throws(() => keyOf(ref, ADA), { code: "MSG_002" });
    });
  });

  describe("its link", () => {
    let rig: WebRig;
    let context: RecordingContext;
    const open: Connection[] = [];
    beforeEach(async () => { rig = await whatsappWebRig(); context = recordingContext(rig.context); });
    afterEach(async () => { for (const each of open.splice(0)) await each.close(); });
    async function connect(settings: Json = {}): Promise<Connection> {
      const connection = await rig.channel.open({ ...rig.account, settings: { ...rig.account.settings, ...settings } }, context);
      open.push(connection);
      return connection;
    }
    const last = () => rig.stub.sent.at(-1);

    it("is asked for modestly: no history, not shown as online, no own echoes, no log", async () => {
      await connect();
      const options = rig.stub.sockets[0]?.options;
      assert.deepEqual([options?.markOnlineOnConnect, options?.syncFullHistory, options?.shouldSyncHistoryMessage(), options?.emitOwnEvents, options?.logger.level], [false, false, false, false, "silent"]);
    });

    it("sends the same key under the same id, and a person sees it once", async () => {
      const connection = await connect();
      rig.stub.fault({ cut: true });
      const error = await connection.send(TO, { text: "once" }, "key-7").then(() => assert.fail("expected a fault"), (fault: unknown) => fault);
      assert.ok(error instanceof ChannelError);
      assert.deepEqual([error.code, error.retry, error.unsent, error.answered], ["CONN_001", "later", false, false]);
      const again = await connect();
      assert.equal(await again.send(TO, { text: "once" }, "key-7"), `me/${messageId("key-7")}`);
      assert.deepEqual(rig.stub.sent.map(({ id }) => id), [messageId("key-7"), messageId("key-7")]);
      assert.match(messageId("key-7"), /^3EB0[0-9A-F]{18}$/);
      assert.notEqual(messageId("key-7"), messageId("key-8"));
      assert.deepEqual(rig.shown(), ["once"]);
    });

    it("counts a message as sent when the server said so and that is on disk, not when it left", async () => {
      const clock = manualClock();
      const storage = memoryStorage();
      context = recordingContext({ ...rig.context, storage, clock });
      const connection = await connect();
      rig.stub.fault({ lost: true });
      let settled = false;
      const sending = connection.send(TO, { text: "no answer" }, "key-1").finally(() => { settled = true; });
      const failed = assert.rejects(sending, { code: "CONN_001", retry: "later", unsent: false, answered: false });
      await until(() => rig.stub.sent.length === 1, "the message");
      await settle();
      assert.equal(settled, false);
      await clock.advance(60_000);
      await failed;
      const asked = { key: "key-1", draft: { text: "no answer" }, startedAt: clock.now() - 60_000 };
      // Still nothing: but a receipt of the other one's phone settles it.
      assert.equal(await connection.find?.(TO, asked), undefined);
      rig.stub.sockets[0]?.emit("messages.update", [{ key: { remoteJid: ADA, fromMe: true, id: messageId("key-1") }, update: { status: 3 } }]);
      await until(async () => (await connection.find?.(TO, asked)) !== undefined, "the receipt");
      assert.notEqual(await storage.get(`ack:${messageId("key-1")}`), undefined);
    });

    it("knows in another process what was answered, and waits for a word that may still come", async () => {
      const clock = manualClock();
      context = recordingContext({ ...rig.context, clock });
      const first = await connect();
      const ref = await first.send(TO, { text: "x" }, "key-1");
      await first.close();
      const second = await connect();
      assert.equal(await second.find?.(TO, { key: "key-1", draft: { text: "x" }, startedAt: clock.now() }), ref);
      const asked = { key: "key-2", draft: { text: "x" }, startedAt: 0 };
      await assert.rejects(async () => second.find?.(TO, asked), { code: "CONN_001", retry: "later", afterMs: 30_000 });
      await clock.advance(30_000);
      assert.equal(await second.find?.(TO, asked), undefined);
      await assert.rejects(async () => second.find?.(TO, { ...asked, silentAt: clock.now() - 10_000 }), { code: "CONN_001", afterMs: 20_000 });
    });

    it("counts as sent what the server took, also where that cannot be kept", async () => {
      context = recordingContext(rig.context);
      const connection = await connect();
      refuseWrites(context.storage, "ack:");
      await connection.send(TO, { text: "taken" }, "key-1");
      assert.equal(rig.shown().length, 1);
      assert.ok(context.logs.some((line) => /^warn STORE_001: a message was sent/.test(line)));
    });

    it("says which refusals are for good, and which are not", async () => {
      const connection = await connect();
      for (const [refuse, code, retry, text] of [["463", "MSG_002", "no", /new chats/], ["479", "MSG_002", "no", /479/], ["999", "MSG_002", "no", /999/], ["429", "CONN_003", "later", /pace/]] as const) {
        rig.stub.fault({ refuse });
        await assert.rejects(connection.send(TO, { text: "x" }, `k-${refuse}`), { name: "ChannelError", code, retry, answered: true, message: text });
      }
      rig.stub.fault({ throws: "Timed Out" });
      await assert.rejects(connection.send(TO, { text: "x" }, "k-throws"), { code: "CONN_001", retry: "later", unsent: false });
      assert.deepEqual(rig.shown(), []);
    });

    it("sends, replies, edits, removes, reacts, types and reads in Baileys' words", async () => {
      const connection = await connect();
      await connection.send(TO, { text: "**hi** [a](https://example.com)" }, "k1");
      assert.deepEqual(last()?.content, { text: "*hi* a (https://example.com)", linkPreview: null });
      rig.stub.arrive({ key: { remoteJid: ADA, fromMe: false, id: "3AQUOTED" }, message: { conversation: "what?" }, messageTimestamp: 1 });
      await connection.send(TO, { text: "that", replyTo: "/3AQUOTED" }, "k2");
      assert.deepEqual(last()?.quoted?.message, { conversation: "what?" });
      await connection.send(TO, { text: "that", replyTo: "/3AUNKNOWN" }, "k3");
      assert.deepEqual(last()?.quoted, { key: { remoteJid: ADA, id: "3AUNKNOWN", fromMe: false }, message: { conversation: "" } });
      const ref = await connection.send(TO, { text: "first" }, "k4");
      await connection.edit?.(TO, ref, { text: "**second**" });
      assert.deepEqual(last()?.content, { text: "*second*", linkPreview: null, edit: { remoteJid: ADA, id: messageId("k4"), fromMe: true } });
      await connection.react?.(TO, "/3AQUOTED", "👍");
      assert.deepEqual(last()?.content, { react: { text: "👍", key: { remoteJid: ADA, id: "3AQUOTED", fromMe: false } } });
      await connection.remove?.(TO, ref);
      assert.deepEqual(last()?.content, { delete: { remoteJid: ADA, id: messageId("k4"), fromMe: true } });
      await connection.typing?.(TO);
      await connection.read?.(TO, "/3AQUOTED");
      assert.deepEqual(rig.stub.calls.map(({ name, given }) => [name, ...given]), [["sendPresenceUpdate", "composing", ADA], ["readMessages", [{ remoteJid: ADA, id: "3AQUOTED", fromMe: false }]]]);
      await connection.send(TO, { text: "x", native: { "whatsapp-web": { mentions: [ADA] } } }, "k5");
      assert.deepEqual(last()?.content["mentions"], [ADA]);
      await assert.rejects(connection.send(TO, { text: "x".repeat(65_537) }, "k6"), { code: "MSG_003" });
      await assert.rejects(connection.send({ ...TO, chat: "nobody" }, { text: "x" }, "k7"), { code: "MSG_002" });
    });

    it("keeps a message that cannot be saved, in order, and offers it again; closing offers it once more", async () => {
      const clock = manualClock();
      const saved: string[] = [];
      let broken = 2;
      context = recordingContext({ ...rig.context, clock, receive: async (message) => { if (broken > 0) { broken--; throw new Error("disk full"); } saved.push(message.text); return "saved"; } });
      const connection = await connect();
      for (const text of ["one", "two", "three"]) await rig.say(text);
      await until(() => context.states.at(-1)?.state === "error", "the fault");
      assert.equal(context.states.at(-1)?.error?.code, "STORE_001");
      await clock.advance(2_000);
      await until(() => saved.length === 3, "all three");
      assert.deepEqual(saved, ["one", "two", "three"]);
      assert.equal(context.states.at(-1)?.state, "connected");
      broken = 1;
      await rig.say("four");
      await until(() => context.states.at(-1)?.state === "error", "the fault");
      await rig.say("five");
      await connection.close();
      assert.deepEqual(saved, ["one", "two", "three", "four", "five"]);
      broken = 5;
      const other = await connect();
      await rig.say("six");
      await until(() => context.states.at(-1)?.state === "error", "the fault");
      await other.close();
      assert.ok(context.logs.some((line) => /warn STORE_001: 1 messages/.test(line)));
    });

    it("ends for a reason that can be told, for good or for a time", async () => {
      const rows: [number, string, string][] = [[401, "CONN_002", "no"], [403, "CONN_002", "no"], [405, "CONF_001", "no"], [408, "CONN_001", "later"], [411, "CONF_001", "no"], [428, "CONN_001", "later"], [440, "CONN_005", "later"], [500, "CONN_001", "later"], [503, "CONN_001", "later"], [515, "CONN_001", "later"], [999, "CONN_001", "later"]];
      for (const [status, code, retry] of rows) {
        const connection = await connect();
        rig.stub.drop(status);
        const error = await connection.gone;
        assert.deepEqual([error?.code, error?.retry], [code, retry], String(status));
        await assert.rejects(connection.send(TO, { text: "x" }, "late"), { code: "CONN_001", unsent: true });
        await connection.close();
      }
    });

    it("leaves no listener and no socket, whoever ends it, however often", async () => {
      const connection = await connect();
      const [socket] = rig.stub.sockets;
      context.abort();
      await connection.close();
      await connection.close();
      assert.deepEqual([socket?.ended, socket?.listeners()], [true, 0]);
      rig.stub.arrive({ key: { remoteJid: ADA, id: "LATE" }, message: { conversation: "late" } });
      await settle();
      assert.equal(context.received.length, 0);
    });

    it("takes what came while it was away", async () => {
      rig.stub.arrive({ key: { remoteJid: ADA, id: "A1" }, message: { conversation: "while away" }, messageTimestamp: 1 });
      await connect();
      await until(() => context.received.length === 1, "the message");
      assert.equal(context.received[0]?.text, "while away");
    });
  });

  describe("its keys", () => {
    const library = async (): Promise<Library> => (await whatsappWebRig()).stub.library;

    it("are on disk before anybody goes on, come back as they were, and go when the phone unlinks", async () => {
      const storage = memoryStorage();
      const order: string[] = [];
      const slow = { ...storage, async set(changes: Json) { await settle(3); await storage.set(changes); order.push(...Object.keys(changes)); } };
      const auth = await openAuth(slow, await library());
      await auth.keys.set({ session: { "1.0": Buffer.from([1, 2, 255]), "2.0": new Uint8Array([9]) }, "app-state-sync-key": { AAA: { keyData: Buffer.from("k") } }, "pre-key": { "1": null } });
      assert.deepEqual(order, ["auth:key:session:1.0", "auth:key:session:2.0", "auth:key:app-state-sync-key:AAA", "auth:key:pre-key:1"]);
      assert.deepEqual(await auth.keys.get("session", ["1.0", "2.0", "3.0"]), { "1.0": Buffer.from([1, 2, 255]), "2.0": Buffer.from([9]) });
      assert.deepEqual(await auth.keys.get("app-state-sync-key", ["AAA"]), { AAA: { keyData: Buffer.from("k"), made: "by proto" } });
      auth.creds["registered"] = true;
      const writes = order.length;
      await Promise.all([auth.save(), auth.save(), auth.save()]);
      assert.equal(order.length, writes + 1, "one write for all that was asked at once");
      const again = await openAuth(storage, await library());
      assert.equal(again.linked, true);
      assert.deepEqual((again.creds["noiseKey"] as Json)["private"], Buffer.from("private"));
      await again.keys.set({ session: { "1.0": null } });
      assert.deepEqual(await again.keys.get("session", ["1.0"]), {});
    });

    it("are forgotten when the phone unlinks the device, and not written again", async () => {
      const rig = await whatsappWebRig();
      const context = recordingContext(rig.context);
      const connection = await rig.channel.open(rig.account, context);
      await rig.stub.sockets[0]?.options.auth.keys.set({ session: { a: Buffer.from("x") } });
      rig.stub.sockets[0]?.emit("creds.update", {});
      await until(async () => (await context.storage.list("auth:")).length === 2, "both to be written");
      rig.stub.drop(401);
      assert.equal((await connection.gone)?.code, "CONN_002");
      rig.stub.sockets[0]?.emit("creds.update", {});
      await connection.close();
      assert.deepEqual(await context.storage.list("auth:"), []);
    });

    it("end the link when they cannot be kept", async () => {
      const rig = await whatsappWebRig();
      const storage = memoryStorage();
      const context = recordingContext({ ...rig.context, storage: { ...storage, set: async () => { throw new Error("disk full"); } } });
      const connection = await rig.channel.open(rig.account, context);
      rig.stub.sockets[0]?.emit("creds.update", {});
      assert.deepEqual([(await connection.gone)?.code, (await connection.gone)?.retry], ["CONN_001", "later"]);
      assert.equal(rig.stub.sockets[0]?.ended, true);
      await connection.close();
    });
  });

  describe("linking a phone", () => {
    let rig: WebRig;
    let context: RecordingContext;
    let connection: Connection;
    async function start(settings: Json, more: Partial<RecordingContext> = {}): Promise<void> {
      rig = await whatsappWebRig(settings);
      rig.stub.linked = false;
      context = recordingContext({ ...rig.context, ...more });
      connection = await rig.channel.open(rig.account, context);
    }
    afterEach(async () => { await connection.close(); });
    const ask = (at: string, method = "GET") => connection.webhook?.({ method, path: at, query: new URLSearchParams(), headers: {}, body: new Uint8Array(), remote: "127.0.0.1", signal: new AbortController().signal } satisfies WebhookRequest);
    const waiting = () => context.states.filter(({ error }) => error?.code === "CONN_006");

    it("by a code: the account's state says it, again after it counts as opened, and asks for one only", async () => {
      await start({ phone: "+49 151 1234567" });
      await until(() => waiting().length >= 2, "the word after the opening");
      assert.match(waiting()[0]?.error?.message ?? "", /Enter ABCD-EFGH on the phone/);
      assert.equal(waiting().at(-1)?.state, "connecting");
      rig.stub.sockets[0]?.emit("connection.update", { qr: "2@another" });
      await settle();
      assert.deepEqual(rig.stub.calls.filter(({ name }) => name === "requestPairingCode").map(({ given }) => given), [["491511234567"]]);
      await assert.rejects(connection.send(TO, { text: "x" }, "k"), { code: "CONN_001", retry: "later", unsent: true });
      assert.deepEqual(connection.self, { id: "phone", name: "not linked yet" });
    });

    it("by a picture on a page that only the log knows, the newest one, and nothing after", async () => {
      await start({});
      await until(() => waiting().length >= 2, "the word after the opening");
      const address = context.logs.map((line) => /https:\/\/home\.example\/clawflow\/phone(\/link\/\S+)/.exec(line)?.[1]).find((each) => each !== undefined);
      assert.ok(address !== undefined && address.length > 35);
      for (const { error } of waiting()) assert.ok(!error?.message.includes(address.slice(6)), "the state of an account is seen by more people than the log");
      for (const wrong of ["/", "/link/", "/link/x", `${address}x`, address.slice(0, -1), address.toLowerCase()]) assert.equal((await ask(wrong))?.status, 404, wrong);
      assert.equal((await ask(address, "POST"))?.status, 404);
      const first = await ask(address);
      assert.equal(first?.status, 200);
      assert.match(String(first?.body), /<svg/);
      assert.equal(first?.headers?.["cache-control"], "no-store");
      assert.match(first?.headers?.["content-security-policy"] ?? "", /default-src 'none'/);
      assert.ok(!/<script/i.test(String(first?.body)));
      rig.stub.sockets[0]?.emit("connection.update", { qr: "2@another,one" });
      await settle();
      assert.notEqual((await ask(address))?.body, first?.body);
      assert.equal(context.logs.filter((line) => line.includes("/link/")).length, 1);
      rig.stub.sockets[0]?.emit("connection.update", { connection: "open" });
      assert.ok(!String((await ask(address))?.body).includes("<svg"));
      assert.equal(context.states.at(-1)?.state, "connected");
    });

    it("by a picture in the log where no address is known, and by a name that cannot break the page", async () => {
      rig = await whatsappWebRig();
      const { webhookUrl: _, ...rest } = rig.context ?? {};
      rig.stub.linked = false;
      context = recordingContext(rest);
      connection = await rig.channel.open({ ...rig.account, name: "<script>alert(1)</script>" }, context);
      await until(() => context.logs.some((line) => /[█▀▄]{5}/.test(line)), "the picture");
      assert.equal((await ask("/link/x"))?.status, 404);
    });

    it("goes on by a new connection, which WhatsApp asks for", async () => {
      await start({ phone: "491511234567" });
      rig.stub.drop(515);
      const error = await connection.gone;
      assert.deepEqual([error?.code, error?.retry, error?.afterMs], ["CONN_001", "later", 100]);
      rig.stub.linked = true;
      const linked = await rig.channel.open(rig.account, context);
      assert.deepEqual(linked.self, { id: "15550783881", name: "Claw" });
      await linked.close();
    });
  });

  describe("the package it needs", () => {
    it("is not ours: without it the account says what to install, under which licence, and at what risk", async () => {
      await assert.rejects(loadLibrary(), { name: "ChannelError", code: "CONF_001", retry: "no", message: /npm install baileys@7\.0\.0-rc14.*without WhatsApp's leave.*blocked.*libsignal.*GPL-3\.0/ });
      const manifest = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as Record<string, Json>;
      for (const kind of ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"]) assert.equal(manifest[kind]?.["baileys"], undefined, kind);
      const channel = channels.find(({ id }) => id === "whatsapp-web");
      const context = recordingContext();
      await assert.rejects(async () => channel?.open({ id: "a", channel: "whatsapp-web", name: "A", settings: { agree: true } }, context), { code: "CONF_001", message: /npm install/ });
    });

    it("is refused in a version that lacks what is used", async () => {
      const { library } = (await whatsappWebRig()).stub;
      assert.equal(checked(library), library);
      for (const part of ["makeWASocket", "initAuthCreds", "BufferJSON", "proto", "downloadContentFromMessage"]) assert.throws(() => checked({ ...library, [part]: undefined }), { code: "CONF_001", message: new RegExp(part) });
      assert.throws(() => checked(null), { code: "CONF_001" });
    });

    it("is not loaded before the risk is taken", async () => {
      let loads = 0;
      const channel = createWhatsappWeb(async () => { loads++; throw new Error("loaded"); });
      const account = { id: "a", channel: "whatsapp-web", name: "A", settings: {} };
      assert.match(channel.check(account)[0] ?? "", /may block the number/);
      await assert.rejects(channel.open(account, recordingContext()), { code: "CONF_001" });
      assert.equal(loads, 0);
      assert.match(channel.check({ ...account, settings: { agree: true, phone: "ada" } })[0] ?? "", /country code/);
    });
  });
});
