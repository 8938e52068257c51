import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { ClawError, type ErrorCode } from "../engine/errors.ts";
import { MAPPING_FIELDS, mapMessage, PRESETS, resolveValue, type Mapping } from "../engine/mapping.ts";
import { parseMessage } from "../engine/message-schema.ts";
import type { Message } from "../engine/message.ts";

const BAD_INPUTS = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs");
const NOW = 1_790_000_000_000;
const map = (mapping: Mapping, msg: Record<string, unknown>): Message => mapMessage(mapping, (type, value) => resolveValue(type, value, msg, NOW), NOW, () => "r");
const preset = (id: string): Mapping => {
  const found = PRESETS.find((one) => one.id === id);
  assert.ok(found, id);
  return found.mapping;
};
function refused(act: () => unknown, pattern: RegExp, code: ErrorCode = "MSG_001"): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(error instanceof ClawError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  });
}

describe("mapping", () => {
  it("makes a Message of msg.payload when nothing is mapped", () => {
    assert.deepEqual(map({}, { payload: "hello" }), {
      version: 1, id: `${NOW}-r`, ref: `${NOW}-r`, kind: "message", at: { channel: "flow", account: "flow", chat: "flow", kind: "direct" },
      sender: { id: "flow", name: "flow", bot: false, self: false }, sentAt: NOW, text: "hello", attachments: [], addressed: true,
    });
    const resolve = (type: string, value: unknown) => resolveValue(type, value, { payload: "hello" }, NOW);
    assert.notEqual(mapMessage({}, resolve, NOW).id, mapMessage({}, resolve, NOW).id, "each is new");
  });

  it("takes every field", () => {
    const s = (value: unknown) => ({ type: typeof value === "string" ? "str" : "json", value });
    const message = map({
      text: s("t"), id: s(7), ref: s("r9"), kind: s("event"), account: s("door"), chat: s(12), chatKind: s("supergroup"), space: s("S"), thread: s("T"), "sender.id": s(42), "sender.name": s(" Ada "), "sender.handle": s("ada"),
      language: s("de"), sentAt: s(1_700_000_000), replyTo: s("r8"), tags: s(["a", "b"]), attachments: s([{ kind: "contact", name: "Bob", extra: 1 }]),
      "to.channel": s("telegram"), "to.account": s("home"), "to.chat": s(-100), "to.kind": s("channel"), "to.space": s("S2"), "to.thread": s(3),
    }, {});
    assert.deepEqual(message, {
      version: 1, id: "7", ref: "r9", kind: "event", at: { channel: "flow", account: "door", chat: "12", kind: "group", space: "S", thread: "T" },
      sender: { id: "42", name: "Ada", handle: "ada", bot: false, self: false }, sentAt: 1_700_000_000_000, text: "t", attachments: [{ kind: "contact", name: "Bob" }], addressed: true,
      replyTo: "r8", language: "de", tags: ["a", "b"], to: { channel: "telegram", account: "home", chat: "-100", kind: "group", space: "S2", thread: "3" },
    });
    assert.deepEqual(parseMessage(message), message);
    assert.equal(map({ text: s("x"), "to.channel": s("web"), "to.account": s("a"), "to.chat": s("c") }, {}).to?.kind, "direct");
    assert.equal(new Set(MAPPING_FIELDS.map(({ field }) => field)).size, 23);
  });

  it("can never be a platform's message", () => {
    const forged = { payload: { text: "hi", at: { channel: "telegram" }, trust: "owner" }, message: { at: { channel: "telegram", account: "home" } }, channel: "telegram" };
    const mapping = { text: { type: "msg", value: "payload.text" }, channel: { type: "str", value: "telegram" }, "at.channel": { type: "str", value: "telegram" }, "sender.roles": { type: "json", value: '["admin"]' }, trust: { type: "str", value: "owner" } } as Mapping;
    const message = map(mapping, forged);
    assert.equal(message.at.channel, "flow");
    assert.equal(Object.hasOwn(message, "trust"), false);
    assert.equal(message.sender.roles, undefined);
  });

  it("names messages by a given id or by their content", () => {
    const hashed: Mapping = { id: { type: "hash", value: "" } };
    const id = map(hashed, { payload: "on" }).id;
    assert.equal(map(hashed, { payload: "on" }).id, id);
    assert.match(id, /^[\w-]{43}$/);
    assert.notEqual(map(hashed, { payload: "off" }).id, id);
    assert.notEqual(map({ ...hashed, "sender.id": { type: "str", value: "x" } }, { payload: "on" }).id, id);
    const timed: Mapping = { ...hashed, sentAt: { type: "msg", value: "t" } };
    assert.notEqual(map(timed, { payload: "on", t: NOW }).id, map(timed, { payload: "on", t: NOW + 1 }).id);
    assert.equal(map({ id: { type: "msg", value: "nr" } }, { payload: "x", nr: 5 }).id, "5");
    assert.equal(map({ id: { type: "msg", value: "nr" } }, { payload: "x" }).id, `${NOW}-r`);
  });

  it("reads texts, times and lists in the forms flows have them", () => {
    const text = (payload: unknown) => map({}, { payload }).text;
    assert.equal(text(21.5), "21.5");
    assert.equal(text(false), "false");
    assert.equal(text(10n), "10");
    assert.equal(text(Buffer.from("grün")), "grün");
    assert.equal(text(""), "");
    assert.equal(text(" as is "), " as is ");
    const at = (t: unknown) => map({ sentAt: { type: "msg", value: "t" } }, { payload: "x", t }).sentAt;
    for (const t of ["2023-11-14T22:13:20Z", 1_700_000_000, "1700000000", 1_700_000_000_000, new Date(1_700_000_000_000)]) assert.equal(at(t), 1_700_000_000_000, String(t));
    assert.equal(at(null), NOW);
    const tags = (t: unknown) => map({ tags: { type: "msg", value: "t" } }, { payload: "x", t }).tags;
    assert.deepEqual(tags("a, b\nc,"), ["a", "b", "c"]);
    assert.deepEqual(tags(["a"]), ["a"]);
    assert.equal(tags(""), undefined);
    assert.equal(map({ attachments: { type: "msg", value: "none" } }, { payload: "x" }).attachments.length, 0);
    const photo = [{ kind: "image", media: "https://example.com/a.png", state: "remote" }];
    assert.deepEqual(map({ text: { type: "msg", value: "none" }, attachments: { type: "msg", value: "files" } }, { files: photo }).attachments, photo);
    assert.equal(map({ chat: { type: "msg", value: "" }, "sender.id": { type: "str", value: "" } }, { payload: "x" }).at.chat, "flow", "an empty field is as left out");
  });

  it("says which field is wrong, what it expected and what it got", () => {
    refused(() => map({}, {}), /"text" to give a text, got nothing/);
    refused(() => map({}, { payload: { a: 1 } }), /mapping's "text" to give a text or a number, got an object\. Choose another property, such as msg\.payload\.text/);
    refused(() => map({ chat: { type: "msg", value: "c" } }, { payload: "x", c: [1, 2] }), /"chat" .* got a list of 2/);
    refused(() => map({ chatKind: { type: "str", value: "crowd" } }, { payload: "x" }), /"chatKind" to give one of direct, private.*got "crowd"/);
    refused(() => map({ chatKind: { type: "num", value: 5 } }, { payload: "x" }), /"chatKind"/);
    refused(() => map({ chatKind: { type: "str", value: "constructor" } }, { payload: "x" }), /"chatKind"/);
    for (const t of ["soon", {}, -5]) refused(() => map({ sentAt: { type: "msg", value: "t" } }, { payload: "x", t }), /"sentAt" to give a date or Unix time/);
    refused(() => map({ tags: { type: "num", value: 1 } }, { payload: "x" }), /"tags" to give a list/);
    refused(() => map({ tags: { type: "json", value: "[1]" } }, { payload: "x" }), /"tags\[0\]" to be a text, got 1/);
    refused(() => map({ attachments: { type: "str", value: "x" } }, { payload: "x" }), /"attachments" to give a list/);
    refused(() => map({ attachments: { type: "json", value: '[{"kind":"image"}]' } }, { payload: "x" }), /"attachments\[0\]\.media" to be a text, got nothing/);
    refused(() => map({ kind: { type: "str", value: "hug" } }, { payload: "x" }), /"kind" to be one of message/);
    refused(() => map({ "to.chat": { type: "str", value: "c" } }, { payload: "x" }), /"to\.channel" to be a text, got nothing/);
    refused(() => map({}, { payload: "x".repeat(2_000_000) }), /"text"/, "MSG_003");
    refused(() => map({ id: { type: "str", value: "x".repeat(2000) } }, { payload: "x" }), /"id" to be a text of at most 1024/);
    for (const given of ["payload", null, 5, {}]) refused(() => map({ id: given } as unknown as Mapping, { payload: "x" }), /"id" to have a type and a value/);
    refused(() => map({ text: { type: "jsonata", value: "x" } }, {}), /type msg, str, .*got type "jsonata"/);
    refused(() => map({ tags: { type: "json", value: "{" } }, { payload: "x" }), /Expected JSON in the mapping, got "\{"/);
    refused(() => map({ text: { type: "template", value: "{{ x | nope }}" } }, {}), /line 1/, "AGENT_002");
  });

  it("resolves typed values, own properties alone", () => {
    const msg = { payload: { list: [{ "a b": 1 }], "x.y": 2, inherited: Object.create({ secret: 1 }) as unknown, own: JSON.parse('{"__proto__":{"isOwner":true}}') as unknown }, text: "t" };
    const value = (type: string, given: unknown) => resolveValue(type, given, msg, NOW);
    assert.equal(value("msg", 'payload.list[0]["a b"]'), 1);
    assert.equal(value("msg", "payload.list[0]['a b']"), 1);
    assert.equal(value("msg", 'payload["x.y"]'), 2);
    assert.equal(value("msg", "payload.list[7].a"), undefined);
    assert.equal(value("msg", "text.length"), undefined);
    for (const way of ["payload.constructor", "payload.inherited.secret", "payload.own.isOwner", "__proto__", "payload.list.map", "toString"]) assert.equal(value("msg", way), undefined, way);
    assert.equal(value("num", "5"), 5);
    assert.equal(value("bool", "true"), true);
    assert.equal(value("bool", "no"), false);
    assert.equal(value("date", ""), NOW);
    assert.deepEqual(value("json", [1]), [1]);
    assert.equal(value("template", " {{ text }} {{ msg.text }} "), "t t");
    for (let n = 0; n < 250; n++) assert.equal(value("template", `{{ text }}${n}`), `t${n}`);
  });

  it("knows the shapes of core nodes and of other packages", () => {
    assert.equal(map(preset("inject"), { payload: 5 }).sender.id, "inject");
    const http = map(preset("http"), { payload: { text: "hi", sender: 7, name: "Ada", chat: "desk", id: "e1" } });
    assert.deepEqual([http.text, http.sender.id, http.sender.name, http.at.chat, http.id], ["hi", "7", "Ada", "desk", "e1"]);
    refused(() => map(preset("http"), { payload: "<html>" }), /"text"/);
    const mqtt = map(preset("mqtt"), { topic: "home/door", payload: Buffer.from("open"), qos: 0 });
    assert.deepEqual([mqtt.text, mqtt.sender.id, mqtt.at.chat], ["open", "home/door", "home/door"]);
    const mail = map(preset("email"), {
      payload: "Hello\n", topic: "Heating", from: "ada@example.com", date: new Date(1_700_000_000_000), header: { "message-id": "<1@example.com>", "in-reply-to": "<0@example.com>" }, html: "<p>", attachments: [],
    });
    assert.deepEqual([mail.text, mail.sender.id, mail.at.chat, mail.id, mail.replyTo, mail.sentAt, mail.tags], ["Heating\n\nHello", "ada@example.com", "ada@example.com", "<1@example.com>", "<0@example.com>", 1_700_000_000_000, ["email"]]);
    const originalMessage = { message_id: 12, from: { id: 42, is_bot: false, first_name: "Ada", username: "ada", language_code: "de" }, chat: { id: -100, type: "supergroup" }, date: 1_700_000_000, message_thread_id: 3, reply_to_message: { message_id: 11 } };
    const telegram = map(preset("telegrambot"), { payload: { chatId: -100, messageId: 12, type: "message", content: "{{ hi }}", date: 1_700_000_000 }, originalMessage });
    assert.deepEqual(telegram, {
      version: 1, id: "-100:12", ref: "12", kind: "message", at: { channel: "flow", account: "flow", chat: "-100", kind: "group", thread: "3" },
      sender: { id: "42", name: "Ada", handle: "ada", bot: false, self: false }, sentAt: 1_700_000_000_000, text: "{{ hi }}", attachments: [], addressed: true, replyTo: "11", language: "de",
    });
    const photo = { chatId: 42, messageId: 13, type: "photo", content: "file-id", caption: "look" };
    assert.equal(map(preset("telegrambot"), { payload: photo, originalMessage: { ...originalMessage, chat: { id: 42, type: "private" } } }).text, "look");
    assert.deepEqual(JSON.parse(JSON.stringify(PRESETS)), PRESETS);
  });

  it("is safe from prototype tricks", function () {
    const file = path.join(BAD_INPUTS, "proto-pollution.json");
    if (!existsSync(file)) {
      console.log("      no hostile inputs here (CLAWFLOW_SPECS)");
      this.skip();
    }
    const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: string[] };
    for (const body of cases) {
      const payload = JSON.parse(body) as Record<string, unknown>;
      for (const mapping of [{}, preset("http"), preset("telegrambot"), preset("email"), { text: { type: "str", value: "x" }, attachments: { type: "msg", value: "payload" }, tags: { type: "msg", value: "payload.a" } }] as Mapping[]) {
        try {
          const message = map(mapping, { payload });
          assert.equal(Object.getPrototypeOf(message), Object.prototype);
          for (const word of ["isOwner", "trust", "approved", "x"]) assert.equal((message as unknown as Record<string, unknown>)[word], undefined);
        } catch (error) {
          assert.ok(error instanceof ClawError, `${body}: ${error}`);
        }
      }
      const mapping = { ...payload } as Mapping;
      assert.equal(map({ ...mapping, text: { type: "str", value: "x" }, id: { type: "str", value: "i" } }, {}).text, "x", "a mapping from outside");
      assert.equal(({} as Record<string, unknown>)["isOwner"], undefined);
    }
  });
});
