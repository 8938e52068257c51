/** The points where tests kill are in the fault build, and nothing of them in what is shipped. */
import assert from "node:assert/strict";
import { projectRoot } from "../rigs/project.ts";
import { buildIfStale } from "../rigs/node-red.ts";
import { hasMechanism, pointsOf } from "./package.ts";
import { buildFaultPackage } from "./rig.ts";

describe("the points of engine/points.ts", function () {
  this.timeout(120_000);

  it("are not in the package that is shipped", () => {
    buildIfStale();
    assert.deepEqual([...pointsOf(projectRoot)], []);
    assert.equal(hasMechanism(projectRoot), false);
  });

  it("are in the fault build", () => {
    const folder = buildFaultPackage();
    assert.equal(hasMechanism(folder), true);
    assert.ok(pointsOf(folder).size > 10);
  });
});
