/** Conservation: what is counted, and that no file of test/faults can do without. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { newReceipt } from "../contracts/store.ts";
import { readHeld, unconserved, watchStore } from "./conserve.ts";
import type { Entry } from "./stubs/log.ts";

/** Nothing of theirs is in a store. */
const WITHOUT = ["judge.test.ts", "points.test.ts"];

function imports(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file) || !existsSync(file)) return found;
  found.add(file);
  for (const [, name = ""] of readFileSync(file, "utf8").matchAll(/from "(\.[^"]+\.ts)"/g)) imports(path.join(path.dirname(file), name), found);
  return found;
}

describe("conservation", () => {
  it("is looked at after every test of this folder", () => {
    const tests = (readdirSync(import.meta.dirname, { recursive: true }) as string[]).filter((name) => name.endsWith(".test.ts"));
    assert.ok(tests.length > 10);
    const hook = path.join(import.meta.dirname, "conserve.ts");
    assert.deepEqual(tests.filter((name) => !WITHOUT.includes(name) && !imports(path.join(import.meta.dirname, name)).has(hook)), []);
  });

  it("is found broken by a message that was confirmed and is gone, one that nobody said, and a state that is none", () => {
    const entry = (what: string, id: string, bot = "key"): Entry => ({ t: 0, what, id, bot });
    const held = (keys: readonly string[], more = {}) => ({ received: keys.length, pending: keys.length, done: 0, dead: 0, keys: new Set(keys), ...more });
    assert.deepEqual(unconserved(held(["key\nm1"]), [entry("said", "m1"), entry("acked", "m1"), entry("acked", "boss-key")]), []);
    assert.equal(unconserved(held(["key\nm1", "key\nm9"]), ["m1", "m2"].flatMap((id) => [entry("said", id), entry("acked", id)])).length, 1);
    assert.equal(unconserved(held(["key\nm1", "key\nm9"]), [entry("said", "m1")]).length, 1);
    assert.equal(unconserved(held([]), [entry("said", "m1", "telegram"), entry("acked", "m1", "telegram")]).length, 1);
    assert.equal(unconserved(held(["key\nm1"], { pending: 0 }), []).length, 1);
  });

  it("is read from the rows while their process has the store", async () => {
    const parent = mkdtempSync(path.join(tmpdir(), "clawflow-conserve-"));
    const folder = path.join(parent, "gateway");
    assert.equal(readHeld(folder), undefined);
    const store = await openSqliteStore(folder);
    await store.commit([{ do: "receive", receipt: newReceipt("a") }, { do: "receive", receipt: newReceipt("b") }]);
    await store.commit([{ do: "receipt", seq: 1, state: "done" }]);
    const { keys, ...counts } = readHeld(folder) ?? assert.fail("there is no store");
    assert.deepEqual([counts, keys.size], [{ received: 2, pending: 1, done: 1, dead: 0 }, 2]);
    await store.close();
    const watch = watchStore(folder);
    await watch.check();
    const db = new DatabaseSync(path.join(folder, "store.sqlite"));
    db.exec("UPDATE inbox SET state = 'lost' WHERE seq = 2");
    db.close();
    await assert.rejects(async () => { await watch[Symbol.asyncDispose](); }, /received 2 is not done 1/);
    rmSync(parent, { recursive: true, force: true });
  });
});
