/** Telegram: what it is and what can be set. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { ALBUM_LIMIT, CAPTION_LIMIT, CONTROLS_LIMIT, DEFAULT_API_ROOT, SHOWS, TEXT_LIMIT } from "./limits.ts";
import { proxyProblem, text } from "../setting-text.ts";

const settings: readonly Setting[] = [
  { key: "token", type: "secret", label: "Bot token", hint: "From @BotFather, such as 123456789:AAH…", required: true },
  { key: "mode", type: "choice", label: "Receive by", initial: "polling", choices: [{ value: "polling", label: "Polling (works everywhere)" }, { value: "webhook", label: "Webhook (needs a public https address)" }] },
  { key: "secret", type: "secret", label: "Webhook secret", hint: "Left empty, one is derived from the token", when: { key: "mode", value: "webhook" } },
  { key: "apiRoot", type: "url", label: "Bot API server", hint: "Only for a Bot API server of your own", initial: DEFAULT_API_ROOT },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const telegram: Channel = {
  id: "telegram",
  label: "Telegram",
  settings,
  // Rates: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this. Files: https://core.telegram.org/bots/api#sending-files, #getfile.
  limits: { text: TEXT_LIMIT, unit: "utf16", caption: CAPTION_LIMIT, controls: CONTROLS_LIMIT, files: ALBUM_LIMIT, upload: 50_000_000, download: 20_000_000, perSecond: 30, perChatPerSecond: 1, editEveryMs: 1_000 },
  shows: SHOWS,
  dialect: "telegram",
  delivery: { edit: true },
  can: ["react", "remove", "typing", "preview", "call"],
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
  if (problem !== undefined) throw new ChannelError(text(account, "token") === "" ? "CONN_002" : "CONF_001", {}, problem);
}

function check(account: Account): string[] {
  const problems: string[] = [];
  const token = text(account, "token");
  if (token === "") problems.push("The bot token is missing. Ask @BotFather for one with /newbot.");
  else if (!/^\d{3,20}:[\w-]+$/.test(token)) problems.push("Expected the bot token to look like 123456789:AAH…, got something else. Copy it again from @BotFather.");
  const mode = account.settings["mode"] ?? "polling";
  if (mode !== "polling" && mode !== "webhook" && mode !== "") problems.push(`Expected "Receive by" to be polling or webhook, got "${String(mode)}".`);
  const secret = text(account, "secret");
  if (!/^[\w-]{0,256}$/.test(secret)) problems.push("Expected the webhook secret to be at most 256 letters, digits, _ and -, got something else. Leave it empty to have one made.");
  const root = text(account, "apiRoot");
  if (root !== "" && !isHttp(root)) problems.push("Expected the Bot API server to be an http or https address without a path to a bot, got something else.");
  return [...problems, ...proxyProblem(account)];
}

function isHttp(address: string): boolean {
  return URL.canParse(address) && /^https?:$/.test(new URL(address).protocol) && new URL(address).search === "";
}
