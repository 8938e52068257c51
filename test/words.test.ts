import assert from "node:assert/strict";
import { askedIn, bestOf, wordsOf } from "../engine/words.ts";

describe("words", () => {
  it("are the same with and without case, accents and what stands between them, in every script", () => {
    assert.deepEqual(wordsOf("The KITCHEN-light, the lamp_2!"), ["the", "kitchen", "light", "lamp", "2"]);
    assert.deepEqual(wordsOf("Grüße aus der Straße; ÉCOLE"), ["grusse", "aus", "der", "strasse", "ecole"]);
    assert.deepEqual(wordsOf("кухня 台所のLED"), ["кухня", "台", "所", "の", "台所", "所の", "led"]);
  });

  it("of a plain text are those it has beside others", () => {
    for (const text of ["", "a", "It's 7:30 - call Dr. O'Neil_2 (now)", "x".repeat(9_000), "tab\tand\u0000zero\nline"]) {
      assert.deepEqual(wordsOf(`é ${text}`.slice(0, 8_000)), [...new Set(["e", ...wordsOf(text.slice(0, 7_998))])]);
    }
    assert.deepEqual(askedIn("where are the dogs"), [{ word: "dog", open: true }]);
  });
});

describe("the best of what was found", () => {
  it("are the first of all in their order", () => {
    let seed = 1;
    const random = (below: number): number => { seed = (seed * 48_271) % 2_147_483_647; return seed % below; };
    for (let round = 0; round < 200; round++) {
      const hits = Array.from({ length: 1 + random(4) }, () => [...new Set(Array.from({ length: random(40) }, () => random(60)))]);
      const all = bestOf(hits, Number.POSITIVE_INFINITY);
      assert.equal(all.length, new Set(hits.flat()).size);
      for (const limit of [0, 1, 3, 8, 50]) assert.deepEqual(bestOf(hits, limit), all.slice(0, limit));
    }
    assert.deepEqual(bestOf([[1, 2, 3], [2]], 2), [2, 3], "the rare word first, then the newest");
  });
});
