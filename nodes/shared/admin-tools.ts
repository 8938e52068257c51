/** What the forms of mcp and skills ask: which tools a server or a folder has. Asking starts a program, so whoever asks must be allowed to deploy. */
import { systemClock } from "../../engine/clock.ts";
import { tryMcp } from "../../engine/mcp/client.ts";
import { toolName } from "../../engine/mcp/names.ts";
import { findSkills } from "../../engine/skills.ts";
import { mcpSecrets, serverOf, type ServerFields } from "../mcp.ts";
import { folderOf, problemText, sandboxHere } from "../skills.ts";
import { deployed, type Request } from "./admin-store.ts";
import type { Host } from "./gateways.ts";
import { redactWith } from "./secrets.ts";
import { VERSION } from "./version.ts";

type Body = Record<string, unknown>;
type Secrets = Record<string, string | undefined>;

/** `secretsOf`: the form's credentials, those that were not changed from the deployed node. */
export function registerToolsAdmin(host: Host, secretsOf: (body: Body, deployed: Secrets | undefined) => Secrets, post: (path: string, act: (request: Request) => unknown) => void): void {
  post("try/mcp", async ({ body = {} }) => {
    const secrets = secretsOf(body, deployed(host, body.node, "clawflow-mcp")?.credentials);
    const clean = redactWith(mcpSecrets(secrets));
    const lines: string[] = [];
    try {
      const listed = await tryMcp(serverOf(body as ServerFields, secrets), { clock: systemClock, random: Math.random, version: VERSION, log: (level, text) => { if (level !== "debug" && lines.length < 20) lines.push(clean(text)); } });
      return { ok: true, tools: listed.map(({ name, description, parameters, print, problem }) => ({ tool: name, as: toolName(String(body.prefix ?? ""), name), description: clean(description), parameters, print, ...(problem === undefined ? {} : { problem }) })) };
    } catch (error) {
      return { ok: false, text: clean((error as Error).message), lines };
    }
  });
  post("try/skills", async ({ body = {} }) => {
    const [{ skills, problems }, sandbox] = await Promise.all([findSkills(folderOf(host, String(body.folder ?? ""))), sandboxHere()]);
    return {
      skills: skills.map(({ manifest: { name, description, risk, network } }) => ({ name, description, risk, network })), problems: problems.map(problemText),
      sandbox: sandbox.bwrap !== undefined, limits: sandbox.prlimit !== undefined, ...(sandbox.why === undefined ? {} : { why: sandbox.why }),
    };
  });
}
