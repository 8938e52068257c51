/** OpenAI-compatible API: other software talks to a flow as if it were a model. A request waits until its flow has answered. */
import type { Account, Channel, ChannelContext, Connection } from "../channel.ts";
import { text } from "../setting-text.ts";
import { ApiFault, faultAnswer } from "./answers.ts";
import { createRoutes } from "./routes.ts";
import { openTalks } from "./talks.ts";
import { tokenProblems, tokensOf } from "./tokens.ts";

const HOUR_MS = 3_600_000;
const MIB = 1024 * 1024;
const MAX_SECONDS = 3_600;

export const api: Channel = {
  id: "api",
  label: "OpenAI-compatible API",
  settings: [
    { key: "token", type: "secret", label: "Tokens", required: true, hint: "Of your own making, 20 characters or more; several: name=token, separated by blanks" },
    { key: "models", type: "list", label: "Model names", hint: "Under which clients ask for it, one a line; empty: the account's name; *: any name" },
    { key: "history", type: "choice", label: "Conversation", initial: "session", hint: "Clients send the whole conversation with each request", choices: [{ value: "session", label: "the agent's own memory" }, { value: "client", label: "as the client sends it" }] },
    { key: "waitSeconds", type: "number", label: "Longest wait (s)", initial: 300, hint: "For an answer; the flow goes on after it" },
    { key: "origins", type: "list", label: "Web pages", hint: "https://example.org, one a line: sites whose pages may call it from a browser; empty: none" },
  ],
  limits: { text: 1_000_000, unit: "utf16", editEveryMs: 60, download: 20 * MIB },
  shows: {},
  delivery: { keyMs: HOUR_MS, evidence: true },
  keyed: true,
  can: ["preview"],
  check,
  async try(account) { return { id: "api", name: account.name }; },
  open,
};

function check(account: Account): string[] {
  const seconds = Number(account.settings["waitSeconds"] ?? 300);
  return [
    ...tokenProblems(text(account, "token")),
    ...(seconds >= 1 && seconds <= MAX_SECONDS ? [] : [`Expected the longest wait to be 1 to ${MAX_SECONDS} s, got "${String(account.settings["waitSeconds"])}".`]),
    ...listOf(account.settings["origins"]).filter((origin) => URL.parse(origin)?.origin !== origin).map((origin) => `Expected a site as https://example.org, without a path, got "${origin}".`),
  ];
}

async function open(account: Account, context: ChannelContext): Promise<Connection> {
  const { settings } = account;
  const talks = await openTalks(context);
  const names = listOf(settings["models"]).filter((name) => name !== "*");
  const routes = createRoutes({
    account: account.id, context, talks, tokens: tokensOf(text(account, "token")),
    models: names.length > 0 ? names : [account.id], anyModel: listOf(settings["models"]).includes("*"), alone: settings["history"] === "client",
    waitMs: Number(settings["waitSeconds"] ?? 300) * 1000, origins: listOf(settings["origins"]), since: Math.floor(context.clock.now() / 1000), keepRaw: settings["raw"] === true,
  });
  context.signal.addEventListener("abort", () => talks.close(), { once: true });
  context.status("connected");
  return {
    self: { id: "api", name: account.name },
    send: (to, draft, key) => talks.say(to, draft.text, key),
    find: (_to, { key }) => talks.find(key),
    async preview(to, draft, key) { talks.show(to, draft.text, key); },
    // Pictures that a client names by their address.
    media: (reference, signal) => context.download(reference, { signal }),
    async webhook(request) { return talks.closed ? faultAnswer(new ApiFault("CONN_001", { status: 503, headers: { "retry-after": "1" } }, "The API is being restarted.")) : routes(request); },
    async close() { talks.close(); },
  };
}

function listOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : String(value ?? "").split("\n")).map((item) => String(item).trim()).filter((item) => item !== "");
}
