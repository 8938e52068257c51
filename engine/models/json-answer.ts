/** Answers that are JSON of a given form: how each provider is asked for them, and what is done where one answers otherwise. */
import { ModelError } from "../errors.ts";
import { checkJson } from "../tool-input.ts";
import type { JsonSchema, Model, ModelEvent, ModelRequest, Turn, Usage } from "./model.ts";
import type { Place } from "./place.ts";
import { addUsage } from "./usage.ts";

/** How this request says that it wants JSON: by the schema, by "some JSON", or by words alone. The words are there in any case. */
export function jsonMode({ provider: { quirks = {} }, settings }: Place, request: ModelRequest): "schema" | "object" | "prompt" {
  const { json = "prompt", jsonNot = [] } = quirks;
  const name = settings.model.toLowerCase();
  if (json === "prompt" || jsonNot.some((beginning) => name.startsWith(beginning))) return "prompt";
  if (json === "schema") return "schema";
  return request.tools.length > 0 ? "prompt" : json === "object" ? "object" : "schema";
}

/** Keywords that every provider takes which holds an answer to a schema by force. */
const PLAIN = new Set(["type", "properties", "required", "additionalProperties", "items", "enum", "const", "description", "title", "anyOf", "$defs", "$ref"]);

/** Whether a provider can hold an answer to the schema by force: plain keywords, every object closed, every property required. Else it refuses the request. */
export function strictSchema(schema: unknown): boolean {
  if (typeof schema !== "object" || schema === null) return false;
  const { type, properties = {}, required = [], additionalProperties, items, anyOf = [], $defs = {}, ...rest } = schema as { [keyword: string]: unknown; properties?: object; required?: unknown[]; anyOf?: unknown[]; $defs?: object };
  if (!Object.keys(rest).every((keyword) => PLAIN.has(keyword))) return false;
  const names = Object.keys(properties);
  const isObject = type === "object" || (Array.isArray(type) && type.includes("object")) || names.length > 0;
  if (isObject && (additionalProperties !== false || !names.every((name) => required.includes(name)))) return false;
  return [...Object.values(properties), ...Object.values($defs), ...anyOf, ...(items === undefined ? [] : [items])].every(strictSchema);
}

const words = (schema: JsonSchema): string => `Answer with one JSON object and nothing else: no words around it, no code fence. It must fit this JSON Schema:\n${JSON.stringify(schema)}`;

/** The JSON of an answer; models like to put a fence or a word around it. Undefined: there is none. */
export function readJson(text: string): unknown {
  const inside = /```(?:json)?([\s\S]*?)```/.exec(text)?.[1];
  for (const candidate of [text, inside, text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1)]) {
    try {
      if (candidate) return JSON.parse(candidate);
    } catch {
      // The next candidate may be it.
    }
  }
  return undefined;
}

/** What is wrong with an answer, for the model to mend; undefined when it fits. */
function faultOf(text: string, schema: JsonSchema): string | undefined {
  const answer = readJson(text);
  return answer === undefined ? "The answer is no JSON." : checkJson(schema, answer);
}

/**
 * The same model, whose answers are JSON that fits the schema: one that does not is given back once, and if the second does not fit either, MODEL_007 is thrown.
 * The text comes in one piece, without anything around the JSON; calls of tools pass as they are. Both requests count in the usage.
 */
export function jsonModel(model: Model, schema: JsonSchema): Model {
  return {
    ...model,
    async *stream(request, signal) {
      const asked: ModelRequest = { ...request, schema, system: [request.system, words(schema)].filter((part) => part !== "").join("\n\n") };
      let turns: readonly Turn[] = request.turns;
      let spent: Usage | undefined;
      for (let last = false; ; last = true) {
        const { text, end, others } = await listen(model, { ...asked, turns }, signal);
        const usage = spent === undefined ? end.usage : addUsage(spent, end.usage);
        const fault = end.reason === "calls" ? undefined : faultOf(text, schema);
        if (fault === undefined) {
          yield* others;
          const clean = end.reason === "calls" ? text : JSON.stringify(readJson(text));
          if (clean !== "") yield { type: "text", delta: clean };
          yield { ...end, usage };
          return;
        }
        if (end.reason === "length") throw new ModelError("MODEL_007", {}, "Expected JSON, but the answer reached the token limit before it was complete. Raise the limit.");
        if (last) throw new ModelError("MODEL_007", {}, `Expected an answer that fits the JSON Schema after one correction. ${fault} Got: ${text.slice(0, 200)}`);
        spent = usage;
        turns = [...turns, { role: "assistant", text }, { role: "user", text: `${fault} Answer again, with the corrected JSON object alone.` }];
      }
    },
  };
}

type End = Extract<ModelEvent, { type: "end" }>;
async function listen(model: Model, request: ModelRequest, signal: AbortSignal): Promise<{ text: string; end: End; others: ModelEvent[] }> {
  let text = "";
  let others: ModelEvent[] = [];
  for await (const event of model.stream(request, signal)) {
    if (event.type === "text") text += event.delta;
    else if (event.type === "again") {
      text = "";
      others = [...others.filter(({ type }) => type === "again"), event];
    }
    else if (event.type === "end") return { text, end: event, others };
    else others.push(event);
  }
  throw new ModelError("MODEL_007", { retry: "later" }, "Expected the model's stream to end properly, got a cut.");
}
