/** The broken settings of `npm run test:mutants` still fit the code. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot as root } from "../rigs/project.ts";
import { MUTATIONS } from "./rows.ts";

describe("broken durability settings", () => {
  const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
  it("are at least 15, each of its own name", () => {
    assert.ok(MUTATIONS.length >= 15);
    assert.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
  });
  it("each change one place in the code, and each has a test by that name", () => {
    for (const { name, file, find, replace, test, grep } of MUTATIONS) {
      assert.equal(read(file).split(find).length - 1, 1, `${name}: Expected this once in ${file}: ${find}`);
      assert.notEqual(find, replace, name);
      assert.ok(read(test).length > 0, name);
      assert.ok(grep.length > 2, name);
    }
  });
});
