import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { toMarkdown } from "../../engine/channels/whatsapp/marks.ts";
import { itemsOf } from "../../engine/channels/whatsapp/payload.ts";
import { toMessage } from "../../engine/channels/whatsapp/to-message.ts";
import type { Message } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { projectRoot } from "../rigs/project.ts";
import { skip } from "../rigs/skip.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

type Json = Record<string, unknown>;
const self = { id: "106540352242922", account: "shop", now: 1_795_000_000_000 };
const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));

/** Compares the fields that are named; null stands for "not there". */
function holds(message: Message, wanted: Json, about: string): void {
  for (const [key, value] of Object.entries(wanted)) {
    const got = message[key as keyof Message];
    if (value === null) assert.equal(got, undefined, `${about}: ${key}`);
    else assert.deepEqual(got, value, `${about}: ${key}`);
  }
}
function only(body: unknown, bot = self): Message | undefined {
  const items = itemsOf(body);
  assert.equal(items.length, 1);
  const message = toMessage(items[0] as (typeof items)[number], bot);
  if (message !== undefined) assert.deepEqual(parseMessage(message), message);
  return message;
}

describe("WhatsApp's samples", () => {
  const folder = path.join(projectRoot, "engine/channels/whatsapp/samples");
  const cases = readdirSync(folder).flatMap((file) => (read(path.join(folder, file)) as { about: string; body: Json; message: Json }[]).map((each) => ({ ...each, file })));
  for (const { about, body, message: wanted, file } of cases) {
    it(`${path.basename(file, ".json")}: ${about}`, () => {
      const message = only(body);
      assert.ok(message !== undefined);
      holds(message, wanted, about);
      // The same again a week later is the same act.
      assert.equal(only(structuredClone(body), { ...self, now: self.now + 604_800_000 })?.id, message.id);
    });
  }
  it("are many", () => assert.ok(cases.length >= 40));
});

/** Each recorded payload as a person read it: kind, chat, sender's id and name, text, and what else matters. */
type Reading = [kind: string, chat: string, sender: string, name: string, text: string, rest?: Json];
const PERSON = "972987654321";
const said = (text: string, rest: Json = {}): Reading => ["message", PERSON, PERSON, "Test Name", text, { ref: "wamid.xyzxyz", addressed: true, ...rest }];
const file = (kind: string, media: string, rest: Json = {}) => [{ kind, media, state: "remote", ...rest }];
const status = (state: string, text?: string): Reading => ["event", PERSON, PERSON, "Test Name", "", { action: { type: "status", ref: "wamid.xyzxyz", state, ...(text === undefined ? {} : { text }) }, addressed: false }];
const FORWARDED = { forwarded: {}, tags: ["forwarded"] };
const LONG = "1234567890987654321";
const READINGS: Readonly<Record<string, Readonly<Record<string, Reading>>>> = {
  "pywa-message": {
    text: said("Body Text", { id: "wamid.xyzxyz", sentAt: 1697043223000, attachments: [], replyTo: null }),
    image: said("", { attachments: file("image", "65463453", { mime: "image/jpeg" }) }),
    media_with_url: said("", { attachments: file("image", "65463453", { mime: "image/jpeg" }) }),
    video: said("caption", { attachments: file("video", "765756756", { mime: "video/mp4" }), ...FORWARDED }),
    document: said("caption", { attachments: file("document", LONG, { mime: "application/pdf", name: "filename.pdf" }), ...FORWARDED }),
    audio: said("", { attachments: file("audio", LONG, { mime: "audio/ogg" }), ...FORWARDED }),
    voice: said("", { attachments: file("voice", LONG, { mime: "audio/ogg" }) }),
    static_sticker: said("", { attachments: file("sticker", LONG, { mime: "image/webp" }) }),
    animated_sticker: said("", { attachments: file("sticker", LONG, { mime: "image/webp" }) }),
    reaction: ["reaction", PERSON, PERSON, "Test Name", "", { id: "wamid.xyzxyz", ref: "wamid.yzxyzx=", replyTo: "wamid.yzxyzx=", action: { type: "reaction", emoji: "😮", removed: false } }],
    unreaction_empty: ["reaction", PERSON, PERSON, "Test Name", "", { action: { type: "reaction", emoji: "", removed: true } }],
    unreaction_no_emoji: ["reaction", PERSON, PERSON, "Test Name", "", { action: { type: "reaction", emoji: "", removed: true } }],
    current_location: said("", { attachments: [{ kind: "location", latitude: 12.25089, longitude: 43.90539 }], ...FORWARDED }),
    chosen_location: said("", { attachments: [{ kind: "location", latitude: 37.4611978, longitude: -122.2164385, title: "Facebook HQ", address: "1 Hacker Way, Menlo Park, CA 94025" }] }),
    contacts: said("", { attachments: [{ kind: "contact", name: "Chandler Bing", phone: "+1 555-555-5555" }, { kind: "contact", name: "Monica", phone: "+1 666-666-6666" }, { kind: "contact", name: "Rachel Green", phone: "+1 777-777-7777" }] }),
    order: said("", { attachments: [{ kind: "embed", type: "order", title: "354160437058781", options: ["3 × HAMBURGER: 30 ILS", "2 × FRENCH_FRIES: 35 ILS", "2 × SODA: 10 ILS"] }] }),
    unsupported: ["event", PERSON, PERSON, "Test Name", "", { tags: ["unsupported"] }],
    unsupported_with_type: ["event", PERSON, PERSON, "Test Name", "", { tags: ["unsupported", "pool"] }],
    reply: said("replied text", { replyTo: "wamid.xyzxyz==" }),
    forwarded: said("forwarded text", FORWARDED),
    forwarded_many_times: said("text forwarded many times", { forwarded: {}, tags: ["forwarded", "frequently_forwarded"] }),
    interactive_message_with_err: ["event", PERSON, PERSON, "Test Name", "", { tags: ["interactive"], replyTo: "wamid.gvwegfretge==" }],
    referral: said("BODY", { ref: "wamid.ID", attachments: [{ kind: "embed", type: "referral", title: "AD_TITLE", text: "AD_DESCRIPTION", url: "AD_OR_POST_FB_URL" }] }),
  },
  "pywa-callback_button": {
    button: ["action", PERSON, PERSON, "Test Name", "", { action: { type: "button", value: "callback_data", label: "title" }, replyTo: "wamid.xyzxyz", addressed: true }],
    quick_reply: ["action", PERSON, PERSON, "Test Name", "", { id: "wamid.xsidjw", action: { type: "button", value: "callback_data", label: "title" }, replyTo: "wamid.xyzxyz==" }],
    quick_reply_without_context: ["action", PERSON, PERSON, "Test Name", "", { id: "wamid.xsidjx", replyTo: null }],
  },
  "pywa-flow_completion": {
    completion: ["action", PERSON, PERSON, "Test Name", "", { action: { type: "form", name: "flow", values: { comment_text: "Comment Text", delivery_rating: "4", flow_token: "AQAAAAACS5FpgQ_cAAAAAD0QI3s.", purchase_rating: "2", recommend_radio: "0", cs_rating: "0" } } }],
    without_flow_token: ["action", PERSON, PERSON, "Test Name", "", { action: { type: "form", name: "flow", values: { comment_text: "Comment Text", delivery_rating: "4", purchase_rating: "2", recommend_radio: "0", cs_rating: "0" } } }],
  },
  "pywa-message_status": {
    sent: status("sent"), delivered: status("delivered"), read: status("read"), played: status("read"), with_tracker: status("sent"),
    failed: status("failed", "Failed to send message because this user's phone number is part of an experiment (130472)"),
    group: ["event", "fowefinoewcnw", "<GROUP_PARTICIPANT_USER_PHONE_NUMBER>", "<USER_DISPLAY_NAME>", "", { id: "status:read:<WHATSAPP_MESSAGE_ID>:<GROUP_PARTICIPANT_USER_PHONE_NUMBER>", at: { channel: "whatsapp", account: "shop", chat: "fowefinoewcnw", kind: "group" } }],
  },
  "pywa-outgoing_message": {
    text: ["message", "<WHATSAPP_USER_PHONE_NUMBER>", self.id, "", "Test message", { addressed: false }],
    delete: ["delete", "972123456789", self.id, "", "", { id: "wamid.yyyyyy", ref: "wamid.zzzzzz" }],
    edit: ["edit", "972123456789", self.id, "", "Text was edited", { id: "wamid.yyyyyy", ref: "wamid.zzzzzz" }],
  },
  "vercel-chat-dm-whatsapp": {
    firstMessage: ["message", "15550002222", "15550002222", "Test User", "What is Vercel?", { id: "wamid.FAKE_MSG_ID_001", sentAt: 1772998024000 }],
    secondMessage: ["message", "15550002222", "15550002222", "Test User", "Tell me more", { id: "wamid.FAKE_MSG_ID_002" }],
    // No contact tells a name here: the number stands for it.
    statusUpdate: ["event", "15550002222", "15550002222", "15550002222", "", { action: { type: "status", ref: "wamid.FAKE_MSG_SENT_001", state: "sent" } }],
  },
};

describe("WhatsApp's recorded payloads", () => {
  it("all map to the Messages that a person reads in them", function () {
    const folder = dataFolder("payloads", "whatsapp");
    if (folder === undefined) return skip(this, "no recorded payloads here (CLAWFLOW_SPECS)");
    const files = readdirSync(folder).filter((name) => name.endsWith(".json")).map((name) => path.basename(name, ".json"));
    assert.deepEqual(files.sort(), Object.keys(READINGS).sort());
    const rows: string[] = [];
    for (const name of files) {
      const bodies: [string, unknown][] = Object.entries(read(path.join(folder, `${name}.json`)) as Json).filter(([, body]) => typeof body === "object" && body !== null);
      assert.deepEqual(bodies.map(([key]) => key).sort(), Object.keys(READINGS[name] ?? {}).sort(), name);
      for (const [key, body] of bodies) {
        const [kind, chat, sender, called, text, rest = {}] = (READINGS[name]?.[key] ?? []) as unknown as Reading;
        const message = only(body);
        assert.ok(message !== undefined, key);
        assert.deepEqual([message.kind, message.at.chat, message.sender.id, message.sender.name, message.text], [kind, chat, sender, called, text], `${name}/${key}`);
        assert.equal(message.sender.self, sender === self.id, key);
        holds(message, rest, `${name}/${key}`);
        rows.push(`${[message.kind, ...message.attachments.map((each) => each.kind)].join(" + ").padEnd(26)} ${message.text.slice(0, 24).padEnd(25)} ${message.sender.id.slice(0, 16).padEnd(17)} ${message.at.chat.slice(0, 28)}`);
      }
    }
    for (const row of rows.sort()) console.log(`        ${row}`);
    console.log(`        ${rows.length} recorded payloads`);
    assert.equal(rows.length, Object.values(READINGS).reduce((sum, each) => sum + Object.keys(each).length, 0));
  });
});

describe("WhatsApp's marks", () => {
  it("become Markdown at the edges of words alone, and never inside code", () => {
    const pairs: [string, string][] = [
      ["*bold*", "**bold**"], ["a *b c* d", "a **b c** d"], ["~gone~, yes", "~~gone~~, yes"], ["_lean_", "_lean_"], ["*_both_*", "**_both_**"], ["2*3*4", "2*3*4"], ["* not * bold", "* not * bold"],
      ["*a\nb*", "*a\nb*"], ["`*x*`", "`*x*`"], ["```\n*x* ~y~\n```\n*z*", "```\n*x* ~y~\n```\n**z**"], ["*one* and *two*", "**one** and **two**"], ["**already**", "**already**"], ["(*x*)!", "(**x**)!"], ["*größe*n", "*größe*n"], ["", ""],
    ];
    for (const [given, wanted] of pairs) assert.equal(toMarkdown(given), wanted, given);
  });

  it("never lose a character, and take no time however they are made", () => {
    fc.assert(fc.property(fc.array(fc.constantFrom("*", "~", "_", "`", "```", "a", " ", "\n", "ß", "😀", "word"), { maxLength: 60 }), (pieces) => {
      const text = pieces.join("");
      assert.equal(toMarkdown(text).replace(/[*~]/g, ""), text.replace(/[*~]/g, ""));
    }), { numRuns: 2_000 });
    for (const text of ["*".repeat(50_000), "*a".repeat(25_000), "*a ".repeat(20_000), `*${"a".repeat(50_000)}`, "~ *".repeat(20_000)]) toMarkdown(text);
  }).timeout(20_000);
});
