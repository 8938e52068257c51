/** Every dialect against one corpus: what is marked, what is escaped, what hostile texts do; and that nothing of a text is lost, in order, in parts that fit. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import type { Limits } from "../../engine/channels/channel.ts";
import { type DialectName, DIALECTS, render } from "../../engine/channels/dialects.ts";
import { measure, splitDraft } from "../../engine/channels/split.ts";
import { renderText } from "../../engine/channels/telegram/render.ts";
import { parseTelegramHtml } from "../platforms/telegram-html.ts";

const UNICODE = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/unicode-text.json");
const NAMES = Object.keys(DIALECTS) as DialectName[];

/** What each row must say. `*`: of every dialect that is not named. */
type Wanted = Readonly<Partial<Record<DialectName | "*", string>>>;
const CORPUS: readonly (readonly [markdown: string, wanted: Wanted])[] = [
  ["plain words", { "*": "plain words", html: "<p>plain words</p>" }],
  ["**bold** text", { "*": "bold text", telegram: "<b>bold</b> text", discord: "**bold** text", mrkdwn: "*bold* text", whatsapp: "*bold* text", signal: "**bold** text", html: "<p><strong>bold</strong> text</p>" }],
  ["*slanted*", { "*": "slanted", telegram: "<i>slanted</i>", discord: "*slanted*", mrkdwn: "_slanted_", whatsapp: "_slanted_", signal: "*slanted*", html: "<p><em>slanted</em></p>" }],
  ["~~gone~~", { "*": "gone", telegram: "<s>gone</s>", discord: "~~gone~~", mrkdwn: "~gone~", whatsapp: "~gone~", signal: "~gone~", html: "<p><del>gone</del></p>" }],
  ["`a < b`", { "*": "a < b", telegram: "<code>a &lt; b</code>", discord: "`a < b`", mrkdwn: "`a &lt; b`", whatsapp: "`a < b`", signal: "`a < b`", html: "<p><code>a &lt; b</code></p>" }],
  ["# Title", { "*": "Title", telegram: "<b>Title</b>", discord: "# Title", mrkdwn: "*Title*", whatsapp: "*Title*", signal: "**Title**", html: "<h1>Title</h1>" }],
  ["##### Small **title**", { "*": "Small title", telegram: "<b>Small <b>title</b></b>", discord: "**Small **title****", mrkdwn: "*Small *title**", whatsapp: "*Small *title**", signal: "**Small **title****", html: "<h5>Small <strong>title</strong></h5>" }],
  ["- one\n- two\n  - deep\n    - deeper", { "*": "• one\n• two\n  • deep\n    • deeper", discord: "- one\n- two\n  - deep\n    - deeper", html: "<ul><li>one</li><li>two\n<ul><li>deep\n<ul><li>deeper</li></ul></li></ul></li></ul>" }],
  ["3. three\n4. four", { "*": "3. three\n4. four", html: '<ol start="3"><li>three</li><li>four</li></ol>' }],
  ["- [x] done\n- [ ] open", { "*": "☑ done\n☐ open", html: "<ul><li>☑ done</li><li>☐ open</li></ul>" }],
  ["> said\n> twice", { "*": "> said\n> twice", telegram: "<blockquote>said\ntwice</blockquote>", html: '<blockquote style="margin:0 0 0 8px;padding-left:8px;border-left:2px solid #d4d4d8"><p>said<br>\ntwice</p></blockquote>' }],
  ["> > nested", { "*": "> > nested", telegram: "<blockquote>nested</blockquote>", html: '<blockquote style="margin:0 0 0 8px;padding-left:8px;border-left:2px solid #d4d4d8"><blockquote style="margin:0 0 0 8px;padding-left:8px;border-left:2px solid #d4d4d8"><p>nested</p></blockquote></blockquote>' }],
  ["```js\nlet a = 1 < 2;\n```", { "*": "let a = 1 < 2;", telegram: '<pre><code class="language-js">let a = 1 &lt; 2;</code></pre>', discord: "```js\nlet a = 1 < 2;\n```", mrkdwn: "```\nlet a = 1 &lt; 2;\n```", whatsapp: "```let a = 1 < 2;```", signal: "`let a = 1 < 2;`", html: '<pre style="background:#f4f4f5;padding:8px;border-radius:4px;overflow:auto"><code>let a = 1 &lt; 2;</code></pre>' }],
  ["| a | b |\n| - | - |\n| 1 | **2** |", { "*": "a | b\n--+--\n1 | 2", telegram: "<pre>a | b\n--+--\n1 | 2</pre>", discord: "```\na | b\n--+--\n1 | 2\n```", mrkdwn: "```\na | b\n--+--\n1 | 2\n```", whatsapp: "```a | b\n--+--\n1 | 2```", signal: "`a \\| b\n--+--\n1 \\| 2`", html: "<pre>a | b\n--+--\n1 | 2</pre>" }],
  ["[docs](https://a.example/x?y=1&z=2)", { "*": "docs (https://a.example/x?y=1&z=2)", telegram: '<a href="https://a.example/x?y=1&amp;z=2">docs</a>', discord: "[docs](<https://a.example/x?y=1&z=2>)", mrkdwn: "<https://a.example/x?y=1&z=2|docs>", html: '<p><a href="https://a.example/x?y=1&amp;z=2">docs</a></p>' }],
  ["see https://a.example/a_b_c now", { "*": "see https://a.example/a_b_c now", html: '<p>see <a href="https://a.example/a_b_c">https://a.example/a_b_c</a> now</p>' }],
  ["[x](javascript:alert(1))", { "*": "x (javascript:alert(1))", html: "<p>x (javascript:alert(1))</p>" }],
  ["![cat](https://a.example/cat.png)", { "*": "cat (https://a.example/cat.png)", telegram: '<a href="https://a.example/cat.png">cat</a>', discord: "[cat](<https://a.example/cat.png>)", mrkdwn: "<https://a.example/cat.png|cat>", html: '<p><a href="https://a.example/cat.png">cat</a></p>' }],
  ["<script>alert(1)</script> & <b>x</b>", { "*": "<script>alert(1)</script> & <b>x</b>", telegram: "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;x&lt;/b&gt;", discord: "\\<script\\>alert(1)\\</script\\> & \\<b\\>x\\</b\\>", mrkdwn: "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;x&lt;/b&gt;", html: "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;x&lt;/b&gt;" }],
  ["2 \\* 3 \\* 4", { "*": "2 * 3 * 4", discord: "2 \\* 3 \\* 4", signal: "2 \\* 3 \\* 4", html: "<p>2 * 3 * 4</p>" }],
  ["\\# no title", { "*": "# no title", discord: "\\# no title", html: "<p># no title</p>" }],
  ["-# no small print", { "*": "-# no small print", discord: "\\-# no small print", html: "<p>-# no small print</p>" }],
  ["1\\. no list", { "*": "1. no list", discord: "1\\. no list", html: "<p>1. no list</p>" }],
  ["\\[no link\\](https://a.example)", { "*": "[no link](https://a.example)", discord: "\\[no link\\](https://a.example)", html: '<p>[no link](<a href="https://a.example">https://a.example</a>)</p>' }],
  ["a &amp; b &lt;c&gt;", { "*": "a & b <c>", telegram: "a &amp; b &lt;c&gt;", discord: "a & b \\<c\\>", mrkdwn: "a &amp; b &lt;c&gt;", html: "<p>a &amp; b &lt;c&gt;</p>" }],
  ["*a*\\\nb", { "*": "a\nb", telegram: "<i>a</i>\nb", discord: "*a*\nb", mrkdwn: "_a_\nb", whatsapp: "_a_\nb", signal: "*a*\nb", html: "<p><em>a</em><br>\nb</p>" }],
  ["---", { "*": "———", html: "<hr>" }],
  ["", { "*": "" }],
];

/**
 * What a reader sees, read apart from the code that writes it: by each platform's own rules of escapes. Undefined where the text holds a mark that is
 * not escaped. Only for dialects that have an escape for every mark.
 */
const READERS: Readonly<Partial<Record<DialectName, (text: string) => string | undefined>>> = {
  telegram: (text) => { const read = parseTelegramHtml(text); return "text" in read && !text.includes("<") ? read.text : undefined; },
  html: (text) => (/<(?!\/?p>|br>)/.test(text) ? undefined : text.replace(/<[^>]*>/g, "").replace(/&(lt|gt|quot|amp);/g, (_, name: string) => ({ lt: "<", gt: ">", quot: '"', amp: "&" })[name] ?? "")),
  discord: (text) => unmarked(text, /[*_~`|<>[\]]/, /^[ \t]*(?:#{1,3}|-#|[-+*]|>{1,3}|\d+[.)])[ \t]/m),
  // Before any other character a backslash is just that.
  signal: (text) => unmarked(text, /[*~`|]/, undefined, /\\([*~`|])/g),
};
function unmarked(text: string, marks: RegExp, atLineStart?: RegExp, escapes = /\\([!-/:-@[-`{-~])/g): string | undefined {
  const hidden = text.replace(escapes, "\u{f0000}");
  if (marks.test(hidden) || atLineStart?.test(hidden) === true) return undefined;
  return text.replace(escapes, "$1");
}
/** A plain text as Markdown that means just it. */
const asMarkdown = (text: string): string => text.replace(/[!-/:-@[-`{-~]/g, "\\$&");

const word = fc.integer({ min: 0, max: 99_999 }).map((n) => `w${n}`);
const words = fc.array(word, { minLength: 1, maxLength: 8 }).map((list) => list.join(" "));
const inline = fc.oneof(words, words.map((text) => `**${text}**`), words.map((text) => `*${text}*`), words.map((text) => `~~${text}~~`), words.map((text) => `\`${text}\``), words.map((text) => `[${text}](https://a.example/x_y)`), words.map((text) => `${text} < & > | _ * \\`));
const line = fc.array(inline, { minLength: 1, maxLength: 4 }).map((list) => list.join(" "));
const blockOf = fc.oneof(
  { weight: 4, arbitrary: line }, line.map((text) => `## ${text}`), fc.array(line, { minLength: 1, maxLength: 4 }).map((list) => list.map((text) => `- ${text}`).join("\n")),
  fc.array(line, { minLength: 1, maxLength: 3 }).map((list) => list.map((text, n) => `${n + 1}. ${text}\n   - deep`).join("\n")), line.map((text) => `> ${text}`), fc.array(words, { minLength: 1, maxLength: 5 }).map((list) => `\`\`\`py\n${list.join("\n")}\n\`\`\``),
  fc.array(fc.tuple(words, words), { minLength: 1, maxLength: 3 }).map((rows) => `| k | v |\n| - | - |\n${rows.map(([a, b]) => `| ${a} | ${b} |`).join("\n")}`),
);
const document_ = fc.array(blockOf, { minLength: 1, maxLength: 8 }).map((list) => list.join("\n\n"));
const wordsIn = (text: string): string[] => text.match(/w\d+/g) ?? [];

describe("dialects", () => {
  for (const name of NAMES) it(`${name} writes the corpus as its platform reads it`, () => {
    const wrong = CORPUS.map(([markdown, wanted]) => ({ markdown, wanted: wanted[name] ?? wanted["*"], got: render(markdown, name) })).filter(({ wanted, got }) => wanted !== undefined && wanted !== got);
    assert.deepEqual(wrong, []);
  });

  it("are all in the corpus", () => {
    for (const name of NAMES) assert.ok(CORPUS.filter(([, wanted]) => wanted[name] !== undefined || wanted["*"] !== undefined).length >= 25, name);
  });

  for (const [name, read] of Object.entries(READERS) as [DialectName, (text: string) => string | undefined][]) {
    it(`${name}: plain text never becomes markup, and is read as it was written`, () => {
      const texts = ["*a* _b_ ~c~ `d` ||e|| **f** __g__ ~~h~~", "# a\n## b\n-# c\n- d\n+ e\n* f\n1. g\n2) h\n> i\n>>> j", "<@123> <#1> <b>x</b> &lt; &amp; <https://x.example|y>", "[a](https://b.example) ![c](d) \\ \\\\ \\*", "```\ncode\n```", "@everyone | a | b |"];
      for (const text of texts) {
        const rendered = render(asMarkdown(text), name);
        assert.equal(read(rendered)?.replace(/\s+/g, " "), text.replace(/\s+/g, " "), rendered);
      }
      fc.assert(fc.property(fc.array(fc.constantFrom(..."*_~`|<>[]()#-+.!\\&\"'aZ1 \n@:/".split("")), { maxLength: 40 }).map((list) => list.join("").trim()), (text) => {
        const rendered = render(asMarkdown(text), name);
        assert.equal(read(rendered)?.replace(/\s+/g, ""), text.replace(/\s+/g, ""), rendered);
      }), { numRuns: 2_000 });
    });
  }

  for (const name of NAMES) {
    it(`${name} keeps all words, in their order`, () => {
      fc.assert(fc.property(document_, (markdown) => { assert.deepEqual(wordsIn(render(markdown, name)), wordsIn(markdown)); }), { numRuns: 300 });
    });

    it(`${name} never throws, and makes no text huge`, () => {
      fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.array(fc.constantFrom(..."*_~`|<>[]()#->=+.!\\&\n\t 1a\u202e\ud83d".split("")), { maxLength: 200 }).map((list) => list.join(""))), (text) => {
        const rendered = render(text, name);
        assert.ok(rendered.length <= text.length * 60 + 200, `${text.length} became ${rendered.length}`);
      }), { numRuns: 1_000 });
for (const deep of [">", "*", "[", "- ", "1. ", "`", "|", "<", "_a*", "**a_", "~a*", "![", "[a]("].map((piece) => piece.repeat(6_000))) assert.equal(typeof render(deep, name), "string");
    });
  }

  it("hold up nothing: what is only marks goes as it was written", () => {
    for (const piece of ["_a*", "**a_", "~a*", "*a_b", "> ", ">", "1. ", "- "]) assert.equal(render(piece.repeat(3_000), "plain").replace(/\s/g, ""), piece.repeat(3_000).replace(/\s/g, ""), piece);
    const code = `\`\`\`py\n${"snake_case_name = other_name * 2\n".repeat(300)}\`\`\``;
    assert.ok(render(code, "discord").startsWith("```py\nsnake_case_name"));
  });

  if (!existsSync(UNICODE)) it.skip(`${UNICODE} is not here`);
  else it("keep hostile texts as they are", () => {
    const { cases } = JSON.parse(readFileSync(UNICODE, "utf8")) as { cases: { name: string; text: string }[] };
    for (const { name: about, text } of cases) for (const name of NAMES) {
      const rendered = render(asMarkdown(text), name);
      const read = READERS[name];
      // A carriage return is a line end, a null byte a replacement character: by the rule of Markdown.
      const plain = (some: string) => some.replace(/[\s\ufffd]+/g, "").replaceAll("\u0000", "");
      if (read !== undefined) assert.equal(plain(read(rendered) ?? "marked"), plain(text), `${name}: ${about}`);
    }
    console.log(`      ${cases.length} texts × ${NAMES.length} dialects`);
  });

  describe("cut into parts", () => {
    for (const name of NAMES) it(`${name}: each part fits as it is sent, and nothing is lost`, () => {
      fc.assert(fc.property(document_, fc.integer({ min: name === "html" ? 800 : 120, max: 2_000 }), fc.constantFrom<Limits["unit"]>("utf16", "bytes", "points"), (markdown, text, unit) => {
        const parts = splitDraft({ text: markdown }, { text, unit }, name);
        // Telegram counts after its own parsing, and what grows beyond its limit by layout goes as its source.
        for (const part of parts) {
          if (name === "telegram" && unit !== "utf16") continue;
          const sent = name === "telegram" ? renderText(part.text, text) : { text: render(part.text, name) };
          const seen = name === "telegram" && "parse_mode" in sent ? parseTelegramHtml(sent.text) : sent;
          assert.ok("text" in seen, JSON.stringify(seen));
          assert.ok(measure(seen.text, unit) <= text, `${measure(seen.text, unit)} of ${text} ${unit}: ${part.text}`);
        }
        const seen = (some: string) => some.replace(/^[ \t]*```.*$/gm, "").replace(/\s+/g, "");
        assert.equal(parts.map((part) => seen(part.text)).join(""), seen(markdown));
      }), { numRuns: 300 });
    });
  });
});
