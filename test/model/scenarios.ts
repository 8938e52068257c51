/** What is explored: small worlds, each rich in something else. Two messages come to one lane (or to two), and what can go wrong may go wrong at every step. */
import type { Scenario } from "./state.ts";

const AGENT = [{ name: "model 1" }, { name: "tool 1", once: true }, { name: "model 2", behind: true }];
/** What befalls the processes and flows; what befalls the platform as well. Any of them, any number of times, up to `most` together. */
const OWN = { crash: 9, duplicate: 9, deploy: 9, timeout: 9, lease: 9 };
const ALL = { ...OWN, stop: 9, removal: 9, silence: 9, refusal: 9 };

const answer: Scenario = { name: "two messages in one lane, answered at once", lanes: [0, 0], entries: 1, program: [], parts: 1, class: "C", faults: OWN, most: 1 };
const agent: Scenario = { name: "two messages in one lane, an agent with a tool", lanes: [0, 0], entries: 1, program: AGENT, parts: 1, class: "C", faults: OWN, most: 1 };
const tool: Scenario = { name: "two messages in one lane, a tool and no answer", lanes: [0, 0], entries: 1, program: AGENT.slice(1), parts: 0, class: "C", faults: OWN, most: 1 };
const parts: Scenario = { name: "answers in two parts, and a platform that fails", lanes: [0, 0], entries: 1, program: [], parts: 2, class: "C", faults: ALL, most: 1 };
const lanes: Scenario = { name: "two messages in two lanes", lanes: [0, 1], entries: 1, program: [], parts: 1, class: "C", faults: OWN, most: 1 };
const entries: Scenario = { name: "one message for two entry nodes", lanes: [0], entries: 2, program: [], parts: 1, class: "C", faults: { ...OWN, removal: 9 }, most: 1 };
const stale: Scenario = { name: "answers that expire", lanes: [0, 0], entries: 1, program: [], parts: 1, class: "B", expires: true, faults: { ...ALL, delay: 1 }, most: 1 };
const lapse: Scenario = { name: "keys that lapse", lanes: [0], entries: 1, program: [], parts: 1, class: "A", faults: { ...ALL, delay: 1 }, most: 1 };
const poison: Scenario = { name: "a message that breaks its process again and again", lanes: [0], entries: 1, program: [{ name: "model 1" }], parts: 1, class: "C", faults: { crash: 9, stop: 3 }, most: 4 };
const suspects: Scenario = { ...poison, name: "two messages in two lanes, under way in the same crashes", lanes: [0, 1], program: [], parts: 0, faults: { crash: 9 } };
/** What people do meanwhile. */
const PEOPLE = { crash: 9, duplicate: 9, halt: 9, pause: 9 };
const people: Scenario = { ...agent, name: "two messages in one lane, an agent with a tool, and people who stop and pause", faults: PEOPLE };
const steered: Scenario = { ...people, name: "what is said meanwhile joins the run", program: [{ name: "model 1" }, { name: "joined", joins: true }, { name: "model 2", behind: true }] };
const held: Scenario = { ...suspects, name: "two messages in two lanes, under way in the same crashes, and people who pause", faults: { crash: 9, pause: 9 } };
const hasty: Scenario = { ...people, name: "what is said meanwhile takes the place of what is under way", program: [{ name: "model 1" }], interrupts: true };

const classes = (scenario: Scenario, most: number): Scenario[] => (["A", "B", "C"] as const).map((one) => ({ ...scenario, class: one, most }));

/** In `npm test`: up to two faults in one history. */
export const QUICK: readonly Scenario[] = [
  { ...agent, most: 2 }, { ...tool, most: 2 }, { ...parts, most: 2 }, ...classes(parts, 1).slice(0, 2), { ...parts, name: "the same, and nobody shall be told", most: 1, quiet: true }, { ...entries, most: 1 }, { ...stale, most: 1 }, { ...lapse, most: 2 }, poison, { ...suspects, most: 3 }, { ...held, most: 3 }, people, { ...steered, most: 2 }, { ...hasty, most: 2 },
];
/** Up to three faults in one history, of all kinds and in all orders; two where three would take more than an hour. */
export const FULL: readonly Scenario[] = [
  ...classes(answer, 3), ...classes(agent, 3).slice(0, 2), { ...agent, most: 2 }, { ...agent, parts: 2, most: 1 }, { ...tool, most: 3 }, ...classes(parts, 3).slice(0, 1), ...classes(parts, 2).slice(1), { ...parts, name: "the same, and nobody shall be told", most: 2, quiet: true },
  { ...lanes, most: 1 }, { ...entries, most: 2 }, ...classes(stale, 3).slice(0, 1), ...classes(stale, 2).slice(1), { ...lapse, most: 3 }, { ...poison, most: 6 }, { ...poison, lanes: [0, 0], most: 3 }, { ...suspects, most: 4 }, { ...held, most: 4 }, { ...people, most: 2 }, { ...steered, most: 3 }, { ...hasty, most: 3 },
];
/** The smallest world for each kind of bug. */
export const SMALL = { answer, agent, tool, parts, lanes, entries, stale, lapse, poison, suspects, held, people, steered, hasty };
