/** Webhook: a verified HTTP endpoint whose requests are messages. */
import type { Channel, Connection } from "../engine/channels/channel.ts";
import { ClawError, SettingError } from "../engine/errors.ts";
import type { Mapping } from "../engine/mapping.ts";
import type { Draft, Message } from "../engine/message.ts";
import { createWebhook, type Inbound, type Webhook } from "../engine/webhook/webhook.ts";
import { checkScheme, HMAC_FORMATS, type HmacFormat, type Scheme } from "../engine/webhook/verify.ts";
import { numberOf } from "./gateway.ts";
import { addressOf, type AddressFields } from "./shared/address.ts";
import { withGateway } from "./shared/config.ts";
import { firstMsg, hostOf } from "./shared/gateways.ts";
import { shown } from "./shared/input.ts";
import { metrics } from "./shared/metrics.ts";
import { showFault } from "./shared/status.ts";
import { mapForeign } from "./shared/mapping.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { learnSecrets } from "./shared/secrets.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{
  gateway: string; path: string; methods?: string[]; verify?: "standard" | "hmac" | "bearer" | "none"; header?: string; algorithm?: HmacFormat["algorithm"]; encoding?: HmacFormat["encoding"]; prefix?: string; hmacPreset?: string;
  answer?: "now" | "flow"; timeoutSeconds?: number | string; mapping?: Mapping; preset?: string;
} & AddressFields>;

/** Replies to a webhook's messages ride in its HTTP answer. */
const answers: Channel = {
  id: "webhook", label: "Webhook", settings: [], limits: { text: 1_000_000, unit: "utf16" }, delivery: {}, check: () => [],
  open: () => Promise.reject(new ClawError("CONF_001", {}, "A webhook node is not an account.")),
};
const RAW_MAX = 200_000;

export function schemeOf(config: Pick<Config, "verify" | "header" | "algorithm" | "encoding" | "prefix" | "hmacPreset">, secret: string): Scheme {
  switch (config.verify ?? "bearer") {
    case "none": return { kind: "none" };
    case "standard": return { kind: "standard", secret };
    case "hmac": {
      const preset = config.hmacPreset ? HMAC_FORMATS[config.hmacPreset as keyof typeof HMAC_FORMATS] : undefined;
      return { kind: "hmac", secret, format: preset ?? { header: (config.header ?? "").toLowerCase(), algorithm: config.algorithm ?? "sha256", encoding: config.encoding ?? "hex", ...(config.prefix ? { prefix: config.prefix } : {}) } };
    }
    default: return { kind: "bearer", secret };
  }
}

/** What stands for the text where the mapping names none. */
function textOf(body: unknown): string {
  if (typeof body === "string") return body;
  if (body !== null && typeof body === "object") {
    const { text, message, content } = body as Record<string, unknown>;
    for (const candidate of [text, message, content]) if (typeof candidate === "string") return candidate;
  }
  return body === undefined || body === null ? "" : JSON.stringify(body);
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function WebhookNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    learnSecrets([this.credentials?.secret]);
    const path = `hooks/${(config.path ?? "").replace(/^\/+|\/+$/g, "")}`;
    const idle = () => this.status(config.verify === "none" ? { fill: "red", shape: "ring", text: host.say("unverified") } : {});
    withGateway(host, this, config.gateway, (gateway) => {
      let webhook: Webhook | undefined;
      const close: (() => void)[] = [];
      try {
        const scheme = schemeOf(config, this.credentials?.secret ?? "");
        const problems = checkScheme(scheme);
        if (path === "hooks/") problems.push("Expected a path, got none.");
        if (problems.length > 0) throw new SettingError("CONF_001", {}, problems.join(" "));
        if (config.verify === "none") this.warn(host.say("unverifiedWarning", { path: host.http.url(path) }));
        const waits = config.answer === "flow";
        const messageOf = async (inbound: Inbound): Promise<Message> => {
          const source = { payload: inbound.body, headers: inbound.headers, query: inbound.query, req: { method: inbound.method, headers: inbound.headers, query: inbound.query } };
          const mapping: Mapping = { ...(config.mapping?.text ? {} : { text: { type: "str", value: textOf(inbound.body) } }), ...(config.mapping?.["sender.id"] ? {} : { "sender.id": { type: "str", value: "webhook" } }), ...config.mapping };
          const mapped = await mapForeign(host, this, mapping, source);
          const to = addressOf(red, config, config.gateway) ?? mapped.to;
          const raw = { method: inbound.method, path: inbound.path, headers: inbound.headers, query: inbound.query, body: inbound.body };
          return {
            ...mapped, id: inbound.id, ref: inbound.id, kind: "event",
            at: { channel: "webhook", account: this.id, chat: waits ? inbound.id : mapped.at.chat, kind: mapped.at.kind },
            attachments: inbound.files.map((file) => ({ kind: "document", media: `spool:${file.id}`, state: "ready", mime: file.mime, bytes: file.bytes, ...(file.name === undefined ? {} : { name: file.name }) })),
            ...(JSON.stringify(raw).length <= RAW_MAX ? { raw } : {}), ...(to === undefined || waits ? {} : { to }),
          };
        };
        webhook = createWebhook(
          { scheme, methods: config.methods ?? ["POST"], answer: waits ? { mode: "reply", timeoutMs: numberOf(config.timeoutSeconds, 25) * 1000 } : { mode: "now" } },
          {
            clock: gateway.clock,
            receive: async (inbound) => gateway.accept(await messageOf(inbound), { trust: "allowed", tainted: true }),
            rejected: (status, code, why) => { metrics.count("clawflow_errors_total", { code }); showFault(this, code, why, "ring"); this.debug(`${status} ${code} ${why}`); },
            keep: async (bytes, about) => { const kept = await gateway.spool.save(bytes, about); return { ...kept, id: kept.id }; },
            discard: (id) => gateway.spool.remove(id),
          },
        );
        const { handle } = webhook;
        const taken = host.http.open(path, handle);
        if (taken !== undefined) throw new SettingError("CONF_004", {}, taken);
        close.push(() => host.http.close(path, handle));
        const connection: Connection = {
          self: { id: this.id, name: config.name || config.path },
          async send(to, draft) { webhook?.reply(to.chat, replyOf(draft)); return to.chat; },
          async close() {},
        };
        close.push(gateway.attach(this.id, { channel: answers, connection }));
        idle();
      } catch (error) {
        this.error(shown(this, error).message);
      }
      const mine = ({ at }: Message) => at.channel === "webhook" && at.account === this.id;
      gateway.inbox.add({
        id: this.id, covers: mine, matches: mine, gatherMs: 0,
        emit: (run) => {
          const message = run.messages[0] as Message;
          const msg: FlowMsg = { ...firstMsg(run, message), ...(message.raw === undefined ? {} : { webhook: message.raw }) };
          idle();
          host.emit(gateway, run, [msg], () => this.send(msg));
        },
      });
      return () => {
        gateway.inbox.remove(this.id);
        for (const act of close) act();
        webhook?.close();
      };
    });
  }
  red.nodes.registerType("clawflow-webhook", versioned(red, "clawflow-webhook", WebhookNode), { credentials: { secret: { type: "password" } } });
}

/** Text that is JSON goes out as JSON. */
function replyOf(draft: Draft) {
  try {
    const json: unknown = JSON.parse(draft.text);
    if (json !== null && typeof json === "object") return { json };
  } catch {
    // It is no JSON: a text.
  }
  return { text: draft.text };
}
