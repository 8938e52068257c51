/** What Discord brings, read: recorded payloads against readings by hand, our samples, hostile bodies, signatures. */
import { skip } from "../rigs/skip.ts";
import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { WebhookRequest } from "../../engine/channels/channel.ts";
import { createPlaces } from "../../engine/channels/discord/places.ts";
import { toMessages } from "../../engine/channels/discord/to-message.ts";
import { createWebhook } from "../../engine/channels/discord/webhook.ts";
import { systemClock } from "../../engine/clock.ts";
import { ClawError, StoreError } from "../../engine/errors.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import type { Message } from "../../engine/message.ts";
import { ROOM, THREAD } from "../platforms/discord.ts";
import { selfOf } from "../platforms/discord-rig.ts";
import { projectRoot } from "../rigs/project.ts";
import { loadDiscordSpec } from "../spec/discord-schema.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

type Json = Record<string, unknown>;
type Event = Parameters<typeof toMessages>[0];
const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));
const samples = (name: string): Event[] => read(path.join(projectRoot, "engine/channels/discord/samples", `${name}.json`)) as Event[];
const one = (event: Event, more: Parameters<typeof selfOf>[0] = {}): Message => {
  const [message, ...others] = toMessages(event, selfOf(more));
  assert.ok(message !== undefined && others.length === 0, event.t ?? "");
  return message;
};

describe("Discord's events", () => {
  describe("as recorded", () => {
    const CHAT = "1457510428359004343";
    const IN = "1457536551830421524";
    const USER = "1033044521375764530";
    const BOT_ID = "1457469483726668048";
    type Reading = readonly [kind: string, chat: string, thread: string | undefined, sender: string, addressed: boolean, text: string, more?: Partial<Message>];
    const READINGS: Readonly<Record<string, Reading | undefined>> = {
      buttonClickHello: ["action", CHAT, IN, USER, true, "", { ref: "1457536567810854934", action: { type: "button", value: "hello", label: "Say Hello" } }],
      buttonClickMessages: ["action", CHAT, IN, USER, true, "", { action: { type: "button", value: "messages", label: "Fetch Messages" } }],
      gatewayMention: ["message", CHAT, undefined, USER, true, `<@${BOT_ID}> Hey`, { mentions: [BOT_ID], id: "message:1457536551830421524" }],
      gatewayAIMention: ["message", CHAT, undefined, USER, true, `<@${BOT_ID}> AI What is love`],
      gatewayRoleMention: ["message", CHAT, undefined, USER, true, "<@&1457473602180878604> AI Still there?"],
      gatewaySubscribedMessage: ["message", CHAT, IN, USER, false, "Hey"],
      gatewayDMRequest: ["message", CHAT, IN, USER, false, "DM me"],
      gatewayBotWelcome: ["message", CHAT, IN, BOT_ID, false, "**👋 Welcome!**"],
      gatewayReactionAdd: ["reaction", CHAT, IN, USER, true, "", { action: { type: "reaction", emoji: "👍", removed: false }, ref: "1457536955662471180" }],
      gatewayThreadCreate: undefined,
      buttonClickInfo: ["action", CHAT, IN, USER, true, "", { action: { type: "button", value: "info", label: "Show Info" } }],
      buttonClickGoodbye: ["action", CHAT, IN, USER, true, "", { action: { type: "button", value: "goodbye", label: "Goodbye" } }],
      dmButtonClick: ["action", "DM_CHANNEL_123", undefined, USER, true, "", { at: { channel: "discord", account: "home", chat: "DM_CHANNEL_123", kind: "direct" } }],
      differentUser: ["action", CHAT, IN, "9876543210987654321", true, ""],
      gatewayThreadWelcome: ["message", CHAT, IN, BOT_ID, false, "**👋 Welcome!**"],
      gatewayThreadUserHey: ["message", CHAT, IN, USER, false, "Hey"],
      gatewayThreadDMRequest: ["message", CHAT, IN, USER, false, "DM me"],
      gatewayThreadNum1: ["message", CHAT, IN, USER, false, "1"],
      gatewayThreadNice: ["message", CHAT, IN, USER, false, "Nice"],
    };

    it("are read as a person reads them", function () {
      const folder = dataFolder("payloads", "discord");
      if (folder === undefined) return skip(this, "the recorded payloads are not beside this checkout");
      const { metadata: _, ...recorded } = read(path.join(folder, "vercel-chat-discord.json")) as Record<string, Json>;
      assert.deepEqual(Object.keys(recorded).sort(), Object.keys(READINGS).sort());
      const known = createPlaces(BOT_ID);
      known.learn({ t: "GUILD_CREATE", d: { id: "1457468924290662599", roles: [{ id: "1457473602180878604", name: "Chat SDK Demo", tags: { bot_id: BOT_ID } }], channels: [{ id: CHAT, type: 0 }] } } as never);
      known.learn({ t: "THREAD_CREATE", d: (recorded["gatewayThreadCreate"] as { data: unknown }).data } as never);
      const table: string[] = [];
      for (const [name, raw] of Object.entries(recorded)) {
        const event = typeof raw["type"] === "string" ? { t: raw["type"].replace("GATEWAY_", ""), d: raw["data"] } : { t: "INTERACTION_CREATE", d: raw };
        const messages = toMessages(event as never, selfOf({ id: BOT_ID, known, now: Date.parse("2026-01-05T01:00:00Z") }));
        const wanted = READINGS[name];
        if (wanted === undefined) { assert.deepEqual(messages, [], name); continue; }
        const [message] = messages as [Message];
        assert.deepEqual(parseMessage(structuredClone(message)), message, name);
        const [kind, chat, thread, sender, addressed, text, more = {}] = wanted;
        assert.deepEqual([message.kind, message.at.chat, message.at.thread, message.sender.id, message.addressed], [kind, chat, thread, sender, addressed], name);
        assert.equal(message.sender.self, sender === BOT_ID, name);
        assert.ok(text.startsWith("**👋") ? message.text.startsWith(text) : message.text === text, `${name}: ${message.text}`);
        for (const [key, value] of Object.entries(more)) assert.deepEqual(message[key as keyof Message], value, `${name}.${key}`);
        table.push(`      ${name.padEnd(26)} ${message.kind.padEnd(9)} ${(message.text || JSON.stringify(message.action)).slice(0, 40).replaceAll("\n", " ").padEnd(41)} ${message.sender.name.padEnd(14)} ${message.at.chat}/${message.at.thread ?? ""}`);
      }
      console.log(`      ${table.length} recorded payloads of Discord, read:\n${table.join("\n")}`);
    });
  });

  describe("in our samples", () => {
    const AT = { channel: "discord", account: "home", chat: ROOM, space: "700000000000000001", kind: "group" };
    it("tells who is meant: a mention, the bot's role, a reply, a direct message", () => {
      const [mention, reply, direct, role, edit, gone, thread, pin, forward] = samples("text").map((event) => one(event)) as Message[];
      assert.deepEqual([mention, reply, direct, role, thread].map((message) => message?.addressed), [true, true, true, true, false]);
      assert.deepEqual(mention?.at, AT);
      assert.deepEqual(mention?.sender, { id: "800000000000000007", name: "Ada Lovelace", handle: "ada", bot: false, self: false, roles: ["Scientists", "500000000000000001"] });
      assert.equal(reply?.replyTo, "1420000000000000000");
      assert.equal(direct?.at.kind, "direct");
      assert.deepEqual([edit?.kind, edit?.ref, edit?.id, edit?.text], ["edit", "1420000000000000001", "edit:1420000000000000001:2026-09-18T12:01:00.000000+00:00", "<@900000000000000001> what is on tonight?"]);
      assert.deepEqual([gone?.kind, gone?.ref, gone?.sender.id], ["delete", "1420000000000000001", "800000000000000007"]);
      assert.deepEqual(thread?.at, { ...AT, thread: THREAD });
      assert.deepEqual([pin?.kind, pin?.tags], ["event", ["channel_pinned_message"]]);
      assert.deepEqual([forward?.text, forward?.forwarded, forward?.tags], ["said elsewhere", {}, ["forwarded"]]);
    });

    it("names files, voice messages, stickers, embeds and polls", () => {
      const [image, voice, sticker, embed, poll] = samples("media").map((event) => one(event).attachments[0]);
      assert.deepEqual(image, { kind: "image", media: `https://cdn.discordapp.com/attachments/600000000000000001/1/cat.png?ex=69000000&is=68000000&hm=00#${ROOM}/1420000000000000011`, state: "remote", mime: "image/png", name: "cat.png", bytes: 1234, alt: "a cat" });
      assert.ok(voice?.kind === "voice" && voice.seconds === 3.5);
      assert.deepEqual(sticker, { kind: "sticker", media: "https://cdn.discordapp.com/stickers/749054660769218631.json", state: "remote", mime: "application/json", alt: "Wave" });
      assert.deepEqual(embed, { kind: "embed", type: "rich", title: "Weather", text: "Sun\nHigh: 21 °C" });
      assert.deepEqual(poll, { kind: "embed", type: "poll", title: "Lunch?", options: ["Soup", "Bread"] });
    });

    it("makes actions of what is done", () => {
      const messages = samples("actions").map((event) => one(event));
      assert.deepEqual(messages.map(({ kind, action }) => [kind, action]), [
        ["message", { type: "command", name: "weather", args: "Berlin tomorrow" }],
        ["action", { type: "button", value: "yes", label: "Yes, please" }],
        ["action", { type: "choice", values: ["kitchen", "hall"], name: "room" }],
        ["action", { type: "form", name: "report", values: { what: "The lamp", where: "hall" } }],
        ["action", { type: "shortcut", name: "Translate", ref: "1420000000000000001" }],
        ["reaction", { type: "reaction", emoji: "👍", removed: false }],
        ["reaction", { type: "reaction", emoji: "cat:41771983429993937", removed: true }],
        ["action", { type: "vote", poll: "1420000000000000015", options: ["2"] }],
        ["member", { type: "member", change: "joined", ids: ["800000000000000007"] }],
        ["member", { type: "member", change: "left", ids: ["800000000000000007"] }],
      ]);
      assert.equal(messages[0]?.text, "/weather Berlin tomorrow");
      assert.equal(messages[0]?.sender.name, "Countess");
      assert.equal(messages[0]?.language, "en-GB");
      assert.equal(messages[6]?.sender.name, "Ada Lovelace");
      assert.equal(messages[8]?.at.chat, ROOM);
    });

    it("are what Discord's description says messages are", function () {
      const folder = dataFolder("specs", "discord");
      if (folder === undefined) return skip(this, "Discord's description is not beside this checkout");
      const spec = loadDiscordSpec(folder);
      assert.equal(spec.template("POST", `/channels/${ROOM}/messages`), "/channels/{channel_id}/messages");
      assert.ok(spec.object("MessageResponse", { id: 5 }).length > 0, "the judge judges");
    });
  });

  it("take no pin, unfurled link or finished poll for an edit", () => {
    const edit = samples("text").find(({ t }) => t === "MESSAGE_UPDATE") as Event;
    const data = edit.d as unknown as Json;
    assert.deepEqual(toMessages({ ...edit, d: { ...data, edited_timestamp: null, embeds: [{ type: "link" }] } } as never, selfOf()), []);
    assert.deepEqual(toMessages({ ...edit, d: { ...data, pinned: true } } as never, selfOf({ now: Date.parse("2026-09-18T13:00:00Z") })), []);
    assert.deepEqual(toMessages({ ...edit, d: { id: data["id"], channel_id: data["channel_id"], embeds: [] } } as never, selfOf()), []);
    // The same edit, brought again by an unfurled link: the same id.
    assert.equal(one({ ...edit, d: { ...data, embeds: [{ type: "link" }] } } as never).id, one(edit).id);
  });

  it("name the same act the same after a RESUME, and another one differently", () => {
    const [event] = samples("actions").filter(({ t }) => t === "MESSAGE_REACTION_ADD") as [Event];
    assert.equal(one(event, { event: "s:9" }).id, one(event, { event: "s:9" }).id);
    assert.notEqual(one(event, { event: "s:9" }).id, one(event, { event: "s:10" }).id);
  });

  it("give no role a name that would pass for an id", () => {
    const known = createPlaces("900000000000000001");
    known.learn({ t: "GUILD_CREATE", d: { id: "700000000000000001", roles: [{ id: "500000000000000001", name: "500000000000000099" }] } } as never);
    assert.deepEqual(one(samples("text")[0] as Event, { known }).sender.roles, ["500000000000000001"]);
  });

  it("bring nobody down however they are bent", function () {
    this.timeout(600_000);
    const rounds = Number(process.env.CLAWFLOW_FUZZ ?? 1000);
    const seeds = ["text", "media", "actions"].flatMap(samples);
    let state = 0x2545f491;
    const random = (most: number): number => {
      state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
      return (state >>> 0) % most;
    };
    const JUNK = [null, 0, -1, 1e308, "", "\u0000", "x".repeat(5_000), [], {}, [[[]]], true, JSON.parse('{"__proto__": {"polluted": 1}}'), "🧪", { id: {} }];
    const bend = (value: unknown, depth = 0): unknown => {
      if (random(12) === 0) return structuredClone(JUNK[random(JUNK.length)]);
      if (Array.isArray(value)) return value.map((each) => bend(each, depth + 1)).concat(random(20) === 0 ? Array.from({ length: 50 }, () => value[0]) : []);
      if (typeof value !== "object" || value === null || depth > 12) return value;
      return Object.fromEntries(Object.entries(value).filter(() => random(20) > 0).map(([key, inner]) => [random(40) === 0 ? "constructor" : key, bend(inner, depth + 1)]));
    };
    const self = selfOf();
    let readable = 0;
    const wrong: string[] = [];
    const before = process.memoryUsage().heapUsed;
    for (let round = 0; round < rounds; round++) {
      const seed = seeds[random(seeds.length)] as Event;
      const bent = { t: seed.t, d: bend(seed.d) } as Event;
      try {
        (self.known as ReturnType<typeof createPlaces>).learn(bent);
        for (const message of toMessages(bent, self)) { assert.deepEqual(parseMessage(structuredClone(message)), message); readable++; }
      } catch (error) {
        // What cannot be read, or would not be a Message, is left out with a word.
        if (!(error instanceof TypeError || error instanceof ClawError)) wrong.push(`${String(error).slice(0, 300)} ${JSON.stringify(bent).slice(0, 300)}`);
      }
    }
    assert.deepEqual(wrong.slice(0, 3), [], `${wrong.length} of ${rounds}`);
    assert.equal(({} as Json)["polluted"], undefined);
    assert.ok(readable > rounds / 20, `${readable} of ${rounds} were still messages`);
    assert.ok(process.memoryUsage().heapUsed - before < 200_000_000);
    console.log(`      ${rounds} bent events of Discord: ${readable} still gave a message`);
  });
});

describe("Discord's interactions endpoint", () => {
  const NOW = 1_795_219_200_000;
  const SEED = "302e020100300506032b657004220420";
  /** RFC 8032, 7.1, test 2. */
  const KEY = { secret: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", public: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c" };
  const logs: string[] = [];
  let received: unknown[];
  let refuse = false;
  const hook = (publicKey: string, signal = new AbortController().signal) => createWebhook({
    publicKey, signal, context: { clock: { ...systemClock, now: () => NOW }, log: (_level, text) => { logs.push(text); } },
    async take(interaction) {
      if (refuse) throw new StoreError("STORE_001", { retry: "later", afterMs: 7_000 });
      received.push(interaction);
    },
  });
  const request = (body: Uint8Array, headers: Record<string, string>, method = "POST"): WebhookRequest => ({ method, path: "/", query: new URLSearchParams(), headers, body, remote: "127.0.0.1", signal: new AbortController().signal });
  const signed = (value: unknown, at = NOW): WebhookRequest => {
    const body = Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
    const timestamp = String(Math.floor(at / 1000));
    const key = createPrivateKey({ key: Buffer.from(SEED + KEY.secret, "hex"), format: "der", type: "pkcs8" });
    return request(body, { "x-signature-timestamp": timestamp, "x-signature-ed25519": sign(null, Buffer.concat([Buffer.from(timestamp), body]), key).toString("hex") });
  };
  beforeEach(() => { received = []; refuse = false; });

  it("gives every vector its right answer", async function () {
    const folder = dataFolder("payloads", "discord");
    if (folder === undefined) return skip(this, "the vectors are not beside this checkout");
    const { cases } = read(path.join(folder, "../../badinputs/webhook-signatures.json")) as { cases: { scheme: string; name: string; expect: string; headers: Record<string, string>; bodyB64: string; publicKeyHex: string }[] };
    const own = cases.filter(({ scheme }) => scheme === "discord");
    assert.ok(own.length > 4);
    for (const { name, expect, headers, bodyB64, publicKeyHex } of own) {
      const { status } = await hook(publicKeyHex)(request(Buffer.from(bodyB64, "base64"), headers));
      // The body of the right one is no interaction.
      assert.equal(status, expect === "accept" ? 400 : 401, name);
    }
    const { discord_ed25519: vector } = read(path.join(folder, "../signature-vectors.json")) as { discord_ed25519: { public_key: string } };
    assert.equal(vector.public_key, KEY.public);
    assert.equal((await hook(vector.public_key)(signed({ type: 1 }))).status, 200);
    console.log(`      ${own.length + 1} signature vectors of Discord got their right answer`);
  });

  it("answers a ping, and an autocompletion with nothing", async () => {
    assert.equal((await hook(KEY.public)(signed({ type: 1 }))).body, '{"type":1}');
    assert.equal((await hook(KEY.public)(signed({ type: 4, id: "1" }))).body, '{"type":8,"data":{"choices":[]}}');
    assert.deepEqual(received, []);
  });

  it("takes what is signed, and says only that it has it", async () => {
    assert.deepEqual(await hook(KEY.public)(signed({ type: 3, id: "1" })), { status: 202 });
    assert.equal(received.length, 1);
  });

  it("refuses an old signature, another method, no key, and what is no interaction", async () => {
    assert.equal((await hook(KEY.public)(signed({ type: 1 }, NOW - 301_000))).status, 401);
    assert.equal((await hook(KEY.public)({ ...signed({ type: 1 }), method: "GET" })).status, 405);
    assert.equal((await hook("")(signed({ type: 1 }))).status, 401);
    assert.equal((await hook(KEY.public)(signed("no json"))).status, 400);
    assert.equal((await hook(KEY.public)(signed("null"))).status, 400);
    assert.ok(logs.some((line) => line.includes("SEC_002")));
  });

  it("asks Discord to come again when it could not be saved, and takes nothing once it is closed", async () => {
    refuse = true;
    assert.deepEqual(await hook(KEY.public)(signed({ type: 3, id: "1" })), { status: 503, headers: { "retry-after": "7" } });
    refuse = false;
    assert.equal((await hook(KEY.public, AbortSignal.abort())(signed({ type: 3, id: "1" }))).status, 503);
    assert.deepEqual(received, []);
  });
});
