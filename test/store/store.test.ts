import assert from "node:assert/strict";
import { parseRunId, runId } from "../../engine/store/store.ts";

describe("run ids", () => {
  it("come apart as they were put together", () => {
    for (const entry of ["abc123", "a.b.c", "x\ny", "日本"]) {
      const run = runId({ seq: 12, secret: "aB_-9" }, entry);
      assert.deepEqual(parseRunId(run), { seq: 12, secret: "aB_-9", entry });
    }
  });
  it("are refused in any other make", () => {
    for (const text of ["", "1", "1.a", "1.a.", "x.a.b", "-1.a.b", "1..b", "1.a b.c", "1234567890123456.a.b", " 1.a.b"]) assert.equal(parseRunId(text), undefined, text);
  });
});
