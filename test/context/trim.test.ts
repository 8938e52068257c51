import assert from "node:assert/strict";
import fc from "fast-check";
import { estimateTokens, turnsTokens, turnTokens } from "../../engine/context/estimate.ts";
import { blocksOf, fitTurns, pruneResults, shorten } from "../../engine/context/trim.ts";
import { tidyTurns } from "../../engine/models/turns.ts";
import type { Turn } from "../../engine/models/model.ts";
import { talks } from "./kit.ts";

const newestUser = (turns: readonly Turn[]) => turns.findLast((turn) => turn.role === "user");
/** What always stays: the newest user turn and the last round, each of its results at its shortest. */
function least(turns: readonly Turn[]): number {
  const last = blocksOf(turns).at(-1) ?? [];
  const user = newestUser(turns) as Turn;
  return turnTokens(user) + (last[0] === user ? 0 : last.reduce((sum, turn) => sum + (turn.role === "tool" ? Math.min(turnTokens(turn), 60) : turnTokens(turn)), 0));
}

describe("turns made to fit", () => {
  it("never part a call from its result, keep the newest user turn, begin with the user and fit", () => {
    fc.assert(fc.property(talks(), fc.integer({ min: 0, max: 6_000 }), (turns, more) => {
      const room = least(turns) + more;
      const fitted = fitTurns(turns, room);
      assert.deepEqual(tidyTurns(fitted), fitted, "each call has its result, in its place");
      assert.ok(fitted.includes(newestUser(turns) as Turn), "the newest user turn is there, whole");
      assert.equal(fitted[0]?.role, "user");
      assert.ok(turnsTokens(fitted) <= room, `${turnsTokens(fitted)} of ${room}`);
      if (turnsTokens(turns) <= room) assert.equal(fitted, turns);
    }), { numRuns: 300 });
  });

  it("keep their order, and change nothing but results of tools", () => {
    fc.assert(fc.property(talks(), fc.integer({ min: 100, max: 4_000 }), (turns, room) => {
      let at = 0;
      for (const turn of fitTurns(turns, room)) {
        const same = (other: Turn): boolean => turn === other || (turn.role === "tool" && other.role === "tool" && turn.call === other.call);
        while (at < turns.length && !same(turns[at] as Turn)) at++;
        assert.ok(at < turns.length, `a turn that was not there: ${JSON.stringify(turn).slice(0, 200)}`);
      }
    }), { numRuns: 200 });
  });

  it("keep the summary longer than old exchanges", () => {
    const old = (text: string): Turn[] => [{ role: "user", text: text.repeat(200) }, { role: "assistant", text: text.repeat(200) }];
    const turns: Turn[] = [{ role: "user", summary: true, text: "Ada is 36." }, ...old("aaaa"), ...old("bbbb"), { role: "user", text: "now" }];
    const fitted = fitTurns(turns, 450);
    assert.deepEqual(fitted.map(({ text }) => text.slice(0, 10)), ["Ada is 36.", "bbbbbbbbbb", "bbbbbbbbbb", "now"]);
    assert.deepEqual(fitTurns(turns, 10).map(({ text }) => text), ["now"]);
  });

  it("drop the oldest tool rounds of a long run, and go on with the newest", () => {
    const rounds = Array.from({ length: 40 }, (_, n): Turn[] => [
      { role: "assistant", text: "", calls: [{ id: `c${n}`, name: "look", input: {} }] }, { role: "tool", call: `c${n}`, name: "look", text: `${n}:${"y".repeat(4_000)}`, failed: false },
    ]).flat();
    const fitted = fitTurns([{ role: "user", text: "look at all" }, ...rounds], 3_000);
    assert.equal(fitted[0]?.text, "look at all");
    assert.match(fitted.at(-1)?.text ?? "", /^39:y{4000}$/, "the newest result is whole");
    assert.ok(fitted.length > 4 && turnsTokens(fitted) <= 3_000);
  });

  it("cut the newest result when it alone is too long", () => {
    const fitted = fitTurns([{ role: "user", text: "read it" }, { role: "assistant", text: "", calls: [{ id: "c", name: "read", input: {} }] }, { role: "tool", call: "c", name: "read", text: `BEGIN${"z".repeat(100_000)}END`, failed: false }], 1_000);
    assert.ok(turnsTokens(fitted) <= 1_000 && turnsTokens(fitted) > 500);
    assert.match(fitted[2]?.text ?? "", /^BEGIN[\s\S]*characters left out[\s\S]*END$/);
  });
});

describe("old results of tools", () => {
  it("are kept short, the last two rounds whole", () => {
    const turns = [1, 2, 3].flatMap((n): Turn[] => [{ role: "assistant", text: "", calls: [{ id: `c${n}`, name: "t", input: {} }] }, { role: "tool", call: `c${n}`, name: "t", text: "q".repeat(5_000), failed: false }]);
    assert.deepEqual(pruneResults(turns).flatMap((turn) => (turn.role === "tool" ? [turn.text.length === 5_000] : [])), [false, true, true]);
  });
  it("say how much is missing, and never hold half a character", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 50 }), (text, head, tail) => {
      const short = shorten(text, head, tail);
      assert.ok(short.length <= text.length);
      assert.ok(short.isWellFormed());
    }));
    assert.equal(shorten("a".repeat(900)), `${"a".repeat(400)}\n[… 300 characters left out …]\n${"a".repeat(200)}`);
  });
});

describe("the estimate", () => {
  it("knows scripts without letters between words, pictures and calls", () => {
    assert.deepEqual([estimateTokens("abcdefgh"), estimateTokens("天気予報"), estimateTokens("")], [2, 4, 0]);
    assert.ok(turnTokens({ role: "user", text: "", files: [{ kind: "image", media: "x" }] }) > 1_000);
    assert.ok(turnTokens({ role: "assistant", text: "", calls: [{ id: "c", name: "t", input: { text: "x".repeat(400) } }] }) > 100);
  });
});
