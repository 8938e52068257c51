/** The disk: a store's changes by its contract, as far as this world has them. */
import { begun } from "../../engine/life.ts";
import type { Change, CommitResult } from "../../engine/store/store.ts";
import { BEGUN, type Disk, DONE, type Journal, NOTICE, rowOfKey, type Scenario, WIDTH } from "./state.ts";

/** How a store tells a message that it knows. `key`: by the message's own id, as ours does. The others are bugs of other systems. */
export type Dedupe = "key" | "watermark" | "reopens" | "none";
/** Told when something final would change; the name of the rule that was broken. */
export type OnBreak = (text: string) => void;

/** The bit of a step by its name, "… begun" included; 0 for a step that no program has. */
export function stepBit(scenario: Scenario, name: string): Journal {
  for (const [at, step] of scenario.program.entries()) {
    if (step.name === name) return DONE << (at * WIDTH);
    if (begun(step.name) === name) return BEGUN << (at * WIDTH);
  }
  return 0;
}

export function apply(disk: Disk, changes: readonly Change[], scenario: Scenario, dedupe: Dedupe, broken: OnBreak): CommitResult {
  return changes.map((change) => {
    switch (change.do) {
      case "receive": {
        const message = Number(change.receipt.message.id);
        const known = dedupe === "none" ? -1 : disk.receipts.findIndex((record) => (dedupe === "watermark" ? record.message >= message : record.message === message));
        if (known >= 0) {
          const found = disk.receipts[known];
          if (dedupe !== "reopens" || found === undefined || found.state === "pending") return undefined;
          broken(`conservation: message ${message} was ${found.state} and is pending again`);
          return undefined;
        }
        const seq = disk.receipts.length + 1;
        disk.receipts.push({ seq, message, state: "pending", attempts: 0, runs: {}, receivedAt: 0 });
        return seq;
      }
      case "receipt": {
        const found = disk.receipts[change.seq - 1];
        if (found === undefined || found.state === "done") return undefined;
        const { state = found.state, attempts = found.attempts, runs = found.runs } = change;
        if (found.state === "dead" && state !== "dead") broken(`conservation: receipt ${change.seq} was dead and is ${state}`);
        if (Object.keys(found.runs).some((entry) => runs[entry] === undefined)) broken(`conservation: the end of a run of receipt ${change.seq} is forgotten`);
        const joined = /^joined run (\d+)\./.exec(change.reason ?? "")?.[1];
        const said = change.message?.parts?.map(Number);
        disk.receipts[change.seq - 1] = { ...found, state, attempts, runs, ...(joined === undefined ? {} : { joined: Number(joined) }), ...(said === undefined ? {} : { said }) };
        return change.seq;
      }
      case "journal": {
        const [message, entry] = change.run.split(".n").map(Number) as [number, number];
        const run = message * scenario.entries + entry;
        const bit = stepBit(scenario, change.entry.step);
        if (((disk.journals[run] ?? 0) & bit) !== 0) return undefined;
        disk.journals[run] = (disk.journals[run] ?? 0) | bit;
        return 1;
      }
      case "outbox": {
        const { row } = change;
        if (row.key.startsWith(NOTICE)) {
          if (disk.notices.includes(row.key)) return undefined;
          disk.notices = [...disk.notices, row.key].sort();
          return disk.notices.length;
        }
        if (disk.rows.some(({ key }) => key === row.key)) return undefined;
        disk.rows.push({ ...row, id: rowOfKey(row.key), seq: disk.rows.length + 1, attempts: 0 });
        return disk.rows.length;
      }
      case "outbox-update": {
        const at = disk.rows.findIndex(({ key }) => key === change.key);
        const found = disk.rows[at];
        if (found === undefined || found.state === "sent") return undefined;
        const state = change.set.state ?? found.state;
        if (found.state === "dead" && state !== "dead") broken(`conservation: row ${change.key} was dead and is ${state}`);
        // Time between tries is not told from other time here: what waits is due.
        disk.rows[at] = { ...found, ...change.set, dueAt: 0 };
        return found.seq;
      }
      default: return undefined;
    }
  });
}
