/** WhatsApp by Meta's Cloud API: what it is and what can be set. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";
import { BODY_LIMIT, CAPTION_LIMIT, DEFAULT_API_ROOT, SHOWS, TEXT_LIMIT, UPLOAD_LIMIT } from "./limits.ts";

const settings: readonly Setting[] = [
  { key: "token", type: "secret", label: "Access token", hint: "Of a system user, such as EAAG…", required: true },
  { key: "phone", type: "text", label: "Phone number id", hint: "15 digits or so, from API setup; not the phone number", required: true },
  { key: "secret", type: "secret", label: "App secret", hint: "From the app's Basic settings; without it no message is let in", required: true },
  { key: "key", type: "secret", label: "Verify token", hint: "A password you make up, for the webhook's handshake", required: true },
  { key: "business", type: "text", label: "Business account id", hint: "With it the webhook is set by itself" },
  { key: "statuses", type: "boolean", label: "Statuses as messages", hint: "Delivered, read and failed reach the flow as events", initial: false },
  { key: "apiRoot", type: "url", label: "Graph API", hint: "Address with version", initial: DEFAULT_API_ROOT },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const whatsapp: Channel = {
  id: "whatsapp",
  label: "WhatsApp",
  settings,
  // Rates: …/whatsapp/throughput. A person may get one message each 6 seconds, with bursts; Meta's own answers pace that.
  limits: { text: TEXT_LIMIT, unit: "utf16", caption: CAPTION_LIMIT, controls: BODY_LIMIT, bare: ["audio", "voice", "sticker"], upload: UPLOAD_LIMIT, download: UPLOAD_LIMIT, perSecond: 80 },
  shows: SHOWS,
  dialect: "whatsapp",
  delivery: { evidence: true },
  can: ["react", "typing", "read", "call"],
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
  if (token === "") problems.push("The access token is missing. Make one for a system user in Meta's Business settings.");
  else if (!/^[\x21-\x7e]{8,4096}$/.test(token)) problems.push("Expected the access token to be one long word such as EAAG…, got something else. Copy it again.");
  if (!/^\d{5,30}$/.test(text(account, "phone"))) problems.push("Expected the phone number id to be digits alone, got something else. Copy it from the app's API setup; it is not the phone number.");
  if (text(account, "secret") === "") problems.push("The app secret is missing, so every message would be refused. Copy it from the app's Basic settings.");
  if (text(account, "key") === "") problems.push("The verify token is missing. Make up a password and enter it here and in the app's webhook.");
  if (!/^\d{0,30}$/.test(text(account, "business"))) problems.push("Expected the business account id to be digits alone, got something else. Leave it empty to set the webhook by hand.");
  const root = text(account, "apiRoot");
  if (root !== "" && !(URL.canParse(root) && /^https?:$/.test(new URL(root).protocol) && new URL(root).search === "")) problems.push("Expected the Graph API to be an http or https address with a version, got something else.");
  return [...problems, ...proxyProblem(account)];
}
