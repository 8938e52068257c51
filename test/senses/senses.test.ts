import assert from "node:assert/strict";
import type { FileAttachment } from "../../engine/message.ts";
import { normalize } from "../../engine/normalize.ts";
import type { SenseContext } from "../../engine/normalize/sense-steps.ts";
import { ModelError } from "../../engine/errors.ts";
import type { MediaModel } from "../../engine/models/media.ts";
import type { Model } from "../../engine/models/model.ts";
import { protect, restore } from "../../engine/senses/protect.ts";
import { createSenses, type Senses } from "../../engine/senses/senses.ts";
import { needsWords, spokenText } from "../../engine/senses/spoken.ts";
import { message } from "../kit/scripted.ts";

const voice = (more: Partial<FileAttachment> = {}): FileAttachment => ({ kind: "voice", media: "spool:a", state: "ready", mime: "audio/ogg", ...more });

describe("what a translation must not touch", () => {
  it("is kept: code, links, addresses, handles, commands, listed names, and marks that were there", () => {
    const text = "Run `npm i` in Köln, see https://x.example/a?b=1 or ask ada@x.example, @bob, #home, /light ⟦7⟧\n```js\nlet a;\n```";
    const { text: bare, kept } = protect(text, ["Köln"]);
    assert.deepEqual(kept, ["`npm i`", "Köln", "https://x.example/a?b=1", "ada@x.example", "@bob", "#home", "/light", "⟦7⟧", "```js\nlet a;\n```"]);
    assert.equal(bare, "Run ⟦0⟧ in ⟦1⟧, see ⟦2⟧ or ask ⟦3⟧, ⟦4⟧, ⟦5⟧, ⟦6⟧ ⟦7⟧\n⟦8⟧");
    assert.equal(restore(bare, kept), text);
    assert.equal(restore("zuerst ⟦1⟧, dann ⟦0⟧", ["a", "b"]), "zuerst b, dann a");
  });
  it("is not put back where some is lost, doubled or made up", () => {
    for (const broken of ["x", "⟦0⟧", "⟦0⟧ ⟦0⟧ ⟦1⟧", "⟦0⟧ ⟦1⟧ ⟦2⟧"]) assert.equal(restore(broken, ["a", "b"]), undefined, broken);
  });
});

describe("an answer as it is spoken", () => {
  it("has no markup, code or addresses", () => {
    assert.equal(spokenText({ text: "It is **21** degrees, see [the page](https://x.example) or https://y.example.\n```\ncode\n```" }), "It is 21 degrees, see the page or");
    assert.equal(spokenText({ text: "```\nonly code\n```" }), undefined);
    assert.equal(spokenText({ text: "👍" }), undefined);
    assert.equal(spokenText({ text: "a *b*", plain: true }), "a *b*");
  });
  it("is not endless, and is written too where it cannot be told", () => {
    const long = "One sentence. ".repeat(600);
    assert.ok((spokenText({ text: long }) ?? "").length <= 4_000);
    assert.deepEqual([long, "see https://x.example", "`a`", "short"].map((text) => needsWords({ text })), [true, true, false, false]);
    assert.ok(needsWords({ text: "which?", buttons: [[{ label: "a" }]] }));
  });
});

describe("steps that need a model", () => {
  const senses = (more: Partial<Senses>): { sensing: SenseContext; failed: string[] } => {
    const failed: string[] = [];
    const never = async () => assert.fail("not asked for");
    return { failed, sensing: { senses: { hear: never, see: never, translate: never, ...more }, failed: (error) => failed.push(error.code) } };
  };

  it("turn a voice note into the text before the next step, with its language and mark", async () => {
    const { sensing, failed } = senses({ hear: async () => ({ text: "  /light kitchen on", language: "en" }) });
    const got = await normalize([message({ text: "", attachments: [voice()] })], [{ type: "hear" }, { type: "trim" }, { type: "command" }], { sensing });
    assert.deepEqual([got.text, got.language, got.tags, got.action?.type, (got.attachments[0] as FileAttachment).transcript], ["/light kitchen on", "en", ["heard"], "command", "  /light kitchen on"]);
    assert.deepEqual(failed, []);
  });

  it("let the message go on where they fail, marked, and tell of it", async () => {
    const fails = async (): Promise<never> => { throw new ModelError("MODEL_004", {}, "no"); };
    const { sensing, failed } = senses({ hear: fails, see: fails, translate: fails });
    const got = await normalize([message({ text: "hallo, wie geht es dir?", attachments: [voice(), { kind: "image", media: "spool:b", state: "ready" }] })], [{ type: "hear" }, { type: "see" }, { type: "translate", to: "en" }], { sensing });
    assert.deepEqual([got.text, got.tags, failed], ["hallo, wie geht es dir?", ["unheard", "unseen", "untranslated"], ["MODEL_004", "MODEL_004", "MODEL_004"]]);
  });

  it("hear no music unless told to, and nothing twice", async () => {
    const asked: string[] = [];
    const { sensing } = senses({ hear: async (_, { at }) => { asked.push(at); return { text: "x" }; } });
    const files = [voice({ kind: "audio" }), voice(), voice({ transcript: "known" })];
    await normalize([message({ ref: "m1", attachments: files })], [{ type: "hear" }], { sensing });
    await normalize([message({ ref: "m2", attachments: files })], [{ type: "hear", what: "audio" }], { sensing });
    assert.deepEqual(asked, ["m1 1", "m2 0", "m2 1"]);
  });

  it("describe pictures below the text, and change nothing where nobody lends a model", async () => {
    const { sensing } = senses({ see: async (_, { language }) => `a red door (${language})` });
    const picture = message({ text: "what is it?", language: "en", attachments: [{ kind: "image", media: "spool:b", state: "ready" }] });
    assert.equal((await normalize([picture], [{ type: "see" }], { sensing })).text, "what is it?\n[image: a red door (en)]");
    assert.equal((await normalize([picture], [{ type: "see" }, { type: "hear" }, { type: "translate", to: "de" }])).text, "what is it?");
  });
});

describe("a voice note whose length the platform does not name", () => {
  /** Ogg with Opus as its last page tells the length; the bytes of a small rate between are noise. */
  function ogg(seconds: number, bytes: number): Buffer {
    const file = Buffer.alloc(bytes, 7);
    file.write("OggS", 0);
    file.write("OpusHead\u0001\u0001\0\0", 28, "latin1");
    file.write("OggS\0\u0004", bytes - 60, "latin1");
    file.writeBigUInt64LE(BigInt(seconds * 48_000), bytes - 54);
    return file;
  }
  async function hear(bytes: Buffer, mime: string, seconds = 300): Promise<number> {
    let asked = 0;
    const ear: MediaModel = {
      id: "m", provider: "p", speak: async () => assert.fail("not asked for"), draw: async () => assert.fail("not asked for"),
      hear: async (sound) => { asked++; assert.equal(sound.bytes.length, bytes.length); return { text: "hello" }; },
    };
    const payer = { begin: () => assert.fail("no chat"), beginWork: async () => ({ paid: () => undefined, broken: () => undefined }), changes: () => [], close: () => undefined };
    const file = async () => ({ mime, bytes: bytes.length, read: async () => new Uint8Array(bytes), stream: () => assert.fail("not asked for") });
    const senses = createSenses({ payer, once: async (_, act) => (await act()).data, file: file as never, ear: async () => ear, mind: async () => assert.fail("no mind"), spent: () => undefined, signal: new AbortController().signal });
    await senses.hear(voice({ mime }), { at: "m 0", seconds }).catch((error: { code?: string }) => { assert.equal(error.code, "MSG_003"); });
    return asked;
  }

  it("is as long as its file says: a longer one is never sent to the model", async () => {
    assert.equal(await hear(ogg(2.8 * 3600, 20_000_000), "audio/ogg"), 0);
    assert.equal(await hear(ogg(2.8 * 3600, 20_000_000), "audio/ogg", 7_200 * 2), 1);
    assert.equal(await hear(ogg(299, 600_000), "audio/ogg"), 1);
    assert.equal(await hear(ogg(301, 600_000), "audio/ogg"), 1, "a recorder stops a moment late");
  });
  it("is bounded by its bytes where its file says nothing, and what our own recorder makes passes", async () => {
    assert.equal(await hear(Buffer.alloc(20_000_000, 7), "audio/webm"), 0);
    assert.equal(await hear(Buffer.alloc(302 * 8_000 + 50_000, 7), "audio/webm"), 1);
  });
});

describe("a translation", () => {
  const model = (answer: (text: string) => string): Model & { asked: string[] } => {
    const asked: string[] = [];
    return {
      id: "m", provider: "p", contextTokens: 1000, asked,
      async *stream({ turns }) {
        const text = turns[0]?.text ?? "";
        asked.push(text);
        yield { type: "text", delta: answer(text) };
        yield { type: "end", reason: "stop", usage: { input: 1, output: 1 } };
      },
    };
  };
  const freely = { begin: () => assert.fail("it costs"), beginWork: () => assert.fail("it costs"), changes: () => [], close: () => undefined };
  const sensesWith = (mind: Model): Senses => createSenses({ payer: freely, once: async (_, act) => (await act()).data, file: async () => assert.fail("no file"), ear: async () => assert.fail("no ear"), mind: async () => mind, spent: () => undefined, signal: new AbortController().signal });

  it("asks for nothing where the text is in that language already", async () => {
    const mind = model((text) => text);
    assert.deepEqual(await sensesWith(mind).translate("Hello, how are you? Please turn on the light.", { to: "en-GB", names: [] }), { text: "Hello, how are you? Please turn on the light.", from: "en" });
    assert.deepEqual(mind.asked, []);
  });
  it("shows the model marks in place of what must stay, and puts it back", async () => {
    const mind = model((text) => text.replace("Bitte öffne", "Please open").replace("und sag es", "and tell"));
    const got = await sensesWith(mind).translate("Bitte öffne https://x.example und sag es @bob, die Tür ist zu", { to: "en", names: [] });
    assert.deepEqual(mind.asked, ["Bitte öffne ⟦0⟧ und sag es ⟦1⟧, die Tür ist zu"]);
    assert.equal(got.text, "Please open https://x.example and tell @bob, die Tür ist zu");
  });
  it("is refused where the model lost what must stay", async () => {
    await assert.rejects(sensesWith(model(() => "gone")).translate("Bitte öffne https://x.example und die Tür", { to: "en", names: [] }), { code: "MODEL_007" });
  });
});
