/**
 * Every channel in both directions: real adapter, real engine and store in a process that is killed, the platform's stub as the judge.
 * In short every second channel goes one of three ways (in, out, or a platform that fails), others with each seed; CLAWFLOW_FAULTS=full goes all three, with 20 kills at each point.
 * CLAWFLOW_CHANNEL=<part of a name> picks some channels, and goes all three ways with them.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "../rigs/project.ts";
import { SENDERS, SIDES } from "./channels/sides.ts";
import { merged, OUTGOING, type Row, type Section, SECTIONS, trial } from "./channels/trial.ts";
import { dice } from "./rounds.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const rounds = full ? 20 : 1;
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
/** Most of the time is waiting: for a second between messages of one chat, for a platform that wants patience. */
const AT_ONCE = full ? 4 : 9;
/** They wait half a minute or a whole one for the proof that a message was not sent: they begin first. */
const PATIENT = new Set(["Gmail", "WhatsApp Cloud"]);
const picked = process.env.CLAWFLOW_CHANNEL ?? "";
const names = Object.keys(SIDES).filter((name) => name.toLowerCase().includes(picked.toLowerCase()) && ways(name).length > 0);

/** In short, six seeds in a row go all the ways of all channels. */
function ways(name: string): readonly Section[] {
  const all: readonly Section[] = name in SENDERS ? OUTGOING : SECTIONS;
  return full || picked !== "" ? all : all.filter((_, at) => (at + Object.keys(SIDES).indexOf(name) + seed) % (all.length * 2) === 0);
}

/** As docs/reliability.md has it. */
function table(rows: readonly Row[]): string {
  const head = ["channel", "class", "kills on the way in", "lost", "doubled", "order broken", "kills in the send window", "copies too many: allowed / seen", "links dropped", "remarks"];
  const lines = rows.map((row) => [row.name, row.class, row.name in SENDERS ? "–" : row.inKills, row.lost, row.doubled, row.disorder, row.outKills, `${row.allowed} / ${row.extra}`, row.drops === 0 ? "–" : row.drops, [...row.remarks, ...(row.away > 0 ? [`${row.away} not brought again by the platform`] : [])].join("; ") || "–"]);
  return [head, head.map(() => "---"), ...lines].map((line) => `| ${line.join(" | ")} |`).join("\n");
}

describe("every channel keeps the promise", function () {
  this.timeout(full ? 4 * 3_600_000 : 600_000);
  const rows = new Map<string, Promise<Row>>();
  before(() => {
    console.log(`seed ${seed}`);
    const random = dice(seed);
    const waiting = SECTIONS.flatMap((section) => [...names].sort((a, b) => Number(PATIENT.has(b)) - Number(PATIENT.has(a))).filter((name) => ways(name).includes(section)).map((name) => ({ name, section, done: Promise.withResolvers<Row>() })));
    for (const name of names) {
      const row = Promise.all(waiting.filter((one) => one.name === name).map(({ done }) => done.promise)).then(merged);
      row.catch(() => undefined);
      rows.set(name, row);
    }
    async function work(): Promise<void> {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { name, section, done } = next;
        const make = SIDES[name];
        if (make !== undefined) await trial(name, section, make, { rounds, random }).then(done.resolve, done.reject);
      }
    }
    for (let one = 0; one < AT_ONCE; one++) void work();
  });
  after(async () => {
    const all = (await Promise.allSettled(rows.values())).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    console.log(table(all));
  });

  it("stands in docs/reliability.md with all its channels", () => {
    const rows = readFileSync(path.join(projectRoot, "docs/reliability.md"), "utf8").split("\n").filter((line) => line.startsWith("| ")).map((line) => line.split(" | ")[0]?.slice(2));
    assert.deepEqual(Object.keys(SIDES).filter((name) => !rows.includes(name)), []);
  });

  for (const name of names) it(name, async () => {
    const row = await (rows.get(name) as Promise<Row>);
    assert.deepEqual(row.wrong, []);
    assert.ok(row.inKills >= (ways(name).includes("in") ? 3 * rounds : 0) && row.outKills >= (ways(name).includes("out") ? 3 * rounds : 0), "it was killed");
  });
});
