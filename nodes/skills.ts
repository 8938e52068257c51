/** Skills: the scripts of a folder for the agents of a gateway. */
import path from "node:path";
import { findSandbox, findSkills, skillTool, type Found, type Sandbox, type SkillProblem } from "../engine/skills.ts";
import { SettingError, ToolError } from "../engine/errors.ts";
import { systemClock } from "../engine/clock.ts";
import type { Gateway } from "../engine/gateway.ts";
import { withGateway } from "./shared/config.ts";
import { hostOf, type Host } from "./shared/gateways.ts";
import { shown, told } from "./shared/input.ts";
import { programFolders, variablesOf } from "./shared/programs.ts";
import { learnSecrets, redact } from "./shared/secrets.ts";
import { createStatus, showFault } from "./shared/status.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";
import { tagsOf } from "./mcp.ts";

type Config = Saved<{ gateway: string; folder?: string; unsafe?: boolean; tags?: string; names?: string[] }>;

/** A path that is not absolute stands below Node-RED's user folder. Throws CONF_001. */
export function folderOf(host: Host, folder: string | undefined): string {
  const given = (folder ?? "").trim();
  if (given === "") throw new SettingError("CONF_001", {}, "Expected the folder of the skills, got none.");
  return path.resolve(host.red.settings.userDir ?? process.cwd(), given);
}
/** `weather/skill.json:3:14: …` or `weather/skill.json, "risk": …`. */
export const problemText = ({ file, at, text }: SkillProblem): string => `${file}${at === "" ? "" : /^\d/.test(at) ? `:${at}` : `, "${at}"`}: ${text}`;

let sandbox: Promise<Sandbox> | undefined;
/** Tried once for a process, and again when it was not there. */
export function sandboxHere(): Promise<Sandbox> {
  sandbox ??= findSandbox(programFolders(), systemClock).then((found) => { if (found.bwrap === undefined) sandbox = undefined; return found; });
  return sandbox;
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function SkillsNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const env = variablesOf(this.credentials?.env);
    learnSecrets(Object.values(env));
    const status = createStatus(this);
    let names: string[] = [];
    let closed = false;

    const offer = (gateway: Gateway, { skills, problems }: Found, here: Sandbox): void => {
      const loose = here.bwrap === undefined;
      if (loose && config.unsafe !== true) { this.error(shown(this, new ToolError("SKILL_002", {}, `Expected a sandbox, but ${here.why}.`)).message); return; }
      const faults = problems.map(problemText);
      for (const skill of skills) {
        const tool = skillTool(skill, tagsOf(config.tags), {
          clock: gateway.clock, sandbox: here, unsafe: config.unsafe === true, env, places: programFolders().join(path.delimiter), log: (line) => this.log(redact(line)),
        });
        const taken = gateway.tools.add(`${this.id}/${tool.name}`, tool);
        if (taken === undefined) names.push(tool.name);
        else faults.push(`${skill.file}, "name": ${taken}`);
      }
      if (loose) this.warn(host.say("skillsUnsafeWarning", { why: here.why ?? "" }));
      for (const text of faults) this.warn(told(new ToolError("SKILL_001", {}, text)).message);
      const [first] = faults;
      if (first !== undefined) showFault(this, "SKILL_001", faults.length === 1 ? first : `${first} (+${faults.length - 1})`, "ring");
      else status(() => ({ fill: loose ? "yellow" : "green", shape: loose ? "ring" : "dot", text: host.say(loose ? "skillsUnsafe" : here.prlimit === undefined ? "skillsNoLimit" : "skills", { count: names.length }) }));
    };

    withGateway(host, this, config.gateway, (gateway) => {
      const folder = folderOf(host, config.folder);
      let gone = false;
      gateway.tools.reading(Promise.all([findSkills(folder), sandboxHere()]).then(([found, here]) => { if (!gone && !closed) offer(gateway, found, here); }, (error: unknown) => this.error(shown(this, error).message)));
      return () => {
        gone = true;
        for (const name of names) gateway.tools.remove(`${this.id}/${name}`);
        names = [];
      };
    });
    this.on("close", () => { closed = true; });
  }
  red.nodes.registerType("clawflow-skills", versioned(red, "clawflow-skills", SkillsNode), { credentials: { env: { type: "password" } } });
}
