import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { ClawError, SettingError } from "../engine/errors.ts";
import { compileTemplate, MAX_RENDERED, MAX_TEMPLATE, renderTemplate } from "../engine/template.ts";

const BAD_INPUTS = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs");
const render = (source: string, data: Record<string, unknown> = {}) => renderTemplate(compileTemplate(source), data);

function fails(act: () => unknown, kind: typeof ClawError, pattern: RegExp): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(error instanceof kind, String(error));
    assert.equal(error.code, "AGENT_002");
    assert.match(error.message, pattern);
    return true;
  });
}

describe("template", () => {
  it("fills in data, loops and conditions", () => {
    assert.equal(render("You help {{ person.name }}.", { person: { name: "Ada" } }), "You help Ada.");
    assert.equal(render("{% for light in lights %}{{ light }};{% endfor %}", { lights: ["hall", "attic"] }), "hall;attic;");
    assert.equal(render("{{ missing.deep }}|{{ missing | default: 'x' }}"), "|x");
    assert.equal(render("{% if a == 1 %}one{% elif a == 2 %}two{% elsif a == 3 %}three{% else %}many{% endif %}", { a: 2 }), "two");
    assert.equal(render("{% if a %}{% if b %}x{% elif c %}y{% endif %}{% elif d %}z{% endif %}", { a: true, c: true }), "y");
    assert.equal(render("{{ a | upper }}{{ b | lower }}{{ c | length }}{{ d | trim }}", { a: "x", b: "Y", c: [1, 2], d: " z " }), "Xy2z");
  });

  it("leaves a text without tags as it is", () => {
    const fixed = compileTemplate("Braces { } and } } are no tags. %}");
    assert.equal(fixed.parsed, undefined);
    assert.equal(renderTemplate(fixed, { a: 1 }), "Braces { } and } } are no tags. %}");
  });

  it("knows time and time zone from the data", () => {
    const data = { now: Date.UTC(2026, 2, 29, 1, 30), timeZone: "Europe/Berlin", sentAt: Date.UTC(2026, 0, 1) };
    assert.equal(render("{{ 'now' | date: '%Y-%m-%d %H:%M' }}", data), "2026-03-29 03:30");
    assert.equal(render("{{ 'now' | date: '%H:%M', 'America/New_York' }}", data), "21:30");
    assert.equal(render("{{ sentAt | date: '%Y-%m-%d %H:%M' }}", data), "2026-01-01 01:00");
    assert.equal(render("{{ 1700000000 | date: '%Y', 'UTC' }}"), "2023", "seconds stay seconds");
    assert.match(render("{{ 'now' | date: '%Y' }}"), /^20\d\d$/);
    fails(() => render("{{ 'now' | date: '%Y', 'Mars/Base' }}"), ClawError, /line 1/);
  });

  it("substitutes once: what comes in is never a template", () => {
    assert.equal(render("{{ text }}", { text: "{{ secret }}{% raw %}", secret: "s" }), "{{ secret }}{% raw %}");
    assert.equal(render("{% assign a = text %}{{ a }}{% capture b %}{{ a }}{% endcapture %}{{ b }}", { text: "{{ secret }}", secret: "s" }), "{{ secret }}{{ secret }}");
  });

  it("shows own fields alone", () => {
    const data = { a: [1], t: "x", o: JSON.parse('{"__proto__":{"isOwner":true}}') as unknown, inherits: Object.create({ hidden: "h" }) as unknown };
    assert.equal(render("{{ a.constructor }}{{ t.constructor.name }}{{ o.isOwner }}{{ o.toString }}{{ inherits.hidden }}{{ constructor }}{{ toString }}", data), "");
    assert.equal(render("{{ a | map: 'constructor' }}", data), "");
  });

  it("names the line of a fault when it is compiled", () => {
    fails(() => compileTemplate("a\nb {{ x | nofilter }}"), SettingError, /line 2, column 3: undefined filter: nofilter/);
    fails(() => compileTemplate("a\n\n{% if x %}"), SettingError, /line 3, column 1: .*not closed/);
    fails(() => compileTemplate("{{ x "), SettingError, /line 1/);
    fails(() => compileTemplate("{% foo %}"), SettingError, /tag "foo" not found/);
    fails(() => compileTemplate("x".repeat(MAX_TEMPLATE + 1)), SettingError, /at most 100000 characters, got 100001/);
    for (const tag of ["include 'package.json'", "render './package.json'", "layout 'x'", "block a"]) fails(() => compileTemplate(`{% ${tag} %}`), SettingError, /not available/);
  });

  it("ends, however large it is meant to grow", () => {
    fails(() => render("a\n{% for i in (1..100000000) %}x{% endfor %}"), ClawError, /line 2/);
    fails(() => render("{%- for a in (1..3000) -%}{%- for b in (1..3000) -%}{{ a }}{%- endfor -%}{%- endfor -%}"), ClawError, /limit/);
    fails(() => render("{%- assign x = 'a' -%}{%- for i in (1..40) -%}{%- assign x = x | append: x -%}{%- endfor -%}{{ x }}"), ClawError, /limit/);
    fails(() => render("{{ x }}{{ x }}", { x: "y".repeat(MAX_RENDERED / 2 + 1) }), ClawError, /at most 1000000 characters, got 1000002/);
    fails(() => render("{{ x | date: '%Y' }}", { x: { toString: null, valueOf: 1 } }), ClawError, /prompt template failed/);
  });

  it("keeps hostile texts as they are", function () {
    const file = path.join(BAD_INPUTS, "unicode-text.json");
    if (!existsSync(file)) {
      console.log("      no hostile inputs here (CLAWFLOW_SPECS)");
      this.skip();
    }
    const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: { name: string; text: string }[] };
    const template = compileTemplate("<{{ message.text }}>");
    for (const { name, text } of cases) assert.equal(renderTemplate(template, { message: { text } }), `<${text}>`, name);
    assert.ok(cases.length > 20);
  });
});
