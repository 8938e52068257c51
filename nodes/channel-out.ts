/** Channel out: replies, sends, edits, reacts, calls the platform's own methods; its output tells the truth about what came of it. */
import { SettingError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import type { Address, Draft, Message } from "../engine/message.ts";
import type { DeliveryReceipt } from "../engine/outbox.ts";
import { callPlatform } from "../engine/platform-call.ts";
import type { OutboxOp } from "../engine/store/store.ts";
import { numberOf } from "./gateway.ts";
import { addressFrom, addressOf } from "./shared/address.ts";
import { gatewayNode, withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { onInput } from "./shared/input.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { redact } from "./shared/secrets.ts";
import { createStatus, faultStatus, short } from "./shared/status.ts";
import { changes, outgoing, type Outgoing } from "./shared/outgoing.ts";
import { runOf, type Known } from "./shared/run.ts";
import { tellFaults } from "./shared/senses.ts";
import { versioned } from "./shared/versioned.ts";

type Typed<K extends string> = { readonly [key in K | `${K}Type`]?: string };
type Config = Saved<{ gateway: string; action?: "reply" | "send" | "edit" | "react" | "remove" | "call"; account?: string; replyTo?: boolean; silent?: boolean; placeholder?: boolean; delaySeconds?: number | string; expireMinutes?: number | string; chatKind?: "direct" | "group" }
  & Outgoing & Typed<"chat"> & Typed<"thread"> & Typed<"ref"> & Typed<"emoji"> & Typed<"method">>;

const OPS: Record<Exclude<NonNullable<Config["action"]>, "call">, OutboxOp> = { reply: "send", send: "send", edit: "edit", react: "react", remove: "remove" };

export default function register(red: Red): void {
  const host = hostOf(red);
  function ChannelOutNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const action = config.action ?? "reply";
    const gatewayOf = withGateway(host, this, config.gateway, () => undefined);
    const status = createStatus(this);
    const value = (field: "chat" | "thread" | "ref" | "emoji" | "method", msg: FlowMsg): string => {
      const raw = config[field] ?? "";
      const type = config[`${field}Type`] ?? "str";
      if (type === "str") return raw;
      const got = red.util.evaluateNodeProperty(raw, type, this, msg);
      return got === undefined || got === null ? "" : String(got);
    };

    const target = (msg: FlowMsg, known: Known | undefined): Address => {
      const handle = gatewayNode(host, config.gateway).handle;
      const origin = msg.message ?? known?.receipt.message;
      if (action === "send") {
        const to = addressOf(red, { account: config.account ?? "", chat: value("chat", msg), thread: value("thread", msg), chatKind: config.chatKind ?? "direct" }, config.gateway) ?? addressFrom(handle, msg.to);
        if (to === undefined) throw new SettingError("MSG_001", {}, "Expected an account and a chat in the node, or msg.to, got neither.");
        return to;
      }
      // The store knows where the message came from; a msg without a run has only its own word.
      const to = addressFrom(handle, msg.to) ?? known?.receipt.message.to ?? known?.receipt.message.at ?? origin?.to ?? origin?.at;
      if (to === undefined) throw new SettingError("MSG_001", {}, "Expected a message to reply to (msg.message), or msg.to, got neither.");
      return to;
    };

    /** The account of the form, else the one the message came through. */
    const accountOf = (msg: FlowMsg, known: Known | undefined): string => {
      if (config.account) return (addressOf(red, { account: config.account, chat: "-" }, config.gateway) as Address).account;
      const account = addressFrom(gatewayNode(host, config.gateway).handle, msg.to)?.account ?? known?.receipt.message.at.account ?? msg.message?.at.account;
      if (account === undefined) throw new SettingError("MSG_001", {}, "Expected an account in the node, or a message that came through one (msg.message), got neither.");
      return account;
    };
    const call = async (gateway: Gateway, known: Known | undefined, msg: FlowMsg, send: (msg: FlowMsg) => void): Promise<void> => {
      const method = value("method", msg).trim();
      if (method === "") throw new SettingError("MSG_001", {}, "Expected the name of a method of the platform, got none. Set the field Method.");
      const parameters = parametersOf(msg.payload);
      const account = accountOf(msg, known);
      const step = known === undefined ? "" : gateway.step(known.id, this.id, known.step, known.pass);
      const outcome = await callPlatform(gateway, { run: known?.id ?? "", step, account, method, parameters });
      const text = outcome.state === "done" ? "" : redact(outcome.text);
      status(() => (outcome.state === "done" ? { fill: "green", shape: "dot", text: short(method, 30) } : faultStatus(outcome.code, text)));
      if (outcome.state !== "done") this.warn(`[${outcome.code}] ${text}`);
      const receipt: DeliveryReceipt = outcome.state === "done" ? { state: "sent", ref: "", refs: [] } : { state: "failed", code: outcome.code, text };
      send({ ...msg, payload: outcome.state === "done" ? outcome.result : null, receipt, ...(known === undefined ? {} : { run: { id: known.id, step, pass: known.pass } }) });
    };

    onInput(this, async (msg, send) => {
      const gateway = gatewayOf();
      const known = await runOf(host, gateway, msg);
      if (action === "call") return call(gateway, known, msg, send);
      const op = OPS[action];
      const origin: Message | undefined = msg.message ?? known?.receipt.message;
      const ref = op === "send" ? undefined : value("ref", msg) || (op === "react" ? origin?.ref : msg.receipt?.state === "sent" ? msg.receipt.ref : origin?.ref);
      if (op !== "send" && !ref) throw new SettingError("MSG_001", {}, `Expected the id of the message to ${action}, got none. Set the field, or wire it behind a channel out.`);
      const said = draftOf(msg, action === "react" ? value("emoji", msg) || "👍" : undefined);
      const extra: Partial<Draft> = { ...(config.replyTo && origin !== undefined && action === "reply" ? { replyTo: origin.ref } : {}), ...(config.silent ? { silent: true } : {}) };
      if (op === "send" && isEmpty(said)) { this.debug("nothing to send: the text is empty"); return; }
      const now = gateway.clock.now();
      const delayMs = numberOf(config.delaySeconds, 0) * 1000;
      const expireMs = numberOf(config.expireMinutes, 0) * 60_000;
      const run = known?.id ?? "";
      const step = known === undefined ? `free/${this.id}/${msg._msgid ?? red.util.generateId()}` : gateway.step(known.id, this.id, known.step, known.pass);
      const to = target(msg, known);
      const { draft, faults } = op === "send" && changes(config) ? await outgoing(host, gateway, config, said, { to: gateway.resolve(to), known, step, node: this.id, message: origin }) : { draft: said, faults: [] };
      // An edit can change words and buttons, nothing else.
      const { text: _text, buttons: _buttons, plain: _plain, ...more } = { ...draft, ...extra };
      if (config.placeholder && op === "send" && delayMs === 0 && Object.keys(more).length === 0) {
        const live = gateway.live({ run, step, to });
        await live.place("…");
        await live.stop();
      }
      const receipt = await gateway.deliver({
        run, step, op, to, draft: { ...draft, ...extra },
        ...(ref ? { target: ref } : {}), ...(delayMs > 0 ? { dueAt: now + delayMs } : {}), ...(expireMs > 0 ? { expiresAt: now + delayMs + expireMs } : {}),
        ...(known === undefined ? {} : { priority: known.receipt.priority }),
      });
      status(() =>
        receipt.state === "sent" ? { fill: "green", shape: "dot", text: host.say("sent") }
        : receipt.state === "failed" ? faultStatus(receipt.code, receipt.text)
        // What is sent later on purpose waits for no fault.
        : receipt.code === undefined || delayMs > 0 ? { fill: "yellow", shape: "ring", text: host.say("queued") }
        : faultStatus(receipt.code, `${host.say("queued")}: ${receipt.text ?? ""}`, "ring", "yellow"),
      );
      if (receipt.state === "failed") this.warn(`[${receipt.code}] ${receipt.text}`);
      tellFaults(this, faults, msg);
      send({ ...msg, receipt, ...(known === undefined ? {} : { run: { id: run, step, pass: known.pass } }) });
    });
  }
  red.nodes.registerType("clawflow-channel-out", versioned(red, "clawflow-channel-out", ChannelOutNode));
}

/** `msg.draft`, or the payload as text; anything that is no text is shown as JSON. */
function draftOf(msg: FlowMsg, text: string | undefined): Draft {
  if (text !== undefined) return { text };
  if (msg.draft !== undefined && msg.draft !== null && typeof msg.draft === "object") return { ...msg.draft, text: String(msg.draft.text ?? (typeof msg.payload === "string" ? msg.payload : "")) };
  const { payload } = msg;
  if (payload === undefined || payload === null) return { text: "" };
  return { text: typeof payload === "string" ? payload : typeof payload === "object" ? JSON.stringify(payload, null, 2) : String(payload) };
}
/** Parts that say something without a text. */
const PARTS = ["choices", "poll", "location", "contact", "form", "template", "native"] as const satisfies readonly (keyof Draft)[];
function isEmpty(draft: Draft): boolean {
  return draft.text.trim() === "" && !draft.attachments?.length && !draft.buttons?.length && !draft.cards?.length && PARTS.every((part) => draft[part] === undefined || draft[part] === null);
}

function parametersOf(payload: unknown): Record<string, unknown> {
  if (payload === undefined || payload === null || payload === "") return {};
  if (typeof payload !== "object" || Array.isArray(payload)) throw new SettingError("MSG_001", {}, `Expected msg.payload to be an object of the method's parameters, got ${Array.isArray(payload) ? "a list" : `a ${typeof payload}`}.`);
  return { ...payload };
}
