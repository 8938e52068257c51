/** Signal over a signal-cli-rest-api server of the user's own. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { proxyProblem, text } from "../setting-text.ts";

const settings: readonly Setting[] = [
  { key: "apiRoot", type: "url", label: "signal-cli-rest-api", hint: "Address of your server, such as http://127.0.0.1:8080", required: true },
  { key: "number", type: "text", label: "Number", hint: "The registered or linked number, as +15551234567", required: true },
  { key: "mode", type: "choice", label: "Receive by", initial: "polling", choices: [{ value: "polling", label: "Polling (server in mode normal or native)" }, { value: "websocket", label: "WebSocket (server in mode json-rpc)" }] },
  { key: "token", type: "secret", label: "Bearer token", hint: "Only where a proxy in front of the server asks for one" },
  { key: "readReceipts", type: "boolean", label: "Send read receipts", initial: true },
  { key: "proxy", type: "secret", label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed; polling only" },
];

export const signal: Channel = {
  id: "signal",
  label: "Signal",
  settings,
  // Above 2,000 bytes Signal's apps make a file of the text: Signal-Android, MessageUtil.MAX_INLINE_BODY_SIZE_BYTES. Files: 100 MB.
  limits: { text: 2_000, unit: "bytes", files: 10, upload: 95_000_000, download: 100_000_000, editEveryMs: 1_500 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], poll: true },
  dialect: "signal",
  delivery: { edit: true },
  can: ["react", "remove", "typing", "read", "call"],
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
  const root = text(account, "apiRoot");
  if (root === "") problems.push("The address of signal-cli-rest-api is missing. Write it as http://127.0.0.1:8080.");
  else if (!(URL.canParse(root) && /^https?:$/.test(new URL(root).protocol))) problems.push("Expected the address of signal-cli-rest-api to begin with http:// or https://, got something else.");
  const number = text(account, "number");
  if (number === "") problems.push("The number is missing. Write it as +15551234567.");
  else if (!/^\+[1-9]\d{6,14}$/.test(number)) problems.push("Expected the number as +15551234567, got something else.");
  const mode = text(account, "mode");
  if (!["", "polling", "websocket"].includes(mode)) problems.push(`Expected "Receive by" to be polling or websocket, got "${mode.slice(0, 20)}".`);
  if (mode === "websocket" && text(account, "proxy") !== "") problems.push("A WebSocket does not go through a proxy here. Choose polling, or leave the proxy empty.");
  return [...problems, ...proxyProblem(account)];
}
