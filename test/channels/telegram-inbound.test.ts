import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import type { Update } from "grammy/types";
import { systemClock } from "../../engine/clock.ts";
import { toMarkdown } from "../../engine/channels/telegram/entities.ts";
import { toMessage } from "../../engine/channels/telegram/to-message.ts";
import { createWebhook } from "../../engine/channels/telegram/webhook.ts";
import type { Message } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { projectRoot } from "../rigs/project.ts";
import { skip } from "../rigs/skip.ts";
import { dataFolder, loadTelegramSpec } from "../spec/telegram-schema.ts";

type Json = Record<string, unknown>;
const self = { id: "123456789", username: "claw_test_bot", account: "tg", now: 1_790_000_100_000 };
const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));

/** Compares the fields that are named; null stands for "not there". */
function holds(message: Message, wanted: Json): void {
  for (const [key, value] of Object.entries(wanted)) {
    const got = message[key as keyof Message];
    if (value === null) assert.equal(got, undefined, key);
    else assert.deepEqual(got, value, key);
  }
}

describe("Telegram's samples", () => {
  const folder = path.join(projectRoot, "engine/channels/telegram/samples");
  const cases = readdirSync(folder).flatMap((file) => (read(path.join(folder, file)) as { about: string; update: Update; message: Json }[]).map((each) => ({ ...each, file })));

  for (const { about, update, message: wanted, file } of cases) {
    it(`${path.basename(file, ".json")}: ${about}`, () => {
      const message = toMessage(update, self);
      assert.ok(message !== undefined);
      assert.deepEqual(parseMessage(message), message);
      holds(message, wanted);
      // The same update by polling and by webhook, today and again tomorrow, is the same act.
      assert.equal(toMessage(structuredClone(update), { ...self, now: self.now + 86_400_000 })?.id, message.id);
    });
  }

  it("are updates as Telegram's specification has them", function () {
    const specs = dataFolder("specs", "telegram");
    if (specs === undefined) return skip(this, "no Telegram specification here (CLAWFLOW_SPECS)");
    const spec = loadTelegramSpec(specs);
    assert.ok(cases.length >= 50);
    for (const { about, update } of cases) assert.deepEqual(spec.object("Update", update), [], about);
    assert.notDeepEqual(spec.object("Update", { update_id: "1" }), []);
    assert.notDeepEqual(spec.object("Update", { update_id: 1, message: { text: "no chat" } }), []);
  });
});

/** Each recorded payload as a person read it, in the order of the files: kind, chat, direct, sender, text, and what else matters. */
type Reading = [kind: string, chat: string, direct: boolean, sender: string, text: string, rest?: Json];
const UPDATES: readonly (Reading | undefined)[] = [
  ["message", "218485655", true, "218485655", "hello there", { ref: "6557", sentAt: 1569518342000, addressed: true, language: "en", id: "update:892252934" }],
  ["message", "-1001293752024", false, "5964236329", "/report", { ref: "134546", replyTo: "134545", action: { type: "command", name: "report", args: "" }, addressed: true }],
  ["event", "-1001276785818", false, "408258968", "", { tags: ["pinned_message"], ref: "20225", replyTo: null }],
  undefined,
  ["reaction", "-1002184233434", false, "1459074222", "", { ref: "35", replyTo: "35", action: { type: "reaction", emoji: "🌭", removed: false }, sentAt: 1721306082000 }],
  ["event", "-1002236736395", false, "-1002236736395", "", { tags: ["message_reaction_count"], ref: "36" }],
  ["event", "-1002236736395", false, "1459074222", "", { tags: ["removed_chat_boost"] }],
];
const video = { kind: "video", media: "BAADAgADpgQAAgX9qEud6QcgPiOAlhYE", state: "remote", mime: "video/mp4", bytes: 1381334, seconds: 13 };
const service = (tag: string, ref = "27"): Reading => ["event", "-1002236736395", false, "-1002236736395", "", { tags: [tag], ref, attachments: [] }];
const MESSAGES: readonly (Reading | undefined)[] = [
  ["event", "42", true, "42", "", { sentAt: 0, ref: "4", tags: ["empty"] }],
  ["message", "250918540", true, "250918540", "", { attachments: [video], tags: null }],
  ["message", "250918540", true, "250918540", "", { attachments: [video], tags: ["album:12543417770506682"] }],
  ["message", "250918540", true, "250918540", "", { attachments: [{ kind: "sticker", media: "CAACAgIAAxkBAAESLdBjMImep-J0W8XaTN6S_Lz1-j1QIQACIwADsND4DGmmygHGlyggKQQ", state: "remote", mime: "application/x-tgsticker", bytes: 16639, alt: "😡" }] }],
  ["message", "-1001160242915", false, "-1001160242915", "text", { tags: ["forwarded"] }],
  ["event", "-1001555296434", false, "-1001555296434", "", { tags: ["migrate_from_chat_id"] }],
  ["event", "-1001331354980", false, "-1001331354980", "", { tags: ["video_chat_started"] }],
  ["event", "-1001847508954", false, "1253681278", "", { tags: ["forum_topic_created"], at: { channel: "telegram", account: "tg", chat: "-1001847508954", thread: "4", kind: "group" } }],
  ["event", "1234567890", true, "1234567890", "", { sentAt: 0, ref: "875400", tags: ["empty"] }],
  ["message", "-1002236736395", false, "-1002236736395", "", { attachments: [{ kind: "embed", type: "giveaway", title: "Test", text: "1" }] }],
  service("giveaway_completed"), service("paid_message_price_changed"), service("suggested_post_approval_failed"), service("suggested_post_paid"), service("gift"), service("boost_added", "28"),
  ["message", "1459074222", true, "1459074222", "El Psy Kongroo", { attachments: [{ kind: "image", media: "AgACAgIAAxkBAAOMZ6erTx2-IA9WEXr4NkeUY5AjdvQAArTxMRtfc0FJ1gKSaUEGAfMBAAMCAANtAAM2BA", state: "remote", mime: "image/jpeg", bytes: 358 }] }],
];

describe("Telegram's recorded payloads", () => {
  const payloads = dataFolder("payloads", "telegram");

  function agree(update: Update, reading: Reading | undefined, bot = self): string {
    const message = toMessage(update, bot);
    if (reading === undefined) {
      assert.equal(message, undefined);
      return "left out";
    }
    assert.ok(message !== undefined);
    assert.deepEqual(parseMessage(message), message);
    const [kind, chat, direct, sender, text, rest = {}] = reading;
    assert.deepEqual([message.kind, message.at.chat, message.at.kind === "direct", message.sender.id, message.text], [kind, chat, direct, sender, text], JSON.stringify(update).slice(0, 200));
    assert.equal(message.sender.self, false);
    holds(message, rest);
    return [message.kind, ...message.attachments.map((attachment) => attachment.kind)].join(" + ");
  }

  it("all map to the Messages that a person reads in them", function () {
    if (payloads === undefined) return skip(this, "no recorded payloads here (CLAWFLOW_SPECS)");
    const { updates, messages } = read(path.join(payloads, "teloxide-updates-messages.json")) as { updates: { json: Update }[]; messages: { json: Json }[] };
    const counts = new Map<string, number>();
    const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
    assert.equal(updates.length, UPDATES.length);
    for (const [index, { json }] of updates.entries()) count(agree(json, UPDATES[index]));
    for (const [index, { json }] of messages.entries()) {
      // The last "message" is a MessageReactionUpdated on its own.
      if (index === MESSAGES.length) count(agree({ update_id: 71651249, message_reaction: json } as unknown as Update, UPDATES[4]));
      else count(agree({ update_id: 1, message: json } as unknown as Update, MESSAGES[index]));
    }
    assert.equal(messages.length, MESSAGES.length + 1);

    const replay = read(path.join(payloads, "vercel-chat-telegram.json")) as { botName: string; botUserId: string; mention: Update; followUp: Update };
    const bot = { ...self, id: replay.botUserId, username: replay.botName };
    count(agree(replay.mention, ["message", "7527593", true, "7527593", "@vercelchatsdkbot hi", { mentions: ["8765336106"], addressed: true, id: "update:1001", sentAt: 1767224888000 }], bot));
    count(agree(replay.followUp, ["message", "7527593", true, "7527593", "how are you", { mentions: null, addressed: true, id: "update:1002" }], bot));

    const total = [...counts.values()].reduce((sum, each) => sum + each, 0);
    assert.equal(total, updates.length + messages.length + 2);
    for (const [what, times] of [...counts].sort()) console.log(`        ${String(times).padStart(3)}  ${what}`);
    console.log(`        ${String(total).padStart(3)}  recorded payloads`);
  });
});

describe("Telegram's entities", () => {
  it("never lose or change a character of the text", () => {
    const types = ["bold", "italic", "code", "pre", "text_link", "strikethrough", "blockquote", "mention", "underline"] as const;
    const text = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });
    fc.assert(fc.property(text, fc.array(fc.tuple(fc.constantFrom(...types), fc.nat(40), fc.nat(40)), { maxLength: 6 }), (source, picks) => {
      const entities = picks.map(([type, offset, length]) => ({ type, offset: offset % source.length, length: length % source.length, url: "https://example.com" }));
      const markdown = toMarkdown(source, entities as never);
      // The UTF-16 units of the text are in the result, in order.
      let at = 0;
      for (const unit of source.replace(/\s/g, "").split("")) {
        at = markdown.indexOf(unit, at) + 1;
        assert.ok(at > 0, JSON.stringify({ source, markdown }));
      }
    }), { numRuns: 1000 });
  });

  it("nest", () => {
    const entity = (type: string, offset: number, length: number, more: object = {}) => ({ type, offset, length, ...more });
    const of = (text: string, ...entities: object[]) => toMarkdown(text, entities as never);
    assert.equal(of("a bold link here", entity("bold", 0, 16), entity("text_link", 7, 4, { url: "https://x.y/(z)" })), "**a bold [link](<https://x.y/(z)>) here**");
    assert.equal(of("link all bold", entity("text_link", 0, 4, { url: "https://x.y" }), entity("bold", 0, 13)), "**[link](https://x.y) all bold**");
    assert.equal(of("bold, then plain", entity("bold", 0, 6)), "**bold,** then plain");
    assert.equal(of("odd `tick`", entity("code", 4, 6)), "odd `` `tick` ``");
    assert.equal(of("a\n\nb", entity("blockquote", 0, 4)), "> a\n> \n> b");
    assert.equal(of("plain", entity("spoiler", 0, 5)), "plain");
    assert.equal(toMarkdown("2*3*4 and snake_case stay", undefined), "2*3*4 and snake_case stay");
  });
});

describe("Whatever comes in place of an update", () => {
  it("makes a valid Message or none, or an error that its caller catches; never a changed prototype", () => {
    const keys = ["message", "edited_message", "channel_post", "callback_query", "message_reaction", "poll_answer", "my_chat_member", "chat_boost", "__proto__"];
    fc.assert(fc.property(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 5 }), (key, value) => {
      const update = JSON.parse(`{"update_id":1,${JSON.stringify(key)}:${JSON.stringify(value)}}`) as Update;
      try {
        toMessage(update, self);
      } catch (error) {
        assert.ok(error instanceof TypeError, String(error));
      }
      assert.equal(({} as Json).isOwner, undefined);
    }), { numRuns: 2000 });
  });

  it("gets an answer as a signed body too, changes no prototype and keeps nothing", async function () {
    const rounds = Number(process.env.CLAWFLOW_FUZZ ?? 1_000);
    this.timeout(60_000 + rounds * 10);
    const folder = path.join(projectRoot, "engine/channels/telegram/samples");
    const bodies = readdirSync(folder).flatMap((file) => (read(path.join(folder, file)) as { update: Update }[]).map(({ update }) => Buffer.from(JSON.stringify(update).replace("{", '{"__proto__":{"polluted":1},'))));
    const headers = { "x-telegram-bot-api-secret-token": "canary" };
    const seen = { taken: 0, messages: 0, unread: 0 };
    const webhook = createWebhook({
      secret: "canary", context: { clock: systemClock, log: () => undefined }, signal: new AbortController().signal,
      async take(update) {
        seen.taken++;
        try {
          if (toMessage(update, self) !== undefined) seen.messages++;
        } catch (error) {
          assert.ok(error instanceof TypeError, String(error));
          seen.unread++;
        }
      },
    });
    let state = 7;
    const random = (below: number): number => { state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; return (state >>> 8) % below; };
    const statuses = new Map<number, number>();
    const before = process.memoryUsage().heapUsed;
    for (let round = 0; round < rounds; round++) {
      let body = Buffer.from(bodies[random(bodies.length)] as Buffer);
      for (let changes = random(4); changes > 0; changes--) body[random(body.length)] = random(3) === 0 ? ("{}[],:\"0".charCodeAt(random(8))) : random(256);
      if (random(10) === 0) body = body.subarray(0, random(body.length));
      const { status } = await webhook({ method: "POST", path: "/", query: new URLSearchParams(), headers, body, remote: "192.0.2.1", signal: new AbortController().signal });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    console.log(`      ${rounds} bodies: ${[...statuses].map(([status, count]) => `${count} times ${status}`).join(", ")}; ${seen.messages} messages, ${seen.unread} could not be read`);
    assert.deepEqual([...statuses.keys()].filter((status) => status !== 200 && status !== 400), []);
    assert.equal(seen.taken, statuses.get(200));
    assert.ok(seen.messages > rounds / 10 && (statuses.get(400) ?? 0) > rounds / 10);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20;
    assert.ok(grown < 100, `the heap grew by ${grown.toFixed(0)} MB`);
  });
});
