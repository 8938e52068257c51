/**
 * What `npm test` and `npm run demo` need before they start, on any Node from 20 on and with nothing installed:
 * this file imports Node's own modules only.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
/** Types are stripped by Node itself from this version on. */
export const nodeMajor = 24;

const windows = process.platform === "win32";
const read = (file) => JSON.parse(readFileSync(path.join(root, file), "utf8"));

/** Is every package of package-lock.json there, in that version? npm keeps its own record of what it installed. */
function packagesAreInstalled() {
  if (!existsSync(path.join(root, "node_modules/.package-lock.json"))) return false;
  const installed = read("node_modules/.package-lock.json").packages;
  return Object.entries(read("package-lock.json").packages).every(([place, { version, optional, devOptional, peer }]) =>
    place === "" || optional || devOptional || (peer && !installed[place]) || installed[place]?.version === version);
}

/** Runs a command and shows its output only when it fails; resolves to whether it ended well. */
function quietly(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], ...options });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { output += text; });
    child.on("error", (error) => { output += error.message; resolve({ ok: false, output }); });
    child.on("close", (code) => resolve({ ok: code === 0, output }));
  });
}

/** Installs the npm packages where they are missing or package-lock.json has changed. Throws with npm's words. */
export async function installPackages() {
  if (packagesAreInstalled()) return;
  console.log("Installing the npm packages …");
  // Not `npm ci`: it refuses a lock file that lacks other systems' optional binaries.
  const result = await quietly(windows ? "npm.cmd" : "npm", ["install", "--no-save", "--no-audit", "--no-fund"], { shell: windows });
  if (!result.ok) throw new Error(`npm install failed:\n${result.output}`);
}

/** The node program to run everything with: this one where it is new enough, else the one from the npm package `node`. */
export function newNode() {
  if (Number(process.versions.node.split(".")[0]) >= nodeMajor) return process.execPath;
  const own = path.join(root, "node_modules/node/bin", windows ? "node.exe" : "node");
  if (existsSync(own)) return own;
  throw new Error(`Expected Node ${nodeMajor} in node_modules/node, which its install script puts there; got nothing. Allow install scripts (npm config get ignore-scripts), remove node_modules and try again, or use Node ${nodeMajor} itself.`);
}

/** Runs this very script again under `newNode()` where the running one is too old; resolves to false where it is new enough. */
export async function again(script) {
  const node = newNode();
  if (node === process.execPath) return false;
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: "inherit", env: { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}` } });
  const pass = (signal) => child.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, pass);
  const [code, signal] = await new Promise((resolve) => child.on("close", (...end) => resolve(end)));
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
  return true;
}

/** Builds dist/ where a source is newer. */
export async function buildIfStale() {
  const result = await quietly(newNode(), ["build.mjs", "--if-stale"]);
  if (!result.ok) throw new Error(`The build failed:\n${result.output}`);
}

const onPath = (program) => (process.env.PATH ?? "").split(path.delimiter).map((folder) => path.join(folder, program)).find((file) => existsSync(file));

/** The Chromium or Chrome of this machine, or undefined. */
export function findChromium() {
  return [process.env.CLAWFLOW_CHROMIUM, onPath("chromium"), onPath("chromium-browser"), onPath("google-chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe"].find((file) => file && existsSync(file));
}

/** Programs that tests use where they are there: Debian package, how to see that it is there, what is skipped without it. */
const programs = [
  { name: "chromium", present: findChromium, without: "Chromium is not installed: browser tests are skipped." },
  { name: "fonts-dejavu-core", present: () => existsSync("/usr/share/fonts/truetype") },
  { name: "fonts-noto-color-emoji", present: () => existsSync("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf") },
  { name: "dovecot-imapd", present: () => onPath("dovecot") ?? existsSync("/usr/sbin/dovecot"), without: "Dovecot is not installed: tests against a real IMAP server are skipped." },
  { name: "ffmpeg", present: () => onPath("ffmpeg"), without: "ffmpeg is not installed: tests that convert voice messages are skipped." },
];

/** Installs missing programs where it may (root on Debian); says in one line what stays missing. Never fails. */
export async function installPrograms() {
  const missing = programs.filter((program) => !program.present());
  if (missing.length === 0) return;
  const names = missing.map((program) => program.name);
  const mayInstall = process.getuid?.() === 0 && onPath("apt-get") && !process.env.CLAWFLOW_NO_INSTALL;
  if (mayInstall) {
    console.log(`Installing ${names.join(", ")} …`);
    const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, timeout: 10 * 60_000 };
    await quietly("apt-get", ["update", "-qq"], options);
    await quietly("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...names], options);
  }
  for (const { present, without } of programs) if (without && !present()) console.log(without);
}
