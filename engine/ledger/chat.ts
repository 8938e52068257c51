/** What a person reads who asks in a chat what was used: their own use, this talk's, and the limits that hold for them. */
import { type BudgetName, dollars } from "../budget.ts";
import type { Say } from "../chat-texts.ts";
import type { Ledger } from "../ledger.ts";
import type { Message } from "../message.ts";
import type { UsageSum } from "../store/store.ts";
import { NOTHING, sumsBy } from "./report.ts";

/** What all others use is nobody's business here. */
const OWN: ReadonlySet<BudgetName> = new Set(["personDay", "session"]);
/** Cents, or finer where there are fewer. */
const money = (micros: number): string => dollars(micros >= 10_000 ? Math.ceil(micros / 10_000) * 10_000 : micros);

export async function usageInChat(ledger: Pick<Ledger, "usage">, { at: { channel, account }, sender: { id: person } }: Message, sessions: readonly string[], say: Say): Promise<string> {
  const amount = ({ input, output, micros }: UsageSum): string => say("used.amount", { tokens: input + output, usd: money(micros) });
  const mine = await ledger.usage({ channel, account, person });
  const talks = await Promise.all(sessions.map((session) => ledger.usage({ session })));
  const [talk = NOTHING] = sumsBy(talks.flatMap(({ session }) => session ?? []), []);
  const limits = [mine, ...talks].flatMap((one) => one.limits).filter(({ limit }) => OWN.has(limit)).map(({ limit, unit, used, max }) => {
    const [shown, most] = unit === "tokens" ? [String(used), String(max)] : [money(used), money(max)];
    return say(`used.${limit}.${unit}`, { used: shown, max: most });
  });
  return [say("used.mine", { today: amount(mine.today), month: amount(mine.month) }), say("used.talk", { talk: amount(talk) }), ...limits].join("\n");
}
