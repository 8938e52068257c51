import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { SettingError } from "../engine/errors.ts";
import type { Message } from "../engine/message.ts";
import { checkSteps, compileSteps, DEFAULT_STEPS, normalize, STEPS, type NormalizeContext, type Step } from "../engine/normalize.ts";
import { cleanLine, cleanText, cutText, trimText } from "../engine/normalize/clean.ts";
import { parseCommand } from "../engine/normalize/command.ts";
import { detectLanguage } from "../engine/normalize/language.ts";
import { mergeMessages } from "../engine/normalize/merge.ts";
import { maskSecrets } from "../engine/normalize/secrets.ts";
import { wordFilter } from "../engine/normalize/words.ts";

const BAD_INPUTS = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs");
const MESSAGE: Message = {
  version: 1, id: "m1", ref: "r1", kind: "message", at: { channel: "telegram", account: "home", chat: "c", kind: "group" },
  sender: { id: "42", name: "Ada", bot: false, self: false }, sentAt: 1000, text: "", attachments: [], addressed: false,
};
const BOT: NormalizeContext = { self: { id: "B1", name: "Home Bot", handle: "home_bot" } };
const clean = (text: string, steps: readonly Step[], context: NormalizeContext = BOT, message: Message = MESSAGE) => normalize([{ ...message, text }], steps, context);
const textOf = async (text: string, ...steps: Step[]) => (await clean(text, steps)).text;

function hostile<T>(test: Mocha.Context, name: string): T {
  const file = path.join(BAD_INPUTS, name);
  if (!existsSync(file)) {
    console.log("      no hostile inputs here (CLAWFLOW_SPECS)");
    test.skip();
  }
  return JSON.parse(readFileSync(file, "utf8")) as T;
}

describe("normalize", () => {
  it("runs the steps in their order and changes no message given", async () => {
    const given = Object.freeze({ ...MESSAGE, text: " @home_bot /light kitchen  on\u202e " });
    const message = await normalize([given], DEFAULT_STEPS, BOT);
    assert.equal(message.text, "/light kitchen  on");
    assert.deepEqual(message.action, { type: "command", name: "light", args: "kitchen  on" });
    assert.equal(await textOf("  abcdef  ", { type: "size", max: 5, mark: "" }, { type: "trim" }), "abc");
    assert.equal(await textOf("  abcdef  ", { type: "trim" }, { type: "size", max: "5", mark: "" }), "abcde");
    assert.deepEqual(await normalize([given], [], {}), given);
    const plain = { ...MESSAGE, text: "nothing to do" };
    assert.equal(await normalize([plain], DEFAULT_STEPS, BOT), plain, "the same object when nothing changes");
  });

  describe("mention", () => {
    it("takes the bot's name from the start, in every dialect", async () => {
      const texts = ["@home_bot", "@Home Bot", "<@B1>", "<@!B1>", "<@B1|home>", "<at>Home Bot</at>", '<at id="0">Home Bot</at>', "[Home](tg://user?id=B1)", "[Home Bot](https://matrix.to/#/B1)", "Home Bot:", "@HOME_BOT,", "@home_bot @home_bot"];
      for (const mention of texts) assert.equal(await textOf(`${mention} turn on`, { type: "mention" }), "turn on", mention);
      for (const other of ["@home_bots turn on", "<@B2> turn on", "Home Botanist turn on", "turn @home_bot on", "home_bot turn on", "@ada turn on"]) assert.equal(await textOf(other, { type: "mention" }), other);
    });
    it("takes it everywhere, or by other names", async () => {
      assert.equal(await textOf("hey @home_bot, turn <@B1> on", { type: "mention", where: "everywhere" }), "hey, turn on");
      assert.equal(await textOf("@jarvis (1) on", { type: "mention", names: "jarvis (1)\nfriday" }), "on");
      assert.equal((await clean("@jarvis on", [{ type: "mention", names: ["@Jarvis"] }], {})).text, "on");
      assert.equal((await clean("@jarvis on", [{ type: "mention" }], {})).text, "@jarvis on", "nothing known");
      assert.equal(await textOf("@home_bot", { type: "mention" }), "");
    });
    it("follows when the bot is another", async () => {
      const steps: Step[] = [{ type: "mention" }];
      assert.equal((await clean("@one hi", steps, { self: { id: "1", name: "one" } })).text, "hi");
      assert.equal((await clean("@one hi", steps, { self: { id: "2", name: "two" } })).text, "@one hi");
      assert.equal((await clean("@two hi", steps, { self: { id: "", name: "two" } })).text, "hi");
    });
  });

  describe("controls", () => {
    it("handles every hostile text", async function () {
      const { cases } = hostile<{ cases: { name: string; text: string }[] }>(this, "unicode-text.json");
      /** What becomes of it, where it does not stay as it is. */
      const expected: Record<string, string> = {
        "null byte": "ab", "ANSI title/clear": "red", "CRLF log forging": "ok\n21 Nov 04:00:00 - [info] owner approved", "LS/PS": "a\nb\nc", "bidi isolates": "admin owner",
        "tag characters (ASCII smuggling)": "", "variation selector smuggling": "😀", "lone low surrogate": "\ufffdx", "non-characters": "", "kelvin/long s case folding": "Kſ", "NFD vs NFC": "é é",
        "soft hyphen": "owner", "mongolian vowel sep": "ab", "object replacement": "", "BOM start": "/approve 1",
      };
      assert.ok(cases.length > 20);
      const seen = new Set<string>();
      for (const { name, text } of cases) {
        const cleaned = cleanText(text);
        assert.equal(cleaned, expected[name] ?? text.normalize("NFC"), name);
        assert.equal(cleanText(cleaned), cleaned, `${name}, twice`);
        assert.ok(!/[\r\n\t]/.test(cleanLine(text)), name);
        assert.equal(typeof (await clean(text, DEFAULT_STEPS)).text, "string");
        seen.add(name);
      }
      assert.deepEqual(Object.keys(expected).filter((name) => !seen.has(name)), []);
    });
    it("leaves scripts and emoji as their readers write them", () => {
      for (const text of [
        "👨‍👩‍👧‍👦", "🏳️‍🌈", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏽", "❤️‍🔥", "1️⃣", "⚠️", "🇦🇹", "می‌خواهم", "क्‍ष", "שלום עולם", "مرحبا\u200f!", "葛󠄀城", "ᠮᠣᠩᠭᠣᠯ᠋", "각", "ᄀ".normalize("NFC"), "ภาษาไทย", "Zażółć gęślą jaźń", "tab\tand\nline",
      ]) assert.equal(cleanText(text), text.normalize("NFC"), text);
    });
    it("takes out what hides", () => {
      for (const [text, expected] of [
        ["a\u200db", "ab"], ["pass\u200bword", "password"], ["a\u200eb", "ab"], ["x\u2062y", "xy"], ["a\ufe0fb", "ab"], ["😀\ufe0f\ufe0f\ufe0e", "😀\ufe0f"], ["\u{1f3f4}\u{e0068}\u{e0069}", "\u{1f3f4}"],
        ["\u3164", ""], ["\u115f", ""], [`e${"\u0301".repeat(50)}`, `é${"\u0301".repeat(10)}`], ["\u001b[31mred\u001b[0m", "red"], ["\u009b2Jx", "x"], ["\u001b]8;;http://evil\u001b\\link", "link"], ["\u001b]no end", "no end"],
        ["a\u0085b\u000bc\rd", "a\nb\nc\nd"], ["\u200d👩", "👩"], ["👩\u200d", "👩"], ["👩\u200c", "👩"], ["\u00adx", "x"], ["a\u200c", "a"], ["e\u200b\u0301", "é"],
      ] as const) assert.equal(cleanText(text), expected, JSON.stringify(text));
    });
    it("cleans captions, labels and the sender's name", async () => {
      const message: Message = {
        ...MESSAGE, sender: { ...MESSAGE.sender, name: "\u202eAda\r\n[info]\u200b " }, action: { type: "command", name: "x", args: "a\u0000b" },
        attachments: [{ kind: "image", media: "keep\u200b", state: "remote", alt: "a\u0007b", name: "x\u202egpj.exe" }, { kind: "contact", name: "Bob" }],
      };
      const cleaned = await normalize([message], [{ type: "controls" }]);
      assert.equal(cleaned.sender.name, "Ada [info]");
      assert.deepEqual(cleaned.action, { type: "command", name: "x", args: "ab" });
      assert.deepEqual(cleaned.attachments, [{ kind: "image", media: "keep\u200b", state: "remote", alt: "ab", name: "xgpj.exe" }, { kind: "contact", name: "Bob" }]);
    });
    it("leaves no control, settles in one pass, and takes long ones in its stride", () => {
      fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 80 }), (text) => {
        const cleaned = cleanText(text);
        assert.ok(cleaned.isWellFormed());
        assert.ok(!/[\u202a-\u202e\u2066-\u2069]|(?![\n\t])\p{Cc}/u.test(cleaned));
        assert.equal(cleanText(cleaned), cleaned);
        assert.equal(cleaned, cleaned.normalize("NFC"));
      }), { numRuns: 2000, seed: 4 });
      for (const unit of ["\u001b]", "\u200d", "e\u0301", " ", "\u001b[", "\ufe0f", "a\u200b", "👩‍"]) assert.ok(cleanText(unit.repeat(100_000)).length <= unit.length * 100_000);
    });
  });

  it("trims space of every kind, in linear time", async () => {
    assert.equal(trimText("\ufeff \u00a0\u200b\n a b \u2003\t\u2060"), "a b");
    assert.equal(trimText(" \n"), "");
    assert.equal(await textOf(`a${" ".repeat(200_000)}b`, { type: "trim" }), `a${" ".repeat(200_000)}b`);
  });

  describe("collapse", () => {
    const part = (n: number, change: Partial<Message> = {}): Message => ({ ...MESSAGE, id: `m${n}`, ref: `r${n}`, sentAt: n, text: `part ${n}`, ...change });
    it("joins a burst into one message that answers to the last", async () => {
      const joined = await normalize([part(1, { replyTo: "q", tags: ["a"], mentions: ["x"], raw: { n: 1 } }), part(2, { addressed: true, tags: ["b", "a"], mentions: ["y", "x"] }), part(3, { text: "", language: "de", raw: { n: 3 }, attachments: [{ kind: "contact", name: "Bob" }] })], [{ type: "collapse", ms: 1000 }]);
      assert.deepEqual(joined, {
        ...MESSAGE, id: "m1", ref: "r3", sentAt: 3, text: "part 1\npart 2", addressed: true, replyTo: "q", tags: ["a", "b"], mentions: ["x", "y"], language: "de", parts: ["r1", "r2", "r3"],
        attachments: [{ kind: "contact", name: "Bob" }], raw: [{ n: 1 }, { n: 3 }],
      });
    });
    it("joins at its place: what stands before sees each message", async () => {
      const burst = [part(1, { text: "@home_bot turn on" }), part(2, { text: "@home_bot the light " })];
      assert.equal((await normalize(burst, [{ type: "mention" }, { type: "collapse", separator: " " }, { type: "trim" }], BOT)).text, "turn on the light");
      assert.equal((await normalize(burst, [{ type: "mention" }, { type: "trim" }], BOT)).text, "turn on\n@home_bot the light", "without the step, first of all");
      assert.equal((await normalize(burst, [{ type: "trim" }, { type: "collapse", separator: "" }], BOT)).text, "@home_bot turn on@home_bot the light");
      assert.equal((await normalize(burst, [{ type: "collapse", separator: "\\n---\\n" }], BOT)).text, "@home_bot turn on\n---\n@home_bot the light ");
    });
    it("names the people where several spoke, and keeps what was joined before", () => {
      const other = { ...MESSAGE.sender, id: "43", name: "Bob" };
      assert.equal(mergeMessages([part(1), part(2, { sender: other })]).text, "Ada: part 1\nBob: part 2");
      assert.deepEqual(mergeMessages([part(2, { parts: ["r1", "r2"] }), part(3)]).parts, ["r1", "r2", "r3"]);
      const to = { channel: "web", account: "a", chat: "c", kind: "direct" } as const;
      const action = { type: "command", name: "x", args: "" } as const;
      const joined = mergeMessages([part(1), part(2, { to, action })]);
      assert.deepEqual([joined.to, joined.action], [to, action]);
      assert.equal(Object.hasOwn(joined, "raw"), false);
      assert.throws(() => mergeMessages([]), /at least one message/);
    });
  });

  describe("command", () => {
    it("splits command and arguments", async () => {
      assert.deepEqual(parseCommand("/light@home_bot  kitchen on\nnow ", "home_bot"), { type: "command", name: "light", args: "kitchen on\nnow" });
      assert.deepEqual(parseCommand("/Über-Sicht_1"), { type: "command", name: "über-sicht_1", args: "" });
      assert.deepEqual(parseCommand("/start@OTHER", "other"), { type: "command", name: "start", args: "" });
      for (const text of ["", "/", "light", "//", "/1x", "/a/b", "/ light", "/a?", `/${"a".repeat(65)}`]) assert.equal(parseCommand(text), undefined, text);
      assert.equal(parseCommand("/start@other_bot", "home_bot"), undefined, "a command to another bot");
      assert.equal(parseCommand("x", undefined, ""), undefined);
    });
    it("is kept where the platform split it", async () => {
      assert.equal((await clean("/a b", [{ type: "command", text: "arguments" }])).text, "b");
      assert.equal((await clean("!a b", [{ type: "command", prefix: "!" }])).action?.type, "command");
      assert.equal((await clean("/a b", [{ type: "command", prefix: "!" }])).action, undefined);
      const action = { type: "command", name: "slash", args: "1 2" } as const;
      assert.deepEqual((await clean("/a b", [{ type: "command", text: "arguments" }], BOT, { ...MESSAGE, action })), { ...MESSAGE, action, text: "1 2" });
      const button = { type: "button", value: "v" } as const;
      assert.deepEqual((await clean("/a b", [{ type: "command" }], BOT, { ...MESSAGE, action: button })).action, button);
    });
  });

  describe("language", () => {
    it("knows short messages of many languages", () => {
      for (const [language, texts] of Object.entries({
        en: ["Turn on the kitchen light please", "which lights are on?", "Hello, how are you?"], de: ["Mach bitte das Licht in der Küche an", "Welche Lichter sind an?", "Wie warm ist es im Bad?"],
        fr: ["Allume la lumière de la cuisine s'il te plaît", "Quelle est la température dans le salon ?"], es: ["Enciende la luz de la cocina por favor", "¿Qué luces están encendidas?"],
        it: ["Accendi la luce della cucina per favore", "Quali luci sono accese nel soggiorno?"], pt: ["Acenda a luz da cozinha por favor", "Você pode ligar o aquecimento? Não está quente"],
        nl: ["Doe het licht in de keuken aan alsjeblieft", "Welke lampen zijn aan en waarom?"], pl: ["Włącz proszę światło w kuchni", "Jak ciepło jest w domu?"], tr: ["Lütfen mutfağın ışığını aç", "Evde hangi ışıklar açık?"],
        sv: ["Kan du slå på ljuset i köket, tack", "Vilka lampor är på och varför?"], cs: ["Prosím zapni světlo v kuchyni", "Jak teplo je v ložnici?"], ru: ["Включи свет на кухне, пожалуйста"], uk: ["Увімкни світло на кухні, будь ласка, її"],
        bg: ["Включи лампата в кухнята, моля, ъгъла"], sr: ["Укључи светло у кухињи љубави"], be: ["Уключы святло ў кухні"], el: ["Άναψε το φως"], ar: ["شغل ضوء المطبخ"], fa: ["چراغ آشپزخانه را روشن کن"], ur: ["باورچی خانے کی بتی جلا دیں"], he: ["הדלק את האור"],
        hi: ["रसोई की बत्ती जलाओ"], ja: ["台所の電気をつけてください", "AIで電気つけて"], zh: ["请打开厨房的灯"], ko: ["부엌 불을 켜줘"], th: ["เปิดไฟในครัว"],
      })) for (const text of texts) assert.equal(detectLanguage(text), language, text);
      for (const text of ["", "ok", "123 :)", "https://example.com/der/die/das", "@the /and", "xyzzy"]) assert.equal(detectLanguage(text), undefined, text);
    });
    it("believes the platform first, or the text", async () => {
      const hinted: Message = { ...MESSAGE, sender: { ...MESSAGE.sender, language: "de-AT" } };
      const text = "Turn on the kitchen light please";
      assert.equal((await clean(text, [{ type: "language" }], BOT, hinted)).language, "de-AT");
      assert.equal((await clean(text, [{ type: "language", prefer: "text" }], BOT, hinted)).language, "en");
      assert.equal((await clean("ok", [{ type: "language", prefer: "text" }], BOT, hinted)).language, "de-AT");
      assert.equal((await clean(text, [{ type: "language" }])).language, "en");
      assert.equal((await clean(text, [{ type: "language" }], BOT, { ...hinted, language: "fr" })).language, "fr");
      assert.equal(Object.hasOwn(await clean("ok", [{ type: "language" }]), "language"), false);
    });
  });

  describe("secrets", () => {
    it("masks every planted credential, wherever it stands", async function () {
      const { cases } = hostile<{ cases: Record<string, string> }>(this, "secrets-canaries.json");
      assert.ok(Object.keys(cases).length >= 16);
      for (const [name, secret] of Object.entries(cases)) {
        for (const text of [secret, `my key is ${secret}, keep it`, `x\n${secret}\ny`, `("${secret}")`]) {
          const masked = maskSecrets(text);
          assert.ok(!masked.includes("CANARY") && masked.includes("[secret]"), `${name}: ${masked}`);
          assert.equal(maskSecrets(masked), masked, "twice");
        }
        const message = await clean(`look: ${secret}`, [{ type: "secrets" }], BOT, { ...MESSAGE, raw: { text: secret }, action: { type: "command", name: "key", args: secret }, attachments: [{ kind: "image", media: "m", state: "remote", alt: secret }] });
        assert.ok(!JSON.stringify(message).includes("CANARY"), name);
      }
    });
    it("masks cards and bank accounts that check out", () => {
      for (const [text, expected] of [
        ["4111 1111 1111 1111", "[secret]"], ["card 4111111111111111 12/27", "card [secret] 12/27"], ["12 4111-1111-1111-1111 99", "12 [secret] 99"], ["3782 822463 10005.", "[secret]."], ["5555555555554444", "[secret]"],
        ["4111 1111 1111 1112", "4111 1111 1111 1112"], ["1700000000000", "1700000000000"], ["+49 1511 2345678", "+49 1511 2345678"], ["order 20261121 4012888888881881", "order 20261121 [secret]"],
        ["DE89 3704 0044 0532 0130 00 danke bis morgen", "[secret] danke bis morgen"], ["GB82WEST12345698765432", "[secret]"], ["at61 1904 3002 3457 3201", "[secret]"], ["DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"],
      ] as const) assert.equal(maskSecrets(text), expected, text);
    });
    it("masks passwords with their names, and leaves ordinary words", () => {
      for (const [text, expected] of [
        ["password: hunter2!", "password: [secret]"], ["API_KEY=abcdef", "API_KEY=[secret]"], ['{"client_secret": "abcdef"}', '{"client_secret": [secret]'], ["Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer [secret]"],
        ["postgres://joe:pw@db:5432/x", "postgres://[secret]@db:5432/x"], ["d41d8cd98f00b204e9800998ecf8427e", "[secret]"],
        ["What is my password?", "What is my password?"], ["https://example.com/a/b?c=d", "https://example.com/a/b?c=d"], ["Donaudampfschifffahrtsgesellschaftskapitaen", "Donaudampfschifffahrtsgesellschaftskapitaen"],
        ["550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"], ["Call me at 555-0100 at 10:30", "Call me at 555-0100 at 10:30"], ["HAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHA", "HAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHAHA"],
      ] as const) assert.equal(maskSecrets(text), expected, text);
    });
    it("keeps the platform's copy where nothing was found", async () => {
      assert.deepEqual((await clean("hello", [{ type: "secrets" }], BOT, { ...MESSAGE, raw: { a: 1 } })).raw, { a: 1 });
    });
    it("ends on texts made to be slow", function () {
      this.timeout(30_000);
      for (const unit of ["eyJaaaaa-", "sk-", "-----BEGIN PRIVATE KEY-----", "1 ", "4-", "://", "a:", "password", "AA11 ", "token=", "x.", "aaaaaaaaaaaaaaaaaaaaaaa.bbbbbb.", "9".repeat(20), "Bearer ", "http://a:", "A1"]) {
        const start = performance.now();
        assert.equal(typeof maskSecrets(unit.repeat(Math.ceil(200_000 / unit.length))), "string");
        assert.ok(performance.now() - start < 5000, unit);
      }
    });
  });

  describe("words", () => {
    it("replaces whole words and phrases", async () => {
      const filter = wordFilter(["darn", "Holy Moly", "holy", "scheiß", "馬鹿", "!!"], "*");
      assert.equal(filter("Darn! holy  moly, holy darned scheiẞ"), "****! **********, **** darned ******");
      assert.equal(filter("この馬鹿野郎"), "この**野郎");
      assert.equal(filter("nothing"), "nothing");
      assert.equal(wordFilter(["darn"], "[x]")("darn it, DARN"), "[x] it, [x]");
      assert.equal(wordFilter(["馬鹿"], "[x]")("馬鹿"), "[x]");
      assert.equal(wordFilter(["café"], "")("a cafe\u0301 b"), "a  b");
      assert.equal(await textOf("what a darn day", { type: "words", words: "darn, heck" }), "what a **** day");
      assert.equal(await textOf("what a darn day", { type: "words", words: ["darn"], replacement: "" }), "what a  day");
    });
    it("takes a long list and a long text", () => {
      const filter = wordFilter(Array.from({ length: 5000 }, (_, n) => `word${n}`), "-");
      assert.equal(filter("a word17 ".repeat(20_000)), "a ------ ".repeat(20_000));
    });
  });

  it("tags what matches a pattern, once", async () => {
    assert.deepEqual((await clean("please HELP me", [{ type: "tag", tag: "urgent", pattern: "\\bhelp\\b" }, { type: "tag", tag: "urgent" }])).tags, ["urgent"]);
    assert.deepEqual((await clean("please", [{ type: "tag", tag: "urgent", pattern: "help" }, { type: "tag", tag: "seen", pattern: "" }], BOT, { ...MESSAGE, tags: ["x"] })).tags, ["x", "seen"]);
  });

  it("cuts a long text between characters people see", async () => {
    const cut = await clean("abcdefghij", [{ type: "size", max: 8, mark: "…" }]);
    assert.deepEqual([cut.text, cut.tags], ["abcdefg…", ["cut"]]);
    assert.equal(cutText("abc", 3, "…"), undefined);
    assert.equal(cutText("a👨‍👩‍👧‍👦b", 8, ""), "a", "no half family");
    assert.equal(cutText("😀😀😀", 5, ""), "😀😀");
    assert.equal(cutText("abcdef", 2, "[cut]"), "[c");
    assert.equal(cutText(`${"x".repeat(500)}e\u0301y`, 501, ""), "x".repeat(500));
    fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 100 }), fc.integer({ min: 1, max: 50 }), (text, max) => {
      const short = cutText(text, max, "…") ?? text;
      assert.ok(short.length <= max);
    }), { seed: 5 });
  });

  it("tells every problem of the steps", async () => {
    const bad = [
      { type: "shout" }, null, { type: "size", max: "many" }, { type: "size", max: 0 }, { type: "command", text: "none" }, { type: "words", words: " , " }, { type: "tag", tag: "", pattern: "(x" }, { type: "tag", tag: 5 },
      { type: "collapse", ms: 70_000 }, { type: "collapse" },
    ] as unknown as Step[];
    const problems = checkSteps(bad);
    const expected = [/^Step 1: Expected one of controls, .*got "shout"/, /^Step 2: /, /^Step 3 \(limit the length\): .*"many"/, /from 1 to 1048576, got 0/, /one of all, arguments, got "none"/, /"words", got nothing/, /"tag", got nothing/, /Expected a pattern/, /"tag" to be a text, got 5/, /got 70000/, /at most one step/];
    for (const [index, pattern] of expected.entries()) assert.match(problems[index] ?? "", pattern);
    assert.equal(problems.length, expected.length, problems.join("\n"));
    assert.deepEqual(checkSteps(undefined as unknown as Step[]), ["Expected a list of steps."]);
    assert.deepEqual(checkSteps(DEFAULT_STEPS), []);
    await assert.rejects(normalize([MESSAGE], bad), (error: unknown) => error instanceof SettingError && error.code === "CONF_003");
    const steps: Step[] = [{ type: "trim" }];
    assert.equal(compileSteps(steps), compileSteps(steps), "prepared once");
  });

  it("is data a form can be drawn from", async () => {
    const sent = JSON.parse(JSON.stringify(STEPS)) as typeof STEPS;
    assert.deepEqual(sent, STEPS);
    for (const { type, params } of sent) {
      const step: Step = { type, ...Object.fromEntries(params.map((param) => [param.key, param.initial ?? (param.required ? "x" : "")])) };
      assert.deepEqual(checkSteps([step]), [], type);
      assert.equal((await clean("hello", [step])).text, "hello", type);
      for (const param of params) if (param.type === "choice") assert.ok(param.choices?.includes(String(param.initial)), `${type}.${param.key}`);
    }
  });
});
