/** docs/reliability.md names the class of every channel as its code declares it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { channels } from "../engine/channels/index.ts";
import { classOf, type DeliveryClass } from "./kit/delivery-class.ts";
import { projectRoot } from "./rigs/project.ts";

const lines = readFileSync(path.join(projectRoot, "docs/reliability.md"), "utf8").split("\n");
const cellsOf = (line: string): string[] => line.split("|").slice(1, -1).map((cell) => cell.trim());

describe("docs/reliability.md", () => {
  for (const wanted of ["A", "B", "C"] satisfies DeliveryClass[]) it(`names the channels of class ${wanted}`, () => {
    const rows = lines.filter((line) => line.startsWith(`| ${wanted} |`)).map(cellsOf);
    assert.equal(rows.length, 1);
    assert.equal(rows[0]?.[2], channels.filter((channel) => classOf(channel) === wanted).map(({ label }) => label).sort().join(", "), `the third cell of class ${wanted}`);
  });

  it("names every test file that it sends a reader to", () => {
    const named = lines.join("\n").matchAll(/`(test\/[\w/-]+\.test\.ts)`/g);
    const missing = [...named].map(([, file]) => file ?? "").filter((file) => !exists(file));
    assert.deepEqual(missing, []);
  });
});

function exists(file: string): boolean {
  try { readFileSync(path.join(projectRoot, file)); return true; } catch { return false; }
}
