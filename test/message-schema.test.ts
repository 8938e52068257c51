import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { ClawError, type ErrorCode } from "../engine/errors.ts";
import { describeValue, MESSAGE_CAPS, messageSchema, parseAddress, parseMessage } from "../engine/message-schema.ts";
import type { Message } from "../engine/message.ts";

const BAD_INPUTS = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs");
const validate = new Ajv2020({ strict: true, allErrors: false }).compile(messageSchema());

const MINIMAL: Message = {
  version: 1, id: "m1", ref: "m1", kind: "message", at: { channel: "web", account: "home", chat: "c1", kind: "direct" },
  sender: { id: "p1", name: "Ada", bot: false, self: false }, sentAt: 1_700_000_000_000, text: "hello", attachments: [], addressed: true,
};

const id = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" });
const text = fc.string({ maxLength: 60, unit: "grapheme" });
const optional = <T, K extends keyof T>(model: { [P in keyof T]: fc.Arbitrary<T[P]> }, keys: K[]) => fc.record(model, { requiredKeys: keys });
const address = optional({ channel: id, account: id, chat: id, space: id, thread: id, kind: fc.constantFrom("direct", "group") }, ["channel", "account", "chat", "kind"]);
const amount = fc.double({ min: 0, max: 1e12, noNaN: true });
const attachment = fc.oneof(
  optional({ kind: fc.constantFrom("image", "video", "audio", "voice", "document", "sticker"), media: id, state: fc.constantFrom("remote", "ready", "failed"), mime: text, name: text, bytes: amount, seconds: amount, alt: text, error: text }, ["kind", "media", "state"]),
  optional({ kind: fc.constant("location"), latitude: fc.double({ min: -90, max: 90, noNaN: true }), longitude: fc.double({ min: -180, max: 180, noNaN: true }), title: text, address: text }, ["kind", "latitude", "longitude"]),
  optional({ kind: fc.constant("contact"), name: text, phone: text, email: text }, ["kind", "name"]),
  optional({ kind: fc.constant("embed"), type: text, title: text, text, url: text, options: fc.array(text) }, ["kind", "type"]),
);
const action = fc.oneof(
  optional({ type: fc.constant("button"), value: text, label: text }, ["type", "value"]),
  fc.record({ type: fc.constant("choice"), values: fc.array(text) }),
  fc.record({ type: fc.constant("reaction"), emoji: text, removed: fc.boolean() }),
  fc.record({ type: fc.constant("command"), name: text, args: text }),
  fc.record({ type: fc.constant("member"), change: fc.constantFrom("joined", "left"), ids: fc.array(id) }),
);
const messages = optional({
  version: fc.constant(1), id, ref: text, kind: fc.constantFrom("message", "edit", "delete", "reaction", "action", "member", "call", "tick", "event"), at: address,
  sender: optional({ id, name: text, handle: text, roles: fc.array(text), language: text, bot: fc.boolean(), self: fc.boolean() }, ["id", "name", "bot", "self"]),
  sentAt: amount, text, attachments: fc.array(attachment, { maxLength: 5 }), replyTo: id, parts: fc.array(text), action, mentions: fc.array(id), addressed: fc.boolean(),
  language: text, tags: fc.array(text), to: address, raw: fc.jsonValue().filter((value) => !JSON.stringify(value).includes("__proto__")),
}, ["version", "id", "ref", "kind", "at", "sender", "sentAt", "text", "attachments", "addressed"]);

/** Plain JSON with -0 as 0, which JSON cannot say. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function refused(value: unknown, code: ErrorCode, pattern: RegExp): void {
  assert.throws(() => parseMessage(value), (error: unknown) => {
    assert.ok(error instanceof ClawError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  });
}

describe("message schema", () => {
  it("is what resources/ publishes", () => {
    const published = JSON.parse(readFileSync("resources/message-v1.schema.json", "utf8")) as unknown;
    assert.deepEqual(published, asJson(messageSchema()), "write messageSchema() there again");
  });

  it("is what docs/message.md shows, with a line for every field", () => {
    const page = readFileSync("docs/message.md", "utf8");
    const example = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)?.[1] ?? "") as unknown;
    assert.deepEqual(parseMessage(example), example);
    for (const field of Object.keys(messageSchema()["properties"] as object)) assert.ok(field === "version" || page.includes(`| \`${field}\` |`), field);
  });

  it("accepts every Message, the same by parser and by schema, and gives it back unchanged", () => {
    fc.assert(fc.property(messages, (made) => {
      const given = asJson(made);
      assert.equal(validate(given), true, JSON.stringify(validate.errors));
      assert.deepEqual(parseMessage(given), given);
    }), { numRuns: 400, seed: 1 });
  });

  it("refuses every planted fault by parser and by schema", () => {
    const leaves = (value: unknown, at: (string | number)[] = []): (string | number)[][] =>
      typeof value === "object" && value !== null ? [...(at.length > 0 ? [at] : []), ...Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...at, Array.isArray(value) ? Number(key) : key]))] : [at];
    fc.assert(fc.property(messages, fc.nat(), (made, pick) => {
      const given = asJson({ ...made, raw: undefined }) as Record<string, unknown>;
      const places = leaves(given);
      const place = places[pick % places.length] as (string | number)[];
      const parent = place.slice(0, -1).reduce<Record<string | number, unknown>>((inner, key) => inner[key] as Record<string, unknown>, given);
      // No field of a Message may be this.
      parent[place.at(-1) as string] = pick % 2 === 0 ? null : { planted: [] };
      assert.equal(validate(given), false, `schema took a fault at ${place.join(".")}`);
      assert.throws(() => parseMessage(given), ClawError, `parser took a fault at ${place.join(".")}`);
    }), { numRuns: 400, seed: 2 });
    for (const key of ["version", "id", "ref", "kind", "at", "sender", "sentAt", "text", "attachments", "addressed"]) {
      const given: Record<string, unknown> = { ...MINIMAL };
      delete given[key];
      assert.equal(validate(given), false, key);
      refused(given, "MSG_001", new RegExp(`"${key}" to be .*got nothing`));
    }
  });

  it("names the field, what was expected and what was got", () => {
    refused("hello", "MSG_001", /"message" to be an object, got "hello"/);
    refused(null, "MSG_001", /got null/);
    refused([], "MSG_001", /got a list of 0/);
    refused({ ...MINIMAL, version: 2 }, "MSG_001", /"version" to be 1, got 2/);
    refused({ ...MINIMAL, id: "" }, "MSG_001", /"id" to be a text that is not empty, got ""/);
    refused({ ...MINIMAL, text: 5 }, "MSG_001", /"text" to be a text, got 5/);
    refused({ ...MINIMAL, kind: "hug" }, "MSG_001", /"kind" to be one of message, edit, .*got "hug"/);
    refused({ ...MINIMAL, sentAt: Number.NaN }, "MSG_001", /"sentAt" to be a number of at least 0, got NaN/);
    refused({ ...MINIMAL, at: { ...MINIMAL.at, chat: 7 } }, "MSG_001", /"at.chat" to be a text, got 7/);
    refused({ ...MINIMAL, sender: { ...MINIMAL.sender, roles: ["a", 1] } }, "MSG_001", /"sender.roles\[1\]"/);
    refused({ ...MINIMAL, sender: { ...MINIMAL.sender, bot: "no" } }, "MSG_001", /"sender.bot" to be true or false, got "no"/);
    refused({ ...MINIMAL, attachments: [{ kind: "hologram" }] }, "MSG_001", /"attachments\[0\].kind" to be one of image, .*got "hologram"/);
    refused({ ...MINIMAL, attachments: ["x"] }, "MSG_001", /"attachments\[0\]" to be an object/);
    refused({ ...MINIMAL, attachments: [{ kind: "location", latitude: 91, longitude: 0 }] }, "MSG_001", /from -90 to 90, got 91/);
    refused({ ...MINIMAL, action: { type: "constructor" } }, "MSG_001", /"action.type"/);
    refused({ ...MINIMAL, action: {} }, "MSG_001", /"action.type" .* got nothing/);
    refused({ ...MINIMAL, raw: () => 1 }, "MSG_001", /plain JSON, got a function/);
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    refused({ ...MINIMAL, raw: circle }, "MSG_001", /plain JSON, got an object/);
    assert.throws(() => parseAddress({ channel: "web" }), /"to.account" to be a text, got nothing/);
    assert.equal(describeValue(false), "false");
  });

  it("caps what is too large", () => {
    const { text: most, id: longest } = MESSAGE_CAPS;
    assert.equal(parseMessage({ ...MINIMAL, text: "😀".repeat(most) }).text.length, 2 * most, "characters, not units");
    refused({ ...MINIMAL, text: "a".repeat(most + 1) }, "MSG_003", /"text" to be a text of at most 1048576 characters, got a text of 1048577/);
    refused({ ...MINIMAL, text: `${"😀".repeat(most)}a` }, "MSG_003", /"text"/);
    refused({ ...MINIMAL, id: "a".repeat(longest + 1) }, "MSG_001", /"id" to be a text of at most 1024/);
    refused({ ...MINIMAL, mentions: Array(1001).fill("a") }, "MSG_001", /"mentions" to be a list of at most 1000, got a list of 1001/);
    refused({ ...MINIMAL, raw: "x".repeat(MESSAGE_CAPS.raw) }, "MSG_003", /"raw"/);
  });

  it("keeps known fields alone, and nothing that could change a prototype", () => {
    const given = JSON.parse(JSON.stringify(MINIMAL).replace("{", '{"__proto__":{"isOwner":true},"trust":"owner","raw":{"__proto__":{"isOwner":true},"a":[{"__proto__":1,"b":2}]},')) as object;
    const message = parseMessage(given);
    assert.deepEqual(message, { ...MINIMAL, raw: { a: [{ b: 2 }] } });
    assert.equal(Object.getPrototypeOf(message), Object.prototype);
    assert.equal((message as { isOwner?: boolean }).isOwner, undefined);
    assert.equal((message.raw as { isOwner?: boolean }).isOwner, undefined);
    const inherited = Object.create(MINIMAL) as object;
    refused(inherited, "MSG_001", /"version"/);
    assert.equal(Object.hasOwn(parseMessage({ ...MINIMAL, replyTo: undefined }), "replyTo"), false);
    assert.deepEqual(parseMessage({ ...MINIMAL, later: 1 }), MINIMAL);
    assert.equal(validate({ ...MINIMAL, later: 1 }), true, "unknown fields may travel on a wire");
  });

  it("survives prototype tricks in every place", function () {
    const name = path.join(BAD_INPUTS, "proto-pollution.json");
    if (!existsSync(name)) {
      console.log("      no hostile inputs here (CLAWFLOW_SPECS)");
      this.skip();
    }
    const { cases } = JSON.parse(readFileSync(name, "utf8")) as { cases: string[] };
    assert.ok(cases.length >= 12);
    for (const body of cases) {
      const hostile = JSON.parse(body) as unknown;
      const message = parseMessage({ ...MINIMAL, raw: hostile });
      const copy = structuredClone(message) as unknown as Record<string, unknown>;
      for (const word of ["isOwner", "trust", "role", "approved", "x"]) assert.equal((copy["raw"] as Record<string, unknown>)[word], undefined, `${word} in ${body}`);
      assert.equal(({} as Record<string, unknown>)["isOwner"], undefined);
      for (const field of ["at", "sender", "action", "to", "text", "id"]) assert.throws(() => parseMessage({ ...MINIMAL, [field]: hostile }), ClawError, `${field} = ${body}`);
      assert.throws(() => parseMessage(hostile), ClawError);
    }
  });
});
