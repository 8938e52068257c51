/** The chat page, built in memory as build.mjs builds it. */
import { readFile } from "node:fs/promises";
import { build } from "esbuild";
import type { Assets } from "../../engine/channels/webchat/assets.ts";

const scripts = new Map<string, Promise<Uint8Array>>();
const web = new URL("../../web/", import.meta.url);

export const builtPage: Assets = async (name) => {
  if (!name.endsWith(".js")) return readFile(new URL(name, web));
  const script = scripts.get(name) ?? build({ entryPoints: [new URL(name.replace(/js$/, "ts"), web).pathname], bundle: true, write: false, format: name === "embed.js" ? "iife" : "esm", minify: true, target: "es2022" }).then(({ outputFiles }) => outputFiles[0]?.contents as Uint8Array);
  scripts.set(name, script);
  return script;
};
