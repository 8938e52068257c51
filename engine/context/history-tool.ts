/** search_history: what was said before the window of a talk begins, in its own words. */
import type { Turn } from "../models/model.ts";
import type { Sessions } from "../sessions.ts";
import type { StoredTurn } from "../store/store.ts";
import type { Tool } from "../tool.ts";
import { type Asked, askedIn, excerpt } from "../words.ts";

const SHOWN = 5;
const MOST_SHOWN = 20;
/** Characters of one turn that are shown. */
const SAID_CHARS = 600;
/** One for all talks: what it compiles to is kept as long as it is. */
const PARAMETERS = {
  type: "object", required: ["query"], additionalProperties: false,
  properties: { query: { type: "string", description: "Words that were used then" }, limit: { type: "integer", minimum: 1, maximum: MOST_SHOWN, description: `How many places, ${SHOWN} as a rule` } },
} as const;

export function historyTool(sessions: Sessions, session: string): Tool {
  return {
    name: "search_history", tags: [], risk: "read", readsPrivate: true, talksOutside: false, shared: true, timeoutMs: 10_000,
    description: "Finds what was said earlier in this talk, in its own words, also what is no longer shown. Use it when something from before is asked and the summary does not say it.",
    parameters: PARAMETERS,
    async call(input) {
      const { query, limit = SHOWN } = input as { query: string; limit?: number };
      const asked = askedIn(query);
      const found = await sessions.search(session, asked, Math.min(limit, MOST_SHOWN));
      return { text: found.length === 0 ? "Nothing was found. Try other words." : found.map((rows) => shown(rows, asked)).join("\n---\n"), tainted: await sessions.tainted(session) };
    },
  };
}

function shown(rows: readonly StoredTurn[], asked: readonly Asked[]): string {
  const at = rows[0]?.at ?? 0;
  return [`${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`, ...rows.map(({ turn }) => line(turn, asked)).filter((text) => text !== "")].join("\n");
}
function line(turn: Turn, asked: readonly Asked[]): string {
  if (turn.text.trim() === "") return "";
  const who = turn.role === "tool" ? `Result of ${turn.name}` : turn.role === "user" ? "User" : "Assistant";
  return `${who}: ${excerpt(turn.text, asked, SAID_CHARS)}`;
}
