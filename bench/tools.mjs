/**
 * What many tools cost: CPU of a round with 1, 10 and 100 tools, by our agent and by a loop by hand over the bare SDK. Interleaved rounds, medians.
 *
 *     npm run bench -- tools --rounds=7 --turns=100 --chats=20
 */
import { bareSdk, compare, ourAgent, startProvider, toolsOf } from "./agent-loop.mjs";
import { option, table } from "./table.mjs";

const load = { rounds: option("rounds", 7), turns: option("turns", 100), chats: option("chats", 20) };
const COUNTS = [1, 10, 100];
const scenarios = { plain: "Hello, what is new?", rounds: "Look: rounds=8 calls=1" };
const provider = await startProvider();
const agents = await Promise.all(COUNTS.map((count) => ourAgent(provider.url, toolsOf(count))));
try {
  const results = await compare([...COUNTS.map((count) => ({ turn: bareSdk(provider.url, toolsOf(count)) })), ...agents], scenarios, load);
  const rounds = results.map(({ plain, rounds }) => (rounds - plain) / 8);
  const rows = [["bare SDK", rounds.slice(0, 3)], ["our agent, all on disk", rounds.slice(3)]];
  table(`CPU of a round with one call, µs (${load.rounds} rounds of ${load.turns} turns, ${load.chats} chats)`, [
    ["", ...COUNTS.map((count) => `${count} tools`), "100 over 1"],
    ...rows.map(([name, all]) => [name, ...all, `${(all[2] / all[0]).toFixed(2)} times`]),
  ]);
} finally {
  for (const agent of agents) await agent.stop();
  provider.stop();
}
