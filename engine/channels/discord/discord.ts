/** Discord: what it is and what can be set. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";
import { guildsOf } from "./guilds.ts";
import { BUTTON_LABEL, DEFAULT_API_ROOT, DOWNLOAD_LIMIT, FILES_LIMIT, isSnowflake, NONCE_MS, OPTIONS, ROW_BUTTONS, ROWS, TEXT_LIMIT, UPLOAD_LIMIT } from "./limits.ts";

const settings: readonly Setting[] = [
  { key: "token", type: "secret", label: "Bot token", hint: "From discord.com/developers/applications, under Bot", required: true },
  { key: "mode", type: "choice", label: "Receive by", initial: "gateway", choices: [{ value: "gateway", label: "Gateway: messages, commands and buttons (works everywhere)" }, { value: "webhook", label: "Interactions endpoint: commands and buttons alone (needs a public https address)" }] },
  { key: "content", type: "boolean", label: "Read every message", initial: true, hint: "Needs the privileged Message Content Intent, switched on in the portal under Bot. Without it the bot reads only direct messages and what mentions it", when: { key: "mode", value: "gateway" } },
  { key: "members", type: "boolean", label: "Tell who joins and leaves", initial: false, hint: "Needs the privileged Server Members Intent, switched on in the portal under Bot", when: { key: "mode", value: "gateway" } },
  { key: "verify", type: "text", label: "Public key", hint: "From General Information in the portal; left empty, Discord is asked for it", when: { key: "mode", value: "webhook" } },
  { key: "guilds", type: "list", label: "Servers for commands", hint: "Ids of servers in which the flows' slash commands are registered; left empty, they are registered everywhere" },
  { key: "apiRoot", type: "url", label: "API address", hint: "Only for a proxy of the API of your own", initial: DEFAULT_API_ROOT },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const discord: Channel = {
  id: "discord",
  label: "Discord",
  settings,
  // Rates: 50 requests a second over all (docs, "Rate Limits"); about five messages in five seconds in a channel is what its buckets have shown: the answer's headers decide.
  limits: { text: TEXT_LIMIT, unit: "utf16", caption: TEXT_LIMIT, files: FILES_LIMIT, upload: UPLOAD_LIMIT, download: DOWNLOAD_LIMIT, perSecond: 45, perChatPerSecond: 1, editEveryMs: 1_000 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], buttons: ROWS * ROW_BUTTONS, buttonLabel: BUTTON_LABEL, links: true, choices: OPTIONS, cards: true, poll: true, form: true, only: true },
  dialect: "discord",
  delivery: { keyMs: NONCE_MS, evidence: true, edit: true },
  can: ["react", "remove", "typing", "call"],
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
  if (token === "") problems.push("The bot token is missing. Copy it from discord.com/developers/applications, under Bot.");
  else if (!/^[\w-]{10,}\.[\w-]{4,}\.[\w-]{20,}$/.test(token)) problems.push("Expected the bot token to be three parts with dots between them, got something else. Copy it again from the developer portal under Bot, without \"Bot\" before it.");
  const mode = account.settings["mode"] ?? "gateway";
  if (mode !== "gateway" && mode !== "webhook" && mode !== "") problems.push("Expected \"Receive by\" to be gateway or webhook, got something else.");
  const key = text(account, "verify");
  if (key !== "" && !/^[\da-f]{64}$/i.test(key)) problems.push("Expected the public key to be 64 hexadecimal digits, got something else. Copy it from General Information in the developer portal.");
  if (guildsOf(account).some((id) => !isSnowflake(id))) problems.push("Expected the servers for commands to be ids of servers, which are numbers, got something else. Switch on developer mode in Discord, then copy a server's id from its menu.");
  const root = text(account, "apiRoot");
  if (root !== "" && !(URL.canParse(root) && /^https?:$/.test(new URL(root).protocol) && new URL(root).search === "")) problems.push("Expected the API address to be an http or https address, got something else.");
  problems.push(...proxyProblem(account));
  return problems;
}
