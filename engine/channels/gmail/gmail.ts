/** Gmail by its REST API. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";
import { DEFAULT_API_ROOT, DEFAULT_AUTH_ROOT } from "./limits.ts";

const settings: readonly Setting[] = [
  { key: "clientId", type: "text", label: "Client ID", hint: "Of an OAuth client of your own, ends with .apps.googleusercontent.com", required: true },
  { key: "secret", type: "secret", label: "Client secret", hint: "Beside the client ID", required: true },
  { key: "token", type: "secret", label: "Refresh token", hint: "From the OAuth playground, begins with 1//", required: true },
  { key: "name", type: "text", label: "Name", hint: "Stands before the address" },
  { key: "label", type: "text", label: "Label", hint: "Only mails with this label are taken; the id of a label of your own, such as Label_12", initial: "INBOX" },
  { key: "verified", type: "boolean", label: "Believe only verified senders", hint: "Off, anybody can write as anybody", initial: true },
  { key: "everySeconds", type: "number", label: "Look every (seconds)", initial: 10 },
  { key: "apiRoot", type: "url", label: "Gmail API", hint: "Only for a test server", initial: DEFAULT_API_ROOT },
  { key: "authRoot", type: "url", label: "Google's OAuth server", hint: "Only for a test server", initial: DEFAULT_AUTH_ROOT },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const gmail: Channel = {
  id: "gmail",
  label: "Gmail",
  settings,
  // 25 MB with base64: support.google.com/mail/answer/6584. messages.send costs 100 of 15,000 units a minute: developers.google.com/gmail/api/reference/quota.
  limits: { text: 60_000, unit: "bytes", files: 20, upload: 18_000_000, download: 25_000_000, perSecond: 2 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], subject: true },
  dialect: "html",
  delivery: { evidence: true },
  can: ["read", "call"],
  check,
  async try(account, context) {
    refuseWrong(account);
    return (await import("./connect.ts")).identify(account, context);
  },
  async open(account, context) {
    refuseWrong(account);
    return (await import("./connect.ts")).connect(account, context);
  },
};

function refuseWrong(account: Account): void {
  const [problem] = check(account);
  if (problem !== undefined) throw new ChannelError("CONF_001", {}, problem);
}

function check(account: Account): string[] {
  const problems: string[] = [];
  const clientId = text(account, "clientId");
  if (clientId === "") problems.push("The client ID is missing. Make an OAuth client in the Google Cloud console.");
  else if (!/^[\w.-]{5,200}$/.test(clientId)) problems.push("Expected the client ID to end with .apps.googleusercontent.com, got something else. Copy it again.");
  if (text(account, "secret") === "") problems.push("The client secret is missing. It stands beside the client ID.");
  if (text(account, "token") === "") problems.push("The refresh token is missing. Get one in the OAuth playground.");
  if (!/^[\w-]{0,100}$/.test(text(account, "label"))) problems.push("Expected the label's id, such as INBOX or Label_12, got something else.");
  const every = account.settings.everySeconds ?? 10;
  if (every !== "" && !(Number(every) >= 1 && Number(every) <= 3_600)) problems.push("Expected to look every 1 to 3600 seconds, got something else.");
  for (const [key, name] of [["apiRoot", "Gmail API"], ["authRoot", "OAuth server"]] as const) {
    const root = text(account, key);
    if (root !== "" && !(URL.canParse(root) && /^https?:$/.test(new URL(root).protocol))) problems.push(`Expected the ${name} to be an http or https address, got something else.`);
  }
  return [...problems, ...proxyProblem(account)];
}
