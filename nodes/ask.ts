/** Ask: asks a person in chat and waits, across restarts; the run that asked goes on with the answer. */
import type { AnswerForm, Choice } from "../engine/answers.ts";
import type { Answer, AskEnd, Question, Who } from "../engine/asks.ts";
import { ChannelError, SettingError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import type { Address } from "../engine/message.ts";
import { compilePattern } from "../engine/patterns.ts";
import { lowestTrust } from "../engine/policy.ts";
import { bringsOutside } from "../engine/taint.ts";
import { compileTemplate, renderTemplate, type CompiledTemplate } from "../engine/template.ts";
import { numberOf } from "./gateway.ts";
import { addressFrom, addressOf } from "./shared/address.ts";
import { accountNode, gatewayNode, withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { onInput, shown } from "./shared/input.ts";
import { promptData } from "./shared/prompt.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { needRun, type Known } from "./shared/run.ts";
import { createStatus } from "./shared/status.ts";
import type { Say } from "./shared/strings.ts";
import { versioned } from "./shared/versioned.ts";

type Typed<K extends string> = { readonly [key in K | `${K}Type`]?: string };
type Unit = "seconds" | "minutes" | "hours";
export interface AskFields extends Typed<"chat">, Typed<"thread"> {
  readonly question?: string;
  readonly kind?: "yesno" | "buttons" | "text" | "number";
  readonly choices?: readonly { readonly label: string; readonly value?: string }[];
  readonly pattern?: string; readonly min?: number | string; readonly max?: number | string; readonly whole?: boolean;
  readonly who?: "sender" | "chat" | "owner" | "address";
  readonly account?: string; readonly chatKind?: "direct" | "group";
  readonly timeout?: number | string; readonly unit?: Unit;
  readonly againTimes?: number | string; readonly againText?: string; readonly cancelWords?: string;
}
type Config = Saved<AskFields & { gateway: string }>;

const UNITS: Readonly<Record<Unit, number>> = { seconds: 1_000, minutes: 60_000, hours: 3_600_000 };
const words = (text: string): string[] => text.split(",").map((word) => word.trim()).filter((word) => word !== "");
const limit = (value: number | string | undefined, name: "min" | "max"): { readonly min?: number; readonly max?: number } => (value === undefined || value === "" || Number.isNaN(Number(value)) ? {} : { [name]: Number(value) });

/** What the form's fields take as an answer; throws a SettingError. Pure but for the words of the language. */
export function formOf(fields: AskFields, say: Say): AnswerForm {
  switch (fields.kind ?? "yesno") {
    case "yesno": return { kind: "choice", choices: [{ label: say("ask.yes"), value: true, also: words(say("ask.yesWords")) }, { label: say("ask.no"), value: false, also: words(say("ask.noWords")) }] };
    case "buttons": {
      const choices = (fields.choices ?? []).filter(({ label }) => label.trim() !== "").map(({ label, value }): Choice => ({ label, value: value === undefined || value === "" ? label : value }));
      if (choices.length === 0) throw new SettingError("CONF_001", {}, "Expected at least one button with a label, got none.");
      return { kind: "choice", choices };
    }
    case "text": {
      const pattern = fields.pattern ?? "";
      if (pattern !== "") compilePattern(pattern);
      return { kind: "text", ...(pattern === "" ? {} : { pattern }) };
    }
    case "number": return { kind: "number", ...limit(fields.min, "min"), ...limit(fields.max, "max"), ...(fields.whole === true ? { whole: true } : {}) };
  }
}

/** Where buttons are shown, other words are messages; where words are wanted, they are asked for again. */
function againOf(fields: AskFields, form: AnswerForm, say: Say): Question["again"] {
  const usual = form.kind === "number" || (form.kind === "text" && form.pattern !== undefined) ? 2 : 0;
  return { text: fields.againText?.trim() || say(`ask.again.${form.kind}`), times: fields.againTimes === undefined || fields.againTimes === "" ? usual : Math.max(0, numberOf(fields.againTimes, usual)) };
}

/** Where an owner is reached: at this account, else at any of the gateway. */
function ownerAt(gateway: Gateway, account: string | undefined, anywhere: boolean): Address {
  const found = (account === undefined ? undefined : gateway.people.ownerOf(account)?.at)
    ?? (anywhere ? gateway.people.all().find(({ trust, at }) => trust === "owner" && at !== undefined && gateway.account(at.account) !== undefined)?.at : undefined);
  if (found === undefined) throw new ChannelError("MSG_002", {}, `Expected an owner${anywhere ? "" : ` on account "${account}"`}, but nobody has claimed it yet. Send the code shown in the gateway to the bot.`);
  return found;
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function AskNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const closing = new AbortController();
    this.on("close", () => closing.abort());
    const gatewayOf = withGateway(host, this, config.gateway, (gateway) => gateway.asks.add(this.id));
    const status = createStatus(this);
    let waiting = 0;
    const showWaiting = () => status(() => (waiting > 0 ? { fill: "yellow", shape: "ring", text: host.say("ask.waiting", { count: waiting }) } : {}));
    let made: { readonly template: CompiledTemplate; readonly form: AnswerForm } | undefined;
    const settings = () => {
      made ??= { template: compileTemplate(config.question ?? ""), form: formOf(config, host.say) };
      return made;
    };

    const value = (field: "chat" | "thread", msg: FlowMsg): string => {
      const type = config[`${field}Type`] ?? "str";
      const got: unknown = type === "str" ? config[field] : red.util.evaluateNodeProperty(config[field] ?? "", type, this, msg);
      return got === undefined || got === null ? "" : String(got);
    };
    /** Where it is asked, and who may answer there. Where the message came from is known to the store, not to the msg. */
    const placeOf = (gateway: Gateway, msg: FlowMsg, { receipt }: Known): { readonly to: Address; readonly who: Who } => {
      const origin = receipt.message.to ?? receipt.message.at;
      const who = config.who ?? "sender";
      if (who === "owner") {
        const account = config.account ? accountNode(host, config.account).slug : origin.account;
        return { to: ownerAt(gateway, account, !config.account), who: { by: "owner" } };
      }
      if (who === "address") {
        const to = addressOf(red, { account: config.account ?? "", chat: value("chat", msg), thread: value("thread", msg), chatKind: config.chatKind ?? "direct" }, config.gateway) ?? addressFrom(gatewayNode(host, config.gateway).handle, msg.to);
        if (to === undefined) throw new SettingError("MSG_001", {}, "Expected an account and a chat in the node, or msg.to, got neither.");
        return { to: gateway.resolve(to), who: { by: "chat" } };
      }
      const isPerson = gateway.account(receipt.message.at.account) !== undefined;
      if (who === "sender" && !isPerson) throw new SettingError("MSG_001", {}, "Expected a message that a person sent in a chat, got one of a schedule, a webhook or another node: nobody there can answer. Choose whom to ask: the owner, or an address.");
      return { to: gateway.resolve(origin), who: who === "chat" ? { by: "chat" } : { by: "person", id: receipt.message.sender.id } };
    };

    onInput(this, async (msg, send) => {
      const gateway = gatewayOf();
      const known = await needRun(host, gateway, msg);
      const step = gateway.step(known.id, this.id, known.step, known.pass);
      const now = settings();
      const text = now.template.source.trim() === "" ? (typeof msg.payload === "string" ? msg.payload : "") : renderTemplate(now.template, promptData(msg, known, new Date(gateway.clock.now())));
      if (text.trim() === "") throw new SettingError("MSG_001", {}, "Expected a question in the node, or as text in msg.payload, got neither.");
      waiting++;
      showWaiting();
      try {
        const end = await gateway.asks.ask({
          run: known.id, step, node: this.id, ...placeOf(gateway, msg, known), text, form: now.form,
          waitMs: numberOf(config.timeout, 10) * UNITS[config.unit ?? "minutes"],
          again: againOf(config, now.form, host.say),
          cancelWords: words(config.cancelWords?.trim() || host.say("ask.cancelWords")),
          signal: closing.signal, priority: known.receipt.priority,
        });
        // Undefined: the node is being stopped; the run comes here again, to the same question.
        if (end !== undefined) send(outputs(msg, end, { id: known.id, step, pass: known.pass }, (answer) => isOfOthers(gateway, known, answer)));
      } finally {
        waiting--;
        showWaiting();
      }
    });

    // A mistake in the form shows at deploy, not at the first question.
    host.onceStarted(() => {
      try { settings(); } catch (error) { this.error(shown(this, error).message); }
    });
  }
  red.nodes.registerType("clawflow-ask", versioned(red, "clawflow-ask", AskNode));
}

/** Words of somebody who is less trusted than whoever began the run, or what an answer brings along: for an agent they are text from outside. What was chosen was written here. */
function isOfOthers(gateway: Gateway, { receipt }: Known, { message }: Answer): boolean {
  if (message.kind === "action") return false;
  const trust = gateway.people.trustOf(message);
  return bringsOutside(message) || lowestTrust([trust, receipt.trust]) !== receipt.trust;
}

/** The ports: answer, timeout, cancelled. `msg.message` stays the message that began the run: a reply goes there. */
function outputs(msg: FlowMsg, end: AskEnd, run: NonNullable<FlowMsg["run"]>, ofOthers: (answer: Answer) => boolean): (FlowMsg | null)[] {
  const { draft: _draft, answer: _answer, ...rest } = msg;
  const next: FlowMsg = { ...rest, run };
  if (end.how === "timeout") return [null, next, null];
  next.answer = end.answer;
  if (ofOthers(end.answer)) next.tainted = true;
  if (end.how === "cancelled") return [null, null, next];
  next.payload = end.answer.value;
  return [next, null, null];
}
