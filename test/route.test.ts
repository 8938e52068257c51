import assert from "node:assert/strict";
import fc from "fast-check";
import { SettingError } from "../engine/errors.ts";
import type { Message } from "../engine/message.ts";
import { checkRules, compileRules, FIELDS, ROUTE_MODES, route, TESTS, TIERS, type Facts, type Row, type Rule, type RouteMode } from "../engine/route.ts";
import { readWindow } from "../engine/route-window.ts";

const MESSAGE: Message = {
  version: 1, id: "m1", ref: "m1", kind: "message", at: { channel: "telegram", account: "home-bot", chat: "-100123", kind: "group", space: "S1" },
  sender: { id: "42", name: "Ada", roles: ["admin", "family"], language: "de-AT", bot: false, self: false },
  sentAt: 0, text: "Turn on the Kitchen light", attachments: [{ kind: "image", media: "x", state: "remote" }], addressed: true, tags: ["urgent"],
};
const NOW = Date.UTC(2026, 6, 15, 10, 0); // A Wednesday, noon in Berlin.
const FACTS: Facts = { now: NOW, trust: "paired", timeZone: "Europe/Berlin" };
const rule = (id: string, rows: readonly Row[], output = 0): Rule => ({ id, name: `rule ${id}`, rows, output });
const holds = (row: Row, message: Message = MESSAGE, facts: Facts = FACTS): boolean => route(message, compileRules([rule("r", [row])]), facts).matches.length === 1;
const at = (change: Partial<Message["at"]>): Message => ({ ...MESSAGE, at: { ...MESSAGE.at, ...change } });

describe("route", () => {
  it("tests every field", () => {
    const cases: [Row, boolean][] = [
      [{ field: "channel", test: "is", value: "telegram" }, true],
      [{ field: "channel", test: "is", value: "Telegram" }, false],
      [{ field: "channel", test: "oneOf", value: ["slack", "telegram"] }, true],
      [{ field: "channel", test: "oneOf", value: "slack\n telegram " }, true],
      [{ field: "channel", test: "oneOf", value: "slack, telegram" }, true],
      [{ field: "account", test: "glob", value: "home-*" }, true],
      [{ field: "account", test: "glob", value: "*-home" }, false],
      [{ field: "space", test: "is", value: "S1" }, true],
      [{ field: "space", test: "exists" }, true],
      [{ field: "chat", test: "is", value: -100123 }, true],
      [{ field: "chat", test: "is", value: "-100124" }, false],
      [{ field: "thread", test: "exists" }, false],
      [{ field: "thread", test: "exists", not: true }, true],
      [{ field: "thread", test: "is", value: "7", not: true }, true],
      [{ field: "kind", test: "oneOf", value: ["edit", "message"] }, true],
      [{ field: "place", test: "is", value: "group" }, true],
      [{ field: "place", test: "is", value: "direct" }, false],
      [{ field: "addressed", test: "is", value: true }, true],
      [{ field: "addressed", test: "is", value: "false" }, false],
      [{ field: "sender", test: "is", value: 42 }, true],
      [{ field: "sender", test: "is", value: "Ada" }, false],
      [{ field: "role", test: "is", value: "family" }, true],
      [{ field: "role", test: "is", value: "guest" }, false],
      [{ field: "role", test: "is", value: "guest", not: true }, true],
      [{ field: "role", test: "glob", value: "fam*" }, true],
      [{ field: "text", test: "contains", value: "kitchen" }, true],
      [{ field: "text", test: "startsWith", value: "TURN ON" }, true],
      [{ field: "text", test: "endsWith", value: "light" }, true],
      [{ field: "text", test: "is", value: "turn on the kitchen light" }, true],
      [{ field: "text", test: "oneOf", value: ["turn off", "turn on"] }, false],
      [{ field: "text", test: "pattern", value: "^turn (on|off)\\b" }, true],
      [{ field: "text", test: "pattern", value: "(?-i:^turn)" }, false],
      [{ field: "text", test: "exists" }, true],
      [{ field: "language", test: "is", value: "de" }, true],
      [{ field: "language", test: "is", value: "de-at" }, true],
      [{ field: "language", test: "is", value: "d" }, false],
      [{ field: "content", test: "is", value: "image" }, true],
      [{ field: "content", test: "oneOf", value: ["voice", "audio"] }, false],
      [{ field: "content", test: "is", value: "text" }, true],
      [{ field: "tag", test: "is", value: "urgent" }, true],
      [{ field: "trust", test: "is", value: "paired" }, true],
      [{ field: "trust", test: "atLeast", value: "allowed" }, true],
      [{ field: "trust", test: "atLeast", value: "paired" }, true],
      [{ field: "trust", test: "atLeast", value: "owner" }, false],
      [{ field: "command", test: "exists" }, false],
      [{ field: "time", test: "between", value: { from: "08:00", to: "18:00" } }, true],
      [{ field: "time", test: "between", value: { from: "08:00", to: "18:00" }, not: true }, false],
    ];
    for (const [row, expected] of cases) assert.equal(holds(row), expected, JSON.stringify(row));
    const tried = new Set(cases.map(([row]) => row.field));
    assert.deepEqual(FIELDS.map(({ id }) => id).filter((id) => !tried.has(id)), []);
    assert.deepEqual(TESTS.map(({ id }) => id).filter((id) => !cases.some(([row]) => row.test === id)), []);
  });

  it("reads an absent value as absent", () => {
    const bare: Message = { ...MESSAGE, text: "", attachments: [], sender: { id: "42", name: "Ada", bot: false, self: false }, at: { channel: "web", account: "w", chat: "c", kind: "direct" } };
    delete (bare as { tags?: unknown }).tags;
    for (const field of ["space", "role", "language", "tag", "text", "command"] as const) {
      assert.equal(holds({ field, test: "exists" }, bare), false, field);
      assert.equal(holds({ field, test: "is", value: "x" }, bare), false, field);
      assert.equal(holds({ field, test: "is", value: "x", not: true }, bare), true, field);
    }
    assert.equal(holds({ field: "content", test: "is", value: "text" }, bare), false);
    assert.equal(holds({ field: "trust", test: "atLeast", value: "stranger" }, bare, { ...FACTS, trust: "root" as never }), false);
  });

  it("finds commands, split or not, and no others", () => {
    const row: Row = { field: "command", test: "is", value: "/Light" };
    const says = (text: string): Message => ({ ...MESSAGE, text });
    assert.equal(holds(row, says("/light kitchen on")), true);
    assert.equal(holds(row, says("/LIGHT@home_bot")), true);
    assert.equal(holds(row, { ...MESSAGE, action: { type: "command", name: "light", args: "" } }), true);
    assert.equal(holds(row, { ...MESSAGE, action: { type: "button", value: "light" } }), false);
    for (const text of ["light", "/lights", "x /light", "/light/x", "\ufeff/light", "/\u00a0light", "//light"]) assert.equal(holds(row, says(text)), false, JSON.stringify(text));
    assert.equal(holds({ field: "command", test: "startsWith", value: "/li" }, says("/light")), true);
  });

  it("compares texts as people read them, ids to the letter", () => {
    assert.equal(holds({ field: "text", test: "is", value: "caf\u00e9" }, { ...MESSAGE, text: " CAFE\u0301 " }), true);
    assert.equal(holds({ field: "sender", test: "is", value: "owner" }, { ...MESSAGE, sender: { ...MESSAGE.sender, id: "\u043ewner" } }), false);
    assert.equal(holds({ field: "sender", test: "is", value: "k" }, { ...MESSAGE, sender: { ...MESSAGE.sender, id: "\u212a" } }), false);
  });

  it("knows the hours by the wall clock of a zone, over both changes", () => {
    const between = (value: object, now: number) => holds({ field: "time", test: "between", value }, MESSAGE, { ...FACTS, now });
    const utc = (month: number, day: number, hour: number, minute = 0) => Date.UTC(2026, month - 1, day, hour, minute);
    assert.equal(between({ from: "08:00", to: "18:00" }, utc(7, 15, 6)), true, "08:00 is in");
    assert.equal(between({ from: "08:00", to: "18:00" }, utc(7, 15, 5, 59)), false);
    assert.equal(between({ from: "08:00", to: "18:00" }, utc(7, 15, 16)), false, "18:00 is out");
    assert.equal(between({ from: "08:00", to: "18:00", timeZone: "America/New_York" }, utc(7, 15, 6)), false);
    assert.equal(between({ from: "08:00", to: "18:00", timeZone: "" }, utc(7, 15, 6)), true);
    // Over midnight, on Fridays: the window that begins on Friday.
    const night = { from: "22:00", to: "06:00", days: [5] };
    assert.equal(between(night, utc(7, 17, 21)), true, "Friday 23:00");
    assert.equal(between(night, utc(7, 18, 3)), true, "Saturday 05:00");
    assert.equal(between(night, utc(7, 18, 21)), false, "Saturday 23:00");
    assert.equal(between(night, utc(7, 17, 3)), false, "Friday 05:00 belongs to Thursday");
    assert.equal(between({ from: "22:00", to: "06:00", days: [7] }, utc(7, 20, 1)), true, "Monday 03:00 belongs to Sunday");
    assert.equal(between({ from: "06:00", to: "06:00", days: [3] }, utc(7, 16, 3, 59)), true, "24 hours");
    assert.equal(between({ from: "06:00", to: "06:00", days: [3] }, utc(7, 16, 4)), false);
    // 29 March 2026: 02:00 becomes 03:00. 25 October: 03:00 becomes 02:00.
    const gap = { from: "02:00", to: "03:00", days: [] };
    for (let minute = 0; minute < 180; minute += 10) assert.equal(between(gap, utc(3, 29, 0, minute)), false, `spring ${minute}`);
    let open = 0;
    for (let minute = -60; minute < 180; minute++) if (between(gap, utc(10, 25, 0, minute))) open++;
    assert.equal(open, 120, "autumn: the hour comes twice");
    assert.equal(between({ from: "08:00", to: "09:00" }, utc(3, 28, 7, 30)), true);
    assert.equal(between({ from: "08:00", to: "09:00" }, utc(3, 29, 6, 30)), true);
  });

  it("reads a window written as text", () => {
    const cases: [string, unknown][] = [
      ["08:00-18:00", { from: "08:00", to: "18:00" }], ["8:00 to 18:30", { from: "8:00", to: "18:30" }], ["Mon-Fri 08:00 – 18:00", { from: "08:00", to: "18:00", days: [1, 2, 3, 4, 5] }],
      ["saturday, Sun 22:00-06:00 Europe/Berlin", { from: "22:00", to: "06:00", days: [6, 7], timeZone: "Europe/Berlin" }], ["Sat Sun 10:00-11:00", { from: "10:00", to: "11:00", days: [6, 7] }],
      ["Fri - Mon 10:00-11:00 UTC", { from: "10:00", to: "11:00", days: [5, 6, 7, 1], timeZone: "UTC" }], ["1-2,2,7 10:00-11:00", { from: "10:00", to: "11:00", days: [1, 2, 7] }],
    ];
    for (const [text, window] of cases) assert.deepEqual(readWindow(text).window, window, text);
    for (const text of ["", "always", "8-18", "Foo 08:00-18:00", "Mon-Foo 08:00-18:00", "08:00-25:00", "08:00-18:00 Mars/Base", "Mon- 08:00-18:00"]) {
      const { window, problems } = readWindow(text);
      assert.equal(window, undefined, text);
      assert.ok(problems.length > 0, text);
    }
    assert.equal(holds({ field: "time", test: "between", value: "Wed 11:00-13:00" }), true);
    assert.equal(holds({ field: "time", test: "between", value: "Wed 11:00-13:00 Asia/Tokyo" }), false);
  });

  it("binds to the most specific place", () => {
    const rules = [
      rule("default", [], 0), rule("channel", [{ field: "channel", test: "is", value: "telegram" }], 1), rule("account", [{ field: "account", test: "is", value: "home-bot" }], 2),
      rule("role", [{ field: "role", test: "is", value: "admin" }], 3), rule("space", [{ field: "space", test: "is", value: "S1" }], 4),
      rule("space+role", [{ field: "role", test: "oneOf", value: ["admin"] }, { field: "space", test: "is", value: "S1" }], 5),
      rule("chat", [{ field: "chat", test: "is", value: "-100123" }], 6), rule("thread", [{ field: "thread", test: "is", value: "7" }], 7),
    ];
    const picked = (message: Message, without: string[] = []) => route(message, compileRules(rules.filter(({ id }) => !without.includes(id)), "binding"), FACTS).matches.map(({ rule: id }) => id);
    const threaded = at({ thread: "7" });
    assert.deepEqual(picked(threaded), ["thread"]);
    const order = ["thread", "chat", "space+role", "space", "role", "account", "channel", "default"];
    for (let n = 0; n < order.length; n++) assert.deepEqual(picked(threaded, order.slice(0, n)), [order[n]]);
    assert.deepEqual(picked(MESSAGE), ["chat"], "without a thread the chat is the peer");
    assert.deepEqual(picked(at({ thread: "8", chat: "other", space: "S2", account: "a", channel: "slack" }), ["role"]), ["default"]);

    const sender = rule("sender", [{ field: "sender", test: "is", value: "42" }], 8);
    assert.equal(route(threaded, compileRules([...rules, sender], "binding"), FACTS).matches[0]?.rule, "thread", "ties go by order");
    assert.equal(route(threaded, compileRules([sender, ...rules], "binding"), FACTS).matches[0]?.rule, "sender");
    const loose = rule("loose", [{ field: "chat", test: "is", value: "x", not: true }, { field: "account", test: "glob", value: "*" }]);
    assert.equal(route(MESSAGE, compileRules([loose, rules[1] as Rule], "binding"), FACTS).matches[0]?.rule, "channel", "only exact rows bind");
    assert.match(route(MESSAGE, compileRules(rules, "binding"), FACTS).matches[0]?.why ?? "", /^chat is "-100123" \(bound to this very person, chat or thread\)$/);
  });

  it("takes the first, or all", () => {
    const rules = [rule("a", [{ field: "text", test: "contains", value: "nothing" }], 0), rule("b", [{ field: "place", test: "is", value: "group" }], 1), rule("c", [], 2)];
    assert.deepEqual(route(MESSAGE, compileRules(rules), FACTS).matches, [{ rule: "b", name: "rule b", output: 1, why: 'direct or group is "group"' }]);
    assert.deepEqual(route(MESSAGE, compileRules(rules, "all"), FACTS).matches.map(({ output }) => output), [1, 2]);
    assert.equal(route(MESSAGE, compileRules(rules, "all"), FACTS).matches[1]?.why, "takes every message");
    for (const mode of ROUTE_MODES) assert.deepEqual(route(MESSAGE, compileRules([rules[0] as Rule], mode), FACTS), { matches: [], explain: [] });
  });

  it("needs all rows of a rule", () => {
    const both: Row[] = [{ field: "place", test: "is", value: "group" }, { field: "text", test: "contains", value: "light" }];
    assert.equal(route(MESSAGE, compileRules([rule("r", both)]), FACTS).matches.length, 1);
    assert.equal(route({ ...MESSAGE, text: "hi" }, compileRules([rule("r", both)]), FACTS).matches.length, 0);
  });

  it("explains every rule and row", () => {
    const rules = [
      rule("a", [{ field: "text", test: "oneOf", value: ["yes", "no"] }, { field: "time", test: "between", value: { from: "22:00", to: "06:00", days: [6, 7], timeZone: "Asia/Tokyo" } }]),
      rule("b", [{ field: "role", test: "is", value: "admin" }, { field: "thread", test: "exists", not: true }], 1), rule("c", [], 2),
    ];
    const { explain, matches } = route({ ...MESSAGE, text: "x".repeat(300) }, compileRules(rules), FACTS, { explain: true });
    assert.deepEqual(matches.map(({ rule: id }) => id), ["b"]);
    assert.deepEqual(explain.map(({ rule: id, held, chosen, tier }) => [id, held, chosen, tier]), [["a", false, false, "default"], ["b", true, true, "role"], ["c", true, false, "default"]]);
    assert.deepEqual(explain[0]?.rows, [
      { field: "text", test: "oneOf", not: false, expected: '"yes", "no"', got: `"${"x".repeat(200)}…"`, held: false },
      { field: "time", test: "between", not: false, expected: "22:00 and 06:00 on Sat, Sun (Asia/Tokyo)", got: "Wed 19:00 (Asia/Tokyo)", held: false },
    ]);
    assert.deepEqual(explain[1]?.rows, [
      { field: "role", test: "is", not: false, expected: '"admin"', got: '"admin", "family"', held: true },
      { field: "thread", test: "exists", not: true, expected: "", got: "nothing", held: true },
    ]);
    assert.equal(compileRules(rules).rules[1]?.words, `sender's role is "admin" and thread not: is present`);
    const hours = route(MESSAGE, compileRules([rule("t", [{ field: "time", test: "between", value: { from: "08:00", to: "18:00" } }])]), FACTS, { explain: true });
    assert.equal(hours.explain[0]?.rows[0]?.got, "Wed 12:00 (Europe/Berlin)");
  });

  it("decides the same with and without explaining, in every mode", () => {
    const rows: fc.Arbitrary<Row> = fc.constantFrom<Row>(
      { field: "text", test: "contains", value: "a" }, { field: "text", test: "pattern", value: "b+$" }, { field: "place", test: "is", value: "group" }, { field: "role", test: "is", value: "admin", not: true },
      { field: "chat", test: "is", value: "c1" }, { field: "space", test: "exists" }, { field: "account", test: "is", value: "x" }, { field: "channel", test: "oneOf", value: ["web", "irc"] },
    );
    const rules = fc.uniqueArray(fc.record({ id: fc.string({ minLength: 1, maxLength: 4 }), name: fc.string(), rows: fc.array(rows, { maxLength: 3 }), output: fc.nat(5) }), { selector: ({ id }) => id, maxLength: 6 });
    const messages = fc.record({ text: fc.stringMatching(/^[abc]{0,5}$/), chat: fc.constantFrom("c1", "c2"), kind: fc.constantFrom("direct" as const, "group" as const), channel: fc.constantFrom("web", "irc", "sms"), account: fc.constantFrom("x", "y") });
    fc.assert(fc.property(rules, messages, fc.constantFrom<RouteMode>(...ROUTE_MODES), (given, { text, ...place }, mode) => {
      const message = { ...at(place), text };
      const compiled = compileRules(given, mode);
      const { matches, explain } = route(message, compiled, FACTS, { explain: true });
      assert.deepEqual(route(message, compiled, FACTS).matches, matches);
      const held = explain.filter((one) => one.held);
      const expected = mode === "all" ? held : mode === "first" ? held.slice(0, 1) : held.toSorted((a, b) => TIERS.indexOf(a.tier) - TIERS.indexOf(b.tier)).slice(0, 1);
      assert.deepEqual(matches.map(({ rule: id }) => id), expected.map(({ rule: id }) => id));
      assert.deepEqual(explain.filter(({ chosen }) => chosen).map(({ rule: id }) => id), expected.map(({ rule: id }) => id));
    }), { numRuns: 300, seed: 3 });
  });

  it("tells every problem, naming rule and row", () => {
    const bad = [
      rule("a", [{ field: "colour", test: "is", value: "red" } as unknown as Row, { field: "sender", test: "contains", value: "x" }, { field: "text", test: "is", value: " " }]),
      rule("a", [{ field: "text", test: "pattern", value: "(x" }, { field: "kind", test: "is", value: "hug" }, null as unknown as Row], -1),
      { id: 5, name: "", rows: "x", output: "1" } as unknown as Rule,
      rule("t", [
        { field: "time", test: "between", value: { from: "8.00", to: "24:00", days: [0], timeZone: "Mars/Base" } }, { field: "time", test: "between", value: "always" },
        { field: "text", test: "is", value: "x".repeat(1001) }, { field: "text", test: "oneOf", value: Array(1001).fill("x") }, { field: "chat", test: "is", value: {} },
      ]),
      null as unknown as Rule,
    ];
    const problems = checkRules(bad);
    const expected = [
      /^Rule "rule a", row 1: Expected a field .*got "colour"/, /^Rule "rule a", row 2: Expected one of the tests is, oneOf for sender/, /row 3: Expected a value for "text is"/,
      /^Rule "rule a": Expected an id of its own, got "a"/, /output number from 0, got -1/, /row 1: Expected a pattern, got "\(x"/, /row 2: .*"hug"/, /row 3: Expected a row/,
      /^Rule 3: Expected an id/, /^Rule 3: Expected an output/, /^Rule 3: Expected a list of rows/,
      /"from" to be a time .*"8.00"/, /"to" to be a time/, /days to be numbers/, /time zone such as .*Mars/, /row 2: Expected a time window/, /at most 1000 characters .*got 1001/, /at most 1000 values/, /row 5: Expected a value/,
      /^Rule 5: Expected an id/, /^Rule 5: Expected an output/, /^Rule 5: Expected a list of rows/,
    ];
    for (const [index, pattern] of expected.entries()) assert.match(problems[index] ?? "", pattern);
    assert.equal(problems.length, expected.length, problems.join("\n"));
    assert.deepEqual(checkRules("x" as unknown as Rule[]), ["Expected a list of rules."]);
    assert.deepEqual(checkRules([]), []);
    assert.throws(() => compileRules(bad), (error: unknown) => error instanceof SettingError && error.code === "CONF_003" && error.message.split("\n").length === expected.length);
    assert.throws(() => compileRules([], "random" as RouteMode), /mode to be one of binding, first, all, got "random"/);
  });

  it("is data a form can be drawn from", () => {
    const sent = JSON.parse(JSON.stringify({ FIELDS, TESTS })) as { FIELDS: { id: string; tests: string[]; label: string }[]; TESTS: { id: string; value: string }[] };
    assert.equal(new Set(sent.FIELDS.map(({ id }) => id)).size, FIELDS.length);
    for (const field of sent.FIELDS) for (const test of field.tests) assert.ok(sent.TESTS.some(({ id }) => id === test), `${field.id} ${test}`);
  });
});
