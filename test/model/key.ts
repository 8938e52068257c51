/**
 * The canonical text of a world: two worlds with the same text behave alike. Which slot a process has is not in it (the owner comes first, then who was the owner),
 * nor the store's numbers beyond their order, nor the tries of a row (they are far from their limit here), nor the way that led to this state.
 */
import type { Change } from "../../engine/store/store.ts";
import { type Disk, NOTICE, type Row, type Scenario, type Then, type Worker, type World } from "./state.ts";

export function commitKey(changes: readonly Change[], then: Then | undefined): string {
  let text = "";
  for (const change of changes) {
    if (change.do === "receive") text += `R${change.receipt.message.id}`;
    else if (change.do === "receipt") text += `r${change.seq}${change.state?.[1] ?? ""}${change.attempts ?? ""}${change.runs === undefined ? "" : Object.keys(change.runs).join("")}${change.reason?.startsWith("joined") === true ? change.reason : ""}${change.message?.parts?.join() ?? ""}`;
    else if (change.do === "journal") text += `j${change.run}${change.entry.step}`;
    else if (change.do === "outbox") text += `o${change.row.key}${change.row.state[1]}`;
    else if (change.do === "outbox-update") text += `u${change.key}${change.set.state?.slice(0, 2) ?? ""}`;
    else text += change.do;
  }
  return then === undefined ? text : `${text}>${then.go[0]}${then.go === "row" ? then.act[0] : ""}`;
}

const SHORT = { planned: "p", sending: "s", unknown: "u", sent: "d", dead: "x", pending: "w", done: "d" } as const;
const rowText = ({ id, state, startedAt }: Row): string => `${id}${SHORT[state]}${startedAt ? "+" : ""}`;

function diskText({ receipts, journals, rows, notices, ended }: Disk, entries: number): string {
  let text = ended ? "E" : "";
  for (const { message, state, attempts, runs, joined, said } of receipts) text += `${message}${SHORT[state]}${attempts}${joined === undefined ? "" : `j${joined}`}${said === undefined ? "" : `s${said.join()}`}${entries > 1 ? Object.keys(runs).join("") : ""}`;
  text += journals.join(".");
  for (const row of rows) text += rowText(row);
  return text + shortly(notices);
}
const shortly = (notices: readonly string[]): string => notices.map((notice) => notice.slice(NOTICE.length)).join("");

function workerText({ queue, put, notices, lanes, receipts, suspects, counted, left, tried, trial, overtime, posted, silent, inherited, runs, chats }: Worker, open: number, { program }: Scenario): string {
  let text = `${posted & open}.${silent & open}.${inherited & open}`;
  if (lanes.length > 1) text += `t${tried}${trial ?? ""}${overtime ? "!" : ""}`;
  for (const { waiting, active } of lanes) {
    text += `|a${active ?? ""}`;
    for (const message of active === undefined ? waiting : [active, ...waiting]) text += `${message}${(suspects >> message) & 1}${(suspects & counted) >> message & 1}${(left >> message) & 1}${receipts[message]?.attempts}${Object.keys(receipts[message]?.runs ?? {}).join("")}`;
  }
  for (const { rows, own, phase } of chats) {
    text += `c${phase[0]}${phase[1]}${own.join("")}`;
    for (const row of rows) text += rowText(row);
  }
  for (const [number, run] of runs.entries()) {
    if (run === undefined || (!run.live && run.passes.length === 0)) continue;
    text += `n${number}${run.live ? "" : "x"}${run.journal}`;
    for (const { step, phase } of run.flights) text += `${step}${phase[0]}`;
    for (const { at, old, waits } of run.passes) text += `${old ? "o" : "p"}${at}${waits ? (at === program.length ? `w${run.told}` : "w") : ""}`;
  }
  text += shortly(notices);
  for (const { key } of queue) text += `,${key}`;
  for (const { key } of put) text += `!${key}`;
  return text;
}

export function createKey(scenario: Scenario): (world: World) => string {
  const { entries, parts, program } = scenario;
  const perMessage = entries * parts;
  const counted = program.some(({ once }) => once !== true);
  return ({ disk, before, owner, stale, inbound, late, paused, kinds, seen, bad, left }) => {
    let text = `${left}${kinds.join("")}${late ? "L" : ""}${paused ? "P" : ""}${counted ? seen.ends : ""}${bad ?? ""}${diskText(disk, entries)}/`;
    for (const state of inbound) text += state[0];
    // Of what is final on disk, and of what nobody can touch any more, only the outcome is of interest.
    let open = (1 << (inbound.length * perMessage)) - 1;
    if (stale === undefined) for (const { id, state } of disk.rows) if (state === "sent" || state === "dead") open &= ~(1 << id);
    for (const [row, copies] of seen.copies.entries()) text += (open & (1 << row)) === 0 ? (copies > 0 ? "v" : "-") : `${copies}${seen.excused[row]}`;
    text += `${seen.refused & open}.${seen.afterDelay & open}.${seen.mourned}.${seen.timedOut}.${seen.removed}.${seen.told}`;
    for (const { message, state } of disk.receipts) if (state === "pending") text += `b${message}${seen.broken[message]}${seen.first[message]}`;
    for (let run = 0; run < inbound.length * entries; run++) {
      const message = Math.floor(run / entries);
      const over = stale === undefined && owner?.runs[run] === undefined && disk.receipts.some((record) => record.message === message && record.state !== "pending");
      if (!over) for (let step = run * program.length; step < (run + 1) * program.length; step++) text += seen.works[step];
      text += ";";
    }
    if (owner !== undefined) text += `O${workerText(owner, open, scenario)}`;
    if (stale !== undefined) text += `S${workerText(stale, open, scenario)}`;
    if (before !== undefined) text += `B${diskText(before, entries)}`;
    return text;
  };
}
