/** A folder of scripts as tools: each with a manifest (engine/skills/manifest.ts), run without a shell, in a sandbox, within limits. */
import type { Clock } from "./clock.ts";
import { ToolError } from "./errors.ts";
import { commandProblem, type Skill } from "./skills/folder.ts";
import { runSkill } from "./skills/run.ts";
import { programFor, type Sandbox } from "./skills/sandbox.ts";
import type { Tool } from "./tool.ts";

export { findSkills, type Found, type Skill } from "./skills/folder.ts";
export { findSandbox, type Sandbox } from "./skills/sandbox.ts";
export type { SkillProblem } from "./skills/manifest.ts";

export interface SkillDeps {
  readonly clock: Clock;
  readonly sandbox: Sandbox;
  /** The owner says that these scripts may run without one. */
  readonly unsafe: boolean;
  /** Variables for all scripts of the folder. */
  readonly env: Readonly<Record<string, string>>;
  /** PATH of scripts without a sandbox. */
  readonly places: string;
  log(line: string): void;
}

export function skillTool(skill: Skill, tags: readonly string[], deps: SkillDeps): Tool {
  const { manifest } = skill;
  const limits = { timeoutMs: manifest.timeoutSeconds * 1000, outputBytes: manifest.outputKb * 1024, memoryMb: manifest.memoryMb };
  return {
    name: manifest.name, description: manifest.description, parameters: manifest.parameters, tags: [...tags, ...manifest.tags], risk: manifest.risk,
    readsPrivate: manifest.readsPrivate, shared: manifest.shared, timeoutMs: limits.timeoutMs,
    // Without walls nobody knows what it reads.
    talksOutside: manifest.talksOutside ?? (manifest.network || deps.sandbox.bwrap === undefined),
    async call(input, _context, signal) {
      if (deps.sandbox.bwrap === undefined && !deps.unsafe) throw new ToolError("SKILL_002", {}, `Expected a sandbox for "${manifest.name}", but ${deps.sandbox.why}. It was not run.`);
      const problem = await commandProblem(skill);
      if (problem !== undefined) throw new ToolError("SKILL_001", {}, `${problem.file}, ${problem.at}: ${problem.text}`);
      const program = await programFor(skill, deps.sandbox, deps.env, deps.places);
      return { text: await runSkill(program, input, limits, { clock: deps.clock, signal, log: (line) => deps.log(`${manifest.name}: ${line}`) }) };
    },
  };
}
