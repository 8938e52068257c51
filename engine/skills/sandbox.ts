/**
 * What a skill runs in. bubblewrap gives it namespaces of its own: of the disk it sees the system's programs and its own folder, both read-only, and an empty /tmp;
 * of the network nothing, unless its manifest says so. prlimit (util-linux) bounds its memory, with and without bubblewrap.
 */
import { access, constants } from "node:fs/promises";
import path from "node:path";
import type { Clock } from "../clock.ts";
import { endGroup, type Program, startGroup } from "../process-group.ts";
import type { Skill } from "./folder.ts";
import { programOf } from "./folder.ts";

export interface Sandbox {
  /** Path of bwrap, tried here; undefined: `why` not. */
  readonly bwrap?: string;
  readonly why?: string;
  /** Path of prlimit; without it memory has no bound. */
  readonly prlimit?: string;
}

/** Of the system: programs, their libraries, and what name look-ups, clocks and certificates need. No home, no /etc but this. */
const SEEN = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/run/current-system", ...["alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/tls/certs"].map((name) => `/etc/${name}`)];
const SEEN_WITH_NETWORK = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/run/systemd/resolve"];
/** Where programs are looked for inside. */
const PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin";
const MIB = 1024 * 1024;
const TRIAL_MS = 10_000;

function walls(share: boolean, mostBytes: number): string[] {
  const seen = share ? [...SEEN, ...SEEN_WITH_NETWORK] : SEEN;
  return [
    "--unshare-all", ...(share ? ["--share-net"] : []), "--die-with-parent", "--new-session", "--cap-drop", "ALL",
    ...seen.flatMap((place) => ["--ro-bind-try", place, place]), "--proc", "/proc", "--dev", "/dev", "--size", String(mostBytes), "--tmpfs", "/tmp",
  ];
}

async function find(name: string, places: readonly string[]): Promise<string | undefined> {
  for (const place of places) {
    const file = path.join(place, name);
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  return undefined;
}

/** Looks what is here, and tries it: in many containers bwrap is installed and may do nothing. `places`: folders of programs. */
export async function findSandbox(places: readonly string[], clock: Clock): Promise<Sandbox> {
  const [bwrap, prlimit] = await Promise.all([find("bwrap", places), find("prlimit", places)]);
  const limit = prlimit === undefined ? {} : { prlimit };
  if (process.platform !== "linux" || bwrap === undefined) return { ...limit, why: "bubblewrap is not installed" };
  const said = await trial(bwrap, clock);
  return said === "" ? { ...limit, bwrap } : { ...limit, why: `bubblewrap does not work here: ${said}` };
}

/** Empty when a program could be run. */
function trial(bwrap: string, clock: Clock): Promise<string> {
  const child = startGroup({ command: bwrap, args: [...walls(false, MIB), "--", "true"], env: { PATH: PLACES } });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => { said = `${said}${chunk.toString("utf8")}`.slice(0, 300); });
  return new Promise((resolve) => {
    const cancel = clock.after(TRIAL_MS, () => { void endGroup(child, clock, 0); said ||= "no answer"; });
    child.once("error", (error) => { cancel(); resolve(error.message); });
    child.once("close", (code) => { cancel(); resolve(code === 0 ? "" : said.trim() || `exit code ${code}`); });
  });
}

/** The program that runs a skill, in its walls where there are some. `env`: what it finds beside the basics; `places`: PATH where there are no walls. */
export async function programFor(skill: Skill, sandbox: Sandbox, env: Readonly<Record<string, string>>, places: string): Promise<Program> {
  const { manifest, folder, home } = skill;
  const most = manifest.memoryMb * MIB;
  const [command, ...args] = await programOf(skill);
  // RLIMIT_DATA counts memory that is written to; RLIMIT_AS would count what V8 only reserves.
  const limited = sandbox.prlimit === undefined ? [command, ...args] : [sandbox.prlimit, `--data=${most}`, "--core=0", `--cpu=${manifest.timeoutSeconds + 1}`, "--", command, ...args];
  const basics = { LANG: "C.UTF-8", PYTHONIOENCODING: "utf-8", PYTHONDONTWRITEBYTECODE: "1", ...env };
  if (sandbox.bwrap === undefined) return { command: limited[0] as string, args: limited.slice(1), cwd: home, env: { PATH: places, HOME: home, ...basics } };
  return { command: sandbox.bwrap, args: [...walls(manifest.network, most), "--ro-bind", folder, folder, "--chdir", home, "--", ...limited], env: { PATH: PLACES, HOME: "/tmp", TMPDIR: "/tmp", ...basics } };
}
