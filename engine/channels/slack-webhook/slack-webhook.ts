/**
 * Slack's incoming webhooks: one address that posts into one channel, for alerts where no bot is wanted. A channel of its own, for it shares neither settings nor
 * abilities with the bot: nothing comes in, nothing can be changed. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
 */
import type { Account, Channel, ChannelContext, Connection, Setting } from "../channel.ts";
import { ChannelError, type ErrorCode, type Retry } from "../../errors.ts";
import type { Address, Draft } from "../../message.ts";
import { proxyProblem, text } from "../setting-text.ts";
import { contentOf } from "../slack/blocks.ts";
import { hide, statusError, toChannelError } from "../slack/errors.ts";
import { TEXT_LIMIT } from "../slack/limits.ts";

const settings: readonly Setting[] = [
  { key: "token", type: "secret", label: "Webhook URL", hint: "Such as https://hooks.slack.com/services/T…/B…/…", required: true },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const slackWebhook: Channel = {
  id: "slack-webhook",
  label: "Slack incoming webhook",
  settings,
  limits: { text: TEXT_LIMIT, unit: "utf16", perSecond: 1, perChatPerSecond: 1 },
  shows: { cards: true },
  dialect: "mrkdwn",
  delivery: {},
  can: [],
  check,
  async try(account, context) {
    refuseWrong(account);
    return probe(account, context, context.signal);
  },
  async open(account, context) {
    refuseWrong(account);
    const own = new AbortController();
    const signal = AbortSignal.any([context.signal, own.signal]);
    context.status("connecting");
    const self = await probe(account, context, signal);
    context.status("connected");
    return {
      self,
      send: (to, draft, key) => send(account, context, signal, to, draft, key),
      async close() { own.abort(); },
    };
  },
};

/** What Slack says in plain words, https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors. */
const SAYS: readonly { readonly says: RegExp; readonly code: ErrorCode; readonly retry?: Retry; readonly markup?: true; readonly hint?: string }[] = [
  { says: /no_active_hooks|no_service|no_team|team_disabled|invalid_token/, code: "CONN_002", hint: "Copy the webhook URL again, or add the webhook anew." },
  { says: /rollup_error/, code: "CONN_001", retry: "later" },
  { says: /invalid_payload|invalid_blocks/, code: "MSG_002", markup: true },
  { says: /channel_|action_prohibited|posting_to|user_not_found/, code: "MSG_002" },
  { says: /too_many_attachments|msg_too_long/, code: "MSG_003" },
];
/** An empty message is refused with this by a webhook that works, and nobody sees it. */
const EMPTY = /no_text|invalid_payload|missing_text_or_fallback_or_attachments/;

async function probe(account: Account, context: ChannelContext, signal: AbortSignal): Promise<Connection["self"]> {
  const [, team = "", hook = ""] = /\/services\/([^/]+)\/([^/]+)/.exec(new URL(text(account, "token")).pathname) ?? [];
  const self = { id: team === "" ? "webhook" : `${team}/${hook}`, name: "Slack incoming webhook" };
  const { status, said } = await post(account, context, signal, {});
  if (status === 400 && EMPTY.test(said)) return self;
  throw refusal(status, said);
}

async function send(account: Account, context: ChannelContext, signal: AbortSignal, to: Address, draft: Draft, key: string): Promise<string> {
  if (draft.only !== undefined) throw new ChannelError("MSG_005", {}, "A webhook shows everything to the whole channel.");
  const { text: words, blocks, attachments } = contentOf(draft);
  const thread = to.thread !== undefined && /^\d+\.\d+$/.test(to.thread) ? { thread_ts: to.thread } : {};
  const { status, said } = await post(account, context, signal, { text: words, ...(blocks.length > 0 ? { blocks } : {}), ...(attachments.length > 0 ? { attachments } : {}), ...thread, unfurl_links: false, unfurl_media: false, ...draft.native?.["slack-webhook"] });
  if (status === 200 && said === "ok") return `webhook:${key}`;
  throw refusal(status, said);
}

async function post(account: Account, context: ChannelContext, signal: AbortSignal, body: object): Promise<{ status: number; said: string }> {
  const secrets = [text(account, "token"), new URL(text(account, "token")).pathname];
  const lost = (thrown: unknown): never => { throw toChannelError(thrown, "the webhook", secrets); };
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), redirect: "error", signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]) } as const;
  const response = await context.fetch(text(account, "token"), init).catch(lost);
  const said = await response.text().catch(lost);
  if (response.status === 429 || response.status >= 500) {
    if (!/rollup_error/.test(said)) throw statusError(response.status, { header: (name) => response.headers.get(name), body: said }, context.clock.now());
  }
  return { status: response.status, said: hide(said.trim().slice(0, 200), secrets) };
}

function refusal(status: number, said: string): ChannelError {
  // A page of something else that stands before Slack.
  if (status === 200) return new ChannelError("CONN_001", { retry: "later" }, "Expected Slack's webhook to say ok, got something else with status 200.");
  const rule = SAYS.find((each) => each.says.test(said)) ?? { says: EMPTY, code: status === 404 || status === 410 ? "CONN_002" : "MSG_002" } satisfies (typeof SAYS)[number];
  return new ChannelError(rule.code, { retry: "retry" in rule ? (rule.retry ?? "no") : "no", markup: "markup" in rule && rule.markup === true, answered: true }, `Slack's webhook refused the message: ${said === "" || /</.test(said) ? "no reason was given" : said} (${status}).${"hint" in rule && rule.hint !== undefined ? ` ${rule.hint}` : ""}`);
}

function refuseWrong(account: Account): void {
  const [problem] = check(account);
  if (problem !== undefined) throw new ChannelError(text(account, "token") === "" ? "CONN_002" : "CONF_001", {}, problem);
}

function check(account: Account): string[] {
  const url = text(account, "token");
  const problems: string[] = [];
  if (url === "") problems.push("The webhook URL is missing. Add a webhook under Incoming Webhooks in your app's pages and copy it.");
  else if (!(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) && new URL(url).pathname.length > 1)) problems.push("Expected the webhook URL to be a whole address such as https://hooks.slack.com/services/…, got something else. Copy it again.");
  return [...problems, ...proxyProblem(account)];
}
