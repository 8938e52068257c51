/** Channel in: where messages of one account, several, or all of a gateway enter a flow. */
import { SettingError } from "../engine/errors.ts";
import type { Entry, Run } from "../engine/inbox.ts";
import type { AccountStatus } from "../engine/connections.ts";
import type { Message, MessageKind } from "../engine/message.ts";
import { numberOf } from "./gateway.ts";
import { accountsStatus, faultOf, withGateway, type AccountNode } from "./shared/config.ts";
import { firstMsg, hostOf } from "./shared/gateways.ts";
import { shown, told } from "./shared/input.ts";
import { faultStatus } from "./shared/status.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { burstBelow } from "./shared/wiring.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ gateway: string; accounts?: string[]; account?: string; kinds?: MessageKind[]; where?: "any" | "direct" | "group"; addressed?: boolean; command?: string; gatherMs?: number | string }>;

/** "/lights, help" as names without slash. */
function commandNames(command: string | undefined): string[] {
  return (command ?? "").split(",").map((name) => name.trim().replace(/^\//, "").toLowerCase()).filter((name) => name !== "");
}

/** Does this message pass the node's filters? Pure. */
export function wants(config: Pick<Config, "kinds" | "where" | "addressed" | "command">, message: Message): boolean {
  const kinds = config.kinds ?? ["message", "action"];
  if (!kinds.includes(message.kind)) return false;
  if ((config.where ?? "any") !== "any" && message.at.kind !== config.where) return false;
  if ((config.addressed ?? true) && message.at.kind === "group" && !message.addressed) return false;
  const commands = commandNames(config.command);
  return commands.length === 0 || (message.action?.type === "command" && commands.includes(message.action.name.toLowerCase()));
}

/** The msg a message becomes; a command's payload is its arguments, a button's its value. */
function msgOf(run: Run, filtered: boolean): FlowMsg {
  const message = run.messages[0] as Message;
  const msg = firstMsg(run, message);
  const { action } = message;
  if (action?.type === "command" && filtered) { msg.payload = action.args; msg.command = action; }
  else if (action?.type === "button") msg.payload = action.value;
  else if (action?.type === "reaction") msg.payload = action.emoji;
  else if (run.messages.length > 1) msg.payload = run.messages.map((one) => one.text).filter((text) => text !== "").join("\n");
  return msg;
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function ChannelInNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const chosen = [...(config.accounts ?? []), ...(config.account ? [config.account] : [])].filter((id) => id !== "");
    const missing = chosen.filter((id) => red.nodes.getNode(id)?.type !== "clawflow-account");
    const absent = missing.length === 0 ? undefined : new SettingError("CONF_002", {}, `Expected every chosen account to be there and enabled, got ${missing.length} of ${chosen.length} missing or disabled.`);
    if (absent !== undefined) this.error(told(absent).message);
    withGateway(host, this, config.gateway, (gateway, handle) => {
      const nodes = chosen.flatMap((id) => (red.nodes.getNode(id) as AccountNode | null) ?? []);
      const named = new Set(nodes.flatMap((node) => (faultOf(node) === undefined ? (node.slug ?? []) : [])));
      const faults = nodes.flatMap((node): AccountStatus[] => { const error = faultOf(node); return error === undefined ? [] : [{ account: node.slug ?? node.id, channel: node.channel ?? "", state: "failed", error }]; });
      const slugs = () => (chosen.length === 0 ? [...handle.accounts.keys()] : [...named]);
      const covers = ({ at }: Message) => handle.accounts.get(at.account)?.account.channel === at.channel && (chosen.length === 0 || named.has(at.account));
      const gatherMs = Math.max(numberOf(config.gatherMs, 0), burstBelow(red, config.id));
      const entry: Entry = {
        id: this.id,
        covers,
        matches: (message) => covers(message) && wants(config, message),
        gatherMs,
        emit: (run) => {
          const msg = msgOf(run, (config.command ?? "") !== "");
          host.emit(gateway, run, [msg], () => this.send([msg, null]));
        },
      };
      const refused = (message: Message) => { if (covers(message)) this.send([null, { payload: message.text, message }]); };
      const show = () => {
        const full = gateway.room.refusal();
        if (absent !== undefined && nodes.length === 0) shown(this, absent);
        else this.status(full === undefined ? accountsStatus(host, [...faults, ...slugs().flatMap((slug) => gateway.connections.status(slug) ?? [])]) : faultStatus(full.code, full.message, "ring"));
      };
      gateway.inbox.add(entry);
      handle.commands.set(this.id, { accounts: chosen.length === 0 ? undefined : named, names: commandNames(config.command), description: config.name || "" });
      gateway.events.on("refused", refused);
      gateway.events.on("status", show);
      gateway.events.on("room", show);
      show();
      return () => {
        gateway.inbox.remove(this.id);
        handle.commands.delete(this.id);
        gateway.events.off("refused", refused);
        gateway.events.off("status", show);
        gateway.events.off("room", show);
      };
    });
  }
  red.nodes.registerType("clawflow-channel-in", versioned(red, "clawflow-channel-in", ChannelInNode));
}
