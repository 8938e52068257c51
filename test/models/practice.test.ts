import assert from "node:assert/strict";
import type { Clock } from "../../engine/clock.ts";
import { openModel } from "../../engine/models/index.ts";
import { jsonModel } from "../../engine/models/json-answer.ts";
import type { Model, ModelRequest, ToolSpec, Turn } from "../../engine/models/model.ts";
import { ask, callsOf, collect, endOf, textOf, user } from "./kit.ts";

const tool = (name: string, description: string, properties: object = {}, required: string[] = []): ToolSpec => ({ name, description, parameters: { type: "object", properties, required } });
const HOME: readonly ToolSpec[] = [
  tool("list_lights", "Tells which lights are on and which are off."),
  tool("switch_light", "Switches a light on or off.", { light: { type: "string", enum: ["kitchen", "living room", "hall"] }, on: { type: "boolean" } }, ["light", "on"]),
  tool("set_thermostat", "Sets the target temperature of the thermostat in degrees Celsius.", { celsius: { type: "number", minimum: 5, maximum: 30 } }, ["celsius"]),
  tool("read_thermostat", "Reads the room temperature and the target of the thermostat."),
  tool("front_door", "Tells whether the front door is open or closed."),
  tool("announce", "Announces a text in the house.", { text: { type: "string" } }, ["text"]),
  tool("get_weather", "Weather for a city.", { city: { type: "string" } }, ["city"]),
];
/** The same home as other people would write it. */
const OTHER: readonly ToolSpec[] = [
  tool("getLampStates", "Zustand aller Lampen"),
  tool("setLamp", "Schaltet eine Lampe", { name: { enum: ["küche", "wohnzimmer", "flur"] }, state: { type: "string", enum: ["on", "off"] } }, ["name", "state"]),
  tool("heating", "Set the target of the heating", { target: { type: "integer" }, room: { type: "string", enum: ["bedroom", "office"] } }, ["target"]),
  tool("isDoorOpen", "Is the front door open or closed?"),
  tool("garage", "Opens or closes the garage gate.", { open: { type: "boolean" } }, ["open"]),
  tool("roll_dice", "Rolls dice and tells each result.", { count: { type: "integer", minimum: 1, maximum: 10 }, sides: { type: "integer" } }, ["count"]),
  tool("add_to_shopping_list", "Adds an item to the shopping list.", { item: { type: "string" } }, ["item"]),
];

/** Time that passes only when told. */
function stepClock(): Clock & { waits: number[] } {
  const waits: number[] = [];
  return { waits, now: () => 0, monotonic: () => 0, after: (ms, act) => { waits.push(ms); const timer = setImmediate(act); return () => { clearImmediate(timer); }; } };
}

describe("the practice model", () => {
  let model: Model;
  beforeEach(async () => {
    let id = 0;
    model = await openModel({ provider: "practice", model: "" }, fetch, { clock: stepClock(), newId: () => String(++id) });
  });
  const read = (turns: readonly Turn[], tools: readonly ToolSpec[], more: Partial<ModelRequest> = {}) => collect(model, ask({ turns, tools, ...more }));
  async function plan(text: string, tools: readonly ToolSpec[] = HOME): Promise<string> {
    const events = await read([user(text)], tools);
    return callsOf(events).map((call) => `${call.name} ${JSON.stringify(call.input)}`).join(" + ") || textOf(events);
  }
  /** Runs the calls with the given results and gives the answer. */
  async function dialog(text: string, results: Record<string, string>, tools: readonly ToolSpec[] = HOME, before: readonly Turn[] = []): Promise<string> {
    const turns: Turn[] = [...before, user(text)];
    const calls = callsOf(await read(turns, tools));
    assert.ok(calls.length > 0, `no call for "${text}"`);
    turns.push({ role: "assistant", text: "", calls });
    for (const call of calls) turns.push({ role: "tool", call: call.id, name: call.name, text: results[call.name] ?? "ok", failed: (results[call.name] ?? "").startsWith("!") });
    return textOf(await read(turns, tools));
  }

  for (const [text, expected] of [
    ["which lights are on?", "list_lights {}"], ["Show me all lights", "list_lights {}"], ["Is the kitchen light on?", "list_lights {}"], ["are all lights off?", "list_lights {}"], ["lights", "list_lights {}"],
    ["turn on the kitchen light", 'switch_light {"light":"kitchen","on":true}'], ["Turn the hall lamp off, please", 'switch_light {"light":"hall","on":false}'], ["Can you switch on the living room light?", 'switch_light {"light":"living room","on":true}'], ["kitchen light off", 'switch_light {"light":"kitchen","on":false}'],
    ["turn off the lights in the hall and the kitchen", 'switch_light {"light":"kitchen","on":false} + switch_light {"light":"hall","on":false}'],
    ["switch everything off", 'switch_light {"light":"kitchen","on":false} + switch_light {"light":"living room","on":false} + switch_light {"light":"hall","on":false}'],
    ["set the thermostat to 21", 'set_thermostat {"celsius":21}'], ["Set the heating to 20.5 degrees", 'set_thermostat {"celsius":20.5}'], ["what is the temperature?", "read_thermostat {}"], ["how warm is it?", "read_thermostat {}"],
    ["is the front door open?", "front_door {}"], ["Is the door closed", "front_door {}"],
    ["turn on the kitchen light and set the thermostat to 19", 'switch_light {"light":"kitchen","on":true} + set_thermostat {"celsius":19}'], ["which lights are on and is the front door open?", "list_lights {} + front_door {}"],
    ["announce dinner is ready", 'announce {"text":"dinner is ready"}'], ['Announce "the bus comes"', 'announce {"text":"the bus comes"}'], ["what's the weather in New York tomorrow?", 'get_weather {"city":"New York"}'],
    ["Welche Lichter sind an?", "list_lights {}"], ["Schalte das Küchenlicht ein", 'switch_light {"light":"kitchen","on":true}'], ["Mach bitte im Wohnzimmer das Licht aus", 'switch_light {"light":"living room","on":false}'], ["Kannst du das Licht im Flur anmachen?", 'switch_light {"light":"hall","on":true}'],
    ["Stell die Heizung auf 22,5 Grad", 'set_thermostat {"celsius":22.5}'], ["Ist die Haustür offen?", "front_door {}"], ["Wie warm ist es?", "read_thermostat {}"], ["Wie wird das Wetter in Köln?", 'get_weather {"city":"Köln"}'],
  ] as const) {
    it(`"${text}" → ${expected}`, async () => { assert.equal(await plan(text), expected); });
  }

  for (const [text, expected] of [
    ["which lights are on?", "getLampStates {}"], ["turn on the light in the kitchen", 'setLamp {"name":"küche","state":"on"}'], ["Mach die Lampe im Flur aus", 'setLamp {"name":"flur","state":"off"}'],
    ["set the heating in the office to 21", 'heating {"target":21,"room":"office"}'], ["is the front door open?", "isDoorOpen {}"], ["open the garage", 'garage {"open":true}'], ["close the garage gate", 'garage {"open":false}'],
    ["roll two dice", 'roll_dice {"count":2}'], ["Roll 3 dice with 20 sides", 'roll_dice {"count":3,"sides":20}'], ["Wirf vier Würfel", 'roll_dice {"count":4}'],
    ["turn on the light in the kitchen and tell me which lights are on", 'setLamp {"name":"küche","state":"on"} + getLampStates {}'],
    ["add oat milk to the shopping list", 'add_to_shopping_list {"item":"oat milk"}'],
  ] as const) {
    it(`"${text}" → ${expected}, with tools named otherwise`, async () => { assert.equal(await plan(text, OTHER), expected); });
  }

  it("passes a talk on in the person's words", async () => {
    const over = [tool("hand_over_to_billing", "Hands this talk over: billing answers the person from now on. Bills, payments and refunds.", { note: { type: "string", description: "What the other agent should know." } }, ["note"])];
    assert.equal(await plan("hand over to billing", over), 'hand_over_to_billing {"note":"hand over to billing"}');
    assert.equal(await plan("I have a question about my bill", over), 'hand_over_to_billing {"note":"bill"}');
    assert.match(await plan("hello", over), /^Hello!/);
  });

  it("looks a question up that no tool is about, where there is something to search", async () => {
    const search = tool("search_documents", "Finds passages in documents: the manual.", { query: { type: "string" } }, ["query"]);
    assert.equal(await plan("How warm may it be at night?", [search]), 'search_documents {"query":"How warm may it be at night"}');
    assert.equal(await plan("which lights are on?", [search, ...HOME]), "list_lights {}");
    for (const text of ["hello", "what can you do?", "The night is warm", "???"]) assert.doesNotMatch(await plan(text, [search]), /^search_documents \{/, text);
    assert.doesNotMatch(await plan("why is the sky blue?", [tool("delete_search", "Deletes", { id: { type: "integer" } }, ["id"])]), /^delete_search/);
  });

  it("changes nothing on a guess", async () => {
    for (const text of ["open the window in the kitchen", "turn the radio in the kitchen on", "the kitchen is too dark", "is the garage door open?", "tell me about light bulbs in history class", "what is 2+2?", "I like the hall", "close the window", "lock the front door", "is the kitchen light on?", "why is the light on?", "don't know", "", "???", "21"]) {
      const calls = callsOf(await read([user(text)], HOME)).filter((call) => /^(set|switch|announce)/.test(call.name));
      assert.deepEqual(calls, [], text);
    }
    assert.deepEqual(callsOf(await read([user("turn on the kitchen light")], [])), []);
    const plain = tool("switch", "Switches it", { room: { enum: ["kitchen", "hall"] }, on: { type: "boolean" } }, ["room", "on"]);
    assert.deepEqual(callsOf(await read([user("turn the radio in the kitchen on")], [plain])), []);
    assert.equal(callsOf(await read([user("turn the kitchen on")], [plain])).length, 1);
  });

  it("asks for what it needs, and understands the answer", async () => {
    assert.equal(await plan("turn on the light"), "I still need: light (kitchen, living room or hall).");
    assert.equal(await plan("set the thermostat to 50"), "I still need: celsius (5 to 30).");
    assert.equal(await plan("Stelle die Heizung höher"), "Mir fehlt noch: celsius (5 bis 30).");
    const turns = [user("turn on the light"), { role: "assistant" as const, text: "I still need: light (kitchen, living room or hall)." }, user("the hall")];
    assert.deepEqual(callsOf(await read(turns, HOME)).map((call) => call.input), [{ light: "hall", on: true }]);
  });

  it("knows what \"it\" is", async () => {
    const turns: Turn[] = [user("turn on the hall light"), { role: "assistant", text: "", calls: [{ id: "a", name: "switch_light", input: { light: "hall", on: true } }] }, { role: "tool", call: "a", name: "switch_light", text: "ok", failed: false }, { role: "assistant", text: "Done." }, user("turn it off again")];
    assert.deepEqual(callsOf(await read(turns, HOME)).map((call) => call.input), [{ light: "hall", on: false }]);
  });

  it("answers with what the tools returned, as sentences", async () => {
    const lights = '{"kitchen":true,"living room":false,"hall":true}';
    for (const [text, results, expected] of [
      ["which lights are on?", { list_lights: lights }, "Kitchen and hall are on."],
      ["which lights are on?", { list_lights: '{"kitchen":false,"hall":false}' }, "None of them is on."],
      ["which lights are on?", { list_lights: '{"kitchen":"off","hall":"on"}' }, "Hall is on."],
      ["which lights are on?", { list_lights: '[{"name":"kitchen","on":true},{"name":"hall","on":false}]' }, "Kitchen is on."],
      ["which lights are on?", { list_lights: '{"on":["kitchen","hall"],"off":["living room"]}' }, "Kitchen and hall are on."],
      ["which lights are on?", { list_lights: "The kitchen light is on, all others are off." }, "The kitchen light is on, all others are off."],
      ["Welche Lichter sind an?", { list_lights: lights }, "Kitchen und hall sind an."],
      ["Is the living room light on?", { list_lights: lights }, "No, the living room light is off."],
      ["are all lights off?", { list_lights: lights }, "No: kitchen: on, living room: off, hall: on."],
      ["is the front door open?", { front_door: '{"open":false}' }, "No, the front door is closed."],
      ["is the front door open?", { front_door: '{"state":"open"}' }, "Yes, the front door is open."],
      ["is the front door open?", { front_door: "closed" }, "No, the front door is closed."],
      ["is the front door open?", { front_door: "true" }, "Yes, the front door is open."],
      ["Ist die Haustür offen?", { front_door: '{"open":false}' }, "Nein, die Haustür ist geschlossen."],
      ["what is the temperature?", { read_thermostat: '{"temperature":20.5,"target":21}' }, "Temperature: 20.5, target: 21."],
      ["what is the temperature?", { read_thermostat: "20.5" }, "It is 20.5."],
      ["turn on the kitchen light", { switch_light: '{"ok":true}' }, "Done: kitchen light, on."],
      ["turn on the kitchen light", { switch_light: "The kitchen light is on now." }, "The kitchen light is on now."],
      ["turn on the kitchen light", { switch_light: '{"light":"kitchen","on":true}' }, "Done: kitchen: on."],
      ["set the thermostat to 21", { set_thermostat: "" }, "Done: celsius 21."],
      ["Schalte das Küchenlicht ein", { switch_light: "ok" }, "Erledigt: kitchen, an."],
      ["turn on the kitchen light", { switch_light: "![TOOL_002] Expected an answer within 5 s, got none." }, "That did not work (switch_light): ![TOOL_002] Expected an answer within 5 s, got none."],
      ["which lights are on and is the front door open?", { list_lights: lights, front_door: '{"open":true}' }, "Kitchen and hall are on.\nYes, the front door is open."],
      ["turn on the kitchen light and tell me which lights are on", { switch_light: "ok", list_lights: lights }, "Done: kitchen light, on.\nKitchen and hall are on."],
    ] as const) assert.equal(await dialog(text, results), expected, `${text} ${JSON.stringify(results)}`);
  });

  it("is honest about what it is, and says what it can do", async () => {
    for (const text of ["Hello", "hi there", "who are you?", "help", "tell me a joke"]) {
      const said = await plan(text);
      assert.match(said, /practice model/, text);
      for (const { name } of HOME) assert.match(said, new RegExp(`\`${name}\``));
    }
    assert.match(await plan("Hallo"), /Übungsmodell.*Werkzeuge/s);
    assert.match(await plan("erzähl einen Witz"), /verstehe ich nicht.*Modell-Knoten/s);
    assert.match(await plan("hello", []), /gives me no tools/);
    assert.equal(await plan("thanks!"), "You are welcome.");
    assert.equal(await plan("Danke"), "Gern geschehen.");
  });

  it("streams word by word, with a pause by the given clock", async () => {
    const clock = stepClock();
    const own = await openModel({ provider: "practice", model: "" }, fetch, { clock });
    const live = await collect(own, ask({ turns: [user("hello")], tools: HOME, live: true }));
    const pieces = live.filter((event) => event.type === "text");
    assert.ok(pieces.length > 20);
    assert.deepEqual([clock.waits.length, new Set(clock.waits)], [pieces.length - 1, new Set([30])]);
    const whole = await collect(own, ask({ turns: [user("hello")], tools: HOME }));
    assert.equal(whole.filter((event) => event.type === "text").length, 1);
    assert.equal(textOf(live), textOf(whole));
    assert.equal(clock.waits.length, pieces.length - 1);
    assert.ok(endOf(whole).usage.input > 100 && endOf(whole).usage.output > 50);
  });

  it("gives the same answer to the same question, and survives any text and any schema", async () => {
    const odd: ToolSpec[] = [tool("", ""), { name: "x", description: "", parameters: {} }, { name: "light", description: "Light", parameters: { type: "object", properties: { a: null, b: { enum: [] }, c: { type: ["string", "null"] }, d: { type: "array", items: { enum: ["on", "off"] } }, e: true }, required: ["a", "zz"] } as never }];
    for (const text of ["turn on the light", "a".repeat(100_000), "and and and , , and", "ist ".repeat(5000), "\u0000\uD800", "{}[]()", "__proto__ constructor toString", "turn on the constructor"]) {
      const first = await read([user(text)], [...HOME, ...odd]);
      const again = await read([user(text)], [...HOME, ...odd]);
      assert.equal(textOf(first), textOf(again));
      assert.deepEqual(callsOf(first).map((call) => call.input), callsOf(again).map((call) => call.input));
    }
  });

  it("speaks of results of any shape", async () => {
    for (const result of ["", "null", "[]", "{}", "0", '"x"', "[1,2]", '[{"a":{"b":[1,{"c":null}]}}]', '{"__proto__":{"on":true}}', "x".repeat(50_000), '{"ok":true,"error":null}']) {
      for (const text of ["which lights are on?", "is the front door open?", "turn on the kitchen light", "Welche Lichter sind an?"]) assert.ok((await dialog(text, { list_lights: result, front_door: result, switch_light: result })).trim().length > 0, `${text} ${result.slice(0, 40)}`);
    }
  });
});

describe("the practice model where JSON is wanted", () => {
  const FORM = {
    type: "object", additionalProperties: false, required: ["room", "degrees", "on", "note", "tags", "inner"],
    properties: { room: { type: "string", enum: ["hall", "kitchen"] }, degrees: { type: "integer" }, on: { type: "boolean" }, note: { type: "string" }, tags: { type: "array" }, inner: { type: "object", properties: { more: { type: "number" } } } },
  };
  it("fills the form by simple rules, and it fits", async () => {
    const model = jsonModel(await openModel({ provider: "practice", model: "" }, fetch), FORM);
    const said = async (text: string): Promise<unknown> => {
      let whole = "";
      for await (const event of model.stream({ system: "", turns: [{ role: "user", text }], tools: [], live: false }, new AbortController().signal)) if (event.type === "text") whole += event.delta;
      return JSON.parse(whole);
    };
    assert.deepEqual(await said("Kitchen to 21, not 2,5"), { room: "kitchen", degrees: 21, on: false, note: "Kitchen to 21, not 2,5", tags: [], inner: { more: 2.5 } });
    assert.deepEqual(await said("Hi"), { room: "hall", degrees: 0, on: true, note: "Hi", tags: [], inner: { more: 0 } });
  });
});
