/** The flow of the fault tests: accounts that differ in what their platform offers against a doubled send, one agent, one tool whose effect an outside process counts. */
import { gateway, on, tab } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/project.ts";

/** The three bots of the stub platform are named after what it offers them; Telegram is the real adapter. */
export const BOTS = ["key", "evidence", "none", "telegram"] as const;
export type Bot = (typeof BOTS)[number];
export const CHANNELS: Readonly<Record<Bot, string>> = { key: "fault-key", evidence: "fault-evidence", none: "fault-none", telegram: "telegram" };

/** Of Node-RED's own nodes these are loaded, those of all fault tests together. */
export const CORE = ["catch", "function", "httprequest", "status"] as const;

export interface Places { readonly platform: string; readonly telegram: string; readonly token: string; readonly model: string }

/** `evidence` and Telegram poll, the others have webhooks. */
export function faultFlow({ platform, telegram, token, model }: Places): FlowNode[] {
  const account = (bot: Bot, fields: object): FlowNode => ({ id: `acc-${bot}`, type: "clawflow-account", name: bot, gateway: "gw", slug: bot, channel: CHANNELS[bot], policy: "open", version: 1, ...fields });
  return [
    tab, gateway,
    account("key", { settings: { api: `${platform}/bot/key`, inbound: "webhook" } }),
    account("evidence", { settings: { api: `${platform}/bot/evidence`, inbound: "poll" } }),
    account("none", { settings: { api: `${platform}/bot/none`, inbound: "webhook" } }),
    account("telegram", { settings: { mode: "polling", apiRoot: telegram }, credentials: { token } }),
    { id: "model", type: "clawflow-model", name: "Stub", gateway: "gw", provider: "openai", model: "stub", baseUrl: `${model}/v1`, credentials: { key: "sk-stub-of-the-fault-tests" }, version: 1 },
    on("in", "clawflow-channel-in", { gateway: "gw", version: 1 }, ["clean"], []),
    on("clean", "clawflow-normalize", { steps: [{ type: "trim" }], version: 1 }, ["agent"]),
    // A summary would be a question of its own: the judge counts one for each message.
    on("agent", "clawflow-agent", { gateway: "gw", model: "model", system: "Answer.", agentId: "agent", history: 20, summarise: false, version: 1 }, ["out"], []),
    on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
    on("tool", "clawflow-tool", { gateway: "gw", tool: "note_it", description: "Notes it", params: [{ name: "id", type: "string", required: true }], risk: "write", shared: true, timeoutSeconds: 3, version: 1 }, ["effect"]),
    on("effect", "http request", { method: "POST", ret: "obj", paytoqs: "ignore", url: `${platform}/effect`, tls: "", persist: false, senderr: true, headers: [] }, ["done"]),
    on("done", "clawflow-tool-out", { field: "payload", fieldType: "msg", version: 1 }),
  ];
}
