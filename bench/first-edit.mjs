/**
 * From the first token that a provider sends to the first words that the chat is told to show, through a real Node-RED with the whole flow, everything saved (FULL).
 * Provider and platform are stubs in this process, so both times come from one clock; the answer grows by a word every 30 ms. In a private chat Telegram shows a
 * draft, in a group a message that is edited.
 *
 *     npm run bench -- first-edit --turns=60
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { derivedSecret } from "../engine/channels/telegram/webhook.ts";
import { projectRoot, startNodeRed } from "../test/rigs/node-red.ts";
import { option, sleep, table } from "./table.mjs";

const turns = option("turns", 60);
const token = "123456:TESTTOKENTESTTOKENTEST";
const WORDS = "This is an answer of forty words that a model writes one after the other at the pace of a quick one".split(" ");

async function listen(act) {
  const server = createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => act(request.url, Buffer.concat(pieces).toString(), response.setHeader("content-type", "application/json")));
  });
  server.keepAliveTimeout = 0;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => { server.closeAllConnections(); server.close(); } };
}

/** When the provider wrote the first token, when words were first shown, when the whole answer stood there. */
let seen = {};
const provider = await listen(async (_url, _body, response) => {
  response.setHeader("content-type", "text/event-stream");
  const write = (delta, finish_reason = null) => response.write(`data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "bench", choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
  for (const word of [...WORDS, ...WORDS]) {
    seen.token ??= performance.now();
    write({ content: `${word} ` });
    await sleep(30);
  }
  write({}, "stop");
  response.end("data: [DONE]\n\n");
});
let messages = 0;
const telegram = await listen((url, body, response) => {
  const method = url.split("/").at(-1);
  if (/^(sendMessageDraft|sendMessage|editMessageText)$/.test(method)) {
    seen.shown ??= performance.now();
    seen.requests = (seen.requests ?? 0) + 1;
    const text = /"text":"([^"]*)"/.exec(body)?.[1] ?? body;
    if (method !== "sendMessageDraft" && text.split("quick one").length === 3) seen.done?.();
  }
  response.end(JSON.stringify({ ok: true, result: method === "getMe" ? { id: 123456, is_bot: true, first_name: "Bench", username: "bench_bot" } : /^send(Message)$|^editMessageText$/.test(method) ? { message_id: ++messages + 1_000, date: 1, chat: { id: 1, type: "private" }, text: "x" } : true }));
});

const flows = JSON.parse(readFileSync(path.join(projectRoot, "bench/flows/turn.json"), "utf8"));
const find = (type) => flows.find((node) => node.type === type);
const account = find("clawflow-account");
Object.assign(account.settings, { apiRoot: telegram.url });
account.credentials = { token };
Object.assign(find("clawflow-model"), { baseUrl: `${provider.url}/v1`, credentials: { key: "sk-bench" } });
Object.assign(find("clawflow-agent"), { live: true, summarise: false });
// Groups too.
find("clawflow-route").wires = [["agent"], ["agent"]];
const red = await startNodeRed({ flows, startMs: 300_000 });
const door = `/clawflow/${find("clawflow-gateway").slug}/${account.slug}`;
const quantile = (times, part) => times.toSorted((a, b) => a - b)[Math.ceil(times.length * part) - 1];

let updates = 0;
async function turn(chat) {
  const id = ++updates;
  seen = {};
  const done = new Promise((resolve) => { seen.done = resolve; });
  const began = performance.now();
  const from = { id: 1000, is_bot: false, first_name: "U" };
  const message = { message_id: id, date: Math.floor(Date.now() / 1000), chat, from, text: `@bench_bot message ${id}`, entities: [{ type: "mention", offset: 0, length: 10 }] };
  // 503 until the account is connected: Telegram comes again too.
  while ((await red.fetch(door, { method: "POST", headers: { "content-type": "application/json", "x-telegram-bot-api-secret-token": derivedSecret(token, account.slug) }, body: JSON.stringify({ update_id: id, message }) })).status !== 200) await sleep(200);
  await Promise.race([done, sleep(60_000).then(() => { throw new Error(`no answer: ${red.log().slice(-1_500)}`); })]);
  return { first: seen.shown - seen.token, before: seen.token - began, requests: seen.requests };
}

try {
  await red.waitForLog(/Started flows/);
  const rows = [];
  for (const [name, chat] of [["private chat: a draft", { id: 1000, type: "private", first_name: "U" }], ["group: a message that is edited", { id: -1002, type: "supergroup", title: "G" }]]) {
    for (let n = 0; n < 3; n++) await turn(chat);
    const all = [];
    for (let n = 0; n < turns; n++) all.push(await turn(chat));
    const first = all.map((one) => one.first);
    rows.push([name, quantile(first, 0.5), quantile(first, 0.99), quantile(all.map((one) => one.before), 0.5), quantile(all.map((one) => one.requests), 0.5)]);
  }
  table(`From the provider's first token to the first words shown, Telegram, ms (${turns} turns each)`, [["", "p50", "p99", "message to first token, p50", "requests for an answer of 1.3 s"], ...rows]);
} finally {
  await red.remove();
  provider.close();
  telegram.close();
}
