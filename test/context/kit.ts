/** Turns by the thousand, and a provider over HTTP whose window is as small as a test wants. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { openModel } from "../../engine/models/index.ts";
import type { Model, Turn } from "../../engine/models/model.ts";

const words = fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: "grapheme", maxLength: 40 }), fc.constantFrom("天気はどうですか。", "x".repeat(3_000), "word ".repeat(500), "😀".repeat(400)));
const round = fc.record({ text: words, results: fc.array(words, { minLength: 1, maxLength: 3 }) });
const exchange = fc.record({ said: words, image: fc.boolean(), rounds: fc.array(round, { maxLength: 3 }), answer: fc.option(words, { nil: undefined }) });
type Exchange = typeof exchange extends fc.Arbitrary<infer T> ? T : never;

/** Talks as agents leave them: each begins with the user, each call has its result. */
export function talks(minLength = 1): fc.Arbitrary<Turn[]> {
  return fc.array(exchange, { minLength, maxLength: 12 }).map((all) => all.flatMap(turnsOf));
}
function turnsOf({ said, image, rounds, answer }: Exchange, nth: number): Turn[] {
  return [
    { role: "user", text: said, ref: `m${nth}`, ...(image ? { files: [{ kind: "image" as const, media: "spool:1" }] } : {}) },
    ...rounds.flatMap(({ text, results }, at): Turn[] => [
      { role: "assistant", text, calls: results.map((_, n) => ({ id: `c${nth}.${at}.${n}`, name: "look", input: { n } })) },
      ...results.map((result, n): Turn => ({ role: "tool", call: `c${nth}.${at}.${n}`, name: "look", text: result, failed: false })),
    ]),
    ...(answer === undefined ? [] : [{ role: "assistant" as const, text: answer }]),
  ];
}

export interface Seen { readonly system: string; readonly texts: readonly string[]; readonly chars: number; readonly tools: readonly string[] }
export interface Provider { readonly seen: Seen[]; readonly refused: Seen[]; /** `window` is what the settings say, not what it takes. */ open(window?: number): Promise<Model>; close(): Promise<void> }

interface Wire { messages: { role: string; content?: unknown }[]; tools?: { function: { name: string } }[] }
/** What stands in the answer: a text, or calls of a tool. */
export type Answer = string | { readonly calls: readonly { readonly name: string; readonly input: unknown }[] };

/** Speaks OpenAI's wire; refuses what has more than `most` characters as OpenAI does, and counts four of them (or `perToken`) as a token. */
export async function openProvider(answer: (seen: Seen, nth: number) => Answer, { most = Number.POSITIVE_INFINITY, perToken = 4 } = {}): Promise<Provider> {
  const seen: Seen[] = [];
  const refused: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Wire;
      const texts = body.messages.map(({ content }) => (typeof content === "string" ? content : JSON.stringify(content ?? "")));
      const found = { system: texts[0] ?? "", texts, chars: JSON.stringify(body.messages).length, tools: (body.tools ?? []).map((tool) => tool.function.name) };
      const send = (status: number, value: unknown) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
      if (found.chars > most) {
        refused.push(found);
        return send(400, { error: { message: `This model's maximum context length is ${Math.floor(most / perToken)} tokens. However, your messages resulted in more.`, type: "invalid_request_error", code: "context_length_exceeded" } });
      }
      seen.push(found);
      const said = answer(found, seen.length);
      const message = typeof said === "string" ? { role: "assistant", content: said } : { role: "assistant", content: null, tool_calls: said.calls.map(({ name, input }, n) => ({ id: `call_${seen.length}_${n}`, type: "function", function: { name, arguments: JSON.stringify(input) } })) };
      send(200, { id: "1", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, finish_reason: typeof said === "string" ? "stop" : "tool_calls", message }], usage: { prompt_tokens: Math.ceil(found.chars / perToken), completion_tokens: 5, total_tokens: 5 } });
    });
  });
  // On a busy machine a connection may rest for long between two requests.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return {
    seen, refused,
    open: (window = 100_000) => openModel({ provider: "openai-compatible", model: "m", key: "sk-test-000000", baseUrl: url, contextTokens: window }, fetch),
    async close() { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); },
  };
}
