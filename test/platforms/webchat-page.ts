/** The chat page, built in memory as build.mjs builds it. */
import { readFile } from "node:fs/promises";
import { build } from "esbuild";
import type { Assets } from "../../engine/channels/webchat/assets.ts";

let script: Promise<Uint8Array> | undefined;
const web = new URL("../../web/", import.meta.url);

export const builtPage: Assets = async (name) => {
  if (name !== "chat.js") return readFile(new URL(name, web));
  script ??= build({ entryPoints: [new URL("chat.ts", web).pathname], bundle: true, write: false, format: "esm", minify: true, target: "es2022" }).then(({ outputFiles }) => outputFiles[0]?.contents as Uint8Array);
  return script;
};
