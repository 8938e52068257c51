/**
 * A provider in a process of its own, so that its work is not counted: chat completions over HTTP that begin at once. What the newest message says decides:
 * "rounds=8 calls=4" is answered by 8 rounds of 4 calls of the tool "look0", and then by a text.
 */
import { createServer } from "node:http";

const ANSWER = "This is the fixed answer: about two hundred characters of plain text, so that every turn carries the same payload from its beginning to its end, as a short answer of a model would.";
const usage = { prompt_tokens: 100, completion_tokens: 45, total_tokens: 145 };
const whole = (message, finish_reason) => JSON.stringify({ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "bench", choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason }], usage });

function answer({ messages }) {
  const newest = messages.findLastIndex(({ role }) => role === "user");
  const [, rounds = "0", calls = "0"] = /rounds=(\d+) calls=(\d+)/.exec(messages[newest].content) ?? [];
  const done = messages.slice(newest).filter(({ role }) => role === "assistant").length;
  if (done >= Number(rounds)) return whole({ content: ANSWER }, "stop");
  return whole({ content: null, tool_calls: Array.from({ length: Number(calls) }, (_, n) => ({ id: `call_${done}_${n}`, type: "function", function: { name: "look0", arguments: JSON.stringify({ room: `room ${done} ${n}` }) } })) }, "tool_calls");
}

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => { response.writeHead(200, { "content-type": "application/json" }).end(answer(JSON.parse(Buffer.concat(pieces).toString()))); });
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("close", () => process.exit()).resume();
