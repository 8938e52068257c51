/** iMessage over a BlueBubbles server on the user's own Mac. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";

const settings: readonly Setting[] = [
  { key: "apiRoot", type: "url", label: "BlueBubbles server", hint: "Its address, such as http://192.168.1.20:1234", required: true },
  { key: "password", type: "secret", label: "Server password", hint: "As set in the BlueBubbles server", required: true },
  { key: "privateApi", type: "boolean", label: "Private API is set up", hint: "Then answers, edits, reactions, typing and read marks work", initial: false },
  { key: "mode", type: "choice", label: "Receive by", initial: "polling", choices: [{ value: "polling", label: "Polling (works everywhere)" }, { value: "webhook", label: "Webhook (faster; the Mac must reach Node-RED)" }] },
  { key: "secret", type: "secret", label: "Webhook secret", hint: "Letters and digits of your choice; the webhook's address at BlueBubbles ends with it", when: { key: "mode", value: "webhook" } },
  { key: "statuses", type: "boolean", label: "Tell flows what became of messages", hint: "Delivered and read, as messages of kind event; by webhook only", initial: false },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed" },
];

export const imessage: Channel = {
  id: "imessage",
  label: "iMessage (BlueBubbles)",
  settings,
  // Messages takes far more; what is longer than this is no pleasure to read there. Files: Apple, 100 MB.
  limits: { text: 20_000, unit: "utf16", files: 1, bare: ["image", "video", "audio", "voice", "document", "sticker"], upload: 100_000_000, download: 100_000_000, perSecond: 5, perChatPerSecond: 1, editEveryMs: 2_000 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], subject: true },
  dialect: "plain",
  can: ["react", "remove", "typing", "read", "call"],
  delivery: { evidence: true, edit: true },
  check,
  async try(account, context) {
    refuseWrong(account);
    return (await import("./api.ts")).identify(account, context);
  },
  async open(account, context) {
    refuseWrong(account);
    return (await import("./connect.ts")).connect(account, context);
  },
};

function refuseWrong(account: Account): void {
  const [problem] = check(account);
  if (problem !== undefined) throw new ChannelError(text(account, "password") === "" ? "CONN_002" : "CONF_001", {}, problem);
}

function check(account: Account): string[] {
  const problems: string[] = [];
  const root = text(account, "apiRoot");
  if (root === "") problems.push("The address of the BlueBubbles server is missing. Write it as http://192.168.1.20:1234.");
  else if (!(URL.canParse(root) && /^https?:$/.test(new URL(root).protocol) && new URL(root).search === "")) problems.push("Expected the address of the BlueBubbles server to begin with http:// or https:// and to hold no password, got something else.");
  if (text(account, "password") === "") problems.push("The server password is missing. It stands in the settings of the BlueBubbles server.");
  const mode = text(account, "mode");
  if (!["", "polling", "webhook"].includes(mode)) problems.push(`Expected "Receive by" to be polling or webhook, got "${mode.slice(0, 20)}".`);
  if (mode === "webhook" && !/^[\w-]{16,128}$/.test(text(account, "secret"))) problems.push("Expected the webhook secret to be 16 to 128 letters, digits, - and _, got something else. BlueBubbles signs nothing: this secret is all that proves who knocks.");
  return [...problems, ...proxyProblem(account)];
}
