/** The client that the conformance suite drives: our source of tools, as a gateway would use it. Its last argument is the server's address. */
import { rig } from "./source.ts";

const url = process.argv.at(-1) ?? "";
const one = rig({ kind: "http", url, headers: {}, privateNetwork: true }, { prefix: "" });
const tools = await one.listed();
/** Arguments that fit a schema. */
const fitting = (schema: { properties?: Record<string, { type?: string }> }): Record<string, unknown> => Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, { type }]) => [name, type === "number" || type === "integer" ? 1 : type === "boolean" ? true : "text"]));
for (const tool of tools) {
  const result = await one.call(tool.name, fitting(tool.parameters as never));
  console.log(`${tool.name}: ${result.text}`);
}
await one.close();
