/** The account config node: one bot on one channel. */
import { SettingError } from "../engine/errors.ts";
import type { Account, Channel } from "../engine/channels/channel.ts";
import { secretInAddress } from "../engine/secrets.ts";
import { slugOf } from "./gateway.ts";
import { gatewayNode, type AccountNode as AccountNodeShape } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { shown } from "./shared/input.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { learnSecrets } from "./shared/secrets.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ gateway: string; slug?: string; channel: string; settings?: Record<string, unknown>; policy?: "owner" | "list" | "open"; allow?: { id: string; name?: string }[]; keepRaw?: boolean }>;

/** Names a channel's secret settings may have: Node-RED wants credentials declared. */
export const SECRETS = ["token", "secret", "password", "key", "proxy", "extra"] as const;

export function settingsOf(channel: Channel, settings: Record<string, unknown>, credentials: Record<string, string | undefined>): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const setting of channel.settings) {
    const value = setting.type === "secret" ? credentials[setting.key] : (settings[setting.key] ?? setting.initial);
    if (value !== undefined && value !== "") all[setting.key] = value;
  }
  return all;
}

/** What is wrong with the settings, in the words of the channel, and secrets where an export would take them along. */
export function problemsOf(channel: Channel, account: Account): string[] {
  const addresses = channel.settings.filter(({ type }) => type === "url");
  return [...channel.check(account), ...addresses.flatMap(({ key, label }) => secretInAddress(label, String(account.settings[key] ?? ""), "Use an address that needs none; what is secret has fields of its own.") ?? [])];
}

function policyOf({ keyed }: Channel, policy: Config["policy"] = "owner"): NonNullable<Config["policy"]> {
  return keyed === true && policy === "owner" ? "open" : policy;
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function AccountNode(this: RedNode & { -readonly [field in "slug" | "channel" | "gatewayNode" | "fault"]: AccountNodeShape[field] }, config: Config): void {
    red.nodes.createNode(this, config);
    learnSecrets(Object.values(this.credentials ?? {}));
    this.slug = config.slug || slugOf(config.name || config.channel);
    this.channel = config.channel;
    try {
      const gateway = gatewayNode(host, config.gateway);
      this.gatewayNode = gateway;
      const { handle } = gateway;
      const channel = host.channels().find((known) => known.id === config.channel);
      if (channel === undefined) throw new SettingError("CONF_001", {}, `Expected a known channel, got "${config.channel}". Is its package installed?`);
      if (handle.accounts.has(this.slug)) throw new SettingError("CONF_001", {}, `Expected account names to be unique in a gateway, got "${this.slug}" twice.`);
      const settings = { ...settingsOf(channel, config.settings ?? {}, this.credentials ?? {}), ...(config.keepRaw ? { raw: true } : {}) };
      const path = `${handle.slug}/${this.slug}`;
      const base = handle.settings.webhookBase;
      const account = {
        id: this.slug, channel: channel.id, name: config.name || this.slug, settings,
        policy: { policy: policyOf(channel, config.policy), allow: (config.allow ?? []).map((person) => String(person.id)) },
        ...(base === "" || !host.http.available ? {} : { webhookUrl: `${base}${host.http.url(path)}` }),
      } as const;
      const problems = problemsOf(channel, account);
      if (problems.length > 0) throw new SettingError("CONF_001", {}, `Expected settings that ${channel.label} can work with. ${problems.join(" ")}`);
      handle.accounts.set(this.slug, { account, channel, node: this });
      const door = async (request: Parameters<NonNullable<import("../engine/channels/channel.ts").Connection["webhook"]>>[0]) => {
        const connection = handle.gateway?.connections.get(this.slug)?.connection;
        if (connection === undefined) return { status: 503, headers: { "retry-after": "5" }, body: "not connected" };
        return connection.webhook === undefined ? { status: 404, body: "this account takes no webhook" } : connection.webhook(request);
      };
      const taken = host.http.open(path, door);
      // Who polls needs no door.
      if (taken !== undefined && (host.http.available || (settings as Record<string, unknown>).mode !== "polling")) this.warn(taken);
      this.on("close", () => {
        host.http.close(path, door);
        if (handle.accounts.get(this.slug)?.node === this) handle.accounts.delete(this.slug);
      });
      if (config.policy === "open" && channel.keyed !== true) this.warn(host.say("openWarning", { name: account.name }));
    } catch (error) {
      // The other nodes go on without this account; it shows in the gateway and on the channel in nodes.
      const told = shown(this, error) as Error & { code: string };
      this.fault = { code: told.code, text: told.message };
      this.error(told.message);
    }
  }
  red.nodes.registerType("clawflow-account", versioned(red, "clawflow-account", AccountNode), { credentials: Object.fromEntries(SECRETS.map((key) => [key, { type: "password" as const }])) });
}
