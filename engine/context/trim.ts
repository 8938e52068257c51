/** Makes turns fit into a number of tokens: old tool results are kept short, then the oldest goes. Pure; a call is never parted from its result. */
import type { Turn } from "../models/model.ts";
import { estimateTokens, turnsTokens, turnTokens } from "./estimate.ts";

/** Tool rounds at the end whose results stay whole as long as there is room. */
const WHOLE_ROUNDS = 2;
/** Characters of an old result that stay: its beginning and its end. */
const HEAD = 400;
const TAIL = 200;
/** The least that is left of the newest results. */
const LEAST_TOKENS = 60;

type ToolTurn = Extract<Turn, { role: "tool" }>;

/** A text by its beginning and end, with a mark of what is missing between. One that is hardly longer stays as it is. */
export function shorten(text: string, head = HEAD, tail = TAIL): string {
  const left = text.length - head - tail;
  if (left < 80) return text;
  return `${whole(text.slice(0, head), true)}\n[… ${left} characters left out …]\n${tail > 0 ? whole(text.slice(-tail), false) : ""}`;
}
/** Without half of a surrogate pair at the cut. */
const whole = (part: string, head: boolean): string => (head ? part.replace(/[\uD800-\uDBFF]$/, "") : part.replace(/^[\uDC00-\uDFFF]/, ""));

const shorter = (turn: ToolTurn, head?: number, tail?: number): Turn => {
  const text = shorten(turn.text, head, tail);
  return text === turn.text ? turn : { ...turn, text };
};

/** Results of tools are short, but those of the last rounds. */
export function pruneResults(turns: readonly Turn[], wholeRounds = WHOLE_ROUNDS): Turn[] {
  let rounds = 0;
  let from = turns.length;
  while (from > 0 && rounds < wholeRounds) {
    from--;
    const turn = turns[from] as Turn;
    if (turn.role === "assistant" && turn.calls?.length) rounds++;
  }
  if (rounds < wholeRounds) from = 0;
  return turns.map((turn, index) => (turn.role === "tool" && index < from ? shorter(turn) : turn));
}

/** Turns that stay or go together: a user's turn alone, an assistant's with the results of its calls. */
export function blocksOf(turns: readonly Turn[]): Turn[][] {
  const blocks: Turn[][] = [];
  for (const turn of turns) {
    if (turn.role === "tool" && blocks.length > 0) blocks.at(-1)?.push(turn);
    else blocks.push([turn]);
  }
  return blocks;
}

/**
 * The turns, or what of them fits into `room` estimated tokens. In this order: results of old tool rounds are shortened; the oldest exchanges go, then the
 * oldest tool rounds since the newest user turn; the summary goes; the newest results are shortened. The newest user turn and the round after it always stay.
 */
export function fitTurns(turns: readonly Turn[], room: number): readonly Turn[] {
  if (turnsTokens(turns) <= room) return turns;
  const blocks = blocksOf(pruneResults(turns));
  const size = (block: readonly Turn[]) => turnsTokens(block);
  let total = blocks.reduce((sum, block) => sum + size(block), 0);
  const isUser = (block: readonly Turn[] | undefined) => block?.[0]?.role === "user";
  const newest = blocks.findLastIndex(isUser);
  const [summary] = blocks[0]?.[0]?.role === "user" && blocks[0][0].summary === true && newest > 0 ? blocks : [];
  const first = summary === undefined ? 0 : 1;
  let from = first;
  while (from < newest && total > room) {
    // A whole exchange at once: what is left begins with something the user said.
    do total -= size(blocks[from++] as Turn[]); while (from < newest && !isUser(blocks[from]));
  }
  const last = blocks.length - 1;
  let round = Math.max(newest, -1) + 1;
  while (round < last && total > room) total -= size(blocks[round++] as Turn[]);
  const keepsSummary = summary !== undefined && total <= room;
  if (summary !== undefined && !keepsSummary) total -= size(summary);
  const kept = [...(keepsSummary ? [summary] : []), ...blocks.slice(from, newest + 1), ...blocks.slice(round)].flat();
  return total > room ? cutNewest(kept, total - room) : kept;
}

/** Takes `over` tokens from the results of the last round, the largest first. */
function cutNewest(turns: readonly Turn[], over: number): Turn[] {
  const cut = [...turns];
  let left = over;
  const order = cut.map((turn, index) => ({ turn, index })).filter(({ turn }) => turn.role === "tool").sort((a, b) => turnTokens(b.turn) - turnTokens(a.turn));
  for (const { turn, index } of order) {
    if (left <= 0) break;
    const before = turnTokens(turn);
    const wanted = Math.max(LEAST_TOKENS, before - left);
    for (let chars = Math.floor((wanted - 20) * turn.text.length / Math.max(1, estimateTokens(turn.text))); ; chars = Math.floor(chars * 0.7)) {
      const next = shorter(turn as ToolTurn, Math.ceil(chars * 0.7), Math.floor(chars * 0.3));
      if (turnTokens(next) <= wanted || chars < 8) { cut[index] = next; break; }
    }
    left -= before - turnTokens(cut[index] as Turn);
  }
  return cut;
}
