/** What the tests of the wires share. */
import assert from "node:assert/strict";
import { ModelError } from "../../engine/errors.ts";
import type { Model, ModelEvent, ModelRequest, ModelSettings, ToolSpec, Turn } from "../../engine/models/model.ts";

export const user = (text: string): Turn => ({ role: "user", text });
export const ask = (more: Partial<ModelRequest> = {}): ModelRequest => ({ system: "", turns: [user("Hello")], tools: [], live: false, ...more });
export const WEATHER: ToolSpec = {
  name: "weather", description: "Weather of a city.",
  parameters: { type: "object", properties: { city: { type: "string", description: "City" } }, required: ["city"], additionalProperties: false },
};

export async function collect(model: Model, request: ModelRequest, signal: AbortSignal = new AbortController().signal): Promise<ModelEvent[]> {
  const events: ModelEvent[] = [];
  for await (const event of model.stream(request, signal)) events.push(event);
  return events;
}
export function textOf(events: readonly ModelEvent[], type: "text" | "thought" = "text"): string {
  return events.map((event) => (event.type === type ? event.delta : "")).join("");
}
export const callsOf = (events: readonly ModelEvent[]) => events.flatMap((event) => (event.type === "call" ? [event.call] : []));
export function endOf(events: readonly ModelEvent[]): Extract<ModelEvent, { type: "end" }> {
  const end = events.at(-1);
  assert.equal(end?.type, "end");
  return end as Extract<ModelEvent, { type: "end" }>;
}
export async function failure(act: Promise<unknown>): Promise<ModelError> {
  try {
    await act;
  } catch (thrown) {
    assert.ok(thrown instanceof ModelError, `expected a ModelError, got ${String(thrown)}`);
    return thrown;
  }
  throw new assert.AssertionError({ message: "expected a ModelError, got an answer" });
}

export const KEY = "sk-CANARY-0123456789abcdef";
export type WireName = "openai" | "responses" | "anthropic";
export const WIRE_NAMES: readonly WireName[] = ["openai", "responses", "anthropic"];
/** Settings of a wire at a stub. */
export function at(url: string, wire: WireName, more: Partial<ModelSettings> = {}): ModelSettings {
  const base: ModelSettings = { provider: wire === "anthropic" ? "anthropic-compatible" : "openai-compatible", model: "test-model", key: KEY, baseUrl: wire === "anthropic" ? url : `${url}/v1` };
  return { ...base, ...(wire === "responses" ? { api: "responses" } : {}), ...more };
}
