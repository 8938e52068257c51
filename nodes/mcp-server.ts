/** MCP server: offers tools of this gateway to other programs. Each call is a run: on disk before it begins, judged by the policy, answered once. */
import { randomUUID } from "node:crypto";
import { useTool } from "../engine/agent.ts";
import { SettingError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import type { Run } from "../engine/inbox.ts";
import { createMcpServer, MIN_TOKEN } from "../engine/mcp/server.ts";
import { type Message, MESSAGE_VERSION } from "../engine/message.ts";
import type { Tool, Trust } from "../engine/tool.ts";
import type { ToolChoice } from "../engine/tools.ts";
import { withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { shown } from "./shared/input.ts";
import { metrics } from "./shared/metrics.ts";
import { closeWith } from "./shared/programs.ts";
import { hide, learnSecrets, redact } from "./shared/secrets.ts";
import { createStatus, showFault } from "./shared/status.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";
import { VERSION } from "./shared/version.ts";

type Config = Saved<{ gateway: string; tools?: ToolChoice[]; trust?: Trust; tainted?: boolean; hosts?: string }>;
interface Outcome { readonly text: string; readonly failed: boolean }
interface Asked { readonly tool: string; readonly input: unknown }
const TRUSTED: readonly Trust[] = ["owner", "paired", "allowed"];
const MAX_INPUT = 200_000;

export default function register(red: Red): void {
  const host = hostOf(red);
  function McpServerNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const token = this.credentials?.token ?? "";
    learnSecrets([token]);
    const trust: Trust = TRUSTED.includes(config.trust as Trust) ? (config.trust as Trust) : "paired";
    const status = createStatus(this);
    const waiting = new Map<string, (outcome: Outcome) => void>();
    let running = 0;
    let closing: Promise<void> | undefined;
    const offered = (gateway: Gateway): readonly Tool[] => gateway.tools.choose(config.tools ?? []);

    const ask = (gateway: Gateway, tool: string, input: unknown): Promise<Outcome> => {
      const text = JSON.stringify(input) ?? "";
      if (text.length > MAX_INPUT) return Promise.resolve({ text: `Expected arguments of at most ${MAX_INPUT} characters.`, failed: true });
      const id = randomUUID();
      // A lane of its own: calls do not wait for each other.
      const message: Message = {
        version: MESSAGE_VERSION, id, ref: id, kind: "event", at: { channel: "mcp", account: this.id, chat: id, kind: "direct" }, sender: { id: "mcp", name: config.name || "MCP", bot: true, self: false },
        sentAt: gateway.clock.now(), text: `${tool} ${text}`.slice(0, 1_000), attachments: [], addressed: true, raw: { tool, input } satisfies Asked,
      };
      return new Promise((resolve, reject) => {
        waiting.set(id, resolve);
        gateway.accept(message, { trust, tainted: config.tainted === true }).catch((error: unknown) => { waiting.delete(id); reject(error); });
      });
    };
    const perform = async (gateway: Gateway, run: Run): Promise<void> => {
      const message = run.messages[0] as Message;
      const { tool, input } = message.raw as Asked;
      show(1);
      let outcome: Outcome;
      try {
        outcome = await useTool("mcp", { id: message.id, name: tool, input }, { run: run.id, person: message.sender.id, trust: run.receipt.trust, tainted: run.receipt.tainted, message }, {
          clock: gateway.clock, tools: offered(gateway), secrets: { hide, redact }, signal: run.abort.signal, once: (name, act, unknown) => gateway.once(run.id, name, act, unknown),
          approve: (call) => gateway.approvals.ask({ ...call, run: run.id, node: this.id, session: `mcp/${this.id}`, message, current: () => offered(gateway).find(({ name }) => name === call.tool.name), signal: run.abort.signal }),
        });
      } catch (error) {
        outcome = { text: redact((error as Error).message), failed: true };
      } finally {
        show(-1);
      }
      // After a restart nobody waits any more; what was done is done once all the same.
      waiting.get(message.id)?.(outcome);
      waiting.delete(message.id);
      gateway.settle(run.id);
    };
    const show = (by: number): void => {
      running += by;
      status(() => (running > 0 ? { fill: "blue", shape: "dot", text: host.say("running") } : { fill: "green", shape: "ring", text: host.say("mcpOffers", { path: address }) }));
    };
    let address = "";

    withGateway(host, this, config.gateway, (gateway, handle) => {
      const path = `${handle.slug}/mcp`;
      address = host.http.url(path);
      try {
        if (token.length < MIN_TOKEN) throw new SettingError("CONF_001", {}, `Expected a token of at least ${MIN_TOKEN} characters. Press "New token" in the form.`);
        const base = URL.parse(handle.settings.webhookBase)?.hostname;
        const server = createMcpServer({
          name: `ClawFlow ${handle.slug}`, version: VERSION, token, hosts: [...(base === undefined ? [] : [base]), ...(config.hosts ?? "").split(/[\s,]+/).filter((name) => name !== "").map((name) => name.toLowerCase())],
          tools: () => offered(gateway), call: (tool, input) => ask(gateway, tool, input),
          refused: (why) => { metrics.count("clawflow_errors_total", { code: "MCP_004" }); showFault(this, "MCP_004", why, "ring"); },
        });
        const taken = host.http.open(path, server.handle);
        if (taken !== undefined) throw new SettingError("CONF_004", {}, taken);
        const noLonger = gateway.asks.add(this.id);
        const mine = ({ at }: Message) => at.channel === "mcp" && at.account === this.id;
        gateway.inbox.add({ id: this.id, covers: mine, matches: mine, gatherMs: 0, emit: (run) => { void perform(gateway, run); } });
        show(0);
        return () => {
          host.http.close(path, server.handle);
          gateway.inbox.remove(this.id);
          noLonger();
          for (const answer of waiting.values()) answer({ text: "[TOOL_005] ClawFlow was stopped while the tool was at work. Ask whether it was done before you try again.", failed: true });
          waiting.clear();
          closing = server.close();
        };
      } catch (error) {
        this.error(shown(this, error).message);
        return undefined;
      }
    });
    closeWith(this, () => closing);
  }
  red.nodes.registerType("clawflow-mcp-server", versioned(red, "clawflow-mcp-server", McpServerNode), { credentials: { token: { type: "password" } } });
}
