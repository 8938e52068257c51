/** Texts that people, models and files may bring: however they are built, reading them holds up nobody else. Measured in work done, which a busy machine does not change. */
import assert from "node:assert/strict";
import { folded } from "../engine/answers.ts";
import { readDocument } from "../engine/documents/read.ts";
import { readJson } from "../engine/models/json-answer.ts";
import { protect } from "../engine/senses/protect.ts";
import { spokenText } from "../engine/senses/spoken.ts";

/** Each of them took from seconds to minutes with a pattern that tries everything twice. */
const MOST_MS = 1_000;
const LONG = 200_000;
const CASES: Readonly<Record<string, () => unknown>> = {
  "a word without an end, to translate": () => protect("a".repeat(LONG)),
  "half an address, to translate": () => protect("a@b-".repeat(LONG / 4)),
  "open brackets, to speak": () => spokenText({ text: "[".repeat(LONG), plain: true }),
  "half a link, to speak": () => spokenText({ text: "[a](https:".repeat(LONG / 10), plain: true }),
  "empty lines, to speak": () => spokenText({ text: `${"\n".repeat(LONG)}x`, plain: true }),
  "half a table, to speak": () => spokenText({ text: `${"| ".repeat(LONG / 2)}x`, plain: true }),
  "a fence with nothing behind it, of a model": () => readJson(`\`\`\`${" ".repeat(LONG)}`),
  "many marks, as an answer": () => folded(`${"!".repeat(LONG)}x`),
  "a heading with a gap, of a document": () => readDocument("md", new TextEncoder().encode(`# ${" ".repeat(400)}${"x".repeat(310)}`), async () => {}),
  "a heading of signs, of a document": () => readDocument("md", new TextEncoder().encode(`# a${" #".repeat(LONG)} x`), async () => {}),
};

describe("a long text", () => {
  for (const [name, read] of Object.entries(CASES)) it(`is read at once: ${name}`, async () => {
    const before = process.cpuUsage();
    await read();
    const { user, system } = process.cpuUsage(before);
    assert.ok((user + system) / 1000 < MOST_MS, `${Math.round((user + system) / 1000)} ms of work`);
  }).timeout(300_000);
});

describe("what is read of it", () => {
  it("is the same as before", async () => {
    assert.deepEqual(["Yes!", " ja… ", "no...", "!?", "a.b.", "..."].map(folded), ["yes", "ja", "no", "!?", "a.b", ""]);
    assert.deepEqual(protect("Ask x.y+z@mail.example.org, or foo@bar").kept, ["x.y+z@mail.example.org"]);
    assert.equal(spokenText({ text: "A [b](https://x.example/c) [d] [[e](https://x.example)\n\n| a | b |\n|---|---|\nend" }), "A b [d] [e\n\nend");
    assert.deepEqual(readJson("```json\n\n {\"a\": 1}\n```"), { a: 1 });
    const sections = await readDocument("md", new TextEncoder().encode("#no heading\n#   One ###\na\n## Two #2\nb\n## ##\nc\n# C#\nd"), async () => {});
    assert.deepEqual(sections.map(({ place }) => place), ["", "One", "One › Two #2", "C#"]);
  });
});
