/** What a mail account needs, and what of it cannot work. */
import type { Account, Setting } from "../channel.ts";
import { isAddress } from "../mail/parse.ts";
import { proxyProblem, text } from "../setting-text.ts";

const SECURITY = [{ value: "tls", label: "TLS" }, { value: "starttls", label: "STARTTLS" }, { value: "none", label: "None" }];
const OAUTH = { key: "login", value: "oauth" };
/** Microsoft's, for accounts of firms and of persons (learn.microsoft.com/entra/identity-platform/v2-protocols). */
const DEFAULT_AUTH_URL = "https://login.microsoftonline.com/common/oauth2/v2.0/token";
export const settings: readonly Setting[] = [
  { key: "imapHost", type: "text", label: "IMAP server", hint: "imap.gmail.com, imap.fastmail.com, imap.gmx.net, or your own", required: true },
  { key: "imapPort", type: "number", label: "IMAP port", hint: "993 with TLS, 143 else", initial: 993 },
  { key: "imapSecurity", type: "choice", label: "IMAP security", initial: "tls", choices: SECURITY },
  { key: "smtpHost", type: "text", label: "SMTP server", hint: "smtp.gmail.com, smtp.fastmail.com, mail.gmx.net, or your own", required: true },
  { key: "smtpPort", type: "number", label: "SMTP port", hint: "465 with TLS, 587 with STARTTLS", initial: 465 },
  { key: "smtpSecurity", type: "choice", label: "SMTP security", initial: "tls", choices: SECURITY },
  { key: "user", type: "text", label: "User", hint: "Nearly always the whole address", required: true },
  { key: "login", type: "choice", label: "Login", hint: "OAuth for Microsoft 365 and Outlook, and where there are no app passwords", initial: "password", choices: [{ value: "password", label: "by password" }, { value: "oauth", label: "by OAuth" }] },
  { key: "password", type: "secret", label: "Password", hint: "Gmail, Fastmail, iCloud, Yahoo: an app password, never the account's own", when: { key: "login", value: "password" } },
  { key: "clientId", type: "text", label: "Client ID", hint: "Of an app of your own at the service", when: OAUTH },
  { key: "secret", type: "secret", label: "Client secret", hint: "Left empty where the app has none", when: OAUTH },
  { key: "token", type: "secret", label: "Refresh token", hint: "How to get one stands on the channel's page", when: OAUTH },
  { key: "authUrl", type: "url", label: "Token address", hint: "Google: https://oauth2.googleapis.com/token", initial: DEFAULT_AUTH_URL, when: OAUTH },
  { key: "address", type: "text", label: "Address", hint: "The mails come from it; the user, where it is left empty" },
  { key: "name", type: "text", label: "Name", hint: "Stands before the address" },
  { key: "mailbox", type: "text", label: "Folder", hint: "Where new mails come in", initial: "INBOX" },
  { key: "sent", type: "choice", label: "Sent mails", initial: "append", choices: [{ value: "append", label: "Put into the folder here" }, { value: "server", label: "The server does it (Gmail)" }] },
  { key: "sentFolder", type: "text", label: "Folder of sent mails", hint: "Left empty, the one that the server names" },
  { key: "verified", type: "boolean", label: "Believe only verified senders", hint: "Off, anybody can write as anybody", initial: true },
  { key: "authserv", type: "text", label: "Verifying server", hint: "Its name in Authentication-Results, such as mx.example.org; known for Gmail, Outlook, Fastmail, GMX" },
  { key: "everySeconds", type: "number", label: "Look at least every (seconds)", hint: "New mails come at once where the server has IDLE", initial: 60 },
  { key: "plain", type: "boolean", label: "Allow a password without encryption", hint: "Only in a network that is yours alone; needless on this machine", initial: false },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export interface Server { readonly host: string; readonly port: number; readonly security: "tls" | "starttls" | "none" }
const FALLBACK = { imap: { tls: 993, starttls: 143, none: 143 }, smtp: { tls: 465, starttls: 587, none: 25 } } as const;
export function serverOf(account: Account, kind: "imap" | "smtp"): Server {
  const said = text(account, `${kind}Security`);
  const security = said === "starttls" || said === "none" ? said : "tls";
  return { host: text(account, `${kind}Host`), security, port: numberOf(account, `${kind}Port`) ?? FALLBACK[kind][security] };
}
export const authUrlOf = (account: Account): string => text(account, "authUrl") || DEFAULT_AUTH_URL;
export const addressOf = (account: Account): string => (text(account, "address") || text(account, "user")).toLowerCase();

/** Undefined: left empty. NaN: no number. */
export function numberOf(account: Account, key: string): number | undefined {
  const value = account.settings[key];
  if (value === undefined || value === null || value === "") return undefined;
  return typeof value === "number" ? value : typeof value === "string" && /^\s*\d+\s*$/.test(value) ? Number(value) : Number.NaN;
}

const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
const isHost = (host: string): boolean => /^[\p{L}\p{N}.:_[\]-]{1,253}$/u.test(host);

function loginProblems(account: Account): string[] {
  const login = text(account, "login");
  if (login === "" || login === "password") return text(account, "password") === "" ? ["The password is missing. Many services want an app password here."] : [];
  if (login !== "oauth") return ['Expected "Login" to be password or oauth, got something else.'];
  const url = URL.parse(authUrlOf(account));
  return [
    ...(text(account, "clientId") === "" ? ["The client ID is missing. Register an app at the service, and copy its ID."] : []),
    ...(text(account, "token") === "" ? ["The refresh token is missing. How to get one stands on the channel's page."] : []),
    ...(url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname)) ? [] : ["Expected the token address to be an https address, got something else."]),
  ];
}

export function check(account: Account): string[] {
  const problems: string[] = [];
  for (const [kind, name, example] of [["imap", "IMAP", "imap.example.org"], ["smtp", "SMTP", "smtp.example.org"]] as const) {
    const { host, port, security } = serverOf(account, kind);
    const wanted = text(account, `${kind}Security`);
    if (host === "") problems.push(`The ${name} server is missing. Write its name, such as ${example}.`);
    else if (!isHost(host)) problems.push(`Expected the ${name} server as a name such as ${example}, got something else.`);
    else if (security === "none" && !isLoopback(host) && account.settings.plain !== true) problems.push(`The password would go to the ${name} server without encryption. Choose TLS or STARTTLS, or allow it.`);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) problems.push(`Expected the ${name} port to be a number from 1 to 65535, got something else.`);
    if (!["", "tls", "starttls", "none"].includes(wanted)) problems.push(`Expected the ${name} security to be tls, starttls or none, got something else.`);
  }
  const user = text(account, "user");
  if (user === "") problems.push("The user is missing. It is nearly always the whole address.");
  else if (!isAddress(addressOf(account))) problems.push("Expected the address such as bot@example.org, got something else. Write it into its own field where the user is none.");
  problems.push(...loginProblems(account));
  if (!["", "append", "server"].includes(text(account, "sent"))) problems.push('Expected "Sent mails" to be append or server, got something else.');
  const every = numberOf(account, "everySeconds") ?? 60;
  if (!(every >= 1 && every <= 1_500)) problems.push("Expected to look every 1 to 1500 seconds, got something else.");
  return [...problems, ...proxyProblem(account)];
}
