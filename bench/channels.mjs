/**
 * What each channel costs. Time (by the clock, and by the processor, which a busy machine disturbs less) and memory of a Node-RED with one account of it open
 * against a stub of its platform, over a bare one; and the processor's time for one message that a platform posts: its signature, reading, saving with FULL,
 * its end; and how much of it is ours: the adapter and the engine alone, in this process, without HTTP and without what is told to the platform in turn.
 * Interleaved rounds, medians.
 *
 *     npm run bench -- channels --rounds=3 --settle=5000 --requests=500 --only=start
 *
 * `--only`: start, webhooks, or parse.
 */
import { mkdtempSync, rmSync } from "node:fs";
import os, { tmpdir } from "node:os";
import path from "node:path";
import { channels } from "../engine/channels/index.ts";
import { systemClock } from "../engine/clock.ts";
import { createGateway } from "../engine/gateway.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import { settingsOf } from "../nodes/account.ts";
import { hasDovecot } from "../test/platforms/dovecot.ts";
import { model } from "../test/rigs/home.ts";
import { pathOf } from "../test/rigs/line.ts";
import { watchModules } from "../test/rigs/modules.ts";
import { startNodeRed } from "../test/rigs/node-red.ts";
import { ELEVEN, oneFlow, openEmail, OTHER_WAYS } from "../test/rigs/twelve.ts";
import { cpuMs, freePort, medians, option, residentMb, sleep, table } from "./table.mjs";

const rounds = option("rounds", 3);
/** Milliseconds after the last account is connected at which memory is read. */
const settleMs = option("settle", 5_000);
const requests = option("requests", 500);
/** Requests under way at once, and people who write. */
const [atOnce, people] = [8, 50];
const CONNECT_MS = 60_000;
/** Discord is answered after two seconds where the flow says nothing. */
const TRAIL_MS = 3_000;

const twelve = [...ELEVEN, ...(hasDovecot() ? [openEmail] : [])];
const started = [];
const load = () => os.loadavg().map((number) => number.toFixed(1)).join(" ");
const loadBefore = load();

async function system(name, open, watched) {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const lines = await Promise.all(open.map((one) => one(base)));
  const red = await startNodeRed({ port, startMs: 120_000, flows: oneFlow(lines, base, model()), ...watched?.options });
  const made = { name: name ?? lines[0].name, lines, red, results: [], async close() { await red.remove(); for (const line of lines) await line.close(); } };
  started.push(made);
  return made;
}
const accounts = async ({ red }) => (await red.admin("GET", "/clawflow/gateway/gw")).accounts;
async function connected(one) {
  for (const end = performance.now() + CONNECT_MS; !(await accounts(one)).every(({ state }) => state === "connected"); await sleep(20)) {
    if (performance.now() > end) throw new Error(`${one.name}: ${JSON.stringify(await accounts(one))}\n${one.red.log()}`);
  }
}

/** npm packages that each channel brings, in a Node-RED of its own that writes down what it loads. */
async function packages() {
  const watched = watchModules();
  const told = new Map();
  try {
    for (const open of [undefined, ...twelve]) {
      watched.forget();
      const one = await system("nothing", open === undefined ? [] : [open], watched);
      await connected(one);
      told.set(one.lines[0]?.name, watched.packages());
      started.pop();
      await one.close();
    }
  } finally {
    watched.remove();
  }
  const own = told.get(undefined);
  return (name) => [...(told.get(name) ?? [])].filter((each) => !own.has(each)).sort();
}
/** "@slack/bolt, @slack/web-api and 40 more": the libraries of the platform by name. */
function brief(names) {
  const known = names.filter((name) => /^(grammy|discord\.js|@discordjs\/(rest|ws)|@slack\/(bolt|web-api|socket-mode)|imapflow|nodemailer|postal-mime)$/.test(name));
  const rest = names.length - known.length;
  return names.length === 0 ? "none" : [...known, ...(rest === 0 ? [] : [known.length === 0 ? names.join(", ") : `${rest} more`])].join(", ");
}

async function startAndMemory() {
  const brought = await packages();
  const bare = { name: "bare Node-RED", lines: [], red: await startNodeRed({ clawflow: false, startMs: 120_000 }), results: [], bare: true, close: () => bare.red.remove() };
  started.push(bare);
  await bare.red.kill();
  const systems = [bare];
  for (const [name, open] of [["ClawFlow, an agent, no account", []], ...twelve.map((one) => [undefined, [one]]), [`all ${twelve.length} together`, twelve]]) {
    const one = await system(name, open);
    await one.red.kill();
    systems.push(one);
  }
  for (let round = 0; round < rounds; round++) {
    for (const one of systems) {
      const from = performance.now();
      await one.red.start();
      const startMs = performance.now() - from;
      if (!one.bare) await connected(one);
      const connectMs = performance.now() - from - startMs;
      const usedMs = cpuMs(one.red.pid);
      await sleep(settleMs);
      one.results.push({ startMs, connectMs, usedMs, memoryMb: residentMb(one.red.pid) });
      await one.red.kill();
    }
  }
  const rows = systems.map(({ name, results, lines }) => ({ name, lines, ...medians(results, ["startMs", "connectMs", "usedMs", "memoryMb"]) }));
  const [{ startMs, usedMs, memoryMb }] = rows;
  const libraries = ({ lines }) => (lines.length === 1 ? brief(brought(lines[0].name)) : "");
  table(`One account of each channel, idle (${rounds} rounds; to reach: all together at most 150 MB over bare)`, [
    ["", "start ms", "over bare", "then connected ms", "CPU ms till then", "over bare", "memory MB", "over bare", "packages it brings"],
    ...rows.map((row) => [row.name, Math.round(row.startMs), Math.round(row.startMs - startMs), row.lines.length === 0 ? Number.NaN : Math.round(row.connectMs), Math.round(row.usedMs), Math.round(row.usedMs - usedMs), row.memoryMb, row.memoryMb - memoryMb, libraries(row)]),
  ]);
  for (const one of systems) { started.splice(started.indexOf(one), 1); await one.close(); }
}

/** Sends all, some at once; a platform that is told to come again would come again, here it is a fault. */
async function send(knocks) {
  const queue = [...knocks];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const answer = await fetch(next.url, { method: "POST", headers: next.headers, body: next.body });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${next.url} answered ${answer.status}: ${text.slice(0, 200)}`);
    }
  }));
}

async function webhooks() {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const lines = (await Promise.all([...ELEVEN, ...OTHER_WAYS].map((open) => open(base)))).filter(({ knock }) => knock !== undefined);
  // What is posted is saved and ended: no channel in wants it.
  const flows = oneFlow(lines, base, model(), { kinds: ["edit"] }).map((node) => (node.type === "clawflow-webhook" ? { ...node, answer: "now", wires: [[]] } : node));
  const ours = { name: "webhooks", lines, red: await startNodeRed({ port, startMs: 120_000, flows }), async close() { await ours.red.remove(); for (const line of lines) await line.close(); } };
  const plain = { red: await startNodeRed({ clawflow: false, startMs: 120_000, flows: [{ id: "t", type: "tab", label: "t" }, { id: "a", type: "http in", z: "t", url: "/door", method: "post", wires: [["b"]] }, { id: "b", type: "http response", z: "t", wires: [] }] }), close: () => plain.red.remove() };
  started.push(ours, plain);
  await connected(ours);
  const received = async () => (await ours.red.admin("GET", "/clawflow/gateway/gw")).counts.received;
  const tasks = [
    { name: "http in, http response (saves nothing)", pid: plain.red.pid, knocks: () => Array.from({ length: requests }, (_, n) => ({ url: `${plain.red.url}/door`, headers: { "content-type": "application/json" }, body: JSON.stringify({ text: `message ${n}`, from: "ada" }) })) },
    ...lines.map((line) => ({ name: line.name, pid: ours.red.pid, line, knocks: () => Array.from({ length: requests }, (_, n) => line.knock(`message ${n} with some words in it`, n % people)) })),
  ].map((task) => ({ ...task, results: [] }));
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const { pid, knocks, results, line } of tasks) {
      const made = knocks();
      const before = line === undefined ? 0 : await received();
      const [cpu, from] = [cpuMs(pid), performance.now()];
      await send(made);
      const seconds = (performance.now() - from) / 1000;
      if (line !== undefined) while ((await received()) < before + made.length) await sleep(500);
      await sleep(/Discord/.test(line?.name) ? TRAIL_MS : 500);
      if (round > 0) results.push({ cpuMs: (cpuMs(pid) - cpu) / made.length, perSecond: made.length / seconds });
    }
  }
  const rows = tasks.map(({ name, results }) => ({ name, ...medians(results, ["cpuMs", "perSecond"]) }));
  table(`One message posted to a webhook (${rounds} rounds of ${requests}, ${atOnce} at once, ${people} people; to reach: at most 1 ms)`, [
    ["", "CPU ms", "over http in", "per second"],
    ...rows.map((row) => [row.name, row.cpuMs, row.cpuMs - rows[0].cpuMs, Math.round(row.perSecond)]),
  ]);
}

/** Signature, reading and saving (FULL), in this process: the adapter's webhook is called as Node-RED calls it. iMessage's webhook only rings: what came is asked for. */
async function parseAndSave() {
  const base = "https://bench.example";
  const channelOf = (node) => channels.find(({ id }) => id === node.channel);
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-parse-"));
  const lines = (await Promise.all([...ELEVEN, ...OTHER_WAYS].map((open) => open(base)))).filter(({ node, knock }) => knock !== undefined && node.type === "clawflow-account" && node.channel !== "imessage");
  const store = await openSqliteStore(folder, { clock: systemClock });
  // Discord is told in turn that the command came: that costs nothing here.
  const either = async (...request) => (/\/(interactions|webhooks)\//.test(String(request[0]?.url ?? request[0])) ? new Response("{}", { headers: { "content-type": "application/json" } }) : fetch(...request));
  const nothing = { save: () => Promise.reject(new Error("no files here")), open: async () => undefined, remove: async () => undefined, sweep: async () => 0 };
  const gateway = await createGateway({ store, clock: systemClock, spool: nothing, log: () => {}, fetchFor: async () => either, texts: { claimed: "", notice: () => "" } });
  gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => false, emit() {} });
  try {
    await gateway.setAccounts(lines.map(({ node }) => ({
      account: { id: node.id, channel: node.channel, name: node.name, settings: settingsOf(channelOf(node), node.settings, node.credentials), policy: { policy: "open", allow: [] }, webhookUrl: `${base}${pathOf(node.slug)}` },
      channel: channelOf(node),
    })));
    gateway.start();
    for (const end = performance.now() + CONNECT_MS; !lines.every(({ node }) => gateway.connections.get(node.id)?.connection?.webhook !== undefined); await sleep(20)) if (performance.now() > end) throw new Error(`not all accounts opened: ${JSON.stringify(lines.map(({ node }) => gateway.connections.get(node.id)?.status))}`);
    const results = new Map(lines.map(({ name }) => [name, []]));
    for (let round = 0; round <= rounds; round++) {
      for (const line of lines) {
        const made = Array.from({ length: requests }, (_, n) => line.knock(`message ${n} with some words in it`, n % people)).map(({ url, headers, body }) => ({ method: "POST", path: url.slice(base.length + pathOf(line.node.slug).length).split("?")[0] || "/", query: new URL(url).searchParams, headers, body: Buffer.from(body), remote: "192.0.2.1", signal: new AbortController().signal }));
        const { webhook } = gateway.connections.get(line.node.id).connection;
        const before = (await store.counts()).done;
        const cpu = process.cpuUsage();
        await Promise.all(Array.from({ length: atOnce }, async () => {
          for (let request = made.pop(); request !== undefined; request = made.pop()) {
            const { status } = await webhook(request);
            if (status < 200 || status > 299) throw new Error(`${line.name} answered ${status}`);
          }
        }));
        for (const end = performance.now() + CONNECT_MS; (await store.counts()).done < before + requests; await sleep(5)) if (performance.now() > end) throw new Error(`${line.name}: ${JSON.stringify(await store.counts())} after ${before} and ${requests}`);
        const { user, system } = process.cpuUsage(cpu);
        if (round > 0) results.get(line.name).push({ cpuMs: (user + system) / 1000 / requests });
      }
    }
    table(`Parse and save one message of a webhook, in process (${rounds} rounds of ${requests}, ${atOnce} at once; to reach: at most 1 ms)`, [["", "CPU ms"], ...lines.map(({ name }) => [name, medians(results.get(name), ["cpuMs"]).cpuMs])]);
  } finally {
    await gateway.close();
    for (const line of lines) await line.close();
    rmSync(folder, { recursive: true });
  }
}

try {
  if (!hasDovecot()) console.log("skipped: e-mail, for Dovecot is not installed (apt-get install dovecot-imapd)");
  const only = process.argv.find((word) => word.startsWith("--only="))?.slice("--only=".length);
  for (const [part, act] of Object.entries({ start: startAndMemory, webhooks, parse: parseAndSave })) if (only === undefined || only === part) await act();
  console.log(`\nLoad average before: ${loadBefore}; now: ${load()}.`);
} finally {
  for (const one of started) await one.close();
}
process.exit();
