/** A process that ledger.test.ts kills: of three calls one is journaled, one has ended and its reply is not kept yet, one is under way. Argument: a folder. */
import { writeSync } from "node:fs";
import { systemClock } from "../engine/clock.ts";
import { createLedger } from "../engine/ledger.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";

const store = await openSqliteStore(process.argv[2] as string);
const ledger = await createLedger({ store, clock: systemClock, zone: () => "UTC", budgets: () => ({ month: { tokens: 1_000_000 } }), log: (text) => { throw new Error(text); } });
const model = { id: "m", provider: "p", contextTokens: 1000, price: { input: 1, output: 1 }, async *stream() { /* Nobody asks it. */ } };
for (const [n, state] of ["journaled", "ended", "under way"].entries()) {
  const payer = ledger.payer({ subject: { run: `${n + 1}.s.in`, message: `m${n}`, session: "s", channel: "echo", account: "acc", person: "ada", agent: "helper" }, since: 0, budgets: {} });
  const bill = await payer.begin(model, { system: "", turns: [], tools: [], live: false, maxTokens: 100 });
  if (state === "under way") continue;
  bill.paid({ input: 7, output: 3 });
  if (state === "journaled") await store.commit([...payer.changes(), { do: "journal", run: `${n + 1}.s.in`, entry: { step: "model 1", at: 0, data: 1 } }]);
}
writeSync(1, "open\n");
setInterval(() => store.problems, 1000);
