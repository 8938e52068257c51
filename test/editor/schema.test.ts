import assert from "node:assert/strict";
import { fromSchema, toSchema, type Param } from "../../editor/schema.ts";

const room: Param = { name: "room", type: "enum", description: "Which room", required: true, values: ["kitchen", "hall"] };
const degrees: Param = { name: "degrees", type: "number", description: "", required: false, rest: { minimum: 5, maximum: 30 } };

describe("parameters as rows and as JSON Schema", () => {
  it("rows become a schema", () => {
    assert.deepEqual(toSchema([room, degrees]), {
      type: "object",
      properties: { room: { type: "string", description: "Which room", enum: ["kitchen", "hall"] }, degrees: { type: "number", minimum: 5, maximum: 30 } },
      required: ["room"], additionalProperties: false,
    });
  });
  it("and come back as they were, with what rows do not show", () => {
    const { params, hidden, lost } = fromSchema(toSchema([room, degrees]));
    assert.deepEqual(params, [room, degrees]);
    assert.deepEqual(hidden, ["degrees.minimum", "degrees.maximum"]);
    assert.deepEqual(lost, []);
  });
  it("every type of a row survives both ways", () => {
    const rows = (["string", "number", "integer", "boolean", "array", "object"] as const).map((type): Param => ({ name: type, type, description: type, required: false }));
    assert.deepEqual(fromSchema(toSchema(rows)).params, rows);
  });
  for (const [title, schema, lost] of [
    ["a union", { type: "object", oneOf: [] }, ["oneOf"]],
    ["a reference", { type: "object", properties: { a: { $ref: "#/x" } } }, ["a"]],
    ["several types", { type: "object", properties: { a: { type: ["string", "null"] } } }, ["a"]],
    ["choices that are no texts", { type: "object", properties: { a: { enum: [1, 2] } } }, ["a"]],
    ["further properties allowed", { type: "object", additionalProperties: true }, ["additionalProperties"]],
    ["a required name without a property", { type: "object", required: ["b"] }, ["required.b"]],
    ["a list", [], ["schema"]],
  ] as const) it(`${title} cannot be rows, and is named`, () => assert.deepEqual(fromSchema(schema).lost, lost));
});
