import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { migrate, STEPS, type Fields, type Steps } from "../nodes/shared/migrate.ts";
import { projectRoot } from "./rigs/project.ts";

/** A node whose life had three versions: a field got a name, then a unit, then its default turned round. */
const LIFE: Steps = {
  lamp: [
    (fields) => ({ ...fields, quiet: fields.quiet ?? true }),
    ({ wait, ...fields }) => ({ ...fields, seconds: wait }),
    ({ seconds, ...fields }) => ({ ...fields, ms: Number(seconds) * 1000 }),
  ],
};
const frozen = <T extends object>(fields: T): T => {
  for (const value of Object.values(fields)) if (typeof value === "object" && value !== null) frozen(value as object);
  return Object.freeze(fields);
};

describe("migrations of saved nodes", () => {
  it("go step by step from the version a node was saved in to the newest", () => {
    const rules = [{ id: "r1" }];
    assert.deepEqual(migrate<Fields>("lamp", { id: "a", wait: 2, rules }, LIFE), { id: "a", quiet: true, ms: 2000, rules, version: 3 });
    assert.deepEqual(migrate<Fields>("lamp", { id: "a", wait: 2, version: 0 }, LIFE), { id: "a", quiet: true, ms: 2000, version: 3 });
    assert.deepEqual(migrate<Fields>("lamp", { id: "a", wait: 2, version: 1 }, LIFE), { id: "a", ms: 2000, version: 3 });
    assert.deepEqual(migrate<Fields>("lamp", { id: "a", seconds: 2, version: "2" }, LIFE), { id: "a", ms: 2000, version: 3 });
  });

  it("begin each step with what the one before it left", () => {
    const order: string[] = [];
    const step = (name: string) => (fields: Fields): Fields => { order.push(`${name} after ${String(fields.last ?? "none")}`); return { ...fields, last: name }; };
    migrate("lamp", { id: "a" }, { lamp: [step("one"), step("two"), step("three")] });
    assert.deepEqual(order, ["one after none", "two after one", "three after two"]);
  });

  it("leave what was saved as it was", () => {
    const saved = frozen({ id: "a", wait: 2, rules: [{ id: "r1", rows: [] }] });
    const before = JSON.stringify(saved);
    const migrated = migrate<Fields>("lamp", saved, LIFE);
    assert.equal(JSON.stringify(saved), before);
    assert.notEqual(migrated, saved);
    assert.deepEqual(migrate("lamp", migrated, LIFE), migrated, "a second time changes nothing");
  });

  it("give a node of the newest version, and one they do not know, back as it is", () => {
    const newest = { id: "a", ms: 1, version: 3 };
    assert.equal(migrate("lamp", newest, LIFE), newest);
    const foreign = { id: "f", version: 77 };
    assert.equal(migrate("inject", foreign, LIFE), foreign);
    assert.equal(migrate("constructor", foreign, LIFE), foreign);
  });

  it("refuse what a newer ClawFlow made, and a version that is none", () => {
    const refused = (version: unknown) => {
      try {
        migrate("lamp", { id: "a", version }, LIFE);
      } catch (error) {
        return error as { code: string; message: string };
      }
      return assert.fail(`version ${String(version)} was taken`);
    };
    assert.equal(refused(4).code, "CONF_001");
    assert.match(refused(4).message, /lamp of version 3 or older, got version 4: it was made by a newer ClawFlow\. Update/);
    for (const version of ["new", -1, 1.5, Number.NaN, {}]) assert.equal(refused(version).code, "CONF_001");
  });

  it("lead to the version that every form saves", () => {
    const { nodes } = (JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as { "node-red": { nodes: object } })["node-red"];
    assert.deepEqual(Object.keys(STEPS).sort(), Object.keys(nodes).map((node) => `clawflow-${node}`).sort());
    for (const node of Object.keys(nodes)) {
      const saved = /version:\s*\{\s*value:\s*(\d+)/.exec(readFileSync(path.join(projectRoot, "nodes", `${node}.html`), "utf8"))?.[1];
      assert.equal(Number(saved), STEPS[`clawflow-${node}`]?.length, node);
    }
  });
});
