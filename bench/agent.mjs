/**
 * What the agent's loop costs for each round of the model and each call of a tool, against a loop by hand over the bare SDK; everything of ours on disk (FULL).
 * A round is what 8 rounds of one call take more than a plain answer, without their calls; a call is what four in a round take more than one. CPU of the process,
 * the provider is in another one. Interleaved rounds, medians.
 *
 *     npm run bench -- agent --rounds=7 --turns=200 --chats=20
 */
import { createFetch } from "../engine/http.ts";
import { bareSdk, compare, ourAgent, startProvider, toolsOf } from "./agent-loop.mjs";
import { option, table } from "./table.mjs";

const load = { rounds: option("rounds", 7), turns: option("turns", 200), chats: option("chats", 20) };
const scenarios = { plain: "Hello, what is new?", rounds: "Look: rounds=8 calls=1", calls: "Look: rounds=8 calls=4" };
const provider = await startProvider();
const fetch = createFetch();
const agent = await ourAgent(provider.url, toolsOf(1));
const alone = await ourAgent(undefined, toolsOf(1));
try {
  const names = ["bare SDK", "bare SDK over our fetch", "our agent, all on disk", "the same, its model in this process"];
  const results = await compare([{ turn: bareSdk(provider.url, toolsOf(1)) }, { turn: bareSdk(provider.url, toolsOf(1), fetch) }, agent, alone], scenarios, load);
  const rows = results.map(({ plain, rounds, calls }) => { const call = (calls - rounds) / 24; return { plain, call, round: (rounds - plain) / 8 - call }; });
  const over = (row, field) => row[field] - rows[0][field];
  table(`CPU of the agent's loop, µs (${load.rounds} rounds of ${load.turns} turns, ${load.chats} chats)`, [
    ["", "plain answer", "a round more", "over bare", "a call more", "over bare"],
    ...rows.map((row, place) => [names[place], row.plain, row.round, over(row, "round"), row.call, over(row, "call")]),
  ]);
} finally {
  await agent.stop();
  await alone.stop();
  await fetch.close();
  provider.stop();
}
