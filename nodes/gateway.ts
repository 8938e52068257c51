/** The gateway config node: to the user the one place that holds credentials, sessions and people. */
import { COMMAND_USES, type CommandUses } from "../engine/commands.ts";
import { SettingError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import { secretInAddress } from "../engine/secrets.ts";
import { slugOf } from "../engine/slug.ts";
import { isZone } from "../engine/schedule/zone.ts";
import { registerAdmin } from "./shared/admin.ts";
import { budgetsOf, type Limit } from "./shared/budgets.ts";
import { hostOf } from "./shared/gateways.ts";
import { paused, type Handle } from "./shared/handle.ts";
import { shown } from "./shared/input.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ slug?: string; idleMinutes?: number | string; pendingMaxHours?: number | string; staleMinutes?: number | string; keepDays?: number | string; notice?: string; webhookBase?: string; storeMb?: number | string; mediaMb?: number | string; fileMb?: number | string; mediaDays?: number | string; backups?: number | string; approvalMinutes?: number | string;
  commands?: Record<string, string>; pausedAnswer?: boolean; botTurns?: number | string; botMinutes?: number | string; timeZone?: string; personDayTokens?: Limit; personDayUsd?: Limit; dayTokens?: Limit; dayUsd?: Limit; monthTokens?: Limit; monthUsd?: Limit }>;

export { slugOf };
/** A number from a form, or what stands for an empty field. */
export function numberOf(value: number | string | undefined, otherwise: number): number {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  return Number.isFinite(number) && number >= 0 ? number : otherwise;
}

/** What is smaller leaves no room to work in. */
const LEAST_STORE_MB = 16;
function storeMbOf(value: number | string | undefined): number {
  const number = numberOf(value, 1024);
  return number === 0 ? 0 : Math.max(LEAST_STORE_MB, number);
}

/** Between a minute and a day: who approves has to remember what it was about. */
function approvalMinutesOf(value: number | string | undefined): number {
  return Math.min(1440, Math.max(1, numberOf(value, 10)));
}

function noticeOf(value: string | undefined): "owner" | "chat" | "none" {
  return value === "chat" || value === "none" ? value : "owner";
}

/** What is no known use is left to the table of commands. */
function commandsOf(saved: Record<string, string> | undefined): CommandUses {
  return Object.fromEntries(Object.entries(saved ?? {}).flatMap(([name, use]) => { const known = COMMAND_USES.find((one) => one === use); return known === undefined ? [] : [[name, known]]; }));
}

/** "": the zone of this machine. */
const zoneOf = (value = ""): string => (value.trim() !== "" && isZone(value.trim()) ? value.trim() : "");

export default function register(red: Red): void {
  const host = hostOf(red);
  registerAdmin(host);
  function GatewayNode(this: RedNode & { handle: Handle }, config: Config): void {
    red.nodes.createNode(this, config);
    const address = (config.webhookBase ?? "").replace(/\/+$/, "");
    const problem = secretInAddress("Public address", address, "Name the address alone; each account checks its requests by a secret of its own.");
    if (problem !== undefined) this.error(shown(this, new SettingError("CONF_001", {}, problem)).message);
    if (zoneOf(config.timeZone) !== (config.timeZone ?? "").trim()) this.error(shown(this, new SettingError("CONF_001", {}, `Expected a time zone such as Europe/Berlin, got "${config.timeZone}". Budgets are counted by the clock of this machine.`)).message);
    this.handle = host.open(this, {
      slug: config.slug || slugOf(config.name || "home"),
      idleMinutes: numberOf(config.idleMinutes, 10), pendingMaxHours: numberOf(config.pendingMaxHours, 24),
      staleMinutes: numberOf(config.staleMinutes, 30), keepDays: numberOf(config.keepDays, 30), notice: noticeOf(config.notice),
      storeMb: storeMbOf(config.storeMb), mediaMb: numberOf(config.mediaMb, 2048), fileMb: numberOf(config.fileMb, 20), mediaDays: numberOf(config.mediaDays, 7), backups: Math.max(1, Math.floor(numberOf(config.backups, 3))),
      approvalMinutes: approvalMinutesOf(config.approvalMinutes),
      commands: commandsOf(config.commands), pausedAnswer: config.pausedAnswer ?? false, botTurns: numberOf(config.botTurns, 10), botMinutes: Math.max(1, numberOf(config.botMinutes, 30)),
      webhookBase: problem === undefined ? address : "",
      timeZone: zoneOf(config.timeZone), budgets: budgetsOf({ personDay: [config.personDayTokens, config.personDayUsd], day: [config.dayTokens, config.dayUsd], month: [config.monthTokens, config.monthUsd] }),
    });
    const code = process.env.CLAWFLOW_OWNER_CODE;
    const setCode = async (gateway: Gateway, code: string): Promise<void> => {
      // One code, one owner: a deploy does not make a used code good again, the next start's code is a new one.
      if ((await gateway.store.get("gateway", "codeOfStart")) === code) return;
      await gateway.store.commit([{ do: "set", space: "gateway", key: "codeOfStart", value: code }]);
      await gateway.people.newOwnerCode(code);
    };
    const detach = this.handle.attach((gateway) => { if (code) setCode(gateway, code).catch((error: Error) => this.warn(error.message)); return undefined; });
    this.on("close", (done: () => void) => {
      if (this.handle.node === this) this.handle.node = undefined;
      detach();
      // Node-RED may be about to end its process: a message on its way out would be sent again by the next one.
      const { gateway } = this.handle;
      if (gateway === undefined) done();
      else void paused(gateway).then(() => done());
    });
  }
  red.nodes.registerType("clawflow-gateway", versioned(red, "clawflow-gateway", GatewayNode));
}
