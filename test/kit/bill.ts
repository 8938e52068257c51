/** What providers may ask for, reckoned from what their stubs saw on the wire, in whole numbers: nothing of the ledger's own sums. */
import { reserveOf } from "../../engine/ledger.ts";
import type { ModelRequest, Turn, Usage } from "../../engine/models/model.ts";
import { parsePrices, type PriceList } from "../../engine/models/prices.ts";
import type { UsageRow } from "../../engine/store/store.ts";

interface WireCall { readonly id: string; readonly function: { readonly name: string; readonly arguments: string } }
interface WireTurn { readonly role: string; readonly content?: unknown; readonly tool_calls?: readonly WireCall[]; readonly tool_call_id?: string }
/** Body of a chat completion. */
export interface WireBody { readonly messages: readonly WireTurn[]; readonly max_tokens?: number; readonly tools?: readonly { readonly function: ModelRequest["tools"][number] }[] }

/** Micro-USD for a hundred tokens in and out: whole numbers. */
export type Tariff = Readonly<Record<string, readonly [input: number, output: number]>>;
export const priceList = (provider: string, tariff: Tariff): PriceList =>
  parsePrices(JSON.stringify({ asOf: "2026-11-01", prices: Object.entries(tariff).map(([model, [input, output]]) => ({ provider, model, input: input / 100, output: output / 100 })) }), "prices.json");

/** `whole`: answered to the end. `refused`: nothing was begun. `cut`: begun, and nobody knows how far it came. */
export type End = "whole" | "refused" | "cut";
export interface Seen { readonly turn: string; readonly model: string; readonly body: WireBody; readonly end: End; /** What the stub said that it used. */ readonly usage: Usage }
export interface Charge { readonly turn: string; readonly model: string; readonly input: number; readonly output: number; readonly micros: number; readonly exact: boolean }
export interface Sum { readonly tokens: number; readonly micros: number }

/** The request as it was before it went onto the wire. */
function requestOf({ messages: [system, ...said], max_tokens: maxTokens, tools = [] }: WireBody): ModelRequest {
  const text = (content: unknown): string => (typeof content === "string" ? content : "");
  const turns = said.map(({ role, content, tool_calls: calls, tool_call_id: call = "" }): Turn => {
    if (role === "user") return { role, text: text(content) };
    // What failed is marked on the wire.
    if (role === "tool") return { role, call, name: "", text: text(content).replace(/^Error: /, ""), failed: false };
    return { role: "assistant", text: text(content), ...(calls === undefined ? {} : { calls: calls.map(({ id, function: { name, arguments: input } }) => ({ id, name, input: JSON.parse(input) })) }) };
  });
  return { system: text(system?.content), turns, tools: tools.map((tool) => tool.function), live: false, ...(maxTokens === undefined ? {} : { maxTokens }) };
}
/** The most that this request may use. */
export const mostOf = (body: WireBody): Usage => reserveOf(requestOf(body));

/** The name of a turn, as in "t12x". */
export const turnIn = (text: string): string => /t\d+x/.exec(text)?.[0] ?? "";
export const turnNumber = (turn: string): number => Number(turn.slice(1, -1));
/** The turn that is asked about. */
export const turnOf = ({ messages }: WireBody): string => turnIn(JSON.stringify(messages.findLast(({ role }) => role === "user")?.content));
/** What a stub says that it used: more or less of what it may be. */
export function usageOf(model: string, body: WireBody): Usage {
  const most = mostOf(body);
  const n = turnNumber(turnOf(body)) + body.messages.length + model.length;
  return { input: most.input - (n % 9), output: most.output - ((n * 7) % 40) };
}

const charge = ({ turn, model }: Seen, { input, output }: Usage, exact: boolean, tariff: Tariff): Charge => {
  const [perInput, perOutput] = tariff[model] as readonly [number, number];
  return { turn, model, input, output, micros: Math.ceil((input * perInput + output * perOutput) / 100), exact };
};
/** A call that was answered costs what was used, one that broke off its reserve, one that was refused nothing. */
export const chargesOf = (seen: readonly Seen[], tariff: Tariff): Charge[] => seen.flatMap((one) => (one.end === "refused" ? [] : [charge(one, one.end === "whole" ? one.usage : mostOf(one.body), one.end === "whole", tariff)]));
export const sumOf = (charges: readonly Charge[]): Sum => charges.reduce((sum, { input, output, micros }) => ({ tokens: sum.tokens + input + output, micros: sum.micros + micros }), { tokens: 0, micros: 0 });
/** The largest reserve among these calls. */
export function reserveIn(seen: readonly Seen[], tariff: Tariff): Sum {
  const each = seen.map((one) => sumOf([charge(one, mostOf(one.body), false, tariff)]));
  return { tokens: Math.max(0, ...each.map(({ tokens }) => tokens)), micros: Math.max(0, ...each.map(({ micros }) => micros)) };
}

const line = ({ turn, model, input, output, micros, exact }: Charge): string => `${turn}: ${model} ${input} + ${output} tokens, ${micros} micros${exact ? "" : ", reserved"}`;
/** Calls that the ledger has and the stubs do not, and the other way round. */
export function unlike(charges: readonly Charge[], rows: readonly UsageRow[], turnOf: (row: UsageRow) => string): string[] {
  const booked = rows.map((row) => line({ turn: turnOf(row), model: row.model, input: row.input, output: row.output, micros: row.micros ?? Number.NaN, exact: row.exact }));
  const seen = charges.map(line);
  for (const one of [...seen]) {
    const at = booked.indexOf(one);
    if (at < 0) continue;
    booked.splice(at, 1);
    seen.splice(seen.indexOf(one), 1);
  }
  return [...seen.map((one) => `not booked: ${one}`), ...booked.map((one) => `booked for nothing: ${one}`)];
}
/** Groups that passed their limit by more than the largest reserve among their calls. */
export function overspent(name: string, seen: readonly Seen[], tariff: Tariff, limit: Sum, group: (turn: string) => string): string[] {
  return [...Map.groupBy(seen, ({ turn }) => group(turn))].flatMap(([key, own]) => {
    const [spent, reserve] = [sumOf(chargesOf(own, tariff)), reserveIn(own, tariff)];
    return (["tokens", "micros"] as const).filter((unit) => spent[unit] > limit[unit] + reserve[unit]).map((unit) => `${name} ${key}: ${spent[unit]} ${unit} of ${limit[unit]}, the reserve is ${reserve[unit]}`);
  });
}
