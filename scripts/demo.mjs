/**
 * `npm run demo`: installs what is missing, builds, and starts Node-RED with the demo flow and the web chat, on loopback only.
 *
 *     npm run demo -- --port=0 --user-dir=/tmp/demo
 *
 * The user folder is .demo/ in the clone. The demo flow is copied there once, so changes made in the editor stay;
 * only the provider and the model that this script chose itself are chosen anew at each start.
 */
import { spawn } from "node:child_process";
import { createCipheriv, createHash, randomBytes, randomInt } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { again, buildIfStale, installPackages, root } from "./setup.mjs";

/** A cheap model that calls tools well, per provider whose key may be found. Another one: CLAWFLOW_DEMO_MODEL. */
const cheapModels = {
  openai: "gpt-5-mini", anthropic: "claude-haiku-4-5", gemini: "gemini-2.5-flash", openrouter: "openai/gpt-5-mini", mistral: "mistral-small-latest",
  groq: "llama-3.3-70b-versatile", deepseek: "deepseek-chat", xai: "grok-4-fast-non-reasoning",
};
const defaultTokenCap = 200_000;
const exampleFile = path.join(root, "examples/Home demo.json");

/** The first Ollama model that is installed here, or undefined. */
async function ollamaModel() {
  try {
    const answer = await fetch("http://127.0.0.1:11434/api/tags", { signal: AbortSignal.timeout(300) });
    return (await answer.json()).models?.[0]?.name;
  } catch {
    return undefined; // no Ollama is the usual case
  }
}

/** Which model answers: as the variables say, else a key in the environment, else a local Ollama, else the practice model. */
async function chooseModel(env) {
  const { PROVIDERS } = await import("../engine/models/providers.ts");
  const wanted = env.CLAWFLOW_DEMO_PROVIDER;
  const provider = wanted ? PROVIDERS.find((row) => row.id === wanted) : PROVIDERS.find((row) => cheapModels[row.id] && row.env && env[row.env]);
  if (wanted && !provider) throw new Error(`Expected CLAWFLOW_DEMO_PROVIDER to be one of ${PROVIDERS.map((row) => row.id).join(", ")}; got "${wanted}".`);
  const local = provider === undefined || provider.id === "ollama" ? await ollamaModel() : undefined;
  if (provider === undefined && local === undefined) return { provider: "practice", model: "", key: "", baseUrl: "", label: "the practice model: no account, no network, simple rules", cap: 0 };
  const row = provider ?? PROVIDERS.find(({ id }) => id === "ollama");
  const model = env.CLAWFLOW_DEMO_MODEL ?? local ?? cheapModels[row.id] ?? "";
  const key = row.env ? env[row.env] ?? "" : "";
  const cap = key ? Number(env.CLAWFLOW_DEMO_TOKENS ?? defaultTokenCap) : 0;
  if (!Number.isFinite(cap) || cap < 0) throw new Error(`Expected CLAWFLOW_DEMO_TOKENS to be a number of tokens, got "${env.CLAWFLOW_DEMO_TOKENS}". Write 50000.`);
  const paid = cap > 0 ? `, with the key in ${row.env}; it stops after ${cap.toLocaleString("en")} tokens until the next start` : "";
  return { provider: row.id, model, key, baseUrl: env.CLAWFLOW_DEMO_BASE_URL ?? "", label: `${row.label}${model ? `, ${model}` : ""}${paid}`, cap };
}

/** The first free port from `wanted` on; 0 stays for "any". */
async function freePort(wanted) {
  for (let port = wanted; port < wanted + 100; port++) {
    const free = await new Promise((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(undefined));
      probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => { const got = probe.address().port; probe.close(() => resolve(got)); });
    });
    if (free !== undefined) return free;
  }
  throw new Error(`Expected a free port between ${wanted} and ${wanted + 99}, got none. Choose one with --port=…`);
}

/** Made once and kept: what must not change from start to start. */
function kept(file, make) {
  if (!existsSync(file)) writeFileSync(file, make(), { mode: 0o600 });
  return readFileSync(file, "utf8");
}

/** Content of a `flows_cred.json`, as Node-RED encrypts it: aes-256-ctr under the SHA-256 of the credential secret. */
function sealCredentials(credentials, secret) {
  const iv = randomBytes(16);
  const cipher = createCipheriv("aes-256-ctr", createHash("sha256").update(secret).digest(), iv);
  return JSON.stringify({ $: iv.toString("hex") + cipher.update(JSON.stringify(credentials), "utf8", "base64") + cipher.final("base64") });
}

/** Puts the demo flow in place and the chosen model into it, unless its model node was changed by hand. */
async function placeFlow(userDir, secret, chosen) {
  const { withServer } = await import("./demo-server.ts");
  const file = path.join(userDir, "flows.json");
  const record = path.join(userDir, "chosen-model.json");
  const isFirst = !existsSync(file);
  const placed = JSON.parse(readFileSync(isFirst ? exampleFile : file, "utf8"));
  const flows = withServer(placed, root, isFirst);
  const node = flows.find(({ type }) => type === "clawflow-model");
  const { provider, model, baseUrl } = chosen;
  if (isFirst) {
    const credentials = {};
    for (const { id, type } of flows) {
      if (type === "clawflow-model") credentials[id] = { key: "${CLAWFLOW_DEMO_KEY}" };
      if (type === "clawflow-webhook") credentials[id] = { secret: "${CLAWFLOW_DEMO_WEBHOOK_SECRET}" };
    }
    writeFileSync(path.join(userDir, "flows_cred.json"), sealCredentials(credentials, secret));
  }
  const last = existsSync(record) ? JSON.parse(readFileSync(record, "utf8")) : undefined;
  const isOurs = isFirst || (last && node && Object.entries(last).every(([name, value]) => (node[name] ?? "") === value));
  if (node && isOurs) {
    Object.assign(node, { provider, model, baseUrl });
    writeFileSync(record, JSON.stringify({ provider, model, baseUrl }));
  }
  if (isOurs || JSON.stringify(flows) !== JSON.stringify(placed)) writeFileSync(file, JSON.stringify(flows, null, 2));
  return { flows, modelIsOurs: isOurs };
}

/** Path of the web chat: below the gateway's and the account's own names. */
function chatPath(flows) {
  const account = flows.find(({ type, channel }) => type === "clawflow-account" && channel === "webchat");
  const gateway = flows.find(({ id }) => id === account?.gateway);
  return account && gateway ? `/clawflow/${gateway.slug}/${account.slug}/` : undefined;
}

function writeSettings(userDir) {
  // The folder lies inside a package of ES modules; Node-RED's settings are CommonJS.
  kept(path.join(userDir, "package.json"), () => `${JSON.stringify({ name: "clawflow-demo", private: true, type: "commonjs" }, null, 2)}\n`);
  writeFileSync(path.join(userDir, "settings.js"), `// Written by npm run demo at every start.
process.stdin.on("close", () => process.kill(process.pid, "SIGTERM")).resume(); // ends with the program that started it
module.exports = {
  uiHost: "127.0.0.1", uiPort: Number(process.env.CLAWFLOW_DEMO_PORT), flowFile: "flows.json", flowFilePretty: true,
  credentialSecret: require("fs").readFileSync(__dirname + "/secret", "utf8"),
  telemetry: { enabled: false, updateNotification: false },
  editorTheme: { tours: false, projects: { enabled: false }, page: { title: "ClawFlow demo" }, header: { title: "ClawFlow demo" } },
  logging: {
    console: { level: "off" },
    // Errors, and what our nodes warn of; Node-RED's own remarks on its settings help nobody here.
    demo: { level: "warn", handler: () => ({ level, type, name, id, msg }) => {
      if (level > 20 && !type && !String(msg).startsWith("[clawflow]")) return;
      console.log((level > 20 ? "[warn] " : "[error] ") + (type ? "[" + type + ":" + (name || id) + "] " : "") + (msg && msg.message || msg));
    } },
  },
};
`);
}

/** Node-RED finds the clone as an installed package. Its parts are linked, not the clone: npm and npx in the user folder would take the clone's own packages for installed ones. */
function linkPackage(userDir) {
  const place = path.join(userDir, "node_modules/@clawflow/node-red");
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  copyFileSync(path.join(root, "package.json"), path.join(place, "package.json"));
  for (const part of ["dist", "examples", "resources", "docs"]) symlinkSync(path.join(root, part), path.join(place, part), "junction");
}

async function untilItAnswers(url, child) {
  for (const started = Date.now(); Date.now() - started < 60_000; ) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("Node-RED ended before it was ready.");
    const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined); // refused until it listens
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Expected an answer at ${url} within a minute, got none.`);
}

async function main() {
  const { values } = parseArgs({ options: { port: { type: "string", default: "1880" }, "user-dir": { type: "string", default: path.join(root, ".demo") } } });
  const userDir = path.resolve(values["user-dir"]);
  await buildIfStale();
  mkdirSync(userDir, { recursive: true });
  const secret = kept(path.join(userDir, "secret"), () => randomBytes(24).toString("base64url"));
  const webhookSecret = kept(path.join(userDir, "webhook-secret"), () => randomBytes(18).toString("base64url"));
  const chosen = await chooseModel(process.env);
  const { flows, modelIsOurs } = await placeFlow(userDir, secret, chosen);
  writeSettings(userDir);
  linkPackage(userDir);
  const port = await freePort(Number(values.port));
  const ownerCode = Array.from({ length: 16 }, () => "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"[randomInt(32)]).join("");

  console.log(`\nStarting Node-RED. Answers come from ${modelIsOurs ? chosen.label : "the model that you set in the flow"}.`);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", path.join(root, "node_modules/node-red/red.js"), "--userDir", userDir], {
    cwd: userDir, stdio: ["pipe", "inherit", "inherit"],
    env: { ...process.env, CLAWFLOW_DEMO_PORT: String(port), CLAWFLOW_DEMO_KEY: chosen.key, CLAWFLOW_DEMO_WEBHOOK_SECRET: webhookSecret, CLAWFLOW_OWNER_CODE: ownerCode, ...chosen.cap > 0 ? { CLAWFLOW_TOKEN_CAP: String(chosen.cap) } : {} },
  });
  const ended = new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
  let stopping = false;
  const stop = () => {
    stopping = true;
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 15_000).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);

  const editor = `http://127.0.0.1:${port}/`;
  const chat = chatPath(flows);
  const bell = flows.find(({ type, verify }) => type === "clawflow-webhook" && verify === "bearer");
  try {
    await untilItAnswers(editor, child);
    if (chat !== undefined) await untilItAnswers(new URL(chat, editor), child);
  } catch (error) {
    if (stopping) return;
    stop();
    throw error;
  }
  console.log(`
  Editor  ${editor}
  Chat    ${chat === undefined ? "(the flow has no web chat)" : `${new URL(chat, editor)}#owner=${ownerCode}`}
${bell === undefined ? "" : `
To ring: curl -H "Authorization: Bearer ${webhookSecret}" -d "text=Somebody is at the door" ${new URL(`/clawflow/hooks/${bell.path}`, editor)}
`}
The chat address makes its first visitor the owner; everybody else is a stranger. Ctrl-C stops.
`);
  const code = await ended;
  if (!stopping) console.error("Node-RED has ended by itself. Nothing is lost: npm run demo goes on where it was.");
  process.exitCode = stopping ? 0 : code || 1;
}

try {
  await installPackages();
  if (!(await again(fileURLToPath(import.meta.url)))) await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
