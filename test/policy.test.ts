import assert from "node:assert/strict";
import { decide, lowestTrust, TRUSTS } from "../engine/policy.ts";
import type { Risk, Trust } from "../engine/tool.ts";

/** The policy table of the security page, word by word: an oracle of its own, read by its own small parser. */
const TABLE = `
| context | read | write | dangerous |
|---|---|---|---|
| owner, clean | run | run | ask owner |
| owner, tainted | run | ask | ask, with the tainted arguments marked |
| paired, clean | run | run | ask owner |
| paired, tainted | run | ask owner | deny |
| allowed, clean | run if shared | ask owner | deny |
| allowed, tainted | run if shared | deny | deny |
| stranger | deny | deny | deny |
`;
function oracle(trust: string, tainted: boolean, risk: string, shared: boolean): string {
  const [head = [], , ...rows] = TABLE.trim().split("\n").map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const context = trust === "stranger" ? "stranger" : `${trust}, ${tainted ? "tainted" : "clean"}`;
  const cell = rows.find(([first]) => first === context)?.[head.indexOf(risk)] ?? "";
  if (cell === "run if shared") return shared ? "run" : "deny";
  return cell.slice(0, cell.startsWith("deny") ? 4 : 3);
}

describe("policy", () => {
  it("equals the table for every combination", () => {
    const rules = new Set<string>();
    let count = 0;
    for (const trust of TRUSTS) for (const tainted of [false, true]) for (const risk of ["read", "write", "dangerous"] as Risk[]) for (const shared of [false, true]) {
      const { decision, rule } = decide({ trust, tainted, tool: { risk, shared } });
      assert.equal(decision, oracle(trust, tainted, risk, shared), `${trust} ${tainted} ${risk} ${shared}`);
      assert.ok(rule.startsWith(`${trust}-${tainted ? "tainted" : "clean"}-${risk}`), rule);
      rules.add(rule);
      count++;
    }
    assert.equal(count, 48);
    assert.equal(rules.size, 26, "24 cells, two of them told apart by shared");
  });

  it("refuses what it does not know", () => {
    const tool = { risk: "read" as Risk, shared: true };
    for (const trust of ["root", "", "__proto__", "constructor", undefined]) assert.equal(decide({ trust: trust as Trust, tainted: false, tool }).decision, "deny", String(trust));
    for (const risk of ["harmless", "__proto__", "toString", undefined]) {
      const known = decide({ trust: "owner", tainted: false, tool: { risk: risk as Risk, shared: true } });
      assert.deepEqual(known, { decision: "ask", rule: "owner-clean-dangerous" });
    }
    assert.equal(decide({ trust: "owner", tainted: undefined as unknown as boolean, tool: { risk: "write", shared: true } }).decision, "ask", "unknown taint is taint");
    assert.equal(decide({ trust: "allowed", tainted: false, tool: { risk: "read", shared: "yes" as unknown as boolean } }).decision, "deny");
  });

  it("takes the lowest trust of all", () => {
    assert.equal(lowestTrust(["owner"]), "owner");
    assert.equal(lowestTrust(["owner", "allowed", "paired"]), "allowed");
    assert.equal(lowestTrust(["stranger", "owner"]), "stranger");
    assert.equal(lowestTrust([]), "stranger");
    assert.equal(lowestTrust(["owner", "admin" as Trust]), "stranger");
  });
});
