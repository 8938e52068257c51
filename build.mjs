/**
 * Builds dist/, what the package ships: `node build.mjs [--if-stale]`.
 * With CLAWFLOW_FAULTS=1 it builds the same into node_modules/.clawflow-faults/package, an installable package that keeps the places
 * where the fault tests kill (engine/points.ts); dist/ has none of them.
 *
 *     dist/<node>.js, <node>.html   one set per node, as the "node-red" section of package.json lists them
 *     dist/documents-worker.js      the thread that reads documents
 *     dist/chunks/                  shared code, and one chunk per channel and wire, loaded on first use
 *     dist/editor.html              the editor plugin: editor/index.ts, its styles and editor/*.html in one file
 *     dist/web/                     the pages we serve
 *     dist/icons, dist/locales      Node-RED looks for both beside the node files
 *     dist/THIRD-PARTY.md           the bundled libraries and their licences
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

process.chdir(path.dirname(fileURLToPath(import.meta.url)));
const faults = process.env.CLAWFLOW_FAULTS === "1";
const home = faults ? "node_modules/.clawflow-faults/package" : ".";
const target = path.join(home, "dist");
const lock = "node_modules/.clawflow-build";
const staging = path.join(lock, "dist");
const out = (...parts) => path.join(staging, ...parts);
const list = (folder, end) => (existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(end)).sort() : []);
const withPage = (folder) => list(folder, ".ts").filter((name) => existsSync(path.join(folder, name.replace(/\.ts$/, ".html")))).map((name) => path.join(folder, name));

/** Newest change below the sources, folders included, so that a removed file counts. */
function newestSource() {
  let newest = 0;
  const look = (place) => {
    if (!existsSync(place)) return;
    const stat = statSync(place);
    newest = Math.max(newest, stat.mtimeMs);
    if (stat.isDirectory()) for (const name of readdirSync(place)) look(path.join(place, name));
  };
  for (const place of ["build.mjs", "package.json", "nodes", "engine", "editor", "web", "icons", "locales"]) look(place);
  return newest;
}
const isFresh = () => (statSync(path.join(target, "THIRD-PARTY.md"), { throwIfNoEntry: false })?.mtimeMs ?? 0) >= newestSource();

/** Two builds at once (test processes) take turns; a lock left by a killed build is void after a minute. */
async function underLock(act) {
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      if (Date.now() - since > 60_000) rmSync(lock, { recursive: true, force: true });
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  try {
    await act();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** Names of the packages below node_modules that stand among the inputs of a build. */
const bundled = new Set();
async function bundle(options) {
  const result = await build({ bundle: true, metafile: true, legalComments: "none", logLevel: "warning", charset: "utf8", ...options });
  for (const input of Object.keys(result.metafile.inputs)) {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (name) bundled.add(name[0]);
  }
  return result;
}

async function buildNodes() {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  await bundle({
    // The thread of the documents node is started from its own file.
    entryPoints: [...withPage("nodes").map((file) => ({ in: file, out: path.basename(file, ".ts") })), { in: "engine/documents/worker.ts", out: "documents-worker" }],
    ...(faults ? {} : { dropLabels: ["FAULT"] }),
    outdir: staging, format: "esm", splitting: true, chunkNames: "chunks/[name]-[hash]", platform: "node", target: "node22",
    external: [...Object.keys(dependencies), "sharp", "node-red", "@node-red/*"],
    // Bundled CommonJS libraries ask for Node's modules by require().
    banner: { js: `import { createRequire as createRequireOfBundle } from "node:module"; var require = createRequireOfBundle(import.meta.url);` },
  });
  for (const page of list("nodes", ".html")) cpSync(path.join("nodes", page), out(page));
}

/** One page for Node-RED to put into the editor; the script is safe inside it, because esbuild escapes `</script`. */
async function buildEditor() {
  if (!existsSync("editor/index.ts")) return;
  const { outputFiles } = await bundle({ entryPoints: ["editor/index.ts"], outdir: staging, format: "iife", minify: true, target: "es2022", write: false, loader: { ".html": "text" } });
  const part = (end) => outputFiles.filter((file) => file.path.endsWith(end)).map((file) => file.text).join("\n");
  const styles = part(".css") + list("editor", ".css").map((name) => readFileSync(path.join("editor", name), "utf8")).join("\n");
  const pages = list("editor", ".html").map((name) => readFileSync(path.join("editor", name), "utf8"));
  writeFileSync(out("editor.html"), [`<style>${styles}</style>`, ...pages, `<script type="text/javascript">${part(".js")}</script>`, ""].join("\n"));
}

async function buildWeb() {
  if (!existsSync("web")) return;
  cpSync("web", out("web"), { recursive: true, filter: (from) => !/\.(ts|md)$/.test(from) });
  await bundle({ entryPoints: withPage("web"), outdir: out("web"), format: "esm", minify: true, target: "es2022" });
  // A script of other pages: it must leave no names there, and knows its own tag only as a classic one.
  await bundle({ entryPoints: ["web/embed.ts"], outdir: out("web"), format: "iife", minify: true, target: "es2022" });
}

/** What a package itself has bundled. */
const HOLDS = { unpdf: ". It holds Mozilla's PDF.js, published under Apache-2.0 (https://github.com/mozilla/pdf.js)" };
function thirdParty() {
  const rows = [...bundled].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
    // Of several licences to choose from, MIT is ours.
    const files = readdirSync(folder).filter((entry) => /^licen[cs]e/i.test(entry));
    const file = files.find((entry) => /\bMIT\b/.test(entry)) ?? files[0];
    const chosen = files.length > 1 && /\bMIT\b/.test(file) && /\bMIT\b.*\bOR\b|\bOR\b.*\bMIT\b/.test(license) ? `MIT, chosen from ${license}` : license;
    const text = file ? readFileSync(path.join(folder, file), "utf8").trim() : `Published under ${license}.`;
    return `## ${name} ${version}\n\nLicence: ${chosen}${HOLDS[name] ?? ""}\n\n\`\`\`\`text\n${text}\n\`\`\`\`\n`;
  });
  writeFileSync(out("THIRD-PARTY.md"), `# Bundled libraries\n\nThe files in this folder contain code of these packages.\n\n${rows.join("\n")}`);
}

async function buildAll() {
  const started = new Date();
  mkdirSync(staging, { recursive: true });
  await Promise.all([buildNodes(), buildEditor(), buildWeb()]);
  for (const folder of ["icons", "locales"]) if (existsSync(folder)) cpSync(folder, out(folder), { recursive: true });
  thirdParty();
  utimesSync(out("THIRD-PARTY.md"), started, started); // what changes while we build is newer
  mkdirSync(home, { recursive: true });
  if (faults) cpSync("package.json", path.join(home, "package.json"));
  if (existsSync(target)) renameSync(target, path.join(lock, "old"));
  renameSync(staging, target);
}

const onlyIfStale = process.argv.includes("--if-stale");
if (!(onlyIfStale && isFresh())) {
  const started = Date.now();
  await underLock(async () => {
    if (onlyIfStale && isFresh()) return; // another process built it meanwhile
    await buildAll();
    console.log(`Built ${target}/ in ${Date.now() - started} ms.`);
  });
}
