/**
 * What durability feels like from outside: a Telegram webhook in front of the whole flow (normalize, route, agent with a scripted model, channel out), everything saved (FULL).
 * How long until the platform's request is answered (steadily, and in a burst over many chats), how soon a restart goes on with what waits, and what a slow platform costs in memory.
 *
 *     npm run bench -- durable --rate=200 --seconds=20 --burst=10000 --chats=1000
 */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { Agent, request } from "undici";
import { derivedSecret } from "../engine/channels/telegram/webhook.ts";
import { projectRoot, startNodeRed } from "../test/rigs/node-red.ts";
import { option, residentMb, sleep, table } from "./table.mjs";

const rate = option("rate", 200);
const seconds = option("seconds", 20);
const burst = option("burst", 10_000);
const chats = option("chats", 1_000);
/** Requests under way at once: Telegram's own limit is 100. */
const connections = option("connections", 100);
const token = "123456:TESTTOKENTESTTOKENTEST";

/** A Bot API that counts what it is told to show. `delayMs`: how long each send takes. */
async function telegram() {
  const stub = { url: "", shown: 0, firstAt: 0, delayMs: 0, inHand: 0, close: () => {} };
  const server = createServer((incoming, response) => {
    incoming.resume().on("end", () => {
      const sends = incoming.url.endsWith("/sendMessage");
      const result = incoming.url.endsWith("/getMe") ? { id: 123456, is_bot: true, first_name: "Bench", username: "bench_bot" } : sends ? { message_id: ++stub.shown + 1_000_000, date: 1, chat: { id: 1, type: "private" }, text: "x" } : true;
      if (sends && stub.firstAt === 0) stub.firstAt = performance.now();
      const answer = () => response.setHeader("content-type", "application/json").end(JSON.stringify({ ok: true, result }));
      if (stub.delayMs > 0 && sends) setTimeout(answer, stub.delayMs); else answer();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stub.url = `http://127.0.0.1:${server.address().port}`;
  stub.close = () => { server.closeAllConnections(); server.close(); };
  return stub;
}

const stub = await telegram();
const flows = JSON.parse(readFileSync(path.join(projectRoot, "bench/flows/turn.json"), "utf8"));
const find = (type) => flows.find((node) => node.type === type);
const account = find("clawflow-account");
Object.assign(account.settings, { apiRoot: stub.url });
account.credentials = { token };
Object.assign(find("clawflow-model"), { provider: "practice" });
const withoutEntry = flows.map((node) => (node.type === "clawflow-channel-in" ? { ...node, d: true } : node));

const red = await startNodeRed({ flows, packages: [path.join(projectRoot, "bench/parts")] });
const agent = new Agent({ connections, pipelining: 1 });
const door = `${red.url}/clawflow/${find("clawflow-gateway").slug}/${account.slug}`;
const headers = { "content-type": "application/json", "x-telegram-bot-api-secret-token": derivedSecret(token, account.slug) };

let updates = 0;
/** One update; resolves to the milliseconds until its answer. Comes again while the answer is not 200, as Telegram does. */
async function push(chat) {
  const id = ++updates;
  const body = JSON.stringify({ update_id: id, message: { message_id: id, date: Math.floor(Date.now() / 1000), chat: { id: 1000 + chat, type: "private", first_name: "U" }, from: { id: 1000 + chat, is_bot: false, first_name: "U" }, text: `message ${id}: please tell me something about the lights` } });
  const started = performance.now();
  for (;;) {
    const { statusCode, body: answer } = await request(door, { method: "POST", headers, body, dispatcher: agent });
    await answer.dump();
    if (statusCode === 200) return performance.now() - started;
    refused++;
    await sleep(100);
  }
}
let refused = 0;
const until = async (test, ms = 120_000) => { for (const end = performance.now() + ms; !test(); await sleep(5)) if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${red.log().slice(-1500)}`); };
const counts = async () => (await red.admin("GET", "/clawflow/gateway/gateway")).counts;
const quantile = (times, part) => times.sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * part))];

async function steady(perSecond, forSeconds) {
  const times = [];
  const work = [];
  const began = performance.now();
  for (let n = 0; n < perSecond * forSeconds; n++) {
    const wait = began + (n / perSecond) * 1000 - performance.now();
    if (wait > 1) await sleep(wait);
    work.push(push(n % chats).then((ms) => times.push(ms)));
  }
  await Promise.all(work);
  return times;
}
async function pushAll(count) {
  const times = [];
  let next = 0;
  await Promise.all(Array.from({ length: connections }, async () => { while (next < count) times.push(await push(next++ % chats)); }));
  return times;
}

try {
  await until(() => /Started flows/.test(red.log()));
  for (let n = 0; n < 2_000; n++) await push(n % chats);
  await until(() => stub.shown === updates);

  const idle = residentMb(red.pid);
  const even = await steady(rate, seconds);
  await until(() => stub.shown === updates);
  const began = performance.now();
  const burstTimes = await pushAll(burst);
  const ackMs = performance.now() - began;
  await until(() => stub.shown === updates);
  const doneMs = performance.now() - began;
  table(`Until the platform's request is answered (to reach: p99 50 ms at 200/s, 300 ms at worst in the burst)`, [
    ["", "p50 ms", "p99 ms", "max ms"],
    [`${rate} messages/s for ${seconds} s`, quantile(even, 0.5), quantile(even, 0.99), quantile(even, 1)],
    [`burst of ${burst} over ${chats} chats, ${connections} at once`, quantile(burstTimes, 0.5), quantile(burstTimes, 0.99), quantile(burstTimes, 1)],
  ]);
  console.log(`\nBurst: all confirmed after ${Math.round(ackMs)} ms, all answered after ${Math.round(doneMs)} ms (${Math.round((burst / doneMs) * 1000)} runs/s).`);

  // Nobody takes them; then Node-RED is killed, and starts with a flow that does.
  const flowFile = path.join(red.userDir, "flows.json");
  const resumes = [];
  for (let round = 0; round < 3; round++) {
    await red.deploy(withoutEntry);
    await pushAll(burst);
    const waiting = (await counts()).pending;
    const before = stub.shown;
    await red.kill();
    stub.firstAt = 0;
    writeFileSync(flowFile, JSON.stringify(flows.map(({ credentials, ...node }) => node)));
    await red.start();
    const at = performance.now();
    await until(() => stub.firstAt > 0);
    const first = stub.firstAt - at;
    await until(() => stub.shown >= before + waiting);
    resumes.push({ waiting, first, all: performance.now() - at });
  }
  const middle = (field) => quantile(resumes.map((one) => one[field]), 0.5);
  table("Going on after a restart (to reach: first answer 2 s after the flows started, 10,000 taken up within 5 s)", [["waiting", "first answer ms", "all answered ms"], [middle("waiting"), Math.max(0, Math.round(middle("first"))), Math.round(middle("all"))]]);

  // The platform takes a hundred times as long as messages come: 200 a second come, 2 a second go.
  const base = residentMb(red.pid);
  stub.delayMs = 200 * 500;
  await steady(rate, seconds);
  const { pending } = await counts();
  table("A platform 100 times slower than what comes in (to reach: 64 MB over base)", [["", "MB"], ["after warming up", idle], ["before", base], [`with ${pending} messages waiting`, residentMb(red.pid)]]);
  console.log(`\nAsked to come again: ${refused}.`);
} finally {
  await red.remove();
  stub.close();
  await agent.destroy();
}
process.exit(process.exitCode ?? 0);
