/** What the forms ask of the runtime, below `<httpAdminRoot>/clawflow/`. Every route needs a permission; no answer holds a secret. */
import type { Account, ChannelContext } from "../../engine/channels/channel.ts";
import { fromOwnPage } from "../../engine/channels/webchat/visitor.ts";
import { systemClock } from "../../engine/clock.ts";
import { COMMANDS, COMMAND_USES } from "../../engine/commands.ts";
import { asClawError, ChannelError, ClawError, ERRORS, SettingError } from "../../engine/errors.ts";
import { checkModel, findMediaPrice, listModels, PRICES, PROVIDERS, tryModel } from "../../engine/models/index.ts";
import { EFFORTS } from "../../engine/models/model.ts";
import type { ModelSettings } from "../../engine/models/model.ts";
import { MAPPING_FIELDS, mapMessage, PRESETS, type Mapping } from "../../engine/mapping.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { TEXT_FORMAT } from "../../engine/metrics.ts";
import { MESSAGE_VERSION } from "../../engine/message.ts";
import { normalize, STEPS, type Step } from "../../engine/normalize.ts";
import { checkRules, compileRules, FIELDS, route, TESTS, type Facts, type RouteMode, type Rule } from "../../engine/route.ts";
import { checkSpec, nextRuns } from "../../engine/schedule.ts";
import { compileTemplate, renderTemplate } from "../../engine/template.ts";
import { checkSchema } from "../../engine/tool-input.ts";
import type { Trust } from "../../engine/tool.ts";
import { problemsOf, settingsOf } from "../account.ts";
import { modelSecrets, modelSettings } from "../model.ts";
import { registerMemoryAdmin } from "./admin-memory.ts";
import { deployed, handleOf, opened, registerStoreAdmin, type Request, storeView } from "./admin-store.ts";
import { registerToolsAdmin } from "./admin-tools.ts";
import { registerUsageAdmin } from "./admin-usage.ts";
import { faultOf, type AccountNode, type ModelNode } from "./config.ts";
import type { Host } from "./gateways.ts";
import { mappingResolver } from "./mapping.ts";
import { ownPrices } from "./prices.ts";
import { specOf, type ScheduleFields } from "./schedule.ts";
import { metricsText } from "./metrics.ts";
import { board, keysOf, keyStates, standingId } from "./models.ts";
import { registerPauseAdmin } from "./admin-pause.ts";
import { redact, redactWith } from "./secrets.ts";

type Body = Record<string, unknown>;
interface Response { status(code: number): Response; json(body: unknown): void; set(name: string, value: string): void; send(text: string): void }

const hosts = new WeakSet<Host>();
const NOBODY: ReadonlySet<string> = new Set();
const TRY_MS = 20_000;
/** What the editor sends for a password that was not changed. */
const UNCHANGED = "__PWRD__";

export function registerAdmin(host: Host): void {
  if (hosts.has(host)) return;
  hosts.add(host);
  const { red } = host;
  const read = red.auth.needsPermission("clawflow.read");
  const write = red.auth.needsPermission("clawflow.write");
  // A trial sends what is saved to the address in the form, or starts a program: who may do that may deploy it.
  const deploy = red.auth.needsPermission("flows.write");
  const answer = (act: (request: Request) => unknown) => async (request: Request, response: Response) => {
    try {
      response.json((await act(request)) ?? {});
    } catch (thrown) {
      const error = asClawError(thrown, "CONF_001");
      response.status(error.code === "SEC_001" ? 403 : 400).json({ error: { code: error.code, text: redact(error.message), remedy: error.remedy } });
    }
  };
  const get = (path: string, act: (request: Request) => unknown, permission = read) => red.httpAdmin.get(`/clawflow/${path}`, permission, answer(act));
  const post = (path: string, permission: unknown, act: (request: Request) => unknown) => red.httpAdmin.post(`/clawflow/${path}`, permission, answer((request) => {
    if (permission !== read && !fromOwnPage(request.headers as Record<string, string>, NOBODY)) throw new ClawError("SEC_001", {}, "Expected a request of this editor, got one of another web site.");
    return act(request);
  }));

  get("tables", () => ({
    channels: host.channels().map(({ id, label, settings, limits }) => ({ id, label, settings, limits })),
    providers: PROVIDERS, efforts: EFFORTS, fields: FIELDS.map(({ read: _, ...field }) => field), tests: TESTS, steps: STEPS, presets: PRESETS, mappingFields: MAPPING_FIELDS, errors: ERRORS, commands: { rows: COMMANDS.filter((row) => !("elsewhere" in row)), uses: COMMAND_USES },
  }));
  red.httpAdmin.get("/clawflow/metrics", read, async (_request: Request, response: Response) => {
    try {
      const text = await metricsText(host.handles());
      response.set("content-type", TEXT_FORMAT);
      response.send(text);
    } catch (thrown) {
      response.status(500).json({ error: { code: "CORE_001", text: redact(asClawError(thrown, "CORE_001").message) } });
    }
  });
  registerPauseAdmin(host, (path, act) => post(path, write, async (request) => { await act(request); return overview(host, request.params.id ?? ""); }));
  get("gateway/:id", ({ params }) => overview(host, params.id ?? ""));
  registerUsageAdmin(host, read, get);
  registerStoreAdmin(host, (path, act) => post(path, write, async (request) => { await act(request); return overview(host, request.params.id ?? ""); }));
  registerMemoryAdmin(host, { get: (path, act) => get(path, act, write), post: (path, act) => post(path, write, act) });
  registerToolsAdmin(host, secretsOf, (path, act) => post(path, deploy, act));
  post("gateway/:id/people", write, async ({ params, body = {} }) => {
    const gateway = await opened(host, params.id ?? "");
    const trust = String(body.trust) as Trust;
    if (!["owner", "paired", "allowed", "stranger"].includes(trust)) throw new SettingError("CONF_001", {}, `Expected trust to be owner, paired, allowed or stranger, got "${body.trust}".`);
    for (const field of ["channel", "account", "id"]) if (typeof body[field] !== "string" || body[field] === "") throw new SettingError("CONF_001", {}, `Expected "${field}" to be a text, got ${JSON.stringify(body[field])}.`);
    const known = gateway.people.all().find((person) => person.account === body.account && person.id === body.id);
    await gateway.people.set({ channel: String(body.channel), account: String(body.account), id: String(body.id), name: String(body.name ?? body.id), trust, ...(known?.at === undefined ? {} : { at: known.at }) });
    return overview(host, params.id ?? "");
  });
  // Arguments of calls are what people asked for: that is nothing for everybody who may look.
  const alwaysOf = async (id: string) => ({ always: await (await opened(host, id)).approvals.always() });
  get("gateway/:id/always", ({ params }) => alwaysOf(params.id ?? ""), write);
  post("gateway/:id/always", write, async ({ params, body = {} }) => {
    if (typeof body.key !== "string") throw new SettingError("CONF_001", {}, `Expected "key" to name a call that is always allowed, got ${JSON.stringify(body.key)}.`);
    await (await opened(host, params.id ?? "")).approvals.forget(body.key);
    return alwaysOf(params.id ?? "");
  });
  // Whoever knows the code can make himself the owner: that is no reading.
  get("gateway/:id/owner-code", async ({ params }) => ({ ownerCode: (await opened(host, params.id ?? "")).people.ownerCode() }), write);
  post("gateway/:id/owner-code", write, async ({ params }) => ({ ownerCode: await (await opened(host, params.id ?? "")).people.newOwnerCode() }));

  post("try/account", deploy, ({ body = {} }) => tryAccount(host, body));
  const modelOf = (body: Body) => {
    const node = deployed<ModelNode>(host, body.node, "clawflow-model");
    const secrets = secretsOf(body, node?.credentials);
    const keys = keysOf(red, node, secrets);
    const all = keys.map((key) => modelSettings(body as Parameters<typeof modelSettings>[0], { ...secrets, key }));
    return { settings: all[0] as ModelSettings, all, clean: redactWith([...modelSecrets(secrets), ...keys]) };
  };
  post("try/model", deploy, async ({ body = {} }) => {
    const { all, clean } = modelOf(body);
    const signal = AbortSignal.timeout(TRY_MS);
    const trials = await Promise.all(all.map(async (settings) => {
      const trial = await tryModel(settings, await host.fetchFor(undefined), signal);
      // What was held against this key is out of date.
      if (trial.ok && typeof body.node === "string") board.renew(standingId(body.node, settings));
      return trial;
    }));
    const bad = trials.findIndex(({ ok }) => !ok);
    const trial = trials[Math.max(bad, 0)];
    if (trial?.ok !== false) return trial;
    return { ...trial, text: clean(all.length === 1 ? trial.text : host.say("keyFault", { number: bad + 1, text: trial.text })) };
  });
  post("try/models", deploy, async ({ body = {} }) => {
    const { settings, clean } = modelOf(body);
    // The name of a model is what is looked for.
    const problems = checkModel({ ...settings, model: "any" });
    if (problems.length > 0) return { models: [], problem: clean(problems.join(" ")) };
    try {
      const offered = await listModels(settings, await host.fetchFor(undefined), systemClock, AbortSignal.timeout(TRY_MS));
      const contexts = offered.flatMap(({ id, contextTokens }) => (contextTokens === undefined ? [] : [[id, contextTokens] as const]));
      return { models: offered.map(({ id }) => id), ...(contexts.length === 0 ? {} : { contexts: Object.fromEntries(contexts) }) };
    } catch (thrown) {
      return { models: [], problem: clean(asClawError(thrown, "MODEL_001").message) };
    }
  });
  post("model/price", read, async ({ body = {} }) => {
    const lists = [...(await ownPrices(red)), PRICES];
    return findMediaPrice(String(body.provider ?? ""), String(body.model ?? ""), lists) ?? {};
  });
  post("try/route", read, ({ body = {} }) => {
    const rules = ((body.rules ?? []) as Rule[]).map((rule, output) => ({ ...rule, output }));
    const problems = checkRules(rules);
    if (problems.length > 0) return { problems };
    const facts: Facts = { now: Number(body.now) || Date.now(), trust: (body.trust as Trust | undefined) ?? "owner", timeZone: String(body.timeZone ?? "") };
    return { problems, result: route(sample(body.message), compileRules(rules, body.mode as RouteMode), facts, { explain: true }) };
  });
  post("try/normalize", read, async ({ body = {} }) => {
    try {
      if (body.mapping !== undefined) {
        const msg = (body.msg ?? {}) as Record<string, unknown>;
        return { problems: [], message: mapMessage(body.mapping as Mapping, mappingResolver(host, undefined, msg), Date.now()) };
      }
      return { problems: [], message: await normalize([sample(body.message)], (body.steps ?? []) as Step[], {}) };
    } catch (thrown) {
      const error = asClawError(thrown, "MSG_001");
      return { problems: [error.message], error: { code: error.code, text: error.message } };
    }
  });
  post("try/cron", read, async ({ body = {} }) => {
    const spec = specOf(body as ScheduleFields);
    const problems = await checkSpec(spec);
    if (problems.length > 0) return { problems };
    const { describe } = await import("../../engine/schedule/describe.ts");
    const next = await nextRuns(spec, Date.now(), 5);
    return { problems, words: spec.kind === "cron" ? describe(spec.expression, String(body.locale ?? "en")) : "", next: next.map((at) => new Date(at).toISOString()) };
  });
  post("try/template", read, ({ body = {} }) => {
    try {
      const message = sample(body.message);
      return { problems: [], text: renderTemplate(compileTemplate(String(body.text ?? "")), { message, sender: message.sender, text: message.text, payload: message.text, channel: message.at.channel, account: message.at.account, chat: message.at.chat, trust: "owner", now: Date.now(), date: new Date().toISOString().slice(0, 10) }) };
    } catch (error) {
      return { problems: [(error as Error).message] };
    }
  });
  post("try/schema", read, ({ body = {} }) => {
    try {
      const problem = checkSchema(JSON.parse(String(body.schema ?? "")));
      return { problems: problem === undefined ? [] : [problem] };
    } catch (error) {
      return { problems: [`Expected JSON: ${(error as Error).message}`] };
    }
  });
}

async function overview(host: Host, id: string): Promise<unknown> {
  const handle = handleOf(host, id);
  if (handle === undefined) return { deployed: false, accounts: [], models: [], people: [], refused: [], problems: [] };
  const { gateway } = handle;
  const accounts: unknown[] = [];
  const models: Record<string, unknown>[] = [];
  host.red.nodes.eachNode((config) => {
    if (config.gateway !== id) return;
    if (config.type === "clawflow-account") {
      const node = host.red.nodes.getNode(String(config.id)) as AccountNode | null;
      const fault = faultOf(node);
      const status = node === null || fault !== undefined ? undefined : gateway?.connections.status(node.slug);
      const path = `${handle.slug}/${node?.slug ?? ""}`;
      // What is polled is reached by nobody: only an open account that takes requests has an address to give away.
      const reached = host.http.available && node !== null && gateway?.connections.get(node.slug)?.connection?.webhook !== undefined;
      accounts.push({ id: config.id, slug: node?.slug, name: config.name, channel: config.channel, state: fault !== undefined ? "failed" : (status?.state ?? (config.d === true ? "disabled" : "disconnected")), ...(status?.self === undefined ? {} : { self: status.self }), ...(fault ?? status?.error ?? {}), ...(status?.since === undefined ? {} : { since: status.since }), ...(status?.nextTryAt === undefined ? {} : { nextTryAt: status.nextTryAt }), path: host.http.url(path), ...(reached ? { address: `${handle.settings.webhookBase}${host.http.url(path)}` } : {}) });
    } else if (config.type === "clawflow-model") models.push({ id: config.id, name: config.name, provider: config.provider || "practice", model: config.model });
  });
  return {
    deployed: true, slug: handle.slug, accounts, models: await Promise.all(models.map(async (model) => ({ ...model, keys: await statesOf(host, String(model["id"])) }))),
    people: gateway?.people.all().map(({ at: _, ...person }) => person) ?? [], refused: gateway?.people.refused() ?? [],
    counts: await gateway?.store.counts(), problems: handle.problems, store: storeView(handle), ...(gateway === undefined ? {} : { pauses: gateway.pauses.all().map(([scope, pause]) => ({ scope, ...pause })) }),
  };
}

/** How each key of a deployed model stands. */
async function statesOf(host: Host, id: string): Promise<unknown[]> {
  const node = host.red.nodes.getNode(id) as ModelNode | null;
  // What keeps a model from being opened is said where it is used; the gateway's form is for the rest.
  return node?.candidates === undefined ? [] : keyStates(await node.candidates().catch(() => []));
}

/** Credentials of a form; those that were not changed come from the deployed node. */
function secretsOf(body: Body, deployed: Record<string, string | undefined> | undefined): Record<string, string | undefined> {
  const secrets: Record<string, string | undefined> = {};
  for (const [key, value] of Object.entries((body.credentials ?? {}) as Record<string, string | undefined>)) {
    const plain = value === UNCHANGED ? deployed?.[key] : value;
    const env = /^\$\{([^}]+)\}$/.exec(plain ?? "");
    secrets[key] = env ? process.env[env[1] ?? ""] : plain;
  }
  return secrets;
}

/** Opens the account for a moment, beside the gateway: nothing it receives is taken. */
async function tryAccount(host: Host, body: Body): Promise<unknown> {
  const channel = host.channels().find((known) => known.id === body.channel);
  if (channel === undefined) throw new SettingError("CONF_001", {}, `Expected a known channel, got "${body.channel}".`);
  const node = deployed<AccountNode>(host, body.node, "clawflow-account");
  const secrets = secretsOf(body, node?.credentials);
  const clean = redactWith(Object.values(secrets));
  const account: Account = { id: "test", channel: channel.id, name: "test", settings: settingsOf(channel, (body.settings ?? {}) as Body, secrets) };
  const problems = problemsOf(channel, account);
  if (problems.length > 0) return { ok: false, fault: "settings", text: clean(problems.join(" ")), code: "CONF_001" };
  const proxy = account.settings.proxy;
  const noFiles = async () => { throw new ChannelError("MSG_005", {}, "A test sends and fetches no files."); };
  const context: Omit<ChannelContext, "signal"> = {
    receive: async () => { throw new Error("a test takes no messages"); }, fetch: await host.fetchFor(typeof proxy === "string" ? proxy : undefined), file: noFiles, download: noFiles,
    storage: { get: async () => undefined, set: async () => undefined, list: async () => [] }, clock: systemClock, status: () => undefined, log: () => undefined, commands: [],
  };
  try {
    if (channel.try === undefined) throw new ChannelError("MSG_005", {}, `${channel.label} has no test beside its connection. Deploy, and read the account's state in the gateway.`);
    const self = await channel.try(account, { ...context, signal: AbortSignal.timeout(TRY_MS) });
    // What was given up for a wrong token may be right now without a deploy: a bot made anew, another value in the environment.
    const link = node?.gatewayNode?.handle.gateway?.connections;
    if (link?.status(node?.slug ?? "")?.state === "failed") link.reopen(node?.slug ?? "");
    return { ok: true, name: self.name };
  } catch (thrown) {
    const error = asClawError(thrown, "CONN_001");
    return { ok: false, fault: FAULTS[error.code] ?? "failed", text: clean(error.message), code: error.code };
  }
}
const FAULTS: Record<string, string> = { CONN_001: "no network", CONN_002: "token refused", CONN_003: "rate limited", CONN_004: "wrong secret", CONN_005: "used elsewhere", CONF_001: "settings" };

/** A Message from the few fields a form gives. */
function sample(given: unknown) {
  const fields = (given ?? {}) as Body;
  const at = (fields.at ?? {}) as Body;
  const sender = (fields.sender ?? {}) as Body;
  return parseMessage({
    id: "try", ref: "try", kind: "message", sentAt: Date.now(), text: "", attachments: [], addressed: true, ...fields, version: MESSAGE_VERSION,
    at: { channel: "webchat", account: "chat", chat: "someone", kind: "direct", ...at }, sender: { id: "someone", name: "Someone", bot: false, self: false, ...sender },
  });
}
