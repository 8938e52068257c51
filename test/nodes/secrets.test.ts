/** Canaries in every field that may hold a secret, flows that succeed and fail in every way: nothing that is written or shown gives one away. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { inspect } from "node:util";
import { channels } from "../../engine/channels/index.ts";
import { ChannelError, ModelError } from "../../engine/errors.ts";
import { createGateway, type GatewayAccount } from "../../engine/gateway.ts";
import type { Run } from "../../engine/inbox.ts";
import { createRedactor } from "../../engine/secrets.ts";
import { createMemoryStore } from "../../engine/store/memory.ts";
import { SECRETS } from "../../nodes/account.ts";
import { shown } from "../../nodes/shared/input.ts";
import { learnSecrets } from "../../nodes/shared/secrets.ts";
import { manualClock, message, scriptedChannel, until } from "../kit/scripted.ts";
import { account, gateway, on, startSink, tab } from "../rigs/home.ts";
import { type FlowNode, type NodeRed, projectRoot, startNodeRed } from "../rigs/node-red.ts";
import { startParrot } from "../rigs/parrot.ts";

const CANARIES = path.join(process.env.CLAWFLOW_SPECS ?? "../shared/data/specs", "../badinputs/secrets-canaries.json");

/** Texts that give a secret away: a piece of its own part, as it is and in every encoding, wherever it begins in what was encoded as a whole. */
function tracesOf(secret: string): Map<string, string> {
  const core = /CANARY[\w-]+|Q0FOQVJZ\w+|eyJDQU5B\w+/.exec(secret)?.[0] ?? assert.fail(`no canary: ${secret}`);
  const traces = new Map<string, string>();
  for (const [place, piece] of [["head", core.slice(0, 10)], ["tail", core.slice(-10)]] as const) {
    traces.set(`plain ${place}`, piece);
    traces.set(`hex ${place}`, Buffer.from(piece).toString("hex"));
    traces.set(`url-encoded ${place}`, [...piece].map((sign) => `%${sign.charCodeAt(0).toString(16)}`).join(""));
    for (const before of [0, 1, 2]) {
      const whole = Buffer.concat([Buffer.alloc(before), Buffer.from(piece)]).toString("base64");
      traces.set(`base64+${before} ${place}`, whole.slice(before === 0 ? 0 : before + 1, Math.floor(((piece.length + before) * 8) / 6)));
    }
  }
  return traces;
}
function findings(sink: string, written: string, secrets: Readonly<Record<string, string>>): string[] {
  const lower = written.toLowerCase();
  return Object.entries(secrets).flatMap(([name, secret]) => [...tracesOf(secret)].flatMap(([form, trace]) => {
    const at = lower.indexOf(trace.toLowerCase());
    return at < 0 ? [] : [`${sink}: ${name}, ${form}: …${written.slice(Math.max(0, at - 120), at + 60).replace(/[^\x20-\x7e]+/g, " ")}…`];
  }));
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).filter((name) => name !== "node_modules").flatMap((name) => {
    const file = path.join(folder, name);
    return statSync(file).isDirectory() ? filesBelow(file) : [file];
  });
}

/** Everything an editor is told while it is open. */
async function listen(red: NodeRed): Promise<{ heard: string[]; close(): void }> {
  const heard: string[] = [];
  const socket = new WebSocket(`${red.url.replace("http", "ws")}/comms`);
  socket.addEventListener("message", ({ data }) => { heard.push(String(data)); });
  await new Promise((resolve, reject) => { socket.addEventListener("open", resolve); socket.addEventListener("error", reject); });
  for (const topic of ["status/#", "debug", "notification/#", "event-log/#"]) socket.send(JSON.stringify({ subscribe: topic }));
  return { heard, close: () => { socket.close(); } };
}

describe("secrets", function () {
  this.timeout(120_000);

  it("every secret setting of every channel is declared as a credential", () => {
    const secret = channels.flatMap((channel) => channel.settings.filter(({ type }) => type === "secret").map(({ key }) => key));
    assert.ok(secret.length > 0);
    assert.deepEqual(secret.filter((key) => !(SECRETS as readonly string[]).includes(key)), []);
  });

  if (!existsSync(path.resolve(projectRoot, CANARIES))) {
    it.skip(`${CANARIES} is not here`);
    return;
  }
  const { cases } = JSON.parse(readFileSync(path.resolve(projectRoot, CANARIES), "utf8")) as { cases: Record<string, string> };
  const canary = (name: string): string => cases[name] ?? assert.fail(`no canary "${name}"`);
  const password = new URL(canary("basicUrl")).password;

  it("are taken out of a status before it is shortened, and of an error with its cause and code", () => {
    const secret = canary("twilio");
    learnSecrets([secret, undefined, " "]);
    const statuses: { text?: string }[] = [];
    const error = shown({ status: (status: object) => { statuses.push(status); } } as never, new ModelError("MODEL_002", { cause: new Error(secret) }, `${secret} is refused, and so is ${Buffer.from(`u:${secret}`).toString("base64")}`));
    assert.equal(statuses[0]?.text, "MODEL_002: [redacted] is refused, and so is dTp[re…");
    assert.deepEqual(findings("error", inspect(error, { depth: 9, showHidden: true }), { secret }), []);
    assert.equal((error as Error & { code: string }).code, "MODEL_002");
  });

  it("are taken out of what an account and its files report, before it is told or kept", async () => {
    const secret = canary("discord");
    const { redact } = createRedactor(() => [secret]);
    const broken = scriptedChannel({ failOpen: () => new ChannelError("CONN_002", {}, `refused ${secret}`) });
    const fine = scriptedChannel();
    const channel = { ...fine, id: "fine", open: async (...given: Parameters<typeof fine.open>) => ({ ...await fine.open(...given), media: () => Promise.reject(new Error(`404 for https://files.example/${secret}`)) }) };
    const clock = manualClock();
    const own = await createGateway({ store: createMemoryStore(), clock, spool: {} as never, fetchFor: async () => fetch, texts: { claimed: "", notice: () => "" }, redact, log: () => undefined });
    const bot = (id: string, of: string): GatewayAccount => ({ id, channel: of, name: id, settings: {}, policy: { policy: "open", allow: [] } });
    await own.setAccounts([{ account: bot("broken", "scripted"), channel: broken }, { account: bot("fine", "fine"), channel }]);
    const runs: Run[] = [];
    own.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => { runs.push(run); } });
    own.start();
    await until(() => own.connections.status("broken")?.state === "failed" && fine.context !== undefined, "both accounts");
    assert.deepEqual(own.connections.status("broken")?.error, { code: "CONN_002", text: "refused [redacted]" });
    await fine.context?.receive(message({ at: { channel: "fine", account: "fine", chat: "c", kind: "direct" }, attachments: [{ kind: "image", media: "x", state: "remote" }] }));
    await until(() => runs.length === 1, "the message");
    const file = runs[0]?.messages[0]?.attachments[0];
    assert.equal(file && "error" in file ? file.error : "", "404 for https://files.example/[redacted]");
    await own.close();
  });

  it("the judge sees a canary in every form", () => {
    for (const [name, secret] of Object.entries(cases)) {
      const forms = [secret, secret.toUpperCase(), JSON.stringify(secret), encodeURIComponent(secret), Buffer.from(secret).toString("hex"), ...["", "u", "u:"].map((lead) => Buffer.from(lead + secret).toString("base64")), Buffer.from(`u:${secret}`).toString("base64url")];
      for (const form of forms) assert.ok(findings("", `a ${form} b`, { [name]: secret }).length > 0, `${name}: ${form}`);
    }
  });

  it("appear nowhere, whatever fails", async () => {
    await using parrot = await startParrot();
    const sink = await startSink();
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const deadEnd = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
    await new Promise((resolve) => { closed.close(resolve); });
    const { host } = new URL(parrot.url);

    const bot = (id: string, settings: object, credentials: object): FlowNode => account(sink, { id: `n-${id}`, name: `Bot ${id}`, slug: id, channel: "telegram", settings, keepRaw: true, credentials: { token: canary("telegram"), ...credentials } });
    const llm = (id: string, baseUrl: string, credentials: object, provider = "openai-compatible"): FlowNode => ({ id: `m-${id}`, type: "clawflow-model", name: id, gateway: "gw", provider, model: "m", baseUrl, version: 1, credentials });
    const headers = `X-Extra: ${canary("jwt")}\nCookie: ${canary("cookie")}`;
    const models = [
      llm("fine", `${parrot.url}/model`, { key: canary("openai"), headers }),
      llm("refused", `${parrot.url}/refuse`, { key: canary("openai"), headers }),
      llm("bearer", `${parrot.url}/refuse`, { headers: `Authorization: ${canary("bearer")}` }),
      llm("anthropic", `${parrot.url}/refuse`, { key: canary("anthropic"), headers }, "anthropic-compatible"),
      llm("broken", `${parrot.url}/broken`, { key: canary("openai"), headers }),
      llm("cut", `${parrot.url}/cut`, { key: "none", headers: `X-Extra: ${canary("twilio")}` }),
      llm("page", `${parrot.url}/page`, { key: canary("aws") }),
      llm("halfway", `${parrot.url}/halfway`, { key: canary("openai") }),
      llm("closed", deadEnd, { key: canary("openai"), headers }),
      llm("environment", `${parrot.url}/refuse`, { key: "${CANARY_KEY}" }),
      llm("address", "${CANARY_BASE}", { key: canary("openai") }),
      llm("query", "${CANARY_QUERY}", { key: canary("openai") }),
      llm("blank", `${parrot.url}/refuse`, { key: `${canary("openai")} and ${canary("github")}` }),
    ];
    const agents = [...models.map(({ name }) => name as string), "template"];
    const agent = (name: string): FlowNode => on(`a-${name}`, "clawflow-agent", {
      gateway: "gw", model: name === "template" ? "m-fine" : `m-${name}`, live: true, timeoutSeconds: 20, tools: name === "fine" ? [{ by: "all" }] : [],
      system: name === "template" ? "${CANARY_TEMPLATE}" : name === "fine" ? "${CANARY_PROMPT}" : "You are Home.",
    }, ["out", "seen"], ["seen"], ["seen"]);
    const leak = (name: string, code: string): FlowNode[] => [
      on(`t-${name}`, "clawflow-tool", { gateway: "gw", tool: name, risk: "read", shared: true, params: [] }, [`f-${name}`]),
      on(`f-${name}`, "function", { func: code, outputs: 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ["t-out"]),
    ];
    const hook = (id: string, verify: string, secret: string, more: object = {}) => on(id, "clawflow-webhook", { gateway: "gw", path: id, verify, ...more, credentials: { secret } }, ["seen"]);
    const flow = (key: string): FlowNode[] => [
      tab, { ...gateway, webhookBase: "https://bots.example" },
      account(sink, { settings: { sink: sink.url }, credentials: { token: canary("discord"), secret: canary("pem"), password: canary("twilio"), key: canary("slackBot"), extra: canary("github") } }),
      bot("bot-refused", { apiRoot: `${parrot.url}/bot-refuse` }, {}),
      bot("bot-closed", { apiRoot: deadEnd }, {}),
      bot("bot-proxy", { apiRoot: "http://telegram.invalid" }, { proxy: `http://user:${password}@${host}` }),
      bot("bot-proxy-closed", { apiRoot: "http://telegram.invalid" }, { proxy: `http://user:${password}@${new URL(deadEnd).host}` }),
      bot("bot-address", { apiRoot: "${CANARY_ROOT}" }, {}),
      bot("bot-wrong", {}, { token: `no token ${canary("slackBot")}`, proxy: `no proxy ${password}` }),
      bot("bot-hook", { apiRoot: `${parrot.url}/bot-send`, mode: "webhook", raw: true }, { secret: canary("twilio") }),
      ...models.map((one) => (one.id === "m-refused" ? { ...one, credentials: { key, headers } } : one)),
      on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ["pick", "seen"], ["seen"]),
      on("pick", "function", { func: `const to = ${JSON.stringify(agents)}.indexOf(msg.payload); return Array.from({ length: ${agents.length + 1} }, (_, n) => n === (to < 0 ? ${agents.length} : to) ? msg : null);`, outputs: agents.length + 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...agents.map((name) => [`a-${name}`]), ["out"]),
      ...agents.map(agent),
      on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, ["seen"]),
      ...leak("leak_result", "msg.payload = { token: env.get('CANARY_TOOL'), key: env.get('CANARY_KEY'), hook: env.get('CANARY_HOOK'), auth: 'Basic ' + Buffer.from('bot:' + env.get('CANARY_TOOL')).toString('base64') }; return msg;"),
      ...leak("leak_error", "msg.payload = new Error('401 for https://api.example/bot' + env.get('CANARY_TOOL') + '/getMe'); return msg;"),
      on("t-out", "clawflow-tool-out", { field: "payload", fieldType: "msg" }),
      hook("bearer", "bearer", canary("slackApp")), hook("signed", "hmac", canary("github"), { hmacPreset: "github" }), hook("standard", "standard", canary("webhookSecret")), hook("short", "standard", `no secret ${canary("slackApp")}`),
      on("catch", "catch", { scope: null, uncaught: false }, ["seen"]), on("status", "status", { scope: null }, ["seen"]),
      on("seen", "debug", { active: true, tosidebar: true, console: true, tostatus: false, complete: "true", targetType: "full", statusVal: "", statusType: "auto" }),
    ];
    await using red = await startNodeRed({
      packages: [path.join(projectRoot, "test/plugins/echo-channel")], settings: { logging: { console: { level: "trace", metrics: true, audit: true } } }, flows: flow(canary("openai")),
      env: {
        CANARY_KEY: canary("google"), CANARY_TOOL: canary("telegram"), CANARY_HOOK: canary("slackApp"), CANARY_BASE: `http://user:${password}@${host}/refuse`, CANARY_QUERY: `${parrot.url}/refuse?key=${canary("google")}`,
        CANARY_ROOT: `http://user:${password}@${host}/bot-send`, CANARY_PROMPT: `You know ${canary("aws")}.`, CANARY_TEMPLATE: `{{ text | nothing }} ${canary("cookie")} {{ ${canary("aws")} }}`,
      },
    });
    const editor = await listen(red);
    const sinks: [name: string, text: string][] = [];
    const ask = async (name: string, route: string, init: RequestInit = {}): Promise<string> => {
      const response = await red.fetch(route, { ...init, redirect: "manual" });
      const text = await response.text();
      sinks.push([name, `${[...response.headers].join("\n")}\n${text}`]);
      return text;
    };
    const post = (route: string, body: unknown, more: Record<string, string> = {}) => ask(`POST ${route}`, route, { method: "POST", headers: { "content-type": "application/json", ...more }, body: JSON.stringify(body) });
    let said = 0;
    const say = async (text: string): Promise<void> => {
      const id = `s${++said}`;
      await until(async () => /saved|duplicate/.test(await post("/clawflow/home/echo", { id, text, chat: `c-${text}` })), `"${text}" to be taken`, 10_000);
    };
    const spoken = (chat: string): boolean => sink.said.some(({ op, to, draft }) => op === "send" && to.chat === `c-${chat}` && draft?.text !== "");
    const overview = async () => JSON.parse(await ask("overview", "/clawflow/gateway/gw")) as { accounts: { slug: string; state: string; text?: string }[]; counts?: unknown };

    await until(async () => (await overview()).accounts.find(({ slug }) => slug === "echo")?.state === "connected", "the echo account", 20_000);
    // The agents, each at its own fate.
    for (const name of agents) await say(name);
    await until(() => spoken("fine"), `the answer\n${red.lines.slice(-30).join("\n")}`, 20_000);
    const failed = (name: string) => editor.heard.some((text) => text.includes(`"topic":"status/a-${name}"`) && /MODEL_|CONF_|AGENT_/.test(text));
    await until(() => agents.every((name) => name === "fine" || failed(name)), `every fault on its agent, missing: ${agents.filter((name) => !failed(name)).join(", ")}`, 30_000);
    // A message by webhook whose answer the platform refuses, and a forged one.
    const update = { update_id: 1, message: { message_id: 5, date: 1, chat: { id: 7, type: "private", first_name: "A" }, from: { id: 7, is_bot: false, first_name: "A" }, text: "hello" } };
    await post("/clawflow/home/bot-hook", update, { "x-telegram-bot-api-secret-token": canary("twilio") });
    await post("/clawflow/home/bot-hook", { ...update, update_id: 2 }, { "x-telegram-bot-api-secret-token": "wrong" });
    const photo = [{ file_id: "f1", file_unique_id: "u1", width: 1, height: 1, file_size: 10 }];
    await post("/clawflow/home/bot-hook", { update_id: 3, message: { ...update.message, message_id: 6, text: undefined, caption: "a picture", photo } }, { "x-telegram-bot-api-secret-token": canary("twilio") });
    await until(() => ["hello", "a picture"].every((text) => parrot.heard.some((one) => one.includes("sendMessage") && one.includes(text))), "the refused sends", 10_000);
    // The platform's own answer "no" to a send, which repeats the token.
    sink.fault = (one) => (one.to.chat === "c-no" ? { code: "MSG_002", retry: "no", text: `refused ${canary("discord")} and ${encodeURIComponent(canary("slackBot"))}` } : undefined);
    await say("no");
    // Webhooks: right, wrong, and with the secret where it does not belong.
    await post("/clawflow/hooks/bearer", { text: "in" }, { authorization: `Bearer ${canary("slackApp")}`, cookie: `session=${canary("slackApp")}` });
    await post(`/clawflow/hooks/bearer?token=${canary("slackApp")}`, { text: "no" });
    await post("/clawflow/hooks/bearer", { text: "no" }, { authorization: "Bearer wrong" });
    await post("/clawflow/hooks/signed", { text: "no" }, { "x-hub-signature-256": "sha256=00" });
    await post("/clawflow/hooks/standard", { text: "no" });
    // The Test buttons and everything else an editor can ask.
    for (const model of models) {
      const form = { node: model.id, provider: model.provider, model: "m", baseUrl: String(model.baseUrl).replace("${CANARY_BASE}", `http://user:${password}@${host}/refuse`).replace("${CANARY_QUERY}", `${parrot.url}/refuse?key=${canary("google")}`), credentials: { ...(model.credentials as object), headers: "__PWRD__" } };
      const answer = await post("/clawflow/try/model", form);
      assert.match(await post("/clawflow/try/models", form), /"models":\[/);
      if (model.id !== "m-fine") assert.match(answer, /"ok":false|error/, `${model.id}: ${answer}`);
    }
    for (const id of ["bot-refuse", "bot-send"]) {
      await post("/clawflow/try/account", { node: "n-bot-refused", channel: "telegram", settings: { apiRoot: `${parrot.url}/${id}` }, credentials: { token: "__PWRD__", proxy: "" } });
      await post("/clawflow/try/account", { channel: "telegram", settings: { apiRoot: `http://user:${password}@${host}/${id}` }, credentials: { token: canary("telegram") } });
      await post("/clawflow/try/account", { channel: "telegram", settings: { apiRoot: "http://telegram.invalid" }, credentials: { token: canary("telegram"), proxy: `http://user:${password}@${host}` } });
    }
    await post("/clawflow/try/normalize", { mapping: { text: { type: "env", value: "CANARY_KEY" }, "sender.id": { type: "str", value: "x" } }, msg: {} });
    await post("/clawflow/try/template", { text: "{{ env.CANARY_KEY }} {{ CANARY_KEY }} {{ text | nothing }}" });
    await ask("flows", "/flows");
    await ask("flows v2", "/flows", { headers: { "node-red-api-version": "v2" } });
    for (const route of ["/clawflow/tables", "/settings", "/diagnostics", "/nodes", "/plugins", "/context/global", "/clawflow/home/echo", "/clawflow/home/bot-hook"]) await ask(route, route);
    for (const { id, type, credentials } of flow("")) if (credentials !== undefined) await ask(`credentials of ${id}`, `/credentials/${type}/${id}`);
    // A key is replaced by another: the old one stays a secret.
    await red.deploy(flow(canary("anthropic")), "nodes");
    await say("refused");
    await until(() => parrot.heard.some((text) => text.includes("/refuse/chat") && text.includes(canary("anthropic"))), "the new key in use", 10_000);
    const { accounts } = await overview();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await red.stop();
    editor.close();
    await sink.close();

    sinks.push(["log", red.log()], ["comms", editor.heard.join("\n")], ["chats", JSON.stringify(sink.said)]);
    const files = filesBelow(red.userDir).filter((file) => !/flows_cred/.test(file));
    assert.ok(files.some((file) => file.endsWith(".sqlite")) && files.some((file) => file.endsWith("flows.json")), files.join(" "));
    for (const file of files) sinks.push([path.relative(red.userDir, file), readFileSync(file, "latin1")]);
    const found = [...new Set(sinks.flatMap(([name, text]) => findings(name, text, cases)))];
    assert.equal(found.length, 0, `${found.length} findings:\n${found.slice(0, 60).join("\n")}`);

    // What was planted was used, and the faults are told.
    const heard = parrot.heard.join("\n");
    for (const name of ["openai", "anthropic", "telegram", "google", "aws", "jwt", "cookie", "bearer", "twilio"]) assert.ok(heard.includes(canary(name)), `${name} reached nobody`);
    assert.ok(heard.includes(`user:${password}`), "the proxy's password reached nobody");
    const told = editor.heard.join("\n");
    assert.match(told, /MODEL_002/);
    assert.match(heard, /getFile/);
    const results = [...heard.matchAll(/"tool_call_id":"c\d","content":"(.*?)"\}/g)].map((match) => match[1]);
    assert.deepEqual([...new Set(results)], ['{\\"token\\":\\"[redacted]\\",\\"key\\":\\"[redacted]\\",\\"hook\\":\\"[redacted]\\",\\"auth\\":\\"Basic Ym90Oj[redacted]\\', "Error: [TOOL_003] 401 for https://api.example/bot[redacted]/getMe"]);
    assert.match(red.log(), /AGENT_002/);
    for (const refused of [/"Bot API server" to be a bare address, got a user name/, /"Base URL" to be a bare address, got a user name/, /"Base URL" to be a bare address, got a secret \("key"\)/]) assert.match(red.log(), refused);
    assert.deepEqual(accounts.filter(({ slug, state }) => slug.startsWith("bot-") && !["bot-hook"].includes(slug) && state === "connected"), []);
    assert.match(accounts.find(({ slug }) => slug === "bot-refused")?.text ?? "", /refused/);
  });
});
