/** Normalize: cleans a message by ordered steps, or makes a Message of any foreign msg. */
import type { Mapping } from "../engine/mapping.ts";
import type { Message } from "../engine/message.ts";
import { checkSteps, normalize, type Step } from "../engine/normalize.ts";
import { type ClawError, SettingError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import { type SenseContext, SENSE_STEPS } from "../engine/normalize/sense-steps.ts";
import { addressOf, type AddressFields } from "./shared/address.ts";
import { withGateway } from "./shared/config.ts";
import { firstMsg, hostOf } from "./shared/gateways.ts";
import { onInput, shown } from "./shared/input.ts";
import { mapForeign } from "./shared/mapping.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { gatewayOfRun, type Known, runOf } from "./shared/run.ts";
import { payerFor } from "./shared/payer.ts";
import { onceOf, sensesOf, tellFaults } from "./shared/senses.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ mode?: "clean" | "map"; gateway?: string; steps?: Step[]; earModel?: string; mindModel?: string; mapping?: Mapping } & AddressFields>;
/** Original msgs that wait to be sent on with their Message: an http in still finds its msg.res. */
const MAX_KEPT = 1_000;

export default function register(red: Red): void {
  const host = hostOf(red);
  function NormalizeNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    if (config.mode === "map") { map(this, config); return; }
    const steps = config.steps ?? [];
    const problems = checkSteps(steps);
    const needsModels = steps.some(({ type }) => SENSE_STEPS.some((step) => step.type === type));
    const sensingOf = (gateway: Gateway, run: Known, faults: ClawError[]): SenseContext => {
      const step = gateway.step(run.id, this.id, run.step, run.pass);
      return { senses: sensesOf(host, gateway, run, { ear: config.earModel, mind: config.mindModel }, onceOf(gateway, run, step), step, payerFor(host, gateway, run, this.id)), failed: (error) => faults.push(error) };
    };
    if (problems.length > 0) this.error(shown(this, new SettingError("CONF_003", {}, problems.join(" "))).message);
    onInput(this, async (msg, send) => {
      if (problems.length > 0) throw new SettingError("CONF_003", {}, problems.join(" "));
      if (msg.message === undefined) throw new SettingError("MSG_001", {}, "Expected a message (msg.message), got none. Switch this node to mapping to make one of another node's msg.");
      const known = gatewayOfRun(host, msg);
      // The whole burst, unless a node before this one has put something else in its place.
      const burst = known !== undefined && known.messages.length > 1 && msg.message.id === known.messages[0]?.id ? known.messages : [msg.message];
      const self = known?.gateway.connections.get(msg.message.at.account)?.connection?.self;
      const faults: ClawError[] = [];
      const run = known !== undefined && needsModels ? await runOf(host, known.gateway, msg) : undefined;
      const sensing = known === undefined || run === undefined ? undefined : sensingOf(known.gateway, run, faults);
      const message = await normalize(burst, steps, { ...(self === undefined ? {} : { self }), ...(sensing === undefined ? {} : { sensing }) });
      msg.message = message;
      if (message.kind === "message" || message.kind === "edit" || message.kind === "tick") msg.payload = message.text;
      if (message.action?.type === "command") msg.command = message.action;
      tellFaults(this, faults, msg);
      send(msg);
    });
  }

  function map(node: RedNode, config: Config): void {
    const waiting = new Map<string, FlowMsg>();
    const gatewayOf = withGateway(host, node, config.gateway, (gateway) => {
      const mine = ({ at }: Message) => at.channel === "flow" && at.account === node.id;
      gateway.inbox.add({
        id: node.id, covers: mine, matches: mine, gatherMs: 0,
        emit: (run) => {
          const message = run.messages[0] as Message;
          const msg: FlowMsg = { ...waiting.get(message.id), ...firstMsg(run, message) };
          waiting.delete(message.id);
          host.emit(gateway, run, [msg], () => node.send(msg));
        },
      });
      return () => gateway.inbox.remove(node.id);
    });
    onInput(node, async (msg) => {
      const gateway = gatewayOf();
      const mapped = await mapForeign(host, node, config.mapping ?? {}, msg);
      const to = addressOf(red, config, config.gateway) ?? mapped.to;
      const message: Message = { ...mapped, at: { ...mapped.at, account: node.id }, ...(to === undefined ? {} : { to }) };
      if (waiting.size >= MAX_KEPT) waiting.delete(waiting.keys().next().value as string);
      // The second of one id must not take the place of the first, which may still wait.
      if (!waiting.has(message.id)) waiting.set(message.id, msg);
      // A foreign msg proves nothing about its sender: allowed, and everything in it counts as outside text.
      const received = await gateway.accept(message, { trust: "allowed", tainted: true });
      if (received !== "saved" && waiting.get(message.id) === msg) waiting.delete(message.id);
      node.status(received === "saved" ? {} : { fill: "grey", shape: "ring", text: host.say("duplicate") });
    });
  }
  red.nodes.registerType("clawflow-normalize", versioned(red, "clawflow-normalize", NormalizeNode));
}
