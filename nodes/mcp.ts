/** MCP: the tools of an MCP server for the agents of a gateway. */
import { createMcpSource, type McpSource, type Offered, type ListedTool, type ToolRow } from "../engine/mcp/client.ts";
import { type LinkState, type McpServer, mayFetch } from "../engine/mcp/link.ts";
import { checkAddress } from "../engine/mcp/fetch.ts";
import { digest, withoutControls } from "../engine/mcp/names.ts";
import { SettingError, ToolError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import { secretInAddress } from "../engine/secrets.ts";
import { numberOf, slugOf } from "./gateway.ts";
import { headersOf } from "./model.ts";
import { withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { shown, told } from "./shared/input.ts";
import { closeWith, systemVariables, variablesOf } from "./shared/programs.ts";
import { learnSecrets, redact } from "./shared/secrets.ts";
import { createStatus, short, showFault } from "./shared/status.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";
import { VERSION } from "./shared/version.ts";

export interface ServerFields { transport?: "stdio" | "http"; command?: string; args?: string[]; url?: string; privateNetwork?: boolean }
type Config = Saved<ServerFields & { gateway: string; prefix?: string; rows?: ToolRow[]; fresh?: "off" | "dangerous"; timeoutSeconds?: number | string; tags?: string; readsPrivate?: boolean; shared?: boolean }>;

/** The server that a form's fields name. Throws CONF_001. */
export function serverOf(config: ServerFields, credentials: Readonly<Record<string, string | undefined>>): McpServer {
  if (config.transport !== "http") {
    if ((config.command ?? "").trim() === "") throw new SettingError("CONF_001", {}, "Expected the command that starts the MCP server, got none.");
    return { kind: "stdio", program: { command: (config.command ?? "").trim(), args: (config.args ?? []).map(String), env: { ...systemVariables(), ...variablesOf(credentials.env) } } };
  }
  const url = (config.url ?? "").trim();
  const privateNetwork = config.privateNetwork === true;
  const problem = secretInAddress("Address", url, "Name the address alone; token and headers have fields of their own.");
  if (problem !== undefined) throw new SettingError("CONF_001", {}, problem);
  checkAddress({ url, privateNetwork });
  return { kind: "http", url, privateNetwork, headers: { ...(credentials.token ? { authorization: `Bearer ${credentials.token}` } : {}), ...headersOf(credentials.headers) } };
}
/** Values of the form that are secrets. */
export const mcpSecrets = ({ token, headers, env }: Readonly<Record<string, string | undefined>>): (string | undefined)[] => [token, ...Object.values(headersOf(headers)), ...Object.values(variablesOf(env))];
export const tagsOf = (text: string | undefined): string[] => (text ?? "").split(",").map((tag) => tag.trim()).filter((tag) => tag !== "");
const SPACE = "mcp";
const NOTHING: Offered = { tools: [], fresh: [], problems: [] };

export default function register(red: Red): void {
  const host = hostOf(red);
  function McpNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    learnSecrets(mcpSecrets(this.credentials ?? {}));
    const prefix = config.prefix || slugOf(config.name || "mcp");
    const status = createStatus(this);
    let state: LinkState = { state: "idle" };
    let offered: Offered = NOTHING;
    /** Names in the gateway, also those that another tool has. */
    let added: readonly string[] = [];
    let progress = "";
    let closing: Promise<void> | undefined;
    let starting = (): string => host.say("connecting");

    const show = (): void => {
      if (state.state === "failed" || state.state === "waiting") {
        showFault(this, state.error.code, state.error.message, state.state === "failed" ? "dot" : "ring");
        return;
      }
      const text = state.state === "connecting" ? starting() : progress !== "" ? progress : host.say(offered.fresh.length > 0 ? "mcpNew" : "mcpTools", { count: offered.tools.length, fresh: offered.fresh.length });
      const connected = state.state === "connected";
      status(() => ({ fill: state.state === "connecting" || (connected && offered.fresh.length > 0) ? "yellow" : connected ? "green" : "grey", shape: connected ? "dot" : "ring", text }));
    };
    const offer = (gateway: Gateway, next: Offered): void => {
      withdraw(gateway);
      const problems = [...next.problems];
      const tools = next.tools.filter((tool) => { const problem = gateway.tools.add(`${this.id}/${tool.name}`, tool); if (problem !== undefined) problems.push(problem); return problem === undefined; });
      added = next.tools.map(({ name }) => name);
      offered = { ...next, tools };
      if (problems.length > 0) this.warn(told(new ToolError("MCP_003", {}, `${problems.length} tools are left out: ${problems.slice(0, 5).join(" ")}`)).message);
      show();
    };
    const withdraw = (gateway: Gateway): void => { for (const name of added) gateway.tools.remove(`${this.id}/${name}`); added = []; offered = NOTHING; };

    withGateway(host, this, config.gateway, (gateway) => {
      const server = serverOf(config, this.credentials ?? {});
      if (mayFetch(server)) starting = () => host.say("mcpFetching", { program: short(config.command ?? "", 20) });
      const print = digest(JSON.stringify([config.transport, config.command, config.args, config.url]), 12);
      const { promise, resolve } = Promise.withResolvers<void>();
      const source: McpSource = createMcpSource({
        server, prefix, rows: config.rows ?? [], fresh: config.fresh ?? "off", timeoutMs: numberOf(config.timeoutSeconds, 60) * 1000,
        tags: [prefix, ...tagsOf(config.tags)], readsPrivate: config.readsPrivate ?? false, shared: config.shared ?? false,
      }, {
        clock: gateway.clock, random: Math.random, version: VERSION,
        // Servers write what they like, their own secrets too.
        log: (level, text) => { const clean = redact(text); if (level === "warn") this.warn(clean); else if (level === "info") this.log(clean); else this.debug(clean); },
        keep: async (bytes, about) => { const file = await gateway.spool.save(bytes, about); return { media: `spool:${file.id}`, mime: file.mime, bytes: file.bytes }; },
        load: async () => {
          const saved = await gateway.store.get(SPACE, this.id) as { print?: string; tools?: ListedTool[] } | undefined;
          if (saved?.print === print && saved.tools !== undefined) return saved.tools;
          // Nobody can have called what no server has listed yet.
          resolve();
          return undefined;
        },
        save: async (tools) => { await gateway.store.commit([{ do: "set", space: SPACE, key: this.id, value: { print, tools } }]); },
        onState: (next) => {
          const known = state.state;
          state = next;
          if (next.state === "failed") this.error(shown(this, next.error).message);
          else if (next.state === "waiting" && known !== "waiting") this.warn(told(next.error).message);
          show();
        },
        onOffer: (next) => { offer(gateway, next); resolve(); },
        onProgress: (tool, text) => { progress = text === "" ? "" : short(redact(withoutControls(`${tool}: ${text}`.slice(0, 1_000)))); show(); },
      });
      show();
      gateway.tools.reading(promise);
      source.start().catch((error: unknown) => this.error(shown(this, error).message)).finally(resolve);
      return () => { withdraw(gateway); closing = source.close(); };
    });
    closeWith(this, () => closing);
  }
  red.nodes.registerType("clawflow-mcp", versioned(red, "clawflow-mcp", McpNode), { credentials: { token: { type: "password" }, headers: { type: "password" }, env: { type: "password" } } });
}
