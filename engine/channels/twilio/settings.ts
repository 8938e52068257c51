/** What every Twilio account needs: who it is, its number, and where Twilio finds us. */
import type { Account, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";

export const DEFAULT_API_ROOT = "https://api.twilio.com";

export const COMMON: readonly Setting[] = [
  { key: "accountSid", type: "text", label: "Account SID", hint: "From the Twilio console, begins with AC", required: true },
  { key: "token", type: "secret", label: "Auth token", hint: "Beside the Account SID; Twilio also signs its requests with it", required: true },
  { key: "number", type: "text", label: "Twilio number", hint: "As +15551234567", required: true },
];
export const LAST: readonly Setting[] = [
  { key: "apiRoot", type: "url", label: "Twilio API", hint: "Only for a region or a test server", initial: DEFAULT_API_ROOT },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

/** `sender`: what may stand in the number's place, and how it is called in a problem. */
export function checkTwilio(account: Account, sender: { readonly pattern: RegExp; readonly called: string } = { pattern: /^\+[1-9]\d{6,14}$/, called: "a number as +15551234567" }): string[] {
  const problems: string[] = [];
  const sid = text(account, "accountSid");
  if (sid === "") problems.push("The Account SID is missing. Copy it from the Twilio console.");
  else if (!/^AC[0-9a-fA-F]{32}$/.test(sid)) problems.push("Expected the Account SID to be AC and 32 hexadecimal digits, got something else. Copy it again from the Twilio console.");
  if (text(account, "token") === "") problems.push("The auth token is missing. Copy it from the Twilio console.");
  const number = text(account, "number");
  if (number === "") problems.push("The Twilio number is missing. Write it as +15551234567.");
  else if (!sender.pattern.test(number)) problems.push(`Expected the Twilio number to be ${sender.called}, got something else.`);
  const root = text(account, "apiRoot");
  if (root !== "" && !(URL.canParse(root) && /^https?:$/.test(new URL(root).protocol))) problems.push("Expected the Twilio API to be an http or https address, got something else.");
  return [...problems, ...proxyProblem(account)];
}

/** Throws ChannelError for the first problem. */
export function refuseWrong(account: Account, problems: readonly string[]): void {
  const [problem] = problems;
  if (problem !== undefined) throw new ChannelError(text(account, "token") === "" ? "CONN_002" : "CONF_001", {}, problem);
}
