/** Finds the skills of a folder. Nothing in it leads out of it: neither a path with `..` nor a link. */
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { type Manifest, parseManifest, type SkillProblem } from "./manifest.ts";

export interface Skill {
  readonly manifest: Manifest;
  /** Absolute, without links. */
  readonly folder: string;
  /** The manifest's own, below `folder`; commands run there. */
  readonly home: string;
  readonly file: string;
}
export interface Found { readonly skills: readonly Skill[]; readonly problems: readonly SkillProblem[] }

const MAX_MANIFEST = 65_536;
const MAX_SKILLS = 200;
const IS_MANIFEST = /(?:^|\.)skill\.json$/;

/** Manifests stand in the folder itself or one below it. */
export async function findSkills(place: string): Promise<Found> {
  const folder = await realpath(place).catch(() => undefined);
  if (folder === undefined) return { skills: [], problems: [{ file: place, at: "", text: "Expected a folder, found none." }] };
  const skills: Skill[] = [];
  const problems: SkillProblem[] = [];
  for (const file of (await manifestsIn(folder)).slice(0, MAX_SKILLS)) {
    const got = await readManifest(folder, file);
    if (!("manifest" in got)) { problems.push(...got); continue; }
    if (skills.some(({ manifest }) => manifest.name === got.manifest.name)) problems.push({ file, at: "name", text: `Expected names to be unique, got "${got.manifest.name}" twice.` });
    else skills.push(got);
  }
  return { skills, problems };
}

async function manifestsIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  const look = async (below: string): Promise<void> => {
    const entries = (await readdir(path.join(folder, below), { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const at = path.join(below, entry.name);
      // A linked folder is none of this folder; a linked manifest is looked at, and refused by name.
      if (entry.isDirectory() && below === "" && !entry.name.startsWith(".")) await look(at);
      else if (!entry.isDirectory() && IS_MANIFEST.test(entry.name)) found.push(at);
    }
  };
  await look("");
  return found;
}

async function readManifest(folder: string, file: string): Promise<Skill | readonly SkillProblem[]> {
  const at = path.join(folder, file);
  try {
    if (!(await isInside(folder, at))) return [{ file, at: "", text: "Expected a file of the folder, got a link that leads out of it." }];
    const { size } = await stat(at);
    if (size > MAX_MANIFEST) return [{ file, at: "", text: `Expected at most ${MAX_MANIFEST} bytes, got ${size}.` }];
    const manifest = parseManifest(file, await readFile(at, "utf8"));
    if (!("name" in manifest)) return manifest;
    const skill: Skill = { manifest, folder, home: path.dirname(at), file };
    const problem = await commandProblem(skill);
    return problem === undefined ? skill : [problem];
  } catch (error) {
    return [{ file, at: "", text: (error as Error).message }];
  }
}

/** Asked once more before each run: files may have changed meanwhile. */
export async function commandProblem({ manifest, folder, home, file }: Skill): Promise<SkillProblem | undefined> {
  for (const [index, part] of manifest.command.entries()) {
    const say = (text: string): SkillProblem => ({ file, at: `command[${index}]`, text });
    if (/(?:^|[=/\\])\.\.(?:[/\\]|$)/.test(part)) return say(`Expected no path that leads upwards, got "${part}".`);
    const own = path.resolve(home, part);
    const exists = await stat(own).then(() => true, () => false);
    if (path.isAbsolute(part) && (index === 0 || exists)) return say(`Expected a file of the folder or the name of a program, got the path "${part}".`);
    if (exists && !(await isInside(folder, own))) return say(`Expected a file of the folder, got "${part}", a link that leads out of it.`);
    if (index === 0 && part.includes("/") && !exists) return say(`Expected the file "${part}" in the folder, found none.`);
  }
  return undefined;
}

/** The program as it is started: a file of the folder by its path, anything else by its name. */
export async function programOf({ manifest, home }: Skill): Promise<readonly [string, ...string[]]> {
  const [command = "", ...args] = manifest.command;
  const own = path.join(home, command);
  return [(await stat(own).then((file) => file.isFile(), () => false)) ? own : command, ...args];
}

async function isInside(folder: string, file: string): Promise<boolean> {
  const real = await realpath(file);
  return real === folder || real.startsWith(`${folder}${path.sep}`);
}
