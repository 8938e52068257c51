/** What `agent.mjs` and `tools.mjs` compare: the same turns by the bare SDK and by our agent, against one provider in another process. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { compileTemplate, runAgent } from "../engine/agent.ts";
import { systemClock } from "../engine/clock.ts";
import { createGauge } from "../engine/context/estimate.ts";
import { fitModel } from "../engine/context/fit.ts";
import { createFetch } from "../engine/http.ts";
import { openModel } from "../engine/models/index.ts";
import { createSessions } from "../engine/sessions.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import { median } from "./table.mjs";

const SYSTEM = "You are a helpful assistant.";
const HISTORY = 40;

export async function startProvider() {
  const child = spawn(process.execPath, [path.join(path.dirname(fileURLToPath(import.meta.url)), "stub-llm.mjs")], { stdio: ["pipe", "pipe", "inherit"] });
  const [port] = await once(child.stdout, "data");
  return { url: `http://127.0.0.1:${Number(String(port))}/v1`, stop: () => child.kill() };
}

export const toolsOf = (count) => Array.from({ length: count }, (_, n) => ({
  name: `look${n}`, description: `Tells what the sensor number ${n} of a room measures: temperature, humidity, light and when it was seen last.`, tags: [], risk: "read", readsPrivate: false, talksOutside: false, shared: false, timeoutMs: 10_000,
  parameters: { type: "object", properties: { room: { type: "string", description: "Name of the room" }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } }, required: ["room"], additionalProperties: false },
  async call({ room }) { return { text: `${room}: 21 degrees` }; },
}));

/** A loop as one writes it by hand: no checks of arguments, nothing kept, histories in memory. `fetch`: its own, where left out. */
export function bareSdk(url, tools, fetch) {
  const client = new OpenAI({ apiKey: "sk-bench", baseURL: url, maxRetries: 0, ...(fetch === undefined ? {} : { fetch }) });
  const encoded = tools.map(({ name, description, parameters }) => ({ type: "function", function: { name, description, parameters } }));
  const talks = new Map();
  return async (chat, text) => {
    const messages = [...(talks.get(chat) ?? []), { role: "user", content: text }];
    for (;;) {
      const { choices: [{ message }] } = await client.chat.completions.create({ model: "bench", messages: [{ role: "system", content: SYSTEM }, ...messages], ...(encoded.length === 0 ? {} : { tools: encoded }) });
      messages.push(message);
      if (!message.tool_calls?.length) { talks.set(chat, messages.slice(-HISTORY)); return message.content; }
      const results = await Promise.all(message.tool_calls.map(({ function: { name, arguments: input } }) => tools.find((tool) => tool.name === name).call(JSON.parse(input))));
      for (const [n, { text: content }] of results.entries()) messages.push({ role: "tool", tool_call_id: message.tool_calls[n].id, content });
    }
  };
}

/** Answers as `stub-llm.mjs` does, in this process: what is left is the loop and the disk. */
const scripted = {
  id: "bench", provider: "bench", contextTokens: 100_000,
  async *stream({ turns }) {
    const newest = turns.findLastIndex(({ role }) => role === "user");
    const [, rounds = "0", calls = "0"] = /rounds=(\d+) calls=(\d+)/.exec(turns[newest].text) ?? [];
    const done = turns.slice(newest).filter(({ role }) => role === "assistant").length;
    const isOver = done >= Number(rounds);
    if (isOver) yield { type: "text", delta: "This is the fixed answer." };
    else for (let n = 0; n < Number(calls); n++) yield { type: "call", call: { id: `call_${done}_${n}`, name: "look0", input: { room: `room ${done} ${n}` } } };
    yield { type: "end", reason: isOver ? "stop" : "calls", usage: { input: 100, output: 45 } };
  },
};

/** Our loop as the agent node runs it: arguments and policy checked, each reply and each result on disk (FULL) before it is used, the session kept. Without `url` its model is in this process. */
export async function ourAgent(url, tools) {
  const folder = await mkdtemp(path.join(tmpdir(), "clawflow-bench-"));
  const store = await openSqliteStore(folder);
  const sessions = createSessions(store);
  const fetch = createFetch();
  const model = fitModel(url === undefined ? scripted : await openModel({ provider: "openai-compatible", model: "bench", baseUrl: url, key: "sk-bench", contextTokens: 100_000 }, fetch), createGauge());
  const settings = { system: compileTemplate(SYSTEM), context: compileTemplate(""), maxRounds: 100, timeoutMs: 60_000 };
  let runs = 0;
  const turn = async (chat, text) => {
    const run = `${++runs}.s.n`;
    const session = `agent:bench:${chat}`;
    const message = { version: 1, id: run, ref: run, kind: "message", at: { channel: "bench", account: "bench", chat, kind: "direct" }, sender: { id: chat, name: "U", bot: false, self: false }, sentAt: Date.now(), text, attachments: [], addressed: true };
    const signal = new AbortController().signal;
    const once = async (step, act) => {
      const { data, also = [], saving } = await act();
      const saved = store.commit([{ do: "journal", run, entry: { step, at: Date.now(), data } }, ...also]);
      if (saving === undefined) await saved; else saving(saved);
      return data;
    };
    const result = await runAgent({ run, message, text, trust: "owner", tainted: false, data: {} }, settings, {
      clock: systemClock, model, tools, history: await sessions.history(session, HISTORY, 0), once, signal, live: false, on() {},
      remember: (turns, taint) => sessions.changes(session, run, Date.now(), turns, taint), remembered: (turns, taint, saved) => sessions.added(session, turns, taint, saved),
    });
    await result.saved;
    return result.text;
  };
  return { turn, async stop() { await fetch.close(); await store.close(); await rm(folder, { recursive: true, force: true }); } };
}

/** Microseconds of CPU (all threads of this process) for one turn, `chats` at once. */
async function cpuOf(turn, text, count, chats) {
  let begun = 0;
  const used = process.cpuUsage();
  await Promise.all(Array.from({ length: chats }, async (_, chat) => { while (begun++ < count) await turn(String(chat), text); }));
  const { user, system } = process.cpuUsage(used);
  return (user + system) / count;
}

/** Systems take turns in rounds. Gives for each its medians by scenario: `{ [scenario]: µs }`. */
export async function compare(systems, scenarios, { rounds, turns, chats }) {
  const results = systems.map(() => Object.fromEntries(Object.keys(scenarios).map((name) => [name, []])));
  for (let round = -1; round < rounds; round++) {
    for (const [name, text] of Object.entries(scenarios)) {
      for (const [place, { turn }] of systems.entries()) {
        const us = await cpuOf(turn, text, turns, chats);
        if (round >= 0) results[place][name].push(us);
      }
    }
  }
  return results.map((result) => Object.fromEntries(Object.entries(result).map(([name, all]) => [name, median(all)])));
}
