/** Slack: what it is and what can be set. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";
import { BUTTONS_LIMIT, DEFAULT_API_URL, FILE_LIMIT, FILES_LIMIT, LABEL_LIMIT, OPTIONS_LIMIT, TEXT_LIMIT } from "./limits.ts";

const settings: readonly Setting[] = [
  { key: "token", type: "secret", label: "Bot token", hint: "Begins with xoxb-; of one workspace", required: true },
  { key: "mode", type: "choice", label: "Receive by", initial: "socket", choices: [{ value: "socket", label: "Socket Mode (works everywhere)" }, { value: "events", label: "Events API (needs a public https address)" }] },
  { key: "key", type: "secret", label: "App-level token", hint: "Begins with xapp-; with the scope connections:write", when: { key: "mode", value: "socket" } },
  { key: "secret", type: "secret", label: "Signing secret", hint: "Basic Information, App Credentials", when: { key: "mode", value: "events" } },
  { key: "threads", type: "boolean", label: "Answer in threads", hint: "What is said to the bot in a channel begins a thread, with a memory of its own", initial: false },
  { key: "apiUrl", type: "url", label: "Web API", hint: "Only for a proxy of the API, or GovSlack", initial: DEFAULT_API_URL },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const slack: Channel = {
  id: "slack",
  label: "Slack",
  settings,
  // Rates: https://docs.slack.dev/apis/web-api/rate-limits: one message a second in a channel, chat.update at tier 3 (50 a minute and more).
  limits: { text: TEXT_LIMIT, unit: "utf16", files: FILES_LIMIT, upload: FILE_LIMIT, download: FILE_LIMIT, perChatPerSecond: 1, editEveryMs: 1_200 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], buttons: BUTTONS_LIMIT, buttonLabel: LABEL_LIMIT, links: true, choices: OPTIONS_LIMIT, cards: true, form: true, only: true },
  dialect: "mrkdwn",
  delivery: { edit: true, evidence: true },
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
  if (token === "") problems.push("The bot token is missing. Install the app in your workspace and copy it from OAuth & Permissions.");
  else if (!/^xox(?:b|e\.xoxb)-[\w-]{3,}$/.test(token)) problems.push("Expected the bot token to begin with xoxb-, got something else. Copy the Bot User OAuth Token from OAuth & Permissions.");
  const mode = text(account, "mode") || "socket";
  if (mode === "socket") {
    const key = text(account, "key");
    if (key === "") problems.push("The app-level token is missing. Make one with the scope connections:write in Basic Information, or receive by the Events API.");
    else if (!/^xapp-[\w-]{3,}$/.test(key)) problems.push("Expected the app-level token to begin with xapp-, got something else. Copy it from Basic Information, App-Level Tokens.");
  } else if (mode === "events") {
    if (text(account, "secret") === "") problems.push("The signing secret is missing. Copy it from Basic Information, App Credentials; without it every request is refused.");
  } else problems.push(`Expected "Receive by" to be socket or events, got "${mode.slice(0, 40)}".`);
  const url = text(account, "apiUrl");
  if (url !== "" && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) && new URL(url).search === "")) problems.push("Expected the Web API to be an http or https address, got something else.");
  return [...problems, ...proxyProblem(account)];
}
