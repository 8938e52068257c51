import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Tool } from "../engine/tool.ts";
import { checkInput, checkSchema } from "../engine/tool-input.ts";
import { createTools, firstOfName } from "../engine/tools.ts";
import { skip } from "./rigs/skip.ts";

const tool = (name: string, tags: string[] = []): Tool => ({ name, tags, description: "", parameters: { type: "object" }, risk: "read", readsPrivate: false, talksOutside: false, shared: false, timeoutMs: 1, call: async () => ({ text: "" }) });
const weather = { name: "weather", parameters: { type: "object", properties: { city: { type: "string", maxLength: 40 }, days: { type: "integer", minimum: 1 } }, required: ["city"], additionalProperties: false } };

describe("tools of a gateway", () => {
  it("are chosen by name, by tag, or all", () => {
    const tools = createTools();
    for (const [id, one] of [["1", tool("a", ["home"])], ["2", tool("b")], ["3", tool("c", ["home", "x"])]] as const) assert.equal(tools.add(id, one), undefined);
    assert.deepEqual(tools.choose([{ by: "all" }]).map((one) => one.name), ["a", "b", "c"]);
    assert.deepEqual(tools.choose([{ by: "tag", value: "home" }, { by: "name", value: "b" }]).map((one) => one.name), ["a", "b", "c"]);
    assert.deepEqual(tools.choose([{ by: "name", value: "c" }]).map((one) => one.name), ["c"]);
    assert.deepEqual(tools.choose([]), []);
    tools.remove("3");
    assert.deepEqual(tools.choose([{ by: "tag", value: "home" }]).map((one) => one.name), ["a"]);
  });
  it("have names of their own: the second of a name is refused, the same node may come again", () => {
    const tools = createTools();
    tools.add("1", tool("a"));
    assert.match(tools.add("2", tool("a")) ?? "", /unique.*"a"/);
    assert.equal(tools.add("1", tool("a", ["new"])), undefined);
    assert.equal(tools.choose([{ by: "tag", value: "new" }]).length, 1);
  });
});

describe("tools whose names others chose", () => {
  const foreign = (name: string, tags: string[] = []): Tool => ({ ...tool(name, tags), foreign: true });
  it("give way to the user's own, whichever came first, and come back when the name is free", () => {
    const tools = createTools();
    const offered = () => tools.choose([{ by: "all" }]).map((one) => `${one.name} ${one.foreign === true ? "foreign" : "own"}`);
    assert.equal(tools.add("mcp/unlock", foreign("unlock")), undefined);
    assert.equal(tools.add("own", tool("unlock")), undefined, "the user's own tool is not refused because of a server's");
    assert.deepEqual(offered(), ["unlock own"]);
    assert.match(tools.add("mcp/unlock", foreign("unlock", ["again"])) ?? "", /unique/);
    assert.deepEqual(offered(), ["unlock own"]);
    assert.deepEqual(tools.choose([{ by: "tag", value: "again" }]), []);
    tools.remove("own");
    assert.deepEqual(offered(), ["unlock foreign"]);
    assert.match(tools.add("mcp2/unlock", foreign("unlock")) ?? "", /unique/);
    tools.remove("mcp/unlock");
    tools.remove("mcp2/unlock");
    assert.deepEqual(offered(), []);
  });
  it("stand behind what an agent has by itself, which the user's own do not", () => {
    const names = (...all: Tool[]) => [...firstOfName(all).values()].map((one) => one.description);
    const own = { ...tool("search_history"), description: "built in" };
    assert.deepEqual(names({ ...foreign("search_history"), description: "foreign" }, own), ["built in"]);
    assert.deepEqual(names({ ...tool("search_history"), description: "a flow" }, own), ["a flow"]);
  });
});

describe("tool arguments", () => {
  it("that fit pass, and each fault is told with what was expected", () => {
    assert.equal(checkInput(weather, { city: "Berlin", days: 2 }), undefined);
    for (const [input, pattern] of [[{}, /city/], [{ city: 5 }, /string/], [{ city: "x", days: 0 }, />= 1/], [{ city: "x", more: 1 }, /additional/], [null, /object/], ["text", /object/], [[], /object/]] as const) assert.match(checkInput(weather, input) ?? "", pattern);
  });
  it("written by a hostile model never fit a strict schema", function () {
    const file = path.resolve(process.env.CLAWFLOW_SPECS ?? "../shared/data/specs", "../badinputs/tool-args.json");
    let cases: unknown[];
    try {
      cases = (JSON.parse(readFileSync(file, "utf8")) as { cases: unknown[] }).cases;
    } catch {
      return skip(this, "the hostile tool arguments are not here");
    }
    let read = 0;
    for (const given of cases) {
      const text = typeof given === "string" ? given : JSON.stringify(given);
      let input: unknown;
      try { input = JSON.parse(text); } catch { continue; }
      read++;
      const verdict = checkInput(weather, input);
      const fits = typeof input === "object" && input !== null && !Array.isArray(input) && Object.keys(input).every((key) => key === "city" || key === "days") && typeof (input as { city?: unknown }).city === "string" && (input as { city: string }).city.length <= 40;
      if (!fits) assert.notEqual(verdict, undefined, text.slice(0, 80));
    }
    assert.ok(read > 5, `${read} cases were JSON`);
    assert.equal(({} as { isOwner?: boolean }).isOwner, undefined);
  });
});

describe("a tool's schema", () => {
  it("must be a JSON Schema of an object", () => {
    assert.equal(checkSchema(weather.parameters), undefined);
    for (const [schema, pattern] of [[null, /object/], [[], /object/], ["x", /object/], [{}, /"type": "object"/], [{ type: "string" }, /"type": "object"/], [{ type: "object", properties: { a: { type: "nonsense" } } }, /valid JSON Schema/]] as const) assert.match(checkSchema(schema) ?? "", pattern);
  });
  it("may have an id that another one has too: a deploy makes each of them anew", () => {
    const parameters = () => ({ type: "object", $id: "https://example.org/mine", properties: { city: { $ref: "#/$defs/name" } }, $defs: { name: { type: "string" } } });
    for (const one of [parameters(), parameters()]) {
      assert.equal(checkSchema(one), undefined);
      assert.equal(checkInput({ name: "weather", parameters: one }, { city: "Berlin" }), undefined);
      assert.match(checkInput({ name: "weather", parameters: one }, { city: 5 }) ?? "", /string/);
    }
  });
  it("does not spoil the next one, whatever it calls itself", () => {
    checkSchema({ type: "object", $id: "http://json-schema.org/draft-07/schema" });
    checkSchema({ type: "object", $id: "http://json-schema.org/draft-07/schema#" });
    assert.equal(checkSchema(weather.parameters), undefined);
    assert.match(checkSchema({ type: "object", properties: { a: { minLength: "x" } } }) ?? "", /minLength/);
  });
  it("is forgotten with its tool", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const use = (): WeakRef<object> => {
      const parameters = { ...weather.parameters, description: "used once" };
      assert.equal(checkSchema(parameters), undefined);
      assert.equal(checkInput({ name: "weather", parameters }, { city: "Berlin" }), undefined);
      return new WeakRef(parameters);
    };
    const used = Array.from({ length: 5 }, use);
    for (let turn = 0; turn < 20 && used.some((one) => one.deref() !== undefined); turn++) {
      await new Promise((resolve) => { setImmediate(resolve); });
      collect();
    }
    assert.equal(used.filter((one) => one.deref() !== undefined).length, 0);
  });
});
