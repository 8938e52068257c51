/** Alerts into one Discord channel by an outgoing webhook: no bot, nothing comes in. Everything live is in connect.ts. */
import type { Account, Channel, Setting } from "../channel.ts";
import { FILES_LIMIT, TEXT_LIMIT, UPLOAD_LIMIT } from "../discord/limits.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";

const settings: readonly Setting[] = [
  { key: "secret", type: "secret", label: "Webhook address", hint: "From the channel's settings under Integrations: https://discord.com/api/webhooks/…", required: true },
  { key: "name", type: "text", label: "Name shown", hint: "Left empty, the webhook's own name is shown" },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const discordWebhook: Channel = {
  id: "discord-webhook",
  label: "Discord webhook (alerts)",
  settings,
  // Five requests in two seconds is what its buckets have shown; the answer's headers decide.
  limits: { text: TEXT_LIMIT, unit: "utf16", caption: TEXT_LIMIT, files: FILES_LIMIT, upload: UPLOAD_LIMIT, perSecond: 2, perChatPerSecond: 2, editEveryMs: 1_000 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], cards: true, poll: true },
  dialect: "discord",
  delivery: { edit: true },
  can: ["remove"],
  check,
  async try(account, context) {
    refuseWrong(account);
    const { identify } = await import("./connect.ts");
    return identify(account, context);
  },
  async open(account, context) {
    refuseWrong(account);
    const { connect } = await import("./connect.ts");
    return connect(account, context);
  },
};

function refuseWrong(account: Account): void {
  const [problem] = check(account);
  if (problem !== undefined) throw new ChannelError(text(account, "secret") === "" ? "CONN_002" : "CONF_001", {}, problem);
}

/** API root, id and token of a webhook's address. */
export function partsOf(account: Account): { apiRoot: string; id: string; token: string } | undefined {
  const address = text(account, "secret");
  if (!URL.canParse(address)) return undefined;
  const { protocol, origin, pathname } = new URL(address);
  const [, root = "", id = "", token = ""] = /^(.*?\/api)(?:\/v\d+)?\/webhooks\/(\d{1,20})\/([\w-]{10,})\/?$/.exec(pathname) ?? [];
  return id === "" || !/^https?:$/.test(protocol) ? undefined : { apiRoot: origin + root, id, token };
}

function check(account: Account): string[] {
  const problems: string[] = [];
  if (text(account, "secret") === "") problems.push("The webhook's address is missing. Make one in the channel's settings under Integrations, and copy its URL.");
  else if (partsOf(account) === undefined) problems.push("Expected the webhook's address to look like https://discord.com/api/webhooks/123/abc, got something else. Copy its URL again from the channel's settings under Integrations.");
  if ([...text(account, "name")].length > 80 || /discord|clyde/i.test(text(account, "name"))) problems.push("Expected the name shown to be at most 80 characters without \"discord\" and \"clyde\", which Discord refuses, got another one.");
  return [...problems, ...proxyProblem(account)];
}
