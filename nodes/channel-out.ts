/** Channel out: replies, sends, edits, reacts; its output tells the truth about what came of it. */
import { SettingError } from "../engine/errors.ts";
import type { Address, Draft, Message } from "../engine/message.ts";
import type { OutboxOp } from "../engine/store/store.ts";
import { numberOf } from "./gateway.ts";
import { addressFrom, addressOf } from "./shared/address.ts";
import { gatewayNode, withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { onInput } from "./shared/input.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { createStatus, faultStatus } from "./shared/status.ts";
import { runOf, type Known } from "./shared/run.ts";
import { versioned } from "./shared/versioned.ts";

type Typed<K extends string> = { readonly [key in K | `${K}Type`]?: string };
type Config = Saved<{ gateway: string; action?: "reply" | "send" | "edit" | "react" | "remove"; account?: string; replyTo?: boolean; silent?: boolean; placeholder?: boolean; delaySeconds?: number | string; expireMinutes?: number | string; chatKind?: "direct" | "group" }
  & Typed<"chat"> & Typed<"thread"> & Typed<"ref"> & Typed<"emoji">>;

const OPS: Record<NonNullable<Config["action"]>, OutboxOp> = { reply: "send", send: "send", edit: "edit", react: "react", remove: "remove" };

export default function register(red: Red): void {
  const host = hostOf(red);
  function ChannelOutNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const action = config.action ?? "reply";
    const gatewayOf = withGateway(host, this, config.gateway, () => undefined);
    const status = createStatus(this);
    const value = (field: "chat" | "thread" | "ref" | "emoji", msg: FlowMsg): string => {
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

    onInput(this, async (msg, send) => {
      const gateway = gatewayOf();
      const known = await runOf(host, gateway, msg);
      const op = OPS[action];
      const origin: Message | undefined = msg.message ?? known?.receipt.message;
      const ref = op === "send" ? undefined : value("ref", msg) || (op === "react" ? origin?.ref : msg.receipt?.state === "sent" ? msg.receipt.ref : origin?.ref);
      if (op !== "send" && !ref) throw new SettingError("MSG_001", {}, `Expected the id of the message to ${action}, got none. Set the field, or wire it behind a channel out.`);
      const draft = draftOf(msg, action === "react" ? value("emoji", msg) || "👍" : undefined);
      const extra: Partial<Draft> = { ...(config.replyTo && origin !== undefined && action === "reply" ? { replyTo: origin.ref } : {}), ...(config.silent ? { silent: true } : {}) };
      if (op === "send" && isEmpty(draft)) { this.debug("nothing to send: the text is empty"); return; }
      const now = gateway.clock.now();
      const delayMs = numberOf(config.delaySeconds, 0) * 1000;
      const expireMs = numberOf(config.expireMinutes, 0) * 60_000;
      const run = known?.id ?? "";
      const step = known === undefined ? `free/${this.id}/${msg._msgid ?? red.util.generateId()}` : gateway.step(known.id, this.id, known.step, known.pass);
      const to = target(msg, known);
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
function isEmpty(draft: Draft): boolean {
  return draft.text.trim() === "" && !draft.attachments?.length && !draft.buttons?.length && draft.poll === undefined && draft.location === undefined;
}
