/** The checker finds every bug that it was given, and it gives a trace that shows it. */
import assert from "node:assert/strict";
import { reduce } from "../../engine/life.ts";
import { exploreDeep, type Found } from "./explore.ts";
import { MUTANTS, tryMutant } from "./mutants.ts";
import { SOUND } from "./rules.ts";
import type { Scenario } from "./state.ts";
import { createWorld } from "./world.ts";

describe("mutants of the life of a message", function () {
  this.timeout(120_000);
  /** Names of the invariants that a mutant broke. */
  const broken = new Set<string>();
  /** Many mutants stand in the same world: it is looked through once. */
  const known = new Map<string, Found>();
  function soundly(scenario: Scenario): Found {
    const key = JSON.stringify(scenario);
    const found = known.get(key) ?? exploreDeep(createWorld(scenario, { ...SOUND, reduce }));
    known.set(key, found);
    return found;
  }
  for (const mutant of MUTANTS) {
    it(`${mutant.name} (${mutant.where})`, () => {
      const sound = soundly(mutant.scenario);
      assert.ok(sound.violation === undefined && sound.complete, sound.violation?.text);
      const { violation, states } = tryMutant(mutant, reduce);
      assert.ok(violation !== undefined, `not caught in ${states} states`);
      broken.add(violation.text.slice(0, violation.text.indexOf(":")));
      console.log(`      caught in ${states} states, ${violation.trace.length} steps; ${violation.text}`);
    });
  }
  it("come upon every invariant: none is there for nothing", () => {
    const names = ["loss", "double", "order", "conservation", "ack", "once", "journal", "window", "stale", "again", "blame", "poison", "trial", "notice", "silent", "progress", "lane", "pause"];
    assert.deepEqual(names.filter((name) => !broken.has(name)), []);
    assert.deepEqual([...broken].filter((name) => !names.includes(name)), []);
  });
  it("are at least 20, of the reducer alone as well", () => {
    assert.ok(MUTANTS.filter(({ where }) => where === "reducer").length >= 20);
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
  });
});
