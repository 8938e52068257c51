/** The gateway config node: to the user the one place that holds credentials, sessions and people. */
import { registerAdmin } from "./shared/admin.ts";
import { hostOf } from "./shared/gateways.ts";
import type { Handle } from "./shared/gateways.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ slug?: string; idleMinutes?: number | string; pendingMaxHours?: number | string; staleMinutes?: number | string; keepDays?: number | string; webhookBase?: string }>;

export function slugOf(text: string): string {
  return text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40) || "home";
}
/** A number from a form, or what stands for an empty field. */
export function numberOf(value: number | string | undefined, otherwise: number): number {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  return Number.isFinite(number) && number >= 0 ? number : otherwise;
}

export default function register(red: Red): void {
  const host = hostOf(red);
  registerAdmin(host);
  function GatewayNode(this: RedNode & { handle: Handle }, config: Config): void {
    red.nodes.createNode(this, config);
    this.handle = host.open(this, {
      slug: config.slug || slugOf(config.name || "home"),
      idleMinutes: numberOf(config.idleMinutes, 10), pendingMaxHours: numberOf(config.pendingMaxHours, 24),
      staleMinutes: numberOf(config.staleMinutes, 30), keepDays: numberOf(config.keepDays, 30),
      webhookBase: (config.webhookBase ?? "").replace(/\/+$/, ""),
    });
    const code = process.env.CLAWFLOW_OWNER_CODE;
    if (code !== undefined && code !== "") void this.handle.ready.then(async (gateway) => { if (gateway.people.ownerCode() !== undefined && gateway.people.ownerCode() !== code) await gateway.people.newOwnerCode(code); }).catch(() => undefined);
    this.on("close", () => { if (this.handle.node === this) this.handle.node = undefined; });
  }
  red.nodes.registerType("clawflow-gateway", versioned(red, "clawflow-gateway", GatewayNode));
}
