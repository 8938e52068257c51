import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { measure, splitDraft, splitText } from "../../engine/channels/split.ts";

const utf16 = (text: number) => ({ text, unit: "utf16" }) as const;

/** Fences opened and not closed, by the rule of CommonMark, written apart from the code under test. */
function unclosed(part: string): boolean {
  let open: string | undefined;
  for (const line of part.split("\n")) {
    const trimmed = line.trim();
    const mark = /^(?:`{3,}|~{3,})/.exec(trimmed)?.[0];
    if (mark === undefined) continue;
    if (open === undefined) { if (!(mark[0] === "`" && trimmed.slice(mark.length).includes("`"))) open = mark; }
    else if (trimmed === mark && mark[0] === open[0] && mark.length >= open.length) open = undefined;
  }
  return open !== undefined;
}
const squeeze = (text: string) => text.replace(/^[ \t]*(?:```|~~~).*$/gm, "").replace(/\s+/g, "");

describe("splitText", () => {
  it("leaves a text that fits alone, and gives one empty part for nothing to see", () => {
    assert.deepEqual(splitText("hello", utf16(5)), ["hello"]);
    assert.deepEqual(splitText("", utf16(5)), [""]);
    assert.deepEqual(splitText("\n".repeat(10), utf16(5)), [""]);
  });

  it("prefers paragraphs, then lines, then sentences, then words", () => {
    assert.deepEqual(splitText("one two\n\nthree four", utf16(14)), ["one two", "three four"]);
    assert.deepEqual(splitText("one two\nthree four", utf16(14)), ["one two", "three four"]);
    assert.deepEqual(splitText("It is on. It is off now", utf16(16)), ["It is on.", "It is off now"]);
    assert.deepEqual(splitText("alpha beta gamma", utf16(11)), ["alpha beta", "gamma"]);
    assert.deepEqual(splitText("abcdefghij", utf16(4)), ["abcd", "efgh", "ij"]);
  });

  it("closes a code fence and opens it again with its language", () => {
    const code = Array.from({ length: 6 }, (_, index) => `line${index}();`).join("\n");
    const parts = splitText(`\`\`\`ts\n${code}\n\`\`\`\nafter`, utf16(40));
    assert.ok(parts.length > 1);
    for (const part of parts.slice(0, -1)) assert.match(part, /^```ts\n(?:line\d\(\);\n)+```$/);
    assert.equal(parts.join("\n").match(/line\d/g)?.length, 6);
    assert.match(parts.at(-1) ?? "", /after$/);
  });

  it("moves code that begins late to the next part whole, and makes no empty code block", () => {
    assert.deepEqual(splitText("some words before\n```js\nlet a = 1;\n```", utf16(30)), ["some words before", "```js\nlet a = 1;\n```"]);
    const exact = "```\naaaaaaaaaa\nbbbbbbbbbb\n```\nend";
    for (let limit = 12; limit < exact.length; limit += 1) {
      for (const part of splitText(exact, utf16(limit))) assert.doesNotMatch(part, /```\n```/, `limit ${limit}`);
    }
  });

  it("does not end a part with a fence that has just opened", () => {
    assert.deepEqual(splitText("```js\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n```", utf16(40))[0], "```js\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n```");
    assert.deepEqual(splitText("intro\n\n```js\nlet first = 1234567890;\n```", utf16(38)), ["intro", "```js\nlet first = 1234567890;\n```"]);
  });

  it("counts bytes and code points as the channel does", () => {
    assert.deepEqual(splitText("äöüß", { text: 4, unit: "bytes" }), ["äö", "üß"]);
    assert.deepEqual(splitText("😀😀😀", { text: 2, unit: "points" }), ["😀😀", "😀"]);
    assert.deepEqual(splitText("😀😀😀", utf16(5)), ["😀😀", "😀"]);
  });

  it("keeps graphemes whole where a part can hold them", () => {
    const family = "👨‍👩‍👧‍👦";
    assert.deepEqual(splitText(`${family}${family}`, utf16(family.length + 3)), [family, family]);
    assert.deepEqual(splitText(`e\u0301e\u0301`, utf16(3)), ["e\u0301", "e\u0301"]);
    const zalgo = `a${"\u0301".repeat(50)}`;
    assert.equal(splitText(zalgo, utf16(10)).join(""), zalgo);
    assert.deepEqual(splitText("😀😀", utf16(1)), ["😀", "😀"]);
  });

  it("holds for any text, limit and unit: in the limit, nothing lost, no half characters, fences balanced", () => {
    const piece = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 30 }), fc.constantFrom("\n", "\n\n", "\n```ts\n", "\n```\n", "\n~~~\n", " ", "word ", "End. ", "😀", "👨‍👩‍👧‍👦", "    indented\n", "\n````md\n"),
    );
    const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
    fc.assert(fc.property(text, fc.integer({ min: 40, max: 160 }), fc.constantFrom("utf16", "bytes", "points" as const), (source, limit, unit) => {
      const parts = splitText(source, { text: limit, unit });
      for (const part of parts) {
        assert.ok(measure(part, unit) <= limit, `${measure(part, unit)} > ${limit}`);
        if (source.isWellFormed()) assert.ok(part.isWellFormed());
        if (Buffer.byteLength(source) > limit && part !== parts.at(-1)) assert.equal(unclosed(part), false, JSON.stringify(part));
      }
      assert.equal(squeeze(parts.join("\n")), squeeze(source));
    }), { numRuns: 2000 });
  });

  it("splits a megabyte without a freeze, however it is made", () => {
    for (const text of ["x".repeat(1_000_000), "word ".repeat(200_000), `\`\`\`\n${"code\n".repeat(200_000)}`, "\n".repeat(1_000_000), "```\n".repeat(250_000)]) {
      const parts = splitText(text, { text: 4096, unit: "bytes" });
      for (const part of parts) assert.ok(Buffer.byteLength(part) <= 4096);
    }
  }).timeout(20_000);
});

describe("splitDraft", () => {
  const limits = { text: 20, unit: "utf16", caption: 8, files: 3 } as const;
  const image = (media: string) => ({ kind: "image", media }) as const;
  const voice = { kind: "voice", media: "v" } as const;

  it("leaves what fits alone", () => {
    const draft = { text: "short", attachments: [image("a")], buttons: [[{ label: "b" }]], replyTo: "5", silent: true };
    assert.deepEqual(splitDraft(draft, limits), [draft]);
    assert.deepEqual(splitDraft({ text: "" }, limits), [{ text: "" }]);
    assert.deepEqual(splitDraft({ text: "", attachments: [voice], buttons: [[{ label: "b" }]] }, limits), [{ text: "", attachments: [voice], buttons: [[{ label: "b" }]] }]);
  });

  it("puts the reply mark first, buttons under the text, files after a text too long for a caption", () => {
    assert.deepEqual(splitDraft({ text: "one two three four five six", attachments: [image("a")], buttons: [[{ label: "b" }]], replyTo: "5", plain: true }, limits), [
      { text: "one two three four", plain: true, replyTo: "5" },
      { text: "five six", plain: true, attachments: [image("a")], buttons: [[{ label: "b" }]] },
    ]);
    assert.deepEqual(splitDraft({ text: "ten letters", attachments: [image("a")], buttons: [[{ label: "b" }]] }, limits), [{ text: "ten letters", buttons: [[{ label: "b" }]] }, { text: "", attachments: [image("a")] }]);
    assert.deepEqual(splitDraft({ text: "hi", attachments: [{ kind: "sticker", media: "s" }] }, limits), [{ text: "hi" }, { text: "", attachments: [{ kind: "sticker", media: "s" }] }]);
    assert.deepEqual(splitDraft({ text: "hi", location: { latitude: 1, longitude: 2 }, poll: { question: "?", options: ["a"] } }, limits), [{ text: "hi" }, { text: "", poll: { question: "?", options: ["a"] } }, { text: "", location: { latitude: 1, longitude: 2 } }]);
  });

  it("cuts the text above buttons shorter where the platform wants that, and no other", () => {
    const tight = { ...limits, controls: 8 };
    const buttons = [[{ label: "b" }]];
    assert.deepEqual(splitDraft({ text: "one two three four five six", buttons, plain: true }, tight), [
      { text: "one two three four", plain: true }, { text: "five six", plain: true, buttons },
    ]);
    assert.deepEqual(splitDraft({ text: "one two three", buttons }, tight), [{ text: "one two" }, { text: "three", buttons }]);
    assert.deepEqual(splitDraft({ text: "one two three", choices: { options: [{ label: "c" }] } }, tight), [{ text: "one two" }, { text: "three", choices: { options: [{ label: "c" }] } }]);
    assert.deepEqual(splitDraft({ text: "one two three" }, tight), [{ text: "one two three" }]);
  });

  it("lets a file stand alone where it takes no text", () => {
    assert.deepEqual(splitDraft({ text: "hi", attachments: [voice] }, limits), [{ text: "hi", attachments: [voice] }]);
    assert.deepEqual(splitDraft({ text: "hi", attachments: [voice] }, { ...limits, bare: ["voice"] }), [{ text: "hi" }, { text: "", attachments: [voice] }]);
  });

  it("makes albums of what can stand together, as large as the channel takes", () => {
    const files = [image("a"), { kind: "video", media: "b" } as const, image("c"), image("d"), voice, voice, { kind: "image", media: "g", mime: "image/gif" } as const, { kind: "document", media: "e" } as const, { kind: "document", media: "f" } as const];
    assert.deepEqual(splitDraft({ text: "", attachments: files }, limits).map(({ attachments }) => attachments?.map(({ media }) => media).join("")), ["abc", "d", "v", "v", "g", "ef"]);
    const { files: _, ...single } = limits;
    assert.equal(splitDraft({ text: "", attachments: files }, single).length, files.length);
    assert.deepEqual(splitDraft({ text: "two", attachments: [image("a"), image("b")] }, limits), [{ text: "two", attachments: [image("a"), image("b")] }]);
  });
});
