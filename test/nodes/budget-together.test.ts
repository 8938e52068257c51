/**
 * One limit for everything at once, in a real Node-RED: many runs of an agent that asks agents, which ask agents, at models over HTTP that refuse, break off in the
 * middle and are stood in for. The judge is what the stub of the models saw, call by call.
 */
import assert from "node:assert/strict";
import { chargesOf, type End, overspent, reserveIn, type Seen, type Sum, sumOf, type Tariff, turnOf, unlike, usageOf, type WireBody } from "../kit/bill.ts";
import { until } from "../kit/scripted.ts";
import { type Answer, chatChunks, json, type LlmStub, sse, startLlm, wholeChat } from "../platforms/llm.ts";
import { account, gateway, type Home, model, on, startHome, tab } from "../rigs/home.ts";
import type { UsageRow } from "../../engine/store/store.ts";

const TARIFF: Tariff = { dear: [300, 1_500], cheap: [55, 219] };
const ANSWER_TOKENS = 60;
const AT_ONCE = 25;
/** What is to be used up: several times what all of them reserve at once, and less than they would use. */
const TOKENS = 24_000;
const MICROS = 60_000;
const agent = (name: string, asks: readonly string[], more: Record<string, unknown> = {}, ...wires: string[][]) =>
  on(name.toLowerCase(), "clawflow-agent", { gateway: "gw", model: "dear-model", name, system: `You are ${name}.`, tools: asks.map((value) => ({ by: "agent", value })), live: false, maxTokens: ANSWER_TOKENS, version: 1, ...more }, ...wires);
/** The desk is watched while it writes, so its answers are streams. */
const flow = (llm: string, limit: Record<string, number>) => [
  tab, { ...gateway, timeZone: "UTC", ...limit },
  ...Object.entries(TARIFF).map(([name, [input, output]]) => ({ ...model({ provider: "openai-compatible", model: name, baseUrl: `${llm}/v1`, inputPrice: input / 100, outputPrice: output / 100, credentials: { key: "k" } }), id: `${name}-model`, name, fallbacks: name === "dear" ? ["cheap-model"] : [] })),
  on("in", "clawflow-channel-in", { gateway: "gw", version: 1 }, ["desk"], []),
  agent("Desk", ["expert", "keeper"], { live: true }, ["out"], [], ["over"]), agent("Expert", []), agent("Keeper", ["expert"]),
  on("over", "change", { rules: [{ t: "set", p: "payload", pt: "msg", to: "$join(['over', budget.limit, budget.unit], ' ')", tot: "jsonata" }] }, ["out"]),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
];
type Says = string | readonly string[];
/** The desk asks both at once, the keeper asks the expert too. */
const SAYS: Readonly<Record<string, (heard: boolean) => Says>> = {
  Desk: (heard) => (heard ? "The light is on, and the door is shut." : ["ask_expert", "ask_keeper"]),
  Keeper: (heard) => (heard ? "The door is shut." : ["ask_expert"]),
  Expert: () => "The light is on.",
};
/** How one and the same request ends when it comes for the first, the second time; then it is answered. */
const FAULTS: Readonly<Record<string, readonly (readonly Fault[])[]>> = {
  dear: [[], ["cut"], ["busy", "cut"], [], ["flood"], ["cut", "garbled"], [], ["garbled"]],
  cheap: [[], ["cut"], [], ["busy"]],
};
type Fault = "busy" | "flood" | "garbled" | "cut";
const ENDS: Readonly<Record<Fault, End>> = { busy: "refused", flood: "refused", garbled: "cut", cut: "cut" };

describe("one limit for agents that ask agents, with models that fail, all at once", function () {
  this.timeout(300_000);
  let llm: LlmStub;
  let home: Home;
  let said = 0;
  const seen: Seen[] = [];
  const tries = new Map<string, number>();

  const answer: Answer = (response, asked) => {
    const body = asked.body as unknown as WireBody & { readonly model: string; readonly stream?: boolean };
    const { messages, model: name } = body;
    const who = /You are (\w+)/.exec(String(messages[0]?.content))?.[1] ?? "";
    const key = JSON.stringify([name, messages]);
    const tried = tries.get(key) ?? 0;
    tries.set(key, tried + 1);
    const courses = FAULTS[name] ?? [];
    const fault = courses[tries.size % courses.length]?.[tried];
    const usage = usageOf(name, body);
    seen.push({ turn: turnOf(body), model: name, body, end: fault === undefined ? "whole" : ENDS[fault], usage });
    const says = SAYS[who]?.(messages.at(-1)?.role === "tool") ?? "";
    const counted = { usage: { prompt_tokens: usage.input, completion_tokens: usage.output, total_tokens: usage.input + usage.output } };
    const calls = typeof says === "string" ? [] : says.map((tool, n) => ({ id: `call_${seen.length}_${n}`, type: "function", function: { name: tool, arguments: JSON.stringify({ question: `${turnOf(body)}: what do you know?` }) } }));
    const whole = { ...wholeChat(typeof says === "string" ? says : "", calls.length === 0 ? {} : { message: { role: "assistant", content: null, tool_calls: calls }, finish_reason: "tool_calls" }), ...counted };
    const streamed = body.stream === true && typeof says === "string";
    const text = streamed ? sse([...chatChunks(says).slice(0, -1), { ...(chatChunks(says).at(-1) as object), ...counted }], "openai") : JSON.stringify(whole);
    const type = { "content-type": streamed ? "text/event-stream" : "application/json" };
    setTimeout(() => {
      if (fault === "busy") json({ error: { message: "busy" } }, 503)(response, asked);
      else if (fault === "flood") json({ error: { message: "slow down" } }, 429)(response, asked);
      else if (fault === "garbled") json("{ no JSON")(response, asked);
      else if (fault === "cut") response.writeHead(200, type).write(text.slice(0, text.length / 2), () => setTimeout(() => response.destroy(), 10));
      else response.writeHead(200, type).end(text);
    }, 20 + (seen.length % 5) * 10);
  };

  before(async () => {
    llm = await startLlm(answer);
    home = await startHome((sink) => [...flow(llm.url, { dayTokens: TOKENS }), account(sink)]);
  });
  after(async () => { await home?.[Symbol.asyncDispose](); await llm?.close(); });

  const settled = () => until(async () => (await home.red.admin<{ counts: { pending: number } }>("GET", "/clawflow/gateway/gw")).counts.pending === 0, "all to be done", 120_000);
  /** What the chats read in the end, by how often. */
  const finals = (): string[] => {
    const places = new Map<string, string>();
    for (const { to, draft } of home.sink.said) if (draft !== undefined) places.set(to.chat, draft.text);
    return [...places.values()];
  };
  async function say(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => { const turn = `t${++said}x`; return home.say(`${turn}: is all well?`, { id: turn, chat: turn, from: turn }); }));
    await settled();
  }
  async function rows(): Promise<UsageRow[]> {
    const [head = "", ...lines] = (await (await home.red.fetch("/clawflow/gateway/gw/usage.csv")).text()).replace("\uFEFF", "").trimEnd().split("\r\n");
    const names = head.split(",");
    return lines.map((line) => {
      const of = Object.fromEntries(line.split(",").map((value, at) => [names[at], value]));
      return { ...of, input: Number(of["input tokens"]), output: Number(of["output tokens"]), micros: Math.round(Number(of.USD) * 1e6), exact: of.exact === "yes" } as unknown as UsageRow;
    });
  }
  /** A few that are all answered, many at once, and then one after the other until nothing is left; then what was used is held against the limit and the ledger. */
  async function useUp(unit: "tokens" | "usd", limit: Sum): Promise<void> {
    const over = `over day ${unit}`;
    await say(3);
    assert.deepEqual(finals(), Array.from({ length: 3 }, () => "The light is on, and the door is shut."));
    for (let n = 0; !finals().includes(over); n++) { assert.ok(n < 10, `the limit is never met\n${home.red.lines.slice(-15).join("\n")}`); await say(AT_ONCE); }
    while (home.sink.said.at(-1)?.draft?.text !== over) await say(1);
    const spent = sumOf(chargesOf(seen, TARIFF));
    const [key, most] = unit === "tokens" ? (["tokens", limit.tokens] as const) : (["micros", limit.micros] as const);
    const count = (end: End): number => seen.filter((one) => one.end === end).length;
    console.log(`      ${said} messages, ${finals().filter((text) => !text.startsWith("over")).length} answered; ${seen.length} calls at the models: ${count("whole")} whole, ${count("cut")} broken off, ${count("refused")} refused; ${spent.tokens} tokens, ${spent.micros} micro-USD; limit ${most} ${key}, the largest reserve ${reserveIn(seen, TARIFF)[key]}`);
    assert.deepEqual(overspent("day", seen, TARIFF, limit, () => ""), []);
    assert.ok(spent[key] >= most, `all of it can be used: ${spent[key]} of ${most}`);
    assert.deepEqual(unlike(chargesOf(seen, TARIFF), await rows(), ({ message }) => message), []);
    const { today } = (await (await home.red.fetch("/clawflow/gateway/gw/usage")).json()) as { today: { calls: number; input: number; output: number; micros: number; unpriced: number; inexact: number } };
    assert.deepEqual([today.calls, today.input + today.output, today.micros, today.unpriced, today.inexact], [count("whole") + count("cut"), spent.tokens, spent.micros, 0, count("cut")]);
  }
  const endless = Number.MAX_SAFE_INTEGER;

  it("pass a limit of tokens by one reserve at most, with every call in the ledger as the models saw it", async () => {
    await useUp("tokens", { tokens: TOKENS, micros: endless });
  });

  it("pass a limit of money by one reserve at most, to the millionth of a dollar", async () => {
    const micros = sumOf(chargesOf(seen, TARIFF)).micros + MICROS;
    await home.red.deploy([...flow(llm.url, { dayUsd: micros / 1e6 }), account(home.sink)]);
    home.sink.said.length = 0;
    await useUp("usd", { tokens: endless, micros });
    const kinds = new Set(seen.map(({ model: name, end }) => `${name} ${end}`));
    assert.equal(kinds.size, 6, `of both models whole, refused and cut: ${[...kinds].join()}`);
    assert.ok(seen.some(({ end, body }) => end === "cut" && (body as { stream?: boolean }).stream === true), "a stream was cut");
    assert.ok(seen.some(({ body }) => /You are Keeper/.test(String(body.messages[0]?.content))), "an agent that was asked asked another");
  });
});
